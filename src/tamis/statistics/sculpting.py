"""Dependence of a variable on a score: its shape behind cuts, its mean in slices, the distance correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, special

from tamis.arrays import Float64
from tamis.errors import TamisError
from tamis.statistics.arrays import (
    ROUNDING,
    check_length,
    check_real_numbers,
    check_weights,
    compute_effective_sample_size,
    compute_mean_ranks,
    positive_sum,
)
from tamis.statistics.intervals import combine_degrees_of_freedom
from tamis.statistics.units import Units, compute_squared_sum, compute_unit_sums, select_units
from tamis.wording import format_p_value

SLICES = 5
"""Slices of the score, of equal numbers of events."""
BINS = 30
"""Bins of a spectator's distribution."""
EVENTS = 700
"""Events that a distance correlation is computed from: its cost is their square."""
SIGNS = 499
"""Sets of random signs that sample the distance correlation under independence."""
FEWEST = 25.0
"""Effective events that a distance correlation needs."""
BEYOND = 1e100
"""Size from which a spectator's value counts as missing, like infinity: its square would overflow."""
LARGE = 0.1
"""Minimum distance correlation of a sculpted spectator."""
LARGE_SHIFT = 0.3
"""Difference of two means, in standard deviations of the spectator, of a sculpted spectator, at least.

A linear correlation whose distance correlation is `LARGE` moves the means of the outer of five slices as far apart.
"""
LEVEL = 0.01
"""p-value up to which a dependence, or a difference of means, is more than chance."""


@dataclass(frozen=True)
class Slice:
    """Events of similar scores.

    Args:
        low: smallest score.
        high: largest score.
        mean: weighted mean of the spectator.
        error: its standard deviation.
        effective_sample_size: of the events.
    """

    low: float
    high: float
    mean: float
    error: float
    effective_sample_size: float


@dataclass(frozen=True)
class Dependence:
    """The statistical dependence of a spectator and a score.

    Args:
        distance_correlation: 0 if they are independent, 1 if one follows from the other.
        p_value: probability of a value at least as large if they were independent; 0.002 (499 sets of random signs) is
            an upper limit.
        events: number of events that it was computed from.
    """

    distance_correlation: float
    p_value: float
    events: int

    @property
    def chance(self) -> str:
        """Formatted p-value; an upper limit if no set of random signs has as large a value."""
        return format_p_value(self.p_value, smallest=1 / (1 + SIGNS))

    @property
    def large(self) -> bool:
        """Return whether it is significant, and too large to be harmless."""
        return self.p_value <= LEVEL and self.distance_correlation >= LARGE


@dataclass(frozen=True)
class Shift:
    """The two slices of a score whose means of a spectator differ most, relative to their errors.

    Args:
        significance: their difference, in its standard deviations.
        size: their difference, in standard deviations of the spectator of all events; None if its variance is not
            positive.
        p_value: upper limit on the probability that any two slices differ as much if the spectator were independent of
            the score, from Student's distribution; None if a slice has fewer than `FEWEST` effective events.
    """

    significance: float
    size: float | None
    p_value: float | None

    @property
    def large(self) -> bool:
        """Return whether it is significant, and too large to be harmless."""
        return self.is_significant and self.size is not None and self.size >= LARGE_SHIFT

    @property
    def is_significant(self) -> bool:
        """Return whether it is significant."""
        return self.p_value is not None and self.p_value <= LEVEL


def compute_slices(
    spectator: ArrayLike, score: ArrayLike, weight: ArrayLike, *, units: Units | None = None
) -> tuple[tuple[Slice, ...], Float64 | None]:
    """Compute the mean of a spectator in `SLICES` slices of the score; equal scores stay in one slice.

    Returns:
        The slices by rising score, without those whose sum of weights is not positive, and the covariance of their
        means, [slices, slices]; None if all events are independent.

    >>> slices, _ = compute_slices([1.0, 2.0, 3.0, 5.0], [0.1, 0.1, 0.8, 0.8], [1.0] * 4)
    >>> [entry.mean for entry in slices]
    [1.5, 4.0]
    """
    values, scores, weights, units = _present(spectator, score, weight, units)
    if not len(values):
        return (), None
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, SLICES + 1)[1:-1], method="higher"))
    slice_index = np.searchsorted(edges, scores, side="right")
    slices_of_score, of_unit = [], []
    for index in range(len(edges) + 1):
        inside = slice_index == index
        total = positive_sum(weights[inside])
        if not inside.any() or total is None:
            continue
        mean = float(weights[inside] @ values[inside]) / total
        influence, members = weights[inside] * (values[inside] - mean), select_units(units, inside)
        error = float(np.sqrt(compute_squared_sum(influence, members))) / total
        low, high = float(scores[inside].min()), float(scores[inside].max())
        slices_of_score.append(
            Slice(low, high, mean, error, compute_effective_sample_size(weights[inside], members))
        )
        if units is not None:
            of_unit.append(np.bincount(units[inside], influence, int(units.max()) + 1) / total)
    return tuple(slices_of_score), np.array(of_unit) @ np.array(of_unit).T if of_unit else None


