"""The receiver operating characteristic of one score, weighted and exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.arrays import Float64
from tamis.errors import RequestError, TamisError
from tamis.statistics.arrays import (
    check_classes,
    check_length,
    check_positive_sum,
    check_real_numbers,
    check_weights,
    positive_sum,
)
from tamis.statistics.ranking import RankedScores, Ranking, compute_area_under_curve, rank_events, rank_scores
from tamis.statistics.units import Units, merge_in_cells


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Signal and background efficiency of each cut `score >= threshold`.

    The points run from the cut that selects nothing to the cut that selects everything, one for each different score or
    rank. With weights of one sign both efficiencies only grow; with signed weights they may decrease between two points
    and leave [0, 1].

    Args:
        thresholds: the cut of each point, falling from infinity; equal for points that differ only in rank, [n_points].
        signal_efficiency: weighted fraction of the signal that passes, from 0 to 1, [n_points].
        background_efficiency: weighted fraction of the background that passes, from 0 to 1, [n_points].
        auc: area under signal efficiency against background efficiency, by the trapezoid rule: the weighted fraction of
            pairs (signal, background) in which the signal has the higher score; equal scores count one half.
    """

    thresholds: Float64
    signal_efficiency: Float64
    background_efficiency: Float64
    auc: float


@dataclass(frozen=True)
class WorkingPoint:
    """A cut on a score, with its efficiencies.

    Args:
        target: the requested signal efficiency.
        threshold: events with `score >= threshold` pass.
        signal_efficiency: fraction of the signal that passes; at least the target.
        background_efficiency: fraction of the background that passes.
        background_rejection: 1 / background efficiency; None if that is not positive.
        background_efficiency_interval: 68.3% bootstrap interval, with a new cut in each sample; None if it was not
            computed.
        background_rejection_interval: the same for the rejection; without an upper end if possibly no background
            passes.
        background_efficiency_limit: upper limit with 95% confidence if no background event passes, else None.
        background_rejection_limit: the corresponding lower limit of the rejection.
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
        """Return the working point with this interval of the background efficiency.

        >>> WorkingPoint(0.5, 0.9, 0.5, 0.02, 50.0).between(0.01, 0.04).background_rejection_interval
        (25.0, 100.0)
        """
        rejection = (1 / high, 1 / low if low > 0 else None)
        return replace(
            self, background_efficiency_interval=(low, high), background_rejection_interval=rejection
        )

    def below(self, limit: float) -> WorkingPoint:
        """Return the working point with this upper limit of the background efficiency.

        >>> WorkingPoint(0.5, 0.9, 0.5, 0.0, None).below(0.01).background_rejection_limit
        100.0
        """
        return replace(self, background_efficiency_limit=limit, background_rejection_limit=1 / limit)


def compute_roc_curve(score: ArrayLike, is_signal: ArrayLike, weight: ArrayLike) -> RocCurve:
    """Compute signal and background efficiency, of positive sums of weights, for every cut on a score.

    A score may be infinite.

    >>> curve = compute_roc_curve([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1], [1.0, 1.0, 1.0, 1.0])
    >>> curve.auc
    0.875
    >>> curve.thresholds.tolist()
    [inf, 0.8, 0.4, 0.1]
    >>> curve.signal_efficiency.tolist(), curve.background_efficiency.tolist()
    ([0.0, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0])
    """
    values = check_real_numbers(score, "score")
    weights = check_weights(weight, len(values))
    mask = check_real_numbers(is_signal, "is_signal")
    check_length(mask, len(values), "is_signal")
    if not np.isin(mask, (0, 1)).all():
        raise TamisError("is_signal: expected true and false (or 1 and 0), found other numbers")
    signal = mask.astype(np.bool_)
    for name, weights_of_kind in (("signal", weights[signal]), ("background", weights[~signal])):
        check_positive_sum(weights_of_kind, f"ROC curve: the weights of the {name}")
    return _build_curve(values, rank_events(values), signal, weights)


def _build_curve(score: Float64, ranking: Ranking, is_signal: NDArray[np.bool_], weight: Float64) -> RocCurve:
    sorted_weight = ranking.sort(weight)
    signal = np.where(ranking.sort(is_signal), sorted_weight, 0.0)
    background = sorted_weight - signal
    lowest_scores = score[ranking.order[ranking.last_of_equals]]
    return RocCurve(
        # the last bit of rounded scores may increase as the rank falls
        thresholds=_frozen(np.minimum.accumulate(np.concatenate(([np.inf], lowest_scores)))),
        signal_efficiency=_frozen(ranking.shares(signal)),
        background_efficiency=_frozen(ranking.shares(background)),
        auc=compute_area_under_curve(ranking.sum_above(signal) / float(signal.sum()), background),
    )


def compute_roc_curves(
    scores: ArrayLike | RankedScores, class_index: ArrayLike, weight: ArrayLike
) -> tuple[RocCurve | None, ...]:
    """Compute the ROC curve of each class against all others, with its score; None without positive sums of both."""
    sorted_scores = rank_scores(scores)
    columns = sorted_scores.probabilities
    weights = check_weights(weight, len(columns))
    classes = check_classes(class_index, *columns.shape)
    curves: list[RocCurve | None] = []
    for index, ranking in enumerate(sorted_scores.rankings()):
        signal = classes == index
        defined = positive_sum(weights[signal]) is not None and positive_sum(weights[~signal]) is not None
        curves.append(_build_curve(columns[:, index], ranking, signal, weights) if defined else None)
    return tuple(curves)


def mean_auc(scores: ArrayLike, class_index: ArrayLike, weight: ArrayLike) -> float:
    """Average the areas under the ROC curves of the classes, one versus the rest.

    Classes without a positive sum of weights, or without others, are left out; without any class the result is 0.5.

    >>> mean_auc([[0.9, 0.1], [0.2, 0.8]], [0, 1], [1.0, 1.0])
    1.0
    """
    areas = [curve.auc for curve in compute_roc_curves(scores, class_index, weight) if curve is not None]
    return float(np.mean(areas)) if areas else 0.5


def compute_working_points(curve: RocCurve, working_points: Sequence[float]) -> tuple[WorkingPoint, ...]:
    """Compute the cuts that reach given signal efficiencies, above 0 and up to 1.

    The cut is the highest threshold at which the signal efficiency reaches the target, so that an analysis can apply
    it: with equal or rounded scores its signal efficiency may exceed the target.

    Raises:
        RequestError: a signal efficiency is outside that range.

    >>> curve = compute_roc_curve([0.1, 0.3, 0.4, 0.8], [0, 0, 1, 1], [1.0, 1.0, 1.0, 1.0])
    >>> compute_working_points(curve, [0.5])[0].threshold
    0.8
    """
    wrong = [point for point in working_points if not 0 < point <= 1]
    if wrong:
        raise RequestError(f"working points: expected signal efficiencies above 0 and up to 1, found {wrong}")
    return tuple(_working_point(curve, float(target)) for target in working_points)


def _working_point(curve: RocCurve, target: float) -> WorkingPoint:
    # Efficiencies are sums: without the tolerance rounding could move the cut by one event.
    point = int(np.argmax(curve.signal_efficiency >= target - 1e-12))
    # a cut on the score selects all events of equal score, also those of other ranks
    point = int(np.searchsorted(-curve.thresholds, -curve.thresholds[point], side="right")) - 1
    background = float(curve.background_efficiency[point])
    return WorkingPoint(
        target=target,
        threshold=float(curve.thresholds[point]),
        signal_efficiency=float(curve.signal_efficiency[point]),
        background_efficiency=background,
        background_rejection=1 / background if background > 0 else None,
    )


def compute_efficiency_limit(
    class_index: ArrayLike, weight: ArrayLike, *, units: Units | None = None
) -> float | None:
    """Compute the 95% confidence upper limit on the efficiency of a cut that none of these events passes.

    The probability that no event passes is 5% if three are expected to pass, -ln 0.05 = 3.00. A sample with weights w
    is equivalent to events with the weight (sum of w^2) / (sum of w). The classes may have different efficiencies, so
    the class with the largest such weight determines the limit. Events of one unit pass or fail together: they count as
    one event with the sum of their weights. The result is None if a class has no positive sum of weights, or if the
    limit is not below one.

    >>> round(compute_efficiency_limit(np.zeros(1000, int), np.ones(1000)), 6)
    0.002996
    """
    weights = check_weights(weight, np.size(weight))
    classes = np.asarray(class_index)
    sums = np.bincount(classes, weights)[np.unique(classes)]
    if not len(sums) or (sums <= 0).any():
        return None
    merged, of_unit = merge_in_cells(classes, weights, units)
    squares = np.bincount(merged, of_unit**2)[np.unique(classes)]
    limit = float(-np.log(0.05) * (squares / sums).max() / sums.sum())
    return limit if limit < 1 else None


def _frozen(array: Float64) -> Float64:
    array.flags.writeable = False
    return array
