"""All results of one classifier on one set of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.evaluation.limit import (
    DistanceToLimit,
    DistanceToReference,
    distance_to_limit,
    distance_to_reference,
    posterior,
)
from tamis.evaluation.metrics import Metrics, measure
from tamis.evaluation.overtraining import KolmogorovSmirnov, overtraining_tests
from tamis.evaluation.roc import RocCurve, WorkingPoint, background_rejection, roc_curves

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class ScoredEvents:
    """The events of one part with what the network said of them.

    Args:
        scores: [n, n_classes].
        class_index: the true class, [n].
        weight: signed physics weight, [n].
        factor: training factor of the event's class, [n].
        reference: known log-densities or discriminants by class, [n] each.
        compared: which events the comparison of training and test may use, so that none is in both, [n]; None for
            all of them.
    """

    scores: NDArray[np.float32]
    class_index: NDArray[np.int32]
    weight: Float64
    factor: Float64
    reference: Mapping[str, Float64]
    compared: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class PartMetrics:
    """The numbers of one part, in three mixtures of the classes.

    Args:
        physics: with the signed physics weights.
        balanced: with the physics weights times the training factors: the mixture that the network learned.
        unweighted: every event counts one.
    """

    physics: Metrics
    balanced: Metrics
    unweighted: Metrics

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give the physics numbers, with the others beside them."""
        return {
            **self.physics.to_dict(class_names),
            "balanced": self.balanced.to_dict(class_names),
            "unweighted": self.unweighted.to_dict(class_names),
        }


@dataclass(frozen=True)
class Evaluation:
    """All results of a run.

    Args:
        class_names: in the order of the scores.
        parts: numbers of training, validation and test.
        curves: ROC curve of each class against the others on the test events; None where undefined.
        working_points: what each class's score keeps at the configured signal efficiencies.
        overtraining: for each true class and each score, training against test.
        limit: the test events' distance to the known limit, in the balanced mixture.
        limit_curves: ROC curves of the limit or of the reference discriminants, with the physics weights.
        references: distance to a reference discriminant, by class.
    """

    class_names: tuple[str, ...]
    parts: Mapping[str, PartMetrics]
    curves: tuple[RocCurve | None, ...]
    working_points: tuple[tuple[WorkingPoint, ...] | None, ...]
    overtraining: tuple[tuple[KolmogorovSmirnov | None, ...], ...]
    limit: DistanceToLimit | None
    limit_curves: Mapping[int, RocCurve]
    references: Mapping[str, DistanceToReference]

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
        numbers["overtraining"] = self._overtraining()
        numbers["working_points"] = {
            name: None if points is None else [_finite(vars(point)) for point in points]
            for name, points in zip(names, self.working_points, strict=True)
        }
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

    def _overtraining(self) -> dict[str, Any]:
        smallest = self.smallest_p_value
        return {
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


def _finite(point: Mapping[str, float | None]) -> dict[str, float | None]:
    """Write the threshold that nothing passes as null: JSON has no infinity."""
    return {key: None if value is None or not np.isfinite(value) else value for key, value in point.items()}


def evaluate_classifier(
    parts: Mapping[str, ScoredEvents],
    class_names: Sequence[str],
    *,
    working_points: Sequence[float],
    densities: bool = False,
) -> Evaluation:
    """Compute all results.

    Args:
        parts: the scored events of `training`, `validation` and `test`.
        class_names: in the order of the scores.
        working_points: signal efficiencies that tables quote.
        densities: whether `reference` holds the log-density of every class, not discriminants.
    """
    training, test = parts["training"], parts["test"]
    curves = roc_curves(test.scores, test.class_index, test.weight)
    limit = _limit(test, class_names) if densities else None
    references = {} if densities else _references(test, class_names)
    return Evaluation(
        class_names=tuple(class_names),
        parts={name: measure_part(events) for name, events in parts.items()},
        curves=curves,
        working_points=tuple(
            None if curve is None else background_rejection(curve, working_points) for curve in curves
        ),
        overtraining=overtraining_tests(*_compared(training), *_compared(test)),
        limit=limit,
        limit_curves=_limit_curves(test, class_names)
        if densities
        else _reference_curves(references, class_names),
        references=references,
    )


def _compared(
    events: ScoredEvents,
) -> tuple[NDArray[np.float32], NDArray[np.int32], Float64]:
    rows: slice | NDArray[np.bool_] = slice(None) if events.compared is None else events.compared
    return events.scores[rows], events.class_index[rows], events.weight[rows]


def measure_part(events: ScoredEvents) -> PartMetrics:
    """Measure one part in the three mixtures of the classes."""
    weights = (events.weight, events.weight * events.factor, np.ones(len(events.weight)))
    return PartMetrics(*(measure(events.scores, events.class_index, weight) for weight in weights))


def _log_density(test: ScoredEvents, class_names: Sequence[str]) -> Float64:
    return np.stack([test.reference[name] for name in class_names], axis=1)


def _shares(weight: Float64, events: ScoredEvents) -> Float64:
    summed = np.bincount(events.class_index, weights=weight, minlength=events.scores.shape[1])
    return summed.astype(np.float64)


def _limit(test: ScoredEvents, class_names: Sequence[str]) -> DistanceToLimit:
    weight = test.weight * test.factor
    density = _log_density(test, class_names)
    return distance_to_limit(test.scores, density, _shares(weight, test), test.class_index, weight)


def _limit_curves(test: ScoredEvents, class_names: Sequence[str]) -> dict[int, RocCurve]:
    best = posterior(_log_density(test, class_names), _shares(test.weight, test))
    curves = roc_curves(best, test.class_index, test.weight)
    return {index: curve for index, curve in enumerate(curves) if curve is not None}


def _references(test: ScoredEvents, class_names: Sequence[str]) -> dict[str, DistanceToReference]:
    indices = {name: list(class_names).index(name) for name in test.reference}
    return {
        name: distance_to_reference(test.scores[:, index], values, test.class_index == index, test.weight)
        for (name, index), values in zip(indices.items(), test.reference.values(), strict=True)
    }


def _reference_curves(
    references: Mapping[str, DistanceToReference], class_names: Sequence[str]
) -> dict[int, RocCurve]:
    return {list(class_names).index(name): found.reference for name, found in references.items()}
