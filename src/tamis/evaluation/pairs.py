"""One class against one other: areas under the curve with intervals, and the curves of signal against background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.evaluation.arrays import classes_of, positive_sum, probabilities_of, weights_of
from tamis.evaluation.influence import influences_on_area
from tamis.evaluation.intervals import around, half_widths, is_known
from tamis.evaluation.ranking import rank_events
from tamis.evaluation.roc import RocCurve, roc_curve
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.units import units_of_rows

Float64 = NDArray[np.float64]

Interval = tuple[float, float] | None


def score_ratio(scores: ArrayLike, first: int, second: int) -> Float64:
    """Compute p(first) / (p(first) + p(second)), which tells two classes apart as if there were no other.

    Args:
        scores: [n_events, n_classes].
        first: index of a class.
        second: index of another class.

    Returns:
        Between 0 and 1, and 1/2 where both scores are zero, [n_events].

    >>> score_ratio([[0.75, 0.0, 0.25], [0.0, 1.0, 0.0]], 0, 2).tolist()
    [0.75, 0.5]
    """
    columns = np.asarray(scores, np.float64)
    one, both = columns[:, first], columns[:, first] + columns[:, second]
    ratio: Float64 = np.where(both > 0, one / np.where(both > 0, both, 1), 0.5)
    return ratio


@dataclass(frozen=True)
class Pairs:
    """How well each class is told from each other one.

    Args:
        auc: area under the curve of the score ratio, [n_classes][n_classes]; symmetric, None on the diagonal and where
            a class has no positive sum of weights.
        intervals: 68.3% intervals, likewise.
    """

    auc: tuple[tuple[float | None, ...], ...]
    intervals: tuple[tuple[Interval, ...], ...]

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give each pair, in both orders, as `metrics.json` holds it."""
        return {
            name: {
                other: {"auc": self.auc[row][column], "interval": self.intervals[row][column]}
                for column, other in enumerate(class_names)
                if row != column
            }
            for row, name in enumerate(class_names)
        }


def measure_pairs(events: ScoredEvents) -> Pairs:
    """Compute the area under the curve of every pair of classes, with its interval to first order.

    Training factors change nothing here, because each side is one class. No interval is given where a class has fewer
    than 25 effective events.

    Args:
        events: with their scores; the weights are signed.

    Raises:
        TamisError: the arrays do not fit together.
    """
    scores = probabilities_of(events.scores)
    weight = weights_of(events.weight, len(scores))
    classes = classes_of(events.class_index, *scores.shape)
    count = scores.shape[1]
    defined = [positive_sum(weight[classes == index]) is not None for index in range(count)]
    auc: list[list[float | None]] = [[None] * count for _ in range(count)]
    intervals: list[list[Interval]] = [[None] * count for _ in range(count)]
    for first, second in combinations(range(count), 2):
        if not (defined[first] and defined[second]):
            continue
        rows = np.flatnonzero((classes == first) | (classes == second))
        is_first, units = classes[rows] == first, units_of_rows(events.units, rows)
        ranking = rank_events(score_ratio(scores[rows], first, second))
        value, of_event = influences_on_area(ranking, is_first, weight[rows])
        auc[first][second] = auc[second][first] = value
        if is_known(is_first, weight[rows], units):
            (error,) = half_widths(of_event[:, None], units).tolist()
            intervals[first][second] = intervals[second][first] = around(value, error, "logit")
    return Pairs(tuple(map(tuple, auc)), tuple(map(tuple, intervals)))


@dataclass(frozen=True)
class PairCurve:
    """One signal class against one background class.

    Args:
        signal: index of the signal class.
        background: index of the background class.
        curve: of the ratio of their scores.
    """

    signal: int
    background: int
    curve: RocCurve


def pair_curves(events: ScoredEvents, signal: Sequence[int]) -> tuple[PairCurve, ...]:
    """Draw the curve of each signal class against each background class, with the ratio of their two scores.

    Args:
        events: with their scores; the weights are signed.
        signal: indices of the classes that are signal.

    Returns:
        By signal, then by background; pairs without a positive sum of weights are left out.
    """
    count = events.scores.shape[1]
    found = []
    for one in signal:
        for other in (index for index in range(count) if index not in signal):
            own = (events.class_index == one) | (events.class_index == other)
            is_signal, weight = events.class_index[own] == one, events.weight[own]
            if any(positive_sum(weight[part]) is None for part in (is_signal, ~is_signal)):
                continue
            curve = roc_curve(score_ratio(events.scores[own], one, other), is_signal, weight, class_index=one)
            found.append(PairCurve(one, other, curve))
    return tuple(found)
