"""The importance of each feature, as bars."""

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
from tamis.plots.book import Drawing
from tamis.plots.labels import ClassStyle, FigureLabels, compute_font_size, literal
from tamis.plots.legend import Entry
from tamis.plots.style import MUTED_COLOUR, SHADE_COLOUR, TEXT_COLOUR, figure_style
from tamis.studies.figure_parts import add_top_legend, fit_names, name_rows
from tamis.studies.importance.result import FeatureImportance, ImportanceResult

MOST_BARS = 30
_MOST_CLASSES = 6
_LARGEST_GROUP = 4
_LONGEST_LABEL = 2.6
_ROW = 0.36
# grey, because the bars are not of one class
_BARS: dict[str, Any] = {"color": MUTED_COLOUR, "alpha": 0.6, "linewidth": 0}
_ABLATED: dict[str, Any] = {
    "color": TEXT_COLOUR,
    "marker": "D",
    "markersize": 5.0,
    "markerfacecolor": "white",
    "linestyle": "",
    "zorder": 4,
}


def figures(result: ImportanceResult, labels: FigureLabels) -> list[Drawing]:
    """Return the figures of the study."""
    arguments = {"groups": result.groups, "classes": labels.classes, "labels": labels.features}
    return [Drawing("importance", plot_importance, arguments)]


@figure_style()
def plot_importance(
    groups: Sequence[FeatureImportance],
    *,
    classes: Sequence[ClassStyle],
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the increase of the loss and the decrease of the areas under the curves without each group of features.

    The first thirty groups are drawn, with labels from `axis_label`. Correlated features are one bar. A diamond shows
    the loss of a network that was trained without them. The areas have a second panel for up to six classes.

    Raises:
        TamisError: if there is nothing to draw, or another number of classes.
    """
    if not groups or any(len(group.permuted.auc) != len(classes) for group in groups):
        raise TamisError(f"importance: expected features with {len(classes)} areas each")
    shown = groups[:MOST_BARS]
    texts = [_name(group.features, labels or {}) for group in shown]
    sizes, margin = fit_names(texts, _LONGEST_LABEL, 10.0)
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
        add_top_legend(figure, entries, min(compute_font_size(text, 2.6, 9.0) for _, text in entries))
    panels[0].set_ylim(float(heights.sum()), 0)
    name_rows(panels[0], middle, texts, sizes)
    if len(groups) > MOST_BARS:
        note = f"{len(groups) - MOST_BARS} more below {shown[-1].permuted.loss:.2g}"
        panels[0].set_title(note, loc="right", fontsize=8.5, color=MUTED_COLOUR)
    return figure


def _name(features: Sequence[str], labels: Mapping[str, str]) -> str:
    texts = [labels.get(name) or literal(name) for name in features]
    if len(texts) > _LARGEST_GROUP:
        texts = [*texts[: _LARGEST_GROUP - 1], f"and {len(texts) - _LARGEST_GROUP + 1} more"]
    return "\n".join(texts)


def _draw_loss(
    axes: Axes,
    shown: Sequence[FeatureImportance],
    middle: np.ndarray[tuple[int], np.dtype[np.float64]],
    heights: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    values = np.array([group.permuted.loss for group in shown])
    axes.barh(middle, values, 0.6 * heights, **_BARS)
    _draw_intervals(axes, [group.permuted.loss_interval for group in shown], middle, TEXT_COLOUR)
    below = middle + 0.2 * heights
    ablated = [None if group.ablated is None else group.ablated.loss_interval for group in shown]
    _draw_intervals(axes, ablated, below, TEXT_COLOUR)
    known = [(group.ablated.loss, y) for group, y in zip(shown, below, strict=True) if group.ablated]
    axes.plot(*np.array(known).reshape(-1, 2).T, **_ABLATED)
    axes.axvline(0.0, color=MUTED_COLOUR, linewidth=0.8)
    axes.set_xlabel("Increase of the loss")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _draw_intervals(
    axes: Axes,
    intervals: Sequence[tuple[float, float] | None],
    positions: np.ndarray[tuple[int], np.dtype[np.float64]],
    colour: str,
) -> None:
    known = [(*interval, y) for interval, y in zip(intervals, positions.tolist(), strict=True) if interval]
    low, high, y = np.array(known).reshape(-1, 3).T
    axes.hlines(y, low, high, color=colour, linewidth=1.4)


def _draw_areas(
    axes: Axes,
    shown: Sequence[FeatureImportance],
    classes: Sequence[ClassStyle],
    middle: np.ndarray[tuple[int], np.dtype[np.float64]],
    heights: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    axes.axvline(0.0, color=MUTED_COLOUR, linewidth=0.8)
    for edge in np.cumsum(heights)[:-1]:
        axes.axhline(edge, color=SHADE_COLOUR, linewidth=0.8, zorder=0.5)
    for number, style in enumerate(classes):
        offset = (number - (len(classes) - 1) / 2) * 0.7 * heights / max(len(classes), 2)
        intervals = [group.permuted.auc_interval[number] for group in shown]
        _draw_intervals(axes, intervals, middle + offset, style.colour)
        axes.plot(
            [group.permuted.auc[number] for group in shown], middle + offset, color=style.colour, linestyle="",
            marker=style.marker, markersize=4.5, markeredgecolor="white", markeredgewidth=0.4,
        )  # fmt: skip
    axes.set_xlabel("Decrease of the area under the curve")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _entries(shown: Sequence[FeatureImportance], classes: Sequence[ClassStyle]) -> list[Entry]:
    entries: list[Entry] = []
    if any(group.ablated is not None for group in shown):
        entries.append((Patch(**_BARS), "features permuted"))
        entries.append((Line2D([], [], **_ABLATED), "trained without (ablation)"))
    for style in classes:
        line = Line2D([], [], color=style.colour, marker=style.marker, linewidth=1.3)
        entries.append((line, style.text))
    return entries
