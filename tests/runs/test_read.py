"""What was written is what is read, and what was changed is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tamis
from tamis.comparison.compute import compare_runs
from tamis.comparison.events import collect_scored_runs
from tamis.config import parse_config
from tamis.config.difference import configuration_differences
from tamis.errors import InputError, RequestError
from tamis.export import export_classifier
from tamis.files import add_hash, sha256, write_json
from tamis.machine import tamis_version
from tamis.runs.read import find_model, read_run
from tamis.statistics.metrics import compute_metrics

Make = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def finished(module_classes: Make, tmp_path_factory: pytest.TempPathFactory) -> tuple[tamis.Run, Path]:
    run = tamis.train(parse_config(module_classes(300, spectators=["w"])))
    folder = tmp_path_factory.mktemp("runs") / "first"
    tamis.write_run(run, folder)
    return run, folder


@pytest.fixture
def copy(finished: tuple[tamis.Run, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[1], tmp_path / "copy"))


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        _ = read_run(folder).scores
    return str(caught.value)


def test_everything_is_read_as_it_was_written(finished: tuple[tamis.Run, Path]) -> None:
    run, folder = finished
    read = read_run(folder)
    assert read.config == run.config
    assert read.name == run.name == "small"
    assert read.class_names == ("bkg", "sig")
    assert read.metrics["test"]["loss"] == run.results["performance"].splits["test"].physics.loss
    assert read.history == run.history
    assert read.metrics == run.metrics
    assert read.cutflow == run.cutflow == run.prepared.cutflow.to_dict(run.config.class_names)
    assert read.provenance["seed"] == run.config.seed


def test_the_test_events_are_those_of_the_run(finished: tuple[tamis.Run, Path]) -> None:
    run, folder = finished
    read = read_run(folder)
    events, part = run.prepared.events, run.splits["test"]
    scores = read.scores
    np.testing.assert_array_equal(scores.scores, part.scores)
    np.testing.assert_array_equal(scores.class_index, events.class_index[part.rows])
    np.testing.assert_array_equal(scores.weight, events.weight[part.rows])
    np.testing.assert_array_equal(scores.event_id, events.event_id[part.rows])
    np.testing.assert_array_equal(scores.spectators["w"], events.spectators["w"][part.rows])
    assert (
        compute_metrics(scores.scores, scores.class_index, scores.weight).loss == read.metrics["test"]["loss"]
    )
    assert read.scores is scores


def test_the_classifier_gives_the_same_scores(finished: tuple[tamis.Run, Path]) -> None:
    run, folder = finished
    features = run.prepared.events.features[:5]
    np.testing.assert_array_equal(
        read_run(folder).classifier.scores(features), run.classifier.scores(features)
    )


def test_a_folder_that_is_no_run_is_refused_with_what_it_is(
    finished: tuple[tamis.Run, Path], tmp_path: Path
) -> None:
    _, folder = finished
    assert "there is no such folder" in refusal(tmp_path / "nothing")
    assert "is a file" in refusal(folder / "config.yaml")
    assert "is not a run directory: it has no provenance.json" in refusal(tmp_path)
    assert "contains some (first); give one of them" in refusal(folder.parent)


def test_an_unfinished_run_is_refused(copy: Path) -> None:
    (copy / "provenance.json").unlink()
    assert "no provenance.json, which is written last: the run is not finished" in refusal(copy)


@pytest.mark.parametrize(
    "name", ["config.yaml", "events.json", "history.json", "metrics.json", "scores.parquet"]
)
def test_a_changed_or_missing_file_is_refused_by_its_name(copy: Path, name: str) -> None:
    path = copy / name
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1) + b" ")
    assert f"{path}: was changed after the run was written" in refusal(copy)
    path.unlink()
    assert f"{path}: is missing" in refusal(copy)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"\xff\xfe", "is not text"),
        (b"[]", "is a JSON list, not a mapping"),
        (
            b"{}",
            "has no format number, and this version of tamis reads the format 2; use the version of tamis that",
        ),
        (b'{"format": 2}', "has no hash of itself"),
        (b'{"format": 2, "seed": 1, "outputs": {}, "sha256": "0"}', "own hash does not match"),
    ],
)
def test_damaged_provenance_is_refused(copy: Path, content: bytes, words: str) -> None:
    (copy / "provenance.json").write_bytes(content)
    assert words in refusal(copy)


def change_provenance(folder: Path, **changes: Any) -> None:
    """Change keys of the provenance, and its own hash."""
    path = folder / "provenance.json"
    write_json(path, add_hash({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("number", [None, 1, 3, "2"])
def test_another_format_is_refused(copy: Path, number: object) -> None:
    expected = rf"copy: .*{number or 'no format number'}.* reads the format 2; "
    for packages, advice in (
        ({"tamis": "0.0.1"}, "use tamis 0.0.1"),
        ({"tamis": tamis_version()}, "train again"),
    ):
        change_provenance(copy, format=number, packages=packages)
        for read in (read_run, find_model):
            with pytest.raises(InputError, match=expected + advice):
                read(copy)


def test_hashes_of_the_files_may_not_be_missing(copy: Path) -> None:
    change_provenance(copy, outputs=None)
    assert "provenance.json: has no hashes of the files of the run" in refusal(copy)


def test_the_classifier_of_another_run_is_refused(copy: Path) -> None:
    outputs = json.loads((copy / "provenance.json").read_text())["outputs"]
    change_provenance(copy, outputs={**outputs, "model/classifier.json": "0" * 64})
    run = read_run(copy)
    with pytest.raises(InputError):
        _ = run.classifier


def rewrite(folder: Path, table: pa.Table) -> None:
    """Replace the scores as somebody would who also changes the hash."""
    pq.write_table(table, folder / "scores.parquet")
    provenance = dict(read_run(folder).provenance)
    outputs = {**provenance["outputs"], "scores.parquet": sha256(folder / "scores.parquet")}
    write_json(folder / "provenance.json", add_hash({**provenance, "outputs": outputs}))


def test_scores_of_other_classes_are_refused(copy: Path) -> None:
    table = pq.read_table(copy / "scores.parquet")
    rewrite(copy, table.drop_columns(["score_sig", "weight"]))
    assert "has no columns weight, score_sig" in refusal(copy)
    place = table.column_names.index("class")
    rewrite(copy, table.set_column(place, "class", pa.array(["other"] * len(table))))
    assert "has events of the classes other" in refusal(copy)


def test_runs_of_the_same_events_are_compared(finished: tuple[tamis.Run, Path]) -> None:
    run, folder = finished
    other = {**run.config.model_dump(by_alias=True), "features": ["y"], "weights": {"balance": {"sig": 3.0}}}
    second = folder.with_name("second")
    tamis.write_run(tamis.train(parse_config(other)), second)
    read = [read_run(folder), read_run(second)]
    found = compare_runs(collect_scored_runs(read), np.random.default_rng(1))
    assert found.events == len(read[0].scores)
    assert [row.name for row in found.runs] == ["first", "second"]
    assert found.runs[0].metrics["physics"].loss == pytest.approx(read[0].metrics["test"]["loss"], rel=1e-9)
    assert found.pairs[0].better == "first"  # y tells nothing
    assert "second was trained with other class weights" in found.notes[0]
    rows = [row.path for row in configuration_differences([each.config for each in read])]
    assert rows == ["features[x]", "weights.balance"]


def test_no_events_are_no_events(copy: Path) -> None:
    rewrite(copy, pq.read_table(copy / "scores.parquet").slice(0, 0))
    assert len(read_run(copy).scores) == 0


def test_a_training_that_is_not_finished_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "network-1").mkdir(parents=True)
    for read in (read_run, find_model):
        with pytest.raises(InputError):
            read(tmp_path)


def test_files_of_a_user_inside_a_run_are_never_removed(finished: tuple[tamis.Run, Path], copy: Path) -> None:
    run, _ = finished
    for name in ("figures/thesis.png", "model/mine/notes.txt"):
        path = copy / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        with pytest.raises(RequestError, match=rf"holds files that do not belong to a run \({name}\)"):
            tamis.write_run(run, copy, overwrite=True)
        assert path.read_text() == "mine"
        path.unlink()
    # what `tamis export` writes is not a user's
    export_classifier(copy / "model", ["json"])
    tamis.write_run(run, copy, overwrite=True)
