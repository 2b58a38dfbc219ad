"""What a score is worth in a search: yields, Asimov significances, cuts, bins and categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.errors import TamisError
from tamis.evaluation.arrays import (
    classes_of,
    finite_numbers,
    none_where_undefined,
    probabilities_of,
    same_length,
    weights_of,
)

Float64 = NDArray[np.float64]

LEAST_BACKGROUND = 1.0
"""Expected background events that a cut or a bin has to keep."""
LEAST_EFFECTIVE = 10.0
"""Effective number of simulated background events that a cut or a bin has to keep."""
WORTHWHILE = 0.01
"""Relative gain in significance that one more bin has to bring."""
_CANDIDATES = 200


def asimov_significance(signal: ArrayLike, background: ArrayLike, uncertainty: ArrayLike = 0.0) -> Float64:
    r"""Give the expected significance of a counting experiment whose background is known with an uncertainty.

    Z^2 = 2 ((s+b) ln[(s+b)(b+u^2) / (b^2+(s+b)u^2)] - b^2/u^2 ln[1 + u^2 s / (b (b+u^2))]), with u the standard
    deviation of b; without it Z^2 = 2 ((s+b) ln(1+s/b) - s) (G. Cowan et al., arXiv:1007.1727; G. Cowan, "Discovery
    sensitivity for a counting experiment with background uncertainty", 2012).

    Args:
        signal: expected number of signal events s.
        background: expected number of background events b, above zero.
        uncertainty: standard deviation u of b.

    Returns:
        Z; zero where the signal is not positive.

    Raises:
        TamisError: a background is not positive, or an uncertainty is negative.

    >>> asimov_significance(10.0, 100.0).round(4).tolist(), asimov_significance(10.0, 100.0, 10.0).round(4).tolist()
    (0.984, 0.6902)
    """
    s, b, u = (np.asarray(each, np.float64) for each in (signal, background, uncertainty))
    if (b <= 0).any() or (u < 0).any():
        raise TamisError(
            "significance: expected a background above zero and an uncertainty that is not negative"
        )
    s = np.maximum(s, 0)
    square = u**2
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = (s + b) * np.log1p(s / b) - s
        # written with log1p: the ratio in the first logarithm is 1 + s b / (b^2 + (s + b) u^2)
        spread = (s + b) * np.log1p(s * b / (b**2 + (s + b) * square)) - (b**2 / square) * np.log1p(
            square * s / (b * (b + square))
        )
    known = square > 1e-12 * b
    z: Float64 = np.sqrt(np.maximum(2 * np.where(known, spread, exact), 0))
    return z


@dataclass(frozen=True)
class Counts:
    """Expected events behind a cut or in a bin.

    Args:
        signal: sum of the signal's weights.
        background: sum of the background's weights.
        background_error: its standard deviation from the finite simulation, the root of the sum of squared weights.
        signal_error: the same for the signal.
        effective: effective number of simulated background events.
        significance: Asimov significance with both uncertainties of the background; None where there is none.
        cubes: sum of the third powers of the background's weights.
        fourths: sum of their fourth powers.
        significance_error: standard deviation of the significance from the finite simulation.
    """

    signal: float
    background: float
    background_error: float
    signal_error: float
    effective: float
    significance: float | None
    cubes: float = 0.0
    fourths: float = 0.0
    significance_error: float | None = None


@dataclass(frozen=True)
class Scan:
    """Every cut on a score, or as many of them as a figure can show.

    Args:
        thresholds: events with score >= threshold pass, falling, [cuts].
        signal: expected signal events, [cuts].
        background: expected background events, [cuts].
        signal_error: its standard deviation from the finite simulation, [cuts].
        background_error: the same of the background, [cuts].
        significance: NaN where there is not enough background, [cuts].
        significance_error: its standard deviation from the finite simulation of signal and background, to first order,
            [cuts].
        without_uncertainty: the significance if the background were known exactly, [cuts].
    """

    thresholds: Float64
    signal: Float64
    background: Float64
    signal_error: Float64
    background_error: Float64
    significance: Float64
    significance_error: Float64
    without_uncertainty: Float64

    @property
    def best(self) -> float | None:
        """The threshold with the largest significance; None where no cut leaves enough background."""
        if not np.isfinite(self.significance).any():
            return None
        return float(self.thresholds[np.nanargmax(self.significance)])

    def to_dict(self) -> dict[str, list[float | None]]:
        """Give every cut as `metrics.json` holds it."""
        return {name: none_where_undefined(values) for name, values in vars(self).items()}


@dataclass(frozen=True)
class Requirements:
    """What a cut or a bin has to keep, and how well the background is known.

    Args:
        relative: relative systematic uncertainty of the background.
        background: least expected background.
        effective: least effective number of simulated background events.
    """

    relative: float = 0.0
    background: float = LEAST_BACKGROUND
    effective: float = LEAST_EFFECTIVE


USUAL = Requirements()
"""What is required where nothing else is said: a background without systematic uncertainty."""


def scan_cuts(
    score: ArrayLike,
    is_signal: ArrayLike,
    weight: ArrayLike,
    requirements: Requirements = Requirements(),
    *,
    cuts: int = _CANDIDATES,
) -> Scan:
    """Follow yields and significance through the cuts on a score.

    Args:
        score: higher means more like signal, [n_events].
        is_signal: whether the event is signal, [n_events].
        weight: expected number of events that this one stands for, [n_events].
        requirements: what a cut has to keep.
        cuts: number of cuts at most, spread evenly over the events that count as signal.

    Raises:
        TamisError: the arrays do not fit together.
    """
    values, signal, weights = _checked(score, is_signal, weight)
    edges = _candidates(values, signal, cuts)
    s, signal_squares = sums_above(edges, values[signal], [weights[signal], weights[signal] ** 2])
    powers = sums_above(edges, values[~signal], [weights[~signal] ** power for power in (1, 2, 3, 4)])
    b, squares = powers[0], powers[1]
    enough = is_enough(b, squares, requirements)
    found = np.full((3, len(edges)), np.nan)
    found[0] = significance_behind_cuts(s, b, squares, requirements)
    found[1, enough] = _significance_error(
        s[enough], signal_squares[enough], tuple(powers[:, enough]), requirements
    )
    found[2, enough] = asimov_significance(s[enough], b[enough])
    return Scan(edges, s, b, np.sqrt(np.maximum(signal_squares, 0)), np.sqrt(np.maximum(squares, 0)), *found)


def significance_behind_cuts(
    signal: Float64, background: Float64, squares: Float64, requirements: Requirements = Requirements()
) -> Float64:
    """Compute the Asimov significance behind cuts that keep enough background.

    Args:
        signal: expected signal events, [cuts].
        background: expected background events, [cuts].
        squares: sum of the squared weights of the background, [cuts].
        requirements: what a cut has to keep, and how well the background is known.

    Returns:
        NaN where a cut does not keep enough, [cuts].

    >>> significance_behind_cuts(np.array([10.0, 10.0]), np.array([100.0, 0.5]), np.array([1.0, 0.0])).round(3).tolist()
    [0.979, nan]
    """
    found = np.full(len(signal), np.nan)
    enough = is_enough(background, squares, requirements)
    found[enough] = _significance(signal[enough], background[enough], squares[enough], requirements)
    return found


def count_above(
    threshold: float,
    score: ArrayLike,
    is_signal: ArrayLike,
    weight: ArrayLike,
    requirements: Requirements = Requirements(),
) -> Counts:
    """Count what a cut keeps of other events than those on which it was chosen.

    Args:
        threshold: events with score >= threshold pass.
        score: [n_events].
        is_signal: [n_events].
        weight: [n_events].
        requirements: how well the background is known.

    >>> count_above(0.5, [0.9, 0.8, 0.1], [1, 0, 0], [2.0, 100.0, 5.0]).background
    100.0
    """
    values, signal, weights = _checked(score, is_signal, weight)
    return _counts(values >= threshold, signal, weights, requirements)


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
    requirements: Requirements = Requirements(),
    *,
    most: int = 10,
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

    Returns:
        Rising edges from 0 to 1.

    Raises:
        TamisError: the arrays do not fit together, or all events together do not meet the requirements.
    """
    values, signal, weights = _checked(score, is_signal, weight)
    inner = _candidates(values, signal, _CANDIDATES)
    edges = np.unique(np.concatenate([[0.0], inner[(inner > 0) & (inner < 1)]]))
    counted = [np.where(signal, weights, 0), np.where(signal, 0, weights), np.where(signal, 0, weights**2)]
    above = sums_above(edges, values, counted)
    above = np.concatenate([above, np.zeros((3, 1))], axis=1)  # nothing lies above the last edge
    # gain[i, j]: squared significance of the bin from edge i to edge j
    s, b, squares = above[:, :, None] - above[:, None, :]
    enough = is_enough(b, squares, requirements) & (np.arange(s.shape[0])[:, None] < np.arange(s.shape[0]))
    gain = np.full(s.shape, -np.inf)
    gain[enough] = _significance(s[enough], b[enough], squares[enough], requirements) ** 2
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


def fill_bins(
    edges: Sequence[float],
    score: ArrayLike,
    is_signal: ArrayLike,
    weight: ArrayLike,
    requirements: Requirements = Requirements(),
) -> Binning:
    """Fill bins with events; a bin holds its lower edge, the last one its upper edge too.

    Args:
        edges: rising.
        score: [n_events].
        is_signal: [n_events].
        weight: [n_events].
        requirements: how well the background is known.
    """
    values, signal, weights = _checked(score, is_signal, weight)
    place = _bin_of(values, edges)
    bins = tuple(_counts(place == number, signal, weights, requirements) for number in range(len(edges) - 1))
    return Binning(tuple(edges), bins, together(bins, requirements.relative))


def together(bins: Sequence[Counts], relative: float = 0.0) -> float:
    """Combine bins (or categories) whose background has one common relative uncertainty.

    The squares of the significances with the statistical uncertainties alone, times the part that the common
    uncertainty r leaves in the Gaussian limit: 1 - r^2 B^2 / (A (1 + r^2 C)), with A = sum of s^2 / v, B = sum of
    s b / v, C = sum of b^2 / v, and v = b + the variance of b from the finite simulation. A score that tells nothing
    gains nothing from more bins.

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
    Their variances are propagated to first order.

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
    inputs = np.stack([s, b, error**2])

    def slope(which: int, place: int) -> float:
        step = 1e-4 * abs(inputs[which, place])
        sides = []
        for way in (1, -1):
            moved = inputs.copy()
            moved[which, place] += way * step
            sides.append(float(_combined(moved[0], moved[1], np.sqrt(moved[2]), relative)))
        return (sides[0] - sides[1]) / (2 * step) if step else 0.0

    by_signal, f, g = np.array([[slope(which, place) for place in range(len(s))] for which in range(3)])
    variance = by_signal**2 * signal_error**2 + f**2 * error**2 + 2 * f * g * cubes + g**2 * fourths
    value, width = float(_combined(s, b, error, relative)), float(np.sqrt(max(variance.sum(), 0.0)))
    return max(value - width, 0.0), value + width


def _yields(bins: Sequence[Counts]) -> tuple[Float64, ...]:
    """Give signal, background, their errors and higher powers of the bins that hold background."""
    filled = [each for each in bins if each.background > 0]
    names = ("signal", "background", "background_error", "signal_error", "cubes", "fourths")
    return tuple(np.array([getattr(each, name) for each in filled], np.float64) for name in names)


def _combined(s: Float64, b: Float64, error: Float64, relative: float) -> Float64:
    """Combine the bins of the last axis."""
    variance = b + error**2
    square = (asimov_significance(s, b, error) ** 2).sum(axis=-1)
    s = np.maximum(s, 0)
    a, mixed, c = ((numbers / variance).sum(axis=-1) for numbers in (s * s, s * b, b * b))
    # without any signal nothing is left, and the square is zero
    left = 1 - relative**2 * mixed**2 / (np.where(a > 0, a, 1) * (1 + relative**2 * c))
    combined: Float64 = np.sqrt(square * np.maximum(left, 0))
    return combined


@dataclass(frozen=True)
class Category:
    """Events whose highest score is that of one class.

    Args:
        yields: expected events of each true class, [n_classes].
        counts: signal against background in it.
    """

    yields: tuple[float, ...]
    counts: Counts


def fill_categories(
    scores: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    signal: Sequence[int],
    requirements: Requirements = Requirements(),
) -> tuple[Category, ...]:
    """Put each event into the category of its highest score.

    Args:
        scores: [n_events, n_classes].
        class_index: the true class, [n_events].
        weight: expected number of events that this one stands for, [n_events].
        signal: indices of the classes that are signal.
        requirements: how well the background is known.
    """
    probabilities = probabilities_of(scores)
    weights = weights_of(weight, len(probabilities))
    classes = classes_of(class_index, *probabilities.shape)
    chosen, of_signal = probabilities.argmax(axis=1), np.isin(classes, list(signal))
    count = probabilities.shape[1]
    return tuple(
        Category(
            tuple(np.bincount(classes[inside], weights[inside], count).tolist()),
            _counts(inside, of_signal, weights, requirements),
        )
        for inside in (chosen == number for number in range(count))
    )


@dataclass(frozen=True)
class Yields:
    """Expected events of each class in bins of a score.

    Args:
        numbers: sums of weights, [n_classes, bins].
        errors: their standard deviations from the finite simulation, roots of sums of squared weights, likewise.
    """

    numbers: tuple[tuple[float, ...], ...]
    errors: tuple[tuple[float, ...], ...]


def bin_yields(
    edges: Sequence[float], score: ArrayLike, class_index: ArrayLike, weight: ArrayLike, n_classes: int
) -> Yields:
    """Count the events of each class in bins of a score; a bin holds its lower edge, the last one its upper edge too.

    Args:
        edges: rising, [bins + 1].
        score: [n_events]; what lies outside of all bins is left out.
        class_index: the true class, [n_events].
        weight: expected number of events that this one stands for, [n_events].
        n_classes: number of classes.

    >>> bin_yields([0.0, 0.5, 1.0], [0.1, 0.9, 1.0], [0, 1, 1], [2.0, 3.0, 4.0], 2).numbers
    ((2.0, 0.0), (0.0, 7.0))
    """
    values = finite_numbers(score, "score")
    weights = weights_of(weight, len(values))
    classes = classes_of(class_index, len(values), n_classes)
    bins = len(edges) - 1
    place = _bin_of(values, edges)
    inside = (place >= 0) & (place < bins)
    cell = classes[inside] * bins + place[inside]
    sums = [
        np.bincount(cell, each[inside], n_classes * bins).reshape(n_classes, bins)
        for each in (weights, weights**2)
    ]
    numbers, errors = (tuple(map(tuple, each.tolist())) for each in (sums[0], np.sqrt(sums[1])))
    return Yields(numbers, errors)


def _checked(
    score: ArrayLike, is_signal: ArrayLike, weight: ArrayLike
) -> tuple[Float64, NDArray[np.bool_], Float64]:
    values = finite_numbers(score, "score")
    signal = np.asarray(is_signal).astype(np.bool_)
    same_length(signal, len(values), "is_signal")
    return values, signal, weights_of(weight, len(values))


def _candidates(values: Float64, signal: NDArray[np.bool_], number: int) -> Float64:
    """Give thresholds, falling: quantiles of signal and of background."""
    if not len(values):
        return np.zeros(0)
    at = np.linspace(0, 1, max(number // 2, 2))
    parts = [values[rows] for rows in (signal, ~signal) if rows.any()]
    found = np.concatenate([np.quantile(part, at, method="inverted_cdf") for part in parts])
    return np.unique(found)[::-1]


def sums_above(edges: Float64, values: Float64, numbers: Sequence[Float64]) -> Float64:
    """Sum numbers of the events at or above each edge; exactly zero above the last event.

    Args:
        edges: of the values, [edges].
        values: of the events, [n_events].
        numbers: what is summed, [numbers][n_events].

    Returns:
        The sums, [numbers, edges].

    >>> sums_above(np.array([0.5, 0.9]), np.array([0.2, 0.7]), [np.ones(2)]).tolist()
    [[1.0, 0.0]]
    """
    order = np.argsort(values, kind="stable")
    first = np.searchsorted(values[order], edges, side="left")
    summed = [np.concatenate([np.cumsum(each[order][::-1])[::-1], [0.0]])[first] for each in numbers]
    return np.stack(summed)


def is_enough(b: Float64, squares: Float64, requirements: Requirements) -> NDArray[np.bool_]:
    """Say which cuts or bins keep what is required.

    Args:
        b: expected background.
        squares: sum of the squared weights of the background, of the same shape.
        requirements: what has to be kept.

    >>> is_enough(np.array([5.0, 5.0]), np.array([1.0, 5.0]), Requirements(effective=10.0)).tolist()
    [True, False]
    """
    enough: NDArray[np.bool_] = (b > 0) & (b >= requirements.background * (1 - 1e-9))
    return enough & (b**2 >= requirements.effective * squares * (1 - 1e-12))


def _significance(s: Float64, b: Float64, squares: Float64, requirements: Requirements) -> Float64:
    return asimov_significance(s, b, np.sqrt(np.maximum(squares, 0) + (requirements.relative * b) ** 2))


def _significance_error(
    s: Float64, signal_squares: Float64, powers: tuple[Float64, ...], requirements: Requirements
) -> Float64:
    """Propagate the variances of signal and background to first order, by central differences.

    An event of weight w adds w to the background and w^2 to its variance, so the influence of one is f w + g w^2.

    Args:
        s: signal.
        signal_squares: sum of its squared weights.
        powers: sums of the first four powers of the background's weights.
        requirements: how well the background is known.
    """
    b, squares, cubes, fourths = powers

    def slope(which: int) -> Float64:
        numbers = [s, b, squares]
        step = 1e-4 * np.abs(numbers[which])
        moved = [[*numbers[:which], numbers[which] + way * step, *numbers[which + 1 :]] for way in (1, -1)]
        high, low = (_significance(each[0], each[1], each[2], requirements) for each in moved)
        rise: Float64 = (high - low) / np.where(step > 0, 2 * step, 1)
        return rise

    by_signal, f, g = (slope(which) for which in range(3))
    variance = by_signal**2 * signal_squares + f**2 * squares + 2 * f * g * cubes + g**2 * fourths
    error: Float64 = np.sqrt(np.maximum(variance, 0))
    return error


def _counts(
    inside: NDArray[np.bool_], signal: NDArray[np.bool_], weights: Float64, requirements: Requirements
) -> Counts:
    own, background = weights[inside & signal], weights[inside & ~signal]
    s, signal_squares = own.sum(), np.square(own).sum()
    powers = tuple((background**power).sum() for power in (1, 2, 3, 4))
    b, squares, cubes, fourths = powers
    value = error = None
    if b > 0:
        value = float(_significance(s, b, squares, requirements))
        error = float(_significance_error(s, signal_squares, powers, requirements))
    return Counts(
        signal=float(s),
        background=float(b),
        background_error=float(np.sqrt(squares)),
        signal_error=float(np.sqrt(signal_squares)),
        effective=float(b**2 / squares) if squares else 0.0,
        significance=value,
        cubes=float(cubes),
        fourths=float(fourths),
        significance_error=error,
    )


def _bin_of(values: Float64, edges: Sequence[float]) -> NDArray[np.intp]:
    place = np.searchsorted(np.asarray(edges), values, side="right") - 1
    last: NDArray[np.intp] = np.where(values == edges[-1], len(edges) - 2, place)
    return last
