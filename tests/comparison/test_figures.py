"""The figures of several runs: curves, ratios, kept epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.shared.figure_colours import colours_of_figure

from tamis.comparison.figures import (
    LossCurve,
    choose_run_styles,
    compute_rejection_ratio,
    plot_losses_of_runs,
    plot_rocs_of_runs,
)
from tamis.plots.book import svg_text
from tamis.statistics.roc import RocCurve, compute_roc_curve, compute_working_points

Make = Callable[..., Any]


def curves_of(events_of: Make, noises: tuple[float, ...]) -> list[RocCurve]:
    events = events_of(4, events=6000)
    random = np.random.default_rng(2)
    signal = events.class_index == 2
    scores = [events.values[:, 2] + noise * random.normal(size=len(signal)) for noise in noises]
    return [compute_roc_curve(score, signal, np.abs(events.weight)) for score in scores]


def legend_texts(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def losses(values: list[float], kept: int) -> LossCurve:
    return LossCurve(tuple(range(1, len(values) + 1)), tuple(values), kept)


def test_the_ratio_is_that_of_the_rejections_at_the_same_efficiency(events_of: Make) -> None:
    first, second = curves_of(events_of, (0.0, 1.0))
    signal, ratio = compute_rejection_ratio(second, first, 0.01)
    for place in (20, 60, 120):
        (own,), (before,) = (compute_working_points(curve, [signal[place]]) for curve in (second, first))
        assert ratio[place] == pytest.approx(own.background_rejection / before.background_rejection)
    assert ratio.mean() < 0.9
    assert signal.max() == 1.0
    np.testing.assert_array_equal(compute_rejection_ratio(first, first, 0.01)[1], 1.0)


def test_each_run_has_a_curve_and_all_but_the_first_a_ratio(events_of: Make) -> None:
    curves = curves_of(events_of, (0.0, 0.5, 1.0))
    figure = plot_rocs_of_runs(curves, runs=choose_run_styles(["a", "b", "c"]), title="signal")
    upper, lower = figure.axes
    assert len(upper.lines) == 4  # and that of random choice
    assert len(lower.lines) == 3
    assert legend_texts(figure) == [
        *(f"{name}  (AUC {curve.auc:.4f})" for name, curve in zip("abc", curves, strict=True)),
        "random choice",
    ]
    assert colours_of_figure(figure) == set()
    low, high = lower.get_ylim()
    for line in lower.lines:
        drawn = np.asarray(line.get_ydata(), dtype=float)
        assert low < drawn.min() <= drawn.max() < high


def test_signed_weights_can_be_drawn(events_of: Make) -> None:
    events = events_of(1)
    signal = events.class_index == 2
    curve = compute_roc_curve(events.scores[:, 2], signal, events.weight)
    assert (
        len(svg_text(plot_rocs_of_runs([curve, curve], runs=choose_run_styles(["a", "b"]), title="t"))) > 1000
    )


def test_names_that_shorten_to_the_same_are_numbered() -> None:
    names = ["x" * 30 + middle + "y" * 30 for middle in "ab"]
    first, second = choose_run_styles(names)
    assert (first.text[:3], second.text[:3]) == ("1: ", "2: ")
    assert [style.text for style in choose_run_styles(["$a", "_b"])] == [r"\$a", "_b"]


def test_losses_are_drawn_by_epoch_with_the_best_one_marked() -> None:
    figure = plot_losses_of_runs(
        [[losses([0.5, 0.4, 0.3], 3)], [losses([0.6, 0.2], 2), losses([0.7, 0.1], 1)]],
        runs=choose_run_styles(["one", "_two$"]),
    )
    (axes,) = figure.axes
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]
    assert drawn[:2] == [([1, 2, 3], [0.5, 0.4, 0.3]), ([3], [0.3])]
    assert drawn[4:] == [([1, 2], [0.7, 0.1]), ([1], [0.7])]
    assert legend_texts(figure) == ["one  (best epoch 3)", r"_two\$  (2 networks)"]


def test_first_epochs_do_not_press_the_others_into_a_line() -> None:
    values = [9.0, 2.0, *(0.4 + 0.1 * 0.9**epoch for epoch in range(18))]
    (axes,) = plot_losses_of_runs([[losses(values, 20)]] * 2, runs=choose_run_styles(["a", "b"])).axes
    assert axes.get_ylim()[1] < 0.7
    assert [text.get_text() for text in axes.texts] == ["first epochs off the axis"]


@pytest.mark.parametrize("values", [[0.3], [0.3, 0.3], [float("nan"), 0.2], [-0.4, -0.5]])
def test_odd_losses_can_be_drawn(values: list[float]) -> None:
    curve = losses(values, 1)
    assert len(svg_text(plot_losses_of_runs([[curve], [curve]], runs=choose_run_styles(["a", "b"])))) > 1000
