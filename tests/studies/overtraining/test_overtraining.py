"""Training against test, as a study of a run: which events and weights are compared, what is drawn and said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tamis.blocks import Table, Text
from tamis.config import Folds
from tamis.data.ensemble import EnsemblePlan
from tamis.statistics.distributions import compute_score_distributions
from tamis.statistics.metrics import compute_metrics
from tamis.statistics.scored import ScoredEvents
from tamis.studies import metrics_of_studies
from tamis.studies.context import Context
from tamis.studies.overtraining import (
    PAIRED,
    OvertrainingResult,
    compute_overtraining,
    figure_data,
    findings,
    section,
    summary,
)
from tamis.studies.overtraining.permutation import PermutationTest
from tamis.studies.shared import compute_test_metrics, compute_training_metrics
from tamis.studies.study import Undefined

CLASSES = ("a", "b", "c")
FACTOR = np.array([0.25, 1.0, 12.0])
SHARES = {"training": (0.6, 0.3, 0.1), "test": (0.2, 0.5, 0.3)}


def split(name: str, number: int = 500) -> ScoredEvents:
    """Scores that are worse for the class with the large factor; both splits have classes of other sizes."""
    rng = np.random.default_rng((1, len(name)))
    class_index = np.r_[0, 1, 2, rng.choice(3, number - 3, p=SHARES[name])].astype(np.int32)
    density = rng.normal(size=(number, 3)) + 1.5 * np.eye(3)[class_index]
    logits = density * [1.0, 1.0, 0.3] + rng.normal(0, 0.3, (number, 3))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return ScoredEvents(
        scores, class_index, rng.uniform(0.2, 1.5, number), FACTOR[class_index],
        event_id=np.arange(number, dtype=np.uint64),
    )  # fmt: skip


SPLITS = {name: split(name) for name in SHARES}


def compute(splits: dict[str, ScoredEvents] = SPLITS, **options: Any) -> OvertrainingResult:
    return compute_overtraining(Context(CLASSES, splits, **options))


@pytest.fixture(scope="module")
def result() -> OvertrainingResult:
    return compute()


def test_training_and_test_are_compared_with_balanced_weights(result: OvertrainingResult) -> None:
    loss = result.permutation_test.comparisons[0]
    for value, name in ((loss.training, "training"), (loss.test, "test")):
        events = SPLITS[name]
        expected = compute_metrics(events.scores, events.class_index, events.weight * events.class_weight)
        assert value == pytest.approx(expected.loss, rel=1e-12)


def test_numbers_that_others_computed_are_used() -> None:
    context = Context(CLASSES, SPLITS)
    expected = [
        context.once(measure).balanced.value[0]
        for measure in (compute_training_metrics, compute_test_metrics)
    ]
    loss = compute_overtraining(context).permutation_test.comparisons[0]
    assert [loss.training, loss.test] == expected


def crossed() -> dict[str, ScoredEvents]:
    """Return a cross-training: two of three test events are training events of other members, which score them too."""
    test = SPLITS["test"]
    rng = np.random.default_rng(9)
    is_training = np.arange(len(test)) % 3 > 0
    logits = np.log(test.scores[is_training]) + rng.normal(0, 0.1, (is_training.sum(), 3))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    training = replace(test.take(is_training), scores=scores)
    halves = np.arange(len(test)) % 2 == 0
    return {
        "training": replace(training, compared=halves[is_training]),
        "test": replace(test, compared=~halves, split=np.where(is_training, 0, 1).astype(np.uint8)),
    }


def test_the_two_scores_of_each_training_event_of_a_cross_training_are_compared() -> None:
    splits = crossed()
    found = compute(splits, plan=EnsemblePlan(folds=Folds(number=2)))
    of_pairs = splits["training"], splits["test"].take(splits["test"].split == 0)
    expected = [
        compute_metrics(events.scores, events.class_index, events.balanced_weight).loss for events in of_pairs
    ]
    loss = found.permutation_test.comparisons[0]
    assert [loss.training, loss.test] == pytest.approx(expected)
    # the events are the same: the difference is known far better than of independent events
    splits_of_others = (replace(events, event_id=None) for events in of_pairs)
    independent = compute(dict(zip(splits, splits_of_others, strict=True))).permutation_test.comparisons[0]
    assert np.ptp(loss.interval) < 0.3 * np.ptp(independent.interval)
    # the tests that need independent events have no event in both samples
    halves = [events.take(events.compared) for events in splits.values()]
    sizes = [weight.sum() ** 2 / np.square(weight).sum() for weight in (
        half.weight[half.class_index == 0] for half in halves
    )]  # fmt: skip
    test = found.smirnov_tests[0][0]
    assert [test.training_effective_sample_size, test.test_effective_sample_size] == pytest.approx(sizes)


def test_the_distributions_are_those_of_training_and_test_with_physics_weights(
    result: OvertrainingResult,
) -> None:
    of_scores = compute_score_distributions(SPLITS["training"], SPLITS["test"])
    for distribution, expected in zip(result.distributions, of_scores, strict=True):
        for of_split in ("training", "test"):
            for one, other in zip(getattr(distribution, of_split), getattr(expected, of_split), strict=True):
                assert one.edges.tolist() == other.edges.tolist()
                assert one.density.tolist() == other.density.tolist()
                assert one.uncertainty.tolist() == other.uncertainty.tolist()


def test_the_tests_of_a_score_have_the_p_values_of_its_permutations(result: OvertrainingResult) -> None:
    for column, score in enumerate(CLASSES):
        compared = [
            (comparison.difference, comparison.p_value)
            for true in CLASSES
            for comparison in result.permutation_test.comparisons
            if (comparison.class_name, comparison.score) == (true, score)
        ]
        tests = result.tests_of_score(column)
        assert [(test.distance, test.p_value) for test in tests] == compared
    asymptotic = replace(result, permutation_test=Undefined("a reason"))
    assert asymptotic.tests_of_score(1) == tuple(row[1] for row in result.smirnov_tests)


def test_training_events_of_another_kind_are_not_tested() -> None:
    found = compute(dropped_weight=np.array([-5.0, 0.0, -1.5]))
    assert isinstance(found.permutation_test, Undefined)
    assert "dropped" in found.permutation_test.reason
    (text,) = section(found)
    assert isinstance(text, Text)
    (finding,) = findings(found)
    assert finding.light == "info"
    assert finding.sentence == text.text == f"Not tested, because {found.permutation_test.reason}."
    assert list(summary(found)) == []
    metrics = metrics_of_studies({"overtraining": found}, CLASSES)["overtraining"]
    assert metrics["permutation_test"] is None
    assert metrics["not_tested_reason"] == found.permutation_test.reason
    # what needs no permutations is there
    assert metrics["kolmogorov_smirnov"]["tests"] == 9


def test_a_class_without_a_positive_sum_of_weights_is_not_tested() -> None:
    test = SPLITS["test"]
    weight = np.where(test.class_index == 2, -test.weight, test.weight)
    found = compute({**SPLITS, "test": replace(test, weight=weight)})
    assert isinstance(found.permutation_test, Undefined)
    assert found.smirnov_tests[2] == (None,) * 3
    assert found.distributions[0].test[2] is None
    metrics = metrics_of_studies({"overtraining": found}, CLASSES)["overtraining"]["kolmogorov_smirnov"]
    assert metrics["tests"] == 6
    assert metrics["smallest_p_value"] == min(test.p_value for row in found.smirnov_tests[:2] for test in row)
    assert metrics["by_class_and_score"]["c"] == dict.fromkeys(("score_a", "score_b", "score_c"))


@pytest.mark.parametrize(("corrected", "light"), [(0.05, "bad"), (0.051, "good")])
def test_the_page_shows_the_corrected_p_values(
    result: OvertrainingResult, corrected: float, light: str
) -> None:
    first, *others = result.permutation_test.comparisons
    comparisons = (
        replace(first, corrected_p_value=corrected),
        *(replace(each, corrected_p_value=1.0) for each in others),
    )
    found = replace(result, permutation_test=PermutationTest(comparisons, 199))
    text, table = section(found)
    assert isinstance(text, Text)
    assert isinstance(table, Table)
    cells = [row[-1] for row in table.rows]
    assert [cell.value for cell in cells] == [corrected] + 13 * [1.0]
    # p = 1 is no evidence that nothing differs: it has no mark
    assert [cell.light for cell in cells] == ["bad" if light == "bad" else None] + 13 * [None]
    for share in ("80%", "20%"):
        assert share in table.caption
    *_, data = figure_data(found, {})
    for column in data.dependent[1:]:
        assert column.qualifiers == {"Test": "199 permutations, at least 1/200"}
    test = metrics_of_studies({"overtraining": found}, CLASSES)["overtraining"]["permutation_test"]
    assert test["smallest_p_value"] == 1 / 200
    (finding,) = findings(found)
    assert finding.light == light
    assert finding.sentence == text.text
    assert list(summary(found)) == [found.permutation_test.sentence]


def test_a_test_of_a_cross_training_says_what_it_compares(result: OvertrainingResult) -> None:
    found = compute(crossed(), plan=EnsemblePlan(folds=Folds(number=2)))
    assert "out-of-fold" in found.permutation_test.sentence
    assert "out-of-fold" not in result.permutation_test.sentence
    assert [each.permutation_test.paired for each in (found, result)] == [True, False]
    captions = [list(section(each))[1].caption for each in (found, result)]
    assert [PAIRED in caption for caption in captions] == [True, False]
