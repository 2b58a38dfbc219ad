"""How panels share a page."""

from __future__ import annotations


def grid_of(panels: int) -> tuple[int, int]:
    """Give columns and rows for a number of panels.

    >>> grid_of(2), grid_of(4), grid_of(6), grid_of(12)
    ((2, 1), (2, 2), (3, 2), (4, 3))
    """
    columns = {1: 1, 2: 2, 4: 2}.get(panels, 3 if panels <= 9 else 4)
    return columns, -(-panels // columns)
