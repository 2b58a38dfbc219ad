"""Make the figures that show what each family of choices does, on the simulated sample of the workshop.

    python docs/make_effects.py               # everything, some minutes
    python docs/make_effects.py batches       # one figure

What is drawn is the distance to the best possible classifier: the loss of the validation events after each epoch minus
that of the true densities on the same events. The lines are those of the training histories.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib.figure import Figure

import tamis
from tamis.data.simulate import PROCESSES, write_sample
from tamis.data.split import VALIDATION
from tamis.statistics.bayes_optimum import compute_posterior

FIGURES = Path(__file__).resolve().parent / "figures"
EVENTS = 40_000
"""Events of each class."""
FEW = 1_000


@dataclass(frozen=True)
class Panel:
    """One figure.

    Args:
        title: what it shows.
        lines: by label, what is changed in the configuration.
        events: events of each class.
    """

    title: str
    lines: Mapping[str, tuple[str, ...]]
    events: int = EVENTS


def of_layers(*layers: str) -> str:
    """Write the option that sets the layers."""
    return f"network.layers=[{', '.join(layers)}]"


PLAIN = (
    "training.schedule=constant",
    "training.optimizer={name: adam, learning_rate: 1e-3}",
    "training.epochs=15",
)
LONG = ("training.batch_size=64", "training.epochs=80", "training.early_stopping=null")

PANELS = {
    "batches": Panel(
        "Batch size (Adam, learning rate 0.001, constant)",
        {f"{size}": (*PLAIN, f"training.batch_size={size}") for size in (32, 256, 2048, 16384)},
    ),
    "activations": Panel(
        "Activation of two layers of 8 nodes",
        {
            name: (of_layers(*2 * (f"{{nodes: 8, activation: {name}}}",)), "training.epochs=15")
            for name in ("silu", "relu", "sigmoid", "linear")
        },
    ),
    "nodes": Panel(
        "Nodes of two layers",
        {
            f"{nodes}": (of_layers(*2 * (f"{{nodes: {nodes}}}",)), "training.epochs=15")
            for nodes in (2, 4, 16, 64)
        },
    ),
    "schedules": Panel(
        "Schedule (Adam, highest learning rate 0.005)",
        {
            name: (f"training.schedule={name}", "training.epochs=15")
            for name in ("constant", "cosine", "one_cycle")
        },
    ),
    "optimizers": Panel(
        "Optimizer (its default learning rate, one cycle)",
        {
            name: (f"training.optimizer={name}", "training.epochs=15")
            for name in ("adam", "sgd", "lion", "muon", "rmsprop")
        },
    ),
    "losses": Panel(
        "What is made small (quoted is the cross-entropy)",
        {
            "cross-entropy": ("training.epochs=15",),
            "focal, gamma 2": ("training.loss=focal", "training.epochs=15"),
            "label smoothing 0.1": ("training.loss=label_smoothing", "training.epochs=15"),
            "squared error": ("training.loss=squared_error", "training.epochs=15"),
        },
    ),
    "scaling": Panel(
        "Scaling of the inputs",
        {
            name: (f"preprocessing.scaling={name}", "training.epochs=15")
            for name in ("none", "standard", "robust", "quantile")
        },
    ),
    "layers": Panel(
        "Type of two layers of 32 nodes",
        {
            "dense": (of_layers(*2 * ("{nodes: 32, activation: relu}",)), "training.epochs=15"),
            "sparse, a quarter at random": (
                of_layers(
                    "{nodes: 32, activation: relu}",
                    "{type: sparse, nodes: 32, activation: relu, density: 0.25}",
                ),
                "training.epochs=15",
            ),
            "sparse, pruned to a quarter": (
                of_layers(
                    "{nodes: 32, activation: relu}",
                    "{type: sparse, nodes: 32, activation: relu, density: 0.25, mask: magnitude}",
                ),
                "training.epochs=15",
            ),
        },
    ),
    "overtraining": Panel(
        f"Two layers of 128 nodes, {3 * FEW:,} events",
        {
            "no care": (of_layers(*2 * ("{nodes: 128}",)), *LONG),
            "dropout 0.3": (of_layers(*2 * ("{nodes: 128, dropout: 0.3}",)), *LONG),
            "average 0.99": (of_layers(*2 * ("{nodes: 128}",)), *LONG, "training.ema_decay=0.99"),
            "16 members": (of_layers(*2 * ("{nodes: 128}",)), *LONG, "network.shared_members=16"),
        },
        events=FEW,
    ),
}


def configuration(data: Path, changes: tuple[str, ...]) -> tamis.Config:
    """Give the configuration of one line."""
    names = [process.name for process in PROCESSES]
    document: dict[str, Any] = {
        "data": str(data),
        "samples": [{"name": name, "class": name, "files": f"{name}_Events.root"} for name in names],
        "classes": {name: {"signal": name == "sig"} for name in names},
        "features": ["pt", "mass", "eta"],
        "evaluation": {"reference": {"log_density": {name: f"log_density_{name}" for name in names}}},
    }
    return tamis.parse_config(json.dumps(document), overrides=list(changes))


def excess(run: tamis.Run) -> np.ndarray[Any, Any]:
    """Compute the excess loss after each epoch: cross-entropy of the validation events minus that of the densities."""
    events = run.prepared.events
    rows = events.split == VALIDATION
    classes, weight = events.class_index[rows], run.prepared.weighed.training_weight[rows]
    density = np.stack([events.reference[name][rows] for name in run.config.class_names], axis=1)
    best = compute_posterior(density, np.bincount(classes, weights=weight))
    optimum = -(weight * np.log(best[np.arange(len(best)), classes])).sum() / weight.sum()
    return np.array([epoch.validation_loss for epoch in run.members[0].history.epochs]) - optimum


def last(run: tamis.Run) -> float:
    """Return the excess loss of the chosen epoch, on the test events."""
    excess_loss: float = run.results["bayes_optimum"].optimum.excess_loss
    return excess_loss


def draw(name: str, panel: Panel, data: Path) -> Figure:
    """Train all lines of a figure and draw it."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for number, (label, changes) in enumerate(panel.lines.items()):
        run = tamis.train(configuration(data, changes))
        if name == "losses":
            axes.barh(number, last(run), color=f"C{number}", height=0.6)
            axes.text(last(run), number, f" {last(run):.4f}", va="center", fontsize=9)
            continue
        # few validation events may do better than the densities by chance, which no logarithm shows
        distance = excess(run) if name == "overtraining" else np.maximum(excess(run), 1e-5)
        axes.plot(np.arange(1, len(distance) + 1), distance, label=f"{label}: {last(run):.4f}", lw=1.6)
    axes.set_title(panel.title, fontsize=10, loc="left")
    if name == "losses":
        axes.set_yticks(range(len(panel.lines)), list(panel.lines))
        axes.invert_yaxis()
        axes.set_xlabel("excess over the Bayes optimum in cross-entropy, test events")
        axes.margins(x=0.15)
    else:
        if name == "overtraining":
            axes.set_ylim(-0.02, 0.1)
            axes.axhline(0, color="0.7", lw=0.8)
        else:
            axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel("excess loss over the Bayes optimum, validation events")
        axes.legend(frameon=False, fontsize=9, title="and on test events at the end", title_fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Draw what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PANELS)}; all by default")
    wanted = parser.parse_args().names or list(PANELS)
    if unknown := [name for name in wanted if name not in PANELS]:
        parser.error(f"there is no figure {', '.join(unknown)}; there are {', '.join(PANELS)}")
    with tempfile.TemporaryDirectory() as folder:
        for events in {PANELS[name].events for name in wanted}:
            write_sample(Path(folder) / str(events), events=events, seed=1)
        for name in wanted:
            panel = PANELS[name]
            figure = draw(name, panel, Path(folder) / str(panel.events))
            figure.savefig(FIGURES / f"effect_{name}.png", dpi=110)


if __name__ == "__main__":
    main()
