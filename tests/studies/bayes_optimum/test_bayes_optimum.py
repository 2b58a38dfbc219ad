"""The network beside the best classifier that can exist, and beside discriminants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tamis.blocks import Table
from tamis.blocks.numbers import typeset
from tamis.statistics.arrays import compute_class_ranks
from tamis.statistics.bayes_optimum import compare_with_optimum, compute_posterior
from tamis.statistics.metrics import compute_metrics
from tamis.statistics.roc import compute_roc_curve, compute_roc_curves
from tamis.statistics.scored import ScoredEvents
from tamis.studies import metrics_of_studies
from tamis.studies.bayes_optimum import (
    BayesOptimumResult,
    compute_bayes_optimum,
    findings,
    section,
    summary,
    tiles,
)
from tamis.studies.context import Context
from tamis.studies.study import Undefined

CLASSES = ("a", "b", "c")
FACTOR = np.array([0.25, 1.0, 12.0])


def events(number: int = 500, seed: int = 1) -> ScoredEvents:
    """Scores that are worse than the densities allow, for the class with the large class weight most."""
    rng = np.random.default_rng(seed)
    class_index = np.r_[0, 1, 2, rng.choice(3, number - 3, p=(0.2, 0.5, 0.3))].astype(np.int32)
    density = rng.normal(size=(number, 3)) + 1.5 * np.eye(3)[class_index]
    logits = density * [1.0, 1.0, 0.3] + rng.normal(0, 0.3, (number, 3))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return ScoredEvents(
        scores, class_index, rng.uniform(0.2, 1.5, number), FACTOR[class_index],
        reference=dict(zip(CLASSES, density.T, strict=True)),
    )  # fmt: skip


def compute(test: ScoredEvents, *, densities: bool = True) -> BayesOptimumResult:
    result = compute_bayes_optimum(Context(CLASSES, {"test": test}, has_densities=densities))
    assert isinstance(result, BayesOptimumResult)
    return result


def test_the_loss_is_compared_with_the_weights_that_the_network_learned() -> None:
    test = events()
    weight = test.weight * test.class_weight
    density = np.stack([test.reference[name] for name in CLASSES], axis=1)
    shares = np.bincount(test.class_index, weight, 3)
    comparison = compute(test).optimum
    assert comparison == compare_with_optimum(test.scores, density, shares, test.class_index, weight)
    assert comparison.network == compute_metrics(test.scores, test.class_index, weight)
    assert comparison.excess_loss > 0.01


def test_the_curves_rank_events_with_the_priors_of_the_network_and_weigh_them_with_the_physics_weights() -> (
    None
):
    test = events()
    density = np.stack([test.reference[name] for name in CLASSES], axis=1)
    scores = compute_posterior(density, np.bincount(test.class_index, test.balanced_weight, 3))
    areas = [curve.auc for curve in compute_roc_curves(scores, test.class_index, test.weight)]
    result = compute(test)
    assert [curve.auc for curve in result.curves] == areas
    assert list(result.optimum.optimum.auc) != areas
    assert result.curve_name == "Bayes optimum"


def test_a_discriminant_is_compared_by_its_order_alone() -> None:
    test = events()
    signal = test.reference["c"]
    result = compute(replace(test, reference={"c": signal}), densities=False)
    (comparison,) = result.discriminants
    is_signal = test.class_index == 2
    network = compute_roc_curve(compute_class_ranks(test.scores)[:, 2], is_signal, test.weight).auc
    assert comparison.auc == compute_roc_curve(signal, is_signal, test.weight).auc
    assert comparison.network_auc == network
    assert comparison.auc_deficit == comparison.auc - network > 0
    assert [curve is None for curve in result.curves] == [True, True, False]
    assert result.curves[2].auc == comparison.auc
    assert result.curve_name == "reference"
    monotone = compute(replace(test, reference={"c": np.arctan(signal)}), densities=False)
    assert monotone.discriminants[0] == comparison
    assert metrics_of_studies({"bayes_optimum": result}, CLASSES)["bayes_optimum"] == {
        "optimum": None,
        "discriminants": {"c": {"auc": comparison.auc, "auc_deficit": comparison.auc_deficit}},
    }


@pytest.mark.parametrize("densities", [True, False])
def test_a_class_without_a_positive_sum_of_weights_is_the_reason_for_no_result(densities: bool) -> None:
    test = events()
    test.weight[test.class_index == 1] *= -1
    result = compute_bayes_optimum(Context(CLASSES, {"test": test}, has_densities=densities))
    assert isinstance(result, Undefined)
    assert "positive sum" in result.reason


def test_nothing_is_known_without_references() -> None:
    assert compute_bayes_optimum(Context(CLASSES, {"test": replace(events(), reference={})})) is None


def test_what_is_left_to_gain_is_in_the_table_the_finding_and_the_summary() -> None:
    result = compute(events())
    comparison = result.optimum
    (table,) = section(result)
    assert isinstance(table, Table)
    assert [row[0].text for row in table.rows] == [
        "balanced loss",
        "balanced accuracy",
        "AUC a",
        "AUC b",
        "AUC c",
    ]
    assert table.rows[0][-1].value == comparison.excess_loss
    assert [row[-1].value for row in table.rows[2:]] == list(comparison.auc_deficit)
    assert [row[-1].note != "" for row in table.rows] == [
        interval is not None
        for interval in (comparison.intervals.loss, comparison.intervals.accuracy, *comparison.intervals.auc)
    ]
    (finding,) = findings(result)
    (line,) = summary(result)
    (tile,) = tiles(result)
    excess = table.rows[0][-1]
    for text in (finding.sentence, typeset(line), f"{tile.value} {tile.interval} {tile.note}"):
        assert excess.text in text
        assert f"68.3% interval {excess.note}" in text
        assert "balanced loss" in text


def test_the_excess_is_known_as_well_as_the_two_scores_of_each_event_are_alike() -> None:
    test = events()
    weight = test.balanced_weight
    density = np.stack([test.reference[name] for name in CLASSES], axis=1)
    arguments = density, np.bincount(test.class_index, weight, 3), test.class_index, weight
    found = compare_with_optimum(test.scores, *arguments)
    best = compute_posterior(*arguments[:2])
    losses = [-np.log(scores[range(len(test)), test.class_index]) for scores in (test.scores, best)]
    differences = losses[0] - losses[1]
    error = np.sqrt(np.sum(np.square(weight * (differences - found.excess_loss)))) / weight.sum()
    low, high = found.intervals.loss
    assert (low + high) / 2 == pytest.approx(found.excess_loss)
    assert error < (high - low) / 2 < 1.2 * error
    # the optimum itself has an excess of exactly zero, and copies of events say nothing new
    assert compare_with_optimum(best, *arguments).intervals.loss == (0.0, 0.0)
    twice = np.tile(np.arange(len(test)), 2)
    doubled = compare_with_optimum(
        test.scores[twice], density[twice], arguments[1], test.class_index[twice], weight[twice], units=twice
    )
    assert doubled.intervals.loss == pytest.approx(found.intervals.loss)


def test_a_discriminant_is_in_the_table_and_the_summary() -> None:
    test = events()
    result = compute(replace(test, reference={"c": test.reference["c"]}), densities=False)
    (comparison,) = result.discriminants
    (table,) = section(result)
    assert isinstance(table, Table)
    assert [item.value for item in table.rows[0][1:]] == [
        comparison.network_auc,
        comparison.auc,
        comparison.auc_deficit,
    ]
    assert list(findings(result)) == []
    (line,) = summary(result)
    assert line.startswith(f"Discriminant for c: AUC {comparison.auc:.4f}")