def compute_shape_distance(spectator: ArrayLike, passes: ArrayLike, weight: ArrayLike) -> float | None:
    """Compute the Jensen-Shannon distance between a spectator's distribution after a cut and that of all events.

    The square root of the divergence in bits: 0 for equal shapes, 1 for shapes that do not overlap (J. Lin, IEEE Trans.
    Inf. Theory 37 (1991) 145). The bins hold equal numbers of events; a bin with a negative sum of weights counts as
    empty. `passes` tells which events pass the cut, [n_events]; events without a value of the spectator are ignored.
    The result is None if no event passes.

    >>> compute_shape_distance([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 1], [1.0] * 4)
    0.0
    """
    values, cut, weights, _ = _present(spectator, passes, weight)
    inside = cut > 0
    if positive_sum(weights) is None or positive_sum(weights[inside]) is None:
        return None
    bin_index = _quantile_bins(values)
    shapes = []
    for rows in (inside, np.ones(len(values), np.bool_)):
        filled = np.maximum(np.bincount(bin_index[rows], weights[rows], int(bin_index.max()) + 1), 0)
        shapes.append(filled / filled.sum())
    middle = (shapes[0] + shapes[1]) / 2
    divergence = 0.0
    for shape in shapes:
        is_filled = shape > 0
        divergence += float((shape[is_filled] * np.log2(shape[is_filled] / middle[is_filled])).sum()) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def compute_chance_distance(
    spectator: ArrayLike, passes: ArrayLike, weight: ArrayLike, *, units: Units | None = None
) -> float | None:
    """Compute the expected `compute_shape_distance` of a cut that is independent of the spectator.

    The square root of the mean divergence to second order, at most 1: the sum over the bins of the variance of the
    difference of the two shapes, divided by 8 ln 2 times the shape. The result is None if no event passes.

    >>> round(compute_chance_distance(np.arange(1000.0), np.arange(1000) % 2, np.ones(1000)), 4)
    0.0723
    """
    covariance = _compute_chance_covariance(spectator, passes, weight, units)
    if covariance is None:
        return None
    divergence = float(np.trace(covariance[1])) / (8 * np.log(2))
    return float(np.sqrt(np.clip(divergence, 0.0, 1.0)))


def compute_shape_p_value(
    spectator: ArrayLike, passes: ArrayLike, weight: ArrayLike, *, units: Units | None = None
) -> float | None:
    """Test whether a cut is independent of a spectator: compare the shape after the cut with that of all events.

    The statistic is the sum over the bins of the squared difference of the two shapes, divided by the shape of all
    events. If the cut is independent, the differences are normal with mean zero, and their covariance follows from the
    events. The sum of squares then is a multiple of a chi-square variable with the same mean and variance (F.
    Satterthwaite, Biometrics Bull. 2 (1946) 110).

    Returns:
        None if no event passes, or all do, or the spectator is constant.

    >>> values, passes = np.arange(1000.0), np.arange(1000) % 2
    >>> compute_shape_p_value(values, passes, np.ones(1000)) > 0.99
    True
    """
    covariance = _compute_chance_covariance(spectator, passes, weight, units)
    if covariance is None:
        return None
    difference, matrix = covariance
    mean, squares = float(np.trace(matrix)), float((matrix**2).sum())
    if squares <= 0:
        return None
    return float(special.chdtrc(mean**2 / squares, float(difference @ difference) * mean / squares))


