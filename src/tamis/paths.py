"""Paths of the user: conversion, a check before any work that they can be written, and explained system errors."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tamis.errors import RequestError
from tamis.files import LONGER_WHILE_WRITTEN
from tamis.runs.layout import PROVENANCE

_LONGEST_PATH = 4096  # PATH_MAX of Linux
_BELOW = 160
"""Bytes reserved for names inside a folder, including those of temporary files."""


def to_path(value: object, function: str) -> Path:
    """Return a path that a user passed to a function as text or as a path, or raise a `RequestError`.

    >>> to_path("runs/demo", "read_run").name
    'demo'
    >>> to_path(3, "read_run")
    Traceback (most recent call last):
    tamis.errors.RequestError: read_run takes a path, as text or pathlib.Path, not int
    """
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        raise RequestError(f"{function} takes a path, as text or pathlib.Path, not {type(value).__name__}")
    return Path(value)


def to_patterns(values: object, function: str) -> tuple[str, ...]:
    """Return paths, globs or URLs that a user passed to a function in a list, or raise a `RequestError`.

    >>> to_patterns([Path("a.root"), "b/*.root"], "apply_files")
    ('a.root', 'b/*.root')
    """
    if isinstance(values, str | os.PathLike):  # a text is iterable, too: it would be split into characters
        raise RequestError(f"{function} takes a list of paths, not one; write [{str(values)!r}]")
    if not isinstance(values, Iterable):
        raise RequestError(f"{function} takes a list of paths, not {type(values).__name__}")
    return tuple(value if isinstance(value, str) else str(to_path(value, function)) for value in values)


def explain_unwritable(path: Path, *, longer: int = 0, of_run: bool = False) -> str:
    """Return why a file or folder cannot or must not be created; empty if it can.

    The nearest existing folder is tested by creating a temporary folder in it. The temporary name of the path is
    `longer` by a number of bytes. A finished run gets no more files, unless they belong to it (`of_run`).

    >>> explain_unwritable(Path("/dev/null/run"))
    '/dev/null is a file'
    """
    try:
        path = path.resolve()
        existing = next((parent for parent in path.parents if _exists(parent)), path)
        if not existing.is_dir():
            return f"{existing} is a file"
        runs = (parent for parent in (existing, *existing.parents) if (parent / PROVENANCE).is_file())
        if not of_run and (run := next(runs, None)):
            return f"it is inside the directory of the finished run {run}, whose files must not change"
        if not os.access(existing, os.W_OK | os.X_OK):
            return f"no permission to write to {existing}"
        too_long = _too_long(path, existing, longer)
        if too_long:
            return too_long
        trial = Path(tempfile.mkdtemp(prefix=".tamis-", dir=existing))
        try:
            trial.rmdir()
        except OSError as error:
            return f"the test folder {trial} cannot be removed ({error.strerror or error})"
    except (OSError, RuntimeError, ValueError) as error:  # including loops of links and null characters
        return error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return ""


def check_writable(
    path: Path,
    remedy: str,
    *,
    name: Path | None = None,
    longer: int = LONGER_WHILE_WRITTEN,
    of_run: bool = False,
) -> None:
    """Refuse a file or folder that cannot or must not be created (`explain_unwritable`), with a `RequestError`.

    The message has what the user gave (`name`, by default the path) and what to do instead.
    """
    if reason := explain_unwritable(path, longer=longer, of_run=of_run):
        raise RequestError(f"cannot write to {name or path}: {reason}; {remedy}")


def explain_os_error(error: OSError, name: str = "") -> str:
    """Explain an error of the operating system: the file or folder (by default its own), the reason, and what to do.

    >>> explain_os_error(OSError(errno.ENOSPC, "No space left on device", "a.root"))
    'a.root: No space left on device; free disk space, or choose another folder; nothing half-written was left behind'
    """
    file = name or (error.filename if isinstance(error.filename, str | bytes | os.PathLike) else "")
    parts = [str(error.strerror or error) or type(error).__name__]
    if error.errno in _REMEDIES:
        parts.append(_REMEDIES[error.errno])
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        parts.append("nothing half-written was left behind")
    return (f"{os.fsdecode(file)}: " if file else "") + "; ".join(parts)


_REMEDIES = {
    errno.ENOSPC: "free disk space, or choose another folder",
    errno.EDQUOT: "free disk space, or choose another folder",
    errno.EFBIG: "allow larger files (`ulimit -f`), or choose another folder",
    errno.EIO: "check whether this disk works, or choose another folder",
    errno.EROFS: "choose another folder",
    errno.EACCES: "get permission, or choose another folder",
    errno.EPERM: "get permission, or choose another folder",
    errno.EISDIR: "give a file, not a folder",
    errno.ENOTDIR: "one of its parent folders is a file; choose another path",
    errno.ENOENT: "check whether it was moved or removed",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "allow more open files (`ulimit -n`)",
    errno.ESTALE: "check whether this disk is still mounted",
}


def compute_free_space(folder: Path) -> int:
    """Return the free bytes of the disk of a folder, which need not exist yet.

    >>> compute_free_space(Path("runs/not/there/yet")) > 0
    True
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    return shutil.disk_usage(existing).free


def _exists(path: Path) -> bool:
    return len(os.fsencode(path.name)) <= os.pathconf(path.anchor, "PC_NAME_MAX") and path.exists()


def _too_long(path: Path, existing: Path, longer: int) -> str:
    longest = os.pathconf(existing, "PC_NAME_MAX")
    for name in path.relative_to(existing).parts:
        allowed = longest - (longer if name == path.name else 0)
        if len(os.fsencode(name)) > allowed:
            return f"its name is too long: {len(os.fsencode(name))} bytes, but {allowed} are allowed"
    length = len(os.fsencode(path))
    if length + longer + _BELOW > _LONGEST_PATH:
        return f"its path is too long: {length:,} bytes"
    return ""
