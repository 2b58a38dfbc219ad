"""Evaluate graphs of primitive operations, and the scores of a classifier, in NumPy.

This is the reference for all formats. A `Disturbance` perturbs intermediate results, to measure the effect of rounding
in float32.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.arrays import Float32, Float64
from tamis.data.split import NO_FOLD
from tamis.export.lower import ClassifierGraph
from tamis.network.primitives import Graph, Kind, Node

Array = NDArray[Any]

_TYPES: Mapping[Kind, type[np.floating[Any]]] = {"float32": np.float32, "float64": np.float64}
_EVENTS_AT_ONCE = 8192
HALF_STEP = 2.0**-24
"""Largest relative error of a float32 rounding."""
EDGE = 16 * HALF_STEP
"""Relative distance from the edge of a fixed-point step within which a float32 computation may be on either side."""


class Disturbance:
    """Random perturbations of the size of float32 rounding errors."""

    def __init__(self, seed: int, sign: int) -> None:
        """Start the stream of random numbers; the sign is 1, or -1 for opposite perturbations."""
        self._rng, self._sign = np.random.Generator(np.random.SFC64(seed)), sign

    def moved(self, values: Array, size: Array, most: float = HALF_STEP) -> Array:
        """Perturb values by up to a fraction of their sizes."""
        noise = self._rng.random(size.shape, np.float32)
        noise -= np.float32(0.5)
        noise *= np.float32(2 * self._sign * most)
        return np.asarray(values + noise * size)

    def of_node(self, node: Node, values: Array) -> Array:
        """Perturb the result of a node."""
        if node.rounding == "none":
            return values
        size = 1 + np.abs(values) if node.rounding == "unit" else values
        return self.moved(values, size, EDGE if node.rounding == "steps" else HALF_STEP)


def evaluate(
    graph: Graph, inputs: Mapping[str, Array], *, disturbance: Disturbance | None = None
) -> tuple[Array, ...]:
    """Compute the outputs of a graph for many events, which lie along the axis before the last, [..., n, entries].

    A disturbance perturbs the numbers that float32 would round.

    >>> from tamis.network.primitives import GraphBuilder
    >>> builder = GraphBuilder()
    >>> graph = builder.build(builder.add_input("x", (2,)) * 2)
    >>> evaluate(graph, {"x": np.array([[1, 2], [3, 4]], np.float32)})[0].tolist()
    [[2.0, 4.0], [6.0, 8.0]]
    """
    values: dict[str, Array] = dict(inputs)
    uses = Counter(name for node in graph.nodes for name in node.inputs if isinstance(name, str))
    uses.update(graph.outputs)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for node in graph.nodes:
            kinds = (graph.kind(name) for name in node.inputs if isinstance(name, str))
            kind = next((kind for kind in kinds if kind not in ("bool", "index")), node.kind)
            operands: list[Any] = []
            for name in node.inputs:
                if not isinstance(name, str):
                    operands.append(_TYPES.get(kind, np.float32)(name))
                elif name in values:
                    operands.append(values[name])
                else:
                    operands.append(_read_constant(graph.constants[name], node, disturbance))
            result = _compute(node, operands)
            values[node.name] = result if disturbance is None else disturbance.of_node(node, result)
            uses.subtract(name for name in node.inputs if isinstance(name, str))
            for name in map(str, node.inputs):
                if not uses[name]:
                    values.pop(name, None)  # frees the memory of wide layers
    return tuple(values[name] for name in graph.outputs)


def _read_constant(constant: Array, node: Node, disturbance: Disturbance | None) -> Array:
    if constant.dtype == np.float64 and disturbance is not None and node.rounding != "none":
        constant = disturbance.moved(constant, constant)
    if node.operation in ("affine", "take", "locate") or constant.ndim < 2:
        return constant
    return constant[..., None, :]  # an axis for the events


def _compute(node: Node, operands: Sequence[Any]) -> Array:
    x, attribute = operands[0], node.attribute
    match node.operation:
        case "affine":
            product = x @ np.swapaxes(operands[1], -1, -2)
            return np.asarray(product if len(operands) == 2 else product + operands[2][..., None, :])
        case "mean":
            return np.asarray(x.mean(axis=0) if attribute == 0 else x.mean(axis=-1, keepdims=True))
        case "gather":
            columns = np.asarray(x[..., attribute])
            return columns if attribute.ndim == 1 else np.moveaxis(columns, -2, 0)
        case "locate":
            knots = [np.searchsorted(row, x[:, number], "right") for number, row in enumerate(operands[1])]
            return np.asarray(np.maximum(np.stack(knots, axis=1) - 1, 0))
        case "take":
            index = np.minimum(operands[1] + attribute, x.shape[1] - 1)
            return np.asarray(x[np.arange(len(x)), index])
        case "concatenate":
            return np.concatenate(operands, axis=-1)
        case "column":
            return np.asarray(np.swapaxes(x, -1, -2)[..., None])
        case "flatten":
            return np.asarray(np.moveaxis(x, -3, -2).reshape(*x.shape[:-3], x.shape[-2], -1))
        case "round":
            return _round(x, attribute)
        case "widen" | "narrow":
            return np.asarray(x, _TYPES[node.kind])
        case "softmax":
            powers = np.exp(x - x.max(axis=-1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
        case "log1p":
            return np.asarray(np.log1p(x.astype(np.float64)), x.dtype)
        case _:
            return np.asarray(getattr(np, node.operation)(*operands))  # all others have the name of a ufunc


_ROUND: Mapping[str, np.ufunc | Callable[[Array], Array]] = {
    "TRN": np.floor, "TRN_ZERO": np.trunc, "RND_CONV": np.round,
}  # fmt: skip
HALVES_GROW: Mapping[str, tuple[bool, bool]] = {
    "RND": (True, False), "RND_MIN_INF": (False, True), "RND_ZERO": (False, False), "RND_INF": (True, True),
}  # fmt: skip
"""Whether a half rounds to the larger absolute value, of positive and of negative numbers, if the nearest is chosen."""


def _round(x: Array, mode: str) -> Array:
    """Round to integers, in a rounding mode of `ap_fixed`."""
    if mode in _ROUND:
        return np.asarray(_ROUND[mode](x))
    size = np.floor(np.abs(x))
    fraction = np.abs(x) - size
    of_positive, of_negative = (fraction >= 0.5 if grows else fraction > 0.5 for grows in HALVES_GROW[mode])
    return np.asarray(np.copysign(size + np.where(x < 0, of_negative, of_positive), x))


def compute_scores(
    classifier: ClassifierGraph,
    features: Float32,
    fold: ArrayLike = NO_FOLD,
    *,
    disturbance: Disturbance | None = None,
) -> Float64:
    """Compute the scores of events in 64 bits, [n, n_classes]; NaN if a required feature is missing.

    The features are those that a user passes, with sentinels or non-finite values if missing, [n, n_features]. The fold
    is that of each event, [n], or of all events; `NO_FOLD` if it is unknown.
    """
    folds = np.broadcast_to(np.asarray(fold), len(features))
    scores = np.empty((len(features), len(classifier.document["classes"])))
    for number in np.unique(folds):
        rows = np.flatnonzero(folds == number)
        for start in range(0, len(rows), _EVENTS_AT_ONCE):
            block = rows[start : start + _EVENTS_AT_ONCE]
            scores[block] = _scores_of_fold(classifier, features[block], int(number), disturbance)
    return scores


def _scores_of_fold(
    classifier: ClassifierGraph, features: Float32, fold: int, disturbance: Disturbance | None
) -> Array:
    (missing,) = evaluate(classifier.missing, {"features": features})
    inputs = {"features": features, "missing": missing}
    if classifier.copies is not None:
        copied = evaluate(classifier.copies, inputs)
        shape = (-1, features.shape[1])
        inputs = {name: copies.reshape(shape) for name, copies in zip(inputs, copied, strict=True)}
    of_networks = [
        evaluate(classifier.networks[number], inputs, disturbance=disturbance)[0]
        for number in classifier.networks_of(fold)
    ]
    scores = np.mean(of_networks, axis=0).reshape(-1, len(features), of_networks[0].shape[1]).mean(axis=0)
    correction = classifier.correction_of(fold)
    if correction is not None:
        (scores,) = evaluate(correction, {"scores": scores}, disturbance=disturbance)
    lacking = (missing[:, classifier.required] > 0).any(axis=1, keepdims=True)
    return np.where(lacking, np.nan, scores)
