"""Scores of events in the order of each class, sorted once for all that is computed of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.evaluation.arrays import class_ranks, probabilities_of

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Events in the order of falling rank.

    Args:
        order: indices of the events by falling rank, [n_events].
        last_of_equals: position in `order` of the last event of each group of equal ranks, [groups].

    >>> ranking = rank_events(np.array([0.1, 0.8, 0.8]))
    >>> ranking.efficiency(np.array([1.0, 1.0, 0.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    order: NDArray[np.intp]
    last_of_equals: NDArray[np.intp]

    def efficiency(self, weight: Float64) -> Float64:
        """Give the share of weights in the first groups together, beginning with none, [groups + 1].

        Args:
            weight: signed, with a positive sum; zero for events that do not count, [n_events].
        """
        passed = np.cumsum(weight[self.order])[self.last_of_equals]
        return np.concatenate(([0.0], passed / passed[-1]))


def rank_events(rank: Float64) -> Ranking:
    """Sort events by falling rank, [n_events]."""
    # equal ranks in any order: they are cut together, and a stable sort is slower
    order = np.argsort(-rank)
    falling = rank[order]
    return Ranking(order, np.flatnonzero(np.append(falling[1:] != falling[:-1], True)))


class RankedScores:
    """Scores of events, checked and sorted once; what takes scores takes these, too.

    Args:
        scores: [n_events, n_classes].

    Attributes:
        probabilities: the scores in 64 bits, [n_events, n_classes].
        rankings: the events by the rank of each class (`class_ranks`), [n_classes].

    Raises:
        TamisError: a score is no probability.

    Example:
        >>> [ranking.order.tolist() for ranking in RankedScores([[0.9, 0.1], [0.4, 0.6]]).rankings]
        [[0, 1], [1, 0]]
    """

    def __init__(self, scores: ArrayLike) -> None:
        """Sort the events."""
        self.probabilities = probabilities_of(scores)
        self.rankings = tuple(rank_events(rank) for rank in class_ranks(self.probabilities).T)


def ranked(scores: ArrayLike | RankedScores) -> RankedScores:
    """Sort scores unless they are sorted."""
    return scores if isinstance(scores, RankedScores) else RankedScores(scores)
