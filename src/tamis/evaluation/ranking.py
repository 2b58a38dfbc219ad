"""Scores of events in the order of each class, sorted once for all that is computed of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.evaluation.arrays import class_ranks, probabilities_of

Float64 = NDArray[np.float64]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Events in the order of falling rank.

    Args:
        order: indices of the events by falling rank, [n_events].
        last_of_equals: position in `order` of the last event of each group of equal ranks, [groups].

    >>> ranking = rank_events(np.array([0.1, 0.8, 0.8]))
    >>> ranking.shares(ranking.sort(np.array([1.0, 1.0, 0.0]))).tolist()
    [0.0, 0.5, 1.0]
    """

    order: NDArray[np.intp]
    last_of_equals: NDArray[np.intp]

    def sort(self, values: NDArray[Number]) -> NDArray[Number]:
        """Bring values of the events into the order of the ranking, [n_events]."""
        return values.take(self.order)

    def shares(self, weight: Float64) -> Float64:
        """Give the share of weights in the first groups together, beginning with none, [groups + 1].

        Args:
            weight: sorted; signed, with a positive sum, zero for events that do not count, [n_events].
        """
        passed = np.concatenate(([0.0], np.cumsum(weight)))
        if len(self.last_of_equals) < len(weight):
            passed = passed.take(np.append(0, self.last_of_equals + 1))
        passed /= passed[-1]
        return passed

    def of_event(self, of_group: Float64) -> Float64:
        """Give the events, sorted, what their groups have, [groups] to [n_events]."""
        if len(of_group) == len(self.order):
            return of_group
        return np.repeat(of_group, np.diff(self.last_of_equals, prepend=-1))


def rank_events(rank: Float64) -> Ranking:
    """Sort events by falling rank, [n_events]."""
    # equal ranks in any order: they are cut together, and a stable sort is slower
    order = np.argsort(-rank)
    falling = rank.take(order)
    return Ranking(order, np.flatnonzero(np.append(falling[1:] != falling[:-1], True)))


class RankedScores:
    """Scores of events, checked and sorted once; what takes scores takes these, too.

    Args:
        scores: [n_events, n_classes].
        keep: whether the rankings are kept; where they are walked through once, one at a time takes less memory.

    Attributes:
        probabilities: the scores in 64 bits, [n_events, n_classes].

    Raises:
        TamisError: a score is no probability.

    Example:
        >>> [ranking.order.tolist() for ranking in RankedScores([[0.9, 0.1], [0.4, 0.6]]).rankings()]
        [[0, 1], [1, 0]]
    """

    def __init__(self, scores: ArrayLike, *, keep: bool = True) -> None:
        """Check the scores, and sort the events where the rankings are kept."""
        self.probabilities = probabilities_of(scores)
        self._kept = tuple(self._sorted()) if keep else None

    def _sorted(self) -> Iterator[Ranking]:
        return (rank_events(rank) for rank in class_ranks(self.probabilities).T)

    def rankings(self) -> Iterable[Ranking]:
        """Give the events by the rank of each class (`class_ranks`), [n_classes]."""
        return self._sorted() if self._kept is None else self._kept

    @cached_property
    def chosen(self) -> Float64:
        """One for the class with the highest score (`chosen_shares`), [n_events, n_classes]."""
        return chosen_shares(self.probabilities)


def ranked(scores: ArrayLike | RankedScores) -> RankedScores:
    """Sort scores unless they are sorted."""
    return scores if isinstance(scores, RankedScores) else RankedScores(scores)


def chosen_shares(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give one to the class with the highest score; classes that share it share the one. Shape as the input.

    >>> chosen_shares(np.array([[0.4, 0.4, 0.2]])).tolist()
    [[0.5, 0.5, 0.0]]
    """
    highest = probabilities == probabilities.max(axis=1, keepdims=True)
    parts: NDArray[np.float64] = highest / highest.sum(axis=1, keepdims=True)
    return parts
