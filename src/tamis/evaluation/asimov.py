"""The expected significance of a counting experiment, and how well a finite simulation knows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.errors import TamisError
from tamis.evaluation.profile import profile_significance

Float64 = NDArray[np.float64]
LEAST_BACKGROUND = 1.0
"""Expected background events that a cut or a bin has to keep."""
LEAST_EFFECTIVE = 10.0
"""Effective number of simulated background events that a cut or a bin has to keep."""


@dataclass(frozen=True)
class Requirements:
    """What a cut or a bin has to keep, and how well the background is known.

    Args:
        relative: relative systematic uncertainty of each background, apart from each other; one number for all.
        background: least expected background.
        effective: least effective number of simulated background events.
    """

    relative: float | tuple[float, ...] = 0.0
    background: float = LEAST_BACKGROUND
    effective: float = LEAST_EFFECTIVE

    @property
    def backgrounds(self) -> int | None:
        """Number of backgrounds; None where one uncertainty is for all."""
        return len(self.relative) if isinstance(self.relative, tuple) else None

    def of_each(self, backgrounds: int) -> Float64:
        """Return the relative uncertainties, [backgrounds].

        Raises:
            TamisError: there is another number of them.
        """
        if self.backgrounds not in (None, backgrounds):
            raise TamisError(f"significance: {self.backgrounds} uncertainties for {backgrounds} backgrounds")
        return np.broadcast_to(np.asarray(self.relative, np.float64), backgrounds)


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


def significance_with(
    s: Float64, backgrounds: Float64, squares: Float64, requirements: Requirements
) -> Float64:
    """Compute the significance of single bins with the uncertainties of the backgrounds: systematic and statistical.

    Args:
        s: expected signal, [bins].
        backgrounds: expected events of each background, whose sums are above zero, [backgrounds, bins].
        squares: sum of the squared weights of all backgrounds, [bins].
        requirements: how well the backgrounds are known.
    """
    return _single_bins(s, backgrounds, squares, requirements)[0]


def _single_bins(
    s: Float64, backgrounds: Float64, squares: Float64, requirements: Requirements
) -> tuple[Float64, Float64, Float64, Float64]:
    """Compute significances of single bins, and their derivatives, [bins], [bins], [backgrounds, bins], [bins]."""
    of_each = np.moveaxis(backgrounds, 0, -1)[..., None]
    z, by_signal, by_background, by_squares = profile_significance(
        np.asarray(s)[..., None],
        of_each,
        np.asarray(squares)[..., None],
        requirements.of_each(len(backgrounds)),
    )
    return z, by_signal[..., 0], np.moveaxis(by_background[..., 0], -1, 0), by_squares[..., 0]


def significance_behind_cuts(
    signal: Float64, backgrounds: Float64, squares: Float64, requirements: Requirements = USUAL
) -> Float64:
    """Compute the Asimov significance behind cuts that keep enough background.

    Args:
        signal: expected signal events, [cuts].
        backgrounds: expected events of each background, [backgrounds, cuts].
        squares: sum of the squared weights of all backgrounds, [cuts].
        requirements: what a cut has to keep, and how well the backgrounds are known.

    Returns:
        NaN where a cut does not keep enough, [cuts].

    >>> found = significance_behind_cuts(np.array([10.0, 10.0]), np.array([[100.0, 0.5]]), np.array([1.0, 0.0]))
    >>> found.round(3).tolist()
    [0.979, nan]
    """
    found = np.full(len(signal), np.nan)
    enough = is_enough(backgrounds.sum(axis=0), squares, requirements)
    found[enough] = significance_with(signal[enough], backgrounds[:, enough], squares[enough], requirements)
    return found


def significance_error(
    s: Float64, signal_squares: Float64, powers: Float64, requirements: Requirements
) -> Float64:
    """Propagate the variances of signal and backgrounds to first order.

    An event of weight w adds w to a background and w^2 to its variance, so the influence of one is f w + g w^2.

    Args:
        s: signal, [bins].
        signal_squares: sum of its squared weights, [bins].
        powers: sums of the first four powers of the weights of each background, [4, backgrounds, bins].
        requirements: how well the backgrounds are known.
    """
    b, squares, cubes, fourths = powers
    _, by_signal, f, g = _single_bins(s, b, squares.sum(axis=0), requirements)
    of_background = f**2 * squares + 2 * f * g * cubes + g**2 * fourths
    error: Float64 = np.sqrt(np.maximum(by_signal**2 * signal_squares + of_background.sum(axis=0), 0))
    return error


def number_backgrounds(
    class_index: NDArray[np.integer], signal: Sequence[int], classes: int
) -> NDArray[np.intp]:
    """Number the backgrounds from 0, in the order of the classes; zero for an event of the signal, [n_events].

    >>> number_backgrounds(np.array([0, 1, 2]), [1], 3).tolist()
    [0, 0, 1]
    """
    is_background = ~np.isin(np.arange(classes), list(signal))
    numbers = np.maximum(np.cumsum(is_background) - 1, 0)
    numbers[~is_background] = 0
    found: NDArray[np.intp] = numbers[class_index]
    return found


def sums_of_backgrounds(
    sums: Callable[[NDArray[np.bool_]], ArrayLike],
    is_signal: NDArray[np.bool_],
    background: NDArray[np.integer] | None,
    requirements: Requirements,
) -> Float64:
    """Compute sums for the events of each background, [sums, backgrounds, ...].

    Args:
        sums: computes them for some events, [n_events].
        is_signal: [n_events].
        background: number of the background of each event, [n_events]; None for a single one.
        requirements: which say how many backgrounds there are.
    """
    if background is None:
        return np.stack([np.asarray(sums(~is_signal))], axis=1)
    count = requirements.backgrounds or int(background.max(initial=0)) + 1
    each = [np.asarray(sums(~is_signal & (background == number))) for number in range(count)]
    return np.stack(each, axis=1)
