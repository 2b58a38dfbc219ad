"""Many files, most of which hold nothing: one complete report, in bounded time and memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

WriteTree = Callable[..., Path]
LINKS = 50_000
"""Names that one file may have: disks allow some 65,000."""
CODE = (
    "import sys\nfrom tamis.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n"
    "    lines = open('/proc/self/status').read().splitlines()\n"
    "    print(next(line.split()[1] for line in lines if line.startswith('VmHWM')), file=sys.stderr)\n    raise"
)


def many(folder: Path, model: Path, number: int, name: str) -> None:
    """Give a file many names; the files are the same, so that little is written."""
    folder.mkdir(exist_ok=True)
    for index in range(number):
        path = folder / f"{name}_{index:06}.root"
        if index % LINKS:
            os.link(model, path)
        else:
            model = Path(shutil.copy(model, path))


def check(folder: Path) -> tuple[dict[str, Any], float, int]:
    """Check in a process of its own: the report, its seconds of processor time, and the peak of its memory in bytes."""
    before = os.times()
    command = [sys.executable, "-c", CODE, "check", "c.yaml", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    after = os.times()
    # wall time would be that of whatever else runs on the machine
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    assert done.returncode == 2, done.stderr
    return json.loads(done.stdout), seconds, int(done.stderr.splitlines()[-1]) * 1024


def write_many(folder: Path, write_tree: WriteTree, number: int, branches: int = 0) -> None:
    columns = {name: np.random.default_rng(1).normal(size=200) for name in ("x", "y")}
    nothing = {name: values[:0] for name, values in columns.items()}
    more = {f"branch_{index}": np.zeros(0) for index in range(branches)}
    write_tree("bkg/good.root", columns)
    write_tree("sig.root", {name: values + 1 for name, values in columns.items()})
    many(folder / "bkg", write_tree("empty.root", {**nothing, **more}), number * 8 // 10, "empty")
    many(folder / "bkg", write_tree("other.root", nothing, tree="other"), number // 10, "other")
    (folder / "zero.root").write_bytes(b"")
    many(folder / "bkg", folder / "zero.root", number // 10, "zero")
    (folder / "c.yaml").write_text(
        yaml.safe_dump(
            {
                "samples": [
                    {"name": "bkg", "class": "bkg", "files": "bkg/*.root", "tree": "tree"},
                    {"name": "sig", "class": "sig", "files": "sig.root"},
                ],
                "classes": {"bkg": {}, "sig": {"signal": True}},
                "features": ["x", "y"],
            }
        )
    )


def assert_complete(report: dict[str, Any], number: int) -> None:
    assert [each["count"] for each in report["problems"]] == [number // 10] * 2
    assert all(len(each["where"]) == number // 10 for each in report["problems"])
    sample = report["samples"][0]
    assert (sample["files"], sample["empty"]) == (number * 8 // 10 + 1, number * 8 // 10)
    assert sample["unusable"] == 2 * (number // 10)
    assert report["classes"]["bkg"]["groups"][0]["events"] == 200


def test_files_without_events_are_counted_and_told_together(tmp_path: Path, write_tree: WriteTree) -> None:
    write_many(tmp_path, write_tree, 50)
    report, _, _ = check(tmp_path)
    assert_complete(report, 50)


@pytest.mark.long
def test_many_files_give_one_report(
    tmp_path: Path, write_tree: WriteTree, record: Callable[[str, dict[str, Any]], None]
) -> None:
    number = int(os.environ.get("TAMIS_FAULT_FILES", "10000"))
    write_many(tmp_path, write_tree, 10)
    _, seconds_of_few, memory_of_few = check(tmp_path)
    for path in (tmp_path / "bkg").iterdir():
        path.unlink()
    write_many(tmp_path, write_tree, number)
    report, seconds, memory = check(tmp_path)
    assert_complete(report, number)
    each = (memory - memory_of_few) / number
    assert each < 10_000  # so that a million files take less than 10 GB
    rate = number / (seconds - seconds_of_few)
    assert rate > 100  # of two branches each; a million then take less than three hours
    record("many", {"files": number, "files_per_processor_second": rate, "bytes_per_file": each})
