"""From raw features to the inputs of a network: the graph computes the same bits as the classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from tamis.config import Exchange, Feature, Reflection, Rotation
from tamis.deploy.onnx_graph import IR_VERSION, OPSET, Graph
from tamis.deploy.onnx_logarithm import log1p
from tamis.deploy.onnx_preprocessing import copy_events, find_missing, preprocess, sentinels_of, square_root
from tamis.network.preprocessing import fit_preprocessing
from tamis.network.symmetries import build_symmetries

Float32 = NDArray[np.float32]
Make = Callable[..., Float32]
NAMES = ("pt", "mass", "eta", "phi")
FEATURES = tuple(Feature(name=name, missing=(float("nan"), -999.0)) for name in NAMES)
SCALINGS = ["none", "standard", "robust", "quantile"]
SYMMETRIES = [
    Rotation(features=("phi",), start=-np.pi, period=2 * np.pi),
    Rotation(features=("pt",), start=0.0, period=360.0),
    Reflection(features=("eta",)),
    Exchange(objects=(("mass",), ("eta",))),
]


def run(graph: Graph, outputs: Sequence[str], x: Float32) -> list[Float32]:
    """Run a graph with the input `x`."""
    shape = [None] * x.ndim
    made = helper.make_graph(
        graph.nodes,
        "preprocessing",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in outputs],
        list(graph.constants.values()),
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(list(outputs), {"x": x}))


def learned(events: Float32, scaling: Any, logarithm: bool) -> Any:
    return fit_preprocessing(
        events, np.ones(len(events)), scaling, missing_allowed=[True] * 4, logarithm=[logarithm, True, False, False]
    )  # fmt: skip


@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_inputs_are_the_same_bits(scaling: Any, make_events: Make) -> None:
    preprocessing = learned(make_events(1, 3000), scaling, logarithm=False)
    events, graph = make_events(2, 20_000), Graph()
    found = run(graph, [preprocess(graph, find_missing(graph, "x", FEATURES), preprocessing)], events)[0]
    expected = preprocessing.apply(events)
    without_logarithm = [0, 2, 3, *range(4, expected.shape[1])]
    assert found[:, without_logarithm].tobytes() == expected[:, without_logarithm].tobytes()
    assert (found[:, 1] == expected[:, 1]).mean() > 0.9999
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(
    "logarithm", [(False, True, True, False), (True, False, True, True), (False, False, True, True)]
)
def test_each_feature_keeps_its_place_behind_a_logarithm(
    scaling: Any, logarithm: tuple[bool, ...], make_events: Make
) -> None:
    # none of these orders is its own inverse
    preprocessing = fit_preprocessing(
        make_events(1, 3000), np.ones(3000), scaling, missing_allowed=[True] * 4, logarithm=logarithm
    )
    events, graph = make_events(2, 2000), Graph()
    found = run(graph, [preprocess(graph, find_missing(graph, "x", FEATURES), preprocessing)], events)[0]
    expected = preprocessing.apply(events)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))
    # no two columns are alike
    assert all(np.abs(np.subtract(*expected[:, pair].T)).max() > 0.1 for pair in combinations(range(4), 2))


@pytest.mark.parametrize("number", [3, 6])
def test_three_objects_move_the_same_way(number: int) -> None:
    # a shift of three places is not its own inverse
    names = [f"{kind}_{place}" for place in range(3) for kind in ("pt", "eta")]
    exchange = Exchange(objects=tuple((f"pt_{place}", f"eta_{place}") for place in range(3)))
    copies = build_symmetries([exchange], names).descriptions(number)
    assert any((each.source[each.source] != np.arange(6)).any() for each in copies)
    events = np.random.default_rng(4).normal(size=(50, 6)).astype(np.float32)
    events[::7, 3] = np.nan
    graph, features = Graph(), [Feature(name=name, missing=(float("nan"),)) for name in names]
    copied = copy_events(graph, find_missing(graph, "x", features), copies)
    values, missing = run(graph, [copied.values, copied.missing], events)
    expected = np.concatenate([each.apply(events) for each in copies])
    np.testing.assert_array_equal(missing == 1, np.isnan(expected))
    np.testing.assert_array_equal(values[missing == 0], expected[missing == 0])


@settings(max_examples=20)
@given(
    values=st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False), min_size=4
    ),
    scaling=st.sampled_from(SCALINGS),
)
def test_any_finite_number_gives_the_same_bits(values: list[float], scaling: Any, make_events: Make) -> None:
    preprocessing = fit_preprocessing(make_events(1, 300)[:, :1], np.ones(300), scaling)
    events, graph = np.array(values, np.float32)[:, None], Graph()
    feature = (Feature(name="pt"),)
    found = run(graph, [preprocess(graph, find_missing(graph, "x", feature), preprocessing)], events)[0]
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found, preprocessing.apply(events))


@pytest.mark.parametrize("number", [1, 2, 7, 12])
def test_copies_of_events_are_the_same_bits(number: int, make_events: Make) -> None:
    events, graph = make_events(3, 2000), Graph()
    symmetries = build_symmetries(SYMMETRIES, NAMES)
    copied = copy_events(graph, find_missing(graph, "x", FEATURES), symmetries.descriptions(number))
    values, missing = run(graph, [copied.values, copied.missing], events)
    expected = np.concatenate(list(symmetries.copies(events, number)))
    np.testing.assert_array_equal(missing == 1, np.isnan(expected))
    np.testing.assert_array_equal(values[missing == 0], expected[missing == 0])


@pytest.mark.parametrize(
    ("low", "high"), [(-60, 88), (-3, 3), (-0.1, 0.1)], ids=["everything", "around one", "near one"]
)
def test_a_logarithm_is_rounded_as_in_64_bits(low: float, high: float) -> None:
    x = np.exp(np.random.default_rng(4).uniform(low, high, 300_000)).astype(np.float32)
    x = np.concatenate([x, [0, 1, 2, 1e-38, 1.7e38]]).astype(np.float32)
    graph = Graph()
    found = run(graph, [log1p(graph, "x")], x)[0]
    expected = np.log1p(x.astype(np.float64)).astype(np.float32)
    assert (found != expected).mean() < 2e-5
    assert (np.abs(found.view(np.int32) - expected.view(np.int32)) <= 1).all()


def test_sentinels_are_compared_in_32_bits() -> None:
    feature = Feature(name="x", missing=(-99.9, 0.0, 1e-60, float("inf"), float("nan")))
    assert sentinels_of(feature) == (float(np.float32(-99.9)), 0.0)
    graph = Graph()
    x = np.array([[-99.9, 0, -0.0, 1e-30, np.inf, -np.inf, np.nan, np.finfo(np.float32).max]], np.float32).T
    found = run(graph, [find_missing(graph, "x", (feature,)).missing], x)[0]
    assert found.ravel().tolist() == [1, 1, 1, 0, 1, 1, 1, 0]


def roots() -> Graph:
    graph = Graph()
    graph.rename(square_root(graph, "x"), "root")
    return graph


def test_a_root_that_was_right_stays_so() -> None:
    # all sizes of the mantissa but the last two bits, for an even and an odd exponent, and the largest number; in
    # quarters, for the memory
    for first in range(254, 258):
        bits = np.arange(first << 22, (first + 1) << 22, 4, dtype=np.uint32)
        x = np.append(bits.view(np.float32), np.float32(1.2e11))
        (found,) = run(roots(), ["root"], x)
        np.testing.assert_array_equal(found, np.sqrt(x))


@pytest.mark.parametrize("steps", [-2, -1, 1, 2])
def test_a_root_of_an_old_runtime_is_mended(steps: int) -> None:
    asked = []

    class Sqrt(OpRun):
        op_domain = ""

        def _run(self, x: Float32) -> tuple[Float32]:
            asked.append(len(x))
            return ((np.sqrt(x).view(np.int32) + np.int32(steps)).view(np.float32),)

    x = np.arange(127 << 23, 129 << 23, 16, dtype=np.uint32).view(np.float32)
    shape = [None]
    made = helper.make_graph(
        roots().nodes,
        "roots",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("root", TensorProto.FLOAT, shape)],
        list(roots().constants.values()),
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    (found,) = ReferenceEvaluator(model, new_ops=[Sqrt]).run(None, {"x": x})
    assert asked == [len(x)]
    wrong = found != np.sqrt(x)
    assert wrong.mean() <= 3e-6
    assert np.abs((found.view(np.int32) - np.sqrt(x).view(np.int32))[wrong]).max(initial=0) <= 1
