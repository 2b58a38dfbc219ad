"""Draw figures into files: each as SVG, as PDF and PNG on request, and all of them as pages of one book."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from pypdf import PageObject, PdfReader, PdfWriter

from tamis.errors import RequestError
from tamis.files import write_bytes, write_text
from tamis.plots.layout import lay_out
from tamis.plots.recording import POINTS_PER_INCH, Recorder, RecordingCanvas, page_of
from tamis.plots.style import figure_style
from tamis.plots.ticks import joined_minor_ticks

BOOK = "figures.pdf"
_DPI = 150
# Neither the time nor the version of matplotlib goes into a file: the same figures give the same bytes.
_PDF_METADATA = {"CreationDate": None, "Creator": "tamis", "Producer": None}
_PNG_METADATA = {"Software": None}
_SVG_METADATA = {"Date": None, "Creator": "tamis"}


@dataclass(frozen=True)
class Drawing:
    """A figure that is not drawn yet; another process can draw it.

    Args:
        name: of its files, without their endings.
        plot: a function of a module that returns the figure.
        arguments: of the function, by name; small, and such that they can be sent to another process.
    """

    name: str
    plot: Callable[..., Figure]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def draw(self) -> Figure:
        """Draw the figure."""
        return self.plot(**self.arguments)


@dataclass(frozen=True)
class DrawnFigure:
    """The files of a figure.

    Args:
        name: of the files, without their endings.
        svg: the text of the SVG.
        png: the PNG, where it was asked for.
    """

    name: str
    svg: str
    png: bytes | None = None


@dataclass(frozen=True)
class Chapter:
    """Figures that were drawn together, with their pages in the book.

    Args:
        figures: in the order of the pages.
        pdf: a document with a page for each of them, which share their fonts.
    """

    figures: tuple[DrawnFigure, ...]
    pdf: bytes


@figure_style()
def draw_chapter(drawings: Sequence[Drawing], formats: Collection[str] = ("svg",)) -> Chapter:
    """Draw figures that stand side by side in the book.

    What comes out depends on the arguments alone, not on the time or on the process.

    Args:
        drawings: the figures, in the order of their pages; at least one.
        formats: of the files; SVG and the pages of the book are made in any case, PNG where it is among them.
    """
    figures = []
    whole = BytesIO()
    with PdfPages(whole, metadata=_PDF_METADATA) as pages:
        for drawing in drawings:
            figure = drawing.draw()
            recorder = _record(figure)
            page = page_of(recorder)
            pages.savefig(page)
            figures.append(DrawnFigure(drawing.name, _svg(page), _png(figure) if "png" in formats else None))
    return Chapter(tuple(figures), whole.getvalue())


def write_chapters(
    chapters: Sequence[Chapter], folder: Path, formats: Collection[str] = ("svg",)
) -> tuple[Path, ...]:
    """Write each figure as `name.svg`, and all as pages of `figures.pdf`.

    Args:
        chapters: in the order of the book.
        folder: is made where it is not there.
        formats: further files of each figure, `pdf` and `png`.

    Returns:
        The files, the book last. No book is written where there are no figures.
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
    """Refuse names that cannot be those of files.

    Args:
        drawings: all figures of a folder.

    Raises:
        RequestError: a name is not a plain file name, is that of the book, or occurs twice.
    """
    names = [drawing.name for drawing in drawings]
    for name in names:
        if not name or name != Path(name).name or name.startswith(".") or f"{name}.pdf" == BOOK:
            raise RequestError(
                f"'{name}' cannot name a figure: expected a plain file name other than 'figures'"
            )
        if names.count(name) > 1:
            raise RequestError(f"two figures have the name '{name}': give each a name of its own")


@figure_style()
def svg_text(figure: Figure) -> str:
    """Write a figure as SVG into text, the same as `draw_chapter` writes it."""
    return _svg(page_of(_record(figure)))


def _record(figure: Figure) -> Recorder:
    """Lay a figure out and draw it once."""
    with _resolution(figure, POINTS_PER_INCH), joined_minor_ticks(figure) as ticks:
        canvas = RecordingCanvas(figure)
        lay_out(figure)
        for each in ticks:
            each.draw()
        figure.draw(canvas.recorder)
    return canvas.recorder


def _svg(page: Figure) -> str:
    text = StringIO()
    page.savefig(text, format="svg", metadata=_SVG_METADATA)
    return text.getvalue()


def _png(figure: Figure) -> bytes:
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI, metadata=_PNG_METADATA)
    return drawn.getvalue()


def _document(pages: Sequence[PageObject]) -> bytes:
    document = PdfWriter()
    for page in pages:
        document.add_page(page)
    document.add_metadata({"/Creator": "tamis"})
    content = BytesIO()
    document.write(content)
    return content.getvalue()


@contextmanager
def _resolution(figure: Figure, dpi: float) -> Iterator[None]:
    before = figure.dpi
    figure.dpi = dpi
    try:
        yield
    finally:
        figure.dpi = before
