"""What each feature is worth to the network, as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from tamis.errors import TamisError
from tamis.evaluation.importance import Importance
from tamis.plots.labels import ClassStyle, fitting_size, literal, text_width
from tamis.plots.legend import Entry, add_legend, columns_that_fit
from tamis.plots.style import MUTED_COLOUR, SIX_COLOURS, TEXT_COLOUR, figure_style

MOST_BARS = 30
_MOST_CLASSES = 6
_LARGEST_GROUP = 4
_LONGEST_LABEL = 2.6
_ROW = 0.36
_LEFT_OUT: dict[str, Any] = {
    "color": TEXT_COLOUR,
    "marker": "D",
    "markersize": 5.0,
    "markerfacecolor": "white",
    "linestyle": "",
    "zorder": 4,
}


@figure_style()
def plot_importance(
    found: Sequence[Importance], *, classes: Sequence[ClassStyle], labels: Mapping[str, str] | None = None
) -> Figure:
    """Draw by how much the loss grows, and the areas under the curves fall, without each group of features.

    Correlated features are one bar; where the network was trained without them too, a diamond shows
    that. The areas have a panel of their own for up to six classes.

    Args:
        found: by falling importance; the first thirty are drawn.
        classes: how each class is shown.
        labels: what to draw for a feature, from `axis_label`; its name where there is none.

    Raises:
        TamisError: if there is nothing to draw, or another number of classes.
    """
    if not found or any(len(each.exchanged.auc) != len(classes) for each in found):
        raise TamisError(f"importance: expected features with {len(classes)} areas each")
    shown = found[:MOST_BARS]
    texts = [_name(each.features, labels or {}) for each in shown]
    sizes = [min(fitting_size(line, _LONGEST_LABEL, 10.0) for line in text.split("\n")) for text in texts]
    margin = max(
        text_width(line, size) for text, size in zip(texts, sizes, strict=True) for line in text.split("\n")
    )
    with_areas = 1 < len(classes) <= _MOST_CLASSES
    row = _ROW + 0.03 * max(len(classes) - 2, 0) * with_areas
    heights = np.array([max(row, 0.2 * (1 + text.count("\n")) + 0.12) for text in texts])
    figure = Figure(
        figsize=(margin + (7.4 if with_areas else 4.6), heights.sum() + (1.7 if with_areas else 1.1)),
        layout="constrained",
    )
    panels = figure.subplots(1, 2 if with_areas else 1, sharey=True, squeeze=False)[0]
    middle = np.cumsum(heights) - heights / 2
    _draw_loss(panels[0], shown, middle, heights)
    if with_areas:
        _draw_areas(panels[1], shown, classes, middle, heights)
    entries = _entries(shown, classes if with_areas else ())
    if entries:
        _add_legend(figure, entries)
    _name_rows(panels[0], texts, sizes, middle, float(heights.sum()))
    if len(found) > MOST_BARS:
        note = f"{len(found) - MOST_BARS} more are worth less than {shown[-1].loss:.2g} in the loss"
        panels[0].set_title(note, loc="right", fontsize=8.5, color=MUTED_COLOUR)
    return figure


def _name(features: Sequence[str], labels: Mapping[str, str]) -> str:
    texts = [labels.get(name) or literal(name) for name in features]
    if len(texts) > _LARGEST_GROUP:
        texts = [*texts[: _LARGEST_GROUP - 1], f"and {len(texts) - _LARGEST_GROUP + 1} more"]
    return "\n".join(texts)


def _draw_loss(
    axes: Axes,
    shown: Sequence[Importance],
    middle: np.ndarray[tuple[int], np.dtype[np.float64]],
    heights: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    values = np.array([each.loss for each in shown])
    axes.barh(middle, values, 0.6 * heights, color=SIX_COLOURS[0], linewidth=0)
    _draw_intervals(axes, [each.exchanged.loss_interval for each in shown], middle, TEXT_COLOUR)
    below = middle + 0.2 * heights
    _draw_intervals(
        axes,
        [None if each.left_out is None else each.left_out.loss_interval for each in shown],
        below,
        TEXT_COLOUR,
    )
    known = [(each.left_out.loss, place) for each, place in zip(shown, below, strict=True) if each.left_out]
    axes.plot(*np.array(known).reshape(-1, 2).T, **_LEFT_OUT)
    axes.axvline(0.0, color=MUTED_COLOUR, linewidth=0.8)
    axes.set_xlabel("Growth of the loss")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _draw_intervals(
    axes: Axes,
    intervals: Sequence[tuple[float, float] | None],
    places: np.ndarray[tuple[int], np.dtype[np.float64]],
    colour: str,
) -> None:
    known = [
        (*each, place) for each, place in zip(intervals, places.tolist(), strict=True) if each is not None
    ]
    low, high, place = np.array(known).reshape(-1, 3).T
    axes.hlines(place, low, high, color=colour, linewidth=1.4)


def _draw_areas(
    axes: Axes,
    shown: Sequence[Importance],
    classes: Sequence[ClassStyle],
    middle: np.ndarray[tuple[int], np.dtype[np.float64]],
    heights: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    axes.axvline(0.0, color=MUTED_COLOUR, linewidth=0.8)
    for edge in np.cumsum(heights)[:-1]:
        axes.axhline(edge, color="#e4e5e8", linewidth=0.8, zorder=0.5)
    for number, style in enumerate(classes):
        offset = (number - (len(classes) - 1) / 2) * 0.7 * heights / max(len(classes), 2)
        intervals = [each.exchanged.auc_interval[number] for each in shown]
        _draw_intervals(axes, intervals, middle + offset, style.colour)
        axes.plot(
            [each.exchanged.auc[number] for each in shown], middle + offset, color=style.colour, linestyle="",
            marker=style.marker, markersize=4.5, markeredgecolor="white", markeredgewidth=0.4,
        )  # fmt: skip
    axes.set_xlabel("Fall of the area under the curve")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _name_rows(
    axes: Axes,
    texts: Sequence[str],
    sizes: Sequence[float],
    middle: np.ndarray[tuple[int], np.dtype[np.float64]],
    height: float,
) -> None:
    axes.set_ylim(height, 0)
    axes.set_yticks(middle, texts)
    for label, size in zip(axes.get_yticklabels(), sizes, strict=True):
        label.set_fontsize(size)
    for each in axes.figure.axes:
        each.tick_params(axis="y", which="both", length=0)


def _entries(shown: Sequence[Importance], classes: Sequence[ClassStyle]) -> list[Entry]:
    entries: list[Entry] = []
    if any(each.left_out is not None for each in shown):
        entries.append((Patch(color=SIX_COLOURS[0]), "values exchanged"))
        entries.append((Line2D([], [], **_LEFT_OUT), "trained without"))
    for style in classes:
        line = Line2D([], [], color=style.colour, marker=style.marker, linewidth=1.3)
        entries.append((line, style.text))
    return entries


def _add_legend(figure: Figure, entries: Sequence[Entry]) -> None:
    texts = [text for _, text in entries]
    size = min(fitting_size(text, 2.6, 9.0) for text in texts)
    columns = columns_that_fit(texts, figure.get_figwidth() - 0.4, size)
    add_legend(figure, entries, loc="outside upper center", ncols=columns, fontsize=size)
