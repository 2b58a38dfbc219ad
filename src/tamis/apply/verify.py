"""Check that score files belong to a model and to their inputs: `tamis apply --verify`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from glob import escape
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.apply.copying import select_copied_types
from tamis.apply.folds import AverageOfAll, describe_fold_source
from tamis.apply.input_files import Shard, build_output_names, exclude_score_files, find_inputs, scan_input
from tamis.apply.job import ApplyOptions, Job, build_job, compare_metadata
from tamis.apply.model import Model, read_model
from tamis.apply.outputs import FORMAT_NAME, ScoreFile, build_output_endings, parse_format, read_score_file
from tamis.apply.scoring import build_score_columns
from tamis.data.chunks import read_range
from tamis.data.schema import FileSchema, SourceFile
from tamis.errors import InputError, Problem, ProblemsError, RequestError, TamisError
from tamis.expressions import parse
from tamis.paths import to_path, to_patterns

RANGE_LENGTH = 64
"""Number of consecutive entries that are scored again in each range."""
N_RANDOM_RANGES = 8
"""Ranges at random positions, in addition to the first and the last one."""


@dataclass(frozen=True)
class ScoreCheck:
    """The result of the check of one score file against its input and the model; there are findings if they differ.

    The output is empty if there is none, and the number of entries None if it cannot be read.
    """

    file: str
    output: str
    entries: int | None = None
    rescored: int = 0
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Return whether the scores belong to the input and the model."""
        return not self.findings


def verify_files(
    run: Path | str,
    files: Sequence[str],
    output: Path | str,
    *,
    shard: Shard | None = None,
    tolerance: float = 0.0,
    jobs: int = 2,
) -> tuple[ScoreCheck, ...]:
    """Check that score files hold the scores that the model computes for their inputs; an input without output fails.

    Selection, sentinel and format are those in the metadata of each output. The model, and the name, size, number of
    entries, first and last event of the input must match the metadata; all columns must match their checksums; and the
    scores of entries at the beginning, at the end and in random ranges are computed again and must be bit-identical,
    or, for another processor or other versions, differ by no more than the tolerance.

    Raises:
        RequestError: the request is wrong for all files.
        InputError: the run cannot be read.
    """
    files, folder = to_patterns(files, "verify_files"), to_path(output, "verify_files").absolute()
    # each output has its own selection in its metadata; without this one, samples with different selections are refused
    model = read_model(run, selection="true")

    def outputs_of(sources: Sequence[SourceFile]) -> Iterator[Path]:
        return (folder / name for names in _names(sources) for name in names)

    sources, _ = exclude_score_files(find_inputs(files), outputs_of)
    candidates = [
        (source, [folder / name for name in names])
        for source, *names in zip(sources, *_names(sources), strict=True)
    ]
    share = candidates if shard is None else candidates[shard.number :: shard.of]
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        checks = pool.map(partial(_check_outputs, model, tolerance), share)
        return tuple(score_check for checks_of_file in checks for score_check in checks_of_file)


def _names(sources: Sequence[SourceFile]) -> list[tuple[PurePosixPath, ...]]:
    """Return the names of the outputs in each format, and as copies; formats in which two names collide are skipped."""
    names: list[tuple[PurePosixPath, ...]] = []
    for form, copy in (("ttree", False), ("parquet", False), ("ttree", True)):
        try:
            names.append(
                build_output_names(sources, build_output_endings(sources, parse_format(form), copy=copy))
            )
        except RequestError:
            if copy and not names:
                raise
    return names


def _check_outputs(
    model: Model, tolerance: float, candidates: tuple[SourceFile, list[Path]]
) -> list[ScoreCheck]:
    source, paths = candidates
    existing = [path for path in paths if path.exists()]
    existing += sorted({output for path in paths for output in _find_tree_outputs(source, path)} - set(paths))
    if existing:
        return [_check_output(model, tolerance, source, path) for path in existing]
    folder = paths[0].parent
    reason = f"has no scores in {folder}; run `tamis apply` without --verify to write them"
    if not folder.is_dir():
        reason = f"the folder {folder} does not exist; give the --output of `tamis apply`"
    return [ScoreCheck(source.path, "", findings=(reason,))]


def _find_tree_outputs(source: SourceFile, output: Path) -> Iterator[Path]:
    """Find the outputs of the trees that the user chose: their names contain that of the tree."""
    base, *extensions = output.name.rsplit(".", 2)
    for path in output.parent.glob(f"{escape(base)}.*.{'.'.join(extensions)}"):
        try:
            score_file = read_score_file(path)
        except InputError:
            continue  # a damaged file, whose input is unknown
        if score_file is not None and score_file.metadata["input"]["file"] == PurePosixPath(source.path).name:
            yield path


