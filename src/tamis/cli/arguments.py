"""Parsers of option values, whose errors have the style of all other errors."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

from tamis.wording import suggest

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


class Command(TyperCommand):
    """A command that refuses two values of an option that takes one, instead of ignoring the first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line; raise `typer.BadParameter` for a repeated option."""
        _, _, parameters = self.make_parser(ctx).parse_args(args=list(args))
        for option, number in Counter(parameters).items():
            if isinstance(option, TyperOption) and number > 1 and not (option.multiple or option.is_flag):
                raise typer.BadParameter(f"it is given {number} times; give it once", ctx, option)
        return super().parse_args(ctx, args)


def build_integer_parser(least: int | None = None) -> Callable[[str | int], int]:
    """Build a parser of whole numbers from `least`; it raises `typer.BadParameter`, which names the option.

    >>> build_integer_parser(1)("12")
    12
    """

    def read(value: str | int) -> int:
        text = str(value)  # defaults are numbers already
        if not _WHOLE.fullmatch(text.strip()):
            raise typer.BadParameter(f"{text!r} is not a whole number, such as 1000")
        if least is not None and int(text) < least:
            raise typer.BadParameter(f"{text} is too small; the smallest is {least}")
        return int(text)

    return read


def read_tolerance(text: str | float) -> float:
    """Parse the largest allowed difference of scores, a finite number of at least 0.

    >>> read_tolerance("1e-6")
    1e-06
    """
    number = parse_decimal(text)
    if not 0 <= number < math.inf:
        raise typer.BadParameter(f"{text} is not a difference of scores; expected 0 or more, such as 1e-6")
    return number


def parse_decimal(text: str | float) -> float:
    """Parse a number, including `nan` and `inf`.

    >>> parse_decimal("-1")
    -1.0
    """
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number, such as -1 or 1e-6") from None


def build_choice_parser(
    choices: Sequence[str], synonyms: Mapping[str, str] | None = None
) -> Callable[[str], str]:
    """Build a parser of names; it raises `typer.BadParameter`, which names the option.

    Other names of the choices are answered with a suggestion: `{"c++": "cpp"}`.

    >>> build_choice_parser(["onnx", "json"])("json")
    'json'
    """

    def read(text: str) -> str:
        if text not in choices:
            name = (synonyms or {}).get(text.lower(), text)
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(choices)}{suggest(name, choices)}")
        return text

    return read
