"""Duplicate events, which are recognised by their values and not by their IDs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Int32
from tamis.data.split import scramble

_CHANCE_EVENTS = 200_000  # from which the probability is estimated that two events agree in a column
_UNLIKELY = 10.0  # ratio of equal events to those expected by chance, above which they are suspicious


@dataclass(frozen=True)
class EqualEvents:
    """Events that equal another event in every column.

    Args:
        count: number of events that equal an earlier one.
        within_files: those that equal an event of the same file.
        between_files: those that equal an event of another file, but of the same class.
        between_classes: those that equal an event of another class.
        expected: number expected by chance, for independent columns.
        example: rows of two equal events, preferably of different classes or files; None if there are none.
    """

    count: int
    within_files: int
    between_files: int
    between_classes: int
    expected: float
    example: tuple[int, int] | None

    @property
    def suspicious(self) -> bool:
        """Return whether there are more than expected by chance."""
        return self.count > _UNLIKELY * self.expected + 0.5

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers that `tamis check --json` writes."""
        return {
            "events": self.count,
            "within_files": self.within_files,
            "between_files": self.between_files,
            "between_classes": self.between_classes,
            "expected_by_chance": self.expected,
            "suspicious": self.suspicious,
        }


def find_equal_events(
    columns: Sequence[NDArray[np.floating[Any]]],
    class_index: Int32,
    file_index: Int32,
) -> EqualEvents:
    """Count events that agree in every column, [n] each, bit by bit; missing values are equal.

    The number expected by chance is estimated from the three columns that distinguish events best. For a single column
    it accounts for every repetition, so that nothing is suspicious.

    >>> x, y = np.linspace(0, 1, 1000), np.linspace(5, 9, 1000) ** 2
    >>> twice = [np.append(x, x[:3]), np.append(y, y[:3])]
    >>> equal = find_equal_events(twice, np.append(np.zeros(1000, np.int32), [1, 1, 1]), np.zeros(1003, np.int32))
    >>> equal.between_classes, equal.suspicious
    (3, True)
    """
    events = len(class_index)
    key = np.zeros(events, np.uint64)
    for column in columns:
        key = scramble(key ^ scramble(_bits(column)))
    order = np.argsort(key, kind="stable")
    rising = key[order]
    begins = np.append(True, rising[1:] != rising[:-1])[:events]
    first = order[np.maximum.accumulate(np.where(begins, np.arange(events), 0))] if events else order
    later, earlier = order[~begins], first[~begins]
    classes = class_index[later] != class_index[earlier]
    files = ~classes & (file_index[later] != file_index[earlier])
    # only the three best columns: with all of them, correlations would make the estimate far too small
    chances = sorted(_chance(column) for column in columns)
    pairs = 0.5 * events * (events - 1)
    candidates = next((mask for mask in (classes, files) if mask.any()), np.ones(len(later), np.bool_))
    row = int(candidates.argmax()) if len(later) else None
    return EqualEvents(
        count=len(later),
        within_files=int(len(later) - classes.sum() - files.sum()),
        between_files=int(files.sum()),
        between_classes=int(classes.sum()),
        expected=float(pairs * np.prod(chances[:3])) if chances else 0.0,
        example=None if row is None else (int(earlier[row]), int(later[row])),
    )


def _bits(column: NDArray[np.floating[Any]]) -> NDArray[np.uint64]:
    values = np.where(np.isnan(column), np.nan, column) + 0.0  # so that -0.0 and 0.0 are the same
    return values.astype(np.float64).view(np.uint64)


def _chance(column: NDArray[np.floating[Any]]) -> float:
    """Estimate the probability that two events have the same value, without bias if any two have."""
    sample = _bits(column[:: max(len(column) // _CHANCE_EVENTS, 1)])
    if len(sample) < 2:
        return 1.0
    counts = np.unique(sample, return_counts=True)[1].astype(np.float64)
    equal = float((counts * (counts - 1)).sum())
    return max(equal, 1.0) / (len(sample) * (len(sample) - 1.0))
