"""Scores of the entries of a file: one row per entry, in the order of the file."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from enum import IntFlag
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.apply.folds import AVERAGE, NOT_SCORED, UNKNOWN, FoldSource, compute_folds, list_fold_expressions
from tamis.apply.model import Model
from tamis.arrays import Features
from tamis.data.chunks import Chunk
from tamis.data.plan import convert_to_32_bits, evaluate_chunk, evaluate_quantity
from tamis.expressions import Expression, collect_branches, convert_to_boolean

_PLAIN = re.compile(r"[A-Za-z0-9_]+")
Columns = Mapping[str, NDArray[Any]]

PIECE = 2**14
"""Minimum number of rows that a thread scores at a time; large enough that partial batches cost little."""


class Flag(IntFlag):
    """The reason why an entry has no scores; 0 if it has scores."""

    NOT_SELECTED = 1
    """It fails the selection; nothing else was checked."""
    MISSING = 2
    """A feature without a `missing` rule is NaN."""
    INFINITE = 4
    """A feature without a `missing` rule is infinite, or too large for 32 bits."""
    NO_FOLD = 8
    """The values that determine its fold are not finite integers."""
    NOT_FINITE = 16
    """A score is not finite."""


MEANINGS = {
    Flag.NOT_SELECTED: "fails the selection",
    Flag.MISSING: "a feature is missing and has no rule for that",
    Flag.INFINITE: "a feature is infinite and has no rule for that",
    Flag.NO_FOLD: "its fold is not known",
    Flag.NOT_FINITE: "a score is not a finite number",
}
"""Description of each bit of a flag, which is also written to score files."""


@dataclass(frozen=True)
class Extent:
    """The ranges of the features of scored entries, [n_features] each; from infinity to minus infinity without values.

    `outside` counts the values whose distance from the training range exceeds its width.
    """

    low: Features
    high: Features
    outside: NDArray[np.int64]

    def __add__(self, second: Extent) -> Extent:
        """Combine the ranges of two groups of entries."""
        return Extent(
            np.minimum(self.low, second.low),
            np.maximum(self.high, second.high),
            self.outside + second.outside,
        )


@dataclass(frozen=True)
class Scored:
    """Consecutive entries of one file: their scores, and the ranges of their features.

    The columns are `score_<class>`, `predicted`, `flag` and, with folds, `network`; [n] each.
    """

    columns: Columns
    extent: Extent


@dataclass(frozen=True)
class Scoring:
    """The computation of the scores of one file; entries that cannot be scored get the sentinel."""

    model: Model
    folds: FoldSource
    sentinel: float

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All expressions that are evaluated."""
        return (*(() if self.model.selection is None else (self.model.selection,)), *self._of_classifier)

    @property
    def trained(self) -> frozenset[str]:
        """Branches that the classifier needs, without those of the selection."""
        return collect_branches(self._of_classifier)

    @property
    def _of_classifier(self) -> tuple[Expression, ...]:
        return (*list_fold_expressions(self.folds), *(feature.expression for feature in self.model.features))

    @property
    def branches(self) -> frozenset[str]:
        """All branches that are read."""
        return collect_branches(self.expressions)

    @property
    def types(self) -> dict[str, np.dtype[Any]]:
        """The type of each column that is written."""
        types: dict[str, Any] = dict.fromkeys(self._score_columns, np.float32)
        types |= {"predicted": np.int16, "flag": np.uint8}
        if self.model.classifier.plan.is_cross_training:
            types["network"] = np.int8
        return {name: np.dtype(kind) for name, kind in types.items()}

    @property
    def _score_columns(self) -> tuple[str, ...]:
        return build_score_columns(self.model.classifier.class_names)

    def score(self, chunk: Chunk) -> Scored:
        """Compute the scores of every row of a chunk, or set the sentinel and a flag for the reason."""
        features, flag = self._features(chunk)
        folds = compute_folds(self.folds, chunk)
        flag[(flag == 0) & (folds == UNKNOWN)] |= np.uint8(Flag.NO_FOLD)
        rows = np.flatnonzero(flag == 0)
        scorable = features if len(rows) == chunk.length else features[:, rows]
        scores = self.model.classifier.scores(scorable.T, folds[rows])
        finite = np.isfinite(scores)
        if not finite.all():  # all rows first: checking each row takes longer than a small network
            good = finite.all(axis=1)
            flag[rows[~good]] |= np.uint8(Flag.NOT_FINITE)
            rows, scores = rows[good], scores[good]
        return Scored(self._columns(rows, scores, flag, folds), self._extent(scorable))

    def _features(self, chunk: Chunk) -> tuple[Features, NDArray[np.uint8]]:
        """Compute the features, [n_features, n], and flag the rows that cannot be scored."""
        flag = np.zeros(chunk.length, np.uint8)
        classifier = self.model.classifier
        features = np.empty((len(self.model.features), chunk.length), classifier.feature_type)
        for values, quantity in zip(features, self.model.features, strict=True):
            exact = evaluate_quantity(quantity, chunk)
            values[:] = (
                exact if quantity.name in classifier.unresolved_features else convert_to_32_bits(exact)
            )
            finite = np.isfinite(values)
            if finite.all():
                continue
            if quantity.missing is None:
                flag[np.isnan(values)] |= np.uint8(Flag.MISSING)
                flag[np.isinf(values)] |= np.uint8(Flag.INFINITE)
            values[~finite] = np.nan
        if self.model.selection is not None:
            flag[~convert_to_boolean(evaluate_chunk(self.model.selection, chunk))] = Flag.NOT_SELECTED
        return features, flag

    def _columns(
        self,
        rows: NDArray[np.intp],
        scores: NDArray[np.float32],
        flag: NDArray[np.uint8],
        folds: NDArray[np.int32],
    ) -> Columns:
        unscored = dict.fromkeys(self._score_columns, self.sentinel)
        unscored |= {"predicted": -1, "flag": 0, "network": NOT_SCORED}
        columns = {name: np.full(len(flag), unscored[name], kind) for name, kind in self.types.items()}
        for name, values in zip(self._score_columns, scores.T, strict=True):
            columns[name][rows] = values
        columns["predicted"][rows] = scores.argmax(axis=1)
        columns["flag"][:] = flag
        if "network" in columns:
            members = self.model.classifier.plan.members
            held_out_folds = [member.fold for member in members if member.fold is not None]
            is_held_out = np.isin(folds[rows], held_out_folds)
            columns["network"][rows] = np.where(is_held_out, folds[rows], AVERAGE)
        return columns

    def _extent(self, features: Features) -> Extent:
        low = np.fmin.reduce(features, axis=1, initial=np.inf)
        high = np.fmax.reduce(features, axis=1, initial=-np.inf)
        outside = np.zeros(len(features), np.int64)
        for index, quantity in enumerate(self.model.features):
            known = self.model.ranges.get(quantity.name)
            if known is None:
                continue
            width = known.high - known.low
            lowest, highest = known.low - width, known.high + width
            if low[index] < lowest or high[index] > highest:
                outside[index] = np.count_nonzero((features[index] < lowest) | (features[index] > highest))
        return Extent(low, high, outside)


