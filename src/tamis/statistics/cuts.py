"""Yields, efficiencies and significance behind every cut on a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.arrays import Float64
from tamis.records import FloatArray
from tamis.statistics.arrays import (
    check_probabilities,
    check_scored,
    compute_signal_score,
    positive_sum,
    replace_undefined,
)
from tamis.statistics.asimov import (
    LEAST_EFFECTIVE,
    USUAL,
    Requirements,
    compute_asimov_significance,
    compute_cut_significances,
    compute_significance_error,
    has_enough_background,
    sum_by_background,
)
from tamis.statistics.counts import check_signal
from tamis.statistics.roc import compute_efficiency_limit
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.units import Units, compute_power_increments, select_units

CANDIDATES = 200
"""Maximum number of cuts on a score that are tried."""
_TABLE_STEPS = 100


@dataclass(frozen=True, eq=False)
class Scan:
    """Yields and significance behind cuts on a score, for as many cuts as a figure can show, [cuts] each.

    Events with score >= threshold pass. The thresholds fall, the yields are expected events, and errors are standard
    deviations from the finite simulation. The significance is NaN without enough background; `without_uncertainty` is
    that of an exactly known background.
    """

    thresholds: FloatArray
    signal: FloatArray
    background: FloatArray
    signal_error: FloatArray
    background_error: FloatArray
    significance: FloatArray
    significance_error: FloatArray
    without_uncertainty: FloatArray

    @property
    def best(self) -> float | None:
        """Threshold with the largest significance; None if no cut leaves enough background."""
        if not np.isfinite(self.significance).any():
            return None
        return float(self.thresholds[np.nanargmax(self.significance)])


def scan_cuts(
    score: ArrayLike,
    is_signal: ArrayLike,
    weight: ArrayLike,
    requirements: Requirements = USUAL,
    *,
    units: Units | None = None,
    background: NDArray[np.integer] | None = None,
) -> Scan:
    """Compute yields and significance behind cuts on a score, spread evenly over signal and over background.

    The events of a unit are all signal, or all of one background.
    """
    values, signal, weights = check_signal(score, is_signal, weight)
    edges = choose_candidate_cuts(values, signal)
    s, signal_squares = _powers_above(edges, signal, values, weights, units, (1, 2))

    def sum_powers(rows: NDArray[np.bool_]) -> Float64:
        return _powers_above(edges, rows, values, weights, units, (1, 2, 3, 4))

    powers = sum_by_background(sum_powers, signal, background, requirements)
    b, squares = powers[:2].sum(axis=1)
    enough = has_enough_background(b, squares, requirements)
    significances = np.full((3, len(edges)), np.nan)
    significances[0] = compute_cut_significances(s, powers[0], squares, requirements)
    significances[1, enough] = compute_significance_error(
        s[enough], signal_squares[enough], powers[:, :, enough], requirements
    )
    significances[2, enough] = compute_asimov_significance(s[enough], b[enough])
    return Scan(
        edges, s, b, np.sqrt(np.maximum(signal_squares, 0)), np.sqrt(np.maximum(squares, 0)), *significances
    )


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
    return sum_above(
        edges, score, compute_power_increments(score, weights[rows], select_units(units, rows), powers)
    )


def choose_candidate_cuts(values: Float64, signal: NDArray[np.bool_]) -> Float64:
    """Return `CANDIDATES` thresholds at most, falling: quantiles of signal and of background."""
    if not len(values):
        return np.zeros(0)
    at = np.linspace(0, 1, CANDIDATES // 2)
    samples = [values[rows] for rows in (signal, ~signal) if rows.any()]
    quantiles = np.concatenate([np.quantile(sample, at, method="inverted_cdf") for sample in samples])
    return np.unique(quantiles)[::-1]


def sum_above(edges: Float64, values: Float64, numbers: Sequence[Float64]) -> Float64:
    """Sum numbers of the events, [numbers][n_events], at or above each edge, [numbers, edges].

    The sums are exactly zero above the last event.

    >>> sum_above(np.array([0.5, 0.9]), np.array([0.2, 0.7]), [np.ones(2)]).tolist()
    [[1.0, 0.0]]
    """
    order = np.argsort(values)[::-1]  # equal values are above the same edges
    above = np.searchsorted(-values.take(order), -edges, side="right")
    summed = [
        np.concatenate([[0.0], np.cumsum(values_of_events.take(order))]).take(above)
        for values_of_events in numbers
    ]
    return np.stack(summed)


def best_significance(
    scores: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    signal: Sequence[int],
    *,
    units: Units | None = None,
) -> float:
    """Find the largest Asimov significance, without background uncertainty, after a cut on the signal score.

    Every cut is tried; `scan_cuts` tries fewer, with an uncertainty. It is 0 if no cut leaves enough background.

    >>> scores = np.repeat([[0.2, 0.8], [0.9, 0.1]], 100, axis=0)
    >>> class_index = np.r_[np.ones(50, int), np.zeros(150, int)]
    >>> round(best_significance(scores, class_index, np.ones(200), [1]), 3)
    6.215
    """
    probabilities, classes, weights = check_scored(scores, class_index, weight)
    of_signal = np.isin(classes, list(signal))
    score = compute_signal_score(probabilities, signal)
    order = np.argsort(-score)
    # a cut can only be between different scores
    last_of_equals = np.flatnonzero(np.diff(score[order], append=-np.inf) != 0)
    s = np.cumsum(np.where(of_signal, weights, 0)[order])[last_of_equals]
    background = np.where(of_signal, 0, weights)
    b, squares = (
        np.cumsum(numbers[order])[last_of_equals]
        for numbers in compute_power_increments(score, background, units, (1, 2))
    )
    usable = (b > 0) & (s > 0) & (b**2 >= LEAST_EFFECTIVE * squares)
    if not usable.any():
        return 0.0
    s, b = s[usable], b[usable]
    return float(compute_asimov_significance(s, b).max())


@dataclass(frozen=True, eq=False)
class CutTable:
    """Events behind each of many cuts on the summed score of some classes.

    Args:
        signal: indices of the classes whose scores are added.
        thresholds: rising from 0; events with score >= threshold pass, [cuts].
        passed: expected events of each true class, [n_classes, cuts].
        background_error: of all other classes together, from the finite simulation, [cuts].
        significance: Asimov significance; NaN without enough background, [cuts].
        background_limit: upper limit with 95% confidence on the expected background if no simulated background event
            passes; None if it is not known (`compute_efficiency_limit`).
    """

    signal: tuple[int, ...]
    thresholds: FloatArray
    passed: FloatArray
    background_error: FloatArray
    significance: FloatArray
    background_limit: float | None

    @property
    def efficiency(self) -> Float64:
        """Fraction of each class that passes, [n_classes, cuts]."""
        fractions: Float64 = self.passed / self.passed[:, :1]
        return fractions

    @property
    def signal_events(self) -> Float64:
        """Expected signal events, [cuts]."""
        return np.asarray(self.passed[list(self.signal)].sum(axis=0), np.float64)

    @property
    def background_events(self) -> Float64:
        """Expected events of all other classes, [cuts]."""
        return np.asarray(np.delete(self.passed, list(self.signal), axis=0).sum(axis=0), np.float64)

    @property
    def signal_efficiency(self) -> Float64:
        """Fraction of the signal that passes, [cuts]."""
        fractions: Float64 = self.signal_events / self.signal_events[0]
        return fractions

    @property
    def rejection(self) -> Float64:
        """Background rejection, 1 / efficiency; NaN if no background passes, [cuts]."""
        return _ratio(self.background_events[0], self.background_events)

    @property
    def purity(self) -> Float64:
        """Fraction of signal in the passing events; NaN if no event passes, [cuts]."""
        return _ratio(self.signal_events, self.signal_events + self.background_events)

    @property
    def rejection_limit(self) -> float | None:
        """The corresponding lower limit of the background rejection."""
        return (
            None
            if self.background_limit is None
            else float(self.background_events[0] / self.background_limit)
        )

    @property
    def purity_limit(self) -> Float64:
        """Lower limit of the purity; NaN if simulated background or no signal passes, [cuts]."""
        if self.background_limit is None:
            return np.full(len(self.thresholds), np.nan)
        is_limited = (self.background_error == 0) & (self.signal_events > 0)
        return np.where(
            is_limited, _ratio(self.signal_events, self.signal_events + self.background_limit), np.nan
        )

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return a dictionary for `metrics.json`."""
        return {
            "score_of": [class_names[index] for index in self.signal],
            "thresholds": self.thresholds.tolist(),
            "yields": dict(zip(class_names, self.passed.tolist(), strict=True)),
            "efficiency": dict(zip(class_names, self.efficiency.tolist(), strict=True)),
            "signal": self.signal_events.tolist(),
            "background": self.background_events.tolist(),
            "background_error": self.background_error.tolist(),
            "signal_efficiency": self.signal_efficiency.tolist(),
            "rejection": replace_undefined(self.rejection),
            "purity": replace_undefined(self.purity),
            "significance": replace_undefined(self.significance),
            "background_limit": self.background_limit,
            "rejection_limit": self.rejection_limit,
            "purity_limit": replace_undefined(self.purity_limit),
        }


