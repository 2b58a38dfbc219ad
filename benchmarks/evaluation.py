"""Evaluation and report: seconds and memory, for 150,000 test events of 3 classes and for a million of 6 classes.

The network is trained for two epochs only, which changes nothing in what evaluation and report have to do. Each case is
a process of its own, so that the memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from machine import describe_machine, markdown_table, write_result
from samples import Sample, six_classes, workshop_simulated

CASES = {"workshop": (300_000, 0.5), "six": (1_250_000, 0.8)}
"""Number of events, and the fraction of them that is tested."""


def configuration(name: str, folder: Path) -> dict[str, Any]:
    """Write the events of a case as ROOT files, and give its configuration."""
    import uproot

    events, test = CASES[name]
    rng = np.random.default_rng(0)
    sample: Sample = workshop_simulated(events) if name == "workshop" else six_classes(events)
    features, count = sample.features, sample.features.shape[1]
    if name == "six":  # two useless features make twenty
        features = np.hstack([features, rng.standard_normal((events, 2)).astype(np.float32)])
        count = features.shape[1]
    names = [f"x{number}" for number in range(count)]
    classes = [f"class {number}" for number in range(sample.classes)]
    for number, label in enumerate(classes):
        rows = sample.class_index == number
        columns = {
            **{feature: features[rows, place] for place, feature in enumerate(names)},
            "w": sample.weight[rows],
            "mass": rng.exponential(60, rows.sum()),
        }
        with uproot.recreate(folder / f"{label}.root", compression=uproot.ZSTD(3)) as file:
            file.mktree("tree", {key: values.dtype for key, values in columns.items()}).extend(columns)
    return {
        "name": name,
        "data": str(folder),
        "samples": [
            {"name": label, "class": label, "files": f"{label}.root", "weight": "w"} for label in classes
        ],
        "classes": {label: {"signal": label == classes[-1]} for label in classes},
        "features": [{"name": feature, "missing": -999} for feature in names],
        "spectators": ["mass"],
        "split": {"test": test},
        "training": {"epochs": 2},
        "evaluation": {"background_uncertainty": 0.1},
    }


def measure(name: str) -> dict[str, float]:
    """Train, evaluate and write one case in this process."""
    import tamis

    with TemporaryDirectory() as folder:
        config = tamis.parse_config(configuration(name, Path(folder)))
        run = tamis.train(config)
        start = time.perf_counter()
        tamis.write_run(run, Path(folder) / "run")
        writing = time.perf_counter() - start
        size = (Path(folder) / "run" / "report.html").stat().st_size
    return {
        "test events": len(run.splits["test"].rows),
        "evaluation": run.metrics["timing"]["stages"]["evaluation"],
        "figures and report": writing,
        "peak GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "report MB": size / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    found = {}
    for name in arguments.cases:
        command = [sys.executable, __file__, "--one", name]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[name] = json.loads(said.splitlines()[-1])
        print(name, found[name], file=sys.stderr, flush=True)
    header = ["case", *next(iter(found.values()))]
    rows = [[name, *(f"{value:,.4g}" for value in numbers.values())] for name, numbers in found.items()]
    print(markdown_table(header, rows))
    write_result("evaluation", {"machine": describe_machine(), "cases": found})


if __name__ == "__main__":
    main()
