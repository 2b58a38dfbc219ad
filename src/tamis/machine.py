"""Versions of the packages, and the memory and processor cores that this process may use."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tamis.errors import RequestError
from tamis.wording import format_size

LEAST_ADDRESSES = 2000 * 2**20
"""Bytes of address space that a process needs at least to compute scores."""
_PACKAGES = (
    "tamis", "jax", "jaxlib", "equinox", "optax", "numpy", "scipy", "uproot", "awkward", "pyarrow", "matplotlib",
    "onnx", "onnxruntime", "pydantic", "safetensors",
)  # fmt: skip
_UNLIMITED = 2**60  # version 1 of control groups writes a number near 2^63 instead of "no limit"


@dataclass(frozen=True)
class MemoryLimit:
    """A limit on the total memory of this process in bytes, including the memory in use, and its description.

    It may count reserved memory (`address_space`), not only memory in use.
    """

    size: int
    limit: str
    address_space: bool = False


def describe_machine() -> dict[str, Any]:
    """Return the versions of Python, of the packages that compute, and of the operating system."""
    return {
        "python": platform.python_version(),
        "packages": {name: installed for name in _PACKAGES if (installed := _version(name))},
        "system": platform.platform(),
        "processor": platform.machine(),
    }


@cache
def tamis_version() -> str:
    """Return the installed version of tamis; "unknown" for a source tree that is not installed.

    The metadata are read once: later the process may have lost the permission to read its installation.
    """
    return _version("tamis") or "unknown"


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # takes as long to import as typer

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def find_memory_limits() -> tuple[MemoryLimit, ...]:
    """Return all limits on the memory of this process; empty if the system does not report any.

    >>> all(limit.size > 0 for limit in find_memory_limits())
    True
    """
    status = _numbers(Path("/proc/self/status"))
    resident = status.get("VmRSS", 0)
    limits = []
    free = _numbers(Path("/proc/meminfo")).get("MemAvailable")
    if free is not None:
        limits.append(MemoryLimit(resident + free, "the free memory of this machine"))
    for group_limit, available in _control_groups():
        total = min(group_limit, resident + available)
        limits.append(MemoryLimit(total, "the memory limit of this job (its control group)"))
    for kind, name in (
        (resource.RLIMIT_AS, "the limit on address space (`ulimit -v`)"),
        (resource.RLIMIT_DATA, "the limit on data (`ulimit -d`)"),
    ):
        soft = resource.getrlimit(kind)[0]
        if soft != resource.RLIM_INFINITY:
            limits.append(MemoryLimit(soft, name, address_space=True))
    return tuple(limits)


def cores() -> int:
    """Count the processor cores that this process may use.

    >>> cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_address_space() -> None:
    """Check that the address space suffices (`RequestError`): libraries hang or abort otherwise."""
    for limit in find_memory_limits():
        if limit.address_space and limit.size < LEAST_ADDRESSES:
            raise RequestError(
                f"{limit.limit} is {format_size(limit.size)}, but tamis reserves {format_size(LEAST_ADDRESSES)} of "
                "addresses, most of them never used; raise that limit, or limit the resident memory instead"
            )


def explain_memory_error() -> str:
    """Return a message that names the smallest memory limit."""
    smallest = min(find_memory_limits(), key=lambda limit: limit.size, default=None)
    if smallest is None:
        return "this machine has too little memory"
    return f"there is too little memory: {smallest.limit} allows {format_size(smallest.size)}"


def _numbers(path: Path) -> dict[str, int]:
    """Read lines such as `VmRSS: 1234 kB`, in bytes."""
    numbers = {}
    for line in _text(path).splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdigit():
            numbers[name] = int(words[0]) * 1024
    return numbers


def _control_groups() -> Iterator[tuple[int, int]]:
    """Yield the limit of each control group of this process, and the memory available below it.

    File caches count as available, because the system can release them.
    """
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        root = Path("/sys/fs/cgroup/memory" if kinds else "/sys/fs/cgroup")
        names = ("limit_in_bytes", "usage_in_bytes") if kinds else ("max", "current")
        inside = root / path.lstrip("/")
        for folder in (inside, *(parent for parent in inside.parents if parent.is_relative_to(root))):
            limit, used = (_number(folder / f"memory.{name}") for name in names)
            if limit is not None and used is not None and limit < _UNLIMITED:
                yield limit, max(limit - used + _reclaimable(folder), 0)


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _reclaimable(folder: Path) -> int:
    """Return the bytes of inactive file caches in a control group."""
    rows = [line.split() for line in _text(folder / "memory.stat").splitlines()]
    values = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
    return values.get("total_inactive_file", values.get("inactive_file", 0))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
