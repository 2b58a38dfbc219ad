"""`tamis apply --verify` finds what does not belong together, and says what it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tamis.apply import ApplyOptions, apply_files, verify_files
from tamis.apply.verify import ScoreCheck
from tamis.cli import main

Write = Callable[..., Path]
FORMS = ["ttree", "rntuple", "parquet"]


@pytest.fixture(scope="module")
def inputs(
    tmp_path_factory: pytest.TempPathFactory, columns_of: Callable[..., Any], write_events: Write
) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for name, events in (("a", 300), ("b", 300), ("c", 7), ("empty", 0)):
        write_events(folder / f"{name}.root", columns_of(events, seed=ord(name[0])))
    return folder


@pytest.fixture
def data(inputs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(inputs, tmp_path / "data"))


def verify(run: Path, data: Path, **options: Any) -> dict[str, ScoreCheck]:
    checks = verify_files(run, [str(data / "*.root")], data.parent / "out", **options)
    return {Path(check.file).stem: check for check in checks}


@pytest.mark.parametrize("form", FORMS)
def test_what_was_written_belongs(form: Any, small_run: Path, data: Path) -> None:
    scoring_options = ApplyOptions(form=form, sentinel=-7)
    apply_files(
        small_run, [str(data / "*.root")], data.parent / "out", options=scoring_options, selection="w > 0.9"
    )
    checks = verify(small_run, data)
    assert [check.findings for check in checks.values()] == [()] * 4
    assert [check.rescored for check in checks.values()][2:] == [7, 0]
    assert 128 <= checks["a"].rescored <= 300
    assert all(check.holds for check in verify(small_run / "model", data).values())


@pytest.fixture
def applied(small_run: Path, data: Path) -> Path:
    apply_files(small_run, [str(data / "*.root")], data.parent / "out")
    return data.parent / "out"


def test_a_swapped_pair_is_found(small_run: Path, data: Path, applied: Path) -> None:
    (applied / "a.scores.root").rename(applied / "x")
    (applied / "b.scores.root").rename(applied / "a.scores.root")
    (applied / "x").rename(applied / "b.scores.root")
    checks = verify(small_run, data)
    assert {name for name, check in checks.items() if not check.holds} == {"a", "b"}
    assert any("different first event" in finding for finding in checks["a"].findings)
    assert any("has score_sig" in finding for finding in checks["b"].findings)


def test_inputs_that_changed_places_are_found(small_run: Path, data: Path, applied: Path) -> None:
    """The names and the numbers of entries still fit."""
    (data / "a.root").rename(data.parent / "x")
    (data / "b.root").rename(data / "a.root")
    (data.parent / "x").rename(data / "b.root")
    assert applied.is_dir()
    checks = verify(small_run, data)
    assert any("different first event" in finding for finding in checks["a"].findings)
    assert checks["c"].holds


def test_another_model_is_found(
    session_classes: Callable[..., Any],
    make_run: Callable[..., Path],
    data: Path,
    applied: Path,
) -> None:
    assert applied.is_dir()
    checks = verify(make_run(session_classes(seed=4)), data)
    assert not any(check.holds for check in checks.values())
    assert all(check.findings[0].startswith("it was made by the model") for check in checks.values())
    assert any("has score_sig" in finding for finding in checks["a"].findings)


def test_a_changed_input_is_found(
    small_run: Path, data: Path, applied: Path, columns_of: Callable[..., Any], write_events: Write
) -> None:
    columns = columns_of(300, seed=ord("a"))
    columns["y"][100:250] += np.float32(0.5)  # neither the first nor the last event
    write_events(data / "a.root", columns)
    write_events(data / "c.root", columns_of(8))
    os.utime(data / "b.root")  # only touched
    assert applied.is_dir()
    checks = verify(small_run, data)
    assert any("has score_sig" in finding for finding in checks["a"].findings)
    assert any("different number of entries (7, not 8)" in finding for finding in checks["c"].findings)
    assert "it has 7 rows, but the input has 8 entries" in checks["c"].findings
    assert checks["b"].holds


def test_damaged_foreign_and_absent_scores_are_named(
    small_run: Path, data: Path, applied: Path, write_events: Write, columns_of: Callable[..., Any]
) -> None:
    path = applied / "a.scores.root"
    path.write_bytes(path.read_bytes()[:300])
    write_events(applied / "b.scores.root", columns_of(300), tree="scores")
    (applied / "c.scores.root").unlink()
    checks = verify(small_run, data)
    assert "cannot be read" in checks["a"].findings[0]
    assert checks["b"].findings == ("was not written by tamis",)
    assert "has no scores in" in checks["c"].findings[0]
    assert checks["empty"].holds


def test_branches_that_an_input_lost_are_named(
    small_run: Path, data: Path, applied: Path, columns_of: Callable[..., Any], write_events: Write
) -> None:
    columns = columns_of(300)
    write_events(data / "a.root", {name: columns[name] for name in ("x", "event")})
    write_events(data / "c.root", {name: values[:0] for name, values in columns.items() if name != "y"})
    assert applied.is_dir()
    checks = verify(small_run, data)
    assert checks["a"].findings == (
        f"{data / 'a.root'}:tree: the scores cannot be checked, because they were computed from branches 'w', 'y', "
        "which this file does not have; give the file that was scored, or score this one with `tamis apply` without "
        "--verify",
    )
    assert "it has 7 rows, but the input has 0 entries" in checks["c"].findings


def test_the_command_has_an_exit_status(
    small_run: Path, data: Path, applied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["apply", str(small_run), str(data / "*.root"), "-o", str(applied), "--verify"])
        output = capsys.readouterr()
        return int(ended.value.code or 0), output.out, output.err

    code, out, err = run()
    assert (code, err) == (0, "")
    assert "4 of 4 belong to these files and this run." in out
    shutil.copy(applied / "a.scores.root", applied / "b.scores.root")
    code, out, err = run()
    assert code == 1
    assert "3 of 4 belong" in out
    assert "b.scores.root: its input has a different name (a.root, not b.root)" in err


def test_a_single_wrong_bit_is_found_and_a_tolerance_forgives_it(
    small_run: Path, data: Path, applied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tamis.apply.outputs import ScoreFile

    read_rows = ScoreFile.rows

    def with_another_bit(self: ScoreFile, names: Any, start: int, stop: int) -> dict[str, Any]:
        columns = read_rows(self, names, start, stop)
        columns["score_sig"] = np.nextafter(columns["score_sig"], np.float32(2))
        return columns

    monkeypatch.setattr(ScoreFile, "rows", with_another_bit)
    assert applied.is_dir()
    assert not verify(small_run, data)["a"].holds
    assert verify(small_run, data, tolerance=1e-6)["a"].holds


@pytest.mark.parametrize("sentinel", [np.nan, np.inf])
def test_a_tolerance_knows_sentinels_that_are_no_numbers(
    sentinel: float, small_run: Path, data: Path, applied: Path
) -> None:
    options = ApplyOptions(sentinel=sentinel)
    apply_files(small_run, [str(data / "*.root")], applied, options=options, overwrite=True)
    assert verify(small_run, data, tolerance=1e-6)["a"].findings == ()


def test_a_tolerance_does_not_forgive_another_class(
    small_run: Path, data: Path, applied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tamis.apply.outputs import ScoreFile

    read_rows = ScoreFile.rows

    def with_another_class(self: ScoreFile, names: Any, start: int, stop: int) -> dict[str, Any]:
        columns = dict(read_rows(self, names, start, stop))
        return {**columns, "predicted": 1 - columns["predicted"]}

    monkeypatch.setattr(ScoreFile, "rows", with_another_class)
    assert applied.is_dir()
    assert "has predicted" in verify(small_run, data, tolerance=1e-6)["a"].findings[0]
