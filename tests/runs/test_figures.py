"""A folder of figures that holds more than what was drawn now."""

from __future__ import annotations

from pathlib import Path

from tamis.runs.figures import find_other_files


def test_files_that_were_not_written_now_are_found(tmp_path: Path) -> None:
    names = ["roc.svg", "old.svg", "csv/roc.csv", "csv/old.csv"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    written = [tmp_path / "roc.svg", tmp_path / "csv" / "roc.csv"]
    assert find_other_files(tmp_path, written) == (tmp_path / "csv" / "old.csv", tmp_path / "old.svg")
    assert find_other_files(tmp_path, [tmp_path / name for name in names]) == ()
