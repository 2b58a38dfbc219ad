"""One class against one other: the matrix of the areas, and a signal against each background."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from matplotlib.figure import Figure

from tamis.errors import TamisError
from tamis.plots.book import Drawing
from tamis.plots.cells import SHADES, choose_number_colour, draw_cells
from tamis.plots.labels import ClassStyle, FigureLabels, compute_font_size
from tamis.plots.roc import RocLine, plot_roc
from tamis.plots.style import LINE_STYLES, MUTED_COLOUR, figure_style
from tamis.statistics.pairs import PairAreas
from tamis.studies.figure_parts import fit_names, hatch_cell, name_columns, name_rows
from tamis.studies.pairs.result import PairCurve, PairsResult
from tamis.wording import count_decimals

_LONGEST_LABEL = 2.4


def figures(result: PairsResult, labels: FigureLabels) -> list[Drawing]:
    """Return the figures of the study."""
    classes = labels.classes
    drawings = [Drawing("one_versus_one", plot_pair_areas, {"areas": result.areas, "classes": classes})]
    for signal in dict.fromkeys(pair.signal for pair in result.curves):
        curves = [pair for pair in result.curves if pair.signal == signal]
        name = f"one_versus_one_{result.class_names[signal]}"
        drawings.append(Drawing(name, plot_pair_curves, {"curves": curves, "classes": classes}))
    return drawings


@figure_style()
def plot_pair_areas(areas: PairAreas, *, classes: Sequence[ClassStyle]) -> Figure:
    """Draw the area under the curve of every pair of classes, with the larger side of its interval.

    Each pair has one cell, below the diagonal. The scale of the shades begins at the pair that is separated worst, so
    that differences between good pairs are visible; a pair without an area is hatched.

    Raises:
        TamisError: if there is another number of classes, or fewer than two.
    """
    count = len(classes)
    if len(areas.auc) != count or count < 2:
        raise TamisError(
            f"pairs: expected areas of at least two classes, found {len(areas.auc)} for {count} styles"
        )
    texts = [style.text for style in classes]
    sizes, margin = fit_names(texts, _LONGEST_LABEL, 11.0)
    cell = float(np.clip(5.0 / (count - 1), 0.75, 1.3))
    side = cell * (count - 1)
    figure = Figure(figsize=(max(1.0 + margin + side, 4.2), 1.0 + 0.57 * margin + side), layout="constrained")
    axes = figure.add_subplot()
    shown = np.full((count - 1, count - 1), np.nan)
    least = max(0.5, min((area for row in areas.auc for area in row if area is not None), default=0.5) - 0.02)
    for row, column in combinations(range(count - 1, -1, -1), 2):
        area = areas.auc[row][column]
        shown[row - 1, column] = np.nan if area is None else area
        if area is None:
            hatch_cell(axes, row - 1, column)
            continue
        interval = areas.intervals[row][column]
        error = None if interval is None else max(area - interval[0], interval[1] - area)
        digits = count_decimals(interval)
        spread = "" if error is None else f"\n\N{PLUS-MINUS SIGN} {error:.{digits}f}"
        # White on the dark half of the shades, dark on the light half.
        colour = choose_number_colour(dark=area > (1 + least) / 2)
        fontsize = float(np.clip(10 * cell, 7.0, 11.0))
        text = f"{area:.{digits}f}{spread}"
        axes.text(column, row - 1, text, ha="center", va="center", color=colour, fontsize=fontsize)
    draw_cells(axes, shown, SHADES, least, 1.0)
    name_columns(axes, texts[:-1], sizes[:-1])
    name_rows(axes, range(count - 1), texts[1:], sizes[1:])
    axes.spines[:].set_visible(False)
    note = "AUC of one class against one other,\nlarger side of the 68.3% interval"
    axes.set_title(note, loc="right", fontsize=9.0, color=MUTED_COLOUR)
    return figure


def plot_pair_curves(curves: Sequence[PairCurve], *, classes: Sequence[ClassStyle]) -> Figure:
    """Draw background rejection against signal efficiency for one signal class and each background, in its colour."""
    if len({pair.signal for pair in curves}) != 1:
        raise TamisError("pairs: expected curves of one signal class")
    figure = plot_roc(
        [
            RocLine(classes[pair.background], pair.curve, line=LINE_STYLES[number % len(LINE_STYLES)])
            for number, pair in enumerate(curves)
        ]
    )
    (axes,) = figure.axes
    text = f"Efficiency of {classes[curves[0].signal].text}"
    axes.set_xlabel(text, fontsize=compute_font_size(text, 5.2, 11.5))
    axes.set_ylabel("Rejection of one background (1 / efficiency)")
    return figure
