"""The numbers of a set of events for many choices of these events at once: bootstrap and permutations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from tamis.evaluation.arrays import classes_of, needed_sum, probabilities_of, weights_of
from tamis.evaluation.metrics import SMALLEST_SCORE, chosen_shares

Float64 = NDArray[np.float64]
Times = NDArray[np.bool_] | NDArray[np.integer[Any]]
"""How many times each event counts; or whether it counts."""

_NUMBERS_AT_ONCE = 2**21
"""Choices times events that are worked on together: an array of 16 MiB."""


@dataclass(frozen=True)
class Quantities:
    """Loss, accuracy and areas under the curve, for each of many choices of events.

    Args:
        loss: weighted mean of -log(score of the true class), [choices].
        accuracy: [choices].
        auc: of each class against the others, [choices, n_classes]; NaN where it is not defined.
        kept: fraction of the other classes that is kept at the signal efficiencies of the resampler,
            [choices, n_classes, points].
    """

    loss: Float64
    accuracy: Float64
    auc: Float64
    kept: Float64

    def stacked(self) -> Float64:
        """Give everything in one array, [choices, 2 + n_classes (1 + points)]: loss, accuracy, areas, what is kept."""
        kept = self.kept.reshape(len(self.kept), -1)
        return np.column_stack([self.loss, self.accuracy, self.auc, kept])


@dataclass(frozen=True)
class SortedCurve:
    """Signal and background of one score, each by rising score.

    Args:
        signal: rows of the signal, [n_signal].
        signal_weight: their weights, [n_signal].
        background: rows of the background, [n_background].
        background_weight: their weights, [n_background].
        below: for each signal event the number of background events with a lower score, [n_signal].
        equals: places in the signal of those that share their score with background, [n_equals].
        up_to: for these the number of background events with a lower or the same score, [n_equals].
        cuts: places in the signal where a cut can lie: the first of each score, falling, [n_cuts].
    """

    signal: NDArray[np.intp]
    signal_weight: Float64
    background: NDArray[np.intp]
    background_weight: Float64
    below: NDArray[np.intp]
    equals: NDArray[np.intp]
    up_to: NDArray[np.intp]
    cuts: NDArray[np.intp]


class Resampler:
    """Events, sorted once, whose numbers are then computed for many choices of them.

    A choice says how many times each event counts: 0, 1 or more times its weight.

    Args:
        scores: [n_events, n_classes].
        class_index: the true class, [n_events].
        weight: signed weight, [n_events].
        working_points: signal efficiencies at which is measured what each score keeps of the other classes.

    Raises:
        TamisError: the arrays do not fit together, or the weights have no positive sum.

    Example:
        >>> events = Resampler([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], [0, 1, 1], [1.0, 1.0, 2.0])
        >>> events.measure(np.array([[1, 1, 1], [1, 0, 2]])).accuracy.tolist()
        [0.75, 1.0]
    """

    def __init__(
        self,
        scores: ArrayLike,
        class_index: ArrayLike,
        weight: ArrayLike,
        working_points: Sequence[float] = (),
    ) -> None:
        """Sort the events by each score."""
        probabilities = probabilities_of(scores)
        weights = weights_of(weight, len(probabilities))
        classes = classes_of(class_index, *probabilities.shape)
        needed_sum(weights, "resampling: the weights")
        rows = np.arange(len(weights))
        loss = -np.log(np.maximum(probabilities[rows, classes], SMALLEST_SCORE))
        right = chosen_shares(probabilities)[rows, classes]
        self.working_points = tuple(working_points)
        self._sums = np.column_stack([weights, weights * loss, weights * right])
        self._curves = tuple(
            sorted_curve(column, classes == index, weights) for index, column in enumerate(probabilities.T)
        )

    def __len__(self) -> int:
        """Give the number of events."""
        return len(self._sums)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self._curves)

    def measure(self, times: Times) -> Quantities:
        """Compute the numbers of some choices, which should be few enough to be in memory.

        Args:
            times: how many times each event counts, [choices, n_events].
        """
        total, loss, right = (times.astype(np.float64) @ self._sums).T
        total = np.where(total > 0, total, np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            curves = np.array(
                [
                    [_area_and_kept(each, curve, self.working_points) for curve in self._curves]
                    for each in times
                ]
            )
            return Quantities(loss / total, right / total, curves[:, :, 0], curves[:, :, 1:])


def sorted_curve(score: Float64, signal: NDArray[np.bool_], weight: Float64) -> SortedCurve:
    """Sort signal and background by their score, once for many choices of them.

    Args:
        score: [n_events].
        signal: whether the event is signal, [n_events].
        weight: signed weight, [n_events].
    """
    rows = [np.flatnonzero(part) for part in (signal, ~signal)]
    first, second = (part[np.argsort(score[part], kind="stable")] for part in rows)
    below = np.searchsorted(score[second], score[first], side="left")
    up_to = np.searchsorted(score[second], score[first], side="right")
    equals = np.flatnonzero(up_to != below)
    cuts = np.flatnonzero(np.diff(score[first], prepend=-np.inf))[::-1]
    return SortedCurve(first, weight[first], second, weight[second], below, equals, up_to[equals], cuts)


def area_under(times: Times, curve: SortedCurve) -> float:
    """Give the weighted share of pairs in which the signal has the higher score; equal scores count one half.

    Args:
        times: how many times each event counts, [n_events].
        curve: of these events.

    Returns:
        NaN where signal or background have no positive sum of weights.

    >>> curve = sorted_curve(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True]), np.ones(4))
    >>> area_under(np.array([1, 1, 1, 1]), curve)
    0.875
    """
    return _area_and_kept(times, curve, ())[0]


def _area_and_kept(times: Times, curve: SortedCurve, working_points: Sequence[float]) -> list[float]:
    """Give the weighted share of pairs in which the signal has the higher score, and what is kept at the points."""
    # `take` gathers two or three times as fast as an index in brackets
    background = np.zeros(len(curve.background) + 1)
    np.multiply(times.take(curve.background), curve.background_weight, out=background[1:])
    np.cumsum(background, out=background)
    below = background.take(curve.below)
    # equal scores count one half
    below[curve.equals] += (background[curve.up_to] - below[curve.equals]) / 2
    signal = times.take(curve.signal) * curve.signal_weight
    sums = float(signal.sum()), float(background[-1])
    if min(sums) <= 0:
        return [np.nan] * (1 + len(working_points))
    area = float(signal @ below) / (sums[0] * sums[1])
    if not working_points:
        return [area]
    passed = np.cumsum(signal[::-1])[len(signal) - 1 - curve.cuts] / sums[0]
    chosen = [curve.cuts[np.argmax(passed >= point - 1e-12)] for point in working_points]
    return [area, *(float(1 - background[curve.below[cut]] / sums[1]) for cut in chosen)]


def blocks(choices: int, events: int) -> list[int]:
    """Divide a number of choices into blocks that fit into memory.

    >>> blocks(5, 1_000_000)
    [2, 2, 1]
    """
    size = max(_NUMBERS_AT_ONCE // max(events, 1), 1)
    return [min(size, choices - first) for first in range(0, choices, size)]


def in_blocks(
    work: Callable[[int, Generator], Float64], choices: int, events: int, generator: Generator
) -> Float64:
    """Do some work for blocks of choices on two threads; the result depends on the generator alone.

    Args:
        work: of a number of choices and a generator: gives one row for each.
        choices: number of them.
        events: of each choice.
        generator: where the random numbers come from.
    """
    if not choices:
        return np.empty((0, 0))
    sizes = blocks(choices, events)
    # threads of the linear algebra would wait for work on the cores that these two need
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(max_workers=2) as pool:
        found: Iterator[Float64] = pool.map(work, sizes, generator.spawn(len(sizes)))
        return np.concatenate(list(found))


def poisson_counts(choices: int, events: int, generator: Generator) -> NDArray[np.uint8]:
    """Draw how many times each event counts in each bootstrap sample: Poisson numbers of mean one.

    Every event varies on its own, and so does their number, as in an experiment that is repeated (N. Chamandy et
    al., "Estimating uncertainty for massive data streams", Google 2012).

    Args:
        choices: number of bootstrap samples.
        events: number of events.
        generator: where the random numbers come from.
    """
    # of 16 random bits: far quicker than true Poisson numbers, and exact to 2^-16
    counts: NDArray[np.uint8] = _POISSON[generator.integers(0, 2**16, (choices, events), dtype=np.uint16)]
    return counts


def _poisson_table() -> NDArray[np.uint8]:
    probability = np.exp(-1.0) / np.cumprod(np.maximum(np.arange(9), 1))
    return np.searchsorted(np.cumsum(probability), (np.arange(2**16) + 0.5) / 2**16).astype(np.uint8)


_POISSON = _poisson_table()


def bootstrap(
    resampler: Resampler, choices: int, generator: Generator, units: NDArray[np.intp] | None = None
) -> Quantities:
    """Compute the numbers of bootstrap samples of some events.

    Args:
        resampler: the events.
        choices: number of bootstrap samples.
        generator: where the random numbers come from.
        units: number of what each event belongs to, where several events vary together, [n_events].
    """

    def measure(times: Times) -> Float64:
        return resampler.measure(times).stacked()

    found = resample(measure, len(resampler), choices, generator, units)
    classes = resampler.classes
    kept = found[:, 2 + classes :].reshape(len(found), classes, len(resampler.working_points))
    return Quantities(found[:, 0], found[:, 1], found[:, 2 : 2 + classes], kept)


def resample(
    measure: Callable[[Times], Float64],
    events: int,
    choices: int,
    generator: Generator,
    units: NDArray[np.intp] | None = None,
) -> Float64:
    """Compute anything of bootstrap samples of some events, [choices, quantities].

    Args:
        measure: gives the quantities, [choices, quantities], of how many times each event counts, [choices, n_events].
        events: number of events.
        choices: number of bootstrap samples.
        generator: where the random numbers come from.
        units: number of what each event belongs to, where several events vary together, [n_events].
    """

    def work(number: int, own: Generator) -> Float64:
        if units is None:
            return measure(poisson_counts(number, events, own))
        return measure(poisson_counts(number, int(units.max()) + 1, own)[:, units])

    return in_blocks(work, choices, events, generator)


def interval(replicas: ArrayLike, coverage: float = 0.683) -> tuple[float, float] | None:
    """Give the central interval of bootstrap replicas; None where one of them is not defined.

    >>> interval(np.arange(1001), 0.5)
    (250.0, 750.0)
    """
    values = np.asarray(replicas, np.float64)
    if not np.isfinite(values).all() or not values.size:
        return None
    low, high = np.quantile(values, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)


def permuted_labels(
    labels: NDArray[np.bool_],
    groups: Sequence[NDArray[np.intp]],
    choices: int,
    generator: Generator,
    units: NDArray[np.intp] | None = None,
) -> NDArray[np.bool_]:
    """Shuffle labels among the events of each group, [choices, n_events].

    Args:
        labels: of the events, [n_events].
        groups: rows of the events that may exchange their labels.
        choices: number of permutations.
        generator: where the random numbers come from.
        units: number of what each event belongs to, where several have one label, [n_events].
    """
    shuffled = np.empty((choices, len(labels)), np.bool_)
    for rows in groups:
        of_rows = np.arange(len(rows)) if units is None else units[rows]
        _, first, back = np.unique(of_rows, return_index=True, return_inverse=True)
        repeated = np.broadcast_to(labels[rows][first], (choices, len(first)))
        shuffled[:, rows] = generator.permuted(repeated, axis=1)[:, back]
    return shuffled
