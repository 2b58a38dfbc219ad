"""Names, texts and numbers in C++."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

_SPECIAL = '"\\?'
_WORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t
    char8_t class co_await co_return co_yield compl concept const const_cast consteval constexpr
    constinit continue decltype default delete do double dynamic_cast else enum explicit export extern
    false float for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr
    operator or or_eq private protected public register reinterpret_cast requires return short signed
    sizeof static static_assert static_cast struct switch template this thread_local throw true try
    typedef typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq
"""
_KEYWORDS = frozenset(_WORDS.split())


def identifiers(names: Sequence[str]) -> list[str]:
    """Turn names into different identifiers of C++.

    >>> identifiers(["pt", "jet pt", "jet_pt", "class", "2nd"])
    ['pt', 'jet_pt', 'jet_pt_2', 'class_', 'x2nd']
    """
    found: list[str] = []
    for name in names:
        word = re.sub(r"_+", "_", re.sub(r"[^0-9A-Za-z]", "_", name)).strip("_") or "x"
        word = f"x{word}" if word[0].isdigit() else word
        word = f"{word}_" if word in _KEYWORDS else word
        number, unique = 2, word
        while unique in found:
            unique, number = f"{word.rstrip('_')}_{number}", number + 1
        found.append(unique)
    return found


def literal(text: str) -> str:
    """Write a text as a literal, by the numbers of its bytes where they are not plain.

    >>> len(literal('"pt"'))  # two quotes, and four bytes for each of those inside
    12
    """
    plain = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in _SPECIAL else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(plain)}"'


def single(value: float) -> str:
    """Write a number of 32 bits exactly.

    >>> single(0.1)
    '0x1.99999ap-4f'
    """
    return f"{_hexadecimal(float(np.float32(value)))}f"


def double(value: float) -> str:
    """Write a number of 64 bits exactly.

    >>> double(-0.75)
    '-0x1.8p-1'
    """
    return _hexadecimal(value)


def _hexadecimal(value: float) -> str:
    mantissa, exponent = float(value).hex().split("p")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}p{int(exponent)}"


def braces(values: Any, number: Any) -> str:
    """Write nested lists of numbers, rows on lines of their own."""
    if not isinstance(values, list):
        return str(number(values))
    inner = [braces(each, number) for each in values]
    separator = ",\n" if values and isinstance(values[0], list) else ", "
    return "{" + separator.join(inner) + "}"


def table(kind: str, name: str, values: Any) -> str:
    """Declare a constant array.

    >>> table("double", "bias", [0.5, 1.0])
    'inline constexpr double bias[2] = {0x1p-1, 0x1p0};'
    """
    shape, inner = "", values
    while isinstance(inner, list):
        shape, inner = f"{shape}[{len(inner)}]", inner[0]
    writers = {"float": single, "double": double, "std::size_t": int}
    return f"inline constexpr {kind} {name}{shape} = {braces(values, writers[kind])};"
