"""Fixed-point numbers as defined by `ap_fixed`: a quantizer for training, and its reference in integers.

The definition is that of the Vitis HLS user guide, UG1399, "Arbitrary Precision Fixed-Point Data Types".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import assert_never

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float32, Float64, Int64
from tamis.config import FixedPoint
from tamis.config.layers import Rounding

_LONGEST_SHIFT = 62
"""This right shift of an int64 leaves only its sign."""


def quantize(x: jax.Array, form: FixedPoint, fraction: jax.Array | None = None) -> jax.Array:
    """Quantize numbers of any shape to a fixed-point format, exactly.

    The gradient is that of the straight-through estimator, zero outside the range of a format that saturates (Bengio et
    al., arXiv:1308.3432). The number of fractional bits, an integer, [], is by default that of the format. Its gradient
    is that of the rounding error, which is proportional to 2^-fraction (arXiv:2405.00645).

    >>> quantize(jnp.array([1.25, -1.25, 19]), FixedPoint(bits=3, integer=2)).tolist()
    [1.5, -1.0, 1.5]
    """
    return _quantize(x, form, jnp.float32(form.fraction) if fraction is None else fraction)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _quantize(x: jax.Array, form: FixedPoint, fraction: jax.Array) -> jax.Array:
    return _quantize_forward(x, form, fraction)[0]


def _quantize_forward(
    x: jax.Array, form: FixedPoint, fraction: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    steps = x * compute_power_of_two(fraction)
    if form.overflow == "WRAP":
        # the remainder of infinity is not defined
        steps = jnp.clip(steps, np.finfo(np.float32).min, np.finfo(np.float32).max)
    rounded = round_steps(steps, form.rounding)
    lowest, highest = _range(form, fraction)
    inside = (rounded >= lowest) & (rounded <= highest)
    in_range = _apply_overflow(rounded, inside, lowest, highest, form)
    size = compute_power_of_two(-fraction)
    if form.overflow == "WRAP":
        inside = jnp.ones_like(inside)
    return in_range * size, (inside, (steps - rounded) * size)


def _quantize_backward(
    form: FixedPoint, residuals: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    del form
    inside, error = residuals
    passed = jnp.where(inside, gradient, 0)
    # d(x - error)/d(fraction), for error proportional to 2^-fraction
    return passed, np.float32(np.log(2)) * jnp.where(inside, gradient * error, 0).sum()


_quantize.defvjp(_quantize_forward, _quantize_backward)


def compute_power_of_two(exponent: jax.Array) -> jax.Array:
    """Compute 2 to an integer power between -126 and 127 exactly; exp2 is not exact everywhere.

    >>> compute_power_of_two(jnp.array([-3.0, 10.0])).tolist()
    [0.125, 1024.0]
    """
    return jax.lax.bitcast_convert_type((exponent.astype(jnp.int32) + 127) << 23, jnp.float32)


def round_steps(steps: jax.Array, rounding: Rounding) -> jax.Array:
    """Round to integers with a rounding mode of `ap_fixed`.

    >>> round_steps(jnp.array([-1.5, 2.5]), "RND").tolist()
    [-1.0, 3.0]
    """
    truncated = jnp.trunc(steps)
    fraction = steps - truncated  # exact, with the sign of the number
    match rounding:
        case "TRN":
            return truncated - (fraction < 0)
        case "TRN_ZERO":
            return truncated
        case "RND":
            return truncated + (fraction >= 0.5) - (fraction < -0.5)
        case "RND_MIN_INF":
            return truncated + (fraction > 0.5) - (fraction <= -0.5)
        case "RND_ZERO":
            return truncated + (fraction > 0.5) - (fraction < -0.5)
        case "RND_INF":
            return truncated + (fraction >= 0.5) - (fraction <= -0.5)
        case "RND_CONV":
            return jnp.round(steps)
        case _:
            assert_never(rounding)


def _range(form: FixedPoint, fraction: jax.Array) -> tuple[jax.Array, jax.Array]:
    size = compute_power_of_two(fraction + (form.integer - form.signed))
    if not form.signed:
        return jnp.zeros_like(size), size - 1
    return (1 - size if form.overflow == "SAT_SYM" else -size), size - 1


def _apply_overflow(
    steps: jax.Array, inside: jax.Array, lowest: jax.Array, highest: jax.Array, form: FixedPoint
) -> jax.Array:
    match form.overflow:
        case "SAT" | "SAT_SYM":
            return jnp.clip(steps, lowest, highest)
        case "SAT_ZERO":
            return jnp.where(inside, steps, 0)
        case "WRAP":
            period = highest - lowest + 1
            # all operations are exact, because the period is a power of two
            remainder = steps - period * jnp.floor(steps / period)
            return jnp.where(remainder > highest, remainder - period, remainder)
        case _:
            assert_never(form.overflow)


@dataclass(frozen=True)
class Integers:
    """Numbers as integer multiples of 2^-fraction.

    Args:
        steps: int64, any shape.
        fraction: number of fractional bits.
    """

    steps: Int64
    fraction: int

    @property
    def values(self) -> Float64:
        """The numbers as floating-point numbers, exactly."""
        return np.ldexp(self.steps.astype(np.float64), -self.fraction)

    def requantized(self, form: FixedPoint) -> Integers:
        """Quantize the numbers to a format, with integer arithmetic.

        >>> Integers(np.array([-5, 5]), 2).requantized(FixedPoint(bits=3, integer=2)).values
        array([-1. ,  1.5])
        """
        shift = np.full(self.steps.shape, self.fraction - form.fraction)
        return Integers(_overflowed(_shifted(self.steps, shift, form.rounding), form), form.fraction)


def quantize_to_integers(x: Float32, form: FixedPoint) -> Integers:
    """Quantize finite 32-bit numbers with integer arithmetic, as a reference for `quantize`.

    >>> quantize_to_integers(np.array([19, -19], np.float32), FixedPoint(bits=4, integer=4)).steps
    array([ 7, -8])
    """
    return Integers(_overflowed(_rounded_steps(x, form), form), form.fraction)


def compute_overflow(inputs: Float32, form: FixedPoint) -> Float64:
    """Compute the fraction of the values of each input, [n, inputs], outside the range of a format, [inputs].

    >>> compute_overflow(np.array([[1, 9], [2, 3]], np.float32), FixedPoint(bits=8, integer=4))
    array([0. , 0.5])
    """
    steps = _rounded_steps(inputs, form)
    outside = (steps < form.lowest) | (steps > form.highest)
    return np.asarray(outside.mean(axis=0, dtype=np.float64))


def _rounded_steps(x: Float32, form: FixedPoint) -> Int64:
    mantissa, exponent = np.frexp(x.astype(np.float64))
    mantissa_bits = np.ldexp(mantissa, 24).astype(np.int64)  # a 32-bit number has 24 bits
    return _shifted(mantissa_bits, 24 - exponent - form.fraction, form.rounding)


def _shifted(steps: Int64, shift: NDArray[np.int_], rounding: Rounding) -> Int64:
    """Divide by 2^shift and round; left shifts are limited, so that a number of 24 bits does not overflow."""
    up = steps << np.clip(-shift, 0, 63 - 25)
    right = np.clip(shift, 1, _LONGEST_SHIFT)
    down = steps >> right
    remainder = steps - (down << right)  # from 0 to below 2^shift
    half = np.int64(1) << (right - 1)
    tie = remainder == half
    match rounding:
        case "TRN":
            carry = np.zeros_like(tie)
        case "TRN_ZERO":
            carry = (steps < 0) & (remainder > 0)
        case "RND":
            carry = remainder >= half
        case "RND_MIN_INF":
            carry = remainder > half
        case "RND_ZERO":
            carry = (remainder > half) | (tie & (steps < 0))
        case "RND_INF":
            carry = (remainder > half) | (tie & (steps > 0))
        case "RND_CONV":
            carry = (remainder > half) | (tie & (down % 2 == 1))
        case _:
            assert_never(rounding)
    return np.where(shift <= 0, up, down + carry)


def _overflowed(steps: Int64, form: FixedPoint) -> Int64:
    match form.overflow:
        case "SAT" | "SAT_SYM":
            return np.clip(steps, form.lowest, form.highest)
        case "SAT_ZERO":
            return np.where((steps < form.lowest) | (steps > form.highest), 0, steps)
        case "WRAP":
            return (steps - form.lowest) % (1 << form.bits) + form.lowest
        case _:
            assert_never(form.overflow)
