"""Reliability curves: whether the scores of one class are probabilities, compared with simulated exact scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from tamis.arrays import Float64
from tamis.random_streams import random_stream
from tamis.statistics.arrays import (
    check_classes,
    check_finite_numbers,
    check_positive_sum,
    check_weights,
    compute_effective_sample_size,
    positive_sum,
)
from tamis.statistics.units import Units, merge_in_cells, select_units
from tamis.wording import format_p_value

BINS = 15
"""Bins of a reliability curve, of equal numbers of events."""
LEAST = 10.0
"""Minimum effective events of the class, and of all other classes, in a bin that counts in the p-value."""
SIMULATIONS = 999
"""Simulated sets of exact scores; the smallest possible p-value is 1 / (SIMULATIONS + 1)."""
_LARGEST = 32
"""Events of a bin, with the largest variances, that are simulated one by one; the sum of the others is normal."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Events of similar scores.

    Args:
        low: smallest score.
        high: largest score.
        score: weighted mean of the scores.
        fraction: weighted fraction that belongs to the class.
        error: standard deviation of the difference of `fraction` and `score`, if the scores are probabilities.
        share: of the sum of weights of all events.
        effective_sample_size: of the events.
        expected_sample_size: effective sample size of the class, or of the other classes, that the scores predict,
            whichever is smaller.
        in_p_value: whether the p-value uses the bin: from an expected sample size of 10 on.
    """

    low: float
    high: float
    score: float
    fraction: float
    error: float
    share: float
    effective_sample_size: float
    expected_sample_size: float
    in_p_value: bool


@dataclass(frozen=True)
class Reliability:
    """How often events of a given score belong to the class.

    Args:
        bins: by rising score; bins without a positive sum of weights are omitted.
        error: expected calibration error: mean of |fraction - score| over the bins, by their shares.
        error_by_chance: its average if the scores were exact probabilities.
        p_value: probability of deviations at least as large in that case: the fraction of simulations in which the sum
            of the squared pulls of the bins is not smaller; one if no bin has enough events. 0.001 (999 simulations)
            is an upper limit.
    """

    bins: tuple[ReliabilityBin, ...]
    error: float
    error_by_chance: float
    p_value: float

    @property
    def chance(self) -> str:
        """Formatted p-value; an upper limit if no simulation deviates as much."""
        return format_p_value(self.p_value, smallest=1 / (1 + SIMULATIONS))


def compute_reliability(
    score: ArrayLike,
    is_class: ArrayLike,
    weight: ArrayLike,
    *,
    bins: int = BINS,
    units: Units | None = None,
    generator: Generator | None = None,
) -> Reliability:
    """Compare the scores of one class with how often events belong to it, in bins of equal numbers of events.

    The error of a bin is that of an exact score, for all weights of the classes and their signs: for each event, the
    variance if its class were drawn with the probability that its score is (`_Exact`). The observed classes in the bin
    are not used, so that a bin with too few events does not seem more precise. The p-value uses the bins in which the
    scores predict at least `LEAST` effective events of the class and of the other classes. It comes from simulations:
    if a few large weights dominate, the sum of squared pulls is far from a chi-square distribution.

    A unit is one event in each bin, and belongs to the class in all or in none. The random numbers are always the same
    without a generator.

    >>> curve = compute_reliability([0.25] * 4 + [0.75] * 4, [0, 0, 0, 1, 0, 1, 1, 1], [1.0] * 8, bins=2)
    >>> [(entry.score, entry.fraction) for entry in curve.bins], curve.error
    ([(0.25, 0.25), (0.75, 0.75)], 0.0)
    """
    values = check_finite_numbers(score, "score")
    weights = check_weights(weight, len(values))
    of_class = check_classes(np.asarray(is_class).astype(np.int64), len(values), 2, "is_class")
    total = check_positive_sum(weights, "reliability: the weights")
    order = np.argsort(values)
    # by rising score, so that a bin is a slice
    values, weights, of_class = values.take(order), weights.take(order), of_class.take(order)
    units = select_units(units, order)
    pieces = _pieces_of_equals(values, bins)
    bin_index = np.repeat(np.arange(len(pieces)), [last - first for first, last in pieces])
    exact = _Exact(values, of_class, weights, bin_index, units)
    filled = {}
    for number, (first, last) in enumerate(pieces):
        rows = slice(first, last)
        inside = positive_sum(weights[rows])
        if inside is None:
            continue
        error = float(np.sqrt(exact.variance[number])) / inside
        expected = float(exact.promised[number])
        filled[number] = ReliabilityBin(
            low=float(values[first]),
            high=float(values[last - 1]),
            score=float(weights[rows] @ values[rows]) / inside,
            fraction=float(weights[rows] @ of_class[rows]) / inside,
            error=error,
            share=inside / total,
            effective_sample_size=compute_effective_sample_size(
                weights[rows], None if units is None else units[rows]
            ),
            expected_sample_size=expected,
            in_p_value=error > 0 and expected >= LEAST,
        )
    gaps, errors, shares = np.array(
        [(entry.fraction - entry.score, entry.error, entry.share) for entry in filled.values()]
    ).T
    measured = np.array([entry.in_p_value for entry in filled.values()])
    p_value = 1.0
    if measured.any():
        square = float(((gaps[measured] / errors[measured]) ** 2).sum())
        simulated = exact.simulate(
            np.array(list(filled))[measured], generator or random_stream(0, "reliability")
        )
        p_value = float(1 + (simulated >= square * (1 - 1e-9)).sum()) / (1 + SIMULATIONS)
    return Reliability(
        bins=tuple(filled.values()),
        error=float((shares * np.abs(gaps)).sum() / shares.sum()),
        error_by_chance=float((shares * errors).sum() / shares.sum() * np.sqrt(2 / np.pi)),
        p_value=p_value,
    )


class _Exact:
    """Events with exact scores, whose classes are drawn again.

    An event has the size of its weight, larger or smaller by a common factor of the classes if its class changes, and a
    sign that is negative as often as in its class. The probability of the class is such that the score is its share of
    the sum of weights.

    Attributes:
        variance: of the sum of weight times (class - score) in each bin, [bins].
        promised: effective sample size of the class, or of the other classes, that the scores predict, [bins].
    """

    def __init__(
        self,
        score: Float64,
        of_class: NDArray[np.int64],
        weight: Float64,
        bin_index: NDArray[np.intp],
        units: Units | None,
    ) -> None:
        """Find the amplitudes and probabilities of each event; `of_class` is one for the class, zero for the others."""
        bins = int(bin_index.max()) + 1
        cell = 2 * bin_index + of_class
        self._alone = units is None
        if units is None:
            self._unit, p = np.arange(len(score)), score
            merged, signed = cell.astype(np.intp), weight
        else:
            # one event for each unit in each bin, with the mean of their scores; units are numbered by their first
            # event, so that their given numbers have no influence on the random numbers
            _, first, number = np.unique(units, return_index=True, return_inverse=True)
            units = np.argsort(np.argsort(first))[number]
            cells, signed = merge_in_cells(cell, weight, units)
            merged = cells.astype(np.intp)
            _, numbers = merge_in_cells(cell, np.ones(len(score)), units)
            _, summed = merge_in_cells(cell, score, units)
            order = np.lexsort((units, cell))
            begins = np.cumsum(numbers).astype(np.intp) - numbers.astype(np.intp)
            self._unit, p = units[order][begins], summed / numbers
        self._bin, true = merged // 2, merged % 2
        size = np.abs(signed)
        self._negative = _negative_shares(signed, true)
        ratio = _size_ratios(size, merged, bins)[self._bin]
        size_inside = np.where(true == 1, size, size / ratio)
        size_outside = size_inside * ratio
        spread = _ratio_of_spreads(size, true)
        net_shares = 1 - 2 * self._negative
        odds = p * ratio * net_shares[0]
        self._probability = odds / np.maximum(odds + (1 - p) * net_shares[1], 1e-300)
        q = self._probability
        # contribution of the event if it belongs to the class, and if it does not
        self._steps = (
            np.where(true == 1, size_inside, size_inside / spread) * (1 - p),
            np.where(true == 1, -size_outside * spread, -size_outside) * p,
        )
        self._mean = q * net_shares[1] * self._steps[0] + (1 - q) * net_shares[0] * self._steps[1]
        self._of_event = q * self._steps[0] ** 2 + (1 - q) * self._steps[1] ** 2 - self._mean**2
        self.variance = np.bincount(self._bin, self._of_event, bins)
        clean = float(np.clip(weight.sum() / np.abs(signed).sum(), 0, 1)) ** 2
        effective = []
        for probability, amplitude in ((q, size_inside), (1 - q, size_outside)):
            first, second = (np.bincount(self._bin, probability * amplitude**power, bins) for power in (1, 2))
            effective.append(clean * np.divide(first**2, second, out=np.zeros(bins), where=second > 0))
        self.promised = np.minimum(*effective)

    def simulate(self, bins: NDArray[np.intp], generator: Generator) -> Float64:
        """Draw sums of the squared pulls of some bins, [simulations]."""
        number = np.full(len(self.variance), -1)
        number[bins] = np.arange(len(bins))
        inside = number[self._bin] >= 0
        rows, column = np.flatnonzero(inside), number[self._bin[inside]]
        # events of one unit change their class together, so a unit is simulated in all of its bins or in none
        largest = [_largest(self._of_event, rows[column == index]) for index in range(len(bins))]
        single = np.isin(self._unit[rows], self._unit[np.concatenate(largest)])
        sums = self._simulate_singles(rows[single], column[single], len(bins), generator)
        covariance = self._covariance(rows[~single], column[~single], len(bins))
        values, vectors = np.linalg.eigh(covariance)
        # rounding makes small eigenvalues of a singular covariance negative
        root = vectors * np.sqrt(np.maximum(values, 0))
        sums += root @ generator.normal(size=(len(bins), SIMULATIONS))
        squares: Float64 = (sums**2 / self.variance[bins][:, None]).sum(axis=0)
        return squares

    def _simulate_singles(
        self, rows: NDArray[np.intp], column: NDArray[np.intp], bins: int, generator: Generator
    ) -> Float64:
        """Draw the classes and signs of some events; sum their contributions, [bins, simulations]."""
        _, unit = np.unique(self._unit[rows], return_inverse=True)
        shape = (int(unit.max(initial=-1)) + 1, SIMULATIONS)
        chance, sign = (generator.random(shape, np.float32)[unit] for _ in range(2))
        is_class = chance < self._probability[rows][:, None]
        step = np.where(is_class, *(steps[rows][:, None] for steps in self._steps))
        step[sign < np.where(is_class, self._negative[1], self._negative[0])] *= -1
        step -= self._mean[rows][:, None]
        collect = sparse.csr_array(
            (np.ones(len(rows)), (column, np.arange(len(rows)))), shape=(bins, len(rows))
        )
        return np.asarray(collect @ step)

    def _covariance(self, rows: NDArray[np.intp], column: NDArray[np.intp], bins: int) -> Float64:
        """Compute the covariance of the contributions of some events to the bins; units correlate bins."""
        if self._alone:
            return np.diag(np.bincount(column, self._of_event[rows], bins))
        deviation = np.sqrt(self._of_event[rows])
        if not len(rows):
            return np.zeros((bins, bins))
        of_unit = sparse.csc_array(
            (deviation, (self._unit[rows], column)), shape=(int(self._unit.max()) + 1, bins)
        )
        return np.asarray((of_unit.T @ of_unit).toarray())


def _largest(size: Float64, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Choose the rows of the `_LARGEST` largest sizes."""
    if len(rows) <= _LARGEST:
        return rows
    return rows[np.argpartition(-size[rows], _LARGEST)[:_LARGEST]]


