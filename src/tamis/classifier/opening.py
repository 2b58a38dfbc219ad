"""Reading files of a classifier from strangers: no link is followed, no pipe is waited for, no large file is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tamis.errors import InputError, Problem

MOST_BYTES = 1 << 31
"""Maximum number of bytes of all files of a classifier together, which are read in seconds."""
DAMAGED = "the file is damaged, or was not written by tamis; copy the whole folder `model` again"
"""The end of messages about invalid content."""


def read_small(path: Path, most: int) -> bytes:
    """Read a file of at most `most` bytes.

    Raises:
        FileNotFoundError: it does not exist.
        InputError: it is larger, is not a plain file, or cannot be read.
    """
    check_plain(path)
    try:
        # the file may have become a link or a pipe since the check
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise build_error(path, f"cannot be read: {error.strerror or error}") from error
    if len(content) > most:
        raise build_error(path, f"has more than {most:,} bytes, far more than it needs: {DAMAGED}")
    return content


def check_plain(path: Path) -> None:
    """Check that a path is a plain file: not a link, a folder, a pipe or a device.

    Raises:
        FileNotFoundError: it does not exist.
        InputError: it is one of these, or cannot be read.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        raise
    except OSError as error:
        raise build_error(path, f"cannot be read: {error.strerror or error}") from error
    if stat.S_ISLNK(mode):
        raise build_error(path, "is a link, which tamis does not follow; replace it by the file itself")
    if not stat.S_ISREG(mode):
        raise build_error(path, "is not a file; copy the whole folder `model` again")


def build_error(path: Path, message: str) -> InputError:
    """Build the error about a file of a classifier; the message says what is wrong, and what to do."""
    return InputError("classifier", [Problem(str(path), message)])
