"""A training factor of a class is a weight: in the balanced mixture it is no matter where it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tamis
from tamis.config import parse_config

Make = Callable[..., dict[str, Any]]
# a power of two, so that the weights in the loss are the same bits
FACTOR = 8.0
EVALUATION = {
    "reference": {"log_density": {"bkg": "-x*x/2", "sig": "-(x-1.5)*(x-1.5)/2"}},
    "leave_out": ["y"],
}


@pytest.fixture(scope="module")
def twins(module_classes: Make) -> tuple[tamis.Run, tamis.Run]:
    """The same training with a factor of the signal, and with it in the weights of the signal."""
    config = module_classes(400, evaluation=EVALUATION, training={"epochs": 2, "batch_size": 64})
    for sample in config["samples"]:
        sample["weight"] = "w"
    factors = {**config, "weights": {"balance": {"bkg": 1.0, "sig": FACTOR}}}
    inside = {**config, "weights": {"balance": "none"}}
    inside["samples"] = [config["samples"][0], {**config["samples"][1], "weight": f"{FACTOR} * w"}]
    first, second = (tamis.train(parse_config(each)) for each in (factors, inside))
    return first, second


def test_the_networks_are_the_same(twins: tuple[tamis.Run, tamis.Run]) -> None:
    first, second = twins
    for name, part in first.parts.items():
        assert part.scores.tobytes() == second.parts[name].scores.tobytes()


@pytest.mark.parametrize("part", ["training", "validation", "test"])
def test_balanced_numbers_are_those_of_the_weights(twins: tuple[tamis.Run, tamis.Run], part: str) -> None:
    first, second = (run.evaluation for run in twins)
    assert first.parts[part].balanced == second.parts[part].physics == second.parts[part].balanced
    assert first.parts[part].physics != second.parts[part].physics
    # intervals of the test come from random numbers, of which more are used before those of the balanced mixture
    if part != "test":
        assert first.intervals[part]["balanced"] == second.intervals[part]["physics"]
    low, high = first.intervals[part]["balanced"].loss
    assert low < first.parts[part].balanced.loss < high


def test_what_is_judged_in_the_learned_mixture_is_the_same(twins: tuple[tamis.Run, tamis.Run]) -> None:
    first, second = (run.evaluation for run in twins)
    assert first.verdict == second.verdict
    assert first.limit == second.limit
    assert first.intervals["test"]["balanced"] == second.intervals["test"]["balanced"]
    assert first.calibration is not None
    assert second.calibration is not None
    assert first.calibration.temperature == second.calibration.temperature
    assert first.calibration.vector == second.calibration.vector
    assert first.calibration.balanced == second.calibration.balanced
    assert first.calibration.loss == second.calibration.loss


def test_features_are_worth_the_same(twins: tuple[tamis.Run, tamis.Run]) -> None:
    first, second = (run.evaluation.importance for run in twins)
    assert first == second
    assert np.isfinite(first[0].loss)
    assert first[0].reaction is not None
    assert [each.left_out is not None for each in first] == [each.features == ("y",) for each in first]
