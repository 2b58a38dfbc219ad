"""Several networks trained at the same time, one on each device."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

from tamis.training.history import Epoch
from tamis.training.loop import Trained, follow

Begin = Callable[[int | None], Generator[Epoch, None, Trained]]
"""Begins the training of one network, on the device of this number, or on those that it chooses."""


def train_members(
    begins: Sequence[Begin], devices: int, report: Callable[[int, Epoch], None] = lambda _member, _epoch: None
) -> tuple[Trained, ...]:
    """Train networks that do not depend on each other, as many at a time as there are devices.

    A compiled program uses one core of a CPU, so that two trainings at the same time take little longer than one.
    Each result is the same as if it had been trained alone on one device.

    Args:
        begins: one for each network.
        devices: how many devices there are.
        report: called with the number of the network and each of its epochs, from several threads.

    Returns:
        The results, in the order of the networks.

    Raises:
        TrainingError: of the first network that failed; those that have not begun are left out.
    """
    if len(begins) == 1:
        return (follow(begins[0](None), lambda epoch: report(0, epoch)),)
    free: Queue[int] = Queue()
    for number in range(devices):
        free.put(number)

    def train(member: int) -> Trained:
        device = free.get()
        try:
            return follow(begins[member](device), lambda epoch: report(member, epoch))
        finally:
            free.put(device)

    with ThreadPoolExecutor(max_workers=devices) as threads:
        futures = [threads.submit(train, member) for member in range(len(begins))]
        try:
            return tuple(future.result() for future in futures)
        finally:
            for future in futures:
                future.cancel()
