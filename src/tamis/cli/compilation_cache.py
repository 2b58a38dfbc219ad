"""A cache of compiled programs between commands, in a folder that only the user can write to.

JAX's own cache loads files without checking their content: anybody who can write such a file can run code, incomplete
files stay, and a program for another processor crashes. This module chooses and checks the folder, and replaces the
class that reads and writes the files.
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
from itertools import chain
from pathlib import Path

from tamis.errors import RequestError
from tamis.machine import cores
from tamis.paths import explain_os_error

VARIABLE = "TAMIS_CACHE"
"""The environment variable with the folder."""
LARGEST = 256 * 2**20
"""Maximum size of all compiled programs; the least recently used ones are removed first."""

_ABANDONED = 3600.0  # seconds after which an unfinished file is left over from a killed process
_FOLDER = re.compile(r"jax-[^/]+-[0-9a-f]{16}")
_ENTRY = ".program"
_UNFINISHED = ".part"
_DIGEST = hashlib.sha256().digest_size
_FOLDER_SETTING = "jax_compilation_cache_dir"
_SETTINGS: dict[str, object] = {
    # most programs are small and take 20 to 200 ms to compile, so all are stored
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
    # XLA's caches for GPUs would be in the same folder, without checks and size limit
    "jax_persistent_cache_enable_xla_caches": "none",
}

Note = Callable[[str], None]


def check_cache(note: Note) -> None:
    """Check the folder of `compilation_cache` without importing JAX."""
    if not os.environ.get(_FOLDER_SETTING.upper()):
        _choose_folder(note)


@contextmanager
def compilation_cache(note: Note) -> Iterator[None]:
    """Cache the programs that JAX compiles, in the folder TAMIS_CACHE or in the user's cache folder.

    If JAX_COMPILATION_CACHE_DIR is set, JAX's own cache is used instead. If programs cannot be stored, the work
    continues, after a note.

    Raises:
        RequestError: TAMIS_CACHE names a folder that cannot be used, or that others could write to.
    """
    import jax
    from jax._src import compilation_cache as files_of_jax

    previous = {name: getattr(jax.config, name) for name in (_FOLDER_SETTING, *_SETTINGS)}
    folder = None if previous[_FOLDER_SETTING] else _choose_folder(note)
    if folder is None:
        yield
        return
    programs = Programs(folder, note)
    # JAX has no public interface for another cache class; it calls this function once, at the first compilation
    original = files_of_jax.get_file_cache
    files_of_jax.get_file_cache = lambda path: (programs, path)  # type: ignore[assignment, return-value]
    try:
        _configure({**_SETTINGS, _FOLDER_SETTING: str(folder)})
        yield
    finally:
        files_of_jax.get_file_cache = original
        _configure(previous)


def _configure(settings: Mapping[str, object]) -> None:
    import jax
    from jax.experimental.compilation_cache.compilation_cache import reset_cache

    for name, value in settings.items():
        jax.config.update(name, value)
    reset_cache()  # otherwise JAX would not read the settings again


def _choose_folder(note: Note) -> Path | None:
    """Return the checked folder for this machine; None, after a note, if the user's cache folder cannot be used."""
    folder = os.environ.get(VARIABLE)
    try:
        return prepare_folder(Path(folder).absolute() if folder else _user_cache() / "tamis")
    except _UnusableError as error:
        if folder:
            raise RequestError(f"{VARIABLE}: {error}; choose a folder of your own") from None
        note(
            f"note: compiled programs are not cached: {error}. Set {VARIABLE} to a folder of your own to save the time "
            "for compiling"
        )
        return None


def _user_cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if folder.is_absolute():  # relative paths are ignored, as the XDG specification requires
        return folder
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        raise _UnusableError("HOME is not set") from None


class _UnusableError(Exception):
    """A folder cannot be used for the cache."""


def prepare_folder(folder: Path) -> Path:
    """Create and check a folder for compiled programs, an absolute path, and return its subfolder for this machine."""
    part = folder / build_machine_key()
    try:
        for path in chain(_folders_on_the_way(folder.parent), (folder, part)):
            # some shared disks answer "not permitted" rather than "exists"
            if not path.exists():
                path.mkdir(mode=0o700, exist_ok=True)  # independent of the umask
            if path in (folder, part):
                _check_own(path)
            else:
                _check_above(path)
    except OSError as error:
        raise _UnusableError(explain_os_error(error, name=str(folder))) from None
    return part


