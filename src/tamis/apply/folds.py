"""Out-of-fold scores: find the networks that did not learn from an entry.

The fold of an entry is determined as in training: from a number of the event, from the columns of its event ID, or from
its position in a file of the training. All other entries get the average of all networks, but only if it is certain, or
the user states, that they were not in the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias, assert_never

import numpy as np

from tamis.arrays import Int32
from tamis.data.chunks import Chunk
from tamis.data.plan import evaluate_chunk, evaluate_identifier
from tamis.data.schema import FileSchema
from tamis.data.split import (
    NO_FOLD,
    assign_folds_by_id,
    assign_folds_by_number,
    hash_columns,
    hash_entries,
)
from tamis.errors import InputError, Problem
from tamis.expressions import Expression, convert_to_boolean
from tamis.files import sha256

AVERAGE = NO_FOLD
"""Value of the column `network`: the average of all networks."""
NOT_SCORED = -2
"""Value of the column `network`: the entry has no scores."""
UNKNOWN = -3
"""The fold of an entry whose fold number or event ID is not finite; such an entry is not scored."""

_UNSEEN = "if none of its events was in the training, use --unseen: they get the average of all networks"


@dataclass(frozen=True)
class FileUse:
    """The use of a file by a sample of the training.

    Only the entries that pass the selection were used, if there is one. The tree is None if the file has only one, and
    `file_key`, from which event IDs are computed, if it is that of the file.
    """

    sample: str
    tree: str | None
    selection: Expression | None
    file_key: str | None = None


@dataclass(frozen=True)
class TrainingFile:
    """A file of the training.

    Args:
        file_key: its name in the training, from which event IDs are computed.
        bytes: its size; None for a URL.
        sha256: hash of its content; None for a URL.
        path: its path during the training.
    """

    file_key: str
    bytes: int | None
    sha256: str | None
    uses: tuple[FileUse, ...]
    path: str
    entries: int

    @property
    def name(self) -> str:
        """The last component of its name."""
        return PurePosixPath(self.file_key).name


@dataclass(frozen=True)
class NumberRule:
    """The fold is the remainder of a number of the event (`split.folds.by`)."""

    expression: Expression
    number: int


@dataclass(frozen=True)
class EventIdRule:
    """The fold is a hash of the columns of the event ID (`split.event_id`)."""

    columns: tuple[Expression, ...]
    number: int
    seed: int


@dataclass(frozen=True)
class EntryNumberRule:
    """The fold is a hash of sample, file and entry number, known only for files of the training."""

    number: int
    seed: int


@dataclass(frozen=True)
class PositionInTraining:
    """The fold of an entry of a file of the training follows from its position in this file."""

    file: TrainingFile
    uses: tuple[FileUse, ...]
    rule: EntryNumberRule


@dataclass(frozen=True)
class AverageOfAll:
    """No entry of the file was in the training, or no member holds a fold out."""


FoldRule: TypeAlias = NumberRule | EventIdRule | EntryNumberRule | AverageOfAll
FoldSource: TypeAlias = NumberRule | EventIdRule | PositionInTraining | AverageOfAll


def find_fold_source(
    rule: FoldRule, schema: FileSchema, training: Sequence[TrainingFile], *, unseen: bool
) -> FoldSource:
    """Determine how the folds of the entries of a file are computed.

    The list of the files of the training is empty if they are not known. With `unseen`, the user states that no event
    of the file was in the training.

    Raises:
        InputError: the folds are not known, so that a network could score an event that it learned from.
    """
    if unseen:
        training_file = find_in_training(schema.source.path, schema.entries, training)
        if training_file and _uses(training_file, schema):
            message = f"was used in the training ({training_file.file_key}); leave out --unseen"
            raise InputError("folds", [Problem(schema.source.path, message)])
        if (
            training_file
            and isinstance(rule, NumberRule | EventIdRule)
            and not _absent_branches(rule, schema)
        ):
            names = ", ".join(_list_branches(rule))
            message = (
                f"is another tree of a file of the training ({training_file.file_key}) and may hold the same events; "
                f"leave out --unseen: it has {names}, so each event gets out-of-fold scores"
            )
            raise InputError("folds", [Problem(schema.where, message)])
        return AverageOfAll()
    match rule:
        case AverageOfAll():
            return rule
        case NumberRule() | EventIdRule():
            absent = _absent_branches(rule, schema)
            if absent and schema.entries:
                names = f"{'branch' if len(absent) == 1 else 'branches'} {', '.join(map(repr, absent))}"
                verbs = "is missing and determines" if len(absent) == 1 else "are missing and determine"
                message = f"{names} {verbs} the fold of an event; {_UNSEEN}"
                raise InputError("folds", [Problem(schema.where, message)])
            return rule
        case EntryNumberRule():
            return _find_position(rule, schema, training)
        case _:
            assert_never(rule)


def _list_branches(rule: NumberRule | EventIdRule) -> list[str]:
    return list(
        dict.fromkeys(name for expression in list_fold_expressions(rule) for name in expression.branches)
    )


def _absent_branches(rule: NumberRule | EventIdRule, schema: FileSchema) -> list[str]:
    """Return the branches that determine the folds and are missing in a file."""
    return sorted(set(_list_branches(rule)) - set(schema.branches))


def _find_position(rule: EntryNumberRule, schema: FileSchema, training: Sequence[TrainingFile]) -> FoldSource:
    if not training:
        message = (
            "may be a file of the training, which only the run directory lists, not its folder `model`; give the run "
            f"directory, or, {_UNSEEN}"
        )
        raise InputError("folds", [Problem(schema.source.path, message)])
    training_file = find_in_training(schema.source.path, schema.entries, training)
    if training_file is not None and (uses := _uses(training_file, schema)):
        return PositionInTraining(training_file, uses, rule)
    if training_file is not None:
        message = (
            f"is another tree of a file of the training ({training_file.file_key}) and may hold the same events, such "
            f"as a variation of them; {_UNSEEN}"
        )
        raise InputError("folds", [Problem(schema.where, message)])
    name = PurePosixPath(schema.source.path).name
    if namesakes := [file for file in training if file.name == name]:
        remote = "://" in schema.source.path or any(file.sha256 is None for file in namesakes)
        comparison = "may be another file" if remote else "has other content"
        message = (
            f"has the name of a file of the training but {comparison}, so the folds of its events are not known; "
            f"{_UNSEEN}"
        )
        raise InputError("folds", [Problem(schema.source.path, message)])
    return AverageOfAll()


def _uses(file: TrainingFile, schema: FileSchema) -> tuple[FileUse, ...]:
    """Return the uses of the tree that is scored."""
    return tuple(use for use in file.uses if use.tree in (None, schema.tree))


def find_in_training(path: str, entries: int, training: Sequence[TrainingFile]) -> TrainingFile | None:
    """Find the file of the training with the same content, whatever its name.

    A remote file counts as a file of the training if it has the same URL and number of entries.
    """
    if "://" in path:
        return next((file for file in training if file.path == path and file.entries == entries), None)
    size = Path(path).stat().st_size
    same_size = [file for file in training if file.bytes == size]
    digest = sha256(Path(path)) if same_size else None  # reading the whole file takes time
    return next((file for file in same_size if file.sha256 == digest), None)


def list_fold_expressions(source: FoldSource) -> tuple[Expression, ...]:
    """Return the expressions that determine the folds."""
    match source:
        case NumberRule():
            return (source.expression,)
        case EventIdRule():
            return source.columns
        case PositionInTraining():
            return tuple(use.selection for use in source.uses if use.selection is not None)
        case AverageOfAll():
            return ()
        case _:
            assert_never(source)


def describe_fold_source(source: FoldSource) -> str:
    """Describe where the folds come from; files that are scored in the same way have the same description.

    >>> describe_fold_source(AverageOfAll())
    'the average of all networks'
    """
    match source:
        case NumberRule():
            return f"the remainder of {source.expression.text} divided by {source.number}"
        case EventIdRule():
            columns = ", ".join(expression.text for expression in source.columns)
            return f"a hash of {columns} (seed {source.seed}, {source.number} folds)"
        case PositionInTraining():
            return f"the position in {source.file.file_key} of the training"
        case AverageOfAll():
            return "the average of all networks"
        case _:
            assert_never(source)


def compute_folds(source: FoldSource, chunk: Chunk) -> Int32:
    """Compute the fold of every row: a number, `AVERAGE`, or `UNKNOWN` if it is not determined, [chunk.length]."""
    match source:
        case NumberRule():
            values = evaluate_identifier(source.expression, chunk)
            is_known = np.ones(len(values), np.bool_)
            if values.dtype.kind == "f":
                # above 2^53 a float is not an exact integer, and the remainder would depend on its rounding
                is_known = np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) <= 2.0**53)
            folds = assign_folds_by_number(values[is_known], source.number)
        case EventIdRule():
            columns = [evaluate_identifier(expression, chunk) for expression in source.columns]
            is_known = np.logical_and.reduce([np.isfinite(column) for column in columns])
            event_id = hash_columns([column[is_known] for column in columns])
            folds = assign_folds_by_id(event_id, source.number, source.seed)
        case PositionInTraining():
            return _compute_folds_by_position(source, chunk)
        case AverageOfAll():
            return np.full(chunk.length, AVERAGE, np.int32)
        case _:
            assert_never(source)
    result = np.full(chunk.length, UNKNOWN, np.int32)
    result[is_known] = folds
    return result


def _compute_folds_by_position(source: PositionInTraining, chunk: Chunk) -> Int32:
    folds = np.full(chunk.length, AVERAGE, np.int32)
    for use in source.uses:
        file_key = use.file_key or source.file.file_key
        event_id = hash_entries(use.sample, file_key, chunk.first_entry, chunk.length)
        folds_of_use = assign_folds_by_id(event_id, source.rule.number, source.rule.seed)
        used = True if use.selection is None else convert_to_boolean(evaluate_chunk(use.selection, chunk))
        folds = np.where(used, folds_of_use, folds)
    return folds
