"""Performance as a study of a run: which events and weights each number is made of, and what a page says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from tamis.blocks import Table
from tamis.config import Folds
from tamis.data.ensemble import EnsemblePlan
from tamis.statistics.metrics import compute_metrics
from tamis.statistics.roc import compute_roc_curves
from tamis.statistics.scored import ScoredEvents
from tamis.studies import metrics_of_studies
from tamis.studies.context import Context
from tamis.studies.performance import (
    PerformanceResult,
    compute_performance,
    findings,
    section,
    summary,
    tiles,
)
from tamis.studies.performance.result import quote_working_points
from tamis.wording import name_interval

CLASSES = ("a", "b", "c")
FACTOR = np.array([0.25, 1.0, 12.0])
SHARES = {"training": (0.6, 0.3, 0.1), "validation": (0.5, 0.2, 0.3), "test": (0.2, 0.5, 0.3)}


def split(name: str, number: int = 500) -> ScoredEvents:
    """Scores that are worse for the class with the large factor; every split has classes of other sizes."""
    rng = np.random.default_rng((1, len(name)))
    class_index = np.r_[0, 1, 2, rng.choice(3, number - 3, p=SHARES[name])].astype(np.int32)
    values = rng.normal(size=(number, 3)) + 1.5 * np.eye(3)[class_index]
    logits = values * [1.0, 1.0, 0.3] + rng.normal(0, 0.3, (number, 3))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    identity = np.arange(number, dtype=np.uint64)
    return ScoredEvents(
        scores, class_index, rng.uniform(0.2, 1.5, number), FACTOR[class_index], event_id=identity
    )


SPLITS = {name: split(name) for name in SHARES}


def compute(splits: dict[str, ScoredEvents] = SPLITS, **options: Any) -> PerformanceResult:
    return compute_performance(Context(CLASSES, splits, **{"working_points": (0.5,), **options}))


@pytest.fixture(scope="module")
def result() -> PerformanceResult:
    return compute()


@pytest.mark.parametrize("name", SHARES)
def test_physics_and_balanced_weights_have_numbers_and_intervals_of_their_own(
    result: PerformanceResult, name: str
) -> None:
    events, metrics = SPLITS[name], result.splits[name]
    for weights, weight in (("physics", events.weight), ("balanced", events.weight * events.class_weight)):
        assert getattr(metrics, weights) == compute_metrics(events.scores, events.class_index, weight)
        low, high = result.intervals[name][weights].loss
        assert low < getattr(metrics, weights).loss < high
    # the intervals are narrower than the two losses are apart, so that neither has that of the other
    low, high = result.intervals[name]["balanced"].loss
    assert not low < metrics.physics.loss < high


@pytest.mark.parametrize(("passing", "quoted"), [(1, True), (0, False)])
def test_a_rejection_has_an_interval_from_one_background_event_on(passing: int, quoted: bool) -> None:
    score = np.r_[np.linspace(0.3, 0.99, 200), np.full(passing, 0.9), np.linspace(0.01, 0.2, 200 - passing)]
    events = ScoredEvents(
        np.stack([1 - score, score], axis=1),
        np.repeat([1, 0], 200).astype(np.int32),
        np.ones(400),
        np.ones(400),
    )
    context = Context(("b", "s"), dict.fromkeys(SHARES, events), working_points=(0.5,))
    (point,) = compute_performance(context).working_points[1]
    assert point.background_efficiency == passing / 200
    assert (point.background_efficiency_interval is not None) == quoted


def test_the_curves_and_tables_show_the_numbers(result: PerformanceResult) -> None:
    assert [curve.auc for curve in result.curves] == list(result.splits["test"].physics.auc)
    numbers, points = section(result)
    assert isinstance(numbers, Table)
    assert isinstance(points, Table)
    losses = [
        getattr(metrics, weights).loss
        for metrics in result.splits.values()
        for weights in ("physics", "balanced")
    ]
    assert [row[3].value for row in numbers.rows] == losses
    assert [row[1].value for row in points.rows] == [
        point.signal_efficiency for of_class in result.working_points for point in of_class
    ]
    metrics = metrics_of_studies({"performance": result}, CLASSES)
    assert metrics["test"]["loss"] == result.splits["test"].physics.loss
    assert metrics["test"]["balanced"]["intervals"]["loss"] == result.intervals["test"]["balanced"].loss
    assert metrics["working_points"]["b"][0]["threshold"] == result.working_points[1][0].threshold


@pytest.mark.parametrize(("signal", "names"), [((), list(CLASSES)), ((2, 1), ["c", "b"])])
def test_the_headline_numbers_are_those_of_the_signal(signal: tuple[int, ...], names: list[str]) -> None:
    result = compute(signal=signal)
    loss, accuracy, *areas = tiles(result)
    # a proper score of the probabilities that the network learned
    balanced = result.splits["test"].balanced
    assert balanced.loss != result.splits["test"].physics.loss
    assert float(loss.value) == pytest.approx(balanced.loss, abs=1e-3)
    assert float(accuracy.value) == pytest.approx(balanced.accuracy, abs=1e-3)
    assert "balanced weights" in loss.note
    # the same digits as in the table
    (row,) = [
        row
        for row in next(iter(section(result))).rows
        if [cell.text for cell in row[:2]] == ["test", "balanced"]
    ]
    assert [(cell.text, name_interval(cell.note)) for cell in row[3:5]] == [
        (tile.value, tile.interval) for tile in (loss, accuracy)
    ]
    assert [tile.title for tile in areas] == [f"AUC of {name}" for name in names]


@pytest.mark.parametrize("in_folds", [False, True])
@pytest.mark.parametrize("number", [10, 500])
def test_the_table_explains_missing_intervals_and_what_folds_are(number: int, in_folds: bool) -> None:
    splits = {**SPLITS, "validation": SPLITS["validation"].take(np.arange(number))}
    plan = EnsemblePlan(folds=Folds(number=2) if in_folds else None)
    caption = next(iter(section(compute(splits, plan=plan)))).caption
    assert ("fewer than 25 effective events" in caption) == (number == 10)
    assert ("out-of-fold score" in caption) == in_folds


def test_areas_above_one_are_explained_where_they_occur(result: PerformanceResult) -> None:
    assert list(findings(result)) == []
    test = result.splits["test"]
    above = replace(test, physics=replace(test.physics, auc=(1.000009, 0.9, None)))
    (finding,) = findings(replace(result, splits={**result.splits, "test": above}))
    assert "(a 1.000009)" in finding.sentence
    assert "With negative weights" in finding.sentence


def test_a_network_that_is_worse_than_the_prior_is_bad(result: PerformanceResult) -> None:
    assert list(summary(result)) == []
    test = result.splits["test"]
    worse = replace(test, balanced=replace(test.balanced, loss=2.0))
    found = replace(result, splits={**result.splits, "test": worse})
    (finding,) = findings(found)
    assert finding.light == "bad"
    assert list(summary(found)) == [finding.sentence]


def test_a_class_without_a_positive_sum_of_weights_has_no_curve() -> None:
    test = SPLITS["test"]
    without = replace(test, weight=np.where(test.class_index == 1, -0.1 * test.weight, test.weight))
    found = compute({**SPLITS, "test": without})
    assert found.curves[1] is None
    assert found.working_points[1] is None
    assert metrics_of_studies({"performance": found}, CLASSES)["working_points"]["b"] is None
    assert {row[0].text for row in list(section(found))[1].rows} == {"a", "c"}


POINTS = (0.5, 0.9)


def test_a_quoted_interval_holds_the_quoted_number() -> None:
    """With signed weights the first cut that reaches an efficiency may be far from the middle one."""
    rng = np.random.default_rng(3)
    class_index = np.repeat([1, 0], 400).astype(np.int32)
    outside = 0
    for _ in range(20):
        score = special.expit(rng.normal(class_index, 1))
        weight = np.where(rng.random(800) < 0.3, -1.0, 1.0)
        events = ScoredEvents(np.stack([1 - score, score], axis=1), class_index, weight, np.ones(800))
        curve = compute_roc_curves(events.scores, class_index, weight)[1]
        for point in quote_working_points(events, 1, curve, POINTS):
            if point.background_efficiency_interval is not None:
                low, high = point.background_efficiency_interval
                assert low <= point.background_efficiency <= high
                outside += point.background_efficiency in (low, high)
    assert outside


def test_tied_scores_have_the_interval_of_the_efficiency_that_their_cut_reaches() -> None:
    score = np.repeat([0.2, 0.8], [500, 500])
    class_index = np.tile([1, 0, 1, 0, 0], 200).astype(np.int32)
    events = ScoredEvents(np.stack([1 - score, score], axis=1), class_index, np.ones(1000), np.ones(1000))
    curve = compute_roc_curves(events.scores, class_index, events.weight)[1]
    first, second = quote_working_points(events, 1, curve, (0.3, 0.5))
    assert first.signal_efficiency == second.signal_efficiency == 0.5
    assert first.background_efficiency_interval == second.background_efficiency_interval


@pytest.mark.parametrize(
    ("signal", "background", "distance", "sigma", "negative"),
    [
        (50, 1000, 3.9, 0.0, 0.0), (25, 500, 2.0, 0.0, 0.0), (25, 25, 1.2, 0.0, 0.0), (100, 1000, 2.5, 0.0, 0.0),
        (250, 1000, 2.0, 1.3, 0.0), (250, 1000, 3.9, 1.3, 0.0), (270, 5400, 1.2, 1.3, 0.0),
        (300, 1000, 1.5, 0.0, 0.3), (300, 300, 1.2, 0.0, 0.3), (500, 500, 3.9, 0.0, 0.0), (1000, 1000, 2.0, 0.0, 0.0),
    ],
)  # fmt: skip
def test_quoted_working_points_cover(
    signal: int, background: int, distance: float, sigma: float, negative: float, rates: Any
) -> None:
    """Two Gaussians with the posterior of equal shares as the score."""
    toys, inside = rates.toys(100), {point: [] for point in POINTS}
    truth = {point: stats.norm.sf(distance + stats.norm.isf(point)) for point in POINTS}
    class_index = np.repeat([1, 0], [signal, background]).astype(np.int32)
    number = len(class_index)
    for toy in range(toys):
        rng = np.random.default_rng((toy, 77))
        score = special.expit(distance * (rng.normal(size=number) + distance * (class_index - 0.5)))
        weight = rng.lognormal(0, sigma, number) * np.where(rng.random(number) < negative, -1, 1)
        events = ScoredEvents(np.stack([1 - score, score], axis=1), class_index, weight, np.ones(number))
        curve = compute_roc_curves(events.scores, class_index, weight)[1]
        for point in () if curve is None else quote_working_points(events, 1, curve, POINTS):
            between = point.background_efficiency_interval
            if between is not None:
                inside[point.target].append(between[0] <= truth[point.target] <= between[1])
    for point, of_point in inside.items():
        if len(of_point) > toys / 2:
            rates.check(
                round(np.mean(of_point) * toys),
                toys,
                (0.6, 0.82),
                finds=(0.25, 1.0),
                what=f"efficiency at {point}, quoted in {len(of_point) / toys:.0%}",
            )
