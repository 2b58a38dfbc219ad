"""`tamis apply` as a user runs it: exit statuses, and what stands on which stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tamis.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def apply(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, model: Path = small_run) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["apply", str(model), *arguments])
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return int(ended.value.code or 0), output.out, output.err

    return run


@pytest.fixture
def files(write_events: Callable[..., Path], columns_of: Callable[..., Any], tmp_path: Path) -> Path:
    for number in range(2):
        write_events(tmp_path / f"{number}.root", columns_of(20, seed=number))
    return tmp_path


def test_all_done_is_zero(apply: Run, files: Path) -> None:
    code, out, err = apply("0.root", "1.root", "-o", "scores")
    assert (code, err) == (0, "")
    assert "2 of 2 files have their scores in scores: 40 entries in = 40 out + 0 lost." in out
    assert (files / "scores" / "1.scores.root").is_file()


def test_work_that_failed_is_one(apply: Run, files: Path) -> None:
    (files / "bad.root").write_text("bad")
    code, out, err = apply("0.root", "bad.root", "absent.root", "-o", "scores")
    assert code == 1
    assert "1 of 3 files" in out
    assert err.count("failed:") == 2
    assert "bad.root: cannot be read" in err
    assert "absent.root: cannot be read" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["0.root", "-o", "s", "--format", "hdf5"], "expected ttree, rntuple, parquet"),
        (["0.root", "-o", "s", "--shard", "2/2"], "expected i/N with i from 0 to N - 1"),
        (["0.root", "-o", "s", "--chunk", "many"], "expected a number of entries"),
        (["0.root", "-o", "s", "--sentinel", "0.5"], "outside of 0 to 1"),
        (["0.root", "-o", "s", "--selection", "w >"], "w >"),
        (["0.root", "-o", "s", "--sample", "no"], "the run has no sample 'no'; there are bkg, sig"),
        (["0.root", "-o", "s", "--sample", "bkg", "--selection", "w"], "exclude each other"),
        (["*.parquet", "-o", "s"], "no file matches"),
        (["0.root", "./0.root", "-o", "s"], "given twice"),
        (["0.root", "-o", "1.root"], "cannot be made"),
    ],
)
def test_a_wrong_request_is_two(apply: Run, files: Path, arguments: list[str], message: str) -> None:
    code, out, err = apply(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(files.rglob("*.scores.*"))


@pytest.mark.usefixtures("files")
def test_different_selections_must_be_chosen_from(
    session_classes: Callable[..., Any], make_run: Callable[..., Path], apply: Run
) -> None:
    config = session_classes()
    config["samples"][1]["selection"] = "w > 0.7"
    run = make_run(config)
    code, _, err = apply("0.root", "-o", "scores", model=run)
    assert code == 2
    assert "different selections (bkg: w > 0.6; sig: w > 0.7)" in err
    assert apply("0.root", "-o", "scores", "--sample", "sig", model=run)[0] == 0
    assert apply("0.root", "-o", "scores", "--selection", "true", model=run)[0] == 0


def test_no_run_is_a_wrong_request(apply: Run, files: Path) -> None:
    code, _, err = apply("0.root", "-o", "scores", model=files)
    assert code == 2
    assert "is no run" in err
