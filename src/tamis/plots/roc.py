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
from tamis.plots.legend import Entry, add_legend
from tamis.plots.style import MUTED_COLOUR, TEXT_COLOUR, figure_style

# Where less signal passes, what is left of the background are single events.
SMALLEST_EFFICIENCY = 0.02
_LARGEST_REJECTION = 1e7
_POINTS = 500


@dataclass(frozen=True)
class RocLine:
    """One curve of the figure.

    Args:
        style: how it is shown; the label says what is told from what.
        curve: of the network.
        limit: the best possible curve, or that of a reference, where there is one.
        working_points: cuts that are marked on the curve.
    """

    style: ClassStyle
    curve: RocCurve
    limit: RocCurve | None = None
    working_points: Sequence[WorkingPoint] = ()


@figure_style()
def plot_roc(lines: Sequence[RocLine], *, limit_name: str = "limit") -> Figure:
    """Draw background rejection (1 / efficiency) against signal efficiency, one curve for each line.

    Args:
        lines: the curves.
        limit_name: what the dashed curves are, for the legend.
    """
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yscale("log")
    diagonal = np.linspace(SMALLEST_EFFICIENCY, 1.0, 200)
    axes.plot(diagonal, 1 / diagonal, color=MUTED_COLOUR, linewidth=1.0, linestyle=":")
    for line in lines:
        _draw(axes, line)
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(1.0, 1.6 * max([10.0, *(_highest(curve) for line in lines for curve in _curves(line))]))
    axes.set_xlabel("Signal efficiency")
    axes.set_ylabel("Background rejection (1 / efficiency)")
    _add_legend(axes, lines, limit_name)
    return figure


def _curves(line: RocLine) -> list[RocCurve]:
    return [line.curve] if line.limit is None else [line.curve, line.limit]


def _draw(axes: Axes, line: RocLine) -> None:
    axes.plot(*_outline(line.curve), color=line.style.colour)
    if line.limit is not None:
        axes.plot(*_outline(line.limit), color=line.style.colour, linestyle="--", linewidth=1.2)
    marked = [
        (point.signal_efficiency, point.background_rejection)
        for point in line.working_points
        if point.background_rejection is not None
    ]
    axes.plot(
        [signal for signal, _ in marked],
        [rejection for _, rejection in marked],
        color=line.style.colour,
        marker=line.style.marker,
        markersize=6.5,
        markeredgecolor="white",
        linestyle="",
        zorder=4,
    )


def _outline(curve: RocCurve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Thin a curve to what the eye can see, so that the file stays small."""
    shown = (curve.signal_efficiency >= SMALLEST_EFFICIENCY) & (
        curve.background_efficiency >= 1 / _LARGEST_REJECTION
    )
    signal, rejection = curve.signal_efficiency[shown], 1 / curve.background_efficiency[shown]
    steps = np.concatenate(
        (np.rint(signal * _POINTS)[:, None], np.rint(np.log(rejection) * 50)[:, None]), axis=1
    )
    kept = np.append((np.diff(steps, axis=0) != 0).any(axis=1), True)[: len(signal)]
    return signal[kept], rejection[kept]


def _highest(curve: RocCurve) -> float:
    _, rejection = _outline(curve)
    return float(rejection.max(initial=1.0))


def _add_legend(axes: Axes, lines: Sequence[RocLine], limit_name: str) -> None:
    entries: list[Entry] = []
    for line in lines:
        entries.append(
            (Line2D([], [], color=line.style.colour), f"{line.style.text}  (AUC {line.curve.auc:.4f})")
        )
        if line.limit is not None:
            dashed = Line2D([], [], color=line.style.colour, linestyle="--", linewidth=1.2)
            entries.append((dashed, f"{limit_name}  (AUC {line.limit.auc:.4f})"))
    if any(line.working_points for line in lines):
        entries.append((Line2D([], [], color=TEXT_COLOUR, marker="o", linestyle=""), "working points"))
    entries.append((Line2D([], [], color=MUTED_COLOUR, linewidth=1.0, linestyle=":"), "random choice"))
    size = min(fitting_size(text, 3.6, 9.0) for _, text in entries)
    add_legend(axes, entries, loc="upper right", fontsize=size)
