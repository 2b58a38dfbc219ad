"""Plain words for values that were found and for spellings that were probably meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tamis.wording import suggest

_LONGEST = 60


def describe(value: object) -> str:
    """Say in a few words what a value is.

    Args:
        value: anything that YAML or Python can hold.

    Example:
        >>> describe(True), describe(None), describe("32"), describe([1, 2]), describe(2.5)
        ('true', 'nothing', "the text '32'", 'a list', '2.5')
    """
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {_shortened(repr(value))}"
        case int() | float():
            return _number(value)
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case _:
            return f"a Python {type(value).__name__}"


def _number(value: float) -> str:
    # an int beyond a few thousand digits cannot be written in decimal
    return "a very large number" if abs(value) > 1e300 and isinstance(value, int) else _shortened(str(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def expected_one_of(choices: Sequence[str], found: object) -> str:
    """Say that a value is none of a few words.

    Args:
        choices: the valid words.
        found: what stands there instead.

    Example:
        >>> expected_one_of(["classes", "none"], "clases")
        "expected one of classes, none; found the text 'clases'; did you mean 'classes'?"
    """
    words = choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    hint = suggest(found, choices) if isinstance(found, str) else ""
    return f"expected {words}; found {describe(found)}{hint}"
