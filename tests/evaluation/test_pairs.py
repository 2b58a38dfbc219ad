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

from tamis.evaluation.influence import find_influences
from tamis.evaluation.intervals import around, half_widths
from tamis.evaluation.pairs import measure_pairs, pair_curves, score_ratio
from tamis.evaluation.scored import ScoredEvents

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


def known_area(first: int, second: int, means: np.ndarray = MEANS) -> float:
    return float(stats.norm.cdf(np.linalg.norm(means[first] - means[second]) / np.sqrt(2)))


@pytest.mark.parametrize("weights", ["unit", "varying", "signed"])
def test_areas_of_gaussians_are_known(weights: str) -> None:
    found = measure_pairs(gaussians(200_000, 1, weights))
    for first, second in combinations(range(3), 2):
        assert found.auc[first][second] == pytest.approx(known_area(first, second), abs=0.005)
        assert found.auc[first][second] == found.auc[second][first]
    assert [found.auc[index][index] for index in range(3)] == [None] * 3


def test_intervals_cover_the_truth(rates: Any) -> None:
    covered, toys = np.zeros(3), rates.toys(200)
    for toy in range(toys):
        found = measure_pairs(gaussians(600, toy, "signed"))
        for number, (first, second) in enumerate(combinations(range(3), 2)):
            interval = found.intervals[first][second]
            assert interval is not None
            covered[number] += interval[0] <= known_area(first, second) <= interval[1]
    rates.check(covered, toys, 0.683, finds=(0.43, 0.9), what="AUC of each pair")


def test_the_curve_of_a_pair_has_the_area_of_the_pair() -> None:
    events = gaussians(3000, 2, "signed")
    found, curves = measure_pairs(events), pair_curves(events, [1, 2])
    assert [(each.signal, each.background) for each in curves] == [(1, 0), (2, 0)]
    for each in curves:
        assert each.curve.auc == pytest.approx(found.auc[each.signal][each.background], rel=1e-12)
        assert each.curve.class_index == each.signal


def test_copies_of_a_class_are_told_from_another_one_equally_well() -> None:
    events = gaussians(600, 3, means=np.array([[0.0], [0.0], [1.0]]))
    copy = events.class_index == 0
    rows = np.r_[np.flatnonzero(copy), np.flatnonzero(copy), np.flatnonzero(events.class_index == 2)]
    classes = np.repeat([0, 1, 2], [copy.sum(), copy.sum(), (events.class_index == 2).sum()])
    scores = events.scores[rows].copy()
    scores[:, 1] = scores[:, 0]
    scores /= scores.sum(axis=1, keepdims=True)
    doubled = ScoredEvents(scores, classes.astype(np.int32), np.ones(len(rows)), np.ones(len(rows)))
    found = measure_pairs(doubled)
    assert found.auc[0][2] == found.auc[1][2]
    assert found.intervals[0][2] == found.intervals[1][2]
    assert found.auc[0][1] == 0.5


@pytest.mark.parametrize(("events", "known"), [(24, False), (25, True)])
def test_a_class_of_few_events_has_no_interval(events: int, known: bool) -> None:
    many = gaussians(2000, 6)
    rows = np.r_[np.flatnonzero(many.class_index != 0), np.flatnonzero(many.class_index == 0)[:events]]
    found = measure_pairs(
        ScoredEvents(many.scores[rows], many.class_index[rows], many.weight[rows], many.factor[rows])
    )
    assert [found.intervals[0][other] is not None for other in (1, 2)] == [known, known]
    assert found.intervals[1][2] is not None


def test_events_of_one_identity_vary_together() -> None:
    # every event five times: the interval is that of the events, not of the rows
    events = gaussians(600, 4)
    once = measure_pairs(events).intervals[0][1]
    rows = np.repeat(np.arange(600), 5)
    five = ScoredEvents(
        events.scores[rows], events.class_index[rows], events.weight[rows], events.factor[rows],
        identity=rows.astype(np.uint64),
    )  # fmt: skip
    together = measure_pairs(five).intervals[0][1]
    apart = measure_pairs(replace(five, identity=None)).intervals[0][1]
    width = once[1] - once[0]
    assert together[1] - together[0] == pytest.approx(width, rel=0.01)
    assert apart[1] - apart[0] == pytest.approx(width / np.sqrt(5), rel=0.01)


def test_a_pair_without_weights_is_not_defined() -> None:
    events = gaussians(300, 5)
    events.weight[events.class_index == 1] = -1.0
    found = measure_pairs(events)
    assert found.auc[0][1] is found.auc[1][2] is found.intervals[0][1] is None
    assert found.auc[0][2] is not None
    assert [(each.signal, each.background) for each in pair_curves(events, [2])] == [(2, 0)]
    written = found.to_dict(["a", "b", "c"])
    assert written["a"]["b"] == {"auc": None, "interval": None}
    assert written["c"]["a"] == {"auc": found.auc[0][2], "interval": found.intervals[0][2]}


@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_what_the_other_classes_get_changes_no_ratio(seed: int, factor: float) -> None:
    scores = np.random.default_rng(seed).dirichlet([1, 1, 1], 50)
    other = scores * [1, 1, factor]
    other /= other.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(score_ratio(scores, 0, 1), score_ratio(other, 0, 1), rtol=1e-9)
    np.testing.assert_allclose(score_ratio(scores, 0, 1) + score_ratio(scores, 1, 0), 1.0)


def test_an_interval_is_that_of_the_influences_on_the_area_of_the_ratio() -> None:
    # so few events that the factor of Student's distribution counts
    events = gaussians(180, 7, "varying", means=0.7 * MEANS)
    rows = events.class_index < 2
    ratio = score_ratio(events.scores[rows], 0, 1)
    expected = find_influences(
        np.stack([ratio, 1 - ratio], axis=1), events.class_index[rows], events.weight[rows]
    )
    error = half_widths(expected.of_event)[2]
    found = measure_pairs(events).intervals[0][1]
    assert found == pytest.approx(around(expected.value[2], error, "logit"))


def test_events_of_one_identity_are_one_of_the_25_of_a_class() -> None:
    events = gaussians(150, 8)
    assert measure_pairs(events).intervals[0][1] is not None
    together = replace(events, identity=(np.arange(150) // 6).astype(np.uint64))
    assert measure_pairs(together).intervals[0][1] is None


def test_classes_without_any_score_are_as_probable() -> None:
    assert score_ratio([[0.0, 1.0, 0.0], [0.75, 0.0, 0.25]], 0, 2).tolist() == [0.5, 0.75]
