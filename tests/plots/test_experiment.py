"""The label of an experiment stands on a strip above a figure, and changes nothing of the figure."""

from __future__ import annotations

import re
from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from pypdf import PdfReader

from tamis.errors import RequestError
from tamis.plots.book import Chapter, Drawing, draw_chapter
from tamis.plots.experiment import HEIGHT, ExperimentLabel
from tamis.plots.style import figure_style

LABEL = ExperimentLabel("CMS Simulation Preliminary", "138 fb^{-1} (13 TeV)")


def plot() -> Figure:
    with figure_style():
        figure = Figure(figsize=(4, 3), layout="constrained")
        figure.subplots().plot([0, 1], [1, 0], label="a line")
        figure.legend(loc="outside upper center")
    return figure


def draw(label: ExperimentLabel | None) -> Chapter:
    return draw_chapter([Drawing("line", plot)], ("svg", "png"), label)


def pixels(chapter: Chapter) -> np.ndarray:
    return imread(BytesIO(chapter.figures[0].png or b""), format="png")


def test_the_figure_below_the_strip_is_the_figure_without_label() -> None:
    without, labelled = pixels(draw(None)), pixels(draw(LABEL))
    strip = len(labelled) - len(without)
    assert strip == round(HEIGHT * 150)
    np.testing.assert_allclose(labelled[strip:], without, atol=1 / 255)
    drawn = (labelled[:strip, :, :3] < 0.5).any(axis=(0, 2))
    # the experiment at the left, the luminosity at the right, nothing between them
    columns = np.flatnonzero(drawn)
    assert columns[0] < 30
    assert columns[-1] > labelled.shape[1] - 30
    assert np.diff(columns).max() > 20


@pytest.mark.parametrize("format_name", ["svg", "pdf"])
def test_vector_formats_have_the_strip_too(format_name: str) -> None:
    heights, texts = [], []
    for label in (None, LABEL):
        chapter = draw(label)
        if format_name == "svg":
            svg = chapter.figures[0].svg
            heights.append(float(re.search(r'height="([\d.]+)pt"', svg).group(1)))
            texts.append(svg)
        else:
            (page,) = PdfReader(BytesIO(chapter.pdf)).pages
            heights.append(float(page.mediabox.height))
            texts.append(page.extract_text())
    assert heights[1] - heights[0] == pytest.approx(HEIGHT * 72)
    assert "TeV" not in texts[0]
    assert "TeV" in texts[1]
    assert "a line" in texts[1]


def test_the_same_label_gives_the_same_bytes() -> None:
    first, second = draw(LABEL), draw(LABEL)
    assert first.pdf == second.pdf
    assert first.figures == second.figures


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("ATLAS", r"$\mathbf{ATLAS}$"),
        ("CMS Work in progress", r"$\mathbf{CMS}$ $\mathit{Work}$ $\mathit{in}$ $\mathit{progress}$"),
        (r"$\mathbf{my}$ own", r"$\mathbf{my}$ own"),
        ("", ""),
    ],
)
def test_the_experiment_is_bold_and_the_status_italic(text: str, drawn: str) -> None:
    assert ExperimentLabel(text).drawn[0] == drawn


@pytest.mark.parametrize(
    "label", [("bad $x", ""), ("", "138 $fb^{"), ("", "138 fb^{-1 (13 TeV)"), ("", "fb}^{-1}{")]
)
def test_a_label_that_cannot_be_drawn_is_refused(label: tuple[str, str]) -> None:
    with pytest.raises(RequestError):
        ExperimentLabel(*label)
