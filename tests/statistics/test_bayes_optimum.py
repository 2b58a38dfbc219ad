"""The best possible classifier is what Bayes' theorem says, and no score beats it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from tamis.errors import TamisError
from tamis.statistics.bayes_optimum import compare_with_optimum, compute_posterior
from tamis.statistics.metrics import compute_metrics

laws = settings(deadline=None, max_examples=40)
densities = arrays(np.float64, (7, 3), elements=st.floats(-700, 700))
priors = arrays(np.float64, (3,), elements=st.floats(1e-6, 1e6))


def gaussian(value: NDArray[np.float64], mean: float) -> NDArray[np.float64]:
    return -0.5 * (value - mean) ** 2 - 0.5 * math.log(2 * math.pi)


@laws
@given(densities, priors)
def test_a_posterior_sums_to_one_and_no_unit_matters(
    log_density: NDArray[np.float64], prior: NDArray[np.float64]
) -> None:
    result = compute_posterior(log_density, prior)
    assert result.sum(axis=1) == pytest.approx(np.ones(7))
    assert ((result >= 0) & (result <= 1)).all()
    assert compute_posterior(log_density + 11.0, prior * 7.0) == pytest.approx(result, abs=1e-9)


def test_posterior_of_two_gaussians_is_a_sigmoid() -> None:
    value = np.linspace(-3, 3, 13)
    result = compute_posterior(np.stack([gaussian(value, 0.0), gaussian(value, 2.0)], axis=1), [0.75, 0.25])
    assert result[:, 1] == pytest.approx(1 / (1 + 3 * np.exp(-2 * value + 2)))


def test_no_scores_beat_the_optimum() -> None:
    random = np.random.default_rng(9)
    prior = np.array([0.2, 0.8])
    class_index = (random.random(100_000) < prior[1]).astype(int)
    value = random.normal(size=100_000) + 1.5 * class_index
    log_density = np.stack([gaussian(value, 0.0), gaussian(value, 1.5)], axis=1)
    weight = np.ones(100_000)
    best = compute_posterior(log_density, prior)
    assert compare_with_optimum(best, log_density, prior, class_index, weight).excess_loss == 0.0
    for power in (0.7, 1.4):
        scores = best**power / (best**power).sum(axis=1, keepdims=True)
        result = compare_with_optimum(scores, log_density, prior, class_index, weight)
        assert result.excess_loss > 0.001
        # A rising map of the best score: the order of events is still the best.
        assert result.auc_deficit == pytest.approx((0.0, 0.0), abs=1e-9)
    noisy = compute_posterior(log_density + random.normal(size=log_density.shape), prior)
    result = compare_with_optimum(noisy, log_density, prior, class_index, weight)
    assert result.excess_loss > 0.01
    assert all(gain is not None and gain > 0.01 for gain in result.auc_deficit)
    assert result.network == compute_metrics(noisy, class_index, weight)
    assert result.optimum == compute_metrics(best, class_index, weight)


def test_area_of_the_optimum_of_two_gaussians() -> None:
    random = np.random.default_rng(10)
    class_index = np.arange(100_000) % 2
    value = random.normal(size=100_000) + class_index
    log_density = np.stack([gaussian(value, 0.0), gaussian(value, 1.0)], axis=1)
    best = compute_posterior(log_density, [1.0, 1.0])
    result = compare_with_optimum(best, log_density, [1.0, 1.0], class_index, np.ones(100_000))
    assert result.optimum.auc[1] == pytest.approx(0.5 * (1 + math.erf(0.5)), abs=0.004)


def test_an_undefined_area_has_no_deficit() -> None:
    result = compare_with_optimum([[0.5, 0.5]], [[0.0, 0.0]], [1.0, 1.0], [0], [1.0])
    assert result.auc_deficit == (None, None)


def test_an_event_that_its_class_cannot_give_is_an_error() -> None:
    log_density = [[0.0, 0.0], [0.0, -np.inf], [-np.inf, 0.0]]
    with pytest.raises(TamisError):
        compare_with_optimum([[0.5, 0.5]] * 3, log_density, [1.0, 1.0], [0, 1, 0], [1.0] * 3)


@pytest.mark.parametrize(
    ("log_density", "prior", "message"),
    [
        ([[0.0, 0.0]], [1.0], "expected 2 positive numbers"),
        ([[0.0, 0.0]], [1.0, 0.0], "expected 2 positive numbers"),
        ([[0.0, np.inf]], [1.0, 1.0], "infinite densities"),
        ([[-np.inf, -np.inf]], [1.0, 1.0], "1 events cannot come from any class"),
        ([[np.nan, 0.0]], [1.0, 1.0], "NaN in 1 of 1 events"),
    ],
)
def test_impossible_densities_are_refused(
    log_density: list[list[float]], prior: list[float], message: str
) -> None:
    with pytest.raises(TamisError, match=message):
        compute_posterior(log_density, prior)
