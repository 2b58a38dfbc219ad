"""Parts that the figures of several studies have in common."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from tamis.plots.labels import compute_font_size, compute_text_width
from tamis.plots.legend import Entry, add_legend, count_columns
from tamis.plots.style import MUTED_COLOUR, SHADE_COLOUR


def add_top_legend(figure: Figure, entries: Sequence[Entry], size: float = 9.0) -> None:
    """Draw a legend above the panels, in as many columns as fit."""
    columns = count_columns([text for _, text in entries], figure.get_figwidth() - 0.4, size)
    add_legend(figure, entries, loc="outside upper center", ncols=columns, fontsize=size)


def mark_empty(axes: Axes) -> None:
    """Write into a panel that there are no values."""
    axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", color=MUTED_COLOUR)
    axes.set(xticks=[], yticks=[])


def hatch_cell(axes: Axes, row: int, column: int, hatch: str = "///") -> None:
    """Hatch the cell of a matrix that has no number."""
    corner = (column - 0.5, row - 0.5)
    axes.add_patch(Rectangle(corner, 1, 1, fill=False, hatch=hatch, edgecolor=SHADE_COLOUR, linewidth=0))


def fit_names(texts: Sequence[str], width: float, largest: float) -> tuple[list[float], float]:
    """Return the font size of each name, and the margin in inches that all of them need.

    A name has one or several lines, at most `width` inches wide, in a font of at most `largest` points.
    """
    lines = [text.split("\n") for text in texts]
    sizes = [min(compute_font_size(line, width, largest) for line in name) for name in lines]
    margins = [
        compute_text_width(line, size) for name, size in zip(lines, sizes, strict=True) for line in name
    ]
    return sizes, max(margins)


def name_rows(axes: Axes, positions: ArrayLike, texts: Sequence[str], sizes: Sequence[float]) -> None:
    """Name the rows of a panel, each in its font size; panels of the figure have no ticks at their rows."""
    axes.set_yticks(positions, texts)
    for label, size in zip(axes.get_yticklabels(), sizes, strict=True):
        label.set_fontsize(size)
    for panel in axes.figure.axes:
        panel.tick_params(axis="y", which="both", length=0)


def name_columns(axes: Axes, texts: Sequence[str], sizes: Sequence[float]) -> None:
    """Name the columns of a matrix with slanted texts, which take sin(35 degrees) of their length below it."""
    axes.set_xticks(range(len(texts)), texts, rotation=35, ha="right", rotation_mode="anchor")
    for label, size in zip(axes.get_xticklabels(), sizes, strict=True):
        label.set_fontsize(size)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
