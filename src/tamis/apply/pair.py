"""An input and its scores: what is known of the one stands in the other, so that a pair can be proved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tamis.apply.copying import format_of
from tamis.apply.folds import FoldSource, describe, fold_expressions, fold_source
from tamis.apply.inputs import Ends, scan_input
from tamis.apply.model import Model
from tamis.apply.outputs import KIND, TREE, Format, check_names
from tamis.apply.scoring import MEANINGS, Extent, Scoring, score_columns
from tamis.data.chunks import read_range
from tamis.data.schema import FileSchema, SourceFile, schema_problems
from tamis.errors import InputError, Problem, RequestError
from tamis.provenance import tamis_version
from tamis.wording import limits
from tamis.wording import value as value_text


@dataclass(frozen=True)
class Wish:
    """How the user wants the scores.

    Args:
        form: the format of the files; None for that of the input where it is copied, else `ttree`.
        sentinel: the score of entries that have none.
        unseen: whether the user says that no event was in the training.
        copy: whether the branches of the input are copied beside the scores.
    """

    form: Format | None = None
    sentinel: float = -1.0
    unseen: bool = False
    copy: bool = False

    def __post_init__(self) -> None:
        """Refuse a sentinel that is, or becomes, a score."""
        with np.errstate(over="ignore"):
            written = float(np.float32(self.sentinel))
        if 0 <= written <= 1 or (np.isinf(written) and np.isfinite(self.sentinel)):
            raise RequestError(
                f"--sentinel is {self.sentinel:g}; expected a number of 32 bits outside of 0 to 1, where scores are"
            )


@dataclass(frozen=True)
class Pair:
    """An input that was looked into, and what is computed for it.

    Args:
        schema: the input.
        scoring: what is computed.
        form: the format in which it is written.
        copy: whether the branches of the input are written beside it.
    """

    schema: FileSchema
    scoring: Scoring
    form: Format
    copy: bool

    @property
    def tree(self) -> str:
        """Name of the tree of the output; empty in Parquet."""
        if self.form == "parquet":
            return ""
        return self.schema.tree if self.copy else TREE

    def belongs(self, ends: Ends) -> dict[str, Any]:
        """Say what the scores belong to: the model, how it was applied, and the input."""
        model, path = self.scoring.model, self.schema.source.path
        remote = "://" in path
        there = None if remote else Path(path).stat()
        return {
            "format": KIND,
            "version": 1,
            "model": model.digest,
            "classes": list(model.classifier.class_names),
            "selection": None if model.selection is None else model.selection.text,
            "folds": None if self.scoring.folds is None else describe(self.scoring.folds),
            "sentinel": repr(float(self.scoring.sentinel)),
            "form": self.form,
            "copy": self.copy,
            "tree": self.tree,
            "columns": list(self.scoring.types),
            "flags": {str(int(flag)): text for flag, text in MEANINGS.items()},
            "input": {
                "file": PurePosixPath(path).name,
                "tree": self.schema.tree,
                "entries": self.schema.entries,
                "bytes": None if there is None else there.st_size,
                "modified_ns": None if there is None else there.st_mtime_ns,
                "branches": sorted(self.scoring.branches),
                "first_sha256": ends.first,
                "last_sha256": ends.last,
            },
        }

    def metadata(
        self,
        ends: Ends,
        counts: Mapping[str, int],
        networks: Mapping[str, int],
        warnings: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Give what is written into the output."""
        said = self.belongs(ends)
        return {
            **said,
            "input": {**said["input"], "path": self.schema.source.path},
            "counts": dict(counts),
            "networks": dict(networks),
            "warnings": list(warnings),
            "tamis": tamis_version(),
        }

    def read_ends(self) -> Ends:
        """Read the first and the last event.

        Raises:
            InputError: the file is damaged.
        """
        ends = Ends(self.scoring.branches)
        last = self.schema.entries - 1
        if last >= 0:
            chunks = (
                read_range(self.schema, self.scoring.branches, row, row + 1) for row in sorted({0, last})
            )
            for _ in ends.watch(chunks):
                pass
        return ends


def make_pair(model: Model, source: SourceFile, wish: Wish) -> Pair:
    """Look into an input, and check that all that is computed can be computed there.

    Raises:
        InputError: the file cannot be read, a branch is missing or of another kind, or the folds are not known.
    """
    schema = scan_input(source, model.tree, only=model.tree_is_wish)
    return bind(model, schema, wish)


