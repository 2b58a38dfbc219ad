"""With cross-training: which networks never saw an entry.

The fold of an entry is found as in training: from a number of the event, from the columns that identify it, or from
its place in a file of the training. An entry of which that cannot be said gets the average of all networks only where
it is sure, or the user says, that it was not in the training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from tamis.data.chunks import Chunk
from tamis.data.plan import evaluate_chunk, evaluate_identifier
from tamis.data.schema import FileSchema
from tamis.data.split import (
    folds_of_identities,
    folds_of_numbers,
    identity_of_columns,
    identity_of_entries,
)
from tamis.errors import InputError, Problem
from tamis.expressions import Expression, Values, truth
from tamis.files import sha256

AVERAGE = -1
"""In the column `network`: the average of all networks."""
NOT_SCORED = -2
"""In the column `network`: no network."""
UNKNOWN = -3
"""The fold of an entry whose number or identity is not a number; such an entry is not scored."""

_UNSEEN = "if none of its events was in the training, say so with --unseen: they get the average of all networks then"

Folds = NDArray[np.int32]


@dataclass(frozen=True)
class Use:
    """How a sample of the training used a file.

    Args:
        sample: its name.
        tree: the tree that it read; None where the file holds one.
        selection: entries for which it is false were not used; None where all were.
        identity: what the identities of its events begin with; None for that of the file.
    """

    sample: str
    tree: str | None
    selection: Expression | None
    identity: str | None = None


@dataclass(frozen=True)
class TrainingFile:
    """A file of the training.

    Args:
        identity: what the training called it; part of the identity of its events.
        bytes: its size; None for a URL.
        sha256: hash of its content; None for a URL.
        uses: by which samples it was used.
        path: where it lay.
        entries: how many it had.
    """

    identity: str
    bytes: int | None
    sha256: str | None
    uses: tuple[Use, ...]
    path: str
    entries: int

    @property
    def name(self) -> str:
        """The last part of its name."""
        return PurePosixPath(self.identity).name


@dataclass(frozen=True)
class NumberRule:
    """The fold is the remainder of a number of the event (`split.folds.by`)."""

    expression: Expression
    number: int


@dataclass(frozen=True)
class IdentityRule:
    """The fold is a hash of the columns that identify an event (`split.by`)."""

    columns: tuple[Expression, ...]
    number: int
    seed: int


@dataclass(frozen=True)
class EntryRule:
    """The fold is a hash of sample, file and entry number: known for files of the training alone."""

    number: int
    seed: int


FoldRule: TypeAlias = NumberRule | IdentityRule | EntryRule


@dataclass(frozen=True)
class PlaceInTraining:
    """The fold of an entry of a file of the training, by its place there."""

    file: TrainingFile
    uses: tuple[Use, ...]
    rule: EntryRule


@dataclass(frozen=True)
class AverageOfAll:
    """No entry of the file was in the training."""


FoldSource: TypeAlias = NumberRule | IdentityRule | PlaceInTraining | AverageOfAll


def fold_source(
    rule: FoldRule, schema: FileSchema, training: Sequence[TrainingFile], *, unseen: bool
) -> FoldSource:
    """Decide how the folds of a file's entries are found.

    Args:
        rule: that of the training.
        schema: the file.
        training: the files of the training; empty where they are not known.
        unseen: whether the user says that no event of the file was in the training.

    Raises:
        InputError: the folds are not known, so that an event could get a network that learned from it.
    """
    if unseen:
        if (found := find_in_training(schema, training)) and _uses(found, schema):
            message = f"is a file of the training ({found.identity}); it cannot be scored with --unseen"
            raise InputError("folds", [Problem(schema.source.path, message)])
        if found and not isinstance(rule, EntryRule) and not _absent_branches(rule, schema):
            names = ", ".join(dict.fromkeys(name for each in _expressions(rule) for name in each.branches))
            message = (
                f"is another tree of a file of the training ({found.identity}), and has {names}, which the fold of an "
                "event follows from: it may hold the same events; leave out --unseen, and each event gets the networks "
                "that never saw it"
            )
            raise InputError("folds", [Problem(schema.where, message)])
        return AverageOfAll()
    match rule:
        case NumberRule() | IdentityRule():
            absent = _absent_branches(rule, schema)
            if absent and schema.entries:
                message = f"has no {', '.join(absent)}, which the fold of an event follows from; {_UNSEEN}"
                raise InputError("folds", [Problem(schema.where, message)])
            return rule
        case EntryRule():
            return _place(rule, schema, training)
        case _:
            assert_never(rule)


def _absent_branches(rule: NumberRule | IdentityRule, schema: FileSchema) -> list[str]:
    """Return the branches that the folds follow from and that a file does not have."""
    return sorted(
        name for each in _expressions(rule) for name in each.branches if name not in schema.branches
    )


def _place(rule: EntryRule, schema: FileSchema, training: Sequence[TrainingFile]) -> FoldSource:
    if not training:
        message = f"the files of the training are known to the run directory alone: give that, or {_UNSEEN}"
        raise InputError("folds", [Problem(schema.source.path, message)])
    found = find_in_training(schema, training)
    if found is not None and (uses := _uses(found, schema)):
        return PlaceInTraining(found, uses, rule)
    if found is not None:
        message = (
            f"is a tree that the training did not read, in a file that it did ({found.identity}): it may hold the "
            f"same events, such as a variation of them. {_UNSEEN[0].upper()}{_UNSEEN[1:]}"
        )
        raise InputError("folds", [Problem(schema.where, message)])
    name = PurePosixPath(schema.source.path).name
    if any(each.name == name for each in training):
        remote = "://" in schema.source.path or any(
            each.sha256 is None for each in training if each.name == name
        )
        other = "whether it is that file is not known" if remote else "its content is another"
        message = (
            f"is called like a file of the training, but {other}; the folds of its events are not "
            f"known. {_UNSEEN[0].upper()}{_UNSEEN[1:]}"
        )
        raise InputError("folds", [Problem(schema.source.path, message)])
    return AverageOfAll()


def _uses(file: TrainingFile, schema: FileSchema) -> tuple[Use, ...]:
    """Give the uses of the tree that is scored."""
    return tuple(use for use in file.uses if use.tree in (None, schema.tree))


def find_in_training(schema: FileSchema, training: Sequence[TrainingFile]) -> TrainingFile | None:
    """Find the file of the training that holds the same bytes, under whatever name.

    What lies behind a URL is known only where it is that of the training, and has as many entries.
    """
    path = schema.source.path
    if "://" in path:
        alike = [each for each in training if each.path == path and each.entries == schema.entries]
        return next(iter(alike), None)
    size = Path(path).stat().st_size
    alike = [each for each in training if each.bytes == size]
    content = sha256(Path(path)) if alike else None
    return next((each for each in alike if each.sha256 == content), None)


def _expressions(source: FoldSource) -> Iterator[Expression]:
    match source:
        case NumberRule():
            yield source.expression
        case IdentityRule():
            yield from source.columns
        case PlaceInTraining():
            yield from (use.selection for use in source.uses if use.selection is not None)
        case AverageOfAll():
            return
        case _:
            assert_never(source)


def fold_expressions(source: FoldSource) -> tuple[Expression, ...]:
    """Give the expressions that the folds follow from."""
    return tuple(_expressions(source))


def describe(source: FoldSource) -> str:
    """Say in words where the folds come from; two files that are scored alike have the same words.

    >>> describe(AverageOfAll())
    'the average of all networks'
    """
    match source:
        case NumberRule():
            return f"the remainder of {source.expression.text} divided by {source.number}"
        case IdentityRule():
            named = ", ".join(each.text for each in source.columns)
            return f"a hash of {named} (seed {source.seed}, {source.number} folds)"
        case PlaceInTraining():
            return f"the place in {source.file.identity} of the training"
        case AverageOfAll():
            return "the average of all networks"
        case _:
            assert_never(source)


def folds_of_chunk(source: FoldSource, chunk: Chunk) -> Folds:
    """Find the fold of every row.

    Returns:
        The fold, `AVERAGE`, or `UNKNOWN` where what it follows from is not a number, [chunk.length].
    """
    match source:
        case NumberRule():
            return _of_numbers(evaluate_identifier(source.expression, chunk), source.number)
        case IdentityRule():
            return _of_identities(source, [evaluate_identifier(each, chunk) for each in source.columns])
        case PlaceInTraining():
            return _of_places(source, chunk)
        case AverageOfAll():
            return np.full(chunk.length, AVERAGE, np.int32)
        case _:
            assert_never(source)


def _of_numbers(values: Values | NDArray[np.uint64], number: int) -> Folds:
    whole = np.ones(len(values), np.bool_)
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) <= 2.0**53)
    folds = np.full(len(values), UNKNOWN, np.int32)
    folds[whole] = folds_of_numbers(values[whole], number)
    return folds


def _of_identities(rule: IdentityRule, columns: Sequence[Values | NDArray[np.uint64]]) -> Folds:
    known = np.logical_and.reduce([np.isfinite(column) for column in columns])
    folds = np.full(len(known), UNKNOWN, np.int32)
    identity = identity_of_columns([column[known] for column in columns])
    folds[known] = folds_of_identities(identity, rule.number, rule.seed)
    return folds


def _of_places(source: PlaceInTraining, chunk: Chunk) -> Folds:
    folds = np.full(chunk.length, AVERAGE, np.int32)
    for use in source.uses:
        of_file = use.identity or source.file.identity
        identity = identity_of_entries(use.sample, of_file, chunk.first_entry, chunk.length)
        own = folds_of_identities(identity, source.rule.number, source.rule.seed)
        used = True if use.selection is None else truth(evaluate_chunk(use.selection, chunk))
        folds = np.where(used, own, folds)
    return folds
