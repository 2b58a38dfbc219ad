"""Yields and significance behind every cut on a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.evaluation.arrays import none_where_undefined
from tamis.evaluation.asimov import (
    USUAL,
    Requirements,
    asimov_significance,
    is_enough,
    significance_behind_cuts,
    significance_error,
    sums_of_backgrounds,
)
from tamis.evaluation.counts import signal_of
from tamis.evaluation.units import Units, raised_powers, units_of_rows

Float64 = NDArray[np.float64]
CANDIDATES = 200
"""How many cuts on a score are tried."""


@dataclass(frozen=True)
class Scan:
    """Every cut on a score, or as many of them as a figure can show.

    Args:
        thresholds: events with score >= threshold pass, falling, [cuts].
        signal: expected signal events, [cuts].
        background: expected background events, [cuts].
        signal_error: its standard deviation from the finite simulation, [cuts].
        background_error: the same of the background, [cuts].
        significance: NaN where there is not enough background, [cuts].
        significance_error: its standard deviation from the finite simulation of signal and background, to first order,
            [cuts].
        without_uncertainty: the significance if the background were known exactly, [cuts].
    """

    thresholds: Float64
    signal: Float64
    background: Float64
    signal_error: Float64
    background_error: Float64
    significance: Float64
    significance_error: Float64
    without_uncertainty: Float64

    @property
    def best(self) -> float | None:
        """The threshold with the largest significance; None where no cut leaves enough background."""
        if not np.isfinite(self.significance).any():
            return None
        return float(self.thresholds[np.nanargmax(self.significance)])

    def to_dict(self) -> dict[str, list[float | None]]:
        """Give every cut as `metrics.json` holds it."""
        return {name: none_where_undefined(values) for name, values in vars(self).items()}


def scan_cuts(
    score: ArrayLike,
    is_signal: ArrayLike,
    weight: ArrayLike,
    requirements: Requirements = USUAL,
    *,
    cuts: int = CANDIDATES,
    units: Units | None = None,
    background: NDArray[np.integer] | None = None,
) -> Scan:
    """Follow yields and significance through the cuts on a score.

    Args:
        score: higher means more like signal, [n_events].
        is_signal: whether the event is signal, [n_events].
        weight: expected number of events that this one stands for, [n_events].
        requirements: what a cut has to keep.
        cuts: number of cuts at most, spread evenly over the events that count as signal.
        units: number of what each event belongs to, where several events vary together, [n_events]; events of one unit
            are all signal or all of one background.
        background: number of the background that each event belongs to, from 0, [n_events]; by default all to one.

    Raises:
        TamisError: the arrays do not fit together.
    """
    values, signal, weights = signal_of(score, is_signal, weight)
    edges = candidate_cuts(values, signal, cuts)
    s, signal_squares = _powers_above(edges, signal, values, weights, units, (1, 2))

    def sum_powers(rows: NDArray[np.bool_]) -> Float64:
        return _powers_above(edges, rows, values, weights, units, (1, 2, 3, 4))

    powers = sums_of_backgrounds(sum_powers, signal, background, requirements)
    b, squares = powers[:2].sum(axis=1)
    enough = is_enough(b, squares, requirements)
    found = np.full((3, len(edges)), np.nan)
    found[0] = significance_behind_cuts(s, powers[0], squares, requirements)
    found[1, enough] = significance_error(
        s[enough], signal_squares[enough], powers[:, :, enough], requirements
    )
    found[2, enough] = asimov_significance(s[enough], b[enough])
    return Scan(edges, s, b, np.sqrt(np.maximum(signal_squares, 0)), np.sqrt(np.maximum(squares, 0)), *found)


def _powers_above(
    edges: Float64,
    rows: NDArray[np.bool_],
    values: Float64,
    weights: Float64,
    units: Units | None,
    powers: Sequence[int],
) -> Float64:
    """Sum powers of the weights of some events (of their units) at or above each edge, [powers, edges]."""
    score = values[rows]
    return sums_above(edges, score, raised_powers(score, weights[rows], units_of_rows(units, rows), powers))


def candidate_cuts(values: Float64, signal: NDArray[np.bool_], number: int) -> Float64:
    """Give thresholds, falling: quantiles of signal and of background."""
    if not len(values):
        return np.zeros(0)
    at = np.linspace(0, 1, max(number // 2, 2))
    parts = [values[rows] for rows in (signal, ~signal) if rows.any()]
    found = np.concatenate([np.quantile(part, at, method="inverted_cdf") for part in parts])
    return np.unique(found)[::-1]


def sums_above(edges: Float64, values: Float64, numbers: Sequence[Float64]) -> Float64:
    """Sum numbers of the events at or above each edge; exactly zero above the last event.

    Args:
        edges: of the values, [edges].
        values: of the events, [n_events].
        numbers: what is summed, [numbers][n_events].

    Returns:
        The sums, [numbers, edges].

    >>> sums_above(np.array([0.5, 0.9]), np.array([0.2, 0.7]), [np.ones(2)]).tolist()
    [[1.0, 0.0]]
    """
    order = np.argsort(values)[::-1]  # equal values are above the same edges
    above = np.searchsorted(-values.take(order), -edges, side="right")
    summed = [np.concatenate([[0.0], np.cumsum(each.take(order))]).take(above) for each in numbers]
    return np.stack(summed)
