"""The network beside classifiers of other kinds, on the same test events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tamis.errors import RequestError
from tamis.evaluation.arrays import class_ranks, real_numbers, signal_and_rest
from tamis.evaluation.parts import BOOTSTRAPS
from tamis.evaluation.resampling import Counts, Resampler, interval, resample
from tamis.evaluation.roc import RocCurve, WorkingPoint, background_rejection, roc_curve
from tamis.evaluation.scored import ScoredEvents

Float64 = NDArray[np.float64]
Range = tuple[float, float] | None
"""A 68.3% bootstrap interval; None where the number is not defined in every replica."""

_LOSS, _ACCURACY, _AUC = 0, 1, 2


@dataclass(frozen=True)
class Comparison:
    """One number of a baseline, and that of the network for the same events.

    Args:
        value: of the baseline.
        interval: of the value.
        difference: network minus baseline.
        difference_interval: of the difference. It is paired: each bootstrap sample has the same events for both, so
            what is luck for both falls out.
    """

    value: float
    interval: Range
    difference: float
    difference_interval: Range


@dataclass(frozen=True)
class MixtureComparison:
    """The numbers of a baseline in one mixture of the classes.

    Args:
        loss: weighted mean of -log(score of the true class).
        accuracy: weighted share of events whose highest score is that of their class.
        auc: of each class against the others; None where it is not defined.
    """

    loss: Comparison
    accuracy: Comparison
    auc: tuple[Comparison | None, ...]

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give the numbers as `metrics.json` holds those of a part, and the differences beside them."""

        def each(key: str) -> dict[str, Any]:
            areas = [None if area is None else getattr(area, key) for area in self.auc]
            auc = dict(zip(class_names, areas, strict=True))
            return {"loss": getattr(self.loss, key), "accuracy": getattr(self.accuracy, key), "auc": auc}

        return {
            **each("value"),
            "intervals": each("interval"),
            "difference": {**each("difference"), "intervals": each("difference_interval")},
        }


