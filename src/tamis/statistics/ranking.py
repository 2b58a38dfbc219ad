"""Rankings of the events by the score of each class, sorted once for all computations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.arrays import Float64
from tamis.statistics.arrays import check_probabilities, compute_class_ranks

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Events in the order of falling rank, [n_events], and the last position of each group of equals, [groups].

    >>> ranking = rank_events(np.array([0.1, 0.8, 0.8]))
    >>> ranking.shares(ranking.sort(np.array([1.0, 1.0, 0.0]))).tolist()
    [0.0, 0.5, 1.0]
    """

    order: NDArray[np.intp]
    last_of_equals: NDArray[np.intp]

    def sort(self, values: NDArray[Number]) -> NDArray[Number]:
        """Sort values of the events by falling rank, [n_events]."""
        return values.take(self.order)

    def shares(self, weight: Float64) -> Float64:
        """Compute the cumulative share of weight after each group, from 0 to 1, [groups + 1].

        The weights are sorted, with a positive sum, and zero for events that do not count, [n_events].
        """
        passed = np.concatenate(([0.0], np.cumsum(weight)))
        if len(self.last_of_equals) < len(weight):
            passed = passed.take(np.append(0, self.last_of_equals + 1))
        passed /= passed[-1]
        return passed

    def sum_above(self, values: Float64) -> Float64:
        """Sum sorted values of the events that rank higher, and half of those of equal rank, [n_events]."""
        summed = np.cumsum(values)
        above: Float64 = values * -0.5
        above += summed
        tied, first, last = self._ties
        above[tied] = (summed[first] - values[first] + summed[last]) / 2
        return above

    @cached_property
    def _ties(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Positions of the events that share their rank, and of the first and the last event of their groups."""
        last = self.last_of_equals
        sizes = np.diff(last, prepend=-1)
        shared = np.flatnonzero(sizes > 1)
        last, sizes = last[shared], sizes[shared]
        first, last = np.repeat(last + 1 - sizes, sizes), np.repeat(last, sizes)
        position_in_group = np.arange(len(first)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return first + position_in_group, first, last


def compute_area_under_curve(signal_above: Float64, background: Float64) -> float:
    """Compute the area under a ROC curve, equal ranks counting one half.

    For each event, [n_events], it takes the fraction of the signal that ranks above it (`Ranking.sum_above`), and the
    background weight, zero for signal.

    >>> ranking = rank_events(np.array([0.9, 0.4, 0.4]))
    >>> compute_area_under_curve(ranking.sum_above(np.array([0.5, 0.5, 0.0])), np.array([0.0, 0.0, 1.0]))
    0.75
    """
    return float(background @ signal_above) / float(background.sum())


def rank_events(rank: Float64) -> Ranking:
    """Sort events by falling rank, [n_events]."""
    # a cut never separates equal ranks, so their order does not matter, and a stable sort is slower
    order = np.argsort(-rank)
    falling = rank.take(order)
    return Ranking(order, np.flatnonzero(np.append(falling[1:] != falling[:-1], True)))


class RankedScores:
    """Scores of events, [n_events, n_classes], checked and sorted once; functions that take scores accept it too.

    `probabilities` are the scores in 64 bits. Computing the rankings one by one takes less memory than to `store` them,
    if each is used once.

    Raises:
        TamisError: a score is not a probability.

    >>> [ranking.order.tolist() for ranking in RankedScores([[0.9, 0.1], [0.4, 0.6]]).rankings()]
    [[0, 1], [1, 0]]
    """

    def __init__(self, scores: ArrayLike, *, store: bool = True) -> None:
        """Check the scores, and sort the events if the rankings are stored."""
        self.probabilities = check_probabilities(scores)
        self._stored = tuple(self._sorted()) if store else None

    def _sorted(self) -> Iterator[Ranking]:
        return (rank_events(rank) for rank in compute_class_ranks(self.probabilities).T)

    def rankings(self) -> Iterable[Ranking]:
        """Return the ranking of the events for each class (`compute_class_ranks`), [n_classes]."""
        return self._sorted() if self._stored is None else self._stored

    @cached_property
    def chosen(self) -> Float64:
        """Decision of each event (`compute_decision_shares`), [n_events, n_classes]."""
        return compute_decision_shares(self.probabilities)


def rank_scores(scores: ArrayLike | RankedScores) -> RankedScores:
    """Sort scores unless they are sorted already."""
    return scores if isinstance(scores, RankedScores) else RankedScores(scores)


def compute_decision_shares(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 for the class with the highest score and 0 otherwise; tied classes share the 1 equally.

    >>> compute_decision_shares(np.array([[0.4, 0.4, 0.2]])).tolist()
    [[0.5, 0.5, 0.0]]
    """
    highest = probabilities == probabilities.max(axis=1, keepdims=True)
    shares: NDArray[np.float64] = highest / highest.sum(axis=1, keepdims=True)
    return shares
