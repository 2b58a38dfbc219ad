"""Events that are in the input twice, found by what they look like and not by their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.data.split import scramble

LOOKED_AT = 200_000
"""Events from which the chance is estimated that two events agree in a column."""
UNLIKELY = 10.0
"""How many times as many equal events as chance gives are worth a look."""


@dataclass(frozen=True)
class EqualEvents:
    """Events that equal another one in every column.

    Args:
        count: how many equal an earlier one.
        within_files: how many of them equal the first one in the same file.
        between_files: how many equal one of another file, but of the same class.
        between_classes: how many equal one of another class.
        expected: how many chance gives, if the columns did not depend on each other.
        example: rows of two that are equal, of different classes or files where there are such; None where none are.
    """

    count: int
    within_files: int
    between_files: int
    between_classes: int
    expected: float
    example: tuple[int, int] | None

    @property
    def suspicious(self) -> bool:
        """Whether there are more than chance explains."""
        return self.count > UNLIKELY * self.expected + 0.5

    def to_dict(self) -> dict[str, Any]:
        """Give the numbers as `tamis check --json` writes them."""
        return {
            "events": self.count,
            "within_files": self.within_files,
            "between_files": self.between_files,
            "between_classes": self.between_classes,
            "expected_by_chance": self.expected,
            "suspicious": self.suspicious,
        }


def equal_events(
    columns: Sequence[NDArray[np.floating[Any]]],
    class_index: NDArray[np.int32],
    file_index: NDArray[np.int32],
) -> EqualEvents:
    """Count events that agree in every column, bit by bit; values that are missing agree.

    The chance of that is estimated from the three columns that distinguish events best. In a single column it
    explains every repetition, so that nothing is suspicious there.

    Args:
        columns: the values of each column, [n] each.
        class_index: the true class, [n].
        file_index: the file of each event, [n].

    >>> x, y = np.linspace(0, 1, 1000), np.linspace(5, 9, 1000) ** 2
    >>> twice = [np.append(x, x[:3]), np.append(y, y[:3])]
    >>> found = equal_events(twice, np.append(np.zeros(1000, np.int32), [1, 1, 1]), np.zeros(1003, np.int32))
    >>> found.between_classes, found.suspicious
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
    again, before = order[~begins], first[~begins]
    classes = class_index[again] != class_index[before]
    files = ~classes & (file_index[again] != file_index[before])
    chances = sorted(_chance(column) for column in columns)
    pairs = 0.5 * events * (events - 1)
    place = _example(classes, files)
    return EqualEvents(
        count=len(again),
        within_files=int(len(again) - classes.sum() - files.sum()),
        between_files=int(files.sum()),
        between_classes=int(classes.sum()),
        expected=float(pairs * np.prod(chances[:3])) if chances else 0.0,
        example=None if place is None else (int(before[place]), int(again[place])),
    )


def _bits(column: NDArray[np.floating[Any]]) -> NDArray[np.uint64]:
    values = np.where(np.isnan(column), np.nan, column) + 0.0  # so that -0.0 and 0.0 are the same
    return values.astype(np.float64).view(np.uint64)


def _chance(column: NDArray[np.floating[Any]]) -> float:
    """Estimate the probability that two events have the same value, without bias where any two have."""
    some = _bits(column[:: max(len(column) // LOOKED_AT, 1)])
    if len(some) < 2:
        return 1.0
    counts = np.unique(some, return_counts=True)[1].astype(np.float64)
    equal = float((counts * (counts - 1)).sum())
    return max(equal, 1.0) / (len(some) * (len(some) - 1.0))


def _example(classes: NDArray[np.bool_], files: NDArray[np.bool_]) -> int | None:
    for chosen in (classes, files, np.ones(len(classes), np.bool_)):
        if chosen.any():
            return int(chosen.argmax())
    return None
