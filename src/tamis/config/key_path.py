"""Paths of keys inside a configuration, such as `samples[1].weight`, and diagnostics of their values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

KeyPath = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[^\W\d][\w+-]*")
_ESCAPE = r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_STEP = re.compile(
    rf"""(?:^|\.)(?P<key>{_PLAIN_KEY.pattern})|\[(?P<index>\d{{1,9}})\]|\[(?P<quoted>"(?:[^"\\\x00-\x1f]|{_ESCAPE})*")\]"""
)


@dataclass(frozen=True)
class Diagnostic:
    """One thing that is wrong, before its line is known.

    Args:
        path: keys and indices from the top of the configuration.
        message: what is wrong, what is expected and what to do.
        line: the line, if it is not that of the path.
    """

    path: KeyPath
    message: str
    line: int | None = None


def format_key_path(path: KeyPath) -> str:
    """Return a path as users read and type it.

    Keys are joined by dots; indices are in brackets, unusual keys in brackets and quotes.

    Example:
        >>> format_key_path(("samples", 1, "weight"))
        'samples[1].weight'
        >>> format_key_path(("classes", "b.c", "label"))
        'classes["b.c"].label'
    """
    text = ""
    for step in path:
        is_plain = isinstance(step, str) and _PLAIN_KEY.fullmatch(step)
        text += f".{step}" if is_plain else f"[{json.dumps(step)}]"
    return text.removeprefix(".")


def parse_key_path(text: str) -> tuple[KeyPath, str]:
    """Parse the path at the beginning of a text.

    Returns:
        The path, empty if the text does not begin with one, and the remaining text.

    Example:
        >>> parse_key_path("samples[1].weight=2")
        (('samples', 1, 'weight'), '=2')
    """
    steps: list[str | int] = []
    position = 0
    while not text.startswith(".") and (match := _STEP.match(text, position)):
        if match["key"] is not None:
            steps.append(match["key"])
        else:
            steps.append(int(match["index"]) if match["index"] else str(json.loads(match["quoted"])))
        position = match.end()
    return tuple(steps), text[position:]


def existing_key_path(location: Sequence[str | int], values: Any) -> KeyPath:
    """Return a path without the steps that are not in the values, such as the tags of unions.

    Example:
        >>> existing_key_path(("optimizer", "adam", "beta1"), {"optimizer": {"name": "adam", "beta1": 2}})
        ('optimizer', 'beta1')
    """
    path: KeyPath = ()
    for step in location:
        is_index = isinstance(values, list | tuple) and isinstance(step, int) and 0 <= step < len(values)
        if is_index or (isinstance(values, Mapping) and step in values):
            path, values = (*path, step), values[step]
    return path
