"""Checks of the arguments of public functions."""

from __future__ import annotations

import sys

from tamis.errors import RequestError


def check_callable(value: object, name: str) -> None:
    """Refuse an argument that is not a function; the message of the `RequestError` has its name.

    >>> check_callable(print, "epoch of Callbacks")
    """
    if not callable(value):
        raise RequestError(f"{name} takes a function, not {type(value).__name__}")


def check_kind(value: object, kind: type, function: str) -> None:
    """Refuse an optional argument of another type; the `RequestError` names the argument and its function.

    >>> check_kind(None, dict, "options of train")
    """
    if value is not None and not isinstance(value, kind):
        is_public = kind.__name__ in sys.modules["tamis"].__all__
        name = f"tamis.{kind.__name__}" if is_public else f"{kind.__module__}.{kind.__name__}"
        raise RequestError(f"{function} takes an object of {name}, not {type(value).__name__}")
