"""The result of the study of baselines, and its computation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tamis.statistics.baselines import BaselineNumbers, BoxOfCuts, WeightingComparison, compare_baselines
from tamis.statistics.roc import compute_working_points
from tamis.statistics.roc_outline import RocOutline, RocPoints, mark_working_points, outline_roc
from tamis.studies.bayes_optimum.result import BayesOptimumResult, compute_bayes_optimum
from tamis.studies.context import Context


@dataclass(frozen=True)
class BaselineComparison(BaselineNumbers):
    """The performance of a baseline on the test events, and the difference of the network.

    Args:
        boxes: the cuts at each working point, if the baseline is made of cuts.
        notes: problems of its training, as sentences.
    """

    seconds: float
    boxes: tuple[BoxOfCuts, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class BaselinesResult:
    """The network beside classifiers of other kinds, on the same test events.

    Args:
        network: curve of the network's signal score.
        working_points: cuts on the network's signal score.
        optimum: curve of the Bayes optimum or of the discriminant of the signal; None if it is not known.
        optimum_name: of that curve in figures.
    """

    class_names: tuple[str, ...]
    baselines: tuple[BaselineComparison, ...]
    network: RocOutline
    working_points: RocPoints
    optimum: RocOutline | None
    optimum_name: str

    def to_metrics(self) -> dict[str, Any]:
        """Return the values of the keys of `metrics.json`."""
        return {baseline.name: _metrics(baseline) for baseline in self.baselines}


def _metrics(baseline: BaselineComparison) -> dict[str, Any]:
    undefined = dict.fromkeys(("loss", "accuracy", "auc", "intervals", "difference"))
    return {
        **vars(baseline),
        **(undefined if baseline.physics is None else _weighting(baseline.physics)),
        "balanced": None if baseline.balanced is None else _weighting(baseline.balanced),
        "boxes": baseline.boxes or None,
    }


def _weighting(comparison: WeightingComparison) -> dict[str, Any]:
    """Return the numbers as those of a split, and the differences beside them."""

    def numbers(name: str) -> dict[str, Any]:
        values = {key: getattr(number, name) for key, number in vars(comparison).items() if key != "auc"}
        return {**values, "auc": [area and getattr(area, name) for area in comparison.auc]}

    return {
        **numbers("value"),
        "intervals": numbers("interval"),
        "difference": {**numbers("difference"), "intervals": numbers("difference_interval")},
    }


def compute_baselines(context: Context) -> BaselinesResult | None:
    """Compare the baselines with the network; None without baselines.

    Raises:
        TamisError: the arrays do not fit together, or signal or background have no positive sum of weights.
    """
    if not context.baselines:
        return None
    network, numbers = compare_baselines(
        context.splits["test"],
        {baseline.name: baseline.scores for baseline in context.baselines},
        context.signal,
        context.working_points,
    )
    points = compute_working_points(network, context.working_points)
    optimum, optimum_name = _optimum(context)
    return BaselinesResult(
        context.class_names,
        tuple(
            BaselineComparison(
                **vars(compared), seconds=scored.seconds, boxes=scored.boxes, notes=scored.notes
            )
            for scored, compared in zip(context.baselines, numbers, strict=True)
        ),
        outline_roc(network, points),
        mark_working_points(points),
        optimum,
        optimum_name,
    )


def _optimum(context: Context) -> tuple[RocOutline | None, str]:
    """Return the curve of the signal; with several signal classes, the curve of their sum is not known."""
    result = context.once(compute_bayes_optimum)
    if not isinstance(result, BayesOptimumResult):
        return None, ""
    curve = result.curves[context.signal[0]] if len(context.signal) == 1 else None
    return curve, result.curve_name
