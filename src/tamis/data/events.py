"""Events in memory: read, selected, weighed and assigned to training, validation and test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.data.chunks import Chunk, read_ahead, read_chunks
from tamis.data.ledger import Tally, tally
from tamis.data.plan import (
    Quantity,
    SamplePlan,
    evaluate_chunk,
    evaluate_identifier,
    evaluate_quantity,
    in_32_bits,
)
from tamis.data.precision import PrecisionSample
from tamis.data.schema import FileSchema
from tamis.data.split import (
    Fractions,
    RowError,
    assign_parts,
    folds_of_identities,
    folds_of_numbers,
    identity_of_columns,
    identity_of_entries,
)
from tamis.errors import InputError, Problem
from tamis.expressions import Expression, Values, truth
from tamis.wording import counted

Progress = Callable[[int], None]
Damaged = Callable[[str, Sequence[Problem]], None]


@dataclass(frozen=True)
class Events:
    """Selected events, one row each, in an order that does not depend on the order of samples and files.

    Args:
        features: inputs of the network as read, a missing value is NaN, [n, n_features]; float64 where 32 bits do not
            resolve one of them, float32 otherwise.
        class_index: the true class, [n].
        weight: signed physics weight, float64 [n].
        identity: 64-bit hash of who the event is, [n].
        part: index into `tamis.data.split.PARTS`, [n].
        sample_index: index into `samples`, [n].
        file_index: index into `files`, [n].
        entry: entry number in its tree, [n].
        spectators: float64 [n] each.
        reference: known densities or discriminants by class, float64 [n] each.
        samples: names of the samples, sorted.
        files: identities of the files, with the tree where several of a file are read.
        fold: the fold of each event, -1 where there are no folds, [n].
    """

    features: NDArray[np.float32] | NDArray[np.float64]
    class_index: NDArray[np.int32]
    weight: NDArray[np.float64]
    identity: NDArray[np.uint64]
    part: NDArray[np.uint8]
    sample_index: NDArray[np.int32]
    file_index: NDArray[np.int32]
    entry: NDArray[np.int64]
    spectators: Mapping[str, NDArray[np.float64]]
    reference: Mapping[str, NDArray[np.float64]]
    samples: tuple[str, ...]
    files: tuple[str, ...]
    fold: NDArray[np.int32]

    def __len__(self) -> int:
        """Give the number of events."""
        return len(self.weight)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Events:
        """Keep some rows, given as a mask or as indices."""
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in _PER_EVENT},
            spectators={name: values[rows] for name, values in self.spectators.items()},
            reference={name: values[rows] for name, values in self.reference.items()},
        )


_PER_EVENT = (
    "features", "class_index", "weight", "identity", "part", "sample_index", "file_index", "entry", "fold",
)  # fmt: skip


@dataclass(frozen=True)
class MissingValues:
    """Missing values of one feature in one sample.

    Args:
        sample: name of the sample.
        feature: name of the feature.
        declared: whether the feature's `missing` rule allows them.
        count: how many selected events have none.
        infinite: how many of them are infinite, or too large for 32 bits.
        file: file of the first one.
        entry: entry number of the first one.
    """

    sample: str
    feature: str
    declared: bool
    count: int
    infinite: int
    file: str
    entry: int


@dataclass(frozen=True)
class SampleReading:
    """What was read of one sample, before any policy.

    Args:
        plan: what was computed.
        schemas: its files.
        read: all entries whose weight is finite.
        unweighted: entries that failed the selection and whose weight is not a finite number.
        failed_selection: entries that failed the selection and whose weight is finite.
        missing: missing values of each feature that has any.
        problems: what makes the sample unusable.
        bad_weights: selected entries whose weight is no number that can be summed up.
    """

    plan: SamplePlan
    schemas: tuple[FileSchema, ...]
    read: Tally
    unweighted: int
    failed_selection: Tally
    missing: tuple[MissingValues, ...]
    problems: tuple[Problem, ...]
    bad_weights: int = 0


class _Rows:
    """The selected rows of all chunks: columns that grow, each in one piece, so that none is copied to join it."""

    def __init__(self, plan: SamplePlan, entries: int) -> None:
        self.entries = entries
        self.seen = 0
        self.length = 0
        kinds: dict[str, Any] = {"weight": np.float64, "identity": np.uint64, "entry": np.int64}
        kinds |= dict.fromkeys(("class_index", "sample_index", "file_index"), np.int32)
        kinds |= {} if plan.fold is None else {"fold": np.int32}
        kinds |= {f"spectators/{each.name}": np.float64 for each in plan.spectators}
        kinds |= {f"reference/{each.name}": np.float64 for each in plan.reference}
        self.columns: dict[str, NDArray[Any]] = {name: np.empty(0, kind) for name, kind in kinds.items()}
        # one feature after the other: written and scaled column by column
        self.columns["features"] = np.empty((len(plan.features), 0), np.float32)
        self.precision = PrecisionSample(len(plan.features))

    def add(self, read: int, columns: Mapping[str, NDArray[Any]]) -> None:
        """Append rows, of which a chunk gave so many for so many entries that were read."""
        self.seen += read
        end = self.length + columns["weight"].shape[-1]
        if end > self.columns["weight"].shape[-1]:
            expected = int(1.02 * end * self.entries / max(self.seen, 1))
            self._grow(max(expected, end))
        for name, values in columns.items():
            self.columns[name][..., self.length : end] = values
        self.length = end

    def _grow(self, capacity: int) -> None:
        for name, before in self.columns.items():
            larger = np.empty((*before.shape[:-1], capacity), before.dtype)
            larger[..., : self.length] = before[..., : self.length]
            self.columns[name] = larger

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name][..., : self.length]


@dataclass
class _Count:
    """Collects what happened to the entries of one sample."""

    read: Tally = field(default_factory=Tally)
    unweighted: int = 0
    failed: Tally = field(default_factory=Tally)
    missing: dict[str, MissingValues] = field(default_factory=dict)
    bad_weights: int = 0
    first_bad_weight: Problem | None = None


def read_events(
    inputs: Sequence[tuple[SamplePlan, Sequence[FileSchema]]],
    fractions: Fractions,
    *,
    rows: int | None = None,
    progress: Progress | None = None,
    damaged: Damaged | None = None,
) -> tuple[Events, tuple[SampleReading, ...]]:
    """Read, select and weigh the events of all samples.

    Memory is bounded by one chunk plus the selected columns. Features that 32 bits do not resolve are read a second
    time, in 64 bits.

    Args:
        inputs: for each sample what to compute and its files.
        fractions: how events are divided.
        rows: rows per chunk; by default as many as the memory budget allows.
        progress: called with the number of entries of each chunk that was read.
        damaged: called with the sample and the problems of each file that cannot be read to its end, and then the
            next one is read; the events are not all of them then. None raises the error.

    Returns:
        The events and, per sample, what was counted on the way; a reading with `problems` must not be used.

    Raises:
        InputError: a file is damaged.
    """
    inputs = sorted(inputs, key=lambda item: item[0].sample)
    places = sorted({_place(schema) for _, schemas in inputs for schema in schemas})
    numbers = {place: number for number, place in enumerate(places)}
    entries = sum(schema.entries for _, schemas in inputs for schema in schemas)
    gathered = _Rows(inputs[0][0], entries)
    readings = []
    for number, (plan, schemas) in enumerate(inputs):
        count = _Count()
        for schema in _in_order(schemas):
            labels = (number, numbers[_place(schema)])
            try:
                for chunk in read_ahead(read_chunks(schema, plan.scalars | plan.indexed, rows)):
                    # not under a name, which would keep the rows while those of the next chunk are made
                    gathered.add(
                        chunk.length, _select(count, plan, chunk, labels, fractions, gathered.precision)
                    )
                    if progress is not None:
                        progress(chunk.length)
            except InputError as error:
                if damaged is None:
                    raise
                damaged(plan.sample, error.problems)
        readings.append(_reading(plan, tuple(schemas), count))
    if unresolved := gathered.precision.unresolved():
        _read_in_64_bits(gathered, unresolved, inputs, numbers, rows, interrupted=damaged is not None)
    names = tuple(plan.sample for plan, _ in inputs)
    return _events(gathered, fractions, names, _file_names(places)), tuple(readings)


def _read_in_64_bits(
    gathered: _Rows,
    unresolved: Sequence[int],
    inputs: Sequence[tuple[SamplePlan, Sequence[FileSchema]]],
    numbers: Mapping[tuple[str, str], int],
    rows: int | None,
    *,
    interrupted: bool,
) -> None:
    """Read some features of the selected events again, and keep their 64 bits.

    Args:
        gathered: the selected rows of all files, in their order.
        unresolved: indices of the features.
        inputs: for each sample what to compute and its files, in the order in which they were read.
        numbers: number of each file.
        rows: rows per chunk.
        interrupted: whether a damaged file, which was told already, ends before its time.
    """
    features = gathered["features"].astype(np.float64)
    begin = 0
    for number, (plan, schemas) in enumerate(inputs):
        quantities = {index: plan.features[index] for index in unresolved}
        branches = frozenset().union(*(each.expression.branches for each in quantities.values()))
        for schema in _in_order(schemas):
            of_file = (gathered["sample_index"][begin:] == number) & (
                gathered["file_index"][begin:] == numbers[_place(schema)]
            )
            end = begin + int(np.count_nonzero(of_file))
            entries = gathered["entry"][begin:end]
            try:
                for chunk in read_ahead(read_chunks(schema, branches, rows)):
                    limits = (chunk.first_entry, chunk.first_entry + chunk.length)
                    first, last = np.searchsorted(entries, limits)
                    chosen = entries[first:last] - chunk.first_entry
                    for index, each in quantities.items():
                        values = _float(evaluate_quantity(each, chunk))[chosen]
                        target = features[index, begin + first : begin + last]
                        np.copyto(target, values, where=~np.isnan(target))
            except InputError:
                if not interrupted:
                    raise
            begin = end
    gathered.columns["features"] = features


def _in_order(schemas: Sequence[FileSchema]) -> list[FileSchema]:
    filled = [schema for schema in schemas if schema.entries]
    return sorted(filled, key=_place)


def _place(schema: FileSchema) -> tuple[str, str]:
    return schema.source.identity, schema.tree


def _file_names(places: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Name each tree by its file, and with its own name where several of a file are read."""
    trees = Counter(file for file, _ in places)
    return tuple(f"{file}:{tree}" if trees[file] > 1 else file for file, tree in places)


