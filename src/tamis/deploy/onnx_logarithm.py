"""The logarithm log(1 + x) as nodes of a graph, rounded as if it had been computed in 64 bits.

The preprocessing computes it in 64 bits and rounds. The operator `Log` of a runtime is one or two of the last bits off,
which a quantizer or a steep curve behind it makes visible. So numbers are held as sums of two of 32 bits here (T. J.
Dekker, Numerische Mathematik 18, 224; W. J. Cody and W. Waite, "Software Manual for the Elementary Functions").
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis.deploy.onnx_graph import Graph, Value

_STEPS = 256
"""Entries of the tables for each factor of two."""
_OCTAVES = 127
"""Factors of two in the range of what 32 bits hold."""
_SPLIT = 4097.0
"""2^12 + 1: times it, a number falls into two halves of 12 bits."""


class Pair(NamedTuple):
    """A number as the sum of two: the nearest one, and what is left."""

    high: Value
    low: Value


class _Tables(NamedTuple):
    """Centres 2^(j / 256) in 12 bits, so that products with halves are exact, and their logarithms."""

    centre: NDArray[np.float64]
    high: NDArray[np.float32]
    low: NDArray[np.float64]


def log1p(graph: Graph, x: Value) -> Value:
    """Give log(1 + x) for x from 0 to 1.7e38.

    With 1 + x = 2^k c (1 + r), where c is the nearest entry of a table, it is k log(2) + log(c) + log(1 + r), and
    r is so small that five terms of the series are enough.

    Args:
        graph: to add to.
        x: any shape.
    """
    tables, (ln2_high, ln2_low) = _tables(), _ln2()
    total = _sum(graph, x, graph.number(1))
    octave, step = _nearest_entry(graph, total.high)
    size = _look_up(graph, 2.0 ** -np.arange(_OCTAVES), octave)
    centre = _look_up(graph, tables.centre, step)
    scaled = Pair(graph("Mul", total.high, size), graph("Mul", total.low, size))
    distance = _sum(graph, graph("Sub", scaled.high, centre), scaled.low)
    ratio, halves = _divided(graph, distance, centre)
    square = graph("Mul", ratio.high, ratio.high)
    half = graph("Mul", square, graph.number(-0.5))
    known = _ordered_sum(
        graph,
        graph("Mul", octave, graph.number(ln2_high)),
        _look_up(graph, tables.high, step),
    )
    linear = _ordered_sum(graph, known.high, ratio.high)
    curved = _ordered_sum(graph, linear.high, half)
    small = [
        known.low,
        linear.low,
        _look_up(graph, tables.low, step),
        graph("Mul", octave, graph.number(ln2_low)),
        graph("Sub", ratio.low, graph("Mul", ratio.high, ratio.low)),
        graph("Mul", _rest_of_square(graph, square, halves), graph.number(-0.5)),
        _higher_terms(graph, ratio.high, square),
    ]
    rest = curved.low
    for each in small:
        rest = graph("Add", rest, each)
    return graph("Add", curved.high, rest)


def _nearest_entry(graph: Graph, value: Value) -> tuple[Value, Value]:
    """Find 2^(k + j / 256) near a value of at least 1, as k and j; any accuracy of `Log` is enough."""
    place = graph("Mul", graph("Log", value), graph.number(_STEPS / np.log(2)))
    place = graph("Floor", graph("Add", place, graph.number(0.5)))
    place = graph.clipped(place, graph.number(0), graph.number(_STEPS * _OCTAVES - 1))
    octave = graph("Floor", graph("Mul", place, graph.number(1 / _STEPS)))
    return octave, graph("Sub", place, graph("Mul", octave, graph.number(_STEPS)))


def _look_up(graph: Graph, table: NDArray[np.floating], place: Value) -> Value:
    return graph.looked_up(graph.array(table), place)


def _sum(graph: Graph, left: Value, right: Value) -> Pair:
    """Add two numbers without losing anything."""
    total = graph("Add", left, right)
    of_right = graph("Sub", total, left)
    of_left = graph("Sub", total, of_right)
    return Pair(total, graph("Add", graph("Sub", left, of_left), graph("Sub", right, of_right)))


def _ordered_sum(graph: Graph, large: Value, small: Value) -> Pair:
    """Add two numbers, of which the first is zero or the larger one, without losing anything."""
    total = graph("Add", large, small)
    return Pair(total, graph("Sub", small, graph("Sub", total, large)))


def _halves(graph: Graph, value: Value) -> Pair:
    """Write a number as the sum of two of 12 bits."""
    far = graph("Mul", value, graph.number(_SPLIT))
    high = graph("Sub", far, graph("Sub", far, value))
    return Pair(high, graph("Sub", value, high))


def _divided(graph: Graph, value: Pair, centre: Value) -> tuple[Pair, Pair]:
    """Divide by a number of 12 bits; also give the halves of the result."""
    ratio = graph("Div", value.high, centre)
    halves = _halves(graph, ratio)
    left = graph("Sub", value.high, graph("Mul", halves.high, centre))
    left = graph("Sub", left, graph("Mul", halves.low, centre))
    return Pair(ratio, graph("Div", graph("Add", left, value.low), centre)), halves


def _rest_of_square(graph: Graph, square: Value, halves: Pair) -> Value:
    rest = graph("Sub", graph("Mul", halves.high, halves.high), square)
    mixed = graph("Mul", graph("Mul", halves.high, halves.low), graph.number(2))
    return graph("Add", graph("Add", rest, mixed), graph("Mul", halves.low, halves.low))


def _higher_terms(graph: Graph, ratio: Value, square: Value) -> Value:
    """Give r^3 / 3 - r^4 / 4 + r^5 / 5."""
    factor = graph("Sub", graph("Mul", ratio, graph.number(1 / 5)), graph.number(1 / 4))
    factor = graph("Add", graph("Mul", ratio, factor), graph.number(1 / 3))
    return graph("Mul", graph("Mul", square, ratio), factor)


@cache
def _tables() -> _Tables:
    bits = 2.0**11
    centre = np.round(2 ** (np.arange(_STEPS) / _STEPS) * bits) / bits
    with localcontext(prec=40):
        exact = [Decimal(value).ln() for value in centre.tolist()]
        high = np.array([float(value) for value in exact], np.float32)
        low = [float(value - Decimal(near)) for value, near in zip(exact, high.tolist(), strict=True)]
    return _Tables(centre, high, np.array(low))


@cache
def _ln2() -> tuple[float, float]:
    """Give log(2) as a number of 17 bits, whose products with octaves are exact, and what is left."""
    with localcontext(prec=40):
        exact = Decimal(2).ln()
        high = int(exact * 2**17) / 2**17
        return high, float(exact - Decimal(high))
