"""Error messages for expressions: the text with a caret under the error, and suggestions of names."""

from __future__ import annotations

from collections.abc import Collection

from tamis.errors import ExpressionError
from tamis.wording import find_close_names, join_first

_WINDOW = 76
_BEFORE = 50
_LISTED = 8


def build_error(text: str, at: int, message: str) -> ExpressionError:
    """Build an error that shows its position in the expression, in characters from 0.

    >>> print(build_error("pt ^ 2", 3, "'^' is not clear: write **"))
    '^' is not clear: write **
      pt ^ 2
         ^
    """
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].partition("\n")[0]
    # the line is cut to a readable width around the error
    cut = max(0, min(at - start - _BEFORE, len(line) - _WINDOW))
    prefix = "..." if cut else ""
    suffix = "..." if len(line) > cut + _WINDOW else ""
    # every character is replaced by exactly one, so that the caret is at the right position
    shown = "".join(character if character.isprintable() else " " for character in line[cut : cut + _WINDOW])
    caret = " " * (len(prefix) + at - start - cut)
    return ExpressionError(f"{message}\n  {prefix}{shown}{suffix}\n  {caret}^")


def suggest_names(name: str, candidates: Collection[str]) -> str:
    """Suggest the known names that are most similar to an unknown one, as the end of a message.

    >>> suggest_names("Eta", ["pt", "eta", "mass"]), suggest_names("q", ["pt", "eta"])
    ('did you mean eta?', 'there are eta, pt')
    """
    close = find_close_names(name, candidates)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"there are {join_first(sorted(candidates), _LISTED) or 'none'}"
