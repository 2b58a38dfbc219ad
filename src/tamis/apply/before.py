"""What stands under the name of an output from before: scores to keep, to write again, or not to touch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tamis.apply.folds import AverageOfAll, describe
from tamis.apply.outputs import Written, read_output
from tamis.apply.pair import Pair, differences
from tamis.data.schema import FileSchema
from tamis.errors import InputError, Problem


@dataclass(frozen=True)
class Before:
    """What was found.

    Args:
        kept: scores that are what would be written now, to the last row; None where there are none.
        damage: why scores that were there are of no use, where they are damaged; else empty.
    """

    kept: Written | None = None
    damage: str = ""


def look_before(pair: Pair, output: Path) -> Before:
    """Look into what is there under the name of an output, and read all its rows where it may be kept.

    Args:
        pair: the input, and how it is scored.
        output: the file to be.

    Raises:
        InputError: the file may not be replaced, because it is not of tamis, or is of another input.
    """
    if not output.exists():
        return Before()
    try:
        found = read_output(output)
    except InputError as error:
        return Before(damage=_reason(error))  # its name is ours, and nothing can be read of it
    if found is None:
        message = "is there, and was not written by tamis; move it, or choose another --output"
        raise InputError("scores", [Problem(str(output), message)])
    expected = pair.belongs(pair.read_ends())
    if any(differences(expected, found.metadata)) or found.entries != pair.schema.entries:
        _check_replaceable(found, pair.schema, output)
        _check_average(found, expected, output)
        return Before()
    damage = _damage(found)
    return Before(damage=damage) if damage else Before(kept=found)


def _check_average(found: Written, expected: Mapping[str, Any], output: Path) -> None:
    """Refuse to replace scores of networks that never saw the events by the average of all, of the same model."""
    average = describe(AverageOfAll())
    before = found.metadata.get("folds")
    same = found.metadata.get("model") == expected["model"]
    if same and before not in (None, average) and expected["folds"] == average:
        message = (
            f"holds scores of the networks that never saw each event ({before}), and the average of all networks would "
            "replace them; leave out --unseen, or choose another --output"
        )
        raise InputError("scores", [Problem(str(output), message)])


def _damage(found: Written) -> str:
    try:
        return "; ".join(found.damage())
    except InputError as error:
        return _reason(error)


def _reason(error: InputError) -> str:
    return "; ".join(problem.message for problem in error.problems)


def _check_replaceable(found: Written, schema: FileSchema, output: Path) -> None:
    """Refuse to replace the scores of another file that has the same name and is still there, or of another tree."""
    path = schema.source.path
    other, tree = found.metadata["input"].get("path"), found.metadata["input"].get("tree")
    if other and tree != schema.tree and os.path.realpath(other) == os.path.realpath(path):
        message = f"holds the scores of the tree {tree!r} of the file, not of {schema.tree!r}; choose another --output"
        raise InputError("scores", [Problem(str(output), message)])
    if other and Path(other).exists() and os.path.realpath(other) != os.path.realpath(path):
        message = f"holds the scores of {other}, another file of that name; choose another --output"
        raise InputError("scores", [Problem(str(output), message)])
