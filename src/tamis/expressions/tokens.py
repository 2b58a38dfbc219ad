"""The tokens of an expression: numbers, names and symbols, from left to right."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from keyword import kwlist
from typing import Literal, TypeAlias

from tamis.expressions.diagnostic import build_error

Kind: TypeAlias = Literal["number", "name", "quoted", "symbol", "end"]


@dataclass(frozen=True)
class Token:
    """One token of an expression.

    Args:
        kind: its kind; `quoted` is a branch name in backticks.
        text: its characters, without backticks; `and`, `or` and `not` are symbols.
        at: its position in the expression, in characters from 0.
    """

    kind: Kind
    text: str
    at: int

    @property
    def symbol(self) -> str:
        """The symbol; empty for other tokens."""
        return self.text if self.kind == "symbol" else ""


_WORD = re.compile(
    r"""
    (?P<space> [ \t\r\n]+ )
  | (?P<number> 0[xX][0-9a-fA-F]+ | (?: [0-9]+\.?[0-9]* | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? )
  | (?P<name> [A-Za-z_][A-Za-z0-9_]* (?: (?: \. | :: ) [A-Za-z_][A-Za-z0-9_]* )* )
  | (?P<quoted> `[^`]*` )
  | (?P<refused> := | << | >> | -> | =(?!=) | [;^#'"@$\\{}] )
  | (?P<symbol> \*\* | // | <= | >= | == | != | && | \|\| | [-+*/%<>!~&|?:()\[\],.] )
    """,
    re.VERBOSE,
)
_AFTER_NUMBER = re.compile(r"[A-Za-z0-9_.`]")
_TEXT = "text is not part of an expression: a branch with an unusual name goes into `backticks`"
_BRACES = "curly brackets are not part of an expression: use round ones"
_REMEDIES = {
    "^": "'^' is power in ROOT and exclusive or in Python: write ** or pow(a, b) for the power",
    "=": "'=' would assign: write == (or <=, >=, !=) to compare",
    ":=": "':=' would assign, and an expression is one value: remove the name and ':='",
    ";": "an expression is one value: remove ';' and the text after it",
    "#": "comments are not part of an expression: remove '#' and the text after it",
    "<<": "bit shifts are not available: multiply by a power of two",
    ">>": "bit shifts are not available: divide by a power of two with //",
    "->": "'->' is not available: write the branch name as in the file, such as Jet.pt",
    "@": "'@' is not available: write the branch name as in the file",
    "$": "ROOT's special names with '$' are not available: use plain branches, such as jet_pt[0]",
    "\\": "a backslash is not part of an expression: remove it; an expression may have several lines",
    "'": _TEXT,
    '"': _TEXT,
    "{": _BRACES,
    "}": _BRACES,
}
_SYMBOL_WORDS = {"and": "&&", "or": "||", "not": "not"}
_FORBIDDEN_WORDS = frozenset(kwlist) - {"and", "or", "not", "True", "False"}


def read_tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of an expression, and a final token `end`; lazily, so that the first error is reported first.

    Raises:
        ExpressionError: a character is not part of a token, or part of one that is not allowed.

    >>> [token.text for token in read_tokens("pt>=20 and `my eta`")]
    ['pt', '>=', '20', '&&', 'my eta', '']
    """
    at = 0
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            message = "a backtick is not closed: write the branch name between two of them"
            if text[at] != "`":
                name = unicodedata.name(text[at], "without a name").lower()
                message = f"the character U+{ord(text[at]):04X} ({name}) is not part of an expression"
                message += ": type a plain one, or put a branch name into `backticks`"
            raise build_error(text, at, message)
        if match.lastgroup != "space":
            yield _token(text, match)
        at = match.end()
    yield Token("end", "", len(text))


def _token(text: str, match: re.Match[str]) -> Token:
    word, at = match.group(), match.start()
    match match.lastgroup:
        case "number":
            if _AFTER_NUMBER.match(text, match.end()):
                message = f"{word} is followed by {text[match.end()]!r}: remove suffixes and '_', or write * between"
                raise build_error(text, match.end(), message)
            return Token("number", word, at)
        case "name" if word in _SYMBOL_WORDS:
            return Token("symbol", _SYMBOL_WORDS[word], at)
        case "name" if word in {"if", "else"}:
            message = f"{word!r} is not available: write c ? a : b or where(c, a, b)"
            raise build_error(text, at, message)
        case "name" if word in _FORBIDDEN_WORDS:
            message = (
                f"{word!r} is a word of Python and not available: a branch of this name goes into `backticks`"
            )
            raise build_error(text, at, message)
        case "name":
            return Token("name", word, at)
        case "quoted":
            name = word[1:-1]
            if not name.strip() or not name.isprintable():
                message = "a name in `backticks` must not be empty or contain invisible characters"
                raise build_error(text, at, message)
            return Token("quoted", name, at)
        case "refused":
            raise build_error(text, at, _REMEDIES[word])
        case _:
            return Token("symbol", word, at)
