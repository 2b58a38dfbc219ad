"""Drawn figures and the book: all files, the same bytes in any process, nothing half-written."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from PIL import Image
from pypdf import PdfReader

from tamis.errors import RequestError
from tamis.plots.book import Drawing, check_names, draw_chapter, svg_text, write_chapters
from tamis.plots.labels import class_styles
from tamis.plots.layout import joined_minor_ticks, lay_out
from tamis.plots.recording import POINTS_PER_INCH, RecordingCanvas, page_of
from tamis.plots.style import figure_style
from tamis.statistics.correlations import compute_correlations
from tamis.studies.inputs.correlation_plot import plot_correlation_page
from tamis.studies.performance.plot import plot_confusion

MATRICES = [
    ("x", compute_correlations(np.random.default_rng(seed).normal(size=(50, 4)), np.ones(50)))
    for seed in range(2)
]
CONFUSION = Drawing(
    "confusion",
    plot_confusion,
    {"confusion": [[0.9, 0.1], [0.2, 0.8]], "classes": class_styles(["bkg", "sig"])},
)
CORRELATIONS = Drawing(
    "correlations", plot_correlation_page, {"correlations": MATRICES, "features": ["$p_T$", "b", "c", "d"]}
)


@figure_style()
def figure(text: str = "x", scale: str = "linear") -> Figure:
    drawn = Figure(figsize=(2, 1.5), layout="constrained")
    axes = drawn.add_subplot()
    axes.plot([0, 1], [1, 300])
    axes.set_yscale(scale)
    axes.set_xlabel(text)
    return drawn


def drawing(name: str, text: str = "x") -> Drawing:
    return Drawing(name, figure, {"text": text})


@pytest.mark.parametrize("formats", [("svg",), ("svg", "pdf", "png"), ("pdf",), ("png",), ()])
def test_each_figure_has_an_svg_and_further_formats_on_request(
    tmp_path: Path, formats: tuple[str, ...]
) -> None:
    folder = tmp_path / "new" / "figures"
    chapters = [
        draw_chapter([drawing("first"), drawing("second", "y")], formats),
        draw_chapter([drawing("third", "z")], formats),
    ]
    files = write_chapters(chapters, folder, formats)
    endings = {"svg", *formats}
    names = [f"{name}.{ending}" for name in ("first", "second", "third") for ending in endings]
    assert sorted(path.name for path in files) == sorted([*names, "figures.pdf"])
    assert files[-1].name == "figures.pdf"
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in files)
    for path in files:
        start = {".pdf": b"%PDF", ".png": b"\x89PNG", ".svg": b"<?xml"}[path.suffix]
        assert path.read_bytes().startswith(start)
    pages = PdfReader(files[-1]).pages
    assert [set(page.extract_text().split()) & set("xyz") for page in pages] == [{"x"}, {"y"}, {"z"}]
    if "pdf" in formats:
        (page,) = PdfReader(folder / "second.pdf").pages
        assert "y" in page.extract_text().split()


@pytest.mark.slow  # starts new processes that import matplotlib
def test_any_process_draws_the_same_bytes(tmp_path: Path) -> None:
    chapters = [[CONFUSION, drawing_of_a_module("a")], [CORRELATIONS]]
    formats = ("svg", "pdf", "png")
    here = [draw_chapter(chapter, formats) for chapter in chapters]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        there = list(pool.map(draw_chapter, chapters, [formats] * 2))
    first = write_chapters(here, tmp_path / "first", formats)
    second = write_chapters(there, tmp_path / "second", formats)
    assert [path.name for path in first] == [path.name for path in second]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    assert b"CreationDate" not in first[-1].read_bytes()


def drawing_of_a_module(name: str) -> Drawing:
    """Give a figure whose function another process can find."""
    return Drawing(name, plot_confusion, {**CONFUSION.arguments, "confusion": [None, [0.5, 0.5]]})


def test_what_draws_needs_no_jax() -> None:
    code = (
        "import sys; from tamis.plots import book, history\n"
        "import tamis.studies.baselines.plot\n"
        "import tamis.studies.calibration.plot, tamis.studies.discovery.plot, tamis.studies.importance.plot\n"
        "import tamis.studies.inputs.plot, tamis.studies.overtraining.plot, tamis.studies.pairs.plot\n"
        "import tamis.studies.performance.plot, tamis.studies.sculpting.plot, tamis.studies.stability.plot\n"
        "print([name for name in ('jax', 'pyarrow', 'scipy.stats', 'pydantic') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_svg_of_a_figure_alone_is_that_of_a_chapter() -> None:
    assert svg_text(figure()) == draw_chapter([drawing("a")]).figures[0].svg


def test_nothing_is_drawn_outside_the_page() -> None:
    svg = svg_text(figure("a long label below the axes"))
    assert 'viewBox="0 0 144 108"' in svg
    (page,) = PdfReader(BytesIO(draw_chapter([drawing("a")]).pdf)).pages
    assert (float(page.mediabox.width), float(page.mediabox.height)) == (144, 108)


def test_a_recorded_figure_is_the_figure() -> None:
    """Paths, markers, collections and everything that is clipped, written after the figure has changed again."""

    def pixels(drawn: Figure) -> np.ndarray:
        file = BytesIO()
        drawn.savefig(file, format="png", dpi=72)
        return np.asarray(Image.open(file))

    rng = np.random.default_rng(3)
    with figure_style():
        drawn = Figure(figsize=(5, 4))
        panels = drawn.subplots(2, 2)
        panels[0, 0].plot(rng.random(30), rng.random(30), marker="o", clip_on=True)
        panels[0, 0].set_xlim(0.3, 0.7)
        panels[0, 1].errorbar(np.arange(5), rng.random(5), rng.random(5), marker="s")
        panels[0, 1].scatter(rng.random(9) * 4, rng.random(9), np.arange(9) * 9.0, np.arange(9))
        panels[1, 0].stairs(rng.random(9), fill=True, hatch="//", edgecolor="white")
        panels[1, 0].set_yscale("log")
        (area,) = panels[1, 1].fill([0, 1, 0.5], [0, 0, 1])
        area.set_clip_path(Circle((0.5, 0.5), 0.3, transform=panels[1, 1].transData))
        for axes in panels.flat:
            axes.tick_params(which="both", labelleft=False, labelbottom=False)  # hinting moves texts
        drawn.set_dpi(POINTS_PER_INCH)
        canvas = RecordingCanvas(drawn)
        drawn.draw(canvas.recorder)
        expected = pixels(drawn)
        drawn.set_dpi(200)
        drawn.subplots_adjust(left=0.4)
        np.testing.assert_array_equal(pixels(page_of(canvas.recorder)), expected)


def test_texts_keep_their_alignment() -> None:
    """A browser without the font draws others, which must stay in the middle of their cells."""
    svg = draw_chapter([CORRELATIONS]).figures[0].svg
    assert svg.count("text-anchor: middle") >= 2 * 12


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_ticks_that_are_drawn_together_look_the_same(scale: str) -> None:
    def pixels(drawn: Figure) -> np.ndarray:
        file = BytesIO()
        drawn.savefig(file, format="png", dpi=150)
        return np.asarray(Image.open(file))

    with figure_style():
        drawn = figure(scale=scale)
        lay_out(drawn)  # which settles the major ticks
        one = pixels(drawn)
        with joined_minor_ticks(drawn) as taken:
            bare = pixels(drawn)
            for ticks in taken:
                ticks.draw()
            joined = pixels(drawn)
        assert len(taken) == 2
        np.testing.assert_array_equal(joined, one)
        assert (bare != one).any()
        np.testing.assert_array_equal(pixels(drawn), one)


def test_labels_of_minor_ticks_stay() -> None:
    with figure_style():
        drawn = figure(scale="log")
        (axes,) = drawn.axes
        axes.set_ylim(2.0, 9.0)
        with joined_minor_ticks(drawn) as taken:
            assert len(taken) == 1
            assert any(label.get_text() for label in axes.yaxis.get_ticklabels(minor=True))


@figure_style()
def grid(labels: str) -> Figure:
    """Draw axes whose labels may change as they get smaller."""
    drawn = Figure(figsize=(5, 4), layout="constrained")
    panels = drawn.subplots(2, 3, squeeze=False)
    for number, axes in enumerate(panels.flat):
        axes.plot([0, 1], [0, 10.0 ** (number - 1)])
        axes.set_xlabel(f"x {number}")
        axes.set_title("above" * (number % 2))
        if labels == "equal":
            axes.set_aspect("equal", adjustable="box")
            axes.set_ylim(0, 1)
    if labels == "none":
        for axes in panels.flat:
            axes.set_xticks([0.0, 1.0])
            axes.set_yticks([0.0])
    drawn.suptitle("title")
    drawn.align_ylabels()
    return drawn


@pytest.mark.parametrize("labels", ["changing", "none", "equal"])
def test_the_layout_is_that_of_matplotlib(labels: str) -> None:
    with figure_style():
        expected = grid(labels)
        engine = expected.get_layout_engine()
        assert engine is not None
        engine.execute(expected)
        drawn = grid(labels)
        lay_out(drawn)
    for one, other in zip(drawn.axes, expected.axes, strict=True):
        np.testing.assert_allclose(one.get_position().extents, other.get_position().extents, atol=1e-9)


def test_a_layout_measures_again_only_what_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    measured: list[Axes] = []
    measure = Axes.get_tightbbox
    monkeypatch.setattr(
        Axes, "get_tightbbox", lambda axes, *args, **named: measured.append(axes) or measure(axes, *args, **named)
    )  # fmt: skip
    with figure_style():
        lay_out(grid("none"))
    assert len(measured) == 6


def test_no_chapters_make_no_book(tmp_path: Path) -> None:
    assert write_chapters([], tmp_path / "figures") == ()
    assert list((tmp_path / "figures").iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "/absolute", ".hidden", "figures"])
def test_names_are_plain_file_names(name: str) -> None:
    with pytest.raises(RequestError):
        check_names([drawing("good"), drawing(name)])


def test_names_are_different() -> None:
    with pytest.raises(RequestError):
        check_names([drawing("a"), drawing("b"), drawing("a")])


def test_a_figure_that_cannot_be_drawn_is_an_error() -> None:
    with pytest.raises(ValueError, match="Unknown symbol"):
        draw_chapter([drawing("bad", r"$\notasymbol$")])


@pytest.mark.parametrize("classes", [3, 12])
def test_numbers_in_cells_stand_where_texts_of_matplotlib_would(classes: int) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from tamis.plots.cells import CellNumber, CellNumbers, draw_cells

    matrix = np.random.default_rng(classes).normal(size=(classes, classes))
    numbers = [
        CellNumber(row, column, f"{value:.2f}", "#1b1b1b") for (row, column), value in np.ndenumerate(matrix)
    ]

    def pixels(*, together: bool) -> np.ndarray:
        drawn = Figure(figsize=(4, 4))
        axes = drawn.add_subplot()
        draw_cells(axes, matrix, "viridis", -1.0, 1.0)
        if together:
            axes.add_artist(CellNumbers(numbers, 6.0))
        else:
            for each in numbers:
                centred = {"ha": "center", "va": "center", "fontsize": 6.0, "color": each.colour}
                axes.text(each.column, each.row, each.text, **centred)
        canvas = FigureCanvasAgg(drawn)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())

    with figure_style():
        np.testing.assert_array_equal(pixels(together=True), pixels(together=False))
