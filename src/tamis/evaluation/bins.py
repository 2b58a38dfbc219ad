"""Bins of a score: chosen for a search, filled, and combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from tamis.errors import TamisError
from tamis.evaluation.arrays import classes_of, finite_numbers, weights_of
from tamis.evaluation.asimov import USUAL, Requirements, is_enough, significance_with
from tamis.evaluation.counts import Counts, count_inside, signal_of
from tamis.evaluation.cuts import CANDIDATES, candidate_cuts, sums_above
from tamis.evaluation.influence import standard_errors
from tamis.evaluation.profile import profile_significance
from tamis.evaluation.units import Units, merge_in_cells, share_with_unit, units_of_rows

Float64 = NDArray[np.float64]
WORTHWHILE = 0.01
"""Relative gain in significance that one more bin has to bring."""


@dataclass(frozen=True)
class Binning:
    """Bins of a score with what they hold.

    Args:
        edges: rising, from 0 to 1, [bins + 1].
        bins: what each bin holds.
        significance: of all bins, each of whose backgrounds has one relative uncertainty common to all bins.
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
    """Choose the bins of a score with the largest significance together, by dynamic programming over their edges.

    A further bin must bring 1% more. Choose on validation events and quote on test events: on those that chose the
    bins the significance is too high.

    Args:
        score: between 0 and 1, [n_events].
        is_signal: [n_events].
        weight: expected number of events that this one stands for, [n_events].
        requirements: what a bin has to keep.
        most: number of bins at most.
        units: number of what each event belongs to, where several events vary together, [n_events]; events of one unit
            are all signal or all background.

    Returns:
        Rising edges from 0 to 1.

    Raises:
        TamisError: the arrays do not fit together, or all events together do not meet the requirements.
    """
    values, signal, weights = signal_of(score, is_signal, weight)
    inner = candidate_cuts(values, signal, CANDIDATES)
    edges = np.unique(np.concatenate([[0.0], inner[(inner > 0) & (inner < 1)]]))
    counted = [np.where(signal, weights, 0), np.where(signal, 0, weights), np.where(signal, 0, weights**2)]
    above = sums_above(edges, values, counted)
    above = np.concatenate([above, np.zeros((3, 1))], axis=1)  # nothing lies above the last edge
    # gain[i, j]: squared significance of the bin from edge i to edge j
    s, b, squares = above[:, :, None] - above[:, None, :]
    if units is not None:
        squares = _squares_between(edges, values[~signal], weights[~signal], units[~signal])
    enough = is_enough(b, squares, requirements) & (np.arange(s.shape[0])[:, None] < np.arange(s.shape[0]))
    gain = np.full(s.shape, -np.inf)
    # what the bins have in common is left out of their choice
    alone = replace(requirements, relative=0.0)
    gain[enough] = significance_with(s[enough], b[enough][None], squares[enough], alone) ** 2
    if not np.isfinite(gain[0, -1]):
        raise TamisError(
            f"bins of the score: all events together hold {b[0, -1]:g} expected background events, at least "
            f"{requirements.background:g} with an effective number of {requirements.effective:g} are needed"
        )
    # best[i]: of the bins from edge i upwards
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
    place, found = 0, [0.0]
    for way in reversed(ways):
        place = int(way[place])
        if place < len(edges):
            found.append(float(edges[place]))
    return (*found, 1.0)


def _squares_between(edges: Float64, values: Float64, weight: Float64, units: Units) -> Float64:
    """Sum the squares of the sums of the weights that each unit has from one edge up to another one.

    Args:
        edges: rising, [edges].
        values: of the events, [n_events].
        weight: signed, [n_events].
        units: number of what each event belongs to, [n_events].

    Returns:
        By the lower edge, then by the upper one, the last of which lies above everything, [edges + 1, edges + 1].
    """
    cell = np.searchsorted(edges, values, side="right") - 1
    inside = cell >= 0
    shape = (int(units.max(initial=-1)) + 1, len(edges))
    of_unit = sparse.csr_array((weight[inside], (units[inside], cell[inside])), shape=shape)
    # products of what a unit has in two cells: a bin holds those whose cells it holds both
    below = np.zeros((len(edges) + 1, len(edges) + 1))
    below[1:, 1:] = (of_unit.T @ of_unit).toarray().cumsum(axis=0).cumsum(axis=1)
    whole = np.diag(below)
    squares: Float64 = whole[None, :] + whole[:, None] - below - below.T
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
) -> Binning:
    """Fill bins with events; a bin holds its lower edge, the last one its upper edge too.

    Args:
        edges: rising.
        score: [n_events].
        is_signal: [n_events].
        weight: [n_events].
        requirements: how well the background is known.
        units: number of what each event belongs to, where several events vary together, [n_events].
        background: number of the background that each event belongs to, from 0, [n_events]; by default all to one.
    """
    values, signal, weights = signal_of(score, is_signal, weight)
    place = bin_of(values, edges)
    bins = tuple(
        count_inside(place == number, signal, weights, requirements, units, background)
        for number in range(len(edges) - 1)
    )
    return Binning(tuple(edges), bins, together(bins, requirements.relative))


