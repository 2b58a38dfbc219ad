"""Write a classifier as one ONNX model, from raw features to scores, and any graph of primitive operations as nodes.

Events are along the axis before the last: a value of shape [features] becomes [n, features], and one of shape [members,
nodes] becomes [members, n, nodes].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from tamis.export.evaluate import HALVES_GROW
from tamis.export.lower import ClassifierGraph
from tamis.export.onnx_builder import IR_VERSION, OPSET, OnnxBuilder, Operator, Value
from tamis.export.onnx_roots import log1p, square_root
from tamis.network.primitives import Graph, Node

Inputs = Literal["named", "packed"]
"""One input for each feature, or one for all of them."""

_EVENTS = "n"
"""The name of the dimension of events, whose size is not fixed."""

_OPERATORS: Mapping[str, Operator] = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "maximum": "Max", "minimum": "Min",
    "negative": "Neg", "absolute": "Abs", "floor": "Floor", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin",
    "cos": "Cos", "tanh": "Tanh", "greater": "Greater", "greater_equal": "GreaterOrEqual", "equal": "Equal",
    "where": "Where",
}  # fmt: skip


class Names(NamedTuple):
    """Names of the inputs and of the output of a model; there is no input `fold` without folds."""

    packed: str
    fold: str | None
    scores: str


def choose_names(features: Sequence[str], *, folds: bool) -> Names:
    """Choose names that no feature has.

    >>> choose_names(["pt", "fold"], folds=True)
    Names(packed='features', fold='fold_', scores='scores')
    """
    packed = "features"

    def free(name: str) -> str:
        while name in (*features, packed):
            name += "_"
        return name

    return Names(packed, free("fold") if folds else None, free("scores"))


def build_model(classifier: ClassifierGraph, inputs: Inputs) -> ModelProto:
    """Build the ONNX model of a classifier, whose output is the scores, [n, n_classes].

    `named` has one input [n, 1] for each feature, by its name; `packed` has one input [n, n_features]. With folds there
    is another input [n, 1], the fold of each event, -1 if unknown.
    """
    document = classifier.document
    features = [feature["name"] for feature in document["features"]]
    names = choose_names(features, folds=document["folds"] is not None)
    model_inputs = [(name, 1) for name in features] if inputs == "named" else [(names.packed, len(features))]
    builder = OnnxBuilder()
    values = model_inputs[0][0]
    if len(model_inputs) > 1:
        values = builder("Concat", *(name for name, _ in model_inputs), axis=1)
    builder.rename(_scores(builder, classifier, values, names.fold), names.scores)
    more = [] if names.fold is None else [(names.fold, 1)]
    return assemble_model(builder, [*model_inputs, *more], [(names.scores, len(document["classes"]))])


def assemble_model(
    builder: OnnxBuilder, inputs: Sequence[tuple[str, int]], outputs: Sequence[tuple[str, int]]
) -> ModelProto:
    """Build a model of the nodes of a builder, with inputs and outputs as pairs of name and width."""
    graph = helper.make_graph(
        builder.nodes,
        "classifier",
        [_numbers(*tensor) for tensor in inputs],
        [_numbers(*tensor) for tensor in outputs],
        list(builder.constants.values()),
    )
    imports = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="tamis")


def _numbers(name: str, width: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [_EVENTS, width])


def _scores(builder: OnnxBuilder, classifier: ClassifierGraph, features: Value, fold: Value | None) -> Value:
    """Add the average over copies and over the networks of the event's fold, or over all if it is unknown."""
    (missing,) = write_graph(builder, classifier.missing, {"features": features})
    copied = {"features": features, "missing": missing}
    copies, classes = len(classifier.document["copies"]), len(classifier.document["classes"])
    if classifier.copies is not None:
        # the copies are stacked along the axis of events
        outputs = write_graph(builder, classifier.copies, copied)
        width = classifier.missing.inputs["features"][0]
        copied = {name: builder.reshaped(copy, -1, width) for name, copy in zip(copied, outputs, strict=True)}
    networks = [write_graph(builder, network, copied)[0] for network in classifier.networks]
    if copies > 1:
        networks = [
            builder("ReduceMean", builder.reshaped(scores, copies, -1, classes), axes=[0], keepdims=0)
            for scores in networks
        ]

    def scores_of(number: int | None) -> Value:
        of_fold = [networks[index] for index in classifier.networks_of(number)]
        scores = reduce(lambda first, second: builder("Add", first, second), of_fold)
        if len(of_fold) > 1:
            scores = builder("Div", scores, builder.number(len(of_fold)))
        correction = classifier.correction_of(number)
        return scores if correction is None else write_graph(builder, correction, {"scores": scores})[0]

    scores = scores_of(None)
    if fold is not None:
        # as wide as the scores, so that `Where` needs no broadcasting
        wide = builder("MatMul", fold, builder.array(np.ones((1, classes))))
        for number in classifier.folds:
            in_fold = builder("Equal", wide, builder.number(number))
            scores = builder("Where", in_fold, scores_of(number), scores)
    if classifier.required:
        # 0 / 0 gives NaN: the scores of an event with a missing required feature are not defined
        ones = builder.array(np.ones((len(classifier.required), 1)))
        lacking = builder("MatMul", builder.columns(missing, classifier.required), ones)
        is_lacking = builder("Greater", lacking, builder.number(0.5))
        known = builder("Where", is_lacking, builder.number(0), builder.number(1))
        scores = builder("Div", builder("Mul", scores, known), known)
    return scores


