"""A classifier as one graph, from raw features to scores: preprocessing, all networks and their average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from tamis.calibration import SMALLEST_SCORE
from tamis.classifier import Classifier, Member
from tamis.deploy.onnx_graph import IR_VERSION, OPSET, Graph, Value
from tamis.deploy.onnx_layers import apply_layer, embed
from tamis.deploy.onnx_preprocessing import (
    Columns,
    copy_events,
    find_missing,
    preprocess,
    refuse_unexpected,
)
from tamis.network.layers import Dense
from tamis.network.network import Network
from tamis.network.quantized import Quantized
from tamis.network.symmetries import build_symmetries

Form = Literal["named", "packed"]
"""One input for each feature, or one for all of them."""

EVENTS = "n"
"""What the graph calls the number of events, which is free."""


def packed_input(classifier: Classifier) -> str:
    """Give the name of the input that holds all features."""
    del classifier
    return "features"


def fold_input(classifier: Classifier) -> str | None:
    """Give the name of the input that holds an event's fold; None where there are no folds."""
    return None if classifier.folds is None else _free("fold", classifier)


def score_output(classifier: Classifier) -> str:
    """Give the name of the output."""
    return _free("scores", classifier)


def _free(name: str, classifier: Classifier) -> str:
    while name in (*classifier.feature_names, packed_input(classifier)):
        name += "_"
    return name


def build_model(classifier: Classifier, form: Form) -> ModelProto:
    """Write a classifier as an ONNX model.

    Args:
        classifier: to hand over.
        form: `named` has one input [n, 1] for each feature, by its name; `packed` has one input [n, n_features].

    Returns:
        The model. With folds it has one more input [n, 1], the fold of each event, -1 where unknown. Its output are
        the scores, [n, n_classes].
    """
    graph = Graph()
    names = list(classifier.feature_names) if form == "named" else [packed_input(classifier)]
    widths = [1] * len(names) if form == "named" else [len(classifier.features)]
    values = names[0] if len(names) == 1 else graph("Concat", *names, axis=1)
    columns = find_missing(graph, values, classifier.features)
    scores = _average(graph, classifier, columns)
    known = refuse_unexpected(graph, columns, classifier.features)
    if known is not None:
        # a score of an event that lacks what it needs would be a lie: 0 / 0 is not a number
        scores = graph("Div", graph("Mul", scores, known), known)
    graph.rename(scores, score_output(classifier))
    fold = fold_input(classifier)
    inputs = [_numbers(name, width) for name, width in zip(names, widths, strict=True)]
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "classifier",
            inputs if fold is None else [*inputs, _numbers(fold, 1)],
            [_numbers(score_output(classifier), len(classifier.classes))],
            list(graph.constants.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tamis",
    )


def _numbers(name: str, width: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [EVENTS, width])


def _average(graph: Graph, classifier: Classifier, columns: Columns) -> Value:
    """Average over copies of the events and over members: of the event's fold where it is known, or else of all."""
    copied = columns
    if classifier.draws:
        symmetries = build_symmetries(classifier.symmetries, classifier.feature_names)
        copied = copy_events(graph, columns, symmetries.descriptions(classifier.draws))
    names = _member_names(len(classifier.members))
    scores = [
        _member_scores(graph, member, copied, name, max(classifier.draws, 1))
        for member, name in zip(classifier.members, names, strict=True)
    ]
    found = _calibrated(graph, _mean(graph, scores), classifier, None)
    fold = fold_input(classifier)
    if fold is None:
        return found
    # as wide as the scores, so that a choice needs no broadcasting
    wide = graph("MatMul", fold, graph.array(np.ones((1, len(classifier.classes)))))
    for number in sorted({member.fold for member in classifier.members if member.fold is not None}):
        own = [each for each, member in zip(scores, classifier.members, strict=True) if member.fold == number]
        here = graph("Equal", wide, graph.number(number))
        found = graph("Where", here, _calibrated(graph, _mean(graph, own), classifier, number), found)
    return found


