"""The demonstration: simulated samples, and a configuration with the default recipe."""

from __future__ import annotations

from pathlib import Path

from tamis.config import Config, parse_config
from tamis.data.simulate import PROCESSES, write_sample
from tamis.errors import RequestError
from tamis.runs.output import check_output

LEAST_EVENTS = 100
"""Minimum number of events per class, so that every split has events of every class."""
LABELS = {"bkg1": "Background 1", "bkg2": "Background 2", "sig": "Signal"}


def prepare_demo(folder: Path, *, events: int, seed: int, overwrite: bool, figures: bool = True) -> Config:
    """Simulate samples beside the run directory, in `<folder>-data`, and return the configuration of a training.

    Raises:
        RequestError: files exist already, or the number of events is too small.
    """
    if events < LEAST_EVENTS:
        raise RequestError(
            f"--events is {events}; the demonstration needs at least {LEAST_EVENTS} of each class"
        )
    folder = folder.resolve()
    check_output(folder, overwrite=overwrite)
    data = folder.with_name(f"{folder.name}-data")
    write_sample(data, events=events, seed=seed, overwrite=overwrite, option="--output")
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
