"""What the features of a run are worth: which events and weights are used, what is trained again, what a page says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import special

from tamis.blocks import Table, Text
from tamis.data.split import NO_FOLD
from tamis.network.sensitivity import Sensitivity
from tamis.random_streams import random_stream
from tamis.statistics.importance import compare_influences, compute_permutation_importance
from tamis.statistics.influence import compute_influences
from tamis.statistics.scored import ScoredEvents
from tamis.studies import metrics_of_studies
from tamis.studies.context import Context, Rescoring
from tamis.studies.importance import ImportanceResult, add_ablation, compute_importance, section
from tamis.studies.importance.result import choose_events
from tamis.studies.study import Undefined

CLASSES, NAMES = ("bkg", "sig"), ("strong", "weak", "useless")
SLOPES = np.array([2.0, 0.4, 0.0])


class Logistic:
    """A classifier of known slopes; `folds` counts the folds that it was asked for."""

    feature_names = NAMES
    members = (None,)

    def __init__(self) -> None:
        self.folds: list[Any] = []

    def scores(self, features: np.ndarray, fold: np.ndarray = None) -> np.ndarray:
        self.folds.append(fold)
        signal = special.expit(features @ SLOPES)
        return np.stack([1 - signal, signal], axis=1)

    def sensitivity(self, features: np.ndarray, fold: np.ndarray = None) -> Sensitivity:
        scores = self.scores(features, fold)
        of_signal = (1 - scores[:, 1])[:, None] * SLOPES
        of_background = -scores[:, 1][:, None] * SLOPES
        values = np.stack([of_background, of_signal], axis=1)
        return Sensitivity(scores, values, np.zeros_like(values))


def context_of(number: int = 1500, **changes: Any) -> Context:
    """Return a context whose test events are every second of the used events, in reverse."""
    rng = np.random.default_rng(2)
    class_index = (np.arange(number) % 2).astype(np.int32)
    features = rng.normal(size=(number, 3)) + np.outer(class_index - 0.5, [2.0, 0.4, 0.0])
    everything = np.zeros((2 * number, 3))
    rows = np.arange(2 * number - 1, -1, -2)
    everything[rows] = features
    test = ScoredEvents(
        Logistic().scores(features),
        class_index,
        rng.uniform(0.5, 1.5, number),
        np.array([3.0, 0.5])[class_index],
        event_id=np.arange(number, dtype=np.uint64),
    )
    rescoring = Rescoring(Logistic(), everything, rows, np.full(number, NO_FOLD))  # type: ignore[arg-type]
    return Context(CLASSES, {"test": test}, 5, rescoring=rescoring, **changes)


def test_the_importance_is_that_of_test_events_with_balanced_weights() -> None:
    context = context_of()
    result = compute_importance(context)
    assert isinstance(result, ImportanceResult)
    test, rescoring = context.splits["test"], context.rescoring
    expected = compute_permutation_importance(
        Logistic().scores,
        rescoring.features[rescoring.rows],
        test.class_index,
        test.weight * test.class_weight,
        NAMES,
        random_stream(5, "evaluation", "importance"),
    )
    assert [group.features for group in result.groups] == [("strong",), ("weak",), ("useless",)]
    assert [(group.features, group.permuted) for group in result.groups] == [
        (group.features, group.drop) for group in expected
    ]
    gradients = [group.gradient.loss for group in result.groups]
    # mean size of the slope, weighted, times the spread of about one
    size = np.average(
        np.abs(test.scores[np.arange(1500), 1 - test.class_index]), weights=test.weight * test.class_weight
    )
    spread = np.diff(np.quantile(rescoring.features[rescoring.rows, 1], special.ndtr([-1.0, 1.0])))[0] / 2
    assert gradients[1] == pytest.approx(0.4 * size * spread, rel=0.05)
    assert gradients[2] == 0.0


def test_folds_are_those_of_the_test_events() -> None:
    context = context_of(200)
    fold = np.arange(200) % 3
    rescoring = replace(context.rescoring, fold=fold)
    compute_importance(replace(context, rescoring=rescoring))
    asked = rescoring.classifier.folds
    assert all(np.array_equal(np.sort(one), np.sort(fold)) for one in asked)
    np.testing.assert_array_equal(asked[0], fold)


def test_a_part_of_many_events_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tamis.studies.importance.result.EVENTS", 100)
    rows = choose_events(1000, np.random.default_rng(1))
    assert len(np.unique(rows)) == 100
    assert rows.max() > 500
    np.testing.assert_array_equal(choose_events(100, np.random.default_rng(1)), np.arange(100))


def test_the_question_does_not_arise_without_a_classifier() -> None:
    assert compute_importance(replace(context_of(100), rescoring=None)) is None


def test_weights_without_a_positive_sum_are_the_reason_for_no_result() -> None:
    context = context_of(100)
    test = context.splits["test"]
    negative = replace(context, splits={"test": replace(test, weight=-test.weight)})
    result = compute_importance(negative)
    assert isinstance(result, Undefined)
    assert "positive sum" in result.reason


class Trained:
    """Classifiers without features whose scores are known; one without `weak` cannot be built."""

    def __init__(self) -> None:
        self.groups: list[tuple[str, ...]] = []

    def __call__(
        self, groups: Sequence[tuple[str, ...]], features: np.ndarray, fold: np.ndarray
    ) -> list[np.ndarray | None]:
        assert (fold == NO_FOLD).all()
        self.groups += groups
        return [None if group == ("weak",) else self.scores(group, features) for group in groups]

    @staticmethod
    def scores(group: tuple[str, ...], features: np.ndarray) -> np.ndarray:
        remaining = [0.0 if name in group else 1.0 for name in NAMES]
        return Logistic().scores(features * remaining)


def test_ablation_compares_the_scores_of_the_same_events() -> None:
    trained = Trained()
    context = context_of(ablation=("strong", "weak"), train_without=trained)
    before = compute_importance(context)
    result = add_ablation(context, before)
    assert trained.groups == [(), ("strong",), ("weak",)]
    strong, weak, useless = result.groups
    test, rescoring = context.splits["test"], context.rescoring
    influences = [
        compute_influences(scores, test.class_index, test.weight * test.class_weight)
        for scores in (test.scores, Trained.scores(("strong",), rescoring.features[rescoring.rows]))
    ]
    assert strong.ablated == compare_influences(*influences, np.ones(4, np.bool_))
    assert strong.ablated.loss > 0.1
    assert weak.ablated is useless.ablated is None
    assert result.retrained.loss == 0.0
    assert [replace(group, ablated=None) for group in result.groups] == list(before.groups)
    written = json.loads(
        json.dumps(metrics_of_studies({"importance": result}, CLASSES)["importance"], allow_nan=False)
    )
    assert written["groups"][0]["ablation"]["loss"] == strong.ablated.loss
    assert written["retrained"]["loss"] == 0.0


@pytest.mark.parametrize("changes", [{"ablation": False, "train_without": Trained()}, {"ablation": True}])
def test_nothing_is_trained_where_nothing_is_asked_for_or_nothing_trains(changes: dict[str, Any]) -> None:
    context = context_of(200, **changes)
    result = compute_importance(context)
    assert add_ablation(context, result) is result
    assert changes.get("train_without", Trained()).groups == []


@pytest.mark.parametrize("ablation", [False, True])
def test_the_section_shows_the_ablation_where_there_is_one(ablation: bool) -> None:
    context = context_of(ablation=ablation, train_without=Trained())
    result = add_ablation(context, compute_importance(context))
    table, *texts = section(result)
    assert isinstance(table, Table)
    assert ("ablation" in table.columns) == ablation
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert [row[0].text for row in table.rows] == ["strong", "weak", "useless"]
    assert [row[1].value for row in table.rows] == [group.permuted.loss for group in result.groups]
    assert len(texts) == ablation
    assert all(isinstance(text, Text) and "another seed" in text.text for text in texts)
