"""Which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tamis.errors import TamisError
from tamis.plots.cells import draw_cells, number_colour
from tamis.plots.labels import ClassStyle, fitting_size, text_width
from tamis.plots.style import LIGHT_ON_FILL, MUTED_COLOUR, figure_style

_SHADES = LinearSegmentedColormap.from_list(
    "share", [LIGHT_ON_FILL, "#c5d7fb", "#5790fc", "#1d3f8f", "#0b1f52"]
)
_LONGEST_LABEL = 2.4


@figure_style()
def plot_confusion(confusion: Sequence[Sequence[float] | None], *, classes: Sequence[ClassStyle]) -> Figure:
    """Draw the confusion matrix, each row (true class) of sum one.

    Args:
        confusion: for each true class, the shares by predicted class; None where they are not defined,
            which is drawn hatched. With signed weights a share may leave [0, 1]: the number says so, the
            shade stays at the end of the scale.
        classes: how each class is shown.

    Raises:
        TamisError: if the matrix has not one row and one column for each class.
    """
    count = len(classes)
    if len(confusion) != count or any(row is not None and len(row) != count for row in confusion):
        raise TamisError(f"confusion: expected {count} rows and columns, one for each class")
    shares = np.array([[np.nan] * count if row is None else row for row in confusion], dtype=np.float64)
    texts = [style.text for style in classes]
    sizes = [fitting_size(text, _LONGEST_LABEL, 11.0) for text in texts]
    margin = max(text_width(text, size) for text, size in zip(texts, sizes, strict=True))
    cell = float(np.clip(5.0 / count, 0.45, 1.2))
    # Slanted labels take sin(35 degrees) of their length below the matrix.
    figure = Figure(
        figsize=(1.0 + margin + cell * count, 1.0 + 0.57 * margin + cell * count), layout="constrained"
    )
    axes = figure.add_subplot()
    draw_cells(axes, shares, _SHADES, 0.0, 1.0)
    _write_shares(axes, shares, fontsize=float(np.clip(15 * cell, 6.0, 14.0)))
    _name_axes(axes, texts, sizes)
    return figure


def _write_shares(
    axes: Axes, shares: np.ndarray[tuple[int, int], np.dtype[np.float64]], fontsize: float
) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if np.isnan(share):
            axes.add_patch(
                Rectangle(
                    (column - 0.5, row - 0.5), 1, 1, fill=False, hatch="///", edgecolor="#c9cbd0", linewidth=0
                )
            )
            continue
        # White on the dark half of the shades, dark on the light half: contrast of 4.5 or more.
        colour = number_colour(dark=bool(share > 0.5))
        axes.text(column, row, f"{share:.3f}", ha="center", va="center", color=colour, fontsize=fontsize)


def _name_axes(axes: Axes, texts: Sequence[str], sizes: Sequence[float]) -> None:
    places = range(len(texts))
    axes.set_xticks(places, texts, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, texts)
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        for label, size in zip(labels, sizes, strict=True):
            label.set_fontsize(size)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    axes.set_xlabel("Predicted class", loc="center")
    axes.set_ylabel("True class", loc="center")
    axes.set_title("share of the true class", loc="right", fontsize=9.0, color=MUTED_COLOUR)
