from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from tamis.errors import TrainingError
from tamis.training.history import Epoch, History
from tamis.training.loop import Trained
from tamis.training.members import Begin, train_members


def invented(member: int, used: list[int | None], *, fails: bool = False) -> Begin:
    """A training that does nothing but say where it runs."""

    def begin(device: int | None) -> Generator[Epoch, None, Trained]:
        used.append(device)
        yield Epoch(1, 0.7, 0.5, 0.7, 0.5, 1e-3, 0.1)
        if fails:
            raise TrainingError(f"member {member} diverged")
        return Trained(None, History((), member, "done"), f"device {device}")  # type: ignore[arg-type]

    return begin


@pytest.mark.parametrize("devices", [1, 2, 5])
def test_results_come_in_the_order_of_the_networks(devices: int) -> None:
    used: list[int | None] = []
    seen = []
    lock = threading.Lock()

    def report(member: int, epoch: Epoch) -> None:
        with lock:
            seen.append((member, epoch.number))

    trained = train_members([invented(number, used) for number in range(7)], devices, report)
    assert [each.history.best for each in trained] == list(range(7))
    assert {number for number in used if number is not None} <= set(range(devices))
    assert len(used) == 7
    assert sorted(seen) == [(number, 1) for number in range(7)]


def test_one_network_chooses_its_devices_itself() -> None:
    used: list[int | None] = []
    train_members([invented(0, used)], 2)
    assert used == [None]


def test_a_failure_is_the_callers() -> None:
    used: list[int | None] = []
    begins = [invented(0, used), invented(1, used, fails=True), invented(2, used)]
    with pytest.raises(TrainingError, match="member 1 diverged"):
        train_members(begins, 1)
