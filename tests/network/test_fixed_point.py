from __future__ import annotations

from itertools import product
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.config import FixedPoint, Overflow, Rounding
from tamis.network.fixed_point import (
    Integers,
    compute_overflow,
    compute_power_of_two,
    quantize,
    quantize_to_integers,
    round_steps,
)

ROUNDINGS = get_args(Rounding)
OVERFLOWS = get_args(Overflow)
EVERY_KIND = [*product(ROUNDINGS, OVERFLOWS, (True, False))]


def both(values: object, form: FixedPoint) -> list[float]:
    """Quantize with JAX and in integers, which must agree."""
    x = np.asarray(values, np.float32)
    found = np.asarray(quantize(jnp.asarray(x), form))
    np.testing.assert_array_equal(found, quantize_to_integers(x, form).values)
    return found.tolist()


# UG1399, "Quantization Modes": ap_fixed<3, 2, mode, AP_SAT> of 1.25 and -1.25
@pytest.mark.parametrize(
    ("rounding", "up", "down"),
    [
        ("RND", 1.5, -1.0),
        ("RND_ZERO", 1.0, -1.0),
        ("RND_MIN_INF", 1.0, -1.5),
        ("RND_INF", 1.5, -1.5),
        ("RND_CONV", 1.0, -1.0),
        ("TRN", 1.0, -1.5),
        ("TRN_ZERO", 1.0, -1.0),
    ],
)
def test_rounding_gives_the_answers_of_the_manual(rounding: Rounding, up: float, down: float) -> None:
    assert both([1.25, -1.25], FixedPoint(bits=3, integer=2, rounding=rounding)) == [up, down]


# UG1399, "Overflow Modes": ap_fixed<4, 4> and ap_ufixed<4, 4> of 19 and -19
@pytest.mark.parametrize(
    ("overflow", "signed", "high", "low"),
    [
        ("SAT", True, 7, -8),
        ("SAT", False, 15, 0),
        ("SAT_ZERO", True, 0, 0),
        ("SAT_ZERO", False, 0, 0),
        ("SAT_SYM", True, 7, -7),
        ("SAT_SYM", False, 15, 0),
        ("WRAP", True, 3, -3),
        ("WRAP", False, 3, 13),
    ],
)
def test_overflow_gives_the_answers_of_the_manual(
    overflow: Overflow, signed: bool, high: float, low: float
) -> None:
    form = FixedPoint(bits=4, integer=4, signed=signed, overflow=overflow)
    assert both([19, -19], form) == [high, low]


# the ties, and the numbers right beside them
@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ("TRN", [-3, -2, -2, -1, 0, 0, 1, 2, 2]),
        ("TRN_ZERO", [-2, -1, -1, 0, 0, 0, 1, 2, 2]),
        ("RND", [-2, -1, -1, 0, 0, 1, 2, 3, 3]),
        ("RND_ZERO", [-2, -1, -1, 0, 0, 0, 1, 2, 3]),
        ("RND_INF", [-3, -2, -1, 0, 0, 1, 2, 3, 3]),
        ("RND_MIN_INF", [-3, -2, -1, 0, 0, 0, 1, 2, 3]),
        ("RND_CONV", [-2, -2, -1, 0, 0, 0, 2, 2, 3]),
    ],
)
def test_ties_are_told_from_their_neighbours(rounding: Rounding, expected: list[float]) -> None:
    half, above = np.float32(0.5), np.nextafter(np.float32(2.5), np.float32(3))
    below = np.nextafter(half, np.float32(0))
    x = np.array([-2.5, -1.5, -1.25, -below, below, half, 1.5, 2.5, above], np.float32)
    assert round_steps(jnp.asarray(x), rounding).tolist() == expected
    assert both(x, FixedPoint(bits=8, integer=8, rounding=rounding)) == expected


def test_the_lowest_number_is_not_symmetric() -> None:
    assert both([-8], FixedPoint(bits=4, integer=4, overflow="SAT_SYM")) == [-7]
    assert both([-8], FixedPoint(bits=4, integer=4, overflow="SAT")) == [-8]


@pytest.mark.parametrize(("rounding", "overflow", "signed"), EVERY_KIND)
def test_the_quantizer_equals_the_integers(rounding: Rounding, overflow: Overflow, signed: bool) -> None:
    rng = np.random.default_rng(1)
    sizes = 10.0 ** rng.uniform(-30, 38, 4000)
    x = np.concatenate([rng.normal(size=4000) * sizes, rng.normal(0, 6, 4000), np.arange(-1000, 1000) / 64])
    for bits, integer in ((7, 3), (24, 5), (4, -2), (5, 9)):
        both(x, FixedPoint(bits=bits, integer=integer, signed=signed, rounding=rounding, overflow=overflow))


FORMATS = st.builds(
    FixedPoint,
    bits=st.integers(2, 12),
    integer=st.integers(-4, 10),
    signed=st.booleans(),
    rounding=st.sampled_from(ROUNDINGS),
    overflow=st.sampled_from(OVERFLOWS),
)
NUMBERS = st.lists(
    st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False), max_size=8
)