def tabulate_cuts(
    events: ScoredEvents,
    signal: Sequence[int],
    requirements: Requirements,
    *,
    also: Sequence[float] = (),
) -> CutTable | None:
    """Count the events behind each cut on the summed score of the signal classes; all others are background.

    The cuts are at every hundredth of the score and of the signal efficiency, and at the thresholds in `also`. The
    result is None if a class has no positive sum of weights.

    >>> scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    >>> events = ScoredEvents(scores, np.array([0, 0, 1]), np.ones(3), np.ones(3))
    >>> table = tabulate_cuts(events, [1], Requirements(), also=[0.7])
    >>> table.passed[:, table.thresholds == 0.7].ravel().tolist()
    [0.0, 1.0]
    """
    probabilities = check_probabilities(events.scores)
    classes, weights = events.class_index, events.weight
    count = probabilities.shape[1]
    if any(positive_sum(weights[classes == index]) is None for index in range(count)):
        return None
    score = compute_signal_score(probabilities, signal)
    of_signal = np.isin(classes, list(signal))
    at = np.linspace(0, 1, _TABLE_STEPS + 1)
    quantiles = np.quantile(score[of_signal], at, method="inverted_cdf")
    thresholds = np.unique(np.concatenate([at[:-1], quantiles, np.asarray(also, np.float64)]))
    (squares,) = compute_power_increments(score, np.where(of_signal, 0, weights), events.units)
    *by_class, squares = sum_above(
        thresholds, score, [*(np.where(classes == index, weights, 0) for index in range(count)), squares]
    )
    passed = np.stack(by_class)
    signal_events = passed[list(signal)].sum(axis=0)
    backgrounds = np.delete(passed, list(signal), axis=0)
    significance = compute_cut_significances(signal_events, backgrounds, squares, requirements)
    limit = compute_efficiency_limit(
        classes[~of_signal], weights[~of_signal], units=select_units(events.units, ~of_signal)
    )
    return CutTable(
        tuple(signal),
        thresholds,
        passed,
        np.sqrt(np.maximum(squares, 0)),
        significance,
        None if limit is None else limit * float(backgrounds[:, 0].sum()),
    )


def _ratio(numerator: Float64, denominator: Float64) -> Float64:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Float64 = np.where(denominator > 0, numerator / denominator, np.nan)
    return ratio
