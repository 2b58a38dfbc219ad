r"""Text in figures: names from files are drawn as they are, labels from the user may hold mathtext.

Text that these functions return is safe to draw and to join. Plots take such text only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from matplotlib.mathtext import MathTextParser
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from tamis.errors import RequestError
from tamis.plots.style import FONT, LINE_STYLES, MARKERS, LineStyle, colours, figure_style

LONGEST_NAME = 40
SMALLEST_SIZE = 5.0
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class ClassStyle:
    """How figures show one class.

    Args:
        text: its label, safe to draw.
        colour: as matplotlib takes it.
        marker: for points.
        line: style of lines; it differs between classes only where there are more than ten.
    """

    text: str
    colour: str
    marker: str
    line: LineStyle


def class_styles(names: Sequence[str], labels: Sequence[str | None] | None = None) -> tuple[ClassStyle, ...]:
    r"""Choose label, colour, marker and line for each class, in the order of the class indices.

    Args:
        names: class names, drawn literally.
        labels: what to draw instead, may hold mathtext; None (for one or for all) draws the name.

    Raises:
        RequestError: if a label is not valid mathtext.

    Example:
        >>> first, second = class_styles(["t_tbar", "sig"], [None, r"$H \to ZZ$"])
        >>> first.text, second.text, second.colour
        ('t_tbar', '$H \\to ZZ$', '#f89c20')
    """
    if labels is None:
        labels = [None] * len(names)
    chosen = colours(len(names))
    return tuple(
        ClassStyle(
            text=literal(name) if label is None else checked_label(label, f"label of class '{name}'"),
            colour=chosen[index],
            marker=MARKERS[index % len(MARKERS)],
            line=LINE_STYLES[index // 10 % len(LINE_STYLES)],
        )
        for index, (name, label) in enumerate(zip(names, labels, strict=True))
    )


def axis_label(name: str, label: str | None = None, unit: str | None = None) -> str:
    r"""Compose the label of an axis from a feature's name or label, and its unit.

    Args:
        name: drawn literally where there is no label.
        label: may hold mathtext.
        unit: may hold mathtext, for example `GeV` or `$\mathrm{cm}^2$`.

    Raises:
        RequestError: if label or unit is not valid mathtext.

    Example:
        >>> axis_label("mass", "$m$", "GeV")
        '$m$ [GeV]'
    """
    text = literal(name) if label is None else checked_label(label, f"label of feature '{name}'")
    if unit is None:
        return text
    checked_unit = checked_label(unit, f"unit of feature '{name}'")
    return f"{text} [{checked_unit}]"


def literal(name: str) -> str:
    r"""Return text that draws a name as it is: no mathtext, no unknown glyphs, not longer than 40 letters.

    Example:
        >>> literal("cost_in_$"), literal("two\nlines")
        ('cost_in_\\$', 'two\ufffdlines')
    """
    if len(name) > LONGEST_NAME:
        half = LONGEST_NAME // 2
        name = f"{name[:half]}\N{HORIZONTAL ELLIPSIS}{name[1 - half :]}"
    return _known_glyphs(name).replace("$", r"\$")


def checked_label(label: str, where: str) -> str:
    r"""Return a label, after a check that matplotlib can draw it.

    Args:
        label: text that may hold mathtext between dollar signs; `\$` is a dollar sign.
        where: what the label belongs to, for the error.

    Raises:
        RequestError: if a dollar sign is left open, or what stands between two is not mathtext.
    """
    dollars = label.count("$") - label.count(r"\$")
    if dollars % 2:
        raise RequestError(
            f"{where}: '{label}' opens mathtext with '$' and does not close it; "
            r"write '\$' for a dollar sign, or close it with '$'"
        )
    if not dollars:
        return _known_glyphs(label)
    try:
        with figure_style():
            MathTextParser("path").parse(label)
    except (ValueError, RecursionError) as error:
        # The parser's message quotes the text, points at the place and names what it expected.
        reason = re.sub(r"^Parse\w*Exception: ", "", str(error).strip().splitlines()[-1])
        raise RequestError(
            f"{where}: '{label}' is not mathtext that matplotlib can draw ({reason}); "
            "see https://matplotlib.org/stable/users/explain/text/mathtext.html"
        ) from error
    return label


def text_width(text: str, size: float) -> float:
    """Return the width of drawable text in inches.

    Args:
        text: safe to draw.
        size: of the font, in points.
    """
    return _relative_width(text) * size / 72


@lru_cache(4096)  # figures share their names, and mathtext takes milliseconds
def _relative_width(text: str) -> float:
    """Return the width of text by the size of its font."""
    if not text.strip():
        return 0.0
    outline = TextPath((0, 0), text, size=1, prop=FontProperties(family=FONT))
    # glyphs have points at their extremes; matplotlib's `get_extents` solves for those of every curve
    x = outline.vertices[np.asarray(outline.codes) != Path.CLOSEPOLY, 0]
    return float(x.max() - x.min()) if len(x) else 0.0


def fitting_size(text: str, width: float, size: float) -> float:
    """Return the font size at which text is not wider than `width` inches: `size`, or less (5 at least).

    Example:
        >>> fitting_size("short", 3.0, 10.0)
        10.0
    """
    needed = text_width(text, size)
    return size if needed <= width else max(SMALLEST_SIZE, size * width / needed)


def _known_glyphs(text: str) -> str:
    known = _glyphs()
    return "".join(letter if ord(letter) in known else _UNKNOWN for letter in text)


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(FT2Font(findfont(FontProperties(family=FONT))).get_charmap())
