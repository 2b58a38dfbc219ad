"""Apply values from the command line (`--set training.batch_size=256`) to a document."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from tamis.config.document import YamlDocument, read_value
from tamis.config.key_path import Diagnostic, KeyPath, existing_key_path, format_key_path, parse_key_path
from tamis.errors import ConfigurationError, Problem
from tamis.wording import describe

_NUMBERED = re.compile(r"\.(\d+)(?=[.\[=]|$)")


# a text is short for a section with that name
_NAMED_SECTIONS = {("training", key) for key in ("optimizer", "schedule", "loss")}


class _UnusableOverrideError(Exception):
    """An override cannot be read, or its path cannot be set."""


def apply_overrides(
    document: YamlDocument, overrides: Sequence[str]
) -> tuple[YamlDocument, tuple[Problem, ...]]:
    """Set values of a document, one after the other.

    Args:
        document: the values before.
        overrides: texts `key=value`; the value is YAML.

    Returns:
        A new document, and a problem for each override that cannot be applied.

    Example:
        >>> document = YamlDocument({"training": {"epochs": 20}})
        >>> changed, problems = apply_overrides(document, ["training.epochs=5", "seed=1"])
        >>> changed.values, problems
        ({'training': {'epochs': 5}, 'seed': 1}, ())
    """
    problems: list[Problem] = []
    for text in overrides:
        try:
            document = _override(document, text)
        except _UnusableOverrideError as error:
            problems.append(Problem(f"--set {text}", str(error)))
    return document, tuple(problems)


def _override(document: YamlDocument, text: str) -> YamlDocument:
    path, remainder = parse_key_path(text)
    if _NUMBERED.match(remainder):
        indexed = _NUMBERED.sub(r"[\g<1>]", text.split("=", 1)[0])
        raise _UnusableOverrideError(f"an index is written in brackets and counts from 0: {indexed}=...")
    if not path or not remainder.startswith("="):
        raise _UnusableOverrideError("expected a key, = and a value, as in training.batch_size=256")
    try:
        value, diagnostics = read_value(remainder.removeprefix("="))
    except ConfigurationError as error:
        raise _UnusableOverrideError("; ".join(problem.message for problem in error.problems)) from error
    values = _as_mapping(_set(document.values, path, value, ()), ())
    # the first step that the file does not have: the whole section below it comes from the command line
    new = path[: len(existing_key_path(path, document.values)) + 1]
    return dataclasses.replace(
        document,
        values=values,
        overridden=document.overridden | {new},
        diagnostics=(
            *document.diagnostics,
            *(Diagnostic((*path, *inner.path), inner.message) for inner in diagnostics),
        ),
    )


def _set(values: object, path: KeyPath, value: object, parent: KeyPath) -> object:
    """Return the values below a parent with another value at a path."""
    if not path:
        return value
    step, *remaining = path
    current = (*parent, step)
    if isinstance(step, int):
        items = _as_list(values, step, parent)
        return [*items[:step], _set(items[step], tuple(remaining), value, current), *items[step + 1 :]]
    mapping = _as_mapping(values, parent)
    return {**mapping, step: _set(mapping.get(step), tuple(remaining), value, current)}


def _as_list(values: object, index: int, path: KeyPath) -> Sequence[object]:
    if values is None:
        name = format_key_path(path)
        raise _UnusableOverrideError(f"the file has no {name}; set the whole list: --set '{name}=[...]'")
    if not isinstance(values, list | tuple):
        raise _UnusableOverrideError(
            f"{format_key_path(path) or 'the top'} is {describe(values)}, not a list"
        )
    if index >= len(values):
        raise _UnusableOverrideError(
            f"there is no {format_key_path((*path, index))}: the list has {len(values)} of them, counted from 0"
        )
    return values


def _as_mapping(values: object, path: KeyPath) -> Mapping[str, object]:
    if values is None:
        return {}
    is_column = len(path) == 2 and path[0] in {"features", "spectators"}
    if isinstance(values, str) and (is_column or path in _NAMED_SECTIONS):
        return {"name": values}
    if not isinstance(values, Mapping):
        raise _UnusableOverrideError(f"{format_key_path(path)} is {describe(values)}, which has no keys")
    return values
