"""Loss, accuracy and areas under the curve of one split, and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float64
from tamis.statistics.arrays import compute_effective_sample_size
from tamis.statistics.influence import compute_standard_errors, iterate_influences
from tamis.statistics.intervals import (
    FEWEST,
    Scale,
    combine_degrees_of_freedom,
    compute_bootstrap_interval,
    compute_central_interval,
    compute_degrees_of_freedom,
    compute_intervals,
    compute_student_factors,
    has_area_interval,
    has_enough_events,
)
from tamis.statistics.metrics import Metrics, compute_metrics
from tamis.statistics.ranking import RankedScores
from tamis.statistics.resampling import Resampler, bootstrap
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.units import Units, select_units

MANY = 1000.0
"""Effective events of each class from which on errors to first order are as good as bootstrap samples."""
BOOTSTRAPS = 200
"""Bootstrap samples for the intervals of the test events."""


@dataclass(frozen=True)
class SplitMetrics:
    """The metrics of one split with signed physics weights, balanced weights, and weight one for every event."""

    physics: Metrics
    balanced: Metrics
    unweighted: Metrics


@dataclass(frozen=True)
class Intervals:
    """68.3% intervals of one split with one kind of weights, those of areas and background efficiencies for each class.

    None if a number is undefined, also in a replica, or at its bound; for loss and accuracy also with fewer than 50
    effective events, for areas and efficiencies with fewer than 25 of the class or of all other classes.
    """

    loss: tuple[float, float] | None
    accuracy: tuple[float, float] | None
    auc: tuple[tuple[float, float] | None, ...]
    background_efficiency: tuple[tuple[tuple[float, float] | None, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class FirstOrder:
    """Loss, accuracy and area of each class, NaN if undefined, and their errors to first order, [2 + n_classes] each.

    The standard deviations have degrees of freedom (`compute_degrees_of_freedom`). Numbers are known if there are
    enough events for an interval: 50 effective ones for loss and accuracy, for an area 25 of the class and 25 others.
    """

    value: Float64
    standard_error: Float64
    freedom: Float64
    known: NDArray[np.bool_]

    @property
    def factor(self) -> Float64:
        """Factor between the standard deviation and half the width of a 68.3% interval."""
        return compute_student_factors(self.freedom)

    @property
    def error(self) -> Float64:
        """Half the width of a 68.3% interval."""
        return self.standard_error * self.factor

    def intervals(self) -> Intervals:
        """Compute the intervals, on scales on which the numbers are about normally distributed."""
        scales = list_interval_scales(len(self.value) - 2)
        loss, accuracy, *areas = compute_intervals(self.value, self.error, self.known, scales)
        return Intervals(loss, accuracy, tuple(areas))


def compute_first_order(
    events: ScoredEvents, weights: Sequence[Float64], ranked_scores: RankedScores | None = None
) -> tuple[FirstOrder, ...]:
    """Compute loss, accuracy and areas of some events with their errors, once for each of the weights.

    `ranked_scores` are their scores if they are sorted already.
    """
    scores = ranked_scores or RankedScores(events.scores, store=False)
    units, classes = events.units, events.scores.shape[1]
    # one number after the other: the influences of each event on all of them would take much memory
    numbers = np.array(
        [
            [
                (
                    value,
                    *compute_standard_errors(of_event[:, None], units),
                    *compute_degrees_of_freedom(of_event[:, None], units),
                )
                for value, of_event in of_weights
            ]
            for of_weights in iterate_influences(scores, events.class_index, weights)
        ]
    )
    return tuple(
        FirstOrder(value, error, freedom, find_known_numbers(events.class_index, weight, classes, units))
        for (value, error, freedom), weight in zip(numbers.transpose(1, 2, 0), weights, strict=True)
    )


def compute_difference_half_widths(first: FirstOrder, second: FirstOrder) -> Float64:
    """Compute half the widths of the 68.3% intervals of differences between independent events, [2 + n_classes]."""
    errors = first.standard_error, second.standard_error
    freedom = combine_degrees_of_freedom(errors, (first.freedom, second.freedom))
    half_widths: Float64 = np.hypot(*errors) * compute_student_factors(freedom)
    return half_widths


def find_known_numbers(
    class_index: NDArray[np.integer], weight: Float64, classes: int, units: Units | None = None
) -> NDArray[np.bool_]:
    """Return for which of loss, accuracy and areas there are enough events for an interval, [2 + n_classes]."""
    enough = has_enough_events(weight, units, 2 * FEWEST)
    of_classes = (has_area_interval(class_index == index, weight, units) for index in range(classes))
    return np.array([enough, enough, *of_classes])


@dataclass(frozen=True, eq=False)
class MeasuredSplit:
    """The metrics of one split, and their errors to first order with physics weights and with balanced weights."""

    metrics: SplitMetrics
    physics: FirstOrder
    balanced: FirstOrder

    def intervals(self) -> dict[str, Intervals]:
        """Compute the intervals to first order, for the variation with other events, not with another training."""
        return {"physics": self.physics.intervals(), "balanced": self.balanced.intervals()}


def compute_split_metrics(events: ScoredEvents, ranked_scores: RankedScores | None = None) -> MeasuredSplit:
    """Compute the metrics of one split; `ranked_scores` are its scores if they are sorted already."""
    scores = ranked_scores or RankedScores(events.scores, store=False)
    weights = (events.weight, events.balanced_weight, np.ones(len(events)))
    first_order = compute_first_order(events, weights, scores)
    physics, balanced, unweighted = (
        compute_metrics(scores, events.class_index, weight, values=numbers.value)
        for weight, numbers in zip(weights, first_order, strict=True)
    )
    return MeasuredSplit(SplitMetrics(physics, balanced, unweighted), *first_order[:2])


def compute_bootstrap_intervals(
    events: ScoredEvents,
    weight: Float64,
    generator: np.random.Generator,
    working_points: Sequence[float] = (),
    known: FirstOrder | None = None,
) -> Intervals:
    """Compute the bootstrap intervals of the quoted numbers of some events.

    Without working points and with `MANY` effective events in every class, intervals to first order are as good, and
    are returned instead.

    `working_points` are the signal efficiencies at which the background efficiency is computed, and `known` the numbers
    of these events to first order, if they are known.
    """
    first_order = known or compute_first_order(events, [weight])[0]
    classes = events.scores.shape[1]
    of_classes = (events.class_index == index for index in range(classes))
    sizes = [
        compute_effective_sample_size(weight[rows], select_units(events.units, rows)) for rows in of_classes
    ]
    if not working_points and min(sizes) >= MANY:
        return first_order.intervals()
    resampler = Resampler(events.scores, events.class_index, weight, working_points)
    drawn = bootstrap(resampler, BOOTSTRAPS, generator, events.units)
    efficiencies = drawn[:, 2 + classes :].reshape(len(drawn), classes, -1)
    enough = first_order.known.tolist()
    loss, accuracy, *areas = (
        compute_bootstrap_interval(value, of_quantity, factor, scale) if is_enough else None
        for value, of_quantity, factor, scale, is_enough in zip(
            first_order.value.tolist(),
            drawn.T[: 2 + classes],
            first_order.factor.tolist(),
            list_interval_scales(classes),
            enough,
            strict=True,
        )
    )
    return Intervals(
        loss,
        accuracy,
        tuple(areas),
        tuple(
            tuple(compute_central_interval(point) if is_enough else None for point in of_class.T)
            for of_class, is_enough in zip(efficiencies.swapaxes(0, 1), enough[2:], strict=True)
        ),
    )


def list_interval_scales(classes: int) -> tuple[Scale, ...]:
    """Return the scales on which loss, accuracy and areas are about normally distributed, [2 + n_classes]."""
    areas: list[Scale] = ["logit"] * classes
    return ("log", "logit", *areas)
