"""Optimizer steps per second: the same data, network, batch and optimizer in every library.

Every measurement is a process of its own, and they run one after the other. The libraries take turns, round
by round, so that a machine that gets slower meanwhile does so for all of them; what is quoted is the ratio to
tamis within a round, and the median of these ratios.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from machine import describe_machine, markdown_table, write_result
from peers.workload import Timing, simulate_workload

SHORTEST_EPOCH = 0.2
"""Seconds; a library that is faster gets every event several times."""


@dataclass(frozen=True)
class Shape:
    """A network with its batch size, and steps enough for some seconds an epoch in the slowest library."""

    sizes: tuple[int, ...]
    batch_size: int
    steps: int


SHAPES = {
    "3-6-6-3": Shape((3, 6, 6, 3), 32, 1600),
    "28-64-64-2": Shape((28, 64, 64, 2), 256, 1200),
    "18-60-30-15-10-6": Shape((18, 60, 30, 15, 10, 6), 4096, 200),
}

PEERS = {
    "keras-tensorflow": "peers.keras_peer",
    "keras-jax": "peers.keras_peer",
    "pytorch": "peers.pytorch_peer",
    "scikit-learn": "peers.scikit_learn_peer",
    "tamis": "peers.tamis_peer",
}


def measure_here(peer: str, shape: Shape, epochs: int) -> dict[str, Any]:
    """Measure one library in this process."""
    if peer.startswith("keras-"):
        os.environ["KERAS_BACKEND"] = peer.removeprefix("keras-")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    time_epochs = import_module(PEERS[peer]).time_epochs
    workload = simulate_workload(shape.sizes, shape.batch_size, shape.steps)
    probe: Timing = time_epochs(workload, 1)
    if probe.seconds[0] < SHORTEST_EPOCH:
        workload = workload.repeated(math.ceil(1.5 * SHORTEST_EPOCH / probe.seconds[0]))
    timing: Timing = time_epochs(workload, epochs)
    rate = workload.steps / statistics.median(timing.seconds)
    return {"steps_per_second": rate, "steps_per_epoch": workload.steps, **asdict(timing)}


def measure_apart(peer: str, shape: str, epochs: int) -> dict[str, Any]:
    """Measure one library in a process of its own; a failure becomes a result that says why."""
    command = [sys.executable, __file__, "--one", peer, shape, "--epochs", str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    output = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    last = output[-1] if output else f"exit status {done.returncode}"
    return json.loads(last) if done.returncode == 0 else {"failure": last}


def measure_rounds(shape: str, peers: list[str], rounds: int, epochs: int) -> list[dict[str, Any]]:
    results = []
    for number in range(rounds):
        taken = {}
        for peer in peers:
            taken[peer] = measure_apart(peer, shape, epochs)
            print(f"{shape}, round {number + 1}, {peer}: {_say(taken[peer])}", file=sys.stderr, flush=True)
        results.append(taken)
    return results


def summarise(rounds: list[dict[str, Any]], peer: str) -> dict[str, Any]:
    """Take medians over the rounds: of the rate, and of the ratio to tamis within the same round."""
    done = [taken for taken in rounds if "failure" not in taken[peer]]
    rates = [taken[peer]["steps_per_second"] for taken in done]
    with_tamis = [taken for taken in done if "failure" not in taken.get("tamis", {"failure": "not run"})]
    ratios = [taken["tamis"]["steps_per_second"] / taken[peer]["steps_per_second"] for taken in with_tamis]
    return {
        "steps_per_second": statistics.median(rates) if rates else None,
        "microseconds_per_step": 1e6 / statistics.median(rates) if rates else None,
        "tamis_is_faster_by": statistics.median(ratios) if ratios else None,
        "ratios": ratios,
    }


def table(summaries: dict[str, dict[str, Any]]) -> str:
    """Lay out a Markdown table: microseconds per step, and by what factor tamis is faster."""
    peers = list(next(iter(summaries.values())))
    rows = [[peer, *(_cell(summary[peer]) for summary in summaries.values())] for peer in peers]
    shapes = [f"{shape}, batch {SHAPES[shape].batch_size}" for shape in summaries]
    return markdown_table(["microseconds per step (ratio to tamis)", *shapes], rows)


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.one:
        peer, shape = arguments.one
        print(json.dumps(measure_here(peer, SHAPES[shape], arguments.epochs)))
        return 0
    machine = describe_machine()
    rounds = {
        shape: measure_rounds(shape, arguments.peers, arguments.rounds, arguments.epochs)
        for shape in arguments.shapes
    }
    summaries = {
        shape: {peer: summarise(taken, peer) for peer in arguments.peers} for shape, taken in rounds.items()
    }
    print(table(summaries))
    write_result("step_rate", {"machine": machine, "summary": summaries, "rounds": rounds})
    failed = [
        result
        for taken in rounds.values()
        for each in taken
        for result in each.values()
        if "failure" in result
    ]
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--one", nargs=2, metavar=("PEER", "SHAPE"), help="measure one peer in this process")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5, help="timed epochs of each measurement")
    return parser


def _say(result: dict[str, Any]) -> str:
    return result.get("failure") or f"{result['steps_per_second']:.0f} steps/s, loss {result['loss']:.4f}"


def _cell(summary: dict[str, Any]) -> str:
    if summary["steps_per_second"] is None:
        return "failed"
    factor = summary["tamis_is_faster_by"]
    ratio = "" if factor is None else f" ({factor:.1f})"
    return f"{summary['microseconds_per_step']:.1f}{ratio}"


if __name__ == "__main__":
    sys.exit(main())
