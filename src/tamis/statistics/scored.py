"""Events with the scores of the network, the input of all statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float64
from tamis.statistics.units import Units


@dataclass(frozen=True, eq=False)
class ScoredEvents:
    """Events of one split with the scores of the network.

    Args:
        scores: [n, n_classes].
        class_index: the true class, [n].
        weight: signed physics weight, [n].
        class_weight: class weight of the training for the class of the event, [n].
        reference: known log-densities or discriminants by class, [n] each.
        spectators: columns that the network does not use, [n] each.
        event_id: events with the same class and ID vary together, [n]; None if all events are independent.
        compared: which events the comparison of training and test may use, so that no event is in both, [n]; None for
            all of them.
        split: of test events with cross-training, which are training or validation events of other members: index into
            `tamis.data.split.SPLITS`, [n]; None without cross-training.
    """

    scores: NDArray[np.float32]
    class_index: NDArray[np.int32]
    weight: Float64
    class_weight: Float64
    reference: Mapping[str, Float64] = field(default_factory=dict)
    spectators: Mapping[str, Float64] = field(default_factory=dict)
    event_id: NDArray[np.uint64] | None = None
    compared: NDArray[np.bool_] | None = None
    split: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.weight)

    @property
    def balanced_weight(self) -> Float64:
        """Balanced weight: physics weight times class weight, [n]."""
        return self.weight * self.class_weight

    @cached_property
    def units(self) -> Units | None:
        """Unit of each event (`units_of`), [n]."""
        return None if self.event_id is None else units_of(self.class_index, self.event_id)

    def reweighted(self, weight: Float64) -> ScoredEvents:
        """Return the same events with other signed weights, [n]; their units are not searched for again."""
        return self._replaced(weight=weight)

    def to_compare(self) -> ScoredEvents:
        """Return the events that the comparison of training and test may use, without reference and spectators."""
        return (
            self._replaced(reference={}, spectators={}) if self.compared is None else self.take(self.compared)
        )

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> ScoredEvents:
        """Return some of the events, given as a mask or as indices, without reference and spectators."""
        return ScoredEvents(
            self.scores[rows],
            self.class_index[rows],
            self.weight[rows],
            self.class_weight[rows],
            event_id=None if self.event_id is None else self.event_id[rows],
        )

    def _replaced(self, **changes: Any) -> ScoredEvents:
        """Replace columns other than class and event ID."""
        events = replace(self, **changes)
        vars(events)["units"] = self.units  # here the cached property stores its value
        return events


def units_of(class_index: NDArray[np.integer], event_id: NDArray[np.uint64]) -> Units | None:
    """Number the units of the events, [n]: events with the same class and ID (a 64-bit hash) vary together.

    The result is None if no two events share class and ID.

    >>> units_of(np.array([0, 0, 1]), np.array([7, 7, 7], np.uint64)).tolist()
    [0, 0, 1]
    """
    of_class = class_index.astype(np.uint64)
    # IDs are hashes: mixed with the class, equal ones are rare unless events share both, and sorting one array is
    # quicker than sorting by two (the constant is 2^64 over the golden ratio, as in Fibonacci hashing)
    mixed = np.sort(event_id ^ (of_class * np.uint64(0x9E3779B97F4A7C15)))
    if (mixed[1:] != mixed[:-1]).all():
        return None
    order = np.lexsort((of_class, event_id))
    changes = np.diff(event_id[order]).astype(np.bool_) | np.diff(of_class[order]).astype(np.bool_)
    if changes.all():
        return None
    number = np.empty(len(order), np.intp)
    number[order] = np.concatenate([[0], np.cumsum(changes)])
    return number


def join_events(first: ScoredEvents, second: ScoredEvents) -> ScoredEvents:
    """Join the events of two splits, without reference and spectators."""
    event_id = None
    if first.event_id is not None and second.event_id is not None:
        event_id = np.concatenate([first.event_id, second.event_id])
    return ScoredEvents(
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.class_index, second.class_index]),
        np.concatenate([first.weight, second.weight]),
        np.concatenate([first.class_weight, second.class_weight]),
        event_id=event_id,
    )
