"""Weighted histograms of unit area, with edges that are chosen from the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamis.records import FloatArray
from tamis.statistics.arrays import compute_effective_sample_size, positive_sum
from tamis.statistics.units import Units, merge_in_cells

FEWEST_BINS = 10
MOST_BINS = 40


@dataclass(frozen=True, eq=False)
class Histogram:
    """A weighted distribution of unit area in bins with rising edges, [n_bins + 1].

    The density is the share of the sum of weights per unit of the axis, which may be negative, with the square root of
    the sum of squared weights (of the sums of each unit) in the same unit, [n_bins].
    """

    edges: FloatArray
    density: FloatArray
    uncertainty: FloatArray

    @property
    def centres(self) -> NDArray[np.float64]:
        """Centre of each bin."""
        return (self.edges[1:] + self.edges[:-1]) / 2


@dataclass(frozen=True, eq=False)
class Binning:
    """Bins for one feature; an additional bin below or above the range has all values there, if there are any."""

    edges: FloatArray
    below: bool = False
    above: bool = False
    is_integer: bool = False


def fill_histogram(
    values: NDArray[np.float64],
    weight: NDArray[np.float64],
    edges: NDArray[np.float64],
    *,
    units: Units | None = None,
) -> Histogram | None:
    """Fill a histogram of unit area with finite values; values outside go into the first or the last bin.

    The result is None if the sum of weights is not positive.

    >>> edges = np.array([0.0, 1.0, 2.0])
    >>> fill_histogram(np.array([0.5, 0.6, 7.0]), np.array([1.0, 1.0, 2.0]), edges).density
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


def choose_number_of_bins(
    weights: Sequence[NDArray[np.float64]], units: Sequence[Units | None] | None = None
) -> int:
    """Choose how many bins the smallest class can fill: 2 n^(1/3) (Rice's rule), between 10 and 40.

    `weights` and `units` are those of each class.

    >>> choose_number_of_bins([np.ones(1000), np.ones(10**6)])
    20
    """
    of_class = [None] * len(weights) if units is None else units
    numbers = (
        compute_effective_sample_size(*pair) for pair in zip(weights, of_class, strict=True) if len(pair[0])
    )
    smallest = min(numbers, default=0.0)
    return int(np.clip(np.rint(2 * np.cbrt(smallest)), FEWEST_BINS, MOST_BINS))


def choose_binning(
    samples: Sequence[NDArray[np.float64]], bins: int, weights: Sequence[NDArray[np.float64]] | None = None
) -> Binning:
    """Choose edges of about so many bins that show the bulk of every class, with extra bins for outliers.

    The samples are the finite values of each class, with at least one value, and the weights those of their quantiles:
    the absolute values count, and without them all values count alike. The range holds the central 99% of each
    class, or less if a tail is long: it extends to five times the distance between the quartiles beyond a quartile.
    Integers are in the centres of bins.

    >>> choose_binning([np.array([0.0, 1.0, 2.0])], 10).edges
    array([-0.5,  0.5,  1.5,  2.5])
    """
    filled = [sample for sample in samples if len(sample)]
    counted = [np.ones(len(sample)) for sample in samples] if weights is None else weights
    low, high = _bulk(filled, [np.abs(weight) for weight in counted if len(weight)])
    # all 64-bit numbers are integers from 2^52 on
    small = max(abs(low), abs(high)) < 2.0**50
    is_integer = small and all((sample == np.rint(sample)).all() for sample in filled)
    edges = _integer_edges(np.floor(low), np.ceil(high), bins) if is_integer else _edges(low, high, bins)
    below = bool(min(float(sample.min()) for sample in filled) < edges[0])
    above = bool(max(float(sample.max()) for sample in filled) > edges[-1])
    before = [2 * edges[0] - edges[1]] if below else []
    after = [2 * edges[-1] - edges[-2]] if above else []
    return Binning(np.concatenate((before, edges, after)), below=below, above=above, is_integer=is_integer)


def _bulk(
    samples: Sequence[NDArray[np.float64]], weights: Sequence[NDArray[np.float64]]
) -> tuple[float, float]:
    lowest = min(float(sample.min()) for sample in samples)
    highest = max(float(sample.max()) for sample in samples)
    quantiles = np.array([_bulk_quantiles(*pair) for pair in zip(samples, weights, strict=True)])
    reach = 5 * (quantiles[:, 2] - quantiles[:, 1])
    # If most values are equal, the quartiles contain no information about the tails.
    reach = np.where(reach > 0, reach, np.inf)
    low = float(np.maximum(quantiles[:, 0], quantiles[:, 1] - reach).min())
    high = float(np.minimum(quantiles[:, 3], quantiles[:, 2] + reach).max())
    if _same(low, high):
        return lowest, highest
    # A tail that is short stays in the range.
    margin = 0.25 * (high - low)
    return lowest if lowest >= low - margin else low, highest if highest <= high + margin else high


def _bulk_quantiles(sample: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    at = np.array([0.005, 0.25, 0.75, 0.995])
    if np.ptp(weight) == 0:  # quantiles of equal weights are interpolated
        return np.asarray(np.quantile(sample, at))
    return np.asarray(np.quantile(sample, at, weights=weight, method="inverted_cdf"))


def _same(low: float, high: float) -> bool:
    # a narrower range has bins whose area rounds to zero
    return high - low <= 1e-9 * max(abs(low), abs(high)) + 1e-150


def _edges(low: float, high: float, bins: int) -> NDArray[np.float64]:
    if _same(low, high):
        half = max(0.5, 1e-3 * abs(low))
        low, high = low - half, high + half
    return np.linspace(low, high, bins + 1)


def _integer_edges(low: float, high: float, bins: int) -> NDArray[np.float64]:
    width = max(1.0, float(np.ceil((high - low + 1) / bins)))
    return low - 0.5 + width * np.arange(np.ceil((high - low + 1) / width) + 1)