@dataclass(frozen=True)
class SignalComparison:
    """How well a baseline tells signal from background, with the physics weights.

    Args:
        auc: area under the curve of the signal score, the sum of the signal classes' scores or the discriminant.
        curve: of the baseline.
        network: curve of the network's signal score.
        working_points: what cuts on the baseline's signal score keep.
    """

    auc: Comparison
    curve: RocCurve
    network: RocCurve
    working_points: tuple[WorkingPoint, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give everything but the curves as `metrics.json` holds it."""
        return {
            "auc": self.auc.value,
            "interval": self.auc.interval,
            "network": self.network.auc,
            "difference": self.auc.difference,
            "difference_interval": self.auc.difference_interval,
            "working_points": [
                {
                    key: value if value is None or np.isfinite(value) else None
                    for key, value in vars(p).items()
                }
                for p in self.working_points
            ],
        }


@dataclass(frozen=True)
class BoxOfCuts:
    """Cuts that were chosen for one signal efficiency on training events, and what they keep of test events.

    Args:
        target: the signal efficiency that was asked for.
        fold: the fold that the cuts never saw; None without folds.
        cuts: one for each feature that is cut on, with `feature`, `low` and `high` (None where it is open).
        training_signal_efficiency: share of the training signal that passes, by the weights in the loss.
        signal_efficiency: share of the test signal that passes, by the physics weights.
        background_efficiency: share of the test background that passes, by the physics weights.
        background_rejection: 1 / background efficiency; None where that is not positive.
    """

    target: float
    fold: int | None
    cuts: tuple[Mapping[str, Any], ...]
    training_signal_efficiency: float
    signal_efficiency: float
    background_efficiency: float
    background_rejection: float | None

    def to_dict(self) -> dict[str, Any]:
        """Give everything as `metrics.json` holds it."""
        return {**vars(self), "cuts": [dict(cut) for cut in self.cuts]}


@dataclass(frozen=True, eq=False)
class BaselineResult:
    """What a baseline reaches on the test events, and what the network reaches beyond it.

    Args:
        name: of the baseline.
        scores: of the test events, probabilities [n, n_classes] or a discriminant of the signal [n].
        physics: with the physics weights; None for a discriminant, which is no probability.
        balanced: with the physics weights times the training factors, the mixture that was learned; None as well.
        signal: signal against background.
        seconds: wall time of the training.
        boxes: the cuts at each working point, where the baseline is made of cuts.
        notes: sentences about what went less well than it should.
    """

    name: str
    scores: NDArray[np.floating]
    physics: MixtureComparison | None
    balanced: MixtureComparison | None
    signal: SignalComparison
    seconds: float = 0.0
    boxes: tuple[BoxOfCuts, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give everything but scores and curves as `metrics.json` holds it."""
        undefined = {"loss": None, "accuracy": None, "auc": None, "intervals": None, "difference": None}
        return {
            **(undefined if self.physics is None else self.physics.to_dict(class_names)),
            "balanced": None if self.balanced is None else self.balanced.to_dict(class_names),
            "signal": self.signal.to_dict(),
            "boxes": [box.to_dict() for box in self.boxes] or None,
            "train_seconds": self.seconds,
            "notes": list(self.notes),
        }


def compare_baselines(
    test: ScoredEvents,
    scored: Mapping[str, NDArray[np.floating]],
    signal: Sequence[int],
    working_points: Sequence[float],
    generator: Generator,
    *,
    bootstraps: int = BOOTSTRAPS,
) -> tuple[BaselineResult, ...]:
    """Measure baselines on the test events, each beside the network.

    Args:
        test: the events with the scores of the network.
        scored: for each baseline the scores of the same events, [n, n_classes], or a discriminant of the signal
            between 0 and 1, [n].
        signal: indices of the signal classes.
        working_points: signal efficiencies that tables quote.
        generator: where the random numbers come from.
        bootstraps: number of bootstrap samples for the intervals.

    Raises:
        TamisError: the arrays do not fit together, or signal or background have no positive sum of weights.
    """
    full = {name: scores for name, scores in scored.items() if scores.ndim == 2}
    alone = [_signal_and_rest(scores, signal) for scores in (test.scores, *scored.values())]
    of_signal = np.isin(test.class_index, list(signal))
    network, *curves = (
        roc_curve(score[:, 1], of_signal, test.weight, rank=class_ranks(score)[:, 1]) for score in alone
    )
    physics, balanced = (
        _mixtures(test, full, weight, generator, bootstraps) for weight in (test.weight, test.learned_weight)
    )
    areas = _paired(
        [Resampler(score, of_signal.astype(np.int64), test.weight) for score in alone],
        test.units,
        generator,
        bootstraps,
    )
    return tuple(
        BaselineResult(
            name,
            scores,
            physics.get(name),
            balanced.get(name),
            SignalComparison(
                _needed(areas.compare(number, _AUC + 1)),
                curve,
                network,
                background_rejection(curve, working_points),
            ),
        )
        for number, ((name, scores), curve) in enumerate(zip(scored.items(), curves, strict=True), start=1)
    )


def _signal_and_rest(scores: NDArray[np.floating], signal: Sequence[int]) -> Float64:
    """Return the scores of background and of signal, [n, 2], of scores by class or of a discriminant, [n]."""
    if scores.ndim == 2:
        return signal_and_rest(scores, signal)
    discriminant = real_numbers(scores, "signal score")
    return np.stack([1 - discriminant, discriminant], axis=1)


@dataclass(frozen=True)
class _Replicas:
    """Numbers of the network (the first) and of baselines, and of their bootstrap samples.

    Args:
        whole: of all events, [classifiers, quantities].
        drawn: of the same bootstrap samples for all classifiers, [bootstraps, classifiers, quantities].
    """

    whole: Float64
    drawn: Float64

    def compare(self, classifier: int, quantity: int) -> Comparison | None:
        """Compare one number of one baseline with that of the network; None where it is not defined."""
        network, baseline = self.whole[0, quantity], self.whole[classifier, quantity]
        if not np.isfinite(network) or not np.isfinite(baseline):
            return None
        drawn = self.drawn[:, classifier, quantity]
        differences = self.drawn[:, 0, quantity] - drawn
        return Comparison(float(baseline), interval(drawn), float(network - baseline), interval(differences))


def _needed(comparison: Comparison | None) -> Comparison:
    if comparison is None:
        raise RequestError(
            "baselines: the weights of signal and of background need positive sums to be compared"
        )
    return comparison


def _paired(
    classifiers: Sequence[Resampler], units: NDArray[np.intp] | None, generator: Generator, bootstraps: int
) -> _Replicas:
    """Measure several classifiers with the same events, and with the same bootstrap samples of them."""
    first = classifiers[0]

    def measure(counts: Counts) -> Float64:
        return np.stack([each.measure(counts).stacked() for each in classifiers], axis=1)

    values = np.array([each.values() for each in classifiers])
    drawn = resample(measure, len(first), bootstraps, generator, units, sums=first.sums_of_choice)
    return _Replicas(values, drawn)


def _mixtures(
    test: ScoredEvents,
    scored: Mapping[str, NDArray[np.floating]],
    weight: Float64,
    generator: Generator,
    bootstraps: int,
) -> dict[str, MixtureComparison]:
    if not scored:
        return {}
    classifiers = [Resampler(scores, test.class_index, weight) for scores in (test.scores, *scored.values())]
    found = _paired(classifiers, test.units, generator, bootstraps)
    return {
        name: MixtureComparison(
            _needed(found.compare(number, _LOSS)),
            _needed(found.compare(number, _ACCURACY)),
            tuple(found.compare(number, _AUC + index) for index in range(test.scores.shape[1])),
        )
        for number, name in enumerate(scored, start=1)
    }
