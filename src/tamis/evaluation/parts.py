"""The numbers of one part of the events, and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.evaluation.arrays import positive_sum
from tamis.evaluation.influence import find_influences, standard_errors
from tamis.evaluation.metrics import Metrics, measure
from tamis.evaluation.resampling import Resampler, bootstrap, interval
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.verdict import BOOTSTRAPS

Float64 = NDArray[np.float64]


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
class Intervals:
    """68.3% intervals of one part in one mixture; None where a number is not defined, or not in every replica.

    Args:
        loss: of the loss.
        accuracy: of the accuracy.
        auc: of the area under the curve, for each class.
        kept: of what is kept of the other classes at each working point, for each class.
    """

    loss: tuple[float, float] | None
    accuracy: tuple[float, float] | None
    auc: tuple[tuple[float, float] | None, ...]
    kept: tuple[tuple[tuple[float, float] | None, ...], ...] = ()

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give the intervals as `metrics.json` holds them."""
        auc = dict(zip(class_names, self.auc, strict=True))
        return {"loss": self.loss, "accuracy": self.accuracy, "auc": auc}


def bootstrap_intervals(
    events: ScoredEvents,
    weight: Float64,
    generator: np.random.Generator,
    working_points: Sequence[float] = (),
) -> Intervals:
    """Give the bootstrap intervals of what is quoted of some events.

    Args:
        events: with their scores.
        weight: of each event, [n].
        generator: where the random numbers come from.
        working_points: signal efficiencies at which is measured what is kept of the other classes.
    """
    resampler = Resampler(events.scores, events.class_index, weight, working_points)
    found = bootstrap(resampler, BOOTSTRAPS, generator, events.units)
    return Intervals(
        interval(found.loss),
        interval(found.accuracy),
        tuple(interval(area) for area in found.auc.T),
        tuple(
            tuple(interval(point) for point in of_class.T)
            for of_class in found.background_efficiency.swapaxes(0, 1)
        ),
    )


def measure_part(events: ScoredEvents) -> PartMetrics:
    """Measure one part in the three mixtures of the classes."""
    weights = (events.weight, events.learned_weight, np.ones(len(events)))
    return PartMetrics(*(measure(events.scores, events.class_index, weight) for weight in weights))


def first_order_intervals(events: ScoredEvents) -> dict[str, Intervals]:
    """Give the intervals of what is quoted of some events, to first order, in the mixtures `physics` and `balanced`.

    They say how far the numbers would move with other events of the same number, not with another training.

    Args:
        events: with their scores.
    """
    weights = {"physics": events.weight, "balanced": events.learned_weight}
    return {name: _first_order(events, weight) for name, weight in weights.items()}


def _first_order(events: ScoredEvents, weight: Float64) -> Intervals:
    if positive_sum(weight) is None:
        return Intervals(None, None, (None,) * events.scores.shape[1])
    found = find_influences(events.scores, events.class_index, weight)
    errors = standard_errors(found.of_event, events.units)
    loss, accuracy, *areas = (
        (value - error, value + error) if np.isfinite(value) else None
        for value, error in zip(found.value.tolist(), errors.tolist(), strict=True)
    )
    return Intervals(loss, accuracy, tuple(areas))
