"""A job scores one input; metadata connect the scores with the input and the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import numpy as np

from tamis.apply.copying import read_format
from tamis.apply.folds import describe_fold_source, find_fold_source, list_fold_expressions
from tamis.apply.model import Model
from tamis.apply.outputs import FORMAT_NAME, TREE, ScoreFileFormat, check_column_names
from tamis.apply.scoring import MEANINGS, Extent, Scoring, build_score_columns
from tamis.data.chunks import Chunk, read_range
from tamis.data.schema import FileSchema, find_schema_problems
from tamis.errors import InputError, Problem, RequestError
from tamis.expressions import collect_branches
from tamis.files import hash_json
from tamis.machine import tamis_version
from tamis.wording import format_range, format_value, shorten

_EXACT = 2**53  # integers up to this number are exact as 64-bit floats
_ENOUGH = 100  # minimum number of scored entries from which a constant or missing feature is suspicious


@dataclass(frozen=True)
class ApplyOptions:
    """Options of the score files.

    Args:
        form: format of the files; None is that of the input for copies, else `ttree`.
        sentinel: the score of entries that cannot be scored.
        unseen: whether the user states that no event was in the training.
        copy: whether the branches of the input are copied beside the scores.
    """

    form: ScoreFileFormat | None = None
    sentinel: float = -1.0
    unseen: bool = False
    copy: bool = False

    def __post_init__(self) -> None:
        """Check that the format exists, and that the sentinel is not a score in 32 bits."""
        if self.form is not None and self.form not in get_args(ScoreFileFormat):
            raise RequestError(
                f"the format is {self.form!r}; expected {', '.join(get_args(ScoreFileFormat))}"
            )
        if not isinstance(self.sentinel, int | float | np.number):
            raise RequestError(f"the sentinel is {self.sentinel!r}; expected a number, such as -1")
        with np.errstate(over="ignore"):
            written = float(np.float32(self.sentinel))
        if 0 <= written <= 1 or (np.isinf(written) and np.isfinite(self.sentinel)):
            raise RequestError(
                f"--sentinel is {self.sentinel:g}; expected a 32-bit number outside the range of scores, 0 to 1"
            )


@dataclass
class BoundaryHashes:
    """Hashes of the values of some branches in the first and the last event of a file; empty without events."""

    branches: frozenset[str]
    first: str = ""
    last: str = ""

    def record(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Yield the chunks unchanged, and hash their first and last event."""
        for chunk in chunks:
            self.first = self.first or self._hash(chunk, 0)
            self.last = self._hash(chunk, chunk.length - 1)
            yield chunk

    def _hash(self, chunk: Chunk, row: int) -> str:
        """Hash one event by the values of its numbers, whatever their type."""
        values = [[name, _as_floats(chunk.columns[name][row])] for name in sorted(self.branches)]
        return hash_json(values)


