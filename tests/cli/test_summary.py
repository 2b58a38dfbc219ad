"""What the terminal says at the end of a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tamis
from tamis.cli.summary import _rejection, print_run
from tamis.cli.tables import format_sum
from tamis.config import parse_config
from tamis.statistics.roc import WorkingPoint
from tamis.studies import defined_results


def test_suspicious_inputs_are_said(
    two_classes: Callable[..., dict[str, Any]], write_tree: Callable[..., Any]
) -> None:
    config = two_classes(300, training={"epochs": 1, "batch_size": 64})
    rng = np.random.default_rng(1)
    for name, told in (("bkg", 0.0), ("sig", 1.0)):
        columns = {"x": rng.normal(size=300), "y": np.full(300, told), "w": rng.uniform(-0.2, 1, 300)}
        write_tree(f"{name}.root", columns)
    for sample in config["samples"]:
        sample["weight"] = "w"
    run = tamis.train(parse_config(config))
    said = [line for study, result in defined_results(run.results) for line in study.summary(result)]
    assert (
        "Feature 'y' nearly identifies the class: it alone classifies 100.0% of the events correctly." in said
    )


def test_large_numbers_have_thousands_separators() -> None:
    assert _rejection(WorkingPoint(0.5, 0.9, 0.5, 1 / 22409, 22409.4)) == "22,409"
    assert _rejection(WorkingPoint(0.9, 0.1, 0.9, 0.08, 12.848)) == "12.85"
    assert _rejection(WorkingPoint(0.5, 0.9, 0.5, 0.0, None).below(1e-4)) == "> 10,000 (95% CL)"
    assert format_sum(1234567.8) == "1,234,568"
    assert format_sum(1500.0) == "1,500"
    assert format_sum(-0.012345) == "-0.012345"


def test_the_epochs_are_those_of_every_network(
    two_classes: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    training = {"epochs": 2, "batch_size": 64, "ensemble": 3}
    run = tamis.train(parse_config(two_classes(300, training=training)), tamis.Callbacks())
    best = [trained.history.best for trained in run.members]
    print_run(run, tmp_path, 1.0)
    listed = ", ".join(f"{number} of 2" for number in best)
    epochs = f"epochs {listed} (in their order)" if len(set(best)) > 1 else f"epoch {best[0]} of 2"
    assert f"The weights of the 3 networks are those of {epochs};" in capsys.readouterr().out
