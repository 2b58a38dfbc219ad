"""Events in memory: read, selected, weighted and assigned to training, validation and test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Features, Float32, Float64, Int32, Int64, Mask
from tamis.data.chunks import Chunk, read_ahead, read_chunks
from tamis.data.cutflow import Tally, tally
from tamis.data.plan import (
    SamplePlan,
    convert_to_32_bits,
    evaluate_chunk,
    evaluate_identifier,
    evaluate_quantity,
)
from tamis.data.precision import PrecisionSample
from tamis.data.schema import FileSchema
from tamis.data.split import (
    Fractions,
    RowError,
    assign_folds_by_id,
    assign_folds_by_number,
    assign_splits,
    hash_columns,
    hash_entries,
)
from tamis.errors import InputError, Problem
from tamis.expressions import collect_branches, convert_to_boolean
from tamis.wording import counted

Progress = Callable[[int], None]
Damaged = Callable[[str, Sequence[Problem]], None]
Rows = slice | Int64
"""The selected rows of a chunk: all of them, or their indices."""


@dataclass(frozen=True)
class Events:
    """Selected events, one row each, in an order that does not depend on the order of samples and files.

    Args:
        features: inputs of the network as read, with NaN for missing values, [n, n_features]; float64 if 32 bits do
            not resolve one of them, otherwise float32.
        class_index: the true class, [n].
        weight: signed physics weight, float64 [n].
        event_id: 64-bit hash that identifies the event, [n].
        split: index into `tamis.data.split.SPLITS`, [n].
        sample_index: index into `samples`, [n].
        file_index: index into `files`, [n].
        entry: entry number in its tree, [n].
        spectators: float64 [n] each.
        reference: known densities or discriminants by class, float64 [n] each.
        samples: names of the samples, sorted.
        files: file keys, with the tree if several of a file are read.
        fold: the fold of each event, `NO_FOLD` without cross-training, [n].
    """

    features: Features
    class_index: Int32
    weight: Float64
    event_id: NDArray[np.uint64]
    split: NDArray[np.uint8]
    sample_index: Int32
    file_index: Int32
    entry: Int64
    spectators: Mapping[str, Float64]
    reference: Mapping[str, Float64]
    samples: tuple[str, ...]
    files: tuple[str, ...]
    fold: Int32

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.weight)

    def take(self, rows: Mask | Int64) -> Events:
        """Select rows by a mask or by indices."""
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in _PER_EVENT},
            spectators={name: values[rows] for name, values in self.spectators.items()},
            reference={name: values[rows] for name, values in self.reference.items()},
        )


_READ = ("class_index", "weight", "event_id", "sample_index", "file_index", "entry", "fold")
_PER_EVENT = ("features", "split", *_READ)


@dataclass(frozen=True)
class MissingValues:
    """Missing values of one feature in one sample: number, also of infinite or too large ones, and the first."""

    file: str
    entry: int
    count: int = 0
    infinite: int = 0


@dataclass
class SampleReading:
    """The counts of one sample before any policy, which grow with every chunk.

    Args:
        read: all entries with a finite weight.
        unweighted: number of entries that failed the selection and have no finite weight.
        failed_selection: entries that failed the selection and have a finite weight.
        bad_weights: number of selected entries whose weight cannot be summed.
        first_bad_weight: the problem of the first of them.
    """

    plan: SamplePlan
    schemas: tuple[FileSchema, ...]
    read: Tally = field(default_factory=Tally)
    unweighted: int = 0
    failed_selection: Tally = field(default_factory=Tally)
    missing: dict[str, MissingValues] = field(default_factory=dict)
    bad_weights: int = 0
    first_bad_weight: Problem | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Reasons why the sample cannot be used."""
        problems = [
            Problem(
                missing.file,
                f"sample {self.plan.sample}: feature {feature.name!r} ({feature.expression.text}) is not a finite "
                f"number of 32 bits in {counted(missing.count, 'event')}, first at entry {missing.entry}; declare it "
                "with `missing: nan` (or the sentinel, `missing: -999`) at the feature, or remove such events with "
                "`selection`",
            )
            for feature in self.plan.features
            if feature.missing is None and (missing := self.missing.get(feature.name)) is not None
        ]
        if self.first_bad_weight is not None:
            more = "" if self.bad_weights == 1 else f" ({self.bad_weights:,} such events in the sample)"
            problems.append(replace(self.first_bad_weight, message=self.first_bad_weight.message + more))
        return tuple(problems)

    def count_weights(
        self,
        chunk: Chunk,
        weight: Float64,
        selected: Mask,
        usable: Mask,
    ) -> None:
        """Add the entries of a chunk to the counts."""
        self.read += tally(weight[usable])
        self.failed_selection += tally(weight[usable & ~selected])
        self.unweighted += int(np.count_nonzero(~usable & ~selected))
        bad = np.flatnonzero(~usable & selected)
        self.bad_weights += len(bad)
        if len(bad) and self.first_bad_weight is None:
            entry = chunk.first_entry + int(bad[0])
            message = (
                f"the weight {self.plan.weight.text!r} of sample {self.plan.sample} is {weight[bad[0]]} at entry "
                f"{entry}; expected zero or an absolute value from 1e-70 to 1e70: fix the branch, or remove such "
                "events with `selection`"
            )
            self.first_bad_weight = Problem(chunk.source.path, message)

    def count_missing(self, feature: str, chunk: Chunk, entries: Rows, values: Float32) -> None:
        """Add the missing values of the selected entries of a chunk, of which there is at least one."""
        missing = ~np.isfinite(values)
        previous = self.missing.get(feature) or MissingValues(
            chunk.source.path, int(chunk.entries[entries][missing][0])
        )
        self.missing[feature] = replace(
            previous,
            count=previous.count + int(np.count_nonzero(missing)),
            infinite=previous.infinite + int(np.count_nonzero(np.isinf(values))),
        )


