"""From the entries of a file to their scores: every entry gets a row, in the order of the file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from enum import IntFlag
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.apply.folds import AVERAGE, NOT_SCORED, UNKNOWN, FoldSource, fold_expressions, folds_of_chunk
from tamis.apply.model import Model
from tamis.data.chunks import Chunk
from tamis.data.plan import evaluate_chunk, evaluate_quantity, in_32_bits
from tamis.expressions import Expression, truth

_PLAIN = re.compile(r"[A-Za-z0-9_]+")
Columns = Mapping[str, NDArray[Any]]
Features = NDArray[np.float32] | NDArray[np.float64]

PIECE = 2**14
"""Rows that one thread scores at a time, or a multiple: enough that little is lost to batches that are not full."""


class Flag(IntFlag):
    """Why an entry has no scores; 0 where it has some."""

    NOT_SELECTED = 1
    """It fails the selection; nothing else was looked at."""
    MISSING = 2
    """A feature without a `missing` rule is not a number."""
    INFINITE = 4
    """A feature without a `missing` rule is infinite, or too large for 32 bits."""
    NO_FOLD = 8
    """What its fold follows from is not a whole number."""
    NOT_FINITE = 16
    """The network gave a score that is not a finite number."""


MEANINGS = {
    Flag.NOT_SELECTED: "fails the selection",
    Flag.MISSING: "a feature is missing and has no rule for that",
    Flag.INFINITE: "a feature is infinite and has no rule for that",
    Flag.NO_FOLD: "its fold is not known",
    Flag.NOT_FINITE: "a score is not a finite number",
}
"""What the bits of a flag mean, in words."""


@dataclass(frozen=True)
class Extent:
    """The values of the features of the entries that were scored, [n_features] each.

    Args:
        low: smallest value; infinite where there is none.
        high: largest value; minus infinity where there is none.
        outside: number of values further from the training range than it is wide.
    """

    low: Features
    high: Features
    outside: NDArray[np.int64]

    def __add__(self, other: Extent) -> Extent:
        """Join the values of two groups of entries."""
        return Extent(
            np.minimum(self.low, other.low), np.maximum(self.high, other.high), self.outside + other.outside
        )


def no_extent(features: int) -> Extent:
    """Give the extent of no entries."""
    limit = np.full(features, np.inf, np.float32)
    return Extent(limit, -limit, np.zeros(features, np.int64))


@dataclass(frozen=True)
class Scored:
    """Consecutive entries of one file with their scores.

    Args:
        columns: `score_<class>`, `predicted`, `flag` and, with cross-training, `network`; [n] each.
        extent: of the features.
    """

    columns: Columns
    extent: Extent


@dataclass(frozen=True)
class Scoring:
    """What is computed for the entries of one file.

    Args:
        model: the classifier and its selection.
        folds: where the folds come from; None without cross-training.
        sentinel: the score of an entry that has none.
    """

    model: Model
    folds: FoldSource | None
    sentinel: float

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Everything that is computed from branches."""
        return (*(() if self.model.selection is None else (self.model.selection,)), *self._own)

    @property
    def trained(self) -> frozenset[str]:
        """Branches that the classifier uses itself, whatever the selection."""
        return frozenset().union(*(expression.branches for expression in self._own))

    @property
    def _own(self) -> tuple[Expression, ...]:
        folds = () if self.folds is None else fold_expressions(self.folds)
        return (*folds, *(each.expression for each in self.model.features))

    @property
    def scalars(self) -> frozenset[str]:
        """Branches that are used as one number per event."""
        return frozenset().union(*(expression.scalars for expression in self.expressions))

    @property
    def indexed(self) -> frozenset[str]:
        """Branches that are used with an index."""
        return frozenset().union(*(expression.indexed for expression in self.expressions))

    @property
    def branches(self) -> frozenset[str]:
        """All branches that are read."""
        return self.scalars | self.indexed

    @property
    def types(self) -> dict[str, np.dtype[Any]]:
        """The columns that are written, and their types."""
        return column_types(self.model.classifier.class_names, folds=self.folds is not None)

    def score(self, chunk: Chunk) -> Scored:
        """Give every row of a chunk its scores, or the sentinel and a flag that says why it has none."""
        features, flag = self._features(chunk)
        folds = None if self.folds is None else folds_of_chunk(self.folds, chunk)
        if folds is not None:
            flag[(flag == 0) & (folds == UNKNOWN)] |= np.uint8(Flag.NO_FOLD)
        rows = np.flatnonzero(flag == 0)
        chosen = features if len(rows) == chunk.length else features[:, rows]
        found = self.model.classifier.scores(chosen.T, None if folds is None else folds[rows])
        finite = np.isfinite(found)
        if not finite.all():  # row by row only then: it takes longer than a small network
            good = finite.all(axis=1)
            flag[rows[~good]] |= np.uint8(Flag.NOT_FINITE)
            rows, found = rows[good], found[good]
        return Scored(self._columns(rows, found, flag, folds), self._extent(chosen))

    def _features(self, chunk: Chunk) -> tuple[Features, NDArray[np.uint8]]:
        """Compute the features, [n_features, n], and flag the rows that cannot be scored."""
        flag = np.zeros(chunk.length, np.uint8)
        classifier = self.model.classifier
        features = np.empty((len(self.model.features), chunk.length), classifier.feature_type)
        for values, quantity in zip(features, self.model.features, strict=True):
            exact = evaluate_quantity(quantity, chunk)
            values[:] = exact if quantity.name in classifier.unresolved_features else in_32_bits(exact)
            finite = np.isfinite(values)
            if finite.all():
                continue
            if quantity.missing is None:
                flag[np.isnan(values)] |= np.uint8(Flag.MISSING)
                flag[np.isinf(values)] |= np.uint8(Flag.INFINITE)
            values[~finite] = np.nan
        if self.model.selection is not None:
            flag[~truth(evaluate_chunk(self.model.selection, chunk))] = Flag.NOT_SELECTED
        return features, flag

    def _columns(
        self,
        rows: NDArray[np.intp],
        found: NDArray[np.float32],
        flag: NDArray[np.uint8],
        folds: NDArray[np.int32] | None,
    ) -> Columns:
        columns = {
            name: np.full(len(flag), _unscored(name, self.sentinel), kind)
            for name, kind in self.types.items()
        }
        for column, values in zip(score_columns(self.model.classifier.class_names), found.T, strict=True):
            columns[column][rows] = values
        columns["predicted"][rows] = found.argmax(axis=1)
        columns["flag"][:] = flag
        if folds is not None:
            columns["network"][rows] = self._networks(folds[rows])
        return columns

    def _networks(self, folds: NDArray[np.int32]) -> NDArray[np.int32]:
        """Say which networks were taken: those that never saw a fold, or the average where no network has it."""
        known = [member.fold for member in self.model.classifier.members if member.fold is not None]
        return np.where(np.isin(folds, known), folds, AVERAGE)

    def _extent(self, features: Features) -> Extent:
        count = len(features)
        low = np.fmin.reduce(features, axis=1, initial=np.inf)
        high = np.fmax.reduce(features, axis=1, initial=-np.inf)
        outside = np.zeros(count, np.int64)
        for index, quantity in enumerate(self.model.features):
            known = self.model.ranges.get(quantity.name)
            if known is None:
                continue
            width = known.high - known.low
            lowest, highest = known.low - width, known.high + width
            if low[index] < lowest or high[index] > highest:
                outside[index] = np.count_nonzero((features[index] < lowest) | (features[index] > highest))
        return Extent(low, high, outside)


