"""Pairs of Gaussian classes, whose areas are known; intervals that cover them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from tamis.blocks import Table
from tamis.statistics.influence import compute_influences
from tamis.statistics.intervals import compute_half_widths, compute_interval
from tamis.statistics.pairs import compute_pair_areas, compute_pair_curve, compute_score_ratio
from tamis.statistics.roc_outline import outline_roc
from tamis.statistics.scored import ScoredEvents
from tamis.studies import metrics_of_studies
from tamis.studies.context import Context
from tamis.studies.pairs import PairsResult, compute_pairs, figure_data, section

# in the plane; the distances are 1, 2 and the root of 5
MEANS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])


def gaussians(number: int, seed: int, weights: str = "unit", means: np.ndarray = MEANS) -> ScoredEvents:
    """Give events whose scores are the exact posterior of equal shares."""
    rng = np.random.default_rng((seed, 11))
    classes = rng.integers(0, len(means), number).astype(np.int32)
    x = rng.normal(means[classes])
    logits = -0.5 * np.square(x[:, None, :] - means).sum(axis=2)
    weight = np.ones(number) if weights == "unit" else rng.lognormal(0, 0.7, number)
    if weights == "signed":
        weight *= np.where(rng.random(number) < 0.1, -1, 1)
    return ScoredEvents(special.softmax(logits, axis=1), classes, weight, np.ones(number))


def compute(events: ScoredEvents, signal: tuple[int, ...]) -> PairsResult:
    result = compute_pairs(Context(("a", "b", "c"), {"test": events}, signal=signal))
    assert result is not None
    return result


def known_area(first: int, second: int, means: np.ndarray = MEANS) -> float:
    return float(stats.norm.cdf(np.linalg.norm(means[first] - means[second]) / np.sqrt(2)))


@pytest.mark.parametrize("weights", ["unit", "varying", "signed"])
def test_areas_of_gaussians_are_known(weights: str) -> None:
    found = compute_pair_areas(gaussians(200_000, 1, weights))
    for first, second in combinations(range(3), 2):
        assert found.auc[first][second] == pytest.approx(known_area(first, second), abs=0.005)
        assert found.auc[first][second] == found.auc[second][first]
    assert [found.auc[index][index] for index in range(3)] == [None] * 3


def test_intervals_cover_the_truth(rates: Any) -> None:
    covered, toys = np.zeros(3), rates.toys(200)
    for toy in range(toys):
        found = compute_pair_areas(gaussians(600, toy, "signed"))
        for number, (first, second) in enumerate(combinations(range(3), 2)):
            interval = found.intervals[first][second]
            assert interval is not None
            covered[number] += interval[0] <= known_area(first, second) <= interval[1]
    rates.check(covered, toys, 0.683, finds=(0.43, 0.9), what="AUC of each pair")


def test_the_curve_of_a_pair_has_the_area_of_the_pair() -> None:
    events = gaussians(3000, 2, "signed")
    areas = compute_pair_areas(events)
    for signal, background in ((1, 0), (2, 0), (0, 2)):
        curve = compute_pair_curve(events, signal, background)
        assert curve.auc == pytest.approx(areas.auc[signal][background], rel=1e-12)


def test_copies_of_a_class_are_told_from_another_one_equally_well() -> None:
    events = gaussians(600, 3, means=np.array([[0.0], [0.0], [1.0]]))
    copy = events.class_index == 0
    rows = np.r_[np.flatnonzero(copy), np.flatnonzero(copy), np.flatnonzero(events.class_index == 2)]
    classes = np.repeat([0, 1, 2], [copy.sum(), copy.sum(), (events.class_index == 2).sum()])
    scores = events.scores[rows].copy()
    scores[:, 1] = scores[:, 0]
    scores /= scores.sum(axis=1, keepdims=True)
    doubled = ScoredEvents(scores, classes.astype(np.int32), np.ones(len(rows)), np.ones(len(rows)))
    found = compute_pair_areas(doubled)
    assert found.auc[0][2] == found.auc[1][2]
    assert found.intervals[0][2] == found.intervals[1][2]
    assert found.auc[0][1] == 0.5


@pytest.mark.parametrize(("events", "known"), [(24, False), (25, True)])
def test_a_class_of_few_events_has_no_interval(events: int, known: bool) -> None:
    many = gaussians(2000, 6)
    rows = np.r_[np.flatnonzero(many.class_index != 0), np.flatnonzero(many.class_index == 0)[:events]]
    found = compute_pair_areas(
        ScoredEvents(many.scores[rows], many.class_index[rows], many.weight[rows], many.class_weight[rows])
    )
    assert [found.intervals[0][other] is not None for other in (1, 2)] == [known, known]
    assert found.intervals[1][2] is not None


def test_events_of_one_identity_vary_together() -> None:
    # every event five times: the interval is that of the events, not of the rows
    events = gaussians(600, 4)
    once = compute_pair_areas(events).intervals[0][1]
    rows = np.repeat(np.arange(600), 5)
    five = ScoredEvents(
        events.scores[rows], events.class_index[rows], events.weight[rows], events.class_weight[rows],
        event_id=rows.astype(np.uint64),
    )  # fmt: skip
    together = compute_pair_areas(five).intervals[0][1]
    apart = compute_pair_areas(replace(five, event_id=None)).intervals[0][1]
    width = once[1] - once[0]
    assert together[1] - together[0] == pytest.approx(width, rel=0.01)
    assert apart[1] - apart[0] == pytest.approx(width / np.sqrt(5), rel=0.01)


def test_a_pair_without_weights_is_not_defined() -> None:
    events = gaussians(300, 5)
    events.weight[events.class_index == 1] = -1.0
    result = compute(events, signal=(2,))
    areas = result.areas
    assert areas.auc[0][1] is areas.auc[1][2] is areas.intervals[0][1] is None
    assert areas.auc[0][2] is not None
    assert [(pair.signal, pair.background) for pair in result.curves] == [(2, 0)]
    metrics = metrics_of_studies({"pairs": result}, result.class_names)["pairs"]
    assert metrics["a"]["b"] == {"auc": None, "interval": None}
    assert metrics["c"]["a"] == {"auc": areas.auc[0][2], "interval": areas.intervals[0][2]}


@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_what_the_other_classes_get_changes_no_ratio(seed: int, factor: float) -> None:
    scores = np.random.default_rng(seed).dirichlet([1, 1, 1], 50)
    other = scores * [1, 1, factor]
    other /= other.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(compute_score_ratio(scores, 0, 1), compute_score_ratio(other, 0, 1), rtol=1e-9)
    np.testing.assert_allclose(compute_score_ratio(scores, 0, 1) + compute_score_ratio(scores, 1, 0), 1.0)


def test_an_interval_is_that_of_the_influences_on_the_area_of_the_ratio() -> None:
    # so few events that the factor of Student's distribution counts
    events = gaussians(180, 7, "varying", means=0.7 * MEANS)
    rows = events.class_index < 2
    ratio = compute_score_ratio(events.scores[rows], 0, 1)
    expected = compute_influences(
        np.stack([ratio, 1 - ratio], axis=1), events.class_index[rows], events.weight[rows]
    )
    error = compute_half_widths(expected.of_event)[2]
    found = compute_pair_areas(events).intervals[0][1]
    assert found == pytest.approx(compute_interval(expected.value[2], error, "logit"))


def test_events_of_one_identity_are_one_of_the_25_of_a_class() -> None:
    events = gaussians(150, 8)
    assert compute_pair_areas(events).intervals[0][1] is not None
    together = replace(events, event_id=(np.arange(150) // 6).astype(np.uint64))
    assert compute_pair_areas(together).intervals[0][1] is None


def test_classes_without_any_score_are_as_probable() -> None:
    assert compute_score_ratio([[0.0, 1.0, 0.0], [0.75, 0.0, 0.25]], 0, 2).tolist() == [0.5, 0.75]


def test_the_curves_are_those_of_each_signal_against_each_background() -> None:
    events = gaussians(3000, 2, "signed")
    result = compute(events, signal=(1, 2))
    assert result.areas == compute_pair_areas(events)
    assert [(pair.signal, pair.background) for pair in result.curves] == [(1, 0), (2, 0)]
    for pair in result.curves:
        curve = compute_pair_curve(events, pair.signal, pair.background)
        expected = outline_roc(curve)
        assert pair.curve.auc == curve.auc
        np.testing.assert_array_equal(
            pair.curve.points.background_rejection, expected.points.background_rejection
        )
    assert [(pair.signal, pair.background) for pair in compute(events, signal=(1,)).curves] == [
        (1, 0),
        (1, 2),
    ]


def test_two_classes_are_one_pair_and_no_question() -> None:
    events = gaussians(100, 1, means=MEANS[:2])
    assert compute_pairs(Context(("a", "b"), {"test": events}, signal=(1,))) is None


def test_the_section_has_each_pair_in_both_orders() -> None:
    result = compute(gaussians(1000, 1), signal=(2,))
    (table,) = section(result)
    assert isinstance(table, Table)
    values = [[item.value for item in row[1:]] for row in table.rows]
    assert values == [list(row) for row in result.areas.auc]


def test_the_tables_of_the_figures_hold_areas_and_curves() -> None:
    result = compute(gaussians(1000, 1), signal=(2,))
    areas, *curves = figure_data(result, {})
    (auc,) = areas.dependent
    pairs = list(combinations(range(3), 2))
    assert auc.values == [result.areas.auc[row][column] for row, column in pairs]
    below, above = auc.errors["68.3% interval"][0]
    low, high = result.areas.intervals[0][1]
    assert (auc.values[0] - below, auc.values[0] + above) == pytest.approx((low, high))
    assert [column.values for column in areas.independent] == [["a", "a", "b"], ["b", "c", "c"]]
    assert [table.name for table in curves] == ["one_versus_one_c_a", "one_versus_one_c_b"]
    for table, pair in zip(curves, result.curves, strict=True):
        assert table.dependent[0].values == pair.curve.points.background_rejection.tolist()
