"""All results of one classifier on one set of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.evaluation.arrays import positive_sum, signal_score
from tamis.evaluation.asimov import Requirements
from tamis.evaluation.calibration import Calibration, judge_calibration
from tamis.evaluation.cut_table import CutTable, follow_cuts
from tamis.evaluation.importance import Change, Importance
from tamis.evaluation.inputs import Inputs
from tamis.evaluation.limit import (
    DistanceToLimit,
    DistanceToReference,
    distance_to_limit,
    distance_to_reference,
    posterior,
)
from tamis.evaluation.metrics import Metrics, measure
from tamis.evaluation.negative_weights import NegativeWeights, judge_negative_weights, without_negative
from tamis.evaluation.overtraining import KolmogorovSmirnov, overtraining_tests
from tamis.evaluation.pairs import PairCurve, Pairs, measure_pairs, pair_curves
from tamis.evaluation.resampling import Resampler, bootstrap, interval
from tamis.evaluation.roc import RocCurve, WorkingPoint, background_rejection, roc_curve, roc_curves
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.sculpting import Sculpting, measure_sculpting
from tamis.evaluation.search import Search, judge_search
from tamis.evaluation.stability import Stability, Unseen, judge_stability
from tamis.evaluation.verdict import BOOTSTRAPS, Verdict, judge_overtraining

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class SearchPlan:
    """What a search with the signal score would look like.

    Args:
        signal: indices of the classes that are signal.
        events_per_weight: expected events for a sum of physics weights of one.
        background_uncertainty: relative systematic uncertainty of the background.
    """

    signal: tuple[int, ...] = ()
    events_per_weight: float = 1.0
    background_uncertainty: float = 0.0


@dataclass(frozen=True)
class PartMetrics:
    """The numbers of one part, in three mixtures of the classes.

    Args:
        physics: with the signed physics weights.
        balanced: with the physics weights times the training factors: the mixture that the network learned.
        unweighted: every event counts one.
    """

    physics: Metrics
    balanced: Metrics
    unweighted: Metrics

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give the physics numbers, with the others beside them."""
        return {
            **self.physics.to_dict(class_names),
            "balanced": self.balanced.to_dict(class_names),
            "unweighted": self.unweighted.to_dict(class_names),
        }


