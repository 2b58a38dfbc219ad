"""What a caller hears while the stages run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tamis.pipeline.needs import Needs
    from tamis.training.history import Epoch


_SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True)
class Watch:
    """What a caller wants to hear while the stages run; every part may be left out.

    Args:
        stage: called with the name of each stage as it begins.
        read: called with the number of entries in all files, then with each number of entries that was read.
        epoch: called with the number of the network, counted from 0, how many networks there are, and each of its
            epochs; from several threads where there are several.
        step: called with how many parts of a stage are done, and how many are known of; from several threads.
        needs: called with what the training takes, before the first event is read; what it raises ends the work.
    """

    stage: Callable[[str], None] = lambda _: None
    read: Callable[[int, int], None] = lambda _total, _done: None
    epoch: Callable[[int, int, Epoch], None] = lambda _member, _members, _epoch: None
    step: Callable[[int, int], None] = lambda _done, _total: None
    needs: Callable[[Needs], None] = lambda _: None


def log_stages(write: Callable[[str], None]) -> Watch:
    """Write a line for each stage, and for some epochs: the first, one for each tenth of all, and the last.

    What else takes long gets a line when the last one is ten seconds old.

    Args:
        write: called with each line.

    Example:
        >>> log_stages(print).stage("reading")
        reading
    """
    current, written = "", 0.0
    reached: dict[int, int] = {}
    tenths = 0
    unwritten = ""
    lock = Lock()

    def stage(name: str) -> None:
        nonlocal tenths, unwritten, current, written
        if unwritten:  # the training ended early
            write(unwritten)
        reached.clear()
        tenths, unwritten = 0, ""
        write(name)
        current, written = name, time.monotonic()

    def step(done: int, total: int) -> None:
        nonlocal written
        with lock:
            if time.monotonic() - written >= _SECONDS_BETWEEN_LINES:
                write(f"{current}: {done} of {total} parts")
                written = time.monotonic()

    def epoch(member: int, members: int, result: Epoch) -> None:
        nonlocal tenths, unwritten, written
        with lock:
            first = not reached
            reached[member] = result.number
            done = 10 * sum(reached.values()) // max(result.planned * members, 1)
            unwritten = describe_epoch(member, members, result)
            if first or done > tenths:
                write(unwritten)
                tenths, unwritten, written = done, "", time.monotonic()

    return Watch(stage=stage, epoch=epoch, step=step)


def describe_epoch(member: int, members: int, epoch: Epoch) -> str:
    """Describe an epoch in a line.

    Args:
        member: number of the network, counted from 0.
        members: how many networks there are.
        epoch: the epoch.
    """
    network = f"network {member + 1}/{members}  " if members > 1 else ""
    return (
        f"{network}epoch {epoch.number}/{epoch.planned}  loss {epoch.training_loss:.4f}  "
        f"validation {epoch.validation_loss:.4f}  accuracy {epoch.validation_accuracy:.4f}  "
        f"{epoch.events_per_second:,.0f} events/s"
    )


def log_to_standard_error() -> Watch:
    """Write what `log_stages` writes to the standard error: what Python users hear who ask for nothing else."""

    def write(line: str) -> None:
        # nobody listens where there is no standard error, or no longer one: that is no reason to stop
        if sys.stderr is not None:
            with suppress(OSError, ValueError):
                sys.stderr.write(f"tamis: {line}\n")
                sys.stderr.flush()

    return log_stages(write)