@given(form=FORMATS, numbers=NUMBERS)
def test_what_is_quantized_fits_and_stays(form: FixedPoint, numbers: list[float]) -> None:
    found = quantize_to_integers(np.array(numbers, np.float32), form)
    assert ((found.steps >= form.lowest) & (found.steps <= form.highest)).all()
    np.testing.assert_array_equal(
        quantize_to_integers(found.values.astype(np.float32), form).steps, found.steps
    )
    np.testing.assert_array_equal(found.requantized(form).steps, found.steps)


@given(form=FORMATS, steps=st.lists(st.integers(-(2**23), 2**23), max_size=8), fraction=st.integers(-6, 20))
def test_shifts_equal_floating_point(form: FixedPoint, steps: list[int], fraction: int) -> None:
    numbers = Integers(np.array(steps, np.int64), fraction)
    expected = quantize_to_integers(numbers.values.astype(np.float32), form)
    np.testing.assert_array_equal(numbers.requantized(form).steps, expected.steps)


@given(numbers=st.lists(st.floats(-7.5, 7.5, width=32), min_size=1, max_size=8), bits=st.integers(6, 20))
def test_more_bits_come_closer(numbers: list[float], bits: int) -> None:
    x = np.array(numbers, np.float32)
    form = FixedPoint(bits=bits, integer=4)
    assert np.abs(quantize_to_integers(x, form).values - x).max() <= 2.0 ** -(form.fraction + 1)


def test_infinity_saturates_and_what_is_no_number_is_none() -> None:
    x = jnp.array([jnp.inf, -jnp.inf, jnp.nan])
    for rounding in ROUNDINGS:
        found = quantize(x, FixedPoint(bits=4, integer=4, rounding=rounding))
        np.testing.assert_array_equal(found, [7, -8, np.nan])
        wrapped = quantize(x, FixedPoint(bits=4, integer=4, rounding=rounding, overflow="WRAP"))
        np.testing.assert_array_equal(wrapped, [0, 0, np.nan])


@pytest.mark.parametrize(("rounding", "overflow"), [*product(ROUNDINGS, OVERFLOWS)])
def test_gradients_go_straight_through_inside_the_range(rounding: Rounding, overflow: Overflow) -> None:
    form = FixedPoint(bits=4, integer=3, rounding=rounding, overflow=overflow)
    x = jnp.array([-9.0, -2.3, 0.1, 3.2, 9.0])
    gradient = jax.grad(lambda x: (jnp.arange(1.0, 6.0) * quantize(x, form)).sum())(x)
    outside = 1.0 if overflow == "WRAP" else 0.0
    assert gradient.tolist() == [outside, 2.0, 3.0, 4.0, 5 * outside]


def test_the_gradient_of_the_bits_follows_the_rounding_error() -> None:
    form = FixedPoint(bits=6, integer=3)
    x = jnp.array([0.3, -1.21, 100.0])
    gradient = jax.grad(lambda bits: quantize(x, form, bits).sum())(jnp.float32(3))
    inside = np.array([0.3, -1.21])
    expected = np.log(2) * (inside - np.round(inside * 8) / 8).sum()
    assert float(gradient) == pytest.approx(expected, rel=1e-4)


@settings(max_examples=30)
@given(
    form=FORMATS,
    less=st.integers(0, 4),
    numbers=st.lists(st.floats(-50, 50, width=32), min_size=4, max_size=4),
)
def test_fewer_fractional_bits_are_a_shorter_format(
    form: FixedPoint, less: int, numbers: list[float]
) -> None:
    less = min(less, form.bits - 2)
    shorter = form.model_copy(update={"bits": form.bits - less})
    x = jnp.asarray(np.array(numbers, np.float32))
    found = quantize(x, form, jnp.float32(form.fraction - less))
    np.testing.assert_array_equal(found, quantize(x, shorter))


def test_powers_of_two_are_exact() -> None:
    exponents = np.arange(-126, 128)
    found = np.asarray(compute_power_of_two(jnp.asarray(exponents, jnp.float32)))
    np.testing.assert_array_equal(found, np.ldexp(np.float32(1), exponents))


def test_overflowing_inputs_are_counted() -> None:
    form = FixedPoint(bits=8, integer=4)
    rng = np.random.default_rng(0)
    x = rng.normal(0, [[1.0, 4.0, 100.0]], (20_000, 3)).astype(np.float32)
    # the range is -8 to 7.9375, and half a step above it is still rounded into it
    expected = ((x < -8.03125) | (x >= 7.96875)).mean(axis=0)
    np.testing.assert_allclose(compute_overflow(x, form), expected, atol=1e-12)
    assert compute_overflow(x, form)[0] == 0
    wide = FixedPoint(bits=24, integer=20)
    assert compute_overflow(x, wide).tolist() == [0, 0, 0]
