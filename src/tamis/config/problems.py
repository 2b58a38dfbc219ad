"""Errors of pydantic as plain sentences, with the paths of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tamis.config.configuration import Config
from tamis.config.consistency import INCONSISTENCY, MOST
from tamis.config.key_path import Diagnostic, KeyPath, existing_key_path, format_key_path
from tamis.wording import describe, expected_one_of, find_close_names, suggest

# the errors of pydantic for a section that is not a mapping
_SECTIONS = ("dict_type", "mapping_type", "model_type", "model_attributes_type")
_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "invalid_key": "text as the key",
    "bool_type": "true or false",
    "tuple_type": "a list",
    **dict.fromkeys(_SECTIONS, "a mapping (key: value)"),
}
_ACCEPTED: Mapping[KeyPath, str] = {
    ("features", 0): "the name of a branch or a mapping (name: NAME, expression: ...)",
    ("spectators", 0): "the name of a branch or a mapping (name: NAME, expression: ...)",
    ("network", "layers", 0): "a mapping (nodes: 64)",
    ("split", "folds"): "a number of folds or a mapping (number: 5)",
    ("training", "epochs"): "auto or a whole number",
    ("training", "batch_size"): "auto or a whole number",
    ("training", "optimizer"): "the name of an optimizer, such as adam, or a mapping (name: adam)",
    ("training", "schedule"): "the name of a schedule or a mapping (name: cosine)",
    ("training", "loss"): "the name of a loss or a mapping (name: focal)",
    ("training", "decorrelate", "method"): "the name of a method or a mapping (name: flatness)",
    ("training", "devices"): "auto or a whole number of at least 1",
    ("evaluation", "ablation"): "true, false or a list of features",
    ("evaluation", "background_uncertainty"): "a number or a mapping (class: number)",
}
"""The accepted values of keys that take several kinds of values, by path; 0 is any entry of a list."""
RENAMED_KEYS: Mapping[KeyPath, str] = {
    ("evaluation", "leave_out"): "ablation",
    ("network", "gains", "speed"): "learning_rate_factor",
    ("network", "layers", 0, "begin"): "pruning_begin",
    ("network", "layers", 0, "cost"): "ebops_cost",
    ("network", "layers", 0, "end"): "pruning_end",
    ("network", "layers", 0, "learned"): "learn_bits",
    ("network", "members"): "shared_members",
    ("network", "output"): "output_initialisation",
    ("network", "quantized_output", "cost"): "ebops_cost",
    ("network", "quantized_output", "learned"): "learn_bits",
    ("split", "by"): "event_id",
    ("training", "average"): "ema_decay",
    ("training", "average_symmetries"): "test_time_augmentation",
    ("training", "schedule", "least"): "minimum",
    ("training", "seeds"): "ensemble",
}
"""The old path of each key (0 is any entry of a list), and its name now, in the same section."""
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_LIMITS = {
    "greater_than": ("gt", "a number above"),
    "greater_than_equal": ("ge", "a number of at least"),
    "less_than": ("lt", "a number below"),
    "less_than_equal": ("le", "a number of at most"),
}


def explain_errors(
    error: ValidationError, values: Mapping[str, object], section: KeyPath = ()
) -> list[Diagnostic]:
    """Explain validation errors in plain sentences.

    Args:
        error: raised by the validation of the configuration.
        values: the plain values that were validated.
        section: path of the values in a configuration, if they are only one section; the diagnostics have paths
            relative to it.

    Returns:
        One diagnostic for each error that does not follow from another one, without inconsistencies across sections.

    Example:
        >>> values = {"features": ["pt"], "samples": [], "classes": {"a": None, "b": None}}
        >>> try:
        ...     Config.model_validate(values)
        ... except ValidationError as error:
        ...     explain_errors(error, values)
        [Diagnostic(path=('samples',), message='expected at least 1 entry, found 0', line=None)]
    """
    errors = error.errors(include_url=False)
    misspelt = {
        (*detail["loc"][:-1], key)
        for detail in errors
        if detail["type"] == "extra_forbidden"
        for key in find_close_names(str(detail["loc"][-1]), _keys_at((*section, *detail["loc"][:-1])), 1)
    }
    details = (
        detail
        for detail in errors
        if detail["type"] != INCONSISTENCY
        # a list that is too short only because some of its entries are wrong
        and not (detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"])
        # a key that is missing only because it is misspelt
        and not (detail["type"] == "missing" and detail["loc"] in misspelt)
    )
    return [_diagnostic(detail, values, section) for detail in islice(details, MOST)]


def _diagnostic(detail: ErrorDetails, values: Mapping[str, object], section: KeyPath) -> Diagnostic:
    location = detail["loc"]
    match detail["type"]:
        case "missing":
            path = (*existing_key_path(location[:-1], values), location[-1])
            return Diagnostic(path, "this key is required")
        case "union_tag_invalid":
            return Diagnostic(existing_key_path((*location, _tag_key(detail)), values), _message(detail))
        case "extra_forbidden":
            path = existing_key_path(location, values)
            return Diagnostic(path, _unknown_key((*section, *location), (*section, *path)))
        case _:
            path = existing_key_path(location, values)
            return Diagnostic(path, _accepted_kinds_message((*section, *path), detail) or _message(detail))


def _accepted_kinds_message(path: KeyPath, detail: ErrorDetails) -> str:
    """Return the message for a path that accepts several kinds of values; empty for other paths."""
    kind, value = detail["type"], detail["input"]
    words = _ACCEPTED.get(_of_any_entry(path), "") if kind in (*_KINDS, "int_parsing") else ""
    return f"expected {words}, found {describe(value)}{_remedy(kind, value)}" if words else ""


def _message(detail: ErrorDetails) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind in _KINDS:
        return f"expected {_KINDS[kind]}, found {describe(value)}{_remedy(kind, value)}"
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        return f"expected {words} {_format_limit(context[key])}, found {describe(value)}"
    match kind:
        case "literal_error":
            return expected_one_of(_quoted(context["expected"]), value)
        case "union_tag_not_found":
            return f"the key {_tag_key(detail)} is required: it selects the kind"
        case "union_tag_invalid":
            # the tag of pydantic is text even if the value is null
            tag = value.get(_tag_key(detail)) if isinstance(value, Mapping) else context["tag"]
            return expected_one_of(_quoted(context["expected_tags"]), tag)
        case "too_short":
            return f"expected at least {_entries(context['min_length'])}, found {context['actual_length']}"
        case "too_long":
            return f"expected at most {_entries(context['max_length'])}, found more"
        case "string_too_long":
            return f"expected at most {context['max_length']} characters, found {describe(value)}"
        case "string_too_short":
            return "expected some text, found none"
        case "value_error":
            return str(context["error"])
        case _:
            return f"{detail['msg']}; found {describe(value)}"


def _tag_key(detail: ErrorDetails) -> str:
    return str(detail["ctx"]["discriminator"]).strip("'")


def _format_limit(limit: float) -> str:
    return f"{int(limit):,}" if limit == int(limit) else str(limit)


def _remedy(kind: str, value: object) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "; put it in quotes"
    number = {"int_type": _INTEGER, "float_type": _NUMBER}.get(kind)
    if number and isinstance(value, str) and number.fullmatch(value):
        return "; remove the quotes"
    return ""


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count:,} entries"


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _of_any_entry(path: KeyPath) -> KeyPath:
    return tuple(0 if isinstance(step, int) else step for step in path)


def _unknown_key(location: Sequence[str | int], path: KeyPath) -> str:
    keys = _keys_at(location[:-1])
    if (name := RENAMED_KEYS.get(_of_any_entry(path))) in keys:
        return f"this key is now called {name}; write {format_key_path((*path[:-1], name))}"
    hint = suggest(str(location[-1]), keys)
    return f"unknown key{f'{hint} Keys' if hint else '; keys'} here: {', '.join(keys)}"


def _keys_at(location: Sequence[str | int]) -> list[str]:
    """Return the valid keys of the section at a location of pydantic."""
    sections: list[type[BaseModel]] = [Config]
    for step in map(str, location):
        fields = [_fields(section)[step] for section in sections if step in _fields(section)]
        inside = [section for field in fields for section in _sections_of(field.annotation)]
        # pydantic writes the tag of a union into its locations; other steps are entries of a list or of a mapping
        sections = inside or [section for section in sections if _has_tag(section, step)] or sections
    return list(dict.fromkeys(key for section in sections for key in _fields(section)))


def _has_tag(section: type[BaseModel], tag: str) -> bool:
    return tag in (section.__name__, *(field.default for field in _fields(section).values()))


def _sections_of(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections in an annotation: alternatives of a union, entries of a list, values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for argument in get_args(annotation) for section in _sections_of(argument)]


def _fields(section: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """Return the fields of a section by their keys."""
    return {field.alias or name: field for name, field in section.model_fields.items()}