def together(bins: Sequence[Counts], relative: float | tuple[float, ...] = 0.0) -> float:
    """Combine bins (or categories): the profile likelihood ratio of all of them (`profile_significance`).

    Each background has one relative uncertainty, common to all bins and apart from those of other backgrounds; each bin
    has that of its finite simulation. So one bin is worth what the cut is worth that keeps the same events, and a score
    that tells nothing gains nothing from more bins. The variances of the bins count as independent, also where events
    of one unit lie in several bins.

    Args:
        bins: those without background count nothing.
        relative: relative uncertainty of each background; one number for all.

    >>> found = Counts(30.0, 100.0, 0.0, 0.0, 100.0, None)
    >>> round(together([found]), 3), round(together([found] * 4), 3)
    (2.866, 5.732)
    """
    return _profile(bins, relative)[0]


def significance_interval(
    bins: Sequence[Counts], relative: float | tuple[float, ...] = 0.0
) -> tuple[float, float] | None:
    """Give the 68.3% interval of the significance of several bins, from the finite simulation.

    An event of weight w adds w to the yield of its bin and w^2 to its variance, which both count in the significance.
    Their variances are propagated to first order. Each event stands for itself: where several vary together, one of
    them may be in another bin, and the interval is `SignificanceInfluence.interval`.

    Args:
        bins: bins or categories; those without background count nothing.
        relative: relative uncertainty of each background; one number for all.

    Returns:
        None where no bin holds background.

    >>> found = Counts(30.0, 100.0, 3.0, 1.0, 1111.0, None, ((100.0, 9.0, 2.7, 0.81),))
    >>> [round(edge, 3) for edge in significance_interval([found])]
    [2.638, 2.835]
    """
    filled = [each for each in bins if each.background > 0]
    if not filled:
        return None
    value, by_signal, f, g = _profile(bins, relative)
    errors = np.array([each.signal_error for each in filled])
    _, squares, cubes, fourths = np.stack([each.powers for each in filled], axis=-1)
    of_background = f**2 * squares + 2 * f * g * cubes + g**2 * fourths
    variance = float((by_signal**2 * errors**2).sum() + of_background.sum())
    width = float(np.sqrt(max(variance, 0.0)))
    return max(value - width, 0.0), value + width


@dataclass(frozen=True, eq=False)
class SignificanceInfluence:
    """A significance, and what each event contributes to it, to first order.

    Args:
        significance: of several bins.
        of_event: the change if the event counted twice; the sum of their squares (of the sums of events that vary
            together) is the variance, [n_events].
        of_weight: the relative change if its weight grew, [n_events].
        units: number of what each event belongs to, where several events vary together, [n_events].
    """

    significance: float
    of_event: Float64
    of_weight: Float64
    units: Units | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """The 68.3% interval of the significance, from the finite simulation."""
        width = float(standard_errors(self.of_event[:, None], self.units)[0])
        return max(self.significance - width, 0.0), self.significance + width