def _select(
    count: _Count,
    plan: SamplePlan,
    chunk: Chunk,
    labels: tuple[int, int],
    fractions: Fractions,
    precision: PrecisionSample,
) -> dict[str, NDArray[Any]]:
    weight = _float(evaluate_chunk(plan.weight, chunk))
    selected = _selected(plan, chunk)
    _count_weights(count, plan, chunk, weight, selected)
    used = selected & usable_weight(weight)
    # where all are used, a slice copies nothing
    rows = slice(None) if used.all() else np.flatnonzero(used)
    features = np.empty((len(plan.features), int(np.count_nonzero(used))), np.float32)
    some = precision.rows(features.shape[1])
    sampled = []
    for values, feature in zip(features, plan.features, strict=True):
        exact = evaluate_quantity(feature, chunk)[rows]
        sampled.append(_float(exact[some]))
        values[:] = _feature(count, plan, chunk, feature, rows, exact)
    precision.add(features.shape[1], sampled)
    constant = np.ones(features.shape[1], np.int32)
    return {
        "features": features,
        "weight": weight[rows],
        "class_index": constant * plan.class_index,
        "identity": _identity(plan, chunk)[rows],
        "sample_index": constant * labels[0],
        "file_index": constant * labels[1],
        "entry": np.arange(chunk.first_entry, chunk.first_entry + chunk.length)[rows],
        **({} if plan.fold is None else {"fold": _fold(plan.fold, chunk, rows, fractions)}),
        **{
            f"spectators/{each.name}": _float(evaluate_quantity(each, chunk))[rows]
            for each in plan.spectators
        },
        **{f"reference/{each.name}": _float(evaluate_quantity(each, chunk))[rows] for each in plan.reference},
    }


