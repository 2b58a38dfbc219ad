"""What a cut, a bin or a category holds of signal and of background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.evaluation.arrays import classes_of, finite_numbers, probabilities_of, same_length, weights_of
from tamis.evaluation.asimov import (
    USUAL,
    Requirements,
    number_backgrounds,
    significance_error,
    significance_with,
    sums_of_backgrounds,
)
from tamis.evaluation.units import Units, sum_by_unit, units_of_rows

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """Expected events behind a cut or in a bin.

    Where several events vary together, powers are those of the sums of their weights.

    Args:
        signal: sum of the signal's weights.
        background: sum of the background's weights.
        background_error: its standard deviation from the finite simulation, the root of the sum of squared weights.
        signal_error: the same for the signal.
        effective: effective number of simulated background events.
        significance: Asimov significance with both uncertainties of the background; None where there is none.
        by_background: sums of the first four powers of the weights of each background, [backgrounds][4]; empty for a
            single background whose third and fourth powers are not known.
        significance_error: standard deviation of the significance from the finite simulation.
    """

    signal: float
    background: float
    background_error: float
    signal_error: float
    effective: float
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
    """Count what a cut keeps of other events than those on which it was chosen.

    Args:
        threshold: events with score >= threshold pass.
        score: [n_events].
        is_signal: [n_events].
        weight: [n_events].
        requirements: how well the background is known.
        units: number of what each event belongs to, where several events vary together, [n_events].
        background: number of the background that each event belongs to, from 0, [n_events]; by default all to one.

    >>> count_above(0.5, [0.9, 0.8, 0.1], [1, 0, 0], [2.0, 100.0, 5.0]).background
    100.0
    """
    values, signal, weights = signal_of(score, is_signal, weight)
    return count_inside(values >= threshold, signal, weights, requirements, units, background)


def count_inside(
    inside: NDArray[np.bool_],
    signal: NDArray[np.bool_],
    weights: Float64,
    requirements: Requirements,
    units: Units | None = None,
    background: NDArray[np.integer] | None = None,
) -> Counts:
    """Count the events inside a cut, a bin or a category.

    Args:
        inside: which events, [n_events].
        signal: which of all events are signal, [n_events].
        weights: expected number of events that each one stands for, [n_events].
        requirements: how well the background is known.
        units: number of what each event belongs to, where several events vary together, [n_events]; events of one unit
            are all signal or all of one background.
        background: number of the background that each event belongs to, from 0, [n_events]; by default all to one.
    """
    of_signal = sum_by_unit(weights[inside & signal], units_of_rows(units, inside & signal))
    s, signal_squares = of_signal.sum(), np.square(of_signal).sum()

    def sum_powers(rows: NDArray[np.bool_]) -> list[Float64]:
        of_unit = sum_by_unit(weights[inside & rows], units_of_rows(units, inside & rows))
        return [(of_unit**power).sum() for power in (1, 2, 3, 4)]

    powers = sums_of_backgrounds(sum_powers, signal, background, requirements)
    b, squares = powers[:2].sum(axis=1)
    value = error = None
    if b > 0:
        columns = powers[:, :, None]
        value = float(significance_with(s[None], columns[0], squares[None], requirements)[0])
        error = float(significance_error(s[None], signal_squares[None], columns, requirements)[0])
    return Counts(
        signal=float(s),
        background=float(b),
        background_error=float(np.sqrt(squares)),
        signal_error=float(np.sqrt(signal_squares)),
        effective=float(b**2 / squares) if squares else 0.0,
        significance=value,
        by_background=tuple(map(tuple, powers.T.tolist())),
        significance_error=error,
    )


def signal_of(
    score: ArrayLike, is_signal: ArrayLike, weight: ArrayLike
) -> tuple[Float64, NDArray[np.bool_], Float64]:
    """Check a score, which events are signal, and their weights, and give them as arrays.

    Raises:
        TamisError: they do not fit together, or a number is not finite.
    """
    values = finite_numbers(score, "score")
    signal = np.asarray(is_signal).astype(np.bool_)
    same_length(signal, len(values), "is_signal")
    return values, signal, weights_of(weight, len(values))


@dataclass(frozen=True)
class Category:
    """Events whose highest score is that of one class.

    Args:
        yields: expected events of each true class, [n_classes].
        counts: signal against background in it.
    """

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
    """Put each event into the category of its highest score.

    Args:
        scores: [n_events, n_classes].
        class_index: the true class, [n_events].
        weight: expected number of events that this one stands for, [n_events].
        signal: indices of the classes that are signal.
        requirements: how well the background is known.
        units: number of what each event belongs to, where several events vary together, [n_events].
    """
    probabilities = probabilities_of(scores)
    weights = weights_of(weight, len(probabilities))
    classes = classes_of(class_index, *probabilities.shape)
    background = number_backgrounds(classes, signal, probabilities.shape[1])
    chosen, of_signal = probabilities.argmax(axis=1), np.isin(classes, list(signal))
    count = probabilities.shape[1]
    return tuple(
        Category(
            tuple(np.bincount(classes[inside], weights[inside], count).tolist()),
            count_inside(inside, of_signal, weights, requirements, units, background),
        )
        for inside in (chosen == number for number in range(count))
    )
