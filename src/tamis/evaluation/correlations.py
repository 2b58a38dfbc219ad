"""How the features go together: weighted correlation matrices with their errors, missing values and all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.errors import TamisError
from tamis.evaluation.arrays import ROUNDING, none_where_undefined, same_length
from tamis.evaluation.units import Units

Float64 = NDArray[np.float64]
Rows = NDArray[np.integer[Any]]

LEAST_EFFECTIVE = 3.0
"""Effective number of events that a correlation needs: two points always lie on a line."""
_ROWS_AT_ONCE = 2**12
_DEPTH = 64


@dataclass(frozen=True, eq=False)
class Correlations:
    """The correlation of every pair of features.

    Args:
        matrix: correlation coefficients; NaN where they are not defined, [n_features, n_features].
        error: their standard deviations, [n_features, n_features].
    """

    matrix: Float64
    error: Float64

    def __sub__(self, other: Correlations) -> Correlations:
        """Subtract those of other, independent events."""
        return Correlations(self.matrix - other.matrix, np.hypot(self.error, other.error))

    def to_dict(self) -> dict[str, Any]:
        """Give both matrices as `metrics.json` holds them: null where a coefficient is not defined."""
        return {"matrix": _with_none(self.matrix), "error": _with_none(self.error)}


@dataclass(frozen=True)
class Difference:
    """A pair of features that goes together differently in two classes.

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


