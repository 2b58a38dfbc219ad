"""Correlations against NumPy, against toys, and where they are not defined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.errors import TamisError
from tamis.statistics.correlations import _ROWS_AT_ONCE, compute_correlations, find_largest_differences


def gaussians(events: int, seed: int = 1, correlation: float = 0.6) -> np.ndarray:
    """Three columns: the first two correlated, the third on its own, all far from zero and of other sizes."""
    x = np.random.default_rng(seed).normal(size=(events, 3))
    x[:, 1] = correlation * x[:, 0] + np.sqrt(1 - correlation**2) * x[:, 1]
    return x * [1.0, 50.0, 1e-4] + [3.0, 1000.0, 0.0]


def weighted(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    apart = x - weight @ x / weight.sum()
    covariance = (apart * weight[:, None]).T @ apart
    deviation = np.sqrt(np.diag(covariance))
    return covariance / np.outer(deviation, deviation)


@pytest.mark.parametrize("events", [5, 1000, 2 * _ROWS_AT_ONCE + 77])
def test_numpy_finds_the_same(events: int) -> None:
    x = gaussians(events)
    np.testing.assert_allclose(compute_correlations(x, np.ones(events)).matrix, np.corrcoef(x.T), atol=1e-12)


@given(st.integers(0, 10**6))
def test_signed_weights_follow_the_definition(seed: int) -> None:
    x = gaussians(400, seed)
    weight = np.random.default_rng(seed).normal(1.0, 0.8, 400)
    np.testing.assert_allclose(compute_correlations(x, weight).matrix, weighted(x, weight), atol=1e-11)


def test_each_pair_uses_the_events_that_have_both() -> None:
    x = gaussians(900)
    rng = np.random.default_rng(2)
    # values are missing where others are large: the means of the pairs differ much
    x[x[:, 0] > 3.5, 1] = np.nan
    x[rng.random(900) < 0.3, 2] = np.nan
    weight = rng.normal(1.0, 0.5, 900)
    found = compute_correlations(x, weight)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        both = np.isfinite(x[:, i]) & np.isfinite(x[:, j])
        alone = compute_correlations(x[both][:, [i, j]], weight[both])
        assert found.matrix[i, j] == pytest.approx(
            weighted(x[both][:, [i, j]], weight[both])[0, 1], abs=1e-12
        )
        assert found.error[i, j] == pytest.approx(alone.error[0, 1], rel=1e-9)
    np.testing.assert_array_equal(np.diag(found.matrix), 1.0)
    np.testing.assert_array_equal(np.diag(found.error), 0.0)


def test_weights_count_rows() -> None:
    x, rng = gaussians(300), np.random.default_rng(3)
    times = rng.integers(0, 4, 300)
    repeated = np.repeat(x, times, axis=0)
    np.testing.assert_allclose(
        compute_correlations(x, times.astype(float)).matrix,
        compute_correlations(repeated, np.ones(len(repeated))).matrix,
        atol=1e-12,
    )
    weight = rng.normal(1, 1, 300)
    base, scaled = compute_correlations(x, weight), compute_correlations(x, 1e-5 * weight)
    np.testing.assert_allclose(scaled.matrix, base.matrix, atol=1e-12)
    np.testing.assert_allclose(scaled.error, base.error, rtol=1e-9)
    # an event and its negative twin cancel
    twins = compute_correlations(
        np.concatenate([x, x[:50], x[:50]]), np.concatenate([weight, np.ones(50), -np.ones(50)])
    )
    np.testing.assert_allclose(twins.matrix, base.matrix, atol=1e-12)


def test_rows_choose_events() -> None:
    x, rows = gaussians(500), np.arange(3, 500, 7)
    weight = np.linspace(0.5, 2, 500)
    chosen, alone = compute_correlations(x, weight, rows), compute_correlations(x[rows], weight[rows])
    np.testing.assert_array_equal(chosen.matrix, alone.matrix)
    np.testing.assert_array_equal(chosen.error, alone.error)


@pytest.mark.parametrize("correlation", [0.0, 0.6, -0.95])
def test_the_error_of_gaussian_features_is_the_textbooks(correlation: float) -> None:
    found = compute_correlations(gaussians(200_000, correlation=correlation), np.ones(200_000))
    assert found.error[0, 1] == pytest.approx((1 - correlation**2) / np.sqrt(200_000), rel=0.02)


def test_the_error_is_the_spread_of_toys_with_weights_of_both_signs(rates: Any) -> None:
    found, toys = [], rates.toys(600)
    for seed in range(toys):
        x, rng = gaussians(400, seed), np.random.default_rng((seed, 1))
        x[:, 0] = np.exp((x[:, 0] - 3) / 2)
        found.append(
            compute_correlations(x, np.where(rng.random(400) < 0.15, -1.0, rng.exponential(1.0, 400) + 0.5))
        )
    values = np.array([each.matrix[0, 1] for each in found])
    pull = (values - values.mean()) / np.array([each.error[0, 1] for each in found])
    # the linearisation is good to some per cent for 150 effective events
    rates.check(np.sum(np.abs(pull) < 1), toys, 0.683, finds=(0.54, 0.82), what="correlation")


@pytest.mark.parametrize(
    ("change", "defined"),
    [
        (lambda x, w: (x * [1, 0, 1] + [0, 1e6, 0], w), (0, 2)),
        (lambda x, w: (np.where([False, True, False], np.nan, x), w), (0, 2)),
        (lambda x, w: (x, w - 1.0), None),
        (lambda x, w: (x, -w), None),
        (lambda x, w: (x[:2], w[:2]), None),
        (lambda x, w: (x[:0], w[:0]), None),
    ],
)
def test_what_is_not_defined_is_none(change, defined) -> None:
    x, weight = change(gaussians(100), np.ones(100))
    found = compute_correlations(x, weight)
    there = {(i, j) for i, j in zip(*np.nonzero(np.isfinite(found.matrix)), strict=True) if i < j}
    assert there == (set() if defined is None else {defined})
    assert np.isnan(found.matrix[0, 1])
    np.testing.assert_array_equal(np.isfinite(found.matrix), np.isfinite(found.error))


def test_features_far_from_zero_keep_their_digits() -> None:
    x = (gaussians(5000) * [1, 0.02, 1e4] + [9e6, 1e5, 0]).astype(np.float32)
    found = compute_correlations(x, np.ones(5000))
    np.testing.assert_allclose(found.matrix, np.corrcoef(x.astype(np.float64).T), atol=1e-9)


def test_the_pair_that_differs_most_is_found() -> None:
    found = {
        "first": compute_correlations(gaussians(4000, 1, 0.1), np.ones(4000)),
        "second": compute_correlations(gaussians(4000, 2, 0.5), np.ones(4000)),
        "third": compute_correlations(gaussians(4000, 3, 0.15), np.ones(4000)),
    }
    best, second, *rest = find_largest_differences(found, ["a", "b", "c"])
    assert best.features == second.features == ("a", "b")
    assert best.classes == ("first", "second")
    assert abs(best.difference + 0.4) < 4 * best.error
    assert second.classes == ("second", "third")
    assert len(rest) == 7
    assert all(abs(each.difference) < 5 * each.error for each in rest)
    assert len(find_largest_differences(found, ["a", "b", "c"], number=2)) == 2


def test_one_class_or_one_feature_has_no_differences() -> None:
    found = compute_correlations(gaussians(50), np.ones(50))
    assert find_largest_differences({"only": found}, ["a", "b", "c"]) == ()
    alone = compute_correlations(gaussians(50)[:, :1], np.ones(50))
    assert find_largest_differences({"one": alone, "two": alone}, ["a"]) == ()


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TamisError):
        compute_correlations(np.zeros((5, 2)), np.ones(4))
    with pytest.raises(TamisError):
        compute_correlations(np.zeros(5), np.ones(5))
