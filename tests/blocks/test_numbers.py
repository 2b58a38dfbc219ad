"""Numbers are written with the digits that they support, and limits on the side on which they hold."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.blocks.numbers import (
    bound,
    cell,
    count,
    metric,
    p_value,
    percent,
    rejection,
    short,
    significant,
    with_error,
    with_interval,
)
from tamis.cli.tables import format_sum
from tamis.wording import (
    count_decimals,
    format_change,
    format_metric,
    format_range,
    format_with_error,
    format_with_interval,
)

SIZES = st.floats(1e-9, 1e9)


def number_in(text: str) -> float:
    return float(text.lstrip("<> ").replace(",", "").replace("\N{MINUS SIGN}", "-"))


@given(SIZES)
def test_a_limit_holds_as_it_is_written(value: float) -> None:
    upper, lower = bound(value, upper=True), bound(value, upper=False)
    assert (upper[0], lower[0]) == ("<", ">")
    # what has two digits but for rounding stays as it is
    assert value * (1 - 1e-9) <= number_in(upper) <= value * 1.1000001
    assert value * 0.8999999 <= number_in(lower) <= value * (1 + 1e-9)


@pytest.mark.parametrize(
    ("value", "upper", "lower"),
    [
        (16501.0, "< 17,000", "> 16,000"),
        (0.00304, "< 0.0031", "> 0.0030"),
        (0.3, "< 0.30", "> 0.30"),
        (6.11e-5, "< 0.000062", "> 0.000061"),
    ],
)
def test_a_limit_has_two_digits(value: float, upper: str, lower: str) -> None:
    assert (bound(value, upper=True), bound(value, upper=False)) == (upper, lower)


@given(st.floats(1e-6, 1e4))
def test_half_an_interval_has_two_digits(half: float) -> None:
    digits = count_decimals([0, 2 * half])
    assert digits >= 0
    assert half * 10**digits >= 10 * (1 - 1e-9)
    assert half * 10**digits < 100 * (1 + 1e-9) or digits == 0


def test_number_interval_and_error_have_the_same_digits() -> None:
    assert with_interval(0.976312, [0.97582, 0.97683]) == ("0.97631", "[0.97582, 0.97683]")
    assert with_interval(-12.34, [-15.6, -9.1]) == (
        "\N{MINUS SIGN}12.3",
        "[\N{MINUS SIGN}15.6, \N{MINUS SIGN}9.1]",
    )
    assert with_interval(0.5, None, signed=True) == ("+0.5000", "")
    assert with_error(2.3456, 0.0371) == "2.346 \N{PLUS-MINUS SIGN} 0.037"


@pytest.mark.parametrize(("value", "text"), [(0.000999, "< 0.001"), (0.001, "0.001"), (0.04567, "0.0457")])
def test_a_p_value_is_a_number_from_its_least_value_on(value: float, text: str) -> None:
    assert (p_value(value).text, p_value(value).value) == (text, value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.005, "\N{LESS-THAN OR EQUAL TO} 0.005"),
        (0.01, "0.01"),
        (1.0, "> 0.99"),
        (0.9901, "> 0.99"),
        (0.0005, "\N{LESS-THAN OR EQUAL TO} 0.0005"),
    ],
)
def test_a_p_value_of_permutations_has_no_number_below_what_they_can_give(value: float, text: str) -> None:
    """199 permutations give 0.005 where none deviates as much: the p-value may be anything below."""
    assert p_value(value, smallest=0.005).text == text


@given(st.floats(-1, 1), st.integers(0, 4))
def test_a_zero_in_percent_has_no_sign_and_what_is_no_zero_is_not_written_as_one(
    value: float, digits: int
) -> None:
    text = percent(value, digits).text.removesuffix("%")
    written = number_in(text)
    assert abs(written - 100 * value) <= 0.5000001 * 10.0**-digits
    if written == 0:
        assert "\N{MINUS SIGN}" not in text
        assert abs(value) <= 1e-12


@pytest.mark.parametrize(
    ("value", "text"),
    [(5.6e-05, "0.000056"), (0.0046, "0.0046"), (9.99e-05, "0.00010"), (-5.6e-05, "\N{MINUS SIGN}0.000056")],
)
def test_numbers_of_one_column_have_one_notation(value: float, text: str) -> None:
    assert significant(value, 2) == text


FORMATTERS = {
    "with_interval": lambda value: with_interval(value, (value - 1.0, 1.0)),
    "with_error": lambda value: with_error(value, 1.0),
    "with_error, signed": lambda value: with_error(value, 1.0, signed=True),
    "cell": cell,
    "cell with interval": lambda value: cell(1.0, (value, 2.0)).note,
    "metric": lambda value: metric(value, (value, 1.0)),
    "short": short,
    "significant": lambda value: (significant(value), significant(value, 1)),
    "percent": lambda value: (percent(value), percent(value, 2)),
    "count": count,
    "rejection": lambda value: rejection(value, (value, None), None),
    "format_change": lambda value: format_change(value, (value - 1.0, value + 1.0)),
    "format_metric": format_metric,
    "format_range": lambda value: format_range(value, 1.0),
    "format_sum": format_sum,
    "format_with_error": lambda value: format_with_error(value, 0.3),
    "format_with_interval": lambda value: format_with_interval(
        value, (value - 1.0, value + 1.0), signed=True
    ),
}


@pytest.mark.parametrize("value", [-0.0, -1e-17, -1e-13, -4e-5, -0.004, -0.3])
@pytest.mark.parametrize("name", FORMATTERS)
def test_no_zero_has_a_minus_sign(name: str, value: float) -> None:
    text = repr(FORMATTERS[name](value)).replace("\N{MINUS SIGN}", "-")
    assert not re.search(r"-0(\.0+)?(?![\d.e])", re.sub(r"value=[-\d.e]+", "", text)), text