def correlate(
    features: NDArray[np.floating[Any]],
    weight: Float64,
    rows: Rows | None = None,
    *,
    units: Units | None = None,
) -> Correlations:
    r"""Compute the correlations of all pairs of features, each from the events in which both have a value.

    With z the distances from the weighted means in weighted standard deviations, r = sum w z_x z_y / sum w. Its
    variance is sum w^2 (z_x z_y - r (z_x^2 + z_y^2) / 2)^2 / (sum w)^2: what each event contributes, squared (the
    linearisation of r; for Gaussian features of weight one it is (1 - r^2)^2 / n). Where several events vary together,
    what they contribute is summed before it is squared.

    With weights of both signs r may lie beyond one, where the positive weights alone would not. It is not defined
    where a sum of weights or a variance is not positive, nor for fewer than three effective events.

    Args:
        features: missing values are NaN, [n_events, n_features].
        weight: signed physics weight, [n_events].
        rows: which events, as indices; all by default.
        units: number of what each event belongs to, where several events vary together, [n_events].

    Raises:
        TamisError: the arrays do not fit together.

    >>> x = np.array([1.0, 2.0, 3.0, 4.0])
    >>> correlate(np.stack([x, -x, np.ones(4)], axis=1), np.ones(4)).matrix.round(6)
    array([[ 1., -1., nan],
           [-1.,  1., nan],
           [nan, nan, nan]])
    """
    if features.ndim != 2:
        raise TamisError(f"correlations: expected [n_events, n_features], found shape {features.shape}")
    same_length(weight, len(features), "weight")
    chosen = np.arange(len(features)) if rows is None else rows
    centre, scale = _frame(features, chosen)
    once = _moments(features, weight, chosen, centre, scale, order=2, power=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = _pairs(once)
        if units is None:
            twice = _moments(features, weight, chosen, centre, scale, order=4, power=2)
            squares = _squares(pairs, twice)
        else:
            squares = _squares_by_unit(pairs, features, weight, chosen, units, centre, scale)
        return _with_errors(pairs, *squares)


def largest_differences(
    found: Mapping[str, Correlations], features: Sequence[str], number: int = 10
) -> tuple[Difference, ...]:
    """Find the pairs of features whose correlations differ most between two classes.

    Args:
        found: by the name of the class.
        features: their names.
        number: how many differences at most.

    Returns:
        By falling size. Among many pairs some differ by chance: compare with the error.
    """
    above = np.triu_indices(len(features), 1)
    pairs = list(combinations(found, 2))
    if not pairs or not len(above[0]):
        return ()
    apart = [found[first] - found[second] for first, second in pairs]
    values = np.stack([each.matrix[above] for each in apart])
    order = np.argsort(-np.abs(values), axis=None, kind="stable")[:number]
    chosen = [np.unravel_index(place, values.shape) for place in order]
    return tuple(
        Difference(
            (features[int(above[0][pair])], features[int(above[1][pair])]),
            pairs[int(classes)],
            float(values[classes, pair]),
            float(apart[int(classes)].error[above][pair]),
        )
        for classes, pair in chosen
        if np.isfinite(values[classes, pair])
    )


def _frame(features: NDArray[np.floating[Any]], rows: Rows) -> tuple[Float64, Float64]:
    """Give a centre and a scale of each feature that keep the sums of powers of a size; NaN where there is no value."""
    centre, scale = np.full((2, features.shape[1]), np.nan)
    for index in range(features.shape[1]):
        values = features[:, index][rows].astype(np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            centre[index], scale[index] = values.mean(), values.std()
            # what is constant up to the rounding of its mean has no scale
            scale[index] = scale[index] if np.ptp(values) else np.nan
    return centre, scale


def _moments(
    features: NDArray[np.floating[Any]],
    weight: Float64,
    rows: Rows,
    centre: Float64,
    scale: Float64,
    *,
    order: int,
    power: int,
) -> dict[tuple[int, int], Float64]:
    """Sum w^power x^i y^j of all pairs of features over the events that have both, for all i + j <= order."""
    exponents = [(i, j) for i in range(order + 1) for j in range(min(i, order - i) + 1)]
    sums = {pair: np.zeros((len(centre), len(centre))) for pair in exponents}
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[first : first + _ROWS_AT_ONCE]
        z = np.full((-(-len(block) // _DEPTH) * _DEPTH, len(centre)), np.nan)
        z[: len(block)] = (features[block] - centre) / scale
        there = np.isfinite(z)
        z[~there] = 0.0
        weights = np.zeros((len(z), 1))
        weights[: len(block), 0] = weight[block] ** power
        powers = [there.astype(np.float64), z]
        for _ in range(2, order + 1):
            powers.append(powers[-1] * z)
        for j in range(order // 2 + 1):
            weighted = powers[j] * weights
            for i in range(j, order - j + 1):
                sums[i, j] += _products(powers[i], weighted)
    return sums | {(j, i): each.T for (i, j), each in sums.items()}


def _products(first: Float64, second: Float64) -> Float64:
    """Give `first.T @ second`, in pieces for which the library starts no threads: they cost more than they bring."""
    left, right = (each.reshape(-1, _DEPTH, each.shape[1]) for each in (first, second))
    summed: Float64 = (left.transpose(0, 2, 1) @ right).sum(axis=0)
    return summed


@dataclass(frozen=True, eq=False)
class _Pairs:
    """What is known of each pair of features, [n_features, n_features] each; NaN where it is not defined.

    Args:
        total: sum of the weights of the events that have both.
        means: of the first feature and of the second.
        deviations: standard deviations of the first feature and of the second.
        matrix: correlation coefficients.
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
    """Sum the squares of the weights, and of what each event contributes to the coefficient."""

    def spread(i: int, j: int) -> Float64:
        unit: Float64 = pairs.deviations[0] ** i * pairs.deviations[1] ** j
        return _central(twice, *pairs.means, i, j) / unit

    quartic = spread(4, 0) + 2 * spread(2, 2) + spread(0, 4)
    matrix = pairs.matrix
    of_event = spread(2, 2) - matrix * (spread(3, 1) + spread(1, 3)) + np.square(matrix) / 4 * quartic
    return twice[0, 0], of_event


def _squares_by_unit(
    pairs: _Pairs,
    features: NDArray[np.floating[Any]],
    weight: Float64,
    rows: Rows,
    units: Units,
    centre: Float64,
    scale: Float64,
) -> tuple[Float64, Float64]:
    """Sum the squares of the weights of each unit, and of what each unit contributes to the coefficient."""
    rows = rows[np.argsort(units[rows], kind="stable")]
    begins = np.flatnonzero(np.diff(units[rows], prepend=-1))
    squares, of_unit = np.zeros((2, *pairs.matrix.shape))
    for first, last in _whole_units(begins, len(rows)):
        block = rows[first:last]
        z = (features[block] - centre) / scale
        starts = begins[(begins >= first) & (begins < last)] - first
        for feature in range(len(centre)):
            x = (z[:, [feature]] - pairs.means[0][feature]) / pairs.deviations[0][feature]
            y = (z - pairs.means[1][feature]) / pairs.deviations[1][feature]
            contribution = weight[block, None] * (x * y - pairs.matrix[feature] / 2 * (x**2 + y**2))
            contribution[~np.isfinite(contribution)] = 0.0
            both = np.isfinite(z) & np.isfinite(z[:, [feature]])
            of_unit[feature] += np.square(np.add.reduceat(contribution, starts)).sum(axis=0)
            squares[feature] += np.square(np.add.reduceat(weight[block, None] * both, starts)).sum(axis=0)
    return squares, of_unit


def _whole_units(begins: NDArray[np.intp], rows: int) -> list[tuple[int, int]]:
    """Divide rows, sorted by unit, into blocks of about `_ROWS_AT_ONCE` that hold whole units."""
    if not rows:
        return []
    wanted = np.arange(0, rows, _ROWS_AT_ONCE)
    edges = np.unique(begins[np.searchsorted(begins, wanted, side="right") - 1])
    return list(zip(edges.tolist(), [*edges[1:].tolist(), rows], strict=True))


def _with_errors(pairs: _Pairs, squares: Float64, of_event: Float64) -> Correlations:
    total, matrix = pairs.total, pairs.matrix
    undefined = ~np.isfinite(matrix) | (np.square(total) < LEAST_EFFECTIVE * squares * (1 - ROUNDING))
    matrix = np.where(undefined, np.nan, matrix)
    error = np.where(undefined, np.nan, np.sqrt(np.maximum(of_event, 0)) / total)
    same = np.arange(len(matrix))
    matrix[same, same], error[same, same] = (np.diag(each) for each in (np.sign(matrix), 0 * error))
    return Correlations(matrix, error)


def _central(
    sums: Mapping[tuple[int, int], Float64], first: Float64, second: Float64, i: int, j: int
) -> Float64:
    """Bring sums of x^i y^j to the means of the pairs."""
    found: Float64 = np.zeros(first.shape)
    for k in range(i + 1):
        for n in range(j + 1):
            factor = comb(i, k) * comb(j, n) * (-first) ** (i - k) * (-second) ** (j - n)
            found += factor * sums[k, n]
    return found


def _with_none(matrix: Float64) -> list[list[float | None]]:
    return [none_where_undefined(row) for row in matrix]
