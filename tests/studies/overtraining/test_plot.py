"""The figure of a score: test over training for every class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import StepPatch

from tamis.errors import TamisError
from tamis.plots.labels import class_styles
from tamis.statistics.distributions import Distribution, compute_score_distributions
from tamis.statistics.histogram import fill_histogram
from tamis.statistics.overtraining import KolmogorovSmirnov, compute_kolmogorov_smirnov_tests
from tamis.statistics.scored import ScoredEvents
from tamis.studies.overtraining.plot import plot_scores

three = class_styles(["bkg1", "bkg2", "sig"], ["BKG 1", "BKG 2", "SIGNAL"])


def draw(training: Any, test: Any, classes: Any = three, column: int = 2) -> Figure:
    splits = [
        ScoredEvents(events.scores, events.class_index, events.weight, np.ones_like(events.weight))
        for events in (training, test)
    ]
    tests = [row[column] for row in compute_kolmogorov_smirnov_tests(*splits)]
    distribution = compute_score_distributions(*splits)[column]
    return plot_scores(distribution, classes=classes, column=column, tests=tests)


def of_one_event(count: int) -> Distribution:
    """Give the distribution of a score, of one event of the first class."""
    event = ScoredEvents(np.eye(count)[:1], np.zeros(1, np.int32), np.ones(1), np.ones(1))
    return compute_score_distributions(event, event)[0]


def legend_texts(figure: Figure) -> list[list[str]]:
    legends = [child for child in figure.axes[0].get_children() if isinstance(child, Legend)]
    return [[text.get_text() for text in legend.get_texts()] for legend in legends]


@pytest.mark.mpl_image_compare(baseline_dir="baseline", savefig_kwargs={"dpi": 55}, tolerance=5)
def test_scores_image(events_of: Callable[..., Any]) -> Figure:
    return draw(events_of(1), events_of(2))


def test_lines_are_training_and_points_are_test(events_of: Callable[..., Any]) -> None:
    training, test = events_of(1), events_of(2)
    (axes,) = draw(training, test).axes
    lines = [patch for patch in axes.patches if isinstance(patch, StepPatch) and not patch.get_fill()]
    assert len(lines) == len(axes.containers) == 3
    for index, (line, points) in enumerate(zip(lines, axes.containers, strict=True)):
        drawn = line.get_data()
        mask = training.class_index == index
        expected = fill_histogram(training.scores[mask, 2], training.weight[mask], drawn.edges)
        assert expected is not None
        assert drawn.values == pytest.approx(expected.density)
        mask = test.class_index == index
        expected = fill_histogram(test.scores[mask, 2], test.weight[mask], drawn.edges)
        assert expected is not None
        shown = expected.density > 0
        assert points[0].get_ydata() == pytest.approx(expected.density[shown])
        assert points[0].get_xdata() == pytest.approx(expected.centres[shown])
        (bars,) = points[2]
        lengths = [segment[1][1] - segment[0][1] for segment in bars.get_segments()]
        assert lengths == pytest.approx(2 * expected.uncertainty[shown])
    assert axes.get_yscale() == "log"
    assert axes.get_xlim() == (0.0, 1.0)
    assert axes.get_xlabel() == "Score for SIGNAL"


@pytest.mark.parametrize(
    ("test", "text"),
    [
        (KolmogorovSmirnov(0.01234, 0.2345, 10.0, 10.0), "sig  (KS 0.012, p = 0.234)"),
        (KolmogorovSmirnov(0.5, 1e-9, 10.0, 10.0), "sig  (KS 0.500, p < 0.001)"),
        (None, "sig  (not compared)"),
    ],
)
def test_the_legend_gives_the_test(test: KolmogorovSmirnov | None, text: str) -> None:
    distribution = of_one_event(1)
    figure = plot_scores(distribution, classes=class_styles(["sig"]), column=0, tests=[test])
    assert sorted(legend_texts(figure)) == [[text], ["training", "test"]]


@pytest.mark.parametrize("count", [2, 12])
def test_data_end_below_the_legend(events_of: Callable[..., Any], count: int) -> None:
    names = [
        "_a_very_$_long_name_of_a_process_with_everything" if not index else f"c{index}"
        for index in range(count)
    ]
    figure = draw(events_of(1, count), events_of(2, count), class_styles(names), column=0)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    legends = [child for child in axes.get_children() if isinstance(child, Legend)]
    lowest = min(legend.get_window_extent().y0 for legend in legends)
    tops = [patch.get_data().values.max() for patch in axes.patches if isinstance(patch, StepPatch)]
    assert axes.transData.transform((0.5, max(tops)))[1] < lowest
    first, second = sorted((legend.get_window_extent() for legend in legends), key=lambda box: box.x0)
    assert first.x1 < second.x0


def test_classes_without_events_or_with_negative_bins_are_no_error(events_of: Callable[..., Any]) -> None:
    training, test = events_of(1, events=30), events_of(2, events=30)
    for part in (training, test):
        part.weight[part.class_index == 1] *= -1
        part.weight[:3] = -1.0
    figure = draw(training, test)
    assert "BKG 2  (not compared)" in [text for texts in legend_texts(figure) for text in texts]
    assert np.isfinite(figure.axes[0].get_ylim()).all()


def test_a_distribution_of_other_classes_is_refused() -> None:
    distribution = of_one_event(2)
    with pytest.raises(TamisError):
        plot_scores(distribution, classes=three, column=0, tests=[None, None, None])
