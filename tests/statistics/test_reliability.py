"""Calibration against exact posteriors: reliability, scalings that undo a known distortion, other mixtures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.calibration import calibration_curve

from shared.posteriors import EQUAL, gaussians, posterior
from tamis.errors import RequestError, TamisError
from tamis.statistics.reliability import compute_reliability
from tamis.statistics.scaling import (
    compute_temperature_error,
    convert_class_weights,
    fit_temperature,
    fit_vector_scaling,
)


def test_exact_posteriors_are_calibrated_and_distorted_ones_are_not() -> None:
    class_index, log_density = gaussians(20_000, EQUAL)
    exact = posterior(log_density, EQUAL)
    good = compute_reliability(exact[:, 1], class_index == 1, np.ones(20_000))
    assert good.p_value > 0.01
    assert good.error == pytest.approx(
        good.error_by_chance, rel=0.6
    )  # one sample; the next test has the number
    sharp = special.softmax(2 * np.log(exact), axis=1)
    bad = compute_reliability(sharp[:, 1], class_index == 1, np.ones(20_000))
    assert bad.p_value == 0.001
    assert bad.error > 5 * bad.error_by_chance


def test_the_error_by_chance_is_the_mean_size_of_normal_numbers() -> None:
    # unit weights: the deviation of a bin is that of independent throws, and the mean of |normal| is sqrt(2 / pi)
    class_index, log_density = gaussians(1200, EQUAL)
    score = posterior(log_density, EQUAL)[:, 0]
    found = compute_reliability(score, class_index == 0, np.ones(1200), bins=6)
    rising = np.sort(score).reshape(6, 200)
    deviations = np.sqrt((rising * (1 - rising)).sum(axis=1)) / 200
    assert [each.error for each in found.bins] == pytest.approx(deviations.tolist(), rel=1e-9)
    assert found.error_by_chance == pytest.approx(deviations.mean() * np.sqrt(2 / np.pi), rel=1e-9)
    # the mean over toys is what it says: 3000 deviations know it to 1.4%
    toys = []
    for seed in range(500):
        rng = np.random.default_rng((seed, 3))
        each = compute_reliability(score, rng.random(1200) < score, np.ones(1200), bins=6)
        toys.append(each.error / each.error_by_chance)
    assert np.mean(toys) == pytest.approx(1.0, abs=5 * 0.0138)


def test_the_error_is_the_mean_distance_by_shares() -> None:
    # distances of 0.1, with three quarters of the weight, and 0.3
    score = np.repeat([0.4, 0.6], 10)
    is_class = np.r_[np.arange(10) < 5, np.arange(10) < 9]
    found = compute_reliability(score, is_class, np.repeat([3.0, 1.0], 10), bins=2)
    assert found.error == pytest.approx(0.75 * 0.1 + 0.25 * 0.3)


def test_the_error_of_a_bin_takes_each_class_with_its_own_weights() -> None:
    # weights of 4 in the class and of 1 in the rest, and a score of 0.2
    is_class = np.arange(60) < 12
    weight = np.where(is_class, 4.0, 1.0)
    found = compute_reliability(np.full(60, 0.2), is_class, weight, bins=1).bins[0]
    # with a score of 0.2 in the weights, 1 of 17 events belongs to the class, whose weights are 4 times as large
    of_event = 1 / 17 * (4 * 0.8) ** 2 + 16 / 17 * 0.2**2
    assert found.error == pytest.approx(np.sqrt(60 * of_event) / (12 * 4 + 48))


@pytest.mark.parametrize(("events", "p_value"), [(20, special.chdtrc(1, 5)), (18, 1.0)])
def test_a_bin_counts_from_ten_promised_events_of_each_side(events: int, p_value: float) -> None:
    # 3 of 4 belong to the class, half is promised: with 20 events a deviation of 0.25 with an error of 0.1118
    is_class = np.arange(events) < 0.75 * events
    found = compute_reliability(np.full(events, 0.5), is_class, np.ones(events), bins=1)
    assert found.bins[0].expected_sample_size == events / 2
    # 999 simulations know a p-value of 2.5% to a half percent
    assert found.p_value == pytest.approx(p_value, abs=0.02)


def test_a_bin_with_too_few_events_of_the_class_is_not_tested() -> None:
    # 3 events of the class where 0.1 are promised: seven deviations of a normal distribution, and no rarity
    score = np.repeat([0.001, 0.5], [100, 1000])
    is_class = np.r_[np.arange(100) < 3, np.arange(1000) < 500]
    found = compute_reliability(score, is_class, np.ones(1100), bins=11)
    rare, common = found.bins
    assert (rare.fraction - rare.score) / rare.error > 7
    assert common.fraction == common.score
    assert found.p_value == 1.0


@pytest.mark.parametrize("weights", ["unit", "varying", "spread", "signed"])
def test_p_values_of_exact_posteriors_are_uniform(weights: str, rates: Any) -> None:
    """Weights of one size, log-normal with sigma 0.5 and 1.3, and 30% of them negative."""
    found, toys = [], rates.toys(400)
    for seed in range(toys):
        rng = np.random.default_rng((seed, 1))
        class_index, log_density = gaussians(1500, EQUAL, seed)
        sigma = {"varying": 0.5, "spread": 1.3}.get(weights, 0.0)
        weight = rng.lognormal(0, sigma, 1500)
        if weights == "signed":
            weight *= np.where(rng.random(1500) < 0.3, -1, 1)
        score = posterior(log_density, EQUAL)[:, 0]
        p_value = compute_reliability(score, class_index == 0, weight, bins=8, generator=rng).p_value
        found.append(p_value)
    fired, above = (int(np.sum(each)) for each in (np.array(found) <= 0.05, np.array(found) > 0.5))
    rates.check(fired, toys, 0.05, finds=(0.0, 0.16), what="p up to 0.05 for exact scores")
    rates.check(above, toys, 0.5, finds=(0.32, 0.68), what="p above 0.5 for exact scores")


def test_bars_cover(rates: Any) -> None:
    pulls, toys = [], rates.toys(200)
    for seed in range(toys):
        class_index, log_density = gaussians(1000, EQUAL, seed)
        found = compute_reliability(
            posterior(log_density, EQUAL)[:, 2], class_index == 2, np.ones(1000), bins=5
        )
        pulls += [(each.fraction - each.score) / each.error for each in found.bins]
    inside = np.sum(np.abs(pulls) < 1)
    rates.check(inside, 5 * toys, 0.683, finds=(0.57, 0.79), what="bars of the reliability")


def test_bins_are_those_of_scikit_learn() -> None:
    class_index, log_density = gaussians(1000, EQUAL)
    score = posterior(log_density, EQUAL)[:, 0]
    found = compute_reliability(score, class_index == 0, np.ones(1000), bins=10)
    fraction, mean = calibration_curve(class_index == 0, score, n_bins=10, strategy="quantile")
    np.testing.assert_allclose([each.fraction for each in found.bins], fraction, atol=0.02)
    np.testing.assert_allclose([each.score for each in found.bins], mean, atol=0.01)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 30), st.integers(1, 20))
def test_every_event_is_in_one_bin(seed: int, number: int, values: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, values, number) / values
    weight = rng.uniform(0.1, 1, number)
    found = compute_reliability(score, rng.random(number) < score, weight, bins=bins)
    assert sum(each.share for each in found.bins) == pytest.approx(1)
    assert all(a.high < b.low for a, b in zip(found.bins[:-1], found.bins[1:], strict=True))
    assert sum(each.share * each.score for each in found.bins) == pytest.approx(
        np.average(score, weights=weight)
    )


def loss(scores: np.ndarray, class_index: np.ndarray) -> float:
    return float(-np.log(scores[np.arange(len(scores)), class_index]).mean())


def test_temperature_scaling_undoes_a_temperature() -> None:
    class_index, log_density = gaussians(50_000, EQUAL)
    exact = posterior(log_density, EQUAL)
    distorted = special.softmax(2.5 * np.log(exact), axis=1)
    scaling = fit_temperature(distorted, class_index, np.ones(50_000))
    assert scaling.scale[0] == pytest.approx(0.4, rel=0.02)
    np.testing.assert_allclose(scaling(distorted), exact, atol=0.01)


@pytest.mark.parametrize("weights", ["unit", "signed"])
def test_the_error_of_a_temperature_covers_it(weights: str, rates: Any) -> None:
    """Toys of 1000 events whose scores have a temperature of 1.5."""
    covered, toys = 0, rates.toys(400)
    for toy in range(toys):
        class_index, log_density = gaussians(1000, (0.5, 0.3, 0.2), seed=toy)
        log_posterior = log_density + np.log((0.5, 0.3, 0.2))
        signs = np.random.default_rng((toy, 1)).random(1000) < 0.15
        weight = np.where(signs, -1.0, 1.0) if weights == "signed" else np.ones(1000)
        scores = special.softmax(1.5 * log_posterior, axis=1)
        scaling = fit_temperature(scores, class_index, weight)
        error = compute_temperature_error(scaling, scores, class_index, weight)
        covered += abs(1 / scaling.scale[0] - 1.5) <= error
    rates.check(covered, toys, 0.683, finds=(0.50, 0.84), what="temperature")


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_error_of_a_temperature_is_that_of_the_jackknife(scale: float) -> None:
    class_index, log_density = gaussians(300, EQUAL, seed=4)
    weight = np.random.default_rng(4).uniform(0.5, 2.0, 300)
    scores = special.softmax(scale * log_density, axis=1)

    def temperature(rows: np.ndarray) -> float:
        return 1 / fit_temperature(scores[rows], class_index[rows], weight[rows]).scale[0]

    without = [temperature(np.arange(300) != event) for event in range(300)]
    jackknife = np.sqrt(np.square(np.array(without) - np.mean(without)).sum())
    found = compute_temperature_error(
        fit_temperature(scores, class_index, weight), scores, class_index, weight
    )
    # both are right to first order in one over 300 events
    assert found == pytest.approx(jackknife, rel=0.03)


def test_vector_scaling_undoes_scales_and_offsets() -> None:
    class_index, log_density = gaussians(100_000, EQUAL)
    exact = posterior(log_density, EQUAL)
    distorted = special.softmax(1.5 * np.log(exact) + [0.5, -0.3, 0.0], axis=1)
    scaling = fit_vector_scaling(distorted, class_index, np.ones(100_000))
    corrected = scaling(distorted)
    assert loss(corrected, class_index) <= loss(distorted, class_index) - 0.02
    np.testing.assert_allclose(scaling.scale, 1 / 1.5, rtol=0.03)
    np.testing.assert_allclose(corrected, exact, atol=0.015)
    assert sum(scaling.offset) == pytest.approx(0)


def test_a_calibrated_score_stays_as_it_is() -> None:
    class_index, log_density = gaussians(50_000, EQUAL)
    exact = posterior(log_density, EQUAL)
    for fit in (fit_temperature, fit_vector_scaling):
        np.testing.assert_allclose(fit(exact, class_index, np.ones(50_000))(exact), exact, atol=0.015)


def test_weight_two_is_a_doubled_event() -> None:
    class_index, log_density = gaussians(500, EQUAL)
    exact = posterior(log_density, EQUAL)
    weight = np.random.default_rng(3).integers(1, 4, 500)
    repeated = np.repeat(np.arange(500), weight)
    for fit in (fit_temperature, fit_vector_scaling):
        first = fit(exact, class_index, weight.astype(float))
        second = fit(exact[repeated], class_index[repeated], np.ones(len(repeated)))
        np.testing.assert_allclose(first.scale, second.scale, rtol=1e-3)
        np.testing.assert_allclose(first.offset, second.offset, atol=1e-3)


def test_another_mixture_gives_its_true_posterior() -> None:
    shares = (0.9, 0.08, 0.02)
    class_index, log_density = gaussians(50_000, shares)
    learned = posterior(log_density, EQUAL)
    shifted = convert_class_weights(learned, EQUAL, np.multiply(shares, 1234.5))
    np.testing.assert_allclose(shifted, posterior(log_density, shares), atol=1e-12)
    assert compute_reliability(shifted[:, 2], class_index == 2, np.ones(50_000)).p_value > 0.01
    assert compute_reliability(learned[:, 2], class_index == 2, np.ones(50_000)).p_value == 0.001
    np.testing.assert_allclose(convert_class_weights(shifted, shares, EQUAL), learned, atol=1e-12)


@pytest.mark.parametrize("wanted", [[1.0, 0.0], [1.0, -1.0], [1.0], [1.0, 1.0, 1.0]])
def test_a_mixture_without_a_class_is_refused(wanted: list[float]) -> None:
    with pytest.raises(RequestError):
        convert_class_weights([[0.5, 0.5]], [1.0, 1.0], wanted)


@pytest.mark.parametrize("fit", [fit_temperature, fit_vector_scaling])
def test_weights_without_a_positive_sum_are_refused(fit) -> None:
    with pytest.raises(TamisError):
        fit([[0.5, 0.5], [0.4, 0.6]], [0, 1], [1.0, -1.0])
    with pytest.raises(TamisError):
        compute_reliability([0.5, 0.5], [0, 1], [1.0, -1.0])


@pytest.mark.parametrize("signal_share", [0.5, 0.04])
def test_classes_of_other_sizes_and_weights_do_not_look_uncalibrated(signal_share: float, rates: Any) -> None:
    p_values, toys = [], rates.toys(200)
    for seed in range(toys):
        rng = np.random.default_rng((seed, 2))
        is_class = rng.random(6000) < signal_share
        x = rng.normal(np.where(is_class, 1.0, 0.0))
        # balanced: each class has the same sum of weights, one of them with negative weights
        weight = np.where(is_class, 0.5 / signal_share, 0.5 / (1 - signal_share))
        sign = np.where(is_class & (rng.random(6000) < 0.1), -1, 1)
        weight = weight * sign * np.where(is_class, 1 / 0.8, 1)
        p_values.append(compute_reliability(special.expit(x - 0.5), is_class, weight).p_value)
    fired, above = (int(np.sum(each)) for each in (np.array(p_values) <= 0.05, np.array(p_values) > 0.5))
    rates.check(fired, toys, (0.0, 0.1), finds=(None, 0.30), what="p up to 0.05, classes of other sizes")
    rates.check(above, toys, 0.5, finds=(0.25, 0.75), what="p above 0.5, classes of other sizes")


def test_a_simulation_that_deviates_as_much_counts() -> None:
    # 14 of 20 events where 10 are promised: single throws, of which many deviate by just as much
    found = compute_reliability(np.full(20, 0.5), np.arange(20) < 14, np.ones(20), bins=1)
    # 999 simulations know 11.5% to one per cent; those that deviate more are 4.1%
    assert found.p_value == pytest.approx(stats.binomtest(14, 20).pvalue, abs=0.04)
