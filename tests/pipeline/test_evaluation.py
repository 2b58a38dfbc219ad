"""What the pipeline hands to the evaluation: which events are training and which are test."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import tamis
from tamis.config import Config, parse_config
from tamis.data.split import TEST, TRAINING, VALIDATION
from tamis.files import write_json
from tamis.pipeline.evaluation import (
    ScoredSplit,
    build_context,
    compute_dropped_weight,
    train_test_masks,
    used_events,
)
from tamis.pipeline.fitting import build_metric
from tamis.pipeline.preparation import Prepared, prepare
from tamis.runs.figures import plot_run
from tamis.statistics.correlations import compute_correlations
from tamis.statistics.cuts import best_significance
from tamis.statistics.metrics import compute_metrics
from tamis.studies.context import Context
from tamis.studies.inputs.result import Survey, compute_inputs

Make = Callable[..., dict[str, Any]]


def survey_of(config: Config, prepared: Prepared) -> Survey:
    context = Context(config.class_names, {}, used=used_events(config, prepared))
    result = compute_inputs(context)
    assert result is not None
    return result.survey


def test_without_folds_training_and_test_are_the_parts(two_classes: Make) -> None:
    config = parse_config(two_classes(200))
    prepared = prepare(config)
    found, part = train_test_masks(config, prepared), prepared.events.split
    ((training, test),) = found.members
    np.testing.assert_array_equal(training, part == TRAINING)
    np.testing.assert_array_equal(test, part == TEST)
    np.testing.assert_array_equal(found.compared, (training, test))
    assert found.alike


def test_uncertainties_are_in_the_order_of_the_classes(two_classes: Make) -> None:
    evaluation = {"background_uncertainty": {"bkg": 0.1}}
    section = two_classes(200, classes={"sig": {"signal": True}, "bkg": {}}, evaluation=evaluation)
    config = parse_config(section)
    classifier: Any = SimpleNamespace(calibration=None)
    nothing = ScoredSplit(np.arange(0), np.empty((0, 2), np.float32))
    context = build_context(config, prepare(config), classifier, {"test": nothing})
    assert context.class_names == ("sig", "bkg")
    assert context.background_uncertainty == (0.0, 0.1)


def test_with_folds_each_network_has_its_own_test_and_no_event_is_compared_with_itself(
    two_classes: Make,
) -> None:
    config = parse_config(two_classes(200, split={"folds": 3}))
    prepared = prepare(config)
    found, events = train_test_masks(config, prepared), prepared.events
    assert len(found.members) == 3
    for number, (training, test) in enumerate(found.members):
        np.testing.assert_array_equal(test, events.fold == number)
        np.testing.assert_array_equal(training, (events.fold != number) & (events.split == TRAINING))
    assert np.sum([test for _, test in found.members], axis=0).tolist() == [1] * len(events)
    training, test = found.compared
    assert training.any()
    assert test.any()
    assert not (training & test).any()
    # independent halves, each with all folds
    assert (events.split[training] == TRAINING).all()
    assert len(np.unique(events.fold[test])) == len(np.unique(events.fold[training])) == 3
    assert abs(test.mean() - 0.5) < 0.15


def test_events_that_were_dropped_from_the_training_make_the_test_another_kind(two_classes: Make) -> None:
    config = two_classes(200, weights={"negative": "drop"})
    for sample in config["samples"]:
        sample["weight"] = "w - 0.7"
    parsed = parse_config(config)
    prepared = prepare(parsed)
    assert not train_test_masks(parsed, prepared).alike
    found = survey_of(parsed, prepared)
    assert all(each.outside.p_value is None for each in found.features if each.outside is not None)
    assert all(test is None for each in found.features for test in each.compared.values())


def test_the_inputs_know_which_events_vary_together(two_classes: Make) -> None:
    config = parse_config(two_classes(400))
    prepared = prepare(config)
    events = prepared.events
    # as with a column in `split.event_id` that four events share, of the two classes too
    identity = (np.arange(len(events)) // 4 % 40).astype(np.uint64)
    shared = replace(prepared, weighed=replace(prepared.weighed, events=replace(events, event_id=identity)))
    rows = np.flatnonzero((events.split == TRAINING) & (events.class_index == 1))
    expected = compute_correlations(events.features, events.weight, rows, units=identity.astype(np.intp))
    found = survey_of(config, shared).correlations["sig"].error[0, 1]
    assert found == expected.error[0, 1]
    assert found != survey_of(config, prepared).correlations["sig"].error[0, 1]


def test_early_stopping_knows_which_events_vary_together(two_classes: Make) -> None:
    stopping = {"monitor": "validation_significance", "patience": 5}
    config = parse_config(two_classes(400, training={"early_stopping": stopping}))
    events = prepare(config).events
    identity = (np.arange(len(events)) // 40).astype(np.uint64)
    rows = events.split == VALIDATION
    score = np.random.default_rng(1).random(np.count_nonzero(rows))
    scores = np.stack([1 - score, score], axis=1)
    arguments = scores, events.class_index[rows], events.weight[rows], [1]
    measured = [
        build_metric(config, replace(events, event_id=each), rows)(scores)
        for each in (events.event_id, identity)
    ]
    assert measured[0] == best_significance(*arguments)
    units = (identity[rows] * 2 + arguments[1].astype(np.uint64)).astype(np.intp)
    assert measured[1] == pytest.approx(best_significance(*arguments, units=units))
    assert measured[1] != measured[0]


@pytest.mark.parametrize("split", [{}, {"folds": 2}])
def test_the_inputs_stand_in_the_metrics(two_classes: Make, split: dict[str, Any], tmp_path: Any) -> None:
    run = tamis.train(parse_config(two_classes(300, split=split, training={"epochs": 1, "batch_size": 64})))
    write_json(tmp_path / "metrics.json", run.metrics)
    written = json.loads((tmp_path / "metrics.json").read_text())["inputs"]
    assert written["features"] == ["x", "y"]
    events = run.prepared.events
    rows = np.flatnonzero((events.split == TRAINING) & (events.class_index == 1))
    expected = compute_correlations(events.features, events.weight, rows).matrix[0, 1]
    assert written["correlations"]["sig"]["matrix"][0][1] == expected
    assert set(written["by_feature"]["x"]["training_against_test"]) == {"bkg", "sig"}


def test_negative_weights_are_judged_where_there_are_any(two_classes: Make, tmp_path: Any) -> None:
    config = two_classes(300, training={"epochs": 1, "batch_size": 64})
    positive = tamis.train(parse_config(config))
    assert positive.metrics["negative_weights"] is None
    for sample in config["samples"]:
        sample["weight"] = "w - 0.6"
    run = tamis.train(parse_config(config))
    write_json(tmp_path / "metrics.json", run.metrics)
    written = json.loads((tmp_path / "metrics.json").read_text())
    found = written["negative_weights"]
    test = run.splits["test"].rows
    assert (
        sum(each["events"] for each in found["classes"].values())
        == (run.prepared.events.weight[test] < 0).sum()
    )
    quoted = {
        (each["quantity"], each["name"]): each["quoted"]
        for each in found["changes"]
        if each["target"] is None
    }
    assert quoted["loss", None] == written["test"]["loss"]
    assert quoted["auc", "sig"] == written["test"]["auc"]["sig"]
    assert quoted["significance", "categories"] == written["discovery"]["significance_of_categories"]


@pytest.mark.parametrize(
    ("split", "seeds", "folds"),
    [({}, 2, [None, None]), ({"folds": 2}, 1, [0, 1]), ({"folds": 2}, 2, [0, 0, 1, 1])],
)
def test_each_network_is_judged_alone_on_what_it_never_saw(
    two_classes: Make, tmp_path: Any, split: dict[str, Any], seeds: int, folds: list[int | None]
) -> None:
    training = {"epochs": 1, "batch_size": 64, "ensemble": seeds}
    config = two_classes(300, split=split, training=training)
    for sample in config["samples"]:
        sample["weight"] = "w"
    run = tamis.train(parse_config(config))
    write_json(tmp_path / "metrics.json", run.metrics)
    found = json.loads((tmp_path / "metrics.json").read_text())["stability"]
    events = run.prepared.events
    for member, fold, numbers in zip(run.classifier.members, folds, found["members"], strict=True):
        rows = np.flatnonzero(events.split == TEST if fold is None else events.fold == fold)
        scores, label, weight = (
            member.scores(events.features[rows]),
            events.class_index[rows],
            events.weight[rows],
        )
        balanced = weight * run.prepared.weighed.class_weights[label]
        assert numbers["fold"] == fold
        assert numbers["loss"] == pytest.approx(compute_metrics(scores, label, balanced).loss, rel=1e-6)
        assert numbers["auc"]["sig"] == pytest.approx(compute_metrics(scores, label, weight).auc[1], rel=1e-6)
    assert (found["spreads"][0]["gain"] is None) == (seeds == 1)
    assert (found["p_value"] is None) == (split == {})
    if split and seeds == 2:
        figures = plot_run(run)
        assert all(isinstance(figure, Figure) for figure in figures.values())
        assert {
            "inputs", "correlations", "correlations_difference", "history_fold_1_network_2", "stability",
        } <= set(figures)  # fmt: skip


def test_one_network_has_no_stability(two_classes: Make) -> None:
    run = tamis.train(parse_config(two_classes(200, training={"epochs": 1, "batch_size": 64})))
    assert run.metrics["stability"] is None


def test_what_was_dropped_from_all_samples_of_a_class_is_left_out(two_classes: Make) -> None:
    config = two_classes(200, weights={"negative": "drop"})
    bkg, sig = config["samples"]
    more = {**bkg, "name": "more", "selection": "y <= 0", "weight": "w - 0.9"}
    config["samples"] = [
        {**bkg, "selection": "y > 0", "weight": "w - 0.7"},
        {**sig, "weight": "w - 0.7"},
        more,
    ]
    parsed = parse_config(config)
    kept = parse_config({**config, "weights": {"negative": "keep"}})
    events, rest = (prepare(each).events for each in (kept, parsed))
    sums = [np.bincount(each.class_index, each.weight) for each in (events, rest)]
    np.testing.assert_allclose(compute_dropped_weight(parsed, prepare(parsed).cutflow), sums[0] - sums[1])