def _calibrated(graph: Graph, scores: Value, classifier: Classifier, fold: int | None) -> Value:
    """Give softmax(scale * log(score) + offset), as the classifier does."""
    if classifier.calibration is None:
        return scores
    scaling = classifier.calibration.of(fold)
    logits = graph("Log", graph("Max", scores, graph.number(SMALLEST_SCORE)))
    logits = graph("Add", graph("Mul", logits, graph.row(scaling.scale)), graph.row(scaling.offset))
    return graph("Softmax", logits, axis=-1)


def _member_names(members: int) -> list[str]:
    return [""] if members == 1 else [f"/members.{number}" for number in range(members)]


def _mean(graph: Graph, scores: Sequence[Value]) -> Value:
    if len(scores) == 1:
        return scores[0]
    total = scores[0]
    for each in scores[1:]:
        total = graph("Add", total, each)
    return graph("Div", total, graph.number(len(scores)))


def _member_scores(graph: Graph, member: Member, columns: Columns, name: str, copies: int) -> Value:
    inputs = preprocess(graph, columns, member.preprocessing, name)
    scores = network_scores(graph, member.network, inputs, name)
    if copies == 1:
        return scores
    apart = graph.reshaped(scores, copies, -1, member.network.classes)
    return graph("ReduceMean", apart, axes=[0], keepdims=0)


def network_scores(graph: Graph, network: Network, inputs: Value, name: str = "") -> Value:
    """Apply a network, [n, inputs] to [n, classes].

    Args:
        graph: to add to.
        network: trained.
        inputs: preprocessed.
        name: which the names of its constants begin with.
    """
    if network.embedding is not None:
        inputs = embed(graph, network.embedding, inputs, f"{name}/embedding")
    hidden, output = network.layers[:-1], _with_all_classes(network.layers[-1])
    if network.scales is None:
        nodes = _walk(graph, (*hidden, output), inputs, name)
        return graph("Softmax", nodes, axis=-1)
    members, width = network.scales.shape
    scales = graph.array(np.asarray(network.scales)[:, None, :], f"{name}/scales")
    wide = graph("Mul", graph.reshaped(inputs, 1, -1, width), scales)
    nodes = _walk(graph, hidden, graph.reshaped(wide, -1, width), name)
    nodes = graph.reshaped(nodes, members, -1, output.weight.shape[-1])
    weight = graph.array(np.swapaxes(output.weight, 1, 2), f"{name}/layers.{len(hidden)}.weight")
    bias = graph.array(np.asarray(output.bias)[:, None, :], f"{name}/layers.{len(hidden)}.bias")
    logits = graph("Add", graph("MatMul", nodes, weight), bias)
    return graph("ReduceMean", graph("Softmax", logits, axis=-1), axes=[0], keepdims=0)


def _walk(graph: Graph, layers: Sequence[Dense | Quantized], x: Value, name: str) -> Value:
    for number, layer in enumerate(layers):
        x = apply_layer(graph, layer, x, f"{name}/layers.{number}")
    return x


def _with_all_classes(output: Dense | Quantized) -> Dense | Quantized:
    """Give the first of two classes its logit, which is zero, where there is only the second."""
    if output.outputs > 1:
        return output
    import equinox as eqx

    if isinstance(output, Dense):
        return _with_zeros(output)
    padded: Quantized = eqx.tree_at(lambda layer: layer.dense, output, _with_zeros(output.dense))
    return padded


def _with_zeros(output: Dense) -> Dense:
    import equinox as eqx
    import jax.numpy as jnp

    padded: Dense = eqx.tree_at(
        lambda layer: (layer.weight, layer.bias),
        output,
        (
            jnp.concatenate([jnp.zeros_like(output.weight), output.weight], axis=-2),
            jnp.concatenate([jnp.zeros_like(output.bias), output.bias], axis=-1),
        ),
    )
    return padded