def _negative_shares(signed: Float64, true: NDArray[np.integer]) -> Float64:
    """Return the share of negative weights, by size, of the other classes and of the class; else of all events."""
    sums, sizes = (np.bincount(true, values, 2) for values in (signed, np.abs(signed)))
    common = (1 - signed.sum() / np.abs(signed).sum()) / 2
    known = sums > 0
    return np.where(known, (1 - sums / np.where(known, sizes, 1)) / 2, common)


def _ratio_of_spreads(size: Float64, true: NDArray[np.integer]) -> float:
    """Estimate how much more the weights of the other classes spread than those of the class.

    That is the root of the ratio of their mean squares, in units of their squared means; one if the classes differ by
    less than three errors.
    """
    number, sums, squares, fourths = (np.bincount(true, size**power, 2) for power in (0, 1, 2, 4))
    if not (sums > 0).all():
        return 1.0
    mean_squares = squares / number
    spread_outside, spread_inside = np.log(mean_squares / (sums / number) ** 2)
    variance = float(((fourths / number / mean_squares**2 - 1) / number).sum())
    difference = float(spread_outside - spread_inside)
    return float(np.exp(_beyond_chance(difference, variance) * difference / 2))


def _beyond_chance(difference: float, variance: float) -> float:
    """Return one for a difference of more than three standard deviations, zero for a smaller one."""
    return float(difference**2 > 9 * variance)


