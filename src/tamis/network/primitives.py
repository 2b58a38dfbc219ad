"""The primitive operations that every exported format computes, and graphs of them.

A graph acts on one event: its values are arrays such as `[features]` or `[members, nodes]`. Every format rounds numbers
of kind `float32` to 32 bits, so that all formats compute the same bits; numbers of kind `float64` have 64 bits if the
format supports them (NumPy, C++), otherwise 32 (ONNX).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Operation = Literal[
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "negative", "absolute", "floor", "round",
    "exp", "log", "log1p", "sqrt", "sin", "cos", "tanh", "greater", "greater_equal", "equal", "where",
    "affine", "mean", "softmax", "gather", "locate", "take", "concatenate", "column", "flatten", "widen", "narrow",
]  # fmt: skip
"""The operation of a node; see the functions of this module and `GraphBuilder`."""

Kind = Literal["float32", "float64", "bool", "index"]
Rounding = Literal["none", "relative", "unit", "steps"]
"""Rounding of a result by float32: none, relative, relative to 1 + |x|, or across the edge of a fixed-point step."""


@dataclass(frozen=True)
class Node:
    """One operation of a graph.

    Args:
        name: name of the result.
        operation: the operation.
        inputs: names of inputs, constants and earlier nodes, or numbers.
        shape: shape of the result for one event.
        kind: kind of the result.
        attribute: the mode of `round`, the axis of `mean`, the indices of `gather`, the offset of `take`.
        rounding: rounding of the result by float32, to measure its effect.
    """

    name: str
    operation: Operation
    inputs: tuple[str | float, ...]
    shape: tuple[int, ...]
    kind: Kind
    attribute: Any = None
    rounding: Rounding = "none"


@dataclass(frozen=True)
class Graph:
    """Operations in the order of their computation, and the arrays that they use.

    Args:
        inputs: shapes of the inputs for one event, by name.
        constants: arrays by name, float32 or float64 like the values that they are combined with.
        nodes: the operations.
        outputs: names of the results.
        values: shape and kind of every input, constant and node, by name.
    """

    inputs: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, NDArray[Any]]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    values: Mapping[str, tuple[tuple[int, ...], Kind]]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an input, a constant or a node."""
        return self.values[name][0]

    def kind(self, name: str) -> Kind:
        """Return the kind of an input, a constant or a node."""
        return self.values[name][1]


def _apply(operation: Operation, *operands: Value | float, attribute: Any = None) -> Value:
    graph = next(operand.graph for operand in operands if isinstance(operand, Value))
    return graph.apply(operation, *operands, attribute=attribute)


_Binary = Callable[["Value", "Value | float"], "Value"]


def _operator(operation: Operation) -> tuple[_Binary, _Binary]:
    """Return the methods for an operator with the value on its left and on its right."""
    return (
        lambda self, operand: _apply(operation, self, operand),
        lambda self, operand: _apply(operation, operand, self),
    )


class Value:
    """A value of a graph under construction, with its shape for one event; arithmetic adds nodes to the graph."""

    def __init__(self, graph: GraphBuilder, name: str, shape: tuple[int, ...], kind: Kind) -> None:
        """Add a value to a graph, by its name."""
        self.graph, self.name, self.shape, self.kind = graph, name, shape, kind
        graph.values[name] = (shape, kind)

    __add__, __radd__ = _operator("add")
    __sub__, __rsub__ = _operator("subtract")
    __mul__, __rmul__ = _operator("multiply")
    __truediv__, __rtruediv__ = _operator("divide")
    __gt__, __lt__ = _operator("greater")
    __ge__, __le__ = _operator("greater_equal")

    def __neg__(self) -> Value:
        """Change the sign."""
        return _apply("negative", self)

    def rounded(self, rounding: Rounding) -> Value:
        """Set the rounding by float32 of this value, which is the result of a node."""
        nodes = self.graph.nodes
        nodes[self.name] = replace(nodes[self.name], rounding=rounding)
        return self


