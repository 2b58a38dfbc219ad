"""What a score does to variables that the network never saw: shapes after cuts, means in slices, dependence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from tamis.errors import TamisError
from tamis.evaluation.arrays import (
    ROUNDING,
    effective_number,
    mean_ranks,
    positive_sum,
    real_numbers,
    same_length,
    weights_of,
)
from tamis.evaluation.histogram import Binning, Histogram, binning, fill, number_of_bins
from tamis.evaluation.units import Units, share_with_unit, squared_sum, units_of_rows

Float64 = NDArray[np.float64]

SLICES = 5
"""Slices of the score, of equal numbers of events."""
BINS = 30
"""Bins of a spectator's distribution."""
EVENTS = 700
"""Events that a distance correlation is computed of: its cost is their square."""
SIGNS = 499
"""Sets of random signs that say what a distance correlation would be by chance."""
FEWEST = 25.0
"""Effective events that a distance correlation needs."""
BEYOND = 1e100
"""Size from which a spectator's value is no measurement, and its square no number: it is missing, as infinity is."""
LARGE = 0.1
"""Distance correlation from which a spectator is said to be sculpted."""


@dataclass(frozen=True)
class Slice:
    """Events of similar scores.

    Args:
        low: smallest score.
        high: largest score.
        mean: weighted mean of the spectator.
        error: its standard deviation.
        effective: effective number of events.
    """

    low: float
    high: float
    mean: float
    error: float
    effective: float


@dataclass(frozen=True)
class Dependence:
    """How much a spectator and a score have to do with each other.

    Args:
        distance_correlation: 0 where they are independent, 1 where one follows from the other.
        p_value: probability of so large a value if they were independent.
        events: number of events that it was computed of.
    """

    distance_correlation: float
    p_value: float
    events: int

    @property
    def large(self) -> bool:
        """Whether it is more than chance and more than is usually harmless."""
        return self.p_value <= 0.01 and self.distance_correlation >= LARGE


def slices(
    spectator: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike,
    *,
    number: int = SLICES,
    units: Units | None = None,
) -> tuple[Slice, ...]:
    """Give the mean of a spectator in slices of the score; equal scores stay in one slice.

    Args:
        spectator: [n_events]; NaN where it is missing, which is left out.
        score: [n_events].
        weight: signed physics weight, [n_events].
        number: of slices.
        units: number of what each event belongs to, where several events vary together, [n_events].

    Returns:
        By rising score; slices without a positive sum of weights are left out.

    >>> [each.mean for each in slices([1.0, 2.0, 3.0, 5.0], [0.1, 0.2, 0.8, 0.9], [1.0] * 4, number=2)]
    [1.5, 4.0]
    """
    return _slices(spectator, score, weight, number, units)[0]


def _slices(
    spectator: ArrayLike, score: ArrayLike, weight: ArrayLike, number: int, units: Units | None
) -> tuple[tuple[Slice, ...], Float64 | None]:
    """Return slices, and the covariance of their means; None where every event stands for itself."""
    values, scores, weights, units = _present(spectator, score, weight, units)
    if not len(values):
        return (), None
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, number + 1)[1:-1], method="higher"))
    place = np.searchsorted(edges, scores, side="right")
    found, of_unit = [], []
    for index in range(len(edges) + 1):
        inside = place == index
        total = positive_sum(weights[inside])
        if not inside.any() or total is None:
            continue
        mean = float(weights[inside] @ values[inside]) / total
        influence, members = weights[inside] * (values[inside] - mean), units_of_rows(units, inside)
        error = float(np.sqrt(squared_sum(influence, members))) / total
        low, high = float(scores[inside].min()), float(scores[inside].max())
        found.append(Slice(low, high, mean, error, effective_number(weights[inside], members)))
        if units is not None:
            of_unit.append(np.bincount(units[inside], influence, int(units.max()) + 1) / total)
    return tuple(found), np.array(of_unit) @ np.array(of_unit).T if of_unit else None