class _Rows:
    """The selected rows of all chunks, in columns that grow in one piece, to avoid a concatenation at the end."""

    def __init__(self, plan: SamplePlan, entries: int) -> None:
        self.entries = entries
        self.seen = 0
        self.length = 0
        kinds: dict[str, Any] = {"weight": np.float64, "event_id": np.uint64, "entry": np.int64}
        kinds |= dict.fromkeys(("class_index", "sample_index", "file_index", "fold"), np.int32)
        kinds |= {f"spectators/{spectator.name}": np.float64 for spectator in plan.spectators}
        kinds |= {f"reference/{reference.name}": np.float64 for reference in plan.reference}
        self.columns: dict[str, NDArray[Any]] = {name: np.empty(0, kind) for name, kind in kinds.items()}
        # [n_features, n], because features are written and scaled one by one
        self.columns["features"] = np.empty((len(plan.features), 0), np.float32)
        self.precision = PrecisionSample(len(plan.features))

    def add(self, read: int, columns: Mapping[str, NDArray[Any]]) -> None:
        """Append the selected rows of a chunk of `read` entries."""
        self.seen += read
        end = self.length + columns["weight"].shape[-1]
        if end > self.columns["weight"].shape[-1]:
            # extrapolates the efficiency of the selection so far, with a margin of 2%
            capacity = max(int(1.02 * end * self.entries / max(self.seen, 1)), end)
            for name, values in self.columns.items():
                larger = np.empty((*values.shape[:-1], capacity), values.dtype)
                larger[..., : self.length] = values[..., : self.length]
                self.columns[name] = larger
        for name, values in columns.items():
            self.columns[name][..., self.length : end] = values
        self.length = end

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name][..., : self.length]