def _as_floats(value: Any) -> Any:
    """Convert integers to floats: a column of integers is read as floats in chunks that hold a null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_as_floats(item) for item in value]
    return float(value) if isinstance(value, int) and abs(value) <= _EXACT else value


@dataclass(frozen=True)
class Job:
    """An input, how its entries are scored, the format of the output, and whether it has copies of the branches."""

    schema: FileSchema
    scoring: Scoring
    form: ScoreFileFormat
    copy: bool

    @property
    def tree(self) -> str:
        """Name of the tree of the output; empty in Parquet."""
        if self.form == "parquet":
            return ""
        return self.schema.tree if self.copy else TREE

    def describe_origin(self, boundaries: BoundaryHashes) -> dict[str, Any]:
        """Return the metadata that identify the scores: those of the model, the options and the input."""
        model, path = self.scoring.model, self.schema.source.path
        remote = "://" in path
        status = None if remote else Path(path).stat()
        return {
            "format": FORMAT_NAME,
            "version": 1,
            "model": model.digest,
            "classes": list(model.classifier.class_names),
            "selection": None if model.selection is None else model.selection.text,
            "folds": describe_fold_source(self.scoring.folds)
            if model.classifier.plan.is_cross_training
            else None,
            "sentinel": repr(float(self.scoring.sentinel)),
            "file_format": self.form,
            "copy": self.copy,
            "tree": self.tree,
            "columns": list(self.scoring.types),
            "flags": {str(int(flag)): text for flag, text in MEANINGS.items()},
            "input": {
                "file": PurePosixPath(path).name,
                "tree": self.schema.tree,
                "entries": self.schema.entries,
                "bytes": None if status is None else status.st_size,
                "modified_ns": None if status is None else status.st_mtime_ns,
                "branches": sorted(self.scoring.branches),
                "first_sha256": boundaries.first,
                "last_sha256": boundaries.last,
            },
        }

    def build_metadata(
        self,
        boundaries: BoundaryHashes,
        counts: Mapping[str, int],
        networks: Mapping[str, int],
        warnings: tuple[str, ...],
    ) -> dict[str, Any]:
        """Return all metadata of the output."""
        origin = self.describe_origin(boundaries)
        return {
            **origin,
            "input": {**origin["input"], "path": self.schema.source.path},
            "counts": dict(counts),
            "networks": dict(networks),
            "warnings": list(warnings),
            "tamis": tamis_version(),
        }

    def read_boundaries(self) -> BoundaryHashes:
        """Read the first and the last event, or raise an `InputError` for a damaged file."""
        boundaries = BoundaryHashes(self.scoring.branches)
        last = self.schema.entries - 1
        if last >= 0:
            chunks = (
                read_range(self.schema, self.scoring.branches, row, row + 1) for row in sorted({0, last})
            )
            for _ in boundaries.record(chunks):
                pass
        return boundaries


def build_job(model: Model, schema: FileSchema, options: ApplyOptions) -> Job:
    """Check that the entries of an input can be scored, and determine how.

    Raises:
        InputError: a branch is missing or has a wrong type, or the folds are not known.
    """
    folds = find_fold_source(model.folds, schema, model.training, unseen=options.unseen)
    scoring = Scoring(model, folds, options.sentinel)
    problems = [
        *find_schema_problems([schema], scoring.expressions, trained=scoring.trained),
        *_rounded_folds(scoring, schema),
    ]
    if problems:
        raise InputError("input file", problems)
    form = options.form or (read_format(schema) if options.copy else "ttree")
    check_column_names(build_score_columns(model.classifier.class_names), form)
    return Job(schema, scoring, form, options.copy)


def _rounded_folds(scoring: Scoring, schema: FileSchema) -> Iterator[Problem]:
    """Yield a problem for each integer of the training that determines folds and is a 32-bit float in this file."""
    for name in sorted(collect_branches(list_fold_expressions(scoring.folds))):
        known, branch = scoring.model.types.get(name, ()), schema.branches.get(name)
        integers = bool(known) and all("int" in kind for kind in known)
        if integers and branch is not None and branch.number in ("float16", "float32"):
            message = (
                f"branch {name!r}, which determines the fold of an event, is {branch.number} but was "
                f"{' or '.join(known)} in training, and rounding changes the fold; write it as an integer"
            )
            yield Problem(schema.where, message)


def compare_metadata(
    expected: Mapping[str, Any], metadata: Mapping[str, Any], *, moved: bool = False
) -> Iterator[str]:
    """Yield the differences between the metadata of scores and those that `Job.describe_origin` expects for an input.

    The modification time of a `moved` input may differ.
    """
    for key, value in expected.items():
        if key != "input" and metadata.get(key) != value:
            yield f"{_PHRASES.get(key, key)} {_contrast(metadata.get(key), value)}"
    input_metadata = metadata.get("input", {})
    for key, value in expected["input"].items():
        if input_metadata.get(key) != value and not (moved and key == "modified_ns"):
            phrase = _INPUT_PHRASES.get(key, key)
            yield f"its input has a different {phrase} ({_contrast(input_metadata.get(key), value)})"


def _contrast(value: object, expected: object) -> str:
    return ", not ".join(shorten(str(number), 40) for number in (value, expected))


_PHRASES = {
    "model": "it was made by the model",
    "selection": "the selection was",
    "folds": "the folds came from",
    "sentinel": "the sentinel was",
    "file_format": "the format was",
    "classes": "the classes were",
}
_INPUT_PHRASES = {
    "file": "name",
    "entries": "number of entries",
    "bytes": "size",
    "modified_ns": "modification time",
    "first_sha256": "first event",
    "last_sha256": "last event",
}


def find_other_tree(model: Model, schema: FileSchema) -> tuple[str, ...]:
    """Return a warning if the only tree of a file is read although those of the training have other names."""
    if model.tree_is_required or not schema.tree or not model.trees or schema.tree in model.trees:
        return ()
    names = " or ".join(map(repr, sorted(model.trees)))
    return (f"the only tree of the file, {schema.tree!r}, is scored, but that of the training was {names}",)


def find_changed_types(scoring: Scoring, schema: FileSchema) -> tuple[str, ...]:
    """Return a warning for each branch whose type differs from that in training."""
    warnings = []
    for name in sorted(scoring.branches):
        known, branch = scoring.model.types.get(name, ()), schema.branches.get(name)
        if known and branch is not None and branch.number not in known:
            warnings.append(
                f"branch {name!r} is {branch.number}, but was {' or '.join(known)} in training; check how it is filled"
            )
    return tuple(warnings)


def find_suspicious_features(scoring: Scoring, extent: Extent, scored: int, total: int) -> tuple[str, ...]:
    """Return a warning for each feature whose values in the `scored` entries differ from those of the training.

    A value is suspicious if its distance from the training range exceeds the width of this range. A feature with one
    value in all entries, but several in training, was probably not filled.
    """
    if not total:
        return ("no entry passes the selection",)
    if not scored:
        return ("no entry could be scored; see the reasons in the table",)
    enough = scored >= _ENOUGH
    warnings = []
    for feature, low, high, outside in zip(
        scoring.model.features, extent.low, extent.high, extent.outside, strict=True
    ):
        known = scoring.model.ranges.get(feature.name)
        if known is None:
            continue
        name = f"feature {feature.name!r} (branches {', '.join(sorted(feature.expression.branches))})"
        training = f"in training it was {' to '.join(format_range(known.low, known.high, 4))}"
        if outside:
            observed = " to ".join(format_range(float(low), float(high), 4))
            warnings.append(
                f"{name} is far outside the training range in {outside:,} of {scored:,} scored entries: "
                f"it is {observed}, {training}; check the units"
            )
        if low > high and enough:
            warnings.append(f"{name} is missing in all {scored:,} scored entries")
        elif low == high and known.low < known.high and enough:
            warnings.append(
                f"{name} is {format_value(float(low))} in all {scored:,} scored entries; {training}"
            )
    return tuple(warnings)
