"""What happens to the features before the first layer; learned on the training set, part of the classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

Scaling = Literal["none", "standard", "robust"]
Float32 = NDArray[np.float32]

_CLIP = np.float32(3)


@dataclass(frozen=True)
class Preprocessing:
    """Fills missing values, scales, and adds an indicator input for each feature that has missing values.

    Everything is 32-bit, so that every later form of the classifier computes the same.

    Args:
        scaling: name of the rule; `robust` also compresses outliers smoothly, x / sqrt(1 + (x/3)^2).
        fill: what a missing value becomes, in the feature's own unit, [n_features].
        centre: subtracted from each feature, [n_features].
        scale: then divides it, [n_features].
        indicators: indices of the features that have an indicator input, 1 where the value is missing.
    """

    scaling: Scaling
    fill: Float32
    centre: Float32
    scale: Float32
    indicators: tuple[int, ...]

    @property
    def inputs(self) -> int:
        """Number of inputs that the network gets."""
        return len(self.fill) + len(self.indicators)

    def apply(self, features: Float32) -> Float32:
        """Turn features, [n, n_features] with NaN where missing, into inputs, [n, inputs]."""
        missing = np.isnan(features)
        inputs = np.empty((len(features), self.inputs), np.float32)
        scaled = inputs[:, : len(self.fill)]
        np.copyto(scaled, np.where(missing, self.fill, features))
        scaled -= self.centre
        scaled /= self.scale
        if self.scaling == "robust":
            # beyond a million the clip is at its end, and a square would overflow
            np.clip(scaled, -1e6, 1e6, out=scaled)
            scaled /= np.sqrt(1 + np.square(scaled / _CLIP))
        inputs[:, len(self.fill) :] = missing[:, list(self.indicators)]
        return inputs


def fit_preprocessing(
    features: Float32, weight: NDArray[np.float64], scaling: Scaling, *, missing_allowed: Sequence[bool] = ()
) -> Preprocessing:
    """Learn the preprocessing from the training set.

    Means, deviations and quantiles are weighted with the absolute training weights: weight 2 counts as two rows,
    and negative weights cannot make a variance negative.

    Args:
        features: training features, NaN where missing, [n, n_features].
        weight: training weights, [n].
        scaling: name of the rule.
        missing_allowed: for each feature whether it may be missing; by default none may.

    >>> fit_preprocessing(np.array([[1.0], [3.0]], np.float32), np.ones(2), "standard").centre
    array([2.], dtype=float32)
    """
    columns = [_Column.of(features[:, index], np.abs(weight)) for index in range(features.shape[1])]
    centre, scale = np.array([column.scaling(scaling) for column in columns], np.float64).T
    allowed = list(missing_allowed) or [False] * len(columns)
    seen = np.asarray(np.isnan(features).any(axis=0))
    return Preprocessing(
        scaling=scaling,
        fill=np.array([column.quantile(0.5) for column in columns], np.float32),
        centre=centre.astype(np.float32),
        scale=scale.astype(np.float32),
        indicators=tuple(index for index in range(len(columns)) if allowed[index] and seen[index]),
    )


@dataclass(frozen=True)
class _Column:
    """The values of one feature that are there, ascending, with their positions in the weighted sample."""

    values: NDArray[np.float64]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, values: Float32, weight: NDArray[np.float64]) -> _Column:
        there = np.flatnonzero(~np.isnan(values) & (weight > 0))
        ascending = there[np.argsort(values[there], kind="stable")]
        return cls(values[ascending].astype(np.float64), weight[ascending])

    def quantile(self, fraction: float) -> float:
        """Smallest value below or at which this fraction of the weight lies, or the middle of two such."""
        if not len(self.values):
            return 0.0
        reached = np.cumsum(self.weight)
        wanted = fraction * reached[-1]
        slack = 1e-12 * reached[-1]
        lower = self.values[min(np.searchsorted(reached, wanted - slack), len(self.values) - 1)]
        upper = self.values[min(np.searchsorted(reached, wanted + slack, side="right"), len(self.values) - 1)]
        return float((lower + upper) / 2)

    def scaling(self, rule: Scaling) -> tuple[float, float]:
        """Centre and scale; a feature that does not vary is only centred."""
        if not len(self.values):
            return 0.0, 1.0
        match rule:
            case "none":
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
        # the network computes in 32 bits: what varies less than they resolve is constant to it
        resolution = float(np.spacing(np.float32(abs(centre)))) + 1e-37
        return centre, scale if scale > resolution else 1.0