@dataclass(frozen=True)
class Intervals:
    """68.3% bootstrap intervals of one part in one mixture; None where a number is not defined in every replica.

    Args:
        loss: of the loss.
        accuracy: of the accuracy.
        auc: of the area under the curve, for each class.
        kept: of what is kept of the other classes at each working point, for each class.
    """

    loss: tuple[float, float] | None
    accuracy: tuple[float, float] | None
    auc: tuple[tuple[float, float] | None, ...]
    kept: tuple[tuple[tuple[float, float] | None, ...], ...] = ()

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give the intervals as `metrics.json` holds them."""
        auc = dict(zip(class_names, self.auc, strict=True))
        return {"loss": self.loss, "accuracy": self.accuracy, "auc": auc}


@dataclass(frozen=True)
class Evaluation:
    """All results of a run.

    Args:
        class_names: in the order of the scores.
        parts: numbers of training, validation and test.
        curves: ROC curve of each class against the others on the test events; None where undefined.
        working_points: what each class's score keeps at the configured signal efficiencies.
        pairs: how well each class of the test events is told from each other one.
        pair_curves: ROC curve of each signal class against each background class, on the test events.
        overtraining: for each true class and each score, training against test.
        limit: the test events' distance to the known limit, in the balanced mixture.
        limit_curves: ROC curves of the limit or of the reference discriminants, with the physics weights.
        references: distance to a reference discriminant, by class.
        verdict: whether the classifier is overtrained; None where a class has no positive sum of weights, or where
            training and test events are not of one kind.
        intervals: of the numbers of the test events, `physics` and `balanced`.
        calibration: whether the scores are probabilities; None where the weights have no positive sum.
        search: what the signal score is worth in a search; None without a signal class or without a background.
        importance: what each feature is worth.
        sculpting: what the signal score does to each spectator in each class; nothing without a signal class.
        sculpting_cuts: thresholds of the signal score behind which shapes are compared.
        cut_tables: what passes each cut on the signal score and on the score of each class; nothing where a class has
            no positive sum of weights.
        inputs: what the features look like; None where nobody looked.
        negative_weights: what they do to the numbers of the test events; None where there are none.
        retrained: what is lost by training again with all features, from other random numbers: the measure of what is
            lost without some of them; None where that was not asked for.
        stability: how much depends on the seed and on the fold; None where there is one network.
    """

    class_names: tuple[str, ...]
    parts: Mapping[str, PartMetrics]
    curves: tuple[RocCurve | None, ...]
    working_points: tuple[tuple[WorkingPoint, ...] | None, ...]
    pairs: Pairs
    pair_curves: tuple[PairCurve, ...]
    overtraining: tuple[tuple[KolmogorovSmirnov | None, ...], ...]
    limit: DistanceToLimit | None
    limit_curves: Mapping[int, RocCurve]
    references: Mapping[str, DistanceToReference]
    verdict: Verdict | None
    intervals: Mapping[str, Intervals]
    calibration: Calibration | None
    search: Search | None
    importance: tuple[Importance, ...]
    sculpting: tuple[Sculpting, ...]
    sculpting_cuts: tuple[float, ...]
    cut_tables: tuple[CutTable, ...]
    inputs: Inputs | None = None
    negative_weights: NegativeWeights | None = None
    retrained: Change | None = None
    stability: Stability | None = None

    @property
    def smallest_p_value(self) -> tuple[float, int] | None:
        """The smallest p-value of all overtraining tests, and how many tests there were."""
        values = [test.p_value for row in self.overtraining for test in row if test is not None]
        return (min(values), len(values)) if values else None

    def to_dict(self) -> dict[str, Any]:
        """Give all numbers as `metrics.json` holds them."""
        names = self.class_names
        numbers: dict[str, Any] = {"classes": list(names)}
        numbers.update({part: metrics.to_dict(names) for part, metrics in self.parts.items()})
        numbers["test"]["intervals"] = self.intervals["physics"].to_dict(names)
        numbers["test"]["balanced"]["intervals"] = self.intervals["balanced"].to_dict(names)
        numbers["test"]["one_versus_one"] = self.pairs.to_dict(names)
        numbers["overtraining"] = self._overtraining()
        numbers["working_points"] = {
            name: None if points is None else [_written(point) for point in points]
            for name, points in zip(names, self.working_points, strict=True)
        }
        numbers["calibration"] = None if self.calibration is None else self.calibration.to_dict(names)
        numbers["importance"] = [each.to_dict(names) for each in self.importance]
        numbers["retrained"] = None if self.retrained is None else self.retrained.to_dict(names)
        numbers["sculpting"] = self._sculpting()
        numbers["inputs"] = None if self.inputs is None else self.inputs.to_dict()
        negative = self.negative_weights
        numbers["negative_weights"] = None if negative is None else negative.to_dict()
        numbers["stability"] = None if self.stability is None else self.stability.to_dict(names)
        numbers["search"] = None if self.search is None else self.search.to_dict(names)
        numbers["cuts"] = [each.to_dict(names) for each in self.cut_tables]
        if self.limit is not None:
            numbers["limit"] = {
                "loss": self.limit.limit.loss,
                "accuracy": self.limit.limit.accuracy,
                "auc": dict(zip(names, self.limit.limit.auc, strict=True)),
                "distance_in_loss": self.limit.loss,
                "distance_in_auc": dict(zip(names, self.limit.auc, strict=True)),
            }
        if self.references:
            numbers["reference"] = {
                name: {"auc": found.reference.auc, "distance_in_auc": found.auc}
                for name, found in self.references.items()
            }
        return numbers

    def _sculpting(self) -> dict[str, Any]:
        spectators: dict[str, dict[str, Any]] = {}
        for each in self.sculpting:
            spectators.setdefault(each.spectator, {})[each.class_name] = each.to_dict()
        return {"cuts": list(self.sculpting_cuts), "spectators": spectators}

    def _overtraining(self) -> dict[str, Any]:
        smallest = self.smallest_p_value
        return {
            "verdict": None if self.verdict is None else self.verdict.to_dict(),
            "test": "two-sample Kolmogorov-Smirnov, training against test, weighted, unbinned",
            "smallest_p_value": None if smallest is None else smallest[0],
            "tests": 0 if smallest is None else smallest[1],
            "by_class_and_score": {
                true: {
                    f"score_{score}": None if test is None else vars(test)
                    for score, test in zip(self.class_names, row, strict=True)
                }
                for true, row in zip(self.class_names, self.overtraining, strict=True)
            },
        }


def _written(point: WorkingPoint) -> dict[str, Any]:
    """Write the threshold that nothing passes as null: JSON has no infinity."""
    return {**vars(point), "threshold": point.threshold if np.isfinite(point.threshold) else None}


def evaluate_classifier(
    parts: Mapping[str, ScoredEvents],
    class_names: Sequence[str],
    *,
    working_points: Sequence[float],
    densities: bool = False,
    plan: SearchPlan = SearchPlan(),
    importance: tuple[Importance, ...] = (),
    inputs: Inputs | None = None,
    alone: Sequence[Unseen] = (),
    left_out: Float64 | None = None,
    seed: int = 0,
) -> Evaluation:
    """Compute all results.

    Args:
        parts: the scored events of `training`, `validation` and `test`.
        class_names: in the order of the scores.
        working_points: signal efficiencies that tables quote.
        densities: whether `reference` holds the log-density of every class, not discriminants.
        plan: what a search with the signal score would look like.
        importance: what each feature is worth, from `permutation_importance`.
        inputs: what the features look like, from `survey_inputs`.
        alone: the test events with the scores of each network alone.
        left_out: for each class the sum of weights of the events that were left out of the training, whose test events
            are then of another kind; None where none was.
        seed: of the permutations and bootstrap samples.
    """
    generator = np.random.default_rng((seed, 4))
    test = parts["test"]
    learned, unseen = (parts[name].to_compare() for name in ("training", "test"))
    curves = roc_curves(test.scores, test.class_index, test.weight)
    limit = _limit(test, class_names) if densities else None
    cuts, sculpting = _sculpting(test, plan, class_names, working_points, generator)
    references = {} if densities else _references(test, class_names)
    physics = bootstrap_intervals(test, test.weight, generator, working_points)
    points = _working_points(curves, working_points, physics)
    nothing = np.zeros(len(class_names))
    expected = {
        name: _expected(parts, name, plan.events_per_weight, nothing if left_out is None else left_out)
        for name in ("validation", "test")
    }
    search = _search(expected, plan, len(class_names))
    without = search
    if (test.weight < 0).any():
        positive = {name: events and without_negative(events) for name, events in expected.items()}
        without = _search(positive, plan, len(class_names))
    return Evaluation(
        class_names=tuple(class_names),
        parts={name: measure_part(events) for name, events in parts.items()},
        curves=curves,
        working_points=points,
        # random numbers of their own: what is computed before and after stays as it is
        pairs=measure_pairs(test, BOOTSTRAPS, np.random.default_rng((seed, 6))),
        pair_curves=pair_curves(test, plan.signal),
        overtraining=overtraining_tests(
            *(array for each in (learned, unseen) for array in (each.scores, each.class_index, each.weight))
        ),
        limit=limit,
        limit_curves=_limit_curves(test, class_names)
        if densities
        else _reference_curves(references, class_names),
        references=references,
        verdict=None
        if left_out is not None
        else judge_overtraining(learned, unseen, class_names, generator=generator),
        intervals={
            "physics": physics,
            "balanced": bootstrap_intervals(test, test.learned_weight, generator),
        },
        calibration=judge_calibration(parts["validation"], test),
        search=search,
        importance=importance,
        sculpting=sculpting,
        sculpting_cuts=cuts,
        cut_tables=_cut_tables(expected["test"], plan, search, points),
        inputs=inputs,
        negative_weights=judge_negative_weights(test, class_names, working_points, (search, without)),
        stability=judge_stability(alone, class_names),
    )


def _cut_tables(
    expected: ScoredEvents | None,
    plan: SearchPlan,
    search: Search | None,
    working_points: Sequence[Sequence[WorkingPoint] | None],
) -> tuple[CutTable, ...]:
    """Follow the cuts on the signal score and on the score of each class, those that are quoted among them."""
    if expected is None:
        return ()
    requirements = Requirements(relative=plan.background_uncertainty)
    classes = range(expected.scores.shape[1])
    quoted: dict[tuple[int, ...], list[float]] = {
        (index,): [point.threshold for point in working_points[index] or ()] for index in classes
    }
    of_signal = quoted.setdefault(plan.signal, [])
    of_signal += [] if search is None or search.cut is None else [search.cut]
    order = sorted(quoted, key=lambda signal: (signal != plan.signal, signal))
    tables = [
        follow_cuts(expected, signal, requirements, also=[each for each in quoted[signal] if each <= 1])
        for signal in order
        if 0 < len(signal) < len(classes)
    ]
    return tuple(each for each in tables if each is not None)


def _sculpting(
    test: ScoredEvents,
    plan: SearchPlan,
    class_names: Sequence[str],
    working_points: Sequence[float],
    generator: np.random.Generator,
) -> tuple[tuple[float, ...], tuple[Sculpting, ...]]:
    """Give the cuts on the signal score at the working points, and what the score does to each spectator."""
    if not 0 < len(plan.signal) < len(class_names) or not test.spectators:
        return (), ()
    score = signal_score(test.scores, plan.signal)
    of_signal = np.isin(test.class_index, list(plan.signal))
    if positive_sum(test.weight[of_signal]) is None or positive_sum(test.weight[~of_signal]) is None:
        return (), ()
    points = background_rejection(roc_curve(score, of_signal, test.weight), working_points)
    cuts = tuple(point.threshold for point in points)
    found = measure_sculpting(
        test.spectators, score, test.class_index, test.weight, class_names, cuts, generator
    )
    return cuts, found


def _search(
    expected: Mapping[str, ScoredEvents | None],
    plan: SearchPlan,
    classes: int,
) -> Search | None:
    chosen, counted = expected["validation"], expected["test"]
    if chosen is None or counted is None or not 0 < len(plan.signal) < classes:
        return None
    requirements = Requirements(relative=plan.background_uncertainty)
    return judge_search(
        chosen,
        counted,
        plan.signal,
        requirements,
        events_per_weight=plan.events_per_weight,
    )


def _expected(
    parts: Mapping[str, ScoredEvents], name: str, events_per_weight: float, left_out: Float64
) -> ScoredEvents | None:
    """Let the events of one part stand for all used events: each class gets the sum of weights that it has in all."""

    def sums(events: ScoredEvents) -> Float64:
        return np.bincount(events.class_index, events.weight, len(left_out)).astype(np.float64)

    events = parts[name]
    # with cross-training every event is a test event
    everywhere = sums(parts["test"])
    if parts["test"].compared is None:
        everywhere = left_out + np.sum([sums(each) for each in parts.values()], axis=0)
    inside = sums(events)
    if (inside <= 0).any() or (everywhere <= 0).any():
        return None
    scale = events_per_weight * everywhere / inside
    return replace(events, weight=events.weight * scale[events.class_index])


def bootstrap_intervals(
    events: ScoredEvents,
    weight: Float64,
    generator: np.random.Generator,
    working_points: Sequence[float] = (),
) -> Intervals:
    """Give the bootstrap intervals of what is quoted of some events.

    Args:
        events: with their scores.
        weight: of each event, [n].
        generator: where the random numbers come from.
        working_points: signal efficiencies at which is measured what is kept of the other classes.
    """
    resampler = Resampler(events.scores, events.class_index, weight, working_points)
    found = bootstrap(resampler, BOOTSTRAPS, generator, events.units)
    return Intervals(
        interval(found.loss),
        interval(found.accuracy),
        tuple(interval(area) for area in found.auc.T),
        tuple(tuple(interval(point) for point in of_class.T) for of_class in found.kept.swapaxes(0, 1)),
    )


def _working_points(
    curves: Sequence[RocCurve | None], working_points: Sequence[float], intervals: Intervals
) -> tuple[tuple[WorkingPoint, ...] | None, ...]:
    """Find the cuts of each class's score, with the intervals of what they keep."""
    return tuple(
        None
        if curve is None
        else tuple(
            point if between is None or between[1] <= 0 else point.between(*between)
            for point, between in zip(background_rejection(curve, working_points), kept, strict=True)
        )
        for curve, kept in zip(curves, intervals.kept, strict=True)
    )


