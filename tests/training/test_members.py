from __future__ import annotations

import threading

import numpy as np
import pytest

from tamis.errors import TrainingError
from tamis.training.events import EpochFinished, Event, EventStream, Trained, TrainingFinished
from tamis.training.history import Epoch, History
from tamis.training.members import StartTraining, train_members
from tamis.training.state import BestWeights, TrainState
from tamis.training.step import StepState


def invented(member: int, used: list[int | None], *, fails: bool = False) -> StartTraining:
    """A training that does nothing but record where it runs."""

    def start(device: int | None) -> EventStream:
        used.append(device)
        history = History((Epoch(1, 0.7, 0.5, 0.7, 0.5, 1e-3, 0.1),), member, "done")
        zeros = np.zeros(2, np.float32)
        yield EpochFinished(TrainState(StepState(zeros, (), zeros), BestWeights(zeros, None), history, 1))
        if fails:
            raise TrainingError(f"member {member} diverged")
        yield TrainingFinished(Trained(None, history, f"device {device}"))  # type: ignore[arg-type]

    return start


@pytest.mark.parametrize("devices", [1, 2, 5])
def test_results_come_in_the_order_of_the_networks(devices: int) -> None:
    used: list[int | None] = []
    seen = []
    lock = threading.Lock()

    def observe(member: int, event: Event) -> None:
        with lock:
            seen.append((member, type(event)))

    trained = train_members([invented(number, used) for number in range(7)], devices, observe)
    assert [each.history.best for each in trained] == list(range(7))
    assert {number for number in used if number is not None} <= set(range(devices))
    assert len(used) == 7
    for member in range(7):
        assert [kind for number, kind in seen if number == member] == [EpochFinished, TrainingFinished]


def test_one_network_chooses_its_devices_itself() -> None:
    used: list[int | None] = []
    train_members([invented(0, used)], 2)
    assert used == [None]


def test_a_failure_is_the_callers() -> None:
    used: list[int | None] = []
    trainings = [invented(0, used), invented(1, used, fails=True), invented(2, used)]
    with pytest.raises(TrainingError):
        train_members(trainings, 1)
