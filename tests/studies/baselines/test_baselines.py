"""The study of baselines: what it takes from the comparison, and what section, findings and summary say of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tamis.blocks import Table, Text
from tamis.blocks.numbers import minus
from tamis.statistics.baselines import (
    BackgroundRatio,
    BoxOfCuts,
    ComparedNumber,
    Cut,
    ScoredBaseline,
    SignalComparison,
    WeightingComparison,
    compare_baselines,
)
from tamis.statistics.roc import compute_roc_curve
from tamis.statistics.roc_outline import RocOutline, RocPoints, compute_least_efficiency
from tamis.statistics.scored import ScoredEvents
from tamis.studies import metrics_of_studies
from tamis.studies.baselines import (
    BaselinesResult,
    compute_baselines,
    figure_data,
    findings,
    section,
    summary,
)
from tamis.studies.baselines.result import BaselineComparison
from tamis.studies.bayes_optimum import compute_bayes_optimum
from tamis.studies.context import Context

Float64 = NDArray[np.float64]
CLASSES = ("a", "b", "c")
POINTS = RocPoints(np.array([0.5, 1.0]), np.array([10.0, 1.0]))
OUTLINE = RocOutline(0.9, POINTS, POINTS)


def softmax(logits: Float64) -> Float64:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def context(**changes: Any) -> Context:
    rng = np.random.default_rng(1)
    class_index = (np.arange(3000) % 3).astype(np.int32)
    logits = 1.5 * (rng.normal(size=(3000, 3)) + 1.5 * np.eye(3)[class_index])
    worse = softmax(logits + 0.5 * rng.normal(size=(3000, 3)))
    weight = np.where(rng.random(3000) < 0.1, -1.0, 1.0) * (1.0 + class_index)
    factor = np.array([6.0, 3.0, 2.0])[class_index]
    reference = dict(zip(CLASSES, logits.T, strict=True))
    test = ScoredEvents(softmax(logits), class_index, weight, factor, reference=reference)
    baselines = (
        ScoredBaseline("xgboost", worse, 2.5, (), ("a note",)),
        ScoredBaseline("cuts", np.rint(20 * worse[:, 2]) / 20),
    )
    return Context(
        CLASSES,
        {"test": test},
        **{"signal": (2,), "working_points": (0.5, 0.9), "baselines": baselines, **changes},
    )


def test_the_result_is_the_comparison_with_outlines() -> None:
    given = context(has_densities=True)
    result = compute_baselines(given)
    assert result is not None
    scores = {baseline.name: baseline.scores for baseline in given.baselines}
    network, numbers = compare_baselines(given.splits["test"], scores, (2,), (0.5, 0.9))
    assert result.network.auc == network.auc
    for baseline, expected in zip(result.baselines, numbers, strict=True):
        assert vars(baseline).items() >= {**vars(expected), "signal": baseline.signal}.items()
        assert baseline.signal.auc == expected.signal.auc
        assert baseline.signal.network_auc == network.auc
        assert baseline.signal.working_points == expected.signal.working_points
        assert baseline.signal.background_ratios == expected.signal.background_ratios
    trees, cuts = result.baselines
    assert (trees.seconds, trees.notes) == (2.5, ("a note",))
    # the curve of a few steps is drawn as far as that of the network
    least = compute_least_efficiency(network)
    test = given.splits["test"]
    curve = compute_roc_curve(given.baselines[1].scores, test.class_index == 2, test.weight)
    background = curve.background_efficiency
    furthest = 1 / background[background >= least].min()
    assert cuts.signal.curve.points.background_rejection.max() == furthest
    np.testing.assert_array_equal(result.working_points.signal_efficiency >= [0.5, 0.9], [True, True])
    assert result.optimum is given.once(compute_bayes_optimum).curves[2]
    assert result.optimum_name == "Bayes optimum"


def test_the_optimum_of_several_signals_is_not_known() -> None:
    result = compute_baselines(context(signal=(1, 2), has_densities=True))
    assert result is not None
    assert result.optimum is None


def test_without_baselines_there_is_no_question() -> None:
    assert compute_baselines(context(baselines=())) is None


def test_metrics_are_strict_json_and_a_discriminant_has_no_loss() -> None:
    result = compute_baselines(context())
    assert result is not None
    metrics = json.loads(
        json.dumps(metrics_of_studies({"baselines": result}, CLASSES)["baselines"], allow_nan=False)
    )
    assert list(metrics) == ["xgboost", "cuts"]
    trees, cuts = metrics.values()
    assert set(trees["difference"]["auc"]) == set(CLASSES)
    assert trees["signal"]["working_points"][0]["target"] == 0.5
    assert trees["signal"]["background_ratios"][0]["ratio"] < 1
    assert trees["notes"] == ["a note"]
    assert trees["balanced"]["loss"] == result.baselines[0].balanced.loss.value
    assert cuts["loss"] is cuts["accuracy"] is cuts["balanced"] is cuts["boxes"] is None
    assert cuts["signal"]["difference"] > 0


def result_of(
    interval: tuple[float, float] | None = (0.01, 0.03),
    difference: float = 0.02,
    ratios: tuple[BackgroundRatio, ...] = (),
    **changes: Any,
) -> BaselinesResult:
    signal = SignalComparison(
        ComparedNumber(0.9, (0.89, 0.91), difference, interval), 0.92, OUTLINE, (), ratios
    )
    loss = ComparedNumber(0.4, (0.38, 0.42), 0.4, (0.38, 0.42))
    cuts = (Cut("<pt>", 1.5, None), Cut("eta", -2.0, 2.0), Cut("n", None, 4.0))
    box = replace(BoxOfCuts(0.5, None, cuts, 0.5, 0.52, 0.01, 100.0), **changes)
    return BaselinesResult(
        CLASSES,
        (
            BaselineComparison("xgboost", None, WeightingComparison(loss, loss, ()), signal, 1.5, (), ()),
            BaselineComparison("cuts", None, None, signal, 0.5, (box,), ("too few",)),
        ),
        OUTLINE,
        POINTS,
        None,
        "",
    )


def test_tables_hold_differences_and_cuts() -> None:
    text, results, boxes = section(result_of())
    assert isinstance(text, Text)
    assert text.text.endswith("cuts: too few.")
    assert isinstance(results, Table)
    assert isinstance(boxes, Table)
    assert [cell.text for cell in results.rows[0]] == [
        "xgboost",
        "0.9000",
        "+0.020",
        "0.4000",
        "+0.400",
        "1.50",
    ]
    assert [cell.text for cell in results.rows[1]][3:5] == ["\N{EN DASH}"] * 2
    assert boxes.rows[0][1].text == minus("<pt> ≥ 1.500; -2.000 ≤ eta ≤ 2.000; n ≤ 4.000")
    assert len(boxes.columns) == len(boxes.rows[0]) == 5
    (_, _, boxes) = section(result_of(fold=2, cuts=()))
    assert isinstance(boxes, Table)
    assert [cell.text for cell in boxes.rows[0]][:3] == ["2", "50.0%", "no cut"]


@pytest.mark.parametrize(
    ("difference", "half", "light"),
    [
        (0.02, 0.009, "good"),
        (0.02, 0.011, "info"),  # more than one standard deviation, less than two
        (0.02, 0.03, "info"),
        (-0.02, 0.009, "look"),
        (-0.03, 0.009, "bad"),
        (-0.03, 0.016, "info"),
        (-0.02, 0.011, "info"),
    ],
)
def test_a_better_baseline_is_worth_a_look(difference: float, half: float, light: str) -> None:
    first, _ = findings(result_of((difference - half, difference + half), difference))
    assert first.light == light


@pytest.mark.parametrize(
    ("difference", "ratio", "light"),
    [
        (0.02, (1.46, (1.30, 1.64)), "look"),  # a larger area, but a lower rejection
        (0.02, (1.46, (1.16, 1.83)), "info"),  # by more than one standard deviation, less than two
        (0.02, (1.46, (0.90, 2.36)), "good"),
        (0.02, (0.50, (0.45, 0.56)), "good"),
        (0.02, (None, None), "good"),
        (0.0, (1.46, (1.30, 1.64)), "look"),
        (0.0, (0.50, (0.45, 0.56)), "info"),
        (-0.03, (1.46, (1.30, 1.64)), "bad"),
        (-0.03, (0.50, (0.45, 0.56)), "look"),
    ],
)
def test_a_rejection_that_contradicts_the_area_is_worth_a_look(
    difference: float, ratio: tuple[float | None, tuple[float, float] | None], light: str
) -> None:
    points = (BackgroundRatio(0.3, 0.3, *ratio), BackgroundRatio(0.5, 0.5, 1.0, (0.9, 1.1)))
    result = result_of((difference - 0.005, difference + 0.005), difference, points)
    first, _ = findings(result)
    assert first.light == light
    is_lower = ratio == (1.46, (1.30, 1.64)) and difference >= 0
    assert ("the lower rejection at 30%" in first.sentence) == is_lower
    assert ("the lower rejection at 30%" in next(iter(summary(result)))) == is_lower
    _, _, ratios, _ = section(result)
    assert isinstance(ratios, Table)
    assert ratios.columns[1:] == ("at 30%", "at 50%")


def test_without_an_interval_nothing_is_judged() -> None:
    first, _ = findings(result_of(None))
    assert first.light == "info"


def test_the_summary_has_a_sentence_for_each() -> None:
    trees, cuts = summary(result_of())
    assert trees == (
        "Baseline xgboost: AUC 0.9000 for the signal, balanced loss 0.4000; the network differs by +0.020 (68.3% "
        "interval [+0.010, +0.030]) in AUC and +0.400 (68.3% interval [+0.380, +0.420]) in loss."
    )
    assert cuts == (
        "Baseline cuts: AUC 0.9000 for the signal; the network differs by +0.020 (68.3% interval [+0.010, +0.030]) in "
        "AUC. Note: too few."
    )


def test_the_tables_of_the_figure_hold_the_curves() -> None:
    tables = list(figure_data(result_of(), {}))
    assert [table.name for table in tables] == [
        "roc_baselines_network",
        "roc_baselines_xgboost",
        "roc_baselines_cuts",
    ]
    assert tables[0].dependent[0].values == [10.0, 1.0]
    with_optimum = list(figure_data(replace(result_of(), optimum=OUTLINE, optimum_name="Bayes optimum"), {}))
    assert with_optimum[-1].name == "roc_baselines_optimum"
