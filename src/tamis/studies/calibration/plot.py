"""How often events of a given score belong to the class, and the pulls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from tamis.errors import TamisError
from tamis.plots.book import Drawing
from tamis.plots.labels import ClassStyle, FigureLabels, compute_font_size, with_sign
from tamis.plots.layout import choose_grid
from tamis.plots.legend import Entry
from tamis.plots.style import MUTED_COLOUR, SHADE_COLOUR, TEXT_COLOUR, figure_style
from tamis.statistics.reliability import Reliability, ReliabilityBin
from tamis.studies.calibration.result import CalibrationResult
from tamis.studies.figure_parts import add_top_legend

_MOST_PULL = 5.0


def figures(result: CalibrationResult, labels: FigureLabels) -> list[Drawing]:
    """Return the figures of the study."""
    arguments = {"before": result.balanced, "after": result.with_temperature, "classes": labels.classes}
    return [Drawing("calibration", plot_calibration, arguments)]


@figure_style()
def plot_calibration(
    before: Sequence[Reliability],
    after: Sequence[Reliability],
    *,
    classes: Sequence[ClassStyle],
) -> Figure:
    """Draw for each class the fraction of its events against its score, before and after temperature scaling.

    The pulls below are the differences of fraction and score in standard deviations, of the bins that the p-value uses;
    triangles at the edge are pulls beyond five. The grey band is one standard deviation around the diagonal.

    Raises:
        TamisError: if there is not one reliability for each class.
    """
    if not len(before) == len(after) == len(classes):
        raise TamisError(f"calibration: expected {len(classes)} reliabilities, one for each class")
    columns, rows = choose_grid(len(classes))
    figure = Figure(figsize=(0.4 + 3.3 * columns, 0.6 + 4.0 * rows), layout="constrained")
    places = figure.add_gridspec(2 * rows, columns, height_ratios=(3.2, 1.0) * rows)
    for index, style in enumerate(classes):
        row, column = divmod(index, columns)
        curve = figure.add_subplot(places[2 * row, column])
        pulls = figure.add_subplot(places[2 * row + 1, column], sharex=curve)
        for reliability, filled in ((before[index], True), (after[index], False)):
            _draw_curve(curve, reliability, style, filled=filled)
            _draw_pulls(pulls, reliability, style, filled=filled)
        _name_axes(curve, pulls, style, first=column == 0)
        errors = [
            f"{marker} ECE {reliability.error:.4f}, {with_sign(reliability.chance)}\n"
            for marker, reliability in (
                ("\N{BLACK CIRCLE}", before[index]), ("\N{WHITE SQUARE}", after[index]),
            )
        ]  # fmt: skip
        note = f"{''.join(errors)}expected ECE {before[index].error_by_chance:.4f}"
        curve.text(0.04, 0.965, note, transform=curve.transAxes, va="top", fontsize=8.0, linespacing=1.4)
    add_top_legend(figure, _entries())
    return figure


def _draw_curve(axes: Axes, reliability: Reliability, style: ClassStyle, *, filled: bool) -> None:
    score, fraction, error = _columns(reliability.bins)
    if filled:
        axes.plot([0, 1], [0, 1], color=MUTED_COLOUR, linewidth=1.0, linestyle=":")
        axes.fill_between(score, score - error, score + error, color=SHADE_COLOUR, linewidth=0)
    axes.errorbar(score, fraction, error if filled else None, **_points(style, filled=filled))
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.tick_params(labelbottom=False)


def _draw_pulls(axes: Axes, reliability: Reliability, style: ClassStyle, *, filled: bool) -> None:
    score, fraction, error = _columns([counted for counted in reliability.bins if counted.in_p_value])
    pull = (fraction - score) / error
    if filled:
        axes.axhspan(-1, 1, color=SHADE_COLOUR, linewidth=0)
        axes.axhline(0, color=MUTED_COLOUR, linewidth=1.0, linestyle=":")
    looks = _points(style, filled=filled)
    inside = np.abs(pull) <= _MOST_PULL
    axes.plot(score[inside], pull[inside], **looks)
    for marker, beyond in (("^", pull > _MOST_PULL), ("v", pull < -_MOST_PULL)):
        edge = np.full(beyond.sum(), _MOST_PULL if marker == "^" else -_MOST_PULL)
        axes.plot(score[beyond], edge, **{**looks, "marker": marker, "markersize": 6.0})
    axes.set_ylim(-1.15 * _MOST_PULL, 1.15 * _MOST_PULL)


def _columns(bins: Sequence[ReliabilityBin]) -> tuple[np.ndarray[Any, np.dtype[np.float64]], ...]:
    return tuple(
        np.array([getattr(reliability_bin, name) for reliability_bin in bins], np.float64)
        for name in ("score", "fraction", "error")
    )


def _points(style: ClassStyle, *, filled: bool) -> dict[str, Any]:
    common: dict[str, Any] = {"color": style.colour, "linestyle": ""}
    if filled:
        return common | {
            "marker": "o", "markersize": 5.5, "markerfacecolor": style.colour, "markeredgecolor": "white",
            "markeredgewidth": 0.5, "zorder": 3,
        }  # fmt: skip
    # hollow, so that it hides nothing
    return common | {
        "marker": "s", "markersize": 6.5, "markerfacecolor": "none", "markeredgecolor": TEXT_COLOUR,
        "markeredgewidth": 0.9, "zorder": 4,
    }  # fmt: skip


def _name_axes(curve: Axes, pulls: Axes, style: ClassStyle, *, first: bool) -> None:
    curve.set_title(style.text, fontsize=compute_font_size(style.text, 2.5, 11.0), color=TEXT_COLOUR)
    pulls.set_xlabel("Score")
    if first:
        curve.set_ylabel("Fraction of the class")
        pulls.set_ylabel("Pull", loc="center")


def _entries() -> list[Entry]:
    filled: dict[str, Any] = {"color": MUTED_COLOUR, "linestyle": "", "markersize": 5.5}
    hollow = {**filled, "markerfacecolor": "none", "markeredgecolor": TEXT_COLOUR}
    return [
        (Line2D([], [], marker="o", **filled), "test events"),
        (Line2D([], [], marker="s", **hollow), "after temperature scaling"),
        (Patch(color=SHADE_COLOUR), "one standard deviation"),
        (Line2D([], [], color=MUTED_COLOUR, linewidth=1.0, linestyle=":"), "perfect calibration"),
    ]
