"""Weighted histograms of unit area, with edges that fit what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamis.evaluation.arrays import effective_number, positive_sum
from tamis.evaluation.units import Units, merge_in_cells

FEWEST_BINS = 10
MOST_BINS = 40


@dataclass(frozen=True, eq=False)
class Histogram:
    """A weighted distribution of unit area.

    Args:
        edges: shape [n_bins + 1].
        density: share of the sum of weights per unit of the axis; may be negative. Shape [n_bins].
        uncertainty: square root of the sum of squared weights (of the sums of events that vary together), in the unit
            of the density. Shape [n_bins].
    """

    edges: NDArray[np.float64]
    density: NDArray[np.float64]
    uncertainty: NDArray[np.float64]

    @property
    def centres(self) -> NDArray[np.float64]:
        """Give the middle of each bin."""
        return (self.edges[1:] + self.edges[:-1]) / 2


@dataclass(frozen=True, eq=False)
class Binning:
    """Bins for one feature.

    Args:
        edges: rising, with a bin for what lies below or above the range where there is any.
        below: whether the first bin holds all that lies below the range.
        above: whether the last bin holds all that lies above the range.
        whole: whether all values are whole numbers.
    """

    edges: NDArray[np.float64]
    below: bool = False
    above: bool = False
    whole: bool = False


def fill(
    values: NDArray[np.float64],
    weight: NDArray[np.float64],
    edges: NDArray[np.float64],
    *,
    units: Units | None = None,
) -> Histogram | None:
    """Fill a histogram of unit area; what lies outside goes into the first or the last bin.

    Args:
        values: finite. Shape [n].
        weight: signed. Shape [n].
        edges: rising. Shape [n_bins + 1].
        units: number of what each event belongs to, where several events vary together. Shape [n].

    Returns:
        None where the sum of weights is not positive: there is no area to scale to one.

    Example:
        >>> edges = np.array([0.0, 1.0, 2.0])
        >>> fill(np.array([0.5, 0.6, 7.0]), np.array([1.0, 1.0, 2.0]), edges).density
        array([0.5, 0.5])
    """
    total = positive_sum(weight)
    if total is None:
        return None
    bins = len(edges) - 1
    position = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, bins - 1)
    area = total * np.diff(edges)
    merged, sums = merge_in_cells(position, weight, units)
    return Histogram(
        edges=edges,
        density=np.bincount(position, weight, bins) / area,
        uncertainty=np.sqrt(np.bincount(merged, np.square(sums), bins)) / area,
    )


def number_of_bins(
    weights: Sequence[NDArray[np.float64]], units: Sequence[Units | None] | None = None
) -> int:
    """Choose how many bins the smallest class can fill: 2 n^(1/3) (Rice's rule), between 10 and 40.

    Args:
        weights: signed weights of each class.
        units: for each class the number of what each of its events belongs to; None where every event stands for
            itself.

    Example:
        >>> number_of_bins([np.ones(1000), np.ones(10**6)])
        20
    """
    of_class = [None] * len(weights) if units is None else units
    numbers = (effective_number(*pair) for pair in zip(weights, of_class, strict=True) if len(pair[0]))
    smallest = min(numbers, default=0.0)
    return int(np.clip(np.rint(2 * np.cbrt(smallest)), FEWEST_BINS, MOST_BINS))


def binning(parts: Sequence[NDArray[np.float64]], bins: int) -> Binning:
    """Choose edges that show the bulk of every class, with extra bins for what lies far outside.

    The range holds the central 99% of each class, or less where a tail is long: it goes to five times the
    distance between the quartiles beyond a quartile. Whole numbers get bins that are centred on them.

    Args:
        parts: the finite values of each class; at least one value in all.
        bins: how many bins the range gets, about.

    Example:
        >>> binning([np.array([0.0, 1.0, 2.0])], 10).edges
        array([-0.5,  0.5,  1.5,  2.5])
    """
    filled = [part for part in parts if len(part)]
    low, high = _bulk(filled)
    # every number is whole where neighbours are more than one apart
    small = max(abs(low), abs(high)) < 2.0**50
    whole = small and all((part == np.rint(part)).all() for part in filled)
    edges = _whole_edges(np.floor(low), np.ceil(high), bins) if whole else _edges(low, high, bins)
    below = bool(min(float(part.min()) for part in filled) < edges[0])
    above = bool(max(float(part.max()) for part in filled) > edges[-1])
    before = [2 * edges[0] - edges[1]] if below else []
    after = [2 * edges[-1] - edges[-2]] if above else []
    return Binning(np.concatenate((before, edges, after)), below=below, above=above, whole=whole)


def _bulk(parts: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    lowest, highest = min(float(part.min()) for part in parts), max(float(part.max()) for part in parts)
    quantiles = np.array([np.quantile(part, [0.005, 0.25, 0.75, 0.995]) for part in parts])
    reach = 5 * (quantiles[:, 2] - quantiles[:, 1])
    # Where most values are equal the quartiles tell nothing of the tails.
    reach = np.where(reach > 0, reach, np.inf)
    low = float(np.maximum(quantiles[:, 0], quantiles[:, 1] - reach).min())
    high = float(np.minimum(quantiles[:, 3], quantiles[:, 2] + reach).max())
    if _same(low, high):
        return lowest, highest
    # A tail that is short stays in the range.
    margin = 0.25 * (high - low)
    return lowest if lowest >= low - margin else low, highest if highest <= high + margin else high


def _same(low: float, high: float) -> bool:
    # a narrower range has bins whose area rounds to zero
    return high - low <= 1e-9 * max(abs(low), abs(high)) + 1e-150


def _edges(low: float, high: float, bins: int) -> NDArray[np.float64]:
    if _same(low, high):
        half = max(0.5, 1e-3 * abs(low))
        low, high = low - half, high + half
    return np.linspace(low, high, bins + 1)


def _whole_edges(low: float, high: float, bins: int) -> NDArray[np.float64]:
    width = max(1.0, float(np.ceil((high - low + 1) / bins)))
    return low - 0.5 + width * np.arange(np.ceil((high - low + 1) / width) + 1)
