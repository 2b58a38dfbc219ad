"""Runs of which it is known which is better, and toys in which none is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special

from tamis.comparison.compute import compare_runs, compute_difference_p_values
from tamis.comparison.events import ScoredRun
from tamis.comparison.result import RunComparison
from tamis.errors import RequestError, TamisError
from tamis.statistics.metrics import compute_metrics
from tamis.statistics.scored import ScoredEvents

CLASSES = ("bkg", "sig")
FACTOR = np.array([1.0, 3.0])


def runs(
    noises: dict[str, float], number: int = 4000, seed: int = 1, signed: bool = False, repeated: int = 1
) -> list[ScoredRun]:
    """Each run sees the same x with noise of its own, and its scores are the posterior: less noise is better."""
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 2, number).astype(np.int32)
    x = rng.normal(2.0 * class_index - 1)
    weight = rng.choice([1.0, 1.0, 1.0, -0.5], number) if signed else rng.exponential(1, number)
    identity = np.arange(number, dtype=np.uint64) // np.uint64(repeated)
    made = []
    for name, noise in noises.items():
        seen = x + rng.normal(0, noise, number) if noise else x
        # the density is normal with variance 1 + noise^2; signal counts three times with balanced weights
        signal = special.expit(2 * seen / (1 + noise**2) + np.log(FACTOR[1]))
        scores = np.stack([1 - signal, signal], axis=1).astype(np.float32)
        events = ScoredEvents(scores, class_index, weight, FACTOR[class_index], event_id=identity)
        made.append(ScoredRun(name, CLASSES, events))
    return made


def compared(*given: ScoredRun, seed: int = 1, **more: int) -> RunComparison:
    return compare_runs(given, np.random.default_rng(seed), **more)


def test_the_better_of_two_runs_is_found_and_told() -> None:
    found = compared(*runs({"noisy": 1.0, "clean": 0.0})).pairs[0]
    assert found.better == "clean"
    assert found.sentence.startswith(
        "clean is better than noisy (p <= 0.0025, corrected for 8 comparisons): "
        "the loss with balanced weights is 0."
    )
    assert " lower for clean (68.3% interval [-0." in found.sentence
    turned = compared(*runs({"clean": 0.0, "noisy": 1.0})).pairs[0]
    assert turned.better == "clean"
    assert "the loss with balanced weights is 0." in turned.sentence
    assert " higher for noisy (68.3% interval [+0." in turned.sentence


def test_values_are_those_of_the_metrics_of_each_run() -> None:
    given = runs({"a": 0.5, "b": 0.0}, signed=True)
    found = compared(*given)
    for row, run in zip(found.runs, given, strict=True):
        events = run.events
        assert row.metrics["physics"] == compute_metrics(events.scores, events.class_index, events.weight)
        assert row.metrics["balanced"] == compute_metrics(
            events.scores, events.class_index, events.balanced_weight
        )
        low, high = row.intervals["balanced"][0]
        assert low < row.metrics["balanced"].loss < high
    for each in found.pairs[0].differences:
        first, second = (getattr(row.metrics[each.weighting], each.quantity) for row in found.runs)
        if each.quantity == "auc":
            first, second = (areas[CLASSES.index(each.class_name)] for areas in (first, second))
        assert each.first == pytest.approx(first, rel=1e-9)
        assert each.difference == pytest.approx(second - first, abs=1e-12)


def test_the_interval_of_the_difference_is_narrower_than_those_of_the_runs() -> None:
    found = compared(*runs({"a": 0.2, "b": 0.0}))
    difference = found.pairs[0].headline
    alone = [np.diff(row.intervals["balanced"][0])[0] for row in found.runs]
    assert np.diff(difference.interval)[0] < 0.5 * np.hypot(*alone)


def test_the_same_scores_are_a_tie_without_any_uncertainty() -> None:
    first, second = runs({"a": 0.0, "b": 0.0})
    found = compared(first, second).pairs[0]
    assert found.better is None
    assert found.sentence == "Every event has the same scores in a and b."
    for each in found.differences:
        assert (each.difference, each.interval, each.p_value, each.corrected_p_value) == (
            0.0,
            (0.0, 0.0),
            1.0,
            1.0,
        )


def test_no_difference_is_told_as_none() -> None:
    found = compared(*runs({"a": 0.5, "b": 0.5}, number=800)).pairs[0]
    assert found.better is None
    assert found.sentence.startswith("No significant difference between a and b (p = 0.")


def test_each_may_be_better_in_something() -> None:
    first, second = runs({"sharp": 0.8, "sure": 0.0})
    # the same order of events with exaggerated scores: a better area and a worse loss
    logit = 6 * special.logit(np.clip(second.events.scores[:, 1].astype(float), 1e-6, 1 - 1e-6))
    signal = np.clip(special.expit(logit), 1e-6, 1 - 1e-6)
    scores = np.stack([1 - signal, signal], axis=1).astype(np.float32)
    exaggerated = ScoredRun(
        "sure", CLASSES,
        ScoredEvents(
            scores, second.events.class_index, second.events.weight, second.events.class_weight,
            event_id=second.events.event_id,
        ),
    )  # fmt: skip
    found = compared(first, exaggerated).pairs[0]
    assert found.better is None
    assert found.sentence.startswith("Neither sharp nor sure is better in everything: the loss with ")
    assert ", but the " in found.sentence


def test_three_runs_are_two_pairs_that_are_corrected_together() -> None:
    found = compared(*runs({"a": 1.0, "b": 0.0, "c": 1.0}))
    assert [(pair.first, pair.second) for pair in found.pairs] == [("a", "b"), ("a", "c")]
    assert [pair.compared for pair in found.pairs] == [16, 16]
    assert [pair.better for pair in found.pairs] == ["b", None]
    assert [row.name for row in found.runs] == ["a", "b", "c"]
    assert found.pairs[0].differences[0].significant


def test_the_order_of_events_changes_nothing() -> None:
    given = runs({"a": 0.5, "b": 0.0}, number=500)
    events = given[1].events
    order = np.random.default_rng(5).permutation(500)
    moved = ScoredRun(
        "b", CLASSES,
        ScoredEvents(
            events.scores[order], events.class_index[order], events.weight[order], events.class_weight[order],
            event_id=events.event_id[order],
        ),
    )  # fmt: skip
    assert compared(*given) == compared(given[0], moved)


def test_copies_of_an_event_make_no_difference_surer() -> None:
    given = runs({"a": 1.0, "b": 0.0}, number=1000)

    def repeated(run: ScoredRun, times: int) -> ScoredRun:
        each = run.events
        columns = [
            np.repeat(x, times, axis=0)
            for x in (each.scores, each.class_index, each.weight, each.class_weight)
        ]
        return ScoredRun(run.name, CLASSES, ScoredEvents(*columns, event_id=np.repeat(each.event_id, times)))

    once = compared(*given).pairs[0].headline.interval
    thrice = compared(*(repeated(run, 3) for run in given)).pairs[0].headline.interval
    assert np.diff(thrice)[0] == pytest.approx(np.diff(once)[0], rel=0.15)


def test_a_class_without_weight_leaves_its_areas_out() -> None:
    given = []
    for run in runs({"a": 0.5, "b": 0.0}):
        each = run.events
        weight = np.where(each.class_index == 1, 0.0, np.abs(each.weight))
        given.append(
            ScoredRun(
                run.name, CLASSES,
                ScoredEvents(each.scores, each.class_index, weight, each.class_weight, event_id=each.event_id),
            )
        )  # fmt: skip
    found = compared(*given).pairs[0]
    assert {each.quantity for each in found.differences} == {"loss", "accuracy"}
    assert found.compared == 4


def test_a_comparison_needs_two_runs_of_different_names() -> None:
    first = runs({"a": 0.0})
    with pytest.raises(RequestError):
        compared(*first)
    with pytest.raises(RequestError):
        compared(*first, *first)


def test_events_without_any_weight_are_refused() -> None:
    given = [
        ScoredRun(
            run.name, CLASSES,
            ScoredEvents(
                run.events.scores, run.events.class_index, -np.abs(run.events.weight), run.events.class_weight,
                event_id=run.events.event_id,
            ),
        )
        for run in runs({"a": 0.5, "b": 0.0})
    ]  # fmt: skip
    with pytest.raises(TamisError):
        compared(*given)


def test_p_values_are_those_of_a_normal_distribution_for_normal_replicas() -> None:
    rng = np.random.default_rng(1)
    found = np.array([0.0, 1.0, 2.0])
    replicas = found + rng.normal(size=(20_000, 3))
    single, corrected = compute_difference_p_values(found, replicas)
    np.testing.assert_allclose(single, [1, 0.3173, 0.0455], atol=0.01)
    # the largest of three independent ones
    np.testing.assert_allclose(corrected[1:], 1 - (1 - np.array([0.3173, 0.0455])) ** 3, atol=0.01)
    assert compute_difference_p_values(np.zeros(1), np.zeros((5, 1)))[1] == [1.0]


@pytest.mark.slow  # toys of two runs, each with 200 bootstrap samples of both
@pytest.mark.parametrize("signed", [False, True])
def test_intervals_cover_and_equal_runs_are_hardly_ever_told_apart(signed: bool, rates: Any) -> None:
    inside, better, toys = np.zeros(8), 0, rates.toys(200)
    for toy in range(toys):
        given = runs({"a": 0.7, "b": 0.7}, number=800, seed=toy, signed=signed)
        found = compared(*given, seed=toy, bootstraps=200).pairs[0]
        # both are equally good, so that the true differences are zero
        inside += [each.interval[0] <= 0 <= each.interval[1] for each in found.differences]
        better += found.better is not None
    rates.check(inside, toys, 0.683, finds=(0.43, 0.9), what="differences of two equal runs")
    rates.check(better, toys, (0.0, 0.05), finds=(None, 0.21), what="one of two equal runs is called better")


@pytest.mark.slow  # toys of two runs, each with 200 bootstrap samples of both
def test_intervals_cover_a_difference_that_is_there(rates: Any) -> None:
    many = runs({"a": 0.8, "b": 0.2}, number=2_000_000, seed=10**6)
    truth = []
    for weights in ("weight", "balanced_weight"):
        first, second = (
            compute_metrics(run.events.scores, run.events.class_index, getattr(run.events, weights))
            for run in many
        )
        truth += [second.loss - first.loss, second.accuracy - first.accuracy]
        truth += list(np.subtract(second.auc, first.auc))
    inside, toys = np.zeros(8), rates.toys(200)
    for toy in range(toys):
        given = runs({"a": 0.8, "b": 0.2}, number=800, seed=toy)
        found = compared(*given, seed=toy, bootstraps=200).pairs[0]
        inside += [
            each.interval[0] <= true <= each.interval[1]
            for each, true in zip(found.differences, truth, strict=True)
        ]
    rates.check(inside, toys, 0.683, finds=(0.43, 0.9), what="differences of two different runs")


@pytest.mark.parametrize(("events", "known"), [(24, False), (25, True)])
def test_a_class_of_few_events_has_no_interval(events: int, known: bool) -> None:
    first, second = runs({"one": 0.5, "two": 1.0})
    last = len(CLASSES) - 1
    of_it = np.flatnonzero(first.events.class_index == last)[:events]
    rows = np.r_[np.flatnonzero(first.events.class_index != last), of_it]
    given = [
        ScoredRun(each.name, CLASSES, each.events.take(rows).reweighted(np.ones(len(rows))))
        for each in (first, second)
    ]
    found = compared(*given)
    areas = {each.class_name: each for each in found.pairs[0].differences if each.quantity == "auc"}
    assert (areas[CLASSES[last]].interval is not None) == known
    assert (found.runs[0].intervals["physics"][2 + last] is not None) == known
    assert found.runs[0].intervals["physics"][0] is not None


def test_no_interval_is_told_where_there_are_too_few_events() -> None:
    few = compared(*runs({"one": 0.5, "two": 1.0}, number=44))
    assert "[" not in few.pairs[0].sentence
    assert "[" in compared(*runs({"one": 0.1, "two": 3.0})).pairs[0].sentence
