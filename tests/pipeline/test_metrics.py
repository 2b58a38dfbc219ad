"""What a run says of the cost of its layers, and of inputs that a fixed-point format cannot hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import tamis
from tamis.cli.summary import overflow
from tamis.config import parse_config

Make = Callable[..., dict[str, Any]]


# slow: each format is compiled
@pytest.mark.parametrize(("integer", "warned"), [(1, True), pytest.param(5, False, marks=pytest.mark.slow)])
def test_inputs_out_of_range_are_warned_of(two_classes: Make, integer: int, warned: bool) -> None:
    config = two_classes(300)
    config["network"] = {
        "layers": [
            {"type": "quantized", "nodes": 4, "activation": "relu", "input": {"bits": 8, "integer": integer}},
            {"type": "sparse", "nodes": 4, "density": 0.5},
        ]
    }
    run = tamis.train(parse_config(config))
    network = json.loads(json.dumps(run.metrics))["network"]
    assert [layer["kind"] for layer in network["layers"]] == ["quantized", "sparse", "dense"]
    assert network["layers"][0]["ebops"] > 0
    assert network["layers"][0]["formats"]["input"].startswith(f"ap_fixed<8, {integer}")
    assert network["layers"][1]["non_zeros"] == network["layers"][1]["multiplications"] == 8
    assert bool(network["overflow"]) == warned
    sentences = overflow(run)
    assert len(sentences) == len(network["overflow"])
    if warned:
        assert "outside the range" in sentences[0]
        assert "network.layers[0].input.integer" in sentences[0]


def test_a_dense_network_has_no_format(two_classes: Make) -> None:
    run = tamis.train(parse_config(two_classes(200)))
    network = run.metrics["network"]
    assert network["overflow"] == {}
    assert network["layers"][0]["formats"] is None
    assert network["layers"][0]["parameters"] == 12