def _size_ratios(size: Float64, cell: NDArray[np.integer], bins: int) -> Float64:
    """Estimate in each bin how much larger weights of the other classes are than those of the class, [bins].

    The common ratio compares within bins, so that weights may depend on the score: that of the geometric means, or of
    the means (N. Mantel and W. Haenszel, 1959) if they differ by more than three errors. A bin has its own ratio as far
    as the ratios of bins differ by more than chance (R. DerSimonian and N. Laird, Control. Clin. Trials 7 (1986) 177,
    with shrinkage): a few events with spread weights do not determine it. A cell is twice the bin, plus one for the
    class.
    """
    cell, size = cell[size > 0], size[size > 0]
    number, sums, squares = (np.bincount(cell, size**power, 2 * bins).reshape(bins, 2) for power in (0, 1, 2))
    pairs = number.sum(axis=1) + 1e-300
    sides = (sums * number[:, ::-1] / pairs[:, None]).sum(axis=0)
    if not (sides > 0).all():
        return np.ones(bins)
    # one large weight shifts a mean, but hardly the mean of logarithms: means are used if they differ significantly
    logarithms = np.bincount(cell, np.log(size), 2 * bins).reshape(bins, 2)
    common = float(np.subtract(*(logarithms * number[:, ::-1] / pairs[:, None]).sum(axis=0)))
    common /= float((number.prod(axis=1) / pairs).sum())
    mean_size = sums.sum(axis=0) / number.sum(axis=0)
    spread = squares.sum(axis=0) / number.sum(axis=0) / mean_size**2 - 1
    excess = float(np.log(sides[0] / sides[1])) - common
    common += excess * _beyond_chance(excess, float((spread / number.sum(axis=0)).sum()))
    known = (sums**2 >= LEAST * squares).all(axis=1) & (number > 0).all(axis=1)
    ratio = np.full(bins, common)
    if known.sum() > 1:
        variance = (spread / number[known]).sum(axis=1) + 1e-12
        mean = sums[known] / number[known]
        bin_ratio = np.log(mean[:, 0] / mean[:, 1])
        # two standard deviations above the mean of a chi-square
        freedom = int(known.sum())
        upper_end = freedom + 2 * float(np.sqrt(2 * freedom))
        surplus = float(((bin_ratio - common) ** 2 / variance).sum()) - upper_end
        between = max(surplus / float((1 / variance).sum()), 0.0)
        ratio[known] += (bin_ratio - common) * between / (between + variance)
    ratios: Float64 = np.exp(ratio)
    return ratios


def _pieces_of_equals(rising: Float64, bins: int) -> list[tuple[int, int]]:
    """Divide sorted values into about equal pieces; equal values stay together."""
    positions = np.arange(1, bins) * len(rising) // bins
    inner = np.searchsorted(rising, rising[positions], side="left")
    edges = np.unique(np.concatenate([[0], inner, [len(rising)]]))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
