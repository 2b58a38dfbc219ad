"""Logarithms and roots of ONNX models are rounded as in 64 bits, also where the runtime's own are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from tamis.export.onnx_builder import IR_VERSION, OPSET, OnnxBuilder
from tamis.export.onnx_roots import log1p, square_root

Float32 = NDArray[np.float32]


def model_of(function: Callable[[OnnxBuilder, str], str]) -> ModelProto:
    """Make a model that computes a function of `x`."""
    builder = OnnxBuilder()
    builder.rename(function(builder, "x"), "y")
    made = helper.make_graph(
        builder.nodes,
        "function",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
        list(builder.constants.values()),
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def run(function: Callable[[OnnxBuilder, str], str], x: Float32) -> Any:
    """Compute a function in ONNX Runtime."""
    model = model_of(function).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize(
    ("low", "high"), [(-60, 88), (-3, 3), (-0.1, 0.1)], ids=["everything", "around one", "near one"]
)
def test_a_logarithm_is_rounded_as_in_64_bits(low: float, high: float) -> None:
    x = np.exp(np.random.default_rng(4).uniform(low, high, 300_000)).astype(np.float32)
    x = np.concatenate([x, [0, 1, 2, 1e-38, 1.7e38]]).astype(np.float32)
    found = run(log1p, x)
    expected = np.log1p(x.astype(np.float64)).astype(np.float32)
    assert (found != expected).mean() < 2e-5
    assert (np.abs(found.view(np.int32) - expected.view(np.int32)) <= 1).all()


def test_a_root_that_was_right_stays_so() -> None:
    # all sizes of the mantissa but the last two bits, for an even and an odd exponent, and the largest number; in
    # quarters, for the memory
    for first in range(254, 258):
        bits = np.arange(first << 22, (first + 1) << 22, 4, dtype=np.uint32)
        x = np.append(bits.view(np.float32), np.float32(1.2e11))
        found = run(square_root, x)
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
    (found,) = ReferenceEvaluator(model_of(square_root), new_ops=[Sqrt]).run(None, {"x": x})
    assert asked == [len(x)]
    wrong = found != np.sqrt(x)
    assert wrong.mean() <= 3e-6
    assert np.abs((found.view(np.int32) - np.sqrt(x).view(np.int32))[wrong]).max(initial=0) <= 1
