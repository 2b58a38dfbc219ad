"""What each event contributes to loss, accuracy and areas under the curve, and the errors that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.evaluation.arrays import classes_of, needed_sum, positive_sum, weights_of
from tamis.evaluation.metrics import event_losses
from tamis.evaluation.ranking import RankedScores, Ranking, ranked
from tamis.evaluation.roc import area, efficiencies
from tamis.evaluation.units import sum_by_unit

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Influences:
    """Loss, accuracy and areas under the curve of some events, and what each event contributes to them.

    Args:
        value: loss, accuracy and the area of each class, NaN where it is not defined, [2 + n_classes].
        of_event: change of each value, to first order, if the event counted twice, [n_events, 2 + n_classes].
    """

    value: Float64
    of_event: Float64


def find_influences(
    scores: ArrayLike | RankedScores, class_index: ArrayLike, weight: ArrayLike
) -> Influences:
    """Compute the numbers of some events, and the influence of each event on them.

    The influences sum to zero, and the root of the sum of their squares is the standard deviation of the number
    (B. Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", SIAM 1982, chapter 6). For the area it is
    that of E. DeLong et al., Biometrics 44 (1988) 837, with weights. Influences of several numbers of the same events
    are subtracted before they are squared: so the error of a difference knows what the two have in common. For the
    areas of two scores that are nearly the same it is too large, by a third for 1000 events and a tenth for 10,000.

    Args:
        scores: [n_events, n_classes].
        class_index: the true class, [n_events].
        weight: signed weight, [n_events].

    Raises:
        TamisError: the arrays do not fit together, or the weights have no positive sum.

    >>> found = find_influences([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], [0, 1, 1], [1.0, 1.0, 2.0])
    >>> found.value[1], found.of_event[:, 1].tolist()
    (np.float64(0.75), [0.0625, -0.1875, 0.125])
    """
    sorted_scores = ranked(scores)
    events, classes = sorted_scores.probabilities.shape
    value, of_event = np.empty(2 + classes), np.empty((events, 2 + classes))
    for number, (found,) in enumerate(each_influence(sorted_scores, class_index, [weight])):
        value[number], of_event[:, number] = found
    return Influences(value, of_event)


def each_influence(
    scores: RankedScores, class_index: ArrayLike, weights: Sequence[ArrayLike]
) -> Iterator[list[tuple[float, Float64]]]:
    """Compute loss, accuracy and the area of each class, one after the other, with the influence of each event.

    Args:
        scores: [n_events, n_classes].
        class_index: the true class, [n_events].
        weights: one or several signed weights of each event, [n_events] each.

    Yields:
        For each number in turn its value and the influences, [n_events], with each of the weights.

    Raises:
        TamisError: the arrays do not fit together, or the weights have no positive sum.
    """
    probabilities = scores.probabilities
    classes = classes_of(class_index, *probabilities.shape)
    checked = [weights_of(weight, len(probabilities)) for weight in weights]
    totals = [needed_sum(weight, "influence: the weights") for weight in checked]
    for terms in (event_losses(probabilities, classes), scores.chosen[np.arange(len(classes)), classes]):
        means = [float(weight @ terms) / total for weight, total in zip(checked, totals, strict=True)]
        yield [
            (mean, weight * (terms - mean) / total)
            for mean, weight, total in zip(means, checked, totals, strict=True)
        ]
    for index, ranking in enumerate(scores.rankings()):
        yield [influences_on_area(ranking, classes == index, weight) for weight in checked]


def standard_errors(of_event: Float64, units: NDArray[np.intp] | None = None) -> Float64:
    """Give the standard deviation of each number from what its events contribute.

    Args:
        of_event: influences, [n_events, numbers].
        units: number of what each event belongs to, where several events vary together, [n_events].

    >>> standard_errors(np.array([[3.0], [-4.0]])), standard_errors(np.array([[3.0], [-4.0]]), np.array([0, 0]))
    (array([5.]), array([1.]))
    """
    errors: Float64 = np.sqrt(np.square(sum_by_unit(of_event, units)).sum(axis=0))
    return errors


def influences_on_means(values: Float64, weight: Float64) -> tuple[Float64, Float64]:
    """Compute weighted means and the influence of each event on them.

    Args:
        values: [n_events, numbers].
        weight: signed, with a positive sum, [n_events].

    >>> means, of_event = influences_on_means(np.array([[1.0], [5.0]]), np.array([3.0, 1.0]))
    >>> means, of_event.tolist()
    (array([2.]), [[-0.75], [0.75]])
    """
    total = float(weight.sum())
    means: Float64 = weight @ values / total
    return means, (values - means) * (weight / total)[:, None]


def keep_sums(
    of_event: Float64,
    class_index: NDArray[np.integer],
    before: Float64,
    after: Float64,
    of_weight: Float64 | None = None,
) -> Float64:
    """Add to the influences that the weights of each class were scaled to a sum that has an error itself.

    Args:
        of_event: influences with the scaled weights, [n_events, numbers].
        class_index: the true class, [n_events].
        before: weights whose sum each class keeps, [n_events].
        after: the scaled weights, [n_events].
        of_weight: relative changes of the numbers if the weight of an event grew, where they are not its influences,
            [n_events, numbers].
    """
    classes = int(class_index.max(initial=0)) + 1
    sums = np.bincount(class_index, before, classes)
    of_class = np.stack(
        [
            np.bincount(class_index, column, classes)
            for column in (of_event if of_weight is None else of_weight).T
        ],
        axis=1,
    )
    share = np.divide(of_class, sums[:, None], out=np.zeros_like(of_class), where=sums[:, None] > 0)
    scaled: Float64 = of_event + (before - after)[:, None] * share[class_index]
    return scaled


def kept_influences(
    score: Float64, signal: NDArray[np.bool_], weight: Float64, threshold: float, target: float
) -> Float64:
    """Give what each event contributes to the background efficiency of the cut at a signal efficiency, [n_events].

    An event of the background moves the efficiency itself, one of the signal the cut, and so the efficiency by the
    slope of the ROC curve there: that of the chord between signal efficiencies up to 2% lower and higher.

    Args:
        score: [n_events].
        signal: which events are signal, [n_events].
        weight: signed weight, [n_events].
        threshold: the cut that reaches the signal efficiency.
        target: this signal efficiency.
    """
    sums = [float(weight.compress(part).sum()) for part in (signal, ~signal)]
    passes = score >= threshold
    kept = float(weight.compress(passes & ~signal).sum()) / sums[1]
    reached = float(weight.compress(passes & signal).sum()) / sums[0]
    reach = min(0.02, (1 - target) / 10, target / 2)
    of_it, weights = score.compress(signal), weight.compress(signal)
    order = np.argsort(-of_it)
    rising = np.cumsum(weights.take(order)) / sums[0]
    tight, loose = (of_it[order[int(np.argmax(rising >= target + way * reach))]] for way in (-1, 1))
    inside = (score >= loose) & (score < tight)
    of_signal, of_background = (
        float(weight.compress(inside & part).sum()) / total
        for part, total in zip((signal, ~signal), sums, strict=True)
    )
    slope = of_background / of_signal if of_signal > 0 else 0.0
    return np.where(
        signal, -slope * weight * (passes - reached) / sums[0], weight * (passes - kept) / sums[1]
    )


def influences_on_area(
    ranking: Ranking, is_signal: NDArray[np.bool_], weight: Float64
) -> tuple[float, Float64]:
    """Compute the area under the curve and the influence of each event on it; NaN where it is not defined.

    Args:
        ranking: the events, sorted.
        is_signal: [n_events].
        weight: signed, [n_events].

    >>> _, ranking = RankedScores([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]).rankings()
    >>> found, of_event = influences_on_area(ranking, np.array([False, True, False]), np.ones(3))
    >>> found, of_event.tolist()
    (0.5, [0.25, 0.0, -0.25])
    """
    signal_sum, background_sum = (positive_sum(weight.compress(part)) for part in (is_signal, ~is_signal))
    if signal_sum is None or background_sum is None:
        return np.nan, np.full(len(weight), np.nan)
    signal, sorted_weight = ranking.sort(is_signal), ranking.sort(weight)
    found = efficiencies(ranking, signal, sorted_weight)
    whole = area(*found)
    # share of signal, and of background, that ranks higher; equal ones count one half
    signal_above, background_above = (
        ranking.of_event((efficiency[1:] + efficiency[:-1]) / 2) for efficiency in found
    )
    influence = np.empty_like(weight)
    influence[ranking.order] = sorted_weight * np.where(
        signal, (1 - background_above - whole) / signal_sum, (signal_above - whole) / background_sum
    )
    return whole, influence
