"""Whole commands: wall time from the shell's point of view, and where it goes.

`tamis demo`, and `tamis train` with the default recipe on six classes in 18 features (`samples.six_classes`) of 10^5,
10^6 and 10^7 events. Each run is a process of its own with an empty cache of compiled programs ("cold") or with the
cache that the run before it has filled ("warm"). The stages are those in `metrics.json`; "rest" is what remains of
the wall time: start, files, and whatever is not a stage.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from machine import describe_machine, markdown_table, write_result
from samples import six_classes

CASES = {"demo": 0, "1e5": 100_000, "1e6": 1_000_000, "1e7": 10_000_000}
"""Number of events of each case; the demo simulates its own."""
_BLOCK = 1_000_000


def write_events(events: int, folder: Path) -> Path:
    """Write the events of six classes as ROOT files and a configuration; return the configuration."""
    import uproot

    files: dict[int, Any] = {}
    for block, first in enumerate(range(0, events, _BLOCK)):
        sample = six_classes(min(_BLOCK, events - first), seed=block)
        for label in range(6):
            rows = sample.class_index == label
            columns = {f"x{index}": sample.features[rows, index] for index in range(18)}
            columns["w"] = sample.weight[rows]
            if block == 0:
                files[label] = uproot.recreate(folder / f"class{label}.root", compression=uproot.ZSTD(3))
                files[label].mktree("tree", {name: values.dtype for name, values in columns.items()})
            files[label]["tree"].extend(columns)
    for file in files.values():
        file.close()
    names = [f"class{label}" for label in range(6)]
    config = {
        "name": "six",
        "samples": [{"name": name, "class": name, "files": f"{name}.root", "weight": "w"} for name in names],
        "classes": {name: {"signal": name == names[-1]} for name in names},
        "features": [{"name": f"x{index}", "missing": "nan"} for index in range(18)],
    }
    path = folder / "six.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    return path


def time_command(command: list[str], run: Path, cache: Path, folder: Path) -> dict[str, float]:
    """Run a command once; return seconds in all and by stage, and the peak memory of its largest process in GiB."""
    log = folder / "log"
    environment = {**os.environ, "TAMIS_CACHE": str(cache)}
    environment.pop("PYTHONUNBUFFERED", None)
    with log.open("w") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=folder, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    if status:
        raise RuntimeError(log.read_text())
    stages = json.loads((run / "metrics.json").read_text())["timing"]["stages"]
    processor = usage.ru_utime + usage.ru_stime
    rest = {"rest": wall - sum(stages.values())}
    return {"whole": wall, **stages, **rest, "processor": processor, "peak GiB": usage.ru_maxrss / 2**20}


def measure(case: str, rounds: int, tamis: str) -> dict[str, list[dict[str, float]]]:
    """Measure one case, cold and warm in turn."""
    results: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    with TemporaryDirectory() as name:
        folder = Path(name)
        run = folder / "run"
        command = [tamis, "demo", "--output", str(run), "--overwrite"]
        if CASES[case]:
            config = write_events(CASES[case], folder)
            command = [tamis, "train", str(config), "--output", str(run), "--overwrite"]
        for _ in range(rounds):
            cache = folder / "cache"
            shutil.rmtree(cache, ignore_errors=True)
            for kind in ("cold", "warm"):
                shutil.rmtree(run, ignore_errors=True)
                numbers = time_command(command, run, cache, folder)
                results[kind].append(numbers)
                print(case, kind, {key: round(value, 2) for key, value in numbers.items()}, file=sys.stderr)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=["demo", "1e5", "1e6"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tamis", default=str(Path(sys.executable).with_name("tamis")), help="the command")
    arguments = parser.parse_args()
    machine = describe_machine()
    results = {case: measure(case, arguments.rounds, arguments.tamis) for case in arguments.cases}
    rows = []
    for case, kinds in results.items():
        for kind, rounds in kinds.items():
            medians = {key: statistics.median(numbers[key] for numbers in rounds) for key in rounds[0]}
            rows.append([case, kind, *(f"{value:.1f}" for value in medians.values())])
    header = ["case", "cache", *next(iter(results.values()))["cold"][0]]
    print(markdown_table(header, rows))
    write_result("whole_command", {"machine": machine, "cases": results})


if __name__ == "__main__":
    main()
