"""Preprocessing of the features, which is fitted to the training events and is part of the classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Features, Float32, Float64, Int64
from tamis.config import Scaling as Scaling
from tamis.data.precision import compute_float32_offsets

KNOTS = 256
"""Maximum number of knots of the scaling `quantile` for a feature."""

SMOOTH_CLIP = np.float32(3)
# scaled values are clipped here, so that products of them stay in the range of 32 bits
FARTHEST = np.float32(1e6)
# half of the largest 32-bit number, so that differences of two such values are finite
LARGEST = 1.7e38
MOST = np.finfo(np.float32).max
_ROWS_AT_ONCE = 16_384  # as many as fit the cache


@dataclass(frozen=True)
class Logarithm:
    """Compression of long positive tails: log(1 + (x - lowest) / typical), mirrored below `lowest`.

    The curve is smooth and monotonic, so values below the training range need no special treatment.

    Args:
        features: indices of the features.
        lowest: zero of the curve, in the unit of the feature, [len(features)].
        typical: distance of the median from `lowest`, positive, [len(features)].
    """

    features: tuple[int, ...]
    lowest: Float32
    typical: Float32

    def apply(self, values: Float32) -> None:
        """Replace the columns of these features, in values without NaN, [n, n_features]."""
        for index, lowest, typical in zip(self.features, self.lowest, self.typical, strict=True):
            values[:, index] = _compress(values[:, index], lowest, typical)

    def select(self, new: Mapping[int, int]) -> Logarithm | None:
        """Select the features that have a new index; None if there are none."""
        positions = [position for position, index in enumerate(self.features) if index in new]
        if not positions:
            return None
        features = tuple(new[self.features[position]] for position in positions)
        return Logarithm(features, self.lowest[positions], self.typical[positions])

    def slopes(self, values: Float32) -> Float64:
        """Compute the derivative at values without NaN, [n, n_features]; 1 for all other features."""
        slopes = np.ones(values.shape)
        columns = list(self.features)
        lowest, typical = self.lowest.astype(np.float64), self.typical.astype(np.float64)
        slopes[:, columns] = 1 / (typical + np.abs(values[:, columns] - lowest))
        return slopes


@dataclass(frozen=True)
class Quantiles:
    """Map of the quantiles of the training events to those of a normal distribution, linear between knots.

    A value x in [knots[i], knots[i + 1]) becomes values[i] + (x - knots[i]) / width * rise, with the width and the rise
    of the interval; it is constant beyond the first and the last knot. Only comparisons and 32-bit arithmetic are used,
    so that all exported formats can compute the same bits.

    Args:
        knots: ascending values of each feature, [n_features, knots]; padded with the last one.
        values: the values at the knots, ascending, [n_features, knots].
    """

    knots: Float32
    values: Float32

    def apply(self, values: Float32) -> None:
        """Replace all columns of values without NaN, [n, n_features]."""
        for index, (knots, at_knots) in enumerate(zip(self.knots, self.values, strict=True)):
            values[:, index] = _interpolate(values[:, index], knots, at_knots)

    def slopes(self, values: Float32) -> Float64:
        """Compute the slope of the interval of each value, 0 beyond the knots, [n, n_features]."""
        slopes = np.zeros(values.shape)
        for index, (knots, at_knots) in enumerate(zip(self.knots, self.values, strict=True)):
            column = values[:, index]
            width = np.diff(knots, append=np.inf).astype(np.float64)
            rise = np.diff(at_knots, append=at_knots[-1])
            slope = np.divide(rise, width, out=np.zeros(len(knots)), where=width > 0)
            inside = (column >= knots[0]) & (column <= knots[-1])
            slopes[:, index] = np.where(inside, slope[_knot_below(column, knots)], 0.0)
        return slopes


@dataclass(frozen=True)
class Preprocessing:
    """Fills of missing values, logarithms, scaling, and indicator inputs of missing values.

    Everything is computed in 32 bits, so that all exported formats agree. Before that, an offset is subtracted in 64
    bits from features that 32 bits do not resolve, such as dates and GPS seconds. Each event is processed
    independently, the order of the values of a feature does not change (with `robust` up to the last bit), and finite
    features become finite inputs.

    Args:
        scaling: name of the rule; `robust` also compresses outliers smoothly, x / sqrt(1 + (x/3)^2).
        fill: replacement of missing values, in the unit of the feature, after the offset, [n_features].
        centre: subtracted from each feature, [n_features].
        scale: each feature is then divided by it, [n_features].
        indicators: indices of the features with an indicator input, 1 if the value is missing.
        logarithm: logarithms of features, computed before the scaling.
        quantiles: the curves of the scaling `quantile`, which needs no centre and no scale.
        offset: subtracted first, in 64 bits; 0 for features that 32 bits resolve, [n_features]; None if they resolve
            all features.
    """

    scaling: Scaling
    fill: Float32
    centre: Float32
    scale: Float32
    indicators: tuple[int, ...]
    logarithm: Logarithm | None = None
    quantiles: Quantiles | None = None
    offset: Float64 | None = None

    @property
    def inputs(self) -> int:
        """Number of inputs of the network."""
        return len(self.fill) + len(self.indicators)

    @property
    def unresolved(self) -> tuple[int, ...]:
        """Indices of the features that 32 bits do not resolve."""
        return () if self.offset is None else tuple(np.flatnonzero(self.offset).tolist())

    def apply(self, features: Features, *, order: Literal["C", "F"] = "C") -> Float32:
        """Convert features, [n, n_features], NaN if missing, in 64 bits if there is an offset, to inputs, [n, inputs].

        In the memory layout `C` the inputs of one event are contiguous, in `F` the events of one input.
        """
        inputs = np.empty((len(features), self.inputs), np.float32, order=order)
        for start in range(0, len(features), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            self._apply_to_rows(features[rows], inputs[rows])
        return inputs

    def slopes(self, features: Features) -> Float64:
        """Compute the derivative of each scaled feature by the feature, 0 if it is missing, [n, n_features]."""
        missing = np.isnan(features)
        values = np.where(missing, self.fill, subtract_offset(features, self.offset))
        slopes = np.ones(values.shape)
        if self.logarithm is not None:
            slopes = self.logarithm.slopes(values)
            self.logarithm.apply(values)
        if self.quantiles is not None:
            slopes *= self.quantiles.slopes(values)
        if self.scaling in ("standard", "robust"):
            scaled = (values.astype(np.float64) - self.centre) / self.scale
            slopes *= (np.abs(scaled) < FARTHEST) / self.scale.astype(np.float64)
            if self.scaling == "robust":
                slopes *= (1 + np.square(scaled / SMOOTH_CLIP)) ** -1.5
        return np.where(missing, 0.0, slopes)

    def select(self, features: Sequence[int]) -> Preprocessing:
        """Select features by their indices; the fit of each feature is independent of the others."""
        indices = list(features)
        new = {index: number for number, index in enumerate(indices)}
        quantiles = self.quantiles
        if quantiles is not None:
            quantiles = Quantiles(quantiles.knots[indices], quantiles.values[indices])
        return Preprocessing(
            scaling=self.scaling,
            fill=self.fill[indices],
            centre=self.centre[indices],
            scale=self.scale[indices],
            indicators=tuple(new[index] for index in self.indicators if index in new),
            logarithm=None if self.logarithm is None else self.logarithm.select(new),
            quantiles=quantiles,
            offset=None if self.offset is None or not self.offset[indices].any() else self.offset[indices],
        )

    def _apply_to_rows(self, features: Features, inputs: Float32) -> None:
        missing = np.isnan(features)
        values = inputs[:, : len(self.fill)]
        np.copyto(values, subtract_offset(features, self.offset))
        np.copyto(values, self.fill, where=missing)
        if self.logarithm is not None:
            self.logarithm.apply(values)
        if self.quantiles is not None:
            self.quantiles.apply(values)
        if self.scaling in ("standard", "robust"):
            with np.errstate(over="ignore"):
                values -= self.centre
                values /= self.scale
            np.clip(values, -FARTHEST, FARTHEST, out=values)
        if self.scaling == "robust":
            values /= np.sqrt(1 + np.square(values / SMOOTH_CLIP))
        inputs[:, len(self.fill) :] = missing[:, list(self.indicators)]


def subtract_offset(features: Features, offset: Float64 | None) -> Float32:
    """Subtract an offset from features, [n, n_features], in 64 bits; the result has 32 bits."""
    if offset is not None:
        features = features - offset
    with np.errstate(over="ignore"):
        reduced = features.astype(np.float32, copy=False)
    return reduced if offset is None else np.clip(reduced, -MOST, MOST)


def _compress(values: Float32, lowest: np.float32, typical: np.float32) -> Float32:
    with np.errstate(over="ignore"):
        distance = (values - lowest) / typical
    np.clip(distance, -LARGEST, LARGEST, out=distance)
    # a 32-bit logarithm may not be monotonic, and its last bit may depend on the memory layout
    curve = np.log1p(np.abs(distance.astype(np.float64))).astype(np.float32)
    return np.asarray(np.copysign(curve, distance), np.float32)


def _interpolate(values: Float32, knots: Float32, at_knots: Float32) -> Float32:
    inside = np.clip(values, knots[0], knots[-1])
    below = _knot_below(inside, knots)
    width, rise = np.append(np.diff(knots), np.float32(1)), np.append(np.diff(at_knots), np.float32(0))
    position = (inside - knots[below]) / np.where(width > 0, width, np.float32(1))[below]
    # rounding must not exceed the end of the interval, so that the curve stays monotonic
    highest = np.append(at_knots[1:], at_knots[-1:])
    interpolated: Float32 = np.minimum(at_knots[below] + position * rise[below], highest[below])
    return interpolated


def _knot_below(values: Float32, knots: Float32) -> NDArray[np.intp]:
    """Return the index of the last knot at or below each value, by bisection, 3 times faster than `searchsorted`."""
    index = np.zeros(len(values), np.intp)
    step = 1 << (len(knots) - 1).bit_length() >> 1
    while step:
        index += (values >= knots.take(index + step, mode="clip")) * np.intp(step)
        step >>= 1
    return np.minimum(index, len(knots) - 1)


def fit_preprocessing(
    features: Features,
    weight: Float64,
    scaling: Scaling,
    *,
    missing_allowed: Sequence[bool] = (),
    logarithm: Sequence[bool] = (),
) -> Preprocessing:
    """Fit the preprocessing to training features, [n, n_features], NaN if missing, and training weights, [n].

    Means, deviations and quantiles are weighted with the absolute weights: weight 2 is equivalent to two rows, and
    negative weights cannot make a variance negative. Only features in 64 bits can get an offset.

    Args:
        features: training features.
        weight: training weights.
        scaling: name of the rule.
        missing_allowed: for each feature, whether it may be missing; by default none may.
        logarithm: for each feature, whether its logarithm is computed before the scaling; by default of none.

    >>> fit_preprocessing(np.array([[1.0], [3.0]], np.float32), np.ones(2), "standard").centre
    array([2.], dtype=float32)
    """
    size = np.abs(weight)
    offset = compute_float32_offsets(features)
    features = subtract_offset(features, offset)
    columns = [_Column.of(features[:, index], size) for index in range(features.shape[1])]
    fill = np.array([column.quantile(0.5) for column in columns], np.float32)
    seen = np.asarray(np.isnan(features).any(axis=0))
    indicators = tuple(index for index, allowed in enumerate(missing_allowed) if allowed and seen[index])
    curves = None
    if any(logarithm):
        compressed = tuple(index for index, chosen in enumerate(logarithm) if chosen)
        tails = np.array([columns[index].tail() for index in compressed], np.float32)
        curves = Logarithm(compressed, *tails.T)
        for index, tail in zip(compressed, tails, strict=True):
            columns[index] = columns[index].compressed(*tail)
    centre, scale = np.array([column.scaling(scaling) for column in columns], np.float64).T
    return Preprocessing(
        scaling=scaling,
        fill=fill,
        centre=centre.astype(np.float32),
        scale=np.minimum(scale, LARGEST).astype(np.float32),
        indicators=indicators,
        logarithm=curves,
        quantiles=_fit_quantiles(columns) if scaling == "quantile" else None,
        offset=offset,
    )


def _fit_quantiles(columns: Sequence[_Column]) -> Quantiles:
    curves = [column.curve() for column in columns]
    most = max(len(knots) for knots, _ in curves)
    knots, values = (
        np.array([np.pad(curve[part], (0, most - len(curve[part])), "edge") for curve in curves], np.float32)
        for part in (0, 1)
    )
    return Quantiles(knots, values)


@dataclass(frozen=True)
class _Column:
    """The values of one feature that are not missing, ascending, with their weights."""

    values: Float64
    weight: Float64

    @classmethod
    def of(cls, values: Float32, weight: Float64) -> _Column:
        present = ~np.isnan(values) & (weight > 0)
        values, weight = (values[present], weight[present]) if not present.all() else (values.copy(), weight)
        ascending = _order(values)
        return cls(values[ascending].astype(np.float64), weight[ascending])

    @cached_property
    def cumulative(self) -> Float64:
        """Cumulative sum of the weights."""
        return np.cumsum(self.weight)

    def compressed(self, lowest: np.float32, typical: np.float32) -> _Column:
        """Compute the logarithm, which preserves the order."""
        values = _compress(self.values.astype(np.float32), lowest, typical)
        return _Column(values.astype(np.float64), self.weight)

    def quantile(self, fraction: float) -> float:
        """Smallest value up to which the sum of weights reaches a fraction, or the mean of two such values."""
        if not len(self.values):
            return 0.0
        cumulative = self.cumulative
        target = fraction * cumulative[-1]
        slack = 1e-12 * cumulative[-1]  # tolerance for the rounding of the cumulative sum
        last = len(self.values) - 1
        lower = self.values[min(np.searchsorted(cumulative, target - slack), last)]
        upper = self.values[min(np.searchsorted(cumulative, target + slack, side="right"), last)]
        return float((lower + upper) / 2)

    def tail(self) -> tuple[float, float]:
        """Start of a long positive tail, and the distance of the median from it."""
        # not the minimum: a single event far below the others would turn all of them into a tail
        lowest = self.quantile(0.001)
        typical = self.quantile(0.5) - lowest
        if typical == 0 and len(self.values):  # more than half of the events share one value
            typical = float(np.average(np.abs(self.values - lowest), weights=self.weight))
        return lowest, min(typical, LARGEST) if typical > _resolution(lowest) else 1.0

    def curve(self) -> tuple[Float64, Float64]:
        """Knots, and the normal quantiles of the cumulative weight at the middle of each knot's weight."""
        if not len(self.values):
            return np.zeros(1), np.zeros(1)
        distinct, first = np.unique(np.clip(self.values, -LARGEST, LARGEST), return_index=True)
        share = np.add.reduceat(self.weight, first)
        cumulative = np.cumsum(share)
        middle = np.clip((cumulative - share / 2) / cumulative[-1], 1e-7, 1 - 1e-7)
        if len(distinct) > KNOTS:
            selected = _select_knots(middle)
            distinct, middle = distinct[selected], middle[selected]
        return distinct, np.array([_NORMAL.inv_cdf(share) for share in middle.tolist()])

    def scaling(self, rule: Scaling) -> tuple[float, float]:
        """Centre and scale; a feature that does not vary is only centred."""
        if not len(self.values):
            return 0.0, 1.0
        match rule:
            case "none" | "quantile":
                return 0.0, 1.0
            case "standard":
                centre, scale = float(np.average(self.values, weights=self.weight)), 0.0
            case "robust":
                centre, scale = self.quantile(0.5), self.quantile(0.75) - self.quantile(0.25)
            case _:
                assert_never(rule)
        if scale == 0:  # also for `robust`, if more than half of the events share one value
            scale = float(np.sqrt(np.average((self.values - centre) ** 2, weights=self.weight)))
        return centre, scale if scale > _resolution(centre) else 1.0


