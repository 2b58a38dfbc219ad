"""The elements of a page: sections of blocks, as plain values for the template.

Every text may hold any characters; the template escapes it. Only `svg` is inserted as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Light = Literal["good", "look", "bad", "info"]
"""Traffic light of a finding: good, warning, error, or information."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        value: the sort key of the cell; None sorts by the text, or last in a column of numbers.
        light: a mark before the text.
        note: small text below, such as an interval.
        link: a path relative to the page.
    """

    text: str
    value: float | None = None
    light: Light | None = None
    note: str = ""
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A table that readers can sort.

    Args:
        rows: as many cells each as there are columns.
        numeric: index of the first column of numbers; all columns after it hold numbers too.
        wraps: whether long text is broken into lines; otherwise a wide table scrolls.
    """

    kind: ClassVar[str] = "table"
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    numeric: int = 1
    wraps: bool = False


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Caption:
    """The caption of a figure.

    Args:
        figure: name of the figure, or the beginning of the names of several.
        title: a few words; `{}` stands for the rest of the name.
        sentence: what the figure shows.
    """

    figure: str
    title: str
    sentence: str


@dataclass(frozen=True)
class Picture:
    """A figure with its caption.

    Args:
        svg: the figure, safe to embed in a page.
        file: path of a PDF or an SVG relative to the page; empty if there is none.
        wide: whether the figure is as wide as the page; the others are shown in pairs.
    """

    kind: ClassVar[str] = "picture"
    name: str
    title: str
    sentence: str
    svg: str
    file: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Diagram:
    """A diagram that exists only in the page: its SVG, safe to embed, and what it shows."""

    kind: ClassVar[str] = "diagram"
    svg: str
    sentence: str


@dataclass(frozen=True)
class Finding:
    """One finding: its traffic light, its subject, and a sentence that can be quoted."""

    light: Light
    title: str
    sentence: str


@dataclass(frozen=True)
class Findings:
    """A list of findings."""

    kind: ClassVar[str] = "findings"
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Tile:
    """One headline number with its interval; the note has its weights, or what it is compared with."""

    title: str
    value: str
    interval: str = ""
    note: str = ""


@dataclass(frozen=True)
class Tiles:
    """Headline numbers beside each other."""

    kind: ClassVar[str] = "tiles"
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Explorer:
    """Cuts on the scores that a reader can move; `data` is the input of the script of the page, as JSON."""

    kind: ClassVar[str] = "explorer"
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Listing:
    """The content of a text file below the name of the file."""

    kind: ClassVar[str] = "listing"
    title: str
    text: str


Block = Table | Text | Picture | Diagram | Findings | Tiles | Explorer | Listing


@dataclass(frozen=True)
class PageSection:
    """A part of the page with a heading; `anchor` is its name in links."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A page: its heading, two or three sentences about it, its sections, and its kind beside the name tamis."""

    title: str
    lead: str
    sections: Sequence[PageSection]
    footer: str
    tag: str = "report"
