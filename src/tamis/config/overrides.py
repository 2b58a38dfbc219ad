"""Values from the command line (`--set training.batch_size=256`), put into a document."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from tamis.config.document import Document, read_value
from tamis.config.place import Finding, Place, existing_place, read_place, render_place
from tamis.config.wording import describe
from tamis.errors import ConfigurationError, Problem

_NUMBERED = re.compile(r"\.(\d+)(?=[.\[=]|$)")


class _UnusableOverrideError(Exception):
    """An override cannot be read, or leads to where nothing can be put."""


def override(document: Document, overrides: Sequence[str]) -> tuple[Document, tuple[Problem, ...]]:
    """Put values into a document, one after the other.

    Args:
        document: what was read.
        overrides: texts `place=value`; the value is read as YAML.

    Returns:
        A new document, and a problem for each override that cannot be used.

    Example:
        >>> document = Document({"training": {"epochs": 20}})
        >>> changed, problems = override(document, ["training.epochs=5", "seed=1"])
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


def _override(document: Document, text: str) -> Document:
    place, rest = read_place(text)
    if not place or not rest.startswith("="):
        message = "expected a place, = and a value, as in training.batch_size=256"
        raise _UnusableOverrideError(_with_brackets(text, rest) or message)
    try:
        value, findings = read_value(rest.removeprefix("="))
    except ConfigurationError as error:
        raise _UnusableOverrideError("; ".join(problem.message for problem in error.problems)) from error
    values = _as_mapping(_put(document.values, place, value, ()), ())
    # a section that the file does not have is as new as the value in it
    known = existing_place(place, document.values)
    new = place[: len(known) + 1]
    return dataclasses.replace(
        document,
        values=values,
        overridden=document.overridden | {new},
        findings=(
            *document.findings,
            *(Finding((*place, *inner.place), inner.message) for inner in findings),
        ),
    )


def _with_brackets(text: str, rest: str) -> str:
    """Say how a place in a list is written, where it was written like a key; else nothing."""
    if not _NUMBERED.match(rest):
        return ""
    place = _NUMBERED.sub(r"[\g<1>]", text.split("=", 1)[0])
    return f"places in a list are written in brackets, counted from 0: {place}=..."


def _put(values: object, place: Place, value: object, above: Place) -> object:
    """Give the same values with another one at a place."""
    if not place:
        return value
    step, rest, here = place[0], place[1:], (*above, place[0])
    if isinstance(step, int):
        listed = _as_list(values, step, above)
        return [*listed[:step], _put(listed[step], rest, value, here), *listed[step + 1 :]]
    mapping = _as_mapping(values, above)
    return {**mapping, step: _put(mapping.get(step), rest, value, here)}


def _as_list(values: object, index: int, place: Place) -> Sequence[object]:
    if values is None:
        name = render_place(place)
        raise _UnusableOverrideError(f"the file has no {name}; give the whole list, --set '{name}=[...]'")
    if not isinstance(values, list | tuple):
        raise _UnusableOverrideError(f"{render_place(place) or 'the top'} is {describe(values)}, not a list")
    if index >= len(values):
        raise _UnusableOverrideError(
            f"there is no {render_place((*place, index))}: the list has {len(values)} of them, counted from 0"
        )
    return values


def _as_mapping(values: object, place: Place) -> Mapping[str, object]:
    if values is None:
        return {}
    if isinstance(values, str) and _may_be_a_name(place):
        return {"name": values}
    if not isinstance(values, Mapping):
        raise _UnusableOverrideError(f"{render_place(place)} is {describe(values)}, which has no keys")
    return values


def _may_be_a_name(place: Place) -> bool:
    """Say whether a text stands for a section with that name (`pt`, `adam`)."""
    named = {("training", key) for key in ("optimizer", "schedule", "loss")}
    return place in named or (len(place) == 2 and place[0] in {"features", "spectators"})
