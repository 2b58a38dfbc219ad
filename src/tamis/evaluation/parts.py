"""The numbers of one part of the events, and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.evaluation.arrays import effective_number
from tamis.evaluation.influence import each_influence, standard_errors
from tamis.evaluation.intervals import (
    FEWEST,
    Scale,
    around,
    from_replicas,
    is_enough,
    is_known,
    student_factors,
)
from tamis.evaluation.metrics import Metrics, measure
from tamis.evaluation.ranking import RankedScores
from tamis.evaluation.resampling import Resampler, bootstrap, interval
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.units import Units, units_of_rows

Float64 = NDArray[np.float64]

MANY = 1000.0
"""Effective events of each class from which on errors to first order are as good as bootstrap samples."""
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
        error: half the width of a 68.3% interval: the standard deviation times `factor`.
        factor: of Student's distribution (`student_factors`).
        known: whether there are events enough for an interval: 50 effective ones for loss and accuracy, for an area 25
            of the class and 25 others.
    """

    value: Float64
    error: Float64
    factor: Float64
    known: NDArray[np.bool_]

    def intervals(self) -> Intervals:
        """Give the intervals, on scales on which the numbers vary about as normal ones."""
        loss, accuracy, *areas = (
            around(value, error, scale) if enough else None
            for value, error, scale, enough in zip(
                self.value.tolist(),
                self.error.tolist(),
                scales_of(len(self.value) - 2),
                self.known,
                strict=True,
            )
        )
        return Intervals(loss, accuracy, tuple(areas))


def measure_to_first_order(
    events: ScoredEvents, weights: Sequence[Float64], ranked_scores: RankedScores | None = None
) -> tuple[FirstOrder, ...]:
    """Measure loss, accuracy and areas of some events with their errors.

    Args:
        events: with their scores.
        weights: signed weights with positive sums, [n] each.
        ranked_scores: the scores, where they are sorted.

    Returns:
        One for each of the weights.

    Raises:
        TamisError: weights have no positive sum.
    """
    scores = ranked_scores or RankedScores(events.scores, keep=False)
    units, classes = events.units, events.scores.shape[1]
    # one number after the other: what each event contributes to all of them takes much memory
    found = np.array(
        [
            [
                (
                    value,
                    standard_errors(of_event[:, None], units)[0],
                    student_factors(of_event[:, None], units)[0],
                )
                for value, of_event in of_weights
            ]
            for of_weights in each_influence(scores, events.class_index, weights)
        ]
    )
    return tuple(
        FirstOrder(value, error * factor, factor, known_numbers(events.class_index, weight, classes, units))
        for (value, error, factor), weight in zip(found.transpose(1, 2, 0), weights, strict=True)
    )


def known_numbers(
    class_index: NDArray[np.integer], weight: Float64, classes: int, units: Units | None = None
) -> NDArray[np.bool_]:
    """Say of loss, accuracy and each class's area whether there are events enough for an interval, [2 + n_classes].

    Args:
        class_index: the true class, [n_events].
        weight: signed, [n_events].
        classes: how many there are.
        units: number of what each event belongs to, where several events vary together, [n_events].
    """
    enough = is_enough(weight, units, 2 * FEWEST)
    of_classes = (is_known(class_index == index, weight, units) for index in range(classes))
    return np.array([enough, enough, *of_classes])


@dataclass(frozen=True)
class MeasuredPart:
    """The numbers of one part, and their errors to first order.

    Args:
        metrics: in three mixtures.
        physics: with the signed physics weights.
        balanced: in the mixture that the network learned.
    """

    metrics: PartMetrics
    physics: FirstOrder
    balanced: FirstOrder

    def intervals(self) -> dict[str, Intervals]:
        """Give the intervals to first order.

        They say how far the numbers would move with other events of the same number, not with another training.
        """
        return {"physics": self.physics.intervals(), "balanced": self.balanced.intervals()}


def measure_part(events: ScoredEvents, ranked_scores: RankedScores | None = None) -> MeasuredPart:
    """Measure one part in the three mixtures of the classes.

    Args:
        events: with their scores.
        ranked_scores: the scores, where they are sorted.
    """
    scores = ranked_scores or RankedScores(events.scores, keep=False)
    weights = (events.weight, events.learned_weight, np.ones(len(events)))
    found = measure_to_first_order(events, weights, scores)
    physics, balanced, unweighted = (
        measure(scores, events.class_index, weight, values=each.value)
        for weight, each in zip(weights, found, strict=True)
    )
    return MeasuredPart(PartMetrics(physics, balanced, unweighted), *found[:2])


def bootstrap_intervals(
    events: ScoredEvents,
    weight: Float64,
    generator: np.random.Generator,
    working_points: Sequence[float] = (),
    known: FirstOrder | None = None,
) -> Intervals:
    """Give the bootstrap intervals of what is quoted of some events.

    Where no working point is asked for and every class has `MANY` effective events, those to first order are as good.

    Args:
        events: with their scores.
        weight: of each event, [n].
        generator: where the random numbers come from.
        working_points: signal efficiencies at which is measured what is kept of the other classes.
        known: the numbers of these events to first order, where they are known.
    """
    (found,) = (known,) if known else measure_to_first_order(events, [weight])
    if not working_points and _fewest(events, weight) >= MANY:
        return found.intervals()
    resampler = Resampler(events.scores, events.class_index, weight, working_points)
    drawn = bootstrap(resampler, BOOTSTRAPS, generator, events.units)
    replicas = (drawn.loss, drawn.accuracy, *drawn.auc.T)
    enough = found.known.tolist()
    loss, accuracy, *areas = (
        from_replicas(value, each, factor, scale) if is_enough else None
        for value, each, factor, scale, is_enough in zip(
            found.value.tolist(),
            replicas,
            found.factor.tolist(),
            scales_of(resampler.classes),
            enough,
            strict=True,
        )
    )
    return Intervals(
        loss,
        accuracy,
        tuple(areas),
        tuple(
            tuple(interval(point) if is_enough else None for point in of_class.T)
            for of_class, is_enough in zip(
                drawn.background_efficiency.swapaxes(0, 1), enough[2:], strict=True
            )
        ),
    )


def _fewest(events: ScoredEvents, weight: Float64) -> float:
    """Return the smallest effective number of events of a class."""
    classes = (events.class_index == index for index in range(events.scores.shape[1]))
    return min(effective_number(weight[rows], units_of_rows(events.units, rows)) for rows in classes)


def scales_of(classes: int) -> tuple[Scale, ...]:
    """Give the scales on which loss, accuracy and areas vary about as normal numbers, [2 + n_classes]."""
    areas: list[Scale] = ["logit"] * classes
    return ("log", "logit", *areas)