def build_score_columns(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the column name of each class, which TTree::Draw and RDataFrame accept in a formula.

    Characters other than letters, digits and underscores become underscores.

    >>> build_score_columns(["bkg", "t#bar{t} + jets", "t bar t jets"])
    ('score_bkg', 'score_t_bar_t_jets', 'score_t_bar_t_jets_2')
    """
    names: list[str] = []
    for name in classes:
        plain = name if _PLAIN.fullmatch(name) else re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "class"
        column, number = f"score_{plain}", 1
        # a changed name must not take the column of a class whose name needs no change
        while column in names or (plain != name and column.removeprefix("score_") in classes):
            number += 1
            column = f"score_{plain}_{number}"
        names.append(column)
    return tuple(names)


def score_chunks(
    chunks: Iterator[Chunk], scoring: Scoring, pool: Executor, threads: int
) -> Iterator[tuple[Chunk, Scored]]:
    """Score chunks in their order, each in one piece for each thread, while the previous chunk is written."""
    previous: tuple[Chunk, list[Future[Scored]]] | None = None
    for chunk in chunks:
        running = [pool.submit(scoring.score, piece) for piece in _split_chunk(chunk, threads)]
        if previous is not None:
            yield previous[0], _concatenate(previous[1])
        previous = chunk, running
    if previous is not None:
        yield previous[0], _concatenate(previous[1])


def _split_chunk(chunk: Chunk, threads: int) -> Iterator[Chunk]:
    """Split a chunk into one piece per thread, without copying."""
    rows = PIECE * max(1, math.ceil(chunk.length / (PIECE * threads)))
    for start in range(0, chunk.length, rows):
        stop = min(start + rows, chunk.length)
        columns = {name: values[start:stop] for name, values in chunk.columns.items()}
        yield Chunk(chunk.source, chunk.first_entry + start, stop - start, columns, chunk.file_key)


def _concatenate(running: Sequence[Future[Scored]]) -> Scored:
    results = [future.result() for future in running]
    if len(results) == 1:
        return results[0]
    columns = {
        name: np.concatenate([result.columns[name] for result in results]) for name in results[0].columns
    }
    extent = reduce(Extent.__add__, (result.extent for result in results))
    return Scored(columns, extent)


def count_flags(flag: NDArray[np.uint8]) -> dict[str, int]:
    """Count the scored entries, and the entries with each flag; an entry may have several.

    >>> count_flags(np.array([0, 1, 6], np.uint8))["missing"]
    1
    """
    counts = {"scored": int(np.count_nonzero(flag == 0))}
    return counts | {
        reason.name.lower(): int(np.count_nonzero(flag & reason)) for reason in Flag if reason.name
    }


@dataclass
class ScoredTally:
    """Counts of the entries of one file, by flag and by network, and the ranges of their features."""

    extent: Extent
    counts: Counter[str] = field(default_factory=lambda: Counter(count_flags(np.empty(0, np.uint8))))
    networks: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    @classmethod
    def empty(cls, features: int) -> ScoredTally:
        """Build the tally of no entries, with a number of features."""
        infinity = np.full(features, np.inf, np.float32)
        return cls(Extent(infinity, -infinity, np.zeros(features, np.int64)))

    def add(self, scored: Scored) -> None:
        """Add consecutive entries."""
        self.extent += scored.extent
        self.rows += len(scored.columns["flag"])
        self.counts.update(count_flags(scored.columns["flag"]))
        if "network" in scored.columns:
            numbers, counts = np.unique(scored.columns["network"], return_counts=True)
            self.networks.update(dict(zip(map(str, numbers), counts.tolist(), strict=True)))
