"""One class against one other: the matrix of the areas, and a signal against each background."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tamis.errors import TamisError
from tamis.evaluation.pairs import Interval, PairCurve, Pairs
from tamis.plots.cells import draw_cells, number_colour
from tamis.plots.labels import ClassStyle, fitting_size, text_width
from tamis.plots.roc import RocLine, RocOutline, outline_of, plot_outlines
from tamis.plots.style import LIGHT_ON_FILL, LINE_STYLES, MUTED_COLOUR, figure_style

_SHADES = LinearSegmentedColormap.from_list(
    "area", [LIGHT_ON_FILL, "#c5d7fb", "#5790fc", "#1d3f8f", "#0b1f52"]
)
_LONGEST_LABEL = 2.4


@figure_style()
def plot_pairs(pairs: Pairs, *, classes: Sequence[ClassStyle]) -> Figure:
    """Draw the area under the curve of every pair of classes, with the larger side of its interval.

    Each pair stands once, below the diagonal. The shades go from the pair that is told apart worst to 1, so that
    differences show where all are good; a pair that is not defined is hatched.

    Args:
        pairs: the areas.
        classes: how each class is shown.

    Raises:
        TamisError: if there is another number of classes, or fewer than two.
    """
    count = len(classes)
    if len(pairs.auc) != count or count < 2:
        raise TamisError(
            f"pairs: expected areas of at least two classes, found {len(pairs.auc)} for {count} styles"
        )
    texts = [style.text for style in classes]
    sizes = [fitting_size(text, _LONGEST_LABEL, 11.0) for text in texts]
    margin = max(text_width(text, size) for text, size in zip(texts, sizes, strict=True))
    cell = float(np.clip(5.0 / (count - 1), 0.75, 1.3))
    side = cell * (count - 1)
    figure = Figure(figsize=(max(1.0 + margin + side, 4.2), 1.0 + 0.57 * margin + side), layout="constrained")
    axes = figure.add_subplot()
    shown = np.full((count - 1, count - 1), np.nan)
    areas = [area for row in pairs.auc for area in row if area is not None]
    least = max(0.5, min(areas, default=0.5) - 0.02)
    for row, column in combinations(range(count - 1, -1, -1), 2):
        area = pairs.auc[row][column]
        shown[row - 1, column] = np.nan if area is None else area
        _write_area(
            axes, row, column, area, pairs.intervals[row][column], float(np.clip(10 * cell, 7.0, 11.0)), least
        )
    draw_cells(axes, shown, _SHADES, least, 1.0)
    _name_axes(axes, texts, sizes)
    return figure


def _write_area(
    axes: Axes, row: int, column: int, area: float | None, interval: Interval, fontsize: float, least: float
) -> None:
    if area is None:
        cell = (column - 0.5, row - 1.5)
        axes.add_patch(Rectangle(cell, 1, 1, fill=False, hatch="///", edgecolor="#c9cbd0", linewidth=0))
        return
    spread = "" if interval is None else f"\n± {max(area - interval[0], interval[1] - area):.4f}"
    # White on the dark half of the shades, dark on the light half.
    colour = number_colour(dark=area > (1 + least) / 2)
    axes.text(
        column, row - 1, f"{area:.4f}{spread}", ha="center", va="center", color=colour, fontsize=fontsize
    )


def _name_axes(axes: Axes, texts: Sequence[str], sizes: Sequence[float]) -> None:
    places = range(len(texts) - 1)
    axes.set_xticks(places, texts[:-1], rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, texts[1:])
    for labels, own in ((axes.get_xticklabels(), sizes[:-1]), (axes.get_yticklabels(), sizes[1:])):
        for label, size in zip(labels, own, strict=True):
            label.set_fontsize(size)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    axes.spines[:].set_visible(False)
    note = "AUC of one class against one other,\nlarger side of the 68.3% interval"
    axes.set_title(note, loc="right", fontsize=9.0, color=MUTED_COLOUR)


def outline_pairs(curves: Sequence[PairCurve], *, classes: Sequence[ClassStyle]) -> list[RocOutline]:
    """Reduce the curves of one signal class against each background to what is drawn of them.

    Args:
        curves: of one signal class.
        classes: how each class is shown; the curves have the colours of the backgrounds.

    Raises:
        TamisError: if the curves are not of one signal class.
    """
    if len({each.signal for each in curves}) != 1:
        raise TamisError("pairs: expected curves of one signal class")
    return [
        outline_of(RocLine(classes[each.background], each.curve, line=LINE_STYLES[number % len(LINE_STYLES)]))
        for number, each in enumerate(curves)
    ]


def plot_pair_curves(outlines: Sequence[RocOutline], *, signal: str) -> Figure:
    """Draw background rejection against signal efficiency for one signal class and each background.

    Args:
        outlines: from `outline_pairs`.
        signal: text of the signal class, from `ClassStyle`.
    """
    figure = plot_outlines(outlines)
    (axes,) = figure.axes
    text = f"Efficiency of {signal}"
    axes.set_xlabel(text, fontsize=fitting_size(text, 5.2, 11.5))
    axes.set_ylabel("Rejection of one background (1 / efficiency)")
    return figure