def list_onnx_constants(classifier: ClassifierGraph) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of a classifier by their names, and with their layout, in a model."""
    return {
        f"/{name}": _layout(graph, node, name)
        for graph in classifier.graphs
        for node in graph.nodes
        for name in node.inputs
        if isinstance(name, str) and name in graph.constants
    }


def _layout(graph: Graph, node: Node, name: str) -> NDArray[np.float32]:
    """Return a constant in the layout of its node: with an axis for events, transposed, or flattened."""
    values = graph.constants[name].astype(np.float32)
    if node.operation in ("locate", "take"):
        return _padded(values).ravel()
    if node.operation == "affine":
        if _is_product_of_matrices(graph, node):
            return values
        if name == node.inputs[1]:
            return np.ascontiguousarray(np.swapaxes(values, -1, -2))
    return values[..., None, :]


def _padded(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pad each row with its last entry to a power of two, for the binary search."""
    length = 1 << (table.shape[1] - 1).bit_length()
    return np.pad(table, ((0, 0), (0, length - table.shape[1])), "edge")


def _is_product_of_matrices(graph: Graph, node: Node) -> bool:
    return len(graph.shape(str(node.inputs[0]))) == 1 and len(graph.shape(str(node.inputs[1]))) == 2


def write_graph(builder: OnnxBuilder, graph: Graph, inputs: Mapping[str, Value]) -> tuple[Value, ...]:
    """Add the nodes of a graph, with the values of its inputs by name; return the values of its outputs."""
    values: dict[str, Value] = dict(inputs)
    for node in graph.nodes:
        operands = []
        for name in node.inputs:
            if not isinstance(name, str):
                operands.append(builder.number(name))
            elif name in graph.constants:
                operands.append(builder.array(_layout(graph, node, name), f"/{name}"))
            else:
                operands.append(values[name])
        values[node.name] = _write_node(builder, graph, node, operands)
    return tuple(values[name] for name in graph.outputs)