def _compute_chance_covariance(
    spectator: ArrayLike, passes: ArrayLike, weight: ArrayLike, units: Units | None
) -> tuple[Float64, Float64] | None:
    """Compute the difference of the shapes after a cut and of all events, and its covariance for independent cuts.

    Both are divided by the square root of the shape of all events, in the bins where it is positive: [bins] and
    [bins, bins]. None if no event passes.
    """
    values, cut, weights, units = _present(spectator, passes, weight, units)
    inside = cut > 0
    total, passing = positive_sum(weights), positive_sum(weights[inside])
    if total is None or passing is None:
        return None
    bin_index = _quantile_bins(values)
    shape = np.maximum(np.bincount(bin_index, weights), 0)
    shape /= shape.sum()
    # contribution of each event to the difference of the two shapes, in its bin
    change = weights * (inside / passing - 1 / total)
    unit = np.arange(len(values)) if units is None else units
    of_unit = sparse.csr_array((change, (unit, bin_index)), shape=(int(unit.max()) + 1, len(shape)))
    sums: Float64 = of_unit.sum(axis=1)
    weighted_sums: Float64 = np.asarray(of_unit.T @ sums)
    cross = np.outer(weighted_sums, shape)
    matrix = (of_unit.T @ of_unit).toarray() - cross - cross.T + np.outer(shape, shape) * (sums @ sums)
    filled = shape > 0
    if np.count_nonzero(filled) < 2:  # not different but for rounding
        return np.zeros(1), np.zeros((1, 1))
    scale = 1 / np.sqrt(shape[filled])
    difference: Float64 = of_unit.sum(axis=0)[filled] * scale
    return difference, matrix[np.ix_(filled, filled)] * np.outer(scale, scale)


