"""What counts as missing in a feature of 32 bits, and how it can be spelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tamis.config import Feature
from tamis.expressions.columns import without_sentinels

Features = TypeVar("Features", bound=NDArray[np.floating[Any]])

_MOST = float(np.finfo(np.float32).max)


def sentinels_of(feature: Feature) -> tuple[float, ...]:
    """Give the sentinels that a feature of 32 bits can hold.

    >>> sentinels_of(Feature(name="pt", missing=(float("nan"), -999.0, 1e300)))
    (-999.0,)
    """
    finite = [value for value in feature.missing or () if abs(value) <= _MOST]
    narrow = [(value, float(np.float32(value))) for value in finite]
    return tuple(single for value, single in narrow if single != 0 or value == 0)


def spell_missing(features: Features, rules: Sequence[Feature]) -> Features:
    """Write what is missing in all its ways, by turns: sentinels, not a number, infinities.

    Args:
        features: NaN where missing, [n, n_features].
        rules: the features, with what counts as missing.
    """
    given = features.copy()
    for index, rule in enumerate(rules):
        spellings = np.array([*sentinels_of(rule), np.nan, np.inf, -np.inf], np.float32)
        missing = np.flatnonzero(np.isnan(features[:, index]))
        given[missing, index] = spellings[np.arange(len(missing)) % len(spellings)]
    return given


def apply_rules(given: Features, rules: Sequence[Feature]) -> Features:
    """Put NaN where a value means that there is none, [n, n_features]."""
    found = given.copy()
    for index, rule in enumerate(rules):
        found[:, index] = without_sentinels(given[:, index].astype(np.float64), rule.missing or ())
    found[~np.isfinite(found)] = np.nan
    return found
