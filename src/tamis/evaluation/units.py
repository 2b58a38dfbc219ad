"""Units of events that vary together: sums over them, of which the errors of a finite sample follow.

The events of a unit (one event that was simulated once and is used several times) are drawn together or not at all.
Every variance is therefore a sum over units of what the events of a unit contribute together, squared. An event that
stands for itself is a unit of its own: without units all functions return what they were given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Units = NDArray[np.intp]
"""Number of the unit of each event, from 0, with gaps where other events have the numbers between, [n_events]."""


def units_of_rows(units: Units | None, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Units | None:
    """Return the units of some of the events, None where every event stands for itself.

    Args:
        units: of all events, [n_events].
        rows: which events, as a mask or as indices.
    """
    return None if units is None else units[rows]


def sum_by_unit(values: Float64, units: Units | None) -> Float64:
    """Sum numbers of the events of each unit.

    Args:
        values: [n_events] or [n_events, numbers].
        units: number of the unit of each event, [n_events]; None where every event stands for itself.

    Returns:
        The sums by number of the unit, zero for a number that no event has, [n_units] or [n_units, numbers]; the values
        themselves without units.

    >>> sum_by_unit(np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1])).tolist()
    [2.0, 5.0]
    """
    if units is None:
        return values
    if values.ndim == 1:
        return _sums(units, values)
    return np.stack([_sums(units, column) for column in values.T], axis=1)


def _sums(units: Units, values: Float64) -> Float64:
    return np.asarray(np.bincount(units, values), np.float64)


def squared_sum(values: Float64, units: Units | None) -> float:
    """Sum the squares of what the events of each unit have together.

    Args:
        values: [n_events].
        units: number of the unit of each event, [n_events]; None where every event stands for itself.

    >>> squared_sum(np.array([3.0, 4.0]), None), squared_sum(np.array([3.0, 4.0]), np.array([0, 0]))
    (25.0, 49.0)
    """
    return float(np.square(sum_by_unit(values, units)).sum())


def share_with_unit(values: Float64, units: Units | None) -> Float64:
    """Return for each event the sum of the values of its unit, [n_events]; the values themselves without units.

    Args:
        values: [n_events].
        units: number of the unit of each event, [n_events]; None where every event stands for itself.

    >>> share_with_unit(np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1])).tolist()
    [5.0, 2.0, 5.0]
    """
    return values if units is None else _sums(units, values)[units]


def merge_in_cells(
    cell: NDArray[np.integer], values: Float64, units: Units | None
) -> tuple[NDArray[np.integer], Float64]:
    """Replace the events of one unit in one cell by a single one with the sum of their values.

    Args:
        cell: number of the cell (bin, class, or both) of each event, [n_events].
        values: [n_events].
        units: number of the unit of each event, [n_events]; None where every event stands for itself.

    Returns:
        Cell and sum of each unit in each cell, [merged] each, by rising cell; what was given without units.

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


def raised_powers(
    score: Float64, weight: Float64, units: Units | None, powers: Sequence[int] = (2,)
) -> list[Float64]:
    """Compute by how much each event raises sums over units of powers of their weights, as the events join.

    The events join by falling score. What those at or above a threshold have raised is the sum over the units of the
    power of the sum of the weights that a unit has there. So a cumulative sum serves all thresholds, as it does for
    events that stand for themselves, of which each raises the sum by the power of its weight.

    Args:
        score: [n_events].
        weight: signed weight, [n_events].
        units: number of the unit of each event, [n_events]; None where every event stands for itself.
        powers: exponents.

    Returns:
        One array [n_events] for each exponent.

    >>> raised_powers(np.array([0.9, 0.5, 0.7]), np.ones(3), np.array([0, 0, 1]))[0].tolist()
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
    # sums within units by doubling steps: a difference of cumulative sums would mix the rounding of all units
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
