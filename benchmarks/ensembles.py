"""What several networks cost: cross-training, seeds and shared members against one training of the same size.

Every measurement is a process of its own, the kinds take turns, and what is quoted is the ratio to the plain training
of the same round. Time is that of the stage `training`, compilation included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import describe_machine, markdown_table, write_result

KINDS = {
    "plain": [],
    "5 folds": ["split.folds=5"],
    "5 seeds": ["training.ensemble=5"],
    "16 shared members": ["network.shared_members=16"],
}


def measure_here(kind: str, data: str) -> dict[str, float]:
    """Train once in this process."""
    import tamis
    from tamis.data.simulate import PROCESSES

    names = [process.name for process in PROCESSES]
    document = {
        "data": data,
        "samples": [{"name": name, "class": name, "files": f"{name}_Events.root"} for name in names],
        "classes": {name: {"signal": name == "sig"} for name in names},
        "features": ["pt", "mass", "eta"],
        "evaluation": {"reference": {"log_density": {name: f"log_density_{name}" for name in names}}},
    }
    run = tamis.train(tamis.parse_config(json.dumps(document), overrides=KINDS[kind]))
    excess = run.results["bayes_optimum"].optimum.excess_loss
    return {"seconds": run.metrics["timing"]["stages"]["training"], "excess": excess}


def measure_apart(kind: str, data: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", kind, data]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--one", nargs=2, metavar=("KIND", "DATA"), help="measure one kind in this process")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=100_000, help="of each class")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure_here(*arguments.one)))
        return 0
    from tamis.data.simulate import write_sample

    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "data")
        write_sample(Path(data), events=arguments.events, seed=1)
        rounds = []
        for number in range(arguments.rounds):
            rounds.append({kind: measure_apart(kind, data) for kind in KINDS})
            print(f"round {number + 1}: {rounds[-1]}", file=sys.stderr, flush=True)
    rows = []
    for kind in KINDS:
        seconds = statistics.median(taken[kind]["seconds"] for taken in rounds)
        ratio = statistics.median(taken[kind]["seconds"] / taken["plain"]["seconds"] for taken in rounds)
        excess = statistics.median(taken[kind]["excess"] for taken in rounds)
        rows.append([kind, f"{seconds:.1f}", f"{ratio:.2f}", f"{excess:.4f}"])
    print(markdown_table(["kind", "training [s]", "ratio to plain", "excess loss"], rows))
    write_result("ensembles", {"machine": describe_machine(), "rounds": rounds})
    return 0


if __name__ == "__main__":
    sys.exit(main())
