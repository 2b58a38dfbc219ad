"""The figures of the statistics: what they draw is what was measured, for any number and any name of classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from matplotlib.text import Text
from tests.shared.figure_colours import colours_of_figure

from tamis.errors import TamisError
from tamis.plots.style import TEXT_COLOUR, WARNING_COLOUR
from tamis.statistics.pairs import PairAreas, compute_pair_areas, compute_pair_curve
from tamis.statistics.roc_outline import outline_roc
from tamis.studies.calibration.plot import plot_calibration
from tamis.studies.discovery.plot import plot_binning, plot_significance
from tamis.studies.importance.plot import plot_importance
from tamis.studies.overtraining.plot import plot_permutation_test
from tamis.studies.pairs.plot import plot_pair_areas, plot_pair_curves
from tamis.studies.pairs.result import PairCurve
from tamis.studies.sculpting.plot import plot_sculpting

CUTS = ("signal efficiency 70%", "signal efficiency 30%", "signal efficiency 1%")
Give = Callable[[int], Any]


def curves_of_the_last(results: Any) -> list[PairCurve]:
    signal = len(results.names) - 1
    curves = [compute_pair_curve(results.test, signal, background) for background in range(signal)]
    return [PairCurve(signal, background, outline_roc(curve)) for background, curve in enumerate(curves)]


DRAW: dict[str, Callable[[Any], Figure]] = {
    "calibration": lambda r: plot_calibration(
        r.calibration.balanced, r.calibration.with_temperature, classes=r.styles
    ),
    "significance": lambda r: plot_significance(r.expected, classes=r.styles),
    "binning": lambda r: plot_binning(r.expected, classes=r.styles),
    "importance": lambda r: plot_importance(r.importance, classes=r.styles),
    "sculpting": lambda r: plot_sculpting(r.sculpting, classes=r.styles, label="mass [GeV]", cuts=CUTS),
    "overtraining": lambda r: plot_permutation_test(r.overtraining, class_names=r.names, classes=r.styles),
    "pairs": lambda r: plot_pair_areas(compute_pair_areas(r.test), classes=r.styles),
    "pair_curves": lambda r: plot_pair_curves(curves_of_the_last(r), classes=r.styles),
}


@pytest.mark.parametrize("name", list(DRAW))
@pytest.mark.mpl_image_compare(baseline_dir="baseline", savefig_kwargs={"dpi": 55}, tolerance=5)
def test_result_image(results_of: Give, name: str) -> Figure:
    return DRAW[name](results_of(3))


def texts_of(figure: Figure) -> list[Text]:
    return [each for each in figure.findobj(Text) if each.get_visible() and each.get_text().strip()]


@pytest.mark.parametrize("classes", [2, 6])
@pytest.mark.parametrize("name", list(DRAW))
def test_every_text_stays_on_the_page_and_is_drawn_as_it_is(
    results_of: Give, name: str, classes: int
) -> None:
    found = results_of(classes)
    figure = DRAW[name](found)
    # a layout that does not fit is a warning, and warnings are errors here
    figure.draw_without_rendering()
    everything = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert min(everything.x0, everything.y0) > -0.02
    assert everything.x1 < width + 0.02
    assert everything.y1 < height + 0.02
    if classes == 6 and name != "significance":
        drawn = "\n".join(text.get_text() for text in texts_of(figure))
        assert "<img src=x onerror=alert(1)>" in drawn
        assert "\\$\\bad" in drawn


@pytest.mark.parametrize("name", list(DRAW))
def test_colours_that_are_not_of_data_follow_the_page(results_of: Give, name: str) -> None:
    assert colours_of_figure(DRAW[name](results_of(6))) == set()


def test_the_title_of_an_overtrained_network_is_a_warning(results_of: Give) -> None:
    found = results_of(3)
    first, *others = found.overtraining.comparisons
    for p_value, colour in ((0.01, WARNING_COLOUR), (1.0, TEXT_COLOUR)):
        comparisons = [replace(each, corrected_p_value=1.0) for each in others]
        test = replace(
            found.overtraining, comparisons=(replace(first, corrected_p_value=p_value), *comparisons)
        )
        figure = plot_permutation_test(test, class_names=found.names, classes=found.styles)
        assert figure.get_suptitle()
        assert figure._suptitle.get_color() == colour


@pytest.mark.parametrize("classes", [3, 6])
def test_the_signal_has_the_colour_of_its_class(results_of: Give, classes: int) -> None:
    found = results_of(classes)
    curve, yields = DRAW["significance"](found).axes
    assert curve.lines[0].get_color() == yields.lines[0].get_color() == found.styles[-1].colour
    # the background is several classes
    assert yields.lines[1].get_color() not in {style.colour for style in found.styles}
    two = plot_significance(replace(found.expected, signal=(0, 1)), classes=found.styles)
    assert two.axes[0].lines[0].get_color() == TEXT_COLOUR


def test_the_note_of_undrawn_cuts_is_above_the_lines(results_of: Give) -> None:
    figure = DRAW["sculpting"](results_of(6))
    figure.draw_without_rendering()
    noted = [(axes, text) for axes in figure.axes for text in axes.texts if "too few" in text.get_text()]
    assert noted
    for axes, text in noted:
        bottom = axes.transData.inverted().transform(text.get_window_extent())[0, 1]
        assert bottom > max(
            patch.get_data().values.max() for patch in axes.patches if patch.get_fill() is False
        )


@pytest.mark.parametrize("name", ["calibration", "sculpting"])
def test_titles_of_panels_do_not_overlap(results_of: Give, name: str) -> None:
    figure = DRAW[name](results_of(6))
    figure.draw_without_rendering()
    titles = [each for axes in figure.axes for each in (axes.title, axes._left_title) if each.get_text()]
    boxes = [each.get_window_extent() for each in titles]
    assert len(boxes) == 6
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])


def test_the_reliability_is_drawn(results_of: Give) -> None:
    found = results_of(2)
    figure = DRAW["calibration"](found)
    curve, pulls = figure.axes[:2]
    bins = found.calibration.balanced[0].bins
    points = curve.containers[0][0]
    assert points.get_xdata() == pytest.approx([each.score for each in bins])
    assert points.get_ydata() == pytest.approx([each.fraction for each in bins])
    pull = np.array([(each.fraction - each.score) / each.error for each in bins])
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in pulls.lines[1:4]])
    assert sorted(drawn) == pytest.approx(sorted(np.clip(pull, -5, 5)))
    (text,) = [each.get_text() for each in curve.texts]
    assert f"\N{BLACK CIRCLE} ECE {found.calibration.balanced[0].error:.4f}" in text
    with pytest.raises(TamisError):
        plot_calibration(found.calibration.balanced[:1], (), classes=found.styles)


def test_the_scan_and_the_chosen_cut_are_drawn(results_of: Give) -> None:
    expected = results_of(3).expected
    upper, lower = DRAW["significance"](results_of(3)).axes
    known = np.isfinite(expected.scan.significance)
    assert np.asarray(upper.lines[0].get_ydata()) == pytest.approx(expected.scan.significance[known])
    assert np.asarray(upper.lines[1].get_ydata()) == pytest.approx(expected.scan.without_uncertainty[known])
    upper.figure.draw_without_rendering()
    for axes in (upper, lower):
        cut = axes.lines[-1]
        assert list(cut.get_xdata()) == [expected.cut, expected.cut]
        assert not cut.get_window_extent().overlaps(axes.get_legend().get_window_extent())
    assert np.asarray(lower.lines[0].get_ydata()) == pytest.approx(
        expected.scan.signal[expected.scan.signal > 0]
    )


def test_a_huge_significance_of_the_last_events_does_not_set_the_axis(results_of: Give) -> None:
    expected = results_of(3).expected
    known = np.flatnonzero(np.isfinite(expected.scan.significance))
    without_uncertainty = expected.scan.without_uncertainty.copy()
    without_uncertainty[known[0]] = 5000.0
    scan = replace(expected.scan, without_uncertainty=without_uncertainty)
    axes = plot_significance(replace(expected, scan=scan), classes=results_of(3).styles).axes[0]
    bulk = np.quantile(scan.significance[known], 0.9)
    # the legend has the upper third
    assert axes.get_ylim()[1] == pytest.approx(4 * bulk / 0.64)
    (note,) = (text.get_text() for text in axes.texts)
    assert "the largest is 5,000" in note
    assert np.nanmax(np.asarray(axes.lines[1].get_ydata(), float)) <= 4 * bulk
    ordinary = DRAW["significance"](results_of(3)).axes[0]
    assert not ordinary.texts
    assert ordinary.get_ylim()[1] < axes.get_ylim()[1]


def test_a_significance_without_a_cut_can_be_drawn(results_of: Give) -> None:
    expected = results_of(2).expected
    scan = expected.scan
    nothing = np.full_like(scan.significance, np.nan)
    empty = replace(
        scan,
        significance=nothing,
        significance_error=nothing,
        without_uncertainty=nothing,
        background=0 * nothing,
    )
    figure = plot_significance(
        replace(expected, scan=empty, cut=None, after_cut=None), classes=results_of(2).styles
    )
    figure.draw_without_rendering()
    assert "no cut leaves enough background" in [each.get_text() for each in figure.axes[0].texts]
    with pytest.raises(TamisError):
        plot_binning(replace(expected, binning=None, yields=None), classes=results_of(2).styles)


@pytest.mark.parametrize("classes", [2, 6])
def test_bins_hold_all_classes(results_of: Give, classes: int) -> None:
    expected = results_of(classes).expected
    upper, lower = DRAW["binning"](results_of(classes)).axes
    stacks = [each for each in upper.patches if isinstance(each, StepPatch)]
    # the last of the classes is the signal, then comes the signal alone
    total = np.maximum(expected.yields.numbers, 0).sum(axis=0)
    assert stacks[classes - 1].get_data().values == pytest.approx(total)
    assert stacks[classes].get_data().values == pytest.approx(expected.yields.numbers[-1])
    outline = [each for each in lower.patches if isinstance(each, StepPatch)][-1]
    assert outline.get_data().values == pytest.approx([each.significance for each in expected.binning.bins])
    assert [text.get_text() for text in lower.get_xticklabels()] == [
        f"{e:.3g}" for e in expected.binning.edges
    ]


def test_bars_are_the_growth_of_the_loss(results_of: Give) -> None:
    found = results_of(3)
    loss, areas = plot_importance(found.importance, classes=found.styles, labels={"feature_0": "$x$"}).axes
    assert [bar.get_width() for bar in loss.patches] == pytest.approx(
        [each.permuted.loss for each in found.importance]
    )
    assert any("$x$" in label.get_text() for label in loss.get_yticklabels())
    (marks,) = [line.get_xdata() for line in areas.lines if line.get_marker() == found.styles[1].marker]
    assert marks == pytest.approx([each.permuted.auc[1] for each in found.importance])
    with pytest.raises(TamisError):
        plot_importance([], classes=found.styles)


def test_many_features_and_large_groups_fit(results_of: Give) -> None:
    found = results_of(2)
    many = [
        replace(found.importance[0], features=tuple(f"feature_{row}_{each}" for each in range(row % 7 + 1)))
        for row in range(33)
    ]
    figure = plot_importance(many, classes=found.styles)
    figure.draw_without_rendering()
    assert len(figure.axes[0].patches) == 30
    assert "3 more below" in figure.axes[0].get_title(loc="right")
    assert any("and 4 more" in label.get_text() for label in figure.axes[0].get_yticklabels())


def test_sculpting_is_marked(results_of: Give) -> None:
    found = results_of(3)
    figure = DRAW["sculpting"](found)
    notes = [axes.texts[-1].get_text() for axes in figure.axes[::2]]
    assert [note.startswith("\N{WARNING SIGN}") for note in notes] == [
        each.warning != "" for each in found.sculpting
    ]
    assert notes[0].startswith("\N{WARNING SIGN}")
    # nothing passes the last cut
    assert figure.axes[0].texts[0].get_text().endswith(CUTS[2])
    means = figure.axes[1].containers[0][0].get_ydata()
    assert means == pytest.approx([each.mean for each in found.sculpting[0].slices])


def test_every_comparison_of_training_and_test_is_drawn(results_of: Give) -> None:
    found = results_of(3)
    differences, chances = DRAW["overtraining"](found).axes
    gaps = [each for each in found.overtraining.comparisons if each.quantity != "score"]
    marks = [line.get_xdata()[0] for line in differences.lines if line.get_marker() == "o"]
    signs = [-1 if each.quantity == "loss" else 1 for each in gaps]
    assert marks == pytest.approx([s * each.difference for s, each in zip(signs, gaps, strict=True)])
    points = [line.get_xdata()[0] for line in chances.lines if line.get_marker() != "None"]
    assert sorted(points) == pytest.approx(
        sorted(each.corrected_p_value for each in found.overtraining.comparisons)
    )


def test_the_matrix_holds_each_pair_once(results_of: Give) -> None:
    found = results_of(6)
    (axes,) = DRAW["pairs"](found).axes
    written = {each.get_position(): float(each.get_text().split("\n")[0]) for each in axes.texts}
    areas = compute_pair_areas(found.test).auc
    expected = {(column, row - 1): areas[row][column] for row in range(6) for column in range(row)}
    assert len(axes.texts) == len(expected)
    assert written == pytest.approx(expected, abs=6e-4)


def test_a_pair_that_is_not_defined_is_hatched(results_of: Give) -> None:
    found = results_of(2)
    nothing = ((None, None), (None, None))
    figure = plot_pair_areas(PairAreas(nothing, nothing), classes=found.styles)
    assert [each.get_hatch() for each in figure.axes[0].patches] == ["///"]


def test_curves_of_several_signals_are_not_drawn_together(results_of: Give) -> None:
    found = results_of(3)
    first, second = curves_of_the_last(found)
    with pytest.raises(TamisError):
        plot_pair_curves([first, replace(second, signal=0)], classes=found.styles)
