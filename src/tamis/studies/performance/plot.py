"""The figures of the study of performance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from tamis.errors import TamisError
from tamis.plots.book import Drawing
from tamis.plots.cells import SHADES, choose_number_colour, draw_cells
from tamis.plots.labels import ClassStyle, FigureLabels
from tamis.plots.roc import RocLine, plot_roc
from tamis.plots.style import MUTED_COLOUR, figure_style
from tamis.statistics.roc_outline import mark_working_points
from tamis.studies.figure_parts import fit_names, hatch_cell, name_columns, name_rows
from tamis.studies.performance.result import PerformanceResult


def figures(result: PerformanceResult, labels: FigureLabels) -> Iterator[Drawing]:
    """Return the figures of the study."""
    confusion = result.splits["test"].physics.confusion
    yield Drawing("confusion", plot_confusion, {"confusion": confusion, "classes": labels.classes})
    columns = zip(labels.classes, result.curves, result.best_curves, result.working_points, strict=True)
    lines = [
        RocLine(style, curve, best, mark_working_points(points) if points else None)
        for style, curve, best, points in columns
        if curve is not None
    ]
    yield Drawing("roc", plot_roc, {"lines": lines, "optimum_name": result.best_curves_are})


_LONGEST_LABEL = 2.4


@figure_style()
def plot_confusion(confusion: Sequence[Sequence[float] | None], *, classes: Sequence[ClassStyle]) -> Figure:
    """Draw the confusion matrix, each row (true class) of sum one.

    Args:
        confusion: for each true class, the shares by predicted class; None if they are not defined, drawn hatched.
            With negative weights a share can be outside [0, 1]: its shade is then that of the end of the scale.
        classes: how each class is shown.

    Raises:
        TamisError: if the matrix has not one row and one column for each class.
    """
    count = len(classes)
    if len(confusion) != count or any(row is not None and len(row) != count for row in confusion):
        raise TamisError(f"confusion: expected {count} rows and columns, one for each class")
    shares = np.array([[np.nan] * count if row is None else row for row in confusion], dtype=np.float64)
    texts = [style.text for style in classes]
    sizes, margin = fit_names(texts, _LONGEST_LABEL, 11.0)
    cell = float(np.clip(5.0 / count, 0.45, 1.2))
    figure = Figure(
        figsize=(1.0 + margin + cell * count, 1.0 + 0.57 * margin + cell * count), layout="constrained"
    )
    axes = figure.add_subplot()
    draw_cells(axes, shares, SHADES, 0.0, 1.0)
    fontsize = float(np.clip(15 * cell, 6.0, 14.0))
    for (row, column), share in np.ndenumerate(shares):
        if np.isnan(share):
            hatch_cell(axes, row, column)
            continue
        # White on the dark half of the shades, dark on the light half: contrast of 4.5 or more.
        colour = choose_number_colour(dark=bool(share > 0.5))
        axes.text(column, row, f"{share:z.3f}", ha="center", va="center", color=colour, fontsize=fontsize)
    name_columns(axes, texts, sizes)
    name_rows(axes, range(count), texts, sizes)
    axes.set_xlabel("Predicted class", loc="center")
    axes.set_ylabel("True class", loc="center")
    axes.set_title("share of the true class", loc="right", fontsize=9.0, color=MUTED_COLOUR)
    return figure
