"""The demonstration: the workshop's sample, simulated, with the best recipe."""

from __future__ import annotations

from pathlib import Path

from tamis.config import Config, parse_config
from tamis.data.simulate import PROCESSES, write_sample
from tamis.errors import RequestError
from tamis.run_folder import check_output

LEAST_EVENTS = 100
"""Events of each class with which no part of the split is without a class."""
LABELS = {"bkg1": "Background 1", "bkg2": "Background 2", "sig": "Signal"}


def demo_configuration(
    folder: Path, *, events: int, seed: int, overwrite: bool, figures: bool = True
) -> Config:
    """Simulate the sample beside the run directory and give the configuration that trains on it.

    Args:
        folder: the run directory to be; the ROOT files go into a folder beside it, with `-data` in its name.
        events: events of each class.
        seed: of the simulation.
        overwrite: whether what is there may be replaced.
        figures: whether the run gets figures.

    Raises:
        RequestError: something is there already, or the events are too few.
    """
    if events < LEAST_EVENTS:
        raise RequestError(
            f"--events is {events}; the demonstration needs at least {LEAST_EVENTS} of each class"
        )
    folder = folder.resolve()
    check_output(folder, overwrite=overwrite)
    data = folder.with_name(f"{folder.name}-data")
    write_sample(data, events=events, seed=seed, overwrite=overwrite)
    names = [process.name for process in PROCESSES]
    return parse_config(
        {
            "name": "demo",
            "seed": 1,
            "data": str(data.resolve()),
            "samples": [{"name": name, "class": name, "files": f"{name}_Events.root"} for name in names],
            "classes": {name: {"label": LABELS[name], "signal": name == "sig"} for name in names},
            "features": [
                {"name": "pt", "unit": "GeV", "label": "$p_T$"},
                {"name": "mass", "unit": "GeV", "label": "$m$"},
                {"name": "eta", "label": r"$\eta$"},
            ],
            "evaluation": {"reference": {"log_density": {name: f"log_density_{name}" for name in names}}},
            "report": {"figures": figures},
        }
    )
