"""Several members of an ensemble trained at the same time, one on each device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

from tamis.training.events import Event, EventStream, Trained, run_training

StartTraining = Callable[[int | None], EventStream]
"""Starts the training of a member, on the device with this number, or on several devices for None."""


def train_members(
    trainings: Sequence[StartTraining],
    devices: int,
    observe: Callable[[int, Event], None] = lambda _member, _event: None,
) -> tuple[Trained, ...]:
    """Train independent members, as many at a time as there are devices; return their results in the same order.

    A compiled program uses one core of a CPU, so that two simultaneous trainings take little longer than one. Each
    result is the same as that of a training alone on one device.

    Args:
        trainings: the training of each member.
        devices: number of devices.
        observe: called with the number of the member and each event of its training, from several threads.

    Raises:
        TrainingError: the training of a member failed; members that have not started are cancelled.
    """
    if len(trainings) == 1:
        return (run_training(trainings[0](None), lambda event: observe(0, event)),)
    free_devices: Queue[int] = Queue()
    for number in range(devices):
        free_devices.put(number)

    def train(member: int) -> Trained:
        device = free_devices.get()
        try:
            return run_training(trainings[member](device), lambda event: observe(member, event))
        finally:
            free_devices.put(device)

    with ThreadPoolExecutor(max_workers=devices) as threads:
        # if a training fails, `map` cancels those that have not started
        return tuple(threads.map(train, range(len(trainings))))
