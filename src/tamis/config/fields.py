"""The kinds of values that fields of the configuration hold, with their limits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeGuard

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from tamis.wording import describe, is_clean

_FOLDER_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$"
_TIME = re.compile(r"(\d+(?:\.\d*)?) *(s|min|h)")
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
# fsspec has more, and some run code from a file: `reference` renders templates
_SCHEMES = frozenset({
    "http", "https", "root", "roots", "xroot", "xroots", "dav", "davs", "s3", "gs", "gcs", "abfs", "az", "file",
})  # fmt: skip

_LONGEST_NAME = 200

MOST_CLASSES = 1_000
MOST_COLUMNS = 10_000
"""Samples, features or spectators."""


class Section(BaseModel):
    """A section of the configuration: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


# The checks below raise ValueError; `tamis.config.problems` adds path and line.


def _checked_text(text: str) -> str:
    if not text.strip():
        raise ValueError("expected some text, found none")
    if not is_clean(text):
        raise ValueError(f"{describe(text)} has a control character or an incomplete character; remove it")
    return text


def _checked_name(name: str) -> str:
    _checked_text(name)
    if name != name.strip():
        raise ValueError(f"{describe(name)} begins or ends with a space; remove it")
    # names become columns of files and inputs of ONNX graphs, where a slash makes a hierarchy
    if not name.isprintable() or any(character in "/\\" for character in name):
        raise ValueError(f"{describe(name)} is not a name: slashes and invisible characters are not allowed")
    _check_length(name)
    return name


def _check_length(name: str) -> None:
    # names become parts of file names, which have at most 255 bytes
    if len(name.encode()) > _LONGEST_NAME:
        raise ValueError(f"{describe(name)} is too long for a name; {_LONGEST_NAME} bytes are allowed")


def _checked_column_name(name: str) -> str:
    try:
        return _checked_name(name)
    except ValueError as error:
        raise ValueError(f"{error}; write a formula as {{name: ..., expression: ...}}") from error


def _checked_folder_name(name: str) -> str:
    if not re.match(_FOLDER_NAME, name) or name.endswith("\n"):
        rule = "use letters, digits and _ . + - only, with a letter, a digit or _ first"
        raise ValueError(f"{describe(name)} cannot name the folder of the run; {rule}")
    _check_length(name)
    return name


def _checked_expression(text: str) -> str:
    if not text.strip():
        raise ValueError("expected an expression of branches, found an empty text")
    # a folded YAML text ends with a line break
    return text.strip()


def check_location(name: str) -> str:
    """Return the name of a file or folder, after a check that it is a path or a URL that is only read.

    Raises:
        ValueError: it is a URL of another kind, or a chain of them.

    Example:
        >>> check_location("reference://x::https://example.org/refs.json")
        Traceback (most recent call last):
        ValueError: '::' chains file systems; give the path or the URL of the file itself
    """
    if "::" in name:
        raise ValueError("'::' chains file systems; give the path or the URL of the file itself")
    scheme, separator, _ = name.partition("://")
    if separator and scheme.lower() not in _SCHEMES:
        listed = ", ".join(sorted(_SCHEMES))
        raise ValueError(f"{describe(name)} is not a supported URL; use a path or one of {listed}")
    return name


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str | PurePath) else value


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"expected a number of at most 1e308, found {describe(value)}") from error


def _checked_weight(value: object) -> object:
    if isinstance(value, str):
        return _checked_expression(value)
    if not _is_number(value):
        raise ValueError(f"expected a number or an expression of branches, found {describe(value)}")
    if not math.isfinite(_as_float(value)):
        raise ValueError(f"expected a finite number, found {describe(value)}")
    return _as_float(value)


def _missing_values(value: object) -> tuple[float, ...] | None:
    if value is None:
        return None
    listed = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return tuple(_missing_value(item) for item in listed) or None


