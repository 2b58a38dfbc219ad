"""Events with what the network said of them: what every part of an evaluation takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.evaluation.units import Units

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
        spectators: columns that the network never saw, [n] each.
        identity: events of one class and identity vary together, [n]; None where every event stands for itself.
        compared: which events the comparison of training and test may use, so that none is in both, [n]; None for
            all of them.
    """

    scores: NDArray[np.float32]
    class_index: NDArray[np.int32]
    weight: Float64
    factor: Float64
    reference: Mapping[str, Float64] = field(default_factory=dict)
    spectators: Mapping[str, Float64] = field(default_factory=dict)
    identity: NDArray[np.uint64] | None = None
    compared: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Give the number of events."""
        return len(self.weight)

    @property
    def learned_weight(self) -> Float64:
        """Weight in the mixture of the classes that the network learned, [n]."""
        return self.weight * self.factor

    @cached_property
    def units(self) -> Units | None:
        """Number of what each event belongs to, [n]: its class and identity; None where no two events share them."""
        return None if self.identity is None else units_of(self.class_index, self.identity)

    def reweighted(self, weight: Float64) -> ScoredEvents:
        """Return the same events with other weights; their units are not searched for again.

        Args:
            weight: signed, [n].
        """
        return self._replaced(weight=weight)

    def to_compare(self) -> ScoredEvents:
        """Give the events that the comparison of training and test may use, without reference and spectators."""
        return (
            self._replaced(reference={}, spectators={}) if self.compared is None else self.take(self.compared)
        )

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> ScoredEvents:
        """Give some of the events, without reference and spectators.

        Args:
            rows: which, as a mask or as indices.
        """
        identity = None if self.identity is None else self.identity[rows]
        return ScoredEvents(
            self.scores[rows], self.class_index[rows], self.weight[rows], self.factor[rows], identity=identity
        )

    def _replaced(self, **changes: Any) -> ScoredEvents:
        """Replace columns that are neither class nor identity."""
        events = replace(self, **changes)
        vars(events)["units"] = self.units  # where a cached property keeps its value
        return events


def units_of(class_index: NDArray[np.integer], identity: NDArray[np.uint64]) -> Units | None:
    """Number what the events belong to: events of one class and one identity vary together, [n].

    Args:
        class_index: the true class, [n].
        identity: hash of who the event is, [n].

    Returns:
        None where no two events share them.

    >>> units_of(np.array([0, 0, 1]), np.array([7, 7, 7], np.uint64)).tolist()
    [0, 0, 1]
    """
    of_class = class_index.astype(np.uint64)
    # identities are hashes: mixed with the class, equal ones are rare unless events share both
    mixed = np.sort(identity ^ (of_class * np.uint64(0x9E3779B97F4A7C15)))
    if (mixed[1:] != mixed[:-1]).all():
        return None
    order = np.lexsort((of_class, identity))
    changes = np.diff(identity[order]).astype(np.bool_) | np.diff(of_class[order]).astype(np.bool_)
    if changes.all():
        return None
    number = np.empty(len(order), np.intp)
    number[order] = np.concatenate([[0], np.cumsum(changes)])
    return number


def join(first: ScoredEvents, second: ScoredEvents) -> ScoredEvents:
    """Put the events of two parts behind each other, without reference and spectators."""
    identity = None
    if first.identity is not None and second.identity is not None:
        identity = np.concatenate([first.identity, second.identity])
    return ScoredEvents(
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.class_index, second.class_index]),
        np.concatenate([first.weight, second.weight]),
        np.concatenate([first.factor, second.factor]),
        identity=identity,
    )
