"""Signals that ask a command to stop: a training keeps its progress first."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

from tamis.errors import StoppedError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Hears SIGTERM and SIGINT while it is entered.

    In the stages that can wait, the first signal only makes `asked` answer: the training keeps its progress at the end
    of the epoch and stops by itself. In all others nothing would be lost, and the work ends where it is. A second
    signal always ends it there.

    >>> with Stop() as stop:
    ...     stop.asked()
    ''
    """

    def __init__(self) -> None:
        """Prepare to listen."""
        self._name = ""
        self._waits = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stop:
        """Begin to listen."""
        self._before = {each: signal.signal(each, self._hear) for each in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def asked(self) -> str:
        """Give the name of the signal that was heard; an empty text where there was none."""
        return self._name

    def begin(self, *, waits: bool) -> None:
        """Begin a stage.

        Args:
            waits: whether it asks by itself, so that the first signal does not end it.

        Raises:
            StoppedError: a signal was heard in the stage before.
        """
        self._waits = waits
        if self._name:
            raise self._stopped()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        again, self._name = bool(self._name), signal.Signals(number).name
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        if again or not self._waits:
            raise self._stopped()

    def _stopped(self) -> StoppedError:
        return StoppedError(
            f"stopped by {self._name}; the same command goes on from where its progress was kept last"
        )
