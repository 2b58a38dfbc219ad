"""The figure of the inputs: panels, pages, missing values and what lies outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from tamis.errors import TamisError
from tamis.plots.labels import axis_label, class_styles
from tamis.statistics.distributions import compute_feature_distributions
from tamis.statistics.histogram import fill_histogram
from tamis.studies.inputs import FEATURES_PER_PAGE, feature_pages
from tamis.studies.inputs.distribution_plot import plot_input_page

three = class_styles(["bkg1", "bkg2", "sig"], ["BKG 1", None, "SIGNAL"])


def halves(events: int) -> tuple[np.ndarray, np.ndarray]:
    """Every third event is neither training nor test."""
    number = np.arange(events) // 3 % 3
    return number == 0, number == 1


def draw(events: Any, values: np.ndarray, features: list[str] | None = None) -> list[Figure]:
    names = features or [f"feature_{index}" for index in range(values.shape[1])]
    return draw_arrays(values, events.class_index, events.weight, *halves(len(values)), features=names)


def draw_arrays(*arrays: Any, features: list[str]) -> list[Figure]:
    distributions = compute_feature_distributions(*arrays, classes=3)
    return [
        plot_input_page(distributions[page], classes=three, features=features[page])
        for _, page in feature_pages(max(len(distributions), len(features)))
    ]


@pytest.mark.mpl_image_compare(baseline_dir="baseline", savefig_kwargs={"dpi": 55}, tolerance=5)
def test_inputs_image(events_of: Callable[..., Any]) -> Figure:
    events = events_of(1)
    values = np.stack(
        [20 * np.exp(events.values[:, 0]), events.values[:, 1], np.rint(events.values[:, 2])], axis=1
    )
    values[::7, 1] = np.nan
    names = [axis_label("pt", "$p_T$", "GeV"), axis_label("weird_$_name"), axis_label("n_jets")]
    (figure,) = draw(events, values, names)
    assert [axes.get_xlabel() for axes in figure.axes] == ["$p_T$ [GeV]", r"weird_\$_name", "n_jets"]
    return figure


@pytest.mark.parametrize(
    ("features", "panels"),
    [(1, [1]), (2, [2]), (3, [3]), (4, [4]), (13, [7, 6]), (30, [10, 10, 10])],
)
def test_each_feature_has_a_panel(events_of: Callable[..., Any], features: int, panels: list[int]) -> None:
    events = events_of(2, events=30)
    values = np.random.default_rng(1).normal(size=(30, features))
    figures = draw(events, values)
    assert [len(figure.axes) for figure in figures] == panels
    labels = [axes.get_xlabel() for figure in figures for axes in figure.axes]
    assert labels == [f"feature_{index}" for index in range(features)]
    assert max(panels) <= FEATURES_PER_PAGE


def test_a_panel_shows_the_histogram_of_each_class(events_of: Callable[..., Any]) -> None:
    events = events_of(3)
    (figure,) = draw(events, events.values)
    lines = [
        patch for patch in figure.axes[0].patches if isinstance(patch, StepPatch) and not patch.get_fill()
    ]
    assert len(lines) == 3
    for index, line in enumerate(lines):
        mask = (events.class_index == index) & halves(3000)[0]
        drawn = line.get_data()
        expected = fill_histogram(events.values[mask, 0], events.weight[mask], drawn.edges)
        assert expected is not None
        assert drawn.values == pytest.approx(expected.density)
    for index, points in enumerate(figure.axes[0].containers):
        mask = (events.class_index == index) & halves(3000)[1]
        expected = fill_histogram(events.values[mask, 0], events.weight[mask], lines[0].get_data().edges)
        assert expected is not None
        assert points[0].get_ydata() == pytest.approx(expected.density)
        assert points[0].get_xdata() == pytest.approx(expected.centres)
    assert len(figure.axes[0].containers) == 3


def test_the_legend_names_the_classes_once(events_of: Callable[..., Any]) -> None:
    events = events_of(3)
    (figure,) = draw(events, np.tanh(events.values))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "BKG 1", "bkg2", "SIGNAL", "training", "test",
    ]  # fmt: skip


def test_what_lies_outside_is_shaded_and_named(events_of: Callable[..., Any]) -> None:
    events = events_of(3)
    values = np.tanh(events.values)
    values[0, 0] = 1e6
    (figure,) = draw(events, values)
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "all values outside the range"
    assert figure.axes[0].get_xlim()[1] < 2


@pytest.mark.parametrize(
    ("missing", "note"), [(0, ""), (1, "missing: < 0.1%"), (300, "missing: 10.0%"), (3000, "missing: 100.0%")]
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_missing_values_are_stated(
    events_of: Callable[..., Any], missing: int, note: str, value: float
) -> None:
    events = events_of(4)
    values = events.values[:, :1].copy()
    values[:missing] = value
    (figure,) = draw(events, values)
    assert figure.axes[0].get_title(loc="right") == note
    assert [text.get_text() for text in figure.axes[0].texts] == (["no values"] if missing == 3000 else [])


@pytest.mark.parametrize("kept", [[0, 2], [1], []])
def test_classes_without_events_are_left_out(events_of: Callable[..., Any], kept: list[int]) -> None:
    events = events_of(5)
    mask = np.isin(events.class_index, kept)
    (figure,) = draw_arrays(
        events.values[mask],
        events.class_index[mask],
        events.weight[mask],
        *halves(int(mask.sum())),
        features=list("abc"),
    )
    lines = [
        patch for patch in figure.axes[1].patches if isinstance(patch, StepPatch) and not patch.get_fill()
    ]
    assert len(lines) == len(kept)


def test_negative_bins_stay_visible(events_of: Callable[..., Any]) -> None:
    events = events_of(6)
    weight = np.where(events.values[:, 0] < -1.0, -0.5, 1.0)
    (figure,) = draw_arrays(events.values[:, :1], events.class_index, weight, *halves(3000), features=["a"])
    assert figure.axes[0].get_ylim()[0] < 0
    (figure,) = draw_arrays(
        events.values[:, :1], events.class_index, np.abs(weight), *halves(3000), features=["a"]
    )
    assert figure.axes[0].get_ylim()[0] == 0


def test_distributions_that_do_not_fit_are_refused(events_of: Callable[..., Any]) -> None:
    events = events_of(7)
    with pytest.raises(TamisError):
        draw(events, events.values, ["a", "b"])
    distributions = compute_feature_distributions(
        events.values, events.class_index, events.weight, *halves(3000), classes=3
    )
    with pytest.raises(TamisError):
        plot_input_page(distributions, classes=three[:2], features=["a", "b", "c"])


def test_no_features_give_no_pages() -> None:
    assert feature_pages(0) == []
