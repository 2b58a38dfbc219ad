"""The numbers of one part of the events, and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.evaluation.arrays import effective_number, positive_sum
from tamis.evaluation.influence import find_influences, standard_errors
from tamis.evaluation.intervals import FEWEST, Scale, around, from_replicas, is_known, student_factors
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
    """68.3% intervals of one part in one mixture.

    None stands where a number is not defined, or not in every replica, or lies at its bound; of loss and accuracy for
    fewer than 50 effective events, and of what sets a class apart for fewer than 25 of it, or of the rest.

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
    drawn = bootstrap(resampler, BOOTSTRAPS, generator, events.units)
    found = find_influences(events.scores, events.class_index, weight)
    factors = student_factors(found.of_event, events.units).tolist()
    known = _known(events, weight)
    replicas = (drawn.loss, drawn.accuracy, *drawn.auc.T)
    loss, accuracy, *areas = (
        from_replicas(value, each, factor, scale) if enough else None
        for value, each, factor, scale, enough in zip(
            found.value.tolist(), replicas, factors, _scales(len(known)), (True, True, *known), strict=True
        )
    )
    enough = effective_number(weight, events.units) >= 2 * FEWEST
    return Intervals(
        loss if enough else None,
        accuracy if enough else None,
        tuple(areas),
        tuple(
            tuple(interval(point) if enough else None for point in of_class.T)
            for of_class, enough in zip(drawn.background_efficiency.swapaxes(0, 1), known, strict=True)
        ),
    )


def _known(events: ScoredEvents, weight: Float64) -> list[bool]:
    """Return for each class whether it has enough events for the interval of its area."""
    return [
        is_known(events.class_index == index, weight, events.units) for index in range(events.scores.shape[1])
    ]


def _scales(classes: int) -> tuple[Scale, ...]:
    """Return the scales of loss, accuracy and areas."""
    areas: list[Scale] = ["logit"] * classes
    return ("log", "logit", *areas)


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
    errors = standard_errors(found.of_event, events.units) * student_factors(found.of_event, events.units)
    known = _known(events, weight)
    enough = effective_number(weight, events.units) >= 2 * FEWEST
    loss, accuracy, *areas = (
        around(value, error, scale) if is_enough else None
        for value, error, scale, is_enough in zip(
            found.value.tolist(), errors.tolist(), _scales(len(known)), (enough, enough, *known), strict=True
        )
    )
    return Intervals(loss, accuracy, tuple(areas))
