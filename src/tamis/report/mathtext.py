"""Mathtext of labels as text, for sentences of a page."""

from __future__ import annotations

import re
import unicodedata

_ACCENTS = {
    "bar": "\u0304",
    "overline": "\u0304",
    "tilde": "\u0303",
    "hat": "\u0302",
    "dot": "\u0307",
    "vec": "\u20d7",
}
"""Commands that put a sign on a letter, and the combining characters for them."""
_SYMBOLS = {
    "to": "\N{RIGHTWARDS ARROW}", "rightarrow": "\N{RIGHTWARDS ARROW}", "leftarrow": "\N{LEFTWARDS ARROW}",
    "ell": "\N{SCRIPT SMALL L}", "pm": "\N{PLUS-MINUS SIGN}", "mp": "\N{MINUS-OR-PLUS SIGN}",
    "times": "\N{MULTIPLICATION SIGN}", "cdot": "\N{MIDDLE DOT}", "infty": "\N{INFINITY}",
    "sim": "\N{TILDE OPERATOR}", "approx": "\N{ALMOST EQUAL TO}", "leq": "\N{LESS-THAN OR EQUAL TO}",
    "geq": "\N{GREATER-THAN OR EQUAL TO}", "sqrt": "\N{SQUARE ROOT}", "prime": "\N{PRIME}",
    "lambda": "\N{GREEK SMALL LETTER LAMDA}", "Lambda": "\N{GREEK CAPITAL LETTER LAMDA}",
    "varepsilon": "\N{GREEK SMALL LETTER EPSILON}", "varphi": "\N{GREEK SMALL LETTER PHI}",
    "quad": " ",
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("0123456789+-()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿ")
_SUBSCRIPTS = str.maketrans("0123456789+-()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_TOKEN = re.compile(r"\\[A-Za-z]+\s?|\\.|[{}^_]|.", re.DOTALL)


def write_as_text(label: str) -> str:
    r"""Write a label as text: Greek letters, accents, superscripts and subscripts as far as Unicode has them.

    What Unicode does not have is written without its command, so that the text stays readable.

    >>> write_as_text(r"$H \to \tau^+\tau^-$"), write_as_text("cost in \\$"), write_as_text(r"$p_T^{\mathrm{miss}}$")
    ('H → τ⁺τ⁻', 'cost in $', 'p_T^miss')
    """
    parts = re.split(r"(?<!\\)\$", label)
    written = (
        _write_math(part) if number % 2 else part.replace(r"\$", "$") for number, part in enumerate(parts)
    )
    return unicodedata.normalize("NFC", "".join(written))


def _write_math(math: str) -> str:
    tokens = _TOKEN.findall(math)
    text = ""
    while tokens:
        text += _write_next(tokens)
    return re.sub(r"\s+", " ", text).strip()


def _write_next(tokens: list[str]) -> str:
    """Take the next symbol or group from the tokens, and write it."""
    token = tokens.pop(0)
    if token == "{":
        text = ""
        while tokens and tokens[0] != "}":
            text += _write_next(tokens)
        del tokens[:1]
        return text
    if token in ("^", "_"):
        script = _write_next(tokens) if tokens else ""
        table = _SUPERSCRIPTS if token == "^" else _SUBSCRIPTS
        return (
            script.translate(table) if all(ord(letter) in table for letter in script) else f"{token}{script}"
        )
    if token.startswith("\\"):
        return _write_command(token[1:], tokens)
    return token.strip()  # mathtext ignores spaces


def _write_command(token: str, tokens: list[str]) -> str:
    name = token.rstrip()
    if name in _ACCENTS:
        return "".join(letter + _ACCENTS[name] for letter in (_write_next(tokens) if tokens else ""))
    if name in _SYMBOLS:
        return f" {_SYMBOLS[name]} " if name in ("to", "rightarrow", "leftarrow") else _SYMBOLS[name]
    if not name.isalpha():
        return {"$": "$", "%": "%", "_": "_", "{": "{", "}": "}", "#": "#", "&": "&"}.get(name, " ")
    if name.startswith(("math", "text", "rm", "it", "bf", "left", "right", "displaystyle")):
        return ""
    case = "SMALL" if name.islower() else "CAPITAL"
    try:
        return unicodedata.lookup(f"GREEK {case} LETTER {name.upper()}")
    except KeyError:
        return name
