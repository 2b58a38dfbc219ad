"""The expected (Asimov) significance of counting experiments and bins, and its error from the finite simulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.arrays import Float64
from tamis.errors import TamisError

LEAST_BACKGROUND = 1.0
"""Minimum number of expected background events after a cut or in a bin."""
LEAST_EFFECTIVE = 10.0
"""Minimum effective sample size of the simulated background after a cut or in a bin."""
_NEWTON_STEPS = 60
"""Maximum number of steps of Newton's method; it needs four to eight."""


@dataclass(frozen=True)
class Requirements:
    """Minimum background of a cut or a bin, and the uncertainties of the backgrounds.

    Args:
        relative: relative systematic uncertainty of each background, uncorrelated; one number for all.
        background: minimum expected background.
        effective_sample_size: minimum effective sample size of the simulated background.
    """

    relative: float | tuple[float, ...] = 0.0
    background: float = LEAST_BACKGROUND
    effective_sample_size: float = LEAST_EFFECTIVE

    @property
    def backgrounds(self) -> int | None:
        """Number of backgrounds; None if all have the same uncertainty."""
        return len(self.relative) if isinstance(self.relative, tuple) else None

    def of_each(self, backgrounds: int) -> Float64:
        """Return the relative uncertainties, [backgrounds]."""
        if self.backgrounds not in (None, backgrounds):
            raise TamisError(f"significance: {self.backgrounds} uncertainties for {backgrounds} backgrounds")
        return np.broadcast_to(np.asarray(self.relative, np.float64), backgrounds)


USUAL = Requirements()
"""The default: a background without systematic uncertainty."""


def compute_asimov_significance(
    signal: ArrayLike, background: ArrayLike, uncertainty: ArrayLike = 0.0
) -> Float64:
    """Compute the expected significance of a counting experiment with an uncertain background.

    Z^2 = 2 ((s+b) ln[(s+b)(b+u^2) / (b^2+(s+b)u^2)] - b^2/u^2 ln[1 + u^2 s / (b (b+u^2))]) for s expected signal events
    and b expected background events with the standard deviation u (uncertainty); without it Z^2 = 2 ((s+b) ln(1+s/b) -
    s) (G. Cowan et al., arXiv:1007.1727; G. Cowan, "Discovery sensitivity for a counting experiment with background
    uncertainty", 2012). Z is zero if the signal is not positive.

    Raises:
        TamisError: a background is not positive, or an uncertainty is negative.

    >>> [compute_asimov_significance(10.0, 100.0, error).round(4).tolist() for error in (0.0, 10.0)]
    [0.984, 0.6902]
    """
    s, b, u = (np.asarray(number, np.float64) for number in (signal, background, uncertainty))
    if (b <= 0).any() or (u < 0).any():
        raise TamisError(
            "significance: expected a background above zero and an uncertainty that is not negative"
        )
    s = np.maximum(s, 0)
    square = u**2
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = (s + b) * np.log1p(s / b) - s
        # written with log1p: the ratio in the first logarithm is 1 + s b / (b^2 + (s + b) u^2)
        spread = (s + b) * np.log1p(s * b / (b**2 + (s + b) * square)) - (b**2 / square) * np.log1p(
            square * s / (b * (b + square))
        )
    # for smaller uncertainties the two logarithms cancel up to rounding, and the formula without uncertainty is exact
    known = square > 1e-12 * b
    z: Float64 = np.sqrt(np.maximum(2 * np.where(known, spread, exact), 0))
    return z


