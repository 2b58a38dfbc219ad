"""What the terminal says at the end of a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tamis
from tamis.cli.summary import verdicts
from tamis.config import parse_config


def test_negative_weights_stability_and_suspicious_inputs_are_said(
    two_classes: Callable[..., dict[str, Any]], write_tree: Callable[..., Any]
) -> None:
    config = two_classes(300, training={"epochs": 1, "batch_size": 64, "seeds": 2})
    rng = np.random.default_rng(1)
    for name, told in (("bkg", 0.0), ("sig", 1.0)):
        columns = {"x": rng.normal(size=300), "y": np.full(300, told), "w": rng.uniform(-0.2, 1, 300)}
        write_tree(f"{name}.root", columns)
    for sample in config["samples"]:
        sample["weight"] = "w"
    run = tamis.train(parse_config(config))
    said = verdicts(run.evaluation)
    assert run.evaluation.stability is not None
    assert run.evaluation.negative_weights is not None
    assert run.evaluation.stability.sentence in said
    assert run.evaluation.negative_weights.sentence in said
    assert "Feature 'y' nearly identifies the class: alone it assigns 100.0% of the events rightly." in said
