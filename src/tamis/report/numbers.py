"""Numbers as people write them: as many digits as the interval supports."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tamis.report.blocks import Cell

Interval = Sequence[float] | None
_NOTHING = "\N{EN DASH}"


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


def cell(value: float | None, interval: Interval = None, *, signed: bool = False) -> Cell:
    """Write a number with its interval into a cell, which sorts by the number."""
    text, written = with_interval(value, interval, signed=signed)
    return Cell(text, _sortable(value), note=written)


def short(value: float | None, digits: int = 4) -> Cell:
    """Write a number with some significant digits into a cell; thousands are grouped.

    >>> short(1234.567).text, short(0.00012345).text
    ('1,235', '0.0001234')
    """
    return Cell(significant(value, digits), _sortable(value))


def significant(value: float | None, digits: int = 4) -> str:
    """Write a number with some significant digits; thousands are grouped."""
    if value is None or not math.isfinite(value):
        return _NOTHING
    if abs(value) >= 10 ** (digits - 1):
        return minus(f"{value:,.0f}")
    text = f"{value:#.{digits}g}"
    return minus(text.rstrip(".") if "e" not in text else f"{value:.{digits - 1}g}")


def percent(value: float | None, digits: int = 1) -> Cell:
    """Write a fraction in percent."""
    return Cell(_NOTHING if value is None else minus(f"{100 * value:.{digits}f}%"), _sortable(value))


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


def _sortable(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