def read_events(
    inputs: Sequence[tuple[SamplePlan, Sequence[FileSchema]]],
    fractions: Fractions,
    *,
    rows: int | None = None,
    progress: Progress | None = None,
    damaged: Damaged | None = None,
) -> tuple[Events, tuple[SampleReading, ...]]:
    """Read, select and weight the events of all samples, and count those of each.

    Memory is bounded by one chunk (by default as many rows as the memory budget allows) plus the selected columns.
    Features that 32 bits do not resolve are read a second time, in 64 bits. `progress` is called with the number of
    entries of each chunk, `damaged` with the sample and the problems of each file that cannot be read to its end:
    reading continues with the next file, and the events are incomplete. A reading with `problems` must not be used.

    Raises:
        InputError: a file is damaged.
    """
    readings = [SampleReading(plan, tuple(schemas)) for plan, schemas in inputs]
    readings.sort(key=lambda reading: reading.plan.sample)
    all_schemas = [schema for reading in readings for schema in reading.schemas]
    trees = sorted(set(map(_file_and_tree, all_schemas)))
    numbers = {tree: number for number, tree in enumerate(trees)}
    selected = _Rows(readings[0].plan, sum(schema.entries for schema in all_schemas))
    for number, reading in enumerate(readings):
        plan = reading.plan
        for schema in _in_order(reading.schemas):
            labels = (number, numbers[_file_and_tree(schema)])
            try:
                for chunk in read_ahead(read_chunks(schema, plan.branches, rows)):
                    # no variable for the rows: it would keep them in memory while the next chunk is selected
                    selected.add(chunk.length, _select(reading, chunk, labels, fractions, selected.precision))
                    if progress is not None:
                        progress(chunk.length)
            except InputError as error:
                if damaged is None:
                    raise
                damaged(plan.sample, error.problems)
    if unresolved := selected.precision.unresolved():
        _read_in_64_bits(selected, unresolved, readings, numbers, rows, incomplete=damaged is not None)
    counts = Counter(file for file, _ in trees)
    events = Events(
        **{name: selected[name] for name in _READ},
        features=selected["features"].T,
        split=assign_splits(selected["event_id"], fractions),
        spectators=_select_group(selected, "spectators/"),
        reference=_select_group(selected, "reference/"),
        samples=tuple(reading.plan.sample for reading in readings),
        # the tree is part of the name if several trees of a file are read
        files=tuple(f"{file}:{tree}" if counts[file] > 1 else file for file, tree in trees),
    )
    return events, tuple(readings)


def _select_group(rows: _Rows, prefix: str) -> dict[str, Float64]:
    return {name.removeprefix(prefix): rows[name] for name in rows.columns if name.startswith(prefix)}


def _read_in_64_bits(
    selected: _Rows,
    unresolved: Sequence[int],
    readings: Sequence[SampleReading],
    numbers: Mapping[tuple[str, str], int],
    rows: int | None,
    *,
    incomplete: bool,
) -> None:
    """Read the unresolved features of the selected events again, in 64 bits; damaged files may be `incomplete`."""
    features = selected["features"].astype(np.float64)
    begin = 0
    for number, reading in enumerate(readings):
        quantities = {index: reading.plan.features[index] for index in unresolved}
        branches = collect_branches(quantity.expression for quantity in quantities.values())
        for schema in _in_order(reading.schemas):
            of_file = (selected["sample_index"][begin:] == number) & (
                selected["file_index"][begin:] == numbers[_file_and_tree(schema)]
            )
            end = begin + int(np.count_nonzero(of_file))
            entries = selected["entry"][begin:end]
            try:
                for chunk in read_ahead(read_chunks(schema, branches, rows)):
                    bounds = (chunk.first_entry, chunk.first_entry + chunk.length)
                    first, last = np.searchsorted(entries, bounds)
                    rows_of_chunk = entries[first:last] - chunk.first_entry
                    for index, quantity in quantities.items():
                        values = evaluate_quantity(quantity, chunk).astype(np.float64)[rows_of_chunk]
                        target = features[index, begin + first : begin + last]
                        np.copyto(target, values, where=~np.isnan(target))
            except InputError:
                if not incomplete:
                    raise
            begin = end
    selected.columns["features"] = features


def _in_order(schemas: Sequence[FileSchema]) -> list[FileSchema]:
    filled = [schema for schema in schemas if schema.entries]
    return sorted(filled, key=_file_and_tree)


def _file_and_tree(schema: FileSchema) -> tuple[str, str]:
    return schema.source.file_key, schema.tree


