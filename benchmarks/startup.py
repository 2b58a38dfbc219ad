"""Wall time of `tamis --help`, beside a Python that does nothing: the median of ten."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import describe_machine, markdown_table, write_result

REPETITIONS = 10


def time_command(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(command: list[str]) -> list[float]:
    """Time a command; the first call, which fills the system's cache, does not count."""
    time_command(command)
    return [time_command(command) for _ in range(REPETITIONS)]


def main() -> int:
    tamis = Path(sys.executable).with_name("tamis")
    if not tamis.exists():
        print("the command `tamis` is not installed beside this Python: pip install -e .", file=sys.stderr)
        return 1
    machine = describe_machine()
    commands = {"python -c pass": [sys.executable, "-c", "pass"], "tamis --help": [str(tamis), "--help"]}
    seconds = {name: measure(command) for name, command in commands.items()}
    rows = [[name, f"{statistics.median(each):.3f}"] for name, each in seconds.items()]
    print(markdown_table(["command", "median [s]"], rows))
    write_result("startup", {"machine": machine, "seconds": seconds})
    return 0


if __name__ == "__main__":
    sys.exit(main())
