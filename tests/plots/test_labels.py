"""Names are drawn as they are; labels are mathtext or an error."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure

from tamis.errors import RequestError
from tamis.plots.labels import (
    LONGEST_NAME,
    SMALLEST_SIZE,
    axis_label,
    checked_label,
    class_styles,
    compute_font_size,
    compute_text_width,
    literal,
)

hostile = st.text(alphabet=st.sampled_from(list("ab$$\\\\_^{}%<>&#\n\t é信🙂")), max_size=50)


def draw(text: str) -> None:
    figure = Figure()
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.text(0, 0, text).get_window_extent(renderer)
    figure.draw(renderer)


@settings(deadline=None, max_examples=60)
@given(hostile | st.text(max_size=50))
def test_any_name_is_drawn_literally(name: str) -> None:
    text = literal(name)
    assert not is_math_text(text)
    assert len(text.replace(r"\$", "$")) <= LONGEST_NAME
    draw(text)


@settings(deadline=None, max_examples=25)
@given(hostile)
def test_any_name_stands_beside_mathtext(name: str) -> None:
    draw(axis_label(name, None, r"$\mathrm{cm}^2$"))


@pytest.mark.parametrize("name", ["pt", "lep_pt", "100%", "<Wt>", "p^2", "{a}", "a & b", "é"])
def test_a_usual_name_stays(name: str) -> None:
    assert literal(name) == name


def test_a_long_name_keeps_both_ends() -> None:
    text = literal("begin" + 80 * "x" + "end")
    assert len(text) == LONGEST_NAME
    assert re.fullmatch(r"beginx+…x+end", text)
    assert literal("x" * LONGEST_NAME) == "x" * LONGEST_NAME


@pytest.mark.parametrize("label", ["SIGNAL", r"$H \to \tau\tau$", r"5\$ of $x$", "", "a_b", r"\frac"])
def test_a_valid_label_stays(label: str) -> None:
    assert checked_label(label, "here") == label
    draw(label)


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("$m", "opens LaTeX math"),
        ("cost in $", "opens LaTeX math"),
        (r"$\notasymbol$", "not LaTeX math"),
        (r"$\frac{1$", "not LaTeX math"),
        ("$x^$", "not LaTeX math"),
        ("$" + "{" * 240 + "x" + "}" * 240 + "$", "not LaTeX math"),
        ("$" + "x^{" * 120 + "x" + "}" * 120 + "$", "not LaTeX math"),
    ],
)
def test_an_invalid_label_is_named(label: str, reason: str) -> None:
    with pytest.raises(RequestError) as error:
        class_styles(["bkg", "sig"], ["BKG", label])
    assert str(error.value).startswith(f"label of class 'sig': '{label}'")
    assert reason in str(error.value)
    with pytest.raises(RequestError):
        axis_label("mass", label, "GeV")
    with pytest.raises(RequestError):
        axis_label("mass", None, label)


@pytest.mark.parametrize(
    ("label", "unit", "text"),
    [
        (None, None, "m_$"),
        (None, "GeV", "m_$ [GeV]"),
        ("$m$", None, "$m$"),
        ("$m$", "$GeV^2$", "$m$ [$GeV^2$]"),
    ],
)
def test_axis_labels(label: str | None, unit: str | None, text: str) -> None:
    assert axis_label("m_$", label, unit).replace(r"\$", "$") == text


def test_classes_look_different() -> None:
    styles = class_styles([f"c{index}" for index in range(25)])
    assert len({(style.colour, style.line) for style in styles}) == 25
    assert len({style.colour for style in class_styles(list("abcdefghij"))}) == 10
    assert [style.text for style in class_styles(["a", "b"], [None, "B"])] == ["a", "B"]
    with pytest.raises(ValueError, match="zip"):
        class_styles(["a", "b"], ["A"])


def test_width_grows_with_size_and_text_is_made_to_fit() -> None:
    text = r"a long label of $p_T$ over $\sqrt{s}$"
    assert compute_text_width(text, 20.0) == pytest.approx(2 * compute_text_width(text, 10.0), rel=0.02)
    assert compute_text_width("  ", 10.0) == 0.0
    assert compute_font_size(text, 10.0, 12.0) == 12.0
    size = compute_font_size(text, 2.0, 12.0)
    assert compute_text_width(text, size) == pytest.approx(2.0, rel=0.02)
    assert compute_font_size(10 * "long ", 0.1, 12.0) == SMALLEST_SIZE