class GraphBuilder:
    """Builder of a graph from inputs, constants and nodes.

    >>> builder = GraphBuilder()
    >>> x = builder.add_input("x", (3,))
    >>> [node.operation for node in builder.build(maximum(x, 0) + 1).nodes]
    ['maximum', 'add']
    """

    def __init__(self) -> None:
        """Start with an empty graph."""
        self._inputs: dict[str, tuple[int, ...]] = {}
        self._constants: dict[str, NDArray[Any]] = {}
        self.nodes: dict[str, Node] = {}
        self.values: dict[str, tuple[tuple[int, ...], Kind]] = {}

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.nodes)

    def add_input(self, name: str, shape: tuple[int, ...], kind: Kind = "float32") -> Value:
        """Add an input."""
        self._inputs[name] = shape
        return Value(self, name, shape, kind)

    def add_constant(self, name: str, values: NDArray[Any]) -> Value:
        """Add an array of float32 or float64."""
        self._constants[name] = values
        return Value(self, name, values.shape, "float32" if values.dtype == np.float32 else "float64")

    def apply(self, operation: Operation, *operands: Value | float, attribute: Any = None) -> Value:
        """Add a node; see `Node` for the attribute.

        Raises:
            TypeError: numbers of 32 and of 64 bits are mixed.
        """
        values = [operand for operand in operands if isinstance(operand, Value)]
        kinds = {value.kind for value in values if value.kind not in ("bool", "index")}
        if len(kinds) > 1:
            raise TypeError(f"{operation} mixes numbers of 32 and of 64 bits; widen or narrow one of them")
        shape = _shape(operation, values, attribute)
        kind = _KINDS.get(operation, next(iter(kinds), "float32"))
        name = f"v{len(self.nodes)}"
        inputs = tuple(operand.name if isinstance(operand, Value) else float(operand) for operand in operands)
        self.nodes[name] = Node(name, operation, inputs, shape, kind, attribute)
        return Value(self, name, shape, kind)

    def nodes_since(self, number: int) -> Sequence[Node]:
        """Return the nodes after the first `number` ones."""
        return list(self.nodes.values())[number:]

    def build(self, *outputs: Value) -> Graph:
        """Return the graph."""
        names = tuple(output.name for output in outputs)
        return Graph(
            dict(self._inputs), dict(self._constants), tuple(self.nodes.values()), names, dict(self.values)
        )


_KINDS: dict[Operation, Kind] = {
    "greater": "bool", "greater_equal": "bool", "equal": "bool",
    "widen": "float64", "narrow": "float32", "locate": "index",
}  # fmt: skip
"""Operations whose result has a fixed kind; that of all others is the kind of their operands."""


def _shape(operation: Operation, values: Sequence[Value], attribute: Any) -> tuple[int, ...]:
    first = values[0].shape
    match operation:
        case "affine":
            *lead, outputs, _ = values[1].shape
            return (*np.broadcast_shapes(first[:-1], tuple(lead)), outputs)
        case "mean":
            return first[1:] if attribute == 0 else (*first[:-1], 1)
        case "gather":
            return tuple(np.shape(attribute))
        case "take":
            return values[1].shape
        case "concatenate":
            return (*first[:-1], sum(value.shape[-1] for value in values))
        case "column":
            return (*first, 1)
        case "flatten":
            return (*first[:-2], first[-2] * first[-1])
        case "locate" | "softmax" | "widen" | "narrow":
            return first
        case _:
            return tuple(np.broadcast_shapes(*(value.shape for value in values)))


def _unary(operation: Operation) -> Callable[[Value], Value]:
    return lambda x: _apply(operation, x)


absolute, floor = _unary("absolute"), _unary("floor")
exp, log = _unary("exp"), _unary("log")
sin, cos, tanh = _unary("sin"), _unary("cos"), _unary("tanh")
sqrt = _unary("sqrt")
"""The square root, rounded to the nearest number of the kind of x."""
log1p = _unary("log1p")
"""log(1 + x), computed in 64 bits and rounded to the kind of x."""
softmax = _unary("softmax")
"""The softmax over the last axis."""
column, flatten = _unary("column"), _unary("flatten")
"""Append an axis; merge the last two axes."""
widen, narrow = _unary("widen"), _unary("narrow")
"""Convert from 32 to 64 bits, and back."""


def _binary(operation: Operation) -> Callable[[Value | float, Value | float], Value]:
    return lambda x, y: _apply(operation, x, y)


maximum, minimum = _binary("maximum"), _binary("minimum")
equal = _binary("equal")
"""Compare, for `where`."""


def clip(x: Value, low: Value | float, high: Value | float) -> Value:
    """Clip numbers to a range."""
    return minimum(maximum(x, low), high)


def where(condition: Value, x: Value | float, y: Value | float) -> Value:
    """Select x where the condition is true, and y otherwise."""
    return _apply("where", condition, x, y)


def round_steps(x: Value, mode: str) -> Value:
    """Round to an integer, with a rounding mode of `ap_fixed`."""
    return _apply("round", x, attribute=mode)


def affine(x: Value, weight: Value, *bias: Value) -> Value:
    """Compute weight @ x + bias: [..., inputs] times [..., outputs, inputs] is [..., outputs]."""
    return _apply("affine", x, weight, *bias)


def mean(x: Value, axis: Literal[0, -1]) -> Value:
    """Compute the mean over the first axis, which is removed, or over the last, which keeps one entry."""
    return _apply("mean", x, attribute=axis)


def gather(x: Value, indices: Sequence[int] | NDArray[np.integer]) -> Value:
    """Select entries of a row; the result has the shape of the indices."""
    return _apply("gather", x, attribute=np.asarray(indices, np.int64))


def locate(x: Value, knots: Value) -> Value:
    """Find the last knot, [features, knots], at or below each number; the first knot for numbers below all knots."""
    return _apply("locate", x, knots)


def take(table: Value, index: Value, offset: int = 0) -> Value:
    """Select the entry of each row at an index plus an offset, at most the last one."""
    return _apply("take", table, index, attribute=offset)


def concatenate(*values: Value) -> Value:
    """Concatenate values along their last axis."""
    return _apply("concatenate", *values)
