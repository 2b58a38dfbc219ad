"""The words of an expression: numbers, names and symbols, read from left to right."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from keyword import kwlist
from typing import Literal, TypeAlias

from tamis.errors import ExpressionError
from tamis.expressions.fault import fault

Kind: TypeAlias = Literal["number", "name", "quoted", "symbol", "end"]


@dataclass(frozen=True)
class Token:
    """One word of an expression.

    Args:
        kind: what it is; `quoted` is a branch name that stood in backticks.
        text: its characters, without backticks; `and`, `or` and `not` are given as symbols.
        at: its place in the expression, in characters from 0.
    """

    kind: Kind
    text: str
    at: int

    @property
    def symbol(self) -> str:
        """The symbol, or nothing where the token is none."""
        return self.text if self.kind == "symbol" else ""


_SPACE = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(
    r"""
    (?P<number> 0[xX][0-9a-fA-F]+ | (?: [0-9]+\.?[0-9]* | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? )
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
    ":=": "':=' would assign, and an expression is one value: leave the name and ':=' out",
    ";": "an expression is one value: leave ';' and what follows out",
    "#": "comments are not part of an expression: leave '#' and what follows out",
    "<<": "bit shifts are not available: multiply by a power of two",
    ">>": "bit shifts are not available: divide by a power of two with //",
    "->": "'->' reaches into an object: write the branch name as the file spells it, such as Jet.pt",
    "@": "'@' is not available: write the branch name as the file spells it",
    "$": "ROOT's special names with '$' are not available: use plain branches, such as jet_pt[0]",
    "\\": "a backslash is not part of an expression: leave it out; an expression may run over several lines",
    "'": _TEXT,
    '"': _TEXT,
    "{": _BRACES,
    "}": _BRACES,
}
_SYMBOL_WORDS = {"and": "&&", "or": "||", "not": "not"}
_FORBIDDEN_WORDS = frozenset(kwlist) - {"and", "or", "not", "True", "False"}


def tokens(text: str) -> Iterator[Token]:
    """Read the words of an expression, the last one being the end.

    Args:
        text: the expression.

    Yields:
        The tokens, in the order of the text; read on demand, so that the first fault is told first.

    Raises:
        ExpressionError: where a character belongs to no word, or to one that is refused.

    Example:
        >>> [token.text for token in tokens("pt>=20 and `my eta`")]
        ['pt', '>=', '20', '&&', 'my eta', '']
    """
    at = _skip_space(text, 0)
    while at < len(text):
        found = _WORD.match(text, at)
        if found is None:
            raise _strange_character(text, at)
        yield _token(text, found)
        at = _skip_space(text, found.end())
    yield Token("end", "", len(text))


def _skip_space(text: str, at: int) -> int:
    """Give the place of the next character that is not white space."""
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _token(text: str, found: re.Match[str]) -> Token:
    """Check one word and give its token."""
    word, at = found.group(), found.start()
    match found.lastgroup:
        case "number":
            if _AFTER_NUMBER.match(text, found.end()):
                message = f"{word} runs into what follows: leave suffixes and '_' out, or put * between"
                raise fault(text, found.end(), message)
            return Token("number", word, at)
        case "name":
            return _name(text, word, at)
        case "quoted":
            return _quoted(text, word, at)
        case "refused":
            raise fault(text, at, _REMEDIES[word])
        case _:
            return Token("symbol", word, at)


def _name(text: str, word: str, at: int) -> Token:
    """Give the token of a name or of a word that is an operator."""
    if word in _SYMBOL_WORDS:
        return Token("symbol", _SYMBOL_WORDS[word], at)
    if word in {"if", "else"}:
        raise fault(text, at, f"{word!r} is not available: write c ? a : b or where(c, a, b)")
    if word in _FORBIDDEN_WORDS:
        message = (
            f"{word!r} is a word of Python and not available: a branch of this name goes into `backticks`"
        )
        raise fault(text, at, message)
    return Token("name", word, at)


def _quoted(text: str, word: str, at: int) -> Token:
    """Give the token of a branch name in backticks."""
    name = word[1:-1]
    if not name.strip() or not name.isprintable():
        raise fault(text, at, "a name in `backticks` needs characters, and only such as can be seen")
    return Token("quoted", name, at)


def _strange_character(text: str, at: int) -> ExpressionError:
    """Make the error about a character that no word begins with."""
    character = text[at]
    if character == "`":
        return fault(text, at, "a backtick is not closed: write the branch name between two of them")
    name = unicodedata.name(character, "without a name")
    message = f"the character U+{ord(character):04X} ({name.lower()}) is not part of an expression"
    return fault(text, at, f"{message}: type a plain one, or put a branch name into `backticks`")
