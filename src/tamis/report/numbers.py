"""Numbers as people write them: as many digits as the interval supports."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from tamis.report.blocks import Cell

Interval = Sequence[float] | None
_NOTHING = "\N{EN DASH}"
_SMALLEST_FIXED = 1e-6
"""Size from which a number is written without an exponent, so that a column has one notation."""
_ROUNDING = 1e-12
"""Size of a fraction below which it is zero but for rounding."""
CHANCE = "A 68.3% interval leaves out zero in a third of all cases by chance alone."
"""What to say where intervals of differences stand without a test beside them."""


def digits_of(interval: Interval, fallback: int = 4) -> int:
    """Give the decimals at which half of an interval has two digits.

    >>> digits_of([0.9758, 0.9768]), digits_of(None)
    (5, 4)
    """
    if interval is None or not interval[1] > interval[0]:
        return fallback
    half = (interval[1] - interval[0]) / 2
    return max(0, min(8, 1 - math.floor(math.log10(half))))


def with_interval(value: float | None, interval: Interval, *, signed: bool = False) -> tuple[str, str]:
    """Write a number and its interval with the same digits.

    >>> with_interval(0.97631, [0.97582, 0.97683])
    ('0.97631', '[0.97582, 0.97683]')
    """
    if value is None:
        return _NOTHING, ""
    sign, digits = "+" if signed else "", digits_of(interval)
    text = minus(f"{value:{sign}z.{digits}f}")
    if interval is None:
        return text, ""
    low, high = (minus(f"{each:{sign}z.{digits}f}") for each in interval)
    return text, f"[{low}, {high}]"


def with_error(value: float, error: float | None, *, signed: bool = False) -> str:
    """Write a number and its standard deviation with the same digits.

    >>> with_error(1.02345, 0.0123).split()[::2], with_error(0.5, None)
    (['1.023', '0.012'], '0.5000')
    """
    interval = None if error is None else (value - error, value + error)
    text, _ = with_interval(value, interval, signed=signed)
    return text if error is None else f"{text} \N{PLUS-MINUS SIGN} {error:.{digits_of(interval)}f}"


def cell(value: float | None, interval: Interval = None, *, signed: bool = False) -> Cell:
    """Write a number with its interval into a cell, which sorts by the number."""
    text, written = with_interval(value, interval, signed=signed)
    return Cell(text, _sortable(value), note=written)


def short(value: float | None, digits: int = 4) -> Cell:
    """Write a number with some significant digits into a cell; thousands are grouped.

    >>> short(1234.567).text, short(0.00012345).text, short(5.6e-05, 2).text
    ('1,235', '0.0001234', '0.000056')
    """
    return Cell(significant(value, digits), _sortable(value))


def significant(value: float | None, digits: int = 4) -> str:
    """Write a number with some significant digits; thousands are grouped."""
    if value is None or not math.isfinite(value):
        return _NOTHING
    if abs(value) >= 10 ** (digits - 1):
        return minus(f"{value:,.0f}")
    text = f"{value:#.{digits}g}"
    if "e" not in text:
        return minus(text.rstrip("."))
    if abs(value) < _SMALLEST_FIXED:
        return minus(f"{value:.{digits - 1}e}")
    # the exponent of the rounded number, which may be larger than that of the number
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    return minus(f"{value:.{max(0, digits - 1 - exponent)}f}")


def bound(value: float, *, upper: bool) -> str:
    """Write a limit with two digits, rounded to the side on which it stays true.

    >>> bound(16594.0, upper=False), bound(0.002996, upper=True)
    ('> 16,000', '< 0.0030')
    """
    place = 10.0 ** (math.floor(math.log10(value)) - 1)
    rounded = (math.ceil(value / place - 1e-9) if upper else math.floor(value / place + 1e-9)) * place
    return f"{'<' if upper else '>'} {significant(rounded, 2)}"


def percent(value: float | None, digits: int = 1) -> Cell:
    """Write a fraction in percent; one that rounds to zero has a digit that does not, and zero has no sign.

    >>> percent(0.1234).text, percent(0.0).text, percent(0.0002).text, percent(-1e-17).text
    ('12.3%', '0.0%', '0.02%', '0.0%')
    """
    return Cell(_NOTHING if value is None else f"{_percentage(value, digits)}%", _sortable(value))


def _percentage(value: float, digits: int) -> str:
    text = f"{100 * value:z.{digits}f}"
    if float(text) == 0 and abs(value) > _ROUNDING:
        return significant(100 * value, 1)
    return minus(text)


def count(value: float) -> Cell:
    """Write a whole number with its thousands grouped."""
    return Cell(f"{value:,.0f}", value)


def p_value(value: float | None, least: float = 0.001) -> Cell:
    """Write a p-value; below `least` that is all that is said."""
    if value is None:
        return Cell(_NOTHING, None)
    return Cell(f"< {least:g}" if value < least else f"{value:.3g}", value)


def minus(text: str) -> str:
    """Write the minus sign as one."""
    return text.replace("-", "\N{MINUS SIGN}")


def typeset(text: str) -> str:
    """Write the minus signs of the numbers in a sentence as such; names keep their hyphens.

    >>> typeset("bkg-1 by -0.5 +- 0.2") == f"bkg-1 by {chr(0x2212)}0.5 {chr(0xB1)} 0.2"
    True
    """
    return re.sub(r"(?<![\w-])-(?=\.?\d)", "\N{MINUS SIGN}", text.replace(" +- ", " \N{PLUS-MINUS SIGN} "))


def _sortable(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
