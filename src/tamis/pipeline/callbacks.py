"""Callbacks of the stages, and lines of a log made from them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from threading import Lock
from typing import TYPE_CHECKING

from tamis.arguments import check_callable
from tamis.training.events import EpochFinished, Event
from tamis.training.history import Epoch

if TYPE_CHECKING:
    from tamis.pipeline.resources import ResourceEstimate


_SECONDS_BETWEEN_LINES = 10.0
_STEPS = {"evaluation": "computations", "figures and files": "groups of figures"}
"""The unit of the steps of each stage."""


@dataclass(frozen=True)
class Callbacks:
    """Functions that are called while the stages run; each is optional. An exception that one raises ends the work.

    Args:
        stage: called with the name of each stage when it starts.
        read: called with the number of entries in all files, and the number of entries that were read since the last
            call.
        epoch: called with the number of the network, counted from 0, the number of networks, and each epoch of the
            network; from several threads if there are several networks.
        step: called with how many steps of a stage are done, and how many there are as far as is known; from several
            threads. A step of the evaluation is a computation, one of the figures and files a group of figures.
        resources: called with the resource estimate of the training, before the first event is read.
        note: called with sentences that the user should know, such as where a stopped training resumes.

    Example:
        >>> Callbacks(stage=print).stage("training")
        training
    """

    stage: Callable[[str], None] = lambda _: None
    read: Callable[[int, int], None] = lambda _total, _done: None
    epoch: Callable[[int, int, Epoch], None] = lambda _member, _members, _epoch: None
    step: Callable[[int, int], None] = lambda _done, _total: None
    resources: Callable[[ResourceEstimate], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        """Refuse arguments that cannot be called, before hours of work."""
        for field in fields(self):
            check_callable(getattr(self, field.name), f"{field.name} of Callbacks")

    def training_observer(self, members: int) -> Callable[[int, Event], None]:
        """Return an observer of the trainings of a number of networks that calls `epoch`."""

        def observe(member: int, event: Event) -> None:
            if isinstance(event, EpochFinished):
                self.epoch(member, members, event.epoch)

        return observe


def log_stages(write: Callable[[str], None]) -> Callbacks:
    """Write a line for each stage and each note, for the first and last epoch, and for one epoch in each tenth of all.

    A long stage gets another line every ten seconds.

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
                write(f"{current}: {describe_step(current, done, total)}")
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

    return Callbacks(stage=stage, epoch=epoch, step=step, note=write)


def describe_epoch(member: int, members: int, epoch: Epoch) -> str:
    """Describe an epoch of one of several networks, counted from 0, in a line."""
    network = f"network {member + 1}/{members}  " if members > 1 else ""
    return (
        f"{network}epoch {epoch.number}/{epoch.planned}  loss {epoch.training_loss:.4f}  "
        f"validation {epoch.validation_loss:.4f}  accuracy {epoch.validation_accuracy:.4f}  "
        f"{epoch.events_per_second:,.0f} events/s"
    )


def describe_step(stage: str, done: int, total: int) -> str:
    """Describe how far a stage is.

    >>> describe_step("evaluation", 3, 8)
    '3 of 8 computations'
    """
    return f"{done:,} of {total:,} {_STEPS.get(stage, 'steps')}"


def log_to_standard_error() -> Callbacks:
    """Write the lines of `log_stages` to the standard error: the default in Python."""

    def write(line: str) -> None:
        # a missing or closed standard error must not stop a training
        if sys.stderr is not None:
            with suppress(OSError, ValueError):
                sys.stderr.write(f"tamis: {line}\n")
                sys.stderr.flush()

    return log_stages(write)
