"""Background rejection against signal efficiency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from tamis.evaluation.roc import RocCurve, WorkingPoint
from tamis.plots.labels import ClassStyle, fitting_size
from tamis.plots.legend import Entry, add_legend, entry_width, top_with_room
from tamis.plots.style import MUTED_COLOUR, TEXT_COLOUR, LineStyle, figure_style

# A rejection is drawn where about this many background events are left; beyond, it is chance.
FEWEST_EVENTS = 5


Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class RocLine:
    """One curve of the figure.

    Args:
        style: how it is shown; the label says what is told from what.
        curve: of the network.
        limit: the best possible curve, or that of a reference, where there is one.
        working_points: cuts that are marked on the curve.
        line: how the curve is drawn.
        least: the smallest background efficiency that is drawn; by default that of five typical events. It must be
            given for a score of a few steps only, where a step is more than an event.
    """

    style: ClassStyle
    curve: RocCurve
    limit: RocCurve | None = None
    working_points: Sequence[WorkingPoint] = ()
    line: LineStyle = "-"
    least: float | None = None


@dataclass(frozen=True, eq=False)
class RocOutline:
    """One curve as it is drawn, with as many points as the eye can see.

    Args:
        style: how it is shown; the label says what is told from what.
        auc: area under the curve.
        curve: signal efficiency and rejection as far as the curve is drawn. Shape [n] each.
        certain: the part of it where enough background is left, for the range of the axis. Shape [n] each.
        limit: the best possible curve, or that of a reference, where there is one. Shape [n] each.
        limit_auc: its area.
        working_points: efficiency and rejection of the cuts that are marked. Shape [n] each.
        line: how the curve is drawn.
    """

    style: ClassStyle
    auc: float
    curve: tuple[Numbers, Numbers]
    certain: tuple[Numbers, Numbers]
    limit: tuple[Numbers, Numbers] | None
    limit_auc: float | None
    working_points: tuple[Numbers, Numbers] | None
    line: LineStyle


def outline_of(line: RocLine) -> RocOutline:
    """Reduce a curve, which has a point for each event, to what is drawn of it.

    Args:
        line: the curve with all its points.
    """
    return RocOutline(
        line.style,
        line.curve.auc,
        outline(line.curve, line.working_points, line.least),
        outline(line.curve, least=line.least),
        None if line.limit is None else outline(line.limit),
        None if line.limit is None else line.limit.auc,
        _marked(line.working_points) if line.working_points else None,
        line.line,
    )


def plot_roc(lines: Sequence[RocLine], *, limit_name: str = "limit") -> Figure:
    """Draw background rejection (1 / efficiency) against signal efficiency, one curve for each line.

    Args:
        lines: the curves.
        limit_name: what the dashed curves are, for the legend; safe to draw.
    """
    return plot_outlines([outline_of(line) for line in lines], limit_name=limit_name)


@figure_style()
def plot_outlines(lines: Sequence[RocOutline], *, limit_name: str = "limit") -> Figure:
    """Draw what `plot_roc` draws, of curves that were reduced before.

    Args:
        lines: the curves, from `outline_of`.
        limit_name: what the dashed curves are, for the legend; safe to draw.
    """
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yscale("log")
    diagonal = np.geomspace(0.01, 1.0, 100)
    axes.plot(diagonal, 1 / diagonal, color=MUTED_COLOUR, linewidth=1.0, linestyle=":")
    for line in lines:
        _draw(axes, line)
    axes.set_xlim(0.0, 1.0)
    entries = _legend_entries(lines, limit_name)
    size = min(fitting_size(text, 3.6, 9.0) for _, text in entries)
    # The curves fall to the right: only what lies below the legend needs room.
    width = max(entry_width(text, size) for _, text in entries)
    below = max([2.0, *(_highest(line, from_efficiency=1 - width / 5.6) for line in lines)])
    highest = max([5.0, *(_highest(line) for line in lines)])
    axes.set_ylim(1.0, max(1.5 * highest, top_with_room(1.0, below, len(entries), height=4.7)))
    axes.set_xlabel("Signal efficiency")
    axes.set_ylabel("Background rejection (1 / efficiency)")
    add_legend(axes, entries, loc="upper right", fontsize=size)
    return figure


def _draw(axes: Axes, line: RocOutline) -> None:
    axes.plot(*line.curve, color=line.style.colour, linestyle=line.line)
    if line.limit is not None:
        axes.plot(*line.limit, color=line.style.colour, linestyle="--", linewidth=1.2)
    axes.plot(
        *(line.working_points or ([], [])),
        color=line.style.colour,
        marker=line.style.marker,
        markersize=6.5,
        markeredgecolor="white",
        linestyle="",
        zorder=4,
    )


def _marked(points: Sequence[WorkingPoint]) -> tuple[Numbers, Numbers]:
    places = [
        (point.signal_efficiency, point.background_rejection)
        for point in points
        if point.background_rejection is not None
    ]
    signal, rejection = np.array(places, dtype=np.float64).reshape(-1, 2).T
    return signal, rejection


def least_efficiency(curve: RocCurve) -> float:
    """Give the background efficiency that about five typical events make, where events have scores of their own."""
    steps = np.abs(np.diff(curve.background_efficiency))
    return FEWEST_EVENTS * float(np.median(steps[steps > 0]))


def outline(
    curve: RocCurve, points: Sequence[WorkingPoint] = (), least: float | None = None
) -> tuple[Numbers, Numbers]:
    """Return signal efficiency and rejection where they mean something, thinned to what the eye can see.

    Args:
        curve: with all its points.
        points: marked on it, to which it has to reach.
        least: the smallest background efficiency; by default that of five typical events.
    """
    least = least_efficiency(curve) if least is None else least
    least = min(
        [least, *(point.background_efficiency for point in points if point.background_efficiency > 0)]
    )
    shown = curve.background_efficiency >= least
    signal, rejection = curve.signal_efficiency[shown], 1 / curve.background_efficiency[shown]
    cells = np.stack((np.rint(signal * 500), np.rint(np.log(rejection) * 100)))
    kept = np.append(True, (np.diff(cells) != 0).any(axis=0))[: len(signal)]
    kept[-1:] = True
    return signal[kept], rejection[kept]


def _highest(line: RocOutline, from_efficiency: float = 0.0) -> float:
    parts = [part for part in (line.certain, line.working_points, line.limit) if part is not None]
    shown = [rejection[signal >= from_efficiency] for signal, rejection in parts]
    return float(np.concatenate(shown).max(initial=1.0))


def _legend_entries(lines: Sequence[RocOutline], limit_name: str) -> list[Entry]:
    entries: list[Entry] = []
    for line in lines:
        limit = "" if line.limit_auc is None else f", {limit_name} {line.limit_auc:.4f}"
        handle = Line2D([], [], color=line.style.colour, linestyle=line.line)
        entries.append((handle, f"{line.style.text}  (AUC {line.auc:.4f}{limit})"))
    if any(line.limit is not None for line in lines):
        entries.append((Line2D([], [], color=TEXT_COLOUR, linestyle="--", linewidth=1.2), limit_name))
    if any(line.working_points is not None for line in lines):
        entries.append((Line2D([], [], color=TEXT_COLOUR, marker="o", linestyle=""), "working points"))
    entries.append((Line2D([], [], color=MUTED_COLOUR, linewidth=1.0, linestyle=":"), "random choice"))
    return entries
