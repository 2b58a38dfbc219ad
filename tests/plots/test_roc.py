"""The figure of the ROC curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tamis.plots.labels import ClassStyle, class_styles
from tamis.plots.roc import RocLine, plot_roc
from tamis.statistics.roc import (
    RocCurve,
    WorkingPoint,
    compute_roc_curve,
    compute_roc_curves,
    compute_working_points,
)
from tamis.statistics.roc_outline import compute_least_efficiency, mark_working_points, outline_roc

three = class_styles(["bkg1", "bkg2", "sig"], ["BKG 1", "BKG 2", "SIGNAL"])


def line_of(
    style: ClassStyle,
    curve: RocCurve,
    optimum: RocCurve | None = None,
    points: Sequence[WorkingPoint] = (),
) -> RocLine:
    return RocLine(
        style,
        outline_roc(curve, points),
        None if optimum is None else outline_roc(optimum),
        mark_working_points(points) if points else None,
    )


def legend_texts(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.mpl_image_compare(baseline_dir="baseline", savefig_kwargs={"dpi": 55}, tolerance=5)
def test_roc_image(events_of: Callable[..., Any]) -> Figure:
    events = events_of(1)
    noisy = events.scores**0.5 + 0.3
    noisy /= noisy.sum(axis=1, keepdims=True)
    noisy[:, 2] += 0.1 * np.sin(np.arange(len(noisy)))
    curves = zip(
        three,
        [
            compute_roc_curve(column, events.class_index == index, events.weight)
            for index, column in enumerate(noisy.T)
        ],
        compute_roc_curves(events.scores, events.class_index, events.weight),
        strict=True,
    )
    lines = [
        line_of(style, curve, optimum, compute_working_points(curve, [0.5, 0.7, 0.9]))
        for style, curve, optimum in curves
        if curve is not None
    ]
    return plot_roc(lines)


def test_the_curve_is_rejection_against_efficiency(events_of: Callable[..., Any]) -> None:
    events = events_of(2)
    is_signal = events.class_index == 2
    curve = compute_roc_curve(events.scores[:, 2], is_signal, np.ones(len(is_signal)))
    points = compute_working_points(curve, [0.5, 0.9])
    (axes,) = plot_roc([line_of(three[2], curve, points=points)]).axes
    _, line, marks = axes.lines
    drawn = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
    for signal, rejection in zip(*drawn, strict=True):
        threshold = curve.thresholds[np.isclose(curve.signal_efficiency, signal)]
        passed = [(events.scores[~is_signal, 2] >= cut).mean() for cut in threshold]
        assert np.isclose(passed, 1 / rejection).any()
    assert (drawn[0][-1], drawn[1][-1]) == (1.0, 1.0)
    # Single background events make no curve.
    assert drawn[1].max() <= 2000 / 5
    assert marks.get_xdata() == pytest.approx([point.signal_efficiency for point in points])
    assert marks.get_ydata() == pytest.approx([point.background_rejection for point in points])
    assert axes.get_yscale() == "log"
    assert legend_texts(axes) == [f"SIGNAL  (AUC {curve.auc:.4f})", "working points", "random choice"]


def test_an_optimum_is_dashed_and_named(events_of: Callable[..., Any]) -> None:
    events = events_of(3)
    is_signal = events.class_index == 2
    optimum = compute_roc_curve(events.scores[:, 2], is_signal, events.weight)
    (axes,) = plot_roc([line_of(three[2], optimum, optimum)], optimum_name="MELA").axes
    assert [line.get_linestyle() for line in axes.lines[1:3]] == ["-", "--"]
    expected = [f"SIGNAL  (AUC {optimum.auc:.4f}, MELA {optimum.auc:.4f})", "MELA", "random choice"]
    assert legend_texts(axes) == expected


def test_many_events_make_a_small_figure() -> None:
    random = np.random.default_rng(1)
    is_signal = np.arange(100_000) % 2 == 1
    curve = compute_roc_curve(random.normal(size=100_000) + 2 * is_signal, is_signal, np.ones(100_000))
    (axes,) = plot_roc([line_of(three[0], curve)]).axes
    assert 200 < len(np.asarray(axes.lines[1].get_xdata())) < 3000


@pytest.mark.parametrize(
    "score",
    [[0.0, 0.1, 0.8, 0.9], [0.9, 0.8, 0.1, 0.0], [0.5, 0.5, 0.5, 0.5]],
    ids=["perfect", "wrong", "blind"],
)
def test_extreme_curves_can_be_drawn(score: list[float]) -> None:
    curve = compute_roc_curve(score, [0, 0, 1, 1], [1.0] * 4)
    figure = plot_roc([line_of(three[0], curve, curve, compute_working_points(curve, [0.5, 1.0]))])
    assert np.isfinite(figure.axes[0].get_ylim()).all()


def test_signed_weights_can_be_drawn(events_of: Callable[..., Any]) -> None:
    events = events_of(4, events=300)
    curves = compute_roc_curves(events.scores, events.class_index, events.weight)
    lines = [
        line_of(style, curve, None, compute_working_points(curve, [0.1, 0.9]))
        for style, curve in zip(three, curves, strict=True)
        if curve is not None
    ]
    figure = plot_roc(lines)
    assert all(np.isfinite(line.get_ydata()).all() for line in figure.axes[0].lines)
    assert len(legend_texts(figure.axes[0])) == 5


@pytest.mark.parametrize("separation", [0.1, 8.0])
def test_the_legend_covers_no_curve(separation: float) -> None:
    random = np.random.default_rng(1)
    is_signal = np.arange(4000) % 2 == 1
    curve = compute_roc_curve(random.normal(size=4000) + separation * is_signal, is_signal, np.ones(4000))
    figure = plot_roc([line_of(style, curve, curve) for style in three[:2]])
    figure.draw_without_rendering()
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert legend is not None
    box = legend.get_window_extent()
    for line in axes.lines[1:]:
        points = axes.transData.transform(np.stack([line.get_xdata(), line.get_ydata()], axis=1))
        inside = (points[:, 0] > box.x0) & (points[:, 1] > box.y0)
        assert not inside.any()


def test_a_score_of_few_steps_is_drawn_as_far_as_the_others(events_of: Callable[..., Any]) -> None:
    events = events_of(6)
    fine = compute_roc_curve(events.scores[:, 2], events.class_index == 2, np.abs(events.weight))
    coarse = compute_roc_curve(
        np.rint(events.scores[:, 2] * 8), events.class_index == 2, np.abs(events.weight)
    )
    least = compute_least_efficiency(fine)
    assert least < coarse.background_efficiency[1] < compute_least_efficiency(coarse)
    (axes,) = plot_roc(
        [
            line_of(three[0], fine),
            RocLine(three[1], outline_roc(coarse, least=least), line="-."),
        ]
    ).axes
    drawn = axes.lines[3]
    assert drawn.get_linestyle() == "-."
    assert np.asarray(drawn.get_ydata()).max() == pytest.approx(1 / coarse.background_efficiency[1])
