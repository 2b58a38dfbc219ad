"""Background rejection against signal efficiency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tamis.arrays import Float64
from tamis.plots.labels import ClassStyle, compute_font_size
from tamis.plots.legend import Entry, add_legend, compute_axis_top, compute_entry_width
from tamis.plots.style import MUTED_COLOUR, TEXT_COLOUR, LineStyle, figure_style
from tamis.statistics.roc_outline import RocOutline, RocPoints
from tamis.wording import format_metric

_NO_POINTS = RocPoints(np.empty(0), np.empty(0))


@dataclass(frozen=True, eq=False)
class RocLine:
    """One curve of the figure, of a class that is separated from the others, with the Bayes optimum or a reference."""

    style: ClassStyle
    curve: RocOutline
    optimum: RocOutline | None = None
    working_points: RocPoints | None = None
    line: LineStyle = "-"


@figure_style()
def plot_roc(lines: Sequence[RocLine], *, optimum_name: str = "Bayes optimum") -> Figure:
    """Draw background rejection (1 / efficiency) against signal efficiency, one curve for each line.

    `optimum_name` is the name of the dashed curves in the legend, safe to draw.
    """
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yscale("log")
    diagonal = np.geomspace(0.01, 1.0, 100)
    axes.plot(diagonal, 1 / diagonal, color=MUTED_COLOUR, linewidth=1.0, linestyle=":")
    for line in lines:
        _draw(axes, line)
    axes.set_xlim(0.0, 1.0)
    entries = _legend_entries(lines, optimum_name)
    size = min(compute_font_size(text, 3.6, 9.0) for _, text in entries)
    # the curves fall to the right, so only the part below the legend needs room
    width = max(compute_entry_width(text, size) for _, text in entries)
    # the axes are 5.6 inches wide and 4.7 inches high in this figure
    below = max([2.0, *(_highest(line, from_efficiency=1 - width / 5.6) for line in lines)])
    highest = max([5.0, *(_highest(line) for line in lines)])
    axes.set_ylim(1.0, max(1.5 * highest, compute_axis_top(1.0, below, len(entries), height=4.7)))
    axes.set_xlabel("Signal efficiency")
    axes.set_ylabel("Background rejection (1 / efficiency)")
    add_legend(axes, entries, loc="upper right", fontsize=size)
    return figure


def _draw(axes: Axes, line: RocLine) -> None:
    axes.plot(*_coordinates(line.curve.points), color=line.style.colour, linestyle=line.line)
    if line.optimum is not None:
        optimum = _coordinates(line.optimum.points)
        axes.plot(*optimum, color=line.style.colour, linestyle="--", linewidth=1.2)
    axes.plot(
        *_coordinates(line.working_points or _NO_POINTS),
        color=line.style.colour,
        marker=line.style.marker,
        markersize=6.5,
        markeredgecolor="white",
        linestyle="",
        zorder=4,
    )


def _coordinates(points: RocPoints) -> tuple[Float64, Float64]:
    return points.signal_efficiency, points.background_rejection


def _highest(line: RocLine, from_efficiency: float = 0.0) -> float:
    optimum = None if line.optimum is None else line.optimum.points
    point_sets = [
        points for points in (line.curve.certain, line.working_points, optimum) if points is not None
    ]
    shown = [
        points.background_rejection[points.signal_efficiency >= from_efficiency] for points in point_sets
    ]
    return float(np.concatenate(shown).max(initial=1.0))


def _legend_entries(lines: Sequence[RocLine], optimum_name: str) -> list[Entry]:
    entries: list[Entry] = []
    for line in lines:
        optimum = "" if line.optimum is None else f", {optimum_name} {format_metric(line.optimum.auc)[0]}"
        handle = Line2D([], [], color=line.style.colour, linestyle=line.line)
        entries.append((handle, f"{line.style.text}  (AUC {format_metric(line.curve.auc)[0]}{optimum})"))
    if any(line.optimum is not None for line in lines):
        entries.append((Line2D([], [], color=TEXT_COLOUR, linestyle="--", linewidth=1.2), optimum_name))
    if any(line.working_points is not None for line in lines):
        entries.append((Line2D([], [], color=TEXT_COLOUR, marker="o", linestyle=""), "working points"))
    entries.append((Line2D([], [], color=MUTED_COLOUR, linewidth=1.0, linestyle=":"), "random choice"))
    return entries