def _check_own(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise _UnusableError(f"{folder} is a link or a file, not a folder")
    if status.st_uid != os.geteuid():
        raise _UnusableError(f"{folder} belongs to another user, whose programs you would run")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _UnusableError(
            f"other users can write to {folder}, and you would run their programs; run `chmod go-w {folder}`"
        )


def _check_above(folder: Path) -> None:
    """Check that other users cannot replace the next component of the path in a folder."""
    status = folder.stat()
    if status.st_uid not in _trusted_owners():
        raise _UnusableError(f"{folder} belongs to another user, who could replace folders below it")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX:
        raise _UnusableError(
            f"other users can write to {folder} and could replace folders below it; run `chmod go-w {folder}`"
        )


def _trusted_owners() -> set[int]:
    owners = {0, os.geteuid()}
    with suppress(OSError, ValueError):
        # in a container's user namespace the system's folders belong to a user without a number
        mapped = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
        if mapped != ["0", "0", str(2**32 - 1)]:
            owners.add(int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii")))
    return owners


def _folders_on_the_way(folder: Path) -> Iterator[Path]:
    """Yield every folder that the system passes on the way to a folder, also through links, and the folder itself."""
    for passed in (*reversed(folder.parents), folder):
        if passed.is_symlink():
            yield from _folders_on_the_way(passed.parent / passed.readlink())
        else:
            yield passed


def build_machine_key() -> str:
    """Return a key of the versions, the processor and the number of cores, in addition to the key of JAX.

    JAX's own key holds the program, the options, the version of jaxlib and the kind of device. In a cluster, however, a
    program with newer instructions must not be loaded on an older processor.

    >>> build_machine_key().startswith("jax-")
    True
    """
    from importlib.metadata import version  # takes as long to import as typer

    jax, jaxlib = version("jax"), version("jaxlib")
    facts = "\n".join((jax, jaxlib, str(cores()), platform.machine(), *read_processor_facts()))
    return f"jax-{jax}-{cores()}-cores-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"


_PROCESSOR = re.compile(
    r"vendor_id|cpu family|model|model name|stepping|flags"  # x86
    r"|Features|CPU (implementer|architecture|variant|part|revision)"  # ARM
    r"|cpu|revision|isa|uarch"  # POWER, RISC-V
)


def read_processor_facts(file: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """Return the kind of the processors and their instructions; without the file of Linux, the name of the host.

    >>> len(read_processor_facts()) > 0
    True
    """
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return (platform.platform(), platform.node())
    known = (line for line in lines if _PROCESSOR.fullmatch(line.partition(":")[0].strip()))
    # each kind of core once, independent of the order
    return tuple(sorted({re.sub(r"\s+", " ", line) for line in known}))


class Programs:
    """Compiled programs in files, written atomically, with checksums: a `CacheInterface` of JAX.

    Several threads and processes may share one folder, which is that of this machine; `largest` is the maximum size in
    bytes of all programs of all machines. A note tells once that programs cannot be written, and once that some were
    damaged.
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
        """Return a program; None if it does not exist or is damaged."""
        path = self._file(key)
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._note_once(
                f"note: a compiled program cannot be read: {explain_os_error(error, name=str(path))}"
            )
            return None
        digest, value = content[:_DIGEST], content[_DIGEST:]
        if digest == _checksum(key, value):
            with suppress(OSError):
                os.utime(path)  # marks it as recently used
            return value
        self._note_once(f"note: compiled programs in {self._path} were damaged; they are compiled again")
        with suppress(OSError):
            path.unlink()
        return None

    def put(self, key: str, value: bytes) -> None:
        """Write a program; if that fails, this command stores no more programs."""
        if not self._writable:
            return
        path = self._file(key)
        unfinished = path.with_name(f"{secrets.token_hex(8)}{_UNFINISHED}")
        try:
            with self._lock:
                self._remove_oldest(len(value) + _DIGEST)
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_checksum(key, value) + value)
            unfinished.replace(path)
        except OSError as error:
            self._writable = False
            with suppress(OSError):
                unfinished.unlink()
            reason = f"{self._path}: {error.strerror or error}"
            self._note_once(f"note: compiled programs cannot be cached ({reason})")

    def _file(self, key: str) -> Path:
        return self._path / (hashlib.sha256(key.encode()).hexdigest() + _ENTRY)

    def _note_once(self, sentence: str) -> None:
        with self._lock:
            first = sentence not in self._noted
            self._noted.add(sentence)
        if first:
            self._note(sentence)

    def _remove_oldest(self, size: int) -> None:
        """Remove the least recently used programs of all machines if a new one exceeds the limit."""
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
        # a quarter at a time, so that not every new program lists all files
        goal = self._largest * 3 // 4 if total > self._largest else total
        for length, path in programs:
            if total <= goal:
                break
            path.unlink(missing_ok=True)
            total -= length
        self._free = self._largest - total


def _files_below(cache: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield the time of last use, the size and the path of each file of the cache, ignoring other files."""
    for folder in cache.iterdir():
        if _FOLDER.fullmatch(folder.name) and not folder.is_symlink():
            for path in folder.iterdir():
                with suppress(FileNotFoundError):  # another command may remove it
                    status = path.lstat()
                    if path.suffix in (_ENTRY, _UNFINISHED) and stat.S_ISREG(status.st_mode):
                        yield status.st_mtime, status.st_size, path


def _checksum(key: str, value: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\n" + value).digest()
