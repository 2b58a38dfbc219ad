"""What can be translated for an FPGA, what cannot and why; QONNX computes the same numbers, for all formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from tamis.classifier import Classifier
from tamis.config import Reflection
from tamis.errors import UntranslatableError
from tamis.export.fpga_files import describe_boundary, describe_estimate, simulate_events
from tamis.export.fpga_network import ROUNDINGS, build_fixed_point_network, compute_grid_inputs
from tamis.export.fpga_qonnx import DOMAIN, build_qonnx
from tamis.network.fixed_point import Integers, quantize_to_integers
from tamis.network.quantized import compute_layer_costs

Make = Callable[..., Any]
INPUT = {"bits": 10, "integer": 4}
LAYERS = [{"type": "quantized", "nodes": 6, "input": INPUT}, {"type": "quantized", "nodes": 5}]


class Quant(OpRun):
    """The node of QONNX, by its definition (arXiv:2206.07527)."""

    op_domain = DOMAIN

    def _run(self, x: Any, scale: Any, zero: Any, bits: Any, **keys: Any) -> tuple[Any]:
        rounded = {"ROUND": np.round, "FLOOR": np.floor}[keys["rounding_mode"]](x / scale + zero)
        signed, narrow = keys["signed"], keys["narrow"]
        lowest = -(2.0 ** (bits - 1)) + narrow if signed else 0.0
        highest = 2.0 ** (bits - signed) - 1
        return (((np.clip(rounded, lowest, highest) - zero) * scale).astype(np.float32),)


def interpreted(classifier: Classifier, inputs: np.ndarray) -> np.ndarray:
    model = build_qonnx(build_fixed_point_network(classifier), len(inputs))
    return ReferenceEvaluator(model, new_ops=[Quant]).run(None, {"inputs": inputs})[0]


@st.composite
def formats(draw: st.DrawFn, rounding: st.SearchStrategy[str]) -> dict[str, Any]:
    return {
        "bits": draw(st.integers(2, 7)),
        "integer": draw(st.integers(-1, 5)),
        "signed": draw(st.booleans()),
        "rounding": draw(rounding),
        "overflow": draw(st.sampled_from(["SAT", "SAT_SYM"])),
    }


ANY = st.sampled_from(["TRN", "TRN_ZERO", "RND", "RND_ZERO", "RND_INF", "RND_MIN_INF", "RND_CONV"])


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    form=formats(ANY),
    weights=formats(ANY),
    biases=formats(ANY),
    hidden=formats(st.sampled_from(ROUNDINGS)),
    output=formats(st.sampled_from(ROUNDINGS)),
    activation=st.sampled_from(["relu", "linear"]),
    seed=st.integers(0, 100),
)
def test_qonnx_computes_the_same_numbers(
    form: Any, weights: Any, biases: Any, hidden: Any, output: Any, activation: str, seed: int,
    make_classifier: Make,
) -> None:  # fmt: skip
    first = {"type": "quantized", "nodes": 4, "activation": activation, "input": form, "output": hidden}
    classifier = make_classifier(
        [{**first, "weight": weights, "bias": biases}],
        quantized_output={"weight": weights, "output": output},
        gains=None,
        seed=seed,
    )
    network = build_fixed_point_network(classifier)
    rng = np.random.default_rng(seed)
    steps = rng.integers(network.input.lowest, network.input.highest + 1, (network.inputs, 200))
    numbers = Integers(steps, network.input.fraction)
    for layer in classifier.network.layers:
        numbers = layer.reference(numbers)
    inputs = np.ldexp(steps.T.astype(np.float32), -network.input.fraction).astype(np.float32)
    np.testing.assert_array_equal(interpreted(classifier, inputs), numbers.values.T)


def test_the_simulated_events_are_those_of_the_classifier(make_classifier: Make, make_events: Make) -> None:
    classifier = make_classifier(LAYERS, quantized_output={}).with_reference(make_events(5))
    network = build_fixed_point_network(classifier)
    inputs, logits = simulate_events(classifier, network)
    assert inputs.shape == (10_000, 6)  # four features and two indicators
    np.testing.assert_array_equal(quantize_to_integers(inputs, network.input).values, inputs)
    np.testing.assert_array_equal(interpreted(classifier, inputs), logits)
    assert np.ptp(logits, axis=0).min() > 1
    # the softmax is all that is left
    features = make_events(5)
    found = interpreted(classifier, compute_grid_inputs(classifier, features))
    power = np.exp(found - found.max(axis=1, keepdims=True))
    expected = classifier.scores(features)
    np.testing.assert_allclose(power / power.sum(axis=1, keepdims=True), expected, atol=1e-6, rtol=0)


def test_the_sums_fit_their_bits_and_no_fewer(make_classifier: Make) -> None:
    network = build_fixed_point_network(make_classifier(LAYERS, quantized_output={}, gains=None))
    for layer in network.layers:
        signs = np.sign(layer.weight.steps)
        ends = layer.input
        highest, lowest = (
            np.where(signs * side > 0, ends.highest, ends.lowest) * layer.weight.steps for side in (1, -1)
        )
        up = layer.fraction - layer.weight.fraction - ends.fraction
        bias = layer.bias.steps << (layer.fraction - layer.bias.fraction)
        found = ((lowest.sum(axis=1) << up) + bias).min(), ((highest.sum(axis=1) << up) + bias).max()
        assert layer.range == found
        most = 2 ** (layer.sum_bits - 1)
        assert -most <= found[0]
        assert found[1] < most
        assert not (-most // 2 <= found[0] and found[1] < most // 2)


def test_the_model_is_one_that_compilers_read(make_classifier: Make) -> None:
    model = build_qonnx(build_fixed_point_network(make_classifier(LAYERS, quantized_output={}, gains=None)))
    onnx.checker.check_model(model)
    assert {node.op_type for node in model.graph.node} == {"Quant", "MatMul", "Add", "Relu"}
    (output,) = model.graph.output
    assert [each.dim_value for each in output.type.tensor_type.shape.dim] == [1, 3]
    assert model.graph.node[-1].output[0] == output.name


def test_the_estimate_is_the_cost_of_the_layers(make_classifier: Make) -> None:
    classifier = make_classifier(LAYERS, quantized_output={}, gains=None)
    network = build_fixed_point_network(classifier)
    costs = compute_layer_costs(classifier.network.layers)
    assert [layer.ebops for layer in network.layers] == [cost.ebops for cost in costs]
    assert [layer.multiplications for layer in network.layers] == [cost.multiplications for cost in costs]
    assert [layer.input.bits for layer in network.layers] == [10, 8, 8]
    first, *others = network.layers
    total = sum(layer.ebops for layer in network.layers)
    header, row, *_, last, note = describe_estimate(network).splitlines()
    assert header.split("  ")[0] == "layer"
    assert header.endswith("bits of weight, input, sum  EBOPs")
    bits = f"{first.weight_form.bits}, 10, {first.sum_bits}"
    assert row.split() == ["layer_0", "6", "6", str(first.multiplications), *bits.split(), f"{first.ebops:,}"]
    multiplications = sum(layer.multiplications for layer in (first, *others))
    assert last.split() == ["all", str(multiplications), f"{total:,}"]
    assert len(row) == len(header) == len(last)
    assert note.startswith(f"About {total:,} LUTs")


def test_the_boundary_says_how_inputs_are_made(make_classifier: Make, make_events: Make) -> None:
    classifier = make_classifier(
        LAYERS, quantized_output={}, scaling="standard", logarithm=(True, True, False, False)
    )
    said = describe_boundary(classifier, build_fixed_point_network(classifier))
    before, events = said["before"], make_events(3)
    # what a stranger computes who has only read it
    values = np.where(np.isnan(events), before["fill"], events)
    for index, lowest, typical in zip(
        map(before["features"].index, before["logarithm"]["features"]),
        before["logarithm"]["lowest"],
        before["logarithm"]["typical"],
        strict=True,
    ):
        distance = (values[:, index] - lowest) / typical
        values[:, index] = np.sign(distance) * np.log1p(np.abs(distance))
    values = (values - before["centre"]) / before["scale"]
    missing = [np.isnan(events[:, before["features"].index(name)]) for name in before["indicators"]]
    values = np.column_stack([values, *missing]) * before["gains"]
    step = 2.0 ** -said["input"]["fraction"]
    most = 2 ** (said["input"]["bits"] - 1)
    steps = np.clip(np.floor(values / step + 0.5), -most, most - 1)
    assert (
        np.mean(steps * step != compute_grid_inputs(classifier, events)) < 1e-3
    )  # of 64 bits here, and of 32 there


@pytest.mark.parametrize(
    ("layers", "keys", "reason"),
    [
        (LAYERS, {}, r"network\.quantized_output: the output layer is dense, in floating point"),
        ([LAYERS[0], {"nodes": 4}], {}, r"network\.layers\[1\]: a dense layer is in floating point"),
        ([{"type": "sparse", "nodes": 4, "fan_in": 2}], {}, r"network\.layers\[0\]: a sparse layer"),
        (LAYERS, {"embedding": {"type": "periodic"}}, "network.embedding: periodic"),
        (LAYERS, {"shared_members": 2}, "network.shared_members: 2 networks share their layers"),
        (LAYERS, {"folds": (0, 1)}, "it averages 2 networks"),
        (LAYERS, {"symmetries": (Reflection(features=("eta",)),), "copies": 2}, "symmetries"),
        ([{**LAYERS[0], "output": {**INPUT, "rounding": "RND_INF"}}], {"quantized_output": {}},
         r"network\.layers\[0\]\.output: HGQ2 and QONNX do not support the rounding RND_INF"),
        (LAYERS, {"quantized_output": {"output": {"bits": 6, "integer": 2, "overflow": "WRAP"}}},
         r"network\.quantized_output\.output: its nodes can exceed the range, and QONNX does not support overflow W"),
        ([LAYERS[0], {**LAYERS[1], "input": {"bits": 4, "integer": 3}}], {"quantized_output": {}},
         r"network\.layers\[1\]\.input: the inputs are converted from ap_fixed<8, 4, AP_RND, AP_SAT> to"),
    ],
)  # fmt: skip
def test_what_has_no_translation_is_named(layers: Any, keys: Any, reason: str, make_classifier: Make) -> None:
    with pytest.raises(UntranslatableError, match=reason):
        build_fixed_point_network(make_classifier(layers, **keys))


def test_everything_that_has_no_translation_is_named_at_once(make_classifier: Make) -> None:
    classifier = make_classifier([{"nodes": 4}], embedding={"type": "piecewise_linear"}, shared_members=2)
    with pytest.raises(UntranslatableError) as caught:
        build_fixed_point_network(replace(classifier, test_time_augmentation=3))
    assert len(str(caught.value).splitlines()) == 6


def test_a_wrap_that_cannot_happen_is_translated(make_classifier: Make) -> None:
    roomy = {"bits": 18, "integer": 12, "overflow": "WRAP"}
    wider = {"bits": 20, "integer": 12}
    classifier = make_classifier(
        [{**LAYERS[0], "weight": {"bits": 4, "integer": 2}, "output": roomy}],
        quantized_output={
            "input": wider,
            "weight": {"bits": 2, "integer": 2},
            "output": {"bits": 8, "integer": 4},
        },
        gains=None,
        outputs=1,
        classes=2,
    )
    network = build_fixed_point_network(classifier)
    assert network.layers[0].output.overflow == "SAT"
    assert network.outputs == 1
