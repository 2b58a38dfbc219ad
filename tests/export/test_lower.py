"""From raw features to inputs, and layers in fixed point: every evaluation of a lowered graph gives the same bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tamis.classifier.missing import sentinels_of
from tamis.config import Exchange, Feature, FixedPoint, Reflection, Rotation
from tamis.config import Quantized as QuantizedSection
from tamis.export.evaluate import evaluate
from tamis.export.lower import lower_copies, lower_missing, lower_network, quantize
from tamis.export.onnx_builder import OnnxBuilder
from tamis.export.onnx_writer import assemble_model, write_graph
from tamis.export.plain import (
    describe_activation,
    describe_copy,
    describe_format,
    describe_layer,
    describe_preprocessing,
)
from tamis.network.fixed_point import quantize as quantize_jax
from tamis.network.preprocessing import Preprocessing, fit_preprocessing
from tamis.network.primitives import Graph, GraphBuilder
from tamis.network.quantized import Quantized
from tamis.network.symmetries import build_symmetries

Float32 = NDArray[np.float32]
Make = Callable[..., Float32]
Chain = Sequence[Graph]
NAMES = ("pt", "mass", "eta", "phi")
FEATURES = tuple(Feature(name=name, missing=(float("nan"), -999.0)) for name in NAMES)
SCALINGS = ["none", "standard", "robust", "quantile"]
SYMMETRIES = [
    Rotation(features=("phi",), start=-np.pi, period=2 * np.pi),
    Rotation(features=("pt",), start=0.0, period=360.0),
    Reflection(features=("eta",)),
    Exchange(objects=(("mass",), ("eta",))),
]
ROUNDINGS = ["TRN", "TRN_ZERO", "RND", "RND_ZERO", "RND_INF", "RND_MIN_INF", "RND_CONV"]
OVERFLOWS = ["WRAP", "SAT", "SAT_ZERO", "SAT_SYM"]


def with_numpy(missing: Graph | None, graph: Graph, x: Float32) -> list[Any]:
    """Compute a graph of events, and of what is missing of them."""
    inputs = {next(iter(graph.inputs)): x}
    if missing is not None:
        inputs = {"features": x, "missing": evaluate(missing, {"features": x})[0]}
    return list(evaluate(graph, inputs))


def with_onnx(missing: Graph | None, graph: Graph, x: Float32) -> list[Any]:
    """Compute the same with ONNX Runtime."""
    builder = OnnxBuilder()
    inputs = {next(iter(graph.inputs)): "x"}
    if missing is not None:
        inputs = {"features": "x", "missing": write_graph(builder, missing, {"features": "x"})[0]}
    outputs = write_graph(builder, graph, inputs)
    model = assemble_model(builder, [("x", x.shape[1])], [(name, 1) for name in outputs])
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(list(outputs), {"x": x}))


EVALUATIONS = pytest.mark.parametrize("compute", [with_numpy, with_onnx])
Compute = Callable[[Graph | None, Graph, Float32], list[Any]]


def up_to(graph: Graph, operation: str) -> Graph:
    """Return the part of a graph that computes the first operand of the last node of a kind."""
    node = [node for node in graph.nodes if node.operation == operation][-1]
    return replace(graph, outputs=(node.inputs[0],))


def network_graph(preprocessing: dict[str, Any], inputs: int, layers: Sequence[Any] = ()) -> Graph:
    nodes = layers[-1].outputs if layers else inputs
    document = {
        **preprocessing,
        "embedding": None,
        "gains": None,
        "shared_members": None,
        "layers": [describe_layer(layer) for layer in layers],
        "outputs": [{"weight": np.eye(nodes), "bias": np.zeros(nodes)}],
    }
    activations = {name: describe_activation(name) for name in ("relu", "linear")}
    return lower_network(document, "networks.0", activations)


def input_graph(preprocessing: Preprocessing) -> Graph:
    """Return the graph that computes the inputs of the first layer."""
    return up_to(network_graph(dict(describe_preprocessing(preprocessing)), preprocessing.inputs), "widen")


def layer_graph(layers: Sequence[Any]) -> Graph:
    """Return the graph that computes layers alone."""
    inputs = layers[0].inputs
    plain = {
        "fill": np.zeros(inputs),
        "logarithm": None,
        "scaling": {"kind": "none"},
        "indicators": [],
    }
    return up_to(network_graph(plain, inputs, layers), "affine")


def rules(features: Sequence[Feature]) -> Graph:
    return lower_missing([{"sentinels": list(sentinels_of(feature))} for feature in features])


def learned(events: Float32, scaling: Any, logarithm: bool) -> Preprocessing:
    return fit_preprocessing(
        events, np.ones(len(events)), scaling, missing_allowed=[True] * 4, logarithm=[logarithm, True, False, False]
    )  # fmt: skip


# preprocessing


@EVALUATIONS
@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_inputs_are_the_same_bits(compute: Compute, scaling: Any, make_events: Make) -> None:
    preprocessing = learned(make_events(1, 3000), scaling, logarithm=False)
    events = make_events(2, 20_000)
    (inputs,) = compute(rules(FEATURES), input_graph(preprocessing), events)
    expected = preprocessing.apply(events)
    without_logarithm = [0, 2, 3, *range(4, expected.shape[1])]
    assert inputs[:, without_logarithm].tobytes() == expected[:, without_logarithm].tobytes()
    assert (inputs[:, 1] == expected[:, 1]).mean() > 0.9999
    np.testing.assert_allclose(inputs, expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))


@EVALUATIONS
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(
    "logarithm", [(False, True, True, False), (True, False, True, True), (False, False, True, True)]
)
def test_each_feature_keeps_its_place_behind_a_logarithm(
    compute: Compute, scaling: Any, logarithm: tuple[bool, ...], make_events: Make
) -> None:
    # none of these orders is its own inverse
    preprocessing = fit_preprocessing(
        make_events(1, 3000), np.ones(3000), scaling, missing_allowed=[True] * 4, logarithm=logarithm
    )
    events = make_events(2, 2000)
    (inputs,) = compute(rules(FEATURES), input_graph(preprocessing), events)
    expected = preprocessing.apply(events)
    np.testing.assert_allclose(inputs, expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))
    # no two columns are alike
    assert all(np.abs(np.subtract(*expected[:, pair].T)).max() > 0.1 for pair in combinations(range(4), 2))


@settings(max_examples=20)
@given(
    values=st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False), min_size=4
    ),
    scaling=st.sampled_from(SCALINGS),
)
def test_any_finite_number_gives_the_same_bits(values: list[float], scaling: Any, make_events: Make) -> None:
    preprocessing = fit_preprocessing(make_events(1, 300)[:, :1], np.ones(300), scaling)
    events = np.array(values, np.float32)[:, None]
    for compute in (with_numpy, with_onnx):
        (inputs,) = compute(rules((Feature(name="pt"),)), input_graph(preprocessing), events)
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(inputs, preprocessing.apply(events))


def check_copies(
    compute: Compute, copies: Sequence[Any], features: Sequence[Feature], events: Float32
) -> None:
    graph = lower_copies([describe_copy(copy) for copy in copies], events.shape[1])
    values, missing = compute(rules(features), graph, events)
    expected = np.stack([copy.apply(events) for copy in copies])
    np.testing.assert_array_equal(missing == 1, np.isnan(expected))
    np.testing.assert_array_equal(values[missing == 0], expected[missing == 0])


@EVALUATIONS
@pytest.mark.parametrize("number", [1, 2, 7, 12])
def test_copies_of_events_are_the_same_bits(compute: Compute, number: int, make_events: Make) -> None:
    copies = build_symmetries(SYMMETRIES, NAMES).descriptions(number)
    check_copies(compute, copies, FEATURES, make_events(3, 2000))


@EVALUATIONS
@pytest.mark.parametrize("number", [3, 6])
def test_three_objects_move_the_same_way(compute: Compute, number: int) -> None:
    # a shift of three places is not its own inverse
    names = [f"{kind}_{place}" for place in range(3) for kind in ("pt", "eta")]
    exchange = Exchange(objects=tuple((f"pt_{place}", f"eta_{place}") for place in range(3)))
    copies = build_symmetries([exchange], names).descriptions(number)
    assert any((each.source[each.source] != np.arange(6)).any() for each in copies)
    events = np.random.default_rng(4).normal(size=(50, 6)).astype(np.float32)
    events[::7, 3] = np.nan
    check_copies(compute, copies, [Feature(name=name, missing=(float("nan"),)) for name in names], events)


def test_sentinels_are_compared_in_32_bits() -> None:
    feature = Feature(name="x", missing=(-99.9, 0.0, 1e-60, float("inf"), float("nan")))
    assert sentinels_of(feature) == (float(np.float32(-99.9)), 0.0)
    x = np.array([[-99.9, 0, -0.0, 1e-30, np.inf, -np.inf, np.nan, np.finfo(np.float32).max]], np.float32).T
    for compute in (with_numpy, with_onnx):
        (missing,) = compute(None, rules((feature,)), x)
        assert missing.ravel().tolist() == [1, 1, 1, 0, 1, 1, 1, 0]


# fixed point


def numbers(form: FixedPoint) -> Float32:
    """Return numbers around every step and every half of a step, far outside, and tiny ones."""
    step = 2.0**-form.fraction
    steps = np.arange(-40, 41) / 4 * step
    edges = np.array([form.lowest, form.highest]) * step
    near = np.concatenate([steps, edges, edges + step / 2, edges - step / 2, edges * 3, edges * 1000])
    around = np.concatenate(
        [near, np.nextafter(near.astype(np.float32), np.inf), np.nextafter(near.astype(np.float32), -np.inf)]
    )
    random = np.random.default_rng(1).normal(0, max(abs(edges).max(), step), 500)
    values = np.concatenate([around, random, [0.0, -0.0, 1e-30, -1e-30, 1e30, -1e30]]).astype(np.float32)
    # XLA takes numbers below 1.2e-38 for zero
    return values[(values == 0) | (np.abs(values) >= np.finfo(np.float32).tiny)]


@EVALUATIONS
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_every_rounding_and_overflow_gives_the_same_numbers(
    compute: Compute, rounding: Any, overflow: Any
) -> None:
    for bits, integer, signed in ((8, 3, True), (5, 5, True), (6, 0, False), (12, -2, True), (4, 7, True)):
        form = FixedPoint(bits=bits, integer=integer, signed=signed, rounding=rounding, overflow=overflow)
        x, builder = numbers(form), GraphBuilder()
        graph = builder.build(quantize(builder.add_input("x", (1,)), describe_format(form)))
        (steps,) = compute(None, graph, x[:, None])
        expected = np.asarray(quantize_jax(jnp.asarray(x), form))
        np.testing.assert_array_equal(steps[:, 0], expected, err_msg=str(form))


FIXED_POINT = st.builds(
    FixedPoint,
    bits=st.integers(2, 7),
    integer=st.integers(-2, 5),
    signed=st.booleans(),
    rounding=st.sampled_from(ROUNDINGS),
    overflow=st.sampled_from(OVERFLOWS),
)


@settings(max_examples=15)
@given(
    given_form=FIXED_POINT,
    weight=FIXED_POINT,
    bias=FIXED_POINT,
    output=FIXED_POINT,
    activation=st.sampled_from(["relu", "linear"]),
    learned=st.booleans(),
    seed=st.integers(0, 99),
)
def test_quantized_layers_give_the_same_bits(
    given_form: FixedPoint, weight: FixedPoint, bias: FixedPoint, output: FixedPoint, activation: Any, learned: bool,
    seed: int,
) -> None:  # fmt: skip
    section = QuantizedSection(
        nodes=5, activation=activation, input=given_form, weight=weight, bias=bias, output=output, learn_bits=learned
    )  # fmt: skip
    if section.find_inconsistency(6, given_form):
        return
    layer = Quantized.create(6, section, random=np.random.default_rng(seed))
    x = np.random.default_rng(seed).normal(0, 3, (300, 6)).astype(np.float32)
    for compute in (with_numpy, with_onnx):
        (nodes,) = compute(rules([Feature(name="x")] * 6), layer_graph([layer]), x)
        np.testing.assert_array_equal(nodes, layer.reference(x.T).values.T)


@EVALUATIONS
def test_a_quantized_network_gives_the_bits_of_its_integers(
    compute: Compute, make_classifier: Callable[..., Any], make_events: Callable[..., Any]
) -> None:
    layers = [
        {"type": "quantized", "nodes": 12, "input": {"bits": 10, "integer": 4}},
        {"type": "quantized", "nodes": 6, "activation": "linear"},
    ]
    member = make_classifier(layers, gains=None, scaling="robust").members[0]
    inputs = member.preprocessing.apply(make_events(4, 20_000))
    expected: Any = inputs.T
    for layer in member.network.layers[:-1]:
        expected = layer.reference(expected)
    features = [Feature(name="x")] * inputs.shape[1]
    (nodes,) = compute(rules(features), layer_graph(member.network.layers[:-1]), inputs)
    np.testing.assert_array_equal(nodes, expected.values.T)
