"""Count negative weights, and drop them from a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tamis.arrays import Float64
from tamis.statistics.arrays import compute_effective_sample_size, positive_sum
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.units import Units, select_units


@dataclass(frozen=True)
class NegativeShare:
    """The negative weights of one class.

    Args:
        events: number of events with a negative weight.
        fraction: of the events.
        share: of the sum of absolute weights.
        effective_sample_size: of all events.
        effective_sample_size_without: of the events with positive weights alone.
        growth_factor: ratio of the sum of weights without negative weights to that with them; None if the latter is not
            positive.
    """

    events: int
    fraction: float
    share: float
    effective_sample_size: float
    effective_sample_size_without: float
    growth_factor: float | None


def count_negative(weight: Float64, units: Units | None = None) -> NegativeShare:
    """Count the negative weights of some events.

    >>> share = count_negative(np.array([1.0, 1.0, 1.0, -1.0]))
    >>> share.events, share.share, share.effective_sample_size, share.effective_sample_size_without
    (1, 0.25, 1.0, 3.0)
    """
    negative = weight < 0
    events, size = int(np.count_nonzero(negative)), float(np.abs(weight).sum())
    positive, total = weight[~negative], positive_sum(weight)
    return NegativeShare(
        events=events,
        fraction=events / len(weight) if len(weight) else 0.0,
        share=float(np.abs(weight[negative]).sum()) / size if size else 0.0,
        effective_sample_size=compute_effective_sample_size(weight, units),
        effective_sample_size_without=compute_effective_sample_size(positive, select_units(units, ~negative)),
        growth_factor=None if total is None else float(positive.sum()) / total,
    )


def drop_negative_weights(events: ScoredEvents) -> ScoredEvents | None:
    """Set negative weights to zero, and scale the others of each class to its original sum: its cross-section.

    The result is None if the weights of a class with events do not have a positive sum.

    >>> events = ScoredEvents(np.ones((3, 1)), np.zeros(3, np.int32), np.array([2.0, 2.0, -1.0]), np.ones(3))
    >>> drop_negative_weights(events).weight.tolist()
    [1.5, 1.5, 0.0]
    """
    positive = np.maximum(events.weight, 0.0)
    for index in np.unique(events.class_index):
        rows = events.class_index == index
        total = positive_sum(events.weight[rows])
        if total is None:
            return None
        positive[rows] *= total / positive[rows].sum()
    return events.reweighted(positive)