def _missing_value(value: object) -> float:
    if isinstance(value, str) and value.lower() in {"nan", ".nan"}:
        return math.nan
    if not _is_number(value):
        raise ValueError(f"expected a number, nan or a list of them, found {describe(value)}")
    # the one object math.nan, so that equal sections compare equal
    return math.nan if math.isnan(_as_float(value)) else _as_float(value)


def _seconds(value: object) -> object:
    """Read `90`, `60s`, `5min` and `1.5h` as seconds."""
    if isinstance(value, str) and (match := _TIME.fullmatch(value.strip())):
        return float(match[1]) * _UNITS[match[2]]
    if not _is_number(value):
        raise ValueError(f"expected a time such as 60s, 5min or 1h, found {describe(value)}")
    return _as_float(value)


def or_null(section: type[Section]) -> BeforeValidator:
    """Read nothing (`weights:`) as a section with every default."""
    return BeforeValidator(
        lambda value: {} if value is None else value, json_schema_input_type=section | None
    )


def or_number(section: type[Section]) -> BeforeValidator:
    """Read a whole number (`5`) as a section with that `number`."""
    return BeforeValidator(
        lambda value: {"number": value} if type(value) is int else value,
        json_schema_input_type=int | section,
    )


def _as_named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def or_name(section: type[Section]) -> BeforeValidator:
    """Read a text (`pt`) as a section with that name and every default."""
    return BeforeValidator(_as_named, json_schema_input_type=str | section)


def with_default(key: str, default: str, spellings: Any) -> BeforeValidator:
    """Read a mapping without a key as one that has it; a text (`adam`) is a mapping with that name.

    Args:
        key: the key that selects the kind of the section: `name`, or `type` for sections without a short form.
        default: its value in a mapping without it.
        spellings: what the JSON Schema shows: the sections, and the names if there is a short form.
    """

    def fill(value: object) -> object:
        value = _as_named(value) if key == "name" else value
        return {key: default, **value} if isinstance(value, Mapping) else value

    return BeforeValidator(fill, json_schema_input_type=spellings)


Text = Annotated[str, AfterValidator(_checked_text), Field(min_length=1)]
_NAME_SCHEMA = WithJsonSchema({"type": "string", "minLength": 1, "pattern": r"^[^/\\]+$"})
Name = Annotated[str, AfterValidator(_checked_name), _NAME_SCHEMA]
ColumnName = Annotated[str, AfterValidator(_checked_column_name), _NAME_SCHEMA]
FolderName = Annotated[
    str, AfterValidator(_checked_folder_name), WithJsonSchema({"type": "string", "pattern": _FOLDER_NAME})
]
Label = Annotated[Text, Field(max_length=500)]
FileName = Annotated[
    Text,
    AfterValidator(check_location),
    BeforeValidator(
        lambda value: str(value) if isinstance(value, PurePath) else value, json_schema_input_type=Text
    ),
]
TreeNames = Annotated[Text | Annotated[tuple[Text, ...], Field(min_length=1, strict=False)], Field()]
FileNames = Annotated[
    tuple[FileName, ...],
    Field(min_length=1, strict=False),
    BeforeValidator(_as_list, json_schema_input_type=TreeNames),
]
ExpressionText = Annotated[str, AfterValidator(_checked_expression), Field(min_length=1)]
_Expressions = Annotated[tuple[ExpressionText, ...], Field(min_length=1, strict=False)]
ExpressionTexts = Annotated[
    _Expressions, BeforeValidator(_as_list, json_schema_input_type=ExpressionText | _Expressions)
]
Weight = Annotated[
    float | ExpressionText, BeforeValidator(_checked_weight, json_schema_input_type=float | str)
]
MissingValues = Annotated[
    tuple[Annotated[float, Field(allow_inf_nan=True)], ...] | None,
    BeforeValidator(
        _missing_values,
        json_schema_input_type=float | Literal["nan"] | tuple[float | Literal["nan"], ...] | None,
    ),
]
TimeSpan = Annotated[
    Annotated[float, Field(gt=0)], BeforeValidator(_seconds, json_schema_input_type=float | str)
]

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
FractionOrZero = Annotated[float, Field(ge=0, lt=1)]