_NORMAL = NormalDist()


def _order(values: Float32) -> Int64:
    """Compute the stable order of values, seven times faster than a stable `argsort`.

    The bits of a 32-bit float, read as an integer, increase with the float, or decrease if it is negative. The index is
    stored in the lower half of 64 bits, so that NumPy only sorts integers.
    """
    bits = values.view(np.int32).astype(np.int64)
    keys = (bits ^ ((bits >> 31) & 0x7FFFFFFF)) << 32
    keys += np.arange(len(values))
    keys.sort()
    return keys & 0xFFFFFFFF


def _resolution(value: float) -> float:
    """Return the spacing of 32-bit numbers at a value: features that vary less are constant for the network."""
    return float(np.spacing(np.float32(min(abs(value), LARGEST)))) + 1e-37


def _select_knots(share: Float64) -> NDArray[np.intp]:
    """Select knots among ascending fractions of the events, [n], including the first and the last.

    Half of the knots divide the events evenly, the other half divide the axis of the normal distribution evenly, to
    preserve the shape of the tails.
    """
    first, last = float(share[0]), float(share[-1])
    axis = np.linspace(_NORMAL.inv_cdf(first), _NORMAL.inv_cdf(last), KNOTS // 2)
    even = np.linspace(first, last, KNOTS // 2)
    targets = np.concatenate([even, [_NORMAL.cdf(quantile) for quantile in axis.tolist()]])
    return np.unique(np.clip(np.searchsorted(share, targets - 1e-12), 0, len(share) - 1))
