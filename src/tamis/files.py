"""Writing files so that nothing half-written ever carries a final name."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.errors import RequestError

LONGER_WHILE_WRITTEN = 32
"""By how many bytes the name of a file is longer at most while it is written."""

_UMASK = Lock()
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; when all went well it is synced and renamed to the final one.

    What a process that was killed has left of the same file is removed first.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with complete_file(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    _remove_unfinished(path)
    temporary, opened = _open_temporary(path)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # some libraries write for the owner alone; colleagues read too
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        hidden = error.filename in (str(temporary), os.fsencode(temporary))
        if hidden or (
            error.filename is None and error.errno in _DISK
        ):  # a write that fails does not say where
            raise _of(error, path) from error
        raise
    finally:
        os.close(opened)
        with suppress(OSError):  # what went wrong before says more
            temporary.unlink(missing_ok=True)


def _open_temporary(path: Path) -> tuple[Path, int]:
    """Make a file of a name that nobody else has, and hold its lock, which says that somebody writes to it.

    Numbers of processes would not do: in containers and on other hosts they are the same again and again.
    """
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part{path.suffix}")
        try:
            with _about(path):  # not a hidden file
                opened = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # taken for a leftover before it was locked
            os.close(opened)
            continue
        except OSError:  # some shared disks know no locks: there nothing is ever removed
            return temporary, opened
        if _is_same_file(opened, temporary):
            return temporary, opened
        os.close(opened)  # taken for a leftover, and removed already


def _umask() -> int:
    with _UMASK:  # it can only be read by changing it, for all threads
        umask = os.umask(0)
        os.umask(umask)
    return umask


def sync_folder(folder: Path) -> None:
    """Let the new name survive a loss of power as the content does."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        with _about(folder):
            os.fsync(opened)
    finally:
        os.close(opened)


def _remove_unfinished(path: Path) -> None:
    """Remove what a process that was killed left behind when it wrote this file: what nobody holds the lock of."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.part{re.escape(path.suffix)}")
    for found in path.parent.iterdir() if path.parent.is_dir() else ():
        if pattern.fullmatch(found.name) and found.is_file() and not found.is_symlink():
            _remove_unlocked(found)


def _remove_unlocked(path: Path) -> None:
    try:
        opened = os.open(path, os.O_RDWR)
    except OSError:  # it is gone, or somebody else's
        return
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except OSError:
        return  # somebody writes to it, or the disk knows no locks
    finally:
        os.close(opened)


@contextmanager
def folders_for(path: Path) -> Iterator[None]:
    """Make the folders above a path; in the end those that it made go again where nothing came into them.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with folders_for(Path(folder) / "runs" / "first"):
    ...         pass
    ...     list(Path(folder).iterdir())
    []
    """
    made = [parent for parent in path.resolve().parents if not parent.exists()]
    path.resolve().parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for folder in made:  # the innermost first
            remove_empty(folder)


def remove_empty(folder: Path) -> None:
    """Remove a folder where it is one and holds nothing."""
    if folder.is_dir() and not any(folder.iterdir()):
        with suppress(OSError):  # another process writes to it by now
            folder.rmdir()


@contextmanager
def locked(path: Path, *, busy: str) -> Iterator[None]:
    """Hold a lock file, which the system releases when the process ends, however it ends.

    Args:
        path: of the lock file; it is removed at the end.
        busy: what to say where another process holds it; `{}` is replaced by who that is.

    Raises:
        RequestError: another process holds it, or the disk knows no locks.
    """
    while True:
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o666 & ~_umask())
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(opened, 200).decode("utf-8", "replace").strip() or "another process"
            os.close(opened)
            raise RequestError(busy.format(holder)) from None
        except OSError as error:
            os.close(opened)
            path.unlink(missing_ok=True)
            raise RequestError(
                f"the disk of {path.parent} knows no locks ({error.strerror}), which keep two processes from writing "
                "to one place; choose a folder on another disk"
            ) from error
        if _is_same_file(opened, path):
            break
        os.close(opened)  # its holder has just removed it
    try:
        with _about(path):
            os.truncate(opened, 0)
            os.write(opened, f"process {os.getpid()} on {platform.node()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(opened)


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Name the file or folder in an error of the system, which knows the number of an opened one at most."""
    try:
        yield
    except OSError as error:
        raise _of(error, path) from error


def _of(error: OSError, path: Path) -> OSError:
    return OSError(error.errno, error.strerror or str(error), str(path))


def _is_same_file(opened: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(opened), there)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all."""
    with complete_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file as a whole or not at all."""
    with complete_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write arrays as safetensors, as a whole or not at all, and give the hash of the file."""
    from safetensors.numpy import save

    content = save({name: np.array(array, order="C") for name, array in arrays.items()})
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON: a value that is not finite is refused, because it is not JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def sha256(path: Path) -> str:
    """Hash the content of a file."""
    with path.open("rb") as file, _about(path):
        return hashlib.file_digest(file, "sha256").hexdigest()
