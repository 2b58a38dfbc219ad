"""Intervals of working points against exact ones: of a Poisson mean, and of a quantile by order statistics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from tamis.statistics.efficiency_interval import compute_efficiency_interval, cumulate_weights
from tamis.statistics.intervals import COVERAGE

EDGES = np.array([(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])


def sample(seed: int, signal: int = 60, background: int = 200, *, negative: float = 0.0):
    rng = np.random.default_rng(seed)
    is_signal = rng.permutation(np.repeat([True, False], [signal, background]))
    score = rng.normal(1.5 * is_signal)
    weight = rng.lognormal(0, 0.5, len(score)) * np.where(rng.random(len(score)) < negative, -1, 1)
    return score, is_signal, weight


@pytest.mark.parametrize("passing", [1, 3, 10, 40])
def test_with_a_known_cut_the_interval_is_that_of_a_poisson_mean(passing: int) -> None:
    """The cut lies halfway between two background events: as many pass as in the exact interval of k + 1/2."""
    background = 100_000
    signal = np.linspace(0, 1, 200_001)
    # the true cut is at 0.5; the background around it has gaps that are wide beside the uncertainty of the cut
    above = 0.5 + 0.4 * (np.arange(passing) + 0.5) / passing
    below = np.linspace(0.499 - 0.4 / passing, 0.0, background - passing)
    score = np.concatenate([signal, above, below])
    is_signal = np.arange(len(score)) < len(signal)
    found = compute_efficiency_interval(*cumulate_weights(score, is_signal, np.ones(len(score))), 0.5)
    middle = cumulate_weights(score, is_signal, np.ones(len(score)))[1].at(
        np.array([0.5 * len(signal) + passing])
    )[0, 0]
    assert middle == pytest.approx(passing, abs=0.51)
    expected = special.gammaincinv(middle + 0.5, EDGES) / background
    np.testing.assert_allclose(found, expected, rtol=0.03)


@pytest.mark.parametrize("target", [0.5, 0.9])
@pytest.mark.parametrize("signal", [25, 100])
def test_with_a_known_background_the_interval_is_that_of_a_quantile(signal: int, target: float) -> None:
    """The true signal efficiency above the i-th of n scores has a beta distribution; the line joins the background."""
    places = (np.arange(signal) + 0.5) / signal
    # log-odds of the background fall along a line with those of the signal
    log_odds = special.logit(1 - (np.arange(400_000) + 0.5) / 400_000)
    score = np.concatenate([-special.logit(places), log_odds - 2])
    is_signal = np.arange(len(score)) < signal
    found = compute_efficiency_interval(*cumulate_weights(score, is_signal, np.ones(len(score))), target)
    position = [
        optimize.brentq(lambda i, edge=edge: stats.beta.sf(target, i, signal + 1 - i) - edge, 0.1, signal)
        for edge in EDGES
    ]
    expected = special.expit(special.logit((np.array(position) - 0.5) / signal) - 2)
    width = expected[1] - expected[0]
    np.testing.assert_allclose(found, expected, atol=0.06 * width)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.15]), st.sampled_from([0.3, 0.5, 0.8]))
def test_the_interval_depends_on_the_order_of_the_scores_alone(
    seed: int, negative: float, target: float
) -> None:
    score, is_signal, weight = sample(seed, negative=negative)
    expected = compute_efficiency_interval(*cumulate_weights(score, is_signal, weight), target)
    shuffled = np.random.default_rng(seed).permutation(len(score))
    for other in (
        (np.exp(score), is_signal, weight),
        (score, is_signal, 7.0 * weight),
        (score, is_signal, np.where(is_signal, 1.0, 3.0) * weight),
        (score[shuffled], is_signal[shuffled], weight[shuffled]),
    ):
        found = compute_efficiency_interval(*cumulate_weights(*other), target)
        assert (found is None) == (expected is None)
        if expected is not None:
            np.testing.assert_allclose(found, expected, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_rounded_scores_have_nearly_the_interval_of_exact_ones(seed: int) -> None:
    score, is_signal, weight = sample(seed, 300, 1000)
    exact, rounded = (
        compute_efficiency_interval(*cumulate_weights(values, is_signal, weight), 0.5)
        for values in (score, score.round(2))
    )
    width = exact[1] - exact[0]
    # at the cut, two or three events of each kind share a score
    np.testing.assert_allclose(rounded, exact, atol=0.2 * width)


@pytest.mark.parametrize(("target", "known"), [(0.9, True), (0.95, True), (0.97, False), (1.0, False)])
def test_a_cut_that_hardly_a_signal_event_fails_has_no_interval(target: float, known: bool) -> None:
    score, is_signal, _ = sample(1, 25)
    found = compute_efficiency_interval(*cumulate_weights(score, is_signal, np.ones(len(score))), target)
    assert (found is not None) == known


def test_a_background_without_positive_sum_above_the_cut_has_no_interval() -> None:
    score = np.concatenate([np.linspace(0, 1, 50), np.linspace(0, 1, 50)])
    is_signal = np.arange(100) < 50
    weight = np.where(~is_signal & (score > 0.4), -0.1, 1.0)
    assert compute_efficiency_interval(*cumulate_weights(score, is_signal, weight), 0.5) is None
    assert compute_efficiency_interval(*cumulate_weights(score, is_signal, -weight), 0.5) is None


def test_fluctuating_weights_widen_the_interval() -> None:
    score, is_signal, _ = sample(3, 400, 400)
    spread = np.random.default_rng(4).lognormal(0, 1.0, 800)
    widths = [
        np.subtract(*compute_efficiency_interval(*cumulate_weights(score, is_signal, weight), 0.5))
        for weight in (np.ones(800), spread)
    ]
    # by the root of the ratio of the effective sample sizes
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(np.exp(1.0)), rel=0.35)


def test_the_signal_efficiency_rises_with_the_cut_also_with_signed_weights() -> None:
    score, is_signal, weight = sample(5, 200, 200, negative=0.3)
    signal, _ = cumulate_weights(score, is_signal, weight)
    position = signal.find_position(np.linspace(0, 1, 50))
    assert (np.diff(position) >= 0).all()
    assert 0 <= position[0] < position[-1] <= len(score)
