"""Compiled programs are kept between commands, in a folder that only the user can write to.

JAX keeps compiled programs in files and loads them without a check of their contents: whoever can write such a file can
run code, half-written files stay, and a program for another processor ends the process. This module chooses and
checks the folder, and replaces the class that reads and writes the files.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from tamis.errors import RequestError
from tamis.machine import cores
from tamis.places import failure

VARIABLE = "TAMIS_CACHE"
"""The environment variable that names the folder."""
LARGEST = 256 * 2**20
"""Bytes of all compiled programs together; beyond it those that were not used for longest are removed."""

_ABANDONED = 3600.0  # seconds after which an unfinished file has no process any more
_FOLDER = re.compile(r"jax-[^/]+-[0-9a-f]{16}")
_ENTRY = ".program"
_UNFINISHED = ".part"
_DIGEST = hashlib.sha256().digest_size
_FOLDER_SETTING = "jax_compilation_cache_dir"
_SETTINGS: dict[str, object] = {
    # most programs are small and take 20 to 200 ms to compile: all are kept
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
    # caches of XLA for GPUs would be written beside, without checks and without a bound
    "jax_persistent_cache_enable_xla_caches": "none",
}

Note = Callable[[str], None]


def check_cache(note: Note) -> None:
    """Check the folder in which a command that compiles would keep its programs, without an import of JAX.

    Args:
        note: is called with a sentence where programs cannot be kept.

    Raises:
        RequestError: as `compilation_cache`.
    """
    if not os.environ.get(_FOLDER_SETTING.upper()):
        _choose_folder(note)


@contextmanager
def compilation_cache(note: Note) -> Iterator[None]:
    """Let JAX keep what it compiles, in a folder named by the environment variable TAMIS_CACHE or in the user's cache.

    A user who sets JAX_COMPILATION_CACHE_DIR has chosen JAX's own cache; nothing is changed then.

    Args:
        note: is called with a sentence where programs cannot be kept; the work continues.

    Raises:
        RequestError: TAMIS_CACHE names a folder that cannot be used, or that others could write to.
    """
    import jax
    from jax._src import compilation_cache as files_of_jax

    before = {name: getattr(jax.config, name) for name in (_FOLDER_SETTING, *_SETTINGS)}
    folder = None if before[_FOLDER_SETTING] else _choose_folder(note)
    if folder is None:
        yield
        return
    programs = Programs(folder, note)
    # JAX has no public way to bring a class of one's own; it calls this function once, when it first compiles
    original = files_of_jax.get_file_cache
    files_of_jax.get_file_cache = lambda path: (programs, path)  # type: ignore[assignment, return-value]
    try:
        _configure({**_SETTINGS, _FOLDER_SETTING: str(folder)})
        yield
    finally:
        files_of_jax.get_file_cache = original
        _configure(before)


def _configure(settings: Mapping[str, object]) -> None:
    import jax
    from jax.experimental.compilation_cache.compilation_cache import reset_cache

    for name, value in settings.items():
        jax.config.update(name, value)
    reset_cache()  # JAX reads the settings once


def _choose_folder(note: Note) -> Path | None:
    """Return the checked folder for this machine; None, after a note, if the user's cache folder cannot be used."""
    named = os.environ.get(VARIABLE)
    if named:
        try:
            return prepare_folder(Path(named).absolute())
        except _UnusableError as error:
            raise RequestError(f"{VARIABLE}: {error}; choose a folder of your own") from None
    try:
        return prepare_folder(_user_cache() / "tamis")
    except _UnusableError as error:
        note(
            f"note: compiled programs are not kept for the next command: {error}. Set {VARIABLE} to a folder of your "
            "own to save the time for compiling"
        )
        return None


def _user_cache() -> Path:
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():  # the XDG specification wants others to be ignored
        return named
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        raise _UnusableError("there is no home directory (HOME)") from None


class _UnusableError(Exception):
    """Compiled programs cannot be kept in a folder; the text says why."""


def prepare_folder(folder: Path) -> Path:
    """Create and check a folder for compiled programs, and return the part of it for this machine.

    Args:
        folder: an absolute path; it and the folders above are created if they do not exist.

    Returns:
        the folder below for the versions of JAX, this kind of processor and this number of cores.
    """
    part = folder / machine_key()
    try:
        for above in _folders_above(folder):
            _create(above)
            _check_above(above)
        for own in (folder, part):
            _create(own)
            _check_own(own)
    except OSError as error:
        raise _UnusableError(failure(error, place=str(folder))) from None
    return part


def _create(folder: Path) -> None:
    # some shared disks answer "not permitted" rather than "exists"
    if not folder.exists():
        folder.mkdir(mode=0o700, exist_ok=True)  # whatever the umask is


