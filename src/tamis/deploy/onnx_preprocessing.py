"""From raw features to the inputs of a network, as nodes of a graph; `network/preprocessing.py` says what it means.

Every operation is the one that the preprocessing itself makes, in its order and in 32 bits, so that the inputs are the
same bits; only of a logarithm the last bit may differ, once in a million values, and of a root where the runtime's
own is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from tamis.classifier.missing import sentinels_of
from tamis.config import Feature
from tamis.deploy.onnx_graph import Graph, Value
from tamis.deploy.onnx_logarithm import log1p
from tamis.network.preprocessing import FARTHEST, LARGEST, SMOOTH_CLIP, Logarithm, Preprocessing, Quantiles
from tamis.network.symmetries import Copy

_MOST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Columns:
    """Features with what is known of them.

    Args:
        values: [n, n_features]; anything where missing.
        missing: 1 where missing, 0 elsewhere, [n, n_features].
    """

    values: Value
    missing: Value


def find_missing(graph: Graph, values: Value, features: Sequence[Feature]) -> Columns:
    """Find what is missing: sentinels, and whatever is not a finite number.

    Args:
        graph: to add to.
        values: raw features, [n, n_features].
        features: with their rules.
    """
    # a comparison with NaN is false
    finite = graph("LessOrEqual", graph("Abs", values), graph.number(_MOST))
    missing = graph("Where", finite, graph.number(0), graph.number(1))
    sentinels = [sentinels_of(feature) for feature in features]
    for number in range(max(map(len, sentinels))):
        there = [len(own) > number for own in sentinels]
        row = [own[number] if has else 0.0 for own, has in zip(sentinels, there, strict=True)]
        equal = graph.flag(graph("Equal", values, graph.row(row)))
        missing = graph("Max", missing, graph("Mul", equal, graph.row(there)))
    return Columns(values, missing)


def refuse_unexpected(graph: Graph, columns: Columns, features: Sequence[Feature]) -> Value | None:
    """Give 0 for events that lack a feature that may not be missing, 1 for others, [n, 1].

    Returns:
        None where every feature may be missing.
    """
    needed = [index for index, feature in enumerate(features) if feature.missing is None]
    if not needed:
        return None
    lacking = graph("MatMul", graph.columns(columns.missing, needed), graph.array(np.ones((len(needed), 1))))
    return graph("Where", graph("Greater", lacking, graph.number(0.5)), graph.number(0), graph.number(1))


def copy_events(graph: Graph, columns: Columns, copies: Sequence[Copy]) -> Columns:
    """Put the copies of the events below each other, [copies * n, n_features]."""
    copied = [_copy(graph, columns, copy) for copy in copies]
    if len(copied) == 1:
        return copied[0]
    return Columns(
        graph("Concat", *(each.values for each in copied), axis=0),
        graph("Concat", *(each.missing for each in copied), axis=0),
    )


def _copy(graph: Graph, columns: Columns, copy: Copy) -> Columns:
    values, missing = columns.values, columns.missing
    if (copy.source != np.arange(len(copy.source))).any():
        values, missing = _exchanged(graph, columns, copy)
    if (copy.sign != 1).any():
        values = graph("Mul", values, graph.row(copy.sign))
    if copy.shift.any():
        values = graph("Add", values, graph.row(copy.shift))
    if copy.period.any():
        values = _wrapped(graph, values, copy)
    return Columns(values, missing)


def _exchanged(graph: Graph, columns: Columns, copy: Copy) -> tuple[Value, Value]:
    together = np.zeros((len(copy.source), len(copy.source)), np.float32)
    for own in copy.exchanges:
        together[np.ix_(own, own)] = 1
    staying = graph("Greater", graph("MatMul", columns.missing, graph.array(together)), graph.number(0.5))
    values, missing = (
        graph("Where", staying, each, graph.columns(each, copy.source))
        for each in (columns.values, columns.missing)
    )
    return values, missing


def _wrapped(graph: Graph, values: Value, copy: Copy) -> Value:
    turned = copy.period != 0
    length = graph.row(np.where(turned, copy.period, np.float32(1)))
    below = graph("Sub", values, graph.row(np.where(turned, copy.start, np.float32(0))))
    turns = graph("Floor", graph("Div", below, length))
    inside = graph("Sub", values, graph("Mul", turns, graph.row(copy.period)))
    highest = np.nextafter(copy.start + copy.period, copy.start)
    low = np.where(turned, copy.start, np.float32(-_MOST))
    return graph.clipped(inside, graph.row(low), graph.row(np.where(turned, highest, np.float32(_MOST))))


def preprocess(graph: Graph, columns: Columns, preprocessing: Preprocessing, name: str = "") -> Value:
    """Fill, take logarithms, scale and add indicators, [n, n_features] to [n, inputs].

    Args:
        graph: to add to.
        columns: the features.
        preprocessing: of the network.
        name: which the names of its constants begin with.
    """
    name = f"{name}/preprocessing"
    fill = graph.row(preprocessing.fill, f"{name}.fill")
    values = graph.chosen(columns.missing, fill, columns.values)
    if preprocessing.logarithm is not None:
        values = _take_logarithms(graph, values, preprocessing.logarithm, len(preprocessing.fill), name)
    values = _scale(graph, values, preprocessing, name)
    if not preprocessing.indicators:
        return values
    return graph("Concat", values, graph.columns(columns.missing, preprocessing.indicators), axis=1)


def _take_logarithms(graph: Graph, values: Value, rule: Logarithm, features: int, name: str) -> Value:
    others = [index for index in range(features) if index not in rule.features]
    distance = graph("Sub", graph.columns(values, rule.features), graph.row(rule.lowest, f"{name}.lowest"))
    distance = graph("Div", distance, graph.row(rule.typical, f"{name}.typical"))
    distance = graph.clipped(distance, graph.number(-LARGEST), graph.number(LARGEST))
    size = log1p(graph, graph("Abs", distance))
    curve = graph("Where", graph("Less", distance, graph.number(0)), graph("Neg", size), size)
    if others:
        curve = graph("Concat", curve, graph.columns(values, others), axis=1)
    return graph.columns(curve, np.argsort([*rule.features, *others]))


def _scale(graph: Graph, values: Value, preprocessing: Preprocessing, name: str) -> Value:
    match preprocessing.scaling:
        case "none":
            return values
        case "standard":
            return _standardise(graph, values, preprocessing, name)
        case "robust":
            values = _standardise(graph, values, preprocessing, name)
            part = graph("Div", values, graph.number(float(SMOOTH_CLIP)))
            square = graph("Add", graph("Mul", part, part), graph.number(1))
            return graph("Div", values, square_root(graph, square))
        case "quantile":
            curves = preprocessing.quantiles
            return values if curves is None else _interpolate(graph, values, curves, name)
        case _:
            assert_never(preprocessing.scaling)


def _standardise(graph: Graph, values: Value, preprocessing: Preprocessing, name: str) -> Value:
    values = graph("Sub", values, graph.row(preprocessing.centre, f"{name}.centre"))
    values = graph("Div", values, graph.row(preprocessing.scale, f"{name}.scale"))
    return graph.clipped(values, graph.number(-float(FARTHEST)), graph.number(float(FARTHEST)))


def square_root(graph: Graph, x: Value) -> Value:
    """Give the root, rounded to the nearest number; that of ONNX Runtime up to 1.20 is off by two steps.

    What the square of a number close to the root leaves of x is computed without rounding, from halves of 12 bits
    whose products are exact (Dekker, https://doi.org/10.1007/BF01397083), and corrects the number. A root that was
    right stays so; of others two in a million stay one step away.

    Args:
        graph: to add to.
        x: between 1 and 10^13, any shape.
    """
    near = graph("Sqrt", x)
    wide = graph("Mul", near, graph.number(4097))
    high = graph("Sub", wide, graph("Sub", wide, near))
    low = graph("Sub", near, high)
    rest = graph("Sub", x, graph("Mul", high, high))
    rest = graph("Sub", rest, graph("Mul", graph("Add", high, high), low))
    rest = graph("Sub", rest, graph("Mul", low, low))
    # a little more than twice, so that the rounding of a correction by half a step never moves a root that was right
    return graph("Add", near, graph("Div", rest, graph("Mul", near, graph.number(2 * (1 + 2**-22)))))


def _interpolate(graph: Graph, values: Value, curves: Quantiles, name: str) -> Value:
    """Find the knot below each value by halves, and follow the line from there."""
    knots, becomes = curves.knots, curves.values
    inside = graph.clipped(values, graph.row(knots[:, 0]), graph.row(knots[:, -1]))
    length = 1 << (knots.shape[1] - 1).bit_length()

    def table(columns: NDArray[np.float32], constant: str | None = None) -> Value:
        # all features in one list, each with as many entries as a power of two
        padded = np.pad(columns, ((0, 0), (0, length - columns.shape[1])), "edge")
        return graph.array(padded.ravel(), constant)

    heights = table(knots, f"{name}.knots")
    # whole numbers as 32-bit numbers: exact far beyond the number of knots of all features
    place = graph.row(np.arange(len(knots)) * length)
    step = length >> 1
    while step:
        further = graph("Add", place, graph.number(step))
        reached = graph("GreaterOrEqual", inside, graph.looked_up(heights, further))
        place = graph("Where", reached, further, place)
        step >>= 1
    width, rise = np.diff(knots, append=knots[:, -1:]), np.diff(becomes, append=becomes[:, -1:])
    highest = np.concatenate([becomes[:, 1:], becomes[:, -1:]], axis=1)
    position = graph("Sub", inside, graph.looked_up(heights, place))
    position = graph(
        "Div", position, graph.looked_up(table(np.where(width > 0, width, np.float32(1))), place)
    )
    found = graph("Mul", position, graph.looked_up(table(rise), place))
    found = graph("Add", graph.looked_up(table(becomes, f"{name}.values"), place), found)
    return graph("Min", found, graph.looked_up(table(highest), place))
