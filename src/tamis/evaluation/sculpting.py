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
    effective_number,
    positive_sum,
    real_numbers,
    same_length,
    weights_of,
)
from tamis.evaluation.histogram import Binning, Histogram, binning, fill, number_of_bins

Float64 = NDArray[np.float64]

SLICES = 5
"""Slices of the score, of equal numbers of events."""
BINS = 30
"""Bins of a spectator's distribution."""
EVENTS = 700
"""Events that a distance correlation is computed of: its cost is their square."""
SHUFFLES = 99
"""Shuffles that say what a distance correlation would be by chance."""
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
    spectator: ArrayLike, score: ArrayLike, weight: ArrayLike, *, number: int = SLICES
) -> tuple[Slice, ...]:
    """Give the mean of a spectator in slices of the score; equal scores stay in one slice.

    Args:
        spectator: [n_events]; NaN where it is missing, which is left out.
        score: [n_events].
        weight: signed physics weight, [n_events].
        number: of slices.

    Returns:
        By rising score; slices without a positive sum of weights are left out.

    >>> [each.mean for each in slices([1.0, 2.0, 3.0, 5.0], [0.1, 0.2, 0.8, 0.9], [1.0] * 4, number=2)]
    [1.5, 4.0]
    """
    values, scores, weights = _present(spectator, score, weight)
    if not len(values):
        return ()
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, number + 1)[1:-1], method="higher"))
    place = np.searchsorted(edges, scores, side="right")
    found = []
    for index in range(len(edges) + 1):
        inside = place == index
        total = positive_sum(weights[inside])
        if not inside.any() or total is None:
            continue
        mean = float(weights[inside] @ values[inside]) / total
        error = float(np.sqrt(np.square(weights[inside] * (values[inside] - mean)).sum())) / total
        low, high = float(scores[inside].min()), float(scores[inside].max())
        found.append(Slice(low, high, mean, error, effective_number(weights[inside])))
    return tuple(found)


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
    values, cut, weights = _present(spectator, np.asarray(passes).astype(np.float64), weight)
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
    spectator: ArrayLike, score: ArrayLike, weight: ArrayLike, generator: Generator, *, events: int = EVENTS
) -> Dependence | None:
    """Measure the distance correlation of a spectator and a score (G. Szekely et al., arXiv:0803.4101).

    It is computed of ranks, so that no unit matters, of events drawn at random, with the sizes of their weights: an
    event with a negative weight counts as much as one with a positive. The p-value comes from shuffling the score
    among these events.

    Args:
        spectator: [n_events]; NaN where it is missing, which is left out.
        score: [n_events].
        weight: signed physics weight, [n_events].
        generator: draws the events and the shuffles.
        events: number of events that are drawn.

    Returns:
        None for fewer than ten events, or where spectator or score are constant.
    """
    values, scores, weights = _present(spectator, score, weight)
    rows = np.flatnonzero(weights)
    if len(rows) < 10:
        return None
    drawn = generator.choice(rows, min(events, len(rows)), replace=False)
    if np.ptp(values[drawn]) == 0 or np.ptp(scores[drawn]) == 0:
        return None
    share = np.abs(weights[drawn]) / np.abs(weights[drawn]).sum()
    first, second = _distances(values[drawn]), _distances(scores[drawn])
    centred = _centred(first, share)
    own = _centred(second, share)
    scale = _covariance(centred, centred, share) * _covariance(own, own, share)
    observed = _covariance(centred, second, share)
    if scale < 1e-20:  # one event has nearly all of the weight
        return None
    by_chance = 0
    for _ in range(SHUFFLES):
        order = generator.permutation(len(drawn))
        by_chance += _covariance(centred, second[np.ix_(order, order)], share) >= observed
    correlation = min(float(np.sqrt(max(observed, 0.0) / np.sqrt(scale))), 1.0)
    return Dependence(correlation, (1 + by_chance) / (1 + SHUFFLES), len(drawn))


def _there(values: Float64) -> NDArray[np.bool_]:
    return np.abs(values) <= BEYOND


def _present(spectator: ArrayLike, score: ArrayLike, weight: ArrayLike) -> tuple[Float64, Float64, Float64]:
    values = np.asarray(spectator, np.float64)
    if values.ndim != 1:
        raise TamisError(
            f"spectator: expected one number for each event, found an array of shape {values.shape}"
        )
    scores = real_numbers(score, "score")
    same_length(scores, len(values), "score")
    weights = weights_of(weight, len(values))
    there = _there(values)
    return values[there], scores[there], weights[there]


def _distances(values: Float64) -> Float64:
    from scipy import stats  # here, because what draws the result imports this module as well

    ranks = stats.rankdata(values) / len(values)
    distances: Float64 = np.abs(ranks[:, None] - ranks[None, :])
    return distances


def _centred(distances: Float64, share: Float64) -> Float64:
    """Take the weighted means of rows and columns away."""
    mean = distances @ share
    centred: Float64 = distances - mean[None, :] - mean[:, None] + mean @ share
    return centred


def _covariance(centred: Float64, distances: Float64, share: Float64) -> float:
    """Give the weighted mean of the products; with one of the two centred, the other need not be."""
    return float(share @ (centred * distances) @ share)


def mean_shift(found: Sequence[Slice]) -> float | None:
    """Give the largest difference of means between slices, in units of its standard deviation.

    >>> mean_shift([Slice(0, 1, 1.0, 0.1, 9.0), Slice(1, 2, 1.5, 0.0, 9.0)])
    5.0
    """
    shifts = [
        abs(a.mean - b.mean) / spread
        for position, a in enumerate(found)
        for b in found[position + 1 :]
        if (spread := float(np.hypot(a.error, b.error))) > 0
    ]
    return max(shifts) if shifts else None


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
            f"{self.dependence.distance_correlation:.2f} (p <= {self.dependence.p_value:g})."
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

    Raises:
        TamisError: the arrays do not fit together.
    """
    scores = real_numbers(score, "score")
    weights = weights_of(weight, len(scores))
    found = []
    for name, values in spectators.items():
        column = np.asarray(values, np.float64)
        bins = _binning(column, class_index, weights, len(class_names))
        for index, class_name in enumerate(class_names):
            inside = class_index == index
            events = (column[inside], scores[inside], weights[inside])
            means = slices(*events)
            passes = [events[1] >= cut for cut in cuts]
            found.append(
                Sculpting(
                    name,
                    class_name,
                    means,
                    mean_shift(means),
                    dependence(*events, generator),
                    tuple(shape_distance(events[0], each, events[2]) for each in passes),
                    bins,
                    _distribution(events[0], events[2], bins),
                    tuple(_distribution(events[0][each], events[2][each], bins) for each in passes),
                )
            )
    return tuple(found)


def _binning(
    column: Float64, class_index: NDArray[np.integer[Any]], weights: Float64, classes: int
) -> Binning | None:
    finite = _there(column)
    parts = [finite & (class_index == index) for index in range(classes)]
    if not finite.any():
        return None
    bins = min(number_of_bins([weights[part] for part in parts]), BINS)
    return binning([column[part] for part in parts], bins)


def _distribution(values: Float64, weights: Float64, bins: Binning | None) -> Histogram | None:
    there = _there(values)
    return None if bins is None else fill(values[there], weights[there], bins.edges)
