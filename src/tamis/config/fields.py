"""The kinds of values that fields of the configuration hold, with their limits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from tamis.config.wording import describe
from tamis.wording import is_clean

_FOLDER_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$"
_TIME = re.compile(r"(\d+(?:\.\d*)?) *(s|min|h)")
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
# fsspec knows more, and some of them run what a file says: its `reference` renders templates
_SCHEMES = frozenset({
    "http", "https", "root", "roots", "xroot", "xroots", "dav", "davs", "s3", "gs", "gcs", "abfs", "az", "file",
})  # fmt: skip

_LONGEST_NAME = 200

MOST_CLASSES = 1_000
MOST_COLUMNS = 10_000
"""Samples, features or spectators."""


class Section(BaseModel):
    """A part of the configuration: it cannot be changed, and knows no keys but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


# What stands below raises ValueError; `tamis.config.problems` adds the place and the line.


def _checked_text(text: str) -> str:
    if not text.strip():
        raise ValueError("expected some text, found none")
    if not is_clean(text):
        raise ValueError(f"{describe(text)} has a control character or half a character in it; remove it")
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


def check_place(name: str) -> str:
    """Give the name of a file or folder as it is, if it is a path or a URL that is only read.

    Args:
        name: a path, a glob or a URL.

    Raises:
        ValueError: it is a URL of another kind, or a chain of them.

    Example:
        >>> check_place("reference://x::https://example.org/refs.json")
        Traceback (most recent call last):
        ValueError: '::' chains file systems; give the path or the URL of the file itself
    """
    if "::" in name:
        raise ValueError("'::' chains file systems; give the path or the URL of the file itself")
    scheme, separator, _ = name.partition("://")
    if separator and scheme.lower() not in _SCHEMES:
        listed = ", ".join(sorted(_SCHEMES))
        raise ValueError(f"{describe(name)} is no URL that is read; the kinds are {listed}")
    return name


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, PurePath) else value


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str | PurePath) else value


def _checked_weight(value: object) -> object:
    if isinstance(value, str):
        return _checked_expression(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number or an expression of branches, found {describe(value)}")
    if not math.isfinite(_as_float(value)):
        raise ValueError(f"expected a finite number, found {describe(value)}")
    return _as_float(value)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"expected a number of at most 1e308, found {describe(value)}") from error


def _missing_values(value: object) -> tuple[float, ...] | None:
    if value is None:
        return None
    listed = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return tuple(_missing_value(item) for item in listed) or None


def _missing_value(value: object) -> float:
    if isinstance(value, str) and value.lower() in {"nan", ".nan"}:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, nan or a list of them, found {describe(value)}")
    # the one object math.nan, so that equal sections compare equal
    return math.nan if math.isnan(_as_float(value)) else _as_float(value)


def _device_count(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ValueError(f"expected auto or a whole number of at least 1, found {describe(value)}")


def _seconds(value: object) -> object:
    """Read `90`, `60s`, `5min` and `1.5h` as seconds."""
    if isinstance(value, str) and (match := _TIME.fullmatch(value.strip())):
        return float(match[1]) * _UNITS[match[2]]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a time such as 60s, 5min or 1h, found {describe(value)}")
    return _as_float(value)


def _fold_rule(value: object) -> object:
    """Read `5` as `{number: 5}`."""
    return {"number": value} if isinstance(value, int) and not isinstance(value, bool) else value


def _or_empty(value: object) -> object:
    return {} if value is None else value


def or_null(section: type[Section]) -> BeforeValidator:
    """Read nothing (`weights:`) as a section with every default.

    Args:
        section: the model of the section.
    """
    return BeforeValidator(_or_empty, json_schema_input_type=section | None)


def _or_named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def or_number(section: type[Section]) -> BeforeValidator:
    """Read a whole number (`5`) as a section with that `number`.

    Args:
        section: the model of the section.
    """
    return BeforeValidator(_fold_rule, json_schema_input_type=int | section)


def or_name(section: type[Section]) -> BeforeValidator:
    """Read a text (`pt`) as a section with that name and every default.

    Args:
        section: the model of the section.
    """
    return BeforeValidator(_or_named, json_schema_input_type=str | section)


def by_name(default: str, spellings: Any) -> BeforeValidator:
    """Read a text (`adam`) as a section of that name, and leave out the name where it is the default.

    Args:
        default: name of the section that a mapping without a name is.
        spellings: what the JSON Schema shows: the names, and the sections.
    """

    def named(value: object) -> object:
        value = _or_named(value)
        return {"name": default, **value} if isinstance(value, Mapping) else value

    return BeforeValidator(named, json_schema_input_type=spellings)


Text = Annotated[str, AfterValidator(_checked_text), Field(min_length=1)]
Name = Annotated[
    str,
    AfterValidator(_checked_name),
    WithJsonSchema({"type": "string", "minLength": 1, "pattern": r"^[^/\\]+$"}),
]
ColumnName = Annotated[
    str,
    AfterValidator(_checked_column_name),
    WithJsonSchema({"type": "string", "minLength": 1, "pattern": r"^[^/\\]+$"}),
]
FolderName = Annotated[
    str, AfterValidator(_checked_folder_name), WithJsonSchema({"type": "string", "pattern": _FOLDER_NAME})
]
Label = Annotated[Text, Field(max_length=500)]
FileName = Annotated[
    Text, AfterValidator(check_place), BeforeValidator(_as_text, json_schema_input_type=Text)
]
FileNames = Annotated[
    tuple[FileName, ...],
    Field(min_length=1, strict=False),
    BeforeValidator(_as_list, json_schema_input_type=Text | Annotated[tuple[Text, ...], Field(min_length=1)]),
]
TreeNames = Annotated[Text | Annotated[tuple[Text, ...], Field(min_length=1, strict=False)], Field()]
ExpressionText = Annotated[str, AfterValidator(_checked_expression), Field(min_length=1)]
ExpressionTexts = Annotated[
    tuple[ExpressionText, ...],
    Field(min_length=1, strict=False),
    BeforeValidator(
        _as_list,
        json_schema_input_type=ExpressionText | Annotated[tuple[ExpressionText, ...], Field(min_length=1)],
    ),
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
Devices = Annotated[
    Literal["auto"] | Annotated[int, Field(ge=1)],
    BeforeValidator(_device_count, json_schema_input_type=Literal["auto"] | Annotated[int, Field(ge=1)]),
]
TimeSpan = Annotated[
    Annotated[float, Field(gt=0)], BeforeValidator(_seconds, json_schema_input_type=float | str)
]

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
