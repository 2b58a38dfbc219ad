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

from tamis.errors import TamisError
from tamis.evaluation.pairs import pair_curves
from tamis.plots.calibration import plot_calibration
from tamis.plots.importance import plot_importance
from tamis.plots.pairs import outline_pairs, plot_pair_curves, plot_pairs
from tamis.plots.sculpting import plot_sculpting
from tamis.plots.significance import plot_binning, plot_significance
from tamis.plots.verdict import plot_verdict

CUTS = ("signal efficiency 70%", "signal efficiency 30%", "signal efficiency 1%")
Give = Callable[[int], Any]

DRAW: dict[str, Callable[[Any], Figure]] = {
    "calibration": lambda r: plot_calibration(
        r.calibration.balanced, r.calibration.with_temperature, classes=r.styles
    ),
    "significance": lambda r: plot_significance(r.search),
    "binning": lambda r: plot_binning(r.search, classes=r.styles),
    "importance": lambda r: plot_importance(r.importance, classes=r.styles),
    "sculpting": lambda r: plot_sculpting(r.sculpting, classes=r.styles, label="mass [GeV]", cuts=CUTS),
    "verdict": lambda r: plot_verdict(r.verdict, class_names=r.names, classes=r.styles),
    "pairs": lambda r: plot_pairs(r.pairs, classes=r.styles),
    "pair_curves": lambda r: plot_pair_curves(
        outline_pairs(pair_curves(r.test, [len(r.names) - 1]), classes=r.styles), signal=r.styles[-1].text
    ),
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
    with pytest.raises(TamisError, match="expected 2 reliabilities"):
        plot_calibration(found.calibration.balanced[:1], classes=found.styles)


def test_the_scan_and_the_chosen_cut_are_drawn(results_of: Give) -> None:
    search = results_of(3).search
    upper, lower = DRAW["significance"](results_of(3)).axes
    known = np.isfinite(search.scan.significance)
    assert np.asarray(upper.lines[0].get_ydata()) == pytest.approx(search.scan.significance[known])
    assert np.asarray(upper.lines[1].get_ydata()) == pytest.approx(search.scan.without_uncertainty[known])
    for axes in (upper, lower):
        assert list(axes.lines[-1].get_xdata()) == [search.cut, search.cut]
    assert np.asarray(lower.lines[0].get_ydata()) == pytest.approx(search.scan.signal[search.scan.signal > 0])


def test_a_search_without_a_cut_can_be_drawn(results_of: Give) -> None:
    search = results_of(2).search
    scan = search.scan
    nothing = np.full_like(scan.significance, np.nan)
    empty = replace(
        scan,
        significance=nothing,
        significance_error=nothing,
        without_uncertainty=nothing,
        background=0 * nothing,
    )
    figure = plot_significance(replace(search, scan=empty, cut=None, behind_cut=None))
    figure.draw_without_rendering()
    assert "no cut leaves enough background" in [each.get_text() for each in figure.axes[0].texts]
    with pytest.raises(TamisError, match="there are no bins"):
        plot_binning(replace(search, binning=None, yields=None), classes=results_of(2).styles)


@pytest.mark.parametrize("classes", [2, 6])
def test_bins_hold_all_classes(results_of: Give, classes: int) -> None:
    search = results_of(classes).search
    upper, lower = DRAW["binning"](results_of(classes)).axes
    stacks = [each for each in upper.patches if isinstance(each, StepPatch)]
    # the last of the classes is the signal, then comes the signal alone
    total = np.maximum(search.yields.numbers, 0).sum(axis=0)
    assert stacks[classes - 1].get_data().values == pytest.approx(total)
    assert stacks[classes].get_data().values == pytest.approx(search.yields.numbers[-1])
    outline = [each for each in lower.patches if isinstance(each, StepPatch)][-1]
    assert outline.get_data().values == pytest.approx([each.significance for each in search.binning.bins])
    assert [text.get_text() for text in lower.get_xticklabels()] == [f"{e:.3g}" for e in search.binning.edges]


def test_bars_are_the_growth_of_the_loss(results_of: Give) -> None:
    found = results_of(3)
    loss, areas = plot_importance(found.importance, classes=found.styles, labels={"feature_0": "$x$"}).axes
    assert [bar.get_width() for bar in loss.patches] == pytest.approx(
        [each.loss for each in found.importance]
    )
    assert any("$x$" in label.get_text() for label in loss.get_yticklabels())
    (marks,) = [line.get_xdata() for line in areas.lines if line.get_marker() == found.styles[1].marker]
    assert marks == pytest.approx([each.exchanged.auc[1] for each in found.importance])
    with pytest.raises(TamisError, match="expected features with 3 areas"):
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
    assert "3 more are worth less" in figure.axes[0].get_title(loc="right")
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


def test_the_verdict_shows_every_comparison(results_of: Give) -> None:
    found = results_of(3)
    differences, chances = DRAW["verdict"](found).axes
    gaps = [each for each in found.verdict.comparisons if each.quantity != "score"]
    marks = [line.get_xdata()[0] for line in differences.lines if line.get_marker() == "o"]
    signs = [-1 if each.quantity == "loss" else 1 for each in gaps]
    assert marks == pytest.approx([s * each.difference for s, each in zip(signs, gaps, strict=True)])
    points = [line.get_xdata()[0] for line in chances.lines if line.get_marker() != "None"]
    assert sorted(points) == pytest.approx(sorted(each.corrected for each in found.verdict.comparisons))


def test_the_matrix_holds_each_pair_once(results_of: Give) -> None:
    found = results_of(6)
    (axes,) = DRAW["pairs"](found).axes
    written = [each.get_text().split("\n")[0] for each in axes.texts]
    expected = [f"{found.pairs.auc[row][column]:.4f}" for row in range(6) for column in range(row)]
    assert sorted(written) == sorted(expected)


def test_a_pair_that_is_not_defined_is_hatched(results_of: Give) -> None:
    found = results_of(2)
    nothing = ((None, None), (None, None))
    figure = plot_pairs(replace(found.pairs, auc=nothing, intervals=nothing), classes=found.styles)
    assert [each.get_hatch() for each in figure.axes[0].patches] == ["///"]
