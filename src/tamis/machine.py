"""What the machine, the batch system and the user's limits leave to this process."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tamis.errors import RequestError
from tamis.wording import size

LEAST_ADDRESSES = 2000 * 2**20
"""Bytes that a process reserves, at least, when it computes scores."""
_UNLIMITED = 2**60  # version 1 of control groups writes a number near 2^63 where there is no limit


@dataclass(frozen=True)
class Room:
    """Memory that this process may have in all, with what it has now.

    Args:
        size: in bytes.
        limit: what sets it, in words.
        address_space: whether reserved memory counts as well, not only what is written to.
    """

    size: int
    limit: str
    address_space: bool = False


def memory_rooms() -> tuple[Room, ...]:
    """Give every bound on the memory of this process; none where the system tells nothing.

    >>> all(room.size > 0 for room in memory_rooms())
    True
    """
    status = _numbers(Path("/proc/self/status"))
    own = status.get("VmRSS", 0)
    rooms = []
    free = _numbers(Path("/proc/meminfo")).get("MemAvailable")
    if free is not None:
        rooms.append(Room(own + free, "the free memory of this machine"))
    for limit, left in _groups():
        rooms.append(Room(min(limit, own + left), "the memory limit of this job (its control group)"))
    limits = (
        (resource.RLIMIT_AS, "the limit on address space (`ulimit -v`)"),
        (resource.RLIMIT_DATA, "the limit on data (`ulimit -d`)"),
    )
    for kind, name in limits:
        soft = resource.getrlimit(kind)[0]
        if soft != resource.RLIM_INFINITY:
            rooms.append(Room(soft, name, address_space=True))
    return tuple(rooms)


def cores() -> int:
    """Count the processor cores that this process may use.

    >>> cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_address_space() -> None:
    """Refuse to work where libraries would hang or abort for want of addresses.

    Raises:
        RequestError: with the limit.
    """
    for room in memory_rooms():
        if room.address_space and room.size < LEAST_ADDRESSES:
            raise RequestError(
                f"{room.limit} is {size(room.size)}, and tamis reserves {size(LEAST_ADDRESSES)}, most of it "
                "never used; raise that limit, or limit the resident memory instead"
            )


def too_little_memory() -> str:
    """Say which memory was not enough: the smallest of all bounds."""
    rooms = memory_rooms()
    smallest = min(rooms, key=lambda room: room.size, default=None)
    if smallest is None:
        return "the memory of this machine is not enough"
    return f"the memory is not enough: {smallest.limit} allows {size(smallest.size)}"


def _numbers(path: Path) -> dict[str, int]:
    """Read lines such as `VmRSS: 1234 kB`, in bytes."""
    found = {}
    for line in _text(path).splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdigit():
            found[name] = int(words[0]) * 1024
    return found


def _groups() -> Iterator[tuple[int, int]]:
    """Give the limit of each control group that this process is in, and what is left of it.

    Files that the system keeps in memory can go.
    """
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        root = Path("/sys/fs/cgroup/memory" if kinds else "/sys/fs/cgroup")
        names = ("limit_in_bytes", "usage_in_bytes") if kinds else ("max", "current")
        inside = root / path.lstrip("/")
        for folder in (inside, *(each for each in inside.parents if each.is_relative_to(root))):
            limit, used = (_number(folder / f"memory.{name}") for name in names)
            if limit is not None and used is not None and limit < _UNLIMITED:
                yield limit, max(limit - used + _reclaimable(folder), 0)


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _reclaimable(folder: Path) -> int:
    words = [line.split() for line in _text(folder / "memory.stat").splitlines()]
    values = {each[0]: int(each[1]) for each in words if len(each) == 2 and each[1].isdigit()}
    return values.get("total_inactive_file", values.get("inactive_file", 0))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
