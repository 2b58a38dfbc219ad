"""Two classes, one as signal and one as background: areas under the curve with intervals, and ROC curves."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from tamis.arrays import Float64
from tamis.statistics.arrays import check_scored, positive_sum
from tamis.statistics.influence import compute_area_influences
from tamis.statistics.intervals import Interval, compute_half_widths, compute_interval, has_area_interval
from tamis.statistics.ranking import rank_events
from tamis.statistics.roc import RocCurve, compute_roc_curve
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.units import select_units


def compute_score_ratio(scores: ArrayLike, first: int, second: int) -> Float64:
    """Compute p(first) / (p(first) + p(second)) of two classes, 1/2 if both scores are zero, [n_events].

    The ratio separates the two classes as if there were no others.

    >>> compute_score_ratio([[0.75, 0.0, 0.25], [0.0, 1.0, 0.0]], 0, 2).tolist()
    [0.75, 0.5]
    """
    columns = np.asarray(scores, np.float64)
    score, total = columns[:, first], columns[:, first] + columns[:, second]
    ratio: Float64 = np.where(total > 0, score / np.where(total > 0, total, 1), 0.5)
    return ratio


@dataclass(frozen=True)
class PairAreas:
    """Areas under the curve of the score ratio of all pairs of classes, [n_classes][n_classes], with 68.3% intervals.

    They are symmetric, None on the diagonal and if a class has no positive sum of weights; intervals also for fewer
    than 25 effective events of a class.
    """

    auc: tuple[tuple[float | None, ...], ...]
    intervals: tuple[tuple[Interval | None, ...], ...]


def compute_pair_areas(events: ScoredEvents) -> PairAreas:
    """Compute the area under the curve of every pair of classes, with its interval to first order.

    Class weights have no influence, because each side is one class.
    """
    scores, classes, weight = check_scored(events.scores, events.class_index, events.weight)
    count = scores.shape[1]
    defined = [positive_sum(weight[classes == index]) is not None for index in range(count)]
    auc: list[list[float | None]] = [[None] * count for _ in range(count)]
    intervals: list[list[Interval | None]] = [[None] * count for _ in range(count)]
    for first, second in combinations(range(count), 2):
        if not (defined[first] and defined[second]):
            continue
        rows = np.flatnonzero((classes == first) | (classes == second))
        is_first, units = classes[rows] == first, select_units(events.units, rows)
        ranking = rank_events(compute_score_ratio(scores[rows], first, second))
        value, of_event = compute_area_influences(ranking, is_first, weight[rows])
        auc[first][second] = auc[second][first] = value
        if has_area_interval(is_first, weight[rows], units):
            (error,) = compute_half_widths(of_event[:, None], units).tolist()
            intervals[first][second] = intervals[second][first] = compute_interval(value, error, "logit")
    return PairAreas(tuple(map(tuple, auc)), tuple(map(tuple, intervals)))


def compute_pair_curve(events: ScoredEvents, signal: int, background: int) -> RocCurve | None:
    """Compute the ROC curve of one class against another one, with the ratio of their scores.

    The result is None if a class has no positive sum of weights.
    """
    rows = (events.class_index == signal) | (events.class_index == background)
    is_signal, weight = events.class_index[rows] == signal, events.weight[rows]
    if any(positive_sum(weight[of_class]) is None for of_class in (is_signal, ~is_signal)):
        return None
    ratio = compute_score_ratio(events.scores[rows], signal, background)
    return compute_roc_curve(ratio, is_signal, weight)
