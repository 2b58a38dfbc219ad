"""The training of a command: with progress, signals, processes that draw, and a summary."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from tamis.cli.drawing import drawing_processes
from tamis.cli.progress import show_progress
from tamis.cli.streams import print_message
from tamis.cli.summary import print_run
from tamis.config import Config
from tamis.errors import StoppedError
from tamis.runs.run import run


class Stop:
    """A request to stop, by SIGTERM or SIGINT.

    In stages that can wait, the first signal is only recorded: the training reads it from `signal_name`, saves a
    checkpoint and stops by itself. In all other stages nothing would be lost, and the signal ends the work at once. A
    second signal always does.
    """

    def __init__(self) -> None:
        """Start without a signal."""
        self.signal_name = ""
        self._waits = False

    def begin(self, *, waits: bool) -> None:
        """Begin a stage, which can wait if it reads `signal_name`; raise `StoppedError` after a signal."""
        self._waits = waits
        if self.signal_name:
            raise self._stopped()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        del frame
        again, self.signal_name = bool(self.signal_name), signal.Signals(number).name
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        if again or not self._waits:
            raise self._stopped()

    def _stopped(self) -> StoppedError:
        return StoppedError(
            f"stopped by {self.signal_name}; run the same command again to resume from the last checkpoint"
        )


@contextmanager
def handle_signals() -> Iterator[Stop]:
    """Handle SIGTERM and SIGINT, and restore the previous handlers at the end.

    >>> with handle_signals() as stop:
    ...     stop.signal_name
    ''
    """
    stop = Stop()
    previous = {number: signal.signal(number, stop.handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def train_and_summarise(config: Config, folder: Path, *, overwrite: bool) -> None:
    """Train into a run directory, and print the summary."""
    clock = time.perf_counter()
    with handle_signals() as stop, show_progress() as callbacks:

        def start_stage(name: str) -> None:
            # a command that was asked to stop does not start another stage
            stop.begin(waits=name == "training" and config.training.checkpoint_every is not None)
            callbacks.stage(name)

        finished = run(
            config,
            folder,
            overwrite=overwrite,
            callbacks=replace(
                callbacks, stage=start_stage, resources=lambda estimate: print_message(estimate.sentence)
            ),
            should_stop=lambda: stop.signal_name,
            drawing=drawing_processes(),
            arguments=["tamis", *sys.argv[1:]],
        )
    print_run(finished, folder, time.perf_counter() - clock)
