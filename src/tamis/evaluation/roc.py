"""The receiver operating characteristic of one score, weighted and exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.errors import RequestError, TamisError
from tamis.evaluation.arrays import (
    classes_of,
    needed_sum,
    positive_sum,
    real_numbers,
    same_length,
    weights_of,
)
from tamis.evaluation.ranking import RankedScores, Ranking, rank_events, ranked
from tamis.evaluation.units import Units, merge_in_cells


@dataclass(frozen=True, eq=False)
class RocCurve:
    """What each cut `score >= threshold` keeps of signal and of background.

    The points run from the cut that keeps nothing to the cut that keeps everything; there is one for each
    different score, and for each different rank where a rank was given. With weights of one sign both efficiencies
    only grow; with signed weights they may go down between two points and leave [0, 1].

    Args:
        thresholds: the cut of each point, falling, the first is infinity; the same for points that only the rank
            tells apart. Shape [n_points].
        signal_efficiency: weighted share of the signal that passes, from 0 to 1. Shape [n_points].
        background_efficiency: weighted share of the background that passes, from 0 to 1. Shape [n_points].
        auc: area under signal efficiency against background efficiency, by the trapezoid rule. It is the
            weighted share of pairs (signal, background) in which the signal has the higher score; equal
            scores count one half.
        class_index: the class that is signal, where the curve sets one class against all others.
    """

    thresholds: NDArray[np.float64]
    signal_efficiency: NDArray[np.float64]
    background_efficiency: NDArray[np.float64]
    auc: float
    class_index: int | None = None


@dataclass(frozen=True)
class WorkingPoint:
    """One cut on a score, and what it keeps.

    Args:
        target: the signal efficiency that was asked for.
        threshold: events with `score >= threshold` pass.
        signal_efficiency: share of the signal that passes; at least the target.
        background_efficiency: share of the background that passes.
        background_rejection: 1 / background efficiency; None where no background passes, or where its
            signed weights sum to less than nothing.
        background_efficiency_interval: 68.3% bootstrap interval, with a new cut in each sample; None where it is not
            measured.
        background_rejection_interval: the same for the rejection; without an upper end where no background may be left.
        background_efficiency_limit: upper limit with 95% confidence where no background event passes, else None.
        background_rejection_limit: the lower limit of the rejection that follows.
    """

    target: float
    threshold: float
    signal_efficiency: float
    background_efficiency: float
    background_rejection: float | None
    background_efficiency_interval: tuple[float, float] | None = None
    background_rejection_interval: tuple[float, float | None] | None = None
    background_efficiency_limit: float | None = None
    background_rejection_limit: float | None = None

    def between(self, low: float, high: float) -> WorkingPoint:
        """Add the interval of the background efficiency.

        >>> WorkingPoint(0.5, 0.9, 0.5, 0.02, 50.0).between(0.01, 0.04).background_rejection_interval
        (25.0, 100.0)
        """
        rejection = (1 / high, 1 / low if low > 0 else None)
        return replace(
            self, background_efficiency_interval=(low, high), background_rejection_interval=rejection
        )

    def below(self, limit: float) -> WorkingPoint:
        """Add the upper limit of the background efficiency.

        >>> WorkingPoint(0.5, 0.9, 0.5, 0.0, None).below(0.01).background_rejection_limit
        100.0
        """
        return replace(self, background_efficiency_limit=limit, background_rejection_limit=1 / limit)


def roc_curve(
    score: ArrayLike,
    is_signal: ArrayLike,
    weight: ArrayLike,
    *,
    rank: ArrayLike | None = None,
    class_index: int | None = None,
) -> RocCurve:
    """Follow signal and background efficiency through all cuts on a score.

    The cost is that of sorting. An infinite score is allowed, NaN is not.

    Args:
        score: higher means more like signal. Shape [n_events].
        is_signal: true or 1 for signal, false or 0 for background. Shape [n_events].
        weight: signed physics weight. Shape [n_events].
        rank: what rises with the score and tells events apart whose scores were rounded to one value; by default the
            score. Shape [n_events].
        class_index: kept in the result.

    Raises:
        TamisError: if the arrays do not fit together, or if the sum of weights of signal or of background
            is not positive.

    Example:
        >>> curve = roc_curve([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1], [1.0, 1.0, 1.0, 1.0])
        >>> curve.auc
        0.875
        >>> curve.thresholds.tolist()
        [inf, 0.8, 0.4, 0.1]
        >>> curve.signal_efficiency.tolist(), curve.background_efficiency.tolist()
        ([0.0, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0])
    """
    values = real_numbers(score, "score")
    weights = weights_of(weight, len(values))
    signal = _signal_mask(is_signal, len(values))
    for name, part in (("signal", weights[signal]), ("background", weights[~signal])):
        where = "" if class_index is None else f" for class {class_index}"
        needed_sum(part, f"ROC curve{where}: the weights of the {name}")
    ranks = values if rank is None else real_numbers(rank, "rank")
    same_length(ranks, len(values), "rank")
    return _follow(values, rank_events(ranks), signal, weights, class_index)


def _follow(
    score: NDArray[np.float64],
    ranking: Ranking,
    is_signal: NDArray[np.bool_],
    weight: NDArray[np.float64],
    class_index: int | None,
) -> RocCurve:
    signal, background = efficiencies(ranking, ranking.sort(is_signal), ranking.sort(weight))
    lowest_scores = score[ranking.order[ranking.last_of_equals]]
    return RocCurve(
        # of scores that were rounded the last bit need not fall with the rank
        thresholds=_frozen(np.minimum.accumulate(np.concatenate(([np.inf], lowest_scores)))),
        signal_efficiency=_frozen(signal),
        background_efficiency=_frozen(background),
        auc=area(signal, background),
        class_index=class_index,
    )


def efficiencies(
    ranking: Ranking, is_signal: NDArray[np.bool_], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give what the cuts between groups of equal ranks keep of signal and background, beginning with none.

    Args:
        ranking: the events, sorted.
        is_signal: sorted, [n_events].
        weight: sorted; signed, signal and background have positive sums, [n_events].

    Returns:
        Signal and background efficiency, [groups + 1] each.
    """
    signal = np.where(is_signal, weight, 0.0)
    return ranking.shares(signal), ranking.shares(weight - signal)


