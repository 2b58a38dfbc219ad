"""The figure of the study of stability: a point for each member, and the ensemble below."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.shared.figure_colours import colours_of_figure

from tamis.plots.labels import class_styles
from tamis.statistics.scored import ScoredEvents, join_events
from tamis.studies.stability import StabilityResult
from tamis.studies.stability.plot import plot_stability
from tamis.studies.stability.result import FoldScores, compare_members

three = class_styles(["bkg1", "bkg2", "sig"], ["BKG 1", None, "SIGNAL"])


def compare(folds: list[int | None], seeds: int) -> StabilityResult:
    rng = np.random.default_rng(1)
    groups = []
    for fold in folds:
        class_index = (np.arange(900) % 3).astype(np.int32)
        logits = rng.normal(size=(900, 3)) + np.eye(3)[class_index]
        of_members = []
        for _ in range(seeds):
            scores = np.exp(logits + 0.5 * rng.normal(size=(900, 3)))
            of_members.append(scores / scores.sum(axis=1, keepdims=True))
        events = ScoredEvents(np.mean(of_members, axis=0), class_index, np.ones(900), np.ones(900))
        groups.append(FoldScores(events, tuple(of_members), fold))
    test = reduce(join_events, (group.events for group in groups))
    result = compare_members(test, groups, ["bkg1", "bkg2", "sig"])
    assert isinstance(result, StabilityResult)
    return result


@pytest.mark.mpl_image_compare(baseline_dir="baseline", savefig_kwargs={"dpi": 55}, tolerance=5)
def test_stability_image() -> Figure:
    return plot_stability(compare([0, 1, 2], 2), classes=three)


def test_colours_that_are_not_of_data_follow_the_page() -> None:
    assert colours_of_figure(plot_stability(compare([None], 2), classes=three)) == set()


@pytest.mark.parametrize(
    ("folds", "seeds", "names"),
    [
        ([None], 2, ["network 1", "network 2"]),
        ([0, 1, 2], 1, ["fold 0", "fold 1", "fold 2"]),
        ([0, 1], 2, ["fold 0, network 1", "fold 0, network 2", "fold 1, network 1", "fold 1, network 2"]),
    ],
)
def test_each_network_has_a_row_and_each_number_a_panel(
    folds: list[int | None], seeds: int, names: list[str]
) -> None:
    result = compare(folds, seeds)
    figure = plot_stability(result, classes=three)
    assert len(figure.axes) == 5
    last = "ensemble" if seeds > 1 else "all test events"  # the scores of one member are not averaged
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [*names, last]
    drawn = [container[0].get_xdata()[0] for container in figure.axes[0].containers]
    assert drawn == [*(member.loss for member in result.members), result.ensemble.loss]
    assert [axes.get_xlabel() for axes in figure.axes[2:]] == ["AUC of BKG 1", "AUC of bkg2", "AUC of SIGNAL"]
