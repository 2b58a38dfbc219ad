"""Weighted correlation matrices of the features with errors, in the presence of missing values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float64
from tamis.errors import TamisError
from tamis.records import FloatArray
from tamis.statistics.arrays import ROUNDING, check_length
from tamis.statistics.units import Units

_Features = NDArray[np.floating[Any]]
_Indices = NDArray[np.integer[Any]]

_FEWEST_EFFECTIVE = 3.0
"""Effective sample size that a correlation needs: two points are always on a line."""
_ROWS_AT_ONCE = 2**12
_DEPTH = 64


@dataclass(frozen=True, eq=False)
class Correlations:
    """The correlation of each pair of features, NaN if undefined, and its error, [n_features, n_features]."""

    matrix: FloatArray
    error: FloatArray

    def __sub__(self, other: Correlations) -> Correlations:
        """Subtract the correlations of other, independent events."""
        return Correlations(self.matrix - other.matrix, np.hypot(self.error, other.error))


@dataclass(frozen=True)
class CorrelationDifference:
    """The difference of a correlation between two classes.

    Args:
        features: their names.
        classes: names of the two classes.
        difference: correlation in the first class minus that in the second.
        error: its standard deviation.
    """

    features: tuple[str, str]
    classes: tuple[str, str]
    difference: float
    error: float


def compute_correlations(
    features: _Features, weight: Float64, rows: _Indices | None = None, *, units: Units | None = None
) -> Correlations:
    """Compute the correlations of all pairs of features, each from the events in which both have a value.

    With z the distances from the weighted means in weighted standard deviations, r = sum w z_x z_y / sum w. Its
    variance is sum w^2 (z_x z_y - r (z_x^2 + z_y^2) / 2)^2 / (sum w)^2, the sum of the squared influences (for Gaussian
    features of weight one it is (1 - r^2)^2 / n). The influences of the events of a unit are summed before they are
    squared.

    With weights of both signs r may be beyond one. It is undefined if a sum of weights or a variance is not positive,
    and for fewer than three effective events.

    Missing values of the features, [n_events, n_features], are NaN. `rows` are the indices of the events to use; all by
    default.

    >>> x = np.array([1.0, 2.0, 3.0, 4.0])
    >>> compute_correlations(np.stack([x, -x, np.ones(4)], axis=1), np.ones(4)).matrix.round(6)
    array([[ 1., -1., nan],
           [-1.,  1., nan],
           [nan, nan, nan]])
    """
    if features.ndim != 2:
        raise TamisError(f"correlations: expected [n_events, n_features], found shape {features.shape}")
    check_length(weight, len(features), "weight")
    chosen = np.arange(len(features)) if rows is None else rows
    centre, scale = _frame(features, chosen)

    def standardise(rows: _Indices) -> Float64:
        return np.asarray((features[rows] - centre) / scale)

    once = _moments(standardise, weight, chosen, order=2, power=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = _pairs(once)
        if units is None:
            twice = _moments(standardise, weight, chosen, order=4, power=2)
            squares, of_event = _squares(pairs, twice)
        else:
            squares, of_event = _squares_by_unit(pairs, standardise, weight, chosen, units)
        too_few = np.square(pairs.total) < _FEWEST_EFFECTIVE * squares * (1 - ROUNDING)
        undefined = ~np.isfinite(pairs.matrix) | too_few
        matrix = np.where(undefined, np.nan, pairs.matrix)
        error = np.where(undefined, np.nan, np.sqrt(np.maximum(of_event, 0)) / pairs.total)
    # rounding must not change the correlation of a feature with itself
    np.fill_diagonal(matrix, np.sign(np.diag(matrix)))
    np.fill_diagonal(error, 0 * np.diag(error))
    return Correlations(matrix, error)


def find_largest_differences(
    correlations: Mapping[str, Correlations], features: Sequence[str], number: int = 10
) -> tuple[CorrelationDifference, ...]:
    """Find the pairs of features, by name, whose correlations differ most between two classes, by falling size.

    Among many pairs some differ by chance: compare with the error.
    """
    above = np.triu_indices(len(features), 1)
    pairs = list(combinations(correlations, 2))
    if not pairs or not len(above[0]):
        return ()
    apart = [correlations[first] - correlations[second] for first, second in pairs]
    values = np.stack([difference.matrix[above] for difference in apart])
    order = np.argsort(-np.abs(values), axis=None, kind="stable")[:number]
    chosen = [np.unravel_index(position, values.shape) for position in order]
    return tuple(
        CorrelationDifference(
            (features[int(above[0][pair])], features[int(above[1][pair])]),
            pairs[int(classes)],
            float(values[classes, pair]),
            float(apart[int(classes)].error[above][pair]),
        )
        for classes, pair in chosen
        if np.isfinite(values[classes, pair])
    )


def _frame(features: _Features, rows: _Indices) -> tuple[Float64, Float64]:
    """Compute a centre and a scale of each feature, so that sums of powers stay accurate; NaN without values."""
    centre, scale = np.full((2, features.shape[1]), np.nan)
    for index in range(features.shape[1]):
        values = features[:, index][rows].astype(np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            centre[index], scale[index] = values.mean(), values.std()
            # rounding of the mean gives a constant feature a tiny deviation, which is not a scale
            scale[index] = scale[index] if np.ptp(values) else np.nan
    return centre, scale


def _moments(
    standardise: Callable[[_Indices], Float64], weight: Float64, rows: _Indices, *, order: int, power: int
) -> dict[tuple[int, int], Float64]:
    """Sum w^power x^i y^j of all pairs of features over the events that have both, for all i + j <= order."""
    exponents = [(i, j) for i in range(order + 1) for j in range(min(i, order - i) + 1)]
    n_features = standardise(rows[:0]).shape[1]
    sums = {pair: np.zeros((n_features, n_features)) for pair in exponents}
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[first : first + _ROWS_AT_ONCE]
        z = np.full((-(-len(block) // _DEPTH) * _DEPTH, n_features), np.nan)
        z[: len(block)] = standardise(block)
        is_finite = np.isfinite(z)
        z[~is_finite] = 0.0
        weights = np.zeros((len(z), 1))
        weights[: len(block), 0] = weight[block] ** power
        powers = [is_finite.astype(np.float64), z]
        for _ in range(2, order + 1):
            powers.append(powers[-1] * z)
        for j in range(order // 2 + 1):
            weighted = powers[j] * weights
            for i in range(j, order - j + 1):
                sums[i, j] += _products(powers[i], weighted)
    return sums | {(j, i): moment.T for (i, j), moment in sums.items()}


def _products(first: Float64, second: Float64) -> Float64:
    """Compute `first.T @ second` in small blocks, in which BLAS starts no threads: they cost more than they gain."""
    first_blocks, second_blocks = (array.reshape(-1, _DEPTH, array.shape[1]) for array in (first, second))
    summed: Float64 = (first_blocks.transpose(0, 2, 1) @ second_blocks).sum(axis=0)
    return summed


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Moments of each pair of features, [n_features, n_features] each; NaN if undefined.

    Means and standard deviations are of the first feature and of the second, `matrix` are the correlation coefficients,
    all from the sum of the weights of the events in which both have a value (`total`).
    """

    total: Float64
    means: tuple[Float64, Float64]
    deviations: tuple[Float64, Float64]
    matrix: Float64