def measure_part(events: ScoredEvents) -> PartMetrics:
    """Measure one part in the three mixtures of the classes."""
    weights = (events.weight, events.learned_weight, np.ones(len(events)))
    return PartMetrics(*(measure(events.scores, events.class_index, weight) for weight in weights))


def _log_density(test: ScoredEvents, class_names: Sequence[str]) -> Float64:
    return np.stack([test.reference[name] for name in class_names], axis=1)


def _shares(weight: Float64, events: ScoredEvents) -> Float64:
    summed = np.bincount(events.class_index, weights=weight, minlength=events.scores.shape[1])
    return summed.astype(np.float64)


def _limit(test: ScoredEvents, class_names: Sequence[str]) -> DistanceToLimit:
    weight = test.learned_weight
    density = _log_density(test, class_names)
    return distance_to_limit(test.scores, density, _shares(weight, test), test.class_index, weight)


def _limit_curves(test: ScoredEvents, class_names: Sequence[str]) -> dict[int, RocCurve]:
    best = posterior(_log_density(test, class_names), _shares(test.weight, test))
    curves = roc_curves(best, test.class_index, test.weight)
    return {index: curve for index, curve in enumerate(curves) if curve is not None}


def _references(test: ScoredEvents, class_names: Sequence[str]) -> dict[str, DistanceToReference]:
    indices = {name: list(class_names).index(name) for name in test.reference}
    return {
        name: distance_to_reference(test.scores[:, index], values, test.class_index == index, test.weight)
        for (name, index), values in zip(indices.items(), test.reference.values(), strict=True)
    }


def _reference_curves(
    references: Mapping[str, DistanceToReference], class_names: Sequence[str]
) -> dict[int, RocCurve]:
    return {list(class_names).index(name): found.reference for name, found in references.items()}
