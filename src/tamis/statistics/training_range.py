"""Test events beyond the range of the training events, and the number expected by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tamis.arrays import Float64, Mask
from tamis.statistics.arrays import positive_sum
from tamis.statistics.units import Units

_NEGLIGIBLE = 1e-14


@dataclass(frozen=True, eq=False)
class TrainTestMasks:
    """Which events are training and which are test.

    Args:
        members: for each member of the ensemble (each fold) its training events, and its test events, [n] each.
        compared: training and test events without common events, [n] each.
        alike: whether training and test events are random subsets of the same events; then they are compared.
    """

    members: tuple[tuple[Mask, Mask], ...]
    compared: tuple[Mask, Mask]
    alike: bool = True


@dataclass(frozen=True)
class Outside:
    """Test events beyond the smallest or largest value of the training events.

    Args:
        low: smallest value of the training events; with folds over all of them.
        high: largest value of the training events.
        events: number of test events outside of the range of the training events of their network.
        fraction: their share of the sum of weights of the test events with a value; None if that is not positive.
        expected: number expected by chance, if training and test events are random subsets; else None.
        p_value: probability of at least as many by chance; None without an expected number.
        extreme: the value that is furthest outside; None if none is.
        beyond: its distance from the range, in units of the range; None if no value is outside, or the range is empty.
    """

    low: float
    high: float
    events: int
    fraction: float | None
    expected: float | None
    p_value: float | None
    extreme: float | None
    beyond: float | None


def count_outside(
    values: Float64, weight: Float64, masks: TrainTestMasks, *, units: Units | None = None
) -> Outside | None:
    """Count the test events whose value is below or above all of the training events.

    If n training and t test events were chosen at random, the c lowest values are all of test events with probability
    C(t, c) / C(n + t, c), so the expected number of test events below the training is the sum of this over the values,
    c being the number of events up to a value; for different values it is t / (n + 1). The p-value is that of different
    values, P(at most one of k + 1 events is training), which is too large if many events share the outermost value;
    with folds it is the smallest one times their number.

    A unit is training or test as a whole: c is then the number of units with an event up to a value, and the p-value is
    that of the number of test units with an event outside. Missing values are NaN. The result is None if no training
    event has a value.

    >>> training = np.array([True, True, False, False])
    >>> masks = TrainTestMasks(((training, ~training),), (training, ~training))
    >>> outside = count_outside(np.array([1.0, 2.0, 1.5, 7.0]), np.ones(4), masks)
    >>> outside.events, outside.extreme, outside.beyond, round(outside.expected, 3)
    (1, 7.0, 5.0, 1.333)
    """
    finite = np.isfinite(values)
    outside = np.zeros(len(values), np.bool_)
    tested = np.zeros(len(values), np.bool_)
    ranges, expected, p_values = [], 0.0, []
    beyond = np.zeros(len(values))
    for training_mask, test_mask in masks.members:
        seen, test = training_mask & finite, test_mask & finite
        training = values[seen]
        tested |= test
        if not len(training):
            continue
        low, high = float(training.min()), float(training.max())
        ranges.append((low, high))
        rows = np.flatnonzero(test & ((values < low) | (values > high)))
        outside[rows], beyond[rows] = True, np.maximum(low - values[rows], values[rows] - high)
        n_training, n_test, n_outside = (_count_units(units, events) for events in (seen, test, rows))
        p_values.append(_at_most_one(n_training, n_test, n_outside + 1))
        of_units = None if units is None else (units[seen], units[test])
        expected += _expected_outside(training, values[test], n_test, of_units)
    if not ranges:
        return None
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    total = positive_sum(weight[tested])
    furthest = int(np.argmax(np.where(outside, beyond, -1.0))) if outside.any() else None
    width = high - low
    return Outside(
        low,
        high,
        int(np.count_nonzero(outside)),
        None if total is None else float(weight[outside].sum()) / total,
        expected if masks.alike else None,
        min(1.0, float(min(p_values)) * len(p_values)) if masks.alike else None,
        None if furthest is None else float(values[furthest]),
        None if furthest is None or not width else float(beyond[furthest]) / width,
    )


def _count_units(units: Units | None, events: Mask | NDArray[np.intp]) -> int:
    """Count the units of some events, given as a mask or as indices."""
    if units is None:
        return int(np.count_nonzero(events)) if events.dtype == np.bool_ else len(events)
    return int(np.count_nonzero(np.bincount(units[events])))


def _at_most_one(first: int, second: int, drawn: int) -> float:
    """Compute the probability that at most one of some units, drawn without replacement, is of the first kind."""
    nothing, single, all_ways = (
        special.gammaln(number + 1) - special.gammaln(chosen + 1) - special.gammaln(number - chosen + 1)
        for number, chosen in ((second, drawn), (second, drawn - 1), (first + second, drawn))
    )
    ways = (np.exp(nothing - all_ways) if drawn <= second else 0.0) + (
        first * np.exp(single - all_ways) if drawn <= second + 1 else 0.0
    )
    return min(float(ways), 1.0)


def _expected_outside(
    training: Float64, test: Float64, n_test: int, units: tuple[Units, Units] | None
) -> float:
    """Compute the expected number of test events outside of the training events if the two are exchanged.

    `n_test` is the number of test units; `units` are those of training and test events.
    """
    if not len(test):
        return 0.0
    everything = np.concatenate([training, test])
    expected = 0.0
    for side in (everything, -everything):
        lowest = side
        if units is not None:
            of_event = np.append(2 * units[0], 2 * units[1] + 1)
            lowest = np.full(int(of_event.max()) + 1, np.inf)
            np.minimum.at(lowest, of_event, side)
            lowest = lowest[np.isfinite(lowest)]
        expected += _expected_below(side, lowest, n_test)
    return expected


def _expected_below(values: Float64, lowest: Float64, n_test: int) -> float:
    """Return the expected number of test events below all training events; `lowest` is that of each unit."""
    # the probability falls at least as fast as the powers of the share of test units
    reach = min(int(np.log(_NEGLIGIBLE) / np.log(n_test / len(lowest))) + 1, len(lowest))
    smallest = np.partition(lowest, reach - 1)[:reach]
    ties = np.count_nonzero(lowest == smallest.max()) - np.count_nonzero(smallest == smallest.max())
    distinct, n_units = np.unique(smallest, return_counts=True)
    n_units[-1] += ties
    up_to, events = np.cumsum(n_units), len(lowest)
    counts = n_units
    if values is not lowest:
        inside = values[values <= distinct[-1]]
        counts = np.bincount(np.searchsorted(distinct, inside, side="right") - 1, minlength=len(distinct))
    counts, up_to = (numbers[up_to <= n_test] for numbers in (counts, up_to))
    logarithm = (
        special.gammaln(n_test + 1)
        - special.gammaln(n_test - up_to + 1)
        - special.gammaln(events + 1)
        + special.gammaln(events - up_to + 1)
    )
    return float(counts @ np.exp(logarithm))
