"""Matrices as coloured cells with numbers, sharp at any size."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap
from numpy.typing import NDArray

from tamis.plots.style import DARK_ON_FILL, LIGHT_ON_FILL


def draw_cells(
    axes: Axes, matrix: NDArray[np.float64], shades: Colormap | str, lowest: float, highest: float
) -> QuadMesh:
    """Draw a matrix as square cells, the first row at the top; what is not a number stays empty.

    An image would be blurred where it is enlarged.

    Args:
        axes: where to draw; cell (row, column) is centred there.
        matrix: [rows, columns].
        shades: colours.
        lowest: value of the first of them.
        highest: value of the last.
    """
    rows, columns = matrix.shape
    cells = axes.pcolormesh(
        np.arange(columns), np.arange(rows), matrix, cmap=shades, vmin=lowest, vmax=highest, linewidth=0
    )
    axes.set_aspect("equal")
    axes.invert_yaxis()
    return cells


def number_colour(*, dark: bool) -> str:
    """Give the colour of a number on a dark or on a light cell."""
    return LIGHT_ON_FILL if dark else DARK_ON_FILL
