"""The expected significance of a counting experiment, and how well a finite simulation knows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.errors import TamisError

Float64 = NDArray[np.float64]
LEAST_BACKGROUND = 1.0
"""Expected background events that a cut or a bin has to keep."""
LEAST_EFFECTIVE = 10.0
"""Effective number of simulated background events that a cut or a bin has to keep."""


@dataclass(frozen=True)
class Requirements:
    """What a cut or a bin has to keep, and how well the background is known.

    Args:
        relative: relative systematic uncertainty of the background.
        background: least expected background.
        effective: least effective number of simulated background events.
    """

    relative: float = 0.0
    background: float = LEAST_BACKGROUND
    effective: float = LEAST_EFFECTIVE


USUAL = Requirements()
"""What is required where nothing else is said: a background without systematic uncertainty."""


def asimov_significance(signal: ArrayLike, background: ArrayLike, uncertainty: ArrayLike = 0.0) -> Float64:
    r"""Give the expected significance of a counting experiment whose background is known with an uncertainty.

    Z^2 = 2 ((s+b) ln[(s+b)(b+u^2) / (b^2+(s+b)u^2)] - b^2/u^2 ln[1 + u^2 s / (b (b+u^2))]), with u the standard
    deviation of b; without it Z^2 = 2 ((s+b) ln(1+s/b) - s) (G. Cowan et al., arXiv:1007.1727; G. Cowan, "Discovery
    sensitivity for a counting experiment with background uncertainty", 2012).

    Args:
        signal: expected number of signal events s.
        background: expected number of background events b, above zero.
        uncertainty: standard deviation u of b.

    Returns:
        Z; zero where the signal is not positive.

    Raises:
        TamisError: a background is not positive, or an uncertainty is negative.

    >>> asimov_significance(10.0, 100.0).round(4).tolist(), asimov_significance(10.0, 100.0, 10.0).round(4).tolist()
    (0.984, 0.6902)
    """
    s, b, u = (np.asarray(each, np.float64) for each in (signal, background, uncertainty))
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
    known = square > 1e-12 * b
    z: Float64 = np.sqrt(np.maximum(2 * np.where(known, spread, exact), 0))
    return z


def is_enough(b: Float64, squares: Float64, requirements: Requirements) -> NDArray[np.bool_]:
    """Say which cuts or bins keep what is required.

    Args:
        b: expected background.
        squares: sum of the squared weights of the background, of the same shape.
        requirements: what has to be kept.

    >>> is_enough(np.array([5.0, 5.0]), np.array([1.0, 5.0]), Requirements(effective=10.0)).tolist()
    [True, False]
    """
    enough: NDArray[np.bool_] = (b > 0) & (b >= requirements.background * (1 - 1e-9))
    return enough & (b**2 >= requirements.effective * squares * (1 - 1e-12))


def significance_with(s: Float64, b: Float64, squares: Float64, requirements: Requirements) -> Float64:
    """Compute the Asimov significance with both uncertainties of the background: systematic and statistical.

    Args:
        s: expected signal, of any shape.
        b: expected background, above zero, likewise.
        squares: sum of the squared weights of the background, likewise.
        requirements: how well the background is known.
    """
    return asimov_significance(s, b, np.sqrt(np.maximum(squares, 0) + (requirements.relative * b) ** 2))


def significance_behind_cuts(
    signal: Float64, background: Float64, squares: Float64, requirements: Requirements = USUAL
) -> Float64:
    """Compute the Asimov significance behind cuts that keep enough background.

    Args:
        signal: expected signal events, [cuts].
        background: expected background events, [cuts].
        squares: sum of the squared weights of the background, [cuts].
        requirements: what a cut has to keep, and how well the background is known.

    Returns:
        NaN where a cut does not keep enough, [cuts].

    >>> significance_behind_cuts(np.array([10.0, 10.0]), np.array([100.0, 0.5]), np.array([1.0, 0.0])).round(3).tolist()
    [0.979, nan]
    """
    found = np.full(len(signal), np.nan)
    enough = is_enough(background, squares, requirements)
    found[enough] = significance_with(signal[enough], background[enough], squares[enough], requirements)
    return found


def significance_error(
    s: Float64, signal_squares: Float64, powers: tuple[Float64, ...], requirements: Requirements
) -> Float64:
    """Propagate the variances of signal and background to first order, by central differences.

    An event of weight w adds w to the background and w^2 to its variance, so the influence of one is f w + g w^2.

    Args:
        s: signal.
        signal_squares: sum of its squared weights.
        powers: sums of the first four powers of the background's weights.
        requirements: how well the background is known.
    """
    b, squares, cubes, fourths = powers

    def slope(which: int) -> Float64:
        numbers = [s, b, squares]
        step = 1e-4 * np.abs(numbers[which])
        moved = [[*numbers[:which], numbers[which] + way * step, *numbers[which + 1 :]] for way in (1, -1)]
        high, low = (significance_with(each[0], each[1], each[2], requirements) for each in moved)
        rise: Float64 = (high - low) / np.where(step > 0, 2 * step, 1)
        return rise

    by_signal, f, g = (slope(which) for which in range(3))
    variance = by_signal**2 * signal_squares + f**2 * squares + 2 * f * g * cubes + g**2 * fourths
    error: Float64 = np.sqrt(np.maximum(variance, 0))
    return error
