"""The network as a drawing: nodes in columns, lines between them, words below."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, SubElement

MOST_NODES = 9
"""Nodes of a column that are drawn; more are three dots."""
_WIDTH, _HEIGHT, _TOP = 960.0, 330.0, 28.0
_LEFT, _RIGHT = 150.0, 140.0
_LONGEST = 18


@dataclass(frozen=True)
class Column:
    """One column of nodes.

    Args:
        nodes: how many there are.
        words: what stands below, line by line.
        names: of the nodes, where they have names.
        side: on which side of the nodes the names stand.
    """

    nodes: int
    words: tuple[str, ...]
    names: tuple[str, ...] = ()
    side: str = "left"


def draw_network(columns: Sequence[Column], label: str) -> str:
    """Draw columns of nodes from left to right.

    Args:
        columns: inputs, layers and outputs.
        label: what the drawing is, for those who cannot see it.

    Returns:
        SVG, all names in it escaped.

    >>> "&lt;b&gt;" in draw_network([Column(1, ("inputs",), ("<b>",)), Column(1, ("outputs",))], "network")
    True
    """
    size = {"viewBox": f"0 0 {_WIDTH:g} {_HEIGHT + 60:g}", "class": "network"}
    root = Element("svg", {**size, "role": "img", "aria-label": label})
    gap = (_WIDTH - _LEFT - _RIGHT) / max(len(columns) - 1, 1)
    places = [(_LEFT + gap * number, _heights(column.nodes)) for number, column in enumerate(columns)]
    for (left, from_), (right, to) in itertools.pairwise(places):
        path = "".join(f"M{left:.1f} {start:.1f}L{right:.1f} {end:.1f}" for start in from_ for end in to)
        SubElement(root, "path", {"d": path, "class": "edges"})
    for column, (x, heights) in zip(columns, places, strict=True):
        _draw_column(root, column, x, heights)
    return ET.tostring(root, encoding="unicode")


def _heights(nodes: int) -> list[float]:
    drawn = min(nodes, MOST_NODES)
    step = min(34.0, _HEIGHT / (drawn + (1 if nodes > drawn else 0)))
    middle = _TOP + _HEIGHT / 2
    places = [middle + step * (number - (drawn - 1) / 2) for number in range(drawn)]
    if nodes <= drawn:
        return places
    # a gap for the dots, below the middle
    half = (drawn + 1) // 2
    return [y - step / 2 for y in places[:half]] + [y + step / 2 for y in places[half:]]


def _draw_column(root: Element, column: Column, x: float, heights: Sequence[float]) -> None:
    hidden = column.nodes - len(heights)
    for y in heights:
        SubElement(root, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "8", "class": "node"})
    if hidden:
        half = (len(heights) + 1) // 2
        middle = (heights[half - 1] + heights[half]) / 2
        for offset in (-6.0, 0.0, 6.0):
            SubElement(
                root, "circle", {"cx": f"{x:.1f}", "cy": f"{middle + offset:.1f}", "r": "1.6", "class": "dot"}
            )
    _name_nodes(root, column, x, heights)
    for number, word in enumerate(column.words):
        y = _TOP + _HEIGHT + 12 + 15 * number
        _write(root, x, y, word, "middle", "strong" if number == 0 else "muted")


def _name_nodes(root: Element, column: Column, x: float, heights: Sequence[float]) -> None:
    names = column.names
    if len(names) > len(heights):  # the first ones, and the last ones behind the gap
        half = (len(heights) + 1) // 2
        names = (*names[:half], *names[half - len(heights) :])
    left = column.side == "left"
    for name, y in zip(names, heights, strict=False):
        short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
        _write(root, x - 15 if left else x + 15, y + 4, short, "end" if left else "start", "name")


def _write(root: Element, x: float, y: float, text: str, anchor: str, kind: str) -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "class": kind}
    SubElement(root, "text", place).text = text
