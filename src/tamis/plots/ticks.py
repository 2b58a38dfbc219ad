"""Minor ticks that are drawn together: matplotlib makes an object of five artists for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import Locator, NullFormatter, NullLocator
from numpy.typing import NDArray


class MinorTicks:
    """The minor ticks of one axis, taken from it and drawn as one line of markers on each side.

    Args:
        axis: has no minor ticks until `give_back`.
    """

    def __init__(self, axis: Axis) -> None:
        """Take the ticks from the axis."""
        self._axis = axis
        self._locator: Locator = axis.get_minor_locator()
        self._lines: list[Line2D] = []
        axis.set_minor_locator(NullLocator())

    def draw(self) -> None:
        """Add the lines to the axes; their places are those of the view limits and major ticks of this moment."""
        axis = self._axis
        axis.set_minor_locator(self._locator)
        places = _inside(axis, np.asarray(axis.get_minorticklocs(), np.float64))
        (tick,) = axis.get_minor_ticks(1)
        axis.set_minor_locator(NullLocator())
        along = 0 if isinstance(axis, XAxis) else 1
        for mark in (tick.tick1line, tick.tick2line):
            if not (mark.get_visible() and tick.get_visible() and mark.get_markersize() > 0 and len(places)):
                continue
            # across the axis a mark has one place, in units of the axes
            data = [np.full(len(places), float(np.ravel(values)[0])) for values in mark.get_data()]
            data[along] = places
            line = Line2D(*data, zorder=axis.get_zorder())
            line.update_from(mark)
            line.set_transform(mark.get_transform())
            line.set_in_layout(False)
            self._lines.append(line)
            axis.axes.add_artist(line)

    def give_back(self) -> None:
        """Let the axis have its own minor ticks again."""
        for line in self._lines:
            line.remove()
        self._axis.set_minor_locator(self._locator)


@contextmanager
def joined_minor_ticks(figure: Figure) -> Iterator[list[MinorTicks]]:
    """Take the minor ticks from the axes of a figure and give them back at the end.

    Ticks that have labels stay where they are.

    Args:
        figure: whose ticks do not change the layout.

    Returns:
        The ticks of each axis; they are on the figure once `draw` was called.
    """
    taken = [
        MinorTicks(axis) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) if _has_bare_ticks(axis)
    ]
    try:
        yield taken
    finally:
        for ticks in taken:
            ticks.give_back()


def _has_bare_ticks(axis: Axis) -> bool:
    if isinstance(axis.get_minor_locator(), NullLocator):
        return False
    formatter = axis.get_minor_formatter()
    # a logarithmic axis that spans less than a decade has labels at its minor ticks
    return isinstance(formatter, NullFormatter) or not any(
        formatter.format_ticks(list(axis.get_minorticklocs()))
    )


def _inside(axis: Axis, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out what lies outside the view, with the same tolerance as matplotlib."""
    transform = axis.get_transform()
    low, high = np.sort(transform.transform(np.asarray(axis.get_view_interval(), np.float64)))
    position = transform.transform(places)
    margin = 1e-10 * (high - low)
    inside: NDArray[np.float64] = places[(position >= low - margin) & (position <= high + margin)]
    return inside
