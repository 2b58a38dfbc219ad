"""The standard streams of a command, which may be closed, full, or a pipe without a reader."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from typing import Any, TextIO, cast

_CLOSED = "it is closed; redirect it to a file, or to /dev/null"


class ClosedPipeError(Exception):
    """The reader of the standard output has ended, as in `tamis check analysis.yaml | head -1`.

    It is not an `OSError`: rich and typer catch a `BrokenPipeError` and end the process with statuses of their own.
    """


@contextmanager
def standard_streams() -> Iterator[None]:
    """Name the standard output in its errors, and ignore errors of the standard error.

    Results go to the standard output: if it cannot be written, the command fails. Progress and messages go to the
    standard error: if it cannot be written, the work continues.

    Raises:
        ClosedPipeError: the standard output is a pipe without a reader.
        OSError: the standard output cannot be written; its file name is `standard output`.

    >>> with standard_streams():
    ...     print("result")
    result
    """
    _open_closed_descriptors()
    output, messages = sys.stdout, sys.stderr
    try:
        with (
            redirect_stdout(cast("TextIO", _Stream(output, _explained))),
            redirect_stderr(cast("TextIO", _Stream(messages, partial(suppress, OSError)))),
        ):
            yield
    finally:
        # the interpreter flushes again at its end, and a failure would change the exit status to 120
        for stream in (output, messages):
            _discard_unwritten(stream)


class _Stream:
    """A stream that is written in a context, which handles its errors; text that cannot be written is lost."""

    def __init__(self, stream: TextIO, context: Callable[[], AbstractContextManager[None]]) -> None:
        self._stream = stream
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._context():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._context():
            self._stream.flush()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ClosedPipeError from error
    except OSError as error:
        reason = _CLOSED if error.errno == errno.EBADF else error.strerror or str(error)
        raise OSError(error.errno, reason, "standard output") from error


def _open_closed_descriptors() -> None:
    """Open standard streams that the caller has closed (`>&-`), so that writing to them fails.

    Otherwise the next opened file would get their number, and libraries that print would write into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            # gets the lowest free number, which is this one; opened for the wrong direction, as coreutils do
            os.open(os.devnull, os.O_WRONLY if number == 0 else os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def _discard_unwritten(stream: TextIO) -> None:
    """Flush a stream; text that cannot be written goes to /dev/null."""
    try:
        stream.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def print_message(sentence: str) -> None:
    """Print a message to the standard error, above the progress bar if there is one.

    `typer.echo` writes to the file behind `sys.stderr`, and thus into the line of the bar.
    """
    sys.stderr.write(f"tamis: {sentence}\n")
    sys.stderr.flush()
