"""Cross-training, seeds and shared members: several networks in one classifier."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

import tamis
from tamis.config import parse_config
from tamis.data.split import TRAINING
from tamis.errors import InputError
from tamis.pipeline.fitting import train_classifier
from tamis.pipeline.preparation import prepare
from tamis.plots.book import Drawing
from tamis.runs.figures import chapters_of

Make = Callable[..., dict[str, Any]]


def quick(config: dict[str, Any], **training: Any) -> dict[str, Any]:
    network = {"layers": [{"nodes": 4}]}
    short = {"epochs": 2, "batch_size": 64, **training}
    return {**config, "network": {**network, **config.get("network", {})}, "training": short}


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory, module_classes: Make) -> tuple[tamis.Run, Path]:
    config = quick(module_classes(600, name="drawn"))
    config["split"] = {"folds": 3}
    run = tamis.train(parse_config(config))
    folder = tmp_path_factory.mktemp("run") / "crossed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tamis.runs.figures.chapters_of", histories_of)
        tamis.write_run(run, folder)
    return run, folder


def histories_of(run: tamis.Run) -> list[tuple[Drawing, ...]]:
    """Return the figures whose names depend on the folds; saving all figures takes longer than the trainings."""
    drawings = [drawing for chapter in chapters_of(run) for drawing in chapter]
    return [tuple(drawing for drawing in drawings if drawing.name.startswith("history"))]


def test_no_member_scores_an_event_that_it_was_trained_on(crossed: tuple[tamis.Run, Path]) -> None:
    run, _ = crossed
    events, classifier = run.prepared.events, run.classifier
    test = run.splits["test"]
    assert np.array_equal(np.sort(test.rows), np.arange(len(events)))
    members = list(zip(classifier.plan.members, classifier.members, strict=True))
    for planned, member in members:
        own = events.fold == planned.fold
        assert own.any()
        # by identity: what it learned from is never what it is quoted on
        learned = set(events.event_id[planned.select(TRAINING, events)].tolist())
        assert learned
        assert not learned & set(events.event_id[own].tolist())
        expected = member.scores(events.features[own])
        np.testing.assert_array_equal(test.scores[own[test.rows]], expected)
    overtraining = run.results["overtraining"].permutation_test
    assert overtraining.paired
    # and the training part is scored by a member that learned from it
    training = run.splits["training"]
    seen = classifier.plan.choose_seen_fold(events)[training.rows]
    assert (seen != events.fold[training.rows]).all()
    for planned, member in members:
        rows = seen == planned.fold
        np.testing.assert_array_equal(
            training.scores[rows], member.scores(events.features[training.rows[rows]])
        )


def test_a_member_is_not_changed_by_the_events_of_its_fold(module_classes: Make) -> None:
    """The strong form: other values in a fold leave the member that never sees it as it is, bit by bit."""
    config = parse_config({**quick(module_classes(300)), "split": {"folds": 2}})
    prepared = prepare(config)
    before, _ = train_classifier(config, prepared)
    events = prepared.events
    changed = events.features.copy()
    changed[events.fold == 0] += 100
    events.features[:] = changed
    after, _ = train_classifier(config, prepared)
    events.features[events.fold == 0] -= 100
    first = [np.asarray(leaf).tobytes() for leaf in leaves(before.members[0].network)]
    assert first == [np.asarray(leaf).tobytes() for leaf in leaves(after.members[0].network)]
    second = [np.asarray(leaf).tobytes() for leaf in leaves(before.members[1].network)]
    assert second != [np.asarray(leaf).tobytes() for leaf in leaves(after.members[1].network)]


def leaves(network: Any) -> list[Any]:
    import jax

    return jax.tree.leaves(network)


def test_the_run_directory_says_who_scored_whom(crossed: tuple[tamis.Run, Path]) -> None:
    run, folder = crossed
    table = parquet.read_table(folder / "scores.parquet")
    assert table.num_rows == len(run.prepared.events)
    assert set(table["fold"].to_pylist()) == {0, 1, 2}
    history = json.loads((folder / "history.json").read_text())
    assert [(member["fold"], member["seed"]) for member in history["members"]] == [
        (member.fold, member.seed) for member in run.classifier.plan.members
    ]
    assert [member["fold"] for member in history["members"]] == [0, 1, 2]
    cutflow = json.loads((folder / "events.json").read_text())
    account = cutflow["total"]
    assert sum(fold["events"] for fold in account["folds"]) == account["used"]["events"]
    assert account["training"]["events"] + account["validation"]["events"] == account["used"]["events"]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["network"]["networks"] == 3
    assert [(member["fold"], member["epochs"], member["best_epoch"]) for member in metrics["history"]] == [
        (fold, 2, trained.history.best) for fold, trained in enumerate(run.members)
    ]
    # counted as in the tables: from 0
    figures = {path.stem for path in (folder / "figures").glob("history*.svg")}
    assert figures == {"history_fold_0", "history_fold_1", "history_fold_2"}
    assert "Training curves: fold 0" in (folder / "report.html").read_text()


def test_new_events_get_the_average_and_loading_changes_nothing(crossed: tuple[tamis.Run, Path]) -> None:
    run, folder = crossed
    loaded = tamis.Classifier.load(folder / "model")
    features = run.prepared.events.features[:50]
    columns = {name: features[:, index] for index, name in enumerate(loaded.feature_names)}
    expected = np.mean([member.scores(features) for member in run.classifier.members], axis=0)
    np.testing.assert_allclose(loaded.predict(columns), expected, atol=1e-6)
    fold = run.prepared.events.fold[:50]
    assert loaded.plan == run.classifier.plan
    one_fold = loaded.scores(features, np.full(50, 1))
    assert loaded.scores(features, 1).tobytes() == one_fold.tobytes()
    assert one_fold.tobytes() == run.classifier.members[1].scores(features).tobytes()
    assert loaded.scores(features, fold).tobytes() == run.classifier.scores(features, fold).tobytes()


def test_folds_by_a_number_are_found_again_at_prediction(module_classes: Make) -> None:
    config = quick(module_classes(300))
    config["split"] = {"folds": {"number": 2, "by": "event"}}
    run = tamis.train(parse_config(config))
    events, classifier = run.prepared.events, run.classifier
    columns = {name: events.features[:, index] for index, name in enumerate(classifier.feature_names)}
    columns["event"] = events.entry
    by_rule = events.entry % 2
    assert np.array_equal(by_rule, events.fold)
    found = classifier.predict(columns)
    for planned, member in zip(classifier.plan.members, classifier.members, strict=True):
        rows = by_rule == planned.fold
        np.testing.assert_array_equal(found[rows], member.scores(events.features[rows]))


def test_seeds_are_averaged_and_differ(module_classes: Make, tmp_path: Path) -> None:
    run = tamis.train(parse_config(quick(module_classes(300), ensemble=3)))
    alone = tamis.train(parse_config(quick(module_classes(300))))
    members = run.classifier.members
    features = run.prepared.events.features[:20]
    scores = [member.scores(features) for member in members]
    assert scores[0].tobytes() == alone.classifier.scores(features).tobytes()
    assert np.abs(scores[0] - scores[1]).max() > 1e-4
    np.testing.assert_allclose(run.classifier.scores(features), np.mean(scores, axis=0), atol=1e-6)
    run.classifier.save(tmp_path)
    loaded = tamis.Classifier.load(tmp_path)
    assert loaded.scores(features).tobytes() == run.classifier.scores(features).tobytes()


def test_shared_members_are_saved_and_loaded(module_classes: Make, tmp_path: Path) -> None:
    config = quick(module_classes(300))
    config["network"] = {"layers": [{"nodes": 4}], "shared_members": 4, "embedding": {"type": "periodic"}}
    run = tamis.train(parse_config(config))
    run.classifier.save(tmp_path)
    loaded = tamis.Classifier.load(tmp_path)
    features = run.prepared.events.features[:20]
    assert loaded.network.shared_members == 4
    assert loaded.scores(features).tobytes() == run.classifier.scores(features).tobytes()


def test_everything_that_is_learned_before_the_network_is_saved(module_classes: Make, tmp_path: Path) -> None:
    config = quick(
        module_classes(300),
        symmetries=[{"type": "reflection", "features": ["y"]}],
        test_time_augmentation=2,
    )
    config["preprocessing"] = {"scaling": "quantile", "logarithm": ["x"]}
    config["split"] = {"folds": 2}
    run = tamis.train(parse_config(config))
    run.classifier.save(tmp_path)
    loaded = tamis.Classifier.load(tmp_path)
    features = run.prepared.events.features[:40]
    assert loaded.scores(features).tobytes() == run.classifier.scores(features).tobytes()
    # averaged over both signs of y, so the sign cannot matter
    mirrored = features * np.array([1, -1], np.float32)
    np.testing.assert_allclose(loaded.scores(mirrored), loaded.scores(features), atol=1e-6)
    single = np.mean([member.scores(features) for member in loaded.members], axis=0)
    assert np.abs(single - loaded.scores(features)).max() > 1e-5


def test_more_folds_than_events_are_refused(module_classes: Make) -> None:
    config = {**quick(module_classes(12)), "split": {"folds": 50}}
    with pytest.raises(InputError):
        prepare(parse_config(config))
