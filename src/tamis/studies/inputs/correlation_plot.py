"""Correlation matrices of the features, class by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from tamis.errors import TamisError
from tamis.plots.cells import SIGNED_SHADES, CellNumber, CellNumbers, choose_number_colour, draw_cells
from tamis.plots.labels import compute_font_size
from tamis.plots.layout import choose_grid
from tamis.plots.style import MUTED_COLOUR, SHADE_COLOUR, figure_style
from tamis.statistics.correlations import Correlations
from tamis.studies.figure_parts import fit_names, hatch_cell

CERTAIN = 2.0
"""Errors from which the number of a difference is written."""
_LONGEST_LABEL = 1.5
_SMALLEST_NUMBER = 4.5


@figure_style()
def plot_correlation_difference(difference: Correlations, *, features: Sequence[str], title: str) -> Figure:
    """Draw by how much correlations differ between two groups of classes; features have labels from `axis_label`.

    Differences of less than two standard deviations stay white; if all do, the title says "none significant".

    Raises:
        TamisError: if the matrix has not one row and one column for each feature.
    """
    _check(difference, features)
    sizes = np.abs(difference.matrix[np.isfinite(difference.matrix)])
    limit = max(0.1, float(np.ceil(10 * sizes.max(initial=0.0)) / 10))
    figure, (axes,), cell = _layout(1, features)
    certain = np.abs(difference.matrix) > CERTAIN * difference.error
    # insignificant differences stay white
    known = np.where(certain | np.isnan(difference.matrix), difference.matrix, 0.0)
    title = title if certain.any() else f"{title}: none significant"
    _draw(axes, known, features, cell, limit, certain, title=title)
    _label(axes, features, cell, name_rows=True, name_columns=True)
    _add_scale(figure, [axes], limit, "difference of the linear correlation coefficients")
    return figure


@figure_style()
def plot_correlation_page(
    correlations: Sequence[tuple[str, Correlations]], *, features: Sequence[str]
) -> Figure:
    """Draw correlation matrices, with the text above each; the features have labels from `axis_label`."""
    for _, matrix in correlations:
        _check(matrix, features)
    figure, panels, cell = _layout(len(correlations), features)
    columns, _ = choose_grid(len(correlations))
    for number, (axes, (text, matrix)) in enumerate(zip(panels, correlations, strict=True)):
        everywhere = np.ones(matrix.matrix.shape, np.bool_)
        _draw(axes, matrix.matrix, features, cell, 1.0, everywhere, title=text)
        _label(
            axes,
            features,
            cell,
            name_rows=number % columns == 0,
            name_columns=number + columns >= len(correlations),
        )
    _add_scale(figure, panels, 1.0, "linear correlation coefficient")
    return figure


def _check(correlations: Correlations, features: Sequence[str]) -> None:
    if correlations.matrix.shape != (len(features), len(features)):
        raise TamisError(
            f"correlations: expected {len(features)} rows and columns, "
            f"found a matrix of shape {correlations.matrix.shape}"
        )


def _layout(panels: int, features: Sequence[str]) -> tuple[Figure, list[Axes], float]:
    """Build a page; return the figure, its panels and the size of a cell in inches."""
    count = max(len(features), 1)
    cell = float(np.clip(4.0 / count, 0.16, 0.75))
    columns, rows = choose_grid(panels)
    _, margin = fit_names(features, _LONGEST_LABEL, _size(cell))
    size = (
        max(3.2, 1.2 + margin + columns * (cell * count + 0.3)),
        0.35 + margin + rows * (cell * count + 0.42),
    )
    figure = Figure(figsize=size, layout="constrained")
    return figure, [figure.add_subplot(rows, columns, number + 1) for number in range(panels)], cell


def _size(cell: float) -> float:
    return float(np.clip(50 * cell, 6.5, 10.5))


def _draw(
    axes: Axes,
    matrix: NDArray[np.float64],
    features: Sequence[str],
    cell: float,
    limit: float,
    written: NDArray[np.bool_],
    *,
    title: str,
) -> None:
    draw_cells(axes, matrix, SIGNED_SHADES, -limit, limit)
    axes.set_title(title, fontsize=compute_font_size(title, cell * len(features) + 0.2, 11.0), pad=5)
    fontsize = min(23 * cell, 10.0)
    numbers: list[CellNumber] = []
    for (row, column), value in np.ndenumerate(matrix):
        if np.isnan(value):
            hatch_cell(axes, row, column, "////")
        elif row == column:
            # the diagonal is one by definition, and should not draw the eye
            corner = (column - 0.5, row - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, color=SHADE_COLOUR, linewidth=0))
        elif fontsize >= _SMALLEST_NUMBER and written[row, column]:
            # white on the dark ends of the shades
            colour = choose_number_colour(dark=bool(abs(value) > 0.55 * limit))
            numbers.append(CellNumber(row, column, _number(value), colour))
    axes.add_artist(CellNumbers(numbers, fontsize))


def _number(value: float) -> str:
    """Write a coefficient in hundredths, without the zero that they all share.

    >>> _number(0.426), _number(-0.004), _number(1.0)
    ('.43', '0', '1')
    """
    if abs(value) < 0.005:
        return "0"
    text = f"{abs(value):.2f}"
    text = text.removeprefix("0") if abs(value) < 0.995 else f"{abs(value):.3g}"
    return f"\N{MINUS SIGN}{text}" if value < 0 else text


def _label(axes: Axes, features: Sequence[str], cell: float, *, name_rows: bool, name_columns: bool) -> None:
    axes.minorticks_off()  # before the labels are asked for, which would make objects of all ticks
    axes.tick_params(which="both", length=0)
    column_names, row_names = (list(features) if named else [] for named in (name_columns, name_rows))
    axes.set_xticks(range(len(column_names)), column_names, rotation=90)
    axes.set_yticks(range(len(row_names)), row_names)
    for axis, names in ((axes.xaxis, column_names), (axes.yaxis, row_names)):
        for label, text in zip(axis.get_majorticklabels() if names else [], names, strict=True):
            label.set_fontsize(compute_font_size(text, _LONGEST_LABEL, _size(cell)))


def _add_scale(figure: Figure, panels: Sequence[Axes], limit: float, text: str) -> None:
    shades = ScalarMappable(Normalize(-limit, limit), SIGNED_SHADES)
    bar = figure.colorbar(shades, ax=list(panels), fraction=0.05, pad=0.02, aspect=30, shrink=0.9)
    if bar.solids is not None:
        bar.solids.set_rasterized(False)  # vector graphics, like the rest of the figure
        bar.solids.set(edgecolor="face", linewidth=0.8)  # no stripes of the background between the shades
    bar.set_label(text, fontsize=9.0, color=MUTED_COLOUR, loc="center")
    bar.ax.tick_params(labelsize=8.0, length=2.5)
    bar.ax.minorticks_off()