def score_columns(classes: Sequence[str]) -> tuple[str, ...]:
    """Name the column of each class, so that TTree::Draw and RDataFrame can use it in a formula.

    Args:
        classes: names of the classes; what is no letter, digit or underscore becomes an underscore.

    >>> score_columns(["bkg", "t#bar{t} + jets", "t bar t jets"])
    ('score_bkg', 'score_t_bar_t_jets', 'score_t_bar_t_jets_2')
    """
    names: list[str] = []
    for name in classes:
        plain = name if _PLAIN.fullmatch(name) else re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "class"
        column, number = f"score_{plain}", 1
        # a name that needs no change keeps it
        while column in names or (plain != name and column.removeprefix("score_") in classes):
            number += 1
            column = f"score_{plain}_{number}"
        names.append(column)
    return tuple(names)


def column_types(classes: Sequence[str], *, folds: bool) -> dict[str, np.dtype[Any]]:
    """Give the columns that are written, and their types.

    >>> list(column_types(["bkg", "sig"], folds=True))
    ['score_bkg', 'score_sig', 'predicted', 'flag', 'network']
    """
    types: dict[str, Any] = dict.fromkeys(score_columns(classes), np.float32)
    types |= {"predicted": np.int16, "flag": np.uint8, **({"network": np.int8} if folds else {})}
    return {name: np.dtype(kind) for name, kind in types.items()}


def _unscored(column: str, sentinel: float) -> float:
    if column.startswith("score_"):
        return sentinel
    return {"predicted": -1, "flag": 0, "network": NOT_SCORED}[column]


def score_chunks(
    chunks: Iterator[Chunk], scoring: Scoring, pool: Executor, threads: int
) -> Iterator[tuple[Chunk, Scored]]:
    """Score chunks in their order, each in pieces on several threads, while the one before is written.

    Args:
        chunks: of one file.
        scoring: what is computed.
        pool: where it is scored.
        threads: how many there are; a chunk is cut into as many pieces, if it is large enough.
    """
    before: tuple[Chunk, list[Future[Scored]]] | None = None
    for chunk in chunks:
        running = [pool.submit(scoring.score, piece) for piece in pieces(chunk, threads)]
        if before is not None:
            yield before[0], _joined(before[1])
        before = chunk, running
    if before is not None:
        yield before[0], _joined(before[1])


def pieces(chunk: Chunk, threads: int) -> Iterator[Chunk]:
    """Cut a chunk into chunks for so many threads; nothing is copied."""
    rows = PIECE * max(1, math.ceil(chunk.length / (PIECE * threads)))
    for start in range(0, chunk.length, rows):
        stop = min(start + rows, chunk.length)
        columns = {name: values[start:stop] for name, values in chunk.columns.items()}
        yield Chunk(chunk.source, chunk.first_entry + start, stop - start, columns, chunk.identity)


def _joined(running: Sequence[Future[Scored]]) -> Scored:
    found = [each.result() for each in running]
    if len(found) == 1:
        return found[0]
    columns = {name: np.concatenate([each.columns[name] for each in found]) for name in found[0].columns}
    extent = reduce(Extent.__add__, (each.extent for each in found))
    return Scored(columns, extent)


def count_flags(flag: NDArray[np.uint8]) -> dict[str, int]:
    """Count the scored entries, and those of each flag; an entry may have several.

    >>> count_flags(np.array([0, 1, 6], np.uint8))["missing"]
    1
    """
    counts = {"scored": int(np.count_nonzero(flag == 0))}
    return counts | {each.name.lower(): int(np.count_nonzero(flag & each)) for each in Flag if each.name}
