"""All results of a classifier, and how `metrics.json` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.evaluation.calibration import Calibration
from tamis.evaluation.cut_table import CutTable
from tamis.evaluation.importance import Change, Importance
from tamis.evaluation.inputs import Inputs
from tamis.evaluation.limit import (
    DistanceToLimit,
    DistanceToReference,
)
from tamis.evaluation.negative_weights import NegativeWeights
from tamis.evaluation.overtraining import KolmogorovSmirnov
from tamis.evaluation.pairs import PairCurve, Pairs
from tamis.evaluation.parts import Intervals, PartMetrics
from tamis.evaluation.roc import RocCurve, WorkingPoint
from tamis.evaluation.sculpting import Sculpting
from tamis.evaluation.search import Search
from tamis.evaluation.stability import Stability
from tamis.evaluation.verdict import Verdict

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """All results of a run.

    Args:
        class_names: in the order of the scores.
        parts: numbers of training, validation and test.
        curves: ROC curve of each class against the others on the test events; None where undefined.
        working_points: what each class's score keeps at the configured signal efficiencies.
        pairs: how well each class of the test events is told from each other one.
        pair_curves: ROC curve of each signal class against each background class, on the test events.
        overtraining: for each true class and each score, training against test.
        limit: the test events' distance to the known limit, in the balanced mixture.
        limit_curves: ROC curves of the limit or of the reference discriminants, with the physics weights.
        references: distance to a reference discriminant, by class.
        verdict: whether the classifier is overtrained; None where a class has no positive sum of weights, or where
            training and test events are not of one kind.
        intervals: of the numbers of each part in the mixtures `physics` and `balanced`: from bootstrap samples for the
            test events (`balanced` only where a class has few), to first order for the others.
        calibration: whether the scores are probabilities; None where the weights have no positive sum.
        search: what the signal score is worth in a search; None without a signal class or without a background.
        importance: what each feature is worth.
        sculpting: what the signal score does to each spectator in each class; nothing without a signal class.
        sculpting_cuts: thresholds of the signal score behind which shapes are compared.
        cut_tables: what passes each cut on the signal score and on the score of each class; nothing where a class has
            no positive sum of weights.
        inputs: what the features look like; None where nobody looked.
        negative_weights: what they do to the numbers of the test events; None where there are none.
        retrained: what is lost by training again with all features, from other random numbers: the measure of what is
            lost without some of them; None where that was not asked for.
        stability: how much depends on the seed and on the fold; None where there is one network.
    """

    class_names: tuple[str, ...]
    parts: Mapping[str, PartMetrics]
    curves: tuple[RocCurve | None, ...]
    working_points: tuple[tuple[WorkingPoint, ...] | None, ...]
    pairs: Pairs
    pair_curves: tuple[PairCurve, ...]
    overtraining: tuple[tuple[KolmogorovSmirnov | None, ...], ...]
    limit: DistanceToLimit | None
    limit_curves: Mapping[int, RocCurve]
    references: Mapping[str, DistanceToReference]
    verdict: Verdict | None
    intervals: Mapping[str, Mapping[str, Intervals]]
    calibration: Calibration | None
    search: Search | None
    importance: tuple[Importance, ...]
    sculpting: tuple[Sculpting, ...]
    sculpting_cuts: tuple[float, ...]
    cut_tables: tuple[CutTable, ...]
    inputs: Inputs | None = None
    negative_weights: NegativeWeights | None = None
    retrained: Change | None = None
    stability: Stability | None = None

    def __repr__(self) -> str:
        """Return the classes, and the loss and accuracy of the test events."""
        test = self.parts["test"].physics
        return (
            f"Evaluation(classes {', '.join(self.class_names)}; test events: loss {test.loss:.4g}, "
            f"accuracy {test.accuracy:.4g})"
        )

    @property
    def smallest_p_value(self) -> tuple[float, int] | None:
        """The smallest p-value of all overtraining tests, and how many tests there were."""
        values = [test.p_value for row in self.overtraining for test in row if test is not None]
        return (min(values), len(values)) if values else None

    def to_dict(self) -> dict[str, Any]:
        """Give all numbers as `metrics.json` holds them."""
        names = self.class_names
        numbers: dict[str, Any] = {"classes": list(names)}
        numbers.update({part: metrics.to_dict(names) for part, metrics in self.parts.items()})
        for part, intervals in self.intervals.items():
            numbers[part]["intervals"] = intervals["physics"].to_dict(names)
            numbers[part]["balanced"]["intervals"] = intervals["balanced"].to_dict(names)
        numbers["test"]["one_versus_one"] = self.pairs.to_dict(names)
        numbers["overtraining"] = self._overtraining()
        numbers["working_points"] = {
            name: None if points is None else [_written(point) for point in points]
            for name, points in zip(names, self.working_points, strict=True)
        }
        numbers["calibration"] = None if self.calibration is None else self.calibration.to_dict(names)
        numbers["importance"] = [each.to_dict(names) for each in self.importance]
        numbers["retrained"] = None if self.retrained is None else self.retrained.to_dict(names)
        numbers["sculpting"] = self._sculpting()
        numbers["inputs"] = None if self.inputs is None else self.inputs.to_dict()
        negative = self.negative_weights
        numbers["negative_weights"] = None if negative is None else negative.to_dict()
        numbers["stability"] = None if self.stability is None else self.stability.to_dict(names)
        numbers["search"] = None if self.search is None else self.search.to_dict(names)
        numbers["cuts"] = [each.to_dict(names) for each in self.cut_tables]
        if self.limit is not None:
            numbers["limit"] = {
                "loss": self.limit.limit.loss,
                "accuracy": self.limit.limit.accuracy,
                "auc": dict(zip(names, self.limit.limit.auc, strict=True)),
                "distance_in_loss": self.limit.loss,
                "distance_in_auc": dict(zip(names, self.limit.auc, strict=True)),
            }
        if self.references:
            numbers["reference"] = {
                name: {"auc": found.reference.auc, "distance_in_auc": found.auc}
                for name, found in self.references.items()
            }
        return numbers

    def _sculpting(self) -> dict[str, Any]:
        spectators: dict[str, dict[str, Any]] = {}
        for each in self.sculpting:
            spectators.setdefault(each.spectator, {})[each.class_name] = each.to_dict()
        return {"cuts": list(self.sculpting_cuts), "spectators": spectators}

    def _overtraining(self) -> dict[str, Any]:
        smallest = self.smallest_p_value
        return {
            "verdict": None if self.verdict is None else self.verdict.to_dict(),
            "test": "two-sample Kolmogorov-Smirnov, training against test, weighted, unbinned",
            "smallest_p_value": None if smallest is None else smallest[0],
            "tests": 0 if smallest is None else smallest[1],
            "by_class_and_score": {
                true: {
                    f"score_{score}": None if test is None else vars(test)
                    for score, test in zip(self.class_names, row, strict=True)
                }
                for true, row in zip(self.class_names, self.overtraining, strict=True)
            },
        }


def _written(point: WorkingPoint) -> dict[str, Any]:
    """Write the threshold that nothing passes as null: JSON has no infinity."""
    return {**vars(point), "threshold": point.threshold if np.isfinite(point.threshold) else None}
