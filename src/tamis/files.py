"""Atomic writing of files: an incomplete file never has its final name."""

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
"""Maximum number of bytes by which the temporary name of a file is longer."""

_UMASK = Lock()
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which is synced and renamed to the final one if no error occurs.

    Temporary files of killed processes for the same path are removed first.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with complete_file(Path(folder) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "a.txt").read_text()
    'whole'
    """
    _remove_unfinished(path)
    temporary, descriptor = _open_temporary(path)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # some libraries create files that only the owner can read
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        has_temporary_name = error.filename in (str(temporary), os.fsencode(temporary))
        # an error of a write has no file name
        if has_temporary_name or (error.filename is None and error.errno in _DISK):
            raise _with_path(error, path) from error
        raise
    finally:
        os.close(descriptor)
        with suppress(OSError):  # the first error is more informative
            temporary.unlink(missing_ok=True)


def _open_temporary(path: Path) -> tuple[Path, int]:
    """Create a file with a unique name, and lock it, which marks it as in use.

    The name is random, because process numbers are not unique across containers and hosts.
    """
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part{path.suffix}")
        try:
            with _naming(path):  # errors name the final path
                descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process locks it to remove it as a leftover
            os.close(descriptor)
            continue
        except OSError:  # some shared file systems do not support locking: no leftovers are removed there
            return temporary, descriptor
        if _is_same_file(descriptor, temporary):
            return temporary, descriptor
        os.close(descriptor)  # removed as a leftover by another process


def _umask() -> int:
    with _UMASK:  # reading the umask changes it for a moment, in all threads
        umask = os.umask(0)
        os.umask(umask)
    return umask


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that new names in it survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with _naming(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_unfinished(path: Path) -> None:
    """Remove unlocked temporary files of killed processes for a path."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.part{re.escape(path.suffix)}")
    for leftover in path.parent.iterdir() if path.parent.is_dir() else ():
        if pattern.fullmatch(leftover.name) and leftover.is_file() and not leftover.is_symlink():
            _remove_unlocked(leftover)


def _remove_unlocked(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:  # it was removed, or belongs to another user
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except OSError:
        return  # it is in use, or the file system does not support locking
    finally:
        os.close(descriptor)


@contextmanager
def folders_for(path: Path) -> Iterator[None]:
    """Create the parent folders of a path, and remove those that are still empty at the end.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with folders_for(Path(folder) / "runs" / "first"):
    ...         pass
    ...     list(Path(folder).iterdir())
    []
    """
    missing = [parent for parent in path.resolve().parents if not parent.exists()]
    path.resolve().parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for folder in missing:  # innermost first
            remove_empty(folder)


def remove_empty(folder: Path) -> None:
    """Remove a folder if it exists and is empty."""
    if folder.is_dir() and not any(folder.iterdir()):
        with suppress(OSError):  # another process may write to it meanwhile
            folder.rmdir()


@contextmanager
def locked(path: Path, *, busy: str) -> Iterator[None]:
    """Hold a lock file, which the system releases when the process ends for any reason, and remove it at the end.

    `busy` is the message of the `RequestError` if another process has locked it; `{}` is replaced by its name.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666 & ~_umask())
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another process"
            os.close(descriptor)
            raise RequestError(busy.replace("{}", holder)) from None
        except OSError as error:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise RequestError(
                f"the file system of {path.parent} does not support locking ({error.strerror}), which prevents two "
                "processes from writing to the same folder; choose a folder on another disk"
            ) from error
        if _is_same_file(descriptor, path):
            break
        os.close(descriptor)  # its holder has just removed it
    try:
        with _naming(path):
            os.truncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the file or folder to a system error that has none."""
    try:
        yield
    except OSError as error:
        raise _with_path(error, path) from error


def _with_path(error: OSError, path: Path) -> OSError:
    return OSError(error.errno, error.strerror or str(error), str(path))


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), status)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with complete_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    write_bytes(path, text.encode())


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write arrays as safetensors atomically, and return the hash of the file."""
    from safetensors.numpy import save

    content = save({name: np.array(array, order="C") for name, array in arrays.items()})
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON atomically; raise a `ValueError` for NaN and infinity, which JSON does not have."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, default=_plain) + "\n")


def as_json(value: Any) -> Any:
    """Return a value as it is read back from JSON.

    >>> as_json({"areas": (0.5, None)})
    {'areas': [0.5, None]}
    """
    return json.loads(json.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def hash_json(value: Any) -> str:
    """Hash a value as JSON, whatever the order of its keys.

    >>> hash_json({"rows": 3, "seed": 1}) == hash_json({"seed": 1, "rows": 3})
    True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_plain).encode()).hexdigest()


def add_hash(document: Mapping[str, Any], key: str = "sha256") -> dict[str, Any]:
    """Return a document with the hash of all its other keys and values, so that a change is noticed.

    >>> add_hash({"seed": 1}) == add_hash(add_hash({"seed": 1}))
    True
    """
    content = {name: value for name, value in document.items() if name != key}
    return {**content, key: hash_json(content)}


def sha256(path: Path) -> str:
    """Hash the content of a file."""
    with path.open("rb") as file, _naming(path):
        return hashlib.file_digest(file, "sha256").hexdigest()
