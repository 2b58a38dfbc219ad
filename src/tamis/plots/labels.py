r"""Text in figures: names from files are drawn literally, labels from the user may hold mathtext.

The text that these functions return is safe to draw and to join, and plot functions only take such text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class ClassStyle:
    """Label (safe to draw), colour, marker and line style of a class; the line differs only beyond ten classes."""

    text: str
    colour: str
    marker: str
    line: LineStyle


@dataclass(frozen=True)
class FigureLabels:
    """The labels of classes and, by column, of features without and with their unit and of spectators, safe to draw."""

    classes: tuple[ClassStyle, ...]
    features: Mapping[str, str] = field(default_factory=dict)
    feature_axes: Mapping[str, str] = field(default_factory=dict)
    spectators: Mapping[str, str] = field(default_factory=dict)


def with_sign(text: str) -> str:
    """Replace `<=` in the text of a p-value by the sign.

    >>> with_sign("p <= 0.001") == "p \N{LESS-THAN OR EQUAL TO} 0.001"
    True
    """
    return text.replace("<=", "\N{LESS-THAN OR EQUAL TO}")


def class_styles(names: Sequence[str], labels: Sequence[str | None] | None = None) -> tuple[ClassStyle, ...]:
    r"""Choose label, colour, marker and line for each class, in the order of the class indices.

    Args:
        names: of the classes, drawn literally.
        labels: drawn instead, may hold mathtext; None (for one or for all) draws the name.

    Raises:
        RequestError: a label is not valid mathtext.

    Example:
        >>> first, second = class_styles(["t_tbar", "sig"], [None, r"$H \to ZZ$"])
        >>> first.text, second.text, second.colour
        ('t_tbar', '$H \\to ZZ$', '#f89c20')
    """
    labels = labels or [None] * len(names)
    return tuple(
        ClassStyle(
            text=literal(name) if label is None else checked_label(label, f"label of class '{name}'"),
            colour=colour,
            marker=MARKERS[index % len(MARKERS)],
            line=LINE_STYLES[index // 10 % len(LINE_STYLES)],
        )
        for index, (name, label, colour) in enumerate(zip(names, labels, colours(len(names)), strict=True))
    )


def axis_label(name: str, label: str | None = None, unit: str | None = None) -> str:
    r"""Build the label of an axis from a feature's name or label, which may hold mathtext (`RequestError`), and unit.

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
    r"""Return text that draws a name literally: without mathtext and unknown glyphs, shortened to 40 letters.

    Example:
        >>> literal("cost_in_$"), literal("two\nlines")
        ('cost_in_\\$', 'two\ufffdlines')
    """
    if len(name) > LONGEST_NAME:
        half = LONGEST_NAME // 2
        name = f"{name[:half]}\N{HORIZONTAL ELLIPSIS}{name[1 - half :]}"
    return _known_glyphs(name).replace("$", r"\$")


def checked_label(label: str, subject: str) -> str:
    r"""Return a label with mathtext between dollar signs (`\$` is one), after a check that matplotlib can draw it.

    Raises:
        RequestError: a dollar sign is not closed, or the text between two is not valid mathtext.
    """
    dollars = label.count("$") - label.count(r"\$")
    if dollars % 2:
        raise RequestError(
            f"{subject}: '{label}' opens LaTeX math with '$' and does not close it; "
            r"write '\$' for a dollar sign, or close it with '$'"
        )
    if not dollars:
        return _known_glyphs(label)
    try:
        with figure_style():
            MathTextParser("path").parse(label)
    except (ValueError, RecursionError) as error:
        # the last line of the parser's message quotes the text, points at the position and names what it expected
        reason = re.sub(r"^Parse\w*Exception: ", "", str(error).strip().splitlines()[-1])
        if isinstance(error, RecursionError):
            reason = "it is nested too deeply"
        raise RequestError(
            f"{subject}: '{label}' is not LaTeX math that matplotlib can draw ({reason}); "
            "see https://matplotlib.org/stable/users/explain/text/mathtext.html"
        ) from error
    return label


def compute_text_width(text: str, size: float) -> float:
    """Return the width in inches of drawable text with a font size in points."""
    return _relative_width(text) * size / 72


@lru_cache(4096)  # figures share their names, and mathtext takes milliseconds
def _relative_width(text: str) -> float:
    """Return the width of text in units of the font size."""
    if not text.strip():
        return 0.0
    outline = TextPath((0, 0), text, size=1, prop=FontProperties(family=FONT))
    # glyphs have points at their extremes; matplotlib's `get_extents` solves for those of every curve, which is slow
    x = outline.vertices[np.asarray(outline.codes) != Path.CLOSEPOLY, 0]
    return float(x.max() - x.min()) if len(x) else 0.0


def compute_font_size(text: str, width: float, size: float) -> float:
    """Return the font size at which text is at most `width` inches wide: `size` or less, but at least 5.

    Example:
        >>> compute_font_size("short", 3.0, 10.0)
        10.0
    """
    required_width = compute_text_width(text, size)
    return size if required_width <= width else max(SMALLEST_SIZE, size * width / required_width)


def _known_glyphs(text: str) -> str:
    return "".join(letter if ord(letter) in _glyphs() else "\N{REPLACEMENT CHARACTER}" for letter in text)


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(FT2Font(findfont(FontProperties(family=FONT))).get_charmap())