def _select(
    reading: SampleReading,
    chunk: Chunk,
    labels: tuple[int, int],
    fractions: Fractions,
    precision: PrecisionSample,
) -> dict[str, NDArray[Any]]:
    """Return the columns of the selected rows of a chunk; `labels` are the numbers of its sample and its tree."""
    plan = reading.plan
    weight = evaluate_chunk(plan.weight, chunk).astype(np.float64)
    selected = np.ones(chunk.length, np.bool_)
    if plan.selection is not None:
        selected = convert_to_boolean(evaluate_chunk(plan.selection, chunk))
    usable = find_usable_weights(weight)
    reading.count_weights(chunk, weight, selected, usable)
    used = selected & usable
    # a slice avoids copies if all rows are used
    rows = slice(None) if used.all() else np.flatnonzero(used)
    features = np.empty((len(plan.features), int(np.count_nonzero(used))), np.float32)
    sampled_rows = precision.rows(features.shape[1])
    sampled_values = []
    for values, feature in zip(features, plan.features, strict=True):
        exact = evaluate_quantity(feature, chunk)[rows]
        sampled_values.append(exact[sampled_rows].astype(np.float64))
        values[:] = convert_to_32_bits(exact)
        # the sum is finite only if all values are, and one sum is faster than a mask
        with np.errstate(invalid="ignore", over="ignore"):
            complete = np.isfinite(values.sum(dtype=np.float64))
        if not complete:
            reading.count_missing(feature.name, chunk, rows, values)
            values[~np.isfinite(values)] = np.nan
    precision.add(features.shape[1], sampled_values)
    constant = np.ones(features.shape[1], np.int32)
    event_id = _compute_event_ids(plan, chunk)[rows]
    return {
        "features": features,
        "weight": weight[rows],
        "class_index": constant * plan.class_index,
        "event_id": event_id,
        "sample_index": constant * labels[0],
        "file_index": constant * labels[1],
        "entry": chunk.entries[rows],
        "fold": _assign_folds(plan, chunk, rows, event_id, fractions),
        **{
            f"{group}/{quantity.name}": evaluate_quantity(quantity, chunk).astype(np.float64)[rows]
            for group, quantities in (("spectators", plan.spectators), ("reference", plan.reference))
            for quantity in quantities
        },
    }


def find_usable_weights(weight: Float64) -> Mask:
    """Return a mask of the weights whose sums and fourth powers, which errors need, stay finite.

    >>> find_usable_weights(np.array([0.0, -2.5, np.nan, 1e200]))
    array([ True,  True, False, False])
    """
    size = np.abs(weight)
    return np.asarray((weight == 0) | ((size >= 1e-70) & (size <= 1e70)))


def _compute_event_ids(plan: SamplePlan, chunk: Chunk) -> NDArray[np.uint64]:
    if not plan.id_columns:
        return hash_entries(plan.sample, chunk.file_key, chunk.first_entry, chunk.length)
    try:
        return hash_columns([evaluate_identifier(column, chunk) for column in plan.id_columns])
    except RowError as error:
        raise _build_row_error("split.event_id", chunk, error.row, error) from error


def _assign_folds(
    plan: SamplePlan,
    chunk: Chunk,
    rows: Rows,
    event_id: NDArray[np.uint64],
    fractions: Fractions,
) -> Int32:
    if plan.fold is None:
        return assign_folds_by_id(event_id, fractions.folds, fractions.seed)
    try:
        return assign_folds_by_number(evaluate_identifier(plan.fold, chunk)[rows], fractions.folds)
    except RowError as error:
        row = int(np.arange(chunk.length)[rows][error.row])
        raise _build_row_error("split.folds", chunk, row, error) from error


def _build_row_error(section: str, chunk: Chunk, row: int, error: RowError) -> InputError:
    message = (
        f"{error.observed} at entry {chunk.first_entry + row}; {error.expected}: choose another branch, or remove such "
        "events with `selection`"
    )
    return InputError(section, [Problem(chunk.source.path, message)])
