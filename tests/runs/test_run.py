"""`tamis.run` is `tamis train` in Python, and what it returns is what is read back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import tamis
from tamis.config import parse_config
from tamis.errors import RequestError, StoppedError, TrainingError
from tamis.files import add_hash, sha256, write_json
from tamis.plots.book import Drawing
from tamis.runs.layout import CHECKPOINTS, ENTRIES, FIGURES, PROVENANCE
from tamis.runs.output import lock_run
from tamis.runs.verification import verify_run

Make = Callable[..., dict[str, Any]]
NOT_STORED = {"in_memory", "training", "prepared", "splits", "members"}
STORED = sorted(
    name
    for name in {*dir(tamis.Run), *(field.name for field in fields(tamis.Run))} - NOT_STORED
    if not name.startswith(("_", "load_"))
)
FEW = {"epochs": 3, "batch_size": 64, "early_stopping": None}


def assert_equal(first: Any, second: Any, path: str) -> None:
    """Compare values of any kind with their types, arrays bit by bit."""
    if hasattr(first, "__array__"):
        first, second = np.asarray(first), np.asarray(second)
        assert first.dtype == second.dtype, path
        np.testing.assert_array_equal(first, second, err_msg=path)
        return
    assert type(first) is type(second), path
    if is_dataclass(first):
        for field in fields(first):
            name = field.name
            assert_equal(getattr(first, name), getattr(second, name), f"{path}.{name}")
    elif isinstance(first, Mapping):
        assert list(first) == list(second), path
        for key in first:
            assert_equal(first[key], second[key], f"{path}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), path
        for number, pair in enumerate(zip(first, second, strict=True)):
            assert_equal(*pair, f"{path}[{number}]")
    else:
        assert first == second, path


@pytest.fixture(scope="module")
def finished(module_classes: Make, tmp_path_factory: pytest.TempPathFactory) -> tamis.Run:
    config = module_classes(
        300,
        spectators=["w"],
        split={"folds": 2},
        training={**FEW, "ensemble": 2, "calibration": "vector"},
        evaluation={"reference": {"log_density": {"bkg": "-x**2 / 2", "sig": "-(x - 1.5)**2 / 2"}}},
    )
    return tamis.run(
        parse_config(config), tmp_path_factory.mktemp("runs") / "first", callbacks=tamis.Callbacks()
    )


@pytest.mark.parametrize("name", STORED)
def test_a_run_and_the_run_read_back_are_equal(name: str, finished: tamis.Run) -> None:
    assert_equal(getattr(finished, name), getattr(tamis.read_run(finished.folder), name), name)


@pytest.mark.parametrize("name", sorted(NOT_STORED - {"in_memory"}))
def test_the_events_of_a_run_that_was_read_back_are_refused_in_words(name: str, finished: tamis.Run) -> None:
    assert getattr(finished, name)
    with pytest.raises(RequestError):
        getattr(tamis.read_run(finished.folder), name)


def test_a_run_that_is_not_written_has_no_folder(two_classes: Make) -> None:
    run = tamis.train(parse_config(two_classes(200, training=FEW)), tamis.Callbacks())
    with pytest.raises(RequestError):
        _ = run.folder
    assert run.name == "small"


def test_figures_of_a_run_and_of_the_run_read_back_are_the_same(
    finished: tamis.Run,
) -> None:
    names = [list(tamis.plot_run(run)) for run in (finished, tamis.read_run(finished.folder))]
    assert names[0] == names[1]
    assert "history_fold_1_network_2" in names[0]


@pytest.mark.slow  # draws all figures
def test_the_report_draws_the_figures_that_the_training_did_not(tmp_path: Path, two_classes: Make) -> None:
    config = two_classes(200, training=FEW, report={"figures": True})
    with_figures = tamis.run(parse_config(config), tmp_path / "a" / "run", callbacks=tamis.Callbacks())
    without = {**config, "report": {"figures": False}}
    run = tamis.run(parse_config(without), tmp_path / "b" / "run", callbacks=tamis.Callbacks())
    assert not (run.folder / FIGURES).exists()
    page = tamis.write_report(run.folder)
    drawn, redrawn = (
        {path.name: path.read_bytes() for path in (each.folder / FIGURES).iterdir()}
        for each in (with_figures, run)
    )
    assert redrawn == drawn
    assert "history.svg" in drawn
    assert page.read_text().count("<figure") == (with_figures.folder / page.name).read_text().count("<figure")
    assert verify_run(run.folder).holds


def test_the_report_removes_figures_of_another_version_and_no_file_of_the_user(
    finished: tamis.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tamis.runs.figures.chapters_of", lambda _: [[Drawing("roc", Figure)]])
    folder = Path(shutil.copytree(finished.folder, tmp_path / "run"))
    (folder / FIGURES).mkdir()
    for name in ("old.svg", "mine.svg"):
        (folder / FIGURES / name).write_text("<svg/>")
    provenance = dict(tamis.read_run(folder).provenance)
    listed = {f"{FIGURES}/old.svg": sha256(folder / FIGURES / "old.svg"), "../outside": ""}
    write_json(folder / PROVENANCE, add_hash({**provenance, "outputs": {**provenance["outputs"], **listed}}))
    (tmp_path / "outside").touch()
    tamis.write_report(folder)
    assert {path.name for path in (folder / FIGURES).iterdir()} == {"roc.svg", "figures.pdf", "mine.svg"}
    assert (tmp_path / "outside").exists()


def test_a_stopped_run_resumes_bit_by_bit(two_classes: Make, tmp_path: Path) -> None:
    config = parse_config(two_classes(200, training=FEW))
    notes: list[str] = []
    asked = iter([""])
    with pytest.raises(StoppedError):
        tamis.run(config, tmp_path / "run", should_stop=lambda: next(asked, "the clock"))
    assert [path.name for path in (tmp_path / "run").iterdir()] == [CHECKPOINTS]
    with pytest.raises(RequestError):
        tamis.run(config.model_copy(update={"seed": 7}), tmp_path / "run")
    run = tamis.run(config, tmp_path / "run", callbacks=tamis.Callbacks(note=notes.append))
    assert any(note.startswith("resuming after ") for note in notes)
    assert {path.name for path in run.folder.iterdir()} < ENTRIES - {CHECKPOINTS}
    assert_equal(run.scores, tamis.train(config, tamis.Callbacks()).scores, "scores")
    with pytest.raises(RequestError):
        tamis.run(config, tmp_path / "run")
    tamis.run(config, tmp_path / "run", overwrite=True)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_locked_folder_is_refused(two_classes: Make, tmp_path: Path) -> None:
    config = parse_config(two_classes(200, training=FEW))
    with (
        lock_run(tmp_path / "{}" / "run"),
        pytest.raises(RequestError),
    ):
        tamis.run(config, tmp_path / "{}" / "run")
    assert not (tmp_path / "{}").exists()


def test_writing_a_run_or_a_report_needs_the_lock(finished: tamis.Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished.folder, tmp_path / "run"))
    message = r"is being written by .*; wait until it ends, or write to another folder$"
    with lock_run(folder):
        with pytest.raises(RequestError, match=message):
            tamis.write_run(finished, folder, overwrite=True)
        with pytest.raises(RequestError, match=message):
            tamis.write_report(folder)
    tamis.write_run(finished, folder, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("value", [None, "runs/first", 3])
def test_only_runs_are_plotted_and_written(value: Any, tmp_path: Path) -> None:
    for function in (tamis.plot_run, lambda run: tamis.write_run(run, tmp_path / "run")):
        with pytest.raises(
            RequestError, match=rf"takes a tamis\.Run, not {type(value).__name__}; tamis\.train, "
        ):
            function(value)


def test_a_training_that_diverges_leaves_nothing(
    two_classes: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object, checkpoints: Any, **_options: object) -> None:
        (checkpoints.folder / "network-1").mkdir(parents=True)
        raise TrainingError("the loss is not finite")

    monkeypatch.setattr("tamis.runs.run.train", diverge)
    with pytest.raises(TrainingError):
        tamis.run(parse_config(two_classes(200)), tmp_path / "runs" / "run")
    assert not (tmp_path / "runs").exists()


def test_a_path_in_place_of_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        tamis.run("small.yaml", tmp_path / "run")  # type: ignore[arg-type]
