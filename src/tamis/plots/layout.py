"""The layout of a figure, without measuring twice what has not changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox, BboxBase


def lay_out(figure: Figure) -> None:
    """Give the axes of a figure their places once and for all.

    The constrained layout of matplotlib runs twice, because tick labels may change with the size of the axes. Where
    they do not, the second time gets the margins of the first.

    Args:
        figure: its layout engine is left out when it is drawn later.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    margins = _Margins(figure.axes)
    try:
        for axes in figure.axes:
            # matplotlib has no public way to say how large an axes is with its labels
            axes.get_tightbbox = margins.measuring(axes)  # type: ignore[method-assign]
        engine.execute(figure)
    finally:
        for axes in figure.axes:
            vars(axes).pop("get_tightbbox", None)
    figure.set_layout_engine(None)


class _Margins:
    """How far the labels of each axes reach beyond it, as long as no label changes.

    The labels of all axes count for each of them, because axes that are aligned move their labels together.
    """

    def __init__(self, all_axes: Sequence[Axes]) -> None:
        self._all_axes = all_axes
        self._reach: dict[Axes, Any] = {}
        self._labels: dict[Axes, list[list[str]]] = {}
        self._asked: set[Axes] = set()

    def measuring(self, axes: Axes) -> Any:
        measure = axes.get_tightbbox

        def get_tightbbox(renderer: Any, **options: Any) -> BboxBase | None:
            if axes in self._asked:
                self._begin_pass()
            self._asked.add(axes)
            axes.apply_aspect()
            if axes in self._reach:
                return Bbox.from_extents(*(np.asarray(axes.bbox.extents) + self._reach[axes]))
            box = measure(renderer, **options)
            self._labels[axes] = _labels(axes)
            if box is not None:
                self._reach[axes] = np.asarray(box.extents) - np.asarray(axes.bbox.extents)
            return box

        return get_tightbbox

    def _begin_pass(self) -> None:
        """Forget the margins if labels have changed since they were measured."""
        self._asked.clear()
        for axes in self._all_axes:
            for axis in (axes.xaxis, axes.yaxis):
                axis.get_majorticklabels()  # writes the labels anew
        if any(_labels(axes) != labels for axes, labels in self._labels.items()):
            self._reach.clear()


def _labels(axes: Axes) -> list[list[str]]:
    return [[tick.label1.get_text() for tick in axis.majorTicks] for axis in (axes.xaxis, axes.yaxis)]
