"""Legends show any text and know their room."""

from __future__ import annotations

import math

import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tamis.plots.legend import add_legend, compute_axis_top, compute_entry_width, count_columns


def test_a_text_that_begins_with_an_underscore_is_shown() -> None:
    axes = Figure().add_subplot()
    legend = add_legend(axes, [(Line2D([], []), "_W+jets"), (Line2D([], []), "")], loc="upper left")
    assert [text.get_text() for text in legend.get_texts()] == ["_W+jets", ""]


def test_columns() -> None:
    short, long = ["a", "b", "c"], ["a" * 40, "b" * 40, "c" * 40]
    assert count_columns(short, 6.0, 10.0) == 3
    assert count_columns(long, 6.0, 10.0) == 1
    assert count_columns(long, 0.1, 10.0) == 1
    assert count_columns(long, 2.1 * compute_entry_width("a" * 40, 10.0), 10.0) == 2


@pytest.mark.parametrize("rows", [1, 5, 9])
def test_data_end_below_the_legend(rows: int) -> None:
    top = compute_axis_top(1e-3, 10.0, rows, height=5.0)
    share = 4 / (4 + math.log10(top / 10.0))
    assert share == pytest.approx(1 - (rows * 0.178 + 0.25) / 5.0)
