"""What pydantic finds, in plain words and with places that are in the file."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tamis.config.configuration import Config
from tamis.config.facts import FACTS, MOST
from tamis.config.place import Finding, Place, existing_place
from tamis.config.wording import describe, expected_one_of
from tamis.wording import suggest

_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "invalid_key": "text as the key",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping (key: value)",
    "mapping_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}
_SECTIONS = ("dict_type", "mapping_type", "model_type", "model_attributes_type")
_SHORT: Mapping[Place, str] = {
    ("features", 0): "the name of a branch or a mapping (name: NAME, expression: ...)",
    ("spectators", 0): "the name of a branch or a mapping (name: NAME, expression: ...)",
    ("network", "layers", 0): "a mapping (nodes: 64)",
    ("split", "folds"): "a number of folds or a mapping (number: 5)",
    ("training", "epochs"): "auto or a whole number",
    ("training", "batch_size"): "auto or a whole number",
    ("training", "optimizer"): "the name of an optimizer, such as adam, or a mapping (name: adam)",
    ("training", "schedule"): "the name of a schedule or a mapping (name: cosine)",
    ("training", "loss"): "the name of a loss or a mapping (name: focal)",
}
"""What may stand where a section is usual; 0 is any entry of a list."""
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_LIMITS = {
    "greater_than": ("gt", "a number above"),
    "greater_than_equal": ("ge", "a number of at least"),
    "less_than": ("lt", "a number below"),
    "less_than_equal": ("le", "a number of at most"),
}


def find_faults(error: ValidationError, values: Mapping[str, object]) -> list[Finding]:
    """Say in plain words what pydantic found.

    Args:
        error: what validation of the configuration raised.
        values: the plain values that were validated.

    Returns:
        One finding for each error; contradictions across fields are left out.

    Example:
        >>> values = {"features": ["pt"], "samples": [], "classes": {"a": None, "b": None}}
        >>> try:
        ...     Config.model_validate(values)
        ... except ValidationError as error:
        ...     find_faults(error, values)
        [Finding(place=('samples',), message='expected at least 1 entry, found 0', line=None)]
    """
    details = (
        detail
        for detail in error.errors(include_url=False)
        if detail["type"] != FACTS and not _is_echo(detail)
    )
    return [_finding(detail, values) for detail in islice(details, MOST)]


def _is_echo(detail: ErrorDetails) -> bool:
    """Say whether a list is called too short only because entries in it are wrong."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


def _finding(detail: ErrorDetails, values: Mapping[str, object]) -> Finding:
    location = detail["loc"]
    match detail["type"]:
        case "missing":
            place = (*existing_place(location[:-1], values), location[-1])
            return Finding(place, "this key is needed, but not there")
        case "union_tag_invalid":
            tag_key = detail["ctx"]["discriminator"].strip("'")
            return Finding(existing_place((*location, tag_key), values), _message(detail))
        case "extra_forbidden":
            return Finding(existing_place(location, values), _unknown_key(location))
        case _:
            place = existing_place(location, values)
            return Finding(place, _in_short(place, detail) or _message(detail))


def _in_short(place: Place, detail: ErrorDetails) -> str:
    """Say what may stand at a place that also takes something shorter than a section or another word."""
    kind, found = detail["type"], detail["input"]
    if kind not in (*_SECTIONS, "int_type", "int_parsing"):
        return ""
    words = _SHORT.get(tuple(0 if isinstance(step, int) else step for step in place), "")
    return f"expected {words}, found {describe(found)}{_remedy(kind, found)}" if words else ""


def _message(detail: ErrorDetails) -> str:
    kind, found, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind in _KINDS:
        return f"expected {_KINDS[kind]}, found {describe(found)}{_remedy(kind, found)}"
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return f"expected {words} {_plain(context[key])}, found {describe(found)}"
    match kind:
        case "literal_error":
            return expected_one_of(_quoted(context["expected"]), found)
        case "union_tag_not_found":
            return (
                f"the key {context['discriminator'].strip(chr(39))} is needed, which says what kind this is"
            )
        case "union_tag_invalid":
            return expected_one_of(_quoted(context["expected_tags"]), context["tag"])
        case "too_short":
            return f"expected at least {_entries(context['min_length'])}, found {context['actual_length']}"
        case "too_long":
            return f"expected at most {_entries(context['max_length'])}, found more"
        case "string_too_long":
            return f"expected at most {context['max_length']} characters, found {describe(found)}"
        case "string_too_short":
            return "expected some text, found none"
        case "value_error":
            return str(context["error"])
        case _:
            return f"{detail['msg']}; found {describe(found)}"


def _plain(limit: float) -> str:
    return str(int(limit)) if limit == int(limit) else str(limit)


def _remedy(kind: str, found: object) -> str:
    if kind == "string_type" and isinstance(found, bool | int | float):
        return "; put it in quotes"
    number = {"int_type": _INTEGER, "float_type": _NUMBER}.get(kind)
    if number and isinstance(found, str) and number.fullmatch(found):
        return "; leave the quotes out"
    return ""


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _unknown_key(location: Sequence[str | int]) -> str:
    keys = _keys_at(location[:-1])
    hint = suggest(str(location[-1]), keys)
    return (
        f"unknown key{hint} Keys here: {', '.join(keys)}"
        if hint
        else f"unknown key; keys here: {', '.join(keys)}"
    )


def _keys_at(location: Sequence[str | int]) -> list[str]:
    """Give the valid keys of the section at a location of pydantic."""
    alternatives: list[Any] = [Config]
    for step in location:
        alternatives = _inside(alternatives, step) or _named(alternatives, step)
    return list(dict.fromkeys(key for section in alternatives for key in _fields(section)))


def _inside(alternatives: Sequence[Any], step: str | int) -> list[Any]:
    """Go into a field of a section, an entry of a list or a key of a mapping."""
    entered = []
    for annotation in alternatives:
        arguments = get_args(annotation)
        if step in (fields := _fields(annotation)):
            entered.append(fields[str(step)].annotation)
        elif get_origin(annotation) is tuple and isinstance(step, int):
            entered.append(arguments[0])
        elif get_origin(annotation) is Mapping:
            entered.append(arguments[1])
    return [member for annotation in entered for member in _members(annotation)]


def _named(alternatives: Sequence[Any], tag: str | int) -> list[Any]:
    """Choose among the alternatives by the tag that pydantic puts into its locations."""
    return [
        section
        for section in alternatives
        for fields in [_fields(section)]
        if fields and tag in (section.__name__, *(field.default for field in fields.values()))
    ]


def _members(annotation: Any) -> Iterator[Any]:
    match get_origin(annotation):
        case typing.Annotated:
            yield from _members(get_args(annotation)[0])
        case typing.Union | types.UnionType:
            for member in get_args(annotation):
                yield from _members(member)
        case _:
            yield annotation


def _fields(annotation: Any) -> Mapping[str, FieldInfo]:
    """Give the fields of a section by their keys; nothing where the annotation is no section."""
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return {}
    return {field.alias or name: field for name, field in annotation.model_fields.items()}
