"""Names, texts and numbers in C++, and templates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def build_identifiers(names: Sequence[str]) -> list[str]:
    """Convert names to distinct C++ identifiers.

    >>> build_identifiers(["pt", "jet pt", "jet_pt", "class", "2nd"])
    ['pt', 'jet_pt', 'jet_pt_2', 'class_', 'x2nd']
    """
    unique_names: list[str] = []
    for name in names:
        word = re.sub(r"_+", "_", re.sub(r"[^0-9A-Za-z]", "_", name)).strip("_") or "x"
        word = f"x{word}" if word[0].isdigit() else word
        word = f"{word}_" if word in _KEYWORDS else word
        number, unique = 2, word
        while unique in unique_names:
            unique, number = f"{word.rstrip('_')}_{number}", number + 1
        unique_names.append(unique)
    return unique_names


def literal(text: str) -> str:
    """Write a text as a C++ literal, with octal escapes for special characters.

    >>> len(literal('"pt"'))  # two quotes, and four bytes for each of those inside
    12
    """
    plain = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in _SPECIAL else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(plain)}"'


def single(value: float) -> str:
    """Write a 32-bit number exactly.

    >>> single(0.1)
    '0x1.99999ap-4f'
    """
    if value == np.inf:
        return "std::numeric_limits<float>::infinity()"
    return f"{_hexadecimal(float(np.float32(value)))}f"


def double(value: float) -> str:
    """Write a 64-bit number exactly.

    >>> double(-0.75)
    '-0x1.8p-1'
    """
    return _hexadecimal(value)


def _hexadecimal(value: float) -> str:
    mantissa, exponent = float(value).hex().split("p")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}p{int(exponent)}"


def declare_table(name: str, values: NDArray[Any]) -> str:
    """Write the declaration of an array as one list of numbers, with each of its rows on a line.

    >>> declare_table("bias", np.array([0.5, 1.0]))
    'inline constexpr double bias[2] = {0x1p-1, 0x1p0};'
    """
    kind, write = ("float", single) if values.dtype == np.float32 else ("double", double)
    rows = (", ".join(map(write, row)) for row in values.reshape(-1, values.shape[-1]).tolist())
    return f"inline constexpr {kind} {name}[{values.size}] = {{{(',' + chr(10)).join(rows)}}};"


def render_template(name: str, **values: Any) -> str:
    """Fill a template of `tamis/export/templates`, with values in `${ }` and statements in `/*% %*/`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tamis.export"),
        variable_start_string="${",
        variable_end_string="}",
        block_start_string="/*%",
        block_end_string="%*/",
        trim_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(values)
