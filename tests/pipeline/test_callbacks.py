"""What Python users are told of a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tamis
from tamis.config import parse_config

Make = Callable[..., dict[str, Any]]
FEW = {"epochs": 3, "batch_size": 64}


def test_a_training_says_on_the_standard_error_what_it_is_busy_with(
    two_classes: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    tamis.train(parse_config(two_classes(200, training=FEW)))
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert [line for line in lines if "epoch" not in line] == [
        "tamis: reading",
        "tamis: training",
        "tamis: evaluation",
    ]
    assert [line.split()[2] for line in lines if "epoch" in line] == ["1/3", "2/3", "3/3"]


def test_callbacks_get_every_epoch_and_silence_the_log(
    two_classes: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    stages, epochs = [], []
    callbacks = tamis.Callbacks(
        stage=stages.append, epoch=lambda _member, _members, epoch: epochs.append(epoch.number)
    )
    run = tamis.train(parse_config(two_classes(200, training=FEW)), callbacks)
    assert stages == ["reading", "training", "evaluation"]
    assert epochs == [epoch.number for epoch in run.members[0].history.epochs] == [1, 2, 3]
    assert capsys.readouterr().err == ""


class Closed:
    """A closed stream."""

    def write(self, _text: str) -> None:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


@pytest.mark.parametrize("stream", [None, Closed()], ids=["none", "closed"])
def test_a_training_does_not_need_a_standard_error(
    two_classes: Make, monkeypatch: pytest.MonkeyPatch, stream: Any
) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    assert tamis.train(parse_config(two_classes(200, training=FEW))).members[0].history.best == 3
