"""An ONNX graph while it is being written: constants, nodes and the names between them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

OPSET = 15
IR_VERSION = 7

Operator = Literal[
    "Abs", "Add", "Cast", "Concat", "Cos", "Div", "Elu", "Equal", "Exp", "Floor", "Gather", "Gemm", "Greater",
    "GreaterOrEqual", "LeakyRelu", "Less", "LessOrEqual", "Log", "MatMul", "Max", "Min", "Mul", "Neg",
    "ReduceMean", "Relu", "Reshape", "Selu", "Sin", "Softmax", "Sqrt", "Sub", "Tanh", "Transpose", "Where",
]  # fmt: skip
"""What graphs are made of: operators that ONNX has in opset 15 and that ROOT's SOFIE reads."""

Value = str
"""The name of what flows through the graph. A column may not have a slash in its name, so ours begin with one."""


class Graph:
    """Collects nodes and constants; each call adds a node and gives the name of its output.

    >>> graph = Graph()
    >>> graph("Add", "x", graph.number(1))
    '/Add_0'
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def __call__(self, operator: Operator, *inputs: Value, output: Value | None = None, **keys: Any) -> Value:
        """Add a node with one output.

        Args:
            operator: what it computes.
            inputs: names of what it computes it from.
            output: its name; by default the operator with the number of the node.
            keys: attributes of the operator.
        """
        name = output or f"/{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **keys))
        return name

    def rename(self, value: Value, name: str) -> None:
        """Give the output of a node, which no other node takes yet, another name."""
        for node in self.nodes:
            if node.output[0] == value:
                node.output[0] = name

    def array(self, values: npt.ArrayLike, name: str | None = None) -> Value:
        """Add an array of 32-bit numbers.

        Args:
            values: what it holds.
            name: its name; by default it is numbered.
        """
        return self._constant(np.asarray(values, np.float32), name)

    def row(self, values: npt.ArrayLike, name: str | None = None) -> Value:
        """Add one number for each column, [1, columns]."""
        return self.array(np.asarray(values, np.float32)[None, :], name)

    def number(self, value: float) -> Value:
        """Add one number, [1]; equal numbers are one constant."""
        return self._constant(np.array([value], np.float32), f"/number_{np.float32(value)}")

    def whole(self, values: npt.ArrayLike) -> Value:
        """Add whole numbers: indices, and the dimensions of a shape."""
        return self._constant(np.asarray(values, np.int64), None)

    def _constant(self, array: npt.NDArray[Any], name: str | None) -> Value:
        name = name or f"/constant_{len(self.constants)}"
        self.constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def columns(self, x: Value, indices: npt.ArrayLike) -> Value:
        """Take columns, [n, columns] to [n, len(indices)]."""
        return self("Gather", x, self.whole(indices), axis=1)

    def looked_up(self, table: Value, place: Value) -> Value:
        """Take entries of a list, by their places as whole numbers in 32 bits."""
        return self("Gather", table, self("Cast", place, to=TensorProto.INT64), axis=0)

    def reshaped(self, x: Value, *shape: int) -> Value:
        """Give another shape; -1 is what is left."""
        return self("Reshape", x, self.whole(shape))

    def clipped(self, x: Value, low: Value, high: Value) -> Value:
        """Bring values between two limits."""
        return self("Min", self("Max", x, low), high)

    def chosen(self, flag: Value, yes: Value, no: Value) -> Value:
        """Choose where a flag is 1, and elsewhere."""
        return self("Where", self("Greater", flag, self.number(0.5)), yes, no)

    def flag(self, condition: Value) -> Value:
        """Give 1 where a condition holds and 0 elsewhere."""
        return self("Where", condition, self.number(1), self.number(0))
