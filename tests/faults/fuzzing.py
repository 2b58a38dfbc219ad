"""What the fuzzers share: mutations, a watchdog, a watch over opened files, and a report of what happened.

A fuzzer calls what reads files from strangers with inputs that nobody would write. What it may raise is a
`TamisError`; anything else, a hang, or memory beyond a GiB is a finding.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tamis.errors import TamisError

LONGEST = 20.0
"""Seconds of computing after which an input counts as a hang."""
WAITED = 180.0
"""Seconds after which it counts as one that waits for something; machines may be busy."""
MOST_MEMORY = 1 << 30
LARGEST_INPUT = 1 << 14
EXTREMES = (
    0, 1, -1, 2, 7, 100, 101, 65536, 65537, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**9, 10**18,
    10**30,
    10**400, 10**4000, -(2**63), 0.0, -0.0, 0.5, 1e-3, 1e-30, 5e-324, 1e308, -1e308, 1e30, float("inf"),
    float("-inf"),
    float("nan"), True, False, None, "", " ", "x", "../../x", "/etc/passwd", "~", "~nobody-here/x", "a" * 5000,
    "\x00",
    "\x1b[2J", "\ud800", "\u2028", "\ufeff", "é", "\uff45\uff56al", "__class__", "().__class__", "9**9**9", "1e400",
    "nan",
    "inf",
    "file:///dev/zero", "reference://x::file:///x", "pt; import os", "$\\frac{", "{{7*7}}", "%s%n", [], {}, [[]],
    [{}], [None],
    ["x"] * 200, {"x": 1}, {"name": "x"}, {"type": "dense"}, {"__class__": 1},
)  # fmt: skip
# what a reader of a configuration or of a model has no business with; `open` is looked at by its path
_FORBIDDEN = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "socket.", "os.remove",
"os.rename",
              "os.rmdir", "shutil.", "pickle.", "marshal.", "webbrowser.", "os.mkdir", "os.truncate", "os.link",
              "os.symlink")  # fmt: skip
# where Python and its packages lie, and what the system tells about the machine
_LIBRARIES = tuple(
    {str(Path(place).resolve()) for place in (sys.prefix, sys.base_prefix, *sys.path) if place}
    | {"/proc/", "/sys/", "/dev/null", "/dev/urandom", "/usr/", "/lib"}
)


class Opened:
    """A watch over what the process opens while it reads an input."""

    def __init__(self, allowed: Path) -> None:
        self.allowed = str(allowed.resolve())
        self.watching = False
        self.found: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.watching:
            return
        if event == "open" and not self._is_allowed(arguments[0]):
            self.found.append(f"opened {arguments[0]!r}")
        elif event.startswith(_FORBIDDEN):
            self.found.append(f"{event} {arguments!r}"[:300])

    def _is_allowed(self, path: Any) -> bool:
        if isinstance(path, int):
            return True
        place = os.path.normpath(os.path.join(os.getcwd(), os.fsdecode(path)))  # noqa: PTH109, PTH118
        return place.startswith((self.allowed, *_LIBRARIES))


class Session:
    """One run of a fuzzer.

    Args:
        name: of the fuzzer.
        folder: where inputs that found something are kept.
        opened: the watch over files.
    """

    def __init__(self, name: str, folder: Path, opened: Opened) -> None:
        self.name, self.folder, self.opened = name, folder, opened
        self.executions = self.refused = self.accepted = 0
        self.begun, self._written = time.monotonic(), 0.0
        self.slowest = 0.0
        self.crashes: dict[str, str] = {}
        self._input: Callable[[], bytes] = bytes
        self.report: Path | None = None
        # tells where it is, and ends the process as the signal does
        faulthandler.register(signal.SIGPROF, all_threads=False, chain=True)

    def execute(self, work: Callable[[], None], content: Callable[[], bytes]) -> None:
        """Read an input under watch.

        Args:
            work: reads it.
            content: gives what is kept if it finds something.
        """
        self.executions += 1
        self._input = content
        began = time.process_time()
        faulthandler.dump_traceback_later(WAITED, exit=True)
        signal.setitimer(signal.ITIMER_PROF, LONGEST)
        self.opened.watching, self.opened.found = True, []
        with self:
            work()
            self.accepted += 1
        self.opened.watching = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        self.slowest = max(self.slowest, time.process_time() - began)
        for found in self.opened.found:
            self._keep(f"audit: {found[:80]}", found)
        if time.monotonic() - self._written > 1:
            self.write()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.opened.watching = False
        if error is None:
            return True
        if isinstance(error, TamisError):
            self.refused += 1
            _check_message(error)
            return True
        if not isinstance(error, Exception):
            return False
        last = traceback.extract_tb(trace)[-1]
        own = [frame for frame in traceback.extract_tb(trace) if "tamis" in frame.filename] or [last]
        places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in (own[-1], last)]
        key = " ".join([type(error).__name__, *places])
        self._keep(key, "".join(traceback.format_exception(error))[-3000:])
        return True

    def _keep(self, key: str, said: str) -> None:
        if key in self.crashes or len(self.crashes) > 50:
            return
        self.crashes[key] = said
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{self.name}-{len(self.crashes)}.input").write_bytes(self._input())
        (self.folder / f"{self.name}-{len(self.crashes)}.txt").write_text(
            f"{key}\n{said}", "utf-8", "replace"
        )

    @property
    def memory(self) -> int:
        """The most memory that the process ever had, in bytes."""
        # `getrusage` takes over the peak of the process that started this one
        status = Path("/proc/self/status")
        if not status.exists():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def summary(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "executions": self.executions,
            "accepted": self.accepted,
            "refused": self.refused,
            "seconds": round(time.monotonic() - self.begun, 1),
            "crashes": len(self.crashes),
            "kinds": sorted(self.crashes),
            "slowest_seconds": round(self.slowest, 2),
            "peak_memory_bytes": self.memory,
            "finished": False,
        }

    def write(self, *, finished: bool = False) -> None:
        self._written = time.monotonic()
        if self.report is not None:
            self.report.parent.mkdir(parents=True, exist_ok=True)
            self.report.write_text(json.dumps({**self.summary(), "finished": finished}, indent=1) + "\n")


def _check_message(error: TamisError) -> None:
    """A message is readable text of a reasonable length."""
    said = str(error)
    if not said.strip() or len(said) > 200_000:
        raise ValueError(f"a message of {len(said)} characters")


def mutated(
    content: bytes, chance: random.Random, dictionary: Sequence[bytes], others: Sequence[bytes]
) -> bytes:
    """Change some bytes, or what they say."""
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        content = _mutated_once(bytearray(content), chance, dictionary, others)
    return content[:LARGEST_INPUT]


def _mutated_once(
    content: bytearray, chance: random.Random, dictionary: Sequence[bytes], others: Sequence[bytes]
) -> bytes:
    at = chance.randrange(len(content) + 1)
    length = chance.choice((1, 1, 2, 4, 16, 64, 256))
    match chance.randrange(9):
        case 0 if content:
            content[at % len(content)] ^= 1 << chance.randrange(8)
        case 1:
            content[at:at] = chance.randbytes(length)
        case 2:
            del content[at : at + length]
        case 3:
            content[at:at] = content[at : at + length] * chance.choice((1, 2, 50, 500))
        case 4:
            other = chance.choice(others)
            begin = chance.randrange(len(other) + 1)
            content[at : at + length] = other[begin : begin + 4 * length]
        case 5:
            del content[at:]
        case _:
            word = chance.choice(dictionary)
            content[at : at + chance.choice((0, 0, len(word)))] = word * chance.choice((1, 1, 1, 1, 2, 40))
    return bytes(content)


def changed(value: Any, chance: random.Random, extremes: Sequence[Any] = EXTREMES, *, times: int = 1) -> Any:
    """Change some places of plain values: another value, one key more, one less, one twice."""
    for _ in range(times):
        value = _changed_once(value, chance, extremes)
    return value


def _changed_once(value: Any, chance: random.Random, extremes: Sequence[Any]) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        match chance.randrange(12):
            case 0:
                return {name: each for name, each in value.items() if name != key}
            case 1:
                return {
                    **value,
                    chance.choice(("x", "name", "type", "__class__", key.upper(), "")): value[key],
                }
            case 2:
                return {**value, chance.choice(list(value)): value[key]}
            case _:
                return {**value, key: _changed_once(value[key], chance, extremes)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        match chance.randrange(12):
            case 0:
                return [*value[:at], *value[at + 1 :]]
            case 1:
                return [*value[:at], value[at], *value[at:]]
            case 2:
                return value * chance.choice((2, 3, 30))
            case _:
                return [*value[:at], _changed_once(value[at], chance, extremes), *value[at + 1 :]]
    if isinstance(value, int) and not isinstance(value, bool) and chance.random() < 0.4:
        return value + chance.choice((-1, 1, 2, 10))
    return chance.choice(extremes)


def arguments() -> argparse.Namespace:
    """Read how long a fuzzer runs and where its report goes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--executions", type=int, default=10**12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--plain", action="store_true", help="without atheris, even where it is installed")
    return parser.parse_args()


def run(
    session: Session,
    given: argparse.Namespace,
    one: Callable[[random.Random], None],
    every: Callable[[], None],
) -> None:
    """Fuzz until the time or the number of inputs is over; a seed and a number give the same input again."""
    last = time.monotonic() + given.seconds
    number = 0
    while number < given.executions and time.monotonic() < last:
        one(random.Random(f"{given.seed} {number}"))
        number += 1
        if number % 200 == 0:
            every()
    session.write(finished=True)
