"""Find features that 32 bits do not resolve, and the offsets to subtract from them in 64 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float64

_EVENTS = 4096  # minimum size of the sample of events, which grows to at most twice this number
_RESOLVED = 1e-3  # largest mean rounding error in 32 bits, in units of the interquartile range
_ROUNDING = 1e-12  # relative variation below which values only vary by rounding in 64 bits


def compute_float32_offset(values: NDArray[np.floating[Any]]) -> float:
    """Return the offset to subtract in 64 bits so that 32 bits resolve the values, [n]; 0 if none is needed.

    Values are resolved if their rounding error is small compared with their interquartile range. GPS seconds of one
    hour and dates such as 20180103 are rounded by more than they vary. Values that are not finite are missing.

    >>> compute_float32_offset(np.array([80.3, 91.2, 125.1]))
    0.0
    >>> compute_float32_offset(np.array([20180102.0, 20180103.0, 20180105.0]))
    20180103.0
    """
    if values.dtype == np.float32:
        return 0.0
    sample = values[:: max(1, len(values) // _EVENTS)]
    # larger values have no 32-bit number: they are refused elsewhere, or count as missing
    sample = sample[np.abs(sample) <= np.finfo(np.float32).max].astype(np.float64)
    error = np.abs(sample - sample.astype(np.float32))
    if not error.any():  # no values, or all of them exact
        return 0.0
    low, centre, high = np.quantile(sample, (0.25, 0.5, 0.75))
    inside = (sample >= low) & (sample <= high)
    spread, rounding = high - low, float(error[inside].mean())
    if spread <= _ROUNDING * abs(centre):  # more than half of the events share one value
        spread, rounding = float(sample.std()), float(error.mean())
    unresolved = spread > _ROUNDING * abs(centre) and rounding > _RESOLVED * spread
    return float(centre) if unresolved else 0.0


def compute_float32_offsets(features: NDArray[np.floating[Any]]) -> Float64 | None:
    """Return the offsets of features [n, n_features]; None if 32 bits resolve all of them."""
    if features.dtype == np.float32:
        return None
    offsets = np.array([compute_float32_offset(column) for column in features.T])
    return offsets if offsets.any() else None


class PrecisionSample:
    """A sample of events in 64 bits, evenly spaced, collected while events are read in chunks.

    The sample does not depend on the number or the size of the chunks.
    """

    def __init__(self, features: int) -> None:
        """Start without events."""
        self._every = 1
        self._events = 0
        self._values: list[Float64] = [np.empty(0) for _ in range(features)]

    def rows(self, events: int) -> slice:
        """Return the rows of the next events that belong to the sample; if it is full, drop every second event."""
        while -(-(self._events + events) // self._every) > 2 * _EVENTS:
            self._every *= 2
            self._values = [column[::2] for column in self._values]
        return slice(-self._events % self._every, events, self._every)

    def add(self, events: int, values: Sequence[Float64]) -> None:
        """Append the values in the rows of the next events, an array for each feature."""
        self._events += events
        self._values = [np.concatenate(columns) for columns in zip(self._values, values, strict=True)]

    def unresolved(self) -> tuple[int, ...]:
        """Return the indices of the features that 32 bits do not resolve."""
        return tuple(index for index, column in enumerate(self._values) if compute_float32_offset(column))
