"""How often intervals contain the truth, and how often tests fire without a reason, measured with many toys.

The toys are those of the test suite, with the same seeds and more of them: every test that compares a rate
(the fixture `rates`) writes down its counts instead of comparing them. A rate stands with its 95% interval (C. Clopper
and E. Pearson, Biometrika 26 (1934) 404).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scipy import stats

from machine import describe_machine, markdown_table, write_result

ROOT = Path(__file__).parents[1]


def measure(factor: int, tests: list[str]) -> list[dict[str, Any]]:
    """Run the tests with `factor` times their toys, and give what they counted."""
    with TemporaryDirectory() as folder:
        record = Path(folder) / "rates.jsonl"
        environment = {**os.environ, "TAMIS_RATES": str(record), "TAMIS_TOYS": str(factor)}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        return [json.loads(line) for line in record.read_text().splitlines()]


def interval(count: int, trials: int) -> tuple[float, float]:
    low = 0.0 if count == 0 else float(stats.beta.ppf(0.025, count, trials - count + 1))
    high = 1.0 if count == trials else float(stats.beta.ppf(0.975, count + 1, trials - count))
    return low, high


def rows_of(found: dict[str, Any]) -> list[list[str]]:
    name, trials = found["test"].rsplit("::", 1)[1], found["trials"]
    case = name.partition("[")[2].rstrip("]")
    expected = " to ".join(f"{100 * rate:.1f}" for rate in dict.fromkeys(found["expected"]))
    rates = "; ".join(
        f"{100 * count / trials:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        for count in found["counts"]
        for low, high in [interval(count, trials)]
    )
    return [[found["what"], case, f"{trials:,}", expected, rates]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toys", type=int, default=10, help="times as many toys as in the test suite")
    parser.add_argument("tests", nargs="*", default=["tests/statistics"], help="as for pytest")
    arguments = parser.parse_args()
    machine = describe_machine()
    found = measure(arguments.toys, arguments.tests)
    header = ["what is counted", "case", "toys", "expected [%]", "found [%], 95% interval"]
    print(markdown_table(header, [row for each in found for row in rows_of(each)]))
    print(write_result("coverage", {"machine": machine, "factor": arguments.toys, "rates": found}))


if __name__ == "__main__":
    main()
