"""Every cut on the scores, as a study of a run: of which events, and which of them are quoted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tamis.blocks import Explorer, Text
from tamis.statistics.scored import ScoredEvents
from tamis.studies.context import Context
from tamis.studies.cuts import CutsResult, compute_cuts, section
from tamis.studies.shared import compute_significance
from tamis.studies.study import Undefined

CLASSES = ("a", "b", "c")


def split(seed: int, number: int = 600) -> ScoredEvents:
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 3, number).astype(np.int32)
    logits = rng.normal(size=(number, 3)) + 1.5 * np.eye(3)[class_index]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return ScoredEvents(scores, class_index, rng.uniform(0.2, 1.5, number), np.ones(number))


SPLITS = {name: split(seed) for seed, name in enumerate(("training", "validation", "test"))}


def context(**options: Any) -> Context:
    return Context(CLASSES, **{"splits": SPLITS, "working_points": (0.5, 0.9), **options})


def compute(**options: Any) -> CutsResult:
    result = compute_cuts(context(**options))
    assert isinstance(result, CutsResult)
    return result


@pytest.mark.parametrize(
    ("signal", "groups"),
    [
        ((), [(0,), (1,), (2,)]),
        ((1,), [(1,), (0,), (2,)]),
        ((1, 2), [(1, 2), (0,), (1,), (2,)]),
        ((0, 1, 2), [(0,), (1,), (2,)]),
    ],
)
def test_the_signal_comes_first_and_then_each_class(
    signal: tuple[int, ...], groups: list[tuple[int, ...]]
) -> None:
    result = compute(signal=signal)
    assert [table.signal for table in result.tables] == groups
    written = result.to_metrics()["tables"]
    assert [table["score_of"] for table in written] == [
        [CLASSES[index] for index in group] for group in groups
    ]


def test_working_points_and_the_best_cut_are_marked() -> None:
    of_run = context(signal=(1,))
    result = compute_cuts(of_run)
    assert isinstance(result, CutsResult)
    first, *others = result.quoted
    assert [cut.description for cut in first] == [
        "50% efficiency",
        "90% efficiency",
        "cut of the validation events",
    ]
    assert first[-1].threshold == of_run.once(compute_significance).cut
    assert [[cut.description for cut in cuts] for cuts in others] == 2 * [
        ["50% efficiency", "90% efficiency"]
    ]
    test = SPLITS["test"]
    for table, cuts in zip(result.tables, result.quoted, strict=True):
        (index,) = table.signal
        of_class = test.class_index == index
        for cut, target in zip(cuts, (0.5, 0.9), strict=False):
            assert cut.threshold in table.thresholds
            passing = test.scores[of_class, index] >= cut.threshold
            efficiency = test.weight[of_class][passing].sum() / test.weight[of_class].sum()
            assert target <= efficiency < target + 0.01
    text, explorer = section(result)
    assert isinstance(text, Text)
    assert isinstance(explorer, Explorer)
    assert explorer.data["tables"] == result.to_metrics()["tables"]
    assert [mark["threshold"] for mark in explorer.data["marks"][0]] == [cut.threshold for cut in first]


def test_yields_are_those_of_all_used_events() -> None:
    everything = sum(np.bincount(events.class_index, events.weight, 3) for events in SPLITS.values())
    for events_per_weight, factor, words in ((None, 1.0, "sum of weights"), (2.0, 2.0, "expected events")):
        result = compute(signal=(1,), events_per_weight=events_per_weight)
        for table in result.tables:
            np.testing.assert_allclose(table.passed[:, 0], factor * everything)
        assert words in next(iter(section(result))).text


def test_without_passing_background_there_are_limits() -> None:
    table = compute(signal=(1,)).tables[0]
    written = table.to_dict(CLASSES)
    empty = table.background_error == 0
    assert empty.any()
    assert table.background_limit > 0
    assert written["rejection_limit"] == pytest.approx(table.background_events[0] / table.background_limit)
    limits = np.array(written["purity_limit"], np.float64)
    np.testing.assert_array_equal(np.isfinite(limits), empty & (table.signal_events > 0))
    signal = table.signal_events[np.isfinite(limits)]
    np.testing.assert_allclose(limits[np.isfinite(limits)], signal / (signal + table.background_limit))


@pytest.mark.parametrize("cross_trained", [False, True])
def test_the_explorer_names_its_events(cross_trained: bool) -> None:
    text, _ = section(replace(compute(signal=(1,)), cross_trained=cross_trained))
    assert ("validation events of other networks" in text.text) == cross_trained
    assert "differ a little from those of the section Performance" in text.text


def test_events_without_expected_numbers_are_the_reason_for_no_table() -> None:
    negative = replace(SPLITS["test"], weight=-SPLITS["test"].weight)
    result = compute_cuts(context(splits={**SPLITS, "test": negative}))
    assert isinstance(result, Undefined)
    assert "no positive sum of weights" in result.reason


def test_one_class_has_no_cut_to_explore() -> None:
    one = ScoredEvents(np.ones((5, 1)), np.zeros(5, np.int32), np.ones(5), np.ones(5))
    result = compute_cuts(Context(("a",), dict.fromkeys(SPLITS, one)))
    assert isinstance(result, CutsResult)
    assert list(section(result)) == []


def test_cuts_on_the_sum_of_two_signals_hold_their_working_points() -> None:
    result = compute(signal=(1, 2), working_points=(0.35, 0.8))
    table, cuts = result.tables[0], result.quoted[0]
    test = SPLITS["test"]
    score, is_signal = test.scores[:, 1:].sum(axis=1), test.class_index > 0
    of_splits = [np.bincount(events.class_index, events.weight, 3) for events in SPLITS.values()]
    scale = np.sum(of_splits, axis=0) / of_splits[-1]
    weight = (test.weight * scale[test.class_index])[is_signal]
    # thresholds of single events, which a grid of cuts does not hold
    for target, cut in zip((0.35, 0.8), cuts, strict=False):
        order = np.argsort(-score[is_signal])
        reached = np.cumsum(weight[order]) / weight.sum() >= target * (1 - 1e-12)
        threshold = score[is_signal][order][np.argmax(reached)]
        assert np.isclose(table.thresholds, threshold, rtol=0, atol=1e-12).any()
        assert cut.threshold == pytest.approx(threshold, abs=1e-12)
        assert cut.description == f"{100 * target:g}% efficiency"