def compute_profile_significance(
    signal: Float64, backgrounds: Float64, squares: Float64, relative: Float64
) -> tuple[Float64, Float64, Float64, Float64]:
    """Compute the expected discovery significance of bins, and its derivatives.

    The number of events in bin i is a Poisson number of mean gamma_i sum_k b_ki (1 + r_k)^theta_k, with a Gaussian
    theta_k of each background, and a Gaussian gamma_i of mean one whose standard deviation is that of the finite
    simulation, as in HistFactory (K. Cranmer et al., CERN-OPEN-2012-016). Z^2 is the smallest

        2 sum_i (nu_i - n_i + n_i ln(n_i / nu_i)) + sum_i (gamma_i - 1)^2 / sigma_i^2 + sum_k theta_k^2

    with the expected n_i = s_i + sum_k b_ki as data (G. Cowan et al., arXiv:1007.1727).

    Args:
        signal: expected signal, [..., bins]; negative numbers count as zero.
        backgrounds: expected events of each background, with positive sums, [..., backgrounds, bins].
        squares: sum of the squared weights of all backgrounds, [..., bins].
        relative: relative uncertainty of each background, [backgrounds].

    Returns:
        Z, [...]; its derivatives by the signal, by each background, and by the squares, of the shapes of these.

    >>> z, *_ = compute_profile_significance(np.array([30.0]), np.array([[100.0]]), np.zeros(1), np.array([0.1]))
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
    for _ in range(_NEWTON_STEPS if free.any() else 0):
        parts = backgrounds * np.exp(theta * logarithm)[..., None]
        _, slope, curvature = _of_bins(n, parts.sum(axis=-2), variance)
        moved = parts * logarithm[:, None]
        gradient = (slope[..., None, :] * moved).sum(axis=-1) + 2 * theta
        diagonal = (slope[..., None, :] * moved * logarithm[:, None]).sum(axis=-1) + 2
        hessian = (moved * np.maximum(curvature, 0)[..., None, :]) @ np.swapaxes(moved, -1, -2)
        # a curvature below that of the constraint would lead uphill far from the minimum
        hessian += np.maximum(diagonal, 0.5)[..., None] * np.eye(len(relative))
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        # an unlimited step would overflow the exponential far from the minimum
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
    """Compute the best-fit factor of the finite simulation."""
    middle, product = 1 - variance * expected, n * variance
    root = np.sqrt(middle**2 + 4 * product)
    # two forms of the same number: a difference of nearly equal numbers would be rounded to zero
    larger = (np.abs(middle) + root) / 2
    gamma: Float64 = np.where(middle > 0, larger, product / np.where(middle > 0, 1.0, larger))
    return np.maximum(gamma, 1e-300)


def _of_bins(n: Float64, expected: Float64, variance: Float64) -> tuple[Float64, Float64, Float64]:
    """Compute the contribution of each bin with the best-fit factor, and its derivatives by the expected number."""
    b = np.maximum(expected, 1e-300)
    gamma = _gamma(n, b, variance)
    nu = gamma * b
    excess = (n - nu) / nu
    square = 2 * nu * ((1 + excess) * np.log1p(excess) - excess)
    # equals (gamma - 1)^2 / variance, without a division by a variance of zero
    square += (gamma - 1) * (n / gamma - b)
    slope = 2 * (gamma - n / b)
    curvature = 2 * (n / b**2 - gamma * variance / (2 * gamma + variance * b - 1))
    return square, slope, curvature


def has_enough_background(b: Float64, squares: Float64, requirements: Requirements) -> NDArray[np.bool_]:
    """Return which cuts or bins have enough background, from its expected number and the sum of its squared weights.

    >>> requirements = Requirements(effective_sample_size=10.0)
    >>> has_enough_background(np.array([5.0, 5.0]), np.array([1.0, 5.0]), requirements).tolist()
    [True, False]
    """
    # rounding of the sums must not reject a bin that has exactly the minimum
    enough: NDArray[np.bool_] = (b > 0) & (b >= requirements.background * (1 - 1e-9))
    return enough & (b**2 >= requirements.effective_sample_size * squares * (1 - 1e-12))


def compute_bin_significances(
    s: Float64, backgrounds: Float64, squares: Float64, requirements: Requirements
) -> tuple[Float64, Float64, Float64, Float64]:
    """Compute the significance of single bins, with systematic and statistical uncertainties of the backgrounds.

    Arguments and results are those of `compute_profile_significance`, of which each bin is a case of its own: [bins]
    instead of [..., bins].
    """
    z, by_signal, by_background, by_squares = compute_profile_significance(
        s[:, None],
        np.moveaxis(backgrounds, 0, -1)[..., None],
        squares[:, None],
        requirements.of_each(len(backgrounds)),
    )
    return z, by_signal[..., 0], np.moveaxis(by_background[..., 0], -1, 0), by_squares[..., 0]


def compute_background_pulls(
    signal: Float64, backgrounds: Float64, squares: Float64, requirements: Requirements
) -> Float64:
    """Compute how far the background-only fit moves the simulated background of each bin, [bins].

    The pull is (gamma - 1) / sigma of `compute_profile_significance`, whose arguments these are, in the fit of all bins
    together. The constraint of gamma is Gaussian: for a large pull its tail is not that of the simulated events, whose
    number is a Poisson number.

    >>> compute_background_pulls(np.array([20.0]), np.array([[100.0]]), np.array([1e4]), USUAL).round(3)
    array([0.198])
    """
    z, _, _, by_squares = compute_profile_significance(
        signal, backgrounds, squares, requirements.of_each(len(backgrounds))
    )
    # 2 Z dZ/dsquares is -(pull)^2 / squares
    pulls: Float64 = np.sqrt(np.maximum(-2 * z * by_squares * np.maximum(squares, 0), 0))
    return pulls


def compute_cut_significances(
    signal: Float64, backgrounds: Float64, squares: Float64, requirements: Requirements = USUAL
) -> Float64:
    """Compute the significance behind cuts (`compute_bin_significances`), NaN without enough background, [cuts].

    >>> significance = compute_cut_significances(np.array([10.0, 10.0]), np.array([[100.0, 0.5]]), np.array([1.0, 0.0]))
    >>> significance.round(3).tolist()
    [0.979, nan]
    """
    significance = np.full(len(signal), np.nan)
    enough = has_enough_background(backgrounds.sum(axis=0), squares, requirements)
    significance[enough], *_ = compute_bin_significances(
        signal[enough], backgrounds[:, enough], squares[enough], requirements
    )
    return significance


def compute_significance_error(
    s: Float64, signal_squares: Float64, powers: Float64, requirements: Requirements
) -> Float64:
    """Propagate the variances of signal and backgrounds to first order, [bins].

    An event of weight w adds w to a background and w^2 to its variance, so that its influence is f w + g w^2. The
    powers are the sums of the first four powers of the weights of each background, [4, backgrounds, bins].
    """
    b, squares, cubes, fourths = powers
    _, by_signal, f, g = compute_bin_significances(s, b, squares.sum(axis=0), requirements)
    of_background = f**2 * squares + 2 * f * g * cubes + g**2 * fourths
    error: Float64 = np.sqrt(np.maximum(by_signal**2 * signal_squares + of_background.sum(axis=0), 0))
    return error


def number_backgrounds(
    class_index: NDArray[np.integer], signal: Sequence[int], classes: int
) -> NDArray[np.intp]:
    """Number the backgrounds from 0, in the order of the classes; zero for signal events, [n_events].

    >>> number_backgrounds(np.array([0, 1, 2]), [1], 3).tolist()
    [0, 0, 1]
    """
    is_background = ~np.isin(np.arange(classes), list(signal))
    numbers = np.maximum(np.cumsum(is_background) - 1, 0)
    numbers[~is_background] = 0
    background: NDArray[np.intp] = numbers[class_index]
    return background


def sum_by_background(
    sums: Callable[[NDArray[np.bool_]], ArrayLike],
    is_signal: NDArray[np.bool_],
    background: NDArray[np.integer] | None,
    requirements: Requirements,
) -> Float64:
    """Compute the sums of the selected events of each background, [sums, backgrounds, ...]."""
    if background is None:
        return np.stack([np.asarray(sums(~is_signal))], axis=1)
    count = requirements.backgrounds or int(background.max(initial=0)) + 1
    by_background = [np.asarray(sums(~is_signal & (background == number))) for number in range(count)]
    return np.stack(by_background, axis=1)
