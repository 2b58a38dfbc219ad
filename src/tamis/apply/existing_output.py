"""Check an output that exists already: its scores are reused, replaced, or protected."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tamis.apply.folds import AverageOfAll, describe_fold_source
from tamis.apply.job import Job, compare_metadata
from tamis.apply.outputs import ScoreFile, read_score_file
from tamis.data.schema import FileSchema
from tamis.errors import InputError, Problem


def inspect_existing_output(job: Job, output: Path) -> tuple[ScoreFile | None, str]:
    """Check whether the output of a job exists, and read all its rows if it can be reused.

    Returns:
        Scores that would be written again with the same bits, None if there are none; and why existing scores cannot be
        used, empty if they are not damaged.

    Raises:
        InputError: the file must not be replaced: tamis did not write it, or it belongs to another input.
    """
    if not output.exists():
        return None, ""
    try:
        score_file = read_score_file(output)
    except InputError as error:
        return None, _reason(error)  # unreadable, but its name is that of an output
    if score_file is None:
        raise _refusal(output, "exists, and was not written by tamis; move it, or choose another --output")
    expected = job.describe_origin(job.read_boundaries())
    if any(compare_metadata(expected, score_file.metadata)) or score_file.entries != job.schema.entries:
        _check_replaceable(score_file, job.schema, output)
        _check_average(score_file, expected, output)
        return None, ""
    try:
        damage = "; ".join(score_file.damage())
    except InputError as error:
        damage = _reason(error)
    return (None, damage) if damage else (score_file, "")


def _check_average(score_file: ScoreFile, expected: Mapping[str, Any], output: Path) -> None:
    """Check that the average of all networks does not replace out-of-fold scores of the same model."""
    average = describe_fold_source(AverageOfAll())
    source = score_file.metadata.get("folds")
    same_model = score_file.metadata.get("model") == expected["model"]
    if same_model and source not in (None, average) and expected["folds"] == average:
        raise _refusal(
            output,
            f"holds out-of-fold scores ({source}), which the average of all networks would replace; leave out "
            "--unseen, or choose another --output",
        )


def _reason(error: InputError) -> str:
    return "; ".join(problem.message for problem in error.problems)


def _check_replaceable(score_file: ScoreFile, schema: FileSchema, output: Path) -> None:
    """Check that an output does not hold the scores of another existing file, or of another tree."""
    path = schema.source.path
    input_path, tree = score_file.metadata["input"].get("path"), score_file.metadata["input"].get("tree")
    if not input_path:
        return
    same_file = os.path.realpath(input_path) == os.path.realpath(path)
    if same_file and tree != schema.tree:
        raise _refusal(
            output,
            f"holds the scores of tree {tree!r} of the file, not of {schema.tree!r}; choose another --output",
        )
    if not same_file and Path(input_path).exists():
        raise _refusal(
            output, f"holds the scores of {input_path}, another file of that name; choose another --output"
        )


def _refusal(output: Path, message: str) -> InputError:
    return InputError("scores", [Problem(str(output), message)])
