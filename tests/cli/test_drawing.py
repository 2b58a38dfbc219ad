"""Processes that draw: the same files as without them, and none is left, however the command ends."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_info

import tamis
from tamis.cli.drawing import drawing_processes
from tamis.config import parse_config
from tamis.errors import TamisError
from tamis.plots.book import Drawing
from tamis.plots.labels import class_styles
from tamis.studies.performance.plot import plot_confusion

Make = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tamis.cli.drawing.cores", lambda: 2)
        with drawing_processes() as pool:
            assert pool is not None
            yield pool


@pytest.fixture(scope="module")
def run(module_classes: Make) -> tamis.Run:
    return tamis.train(parse_config(module_classes(200, report={"formats": ["png", "pdf"]})))


def state() -> tuple[list[str], set[int]]:
    """Give what a process has imported of what is heavy, and how many threads its libraries use."""
    heavy = [name for name in ("jax", "jaxlib", "pyarrow", "scipy.stats", "onnx") if name in sys.modules]
    return heavy, {library["num_threads"] for library in threadpool_info()}


def test_a_process_that_draws_is_small(processes: Executor) -> None:
    heavy, threads = processes.submit(state).result()
    assert heavy == []
    assert threads == {1}


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "figures").iterdir())}


@pytest.mark.slow  # draws all figures twice
def test_processes_draw_the_same_files(run: tamis.Run, processes: Executor, tmp_path: Path) -> None:
    tamis.write_run(run, tmp_path / "here")
    progress: list[tuple[int, int]] = []
    tamis.write_run(
        run, tmp_path / "there", executor=processes, progress=lambda *numbers: progress.append(numbers)
    )
    assert progress == [(number, len(progress)) for number in range(1, len(progress) + 1)]
    assert len(progress) > 1
    here, there = files_of(tmp_path / "here"), files_of(tmp_path / "there")
    assert list(here) == list(there)
    assert [name for name in here if here[name] != there[name]] == []
    assert {Path(name).suffix for name in here} == {".svg", ".pdf", ".png"}


def broken(status: str) -> list[tuple[Drawing, ...]]:
    refused = {"confusion": [[1.0]], "classes": class_styles(["bkg", "sig"])}
    arguments = {"refused": (plot_confusion, refused), "dead": (os._exit, {"status": 1})}
    return [(Drawing("bad", *arguments[status]),)]


def test_an_error_is_the_same_from_a_process(
    run: tamis.Run, processes: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tamis.runs.figures.chapters_of", lambda _: broken("refused"))
    messages = []
    for executor in (None, processes):
        with pytest.raises(TamisError) as error:
            tamis.write_run(run, tmp_path / "run", executor=executor)
        messages.append((type(error.value), str(error.value)))
    assert messages[0] == messages[1]
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_was_killed_is_an_error(
    run: tamis.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tamis.runs.figures.chapters_of", lambda _: broken("dead"))
    monkeypatch.setattr("tamis.cli.drawing.cores", lambda: 2)
    with drawing_processes() as pool, pytest.raises(TamisError):
        tamis.write_run(run, tmp_path / "run", executor=pool)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # a command with drawing processes
def test_all_processes_start_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that starts later imports matplotlib when it should draw, and hears interruptions from the keyboard."""
    monkeypatch.setattr("tamis.cli.drawing.cores", lambda: 3)
    before = {process.pid for process in multiprocessing.active_children()}
    with drawing_processes():
        started = [each for each in multiprocessing.active_children() if each.pid not in before]
        assert len(started) == 3
        for process in started:
            status = Path(f"/proc/{process.pid}/status").read_text()
            (blocked,) = re.findall(r"^SigBlk:\s*(\w+)", status, re.MULTILINE)
            assert int(blocked, 16) & 1 << (signal.SIGINT - 1)


def test_an_error_waits_for_no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tamis.cli.drawing.cores", lambda: 2)
    before = set(multiprocessing.active_children())
    started = []

    def stop_while_drawing() -> None:
        with drawing_processes() as pool:
            assert pool is not None
            drawing = pool.submit(time.sleep, 300)
            while not drawing.running():
                time.sleep(0.01)
            started.extend(each for each in multiprocessing.active_children() if each not in before)
            raise TamisError("stopped")

    with pytest.raises(TamisError):
        stop_while_drawing()
    assert len(started) == 2
    assert {process.exitcode for process in started} == {-signal.SIGTERM}


def test_one_core_draws_in_its_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tamis.cli.drawing.cores", lambda: 1)
    with drawing_processes() as pool:
        assert pool is None


PARENT = """
import os, sys, time
from concurrent.futures import wait
from tamis.cli import drawing
drawing.cores = lambda: 2
with drawing.drawing_processes() as pool:
    print(*{pool.submit(os.getpid).result() for _ in range(20)}, *pool._processes, flush=True)
    if sys.argv[1] == "exit":
        os._exit(85)
    time.sleep(60)
"""


@pytest.mark.slow  # several commands with drawing processes
@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM", "SIGINT", "exit"])
def test_no_process_is_left_behind(end: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, end], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    children = {int(word) for word in parent.stdout.readline().split()}
    assert children
    if end != "exit":
        parent.send_signal(signal.Signals[end])
    parent.wait()
    for _ in range(2000):
        if not any(running(child) for child in children):
            break
        time.sleep(0.01)
    left = [child for child in children if running(child)]
    for child in left:
        os.kill(child, signal.SIGKILL)
    parent.communicate()  # ends when no process has its outputs any more
    assert left == []


def running(process: int) -> bool:
    """Say whether a process is there and has not ended; one whose parent is gone may wait to be fetched."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
