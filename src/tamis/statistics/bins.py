"""Bins of a score for a discovery: optimised, filled and combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from tamis.arrays import Float64
from tamis.errors import TamisError
from tamis.statistics.arrays import check_classes, check_finite_numbers, check_weights
from tamis.statistics.asimov import (
    USUAL,
    Requirements,
    compute_bin_significances,
    compute_profile_significance,
    has_enough_background,
)
from tamis.statistics.counts import Counts, check_signal, count_inside
from tamis.statistics.cuts import choose_candidate_cuts, sum_above
from tamis.statistics.influence import compute_standard_errors
from tamis.statistics.units import Units, compute_unit_sums, merge_in_cells, select_units

WORTHWHILE = 0.01
"""Minimum relative gain in significance from one more bin."""


@dataclass(frozen=True)
class ScoreBinning:
    """Bins of a score with their contents, from edges that rise from 0 to 1, [bins + 1].

    The significance is that of all bins, with one relative uncertainty of each background that is common to all bins.
    """

    edges: tuple[float, ...]
    bins: tuple[Counts, ...]
    significance: float


def choose_bins(
    score: ArrayLike,
    is_signal: ArrayLike,
    weight: ArrayLike,
    requirements: Requirements = USUAL,
    *,
    most: int = 10,
    units: Units | None = None,
) -> tuple[float, ...]:
    """Optimise the bins of a score for the largest combined significance, by dynamic programming; return the edges.

    The edges rise from 0 to 1. Each further bin, `most` at most, must increase the significance by 1%. Optimise the
    bins on validation events and quote the significance of test events: that of the events that optimised the bins is
    biased upwards.

    Raises:
        TamisError: all events together do not meet the requirements.
    """
    values, signal, weights = check_signal(score, is_signal, weight)
    inner = choose_candidate_cuts(values, signal)
    edges = np.unique(np.concatenate([[0.0], inner[(inner > 0) & (inner < 1)]]))
    counted = [np.where(signal, weights, 0), np.where(signal, 0, weights), np.where(signal, 0, weights**2)]
    above = sum_above(edges, values, counted)
    above = np.concatenate([above, np.zeros((3, 1))], axis=1)  # no event is above the last edge
    # gain[i, j]: squared significance of the bin from edge i to edge j
    s, b, squares = above[:, :, None] - above[:, None, :]
    if units is not None:
        squares = _squares_between(edges, values[~signal], weights[~signal], units[~signal])
    enough = has_enough_background(b, squares, requirements) & (
        np.arange(s.shape[0])[:, None] < np.arange(s.shape[0])
    )
    gain = np.full(s.shape, -np.inf)
    # systematic uncertainties are common to all bins, so they cannot be part of the gain of a single bin
    without_systematics = replace(requirements, relative=0.0)
    gains, *_ = compute_bin_significances(s[enough], b[enough][None], squares[enough], without_systematics)
    gain[enough] = gains**2
    if not np.isfinite(gain[0, -1]):
        raise TamisError(
            f"bins of the score: all events together have {b[0, -1]:g} expected background events, but "
            f"at least {requirements.background:g} with an effective sample size of "
            f"{requirements.effective_sample_size:g} are needed"
        )
    # best[i]: squared significance of the bins from edge i upwards
    best, ways = gain[:, -1].copy(), [np.full(len(gain), len(gain) - 1)]
    totals = [best[0]]
    for _ in range(most - 1):
        sums = gain + best[None, :]
        ways.append(sums.argmax(axis=1))
        best = sums.max(axis=1)
        totals.append(best[0])
        if not best[0] > totals[-2] * (1 + WORTHWHILE) ** 2:
            ways.pop()
            break
    edge, chosen_edges = 0, [0.0]
    for way in reversed(ways):
        edge = int(way[edge])
        if edge < len(edges):
            chosen_edges.append(float(edges[edge]))
    return (*chosen_edges, 1.0)


def _squares_between(edges: Float64, values: Float64, weight: Float64, units: Units) -> Float64:
    """Sum the squares of the sums of the weights of each unit between two edges, [edges + 1, edges + 1].

    The first index is the lower edge, the second the upper one, the last of which is above all events.
    """
    cell = np.searchsorted(edges, values, side="right") - 1
    inside = cell >= 0
    shape = (int(units.max(initial=-1)) + 1, len(edges))
    of_unit = sparse.csr_array((weight[inside], (units[inside], cell[inside])), shape=shape)
    # products of the weights of a unit in two cells, summed over the cells of a bin
    below = np.zeros((len(edges) + 1, len(edges) + 1))
    below[1:, 1:] = (of_unit.T @ of_unit).toarray().cumsum(axis=0).cumsum(axis=1)
    up_to_edge = np.diag(below)
    squares: Float64 = up_to_edge[None, :] + up_to_edge[:, None] - below - below.T
    return np.maximum(squares, 0)


def fill_bins(
    edges: Sequence[float],
    score: ArrayLike,
    is_signal: ArrayLike,
    weight: ArrayLike,
    requirements: Requirements = USUAL,
    *,
    units: Units | None = None,
    background: NDArray[np.integer] | None = None,
) -> ScoreBinning:
    """Fill bins with events (`find_bins`)."""
    values, signal, weights = check_signal(score, is_signal, weight)
    bin_index = find_bins(values, edges)
    bins = tuple(
        count_inside(bin_index == number, signal, weights, requirements, units, background)
        for number in range(len(edges) - 1)
    )
    return ScoreBinning(tuple(edges), bins, combine_significances(bins, requirements.relative))


def combine_significances(bins: Sequence[Counts], relative: float | tuple[float, ...] = 0.0) -> float:
    """Combine bins (or categories): the profile likelihood ratio of all of them (`compute_profile_significance`).

    Each background has one relative uncertainty, common to all bins and uncorrelated with those of other backgrounds;
    each bin has the statistical uncertainty of its simulation. So one bin has the significance of a cut that selects
    the same events, and more bins of a score without information gain nothing. The variances of the bins count as
    independent, also if events of one unit are in several bins. Bins without background are ignored.

    >>> counts = Counts(30.0, 100.0, 0.0, 0.0, 100.0, None)
    >>> round(combine_significances([counts]), 3), round(combine_significances([counts] * 4), 3)
    (2.866, 5.732)
    """
    return _profile(bins, relative)[0]


def compute_significance_interval(
    bins: Sequence[Counts], relative: float | tuple[float, ...] = 0.0
) -> tuple[float, float] | None:
    """Compute the 68.3% interval of the significance of several bins, from the finite simulation, to first order.

    All events count as independent. Events of one unit may be in different bins: use `SignificanceInfluence.interval`
    for them. Bins without background are ignored. The result is None if no bin has background.

    >>> counts = Counts(30.0, 100.0, 3.0, 1.0, 1111.0, None, ((100.0, 9.0, 2.7, 0.81),))
    >>> [round(edge, 3) for edge in compute_significance_interval([counts])]
    [2.638, 2.835]
    """
    filled = [counts for counts in bins if counts.background > 0]
    if not filled:
        return None
    value, by_signal, f, g = _profile(bins, relative)
    errors = np.array([counts.signal_error for counts in filled])
    _, squares, cubes, fourths = np.stack([counts.powers for counts in filled], axis=-1)
    # an event of weight w adds w to a background and w^2 to its variance
    of_background = f**2 * squares + 2 * f * g * cubes + g**2 * fourths
    variance = float((by_signal**2 * errors**2).sum() + of_background.sum())
    width = float(np.sqrt(max(variance, 0.0)))
    return max(value - width, 0.0), value + width


@dataclass(frozen=True, eq=False)
class SignificanceInfluence:
    """The significance of several bins, and the contribution of each event to it, to first order, [n_events] each.

    `of_event` is the change if the event counted twice, whose squares (of the sums of each unit) sum to the variance,
    and `of_weight` the relative change if its weight grew. Units are None if all events are independent.
    """

    significance: float
    of_event: Float64
    of_weight: Float64
    units: Units | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """The 68.3% interval of the significance, from the finite simulation."""
        width = float(compute_standard_errors(self.of_event[:, None], self.units)[0])
        return max(self.significance - width, 0.0), self.significance + width


def compute_significance_influence(
    bins: Sequence[Counts],
    bin_index: NDArray[np.intp],
    is_signal: NDArray[np.bool_],
    weight: Float64,
    relative: float | tuple[float, ...] = 0.0,
    *,
    units: Units | None = None,
    background: NDArray[np.integer] | None = None,
) -> SignificanceInfluence:
    """Compute the contribution of each event to the significance of several bins, to first order.

    A unit adds the square of the sum of its weights in a bin to its variance; each of its events has a share of it in
    proportion to its weight.

    `bins` are the contents of the bins, from these events, with one `relative` uncertainty of each background (one
    number for all). `bin_index` is the bin of each event; not a valid index for events outside of all bins, [n_events].
    """
    filled = [number for number, counts in enumerate(bins) if counts.background > 0]
    value, *derivatives = _profile(bins, relative)
    # events outside of all bins get a column of zeros behind the last bin
    column = np.where((bin_index >= 0) & (bin_index < len(bins)), bin_index, len(bins))
    slopes = np.zeros((len(derivatives[1]) + 2, len(bins) + 1))
    slopes[:, filled] = np.concatenate([derivatives[0][None], derivatives[2][None], derivatives[1]])
    by_signal, g = slopes[:2, column]
    f = slopes[2 + (0 if background is None else background), column]
    first = np.where(is_signal, by_signal, f) * weight
    if units is None:
        second = np.where(is_signal, 0.0, g) * weight**2
    else:
        # one number for the events of a unit in one bin
        cell = units * (len(bins) + 1) + column
        second = np.where(is_signal, 0.0, g) * weight * compute_unit_sums(weight, cell)
    return SignificanceInfluence(value, first + second, first + 2 * second, units)


def _profile(
    bins: Sequence[Counts], relative: float | tuple[float, ...]
) -> tuple[float, Float64, Float64, Float64]:
    """Compute the significance of the bins with background, and its derivatives (`compute_profile_significance`)."""
    filled = [counts for counts in bins if counts.background > 0]
    if not filled:
        return 0.0, np.zeros(0), np.zeros((1, 0)), np.zeros(0)
    backgrounds, squares, *_ = np.stack([counts.powers for counts in filled], axis=-1)
    signal = np.array([counts.signal for counts in filled])
    uncertainties = Requirements(relative=relative).of_each(len(backgrounds))
    z, *slopes = compute_profile_significance(signal, backgrounds, squares.sum(axis=0), uncertainties)
    return float(z), slopes[0], slopes[1], slopes[2]


@dataclass(frozen=True)
class Yields:
    """Expected events of each class in bins of a score, [n_classes, bins], and their standard deviations.

    These are roots of the sums of squared weights (of the sums of each unit).
    """

    numbers: tuple[tuple[float, ...], ...]
    errors: tuple[tuple[float, ...], ...]


def count_yields(
    edges: Sequence[float],
    score: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    n_classes: int,
    *,
    units: Units | None = None,
) -> Yields:
    """Count the events of each class in bins of a score (`find_bins`); events outside of all bins are ignored.

    >>> count_yields([0.0, 0.5, 1.0], [0.1, 0.9, 1.0], [0, 1, 1], [2.0, 3.0, 4.0], 2).numbers
    ((2.0, 0.0), (0.0, 7.0))
    """
    values = check_finite_numbers(score, "score")
    weights = check_weights(weight, len(values))
    classes = check_classes(class_index, len(values), n_classes)
    bins = len(edges) - 1
    bin_index = find_bins(values, edges)
    inside = (bin_index >= 0) & (bin_index < bins)
    cell = classes[inside] * bins + bin_index[inside]
    of_cell = weights[inside]
    merged, of_unit = merge_in_cells(cell, of_cell, select_units(units, inside))
    sums = [
        np.bincount(numbers, values, n_classes * bins).reshape(n_classes, bins)
        for numbers, values in ((cell, of_cell), (merged, of_unit**2))
    ]
    numbers, errors = (tuple(map(tuple, table.tolist())) for table in (sums[0], np.sqrt(sums[1])))
    return Yields(numbers, errors)


def find_bins(values: Float64, edges: Sequence[float]) -> NDArray[np.intp]:
    """Return the bin index of each value; a bin contains its lower edge, the last one also its upper edge."""
    bin_index = np.searchsorted(np.asarray(edges), values, side="right") - 1
    last: NDArray[np.intp] = np.where(values == edges[-1], len(edges) - 2, bin_index)
    return last
