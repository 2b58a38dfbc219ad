"""Missing values in features of 32 bits: which values mean missing, and how users mark them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tamis.config import Feature
from tamis.expressions.columns import replace_sentinels

Features = TypeVar("Features", bound=NDArray[np.floating[Any]])

_MOST = float(np.finfo(np.float32).max)


def sentinels_of(feature: Feature) -> tuple[float, ...]:
    """Return the sentinels that a feature of 32 bits can hold.

    >>> sentinels_of(Feature(name="pt", missing=(float("nan"), -999.0, 1e300)))
    (-999.0,)
    """
    finite = [value for value in feature.missing or () if abs(value) <= _MOST]
    narrow = [(value, float(np.float32(value))) for value in finite]
    return tuple(single for value, single in narrow if single != 0 or value == 0)


def mark_missing(features: Features, rules: Sequence[Feature]) -> Features:
    """Return features with missing values, NaN in [n, n_features], marked in turn by sentinels, NaN and infinities."""
    marked = features.copy()
    for index, rule in enumerate(rules):
        markers = np.array([*sentinels_of(rule), np.nan, np.inf, -np.inf], np.float32)
        missing = np.flatnonzero(np.isnan(features[:, index]))
        marked[missing, index] = markers[np.arange(len(missing)) % len(markers)]
    return marked


def apply_rules(marked: Features, rules: Sequence[Feature]) -> Features:
    """Return features with NaN for every value that means missing, [n, n_features]."""
    features = marked.copy()
    for index, rule in enumerate(rules):
        features[:, index] = replace_sentinels(marked[:, index].astype(np.float64), rule.missing or ())
    features[~np.isfinite(features)] = np.nan
    return features
