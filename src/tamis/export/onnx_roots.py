"""The logarithm log(1 + x) and the square root as ONNX nodes, rounded as if computed in 64 bits.

The preprocessing computes them in 64 bits and rounds. The operator `Log` of a runtime is off by one or two of the last
bits, which a subsequent quantizer or steep function would amplify. Therefore numbers are represented as sums of two
32-bit numbers here (T. J. Dekker, Numerische Mathematik 18, 224; W. J. Cody and W. Waite, "Software Manual for the
Elementary Functions").
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis.export.onnx_builder import OnnxBuilder, Value

_STEPS = 256
"""Entries of the tables per factor of two."""
_OCTAVES = 127
"""Factors of two in the range of 32-bit numbers."""
_SPLIT = 4097.0
"""2^12 + 1: the factor of Dekker's splitting into two halves of 12 bits."""


class DoubleFloat(NamedTuple):
    """A number as an unevaluated sum: the nearest 32-bit number, and the remainder."""

    high: Value
    low: Value


class _Tables(NamedTuple):
    """Centres 2^(j / 256) in 12 bits, so that products with halves are exact, and their logarithms as high + low."""

    centre: NDArray[np.float64]
    high: NDArray[np.float32]
    low: NDArray[np.float64]


def log1p(builder: OnnxBuilder, x: Value) -> Value:
    """Compute log(1 + x) for x from 0 to 1.7e38.

    With 1 + x = 2^k c (1 + r), where c is the nearest entry of a table, it is k log(2) + log(c) + log(1 + r), and
    r is so small that five terms of the series suffice.
    """
    tables, (ln2_high, ln2_low) = _tables(), _ln2()
    total = _sum(builder, x, builder.number(1))
    octave, step = _nearest_entry(builder, total.high)
    size = _gather(builder, 2.0 ** -np.arange(_OCTAVES), octave)
    centre = _gather(builder, tables.centre, step)
    scaled = DoubleFloat(builder("Mul", total.high, size), builder("Mul", total.low, size))
    distance = _sum(builder, builder("Sub", scaled.high, centre), scaled.low)
    ratio, halves = _divided(builder, distance, centre)
    square = builder("Mul", ratio.high, ratio.high)
    half = builder("Mul", square, builder.number(-0.5))
    of_octaves = builder("Mul", octave, builder.number(ln2_high))
    known = _ordered_sum(builder, of_octaves, _gather(builder, tables.high, step))
    linear = _ordered_sum(builder, known.high, ratio.high)
    curved = _ordered_sum(builder, linear.high, half)
    small = [
        known.low,
        linear.low,
        _gather(builder, tables.low, step),
        builder("Mul", octave, builder.number(ln2_low)),
        builder("Sub", ratio.low, builder("Mul", ratio.high, ratio.low)),
        builder("Mul", _remainder_of_square(builder, square, halves), builder.number(-0.5)),
        _higher_terms(builder, ratio.high, square),
    ]
    correction = curved.low
    for term in small:
        correction = builder("Add", correction, term)
    return builder("Add", curved.high, correction)


def _nearest_entry(builder: OnnxBuilder, value: Value) -> tuple[Value, Value]:
    """Find 2^(k + j / 256) near a value of at least 1, as k and j; the accuracy of `Log` does not matter here."""
    index = builder("Mul", builder("Log", value), builder.number(_STEPS / np.log(2)))
    index = builder("Floor", builder("Add", index, builder.number(0.5)))
    index = builder.clipped(index, builder.number(0), builder.number(_STEPS * _OCTAVES - 1))
    octave = builder("Floor", builder("Mul", index, builder.number(1 / _STEPS)))
    return octave, builder("Sub", index, builder("Mul", octave, builder.number(_STEPS)))


def _gather(builder: OnnxBuilder, table: NDArray[np.floating], index: Value) -> Value:
    return builder.gather(builder.array(table), index)


def _sum(builder: OnnxBuilder, first: Value, right: Value) -> DoubleFloat:
    """Add two numbers exactly."""
    total = builder("Add", first, right)
    of_right = builder("Sub", total, first)
    of_left = builder("Sub", total, of_right)
    return DoubleFloat(total, builder("Add", builder("Sub", first, of_left), builder("Sub", right, of_right)))


def _ordered_sum(builder: OnnxBuilder, large: Value, small: Value) -> DoubleFloat:
    """Add two numbers exactly, of which the first must be zero or the larger one."""
    total = builder("Add", large, small)
    return DoubleFloat(total, builder("Sub", small, builder("Sub", total, large)))


def _halves(builder: OnnxBuilder, value: Value) -> DoubleFloat:
    """Split a number into two halves of 12 bits."""
    far = builder("Mul", value, builder.number(_SPLIT))
    high = builder("Sub", far, builder("Sub", far, value))
    return DoubleFloat(high, builder("Sub", value, high))


def _divided(builder: OnnxBuilder, value: DoubleFloat, centre: Value) -> tuple[DoubleFloat, DoubleFloat]:
    """Divide by a number of 12 bits; also return the halves of the result."""
    ratio = builder("Div", value.high, centre)
    halves = _halves(builder, ratio)
    remainder = builder("Sub", value.high, builder("Mul", halves.high, centre))
    remainder = builder("Sub", remainder, builder("Mul", halves.low, centre))
    return DoubleFloat(ratio, builder("Div", builder("Add", remainder, value.low), centre)), halves


def _remainder_of_square(builder: OnnxBuilder, square: Value, halves: DoubleFloat) -> Value:
    remainder = builder("Sub", builder("Mul", halves.high, halves.high), square)
    mixed = builder("Mul", builder("Mul", halves.high, halves.low), builder.number(2))
    return builder("Add", builder("Add", remainder, mixed), builder("Mul", halves.low, halves.low))


def _higher_terms(builder: OnnxBuilder, ratio: Value, square: Value) -> Value:
    """Compute r^3 / 3 - r^4 / 4 + r^5 / 5."""
    factor = builder("Sub", builder("Mul", ratio, builder.number(1 / 5)), builder.number(1 / 4))
    factor = builder("Add", builder("Mul", ratio, factor), builder.number(1 / 3))
    return builder("Mul", builder("Mul", square, ratio), factor)


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
    """Return log(2) as a number of 17 bits, whose products with octaves are exact, and the remainder."""
    with localcontext(prec=40):
        exact = Decimal(2).ln()
        high = int(exact * 2**17) / 2**17
        return high, float(exact - Decimal(high))


def square_root(builder: OnnxBuilder, x: Value) -> Value:
    """Compute the square root of x from 1 to 10^13, rounded; that of ONNX Runtime up to 1.20 is off by two steps.

    The difference between x and the square of the approximate root is computed exactly, from halves of 12 bits whose
    products are exact (Dekker, https://doi.org/10.1007/BF01397083), and corrects the root. A correct root stays
    unchanged; two in a million of the others remain off by one step.
    """
    near = builder("Sqrt", x)
    high, low = _halves(builder, near)
    remainder = builder("Sub", x, builder("Mul", high, high))
    remainder = builder("Sub", remainder, builder("Mul", builder("Add", high, high), low))
    remainder = builder("Sub", remainder, builder("Mul", low, low))
    # slightly more than 2, so that a correction by half a step, after rounding, does not change a correct root
    divisor = builder("Mul", near, builder.number(2 * (1 + 2**-22)))
    return builder("Add", near, builder("Div", remainder, divisor))