def _selected(plan: SamplePlan, chunk: Chunk) -> NDArray[np.bool_]:
    if plan.selection is None:
        return np.ones(chunk.length, np.bool_)
    return truth(evaluate_chunk(plan.selection, chunk))


def usable_weight(weight: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which weights are numbers whose sums and fourth powers, of which errors are made, are numbers as well.

    >>> usable_weight(np.array([0.0, -2.5, np.nan, 1e200]))
    array([ True,  True, False, False])
    """
    size = np.abs(weight)
    return np.asarray((weight == 0) | ((size >= 1e-70) & (size <= 1e70)))


def _count_weights(
    count: _Count, plan: SamplePlan, chunk: Chunk, weight: NDArray[np.float64], selected: NDArray[np.bool_]
) -> None:
    finite = usable_weight(weight)
    count.read += tally(weight[finite])
    count.failed += tally(weight[finite & ~selected])
    count.unweighted += int(np.count_nonzero(~finite & ~selected))
    bad = np.flatnonzero(~finite & selected)
    count.bad_weights += len(bad)
    if len(bad) and count.first_bad_weight is None:
        entry = chunk.first_entry + int(bad[0])
        message = (
            f"the weight {plan.weight.text!r} of sample {plan.sample} is {weight[bad[0]]} at entry {entry}; "
            "expected zero or a number of a size from 1e-70 to 1e70: mend the branch, or leave such events out "
            "with `selection`"
        )
        count.first_bad_weight = Problem(chunk.source.path, message)


def _feature(
    count: _Count,
    plan: SamplePlan,
    chunk: Chunk,
    feature: Quantity,
    rows: slice | NDArray[np.int64],
    exact: Values,
) -> NDArray[np.float32]:
    values = in_32_bits(exact)
    # a sum is finite only where every value is, and is quicker to find
    with np.errstate(invalid="ignore", over="ignore"):
        complete = np.isfinite(values.sum(dtype=np.float64))
    return values if complete else _without_infinities(count, plan, chunk, feature, rows, values)


def _without_infinities(
    count: _Count,
    plan: SamplePlan,
    chunk: Chunk,
    feature: Quantity,
    rows: slice | NDArray[np.int64],
    values: NDArray[np.float32],
) -> NDArray[np.float32]:
    missing = ~np.isfinite(values)
    entries = np.arange(chunk.first_entry, chunk.first_entry + chunk.length)[rows]
    before = count.missing.get(feature.name) or MissingValues(
        plan.sample,
        feature.name,
        feature.missing is not None,
        0,
        0,
        chunk.source.path,
        int(entries[missing][0]),
    )
    count.missing[feature.name] = replace(
        before,
        count=before.count + int(np.count_nonzero(missing)),
        infinite=before.infinite + int(np.count_nonzero(np.isinf(values))),
    )
    return np.where(missing, np.float32(np.nan), values)


def _float(values: Values) -> NDArray[np.float64]:
    return values.astype(np.float64)


def _identity(plan: SamplePlan, chunk: Chunk) -> NDArray[np.uint64]:
    if not plan.identity:
        return identity_of_entries(plan.sample, chunk.identity, chunk.first_entry, chunk.length)
    try:
        return identity_of_columns([evaluate_identifier(column, chunk) for column in plan.identity])
    except RowError as error:
        raise _of_entry("split.by", chunk, error.row, error) from error


def _fold(
    rule: Expression, chunk: Chunk, rows: slice | NDArray[np.int64], fractions: Fractions
) -> NDArray[np.int32]:
    try:
        return folds_of_numbers(evaluate_identifier(rule, chunk)[rows], fractions.folds or 1)
    except RowError as error:
        row = int(np.arange(chunk.length)[rows][error.row])
        raise _of_entry("split.folds", chunk, row, error) from error


def _of_entry(section: str, chunk: Chunk, row: int, error: RowError) -> InputError:
    message = (
        f"{error.found} at entry {chunk.first_entry + row}; {error.expected}: choose another branch, or leave such "
        "events out with `selection`"
    )
    return InputError(section, [Problem(chunk.source.path, message)])


def _reading(plan: SamplePlan, schemas: tuple[FileSchema, ...], count: _Count) -> SampleReading:
    missing = tuple(count.missing.values())
    problems = [_missing_problem(plan, each) for each in missing if not each.declared]
    if count.first_bad_weight is not None:
        more = "" if count.bad_weights == 1 else f" ({count.bad_weights:,} such events in the sample)"
        problems.append(replace(count.first_bad_weight, message=count.first_bad_weight.message + more))
    return SampleReading(
        plan, schemas, count.read, count.unweighted, count.failed, missing, tuple(problems), count.bad_weights
    )


def _missing_problem(plan: SamplePlan, missing: MissingValues) -> Problem:
    expression = next(each.expression.text for each in plan.features if each.name == missing.feature)
    return Problem(
        missing.file,
        f"sample {missing.sample}: feature {missing.feature!r} ({expression}) is not a finite number of 32 bits in "
        f"{counted(missing.count, 'event')}, first at entry {missing.entry}; say what that means with `missing: nan` "
        "(or the sentinel, `missing: -999`) at the feature, or leave such events out with `selection`",
    )


def _events(rows: _Rows, fractions: Fractions, samples: tuple[str, ...], files: tuple[str, ...]) -> Events:
    identity = rows["identity"]
    if "fold" in rows.columns:
        fold = rows["fold"]
    elif fractions.folds:
        fold = folds_of_identities(identity, fractions.folds, fractions.seed)
    else:
        fold = np.full(len(identity), -1, np.int32)
    return Events(
        features=rows["features"].T,
        class_index=rows["class_index"],
        weight=rows["weight"],
        identity=rows["identity"],
        part=assign_parts(rows["identity"], fractions),
        sample_index=rows["sample_index"],
        file_index=rows["file_index"],
        entry=rows["entry"],
        spectators=_named(rows, "spectators/"),
        reference=_named(rows, "reference/"),
        samples=samples,
        files=files,
        fold=fold,
    )


def _named(rows: _Rows, prefix: str) -> dict[str, NDArray[np.float64]]:
    return {name.removeprefix(prefix): rows[name] for name in rows.columns if name.startswith(prefix)}
