"""Units: groups of events that vary together, and the sums over them that the errors of a finite sample need.

The events of a unit (one event that was simulated once and is used several times) are drawn together or not at all.
Every variance is therefore the sum over units of the squared sum of the influences of their events. Without units
(None) all events are independent, and all functions return their input.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float64

Units = NDArray[np.intp]
"""Number of the unit of each event, from 0, [n_events]; some numbers may be missing in a subset of the events."""


def select_units(units: Units | None, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Units | None:
    """Return the units of some of the events, given as a mask or as indices."""
    return None if units is None else units[rows]


def sum_by_unit(values: Float64, units: Units | None) -> Float64:
    """Sum numbers, [n_events] or [n_events, numbers], of the events of each unit, [n_units] or [n_units, numbers].

    The sum is zero for a number of a unit that no event has.

    >>> sum_by_unit(np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1])).tolist()
    [2.0, 5.0]
    """
    if units is None:
        return values
    if values.ndim == 1:
        return np.asarray(np.bincount(units, values), np.float64)
    return np.stack([np.bincount(units, column) for column in values.T], axis=1)


def compute_squared_sum(values: Float64, units: Units | None) -> float:
    """Sum the squares of the sums of each unit.

    >>> compute_squared_sum(np.array([3.0, 4.0]), None), compute_squared_sum(np.array([3.0, 4.0]), np.array([0, 0]))
    (25.0, 49.0)
    """
    return float(np.square(sum_by_unit(values, units)).sum())


def compute_unit_sums(values: Float64, units: Units | None) -> Float64:
    """Return for each event the sum of the values of its unit, [n_events].

    >>> compute_unit_sums(np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1])).tolist()
    [5.0, 2.0, 5.0]
    """
    return values if units is None else sum_by_unit(values, units)[units]


def merge_in_cells(
    cell: NDArray[np.integer], values: Float64, units: Units | None
) -> tuple[NDArray[np.integer], Float64]:
    """Replace the events of one unit in one cell (bin, class, or both) by a single one with the sum of their values.

    The results, by rising cell, are [merged] each.

    >>> merge_in_cells(np.array([0, 1, 1]), np.array([1.0, 2.0, 4.0]), np.array([0, 0, 0]))
    (array([0, 1]), array([1., 6.]))
    """
    if units is None:
        return cell, values
    order = np.lexsort((units, cell))
    cells, numbers = cell[order], units[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (cells[1:] != cells[:-1]) | (numbers[1:] != numbers[:-1])
    first = np.flatnonzero(begins)
    return cells[first], np.add.reduceat(values[order], first)


def compute_power_increments(
    score: Float64, weight: Float64, units: Units | None, powers: Sequence[int] = (2,)
) -> list[Float64]:
    """Compute how much each event increases sums over units of powers of their weights, as the events join.

    The events join by falling score. The increments of the events at or above a threshold add up to the sum over the
    units of the power of the sum of the weights that a unit has there. So a cumulative sum serves all thresholds, as
    for independent events, whose increments are the powers of their weights. There is one array, [n_events], for each
    power.

    >>> compute_power_increments(np.array([0.9, 0.5, 0.7]), np.ones(3), np.array([0, 0, 1]))[0].tolist()
    [1.0, 3.0, 1.0]
    """
    if units is None:
        return [weight**power for power in powers]
    order = np.lexsort((-score, units))
    members, numbers = weight[order], units[order]
    begins = np.flatnonzero(np.diff(numbers, prepend=-1))
    rank = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    after = members.copy()
    step = 1
    # sums within units by doubling steps: differences of cumulative sums would have the rounding errors of all units
    while step <= rank.max(initial=0):
        after[step:] += np.where(rank[step:] >= step, after[:-step], 0.0)
        step *= 2
    before = np.zeros_like(after)
    before[1:] = np.where(rank[1:] > 0, after[:-1], 0.0)
    raised = []
    for power in powers:
        of_event = np.empty_like(after)
        of_event[order] = after**power - before**power
        raised.append(of_event)
    return raised
