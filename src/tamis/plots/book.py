"""Save figures: each as PDF, PNG and SVG, and all of them in one book."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO, StringIO
from pathlib import Path

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from pypdf import PageObject, PdfReader, PdfWriter

from tamis.errors import RequestError
from tamis.files import write_bytes, write_text
from tamis.plots.style import figure_style

BOOK = "figures.pdf"
_DPI = 150
# Neither the time nor the version of matplotlib goes into a file: the same figures give the same bytes.
_PDF_METADATA = {"CreationDate": None, "Creator": "tamis", "Producer": None}
_PNG_METADATA = {"Software": None}
_SVG_METADATA = {"Date": None, "Creator": "tamis"}


@figure_style()
def save_figures(figures: Mapping[str, Figure], folder: Path) -> tuple[Path, ...]:
    """Write each figure as `name.pdf`, `name.png` and `name.svg`, and all as pages of `figures.pdf`.

    The files depend on the figures alone, not on the time.

    Args:
        figures: by the name of the file without its ending; the order is that of the pages.
        folder: is made where it is not there.

    Returns:
        The files, the book last. No book is written where there are no figures.

    Raises:
        RequestError: if a name cannot be a file in the folder.
    """
    for name in figures:
        if not name or name != Path(name).name or name.startswith(".") or f"{name}.pdf" == BOOK:
            raise RequestError(
                f"'{name}' cannot name a figure: expected a plain file name other than 'figures'"
            )
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    if not figures:
        return ()
    whole = BytesIO()
    with PdfPages(whole, metadata=_PDF_METADATA) as book:
        for name, figure in figures.items():
            written += _save(figure, folder, name, book)
    # fonts are cut out once for the book, not once for each figure
    pages = PdfReader(whole).pages
    for name, page in zip(figures, pages, strict=True):
        written.append(_save_page(page, folder / f"{name}.pdf"))
    write_bytes(folder / BOOK, whole.getvalue())
    return (*written, folder / BOOK)


def _save(figure: Figure, folder: Path, name: str, book: PdfPages) -> list[Path]:
    paths = [folder / f"{name}.{ending}" for ending in ("png", "svg")]
    png, svg = paths
    # The layout is found once; to find it for each file, each time with a drawing for nothing, would take half of the
    # time.
    layout = figure.get_layout_engine()
    if layout is not None:
        with _resolution(figure, _DPI):
            layout.execute(figure)
    figure.set_layout_engine(None)
    try:
        drawn = BytesIO()
        figure.savefig(drawn, format="png", dpi=_DPI, metadata=_PNG_METADATA)
        write_bytes(png, drawn.getvalue())
        text = StringIO()
        figure.savefig(text, format="svg", metadata=_SVG_METADATA)
        write_text(svg, text.getvalue())
        book.savefig(figure)  # type: ignore[no-untyped-call]
    finally:
        figure.set_layout_engine(layout)
    return paths


@contextmanager
def _resolution(figure: Figure, dpi: float) -> Iterator[None]:
    before = figure.dpi
    figure.dpi = dpi
    try:
        yield
    finally:
        figure.dpi = before


def _save_page(page: PageObject, path: Path) -> Path:
    single = PdfWriter()
    single.add_page(page)
    single.add_metadata({"/Creator": "tamis"})
    content = BytesIO()
    single.write(content)
    write_bytes(path, content.getvalue())
    return path


@figure_style()
def svg_text(figure: Figure) -> str:
    """Write a figure as SVG into text, the same as `save_figures` would write to a file."""
    text = StringIO()
    figure.savefig(text, format="svg", metadata=_SVG_METADATA)
    return text.getvalue()
