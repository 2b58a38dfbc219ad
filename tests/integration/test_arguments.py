"""What functions for Python users say of an argument of the wrong kind: a RequestError that names function and type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tamis
from tamis.apply import ApplyCallbacks, ApplyOptions, apply_files, verify_files
from tamis.check import check_input
from tamis.comparison.page import write_comparison
from tamis.errors import InputError, RequestError
from tamis.export import export_classifier
from tamis.runs.verification import verify_run

ODD: Any = 3
CONFIG = {
    "samples": [{"name": name, "class": name, "files": f"{name}.root"} for name in ("bkg", "sig")],
    "classes": {"bkg": {}, "sig": {"signal": True}},
    "features": ["x"],
}


def save(folder: Any) -> None:
    # the path is looked at before the classifier itself
    tamis.Classifier.save(object.__new__(tamis.Classifier), folder)


@pytest.mark.parametrize(
    ("call", "function"),
    [
        (lambda: tamis.load_config(ODD), "load_config"),
        (lambda: tamis.parse_config(CONFIG, data=ODD), "data"),
        (lambda: tamis.read_run(ODD), "read_run"),
        (lambda: tamis.write_report(ODD), "write_report"),
        (lambda: tamis.export_onnx(ODD), "export_onnx"),
        (lambda: export_classifier("model", output=ODD), "export_classifier"),
        (lambda: tamis.Classifier.load(ODD), "Classifier.load"),
        (lambda: save(ODD), "Classifier.save"),
        (lambda: export_classifier(ODD), "export_classifier"),
        (lambda: verify_run(ODD), "verify_run"),
        (lambda: verify_run("run", data=ODD), "verify_run"),
        (lambda: write_comparison(["a", ODD]), "write_comparison"),
        (lambda: write_comparison(["a", "b"], ODD), "write_comparison"),
        (lambda: apply_files("run", [ODD], "scores"), "apply_files"),
        (lambda: apply_files("run", ["a.root"], ODD), "apply_files"),
        (lambda: apply_files(ODD, ["a.root"], "scores"), "tamis.apply"),
        (lambda: verify_files("run", [ODD], "scores"), "verify_files"),
    ],
)
def test_what_is_not_a_path_is_refused(
    call: Callable[[], object], function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=rf"^{function} takes a path, as text or pathlib\.Path, not int$"):
        call()


@pytest.mark.parametrize("function", [apply_files, verify_files])
@pytest.mark.parametrize("files", ["data/*.root", Path("data/a.root")])
def test_one_file_is_not_taken_apart_into_letters(function: Callable[..., object], files: object) -> None:
    with pytest.raises(RequestError):
        function("run", files, "scores")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tamis.Callbacks(epoch=ODD), "epoch of Callbacks takes a function, not int"),
        (lambda: ApplyCallbacks(advance=ODD), "advance of ApplyCallbacks takes a function, not int"),
        (
            lambda: tamis.train(tamis.parse_config(CONFIG), ODD),
            "callbacks of train takes an object of tamis.Callbacks, not",
        ),
        (
            lambda: tamis.train(tamis.parse_config(CONFIG), checkpoints=ODD),
            "checkpoints of train takes an object of tamis.pipeline.checkpoints.Checkpoints, not int",
        ),
        (lambda: check_input(tamis.parse_config(CONFIG), ODD), "callbacks of check_input takes an object"),
        (lambda: verify_run("run", callbacks=ODD), "callbacks of verify_run takes an object of"),
        (
            lambda: apply_files("run", ["a.root"], "s", options=ODD),
            "options of apply_files takes an object of",
        ),
        (
            lambda: apply_files("run", ["a"], "s", callbacks=ODD),
            "callbacks of apply_files takes an object of",
        ),
        (lambda: apply_files("run", ODD, "s"), "apply_files takes a list of paths, not int"),
        (lambda: ApplyOptions(form="csv"), "the format is 'csv'; expected ttree, rntuple, parquet"),  # type: ignore[arg-type]
        (lambda: ApplyOptions(sentinel="low"), "the sentinel is 'low'; expected a number, such as -1"),  # type: ignore[arg-type]
    ],
)
def test_an_argument_of_another_kind_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        call()
    assert str(caught.value).startswith(message)


def test_the_directory_of_a_run_is_answered_with_its_classifier(tmp_path: Path) -> None:
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "classifier.json").touch()
    with pytest.raises(InputError):
        tamis.Classifier.load(tmp_path / "run")
