"""A job that is killed at any moment leaves whole files or none, and the same command again ends as if it never was."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

from tamis.apply import apply_files, existing_output
from tamis.apply.outputs import read_score_file


def start(run: Path, data: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tamis", "apply", str(run), str(data / "*.root"), "-o", str(out)]
    return subprocess.Popen(
        [*command, "--jobs", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    )


def kill_after(process: subprocess.Popen[bytes], out: Path, files: int, moment: float) -> None:
    """Kill the process a moment after so many outputs are there; it may be done by then."""
    while process.poll() is None and sum(1 for _ in out.glob("*.scores.root")) < files:
        time.sleep(0.002)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()


def contents(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Read every file under a final name with nothing of tamis; a partial one raises."""
    contents_of_file: dict[str, tuple[Any, ...]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".root" and not path.name.startswith("."):
            with uproot.open(path) as file:
                arrays = file["scores"].arrays(library="np")
                metadata = json.loads(str(file["tamis"]))
                contents_of_file[path.name] = (
                    metadata,
                    {name: values.tobytes() for name, values in arrays.items()},
                )
    return contents_of_file


def check_kills(
    run: Path, data: Path, folder: Path, entries: dict[str, int], kills: int, rng: random.Random
) -> None:
    out = folder / "out"
    count = len(entries)
    killed = 0
    for kill in range(kills):
        done = len(contents(out)) if out.is_dir() else 0
        process = start(run, data, out)
        kill_after(process, out, min(done + rng.randint(0, count // kills), count - 1), rng.uniform(0, 0.05))
        killed += process.returncode == -signal.SIGKILL
        for name, (metadata, arrays) in contents(out).items() if out.is_dir() else ():
            assert metadata["input"]["entries"] == entries[name], kill
            assert len(arrays["flag"]) == entries[name]
    assert killed == kills  # otherwise nothing was interrupted
    process = start(run, data, out)
    assert process.wait() == 0
    apply_files(run, [str(data / "*.root")], folder / "whole")
    assert contents(out) == contents(folder / "whole")
    # hidden leftovers are gone as well
    assert {path.name for path in out.iterdir()} == {path.name for path in (folder / "whole").iterdir()}
    statuses = {file["status"] for file in json.loads((out / "summary.json").read_text())["files"]}
    assert statuses == {"kept", "written"}


def write_inputs(folder: Path, number: int, events: int, tools: tuple[Any, Any]) -> dict[str, int]:
    columns_of, write_events = tools
    sizes = np.random.default_rng(2).integers(events // 2, events, number).tolist()
    for index, size in enumerate(sizes):
        write_events(folder / f"{index}.root", columns_of(size, seed=index))
    return {f"{index}.scores.root": size for index, size in enumerate(sizes)}


@pytest.mark.slow  # several commands
def test_a_killed_job_is_finished_by_the_next(
    small_run: Path, columns_of: Callable[..., Any], write_events: Callable[..., Path], tmp_path: Path
) -> None:
    entries = write_inputs(tmp_path / "data", 12, 20_000, (columns_of, write_events))
    check_kills(small_run, tmp_path / "data", tmp_path, entries, 1, random.Random(1))


@pytest.mark.long  # starts the program a dozen times on 200 files
def test_a_job_of_many_files_is_killed_often(
    small_run: Path, columns_of: Callable[..., Any], write_events: Callable[..., Path], tmp_path: Path
) -> None:
    entries = write_inputs(tmp_path / "data", 200, 20_000, (columns_of, write_events))
    check_kills(small_run, tmp_path / "data", tmp_path, entries, 12, random.Random(2))


def test_a_job_of_a_batch_does_not_open_the_scores_of_all_others(
    small_run: Path, columns_of: Any, write_events: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [str(write_events(tmp_path / f"{number}.root", columns_of(10))) for number in range(5)]
    out = tmp_path / "out"
    apply_files(small_run, files, out)
    opened = []

    def record(path: Path) -> Any:
        opened.append(path.name)
        return read_score_file(path)

    monkeypatch.setattr(existing_output, "read_score_file", record)
    apply_files(small_run, files[4:], out)
    assert len([name for name in opened if name != "4.scores.root"]) == 1