def area(signal_efficiency: NDArray[np.float64], background_efficiency: NDArray[np.float64]) -> float:
    """Compute the area under the curve, equal ranks counting one half.

    >>> area(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.0, 1.0]))
    0.75
    """
    return float(np.trapezoid(signal_efficiency, background_efficiency))


def roc_curves(
    scores: ArrayLike | RankedScores, class_index: ArrayLike, weight: ArrayLike
) -> tuple[RocCurve | None, ...]:
    """Draw the curve of each class against all others, with the score of that class, ranked by `class_ranks`.

    Args:
        scores: shape [n_events, n_classes].
        class_index: true class of each event. Shape [n_events].
        weight: signed physics weight. Shape [n_events].

    Returns:
        One curve per class; None where the class, or the rest, has no positive sum of weights.
    """
    sorted_scores = ranked(scores)
    columns = sorted_scores.probabilities
    weights = weights_of(weight, len(columns))
    classes = classes_of(class_index, *columns.shape)
    curves: list[RocCurve | None] = []
    for index, ranking in enumerate(sorted_scores.rankings()):
        signal = classes == index
        defined = positive_sum(weights[signal]) is not None and positive_sum(weights[~signal]) is not None
        curves.append(_follow(columns[:, index], ranking, signal, weights, index) if defined else None)
    return tuple(curves)


def background_rejection(curve: RocCurve, working_points: Sequence[float]) -> tuple[WorkingPoint, ...]:
    """Find the cuts that reach given signal efficiencies, and what they reject.

    The cut is the highest threshold at which the signal efficiency reaches the target, so it is one that an
    analysis can apply: where scores are equal, or rounded to one value, it may keep more than the target, which the
    result says.

    Args:
        curve: the curve of the score.
        working_points: signal efficiencies above 0, up to 1.

    Raises:
        RequestError: if a working point is outside that range.

    Example:
        >>> curve = roc_curve([0.1, 0.3, 0.4, 0.8], [0, 0, 1, 1], [1.0, 1.0, 1.0, 1.0])
        >>> background_rejection(curve, [0.5])[0].threshold
        0.8
    """
    wrong = [point for point in working_points if not 0 < point <= 1]
    if wrong:
        raise RequestError(f"working points: expected signal efficiencies above 0 and up to 1, found {wrong}")
    return tuple(_working_point(curve, float(target)) for target in working_points)


def _working_point(curve: RocCurve, target: float) -> WorkingPoint:
    # Efficiencies are sums: without the tolerance rounding could move the cut by one event.
    point = int(np.argmax(curve.signal_efficiency >= target - 1e-12))
    # a cut on the score keeps all events of one score, whatever their ranks are
    point = int(np.searchsorted(-curve.thresholds, -curve.thresholds[point], side="right")) - 1
    background = float(curve.background_efficiency[point])
    return WorkingPoint(
        target=target,
        threshold=float(curve.thresholds[point]),
        signal_efficiency=float(curve.signal_efficiency[point]),
        background_efficiency=background,
        background_rejection=1 / background if background > 0 else None,
    )


def limit_of_none(class_index: ArrayLike, weight: ArrayLike, *, units: Units | None = None) -> float | None:
    """Give the upper limit, with 95% confidence, of the efficiency of a cut that none of these events passes.

    None of n events passes with a probability of 5% where three are expected, -ln 0.05 = 3.00. A sample whose events
    have the weights w has as much as events of one weight, the sum of w^2 over the sum of w. The classes may pass with
    different probabilities, so the one counts whose events of this kind are the largest part of all. Events that vary
    together are one with the sum of their weights: they pass or fail as one.

    Args:
        class_index: of the events, [n_events].
        weight: signed physics weight, [n_events].
        units: number of what each event belongs to, where several events vary together, [n_events].

    Returns:
        None where a class has no positive sum of weights, and where the limit is not below one.

    >>> round(limit_of_none(np.zeros(1000, int), np.ones(1000)), 6)
    0.002996
    """
    weights = weights_of(weight, np.size(weight))
    classes = np.asarray(class_index)
    sums = np.bincount(classes, weights)[np.unique(classes)]
    if not len(sums) or (sums <= 0).any():
        return None
    merged, of_unit = merge_in_cells(classes, weights, units)
    squares = np.bincount(merged, of_unit**2)[np.unique(classes)]
    limit = float(-np.log(0.05) * (squares / sums).max() / sums.sum())
    return limit if limit < 1 else None


def _signal_mask(is_signal: ArrayLike, events: int) -> NDArray[np.bool_]:
    mask = real_numbers(is_signal, "is_signal")
    same_length(mask, events, "is_signal")
    if not np.isin(mask, (0, 1)).all():
        raise TamisError("is_signal: expected true and false (or 1 and 0), found other numbers")
    return mask.astype(np.bool_)


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.flags.writeable = False
    return array