def _pairs(once: Mapping[tuple[int, int], Float64]) -> _Pairs:
    total = once[0, 0]
    means = once[1, 0] / total, once[0, 1] / total
    variance = _central(once, *means, 2, 0) / total
    # cancellation leaves no digits of a variance below this
    variance = np.where((total > 0) & (variance > 10 * ROUNDING), variance, np.nan)
    deviations = np.sqrt(variance), np.sqrt(variance.T)
    matrix = _central(once, *means, 1, 1) / total / (deviations[0] * deviations[1])
    return _Pairs(total, means, deviations, matrix)


def _squares(pairs: _Pairs, twice: Mapping[tuple[int, int], Float64]) -> tuple[Float64, Float64]:
    """Sum the squares of the weights, and of the influence of each event on the coefficient."""

    def spread(i: int, j: int) -> Float64:
        unit: Float64 = pairs.deviations[0] ** i * pairs.deviations[1] ** j
        return _central(twice, *pairs.means, i, j) / unit

    quartic = spread(4, 0) + 2 * spread(2, 2) + spread(0, 4)
    matrix = pairs.matrix
    of_event = spread(2, 2) - matrix * (spread(3, 1) + spread(1, 3)) + np.square(matrix) / 4 * quartic
    return twice[0, 0], of_event


def _squares_by_unit(
    pairs: _Pairs,
    standardise: Callable[[_Indices], Float64],
    weight: Float64,
    rows: _Indices,
    units: Units,
) -> tuple[Float64, Float64]:
    """Sum the squares of the weights of each unit, and of the influence of each unit on the coefficient."""
    rows = rows[np.argsort(units[rows], kind="stable")]
    begins = np.flatnonzero(np.diff(units[rows], prepend=-1))
    squares, of_unit = np.zeros((2, *pairs.matrix.shape))
    for first, last in _whole_units(begins, len(rows)):
        block = rows[first:last]
        z = standardise(block)
        starts = begins[(begins >= first) & (begins < last)] - first
        for feature in range(z.shape[1]):
            x = (z[:, [feature]] - pairs.means[0][feature]) / pairs.deviations[0][feature]
            y = (z - pairs.means[1][feature]) / pairs.deviations[1][feature]
            contribution = weight[block, None] * (x * y - pairs.matrix[feature] / 2 * (x**2 + y**2))
            contribution[~np.isfinite(contribution)] = 0.0
            both = np.isfinite(z) & np.isfinite(z[:, [feature]])
            of_unit[feature] += np.square(np.add.reduceat(contribution, starts)).sum(axis=0)
            squares[feature] += np.square(np.add.reduceat(weight[block, None] * both, starts)).sum(axis=0)
    return squares, of_unit


def _whole_units(begins: NDArray[np.intp], rows: int) -> list[tuple[int, int]]:
    """Divide rows, sorted by unit, into blocks of about `_ROWS_AT_ONCE` rows of whole units."""
    if not rows:
        return []
    block_starts = np.arange(0, rows, _ROWS_AT_ONCE)
    edges = np.unique(begins[np.searchsorted(begins, block_starts, side="right") - 1])
    return list(zip(edges.tolist(), [*edges[1:].tolist(), rows], strict=True))


def _central(
    sums: Mapping[tuple[int, int], Float64], first: Float64, second: Float64, i: int, j: int
) -> Float64:
    """Convert sums of x^i y^j to central moments."""
    total: Float64 = np.zeros(first.shape)
    for k in range(i + 1):
        for n in range(j + 1):
            factor = comb(i, k) * comb(j, n) * (-first) ** (i - k) * (-second) ** (j - n)
            total += factor * sums[k, n]
    return total
