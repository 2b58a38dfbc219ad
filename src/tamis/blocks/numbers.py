"""Format numbers with as many digits as their interval supports."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from tamis.blocks import Cell
from tamis.wording import format_metric, format_p_value, format_with_error, format_with_interval

Interval = Sequence[float] | None
NOTHING = "\N{EN DASH}"
"""Text of a cell without a value."""
_SMALLEST_FIXED = 1e-6
"""Smallest number without an exponent, so that a column has one notation."""
_ROUNDING = 1e-12
"""Fraction that is zero except for rounding."""
LIMIT_LEVEL = "95% CL"
"""Confidence level of limits on efficiencies and rejections."""
CHANCE = "Below each difference: its 68.3% interval, which excludes zero by chance in a third of all cases."
"""A remark for tables that show intervals of differences without a test."""


def with_interval(value: float | None, interval: Interval, *, signed: bool = False) -> tuple[str, str]:
    """Write a number and its interval with the same digits.

    >>> with_interval(0.97631, [0.97582, 0.97683])
    ('0.97631', '[0.97582, 0.97683]')
    """
    if value is None:
        return NOTHING, ""
    text, written = format_with_interval(value, interval, signed=signed)
    return minus(text), minus(written)


def with_error(value: float, error: float | None, *, signed: bool = False) -> str:
    """Write a number and its standard deviation with the same digits.

    >>> with_error(1.02345, 0.0123).split()[::2], with_error(0.5, None)
    (['1.023', '0.012'], '0.5000')
    """
    return typeset(format_with_error(value, error, signed=signed))


def cell(value: float | None, interval: Interval = None, *, signed: bool = False) -> Cell:
    """Return a cell with a number and its interval."""
    text, note = with_interval(value, interval, signed=signed)
    return Cell(text, _sort_key(value), note=note)


def metric(value: float | None, interval: Interval = None) -> Cell:
    """Return a cell with a loss, an accuracy, an area or a score, and its interval (`format_metric`)."""
    if value is None:
        return Cell(NOTHING)
    text, note = format_metric(value, interval)
    return Cell(minus(text), _sort_key(value), note=minus(note))


def short(value: float | None, digits: int = 4) -> Cell:
    """Return a cell with a number of some significant digits (`significant`).

    >>> short(1234.567).text, short(0.00012345).text, short(5.6e-05, 2).text
    ('1,235', '0.0001234', '0.000056')
    """
    return Cell(significant(value, digits), _sort_key(value))


def significant(value: float | None, digits: int = 4) -> str:
    """Write a number with some significant digits and with thousands separators."""
    if value is None or not math.isfinite(value):
        return NOTHING
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
    """Write an upper or lower limit with two digits, rounded so that it remains true.

    >>> bound(16594.0, upper=False), bound(0.002996, upper=True)
    ('> 16,000', '< 0.0030')
    """
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    rounded = (math.ceil(value / unit - 1e-9) if upper else math.floor(value / unit + 1e-9)) * unit
    return f"{'<' if upper else '>'} {significant(rounded, 2)}"


def percent(value: float | None, digits: int = 1) -> Cell:
    """Return a cell with a fraction in percent; only an exact zero is written as zero, and it has no sign.

    >>> percent(0.1234).text, percent(0.0).text, percent(0.0002).text, percent(-1e-17).text
    ('12.3%', '0.0%', '0.02%', '0.0%')
    """
    if value is None:
        return Cell(NOTHING)
    text = minus(f"{100 * value:z.{digits}f}")
    if not text.strip("0.") and abs(value) > _ROUNDING:
        text = significant(100 * value, 1)
    return Cell(f"{text}%", _sort_key(value))


def count(value: float) -> Cell:
    """Return a cell with a whole number with thousands separators."""
    return Cell(f"{value:,.0f}", value)


def p_value(value: float | None, *, smallest: float | None = None) -> Cell:
    """Return a cell with a p-value, as `format_p_value` writes it.

    >>> p_value(0.0005).text, p_value(0.04).text
    ('< 0.001', '0.04')
    """
    if value is None:
        return Cell(NOTHING)
    text = format_p_value(value, smallest=smallest).removeprefix("p ").removeprefix("= ")
    return Cell(typeset(text), value)


def minus(text: str) -> str:
    """Replace hyphens by minus signs."""
    return text.replace("-", "\N{MINUS SIGN}")


def typeset(text: str) -> str:
    """Replace -, +- and <= before numbers by the typographic signs; hyphens in names stay.

    >>> typeset("bkg-1 by -0.5 +- 0.2") == f"bkg-1 by {chr(0x2212)}0.5 {chr(0xB1)} 0.2"
    True
    """
    text = text.replace(" +- ", " \N{PLUS-MINUS SIGN} ")
    text = re.sub(r"<=(?= \d)", "\N{LESS-THAN OR EQUAL TO}", text)
    return re.sub(r"(?<![\w-])-(?=\.?\d)", "\N{MINUS SIGN}", text)


def _sort_key(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def rejection(value: float | None, interval: tuple[float, float | None] | None, limit: float | None) -> Cell:
    """Return a cell with a background rejection and its interval, or its lower limit if no background event passes.

    The upper end of the interval is None if possibly no background event passes.

    >>> rejection(50.04, (25.0, None), None).note == f"[25, {chr(0x221E)})", rejection(None, None, 100.0).text
    (True, '> 100')
    """
    if limit is not None:
        return Cell(bound(limit, upper=False), limit, note=LIMIT_LEVEL)
    if value is None or interval is None:
        return short(value)
    low, high = interval
    number = cell(value, (low, 2 * value - low if high is None else high))
    note = number.note if high is not None else f"{number.note.partition(', ')[0]}, \N{INFINITY})"
    return replace(number, note=note)
