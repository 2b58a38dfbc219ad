"""Compare the network with baselines (other classifiers) on the same test events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float64
from tamis.errors import RequestError
from tamis.statistics.arrays import check_real_numbers, compute_effective_sample_size
from tamis.statistics.influence import compute_efficiency_influences, compute_influences
from tamis.statistics.intervals import Interval, compute_half_widths, compute_interval, compute_intervals
from tamis.statistics.ranking import RankedScores
from tamis.statistics.roc import RocCurve, WorkingPoint, compute_roc_curves, compute_working_points
from tamis.statistics.roc_outline import RocOutline, compute_least_efficiency, outline_roc
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.split_metrics import find_known_numbers, list_interval_scales
from tamis.statistics.units import Units, select_units

Needed = TypeVar("Needed")
_LOSS, _ACCURACY, _AUC = 0, 1, 2
_FEWEST_PASSING = 10.0
"""Effective background events that must pass both cuts for an interval of the ratio of the backgrounds."""


@dataclass(frozen=True)
class ComparedNumber:
    """One number of a baseline, and its difference from the network on the same events.

    Args:
        value: of the baseline.
        interval: 68.3% interval to first order; None for too few events, or if the number is at its bound.
        difference: network minus baseline.
        difference_interval: likewise. It is paired: influences of the same event are subtracted, so that common
            fluctuations cancel.
    """

    value: float
    interval: Interval | None
    difference: float
    difference_interval: Interval | None


@dataclass(frozen=True)
class WeightingComparison:
    """The numbers of a baseline with one class weighting: loss, accuracy, and area of each class, None if undefined."""

    loss: ComparedNumber
    accuracy: ComparedNumber
    auc: tuple[ComparedNumber | None, ...]


@dataclass(frozen=True)
class BackgroundRatio:
    """The backgrounds of the network and of a baseline after cuts with the same signal efficiency.

    Args:
        target: the requested signal efficiency.
        signal_efficiency: of both cuts: that of the baseline, whose score may have few different values.
        ratio: background efficiency of the network divided by that of the baseline; None if one is not positive.
        interval: 68.3% interval to first order, paired; None with fewer than 10 effective events that pass.
    """

    target: float
    signal_efficiency: float
    ratio: float | None
    interval: Interval | None


@dataclass(frozen=True, eq=False)
class SignalComparison:
    """How well a baseline separates signal and background, with the physics weights.

    Args:
        auc: area under the curve of the signal score: the sum of the scores of the signal classes, or the discriminant.
        network_auc: area of the signal score of the network.
        curve: of the baseline, drawn as far as the network's: a discriminant of a few steps would end too early.
        working_points: cuts on the signal score of the baseline.
        background_ratios: network over baseline, at each of them.
    """

    auc: ComparedNumber
    network_auc: float
    curve: RocOutline
    working_points: tuple[WorkingPoint, ...]
    background_ratios: tuple[BackgroundRatio, ...]


@dataclass(frozen=True)
class Cut:
    """A cut on one feature.

    Args:
        feature: its name.
        low: events below it fail; None for a cut that is open.
        high: events above it fail; None for a cut that is open.
    """

    feature: str
    low: float | None
    high: float | None


@dataclass(frozen=True)
class BoxOfCuts:
    """Cuts that were optimised for one signal efficiency on training events, and their efficiencies on test events.

    Args:
        target: the requested signal efficiency.
        fold: the fold that was not used to optimise the cuts; None without folds.
        cuts: one for each feature with a cut.
        training_signal_efficiency: fraction of the training signal that passes, with the weights in the loss.
        signal_efficiency: fraction of the test signal that passes, with the physics weights.
        background_efficiency: fraction of the test background that passes, with the physics weights.
        background_rejection: 1 / background efficiency; None if that is not positive.
    """

    target: float
    fold: int | None
    cuts: tuple[Cut, ...]
    training_signal_efficiency: float
    signal_efficiency: float
    background_efficiency: float
    background_rejection: float | None


@dataclass(frozen=True, eq=False)
class ScoredBaseline:
    """A baseline with its scores of the test events.

    Args:
        scores: probabilities, [n_events, n_classes], or a discriminant of the signal, [n_events].
        seconds: wall time of the training.
        boxes: the cuts at each working point, if the baseline consists of cuts.
    """

    name: str
    scores: NDArray[np.floating]
    seconds: float = 0.0
    boxes: tuple[BoxOfCuts, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class BaselineNumbers:
    """The numbers of a baseline on the test events, and their differences from the network.

    Args:
        physics: with the physics weights; None for a discriminant, which is not a probability.
        balanced: with balanced weights; None for a discriminant.
    """

    name: str
    physics: WeightingComparison | None
    balanced: WeightingComparison | None
    signal: SignalComparison


def compare_baselines(
    test: ScoredEvents,
    scored: Mapping[str, NDArray[np.floating]],
    signal: Sequence[int],
    working_points: Sequence[float],
) -> tuple[RocCurve, tuple[BaselineNumbers, ...]]:
    """Compare each baseline with the network on the test events; return the curve of the network's signal score too.

    `scored` has by name of the baseline its scores of the same events, [n_events, n_classes], or a discriminant of the
    signal between 0 and 1, [n_events]. `working_points` are the signal efficiencies of the quoted cuts.

    Raises:
        RequestError: signal or background have no positive sum of weights.
    """
    full = {name: scores for name, scores in scored.items() if scores.ndim == 2}
    ranked_scores = {name: RankedScores(scores) for name, scores in {"": test.scores, **full}.items()}
    physics, balanced = (
        _weightings(test, ranked_scores, weight) for weight in (test.weight, test.balanced_weight)
    )
    of_signal = np.isin(test.class_index, list(signal))
    signal_scores = [
        RankedScores(_signal_and_rest(scores, signal)) for scores in (test.scores, *scored.values())
    ]
    areas = _compare(signal_scores, of_signal.astype(np.int32), test.weight, test.units)
    network, *curves = (
        # the second of two columns is the signal, which may be several classes
        _needed(compute_roc_curves(ranked, of_signal.astype(np.int32), test.weight)[1])
        for ranked in signal_scores
    )
    points = [compute_working_points(curve, working_points) for curve in curves]
    least = compute_least_efficiency(network)
    return network, tuple(
        BaselineNumbers(
            name,
            physics.get(name),
            balanced.get(name),
            SignalComparison(
                _needed(compared[_AUC + 1]),
                network.auc,
                outline_roc(curve, least=least),
                of_baseline,
                tuple(
                    _compare_backgrounds(test, of_signal, network, (signal_scores[0], ranked), point)
                    for point in of_baseline
                ),
            ),
        )
        for name, compared, curve, of_baseline, ranked in zip(
            scored, areas, curves, points, signal_scores[1:], strict=True
        )
    )


def _compare_backgrounds(
    test: ScoredEvents,
    is_signal: NDArray[np.bool_],
    network: RocCurve,
    scores: tuple[RankedScores, RankedScores],
    point: WorkingPoint,
) -> BackgroundRatio:
    """Compare the background of the network with that of a baseline at a working point of the baseline.

    `scores` are those of background and signal, [n, 2], of the network and of the baseline.
    """
    target = point.signal_efficiency
    # a cut of signed weights may exceed an efficiency of one, which the network then cannot reach
    points = (*compute_working_points(network, [min(target, 1.0)]), point)
    efficiencies = [cut.background_efficiency for cut in points]
    if min(efficiencies) <= 0:
        return BackgroundRatio(point.target, target, None, None)
    columns = [ranked.probabilities[:, 1].astype(np.float64) for ranked in scores]
    passing = [(column >= cut.threshold) & ~is_signal for column, cut in zip(columns, points, strict=True)]
    sizes = [
        compute_effective_sample_size(test.weight[rows], select_units(test.units, rows)) for rows in passing
    ]
    ratio = efficiencies[0] / efficiencies[1]
    if min(sizes) < _FEWEST_PASSING or target >= 1:
        return BackgroundRatio(point.target, target, ratio, None)
    of_network, of_baseline = (
        compute_efficiency_influences(
            column, is_signal, test.weight, cut.threshold, target, test.units, ranking.order
        )
        / cut.background_efficiency
        for column, cut, (_, ranking) in zip(
            columns, points, (ranked.rankings() for ranked in scores), strict=True
        )
    )
    width = compute_half_widths((of_network - of_baseline)[:, None], test.units)[0]
    return BackgroundRatio(point.target, target, ratio, compute_interval(ratio, ratio * float(width), "log"))


def _signal_and_rest(scores: NDArray[np.floating], signal: Sequence[int]) -> Float64:
    """Return the scores of background and of signal, [n, 2], of scores by class or of a discriminant, [n]."""
    if scores.ndim == 1:
        discriminant = check_real_numbers(scores, "signal score")
        return np.stack([1 - discriminant, discriminant], axis=1)
    columns = np.asarray(scores, np.float64)
    background = [index for index in range(columns.shape[1]) if index not in signal]
    return np.stack([columns[:, background].sum(axis=1), columns[:, list(signal)].sum(axis=1)], axis=1)


def _compare(
    scores: Sequence[RankedScores], class_index: NDArray[np.integer], weight: Float64, units: Units | None
) -> Iterator[list[ComparedNumber | None]]:
    """Compare the numbers of each baseline with those of the network, whose scores are the first."""
    network, classes = compute_influences(scores[0], class_index, weight), scores[0].probabilities.shape[1]
    known, scales = find_known_numbers(class_index, weight, classes, units), list_interval_scales(classes)
    for ranked in scores[1:]:
        baseline = compute_influences(ranked, class_index, weight)
        differences, of_event = network.value - baseline.value, network.of_event - baseline.of_event
        intervals = compute_intervals(
            baseline.value, compute_half_widths(baseline.of_event, units), known, scales
        )
        of_differences = compute_intervals(differences, compute_half_widths(of_event, units), known)
        numbers = zip(baseline.value.tolist(), intervals, differences.tolist(), of_differences, strict=True)
        yield [None if np.isnan(number[2]) else ComparedNumber(*number) for number in numbers]


def _needed(number: Needed | None) -> Needed:
    if number is None:
        raise RequestError(
            "baselines: the weights of signal and of background need positive sums to be compared"
        )
    return number


def _weightings(
    test: ScoredEvents, scores: Mapping[str, RankedScores], weight: Float64
) -> dict[str, WeightingComparison]:
    """Compare baselines with one class weighting; the network is the first of the scores."""
    compared = _compare(list(scores.values()), test.class_index, weight, test.units)
    return {
        name: WeightingComparison(_needed(numbers[_LOSS]), _needed(numbers[_ACCURACY]), tuple(numbers[_AUC:]))
        for name, numbers in zip(list(scores)[1:], compared, strict=True)
    }
