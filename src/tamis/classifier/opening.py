"""Files of a classifier, opened as what they are: no link is followed, no pipe is waited for, no size is believed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tamis.errors import InputError, Problem

MOST_BYTES = 1 << 31
"""Bytes of all files of a classifier together: reading them takes seconds. A file may claim to be endless."""


def read_small(path: Path, most: int) -> bytes:
    """Read a file that is at most so long.

    Args:
        path: the file.
        most: bytes.

    Raises:
        FileNotFoundError: it is not there.
        InputError: it is larger, no plain file, or cannot be read.
    """
    check_plain(path)
    try:
        # a file that became a link or a pipe in between is not followed and not waited for
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise refused(path, f"cannot be read: {error.strerror or error}") from error
    if len(content) > most:
        raise refused(path, f"has more than {most:,} bytes, far more than it needs; the file is foreign")
    return content


def check_plain(path: Path) -> None:
    """Refuse what is a link, a folder, a pipe or a device.

    Raises:
        FileNotFoundError: it is not there.
        InputError: it is one of these.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        raise
    except OSError as error:
        raise refused(path, f"cannot be read: {error.strerror or error}") from error
    if stat.S_ISLNK(mode):
        raise refused(path, "is a link, which may lead anywhere; put the file itself there")
    if not stat.S_ISREG(mode):
        raise refused(path, "is no file; copy the whole folder `model` again")


def refused(path: Path, message: str) -> InputError:
    """Make the error about a file of a classifier.

    Args:
        path: the file.
        message: what is wrong, and what to do.
    """
    return InputError("classifier", [Problem(str(path), message)])
