from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.network.preprocessing import Scaling, fit_preprocessing

RULES = get_args(Scaling)
RNG = np.random.default_rng(1)


def fit(values: object, weight: object = None, rule: Scaling = "standard", **options: object):
    features = np.asarray(values, np.float32).reshape(-1, 1)
    return fit_preprocessing(
        features, np.ones(len(features)) if weight is None else np.asarray(weight), rule, **options
    )


def test_standard_scaling_has_mean_zero_and_deviation_one() -> None:
    features = RNG.normal([100, -5], [20, 0.1], (5000, 2)).astype(np.float32)
    inputs = fit_preprocessing(features, np.ones(5000), "standard").apply(features)
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(inputs.std(axis=0), 1, atol=1e-4)


def test_robust_scaling_uses_quartiles_and_bounds_outliers() -> None:
    features = np.array([[-1e9], [1], [2], [3], [4], [5], [6], [7], [1e9]], np.float32)
    found = fit_preprocessing(features, np.ones(9), "robust")
    assert found.centre.tolist() == [4]
    inputs = found.apply(features)[:, 0]
    assert np.abs(inputs).max() <= 3
    x = (5 - 4) / found.scale[0]
    assert inputs[5] == pytest.approx(x / np.sqrt(1 + (x / 3) ** 2))


def test_the_farthest_outlier_stays_at_the_end_of_the_clip() -> None:
    found = fit(np.linspace(-1, 1, 101), None, "robust")
    inputs = found.apply(np.array([[1e10], [1e20], [3e38], [-3e38]], np.float32))[:, 0]
    np.testing.assert_allclose(inputs, [3, 3, 3, -3], rtol=1e-5)


def test_a_small_spread_far_from_zero_is_scaled() -> None:
    values = np.float32(1e6) + np.arange(-2, 3, dtype=np.float32)
    np.testing.assert_allclose(fit(values).apply(values.reshape(-1, 1)).std(), 1, rtol=0.02)


def test_none_leaves_values_alone() -> None:
    assert fit([3, 5], rule="none").apply(np.array([[7.0]], np.float32)).tolist() == [[7]]


@pytest.mark.parametrize("rule", RULES)
@given(
    rows=st.lists(
        st.tuples(st.floats(-100, 100, width=32), st.integers(0, 3)), min_size=1, max_size=15
    ).filter(lambda rows: any(weight for _, weight in rows))
)
def test_a_weight_counts_as_rows(rule: Scaling, rows: list[tuple[float, int]]) -> None:
    values, weights = zip(*rows, strict=True)
    weighted = fit(values, weights, rule)
    repeated = fit(np.repeat(values, weights), None, rule)
    for name in ("fill", "centre", "scale"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_only_the_size_of_a_weight_counts_and_no_common_factor(rule: Scaling) -> None:
    values, weight = RNG.normal(size=50), RNG.uniform(0.1, 2, 50)
    sign = np.where(RNG.random(50) < 0.3, -1, 1)
    first, second = fit(values, weight, rule), fit(values, 1e6 * weight * sign, rule)
    np.testing.assert_allclose(first.scale, second.scale, rtol=1e-6)
    np.testing.assert_allclose(first.centre, second.centre, rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_missing_values_become_the_median_and_are_told(rule: Scaling) -> None:
    values = np.array([1, 2, np.nan, 3, 10, np.nan], np.float32)
    found = fit(values, None, rule, missing_allowed=[True])
    assert found.fill.tolist() == [2.5]
    assert found.indicators == (0,)
    inputs = found.apply(values.reshape(-1, 1))
    assert inputs[:, 1].tolist() == [0, 0, 1, 0, 0, 1]
    assert inputs[2, 0] == found.apply(np.array([[2.5]], np.float32))[0, 0]
    assert np.isfinite(inputs).all()


def test_missing_values_do_not_enter_the_scaling() -> None:
    with_missing = fit([1, 2, np.nan, 3], missing_allowed=[True])
    without = fit([1, 2, 3])
    assert (with_missing.centre, with_missing.scale) == (without.centre, without.scale)


def test_no_indicator_where_nothing_is_missing_in_training() -> None:
    assert fit([1, 2, 3], missing_allowed=[True]).indicators == ()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [0.0, 1.0, -7.5e8])
def test_a_constant_feature_gives_a_constant_finite_input(rule: Scaling, value: float) -> None:
    inputs = fit([value] * 4, None, rule).apply(np.full((2, 1), value, np.float32))
    assert np.isfinite(inputs).all()
    assert len(set(inputs.ravel().tolist())) == 1


def test_a_feature_that_is_never_there_is_harmless() -> None:
    found = fit([np.nan, np.nan], missing_allowed=[True])
    assert found.apply(np.array([[np.nan], [4]], np.float32)).tolist() == [[0, 1], [4, 0]]
