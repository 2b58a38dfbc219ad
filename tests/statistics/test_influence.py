"""Influences against the definition, against the bootstrap, and against toys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from tamis.statistics.influence import (
    compute_efficiency_influences,
    compute_influences,
    compute_standard_errors,
    propagate_class_sums,
)
from tamis.statistics.metrics import compute_metrics
from tamis.statistics.resampling import Resampler, bootstrap


def events(number: int, seed: int, negative: float = 0.15):
    rng = np.random.default_rng(seed)
    class_index = np.r_[0, 1, 2, rng.integers(0, 3, number - 3)]
    logits = rng.normal(size=(number, 3)) + 1.2 * np.eye(3)[class_index]
    # rounded, so that scores are equal in many events
    scores = np.exp(np.round(logits, 1))
    weight = np.where(rng.random(number) < negative, -0.8, 1.2) * (1 + class_index)
    weight[:3] = 1.0
    return scores / scores.sum(axis=1, keepdims=True), class_index, weight


def numbers(scores, class_index, weight) -> np.ndarray:
    found = compute_metrics(scores, class_index, weight)
    return np.array([found.loss, found.accuracy, *found.auc], float)


@given(st.integers(0, 10**6))
def test_an_influence_is_the_derivative_by_the_weight(seed: int) -> None:
    sample = events(60, seed)
    scores, class_index, weight = sample
    found = compute_influences(*sample)
    np.testing.assert_array_equal(found.value, numbers(*sample))
    np.testing.assert_allclose(found.of_event.sum(axis=0), 0.0, atol=1e-12)
    for event in (0, 1, 2, 17, 59):
        step = np.zeros(60)
        step[event] = 1e-6 * weight[event]
        slope = numbers(scores, class_index, weight + step) - numbers(scores, class_index, weight - step)
        np.testing.assert_allclose(found.of_event[event], slope / 2e-6, rtol=1e-5, atol=1e-8)


def test_the_error_is_that_of_the_bootstrap() -> None:
    scores, class_index, weight = events(3000, 1)
    units = np.arange(3000) // 2
    for of_units in (None, units):
        errors = compute_standard_errors(compute_influences(scores, class_index, weight).of_event, of_units)
        drawn = bootstrap(Resampler(scores, class_index, weight), 1000, np.random.default_rng(2), of_units)
        # 1000 samples know a width to 2.2%
        np.testing.assert_allclose(errors, drawn.std(axis=0), rtol=0.1)


def test_the_error_of_a_difference_knows_what_both_have_in_common(rates: Any) -> None:
    differences, errors, toys = [], [], rates.toys(400)
    for seed in range(toys):
        scores, class_index, weight = events(400, seed)
        softer = np.sqrt(scores) / np.sqrt(scores).sum(axis=1, keepdims=True)
        first, second = (compute_influences(each, class_index, weight) for each in (scores, softer))
        differences.append(first.value - second.value)
        errors.append(compute_standard_errors(first.of_event - second.of_event))
    alone = compute_standard_errors(first.of_event)
    # each score keeps the order of the classes, so that the accuracies are the same
    assert np.all(np.array(differences)[:, 1] == 0)
    assert np.all(np.array(errors)[:, 1] < 1e-12)
    pull = (np.array(differences) - np.mean(differences, axis=0))[:, [0, 2, 3, 4]] / np.array(errors)[
        :, [0, 2, 3, 4]
    ]
    inside = (np.abs(pull) < 1).sum(axis=0)
    rates.check(inside, toys, 0.683, finds=(0.50, 0.84), what="difference of two scores: loss and areas")
    assert np.all(np.array(errors)[-1][[0, 2, 3, 4]] < 0.6 * alone[[0, 2, 3, 4]])


def test_a_class_that_keeps_its_sum_has_the_derivative_of_the_whole() -> None:
    scores, class_index, weight = events(60, 5)

    def scaled(signed: np.ndarray) -> np.ndarray:
        positive = np.where(weight > 0, signed, 0.0)
        sums = [np.bincount(class_index, each) for each in (signed, positive)]
        return positive * (sums[0] / sums[1])[class_index]

    after = scaled(weight)
    found = propagate_class_sums(
        compute_influences(scores, class_index, after).of_event, class_index, weight, after
    )
    for event in range(60):
        step = np.zeros(60)
        step[event] = 1e-6 * weight[event]
        slope = numbers(scores, class_index, scaled(weight + step)) - numbers(
            scores, class_index, scaled(weight - step)
        )
        np.testing.assert_allclose(found[event], slope / 2e-6, rtol=1e-4, atol=1e-7)


def test_the_error_is_the_root_of_the_sum_of_squares_of_independent_units() -> None:
    found = compute_influences(*events(200, 4))
    np.testing.assert_allclose(
        compute_standard_errors(found.of_event) ** 2, (found.of_event**2).sum(axis=0), rtol=1e-12
    )
    pairs = found.of_event.reshape(100, 2, -1).sum(axis=1)
    np.testing.assert_allclose(
        compute_standard_errors(found.of_event, np.arange(200) // 2) ** 2, (pairs**2).sum(axis=0), rtol=1e-12
    )
    # of an accuracy without weights it is the binomial one
    scores = np.random.default_rng(6).dirichlet([1, 1, 1], 500)
    right = compute_influences(scores, np.arange(500) % 3, np.ones(500))
    share = right.value[1]
    assert compute_standard_errors(right.of_event)[1] == pytest.approx(np.sqrt(share * (1 - share) / 500))


def test_what_is_not_defined_has_no_influence() -> None:
    scores, _, weight = events(20, 3, negative=0.0)
    found = compute_influences(scores, np.zeros(20, int), weight)
    assert np.isnan(found.value[2:]).all()
    assert np.isnan(compute_standard_errors(found.of_event)[2:]).all()
    assert np.isfinite(compute_standard_errors(found.of_event)[:2]).all()


@pytest.mark.parametrize("target", [0.3, 0.5])
def test_an_influence_on_a_working_point_is_the_derivative_of_the_curve(target: float) -> None:
    # a flat signal and a background of 3 (1 - x)^2: at the signal efficiency t it keeps t^3
    x = (np.arange(10_000) + 0.5) / 10_000
    score, signal = np.r_[x, x], np.repeat([True, False], 10_000)
    weight = np.r_[np.ones(10_000), 3 * (1 - x) ** 2]
    found = compute_efficiency_influences(score, signal, weight, 1 - target, target)
    passes = score >= 1 - target
    of_signal, of_background = -3 * target**2 * (passes - target), weight * (passes - target**3)
    np.testing.assert_allclose(
        found, np.where(signal, of_signal, of_background) / 10_000, rtol=2e-3, atol=1e-9
    )
    assert found[~signal].sum() == pytest.approx(0, abs=1e-12)


def test_the_slope_at_a_working_point_is_known_with_few_signal_events() -> None:
    # of 25 signal events, none lies within 1% of the signal efficiency
    rng = np.random.default_rng(5)
    signal = np.repeat([True, False], [25, 1000])
    errors = []
    for _ in range(20):
        score = np.r_[rng.normal(1.5, 1, 25), rng.normal(0, 1, 1000)]
        threshold = np.sort(score[signal])[2]
        influences = compute_efficiency_influences(score, signal, np.ones(1025), threshold, 0.9)
        errors.append(float(np.sqrt(np.square(influences[signal]).sum())))
    # the spread of the background efficiency at the third lowest of 25 signal scores
    spread = np.std(norm.sf(np.sort(rng.normal(1.5, 1, (2000, 25)), axis=1)[:, 2]))
    assert np.median(errors) == pytest.approx(spread, rel=0.3)
