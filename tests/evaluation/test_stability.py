"""The spread of networks against cases where it is known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tamis.evaluation.metrics import measure
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.stability import Unseen, compare_folds, judge_stability

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


def group(number: int, seed: int, networks: list[int], noise: float = 0.4, fold: int | None = None) -> Unseen:
    x, class_index, weight = truth(number, seed)
    alone = tuple(network(x, each, noise) for each in networks)
    events = ScoredEvents(np.mean(alone, axis=0), class_index, weight, np.ones(number))
    return Unseen(events, alone, fold)


def test_seeds_have_the_numbers_of_each_network_on_the_same_events() -> None:
    unseen = group(2000, 1, [0, 1, 2, 3])
    found = judge_stability([unseen], CLASSES)
    events = unseen.events
    expected = [measure(each, events.class_index, events.weight) for each in unseen.alone]
    assert [each.loss for each in found.members] == [each.loss for each in expected]
    assert [each.auc for each in found.members] == [each.auc for each in expected]
    assert {each.fold for each in found.members} == {None}
    together = measure(events.scores, events.class_index, events.weight)
    loss, accuracy, _, area = found.spreads
    values = [each.loss for each in expected]
    assert (loss.mean, loss.deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (loss.lowest, loss.highest) == (min(values), max(values))
    assert loss.gain == pytest.approx(np.mean(values) - together.loss)
    assert accuracy.gain == pytest.approx(together.accuracy - np.mean([each.accuracy for each in expected]))
    assert area.gain == pytest.approx(together.auc[1] - np.mean([each.auc[1] for each in expected]))
    assert (loss.expected, loss.p_value, found.p_value) == (None, None, None)


def test_the_average_of_noisy_networks_gains_and_the_error_of_the_gain_is_right(rates: Any) -> None:
    networks = [0, 1, 2]
    exact = judge_stability([group(200_000, 1000, networks)], CLASSES).spreads
    assert exact[0].gain > 10 * exact[0].gain_error
    pulls, toys = [], rates.toys(150)
    for seed in range(toys):
        found = judge_stability([group(800, seed, networks)], CLASSES).spreads
        pulls.append(
            [(each.gain - known.gain) / each.gain_error for each, known in zip(found, exact, strict=True)]
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
        loss = judge_stability(folds, CLASSES).spreads[0]
        p_values.append(loss.p_value)
        deviations.append(loss.deviation)
        expected.append(loss.expected)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-6
    fired = np.sum(np.array(p_values) < 0.05)
    rates.check(fired, toys, 0.05, finds=(None, 0.21), what="folds of equal networks differ at 5%")
    # three degrees of freedom in each of 200 toys: a mean square is known to 6%
    assert np.mean(np.square(deviations)) == pytest.approx(np.mean(np.square(expected)), rel=0.3)


def test_a_bad_fold_is_found() -> None:
    folds = [group(2000, fold, [fold], 0.1 if fold else 2.5, fold) for fold in range(4)]
    found = judge_stability(folds, CLASSES)
    assert found.p_value < 1e-4
    loss = found.spreads[0]
    assert loss.deviation > 2 * loss.expected
    assert (loss.gain, loss.gain_error) == (None, None)
    assert "The folds differ by more than their finite numbers of events explain" in found.sentence
    assert [each.fold for each in found.members] == [0, 1, 2, 3]


def test_folds_with_seeds_have_gains_and_a_comparison_of_their_averages() -> None:
    folds = [group(1500, fold, [fold, 10 + fold], 0.4, fold) for fold in range(3)]
    found = judge_stability(folds, CLASSES)
    assert [each.fold for each in found.members] == [0, 0, 1, 1, 2, 2]
    singles = [judge_stability([each], CLASSES).spreads[0] for each in folds]
    assert found.spreads[0].gain == pytest.approx(np.mean([each.gain for each in singles]))
    # independent folds: the error of a mean of three
    errors = [each.gain_error for each in singles]
    assert found.spreads[0].gain_error == pytest.approx(np.sqrt(np.sum(np.square(errors))) / 3)
    losses = [measure(each.events.scores, each.events.class_index, each.events.weight).loss for each in folds]
    alone = [replace(each, alone=(each.events.scores,)) for each in folds]
    errors = [each.loss_error for each in judge_stability(alone, CLASSES).members]
    assert found.spreads[0].p_value == pytest.approx(compare_folds(losses, errors))


def test_one_network_has_no_spread_nor_has_a_fold_without_weight() -> None:
    assert judge_stability([], CLASSES) is None
    assert judge_stability([group(100, 1, [0])], CLASSES) is None
    bad = group(100, 1, [0], fold=1)
    bad = replace(bad, events=replace(bad.events, weight=-bad.events.weight))
    assert judge_stability([group(100, 1, [0], fold=0), bad], CLASSES) is None


def test_a_class_that_a_fold_does_not_have_has_no_spread() -> None:
    lonely = group(300, 2, [0], fold=1)
    lonely = replace(lonely, events=replace(lonely.events, class_index=np.zeros(300, np.int32)))
    found = judge_stability([group(300, 1, [0], fold=0), lonely], CLASSES)
    assert [each.quantity for each in found.spreads] == ["loss", "accuracy"]
    assert found.members[1].auc == found.members[1].auc_error == (None, None)
    written = json.loads(json.dumps(found.to_dict(CLASSES), allow_nan=False))
    assert written["members"][1]["auc"] == {"bkg": None, "sig": None}
    assert written["sentence"] == found.sentence


def test_networks_that_are_the_same_do_not_differ() -> None:
    found = judge_stability([group(300, 1, [4, 4])], CLASSES)
    assert found.spreads[0].deviation == 0.0
    assert found.spreads[0].gain == pytest.approx(0.0, abs=1e-15)
