"""One classifier on one set of events: all results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamis.evaluation.arrays import class_ranks, effective_number, positive_sum, signal_score
from tamis.evaluation.asimov import Requirements
from tamis.evaluation.calibration import judge_calibration
from tamis.evaluation.cut_table import CutTable, follow_cuts
from tamis.evaluation.limit import (
    DistanceToLimit,
    DistanceToReference,
    distance_to_limit,
    distance_to_reference,
    posterior,
)
from tamis.evaluation.negative_weights import Counted, judge_negative_weights, without_negative
from tamis.evaluation.overtraining import overtraining_tests
from tamis.evaluation.pairs import measure_pairs, pair_curves
from tamis.evaluation.parts import (
    FirstOrder,
    Intervals,
    bootstrap_intervals,
    measure_part,
)
from tamis.evaluation.ranking import RankedScores
from tamis.evaluation.results import Evaluation
from tamis.evaluation.roc import (
    RocCurve,
    WorkingPoint,
    background_rejection,
    limit_of_none,
    roc_curve,
    roc_curves,
)
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.sculpting import Sculpting, measure_sculpting
from tamis.evaluation.search import Search, judge_search
from tamis.evaluation.stability import Unseen, judge_stability
from tamis.evaluation.threads import Steps, in_two_threads
from tamis.evaluation.units import units_of_rows
from tamis.evaluation.verdict import judge_overtraining
from tamis.random_streams import random_stream

Float64 = NDArray[np.float64]
FEWEST_PASSING = 3.0
"""Effective background events that have to pass a cut for an interval of its rejection."""


@dataclass(frozen=True)
class SearchPlan:
    """What a search with the signal score would look like.

    Args:
        signal: indices of the classes that are signal.
        events_per_weight: expected events for a sum of physics weights of one; None where it is not known: yields are
            then sums of weights.
        background_uncertainty: relative systematic uncertainty of each class where it is background; one number for
            all classes.
    """

    signal: tuple[int, ...] = ()
    events_per_weight: float | None = None
    background_uncertainty: float | tuple[float, ...] = 0.0

    def requirements(self, signal: Sequence[int]) -> Requirements:
        """Return what cuts and bins have to keep where some classes are signal, and all others background."""
        uncertainty = self.background_uncertainty
        if isinstance(uncertainty, tuple):
            uncertainty = tuple(each for index, each in enumerate(uncertainty) if index not in signal)
        return Requirements(relative=uncertainty)


def evaluate_classifier(
    parts: Mapping[str, ScoredEvents],
    class_names: Sequence[str],
    *,
    working_points: Sequence[float],
    densities: bool = False,
    plan: SearchPlan = SearchPlan(),
    alone: Sequence[Unseen] = (),
    left_out: Float64 | None = None,
    seed: int = 0,
    steps: Steps | None = None,
) -> Evaluation:
    """Compute all results that follow from scores alone.

    Args:
        parts: the scored events of `training`, `validation` and `test`.
        class_names: in the order of the scores.
        working_points: signal efficiencies that tables quote.
        densities: whether `reference` holds the log-density of every class, not discriminants.
        plan: what a search with the signal score would look like.
        alone: the test events with the scores of each network alone.
        left_out: for each class the sum of weights of the events that were left out of the training, whose test events
            are then of another kind; None where none was.
        seed: of the permutations and bootstrap samples.
        steps: counts the parts of the evaluation.
    """
    test = parts["test"]
    learned, unseen = (parts[name].to_compare() for name in ("training", "test"))
    nothing = np.zeros(len(class_names))
    expected = {
        name: _expected(parts, name, plan.events_per_weight or 1.0, nothing if left_out is None else left_out)
        for name in ("validation", "test")
    }

    def random(purpose: str) -> np.random.Generator:
        return random_stream(seed, "evaluation", purpose)

    with in_two_threads(steps) as submit:
        # what takes long, and what others need, begins first
        ranked_test = RankedScores(test.scores)
        measured = {name: submit(measure_part, events) for name, events in parts.items() if name != "test"}
        measured["test"] = submit(measure_part, test, ranked_test)

        # the verdict waits for them: they are begun before it, so that one of two threads has them
        def numbers() -> tuple[FirstOrder, FirstOrder]:
            return measured["training"].result().balanced, measured["test"].result().balanced

        known = None if test.compared is not None else numbers
        verdict = submit(
            lambda: (
                None
                if left_out is not None
                else judge_overtraining(
                    learned, unseen, class_names, generator=random("overtraining"), numbers=known
                )
            )
        )
        of_test = measured["test"].result()
        physics = submit(
            bootstrap_intervals, test, test.weight, random("physics mixture"), working_points, of_test.physics
        )
        balanced = submit(
            bootstrap_intervals, test, test.learned_weight, random("balanced mixture"), (), of_test.balanced
        )
        pairs = submit(measure_pairs, test)
        calibration = submit(judge_calibration, parts["validation"], test, seed)
        tests = submit(
            overtraining_tests,
            *(array for each in (learned, unseen) for array in (each.scores, each.class_index, each.weight)),
            units=(learned.units, unseen.units),
        )
        stability = submit(judge_stability, alone, class_names)
        of_pairs = submit(pair_curves, test, plan.signal)
        sculpting = submit(_sculpting, test, plan, class_names, working_points, random("sculpting"))
        search = submit(_search, expected, plan, len(class_names))
        curves = roc_curves(ranked_test, test.class_index, test.weight)
        limit = _limit(test, class_names) if densities else None
        references = {} if densities else _references(test, class_names)
        points = _working_points(test, curves, working_points, physics.result())
        negative = submit(
            judge_negative_weights,
            test,
            class_names,
            working_points,
            _counted(expected, search.result(), plan),
            ranked_test,
            curves,
        )
        cut_tables = _cut_tables(expected["test"], plan, search.result(), points)
    cuts, sculpted = sculpting.result()
    return Evaluation(
        class_names=tuple(class_names),
        parts={name: measured[name].result().metrics for name in parts},
        curves=curves,
        working_points=points,
        pairs=pairs.result(),
        pair_curves=of_pairs.result(),
        overtraining=tests.result(),
        limit=limit,
        limit_curves=_limit_curves(test, class_names)
        if densities
        else _reference_curves(references, class_names),
        references=references,
        verdict=verdict.result(),
        intervals={
            **{name: measured[name].result().intervals() for name in parts if name != "test"},
            "test": {"physics": physics.result(), "balanced": balanced.result()},
        },
        calibration=calibration.result(),
        search=search.result(),
        importance=(),
        sculpting=sculpted,
        sculpting_cuts=cuts,
        cut_tables=cut_tables,
        negative_weights=negative.result(),
        stability=stability.result(),
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
    classes = range(expected.scores.shape[1])
    quoted: dict[tuple[int, ...], list[float]] = {
        (index,): [point.threshold for point in working_points[index] or ()] for index in classes
    }
    of_signal = quoted.setdefault(plan.signal, [])
    of_signal += [] if search is None or search.cut is None else [search.cut]
    order = sorted(quoted, key=lambda signal: (signal != plan.signal, signal))
    tables = [
        follow_cuts(
            expected, signal, plan.requirements(signal), also=[each for each in quoted[signal] if each <= 1]
        )
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
        test.spectators,
        score,
        test.class_index,
        test.weight,
        class_names,
        cuts,
        generator,
        units=test.units,
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
    return judge_search(
        chosen,
        counted,
        plan.signal,
        plan.requirements(plan.signal),
        events_per_weight=plan.events_per_weight,
    )


def _counted(
    expected: Mapping[str, ScoredEvents | None], search: Search | None, plan: SearchPlan
) -> tuple[Counted | None, Counted | None]:
    """Give the search with all events, and with those of positive weight alone; None where there is no other one."""
    test = expected["test"]
    if search is None or test is None or not (test.weight < 0).any():
        return None, None
    positive = {name: events and without_negative(events) for name, events in expected.items()}
    found = _search(positive, plan, test.scores.shape[1])
    if found is None or positive["test"] is None:
        return None, None
    return Counted(search, test), Counted(found, positive["test"])


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
    return events.reweighted(events.weight * scale[events.class_index])


def _working_points(
    test: ScoredEvents,
    curves: Sequence[RocCurve | None],
    working_points: Sequence[float],
    intervals: Intervals,
) -> tuple[tuple[WorkingPoint, ...] | None, ...]:
    """Find the cuts of each class's score, with the intervals of what they keep, or its limit where that is nothing."""
    return tuple(
        None
        if curve is None
        else tuple(
            _with_interval(test, index, point, between)
            for point, between in zip(background_rejection(curve, working_points), kept, strict=True)
        )
        for index, (curve, kept) in enumerate(zip(curves, intervals.kept, strict=True))
    )


def _with_interval(
    test: ScoredEvents, index: int, point: WorkingPoint, between: tuple[float, float] | None
) -> WorkingPoint:
    background = test.class_index != index
    if not (test.scores[background, index] >= point.threshold).any():
        units = units_of_rows(test.units, background)
        limit = limit_of_none(test.class_index[background], test.weight[background], units=units)
        return point if limit is None else point.below(limit)
    passing = background & (test.scores[:, index] >= point.threshold)
    few = effective_number(test.weight[passing], units_of_rows(test.units, passing)) < FEWEST_PASSING
    return point if few or between is None or between[1] <= 0 else point.between(*between)


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
    ranks = class_ranks(test.scores.astype(np.float64))
    return {
        name: distance_to_reference(ranks[:, index], values, test.class_index == index, test.weight)
        for (name, index), values in zip(indices.items(), test.reference.values(), strict=True)
    }


def _reference_curves(
    references: Mapping[str, DistanceToReference], class_names: Sequence[str]
) -> dict[int, RocCurve]:
    return {list(class_names).index(name): found.reference for name, found in references.items()}
