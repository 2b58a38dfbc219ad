"""What a page is made of: sections of blocks, as plain values that the template shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

Light = Literal["good", "look", "bad", "info"]
"""Traffic light of a finding: all well, worth a look, something is wrong, or said for information."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        text: what is shown.
        value: what the column is sorted by; None sorts by the text, and a missing number last.
        light: a mark before the text.
        note: what stands smaller below, such as an interval.
        link: a path beside the page that the text leads to.
    """

    text: str
    value: float | None = None
    light: Light | None = None
    note: str = ""
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A table that sorts.

    Args:
        columns: headings.
        rows: as many cells each as there are columns.
        caption: what stands in the table.
        numeric: columns from this one on hold numbers.
        wraps: whether long text is broken into lines; else a wide table scrolls.
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
class Picture:
    """A figure with what to see in it.

    Args:
        name: of its file.
        title: a few words.
        sentence: what to see in it.
        svg: the figure, safe to stand in a page.
        file: where it lies beside the page, if it does; a PDF or an SVG.
        wide: whether it takes the width of the page; others stand in pairs.
    """

    kind: ClassVar[str] = "picture"
    name: str
    title: str
    sentence: str
    svg: str
    file: str = ""
    wide: bool = False

    @property
    def format(self) -> str:
        """Name the format of the file, such as PDF."""
        return self.file.rpartition(".")[2].upper()


@dataclass(frozen=True)
class Drawing:
    """A drawing that stands in the page only.

    Args:
        svg: safe to stand in a page.
        sentence: what to see in it.
    """

    kind: ClassVar[str] = "drawing"
    svg: str
    sentence: str


@dataclass(frozen=True)
class Finding:
    """One verdict.

    Args:
        light: how it is marked.
        title: what was judged.
        sentence: that can be quoted.
    """

    light: Light
    title: str
    sentence: str


@dataclass(frozen=True)
class Findings:
    """Verdicts below each other."""

    kind: ClassVar[str] = "findings"
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Tile:
    """One headline number.

    Args:
        title: what it is.
        value: the number.
        interval: its interval, where there is one.
        note: in which mixture, or what it is compared with.
    """

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
    """Cuts on the scores that a reader can move.

    Args:
        data: what the script of the page shows, as JSON takes it.
    """

    kind: ClassVar[str] = "explorer"
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Listing:
    """Text as it is in a file.

    Args:
        title: name of the file.
        text: its content.
    """

    kind: ClassVar[str] = "listing"
    title: str
    text: str


Block = Table | Text | Picture | Drawing | Findings | Tiles | Explorer | Listing


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading.

    Args:
        anchor: its name in links.
        title: its heading.
        blocks: what stands in it.
    """

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A whole page.

    Args:
        title: its heading.
        lead: what was done, in two or three sentences.
        sections: in their order; those without blocks are not shown.
        footer: who made it, and when.
    """

    title: str
    lead: str
    sections: Sequence[Section]
    footer: str
    tag: str = field(default="report")