def shape_distance(
    spectator: ArrayLike, passes: ArrayLike, weight: ArrayLike, *, bins: int = BINS
) -> float | None:
    """Give the Jensen-Shannon distance of a spectator's distribution behind a cut from that of all events.

    The square root of the divergence in bits: 0 for equal shapes, 1 for shapes that do not overlap (J. Lin, IEEE
    Trans. Inf. Theory 37 (1991) 145). The bins hold equal numbers of events; one whose weights sum to less than zero
    counts as empty.

    Args:
        spectator: [n_events]; NaN where it is missing, which is left out.
        passes: whether the event passes the cut, [n_events].
        weight: signed physics weight, [n_events].
        bins: number of bins.

    Returns:
        None where nothing passes.

    >>> shape_distance([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 1], [1.0] * 4, bins=2)
    0.0
    """
    values, cut, weights, _ = _present(spectator, np.asarray(passes).astype(np.float64), weight)
    inside = cut > 0
    if positive_sum(weights) is None or positive_sum(weights[inside]) is None:
        return None
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, values, side="right")
    shapes = []
    for rows in (inside, np.ones(len(values), np.bool_)):
        filled = np.maximum(np.bincount(place[rows], weights[rows], len(edges) + 1), 0)
        shapes.append(filled / filled.sum())
    middle = (shapes[0] + shapes[1]) / 2
    divergence = 0.0
    for shape in shapes:
        there = shape > 0
        divergence += float((shape[there] * np.log2(shape[there] / middle[there])).sum()) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def dependence(
    spectator: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike,
    generator: Generator,
    *,
    events: int = EVENTS,
    units: Units | None = None,
) -> Dependence | None:
    """Measure the distance correlation of a spectator and a score (G. Szekely et al., arXiv:0803.4101).

    It is that of the weighted distribution, signs included, whatever the weights depend on. It is computed of ranks, so
    that no unit matters, of events drawn at random: the larger its weight, the more probably an event is drawn, and
    what it has then is its weight over that probability. Where several events vary together, one of them is drawn, in
    proportion to the size of its weight, and has the weights of all.

    The p-value comes from random signs of the events (wild bootstrap of a degenerate V-statistic; A. Leucht and
    M. Neumann, J. Multivar. Anal. 117 (2013) 257): shuffling would take weights that depend on the score to other
    scores. An event with the part u of the weights is divided by (1 - u)^2, because the means that are taken away know
    it too.

    Args:
        spectator: [n_events]; NaN where it is missing, which is left out.
        score: [n_events].
        weight: signed physics weight, [n_events].
        generator: draws the events and the signs.
        events: number of events that are drawn, on average.
        units: number of what each event belongs to, where several events vary together, [n_events].

    Returns:
        None for fewer than `FEWEST` effective events, or where spectator or score are constant.
    """
    values, scores, weights, units = _present(spectator, score, weight, units)
    rows = np.flatnonzero(weights)
    if units is not None:
        rows = _one_of_each_unit(rows, weights, units, generator)
        weights = np.sign(weights) * share_with_unit(np.abs(weights), units)
    rows, drawn = _draw(rows, weights[rows], events, generator)
    total = positive_sum(drawn)
    if total is None or effective_number(drawn) < FEWEST:
        return None
    if np.ptp(values[rows]) == 0 or np.ptp(scores[rows]) == 0:
        return None
    share = drawn / total
    first, second = (_centred(_distances(each[rows]), share) for each in (values, scores))
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
    """Draw events, large weights more probably, and give each its weight over its probability.

    Sums over the drawn events then are those over all events on average (D. Horvitz and D. Thompson, J. Am. Stat.
    Assoc. 47 (1952) 663), and the drawn weights are as equal as they can be.

    Args:
        rows: the events, as indices.
        weight: of these events, not zero.
        number: of events that are drawn on average.
        generator: where the random numbers come from.
    """
    if len(rows) <= number:
        return rows, weight
    size = np.abs(weight)
    # probabilities in proportion to the sizes, at most one, that add up to the number
    rising = np.sort(size)
    below = np.cumsum(rising)
    certain = np.arange(len(rows) - 1, -1, -1)  # events that are larger than this one
    left = number - certain
    fits = (left > 0) & (rising * left <= below)
    last = int(np.flatnonzero(fits)[-1])
    probability = np.minimum(size * left[last] / below[last], 1.0)
    drawn = generator.random(len(rows)) < probability
    return rows[drawn], weight[drawn] / probability[drawn]


