"""Make the figures of the documents and the table of the tutorial from runs; train those that are not there yet.

    python docs/make_figures.py               # everything, about four minutes
    python docs/make_figures.py workshop      # only what these runs show

Each figure is the one that the run directory holds, with fewer colours to be small; nothing is drawn here.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image

import tamis
from tamis.config import Report
from tamis.data.simulate import PROCESSES, write_sample
from tamis.demo import prepare_demo

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "offshell"
DATA = EXAMPLES / "data"
FEW = EXAMPLES / "few"
RUNS = ROOT / "runs" / "tutorial"
FIGURES = ROOT / "docs" / "figures"

LIMIT = [
    f"evaluation.reference.log_density.{process.name}=log_density_{process.name}" for process in PROCESSES
]
"""The simulated files hold the true densities, so the best possible classifier is known."""

LONG = ("training.batch_size=32", "training.epochs=200")

TRAININGS: dict[str, tuple[str, Path, tuple[str, ...]]] = {
    "workshop": ("workshop", DATA, ()),
    "standard": ("workshop", DATA, ("preprocessing.scaling=standard",)),
    "recommended": ("recommended", DATA, ()),
    "too_many_nodes": ("too_many_nodes", DATA, ()),
    "few_events": ("recommended", FEW, (*LONG, "training.early_stopping=null")),
    "few_stopped": ("recommended", FEW, LONG),
    "too_many_layers": ("too_many_layers", DATA, ()),
    "other_seed": ("too_many_layers", DATA, ("seed=23",)),
    "weighted": ("weighted", DATA, ()),
}
"""For each run: its example, its data, and what is changed on the command line."""

SHOWN: dict[str, tuple[str, ...]] = {
    "demo": ("roc", "score_sig"),
    "workshop": ("inputs", "history", "confusion", "score_sig", "roc"),
    "recommended": ("score_sig", "roc"),
    "too_many_nodes": ("history",),
    "few_events": ("history", "score_sig"),
    "weighted": ("confusion",),
}
"""The figures that the documents show."""

COLOURS = 64
"""Enough for lines, shades and smooth text."""


def simulate(folder: Path, events: int) -> None:
    """Simulate the events of the tutorial, as `tamis simulate` does, where they are not there."""
    if not folder.is_dir():
        write_sample(folder, events=events, seed=1)


def configuration(name: str) -> tamis.Config:
    """Give the configuration of one run, with figures as PNG."""
    if name == "demo":
        config = prepare_demo(RUNS / name, events=100_000, seed=1, overwrite=False)
    else:
        example, data, changes = TRAININGS[name]
        config = tamis.load_config(EXAMPLES / f"{example}.yaml", data=data, overrides=[*changes, *LIMIT])
    return config.model_copy(update={"report": Report(formats=("svg", "png"))})


def train(name: str) -> Path:
    """Train one run, if it is not finished, and give its directory."""
    folder = RUNS / name
    if not (folder / "provenance.json").is_file():
        tamis.write_run(tamis.train(configuration(name)), folder)
    return folder


def copy_figures(name: str, run: Path) -> None:
    """Copy what the documents show of a run."""
    for figure in SHOWN.get(name, ()):
        with Image.open(run / "figures" / f"{figure}.png") as image:
            small = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            small.save(FIGURES / f"{name}_{figure}.png", optimize=True)


def row(name: str, run: Path) -> str:
    """Give the run's line of the table."""
    numbers: dict[str, Any] = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    test, history = numbers["test"], numbers["history"][0]
    cells = (
        name,
        f"{numbers['network']['parameters']:,}",
        f"{test['balanced']['loss']:.4f}",
        f"{test['balanced']['accuracy']:.4f}",
        f"{numbers['bayes_optimum']['optimum']['excess_loss']:.4f}",
        f"{history['best_epoch']} of {history['epochs']}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Train what is wanted, copy its figures and print the table."""
    known = ("demo", *TRAININGS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all by default")
    wanted = parser.parse_args().names or list(known)
    if unknown := [name for name in wanted if name not in known]:
        parser.error(f"there is no run {', '.join(unknown)}; there are {', '.join(known)}")
    simulate(DATA, 100_000)
    simulate(FEW, 1_000)
    FIGURES.mkdir(exist_ok=True)
    lines = [
        "| run | parameters | loss | accuracy | excess loss | best epoch |",
        "|---|---|---|---|---|---|",
    ]
    for name in wanted:
        run = train(name)
        copy_figures(name, run)
        lines.append(row(name, run))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
