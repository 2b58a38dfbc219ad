"""Whether something can be written at a place and has room there, before the work for it; and why it could not."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

_LONGEST_PATH = 4096
_BELOW = 160
"""Bytes that names inside of a folder take, with those that files have while they are written."""


def obstacle(path: Path, *, longer: int = 0) -> str:
    """Say why no file or folder can be made at a place; nothing where one can.

    What can only be tried is tried: a folder with a name of its own is made in the nearest folder that is there, and
    removed again.

    Args:
        path: what is to be made; the folders above it need not be there.
        longer: bytes by which the name is longer while it is written.

    >>> obstacle(Path("/dev/null/run"))
    '/dev/null is a file'
    """
    try:
        path = path.resolve()
        there = next((parent for parent in path.parents if _is_there(parent)), path)
        if not there.is_dir():
            return f"{there} is a file"
        if not os.access(there, os.W_OK | os.X_OK):
            return f"{there} may not be written to"
        too_long = _too_long(path, there, longer)
        if too_long:
            return too_long
        trial = Path(tempfile.mkdtemp(prefix=".tamis-", dir=there))
        try:
            trial.rmdir()
        except OSError as error:
            return f"{trial}, made to try it, cannot be removed ({error.strerror or error})"
    except (OSError, RuntimeError, ValueError) as error:  # also a loop of links, and a zero in the name
        return error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return ""


def failure(error: OSError, place: str = "") -> str:
    """Say what kept something from being read or written, where, and what to do.

    Args:
        error: of the system.
        place: what it is about; by default the file that the error names.

    >>> failure(OSError(errno.ENOSPC, "No space left on device", "a.root"))
    'a.root: No space left on device; make room there, or choose another place; nothing half-written was left behind'
    """
    named = place or (error.filename if isinstance(error.filename, str | bytes | os.PathLike) else "")
    parts = [str(error.strerror or error) or type(error).__name__]
    if error.errno in _REMEDIES:
        parts.append(_REMEDIES[error.errno])
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        parts.append("nothing half-written was left behind")
    return (f"{os.fsdecode(named)}: " if named else "") + "; ".join(parts)


_REMEDIES = {
    errno.ENOSPC: "make room there, or choose another place",
    errno.EDQUOT: "make room there, or choose another place",
    errno.EFBIG: "allow larger files (`ulimit -f`), or choose another place",
    errno.EIO: "look whether this disk works, or choose another place",
    errno.EROFS: "choose another place",
    errno.EACCES: "ask for the right to it, or choose another place",
    errno.EPERM: "ask for the right to it, or choose another place",
    errno.EISDIR: "give or choose a file that is no folder",
    errno.ENOTDIR: "one of the folders above it is a file; choose another place",
    errno.ENOENT: "look whether something moved or removed it",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "allow more open files (`ulimit -n`)",
    errno.ESTALE: "look whether this disk is still there",
}


def disk_left(folder: Path) -> int:
    """Give the free bytes of the disk that a folder lies on, or will lie on.

    >>> disk_left(Path("runs/not/there/yet")) > 0
    True
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    return shutil.disk_usage(there).free


def _is_there(path: Path) -> bool:
    return len(os.fsencode(path.name)) <= _longest_name(Path(path.anchor)) and path.exists()


def _too_long(path: Path, there: Path, longer: int) -> str:
    limit = _longest_name(there)
    for part in path.relative_to(there).parts:
        room = limit - (longer if part == path.name else 0)
        if len(os.fsencode(part)) > room:
            return f"its name is too long: {len(os.fsencode(part))} bytes, and {room} can be used"
    length = len(os.fsencode(path))
    if length + longer + _BELOW > _LONGEST_PATH:
        return f"its path is too long: {length:,} bytes"
    return ""


def _longest_name(folder: Path) -> int:
    return os.pathconf(folder, "PC_NAME_MAX")
