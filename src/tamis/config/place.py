"""Places inside a configuration, such as `samples[1].weight`, and what is wrong there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Place = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[^\W\d][\w+-]*")
_ESCAPE = r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_STEP = re.compile(
    rf"""(?:^|\.)(?P<key>{_PLAIN_KEY.pattern})|\[(?P<index>\d{{1,9}})\]|\[(?P<quoted>"(?:[^"\\\x00-\x1f]|{_ESCAPE})*")\]"""
)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, before its line is looked up.

    Args:
        place: keys and indices from the top of the configuration.
        message: what was found, what was expected and what to do.
        line: the line, where it is not the line of the place.
    """

    place: Place
    message: str
    line: int | None = None


def render_place(place: Place) -> str:
    """Write a place the way users read and type it.

    Args:
        place: keys and indices from the top of the configuration.

    Returns:
        Keys joined by dots, indices in brackets, unusual keys in brackets and quotes.

    Example:
        >>> render_place(("samples", 1, "weight"))
        'samples[1].weight'
        >>> render_place(("classes", "b.c", "label"))
        'classes["b.c"].label'
    """
    return "".join(_render_step(step) for step in place).removeprefix(".")


def _render_step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_KEY.fullmatch(step) else f"[{json.dumps(step)}]"


def read_place(text: str) -> tuple[Place, str]:
    """Read a place from the front of a text.

    Args:
        text: what begins with a place in the spelling of `render_place`.

    Returns:
        The place, empty where the text does not begin with one, and the rest of the text.

    Example:
        >>> read_place("samples[1].weight=2")
        (('samples', 1, 'weight'), '=2')
    """
    steps: list[str | int] = []
    position = 0
    while not text.startswith(".") and (match := _STEP.match(text, position)):
        steps.append(_read_step(match))
        position = match.end()
    return tuple(steps), text[position:]


def _read_step(match: re.Match[str]) -> str | int:
    if match["index"] is not None:
        return int(match["index"])
    if match["quoted"] is not None:
        return str(json.loads(match["quoted"]))
    return match["key"]


def existing_place(location: Sequence[str | int], values: Any) -> Place:
    """Leave out the steps that are not in the file, such as the names of alternatives.

    Args:
        location: keys and indices, with others in between.
        values: the plain values.

    Returns:
        The steps that lead somewhere.

    Example:
        >>> existing_place(("optimizer", "adam", "beta1"), {"optimizer": {"name": "adam", "beta1": 2}})
        ('optimizer', 'beta1')
    """
    place: Place = ()
    for step in location:
        if _leads_on(values, step):
            place, values = (*place, step), values[step]
    return place


def _leads_on(values: Any, step: str | int) -> bool:
    if isinstance(values, Mapping):
        return step in values
    return isinstance(values, list | tuple) and isinstance(step, int) and 0 <= step < len(values)
