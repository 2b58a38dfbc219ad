"""Trainings are killed at random times, again and again, and what comes out is the same bit by bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

Make = Callable[..., dict[str, Any]]


def begin(folder: Path, output: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tamis", "train", "config.yaml", "--output", output]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def train_whole(folder: Path) -> float:
    """Train without an interruption; give the seconds that it took."""
    clock = time.perf_counter()
    process = begin(folder, "whole")
    _, said = process.communicate()
    assert process.returncode == 0, said
    return time.perf_counter() - clock


def killed_chain(folder: Path, output: str, rng: np.random.Generator, seconds: float, most: int) -> int:
    """Kill the same command at random times until it gets to its end; give how often it was killed."""
    for kills in range(most + 1):
        process = begin(folder, output)
        try:
            # the last one is left alone, so that a chain ends
            process.wait(None if kills == most else rng.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        # a kill after the last rename leaves a whole run, which the next command does not replace
        if process.returncode == 0 or (process.returncode == 2 and b"holds a run already" in said):
            return kills
        assert process.returncode == -signal.SIGKILL, said
    raise AssertionError("a training that was left alone did not end")


def configure(folder: Path, two_classes: Make) -> None:
    training = {
        "epochs": 60,
        "batch_size": 8,
        "early_stopping": None,
        "checkpoint_every": 0.05,
        "ensemble": 2,
    }
    config = two_classes(400, training=training)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.long
def test_killed_trainings_end_bit_by_bit_as_others(
    two_classes: Make,
    tmp_path: Path,
    equal_runs: Callable[[Path, Path], None],
    record: Callable[[str, dict[str, Any]], None],
) -> None:
    configure(tmp_path, two_classes)
    seconds = train_whole(tmp_path)
    rng = np.random.default_rng(int(os.environ.get("TAMIS_FAULT_SEED", "1")))
    wanted, kills, ends = int(os.environ.get("TAMIS_FAULT_KILLS", "300")), 0, 0
    while kills < wanted:
        output = f"run-{ends}"
        kills += killed_chain(tmp_path, output, rng, seconds, most=min(6, wanted - kills))
        ends += 1
        equal_runs(tmp_path / output, tmp_path / "whole")
        left = {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} - {f".{output}.lock"}
        assert left == set(), left
        record(
            "kills",
            {"kills": kills, "trainings": ends, "identical": ends, "seconds_whole": round(seconds, 1)},
        )
