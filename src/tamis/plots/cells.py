"""Matrices as coloured cells with numbers, sharp at any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray

from tamis.plots.style import DARK_ON_FILL, FONT, LIGHT_ON_FILL

MOST_SHAPES = 2500
"""Cells of a matrix that are drawn as shapes; more have no numbers in them."""


def draw_cells(
    axes: Axes, matrix: NDArray[np.float64], shades: Colormap | str, lowest: float, highest: float
) -> QuadMesh | AxesImage:
    """Draw a matrix as square cells, the first row at the top; what is not a number stays empty.

    Cells are shapes, which stay sharp everywhere. Where they are many they are the pixels of an image: 40,000 shapes
    take half a minute and 8 MB. Some programs blur an image that is enlarged; browsers are told not to.

    Args:
        axes: where to draw; cell (row, column) is centred there.
        matrix: [rows, columns].
        shades: colours.
        lowest: value of the first of them.
        highest: value of the last.
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


def number_colour(*, dark: bool) -> str:
    """Give the colour of a number on a dark or on a light cell."""
    return LIGHT_ON_FILL if dark else DARK_ON_FILL


@dataclass(frozen=True)
class CellNumber:
    """A number in the middle of a cell.

    Args:
        row: of the cell.
        column: of the cell.
        text: plain, without mathtext.
        colour: as matplotlib takes it.
    """

    row: int
    column: int
    text: str
    colour: str


class CellNumbers(Artist):
    """All numbers of a matrix as one artist: two thousand texts of matplotlib take seconds.

    Args:
        numbers: one for each cell that has one.
        size: of the font, in points.
    """

    def __init__(self, numbers: Sequence[CellNumber], size: float) -> None:
        """Keep the numbers until they are drawn."""
        super().__init__()
        self.numbers = tuple(numbers)
        self._font = FontProperties(family=[FONT], size=size)
        self.set_zorder(3)  # that of texts
        self.set_in_layout(False)  # cells are larger than their numbers

    def draw(self, renderer: RendererBase) -> None:
        """Draw each number where a centred text of matplotlib would stand."""
        if self.axes is None or not self.numbers or not self.get_visible():
            return
        places = self.axes.transData.transform([(number.column, number.row) for number in self.numbers])
        height = renderer.get_canvas_width_height()[1]
        examples = {text: self._example(text) for text in {number.text for number in self.numbers}}
        corners = {text: _from_centre(example, renderer) for text, example in examples.items()}
        renderer.open_group("numbers", self.get_gid())
        context = renderer.new_gc()
        for number, place in zip(self.numbers, places, strict=True):
            left, base = place + corners[number.text]
            example = examples[number.text]
            example.set_position(place)
            context.set_foreground(number.colour)
            y = height - base if renderer.flipy() else base
            renderer.draw_text(context, left, y, number.text, self._font, 0.0, mtext=example)
        context.restore()
        renderer.close_group("numbers")

    def _example(self, text: str) -> Text:
        example = Text(
            0, 0, text, fontproperties=self._font, ha="center", va="center", transform=IdentityTransform()
        )
        example.set_figure(self.figure)
        return example


def _from_centre(text: Text, renderer: RendererBase) -> NDArray[np.float64]:
    """Return where a text begins on its base line, in pixels from its centre."""
    text.set_verticalalignment("baseline")
    box = text.get_window_extent(renderer)
    text.set_verticalalignment("center")
    return np.array([box.x0, -(box.y0 + box.y1) / 2])
