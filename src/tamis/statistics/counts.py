"""Signal and background yields after a cut, in a bin or in a category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.arrays import Float64
from tamis.statistics.arrays import check_finite_numbers, check_length, check_scored, check_weights
from tamis.statistics.asimov import (
    USUAL,
    Requirements,
    compute_bin_significances,
    compute_significance_error,
    number_backgrounds,
    sum_by_background,
)
from tamis.statistics.units import Units, select_units, sum_by_unit


@dataclass(frozen=True)
class Counts:
    """Expected events after a cut or in a bin; all powers are those of the sums of the weights of each unit.

    Args:
        signal: sum of the weights of the signal.
        background: sum of the weights of the background.
        background_error: its standard deviation from the finite simulation, the root of the sum of squared weights.
        signal_error: the same for the signal.
        effective_sample_size: of the simulated background.
        significance: Asimov significance with both uncertainties of the background; None without background.
        by_background: sums of the first four powers of the weights of each background, [backgrounds][4]; empty for a
            single background whose third and fourth powers are unknown.
        significance_error: standard deviation of the significance from the finite simulation.
    """

    signal: float
    background: float
    background_error: float
    signal_error: float
    effective_sample_size: float
    significance: float | None
    by_background: tuple[tuple[float, ...], ...] = ()
    significance_error: float | None = None

    @property
    def powers(self) -> Float64:
        """Sums of the first four powers of the weights of each background, [4, backgrounds]."""
        single = ((self.background, self.background_error**2, 0.0, 0.0),)
        return np.array(self.by_background or single).T


def count_above(
    threshold: float,
    score: ArrayLike,
    is_signal: ArrayLike,
    weight: ArrayLike,
    requirements: Requirements = USUAL,
    *,
    units: Units | None = None,
    background: NDArray[np.integer] | None = None,
) -> Counts:
    """Count the events after a cut (score >= threshold) that was optimised on other events.

    >>> count_above(0.5, [0.9, 0.8, 0.1], [1, 0, 0], [2.0, 100.0, 5.0]).background
    100.0
    """
    values, signal, weights = check_signal(score, is_signal, weight)
    return count_inside(values >= threshold, signal, weights, requirements, units, background)


def count_inside(
    inside: NDArray[np.bool_],
    signal: NDArray[np.bool_],
    weights: Float64,
    requirements: Requirements,
    units: Units | None = None,
    background: NDArray[np.integer] | None = None,
) -> Counts:
    """Count the events inside a cut, a bin or a category (a mask, [n_events]).

    The events of a unit are all signal, or all of one background.
    """
    of_signal = sum_by_unit(weights[inside & signal], select_units(units, inside & signal))
    s, signal_squares = of_signal.sum(), np.square(of_signal).sum()

    def sum_powers(rows: NDArray[np.bool_]) -> list[Float64]:
        of_unit = sum_by_unit(weights[inside & rows], select_units(units, inside & rows))
        return [(of_unit**power).sum() for power in (1, 2, 3, 4)]

    powers = sum_by_background(sum_powers, signal, background, requirements)
    b, squares = powers[:2].sum(axis=1)
    value = error = None
    if b > 0:
        columns = powers[:, :, None]
        value = float(compute_bin_significances(s[None], columns[0], squares[None], requirements)[0][0])
        error = float(compute_significance_error(s[None], signal_squares[None], columns, requirements)[0])
    return Counts(
        signal=float(s),
        background=float(b),
        background_error=float(np.sqrt(squares)),
        signal_error=float(np.sqrt(signal_squares)),
        effective_sample_size=float(b**2 / squares) if squares else 0.0,
        significance=value,
        by_background=tuple(map(tuple, powers.T.tolist())),
        significance_error=error,
    )


def check_signal(
    score: ArrayLike, is_signal: ArrayLike, weight: ArrayLike
) -> tuple[Float64, NDArray[np.bool_], Float64]:
    """Check a score, which events are signal, and their weights, and return them as arrays."""
    values = check_finite_numbers(score, "score")
    signal = np.asarray(is_signal).astype(np.bool_)
    check_length(signal, len(values), "is_signal")
    return values, signal, check_weights(weight, len(values))


@dataclass(frozen=True)
class Category:
    """Events whose highest score is that of one class: yields of each true class, [n_classes], and counts."""

    yields: tuple[float, ...]
    counts: Counts


def fill_categories(
    scores: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    signal: Sequence[int],
    requirements: Requirements = USUAL,
    *,
    units: Units | None = None,
) -> tuple[Category, ...]:
    """Sort the events into categories by their highest score, and count them."""
    probabilities, classes, weights = check_scored(scores, class_index, weight)
    count = probabilities.shape[1]
    background = number_backgrounds(classes, signal, count)
    chosen, of_signal = probabilities.argmax(axis=1), np.isin(classes, list(signal))
    return tuple(
        Category(
            tuple(np.bincount(classes[inside], weights[inside], count).tolist()),
            count_inside(inside, of_signal, weights, requirements, units, background),
        )
        for inside in (chosen == number for number in range(count))
    )
