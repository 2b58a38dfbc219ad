"""The numbers of each network beside those of their average."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from tamis.evaluation.metrics import Metrics
from tamis.evaluation.parts import Intervals
from tamis.evaluation.stability import MemberNumbers, Stability
from tamis.plots.labels import ClassStyle, fitting_size
from tamis.plots.style import MUTED_COLOUR, TEXT_COLOUR, PlainTicks, figure_style

_COLUMNS = 4
_BAND_COLOUR = "#e9ebf0"


@figure_style()
def plot_stability(
    stability: Stability, together: Metrics, intervals: Intervals, *, classes: Sequence[ClassStyle]
) -> Figure:
    """Draw loss, accuracy and areas under the curve of each network alone, with those of the classifier as a band.

    Bars and the band are 68.3% intervals of the finite number of test events. Without folds all points have the same
    events, so that they move together and differ by less than their bars.

    Args:
        stability: numbers of each network.
        together: those of the classifier, on all test events.
        intervals: of these.
        classes: how each class is shown.
    """
    panels: list[tuple[str, str, float, tuple[float, float] | None, str, int | None]] = [
        ("Loss", TEXT_COLOUR, together.loss, intervals.loss, "loss", None),
        ("Accuracy", TEXT_COLOUR, together.accuracy, intervals.accuracy, "accuracy", None),
    ]
    panels += [
        (f"AUC of {style.text}", style.colour, area, intervals.auc[index], "auc", index)
        for index, (style, area) in enumerate(zip(classes, together.auc, strict=True))
        if area is not None
    ]
    columns = 3 if len(panels) in (5, 6) else min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    height = 1.0 + 0.26 * (len(stability.members) + 1)
    figure = Figure(figsize=(1.2 + 2.5 * columns, rows * height), layout="constrained")
    names = [*_names(stability.members), "together"]
    for number, (title, colour, value, interval, quantity, index) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, number + 1)
        points = [_point(member, quantity, index) for member in stability.members]
        _draw(axes, points, colour)
        _draw_together(axes, value, interval, len(points), colour)
        _finish(axes, names if number % columns == 0 else [""] * len(names), title)
    return figure


def _names(members: Sequence[MemberNumbers]) -> list[str]:
    seen: dict[int | None, int] = {}
    several = len({member.fold for member in members}) < len(members)
    names = []
    for member in members:
        seed = seen[member.fold] = seen.get(member.fold, 0) + 1
        fold = [] if member.fold is None else [f"fold {member.fold}"]
        names.append(", ".join([*fold, *([f"network {seed}"] if several else [])]))
    return names


def _point(member: MemberNumbers, quantity: str, index: int | None) -> tuple[float | None, float | None]:
    value, error = getattr(member, quantity), getattr(member, f"{quantity}_error")
    return (value, error) if index is None else (value[index], error[index])


def _draw(axes: Axes, points: Sequence[tuple[float | None, float | None]], colour: str) -> None:
    for row, (value, error) in enumerate(points):
        if value is not None:
            axes.errorbar(value, row, xerr=error, color=colour, marker="o", markersize=4.5, elinewidth=1.1)


def _draw_together(
    axes: Axes, value: float, interval: tuple[float, float] | None, row: int, colour: str
) -> None:
    axes.axvline(value, color=MUTED_COLOUR, linewidth=0.9, zorder=0.6)
    bars = None
    if interval is not None:
        axes.axvspan(*interval, color=_BAND_COLOUR, linewidth=0, zorder=0.5)
        bars = np.maximum([[value - interval[0]], [interval[1] - value]], 0)
    axes.errorbar(value, row, xerr=bars, color=colour, marker="D", markersize=5.5, elinewidth=1.6)


def _finish(axes: Axes, names: Sequence[str], title: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.axhline(len(names) - 1.5, color=MUTED_COLOUR, linewidth=0.6)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", length=0, labelsize=9.0)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(PlainTicks(useOffset=False))
    axes.tick_params(axis="x", labelsize=8.5)
    axes.set_xlabel(title, fontsize=fitting_size(title, 2.2, 10.5), loc="center")
