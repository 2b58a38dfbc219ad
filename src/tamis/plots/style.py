"""The style of all figures, as a context that restores the user's settings of matplotlib."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from matplotlib import style as matplotlib_style
from matplotlib.ticker import ScalarFormatter

FONT = "DejaVu Sans"
TEXT_COLOUR = "#1a1a1a"
MUTED_COLOUR = "#71757d"
WARNING_COLOUR = "#b3001b"
# areas in the background, and the lines between rows
SHADE_COLOUR = "#e4e5e8"
REGION_COLOUR = "#f6d5d9"
# for text on filled areas, because a dark page inverts exact black and white (`report/vector.py`)
DARK_ON_FILL = "#1b1b1b"
LIGHT_ON_FILL = "#fefefe"

# M. A. Petroff, "Accessible Color Sequences for Data Visualization", arXiv:2107.02270: orders of colours
# that can be distinguished with any colour vision, and that differ in lightness when printed in grey.
SIX_COLOURS = ("#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd")
TEN_COLOURS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">")
LineStyle = Literal["-", "--", "-.", ":"]
LINE_STYLES: tuple[LineStyle, ...] = ("-", "--", "-.", ":")

_SETTINGS: dict[str, Any] = {
    "font.family": [FONT],
    "font.size": 10.0,
    "mathtext.fontset": "dejavusans",
    "text.color": TEXT_COLOUR,
    "axes.edgecolor": TEXT_COLOUR,
    "axes.labelcolor": TEXT_COLOUR,
    "axes.labelsize": 11.5,
    "axes.linewidth": 0.9,
    "axes.axisbelow": True,
    "axes.formatter.limits": (-3, 5),
    "xaxis.labellocation": "right",
    "yaxis.labellocation": "top",
    "xtick.color": TEXT_COLOUR,
    "ytick.color": TEXT_COLOUR,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.major.size": 5.0,
    "ytick.major.size": 5.0,
    "xtick.minor.size": 2.5,
    "ytick.minor.size": 2.5,
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    # text is a little wider in pixels than in a PDF, and both have the same layout
    "figure.constrained_layout.w_pad": 0.07,
    "figure.constrained_layout.h_pad": 0.05,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "legend.handlelength": 1.8,
    "legend.labelspacing": 0.4,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "figure.dpi": 100.0,
    "savefig.dpi": 150.0,
    # text, not outlines: searchable, and editable by a journal
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "tamis",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw in the style of the package, and restore the user's settings of matplotlib afterwards.

    It is also a decorator. Figures must be saved inside it too, because some settings act when a figure is drawn.

    Example:
        >>> import matplotlib
        >>> with figure_style():
        ...     matplotlib.rcParams["legend.frameon"]
        False
    """
    with matplotlib_style.context(["default", _SETTINGS]):
        yield


class PlainTicks(ScalarFormatter):
    """Tick labels as plain text, which is drawn ten times faster than mathtext; a common factor remains mathtext."""

    def get_offset(self) -> str:
        """Return the common factor, such as 10^5, for the end of the axis."""
        self.set_useMathText(True)
        offset = super().get_offset()
        self.set_useMathText(False)
        return offset


def colours(count: int) -> tuple[str, ...]:
    """Return `count` colours; more than ten repeat, so that line styles must differ.

    Example:
        >>> colours(2)
        ('#5790fc', '#f89c20')
    """
    sequence = SIX_COLOURS if count <= len(SIX_COLOURS) else TEN_COLOURS
    return tuple(sequence[index % len(sequence)] for index in range(count))
