"""Fixed-point formats and quantized layers in the graph: the same bits as in the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tamis.config import FixedPoint
from tamis.config import Quantized as QuantizedSection
from tamis.deploy.onnx_fixed_point import quantize as quantize_nodes
from tamis.deploy.onnx_graph import IR_VERSION, OPSET, Graph
from tamis.deploy.onnx_layers import apply_layer
from tamis.network.fixed_point import quantize
from tamis.network.quantized import Quantized

ROUNDINGS = ["TRN", "TRN_ZERO", "RND", "RND_ZERO", "RND_INF", "RND_MIN_INF", "RND_CONV"]
OVERFLOWS = ["WRAP", "SAT", "SAT_ZERO", "SAT_SYM"]


def run(graph: Graph, output: str, x: np.ndarray) -> Any:
    graph.rename(output, "y")
    shape = [None] * x.ndim
    made = helper.make_graph(
        graph.nodes,
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        list(graph.constants.values()),
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def numbers(form: FixedPoint) -> np.ndarray:
    """Give numbers around every step and every half of a step, far outside, and tiny ones."""
    step = 2.0**-form.fraction
    steps = np.arange(-40, 41) / 4 * step
    edges = np.array([form.lowest, form.highest]) * step
    near = np.concatenate([steps, edges, edges + step / 2, edges - step / 2, edges * 3, edges * 1000])
    around = np.concatenate(
        [near, np.nextafter(near.astype(np.float32), np.inf), np.nextafter(near.astype(np.float32), -np.inf)]
    )
    random = np.random.default_rng(1).normal(0, max(abs(edges).max(), step), 500)
    found = np.concatenate([around, random, [0.0, -0.0, 1e-30, -1e-30, 1e30, -1e30]]).astype(np.float32)
    # XLA takes numbers below 1.2e-38 for zero
    return found[(found == 0) | (np.abs(found) >= np.finfo(np.float32).tiny)]


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_every_rounding_and_overflow_gives_the_same_numbers(rounding: Any, overflow: Any) -> None:
    for bits, integer, signed in ((8, 3, True), (5, 5, True), (6, 0, False), (12, -2, True), (4, 7, True)):
        form = FixedPoint(bits=bits, integer=integer, signed=signed, rounding=rounding, overflow=overflow)
        x, graph = numbers(form), Graph()
        found = run(graph, quantize_nodes(graph, "x", form), x)
        np.testing.assert_array_equal(found, np.asarray(quantize(jnp.asarray(x), form)), err_msg=str(form))


FORMS = st.builds(
    FixedPoint,
    bits=st.integers(2, 7),
    integer=st.integers(-2, 5),
    signed=st.booleans(),
    rounding=st.sampled_from(ROUNDINGS),
    overflow=st.sampled_from(OVERFLOWS),
)


@settings(max_examples=15)
@given(
    given_form=FORMS,
    weight=FORMS,
    bias=FORMS,
    output=FORMS,
    activation=st.sampled_from(["relu", "linear"]),
    learned=st.booleans(),
    seed=st.integers(0, 99),
)
def test_quantized_layers_give_the_same_bits(
    given_form: FixedPoint, weight: FixedPoint, bias: FixedPoint, output: FixedPoint, activation: Any, learned: bool,
    seed: int,
) -> None:  # fmt: skip
    section = QuantizedSection(
        nodes=5, activation=activation, input=given_form, weight=weight, bias=bias, output=output, learned=learned
    )  # fmt: skip
    if section.find_contradiction(6, given_form):
        return
    layer = Quantized.create(6, section, random=np.random.default_rng(seed))
    x = np.random.default_rng(seed).normal(0, 3, (300, 6)).astype(np.float32)
    graph = Graph()
    found = run(graph, apply_layer(graph, layer, "x", "/layer"), x)
    np.testing.assert_array_equal(found, layer.reference(x.T).values.T)


def test_a_quantized_network_gives_the_bits_of_its_integers(
    make_classifier: Callable[..., Any], make_events: Callable[..., Any]
) -> None:
    layers = [
        {"type": "quantized", "nodes": 12, "input": {"bits": 10, "integer": 4}},
        {"type": "quantized", "nodes": 6, "activation": "linear"},
    ]
    member = make_classifier(layers, embedding=None, scaling="robust").members[0]
    inputs = member.preprocessing.apply(make_events(4, 20_000))
    graph, x = Graph(), "x"
    for number, layer in enumerate(member.network.layers[:-1]):
        x = apply_layer(graph, layer, x, f"/layers.{number}")
    expected: Any = inputs.T
    for layer in member.network.layers[:-1]:
        expected = layer.reference(expected)
    np.testing.assert_array_equal(run(graph, x, inputs), expected.values.T)
