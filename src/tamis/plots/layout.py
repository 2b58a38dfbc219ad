"""The arrangement of the panels of a figure, and what makes drawing the figures of a run much faster.

The constrained layout measures unchanged labels only once, and the minor ticks of an axis are drawn together, because
matplotlib creates five artists for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import Locator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox, BboxBase
from numpy.typing import NDArray


def choose_grid(panels: int) -> tuple[int, int]:
    """Choose the number of columns and rows of a page of panels.

    >>> choose_grid(2), choose_grid(4), choose_grid(6), choose_grid(12)
    ((2, 1), (2, 2), (3, 2), (4, 3))
    """
    columns = {1: 1, 2: 2, 4: 2}.get(panels, 3 if panels <= 9 else 4)
    return columns, -(-panels // columns)


def lay_out(figure: Figure) -> None:
    """Apply the constrained layout of a figure, and remove its layout engine.

    The constrained layout of matplotlib runs twice, because tick labels may change with the size of the axes. If they
    do not change, the second pass uses the margins of the first, which makes drawing a run a fifth faster.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    margins = _Margins(figure.axes)
    try:
        for axes in figure.axes:
            # matplotlib has no public way to set the size of axes with their labels
            axes.get_tightbbox = margins.measuring(axes)  # type: ignore[method-assign]
        engine.execute(figure)
    finally:
        for axes in figure.axes:
            vars(axes).pop("get_tightbbox", None)
    figure.set_layout_engine(None)


class _Margins:
    """The margins of all axes; if a label changes, all axes are measured again, because labels may be aligned."""

    def __init__(self, all_axes: Sequence[Axes]) -> None:
        self._all_axes = all_axes
        self._margins: dict[Axes, Any] = {}
        self._labels: dict[Axes, list[list[str]]] = {}
        self._measured_in_pass: set[Axes] = set()

    def measuring(self, axes: Axes) -> Any:
        measure = axes.get_tightbbox

        def get_tightbbox(renderer: Any, **options: Any) -> BboxBase | None:
            if axes in self._measured_in_pass:
                self._begin_pass()
            self._measured_in_pass.add(axes)
            axes.apply_aspect()
            if axes in self._margins:
                return Bbox.from_extents(*(np.asarray(axes.bbox.extents) + self._margins[axes]))
            box = measure(renderer, **options)
            self._labels[axes] = _labels(axes)
            if box is not None:
                self._margins[axes] = np.asarray(box.extents) - np.asarray(axes.bbox.extents)
            return box

        return get_tightbbox

    def _begin_pass(self) -> None:
        """Forget the margins if labels have changed since they were measured."""
        self._measured_in_pass.clear()
        for axes in self._all_axes:
            for axis in (axes.xaxis, axes.yaxis):
                axis.get_majorticklabels()  # updates the labels
        if any(_labels(axes) != labels for axes, labels in self._labels.items()):
            self._margins.clear()


def _labels(axes: Axes) -> list[list[str]]:
    return [[tick.label1.get_text() for tick in axis.majorTicks] for axis in (axes.xaxis, axes.yaxis)]


class MinorTicks:
    """The minor ticks of one axis, drawn as one line of markers on each side; the axis has none until `restore`."""

    def __init__(self, axis: Axis) -> None:
        """Remove the ticks from the axis."""
        self._axis = axis
        self._locator: Locator = axis.get_minor_locator()
        self._lines: list[Line2D] = []
        axis.set_minor_locator(NullLocator())

    def draw(self) -> None:
        """Add the lines to the axes, for the present limits and major ticks."""
        axis = self._axis
        axis.set_minor_locator(self._locator)
        positions = _inside(axis, np.asarray(axis.get_minorticklocs(), np.float64))
        (tick,) = axis.get_minor_ticks(1)
        axis.set_minor_locator(NullLocator())
        along = 0 if isinstance(axis, XAxis) else 1
        for mark in (tick.tick1line, tick.tick2line):
            if not (
                mark.get_visible() and tick.get_visible() and mark.get_markersize() > 0 and len(positions)
            ):
                continue
            # across the axis all marks have the same position, in units of the axes
            data = [np.full(len(positions), float(np.ravel(values)[0])) for values in mark.get_data()]
            data[along] = positions
            line = Line2D(*data, zorder=axis.get_zorder())
            line.update_from(mark)
            line.set_transform(mark.get_transform())
            line.set_in_layout(False)
            self._lines.append(line)
            axis.axes.add_artist(line)

    def restore(self) -> None:
        """Restore the minor ticks of the axis."""
        for line in self._lines:
            line.remove()
        self._axis.set_minor_locator(self._locator)


@contextmanager
def joined_minor_ticks(figure: Figure) -> Iterator[list[MinorTicks]]:
    """Replace the minor ticks of a figure by lines, which `draw` adds to it, and restore them at the end.

    Ticks with labels are not changed.
    """
    all_ticks = [
        MinorTicks(axis) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) if _has_bare_ticks(axis)
    ]
    try:
        yield all_ticks
    finally:
        for ticks in all_ticks:
            ticks.restore()


def _has_bare_ticks(axis: Axis) -> bool:
    if isinstance(axis.get_minor_locator(), NullLocator):
        return False
    formatter = axis.get_minor_formatter()
    # a logarithmic axis that spans less than a decade has labels at its minor ticks
    return isinstance(formatter, NullFormatter) or not any(
        formatter.format_ticks(list(axis.get_minorticklocs()))
    )


def _inside(axis: Axis, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions inside the limits of the axis, with the tolerance of matplotlib."""
    transform = axis.get_transform()
    low, high = np.sort(transform.transform(np.asarray(axis.get_view_interval(), np.float64)))
    transformed = transform.transform(positions)
    margin = 1e-10 * (high - low)
    inside: NDArray[np.float64] = positions[(transformed >= low - margin) & (transformed <= high + margin)]
    return inside
