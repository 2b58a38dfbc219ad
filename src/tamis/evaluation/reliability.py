"""Whether the scores of one class are probabilities: reliability curves, and what exact scores would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from tamis.evaluation.arrays import (
    classes_of,
    effective_number,
    finite_numbers,
    needed_sum,
    positive_sum,
    weights_of,
)
from tamis.evaluation.units import Units, merge_in_cells, units_of_rows
from tamis.random_streams import random_stream

Float64 = NDArray[np.float64]

BINS = 15
"""Bins of a reliability curve, of equal numbers of events."""


LEAST = 10.0
"""Effective events that a bin should have of the class, and of the rest, to count in the p-value."""
SIMULATIONS = 999
"""Simulated sets of exact scores; the smallest p-value that they can give is one in one more."""
_LARGEST = 32
"""Events of a bin, with the largest variances, that are simulated one by one; the others make a normal number."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Events of similar scores.

    Args:
        low: smallest score.
        high: largest score.
        score: weighted mean of the scores.
        fraction: weighted fraction that belongs to the class.
        error: standard deviation of the difference of `fraction` and `score`, if the scores are probabilities.
        share: part of the sum of weights of all events.
        effective: effective number of events.
        fewest: effective number of events of the class, or of the rest, that the scores promise, whichever is smaller.
    """

    low: float
    high: float
    score: float
    fraction: float
    error: float
    share: float
    effective: float
    fewest: float


@dataclass(frozen=True)
class Reliability:
    """How often events of a given score belong to the class.

    Args:
        bins: by rising score; bins without a positive sum of weights are left out.
        error: expected calibration error: mean of |fraction - score| over the bins, by their shares.
        by_chance: what that error would be on average if the scores were exact probabilities.
        p_value: probability of deviations as large as these, if they were: the share of simulations in which the sum of
            the squared pulls of the bins is not smaller; one where no bin has enough events.
    """

    bins: tuple[ReliabilityBin, ...]
    error: float
    by_chance: float
    p_value: float


def reliability(
    score: ArrayLike,
    is_class: ArrayLike,
    weight: ArrayLike,
    *,
    bins: int = BINS,
    units: Units | None = None,
    generator: Generator | None = None,
) -> Reliability:
    """Compare the scores of one class with how often events belong to it.

    The error of a bin is what an exact score would have, whatever the weights of the classes and their signs: of each
    event, the variance if its class were drawn anew with the probability that its score is (`_Exact`). What was found
    in the bin is not used, so that a bin with too few events does not seem better known. The p-value takes the bins in
    which the scores promise at least `LEAST` effective events of the class and of the rest. It comes from simulations:
    where few large weights dominate, the sum of squared pulls is far from a chi-square distribution.

    Where several events vary together, a unit is one event in each bin, and belongs to the class in all or in none.

    Args:
        score: of the class, [n_events].
        is_class: whether the event belongs to the class, [n_events].
        weight: signed weight, [n_events]; the mixture that the scores are meant for.
        bins: number of bins, of equal numbers of events.
        units: number of what each event belongs to, where several events vary together, [n_events]; events of one unit
            all belong to the class, or none of them does.
        generator: draws the simulations; by default always the same.

    Raises:
        TamisError: the arrays do not fit together, or the weights have no positive sum.

    >>> found = reliability([0.25] * 4 + [0.75] * 4, [0, 0, 0, 1, 0, 1, 1, 1], [1.0] * 8, bins=2)
    >>> [(each.score, each.fraction) for each in found.bins], found.error
    ([(0.25, 0.25), (0.75, 0.75)], 0.0)
    """
    values = finite_numbers(score, "score")
    weights = weights_of(weight, len(values))
    of_class = classes_of(np.asarray(is_class).astype(np.int64), len(values), 2, "is_class")
    total = needed_sum(weights, "reliability: the weights")
    order = np.argsort(values)
    pieces = _pieces_of_equals(values.take(order), bins)
    place = np.empty(len(order), np.intp)
    place[order] = np.repeat(np.arange(len(pieces)), [last - first for first, last in pieces])
    exact = _Exact(values, of_class, weights, place, units)
    filled = {}
    for number, (first, last) in enumerate(pieces):
        rows = order[first:last]
        inside = positive_sum(weights[rows])
        if inside is None:
            continue
        filled[number] = ReliabilityBin(
            low=float(values[rows].min()),
            high=float(values[rows].max()),
            score=float(weights[rows] @ values[rows]) / inside,
            fraction=float(weights[rows] @ of_class[rows]) / inside,
            error=float(np.sqrt(exact.variance[number])) / inside,
            share=inside / total,
            effective=effective_number(weights[rows], units_of_rows(units, rows)),
            fewest=float(exact.promised[number]),
        )
    found = tuple(filled.values())
    gaps = np.array([each.fraction - each.score for each in found])
    errors = np.array([each.error for each in found])
    shares = np.array([each.share for each in found])
    measured = (errors > 0) & np.array([each.fewest >= LEAST for each in found])
    p_value = 1.0
    if measured.any():
        square = float(((gaps[measured] / errors[measured]) ** 2).sum())
        simulated = exact.simulate(
            np.array(list(filled))[measured], generator or random_stream(0, "reliability")
        )
        p_value = float(1 + (simulated >= square * (1 - 1e-9)).sum()) / (1 + SIMULATIONS)
    return Reliability(
        bins=found,
        error=float((shares * np.abs(gaps)).sum() / shares.sum()),
        by_chance=float((shares * errors).sum() / shares.sum() * np.sqrt(2 / np.pi)),
        p_value=p_value,
    )


class _Exact:
    """What events with exact scores would do, if the class of each were drawn anew.

    The event has the size of its weight, which is a common factor of the classes larger or smaller if it changes its
    class, and a sign that is as often negative as in its class. The probability of the class is such that the score
    is its share of the sum of weights.

    Args:
        score: of the class, [n_events].
        of_class: one for an event of the class, zero for the rest, [n_events].
        weight: signed weight, [n_events].
        place: bin of each event, [n_events].
        units: number of what each event belongs to, [n_events].

    Attributes:
        variance: of the sum of weight times (class - score) in each bin, [bins].
        promised: effective number of events of the class, or of the rest, that the scores promise, [bins].
    """

    def __init__(
        self,
        score: Float64,
        of_class: NDArray[np.int64],
        weight: Float64,
        place: NDArray[np.intp],
        units: Units | None,
    ) -> None:
        """Find the amplitudes and probabilities of each event."""
        bins = int(place.max()) + 1
        cell = 2 * place + of_class
        self._alone = units is None
        if units is None:
            self._unit, p = np.arange(len(score)), score
            merged, signed = cell.astype(np.intp), weight
        else:
            # one event for each unit in each bin, whose score is the mean of theirs; units by their first event, so
            # that their numbers have no influence on what is drawn
            _, first, number = np.unique(units, return_index=True, return_inverse=True)
            units = np.argsort(np.argsort(first))[number]
            cells, signed = merge_in_cells(cell, weight, units)
            merged = cells.astype(np.intp)
            _, numbers = merge_in_cells(cell, np.ones(len(score)), units)
            _, summed = merge_in_cells(cell, score, units)
            order = np.lexsort((units, cell))
            begins = np.cumsum(numbers).astype(np.intp) - numbers.astype(np.intp)
            self._unit, p = units[order][begins], summed / numbers
        self._place, true = merged // 2, merged % 2
        size = np.abs(signed)
        self._negative = _negative_shares(signed, true)
        ratio = _size_ratios(size, merged, bins)[self._place]
        of_it = np.where(true == 1, size, size / ratio)
        rest = of_it * ratio
        spread = _ratio_of_spreads(size, true)
        kept = 1 - 2 * self._negative
        odds = p * ratio * kept[0]
        self._probability = odds / np.maximum(odds + (1 - p) * kept[1], 1e-300)
        q = self._probability
        # what the event adds if it belongs to the class, and if it does not
        self._steps = (
            np.where(true == 1, of_it, of_it / spread) * (1 - p),
            np.where(true == 1, -rest * spread, -rest) * p,
        )
        self._mean = q * kept[1] * self._steps[0] + (1 - q) * kept[0] * self._steps[1]
        self._of_event = q * self._steps[0] ** 2 + (1 - q) * self._steps[1] ** 2 - self._mean**2
        self.variance = np.bincount(self._place, self._of_event, bins)
        clean = float(np.clip(weight.sum() / np.abs(signed).sum(), 0, 1)) ** 2
        effective = []
        for probability, amplitude in ((q, of_it), (1 - q, rest)):
            first, second = (
                np.bincount(self._place, probability * amplitude**power, bins) for power in (1, 2)
            )
            effective.append(clean * np.divide(first**2, second, out=np.zeros(bins), where=second > 0))
        self.promised = np.minimum(*effective)

    def simulate(self, bins: NDArray[np.intp], generator: Generator) -> Float64:
        """Draw sums of the squared pulls of some bins, [simulations]."""
        number = np.full(len(self.variance), -1)
        number[bins] = np.arange(len(bins))
        inside = number[self._place] >= 0
        rows, column = np.flatnonzero(inside), number[self._place[inside]]
        # events of one unit change their class together, so a unit is simulated in all of its bins or in none
        largest = [_largest(self._of_event, rows[column == each]) for each in range(len(bins))]
        single = np.isin(self._unit[rows], self._unit[np.concatenate(largest)])
        sums = self._simulate_singles(rows[single], column[single], len(bins), generator)
        covariance = self._covariance(rows[~single], column[~single], len(bins))
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
        sums += root @ generator.normal(size=(len(bins), SIMULATIONS))
        squares: Float64 = (sums**2 / self.variance[bins][:, None]).sum(axis=0)
        return squares

    def _simulate_singles(
        self, rows: NDArray[np.intp], column: NDArray[np.intp], bins: int, generator: Generator
    ) -> Float64:
        """Draw the classes and signs of some events; sum what they add, [bins, simulations]."""
        _, unit = np.unique(self._unit[rows], return_inverse=True)
        shape = (int(unit.max(initial=-1)) + 1, SIMULATIONS)
        chance, sign = (generator.random(shape, np.float32)[unit] for _ in range(2))
        is_class = chance < self._probability[rows][:, None]
        step = np.where(is_class, *(each[rows][:, None] for each in self._steps))
        step[sign < np.where(is_class, self._negative[1], self._negative[0])] *= -1
        step -= self._mean[rows][:, None]
        collect = sparse.csr_array(
            (np.ones(len(rows)), (column, np.arange(len(rows)))), shape=(bins, len(rows))
        )
        return np.asarray(collect @ step)

    def _covariance(self, rows: NDArray[np.intp], column: NDArray[np.intp], bins: int) -> Float64:
        """Compute the covariance of what some events add to the bins; units join bins."""
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
    """Return the share of negative weights, by their sizes, of the rest and of the class; that of all where unknown."""
    sums, sizes = (np.bincount(true, each, 2) for each in (signed, np.abs(signed)))
    common = (1 - signed.sum() / np.abs(signed).sum()) / 2
    known = sums > 0
    return np.where(known, (1 - sums / np.where(known, sizes, 1)) / 2, common)


def _ratio_of_spreads(size: Float64, true: NDArray[np.integer]) -> float:
    """Estimate how much more the weights of the rest spread than those of the class.

    That is the root of the ratio of their mean squares, in units of their squared means; one as far as the classes
    differ by no more than three errors.
    """
    number, sums, squares, fourths = (np.bincount(true, size**power, 2) for power in (0, 1, 2, 4))
    if not (sums > 0).all():
        return 1.0
    mean_squares = squares / number
    rest, of_it = np.log(mean_squares / (sums / number) ** 2)
    variance = float(((fourths / number / mean_squares**2 - 1) / number).sum())
    difference = float(rest - of_it)
    return float(np.exp(_beyond_chance(difference, variance) * difference / 2))


def _beyond_chance(difference: float, variance: float) -> float:
    """Return one for a difference of more than three standard deviations, zero for a smaller one."""
    return float(difference**2 > 9 * variance)


def _size_ratios(size: Float64, cell: NDArray[np.integer], bins: int) -> Float64:
    """Estimate in each bin how much larger weights of the rest are than those of the class, [bins].

    The common ratio compares within bins, so that weights may depend on the score: that of the geometric means, or of
    the means (N. Mantel and W. Haenszel, 1959) where it differs by more than three errors. A bin has a ratio of its
    own as far as the ratios of bins differ by more than chance (R. DerSimonian and N. Laird, Control. Clin. Trials 7
    (1986) 177, with shrinkage): few events with spread weights tell little of it.

    Args:
        size: of the weights, [n_events].
        cell: twice the bin, and one more for an event of the class, [n_events].
        bins: number of them.
    """
    cell, size = cell[size > 0], size[size > 0]
    number, sums, squares = (np.bincount(cell, size**power, 2 * bins).reshape(bins, 2) for power in (0, 1, 2))
    pairs = number.sum(axis=1) + 1e-300
    sides = (sums * number[:, ::-1] / pairs[:, None]).sum(axis=0)
    if not (sides > 0).all():
        return np.ones(bins)
    # one large weight moves a mean, and not the mean of logarithms: the means count where they are known to differ
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
        own = np.log(mean[:, 0] / mean[:, 1])
        surplus = float(((own - common) ** 2 / variance).sum()) - _upper_end(int(known.sum()))
        between = max(surplus / float((1 / variance).sum()), 0.0)
        ratio[known] += (own - common) * between / (between + variance)
    found: Float64 = np.exp(ratio)
    return found


def _upper_end(freedom: int) -> float:
    """Return two standard deviations more than the mean of a chi-square."""
    return freedom + 2 * float(np.sqrt(2 * freedom))


def _pieces_of_equals(rising: Float64, bins: int) -> list[tuple[int, int]]:
    """Divide sorted values into about equal pieces; equal values stay together."""
    wanted = np.arange(1, bins) * len(rising) // bins
    inner = np.searchsorted(rising, rising[wanted], side="left")
    edges = np.unique(np.concatenate([[0], inner, [len(rising)]]))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
