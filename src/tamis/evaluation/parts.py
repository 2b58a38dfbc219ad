"""The numbers of one part of the events, and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.evaluation.arrays import effective_number, positive_sum
from tamis.evaluation.influence import find_influences
from tamis.evaluation.intervals import (
    FEWEST,
    Scale,
    around,
    from_replicas,
    half_widths,
    is_known,
    student_factors,
)
from tamis.evaluation.metrics import Metrics, measure
from tamis.evaluation.ranking import RankedScores, ranked
from tamis.evaluation.resampling import Resampler, bootstrap, interval
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.units import Units

Float64 = NDArray[np.float64]

BOOTSTRAPS = 200
"""Bootstrap samples for the intervals of the test events."""


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


@dataclass(frozen=True)
class FirstOrder:
    """Loss, accuracy and area of each class, and their errors to first order, [2 + n_classes] each.

    Args:
        value: NaN where it is not defined.
        error: half the width of a 68.3% interval: the standard deviation times the factor of Student's distribution.
        known: whether there are events enough for an interval: 50 effective ones for loss and accuracy, for an area 25
            of the class and 25 others.
    """

    value: Float64
    error: Float64
    known: NDArray[np.bool_]


def measure_to_first_order(
    scores: ArrayLike | RankedScores,
    class_index: NDArray[np.integer],
    weight: Float64,
    units: Units | None = None,
) -> FirstOrder:
    """Measure loss, accuracy and areas of some events with their errors.

    Args:
        scores: [n_events, n_classes].
        class_index: the true class, [n_events].
        weight: signed weight, [n_events].
        units: number of what each event belongs to, where several events vary together, [n_events].
    """
    found = find_influences(scores, class_index, weight)
    return FirstOrder(
        found.value,
        half_widths(found.of_event, units),
        _known(class_index, weight, units, len(found.value) - 2),
    )


def _known(
    class_index: NDArray[np.integer], weight: Float64, units: Units | None, classes: int
) -> NDArray[np.bool_]:
    enough = effective_number(weight, units) >= 2 * FEWEST
    return np.array(
        [enough, enough, *(is_known(class_index == index, weight, units) for index in range(classes))]
    )


def bootstrap_intervals(
    events: ScoredEvents,
    weight: Float64,
    generator: np.random.Generator,
    working_points: Sequence[float] = (),
    ranked_scores: RankedScores | None = None,
) -> Intervals:
    """Give the bootstrap intervals of what is quoted of some events.

    Args:
        events: with their scores.
        weight: of each event, [n].
        generator: where the random numbers come from.
        working_points: signal efficiencies at which is measured what is kept of the other classes.
        ranked_scores: the scores, where they are sorted.
    """
    scores = ranked(events.scores) if ranked_scores is None else ranked_scores
    resampler = Resampler(scores, events.class_index, weight, working_points)
    drawn = bootstrap(resampler, BOOTSTRAPS, generator, events.units)
    found = find_influences(scores, events.class_index, weight)
    factors = student_factors(found.of_event, events.units).tolist()
    known = _known(events.class_index, weight, events.units, resampler.classes).tolist()
    replicas = (drawn.loss, drawn.accuracy, *drawn.auc.T)
    loss, accuracy, *areas = (
        from_replicas(value, each, factor, scale) if enough else None
        for value, each, factor, scale, enough in zip(
            found.value.tolist(), replicas, factors, _scales(resampler.classes), known, strict=True
        )
    )
    return Intervals(
        loss,
        accuracy,
        tuple(areas),
        tuple(
            tuple(interval(point) if enough else None for point in of_class.T)
            for of_class, enough in zip(drawn.background_efficiency.swapaxes(0, 1), known[2:], strict=True)
        ),
    )


def _scales(classes: int) -> tuple[Scale, ...]:
    """Return the scales of loss, accuracy and areas."""
    areas: list[Scale] = ["logit"] * classes
    return ("log", "logit", *areas)


def measure_part(events: ScoredEvents, ranked_scores: RankedScores | None = None) -> PartMetrics:
    """Measure one part in the three mixtures of the classes.

    Args:
        events: with their scores.
        ranked_scores: the scores, where they are sorted.
    """
    scores = ranked(events.scores) if ranked_scores is None else ranked_scores
    weights = (events.weight, events.learned_weight, np.ones(len(events)))
    return PartMetrics(*(measure(scores, events.class_index, weight) for weight in weights))


def first_order_intervals(
    events: ScoredEvents, ranked_scores: RankedScores | None = None
) -> dict[str, Intervals]:
    """Give the intervals of what is quoted of some events, to first order, in the mixtures `physics` and `balanced`.

    They say how far the numbers would move with other events of the same number, not with another training.

    Args:
        events: with their scores.
        ranked_scores: the scores, where they are sorted.
    """
    scores = ranked(events.scores) if ranked_scores is None else ranked_scores
    weights = {"physics": events.weight, "balanced": events.learned_weight}
    return {name: _first_order(events, scores, weight) for name, weight in weights.items()}


def _first_order(events: ScoredEvents, scores: RankedScores, weight: Float64) -> Intervals:
    classes = events.scores.shape[1]
    if positive_sum(weight) is None:
        return Intervals(None, None, (None,) * classes)
    found = measure_to_first_order(scores, events.class_index, weight, events.units)
    loss, accuracy, *areas = (
        around(value, error, scale) if enough else None
        for value, error, scale, enough in zip(
            found.value.tolist(), found.error.tolist(), _scales(classes), found.known, strict=True
        )
    )
    return Intervals(loss, accuracy, tuple(areas))