def _check_own(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise _UnusableError(f"{folder} is a link or a file, and must be a folder")
    if status.st_uid != os.geteuid():
        raise _UnusableError(
            f"{folder} belongs to another user, who could put programs there that you would run"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _UnusableError(
            f"other users can write to {folder}, and could put programs there that you would run; "
            f"`chmod go-w {folder}` forbids it"
        )


def _check_above(folder: Path) -> None:
    """Refuse a folder in which others could exchange the next name of the path."""
    status = folder.stat()
    if status.st_uid not in _trusted_owners():
        raise _UnusableError(f"{folder} belongs to another user, who could replace what is below it")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX:
        raise _UnusableError(
            f"other users can write to {folder}, and could replace what is below it; `chmod go-w {folder}` forbids it"
        )


def _trusted_owners() -> set[int]:
    owners = {0, os.geteuid()}
    with suppress(OSError, ValueError):
        # in a container's user namespace the system's folders belong to a user without a number
        mapped = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
        if mapped != ["0", "0", str(2**32 - 1)]:
            owners.add(int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii")))
    return owners


def _folders_above(path: Path) -> Iterator[Path]:
    """Return every folder that the system passes on the way to a path, also behind links."""
    passed, rest = Path(path.anchor), list(path.parts[1:])
    while rest:
        yield passed
        name = rest.pop(0)
        if name == "..":
            passed = passed.parent
        elif (passed / name).is_symlink():
            target = (passed / name).readlink()
            rest[:0] = target.parts[1:] if target.is_absolute() else target.parts
            passed = Path(target.anchor) if target.is_absolute() else passed
        else:
            passed /= name


def machine_key() -> str:
    """Return a name for what a compiled program depends on beside the key of JAX: versions, processor, cores.

    JAX's own key holds the program, the options, the version of jaxlib and the kind of device, but a program for
    newer instructions must not be loaded on an older processor of a cluster.

    >>> machine_key().startswith("jax-")
    True
    """
    jax, jaxlib = version("jax"), version("jaxlib")
    facts = "\n".join((jax, jaxlib, str(cores()), platform.machine(), *processor_facts()))
    return f"jax-{jax}-{cores()}-cores-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"


_PROCESSOR = re.compile(
    r"vendor_id|cpu family|model|model name|stepping|flags"  # x86
    r"|Features|CPU (implementer|architecture|variant|part|revision)"  # ARM
    r"|cpu|revision|isa|uarch"  # POWER, RISC-V
)


def processor_facts(file: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """Return what the system says of the kind of the processors and their instructions.

    Args:
        file: in the format of Linux; where it does not exist, the name of the host stands for its processor.

    >>> len(processor_facts()) > 0
    True
    """
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return (platform.platform(), platform.node())
    known = (line for line in lines if _PROCESSOR.fullmatch(line.partition(":")[0].strip()))
    # once for each kind of core, without the order in which they are listed
    return tuple(sorted({re.sub(r"\s+", " ", line) for line in known}))


class Programs:
    """Compiled programs as files: whole, with checksums, and bounded in their size.

    It has the methods of JAX's `CacheInterface`. Several threads and processes may use one folder.

    Args:
        folder: the part of the cache for this machine.
        note: is called with a sentence when programs cannot be written, or were damaged; once for each.
        largest: bytes of all programs in all parts of the cache.
    """

    def __init__(self, folder: Path, note: Note, largest: int = LARGEST) -> None:
        """Prepare to read and write."""
        self._largest = largest
        self._path = folder  # JAX writes it to its log
        self._note = note
        self._lock = threading.Lock()
        self._noted: set[str] = set()
        self._writable = True
        self._free = 0

    def get(self, key: str) -> bytes | None:
        """Return a program; None if it is not there, or not as it was written."""
        path = self._file(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(descriptor, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._note_once(f"note: a compiled program cannot be read: {failure(error, place=str(path))}")
            return None
        digest, value = content[:_DIGEST], content[_DIGEST:]
        if digest == _checksum(key, value):
            with suppress(OSError):
                os.utime(path)  # it was used
            return value
        self._note_once(f"note: compiled programs in {self._path} were damaged; they are compiled again")
        with suppress(OSError):
            path.unlink()
        return None

    def put(self, key: str, value: bytes) -> None:
        """Write a program; if that fails, this command keeps no more of them."""
        if not self._writable:
            return
        path = self._file(key)
        unfinished = path.with_name(f"{secrets.token_hex(8)}{_UNFINISHED}")
        try:
            with self._lock:
                self._make_room(len(value) + _DIGEST)
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_checksum(key, value) + value)
            unfinished.replace(path)
        except OSError as error:
            self._writable = False
            with suppress(OSError):
                unfinished.unlink()
            reason = f"{self._path}: {error.strerror or error}"
            self._note_once(f"note: compiled programs cannot be kept for the next command ({reason})")

    def _file(self, key: str) -> Path:
        return self._path / (hashlib.sha256(key.encode()).hexdigest() + _ENTRY)

    def _note_once(self, sentence: str) -> None:
        with self._lock:
            first = sentence not in self._noted
            self._noted.add(sentence)
        if first:
            self._note(sentence)

    def _make_room(self, size: int) -> None:
        """Remove the programs of all machines that were not used for longest, if there is no room for one more."""
        self._free -= size
        if self._free >= 0:
            return
        programs, total = [], size
        for used, length, path in sorted(_files_below(self._path.parent)):
            if path.suffix == _ENTRY:
                programs.append((length, path))
                total += length
            elif time.time() - used > _ABANDONED:
                path.unlink(missing_ok=True)
        # a quarter at a time, so that not every program asks for all files
        goal = self._largest * 3 // 4 if total > self._largest else total
        for length, path in programs:
            if total <= goal:
                break
            path.unlink(missing_ok=True)
            total -= length
        self._free = self._largest - total


def _files_below(cache: Path) -> Iterator[tuple[float, int, Path]]:
    """Return when each file of the cache was used last, its size and its path; nothing else that lies there."""
    for folder in cache.iterdir():
        if _FOLDER.fullmatch(folder.name) and not folder.is_symlink():
            for path in folder.iterdir():
                with suppress(FileNotFoundError):  # another command removes files, too
                    status = path.lstat()
                    if path.suffix in (_ENTRY, _UNFINISHED) and stat.S_ISREG(status.st_mode):
                        yield status.st_mtime, status.st_size, path


def _checksum(key: str, value: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\n" + value).digest()
