"""The figure of the stability: a point for each network, and the classifier below."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from tamis.evaluation.metrics import Metrics, measure
from tamis.evaluation.parts import Intervals, bootstrap_intervals
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.stability import Stability, Unseen, judge_stability
from tamis.plots.labels import class_styles
from tamis.plots.stability import plot_stability

three = class_styles(["bkg1", "bkg2", "sig"], ["BKG 1", None, "SIGNAL"])


def found(folds: list[int | None], seeds: int) -> tuple[Stability, Metrics, Intervals]:
    rng = np.random.default_rng(1)
    groups = []
    for fold in folds:
        class_index = (np.arange(900) % 3).astype(np.int32)
        logits = rng.normal(size=(900, 3)) + np.eye(3)[class_index]
        alone = []
        for _ in range(seeds):
            scores = np.exp(logits + 0.5 * rng.normal(size=(900, 3)))
            alone.append(scores / scores.sum(axis=1, keepdims=True))
        events = ScoredEvents(np.mean(alone, axis=0), class_index, np.ones(900), np.ones(900))
        groups.append(Unseen(events, tuple(alone), fold))
    parts = [each.events for each in groups]
    everything = ScoredEvents(
        np.concatenate([each.scores for each in parts]), np.concatenate([each.class_index for each in parts]),
        np.ones(900 * len(parts)), np.ones(900 * len(parts)),
    )  # fmt: skip
    judged = judge_stability(groups, ["bkg1", "bkg2", "sig"])
    assert judged is not None
    numbers = measure(everything.scores, everything.class_index, everything.weight)
    return judged, numbers, bootstrap_intervals(everything, everything.weight, rng)


@pytest.mark.mpl_image_compare(baseline_dir="baseline", savefig_kwargs={"dpi": 55}, tolerance=5)
def test_stability_image() -> Figure:
    return plot_stability(*found([0, 1, 2], 2), classes=three)


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
    judged, together, intervals = found(folds, seeds)
    figure = plot_stability(judged, together, intervals, classes=three)
    assert len(figure.axes) == 5
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [*names, "together"]
    drawn = [container[0].get_xdata()[0] for container in figure.axes[0].containers]
    assert drawn == [*(each.loss for each in judged.members), together.loss]
    assert [axes.get_xlabel() for axes in figure.axes[2:]] == ["AUC of BKG 1", "AUC of bkg2", "AUC of SIGNAL"]
