"""Fixed-point formats as nodes of a graph: the same numbers as `network/fixed_point.py`, bit by bit."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from tamis.config import FixedPoint
from tamis.config.layers import Rounding
from tamis.deploy.onnx_graph import Graph, Value

_MOST = float(np.finfo(np.float32).max)


def quantize(graph: Graph, x: Value, form: FixedPoint) -> Value:
    """Bring finite numbers to a format.

    Args:
        graph: to add to.
        x: any shape.
        form: the format, with the bits that were learned.
    """
    steps = graph("Mul", x, graph.number(2.0**form.fraction))
    if form.overflow == "WRAP":
        # infinity has no remainder
        steps = graph.clipped(steps, graph.number(-_MOST), graph.number(_MOST))
    steps = _bring_inside(graph, _round(graph, steps, form.rounding), form)
    return graph("Mul", steps, graph.number(2.0**-form.fraction))


def _round(graph: Graph, steps: Value, rounding: Rounding) -> Value:
    """Round to whole numbers, by the size and the sign: what is behind the point of a size is exact."""
    if rounding == "TRN":
        return graph("Floor", steps)
    size = graph("Abs", steps)
    whole = graph("Floor", size)
    rest = graph("Sub", size, whole)
    half = graph.number(0.5)

    def up_above_half() -> Value:
        return graph("Add", whole, graph.flag(graph("Greater", rest, half)))

    def up_from_half() -> Value:
        return graph("Add", whole, graph.flag(graph("GreaterOrEqual", rest, half)))

    match rounding:
        case "TRN_ZERO":
            above = below = whole
        case "RND":
            above, below = up_from_half(), up_above_half()
        case "RND_MIN_INF":
            above, below = up_above_half(), up_from_half()
        case "RND_ZERO":
            above = below = up_above_half()
        case "RND_INF":
            above = below = up_from_half()
        case "RND_CONV":
            above = below = _to_even(graph, whole, rest)
        case _:
            assert_never(rounding)
    return graph("Where", graph("Less", steps, graph.number(0)), graph("Neg", below), above)


def _to_even(graph: Graph, whole: Value, rest: Value) -> Value:
    pairs = graph("Floor", graph("Mul", whole, graph.number(0.5)))
    odd = graph("Sub", whole, graph("Mul", pairs, graph.number(2)))
    above = graph.flag(graph("Greater", rest, graph.number(0.5)))
    return graph("Add", whole, graph("Where", graph("Equal", rest, graph.number(0.5)), odd, above))


def _bring_inside(graph: Graph, steps: Value, form: FixedPoint) -> Value:
    lowest, highest = graph.number(form.lowest), graph.number(form.highest)
    match form.overflow:
        case "SAT" | "SAT_SYM":
            return graph.clipped(steps, lowest, highest)
        case "SAT_ZERO":
            nothing = graph.number(0)
            steps = graph("Where", graph("Greater", steps, highest), nothing, steps)
            return graph("Where", graph("Less", steps, lowest), nothing, steps)
        case "WRAP":
            period = graph.number(2.0**form.bits)
            turns = graph("Floor", graph("Div", steps, period))
            rest = graph("Sub", steps, graph("Mul", turns, period))
            return graph("Where", graph("Greater", rest, highest), graph("Sub", rest, period), rest)
        case _:
            assert_never(form.overflow)