def bind(model: Model, schema: FileSchema, wish: Wish) -> Pair:
    """Check that all that is computed can be computed in a file that was looked into."""
    scoring = Scoring(model, _folds(model, schema, wish), wish.sentinel)
    problems = [
        *schema_problems([schema], scoring.scalars, scoring.indexed, trained=scoring.trained),
        *_rounded_folds(scoring, schema),
    ]
    if problems:
        raise InputError("input file", problems)
    form = wish.form or (format_of(schema) if wish.copy else "ttree")
    check_names(score_columns(model.classifier.class_names), form)
    return Pair(schema, scoring, form, wish.copy)


def _rounded_folds(scoring: Scoring, schema: FileSchema) -> Iterator[Problem]:
    """Refuse floats where the training had integers and folds follow from them: above 2^24 they would be others."""
    expressions = () if scoring.folds is None else fold_expressions(scoring.folds)
    for name in sorted({name for each in expressions for name in each.branches}):
        known, found = scoring.model.types.get(name, ()), schema.branches.get(name)
        integers = bool(known) and all("int" in kind for kind in known)
        if integers and found is not None and found.number in ("float16", "float32"):
            message = (
                f"branch {name!r}, which the fold of an event follows from, holds {found.number} numbers, and held "
                f"{' or '.join(known)} in training: rounded, it gives other folds; write it as an integer"
            )
            yield Problem(schema.where, message)


def _folds(model: Model, schema: FileSchema, wish: Wish) -> FoldSource | None:
    if model.folds is None:
        return None
    return fold_source(model.folds, schema, model.training, unseen=wish.unseen)


def differences(
    expected: Mapping[str, Any], found: Mapping[str, Any], *, moved: bool = False
) -> Iterator[str]:
    """Say in what scores do not belong to an input.

    Args:
        expected: what is to be said of the scores, from `Pair.belongs`.
        found: what they say of themselves.
        moved: whether the input may have another time of its last change.
    """
    for key, value in expected.items():
        if key != "input" and found.get(key) != value:
            yield f"{_WORDS.get(key, key)} {_short(found.get(key))}, not {_short(value)}"
    given = found.get("input", {})
    for key, value in expected["input"].items():
        if given.get(key) != value and not (moved and key == "modified_ns"):
            word = _INPUT_WORDS.get(key, key)
            yield f"its input has another {word} ({_short(given.get(key))}, not {_short(value)})"


_WORDS = {
    "model": "it was made by the model",
    "selection": "the selection was",
    "folds": "the folds came from",
    "sentinel": "the sentinel was",
    "form": "the format was",
    "classes": "the classes were",
}
_INPUT_WORDS = {
    "file": "name",
    "entries": "number of entries",
    "bytes": "size",
    "modified_ns": "time of its last change",
    "first_sha256": "first event",
    "last_sha256": "last event",
}


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 60 else f"{text[:12]}..."


def other_types(scoring: Scoring, schema: FileSchema) -> tuple[str, ...]:
    """Name the branches whose numbers are of another type than in training."""
    said = []
    for name in sorted(scoring.branches):
        known, found = scoring.model.types.get(name, ()), schema.branches.get(name)
        if known and found is not None and found.number not in known:
            said.append(
                f"branch {name!r} holds {found.number} numbers, and held {' or '.join(known)} in training: is it "
                "filled in the same way?"
            )
    return tuple(said)


def suspicions(scoring: Scoring, extent: Extent, scored: int, total: int) -> tuple[str, ...]:
    """Name features whose values are not like those of the training.

    A value is absurd where it is further from the training range than this is wide. A feature that has one value in
    all entries, and several in training, is one that was not filled.

    Args:
        scoring: what was computed.
        extent: of the features of all scored entries.
        scored: their number.
        total: entries that passed the selection.
    """
    if not scored:
        return (
            ("no entry could be scored: the table below says why",)
            if total
            else ("no entry passes the selection",)
        )
    said = []
    for feature, low, high, outside in zip(
        scoring.model.features, extent.low, extent.high, extent.outside, strict=True
    ):
        known = scoring.model.ranges.get(feature.name)
        if known is None:
            continue
        name = f"feature {feature.name!r} (branches {', '.join(sorted(feature.expression.branches))})"
        training = f"in training it was {' to '.join(limits(known.low, known.high, 4))}"
        if outside:
            here = " to ".join(limits(float(low), float(high), 4))
            said.append(
                f"{name} is far outside of the training range in {outside:,} of "
                f"{scored:,} scored entries: it is {here} here, {training}; are the units the same?"
            )
        if low > high and scored >= _ENOUGH:
            said.append(f"{name} is missing in all {scored:,} scored entries")
        elif low == high and known.low < known.high and scored >= _ENOUGH:
            said.append(f"{name} is {value_text(float(low))} in all {scored:,} scored entries; {training}")
    return tuple(said)


_ENOUGH = 100
