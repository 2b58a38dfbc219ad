"""The expected significance of bins with several backgrounds: the profile likelihood ratio of the Asimov data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

_STEPS = 60
"""Steps of Newton's method at most; it takes four to eight."""


def profile_significance(
    signal: Float64, backgrounds: Float64, squares: Float64, relative: Float64
) -> tuple[Float64, Float64, Float64, Float64]:
    r"""Compute the expected discovery significance of bins, and its derivatives.

    The number of events in bin i is a Poisson number of mean gamma_i sum_k b_ki (1 + r_k)^theta_k, with a Gaussian
    theta_k of each background, and a Gaussian gamma_i of mean one whose standard deviation is that of the finite
    simulation, as HistFactory has it (K. Cranmer et al., CERN-OPEN-2012-016). Z^2 is the smallest

        2 sum_i (nu_i - n_i + n_i ln(n_i / nu_i)) + sum_i (gamma_i - 1)^2 / sigma_i^2 + sum_k theta_k^2

    with the expected n_i = s_i + sum_k b_ki as data (G. Cowan et al., arXiv:1007.1727).

    Args:
        signal: expected signal, [..., bins]; negative numbers count as zero.
        backgrounds: expected events of each background, whose sums are positive, [..., backgrounds, bins].
        squares: sum of the squared weights of all backgrounds, [..., bins].
        relative: relative uncertainty of each background, [backgrounds].

    Returns:
        Z, [...]; its derivatives by the signal, by each background, and by the squares, of the shapes of these.

    >>> z, *_ = profile_significance(np.array([30.0]), np.array([[100.0]]), np.zeros(1), np.array([0.1]))
    >>> round(float(z), 4)
    2.0066
    """
    s = np.maximum(signal, 0)
    nominal = backgrounds.sum(axis=-2)
    n = s + nominal
    variance = np.maximum(squares, 0) / nominal**2
    logarithm = np.log1p(relative)
    free = logarithm > 0
    theta = np.zeros(backgrounds.shape[:-1])
    for _ in range(_STEPS if free.any() else 0):
        parts = backgrounds * np.exp(theta * logarithm)[..., None]
        _, slope, curvature = _of_bins(n, parts.sum(axis=-2), variance)
        moved = parts * logarithm[:, None]
        gradient = (slope[..., None, :] * moved).sum(axis=-1) + 2 * theta
        own = (slope[..., None, :] * moved * logarithm[:, None]).sum(axis=-1) + 2
        hessian = (moved * np.maximum(curvature, 0)[..., None, :]) @ np.swapaxes(moved, -1, -2)
        # a curvature below that of the constraint would lead uphill far from the minimum
        hessian += np.maximum(own, 0.5)[..., None] * np.eye(len(relative))
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        theta = theta - np.clip(step, -1, 1)
        if np.abs(step).max(initial=0) < 1e-10:
            break
    factor = np.exp(theta * logarithm)
    expected = np.maximum((backgrounds * factor[..., None]).sum(axis=-2), 1e-300)
    square, slope, _ = _of_bins(n, expected, variance)
    z: Float64 = np.sqrt(np.maximum(square.sum(axis=-1) + (theta**2).sum(axis=-1), 0))
    gamma = _gamma(n, expected, variance)
    of_n = 2 * np.log(n / (gamma * expected))
    # by the relative variance: (gamma - 1) / variance is n / gamma - nu
    of_variance = -np.square(n / gamma - expected)
    of_background = (
        of_n[..., None, :]
        + slope[..., None, :] * factor[..., None]
        - (2 * of_variance * variance / nominal)[..., None, :]
    )
    half = np.where(z > 0, 2 * z, np.inf)
    return (
        z,
        np.where(signal > 0, of_n, 0) / half[..., None],
        of_background / half[..., None, None],
        of_variance / nominal**2 / half[..., None],
    )


def _gamma(n: Float64, expected: Float64, variance: Float64) -> Float64:
    """Compute the factor of the simulation that fits best."""
    middle, product = 1 - variance * expected, n * variance
    root = np.sqrt(middle**2 + 4 * product)
    # the same number twice: a difference of nearly equal ones would be rounded to zero
    larger = (np.abs(middle) + root) / 2
    gamma: Float64 = np.where(middle > 0, larger, product / np.where(middle > 0, 1.0, larger))
    return np.maximum(gamma, 1e-300)


def _of_bins(n: Float64, expected: Float64, variance: Float64) -> tuple[Float64, Float64, Float64]:
    """Compute what each bin adds with the best factor, and its two derivatives by the expected number."""
    b = np.maximum(expected, 1e-300)
    gamma = _gamma(n, b, variance)
    nu = gamma * b
    excess = (n - nu) / nu
    square = 2 * nu * ((1 + excess) * np.log1p(excess) - excess)
    # (gamma - 1)^2 / variance, also where that is zero
    square += (gamma - 1) * (n / gamma - b)
    slope = 2 * (gamma - n / b)
    curvature = 2 * (n / b**2 - gamma * variance / (2 * gamma + variance * b - 1))
    return square, slope, curvature
