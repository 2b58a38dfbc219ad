"""The distribution of one score for every true class, training beside test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tamis.errors import TamisError
from tamis.evaluation.distributions import Distribution
from tamis.evaluation.histogram import Histogram
from tamis.evaluation.overtraining import KolmogorovSmirnov
from tamis.plots.labels import ClassStyle, fitting_size
from tamis.plots.legend import Entry, add_legend, top_with_room
from tamis.plots.style import MUTED_COLOUR, TEXT_COLOUR, figure_style

_MOST_FILLED = 3
_DECADES = 6
_LEGEND_SIZE = 9.0


@figure_style()
def plot_scores(
    distribution: Distribution,
    *,
    classes: Sequence[ClassStyle],
    column: int,
    tests: Sequence[KolmogorovSmirnov | None],
) -> Figure:
    """Draw one score for every true class: training as lines, test as points, all of unit area.

    Args:
        distribution: of the score, from `score_distribution`.
        classes: how each class is shown.
        column: index of the class whose score it is.
        tests: for each true class, training against test for this score; None where there is none.

    Raises:
        TamisError: if the distribution has another number of classes.
    """
    if len(distribution.training) != len(classes) or len(distribution.test) != len(classes):
        raise TamisError(f"score: expected distributions of {len(classes)} classes")
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yscale("log")
    drawn: list[Histogram] = []
    for style, training, test in zip(classes, distribution.training, distribution.test, strict=True):
        drawn += _draw_training(axes, training, style, filled=len(classes) <= _MOST_FILLED)
        drawn += _draw_test(axes, test, style)
    axes.set_xlim(0.0, 1.0)
    _leave_room(axes, drawn, rows=len(classes))
    text = f"Score for {classes[column].text}"
    axes.set_xlabel(text, fontsize=fitting_size(text, 5.0, 11.5))
    axes.set_ylabel("Normalised to unit area")
    _add_legends(axes, classes, tests)
    return figure


def _draw_training(
    axes: Axes, histogram: Histogram | None, style: ClassStyle, *, filled: bool
) -> list[Histogram]:
    if histogram is None:
        return []
    if filled:
        axes.stairs(histogram.density, histogram.edges, fill=True, color=style.colour, alpha=0.2, linewidth=0)
    axes.stairs(histogram.density, histogram.edges, color=style.colour, linestyle=style.line)
    return [histogram]


def _draw_test(axes: Axes, histogram: Histogram | None, style: ClassStyle) -> list[Histogram]:
    if histogram is None:
        return []
    positive = histogram.density > 0
    axes.errorbar(
        histogram.centres[positive],
        histogram.density[positive],
        histogram.uncertainty[positive],
        color=style.colour,
        marker=style.marker,
        linestyle="",
        elinewidth=1.1,
        markeredgecolor="white",
        markeredgewidth=0.4,
    )
    return [histogram]


def _leave_room(axes: Axes, histograms: Sequence[Histogram], rows: int) -> None:
    """Set the logarithmic axis so that the data stay below the legend, and rare bins stay visible."""
    positive = np.concatenate([[1.0], *(found.density[found.density > 0] for found in histograms)])
    highest = float(positive.max())
    lowest = max(float(positive.min()) / 2, highest * 10.0**-_DECADES)
    axes.set_ylim(lowest, top_with_room(lowest, highest, rows, height=4.7))


def _add_legends(
    axes: Axes, classes: Sequence[ClassStyle], tests: Sequence[KolmogorovSmirnov | None]
) -> None:
    texts = [f"{style.text}  ({_verdict(test)})" for style, test in zip(classes, tests, strict=True)]
    size = min(fitting_size(text, 3.9, _LEGEND_SIZE) for text in texts)
    entries: list[Entry] = [(_class_handle(style), text) for style, text in zip(classes, texts, strict=True)]
    by_class = add_legend(axes, entries, loc="upper left", fontsize=size)
    axes.add_artist(by_class)
    key: list[Entry] = [
        (Line2D([], [], color=MUTED_COLOUR), "training"),
        (Line2D([], [], color=TEXT_COLOUR, marker="o", linestyle=""), "test"),
    ]
    add_legend(axes, key, loc="upper right")


def _class_handle(style: ClassStyle) -> Line2D:
    return Line2D([], [], color=style.colour, linestyle=style.line, marker=style.marker)


def _verdict(test: KolmogorovSmirnov | None) -> str:
    if test is None:
        return "not compared"
    chance = "p < 0.001" if test.p_value < 0.001 else f"p = {test.p_value:.2g}"
    return f"KS {test.distance:.3f}, {chance}"
