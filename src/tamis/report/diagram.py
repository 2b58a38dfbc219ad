"""The diagram of a network: columns of nodes, lines between them, and labels below."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, SubElement

MOST_NODES = 9
"""Maximum number of nodes drawn in a column; three dots replace the others."""
_WIDTH, _HEIGHT, _TOP = 960.0, 330.0, 28.0
_LEFT, _RIGHT = 150.0, 140.0
_LONGEST_NAME = 18


@dataclass(frozen=True)
class NodeColumn:
    """One column of nodes: their number, the text below, and names at one side of the nodes."""

    nodes: int
    lines: tuple[str, ...]
    names: tuple[str, ...] = ()
    side: Literal["left", "right"] = "left"


def draw_network(columns: Sequence[NodeColumn], label: str) -> str:
    """Draw columns of nodes from left to right, as SVG with all names escaped; screen readers read the label.

    >>> "&lt;b&gt;" in draw_network([NodeColumn(1, ("inputs",), ("<b>",)), NodeColumn(1, ("outputs",))], "network")
    True
    """
    size = {
        "viewBox": f"0 0 {_WIDTH:g} {_HEIGHT + 60:g}",
        "class": "network",
        "style": f"--width:{_WIDTH:g}px",
    }
    root = Element("svg", {**size, "role": "img", "aria-label": label})
    gap = (_WIDTH - _LEFT - _RIGHT) / max(len(columns) - 1, 1)
    columns_drawn = [(_LEFT + gap * number, _heights(column.nodes)) for number, column in enumerate(columns)]
    for (x_from, heights_from), (x_to, heights_to) in itertools.pairwise(columns_drawn):
        path = "".join(
            f"M{x_from:.1f} {start:.1f}L{x_to:.1f} {end:.1f}" for start in heights_from for end in heights_to
        )
        SubElement(root, "path", {"d": path, "class": "edges"})
    for column, (x, heights) in zip(columns, columns_drawn, strict=True):
        _draw_column(root, column, x, heights)
    return ET.tostring(root, encoding="unicode")


def _heights(nodes: int) -> list[float]:
    drawn = min(nodes, MOST_NODES)
    step = min(34.0, _HEIGHT / (drawn + (nodes > drawn)))
    middle = _TOP + _HEIGHT / 2
    heights = [middle + step * (number - (drawn - 1) / 2) for number in range(drawn)]
    if nodes <= drawn:
        return heights
    # a gap for the dots, below the middle
    half = (drawn + 1) // 2
    return [y - step / 2 for y in heights[:half]] + [y + step / 2 for y in heights[half:]]


def _draw_column(root: Element, column: NodeColumn, x: float, heights: Sequence[float]) -> None:
    for y in heights:
        SubElement(root, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "8", "class": "node"})
    half = (len(heights) + 1) // 2
    names = column.names
    if column.nodes > len(heights):
        # the names of the first nodes, and of the last ones below the gap
        names = (*names[:half], *names[half - len(heights) :])
        middle = (heights[half - 1] + heights[half]) / 2
        for offset in (-6.0, 0.0, 6.0):
            SubElement(
                root, "circle", {"cx": f"{x:.1f}", "cy": f"{middle + offset:.1f}", "r": "1.6", "class": "dot"}
            )
    offset, anchor = (-15, "end") if column.side == "left" else (15, "start")
    for name, y in zip(names, heights, strict=False):
        short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
        _add_text(root, x + offset, y + 4, short, anchor, "name")
    for number, line in enumerate(column.lines):
        y = _TOP + _HEIGHT + 12 + 15 * number
        _add_text(root, x, y, line, "middle", "muted" if number else "strong")


def _add_text(root: Element, x: float, y: float, text: str, anchor: str, css_class: str) -> None:
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "class": css_class}
    SubElement(root, "text", attributes).text = text
