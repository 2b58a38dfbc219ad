"""A training factor of a class is a weight: in the balanced mixture it is no matter where it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tamis
from tamis.config import parse_config
from tamis.studies.overtraining.permutation import PermutationTest

Make = Callable[..., dict[str, Any]]
# a power of two, so that the weights in the loss are the same bits
FACTOR = 8.0
EVALUATION = {
    "reference": {"log_density": {"bkg": "-x*x/2", "sig": "-(x-1.5)*(x-1.5)/2"}},
    "ablation": ["y"],
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
    for name, part in first.splits.items():
        assert part.scores.tobytes() == second.splits[name].scores.tobytes()


@pytest.mark.parametrize("part", ["training", "validation", "test"])
def test_balanced_numbers_are_those_of_the_weights(twins: tuple[tamis.Run, tamis.Run], part: str) -> None:
    first, second = (run.results["performance"] for run in twins)
    assert first.splits[part].balanced == second.splits[part].physics == second.splits[part].balanced
    assert first.splits[part].physics != second.splits[part].physics
    # intervals of the test come from random numbers, of which more are used before those of the balanced mixture
    if part != "test":
        assert first.intervals[part]["balanced"] == second.intervals[part]["physics"]
    low, high = first.intervals[part]["balanced"].loss
    assert low < first.splits[part].balanced.loss < high


def test_what_is_judged_in_the_learned_mixture_is_the_same(twins: tuple[tamis.Run, tamis.Run]) -> None:
    first, second = (run.results for run in twins)
    first_test, second_test = (each["overtraining"].permutation_test for each in (first, second))
    assert first_test == second_test
    assert isinstance(first_test, PermutationTest)
    optima = [each["bayes_optimum"].optimum for each in (first, second)]
    assert optima[0] == optima[1]
    assert optima[0] is not None
    first_intervals, second_intervals = (each["performance"].intervals for each in (first, second))
    assert first_intervals["test"]["balanced"] == second_intervals["test"]["balanced"]
    first_calibration, second_calibration = (each["calibration"] for each in (first, second))
    for name in ("temperature", "vector", "balanced", "loss"):
        assert getattr(first_calibration, name) == getattr(second_calibration, name), name


def test_features_are_worth_the_same(twins: tuple[tamis.Run, tamis.Run]) -> None:
    first, second = (run.results["importance"] for run in twins)
    assert first == second
    assert np.isfinite(first.groups[0].permuted.loss)
    assert first.groups[0].gradient is not None
    assert first.retrained is not None
    ablated = {group.features: group.ablated is not None for group in first.groups}
    assert ablated == {("x",): False, ("y",): True}
