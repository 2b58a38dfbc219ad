"""Bins of a score: chosen for a search, filled, and combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from tamis.errors import TamisError
from tamis.evaluation.arrays import classes_of, finite_numbers, weights_of
from tamis.evaluation.asimov import USUAL, Requirements, asimov_significance, is_enough, significance_with
from tamis.evaluation.counts import Counts, count_inside, signal_of
from tamis.evaluation.cuts import CANDIDATES, candidate_cuts, sums_above
from tamis.evaluation.influence import standard_errors
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
        significance: of all bins, whose background has one common relative uncertainty.
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
    gain[enough] = significance_with(s[enough], b[enough], squares[enough], requirements) ** 2
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
) -> Binning:
    """Fill bins with events; a bin holds its lower edge, the last one its upper edge too.

    Args:
        edges: rising.
        score: [n_events].
        is_signal: [n_events].
        weight: [n_events].
        requirements: how well the background is known.
        units: number of what each event belongs to, where several events vary together, [n_events].
    """
    values, signal, weights = signal_of(score, is_signal, weight)
    place = bin_of(values, edges)
    bins = tuple(
        count_inside(place == number, signal, weights, requirements, units)
        for number in range(len(edges) - 1)
    )
    return Binning(tuple(edges), bins, together(bins, requirements.relative))


def together(bins: Sequence[Counts], relative: float = 0.0) -> float:
    """Combine bins (or categories) whose background has one common relative uncertainty r.

    The squares of the significances with the statistical uncertainties alone add up. Of their sum the common
    uncertainty leaves L^k. In the Gaussian limit k = 1 and L = 1 - r^2 B^2 / (A (1 + r^2 C)), with A = sum of s^2 / v,
    B = sum of s b / v, C = sum of b^2 / v, and v = b + the variance of b from the finite simulation. The power k is the
    one with which all bins filled into a single one have their exact significance (`asimov_significance`). So one bin
    is worth what the cut is worth that keeps the same events, and a score that tells nothing gains nothing from more
    bins. The variances of the bins count as independent, also where events of one unit lie in several bins.

    Args:
        bins: those without background count nothing.
        relative: the common relative uncertainty r of the background.

    >>> found = Counts(30.0, 100.0, 0.0, 0.0, 100.0, None)
    >>> round(together([found]), 3), round(together([found] * 4), 3)
    (2.866, 5.732)
    """
    s, b, error, *_ = _yields(bins)
    return float(_combined(s, b, error, relative)) if len(b) else 0.0


def significance_interval(bins: Sequence[Counts], relative: float = 0.0) -> tuple[float, float] | None:
    """Give the 68.3% interval of the significance of several bins, from the finite simulation.

    An event of weight w adds w to the yield of its bin and w^2 to its variance, which both count in the significance.
    Their variances are propagated to first order. Each event stands for itself: where several vary together, one of
    them may be in another bin, and the interval is `SignificanceInfluence.interval`.

    Args:
        bins: bins or categories; those without background count nothing.
        relative: the common relative uncertainty of the background.

    Returns:
        None where no bin holds background.

    >>> found = Counts(30.0, 100.0, 3.0, 1.0, 1111.0, None, cubes=2.7, fourths=0.81)
    >>> [round(edge, 3) for edge in significance_interval([found])]
    [2.636, 2.833]
    """
    numbers = _yields(bins)
    if not len(numbers[0]):
        return None
    s, b, error, signal_error, cubes, fourths = numbers
    by_signal, f, g = _slopes(s, b, error, relative)
    variance = by_signal**2 * signal_error**2 + f**2 * error**2 + 2 * f * g * cubes + g**2 * fourths
    value, width = float(_combined(s, b, error, relative)), float(np.sqrt(max(variance.sum(), 0.0)))
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
    relative: float = 0.0,
    *,
    units: Units | None = None,
) -> SignificanceInfluence:
    """Give what each event contributes to the significance of several bins, to first order.

    Events that vary together add the square of the sum of their weights in a bin to its variance, of which each of them
    has the part that its weight has of the sum.

    Args:
        bins: what the bins hold of these events.
        place: in which bin an event is, outside of all where that is no index of one, [n_events].
        is_signal: [n_events].
        weight: expected number of events that this one stands for, [n_events].
        relative: the common relative uncertainty of the background.
        units: number of what each event belongs to, where several events vary together, [n_events].
    """
    s, b, error, *_ = _yields(bins)
    filled = [number for number, each in enumerate(bins) if each.background > 0]
    # the last place is that of the events outside of all bins
    slopes = np.zeros((3, len(bins) + 1))
    slopes[:, filled] = _slopes(s, b, error, relative)
    inside = (place >= 0) & (place < len(bins))
    by_signal, f, g = slopes[:, np.where(inside, place, len(bins))]
    first = np.where(is_signal, by_signal, f) * weight
    if units is None:
        second = np.where(is_signal, 0.0, g) * weight**2
    else:
        # one number for the events of a unit in one bin
        cell = units * (len(bins) + 1) + np.where(inside, place, len(bins))
        second = np.where(is_signal, 0.0, g) * weight * share_with_unit(weight, cell)
    return SignificanceInfluence(together(bins, relative), first + second, first + 2 * second, units)


def _slopes(s: Float64, b: Float64, error: Float64, relative: float) -> Float64:
    """Differentiate the significance by the signal, the background and its variance in each bin, [3, bins]."""
    inputs = np.stack([s, b, error**2])

    def slope(which: int, place: int) -> float:
        step = 1e-4 * abs(inputs[which, place])
        sides = []
        for way in (1, -1):
            moved = inputs.copy()
            moved[which, place] += way * step
            sides.append(float(_combined(moved[0], moved[1], np.sqrt(moved[2]), relative)))
        return (sides[0] - sides[1]) / (2 * step) if step else 0.0

    return np.array([[slope(which, place) for place in range(len(s))] for which in range(3)]).reshape(3, -1)


def _yields(bins: Sequence[Counts]) -> tuple[Float64, ...]:
    """Give signal, background, their errors and higher powers of the bins that hold background."""
    filled = [each for each in bins if each.background > 0]
    names = ("signal", "background", "background_error", "signal_error", "cubes", "fourths")
    return tuple(np.array([getattr(each, name) for each in filled], np.float64) for name in names)


def _combined(s: Float64, b: Float64, error: Float64, relative: float) -> Float64:
    """Combine the bins of the last axis."""
    square = (asimov_significance(s, b, error) ** 2).sum(axis=-1)
    combined: Float64 = np.sqrt(square * _left(np.maximum(s, 0), b, error**2, relative))
    return combined


def _left(s: Float64, b: Float64, squares: Float64, relative: float) -> Float64:
    """Give the part of the squared significance that a common uncertainty of the background leaves."""
    lost = _lost_in_gaussian_limit(s, b, squares, relative)
    signal, background, variance = (each.sum(axis=-1, keepdims=True) for each in (s, b, squares))
    known = asimov_significance(signal, background, np.sqrt(variance))[..., 0]
    if relative == 0 or not (known > 0).all():
        return 1 - lost
    common = Requirements(relative=relative)
    exact = significance_with(signal, background, variance, common)[..., 0] / known
    lost_by_all = _lost_in_gaussian_limit(signal, background, variance, relative)
    power = 2 * np.log(exact) / np.log1p(-lost_by_all)
    left: Float64 = np.exp(power * np.log1p(-lost))
    return left


def _lost_in_gaussian_limit(s: Float64, b: Float64, squares: Float64, relative: float) -> Float64:
    """Give the part of the squared significance that a common uncertainty takes away, below one."""
    variance = b + squares
    a, mixed, c = ((numbers / variance).sum(axis=-1) for numbers in (s * s, s * b, b * b))
    # without any signal nothing is left, and the square is zero
    lost: Float64 = relative**2 * mixed**2 / (np.where(a > 0, a, 1) * (1 + relative**2 * c))
    return np.minimum(lost, 1 - 1e-15)


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
