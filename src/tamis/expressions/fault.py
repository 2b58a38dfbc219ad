"""Messages about an expression: the text with a caret under the place, and names that lie near."""

from __future__ import annotations

from collections.abc import Collection

from tamis.errors import ExpressionError
from tamis.wording import close_names

_WINDOW = 76
_BEFORE = 50
_LISTED = 8


def fault(text: str, at: int, message: str) -> ExpressionError:
    """Make an error that shows where in an expression the fault lies.

    Args:
        text: the whole expression.
        at: the place of the fault, in characters from 0.
        message: what is wrong and what to do.

    Returns:
        The error, to be raised by the caller.

    Example:
        >>> print(fault("pt ^ 2", 3, "'^' is not clear: write **"))
        '^' is not clear: write **
          pt ^ 2
             ^
    """
    return ExpressionError(f"{message}\n{_pointed(text, at)}")


def nearest(name: str, candidates: Collection[str]) -> str:
    """Say which known names are spelled most like an unknown one.

    Args:
        name: the unknown name.
        candidates: the known names.

    Returns:
        A clause for the end of a message.

    Example:
        >>> nearest("Eta", ["pt", "eta", "mass"])
        'did you mean eta?'
        >>> nearest("q", ["pt", "eta"])
        'there are eta, pt'
    """
    close = close_names(name, candidates)
    if close:
        return f"did you mean {' or '.join(close)}?"
    listed = sorted(candidates)[:_LISTED]
    more = f" and {len(candidates) - len(listed)} more" if len(candidates) > len(listed) else ""
    return f"there are {', '.join(listed)}{more}" if listed else "there are none"


def _pointed(text: str, at: int) -> str:
    """Give the line of the fault, cut to a readable width, above a caret."""
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[start:] if end < 0 else text[start:end]
    cut = max(0, min(at - start - _BEFORE, len(line) - _WINDOW))
    before = "..." if cut else ""
    after = "..." if len(line) > cut + _WINDOW else ""
    # One character stands for one character, so that the caret stays below its place.
    shown = "".join(character if character.isprintable() else " " for character in line[cut : cut + _WINDOW])
    return f"  {before}{shown}{after}\n  {' ' * (len(before) + at - start - cut)}^"
