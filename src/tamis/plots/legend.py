"""Legends without frames, for any text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from tamis.plots.labels import compute_text_width

# width of an entry without its text, in units of the font size: handle, its pad, and the space between columns
_WIDTH_WITHOUT_TEXT = 1.8 + 0.8 + 2.0
# height of a row with text of 9 points, in inches
_ROW_HEIGHT = 0.178

Entry = tuple[Artist, str]


def add_legend(target: Axes | Figure, entries: Sequence[Entry], **options: Any) -> Legend:
    """Draw a legend of pairs of an artist and a drawable text.

    `options` are those of matplotlib's `legend`, such as `loc`.
    """
    # matplotlib omits an entry whose text begins with an underscore, so the texts are set afterwards
    legend = target.legend([artist for artist, _ in entries], ["x"] * len(entries), **options)
    for drawn, (_, text) in zip(legend.get_texts(), entries, strict=True):
        drawn.set_text(text)
    return legend


def compute_axis_top(lowest: float, highest: float, rows: int, height: float) -> float:
    """Return the upper end of a logarithmic axis with room for a legend above the data.

    `lowest` is the lower end of the axis, `highest` the largest value of the data, `rows` the number of rows of the
    legend, and `height` that of the axes in inches.
    """
    # the data have at least 30% of the axis, even with a long legend
    share = min(0.7, (rows * _ROW_HEIGHT + 0.25) / height)
    return float(lowest * (highest / lowest) ** (1 / (1 - share)))


def count_columns(texts: Sequence[str], width: float, size: float) -> int:
    """Return how many columns a legend can have in a width in inches, with a font size in points."""
    widths = [compute_entry_width(text, size) for text in texts]
    return len(texts) if sum(widths) <= width else max(1, int(width / max(widths)))


def compute_entry_width(text: str, size: float) -> float:
    """Return the width of an entry in inches, with its handle and the space beside it."""
    return compute_text_width(text, size) + _WIDTH_WITHOUT_TEXT * size / 72
