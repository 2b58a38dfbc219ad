"""Draw figures into files: each as SVG, on request as PDF and PNG, and all of them as pages of one PDF, the book."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.image import imread, imsave
from numpy.typing import NDArray
from pypdf import PageObject, PdfReader, PdfWriter

from tamis.errors import RequestError
from tamis.files import write_bytes, write_text
from tamis.plots.experiment import HEIGHT, ExperimentLabel, add_label, draw_strip
from tamis.plots.layout import joined_minor_ticks, lay_out
from tamis.plots.recording import POINTS_PER_INCH, RecordingCanvas, page_of
from tamis.plots.style import figure_style

BOOK = "figures.pdf"
_DPI = 150
# without the time and the version of matplotlib, equal figures are equal files
_PDF_METADATA = {"CreationDate": None, "Creator": "tamis", "Producer": None}
_PNG_METADATA = {"Software": None}
_SVG_METADATA = {"Date": None, "Creator": "tamis"}


@dataclass(frozen=True)
class Drawing:
    """A figure that is not drawn yet, for example to be drawn by another process.

    `plot` is a function of a module; its arguments are small and possible to send to another process. A large one takes
    as long to draw as several others; it is then drawn early, with few others.
    """

    name: str
    plot: Callable[..., Figure]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    large: bool = False

    def draw(self) -> Figure:
        """Draw the figure."""
        return self.plot(**self.arguments)


@dataclass(frozen=True)
class DrawnFigure:
    """A figure as the text of an SVG and, if requested, the bytes of a PNG."""

    name: str
    svg: str
    png: bytes | None = None


@dataclass(frozen=True)
class Chapter:
    """Figures that were drawn together, and a PDF with one page for each of them, which share their fonts."""

    figures: tuple[DrawnFigure, ...]
    pdf: bytes


@figure_style()
def draw_chapter(
    drawings: Sequence[Drawing], formats: Collection[str] = ("svg",), label: ExperimentLabel | None = None
) -> Chapter:
    """Draw figures that follow each other in the book, as SVG and pages of the book, and with the format `png` as PNG.

    The result depends only on the arguments, not on the time or the process.
    """
    figures = []
    document = BytesIO()
    with PdfPages(document, metadata=_PDF_METADATA) as pages:
        for drawing in drawings:
            figure = drawing.draw()
            page = _draw_page(figure, label)
            pages.savefig(page)
            png = _png(figure, label) if "png" in formats else None
            figures.append(DrawnFigure(drawing.name, _svg(page), png))
    return Chapter(tuple(figures), document.getvalue())


def write_chapters(
    chapters: Sequence[Chapter], folder: Path, formats: Collection[str] = ("svg",)
) -> tuple[Path, ...]:
    """Write each figure as `name.svg`, with the format `pdf` also as PDF, and all as pages of `figures.pdf`.

    The book is the last of the files; without figures there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for chapter in chapters:
        for figure in chapter.figures:
            written.append(folder / f"{figure.name}.svg")
            write_text(written[-1], figure.svg)
            if figure.png is not None:
                written.append(folder / f"{figure.name}.png")
                write_bytes(written[-1], figure.png)
        if "pdf" in formats:
            pages = PdfReader(BytesIO(chapter.pdf)).pages
            for figure, page in zip(chapter.figures, pages, strict=True):
                written.append(folder / f"{figure.name}.pdf")
                write_bytes(written[-1], _document([page]))
    if not chapters:
        return ()
    pages = [page for chapter in chapters for page in PdfReader(BytesIO(chapter.pdf)).pages]
    write_bytes(folder / BOOK, _document(pages))
    return (*written, folder / BOOK)


def check_names(drawings: Sequence[Drawing]) -> None:
    """Check that the figures of a folder have different plain file names, not that of the book (`RequestError`)."""
    names = [drawing.name for drawing in drawings]
    for name in names:
        if not name or name != Path(name).name or name.startswith(".") or f"{name}.pdf" == BOOK:
            raise RequestError(
                f"'{name}' cannot name a figure: expected a plain file name other than 'figures'"
            )
        if names.count(name) > 1:
            raise RequestError(f"two figures have the name '{name}': give them different names")


@figure_style()
def svg_text(figure: Figure) -> str:
    """Return a figure as the text of an SVG, the same as `draw_chapter` writes."""
    return _svg(_draw_page(figure))


def _draw_page(figure: Figure, label: ExperimentLabel | None = None) -> Figure:
    """Apply the layout of a figure and draw it once, with a label above it; return the page that shows the result."""
    figure.dpi = POINTS_PER_INCH
    with joined_minor_ticks(figure) as ticks:
        canvas = RecordingCanvas(figure)
        lay_out(figure)
        for axis_ticks in ticks:
            axis_ticks.draw()
        if label is not None:
            add_label(figure, label, bottom=float(figure.get_size_inches()[1]))
            canvas.recorder.height += HEIGHT * POINTS_PER_INCH
        figure.draw(canvas.recorder)
    return page_of(canvas.recorder)


def _svg(page: Figure) -> str:
    text = StringIO()
    page.savefig(text, format="svg", metadata=_SVG_METADATA)
    return text.getvalue()


def _png(figure: Figure, label: ExperimentLabel | None) -> bytes:
    drawn = BytesIO()
    if label is None:
        figure.savefig(drawn, format="png", dpi=_DPI, metadata=_PNG_METADATA)
        return drawn.getvalue()
    # a higher page would move the legends outside of the axes, so the strip is a figure for itself
    strip = draw_strip(label, float(figure.get_size_inches()[0]))
    pixels = np.concatenate([_pixels(strip), _pixels(figure)])
    imsave(drawn, pixels, format="png", dpi=_DPI, metadata={"Software": ""})
    return drawn.getvalue()


def _pixels(figure: Figure) -> NDArray[np.float32]:
    """Draw a figure in pixels, [rows, columns, red green blue alpha]."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI)
    drawn.seek(0)
    return np.asarray(imread(drawn, format="png"))


def _document(pages: Sequence[PageObject]) -> bytes:
    document = PdfWriter()
    for page in pages:
        document.add_page(page)
    document.add_metadata({"/Creator": "tamis"})
    content = BytesIO()
    document.write(content)
    return content.getvalue()
