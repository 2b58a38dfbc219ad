"""The numbers of a set of events for many resamples of these events at once: bootstrap samples and permutations.

A resample is how many times each event counts. Its loss, accuracy, areas under the curve, background efficiencies and
distances of distributions follow from sums of weights in cells of the scores, and the sums of many resamples are one
product of a sparse and a dense matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from tamis.arrays import Float64
from tamis.statistics.arrays import check_positive_sum, check_scored, compute_class_ranks
from tamis.statistics.metrics import compute_loss_and_accuracy_terms
from tamis.statistics.threads import in_two_threads

Multiplicities = NDArray[np.bool_] | NDArray[np.integer[Any]]
"""How many times each event counts in each resample, or whether it counts, [n_events, resamples]."""

MOST_CELLS = 4096
"""Cells of one score: with no more different values, each value has its own cell, and the numbers are exact."""
CELLS_OF_AN_AREA = 1024
"""Cells that are enough for areas alone: they change by less than a hundredth of their standard deviations."""
_ROUNDED = 0.001
"""Fraction of events with rounded scores of a class, from which its area gets separate cells."""
_RESAMPLES_AT_ONCE = 16
_MULTIPLICITIES_AT_ONCE = 2**25
"""Multiplicities of a block of resamples: 32 MiB."""
_EVENTS_AT_ONCE = 2**18
"""Events whose multiplicities are 64-bit numbers at a time: 32 MiB for 16 resamples."""
_SUMS_AT_ONCE = 2**22
"""Sums of cells of a block of resamples: 32 MiB."""
_PROBABILITIES = np.exp(-1.0) / np.cumprod(np.maximum(np.arange(9), 1))
_POISSON = np.searchsorted(np.cumsum(_PROBABILITIES), (np.arange(2**16) + 0.5) / 2**16).astype(np.uint8)
"""A Poisson number of mean one for each value of 16 random bits."""


@dataclass(frozen=True, eq=False)
class GroupedScore:
    """One score of the events, [n_events], and their groups, which are summed separately; -1 ignores an event.

    The score separates the group `signal` from the others, and it gets half of the cells.
    """

    score: Float64
    group: NDArray[np.integer[Any]]
    groups: int = 2
    signal: int = 0


class CellSums:
    """Sums of weights in cells of scores, for many resamples.

    The cells of a score are its different values if they are not too many. Otherwise their edges are quantiles of the
    groups, half of them of the signal: a cell then holds a few of the events of each group.

    Args:
        weight: signed weight, [n_events].
        most: number of cells of a score; a few more if quantiles of several groups are edges.

    Attributes:
        size: number of sums of a resample.
        exact: for each score, whether each of its cells has a single value.

    >>> column = GroupedScore(np.array([0.1, 0.4, 0.4, 0.8]), np.array([1, 1, 0, 0]))
    >>> (sums,) = CellSums([column], np.ones(4)).sums(np.ones((4, 1), np.uint8))
    >>> sums[:, :, 0].tolist()
    [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    """

    def __init__(self, columns: Sequence[GroupedScore], weight: Float64, most: int = MOST_CELLS) -> None:
        """Sort the events into the cells of each score."""
        # the sum to which each event contributes in each score, -1 for none
        sum_index = np.full((len(weight), len(columns)), -1, np.int32)
        shapes, exact = [], []
        n_sums = 0
        for number, column in enumerate(columns):
            order = np.argsort(column.score)
            inside = order.compress(column.group.take(order) >= 0)
            edges, is_exact = _cell_edges(column, inside, most)
            first = np.searchsorted(column.score[inside], edges)
            cell = np.repeat(np.arange(len(edges)), np.diff(first, append=len(inside)))
            sum_index[inside, number] = n_sums + cell * column.groups + column.group[inside]
            shapes.append((len(edges), column.groups))
            exact.append(is_exact)
            n_sums += len(edges) * column.groups
        blocks = range(0, len(weight), _EVENTS_AT_ONCE)
        self._matrices = [
            _sum_matrix(sum_index[block], weight[block], n_sums)
            for block in (slice(first, first + _EVENTS_AT_ONCE) for first in blocks)
        ]
        self._shapes = tuple(shapes)
        self.size = n_sums
        self.exact = tuple(exact)

    def sums(self, counts: Multiplicities) -> list[Float64]:
        """Sum the weights of each resample, one array [cells, groups, resamples] for each score, by rising score."""
        total = np.zeros((self.size, counts.shape[1]))
        for number, matrix in enumerate(self._matrices):
            block = counts[number * _EVENTS_AT_ONCE : (number + 1) * _EVENTS_AT_ONCE]
            total += matrix @ block.astype(np.float64)
        ends = np.cumsum([cells * groups for cells, groups in self._shapes])[:-1]
        parts = np.split(total, ends)
        return [part.reshape(*shape, -1) for part, shape in zip(parts, self._shapes, strict=True)]


def _sum_matrix(sum_index: NDArray[np.int32], weight: Float64, sums: int) -> Any:
    """Return the matrix [sums, events] with the weight of each event in the rows of its sums (-1 for none).

    It is compressed by events, so that multiplicities are read in order and the sums stay in the cache.
    """
    belongs = sum_index >= 0
    column_ends = np.cumsum(belongs.sum(axis=1, dtype=np.int32), dtype=np.int32)
    weights = np.broadcast_to(weight[:, None], sum_index.shape)[belongs]
    return sparse.csc_array(
        (weights, sum_index[belongs], np.append(np.int32(0), column_ends)), shape=(sums, len(weight))
    )


def _cell_edges(column: GroupedScore, order: NDArray[np.intp], most: int) -> tuple[Float64, bool]:
    """Return the lowest score of each cell, and whether each cell has a single score.

    `order` are the events that are not ignored, by rising score; `most` is the number of cells.
    """
    values, group = column.score.take(order), column.group.take(order)
    distinct = values[np.flatnonzero(np.diff(values, prepend=-np.inf))]
    if len(distinct) <= most:
        return distinct, True
    n_backgrounds = max(column.groups - 1, 1)
    edges = [values[:1]]
    for number in range(column.groups):
        of_group = values[group == number]
        cells = most // 2 if number == column.signal else most // 2 // n_backgrounds
        edges.append(of_group[np.arange(cells) * len(of_group) // cells] if len(of_group) else of_group)
    return np.unique(np.concatenate(edges)), False


def compute_areas(signal: Float64, background: Float64) -> Float64:
    """Compute areas under the curve from sums of weights by rising score, equal scores counting one half.

    Signal and background are [cells, resamples]. The result is NaN if signal or background have no positive sum,
    [resamples].

    >>> compute_areas(np.array([[0.0], [1.0], [1.0]]), np.array([[1.0], [1.0], [0.0]]))
    array([0.875])
    """
    below = np.cumsum(background, axis=0)
    totals = signal.sum(axis=0), below[-1].copy()
    below -= background / 2
    area = (signal * below).sum(axis=0)
    defined = (totals[0] > 0) & (totals[1] > 0)
    return np.where(defined, area, np.nan) / np.where(defined, totals[0] * totals[1], 1.0)


def compute_efficiencies(
    signal: Float64, background: Float64, working_points: Sequence[float], *, exact: bool
) -> Float64:
    """Compute background efficiencies at signal efficiencies from sums of weights by rising score.

    The cut is the highest that reaches the signal efficiency. It is at the edge of a cell if each cell has a single
    score (`exact`), and is interpolated inside a cell otherwise. Signal and background are [cells, resamples]. The
    result is NaN if signal or background have no positive sum, [resamples, points].

    >>> sums = np.array([[0.0], [1.0], [1.0]]), np.array([[1.0], [1.0], [0.0]])
    >>> compute_efficiencies(*sums, [0.5, 1.0], exact=True).tolist()
    [[0.0, 0.5]]
    """
    passed = [np.cumsum(sums[::-1], axis=0) for sums in (signal, background)]
    totals = passed[0][-1], passed[1][-1]
    defined = (totals[0] > 0) & (totals[1] > 0)
    signal_efficiency, background_efficiency = (
        np.divide(sums, total, out=np.full(sums.shape, np.nan), where=defined)
        for sums, total in zip(passed, totals, strict=True)
    )
    resamples = np.arange(signal.shape[1])
    efficiencies = np.empty((len(resamples), len(working_points)))
    for number, point in enumerate(working_points):
        # efficiencies are sums: rounding must not move the cut
        cell = np.argmax(signal_efficiency >= point - 1e-12, axis=0)
        efficiency = background_efficiency[cell, resamples]
        if not exact:
            before = np.maximum(cell - 1, 0)
            below, at_edge = (
                np.where(cell > 0, values[before, resamples], 0.0)
                for values in (signal_efficiency, background_efficiency)
            )
            share = (point - below) / (signal_efficiency[cell, resamples] - below)
            efficiency = at_edge + np.clip(share, 0, 1) * (efficiency - at_edge)
        efficiencies[:, number] = efficiency
    return efficiencies


class Resampler:
    """Events that are sorted into cells once, to compute their numbers for many resamples.

    Args:
        working_points: signal efficiencies at which to compute the background efficiency of each score.

    Attributes:
        classes: number of classes.
        sums_per_resample: number of sums of a resample in memory.

    >>> events = Resampler([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], [0, 1, 1], [1.0, 1.0, 2.0])
    >>> events.measure(np.array([[1, 1], [1, 0], [1, 2]]))[:, 1].tolist()
    [0.75, 1.0]
    """

    def __init__(
        self,
        scores: ArrayLike,
        class_index: ArrayLike,
        weight: ArrayLike,
        working_points: Sequence[float] = (),
    ) -> None:
        """Sort the events into the cells of each score."""
        probabilities, classes, weights = check_scored(scores, class_index, weight)
        check_positive_sum(weights, "resampling: the weights")
        self.working_points = tuple(working_points)
        self._sums = compute_loss_and_accuracy_terms(probabilities, classes, weights)
        is_background = [(classes != index).astype(np.int8) for index in range(probabilities.shape[1])]
        ranks = compute_class_ranks(probabilities)
        # cuts are on scores; areas need separate cells only if rounded scores hide the order of events:
        # from 1 - 1e-4 on, 32 bits round a score
        rounded = np.flatnonzero((ranks > 1e4).mean(axis=0) > _ROUNDED).tolist()
        hidden = rounded if working_points else []
        sorted_by = probabilities if working_points else ranks
        columns = [GroupedScore(*column) for column in zip(sorted_by.T, is_background, strict=True)]
        columns += [GroupedScore(ranks[:, index], is_background[index]) for index in hidden]
        self._cells = CellSums(columns, weights, MOST_CELLS if working_points else CELLS_OF_AN_AREA)
        self.classes = len(is_background)
        self.sums_per_resample = self._cells.size
        self._of_area = {index: len(is_background) + number for number, index in enumerate(hidden)}

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self._sums[0])

    def measure(self, counts: Multiplicities) -> Float64:
        """Compute the numbers of some resamples, whose sums must fit into memory (`divide_into_blocks`); or NaN.

        They are loss, accuracy, the area of each class, and the background efficiency of the cut on the score of each
        class at each working point, [resamples, 2 + n_classes (1 + points)].
        """
        total, loss, right = compute_linear_sums(self._sums, counts)
        total = np.where(total > 0, total, np.nan)
        areas, efficiencies = [], []
        sums = self._cells.sums(counts)
        for index in range(self.classes):
            ranked = sums[self._of_area.get(index, index)]
            areas.append(compute_areas(ranked[:, 0], ranked[:, 1]))
            signal, background = sums[index][:, 0], sums[index][:, 1]
            exact = self._cells.exact[index]
            efficiencies.append(compute_efficiencies(signal, background, self.working_points, exact=exact))
        return np.column_stack([loss / total, right / total, *areas, *efficiencies])


def compute_linear_sums(values: Float64, counts: Multiplicities) -> Float64:
    """Sum values, [quantities, n_events], of the events of each resample, [quantities, resamples].

    >>> compute_linear_sums(np.array([[1.0, 10.0]]), np.array([[2, 0], [1, 3]])).tolist()
    [[12.0, 30.0]]
    """
    total = np.zeros((len(values), counts.shape[1]))
    for first in range(0, len(counts), _EVENTS_AT_ONCE):
        block = slice(first, first + _EVENTS_AT_ONCE)
        total += values[:, block] @ counts[block].astype(np.float64)
    return total


def divide_into_blocks(resamples: int, events: int, sums: int = 1) -> list[int]:
    """Divide a number of resamples, with so many events and sums each, into blocks that fit into memory.

    >>> divide_into_blocks(40, 1000)
    [16, 16, 8]
    """
    size = (
        min(_RESAMPLES_AT_ONCE, _MULTIPLICITIES_AT_ONCE // max(events, 1), _SUMS_AT_ONCE // max(sums, 1)) or 1
    )
    return [min(size, resamples - first) for first in range(0, resamples, size)]


def compute_in_blocks(
    work: Callable[[int, Generator], Float64],
    resamples: int,
    events: int,
    generator: Generator,
    *,
    sums: int = 1,
) -> Float64:
    """Compute blocks of resamples on two threads; the result depends on the generator alone.

    `work` returns one row for each of a number of resamples, which it draws with a generator; `sums` are the numbers of
    a resample that it stores.
    """
    if not resamples:
        return np.empty((0, 0))
    sizes = divide_into_blocks(resamples, events, sums)
    generators = generator.spawn(len(sizes))
    with in_two_threads() as pool:
        results = [pool.submit(work, size, stream) for size, stream in zip(sizes, generators, strict=True)]
    return np.concatenate([result.result() for result in results])


def draw_poisson_counts(
    resamples: int, events: int, generator: Generator, units: NDArray[np.intp] | None = None
) -> NDArray[np.uint8]:
    """Draw how many times each event counts in each bootstrap sample, [n_events, resamples]: Poisson of mean one.

    Every event (or every unit) varies independently, and so does their number, as if the experiment were repeated (N.
    Chamandy et al., "Estimating uncertainty for massive data streams", Google 2012).
    """
    drawn = events if units is None else int(units.max()) + 1
    # of 16 random bits: far quicker than true Poisson numbers, and exact to 2^-16
    bits = generator.integers(0, 2**16, (drawn, resamples), dtype=np.uint16)
    counts: NDArray[np.uint8] = _POISSON.take(bits)
    return counts if units is None else counts[units]


def bootstrap(
    resampler: Resampler, resamples: int, generator: Generator, units: NDArray[np.intp] | None = None
) -> Float64:
    """Compute the numbers of bootstrap samples of some events (`Resampler.measure`)."""
    sums = resampler.sums_per_resample
    return resample(resampler.measure, len(resampler), resamples, generator, units, sums=sums)


def resample(
    measure: Callable[[Multiplicities], Float64],
    events: int,
    resamples: int,
    generator: Generator,
    units: NDArray[np.intp] | None = None,
    *,
    sums: int = 1,
) -> Float64:
    """Compute quantities of bootstrap samples of some events, [resamples, quantities].

    `measure` computes them from multiplicities, [n_events, resamples]; `sums` are the numbers of a resample that it
    stores.
    """

    def work(number: int, stream: Generator) -> Float64:
        return measure(draw_poisson_counts(number, events, stream, units))

    return compute_in_blocks(work, resamples, events, generator, sums=sums)


def permute_labels(
    labels: NDArray[np.bool_],
    groups: Sequence[NDArray[np.intp]],
    resamples: int,
    generator: Generator,
    units: NDArray[np.intp] | None = None,
) -> NDArray[np.bool_]:
    """Shuffle labels among the events of each group, [n_events, resamples].

    `groups` are the indices of the events that exchange their labels. All events of a unit have one label.
    """
    shuffled = np.empty((len(labels), resamples), np.bool_)
    for rows in groups:
        if units is None:
            # rows that follow each other are written as one
            ends = rows[[0, -1]].tolist() if len(rows) else [0, -1]
            target = slice(ends[0], ends[1] + 1) if len(rows) == ends[1] + 1 - ends[0] else rows
            shuffled[target] = draw_subsets(len(rows), int(labels[rows].sum()), resamples, generator)
            continue
        _, first, unit = np.unique(units[rows], return_index=True, return_inverse=True)
        subsets = draw_subsets(len(first), int(labels[rows][first].sum()), resamples, generator)
        shuffled[rows] = subsets[unit]
    return shuffled


def draw_subsets(size: int, members: int, resamples: int, generator: Generator) -> NDArray[np.bool_]:
    """Draw subsets of a given number of members, all of them with the same probability, [size, resamples].

    Every element is first a member with the probability members / size, which gives all subsets of one size the same
    probability. Then surplus members, chosen at random, leave, or others join. This takes a tenth of the time of a
    shuffle.

    >>> draw_subsets(5, 2, 3, np.random.default_rng(1)).sum(axis=0)
    array([2, 2, 2])
    """
    bits = generator.integers(0, 2**16, (size, resamples), dtype=np.uint16)
    subsets: NDArray[np.bool_] = bits < round(2**16 * members / max(size, 1))
    for column in subsets.T:
        surplus = np.count_nonzero(column) - members
        if surplus:
            candidates = np.flatnonzero(column == (surplus > 0))
            column[generator.choice(candidates, abs(surplus), replace=False, shuffle=False)] = surplus < 0
    return subsets
