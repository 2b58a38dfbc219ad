"""Legends without frames, for any text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from tamis.plots.labels import text_width

# What an entry takes beside its text, in units of the font size: handle, its pad, and space between columns.
_BESIDE_TEXT = 1.8 + 0.8 + 2.0
# Height of a row with text of 9 points, in inches.
_ROW_HEIGHT = 0.178

Entry = tuple[Artist, str]


def add_legend(target: Axes | Figure, entries: Sequence[Entry], **placing: Any) -> Legend:
    """Draw a legend of given artists and texts.

    Args:
        target: the axes or the figure that it belongs to.
        entries: pairs of artist and drawable text.
        placing: arguments of matplotlib's `legend` that say where it goes.
    """
    # matplotlib leaves out an entry whose text begins with an underscore, so the text comes after.
    legend = target.legend([artist for artist, _ in entries], ["x"] * len(entries), **placing)
    for drawn, (_, text) in zip(legend.get_texts(), entries, strict=True):
        drawn.set_text(text)
    return legend


def top_with_room(lowest: float, highest: float, rows: int, height: float) -> float:
    """Return the upper end of a logarithmic axis that leaves room for a legend above the data.

    Args:
        lowest: lower end of the axis.
        highest: of what is drawn.
        rows: of the legend.
        height: of the axes, in inches.
    """
    share = min(0.7, (rows * _ROW_HEIGHT + 0.25) / height)
    return float(lowest * (highest / lowest) ** (1 / (1 - share)))


def columns_that_fit(texts: Sequence[str], width: float, size: float) -> int:
    """Return how many columns a legend can have.

    Args:
        texts: of the entries.
        width: there is, in inches.
        size: of the font, in points.
    """
    widths = [entry_width(text, size) for text in texts]
    return len(texts) if sum(widths) <= width else max(1, int(width / max(widths)))


def entry_width(text: str, size: float) -> float:
    """Return the width of an entry with its line and the space beside it, in inches."""
    return text_width(text, size) + _BESIDE_TEXT * size / 72
