"""Check outputs that exist already: their scores are reused, replaced, or protected."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tamis.apply.folds import AverageOfAll, describe_fold_source
from tamis.apply.job import ApplyOptions, Job, compare_metadata
from tamis.apply.model import Model
from tamis.apply.outputs import SCORE_FILE_NAME, ScoreFile, read_score_file
from tamis.data.schema import FileSchema
from tamis.errors import InputError, Problem, RequestError
from tamis.wording import counted, join_first


def find_other_scores(
    model: Model, options: ApplyOptions, folder: Path, outputs: Sequence[Path]
) -> dict[Path, str]:
    """Find the scores in a folder that must not be mixed with new ones, with the setting that differs.

    These are score files of another classifier, and outputs of this call with another selection, sentinel or format.
    Other files may have other selections, because samples may have their own. Copies with scores may be inputs, so only
    those among the outputs count.
    """
    expected = {
        "model": model.digest,
        "selection": None if model.selection is None else model.selection.text,
        "sentinel": repr(float(options.sentinel)),
        **({} if options.copy else {"file_format": options.form or "ttree"}),
    }
    foreign_scores: dict[Path, str] = {}
    for path in outputs:
        foreign_scores |= _find_difference(path, expected) or {}
    parents = {folder.absolute(), *(path.parent for path in outputs)}
    other_paths = {path for parent in parents for path in parent.glob("[!.]*")} - set(outputs)
    for path in sorted(other_paths):
        match = SCORE_FILE_NAME.fullmatch(path.name)
        if match is None or match.group(1).lower() != "scores":
            continue
        difference = _find_difference(path, {"model": model.digest})
        if difference == {}:
            break  # every call keeps a folder to one classifier, so that a job of a batch need not open all files
        foreign_scores |= difference or {}
    return foreign_scores


def _find_difference(path: Path, expected: Mapping[str, object]) -> dict[Path, str] | None:
    """Return the first setting that differs, by the path; empty if none does, None without readable scores."""
    if SCORE_FILE_NAME.fullmatch(path.name) is None or not path.exists():
        return None
    try:
        score_file = read_score_file(path)
    except InputError:
        return None  # a damaged file belongs to no classifier
    if score_file is None:
        return None
    names = {"model": "classifier", "file_format": "format"}
    differing = [key for key, value in expected.items() if score_file.metadata[key] != value]
    return {path: f"another {names.get(differing[0], differing[0])}"} if differing else {}


def prepare_replacement(
    foreign_scores: Mapping[Path, str], outputs: Sequence[Path], folder: Path, *, overwrite: bool
) -> tuple[str, ...]:
    """Remove scores of other settings that new ones do not replace, and tell which; without `overwrite` refuse them."""
    if not foreign_scores:
        return ()
    kinds = " and ".join(dict.fromkeys(foreign_scores.values()))
    if not overwrite:
        raise RequestError(
            f"{folder} holds scores of {kinds} ({join_first([path.name for path in foreign_scores], 3)}); choose "
            "another --output, or replace them (--overwrite; in Python overwrite=True)"
        )
    removed = sorted(foreign_scores.keys() - set(outputs))
    for path in removed:
        path.unlink(missing_ok=True)  # another share of a batch may have removed it
    replaced = [path.name for path in foreign_scores if path not in removed]
    return tuple(
        f"{verb} {counted(len(names), 'score file')} of {kinds}: {join_first(names, 3)}"
        for verb, names in (("replaced", replaced), ("removed", [path.name for path in removed]))
        if names
    )


def inspect_existing_output(job: Job, output: Path) -> tuple[ScoreFile | None, str]:
    """Check whether the output of a job exists, and read all its rows if it can be reused.

    The results are scores that would be written again with the same bits, None if there are none, and why existing
    scores cannot be used, empty if they are not damaged. A file that must not be replaced, because tamis did not write
    it or it belongs to another input, raises an `InputError`.
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