def _one_of_each_unit(
    rows: NDArray[np.intp], weights: Float64, units: Units, generator: Generator
) -> NDArray[np.intp]:
    """Draw one of the events of each unit, in proportion to the sizes of their weights.

    Args:
        rows: the events with a weight, as indices.
        weights: of all events, [n_events].
        units: of all events, [n_events].
        generator: of which a child draws: the numbers that are drawn later do not depend on there being units.

    Returns:
        Indices, in the order in which the units first occur.
    """
    # the event whose exponential time, divided by the size of its weight, is over first
    times = generator.spawn(1)[0].exponential(size=len(rows)) / np.abs(weights[rows])
    _, first, number = np.unique(units[rows], return_index=True, return_inverse=True)
    order = np.lexsort((times, first[number]))
    begins = np.diff(first[number][order], prepend=-1) != 0
    drawn: NDArray[np.intp] = rows[order[begins]]
    return drawn


def _there(values: Float64) -> NDArray[np.bool_]:
    return np.abs(values) <= BEYOND


def _present(
    spectator: ArrayLike, score: ArrayLike, weight: ArrayLike, units: Units | None = None
) -> tuple[Float64, Float64, Float64, Units | None]:
    values = np.asarray(spectator, np.float64)
    if values.ndim != 1:
        raise TamisError(
            f"spectator: expected one number for each event, found an array of shape {values.shape}"
        )
    scores = real_numbers(score, "score")
    same_length(scores, len(values), "score")
    weights = weights_of(weight, len(values))
    there = _there(values)
    return values[there], scores[there], weights[there], units_of_rows(units, there)


def _distances(values: Float64) -> Float64:
    ranks = mean_ranks(values) / len(values)
    distances: Float64 = np.abs(ranks[:, None] - ranks[None, :])
    return distances


def _centred(distances: Float64, share: Float64) -> Float64:
    """Take the weighted means of rows and columns away."""
    mean = distances @ share
    centred: Float64 = distances - mean[None, :] - mean[:, None] + mean @ share
    return centred


def mean_shift(found: Sequence[Slice], covariance: Float64 | None = None) -> float | None:
    """Give the largest difference of means between slices, in units of its standard deviation.

    Args:
        found: the slices.
        covariance: of their means, where events that vary together lie in several slices, [slices, slices].

    >>> mean_shift([Slice(0, 1, 1.0, 0.1, 9.0), Slice(1, 2, 1.5, 0.0, 9.0)])
    5.0
    """
    shifts = [
        abs(a.mean - b.mean) / spread
        for position, a in enumerate(found)
        for other, b in enumerate(found[position + 1 :], start=position + 1)
        if (spread := _error_of_difference(a, b, 0.0 if covariance is None else covariance[position, other]))
        > 0
    ]
    return max(shifts) if shifts else None


def _error_of_difference(first: Slice, second: Slice, covariance: float) -> float:
    error = float(np.hypot(first.error, second.error))
    if covariance == 0:
        return error
    variance = error**2 - 2 * covariance
    return float(np.sqrt(variance)) if variance > ROUNDING * error**2 else 0.0


