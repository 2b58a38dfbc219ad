"""Rate and peak memory of `tamis apply` against plain `uproot.iterate` of the same branches in the same run.

The files and the run are made for the occasion, in a temporary folder: random float32 columns (ZSTD) and a network that
was trained for one epoch on a few of them. Every measurement is a process of its own; the two take turns. The files are
in the system's cache when the timed part begins, and a small file is read or scored before, so that imports and
compilation do not count. `--sizes` gives numbers of rows: memory must not grow with them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from machine import describe_machine, markdown_table, write_result
from reading import TREE, branch_names, peak_megabytes, write_file

FEW = 20_000
STEP = 200_000
READERS = ("uproot", "tamis apply")


def make_run(folder: Path, columns: int, nodes: list[int]) -> Path:
    """Train for one epoch, so that there is a run directory with ranges and all."""
    import tamis

    for number, name in enumerate(("bkg", "sig")):
        write_file(folder / f"{name}.root", FEW + number, columns)
    config = {
        "data": str(folder),
        "samples": [{"name": name, "class": name, "files": f"{name}.root"} for name in ("bkg", "sig")],
        "classes": {"bkg": {}, "sig": {"signal": True}},
        "features": branch_names(columns),
        "network": {"layers": [{"nodes": width} for width in nodes]},
        "training": {"epochs": 1, "batch_size": 1024},
    }
    run = tamis.train(tamis.parse_config(config))
    tamis.write_run(run, folder / "run")
    return folder / "run"


def read(path: Path, columns: int) -> int:
    import uproot

    chunks = uproot.iterate({str(path): TREE}, branch_names(columns), step_size=STEP, library="np")
    return sum(len(chunk["x0"]) for chunk in chunks)


def score(run: Path, path: Path, output: Path) -> int:
    from tamis.apply import apply_files

    shutil.rmtree(output, ignore_errors=True)
    summary = apply_files(run, [str(path)], output)
    if summary.failed:
        raise SystemExit(summary.outcomes[0].problem)
    return summary.counts["scored"]


def measure_here(reader: str, folder: Path, path: Path, columns: int) -> dict[str, Any]:
    """Do the work on a small file first; time it on the large one."""
    small = folder / "bkg.root"

    def work(file: Path) -> int:
        return read(file, columns) if reader == "uproot" else score(folder / "run", file, folder / "out")

    with path.open("rb") as file:  # into the system's cache
        while file.read(2**20):
            pass
    work(small)
    start = time.perf_counter()
    rows = work(path)
    return {"rows": rows, "seconds": time.perf_counter() - start, "peak_megabytes": peak_of_this_program()}


def peak_of_this_program() -> float:
    """Give the largest resident memory since this program began; `getrusage` includes the one that started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_megabytes()
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def measure_apart(reader: str, folder: Path, path: Path, columns: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", reader, str(folder), str(path), "--columns", str(columns)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{reader}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def summarise(taken: dict[str, list[dict[str, Any]]], rows: int) -> dict[str, Any]:
    """Give the median rate of each, the median of the ratios within a round, and the largest memory."""
    rates = {
        name: rows / statistics.median(each["seconds"] for each in rounds) for name, rounds in taken.items()
    }
    pairs = zip(*(taken[name] for name in READERS), strict=True)
    ratio = statistics.median(first["seconds"] / second["seconds"] for first, second in pairs)
    peak = {name: max(each["peak_megabytes"] for each in rounds) for name, rounds in taken.items()}
    return {"rows": rows, "rows_per_second": rates, "ratio": ratio, "peak_megabytes": peak}


def main() -> int:
    arguments = _parser().parse_args()
    columns = arguments.columns
    if arguments.one:
        reader, folder, path = arguments.one
        print(json.dumps(measure_here(reader, Path(folder), Path(path), columns)))
        return 0
    machine = describe_machine()
    results, rounds = [], []
    with TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        make_run(folder, columns, arguments.nodes)
        for rows in arguments.sizes:
            path = folder / "events.root"
            write_file(path, rows, columns)
            size = path.stat().st_size / 1e6
            taken: dict[str, list[dict[str, Any]]] = {reader: [] for reader in READERS}
            for _ in range(arguments.rounds):
                for reader, found in taken.items():
                    found.append(measure_apart(reader, folder, path, columns))
            results.append({**summarise(taken, rows), "file_megabytes": round(size, 1)})
            rounds.append(taken)
    print(f"{columns} branches, nodes {arguments.nodes}\n")
    header = ["rows", "MB", "uproot [million rows/s]", "tamis apply", "ratio", "peak memory [MB]"]
    print(markdown_table(header, [_row(each) for each in results]))
    request = {"columns": columns, "nodes": arguments.nodes, "rounds": arguments.rounds}
    write_result("apply", {"machine": machine, **request, "results": results, "rounds_taken": rounds})
    return 0


def _row(result: dict[str, Any]) -> list[str]:
    rates = [f"{result['rows_per_second'][name] / 1e6:.2f}" for name in READERS]
    memory = f"{result['peak_megabytes']['tamis apply']:.0f}"
    return [
        f"{result['rows']:,}",
        f"{result['file_megabytes']:.0f}",
        *rates,
        f"{result['ratio']:.2f}",
        memory,
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--one", nargs=3, metavar=("READER", "FOLDER", "FILE"), help="measure one in this process"
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[1_250_000, 12_500_000], help="rows of the files"
    )
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--nodes", type=int, nargs="+", default=[64, 64], help="of each hidden layer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where the temporary files go")
    return parser


if __name__ == "__main__":
    sys.exit(main())
