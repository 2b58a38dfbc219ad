"""How many batches are learned from between two looks at the clock and at who asks to stop."""

from __future__ import annotations

from collections.abc import Iterator

FIRST = 64
"""Batches before the first look: nobody knows yet how long one takes."""
SECONDS = 0.5
"""Time between two looks, once that is known."""


class Stretches:
    """Divides epochs into stretches of about half a second; nothing but their number depends on the clock.

    Args:
        steps: batches of an epoch.
        divide: whether somebody wants to look at all; otherwise an epoch is one stretch.
    """

    def __init__(self, steps: int, *, divide: bool) -> None:
        """Begin without knowing how long a batch takes."""
        self._steps = steps
        self._size = FIRST if divide else steps

    def of_epoch(self, first: int) -> Iterator[tuple[int, int]]:
        """Give begin and end of each stretch of an epoch.

        Args:
            first: the batch to begin with, counted from 0.

        >>> list(Stretches(100, divide=True).of_epoch(10))
        [(10, 74), (74, 100)]
        """
        begin = first
        while begin < self._steps:
            end = min(begin + self._size, self._steps)
            yield begin, end
            begin = end

    def took(self, batches: int, seconds: float) -> None:
        """Hear how long a stretch took; the next ones follow it.

        >>> stretches = Stretches(10_000, divide=True)
        >>> stretches.took(64, 0.016)
        >>> next(stretches.of_epoch(0))
        (0, 2000)
        """
        self._size = max(1, round(SECONDS * batches / max(seconds, 1e-6)))
