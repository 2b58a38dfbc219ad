"""Build an ONNX graph: constants, nodes and the names between them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

OPSET = 15
IR_VERSION = 7

Operator = Literal[
    "Abs", "Add", "Cast", "Concat", "Cos", "Div", "Equal", "Exp", "Floor", "Gather", "Gemm", "Greater",
    "GreaterOrEqual", "Less", "Log", "MatMul", "Max", "Min", "Mul", "Neg", "ReduceMean", "Relu", "Reshape", "Sin",
    "Softmax", "Sqrt", "Sub", "Tanh", "Transpose", "Where",
]  # fmt: skip
"""The operators in use: all are in opset 15 of ONNX, and ROOT's SOFIE supports them."""

Value = str
"""The name of a value of the graph. It begins with a slash, which names of columns cannot contain."""


class OnnxBuilder:
    """Builder of nodes and constants; each call adds a node and returns the name of its output.

    >>> builder = OnnxBuilder()
    >>> builder("Add", "x", builder.number(1))
    '/Add_0'
    """

    def __init__(self) -> None:
        """Start without nodes and constants."""
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def __call__(self, operator: Operator, *inputs: Value, **keys: Any) -> Value:
        """Add a node with one output, whose name is the operator with the number of the node."""
        name = f"/{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **keys))
        return name

    def rename(self, value: Value, name: str) -> None:
        """Rename the output of a node that no other node uses yet."""
        for node in self.nodes:
            if node.output[0] == value:
                node.output[0] = name

    def array(self, values: npt.ArrayLike, name: str | None = None) -> Value:
        """Add an array of 32-bit numbers; its name is by default a number."""
        return self._constant(np.asarray(values, np.float32), name)

    def row(self, values: npt.ArrayLike) -> Value:
        """Add one number for each column, [1, columns]."""
        return self.array(np.asarray(values, np.float32)[None, :])

    def number(self, value: float) -> Value:
        """Add one number, [1]; equal numbers are one constant."""
        return self._constant(np.array([value], np.float32), f"/number_{np.float32(value)}")

    def integers(self, values: npt.ArrayLike) -> Value:
        """Add an array of 64-bit integers, such as indices or a shape."""
        return self._constant(np.asarray(values, np.int64), None)

    def _constant(self, array: npt.NDArray[Any], name: str | None) -> Value:
        name = name or f"/constant_{len(self.constants)}"
        self.constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def columns(self, x: Value, indices: npt.ArrayLike) -> Value:
        """Select columns, [n, columns] to [n, len(indices)]."""
        return self("Gather", x, self.integers(indices), axis=1)

    def gather(self, table: Value, index: Value) -> Value:
        """Select entries of a list by indices, which are 32-bit floats."""
        return self("Gather", table, self("Cast", index, to=TensorProto.INT64), axis=0)

    def reshaped(self, x: Value, *shape: int) -> Value:
        """Change the shape; -1 stands for the remaining size."""
        return self("Reshape", x, self.integers(shape))

    def clipped(self, x: Value, low: Value, high: Value) -> Value:
        """Clip values to a range."""
        return self("Min", self("Max", x, low), high)

    def flag(self, condition: Value) -> Value:
        """Return 1 where a condition holds and 0 elsewhere."""
        return self("Where", condition, self.number(1), self.number(0))
