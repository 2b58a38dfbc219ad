"""Whether 32 bits resolve a feature, and what to subtract in 64 bits where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

_EVENTS = 4096
"""How many events decide, at most twice as many."""
_RESOLVED = 1e-3
"""How large the rounding to 32 bits may be, in units of the distance of the quartiles."""
_ROUNDING = 1e-12
"""What varies less than this, relative to its size, is the rounding of 64 bits."""


def float32_offset(values: NDArray[np.floating[Any]]) -> float:
    """Return what to subtract in 64 bits so that 32 bits resolve the values; 0 where they do anyway.

    32 bits resolve values whose rounding is small beside the distance of their quartiles. GPS seconds of one hour and
    dates such as 20180103 are rounded by more than they vary.

    Args:
        values: not finite where missing, [n].

    >>> float32_offset(np.array([80.3, 91.2, 125.1]))
    0.0
    >>> float32_offset(np.array([20180102.0, 20180103.0, 20180105.0]))
    20180103.0
    """
    if values.dtype == np.float32:
        return 0.0
    sample = values[:: max(1, len(values) // _EVENTS)]
    # what is beyond the range of 32 bits is refused elsewhere, or counts as missing
    sample = sample[np.abs(sample) <= np.finfo(np.float32).max].astype(np.float64)
    error = np.abs(sample - sample.astype(np.float32))
    if not error.any():  # no value at all, or each of them exact
        return 0.0
    low, centre, high = np.quantile(sample, (0.25, 0.5, 0.75))
    inside = (sample >= low) & (sample <= high)
    spread, rounding = high - low, float(error[inside].mean())
    if spread <= _ROUNDING * abs(centre):  # more than half of the events share one value
        spread, rounding = float(sample.std()), float(error.mean())
    unresolved = spread > _ROUNDING * abs(centre) and rounding > _RESOLVED * spread
    return float(centre) if unresolved else 0.0


def float32_offsets(features: NDArray[np.floating[Any]]) -> Float64 | None:
    """Return the offset of each feature, [n, n_features]; None where 32 bits resolve all of them."""
    if features.dtype == np.float32:
        return None
    offsets = np.array([float32_offset(column) for column in features.T])
    return offsets if offsets.any() else None


class PrecisionSample:
    """Some events in 64 bits, spread evenly over all, while these are read in chunks.

    Which events they are depends on neither the number nor the size of the chunks.
    """

    def __init__(self, features: int) -> None:
        """Begin without events."""
        self._every = 1
        self._events = 0
        self._values: list[Float64] = [np.empty(0) for _ in range(features)]

    def rows(self, events: int) -> slice:
        """Return which of the next events belong to the sample; of a large number few from the beginning."""
        while -(-(self._events + events) // self._every) > 2 * _EVENTS:
            self._every *= 2
            self._values = [column[::2] for column in self._values]
        return slice(-self._events % self._every, events, self._every)

    def add(self, events: int, values: Sequence[Float64]) -> None:
        """Append the chosen ones of the next events, one array for each feature."""
        self._events += events
        self._values = [np.concatenate(pair) for pair in zip(self._values, values, strict=True)]

    def unresolved(self) -> tuple[int, ...]:
        """Return the indices of the features that 32 bits do not resolve."""
        return tuple(index for index, column in enumerate(self._values) if float32_offset(column))
