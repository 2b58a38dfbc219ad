"""Saved figures: all files, the same bytes each time, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from pypdf import PdfReader

from tamis.errors import RequestError
from tamis.plots.book import save_figures
from tamis.plots.style import figure_style


@figure_style()
def figure(text: str = "x") -> Figure:
    drawn = Figure(figsize=(2, 1.5), layout="constrained")
    axes = drawn.add_subplot()
    axes.plot([0, 1], [0, 1])
    axes.set_xlabel(text)
    return drawn


def test_each_figure_is_pdf_png_and_svg_and_all_are_in_the_book(tmp_path: Path) -> None:
    files = save_figures({"first": figure(), "second": figure()}, tmp_path / "new" / "figures")
    names = [f"{name}.{ending}" for name in ("first", "second") for ending in ("png", "pdf", "svg")]
    names.append("figures.pdf")
    assert sorted(path.name for path in files) == sorted(names)
    assert files[-1].name == "figures.pdf"
    assert sorted(path.name for path in (tmp_path / "new" / "figures").iterdir()) == sorted(names)
    for path in files:
        start = {".pdf": b"%PDF", ".png": b"\x89PNG", ".svg": b"<?xml"}[path.suffix]
        assert path.read_bytes().startswith(start)
    assert len(PdfReader(files[-1]).pages) == 2


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    first = save_figures({"a": figure()}, tmp_path / "first")
    second = save_figures({"a": figure()}, tmp_path / "second")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert b"CreationDate" not in first[-1].read_bytes()


def test_a_saved_figure_still_fits_its_layout(tmp_path: Path) -> None:
    drawn = figure()
    layout = drawn.get_layout_engine()
    save_figures({"a": drawn}, tmp_path)
    assert drawn.get_layout_engine() is layout
    assert layout is not None


def test_no_figures_make_no_book(tmp_path: Path) -> None:
    assert save_figures({}, tmp_path / "figures") == ()
    assert list((tmp_path / "figures").iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "/tmp/a", ".hidden", "figures"])
def test_names_are_plain_file_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError, match="cannot name a figure"):
        save_figures({"good": figure(), name: figure()}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_cannot_be_drawn_leaves_no_file_of_its_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Unknown symbol"):
        save_figures({"bad": figure(r"$\notasymbol$")}, tmp_path)
    assert list(tmp_path.iterdir()) == []
