"""The real program is stopped and killed while it trains, and the same command goes on bit by bit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

STOPPED = 85


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, module_classes: Callable[..., dict[str, Any]]) -> Path:
    """Give a folder with the configuration of a training that takes long enough to stop it."""
    folder = tmp_path_factory.mktemp("resuming")
    training = {
        "epochs": 150,
        "batch_size": 8,
        "early_stopping": None,
        "checkpoint_every": 0.001,
        "ensemble": 2,
    }
    config = module_classes(300, training=training)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """Return the run of a training that was never stopped."""
    process = begin(folder, "whole")
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert list((folder / "cache").glob("*/*.program"))
    return folder / "whole"


def begin(folder: Path, output: str, *more: str) -> subprocess.Popen[str]:
    """Begin a training; the first one compiles its programs, the others load them."""
    command = [sys.executable, "-m", "tamis", "train", "config.yaml", "--output", output, *more]
    # without the cache that the tests share, which is JAX's own
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment["TAMIS_CACHE"] = str(folder / "cache")
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def wait_for_progress(process: subprocess.Popen[str], folder: Path, seen: set[str]) -> None:
    """Wait until a checkpoint is there that was not there before."""
    for _ in range(3000):
        found = {str(path.relative_to(folder)) for path in folder.glob("checkpoints/*/*.json")}
        if found - seen or process.poll() is not None:
            break
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()
    seen |= found


# slow: `tests/pipeline/test_checkpoints.py` resumes from any checkpoint, and below a process is stopped
@pytest.mark.slow
@pytest.mark.parametrize("signals", [(signal.SIGKILL,), (signal.SIGTERM, signal.SIGKILL, signal.SIGINT)])
def test_it_is_stopped_killed_moved_and_goes_on_bit_by_bit(
    folder: Path,
    whole: Path,
    signals: tuple[signal.Signals, ...],
    equal_runs: Callable[[Path, Path], None],
) -> None:
    seen: set[str] = set()
    run, moved = (folder / f"{name}{len(signals)}" for name in ("run", "moved"))
    for signal_number in signals:
        status = -9 if signal_number == signal.SIGKILL else STOPPED
        process = begin(folder, run.name)
        wait_for_progress(process, run, seen)
        time.sleep(0.1)
        process.send_signal(signal_number)
        _, said = process.communicate()
        assert process.returncode == status, said
        if status == STOPPED:
            assert f"stopped by {signal_number.name} after " in said
            assert "run the same command again to resume from there" in said
    run.rename(moved)
    process = begin(folder, moved.name)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert "resuming after " in said
    equal_runs(moved, whole)
    assert not (moved / "checkpoints").exists()
    assert not [
        path for path in folder.iterdir() if path.name.startswith(".") and not path.name.endswith(".lock")
    ]


@pytest.fixture
def refused(
    inside: Callable[..., tuple[int, str, str]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Return a function that runs `tamis train` in this process, checks that it is refused, and returns the message."""

    def refuse(output: str, *more: str) -> str:
        monkeypatch.chdir(folder)
        status, _, said = inside("train", "config.yaml", "--output", output, *more)
        assert status == 2
        return said

    return refuse


def test_a_second_process_is_refused_and_another_configuration_too(
    folder: Path, refused: Callable[..., str]
) -> None:
    process = begin(folder, "busy")
    wait_for_progress(process, folder / "busy", set())
    assert f"is being written by process {process.pid} on " in refused("busy")
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == STOPPED
    said = refused("busy", "--set", "training.batch_size=16")
    assert "training.batch_size was 8 and is 16" in said
    assert "start again (--overwrite" in said
    (folder / "busy" / "checkpoints" / "mine.txt").write_text("precious")
    assert "holds files that are not checkpoints (mine.txt)" in refused("busy", "--overwrite")
    assert (folder / "busy" / "checkpoints" / "mine.txt").read_text() == "precious"


def test_what_a_killed_process_moved_away_comes_back(
    folder: Path, hostile_run: Path, refused: Callable[..., str]
) -> None:
    # between the two renames of the end, the finished run has only its other name
    hidden = folder / f".back.{'0' * 32}.before"
    left = [folder / f".back.{'1' * 32}.part", folder / f".back.{'2' * 32}.before"]
    left[0].mkdir()
    shutil.copytree(hostile_run, hidden)
    assert "holds a run already" in refused("back")
    left[1].mkdir()  # the process was killed after its last rename
    assert "holds a run already" in refused("back")
    assert not any(each.exists() for each in left)
    assert (folder / "back" / "metrics.json").is_file()