@dataclass(frozen=True)
class Sculpting:
    """What the score does to one spectator in one class.

    Args:
        spectator: its name.
        class_name: the true class.
        slices: means in slices of the score.
        shift: largest difference of two means, in its standard deviations; None where there are not two.
        dependence: of spectator and score; None where one of them is constant, or there are few events.
        shapes: for each cut the Jensen-Shannon distance of the shape behind it; None where nothing passes.
        binning: of the histograms, the same for all classes; None where no class has a value.
        before: distribution of all events; None where the weights have no positive sum.
        behind: distribution behind each cut; None where nothing passes.
    """

    spectator: str
    class_name: str
    slices: tuple[Slice, ...]
    shift: float | None
    dependence: Dependence | None
    shapes: tuple[float | None, ...]
    binning: Binning | None
    before: Histogram | None
    behind: tuple[Histogram | None, ...]

    @property
    def warning(self) -> str:
        """A sentence where the score sculpts the spectator; else an empty text."""
        if self.dependence is None or not self.dependence.large:
            return ""
        return (
            f"{self.spectator} of {self.class_name} depends on the score: distance correlation "
            f"{self.dependence.distance_correlation:.2f} (p <= {self.dependence.p_value:.2g})."
        )

    def to_dict(self) -> dict[str, Any]:
        """Give everything as `metrics.json` holds it."""
        return {
            "slices": [vars(each) for each in self.slices],
            "shift": self.shift,
            "dependence": None if self.dependence is None else vars(self.dependence),
            "shapes": list(self.shapes),
            "histograms": self._histograms(),
            "warning": self.warning or None,
        }

    def _histograms(self) -> dict[str, Any] | None:
        if self.binning is None:
            return None

        def written(found: Histogram | None) -> dict[str, Any] | None:
            if found is None:
                return None
            return {"density": found.density.tolist(), "uncertainty": found.uncertainty.tolist()}

        return {
            "edges": self.binning.edges.tolist(),
            "outside_below": self.binning.below,
            "outside_above": self.binning.above,
            "before": written(self.before),
            "behind": [written(each) for each in self.behind],
        }


def measure_sculpting(
    spectators: Mapping[str, ArrayLike],
    score: ArrayLike,
    class_index: NDArray[np.integer[Any]],
    weight: ArrayLike,
    class_names: Sequence[str],
    cuts: Sequence[float],
    generator: Generator,
    *,
    units: Units | None = None,
) -> tuple[Sculpting, ...]:
    """Measure what a score does to each spectator in each class.

    Args:
        spectators: [n_events] each.
        score: [n_events].
        class_index: the true class, [n_events].
        weight: signed physics weight, [n_events].
        class_names: in the order of the class indices.
        cuts: thresholds of the score behind which shapes are compared.
        generator: where the random numbers come from.
        units: number of what each event belongs to, where several events vary together, [n_events].

    Raises:
        TamisError: the arrays do not fit together.
    """
    scores = real_numbers(score, "score")
    weights = weights_of(weight, len(scores))
    found = []
    for name, values in spectators.items():
        column = np.asarray(values, np.float64)
        bins = _binning(column, class_index, weights, len(class_names), units)
        for index, class_name in enumerate(class_names):
            inside = class_index == index
            events = (column[inside], scores[inside], weights[inside])
            members = units_of_rows(units, inside)
            means, covariance = _slices(*events, SLICES, members)
            passes = [events[1] >= cut for cut in cuts]
            found.append(
                Sculpting(
                    name,
                    class_name,
                    means,
                    mean_shift(means, covariance),
                    dependence(*events, generator, units=members),
                    tuple(shape_distance(events[0], each, events[2]) for each in passes),
                    bins,
                    _distribution(events[0], events[2], bins, members),
                    tuple(
                        _distribution(events[0][rows], events[2][rows], bins, units_of_rows(members, rows))
                        for rows in passes
                    ),
                )
            )
    return tuple(found)


def _binning(
    column: Float64,
    class_index: NDArray[np.integer[Any]],
    weights: Float64,
    classes: int,
    units: Units | None,
) -> Binning | None:
    finite = _there(column)
    parts = [finite & (class_index == index) for index in range(classes)]
    if not finite.any():
        return None
    of_class = [weights[part] for part in parts], [units_of_rows(units, part) for part in parts]
    bins = min(number_of_bins(*of_class), BINS)
    return binning([column[part] for part in parts], bins)


def _distribution(
    values: Float64, weights: Float64, bins: Binning | None, units: Units | None
) -> Histogram | None:
    there = _there(values)
    if bins is None:
        return None
    return fill(values[there], weights[there], bins.edges, units=units_of_rows(units, there))