def significance_influence(
    bins: Sequence[Counts],
    place: NDArray[np.intp],
    is_signal: NDArray[np.bool_],
    weight: Float64,
    relative: float | tuple[float, ...] = 0.0,
    *,
    units: Units | None = None,
    background: NDArray[np.integer] | None = None,
) -> SignificanceInfluence:
    """Give what each event contributes to the significance of several bins, to first order.

    Events that vary together add the square of the sum of their weights in a bin to its variance, of which each of them
    has the part that its weight has of the sum.

    Args:
        bins: what the bins hold of these events.
        place: in which bin an event is, outside of all where that is no index of one, [n_events].
        is_signal: [n_events].
        weight: expected number of events that this one stands for, [n_events].
        relative: relative uncertainty of each background; one number for all.
        units: number of what each event belongs to, where several events vary together, [n_events].
        background: number of the background that each event belongs to, from 0, [n_events]; by default all to one.
    """
    filled = [number for number, each in enumerate(bins) if each.background > 0]
    value, *found = _profile(bins, relative)
    inside = (place >= 0) & (place < len(bins))
    # the last place is that of the events outside of all bins
    column = np.where(inside, place, len(bins))
    slopes = np.zeros((len(found[1]) + 2, len(bins) + 1))
    slopes[:, filled] = np.concatenate([found[0][None], found[2][None], found[1]])
    by_signal, g = slopes[:2, column]
    f = slopes[2 + (0 if background is None else background), column]
    first = np.where(is_signal, by_signal, f) * weight
    if units is None:
        second = np.where(is_signal, 0.0, g) * weight**2
    else:
        # one number for the events of a unit in one bin
        cell = units * (len(bins) + 1) + np.where(inside, place, len(bins))
        second = np.where(is_signal, 0.0, g) * weight * share_with_unit(weight, cell)
    return SignificanceInfluence(value, first + second, first + 2 * second, units)


def _profile(
    bins: Sequence[Counts], relative: float | tuple[float, ...]
) -> tuple[float, Float64, Float64, Float64]:
    """Compute the significance of the bins that hold background, and its derivatives, as `profile_significance`."""
    filled = [each for each in bins if each.background > 0]
    if not filled:
        return 0.0, np.zeros(0), np.zeros((1, 0)), np.zeros(0)
    backgrounds, squares, *_ = np.stack([each.powers for each in filled], axis=-1)
    signal = np.array([each.signal for each in filled])
    uncertainties = Requirements(relative=relative).of_each(len(backgrounds))
    z, *slopes = profile_significance(signal, backgrounds, squares.sum(axis=0), uncertainties)
    return float(z), slopes[0], slopes[1], slopes[2]


@dataclass(frozen=True)
class Yields:
    """Expected events of each class in bins of a score.

    Args:
        numbers: sums of weights, [n_classes, bins].
        errors: their standard deviations from the finite simulation, roots of sums of squared weights, likewise;
            where several events vary together, of the squared sums of their weights in a bin.
    """

    numbers: tuple[tuple[float, ...], ...]
    errors: tuple[tuple[float, ...], ...]


def bin_yields(
    edges: Sequence[float],
    score: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    n_classes: int,
    *,
    units: Units | None = None,
) -> Yields:
    """Count the events of each class in bins of a score; a bin holds its lower edge, the last one its upper edge too.

    Args:
        edges: rising, [bins + 1].
        score: [n_events]; what lies outside of all bins is left out.
        class_index: the true class, [n_events].
        weight: expected number of events that this one stands for, [n_events].
        n_classes: number of classes.
        units: number of what each event belongs to, where several events vary together, [n_events].

    >>> bin_yields([0.0, 0.5, 1.0], [0.1, 0.9, 1.0], [0, 1, 1], [2.0, 3.0, 4.0], 2).numbers
    ((2.0, 0.0), (0.0, 7.0))
    """
    values = finite_numbers(score, "score")
    weights = weights_of(weight, len(values))
    classes = classes_of(class_index, len(values), n_classes)
    bins = len(edges) - 1
    place = bin_of(values, edges)
    inside = (place >= 0) & (place < bins)
    cell = classes[inside] * bins + place[inside]
    of_cell = weights[inside]
    merged, of_unit = merge_in_cells(cell, of_cell, units_of_rows(units, inside))
    sums = [
        np.bincount(numbers, values, n_classes * bins).reshape(n_classes, bins)
        for numbers, values in ((cell, of_cell), (merged, of_unit**2))
    ]
    numbers, errors = (tuple(map(tuple, each.tolist())) for each in (sums[0], np.sqrt(sums[1])))
    return Yields(numbers, errors)


def bin_of(values: Float64, edges: Sequence[float]) -> NDArray[np.intp]:
    """Say in which bin each value is; a bin holds its lower edge, the last one its upper edge too.

    Args:
        values: [n_events].
        edges: rising, [bins + 1].
    """
    place = np.searchsorted(np.asarray(edges), values, side="right") - 1
    last: NDArray[np.intp] = np.where(values == edges[-1], len(edges) - 2, place)
    return last
