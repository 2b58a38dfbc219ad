"""The spread of networks against cases where it is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tamis.blocks import Table, Text
from tamis.config import Folds
from tamis.data.ensemble import EnsemblePlan, PlannedMember
from tamis.statistics.influence import compute_influences
from tamis.statistics.metrics import compute_metrics
from tamis.statistics.p_values import compute_homogeneity_p_value
from tamis.statistics.scored import ScoredEvents, join_events
from tamis.studies import metrics_of_studies
from tamis.studies.context import Context, Rescoring
from tamis.studies.stability import STABILITY, StabilityResult, compute_stability, findings, section
from tamis.studies.stability.result import FoldScores, compare_members
from tamis.studies.study import Undefined

CLASSES = ("bkg", "sig")


def truth(number: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 2, number).astype(np.int32)
    x = rng.normal(size=(number, 2)) + class_index[:, None]
    return x, class_index, np.where(rng.random(number) < 0.1, -0.7, 1.2)


def network(x: np.ndarray, seed: int, noise: float = 0.4) -> np.ndarray:
    """The exact logit and a smooth error that follows from the seed."""
    phase, direction = np.random.default_rng((seed, 7)).normal(0, 3, (2, 2))
    logit = x.sum(axis=1) - 1 + noise * np.sin(x @ direction + phase[0])
    signal = 1 / (1 + np.exp(-logit))
    return np.stack([1 - signal, signal], axis=1)


def group(
    number: int, seed: int, networks: list[int], noise: float = 0.4, fold: int | None = None
) -> FoldScores:
    x, class_index, weight = truth(number, seed)
    of_members = tuple(network(x, each, noise) for each in networks)
    events = ScoredEvents(np.mean(of_members, axis=0), class_index, weight, np.ones(number))
    return FoldScores(events, of_members, fold)


def compare(groups: Sequence[FoldScores]) -> StabilityResult:
    events = reduce(join_events, (fold.events for fold in groups))
    result = compare_members(events, groups, CLASSES)
    assert isinstance(result, StabilityResult)
    return result


def test_seeds_have_the_numbers_of_each_network_on_the_same_events() -> None:
    unseen = group(2000, 1, [0, 1, 2, 3])
    result = compare([unseen])
    events = unseen.events
    expected = [compute_metrics(each, events.class_index, events.weight) for each in unseen.of_members]
    assert [each.loss for each in result.members] == [each.loss for each in expected]
    assert [each.auc for each in result.members] == [each.auc for each in expected]
    assert {each.fold for each in result.members} == {None}
    together = compute_metrics(events.scores, events.class_index, events.weight)
    loss, accuracy, _, area = result.spreads
    values = [each.loss for each in expected]
    assert (loss.mean, loss.standard_deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (loss.lowest, loss.highest) == (min(values), max(values))
    assert loss.gain == pytest.approx(np.mean(values) - together.loss)
    assert accuracy.gain == pytest.approx(together.accuracy - np.mean([each.accuracy for each in expected]))
    assert area.gain == pytest.approx(together.auc[1] - np.mean([each.auc[1] for each in expected]))
    assert (loss.expected, loss.p_value, result.p_value) == (None, None, None)


def test_the_average_of_noisy_networks_gains_and_the_error_of_the_gain_is_right(rates: Any) -> None:
    networks = [0, 1, 2]
    exact = compare([group(200_000, 1000, networks)]).spreads
    assert exact[0].gain > 10 * exact[0].gain_error
    pulls, toys = [], rates.toys(150)
    for seed in range(toys):
        result = compare([group(800, seed, networks)]).spreads
        pulls.append(
            [(each.gain - known.gain) / each.gain_error for each, known in zip(result, exact, strict=True)]
        )
    inside = (np.abs(pulls) < 1).sum(axis=0)
    rates.check(inside[:2], toys, 0.683, finds=(0.39, 0.92), what="gain of an average: loss, accuracy")
    # errors of differences of areas are on the safe side for so few events: the docstring says so
    rates.check(inside[2:], toys, (0.683, 0.9), finds=(0.39, 1.0), what="gain of an average: areas")
    positive = (np.array(pulls) > 0).sum(axis=0)
    rates.check(positive, toys, 0.5, finds=(0.21, 0.79), what="gain of an average above the true one")


def test_equal_networks_differ_between_folds_by_chance_alone(rates: Any) -> None:
    p_values, deviations, expected, toys = [], [], [], rates.toys(200)
    for seed in range(toys):
        folds = [group(300, (seed * 4 + fold), [0], fold=fold) for fold in range(4)]
        loss = compare(folds).spreads[0]
        p_values.append(loss.p_value)
        deviations.append(loss.standard_deviation)
        expected.append(loss.expected)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-6
    fired = np.sum(np.array(p_values) < 0.05)
    rates.check(fired, toys, 0.05, finds=(None, 0.21), what="folds of equal networks differ at 5%")
    # three degrees of freedom in each of 200 toys: a mean square is known to 6%
    assert np.mean(np.square(deviations)) == pytest.approx(np.mean(np.square(expected)), rel=0.3)


def test_a_bad_fold_is_found() -> None:
    folds = [group(2000, fold, [fold], 0.1 if fold else 2.5, fold) for fold in range(4)]
    result = compare(folds)
    assert result.p_value < 1e-4
    loss = result.spreads[0]
    assert loss.standard_deviation > 2 * loss.expected
    assert (loss.gain, loss.gain_error) == (None, None)
    assert "The folds differ by more than their statistical uncertainties explain" in result.sentence
    # a probability that is zero in 64 bits is not written as zero
    certain = replace(result, spreads=tuple(replace(spread, p_value=0.0) for spread in result.spreads))
    assert certain.sentence.endswith("(p < 0.001, corrected for 4 quantities).")
    assert [each.fold for each in result.members] == [0, 1, 2, 3]


def test_folds_with_seeds_have_gains_and_a_comparison_of_their_averages() -> None:
    folds = [group(1500, fold, [fold, 10 + fold], 0.4, fold) for fold in range(3)]
    result = compare(folds)
    assert [each.fold for each in result.members] == [0, 0, 1, 1, 2, 2]
    singles = [compare([each]).spreads[0] for each in folds]
    assert result.spreads[0].gain == pytest.approx(np.mean([each.gain for each in singles]))
    # independent folds: the error of a mean of three
    errors = [each.gain_error for each in singles]
    assert result.spreads[0].gain_error == pytest.approx(np.sqrt(np.sum(np.square(errors))) / 3)
    losses = [
        compute_metrics(each.events.scores, each.events.class_index, each.events.weight).loss
        for each in folds
    ]
    ensembles = [replace(each, of_members=(each.events.scores,)) for each in folds]
    errors = [each.loss_error for each in compare(ensembles).members]
    assert result.spreads[0].p_value == pytest.approx(compute_homogeneity_p_value(losses, errors))


def test_folds_have_the_deviation_of_their_losses_and_the_root_mean_square_of_their_errors() -> None:
    folds = [group(number, number, [0, 1, 2], fold=fold) for fold, number in enumerate((200, 800, 3000))]
    influences = [
        compute_influences(fold.events.scores, fold.events.class_index, fold.events.weight) for fold in folds
    ]
    loss = compare(folds).spreads[0]
    assert loss.between_folds == pytest.approx(np.std([of_fold.value[0] for of_fold in influences], ddof=1))
    squares = [np.square(of_fold.of_event[:, 0]).sum() for of_fold in influences]
    assert loss.expected == pytest.approx(np.sqrt(np.mean(squares)))
    members = [
        [
            compute_metrics(scores, fold.events.class_index, fold.events.weight).loss
            for scores in fold.of_members
        ]
        for fold in folds
    ]
    assert loss.between_seeds == pytest.approx(np.sqrt(np.var(members, axis=1, ddof=1).mean()))


def test_the_error_of_a_gain_is_that_of_the_ensemble_minus_the_mean_of_its_members() -> None:
    fold = group(500, 4, [0, 1, 2])
    events = fold.events
    ensemble, *members = (
        compute_influences(scores, events.class_index, events.weight).of_event[:, 0]
        for scores in (events.scores, *fold.of_members)
    )
    expected = np.sqrt(np.square(ensemble - np.mean(members, axis=0)).sum())
    assert compare([fold]).spreads[0].gain_error == pytest.approx(expected)


def test_members_are_measured_on_the_events_of_their_fold() -> None:
    x, class_index, weight = truth(400, 3)
    fold = np.arange(400) % 2
    members = tuple(PlannedMember(number // 2, number) for number in range(4))
    classifier: Any = SimpleNamespace(
        members=members,
        plan=EnsemblePlan(members, Folds(number=2)),
        take_member=lambda number: SimpleNamespace(scores=lambda x, _fold: network(x, number)),
    )
    scores = np.where(fold[:, None] == 0, network(x, 0), network(x, 3))
    test = ScoredEvents(scores, class_index, weight, np.ones(400))
    rescoring = Rescoring(classifier, x, np.arange(400), fold)
    result = compute_stability(Context(CLASSES, {"test": test}, rescoring=rescoring))
    assert isinstance(result, StabilityResult)
    assert [member.fold for member in result.members] == [0, 0, 1, 1]
    for number, member in enumerate(result.members):
        rows = fold == number // 2
        expected = compute_metrics(network(x[rows], number), class_index[rows], weight[rows])
        assert (member.loss, member.auc) == (expected.loss, expected.auc)


def test_a_small_gain_and_its_error_are_not_rounded_to_zero() -> None:
    result = compare([group(2000, 1, [0, 1])])
    loss, *others = result.spreads
    small = replace(result, spreads=(replace(loss, gain=9.3e-05, gain_error=2.1e-05), *others))
    assert "improves it by +0.000093 +- 0.000021" in small.sentence


def test_a_fold_without_weight_is_the_reason_for_no_result() -> None:
    bad = group(100, 1, [0], fold=1)
    bad = replace(bad, events=replace(bad.events, weight=-bad.events.weight))
    result = compare_members(bad.events, [group(100, 1, [0], fold=0), bad], CLASSES)
    assert isinstance(result, Undefined)
    assert "positive sum" in result.reason


def test_the_question_does_not_arise_without_members() -> None:
    assert compute_stability(Context(CLASSES, {"test": group(100, 1, [0]).events})) is None


def test_the_numbers_of_the_ensemble_are_those_of_all_events() -> None:
    folds = [group(number, fold, [fold], fold=fold) for fold, number in enumerate((300, 500))]
    result = compare(folds)
    parts = [fold.events for fold in folds]
    scores, class_index, weight = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("scores", "class_index", "weight")
    )
    expected = compute_metrics(scores, class_index, weight)
    assert (result.ensemble.loss, result.ensemble.accuracy) == pytest.approx(
        (expected.loss, expected.accuracy)
    )
    assert result.ensemble.auc == pytest.approx(expected.auc)
    losses = -np.log(scores[np.arange(800), class_index])
    influences = weight * (losses - expected.loss) / weight.sum()
    assert result.ensemble.loss_error == pytest.approx(np.sqrt(np.square(influences).sum()))


@pytest.mark.parametrize(
    ("folds", "light"),
    [
        ([group(500, 1, [0, 1])], "info"),
        ([group(500, fold, [0], fold=fold) for fold in range(2)], "good"),
        ([group(500, fold, [0, 1], fold=fold) for fold in range(2)], "good"),
        ([group(2000, fold, [fold], 0.1 if fold else 2.5, fold) for fold in range(4)], "look"),
    ],
)
def test_section_finding_and_summary_quote_the_result(folds: list[FoldScores], light: str) -> None:
    result = compare(folds)
    text, table = section(result)
    (finding,) = findings(result)
    assert isinstance(text, Text)
    assert finding.sentence == text.text
    assert finding.light == light
    assert list(STABILITY.summary(result)) == [result.sentence]
    assert isinstance(table, Table)
    assert [row[0].text for row in table.rows] == ["loss", "accuracy", "AUC of bkg", "AUC of sig"]
    has_seeds, has_folds = len(folds[0].of_members) > 1, len(folds) > 1
    assert ("gain of the ensemble" in table.columns) == ("between seeds" in table.columns) == has_seeds
    assert ("between folds" in table.columns) == has_folds
    assert len(table.columns) == 4 + 2 * has_seeds + 3 * has_folds
    assert ("Between seeds" in table.caption, "Between folds" in table.caption) == (has_seeds, has_folds)
    assert all(len(row) == len(table.columns) for row in table.rows)
    # no column is empty
    assert all(cell.value is not None for row in table.rows for cell in row[1:])


def test_a_class_that_a_fold_does_not_have_has_no_spread() -> None:
    lonely = group(300, 2, [0], fold=1)
    lonely = replace(lonely, events=replace(lonely.events, class_index=np.zeros(300, np.int32)))
    result = compare([group(300, 1, [0], fold=0), lonely])
    assert [each.quantity for each in result.spreads] == ["loss", "accuracy"]
    assert result.members[1].auc == result.members[1].auc_error == (None, None)
    written = json.loads(
        json.dumps(metrics_of_studies({"stability": result}, CLASSES)["stability"], allow_nan=False)
    )
    assert written["members"][1]["auc"] == {"bkg": None, "sig": None}
    assert written["sentence"] == result.sentence


def test_networks_that_are_the_same_do_not_differ() -> None:
    result = compare([group(300, 1, [4, 4])])
    assert result.spreads[0].standard_deviation == 0.0
    assert result.spreads[0].gain == pytest.approx(0.0, abs=1e-15)
