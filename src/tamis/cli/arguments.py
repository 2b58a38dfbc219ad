"""Reads the values of options; what is none is refused in the words of all other errors."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

import typer

from tamis.wording import suggest

Choice = TypeVar("Choice", bound=StrEnum)

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


def whole_number(least: int | None = None) -> Callable[[str | int], int]:
    """Make a reader of whole numbers.

    Args:
        least: the smallest number that it takes; by default any.

    Returns:
        a function that reads text; it raises `typer.BadParameter`, which names the option.

    >>> whole_number(1)("12")
    12
    """

    def read(given: str | int) -> int:
        text = str(given)  # a default comes as a number
        if not _WHOLE.fullmatch(text.strip()):
            raise typer.BadParameter(f"{text!r} is not a whole number, such as 1000")
        if least is not None and int(text) < least:
            raise typer.BadParameter(f"{text} is too small; the smallest is {least}")
        return int(text)

    return read


def read_tolerance(text: str | float) -> float:
    """Read by how much scores may differ.

    Raises:
        typer.BadParameter: it is not a finite number, or negative.

    >>> read_tolerance("1e-6")
    1e-06
    """
    number = decimal(text)
    if not 0 <= number < math.inf:
        raise typer.BadParameter(f"{text} is not a difference of scores; expected 0 or more, such as 1e-6")
    return number


def decimal(text: str | float) -> float:
    """Read a number, also `nan` and `inf`.

    Raises:
        typer.BadParameter: it is none.

    >>> decimal("-1")
    -1.0
    """
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number, such as -1 or 1e-6") from None


def one_of(choices: type[Choice]) -> Callable[[str], Choice]:
    """Make a reader of names.

    Args:
        choices: the names that it takes.

    Returns:
        a function that reads text; it raises `typer.BadParameter`, which names the option.

    >>> one_of(StrEnum("Form", {"ONNX": "onnx", "JSON": "json"}))("json")
    <Form.JSON: 'json'>
    """

    def read(text: str) -> Choice:
        known = [each.value for each in choices]
        if text not in known:
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(known)}{suggest(text, known)}")
        return choices(text)

    return read
