"""Matrices as coloured cells with numbers, sharp at any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray

from tamis.plots.style import DARK_ON_FILL, FONT, LIGHT_ON_FILL

SHADES = LinearSegmentedColormap.from_list(
    "shades", [LIGHT_ON_FILL, "#c5d7fb", "#5790fc", "#1d3f8f", "#0b1f52"]
)
"""From zero or the smallest value to one: numbers are dark on the lower half and light on the upper half."""
SIGNED_SHADES = LinearSegmentedColormap.from_list(
    "signed shades", ["#0b2a6f", "#3f74d1", "#a9c6f5", LIGHT_ON_FILL, "#f7b9ae", "#d9453c", "#7a0c18"]
)
"""From minus one to one."""
MOST_SHAPES = 2500
"""Largest number of cells that are drawn as shapes."""


def draw_cells(
    axes: Axes, matrix: NDArray[np.float64], shades: Colormap | str, lowest: float, highest: float
) -> QuadMesh | AxesImage:
    """Draw a matrix [rows, columns] as square cells, the first row at the top; cells with NaN are empty.

    Cells are shapes, which are sharp at any size. Many cells are the pixels of an image, because 40,000 shapes take
    half a minute and 8 MB. Some programs blur an enlarged image; a style prevents this in browsers.

    The centre of cell (row, column) is at x = column, y = row. `shades` is the colour map, from the value `lowest` to
    the value `highest`.
    """
    rows, columns = matrix.shape
    if rows * columns > MOST_SHAPES:
        return axes.imshow(
            matrix, cmap=shades, vmin=lowest, vmax=highest, interpolation="none", aspect="equal"
        )
    cells = axes.pcolormesh(
        np.arange(columns), np.arange(rows), matrix, cmap=shades, vmin=lowest, vmax=highest, linewidth=0
    )
    axes.set_aspect("equal")
    axes.invert_yaxis()
    return cells


def choose_number_colour(*, dark: bool) -> str:
    """Return the colour of the number in a dark or a light cell."""
    return LIGHT_ON_FILL if dark else DARK_ON_FILL


@dataclass(frozen=True)
class CellNumber:
    """The number in the centre of a cell, as plain text without mathtext."""

    row: int
    column: int
    text: str
    colour: str


class CellNumbers(Artist):
    """All numbers of a matrix as one artist, because two thousand texts of matplotlib take seconds."""

    def __init__(self, numbers: Sequence[CellNumber], size: float) -> None:
        """Store the numbers until they are drawn."""
        super().__init__()
        self.numbers = tuple(numbers)
        self._font = FontProperties(family=[FONT], size=size)
        self.set_zorder(3)  # as texts of matplotlib
        self.set_in_layout(False)  # the cells are larger than the numbers

    def draw(self, renderer: RendererBase) -> None:
        """Draw each number at the position of a centred text of matplotlib."""
        if self.axes is None or not self.numbers or not self.get_visible():
            return
        centres = self.axes.transData.transform([(number.column, number.row) for number in self.numbers])
        height = renderer.get_canvas_width_height()[1]
        examples = {text: self._example(text) for text in {number.text for number in self.numbers}}
        offsets = {text: _offset_from_centre(example, renderer) for text, example in examples.items()}
        renderer.open_group("numbers", self.get_gid())
        context = renderer.new_gc()
        for number, centre in zip(self.numbers, centres, strict=True):
            x, base = centre + offsets[number.text]
            example = examples[number.text]
            example.set_position(centre)
            context.set_foreground(number.colour)
            y = height - base if renderer.flipy() else base
            renderer.draw_text(context, x, y, number.text, self._font, 0.0, mtext=example)
        context.restore()
        renderer.close_group("numbers")

    def _example(self, text: str) -> Text:
        example = Text(
            0, 0, text, fontproperties=self._font, ha="center", va="center", transform=IdentityTransform()
        )
        example.set_figure(self.figure)
        return example


def _offset_from_centre(text: Text, renderer: RendererBase) -> NDArray[np.float64]:
    """Return the left end of the base line of a text, in pixels from its centre."""
    text.set_verticalalignment("baseline")
    box = text.get_window_extent(renderer)
    text.set_verticalalignment("center")
    return np.array([box.x0, -(box.y0 + box.y1) / 2])
