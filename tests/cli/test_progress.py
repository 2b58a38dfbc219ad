"""What is shown while a command runs: a live line on a terminal, plain lines in a log."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tamis.cli.progress import show_progress
from tamis.training.history import Epoch

EPOCHS = [f"epoch {number}/3" for number in (1, 2, 3)]
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path, two_classes: Make) -> Path:
    config = two_classes(200)
    del config["data"]
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


@pytest.fixture
def shown_on_a_terminal(
    folder: Path, inside: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[str, str]]:
    """Return a function that runs a command whose standard error is a terminal: its output, and what was shown."""

    def receive(terminal: int) -> str:
        received = b""
        with suppress(OSError):  # Linux's way to say that the other end is closed
            while part := os.read(terminal, 4096):
                received += part
        os.close(terminal)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", received.decode())

    def run(name: str) -> tuple[str, str]:
        monkeypatch.chdir(folder)
        terminal, end = os.openpty()
        monkeypatch.setattr(sys, "argv", ["tamis", name, "small.yaml"])
        monkeypatch.setenv("COLUMNS", "140")
        monkeypatch.setenv("TERM", "xterm")
        with ThreadPoolExecutor(1) as executor:
            shown = executor.submit(receive, terminal)
            with open(end, "w") as errors, monkeypatch.context() as patch:  # noqa: PTH123
                patch.setattr(sys, "stderr", errors)
                status, output, _ = inside(name, "small.yaml")
        assert status == 0, shown.result()
        return output, shown.result()

    return run


def test_a_terminal_sees_every_stage_and_epoch_of_a_training(
    folder: Path, shown_on_a_terminal: Callable[[str], tuple[str, str]]
) -> None:
    output, shown = shown_on_a_terminal("train")
    for stage in ("reading", "training", "evaluation", "figures and files"):
        assert stage in shown
    assert "400 entries" in shown
    assert re.search(r"evaluation .* (\d+) of \1 computations", shown)
    assert re.search(
        r"epoch 3/3  loss \d\.\d{4}  validation \d\.\d{4}  accuracy \d\.\d{4}  [\d,]+ events/s", shown
    )
    assert "reading" not in output.splitlines()[0]
    # a line of its own, above the bar
    assert re.search(r"(^|[\r\n]) *tamis: A training needs about [^\r\n]* free\)\. *\r?\n", shown)
    provenance = json.loads((folder / "runs" / "small" / "provenance.json").read_text())
    assert provenance["command"] == "tamis train small.yaml"


def test_a_terminal_sees_what_a_check_is_busy_with(
    shown_on_a_terminal: Callable[[str], tuple[str, str]],
) -> None:
    output, shown = shown_on_a_terminal("check")
    assert "reading" in shown
    assert "400 entries" in shown
    assert "small.yaml" not in shown
    assert "bkg" in output


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("train", ["reading", "A training needs", "training", *EPOCHS, "evaluation", "figures and files"]),
        ("check", ["opening files", "reading", "checking events"]),
    ],
)
def test_a_log_gets_one_plain_line_for_each_stage(
    name: str,
    stages: list[str],
    folder: Path,
    inside: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, output, error = inside(name, str(folder / "small.yaml"))
    assert status == 0
    assert "\x1b" not in output + error
    # how much a training needs ends with numbers
    lines = [re.sub(r"(needs) about .*|(/3)  loss .* events/s", r"\1\2", line) for line in error.splitlines()]
    assert lines == [f"tamis: {stage}" for stage in stages]


def logged_epochs(capsys: pytest.CaptureFixture[str], epochs: int, planned: int, members: int) -> list[str]:
    """Return the lines of a log of networks that are trained one after the other, without their numbers."""
    with show_progress() as callbacks:
        callbacks.stage("training")
        for member in range(members):
            for number in range(1, epochs + 1):
                callbacks.epoch(member, members, Epoch(number, 0.5, 0.8, 0.6, 0.7, 1e-3, 0.1, 100, planned))
        callbacks.stage("evaluation")
    first, *lines, last = capsys.readouterr().err.splitlines()
    assert (first, last) == ("tamis: training", "tamis: evaluation")
    return [line.removeprefix("tamis: ").split("  loss")[0] for line in lines]


def test_a_log_gets_the_first_epoch_each_tenth_and_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    tenths = [f"epoch {number}/200" for number in (1, *range(20, 201, 20))]
    assert logged_epochs(capsys, 200, planned=200, members=1) == tenths
    assert logged_epochs(capsys, 43, planned=200, members=1) == [*tenths[:3], "epoch 43/200"]
    networks = logged_epochs(capsys, 100, planned=100, members=5)
    assert networks[:3] == [
        "network 1/5  epoch 1/100",
        "network 1/5  epoch 50/100",
        "network 1/5  epoch 100/100",
    ]
    assert len(networks) == 11


def test_a_log_says_how_far_a_long_evaluation_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    with show_progress() as callbacks:
        callbacks.stage("evaluation")
        for done in range(1, 9):
            seconds[0] += 4
            callbacks.step(done, 8)
    assert capsys.readouterr().err.splitlines() == [
        "tamis: evaluation",
        "tamis: evaluation: 3 of 8 computations",
        "tamis: evaluation: 6 of 8 computations",
    ]