def _check_output(model: Model, tolerance: float, source: SourceFile, path: Path) -> ScoreCheck:
    entries, rescored = None, 0
    notes: tuple[str, ...] = ()
    try:
        score_file = read_score_file(path)
        if score_file is None or score_file.metadata.get("format") != FORMAT_NAME:
            return ScoreCheck(source.path, str(path), findings=("was not written by tamis",))
        entries, notes = score_file.entries, () if score_file.is_hashed else (_UNHASHED,)
        schema = scan_input(source, score_file.metadata["input"]["tree"] or None, only=True)
        _check_branches(score_file, schema)
        job = _rebuild_job(model, schema, score_file)
        findings = list(
            compare_metadata(job.describe_origin(job.read_boundaries()), score_file.metadata, moved=True)
        )
        if entries != job.schema.entries:
            findings.append(f"it has {entries} rows, but the input has {job.schema.entries} entries")
        else:
            ranges = list(_choose_ranges(entries))
            findings += [*score_file.damage(), *_rescore(job, score_file, ranges, tolerance)]
            rescored = len({row for start, stop in ranges for row in range(start, stop)})
    except ProblemsError as error:
        findings = [str(problem) for problem in error.problems]
    except (TamisError, OSError) as error:
        findings = [str(error)]
    return ScoreCheck(source.path, str(path), entries, rescored, tuple(findings), notes)


_UNHASHED = "an older tamis wrote it without checksums: only the entries that were scored again were checked"


def _check_branches(score_file: ScoreFile, schema: FileSchema) -> None:
    """Check that an input has all branches from which its scores were computed, or raise an `InputError`."""
    missing = sorted(set(score_file.metadata["input"]["branches"]) - set(schema.branches))
    if missing and schema.entries:
        names = f"{'branch' if len(missing) == 1 else 'branches'} {', '.join(map(repr, missing))}"
        message = (
            f"the scores cannot be checked, because they were computed from {names}, which this file does not have; "
            "give the file that was scored, or score this one with `tamis apply` without --verify"
        )
        raise InputError("input file", [Problem(schema.where, message)])


def _rebuild_job(model: Model, schema: FileSchema, score_file: ScoreFile) -> Job:
    """Build the job that wrote a score file, from its metadata."""
    metadata = score_file.metadata
    text = metadata["selection"]
    options = ApplyOptions(
        form=parse_format(metadata["file_format"]),
        sentinel=float(metadata["sentinel"]),
        unseen=metadata["folds"] == describe_fold_source(AverageOfAll()),
        copy=bool(metadata["copy"]),
    )
    return build_job(replace(model, selection=None if text is None else parse(text)), schema, options)


def _choose_ranges(entries: int) -> Iterator[tuple[int, int]]:
    """Choose the entries to score again: the first, the last, and ranges that start at random, different each time."""
    last = max(entries - RANGE_LENGTH, 0)
    starts = {0, last, *np.random.default_rng().integers(0, last + 1, N_RANDOM_RANGES).tolist()}
    for start in sorted(starts) if entries else ():
        yield start, min(start + RANGE_LENGTH, entries)


def _rescore(
    job: Job, score_file: ScoreFile, ranges: Sequence[tuple[int, int]], tolerance: float
) -> Iterator[str]:
    """Score entries again, and yield the first that differs in each column."""
    copied = select_copied_types(job.schema, job.scoring.types, job.form) if job.copy else {}
    reported: set[str] = set()
    for start, stop in ranges:
        chunk = read_range(job.schema, job.scoring.branches | frozenset(copied), start, stop)
        expected = {**{name: chunk.columns[name] for name in copied}, **job.scoring.score(chunk).columns}
        written = score_file.rows(list(expected), start, stop)
        if tolerance:
            # nearly equal scores may swap their order, so that the class follows from the stored ones
            classes = job.scoring.model.classifier.class_names
            scores = np.stack([written[column] for column in build_score_columns(classes)], axis=1)
            expected["predicted"] = np.where(expected["flag"] == 0, scores.argmax(axis=1), -1).astype(
                np.int16
            )
        for name, values in expected.items():
            bad = _differing(name, values, written[name], tolerance)
            if len(bad) and name not in reported:
                reported.add(name)
                row = int(bad[0])
                yield (
                    f"entry {start + row} has {name} {written[name][row]}, not {values[row]} ({len(bad)} of the "
                    f"{stop - start} entries from {start} differ)"
                )


def _differing(name: str, expected: NDArray[Any], stored: NDArray[Any], tolerance: float) -> NDArray[np.intp]:
    """Return the rows that differ in any bit or, if there is a tolerance, whose scores differ by more."""
    if stored.dtype != expected.dtype or stored.shape != expected.shape:
        return np.arange(len(expected))
    if tolerance and name.startswith("score_"):
        with np.errstate(invalid="ignore"):  # the sentinel may be infinite
            return np.flatnonzero(~np.isclose(stored, expected, rtol=0, atol=tolerance, equal_nan=True))
    width = expected.dtype.itemsize
    bits = [np.ascontiguousarray(values).view(np.uint8).reshape(-1, width) for values in (expected, stored)]
    return np.flatnonzero((bits[0] != bits[1]).any(axis=1))
