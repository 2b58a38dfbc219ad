"""The result of the study of performance, and its computation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tamis.arrays import Float64
from tamis.statistics.arrays import compute_effective_sample_size
from tamis.statistics.efficiency_interval import compute_efficiency_interval, cumulate_weights
from tamis.statistics.intervals import has_area_interval
from tamis.statistics.roc import RocCurve, WorkingPoint, compute_efficiency_limit, compute_working_points
from tamis.statistics.roc_outline import RocOutline, outline_roc
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.split_metrics import Intervals, SplitMetrics, compute_bootstrap_intervals
from tamis.statistics.units import Units, select_units
from tamis.studies.bayes_optimum.result import BayesOptimumResult, compute_bayes_optimum
from tamis.studies.context import Context
from tamis.studies.shared import MEASURE_SPLIT, compute_test_curves, compute_test_metrics


@dataclass(frozen=True)
class PerformanceResult:
    """How well the classifier separates the classes in training, validation and test events.

    Args:
        class_names: in the order of the scores.
        signal: indices of the classes that are signal.
        splits: numbers of `training`, `validation` and `test`.
        intervals: of the numbers of each split with `physics` and `balanced` weights: from bootstrap samples for test
            events of which a class has few, to first order for the others.
        working_points: cuts on the score of each class at the configured signal efficiencies; None if its ROC curve
            is undefined.
        curves: ROC curve of each class against all others on the test events; None if it is undefined.
        best_curves: ROC curves of the Bayes optimum or of reference discriminants; None if there is none.
        best_curves_are: their name in figures.
        cross_trained: whether every event is a test event.
    """

    class_names: tuple[str, ...]
    signal: tuple[int, ...]
    splits: Mapping[str, SplitMetrics]
    intervals: Mapping[str, Mapping[str, Intervals]]
    working_points: tuple[tuple[WorkingPoint, ...] | None, ...]
    curves: tuple[RocOutline | None, ...]
    best_curves: tuple[RocOutline | None, ...]
    best_curves_are: str
    cross_trained: bool

    def to_metrics(self) -> dict[str, Any]:
        """Return the values of the keys of `metrics.json`."""
        numbers = {
            split: {
                **vars(metrics.physics),
                "intervals": self.intervals[split]["physics"],
                "balanced": {**vars(metrics.balanced), "intervals": self.intervals[split]["balanced"]},
                "unweighted": metrics.unweighted,
            }
            for split, metrics in self.splits.items()
        }
        return {**numbers, "working_points": self.working_points}


FEWEST_PASSING = 1.0
"""Effective background events that have to pass a cut for an interval of its rejection."""


def compute_performance(context: Context) -> PerformanceResult:
    """Measure all splits, and the ROC curves and working points of the test events."""
    measured = {name: context.once(measure) for name, measure in MEASURE_SPLIT.items()}
    physics, curves = context.once(bootstrap_physics), context.once(compute_test_curves)
    test = context.splits["test"]
    points = tuple(
        None if curve is None else quote_working_points(test, index, curve, context.working_points)
        for index, curve in enumerate(curves)
    )
    best_curves, best_curves_are = _best_curves(context)
    return PerformanceResult(
        class_names=context.class_names,
        signal=context.signal,
        splits={name: split.metrics for name, split in measured.items()},
        intervals={
            **{name: split.intervals() for name, split in measured.items() if name != "test"},
            "test": {"physics": physics, "balanced": context.once(bootstrap_balanced)},
        },
        working_points=points,
        curves=tuple(
            None if curve is None else outline_roc(curve, marked or ())
            for curve, marked in zip(curves, points, strict=True)
        ),
        best_curves=best_curves,
        best_curves_are=best_curves_are,
        cross_trained=context.plan.is_cross_training,
    )


def bootstrap_physics(context: Context) -> Intervals:
    """Return the intervals of the test events with physics weights."""
    test = context.splits["test"]
    known = context.once(compute_test_metrics).physics
    stream = context.random_stream("physics mixture")
    return compute_bootstrap_intervals(test, test.weight, stream, known)


def bootstrap_balanced(context: Context) -> Intervals:
    """Return the intervals of the test events with balanced weights."""
    test = context.splits["test"]
    known = context.once(compute_test_metrics).balanced
    stream = context.random_stream("balanced mixture")
    return compute_bootstrap_intervals(test, test.balanced_weight, stream, known)


def _best_curves(context: Context) -> tuple[tuple[RocOutline | None, ...], str]:
    """Return the ROC curves of the Bayes optimum or of discriminants, and their name in figures."""
    result = context.once(compute_bayes_optimum)
    if isinstance(result, BayesOptimumResult):
        return result.curves, result.curve_name
    return (None,) * len(context.class_names), "Bayes optimum"


def quote_working_points(
    test: ScoredEvents, index: int, curve: RocCurve, targets: Sequence[float]
) -> tuple[WorkingPoint, ...]:
    """Find the cuts on the score of a class that reach signal efficiencies, with intervals or limits.

    `index` is the class, and `curve` its ROC curve against all other classes.
    """
    score, is_signal = test.scores[:, index].astype(np.float64), test.class_index == index
    of_signal = select_units(test.units, is_signal)
    kinds = None
    if has_area_interval(is_signal, test.weight, test.units):
        kinds = cumulate_weights(score, is_signal, test.weight, test.units)
    quoted = []
    for point in compute_working_points(curve, targets):
        passing = ~is_signal & (score >= point.threshold)
        if not passing.any():
            units = select_units(test.units, ~is_signal)
            limit = compute_efficiency_limit(
                test.class_index[~is_signal], test.weight[~is_signal], units=units
            )
            quoted.append(point if limit is None else point.below(limit))
            continue
        size = compute_effective_sample_size(test.weight[passing], select_units(test.units, passing))
        value, interval = point.background_efficiency, None
        if kinds is not None and value > 0 and size >= FEWEST_PASSING * (1 - 1e-9):
            interval = compute_efficiency_interval(
                *kinds, _reached_efficiency(point, score[is_signal], of_signal)
            )
        if interval is None:
            quoted.append(point)
        else:
            # one event of large or negative weight may put the cut outside the interval of its true position
            quoted.append(point.between(min(interval[0], value), max(interval[1], value)))
    return tuple(quoted)


def _reached_efficiency(point: WorkingPoint, score: Float64, units: Units | None) -> float:
    """Return the signal efficiency of which a cut is the quantile: the target unless signal at the cut is tied.

    `score` and `units` are those of the signal.
    """
    at_cut = np.flatnonzero(score == point.threshold)
    # the events of one unit are one event
    count = len(at_cut) if units is None else len(np.unique(units[at_cut]))
    return point.target if count <= 1 else point.signal_efficiency