def _write_node(builder: OnnxBuilder, graph: Graph, node: Node, operands: Sequence[Value]) -> Value:
    x, last = operands[0], len(node.shape)
    match node.operation:
        case "maximum" if node.inputs[1] == 0.0:
            return builder("Relu", x)
        case "sqrt" if node.kind == "float32":
            return square_root(builder, x)
        case "log1p":
            return log1p(builder, x)
        case "round":
            return _round(builder, x, node.attribute)
        case "affine":
            if _is_product_of_matrices(graph, node):
                return builder("Gemm", *operands, transB=1)
            product = builder("MatMul", *operands[:2])
            return product if len(operands) == 2 else builder("Add", product, operands[2])
        case "mean":
            over_first = node.attribute == 0
            return builder("ReduceMean", x, axes=[0 if over_first else last], keepdims=int(not over_first))
        case "softmax":
            return builder("Softmax", x, axis=-1)
        case "gather":
            columns = builder.columns(x, node.attribute)
            return columns if last == 1 else builder("Transpose", columns, perm=[1, 0, 2])
        case "locate":
            return _locate(builder, x, operands[1], _padded(graph.constants[str(node.inputs[1])]).shape)
        case "take":
            return _take(
                builder, operands, node.attribute, _padded(graph.constants[str(node.inputs[0])]).shape
            )
        case "concatenate":
            return builder("Concat", *operands, axis=last)
        case "column":
            return builder.reshaped(builder("Transpose", x, perm=[1, 0]), node.shape[0], -1, 1)
        case "flatten":
            return builder.reshaped(builder("Transpose", x, perm=[1, 0, 2]), -1, node.shape[0])
        case "widen" | "narrow":
            return x
        case _:
            return builder(_OPERATORS[node.operation], *operands)


def _locate(builder: OnnxBuilder, x: Value, table: Value, shape: tuple[int, ...]) -> Value:
    """Find the knot at or below each value by bisection, as an index into the list of the knots of all features."""
    # indices as 32-bit floats, which are exact far beyond the number of knots
    index = builder.row(np.arange(shape[0]) * shape[1])
    step = shape[1] >> 1
    while step:
        further = builder("Add", index, builder.number(step))
        reached = builder("GreaterOrEqual", x, builder.gather(table, further))
        index = builder("Where", reached, further, index)
        step >>= 1
    return index


def _take(builder: OnnxBuilder, operands: Sequence[Value], offset: int, shape: tuple[int, ...]) -> Value:
    table, index = operands
    if offset:
        ends = builder.row(np.arange(1, shape[0] + 1) * shape[1] - 1)
        index = builder("Min", builder("Add", index, builder.number(offset)), ends)
    return builder.gather(table, index)


def _round(builder: OnnxBuilder, steps: Value, mode: str) -> Value:
    """Round to integers, by absolute value and sign: the fraction of an absolute value is exact."""
    if mode == "TRN":
        return builder("Floor", steps)
    size = builder("Abs", steps)
    floor = builder("Floor", size)
    fraction, half = builder("Sub", size, floor), builder.number(0.5)

    def up(half_grows: bool) -> Value:
        is_up = builder("GreaterOrEqual" if half_grows else "Greater", fraction, half)
        return builder("Add", floor, builder.flag(is_up))

    if mode == "TRN_ZERO":
        above = below = floor
    elif mode == "RND_CONV":
        above = below = _round_to_even(builder, floor, fraction)
    else:
        of_positive, of_negative = HALVES_GROW[mode]
        above = up(of_positive)
        below = above if of_negative == of_positive else up(of_negative)
    return builder("Where", builder("Less", steps, builder.number(0)), builder("Neg", below), above)


def _round_to_even(builder: OnnxBuilder, floor: Value, fraction: Value) -> Value:
    pairs = builder("Floor", builder("Mul", floor, builder.number(0.5)))
    odd = builder("Sub", floor, builder("Mul", pairs, builder.number(2)))
    above = builder.flag(builder("Greater", fraction, builder.number(0.5)))
    tied = builder("Equal", fraction, builder.number(0.5))
    return builder("Add", floor, builder("Where", tied, odd, above))


def read_constants(model: ModelProto) -> dict[str, NDArray[Any]]:
    """Read the arrays of a model by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
