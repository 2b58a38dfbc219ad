"""The network beside classifiers of other kinds, on the same test events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tamis.errors import RequestError
from tamis.evaluation.arrays import real_numbers, signal_and_rest
from tamis.evaluation.influence import find_influences
from tamis.evaluation.intervals import around, half_widths
from tamis.evaluation.parts import known_numbers, scales_of
from tamis.evaluation.ranking import RankedScores
from tamis.evaluation.roc import RocCurve, WorkingPoint, background_rejection, roc_curves
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.units import Units

Float64 = NDArray[np.float64]
Found = TypeVar("Found")
Range = tuple[float, float] | None
"""A 68.3% interval to first order; None where the number lies at its bound, or for too few events."""

_LOSS, _ACCURACY, _AUC = 0, 1, 2


@dataclass(frozen=True)
class Comparison:
    """One number of a baseline, and that of the network for the same events.

    Args:
        value: of the baseline.
        interval: of the value.
        difference: network minus baseline.
        difference_interval: of the difference. It is paired: what each event contributes to both is subtracted, so
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
) -> tuple[BaselineResult, ...]:
    """Measure baselines on the test events, each beside the network.

    Args:
        test: the events with the scores of the network.
        scored: for each baseline the scores of the same events, [n, n_classes], or a discriminant of the signal
            between 0 and 1, [n].
        signal: indices of the signal classes.
        working_points: signal efficiencies that tables quote.

    Raises:
        TamisError: the arrays do not fit together, or signal or background have no positive sum of weights.
    """
    full = {name: scores for name, scores in scored.items() if scores.ndim == 2}
    ranked_scores = {name: RankedScores(scores) for name, scores in {"": test.scores, **full}.items()}
    physics, balanced = (
        _mixtures(test, ranked_scores, weight) for weight in (test.weight, test.learned_weight)
    )
    of_signal = np.isin(test.class_index, list(signal))
    alone = [RankedScores(_signal_and_rest(scores, signal)) for scores in (test.scores, *scored.values())]
    areas = _compare(alone, of_signal.astype(np.int32), test.weight, test.units)
    network, *curves = (
        # the second of two columns is no class
        replace(_needed(roc_curves(each, of_signal.astype(np.int32), test.weight)[1]), class_index=None)
        for each in alone
    )
    return tuple(
        BaselineResult(
            name,
            scores,
            physics.get(name),
            balanced.get(name),
            SignalComparison(
                _needed(compared[_AUC + 1]), curve, network, background_rejection(curve, working_points)
            ),
        )
        for (name, scores), compared, curve in zip(scored.items(), areas, curves, strict=True)
    )


def _signal_and_rest(scores: NDArray[np.floating], signal: Sequence[int]) -> Float64:
    """Return the scores of background and of signal, [n, 2], of scores by class or of a discriminant, [n]."""
    if scores.ndim == 2:
        return signal_and_rest(scores, signal)
    discriminant = real_numbers(scores, "signal score")
    return np.stack([1 - discriminant, discriminant], axis=1)


def _compare(
    scores: Sequence[RankedScores], class_index: NDArray[np.integer], weight: Float64, units: Units | None
) -> Iterator[list[Comparison | None]]:
    """Compare the numbers of each baseline with those of the network, whose scores are the first."""
    network, classes = find_influences(scores[0], class_index, weight), scores[0].probabilities.shape[1]
    known = known_numbers(class_index, weight, classes, units).tolist()
    for each in scores[1:]:
        found = find_influences(each, class_index, weight)
        of_event = network.of_event - found.of_event
        yield [
            None
            if np.isnan(value) or np.isnan(other)
            else Comparison(
                value,
                around(value, error, scale) if enough else None,
                other - value,
                around(other - value, of_difference) if enough else None,
            )
            for value, other, error, of_difference, scale, enough in zip(
                found.value.tolist(),
                network.value.tolist(),
                half_widths(found.of_event, units).tolist(),
                half_widths(of_event, units).tolist(),
                scales_of(classes),
                known,
                strict=True,
            )
        ]


def _needed(found: Found | None) -> Found:
    if found is None:
        raise RequestError(
            "baselines: the weights of signal and of background need positive sums to be compared"
        )
    return found


def _mixtures(
    test: ScoredEvents, scores: Mapping[str, RankedScores], weight: Float64
) -> dict[str, MixtureComparison]:
    """Compare baselines in one mixture of the classes; the network is the first of the scores."""
    compared = _compare(list(scores.values()), test.class_index, weight, test.units)
    return {
        name: MixtureComparison(_needed(found[_LOSS]), _needed(found[_ACCURACY]), tuple(found[_AUC:]))
        for name, found in zip(list(scores)[1:], compared, strict=True)
    }