def _quantile_bins(values: Float64) -> NDArray[np.intp]:
    """Return the bin of each value, of `BINS` bins with equal numbers of events."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    bin_index: NDArray[np.intp] = np.searchsorted(edges, values, side="right")
    return bin_index


def compute_dependence(
    spectator: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike,
    generator: Generator,
    *,
    events: int = EVENTS,
    units: Units | None = None,
) -> Dependence | None:
    """Compute the distance correlation of a spectator and a score (G. Szekely et al., arXiv:0803.4101).

    It describes the weighted distribution, signs included, also if weights depend on score or spectator. It is computed
    from ranks, so that units do not matter, of about `events` events drawn at random: the probability of an event is
    proportional to the size of its weight, and a drawn event has its weight over that probability. Of several events
    that vary together, one is drawn, in proportion to the size of its weight, and has the weights of all.

    The p-value comes from random signs of the events (wild bootstrap of a degenerate V-statistic; A. Leucht and M.
    Neumann, J. Multivar. Anal. 117 (2013) 257): shuffling would move weights that depend on the score to other scores.
    An event with the share u of the weights is divided by (1 - u)^2, because it contributes to the means that are
    subtracted. The result is None for fewer than `FEWEST` effective events, or if spectator or score are constant.
    """
    values, scores, weights, units = _present(spectator, score, weight, units)
    rows = np.flatnonzero(weights)
    if units is not None:
        rows = _one_of_each_unit(rows, weights, units, generator)
        weights = np.sign(weights) * compute_unit_sums(np.abs(weights), units)
    rows, drawn = _draw(rows, weights[rows], events, generator)
    total = positive_sum(drawn)
    if total is None or compute_effective_sample_size(drawn) < FEWEST:
        return None
    if np.ptp(values[rows]) == 0 or np.ptp(scores[rows]) == 0:
        return None
    share = drawn / total
    first, second = (_centred_distances(column[rows], share) for column in (values, scores))
    products = first * second
    observed = float(share @ products @ share)
    scale = float(share @ first**2 @ share) * float(share @ second**2 @ share)
    if scale < 1e-20:  # one event has nearly all of the weight
        return None
    signs = generator.integers(0, 2, (len(rows), SIGNS)) * 2.0 - 1.0
    moved = (share / np.maximum(1 - np.abs(share), 0.5) ** 2)[:, None] * signs
    moved -= share[:, None] * moved.sum(axis=0)
    by_chance = int(((moved * (products @ moved)).sum(axis=0) >= observed).sum())
    correlation = min(float(np.sqrt(max(observed, 0.0) / np.sqrt(scale))), 1.0)
    return Dependence(correlation, (1 + by_chance) / (1 + SIGNS), len(rows))


def _draw(
    rows: NDArray[np.intp], weight: Float64, number: int, generator: Generator
) -> tuple[NDArray[np.intp], Float64]:
    """Draw about `number` events, large weights more probably, and divide each weight by its probability.

    Sums over the drawn events then equal those over all events on average (D. Horvitz and D. Thompson, J. Am. Stat.
    Assoc. 47 (1952) 663), and the drawn weights are as equal as possible.
    """
    if len(rows) <= number:
        return rows, weight
    size = np.abs(weight)
    # probabilities in proportion to the sizes, at most one, that add up to the number
    rising = np.sort(size)
    below = np.cumsum(rising)
    certain = np.arange(len(rows) - 1, -1, -1)  # events that are larger than this one
    remaining = number - certain
    fits = (remaining > 0) & (rising * remaining <= below)
    last = int(np.flatnonzero(fits)[-1])
    probability = np.minimum(size * remaining[last] / below[last], 1.0)
    drawn = generator.random(len(rows)) < probability
    return rows[drawn], weight[drawn] / probability[drawn]


def _one_of_each_unit(
    rows: NDArray[np.intp], weights: Float64, units: Units, generator: Generator
) -> NDArray[np.intp]:
    """Draw one event of each unit, in proportion to the sizes of the weights, which are not zero in `rows`.

    A child of the generator draws, so that later random numbers do not depend on whether there are units. The events
    are in the order in which their units first occur.
    """
    # the event whose exponential time, divided by the size of its weight, is over first
    times = generator.spawn(1)[0].exponential(size=len(rows)) / np.abs(weights[rows])
    _, first, number = np.unique(units[rows], return_index=True, return_inverse=True)
    order = np.lexsort((times, first[number]))
    begins = np.diff(first[number][order], prepend=-1) != 0
    drawn: NDArray[np.intp] = rows[order[begins]]
    return drawn


def has_value(values: Float64) -> NDArray[np.bool_]:
    """Return which values of a spectator are measurements, [n_events]: finite, and not beyond `BEYOND`.

    >>> has_value(np.array([91.2, np.nan, np.inf, 1e300])).tolist()
    [True, False, False, False]
    """
    return np.abs(values) <= BEYOND


def _present(
    spectator: ArrayLike, score: ArrayLike, weight: ArrayLike, units: Units | None = None
) -> tuple[Float64, Float64, Float64, Units | None]:
    """Return the events that have a value of the spectator."""
    values = np.asarray(spectator, np.float64)
    if values.ndim != 1:
        raise TamisError(
            f"spectator: expected one number for each event, found an array of shape {values.shape}"
        )
    scores = check_real_numbers(score, "score")
    check_length(scores, len(values), "score")
    weights = check_weights(weight, len(values))
    rows = has_value(values)
    return values[rows], scores[rows], weights[rows], select_units(units, rows)


def _centred_distances(values: Float64, share: Float64) -> Float64:
    """Compute the distances of ranks between all events, and subtract the weighted means of rows and columns."""
    ranks = compute_mean_ranks(values) / len(values)
    distances = np.abs(ranks[:, None] - ranks[None, :])
    mean = distances @ share
    centred: Float64 = distances - mean[None, :] - mean[:, None] + mean @ share
    return centred


def compute_shift(
    spectator: ArrayLike, weight: ArrayLike, slices: Sequence[Slice], covariance: Float64 | None = None
) -> Shift | None:
    """Compute how much the mean of a spectator shifts with the score, from its slices (`compute_slices`).

    The errors of the means are uncertain themselves: the difference of two means has the degrees of freedom of B. Welch
    (Biometrika 34 (1947) 28), with one less than the effective sample size for each. The result is None if fewer than
    two slices have an error.

    >>> values = np.tile([1.0, 3.0], 50)
    >>> compute_shift(values, np.ones(100), [Slice(0, 1, 1.5, 0.3, 50.0), Slice(1, 2, 2.5, 0.4, 50.0)])
    Shift(significance=2.0, size=1.0, p_value=0.04848578915785426)
    """
    known = all(score_slice.effective_sample_size >= FEWEST for score_slice in slices)
    shifts = []
    for (first, a), (second, b) in combinations(enumerate(slices), 2):
        error = _error_of_difference(a, b, 0.0 if covariance is None else covariance[first, second])
        if error > 0:
            difference = abs(a.mean - b.mean)
            freedom = combine_degrees_of_freedom(
                (a.error, b.error), [max(entry.effective_sample_size - 1, 1.0) for entry in (a, b)]
            )
            shifts.append(
                (-2 * float(special.stdtr(freedom, -difference / error)), difference / error, difference)
            )
    if not shifts:
        return None
    # the smallest p-value; of several that are zero, the largest significance
    negative_p_value, significance, difference = max(shifts)
    values, _, weights, _ = _present(spectator, np.zeros(np.shape(spectator)), weight)
    mean = float(weights @ values) / float(weights.sum())
    variance = float(weights @ (values - mean) ** 2) / float(weights.sum())
    pairs = len(slices) * (len(slices) - 1) / 2
    return Shift(
        significance,
        difference / float(np.sqrt(variance)) if variance > 0 else None,
        min(1.0, -pairs * negative_p_value) if known else None,
    )


def _error_of_difference(first: Slice, second: Slice, covariance: float) -> float:
    error = float(np.hypot(first.error, second.error))
    if covariance == 0:
        return error
    variance = error**2 - 2 * covariance
    return float(np.sqrt(variance)) if variance > ROUNDING * error**2 else 0.0
