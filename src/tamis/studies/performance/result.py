"""The result of the study of performance, and its computation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tamis.statistics.arrays import compute_effective_sample_size
from tamis.statistics.roc import RocCurve, WorkingPoint, compute_efficiency_limit, compute_working_points
from tamis.statistics.roc_outline import RocOutline, outline_roc
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.split_metrics import Intervals, SplitMetrics, compute_bootstrap_intervals
from tamis.statistics.units import select_units
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
        intervals: of the numbers of each split with `physics` and `balanced` weights: from bootstrap samples for the
            test events (`balanced` only if a class has few), to first order for the others.
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


FEWEST_PASSING = 3.0
"""Effective background events that have to pass a cut for an interval of its rejection."""


def compute_performance(context: Context) -> PerformanceResult:
    """Measure all splits, and the ROC curves and working points of the test events."""
    measured = {name: context.once(measure) for name, measure in MEASURE_SPLIT.items()}
    physics, curves = context.once(bootstrap_physics), context.once(compute_test_curves)
    points = _working_points(context, curves, physics)
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
    """Return the intervals of the test events with physics weights, from bootstrap samples."""
    test = context.splits["test"]
    known = context.once(compute_test_metrics).physics
    stream = context.random_stream("physics mixture")
    return compute_bootstrap_intervals(test, test.weight, stream, context.working_points, known)


def bootstrap_balanced(context: Context) -> Intervals:
    """Return the intervals of the test events with balanced weights."""
    test = context.splits["test"]
    known = context.once(compute_test_metrics).balanced
    return compute_bootstrap_intervals(
        test, test.balanced_weight, context.random_stream("balanced mixture"), (), known
    )


def _best_curves(context: Context) -> tuple[tuple[RocOutline | None, ...], str]:
    """Return the ROC curves of the Bayes optimum or of discriminants, and their name in figures."""
    result = context.once(compute_bayes_optimum)
    if isinstance(result, BayesOptimumResult):
        return result.curves, result.curve_name
    return (None,) * len(context.class_names), "Bayes optimum"


def _working_points(
    context: Context, curves: tuple[RocCurve | None, ...], intervals: Intervals
) -> tuple[tuple[WorkingPoint, ...] | None, ...]:
    """Find the cuts on each score, with intervals of the efficiencies, or a limit if no background passes."""
    return tuple(
        None
        if curve is None
        else tuple(
            _with_interval(context.splits["test"], index, point, between)
            for point, between in zip(
                compute_working_points(curve, context.working_points), of_class, strict=True
            )
        )
        for index, (curve, of_class) in enumerate(zip(curves, intervals.background_efficiency, strict=True))
    )


def _with_interval(
    test: ScoredEvents, index: int, point: WorkingPoint, between: tuple[float, float] | None
) -> WorkingPoint:
    background = test.class_index != index
    passing = background & (test.scores[:, index] >= point.threshold)
    if not passing.any():
        units = select_units(test.units, background)
        limit = compute_efficiency_limit(test.class_index[background], test.weight[background], units=units)
        return point if limit is None else point.below(limit)
    few = (
        compute_effective_sample_size(test.weight[passing], select_units(test.units, passing))
        < FEWEST_PASSING
    )
    return point if few or between is None or between[1] <= 0 else point.between(*between)
