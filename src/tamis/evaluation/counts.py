"""What a cut, a bin or a category holds of signal and of background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.evaluation.arrays import classes_of, finite_numbers, probabilities_of, same_length, weights_of
from tamis.evaluation.asimov import USUAL, Requirements, significance_error, significance_with
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
        cubes: sum of the third powers of the background's weights.
        fourths: sum of their fourth powers.
        significance_error: standard deviation of the significance from the finite simulation.
    """

    signal: float
    background: float
    background_error: float
    signal_error: float
    effective: float
    significance: float | None
    cubes: float = 0.0
    fourths: float = 0.0
    significance_error: float | None = None


def count_above(
    threshold: float,
    score: ArrayLike,
    is_signal: ArrayLike,
    weight: ArrayLike,
    requirements: Requirements = USUAL,
    *,
    units: Units | None = None,
) -> Counts:
    """Count what a cut keeps of other events than those on which it was chosen.

    Args:
        threshold: events with score >= threshold pass.
        score: [n_events].
        is_signal: [n_events].
        weight: [n_events].
        requirements: how well the background is known.
        units: number of what each event belongs to, where several events vary together, [n_events].

    >>> count_above(0.5, [0.9, 0.8, 0.1], [1, 0, 0], [2.0, 100.0, 5.0]).background
    100.0
    """
    values, signal, weights = signal_of(score, is_signal, weight)
    return count_inside(values >= threshold, signal, weights, requirements, units)


def count_inside(
    inside: NDArray[np.bool_],
    signal: NDArray[np.bool_],
    weights: Float64,
    requirements: Requirements,
    units: Units | None = None,
) -> Counts:
    """Count the events inside a cut, a bin or a category.

    Args:
        inside: which events, [n_events].
        signal: which of all events are signal, [n_events].
        weights: expected number of events that each one stands for, [n_events].
        requirements: how well the background is known.
        units: number of what each event belongs to, where several events vary together, [n_events]; events of one unit
            are all signal or all background.
    """
    of_signal, background = (
        sum_by_unit(weights[rows], units_of_rows(units, rows)) for rows in (inside & signal, inside & ~signal)
    )
    s, signal_squares = of_signal.sum(), np.square(of_signal).sum()
    powers = tuple((background**power).sum() for power in (1, 2, 3, 4))
    b, squares, cubes, fourths = powers
    value = error = None
    if b > 0:
        value = float(significance_with(s, b, squares, requirements))
        error = float(significance_error(s, signal_squares, powers, requirements))
    return Counts(
        signal=float(s),
        background=float(b),
        background_error=float(np.sqrt(squares)),
        signal_error=float(np.sqrt(signal_squares)),
        effective=float(b**2 / squares) if squares else 0.0,
        significance=value,
        cubes=float(cubes),
        fourths=float(fourths),
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
    chosen, of_signal = probabilities.argmax(axis=1), np.isin(classes, list(signal))
    count = probabilities.shape[1]
    return tuple(
        Category(
            tuple(np.bincount(classes[inside], weights[inside], count).tolist()),
            count_inside(inside, of_signal, weights, requirements, units),
        )
        for inside in (chosen == number for number in range(count))
    )
