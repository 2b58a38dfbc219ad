"""Gradient sensitivity of a logistic model, whose derivatives are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from tamis.errors import TamisError
from tamis.network.sensitivity import Sensitivity
from tamis.statistics.gradient_sensitivity import (
    GradientSensitivity,
    compute_gradient_sensitivity,
    compute_robust_covariance,
)
from tamis.statistics.intervals import compute_half_widths

SLOPES = np.array([2.0, 0.4, 0.0, 0.0])
SCALES = np.array([1.0, 5.0, 1.0, 1.0])


def sample(number: int = 20_000, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal features; the last one is a copy of the first."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(number, 4)) * SCALES
    features[:, 3] = features[:, 0]
    signal = special.expit(features @ SLOPES)
    return features, signal, (rng.random(number) < signal).astype(np.int32)


def sensitivity(signal: np.ndarray, slopes: np.ndarray = SLOPES) -> Sensitivity:
    """d log(s) = (1 - s) dz and d log(1 - s) = -s dz."""
    factors = np.stack([-signal, 1 - signal], axis=1)
    values = factors[:, :, None] * slopes
    return Sensitivity(np.stack([1 - signal, signal], axis=1), values, np.zeros_like(values))


def measure(groups, weight=None, slopes=SLOPES, features=None, **more):
    known, signal, class_index = sample(**more)
    weights = np.ones(len(known)) if weight is None else weight
    return compute_gradient_sensitivity(
        sensitivity(signal, slopes), known if features is None else features, class_index, weights, groups
    )  # fmt: skip


def test_a_logistic_model_has_the_sensitivity_of_its_slopes() -> None:
    features, signal, class_index = sample()
    strong, weak, useless = measure([[0], [1], [2]])
    missed = np.where(class_index == 1, 1 - signal, signal).mean()
    spread = (np.quantile(features[:, 0], 0.84134) - np.quantile(features[:, 0], 0.15866)) / 2
    assert strong.loss == pytest.approx(2.0 * spread * missed, rel=1e-3)
    # 0.4 per unit at a spread of 5 is as much as 2 per unit at a spread of 1
    assert weak.loss == pytest.approx(strong.loss, rel=0.05)
    assert strong.scores[1] == pytest.approx(2.0 * spread * (signal * (1 - signal)).mean(), rel=1e-3)
    assert strong.scores[0] == pytest.approx(strong.scores[1])
    assert useless.loss == 0.0
    assert useless.loss_interval == (0.0, 0.0)


def test_the_interval_holds_the_value() -> None:
    strong = measure([[0]])[0]
    low, high = strong.loss_interval
    assert low < strong.loss < high
    low, high = strong.scores_interval[1]
    assert low < strong.scores[1] < high


def test_copies_react_as_one_feature_with_the_sum_of_their_slopes() -> None:
    alone = measure([[0]])[0]
    shared = measure([[0, 3]], slopes=np.array([0.7, 0.4, 0.0, 1.3]))[0]
    assert shared.loss == pytest.approx(alone.loss, rel=1e-9)
    # what depends on their difference alone never varies
    nothing = measure([[0, 3]], slopes=np.array([5.0, 0.4, 0.0, -5.0]))[0]
    assert nothing.loss == pytest.approx(0, abs=1e-6)


def test_independent_features_of_a_group_add_in_quadrature() -> None:
    first, second, both = measure([[0], [1], [0, 1]])
    assert both.loss == pytest.approx(np.hypot(first.loss, second.loss), rel=0.02)


def test_units_do_not_matter() -> None:
    known, signal, class_index = sample()
    scales = np.array([1e-3, 1e3, 1.0, 7.0])
    given_units = measure([[0, 3], [1]])
    others = compute_gradient_sensitivity(
        sensitivity(signal, SLOPES / scales), known * scales, class_index, np.ones(len(known)), [[0, 3], [1]]
    )  # fmt: skip
    for first, second in zip(given_units, others, strict=True):
        assert first.loss == pytest.approx(second.loss, rel=1e-6)


def test_a_scaled_weight_changes_nothing_and_a_signed_one_subtracts() -> None:
    number = 20_000
    assert measure([[0]], np.full(number, 3.0))[0].loss == pytest.approx(measure([[0]])[0].loss, rel=1e-9)
    known, signal, class_index = sample()
    weight = np.where(np.arange(number) % 10 == 0, -0.5, 1.0)
    size = np.where(class_index == 1, 1 - signal, signal)
    expected = (
        2.0
        * np.average(size, weights=weight)
        * np.sqrt(compute_robust_covariance(known[:, :1], np.abs(weight))[0, 0])
    )
    assert measure([[0]], weight)[0].loss == pytest.approx(expected, rel=1e-9)


def test_an_event_of_weight_two_is_two_events() -> None:
    known, signal, class_index = sample(301)
    weight = np.random.default_rng(2).integers(0, 3, 301)
    rows = np.repeat(np.arange(301), weight)
    found = [
        compute_gradient_sensitivity(
            sensitivity(signal[own]), known[own], class_index[own], weights, [[0], [0, 1]]
        )
        for own, weights in ((np.arange(301), weight.astype(float)), (rows, np.ones(len(rows))))
    ]
    for first, second in zip(*found, strict=True):
        assert first.loss == pytest.approx(second.loss, rel=1e-9)


def test_an_indicator_belongs_to_its_feature() -> None:
    known, signal, class_index = sample()
    features = known.copy()
    features[::4, 2] = np.nan
    of_values = sensitivity(signal)
    indicators = np.zeros_like(of_values.values)
    indicators[:, :, 2] = 3.0
    found = compute_gradient_sensitivity(
        Sensitivity(of_values.scores, of_values.values, indicators), features, class_index, np.ones(len(known)),
        [[2], [0, 2]]
    )  # fmt: skip
    assert found[0].loss == pytest.approx(3.0 * np.sqrt(0.25 * 0.75), rel=1e-9)
    assert found[1].loss > found[0].loss


def test_the_spread_is_a_deviation_where_most_events_share_one_value() -> None:
    values = np.where(np.arange(1000) < 50, 2.0, 0.0)
    assert compute_robust_covariance(values[:, None], np.ones(1000))[0, 0] == pytest.approx(0.05 * 4)
    assert compute_robust_covariance(np.full((10, 1), np.nan), np.ones(10))[0, 0] == 0.0


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_a_covariance_is_positive_semidefinite(seed: int, features: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(60, features)) @ rng.normal(size=(features, features))
    values[rng.random(values.shape) < 0.2] = np.nan
    found = compute_robust_covariance(np.round(values, 1), rng.exponential(size=60))
    np.testing.assert_allclose(found, found.T, rtol=1e-9, atol=1e-12)
    assert np.linalg.eigvalsh(found).min() > -1e-9 * max(np.trace(found), 1e-9)


def test_the_interval_covers_the_truth(rates: Any) -> None:
    """The truth is that of two million events, with the spread of each toy: it is a unit."""
    _, signal, class_index = sample(2_000_000, seed=99)
    truth = 2.0 * np.where(class_index == 1, 1 - signal, signal).mean()
    inside, toys = 0, rates.toys(200)
    for toy in range(toys):
        known, signal, class_index = sample(400, seed=toy)
        found = compute_gradient_sensitivity(sensitivity(signal), known, class_index, np.ones(400), [[0]])[0]
        spread = np.sqrt(compute_robust_covariance(known[:, :1], np.ones(400))[0, 0])
        low, high = found.loss_interval
        inside += low <= truth * spread <= high
    rates.check(inside, toys, 0.683, finds=(0.43, 0.9), what="gradient of the loss")


def test_arrays_that_do_not_fit_are_refused() -> None:
    known, signal, class_index = sample(50)
    with pytest.raises(TamisError):
        compute_gradient_sensitivity(sensitivity(signal), known[:, :2], class_index, np.ones(50), [[0]])
    with pytest.raises(TamisError):
        compute_gradient_sensitivity(sensitivity(signal), known, class_index, -np.ones(50), [[0]])


def test_the_interval_of_a_mean_size_stays_above_zero() -> None:
    """One event reacts strongly: the error is as large as the mean."""
    values = np.full((30, 2, 1), 0.01)
    values[0] = 100.0
    scores = np.full((30, 2), 0.5)
    features = np.random.default_rng(1).normal(size=(30, 1))
    (found,) = compute_gradient_sensitivity(
        Sensitivity(scores, values, np.zeros_like(values)), features, np.arange(30) % 2, np.ones(30), [[0]]
    )
    for low, high in (found.loss_interval, *found.scores_interval):
        assert 0 < low < high


@pytest.mark.parametrize(("events", "known"), [(24, False), (25, True)])
@pytest.mark.parametrize("weight", [0.1, 0.3, 1.0])
def test_few_events_have_no_interval(events: int, known: bool, weight: float) -> None:
    known_features, signal, class_index = sample(events)
    (found,) = compute_gradient_sensitivity(
        sensitivity(signal), known_features, class_index, np.full(events, weight), [[0]]
    )
    assert (found.loss_interval is not None) == known


def sensitivity_of(number: int, weight: np.ndarray, units: np.ndarray | None = None) -> GradientSensitivity:
    known, signal, class_index = sample(number)
    return compute_gradient_sensitivity(sensitivity(signal), known, class_index, weight, [[0]], units=units)[
        0
    ]


def test_an_interval_is_that_of_the_influences_on_the_mean() -> None:
    known, signal, class_index = sample(60)
    weight = np.random.default_rng(7).uniform(0.2, 1.8, 60)
    spread = 2.0 * np.sqrt(compute_robust_covariance(known[:, :1], weight)[0, 0])
    sizes = spread * np.where(class_index == 1, 1 - signal, signal), spread * signal * (1 - signal)
    units = np.arange(60) // 2
    for of_units in (None, units):
        found = sensitivity_of(60, weight, of_units)
        for interval, size in zip((found.loss_interval, found.scores_interval[1]), sizes, strict=True):
            mean = np.average(size, weights=weight)
            error = compute_half_widths((weight * (size - mean) / weight.sum())[:, None], of_units)[0]
            assert interval == pytest.approx((mean * np.exp(-error / mean), mean * np.exp(error / mean)))


@pytest.mark.parametrize(("events", "copies", "known"), [(25, 1, True), (24, 1, False), (24, 2, False)])
def test_an_interval_needs_25_effective_events(events: int, copies: int, known: bool) -> None:
    units = np.arange(events * copies) // copies
    found = sensitivity_of(events * copies, np.ones(events * copies), units)
    assert (found.loss_interval is not None) == (found.scores_interval[0] is not None) == known


def test_missing_values_count_by_the_size_of_their_weights() -> None:
    known, signal, class_index = sample(1000)
    features = known.copy()
    features[::2, 2] = np.nan
    of_values = sensitivity(signal)
    indicators = np.zeros_like(of_values.values)
    indicators[:, :, 2] = 1.0
    weight = np.where(np.arange(1000) % 2 == 0, 1.0, 4.0)
    found = compute_gradient_sensitivity(
        Sensitivity(of_values.scores, of_values.values, indicators), features, class_index, weight, [[2]]
    )[0]
    assert found.loss == pytest.approx(np.sqrt(0.2 * 0.8), rel=1e-9)


def test_a_deviation_counts_events_by_their_weights() -> None:
    values = np.where(np.arange(1000) < 50, 2.0, 0.0)
    weight = np.where(np.arange(1000) < 50, 1.9, 1.0)
    assert compute_robust_covariance(values[:, None], weight)[0, 0] == pytest.approx(4 * 95 / 1045)


def test_equal_values_share_their_ranks() -> None:
    rng = np.random.default_rng(8)
    first = rng.exponential(2, 500).astype(int)
    values = np.stack([first, (first + rng.integers(0, 4, 500)) ** 2], axis=1).astype(float)
    found = compute_robust_covariance(values, np.ones(500))
    expected = stats.spearmanr(*values.T).statistic
    assert found[0, 1] / np.sqrt(found[0, 0] * found[1, 1]) == pytest.approx(expected, rel=1e-9)


def test_a_common_factor_of_the_weights_changes_no_covariance() -> None:
    # half of the events have just half of the weight, which rounding of sums of 0.7 must not move
    values = np.stack([np.r_[np.arange(10.0), np.nan], np.random.default_rng(9).normal(size=11)], axis=1)
    found = compute_robust_covariance(values, np.full(11, 0.7))
    np.testing.assert_allclose(found, compute_robust_covariance(values, np.ones(11)), rtol=1e-12)
