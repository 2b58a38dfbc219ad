"""What happens to the features before the first layer; learned on the training set, part of the classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from tamis.config import Scaling as Scaling
from tamis.data.precision import float32_offsets

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Features = Float32 | Float64

KNOTS = 256
"""Most knots that the scaling `quantile` has for a feature."""

SMOOTH_CLIP = np.float32(3)
# scaled values beyond it say nothing more, and a product of them could leave the range of 32 bits
FARTHEST = np.float32(1e6)
# half of the largest number of 32 bits: the distance of two such values is still one
LARGEST = 1.7e38
MOST = np.finfo(np.float32).max
_ROWS_AT_ONCE = 16_384  # as many as stay in the cache


@dataclass(frozen=True)
class Logarithm:
    """Compresses long positive tails: log(1 + (x - lowest) / typical), mirrored below `lowest`.

    The curve is smooth and rises everywhere, so that a value below every training event is nothing special.

    Args:
        features: indices of the features that it is taken of.
        lowest: where it is zero, in the feature's own unit, [len(features)].
        typical: the distance from there to the median, above zero, [len(features)].
    """

    features: tuple[int, ...]
    lowest: Float32
    typical: Float32

    def apply(self, values: Float32) -> None:
        """Replace the columns of these features, in values without NaN, [n, n_features]."""
        for index, lowest, typical in zip(self.features, self.lowest, self.typical, strict=True):
            values[:, index] = _compress(values[:, index], lowest, typical)

    def select(self, new: Mapping[int, int]) -> Logarithm | None:
        """Keep the features that have a new index; None where none of them is among these."""
        kept = [place for place, index in enumerate(self.features) if index in new]
        if not kept:
            return None
        features = tuple(new[self.features[place]] for place in kept)
        return Logarithm(features, self.lowest[kept], self.typical[kept])

    def slopes(self, values: Float32) -> Float64:
        """Give the derivative, 1 for the other features, [n, n_features], of values without NaN."""
        found = np.ones(values.shape)
        chosen = list(self.features)
        lowest, typical = self.lowest.astype(np.float64), self.typical.astype(np.float64)
        found[:, chosen] = 1 / (typical + np.abs(values[:, chosen] - lowest))
        return found


@dataclass(frozen=True)
class Quantiles:
    """Maps the quantiles of the training sample to those of a normal distribution, linearly between knots.

    A value x in [knots[i], knots[i + 1]) becomes values[i] + (x - knots[i]) / width * rise, with the width and the
    rise of this interval; beyond the first and the last knot it stays at their values. It takes comparisons and
    32-bit arithmetic only, so every other form of the classifier can compute the same bits.

    Args:
        knots: ascending values of each feature, [n_features, knots]; the last one is repeated where a feature has
            fewer.
        values: what they become, ascending, [n_features, knots].
    """

    knots: Float32
    values: Float32

    def apply(self, values: Float32) -> None:
        """Replace all columns of values without NaN, [n, n_features]."""
        for index, (knots, becomes) in enumerate(zip(self.knots, self.values, strict=True)):
            values[:, index] = _interpolate(values[:, index], knots, becomes)

    def slopes(self, values: Float32) -> Float64:
        """Give rise by width of the interval of each value, 0 beyond the knots, [n, n_features]."""
        found = np.zeros(values.shape)
        for index, (knots, becomes) in enumerate(zip(self.knots, self.values, strict=True)):
            column = values[:, index]
            width, rise = (
                np.diff(knots, append=np.inf).astype(np.float64),
                np.diff(becomes, append=becomes[-1]),
            )
            steep = np.divide(rise, width, out=np.zeros(len(knots)), where=width > 0)
            inside = (column >= knots[0]) & (column <= knots[-1])
            found[:, index] = np.where(inside, steep[_knot_below(column, knots)], 0.0)
        return found


@dataclass(frozen=True)
class Preprocessing:
    """Fills missing values, takes logarithms, scales, and adds an indicator input where values may be missing.

    Everything is 32-bit, so that every later form of the classifier computes the same; only from features that 32 bits
    do not resolve, such as dates and GPS seconds, an offset is subtracted before, in 64 bits. Each event is handled
    alone, each feature keeps its order (with `robust` but for the last bit), and what comes out is a finite number for
    every finite number that goes in.

    Args:
        scaling: name of the rule; `robust` also compresses outliers smoothly, x / sqrt(1 + (x/3)^2).
        fill: what a missing value becomes, in the feature's own unit, without the offset, [n_features].
        centre: subtracted from each feature, [n_features].
        scale: then divides it, [n_features].
        indicators: indices of the features that have an indicator input, 1 where the value is missing.
        logarithm: of which features it is taken before they are scaled, and how.
        quantiles: the curves of the scaling `quantile`, which needs no centre and no scale.
        offset: subtracted from each feature in 64 bits before all else, 0 from those that 32 bits resolve,
            [n_features]; None where they resolve all.
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
        """Number of inputs that the network gets."""
        return len(self.fill) + len(self.indicators)

    @property
    def unresolved(self) -> tuple[int, ...]:
        """Indices of the features that 32 bits do not resolve."""
        return () if self.offset is None else tuple(np.flatnonzero(self.offset).tolist())

    def apply(self, features: Features, *, order: Literal["C", "F"] = "C") -> Float32:
        """Turn features, [n, n_features] with NaN where missing, into inputs, [n, inputs].

        Args:
            features: of the events; in 64 bits where there is an offset.
            order: whether the inputs of one event (C) or the events of one input (F) lie together in memory.
        """
        inputs = np.empty((len(features), self.inputs), np.float32, order=order)
        for start in range(0, len(features), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            self._fill_rows(features[rows], inputs[rows])
        return inputs

    def slopes(self, features: Features) -> Float64:
        """Give the derivative of each scaled feature by the feature, 0 where it is missing, [n, n_features]."""
        missing = np.isnan(features)
        values = np.where(missing, self.fill, without_offset(features, self.offset))
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
        """Keep some features, by their indices; what was learned of them does not depend on the others."""
        chosen = list(features)
        new = {index: number for number, index in enumerate(chosen)}
        return Preprocessing(
            scaling=self.scaling,
            fill=self.fill[chosen],
            centre=self.centre[chosen],
            scale=self.scale[chosen],
            indicators=tuple(new[index] for index in self.indicators if index in new),
            logarithm=None if self.logarithm is None else self.logarithm.select(new),
            quantiles=None
            if self.quantiles is None
            else Quantiles(self.quantiles.knots[chosen], self.quantiles.values[chosen]),
            offset=None if self.offset is None or not self.offset[chosen].any() else self.offset[chosen],
        )

    def _fill_rows(self, features: Features, inputs: Float32) -> None:
        missing = np.isnan(features)
        scaled = inputs[:, : len(self.fill)]
        np.copyto(scaled, without_offset(features, self.offset))
        np.copyto(scaled, self.fill, where=missing)
        if self.logarithm is not None:
            self.logarithm.apply(scaled)
        self._scale(scaled)
        inputs[:, len(self.fill) :] = missing[:, list(self.indicators)]

    def _scale(self, values: Float32) -> None:
        match self.scaling:
            case "none":
                pass
            case "standard":
                self._standardise(values)
            case "robust":
                self._standardise(values)
                values /= np.sqrt(1 + np.square(values / SMOOTH_CLIP))
            case "quantile":
                if self.quantiles is not None:
                    self.quantiles.apply(values)
            case _:
                assert_never(self.scaling)

    def _standardise(self, values: Float32) -> None:
        with np.errstate(over="ignore"):
            values -= self.centre
            values /= self.scale
        np.clip(values, -FARTHEST, FARTHEST, out=values)


def without_offset(features: Features, offset: Float64 | None) -> Float32:
    """Subtract an offset from features, [n, n_features], in 64 bits; what is left has 32 bits."""
    if offset is not None:
        features = features - offset
    with np.errstate(over="ignore"):
        left = features.astype(np.float32, copy=False)
    return left if offset is None else np.clip(left, -MOST, MOST)


def _compress(values: Float32, lowest: np.float32, typical: np.float32) -> Float32:
    with np.errstate(over="ignore"):
        distance = (values - lowest) / typical
    np.clip(distance, -LARGEST, LARGEST, out=distance)
    # a logarithm of 32 bits may fall where it has to rise, and may have other bits for other strides
    curve = np.log1p(np.abs(distance.astype(np.float64))).astype(np.float32)
    return np.asarray(np.copysign(curve, distance), np.float32)


def _interpolate(values: Float32, knots: Float32, becomes: Float32) -> Float32:
    inside = np.clip(values, knots[0], knots[-1])
    below = _knot_below(inside, knots)
    width, rise = np.append(np.diff(knots), np.float32(1)), np.append(np.diff(becomes), np.float32(0))
    position = (inside - knots[below]) / np.where(width > 0, width, np.float32(1))[below]
    # rounding must not lift an event above those of the next interval
    highest = np.append(becomes[1:], becomes[-1:])
    found: Float32 = np.minimum(becomes[below] + position * rise[below], highest[below])
    return found


def _knot_below(values: Float32, knots: Float32) -> NDArray[np.intp]:
    """Give the index of the last knot at or below each value, by halves: three times as fast as `searchsorted`."""
    found = np.zeros(len(values), np.intp)
    step = 1 << (len(knots) - 1).bit_length() >> 1
    while step:
        found += (values >= knots.take(found + step, mode="clip")) * np.intp(step)
        step >>= 1
    return np.minimum(found, len(knots) - 1)


def fit_preprocessing(
    features: Features,
    weight: Float64,
    scaling: Scaling,
    *,
    missing_allowed: Sequence[bool] = (),
    logarithm: Sequence[bool] = (),
) -> Preprocessing:
    """Learn the preprocessing from the training set.

    Means, deviations and quantiles are weighted with the absolute training weights: weight 2 counts as two rows,
    and negative weights cannot make a variance negative.

    Args:
        features: training features, NaN where missing, [n, n_features]; those of 64 bits may get an offset.
        weight: training weights, [n].
        scaling: name of the rule.
        missing_allowed: for each feature whether it may be missing; by default none may.
        logarithm: for each feature whether its logarithm is taken before it is scaled; by default of none.

    >>> fit_preprocessing(np.array([[1.0], [3.0]], np.float32), np.ones(2), "standard").centre
    array([2.], dtype=float32)
    """
    size = np.abs(weight)
    offset = float32_offsets(features)
    features = without_offset(features, offset)
    columns = [_Column.of(features[:, index], size) for index in range(features.shape[1])]
    fill = np.array([column.quantile(0.5) for column in columns], np.float32)
    seen = np.asarray(np.isnan(features).any(axis=0))
    indicators = tuple(index for index, allowed in enumerate(missing_allowed) if allowed and seen[index])
    curves = _fit_logarithm(columns, logarithm)
    if curves is not None:
        for index, lowest, typical in zip(curves.features, curves.lowest, curves.typical, strict=True):
            columns[index] = columns[index].compressed(lowest, typical)
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


def _fit_logarithm(columns: Sequence[_Column], chosen: Sequence[bool]) -> Logarithm | None:
    features = tuple(index for index, wanted in enumerate(chosen) if wanted)
    if not features:
        return None
    lowest, typical = np.array([columns[index].tail() for index in features], np.float32).T
    return Logarithm(features, lowest, typical)


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
    """The values of one feature that are there, ascending, with their weights."""

    values: Float64
    weight: Float64

    @classmethod
    def of(cls, values: Float32, weight: Float64) -> _Column:
        there = ~np.isnan(values) & (weight > 0)
        values, weight = (values[there], weight[there]) if not there.all() else (values.copy(), weight)
        ascending = _order(values)
        return cls(values[ascending].astype(np.float64), weight[ascending])

    @cached_property
    def reached(self) -> Float64:
        """Sum of the weights up to each value."""
        return np.cumsum(self.weight)

    def compressed(self, lowest: np.float32, typical: np.float32) -> _Column:
        """Take the logarithm, which keeps the order."""
        values = _compress(self.values.astype(np.float32), lowest, typical)
        return _Column(values.astype(np.float64), self.weight)

    def quantile(self, fraction: float) -> float:
        """Smallest value below or at which this fraction of the weight lies, or the middle of two such."""
        if not len(self.values):
            return 0.0
        reached = self.reached
        wanted = fraction * reached[-1]
        slack = 1e-12 * reached[-1]
        lower = self.values[min(np.searchsorted(reached, wanted - slack), len(self.values) - 1)]
        upper = self.values[min(np.searchsorted(reached, wanted + slack, side="right"), len(self.values) - 1)]
        return float((lower + upper) / 2)

    def tail(self) -> tuple[float, float]:
        """Where a long positive tail begins, and how far from there the median lies."""
        # not the smallest value of all: one event far below the others would make a tail of all of them
        lowest = self.quantile(0.001)
        typical = self.quantile(0.5) - lowest
        if typical == 0 and len(self.values):  # more than half of the events share one value
            typical = float(np.average(np.abs(self.values - lowest), weights=self.weight))
        return lowest, min(typical, LARGEST) if typical > _resolution(lowest) else 1.0

    def curve(self) -> tuple[Float64, Float64]:
        """Knots, and the normal quantiles of the middles of their weight in the ordered sample."""
        if not len(self.values):
            return np.zeros(1), np.zeros(1)
        distinct, first = np.unique(np.clip(self.values, -LARGEST, LARGEST), return_index=True)
        share = np.add.reduceat(self.weight, first)
        reached = np.cumsum(share)
        middle = np.clip((reached - share / 2) / reached[-1], 1e-7, 1 - 1e-7)
        if len(distinct) > KNOTS:
            chosen = _spread(middle)
            distinct, middle = distinct[chosen], middle[chosen]
        return distinct, np.array([_NORMAL.inv_cdf(share) for share in middle.tolist()])

    def scaling(self, rule: Scaling) -> tuple[float, float]:
        """Centre and scale; a feature that does not vary is only centred."""
        if not len(self.values):
            return 0.0, 1.0
        match rule:
            case "none" | "quantile":
                return 0.0, 1.0
            case "standard":
                centre = float(np.average(self.values, weights=self.weight))
                scale = float(np.sqrt(np.average((self.values - centre) ** 2, weights=self.weight)))
            case "robust":
                centre = self.quantile(0.5)
                scale = self.quantile(0.75) - self.quantile(0.25)
                if scale == 0:  # more than half of the events share one value
                    scale = float(np.sqrt(np.average((self.values - centre) ** 2, weights=self.weight)))
            case _:
                assert_never(rule)
        return centre, scale if scale > _resolution(centre) else 1.0


_NORMAL = NormalDist()


def _order(values: Float32) -> NDArray[np.int64]:
    """Give the stable order of values, seven times as fast as a stable `argsort`.

    The bits of a number of 32 bits, read as an integer, rise with it, or fall where it is negative. The index in the
    lower half of 64 bits is carried along while NumPy sorts integers.
    """
    bits = values.view(np.int32).astype(np.int64)
    keys = (bits ^ ((bits >> 31) & 0x7FFFFFFF)) << 32
    keys += np.arange(len(values))
    keys.sort()
    return keys & 0xFFFFFFFF


def _resolution(value: float) -> float:
    """Give the difference that 32 bits resolve there: what varies less is constant to the network."""
    return float(np.spacing(np.float32(min(abs(value), LARGEST)))) + 1e-37


def _spread(share: Float64) -> NDArray[np.intp]:
    """Choose knots among ascending shares of the sample, [n]; the first and the last are always chosen.

    Half of them divide the events evenly, and half the axis of the normal distribution, which keeps the shape of
    the tails.
    """
    first, last = float(share[0]), float(share[-1])
    axis = np.linspace(_NORMAL.inv_cdf(first), _NORMAL.inv_cdf(last), KNOTS // 2)
    even = np.linspace(first, last, KNOTS // 2)
    wanted = np.concatenate([even, [_NORMAL.cdf(place) for place in axis.tolist()]])
    return np.unique(np.clip(np.searchsorted(share, wanted - 1e-12), 0, len(share) - 1))
