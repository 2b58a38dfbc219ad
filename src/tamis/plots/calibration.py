"""Whether scores are probabilities: how often events of a given score belong to the class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from tamis.errors import TamisError
from tamis.evaluation.reliability import Reliability, ReliabilityBin
from tamis.plots.labels import ClassStyle, fitting_size
from tamis.plots.legend import Entry, add_legend, columns_that_fit
from tamis.plots.panels import grid_of
from tamis.plots.style import MUTED_COLOUR, TEXT_COLOUR, figure_style

_BAND_COLOUR = "#e4e5e8"
_MOST_PULL = 5.0


@figure_style()
def plot_calibration(
    before: Sequence[Reliability],
    after: Sequence[Reliability] | None = None,
    *,
    classes: Sequence[ClassStyle],
    correction: str = "temperature scaling",
) -> Figure:
    """Draw for each class the fraction of its events against its score, and the pulls below.

    A pull is the difference of fraction and score in units of its standard deviation; one beyond five stands at the
    edge as a triangle. The grey band is one standard deviation around the diagonal.

    Args:
        before: reliability of each class.
        after: the same after a correction.
        classes: how each class is shown.
        correction: what the correction is, for the legend; safe to draw.

    Raises:
        TamisError: if there is not one reliability for each class.
    """
    if len(before) != len(classes) or (after is not None and len(after) != len(classes)):
        raise TamisError(f"calibration: expected {len(classes)} reliabilities, one for each class")
    columns, rows = grid_of(len(classes))
    figure = Figure(figsize=(0.4 + 3.3 * columns, 0.6 + 4.0 * rows), layout="constrained")
    places = figure.add_gridspec(2 * rows, columns, height_ratios=(3.2, 1.0) * rows)
    for index, style in enumerate(classes):
        row, column = divmod(index, columns)
        curve = figure.add_subplot(places[2 * row, column])
        pulls = figure.add_subplot(places[2 * row + 1, column], sharex=curve)
        _draw_curve(curve, before[index], style, filled=True)
        _draw_pulls(pulls, before[index], style, filled=True)
        if after is not None:
            _draw_curve(curve, after[index], style, filled=False)
            _draw_pulls(pulls, after[index], style, filled=False)
        _name_axes(curve, pulls, style, first=column == 0)
        _say_errors(curve, before[index], None if after is None else after[index])
    entries = _entries(correction, after is not None)
    fitting = columns_that_fit([text for _, text in entries], figure.get_figwidth() - 0.4, 9.0)
    add_legend(figure, entries, loc="outside upper center", ncols=fitting)
    return figure


def _draw_curve(axes: Axes, found: Reliability, style: ClassStyle, *, filled: bool) -> None:
    score, fraction, error = _columns(found.bins)
    if filled:
        axes.plot([0, 1], [0, 1], color=MUTED_COLOUR, linewidth=1.0, linestyle=":")
        axes.fill_between(score, score - error, score + error, color=_BAND_COLOUR, linewidth=0)
    axes.errorbar(score, fraction, error if filled else None, **_points(style, filled=filled))
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.tick_params(labelbottom=False)


def _draw_pulls(axes: Axes, found: Reliability, style: ClassStyle, *, filled: bool) -> None:
    score, fraction, error = _columns(found.bins)
    known = error > 0
    pull = (fraction[known] - score[known]) / error[known]
    if filled:
        axes.axhspan(-1, 1, color=_BAND_COLOUR, linewidth=0)
        axes.axhline(0, color=MUTED_COLOUR, linewidth=1.0, linestyle=":")
    looks = _points(style, filled=filled)
    inside = np.abs(pull) <= _MOST_PULL
    axes.plot(score[known][inside], pull[inside], **looks)
    for marker, beyond in (("^", pull > _MOST_PULL), ("v", pull < -_MOST_PULL)):
        edge = np.full(beyond.sum(), _MOST_PULL if marker == "^" else -_MOST_PULL)
        axes.plot(score[known][beyond], edge, **{**looks, "marker": marker, "markersize": 6.0})
    axes.set_ylim(-1.15 * _MOST_PULL, 1.15 * _MOST_PULL)


def _columns(bins: Sequence[ReliabilityBin]) -> tuple[np.ndarray[Any, np.dtype[np.float64]], ...]:
    return tuple(
        np.array([getattr(each, name) for each in bins], np.float64)
        for name in ("score", "fraction", "error")
    )


def _points(style: ClassStyle, *, filled: bool) -> dict[str, Any]:
    # hollow, so that it hides nothing
    face = style.colour if filled else "none"
    edge = "white" if filled else TEXT_COLOUR
    return {
        "color": style.colour,
        "marker": "o" if filled else "s",
        "linestyle": "",
        "markersize": 5.5 if filled else 6.5,
        "markerfacecolor": face,
        "markeredgecolor": edge,
        "markeredgewidth": 0.5 if filled else 0.9,
        "zorder": 3 if filled else 4,
    }


def _name_axes(curve: Axes, pulls: Axes, style: ClassStyle, *, first: bool) -> None:
    curve.set_title(style.text, fontsize=fitting_size(style.text, 2.5, 11.0), color=TEXT_COLOUR)
    pulls.set_xlabel("Score")
    if first:
        curve.set_ylabel("Fraction of the class")
        pulls.set_ylabel("Pull", loc="center")


def _say_errors(axes: Axes, before: Reliability, after: Reliability | None) -> None:
    lines = [_line("\N{BLACK CIRCLE}", before)]
    if after is not None:
        lines.append(_line("\N{WHITE SQUARE}", after))
    lines.append(f"by chance ECE {before.by_chance:.4f}")
    axes.text(
        0.04, 0.965, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=8.0, linespacing=1.4
    )


def _line(what: str, found: Reliability) -> str:
    # no simulation deviated as much: all that is known is that the p-value is not larger
    chance = "p \N{LESS-THAN OR EQUAL TO} 0.001" if found.p_value <= 0.001 else f"p = {found.p_value:.2g}"
    return f"{what} ECE {found.error:.4f}, {chance}"


def _entries(correction: str, corrected: bool) -> list[Entry]:
    filled: dict[str, Any] = {"color": MUTED_COLOUR, "linestyle": "", "markersize": 5.5}
    entries: list[Entry] = [(Line2D([], [], marker="o", **filled), "test events, as they are")]
    if corrected:
        hollow = {**filled, "markerfacecolor": "none", "markeredgecolor": TEXT_COLOUR}
        entries.append((Line2D([], [], marker="s", **hollow), f"after {correction}"))
    entries.append((Patch(color=_BAND_COLOUR), "one standard deviation"))
    entries.append((Line2D([], [], color=MUTED_COLOUR, linewidth=1.0, linestyle=":"), "exact"))
    return entries
