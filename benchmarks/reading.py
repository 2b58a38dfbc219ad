"""Rows per second and peak memory: tamis' reading against plain `uproot.iterate`, same branches, same step.

The file is made for the occasion, in a temporary folder: random float32 columns, ZSTD. Every measurement is a
process of its own; the readers take turns. The file is in the system's cache when the timed reading begins.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from machine import describe_machine, markdown_table, write_result
from peers.tamis_peer import read_rows as read_with_tamis

TREE = "tree"
WRITE_ROWS = 500_000


def branch_names(columns: int) -> list[str]:
    return [f"x{column}" for column in range(columns)]


def write_file(path: Path, rows: int, columns: int) -> None:
    import uproot

    generator = np.random.default_rng(1)
    names = branch_names(columns)
    with uproot.recreate(path, compression=uproot.ZSTD(3)) as file:
        tree = file.mktree(TREE, dict.fromkeys(names, "float32"))
        for first in range(0, rows, WRITE_ROWS):
            shape = (columns, min(WRITE_ROWS, rows - first))
            tree.extend(dict(zip(names, generator.standard_normal(shape, np.float32), strict=True)))


def read_with_uproot(path: Path, branches: list[str], rows: int) -> int:
    import uproot

    chunks = uproot.iterate({str(path): TREE}, branches, step_size=rows, library="np")
    return sum(len(chunk[branches[0]]) for chunk in chunks)


READERS = {"uproot": read_with_uproot, "tamis": read_with_tamis}


def measure_here(reader: str, path: Path, columns: int, step: int) -> dict[str, Any]:
    """Read twice in this process and time the second: the first imports libraries and fills the caches."""
    READERS[reader](path, branch_names(columns), step)
    start = time.perf_counter()
    rows = READERS[reader](path, branch_names(columns), step)
    seconds = time.perf_counter() - start
    return {"rows": rows, "seconds": seconds, "peak_megabytes": peak_megabytes()}


def peak_megabytes() -> float:
    """Give the largest resident memory of this process so far; Linux counts kilobytes, macOS bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure_apart(reader: str, path: Path, columns: int, step: int) -> dict[str, Any]:
    options = ["--columns", str(columns), "--step", str(step)]
    command = [sys.executable, __file__, "--one", reader, str(path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    output = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    last = output[-1] if output else f"exit status {done.returncode}"
    return json.loads(last) if done.returncode == 0 else {"failure": last}


def summarise(results: list[dict[str, Any]], rows: int) -> dict[str, Any]:
    failures = [result["failure"] for result in results if "failure" in result]
    short = [f"read {r['rows']} of {rows} rows" for r in results if r.get("rows", rows) != rows]
    if failures or short:
        return {"failure": (failures + short)[0]}
    return {
        "rows_per_second": rows / statistics.median(result["seconds"] for result in results),
        "peak_megabytes": max(result["peak_megabytes"] for result in results),
    }


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.one:
        reader, path = arguments.one
        print(json.dumps(measure_here(reader, Path(path), arguments.columns, arguments.step)))
        return 0
    machine = describe_machine()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "events.root"
        write_file(path, arguments.rows, arguments.columns)
        size = path.stat().st_size / 1e6
        results: dict[str, list[dict[str, Any]]] = {reader: [] for reader in READERS}
        for _ in range(arguments.rounds):
            for reader, taken in results.items():
                taken.append(measure_apart(reader, path, arguments.columns, arguments.step))
    summary = {reader: summarise(taken, arguments.rows) for reader, taken in results.items()}
    request = {"rows": arguments.rows, "columns": arguments.columns, "step": arguments.step}
    print(", ".join(f"{name}: {value}" for name, value in request.items()), f"({size:.0f} MB)\n")
    rows = [_row(*each) for each in summary.items()]
    print(markdown_table(["reader", "million rows/s", "peak memory [MB]"], rows))
    request_and_size = {**request, "file_megabytes": round(size, 1)}
    write_result("reading", {"machine": machine, **request_and_size, "summary": summary, "rounds": results})
    return 1 if any("failure" in each for each in summary.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--one", nargs=2, metavar=("READER", "FILE"), help="measure one reader in this process"
    )
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--step", type=int, default=400_000, help="rows of a chunk")
    parser.add_argument("--rounds", type=int, default=5)
    return parser


def _row(reader: str, summary: dict[str, Any]) -> list[str]:
    if "failure" in summary:
        return [reader, "failed", summary["failure"]]
    return [reader, f"{summary['rows_per_second'] / 1e6:.2f}", f"{summary['peak_megabytes']:.0f}"]


if __name__ == "__main__":
    sys.exit(main())
