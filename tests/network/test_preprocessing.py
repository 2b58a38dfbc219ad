from __future__ import annotations

from statistics import NormalDist
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.network.preprocessing import KNOTS, Preprocessing, Quantiles, Scaling, fit_preprocessing

RULES = get_args(Scaling)
RNG = np.random.default_rng(1)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
EACH = pytest.mark.parametrize("rule", RULES)
WITH_LOGARITHM = pytest.mark.parametrize("logarithm", [False, True], ids=["", "log"])


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


@EACH
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
    if weighted.quantiles is not None and repeated.quantiles is not None:
        np.testing.assert_array_equal(weighted.quantiles.knots, repeated.quantiles.knots)
        np.testing.assert_allclose(weighted.quantiles.values, repeated.quantiles.values, atol=1e-5)


@EACH
def test_only_the_size_of_a_weight_counts_and_no_common_factor(rule: Scaling) -> None:
    values, weight = RNG.normal(size=50), RNG.uniform(0.1, 2, 50)
    sign = np.where(RNG.random(50) < 0.3, -1, 1)
    first, second = fit(values, weight, rule), fit(values, 1e6 * weight * sign, rule)
    np.testing.assert_allclose(first.scale, second.scale, rtol=1e-6)
    np.testing.assert_allclose(first.centre, second.centre, rtol=1e-6)


@EACH
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


@EACH
@pytest.mark.parametrize("value", [0.0, 1.0, -7.5e8])
def test_a_constant_feature_gives_a_constant_finite_input(rule: Scaling, value: float) -> None:
    inputs = fit([value] * 4, None, rule).apply(np.full((2, 1), value, np.float32))
    assert np.isfinite(inputs).all()
    assert len(set(inputs.ravel().tolist())) == 1


def test_a_feature_that_is_never_there_is_harmless() -> None:
    found = fit([np.nan, np.nan], missing_allowed=[True])
    assert found.apply(np.array([[np.nan], [4]], np.float32)).tolist() == [[0, 1], [4, 0]]


@EACH
@WITH_LOGARITHM
@given(values=st.lists(FINITE, min_size=1, max_size=30), others=st.lists(FINITE, min_size=2, max_size=30))
def test_the_order_stays_and_finite_stays_finite(
    rule: Scaling, logarithm: bool, values: list[float], others: list[float]
) -> None:
    found = fit(values, None, rule, logarithm=[logarithm])
    given = np.sort(np.array([*values, *others, 1e38, -1e38], np.float32))
    # neighbours show where rounding turns the order
    given = np.sort(np.concatenate([given, np.nextafter(given, np.float32(0))]))
    inputs = found.apply(given[:, None])[:, 0]
    assert np.isfinite(inputs).all()
    # the smooth clip of `robust` is right to the last bit or two only
    assert np.diff(inputs).min() >= (-1e-6 if rule == "robust" else 0)


@EACH
@WITH_LOGARITHM
def test_each_event_is_handled_alone(rule: Scaling, logarithm: bool) -> None:
    features = RNG.lognormal(size=(40_000, 3)).astype(np.float32)
    features[::7, 1] = np.nan
    found = fit_preprocessing(
        features[:3000], np.ones(3000), rule, missing_allowed=[False, True, False], logarithm=[logarithm] * 3
    )
    whole = found.apply(features)
    for rows in (slice(0, 1), slice(5, 12), slice(16_380, 16_390), slice(100, 20_000), slice(39_999, None)):
        assert found.apply(features[rows]).tobytes() == whole[rows].tobytes()
        assert found.apply(np.asfortranarray(features[rows])).tobytes() == whole[rows].tobytes()
    assert found.apply(features[:0]).shape == (0, 4)


# quantile


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(100, 20, 20_000),
        RNG.exponential(size=20_000),
        RNG.pareto(1, 20_000),
        RNG.uniform(-1, 1, 20_000),
        np.concatenate([RNG.normal(-5, 0.01, 10_000), RNG.normal(5, 2, 10_000)]),
        RNG.normal(size=300),
    ],
    ids=["normal", "exponential", "pareto", "uniform", "two peaks", "few"],
)
def test_quantiles_make_the_training_sample_normal(values: np.ndarray) -> None:
    inputs = fit(values, None, "quantile").apply(values.astype(np.float32)[:, None])[:, 0].astype(np.float64)
    assert inputs.mean() == pytest.approx(0, abs=0.01)
    assert inputs.std() == pytest.approx(1, abs=0.01)
    for place in (-2, -1, 0, 1, 2):
        assert (inputs < place).mean() == pytest.approx(NormalDist().cdf(place), abs=0.005)


def test_quantiles_of_few_values_are_known() -> None:
    found = fit([1, 2, 2, 2, 10], None, "quantile")
    # the middles of their weight: 0.1, 0.5 and 0.9
    expected = [-1.2815516, 0, 1.2815516]
    inputs = found.apply(np.array([[1], [2], [10], [6], [0], [99]], np.float32))[:, 0]
    np.testing.assert_allclose(inputs, [*expected, expected[2] / 2, expected[0], expected[2]], atol=1e-6)


def test_quantiles_of_weighted_events_are_those_of_the_weighted_sample() -> None:
    values = RNG.uniform(size=50_000)
    inputs = fit(values, values, "quantile").apply(np.array([[0.5], [0.1**0.5]], np.float32))[:, 0]
    # the weight makes the density 2 x, and the distribution function x squared
    np.testing.assert_allclose(inputs, [NormalDist().inv_cdf(0.25), NormalDist().inv_cdf(0.1)], atol=0.02)


def test_a_tie_becomes_the_middle_of_its_weight() -> None:
    values = np.where(RNG.random(50_000) < 0.4, 0, RNG.exponential(size=50_000)).astype(np.float32)
    inputs = fit(values, None, "quantile").apply(values[:, None])[:, 0]
    share = (values == 0).mean()
    np.testing.assert_allclose(inputs[values == 0], NormalDist().inv_cdf(share / 2), atol=1e-5)
    above = inputs[values > 0]
    assert (above < 0).mean() == pytest.approx((0.5 - share) / (1 - share), abs=0.01)


def test_knots_are_few_and_the_first_and_last_are_the_ends_of_the_sample() -> None:
    features = np.stack([RNG.normal(size=5000), RNG.integers(0, 5, 5000)], axis=1).astype(np.float32)
    quantiles = fit_preprocessing(features, np.ones(5000), "quantile").quantiles
    assert quantiles is not None
    assert quantiles.knots.shape == quantiles.values.shape
    assert KNOTS // 2 < quantiles.knots.shape[1] <= KNOTS
    np.testing.assert_array_equal(quantiles.knots[:, [0, -1]].T, [features.min(axis=0), features.max(axis=0)])
    assert len(np.unique(quantiles.knots[1])) == 5
    assert (np.diff(quantiles.values) >= 0).all()


@given(
    knots=st.lists(FINITE.map(lambda value: value / 4), min_size=1, max_size=20, unique=True).map(sorted),
    values=st.lists(FINITE, min_size=1, max_size=20),
)
def test_a_quantile_is_the_formula_in_32_bits(knots: list[float], values: list[float]) -> None:
    k = np.array(knots, np.float32)
    k = k[np.concatenate([[True], np.diff(k) > 0])]
    v = np.arange(len(k), dtype=np.float32) / 3
    found = np.array(values, np.float32)[:, None]
    Quantiles(np.pad(k, (0, 3), "edge")[None], np.pad(v, (0, 3), "edge")[None]).apply(found)
    for x, y in zip(np.array(values, np.float32), found[:, 0], strict=True):
        x = min(max(x, k[0]), k[-1])
        i = int((x >= k).sum()) - 1
        if i == len(k) - 1:
            assert y == v[-1]
        else:
            assert y == min(v[i] + (x - k[i]) / (k[i + 1] - k[i]) * (v[i + 1] - v[i]), v[i + 1])


# logarithm


def test_the_logarithm_follows_its_formula() -> None:
    values = 20 + RNG.exponential(50, 5000)
    found = fit(values, None, "none", logarithm=[True])
    assert found.logarithm is not None
    (lowest,), (typical,) = found.logarithm.lowest, found.logarithm.typical
    assert lowest == pytest.approx(20, abs=0.2)
    assert typical == pytest.approx(50 * np.log(2), rel=0.05)
    x = np.array([lowest, 30, 100, 1e4], np.float32)
    np.testing.assert_allclose(found.apply(x[:, None])[:, 0], np.log(1 + (x - lowest) / typical), rtol=1e-6)
    below = found.apply((lowest - (x - lowest))[:, None])[:, 0]
    np.testing.assert_allclose(below, -found.apply(x[:, None])[:, 0], rtol=1e-4)


def test_the_logarithm_comes_before_the_scaling_and_only_where_it_is_asked_for() -> None:
    features = RNG.lognormal(0, 2, (5000, 2)).astype(np.float32)
    found = fit_preprocessing(features, np.ones(5000), "standard", logarithm=[False, True])
    plain = fit_preprocessing(features, np.ones(5000), "standard")
    inputs = found.apply(features)
    np.testing.assert_array_equal(inputs[:, 0], plain.apply(features)[:, 0])
    assert inputs[:, 1].mean() == pytest.approx(0, abs=1e-4)
    assert inputs[:, 1].std() == pytest.approx(1, abs=1e-4)
    assert inputs[:, 1].max() < plain.apply(features)[:, 1].max() / 5


@EACH
def test_a_selection_of_features_does_the_same_to_each(rule: Scaling) -> None:
    features = np.random.default_rng(5).lognormal(0, 1, (500, 4))
    features[:, 0] += 1e9  # 32 bits do not resolve it
    features[::5, 1] = features[::7, 3] = np.nan
    whole = fit_preprocessing(
        features, np.ones(500), rule, missing_allowed=[True] * 4, logarithm=[False, False, True, True]
    )
    assert whole.indicators == (1, 3)
    inputs = whole.apply(features)
    for columns, inputs_of_selection in (([3, 1], [3, 1, 4, 5]), ([0, 2], [0, 2]), ([3, 0], [3, 0, 5])):
        selection = whole.select(columns)
        np.testing.assert_array_equal(selection.apply(features[:, columns]), inputs[:, inputs_of_selection])


@EACH
def test_a_fill_has_the_unit_of_the_feature(rule: Scaling) -> None:
    values = np.array([1, 2, np.nan, 3, 1000], np.float32)
    found = fit(values, None, rule, missing_allowed=[True], logarithm=[True])
    assert found.fill.tolist() == [2.5]
    missing, median = found.apply(np.array([[np.nan], [2.5]], np.float32))
    assert missing.tolist() == [median[0], 1]


def test_a_tail_above_a_tie_has_its_mean_as_the_typical_distance() -> None:
    found = fit([0, 0, 0, 0, 0, 0, 4, 6], None, "none", logarithm=[True]).logarithm
    assert found is not None
    assert (found.lowest.tolist(), found.typical.tolist()) == ([0], [1.25])


def test_a_single_low_outlier_does_not_move_the_tail() -> None:
    values = np.append(RNG.exponential(size=5000), -1e6)
    found = fit(values, None, "none", logarithm=[True]).logarithm
    assert found is not None
    assert found.lowest[0] == pytest.approx(0, abs=0.01)


@given(
    rows=st.lists(st.tuples(FINITE, st.integers(0, 3)), min_size=1, max_size=15).filter(
        lambda rows: any(weight for _, weight in rows)
    )
)
def test_a_weight_counts_as_rows_of_a_tail(rows: list[tuple[float, int]]) -> None:
    values, weights = zip(*rows, strict=True)
    sign = np.where(np.arange(len(rows)) % 2, -1, 1)
    weighted = fit(values, sign * np.array(weights), "none", logarithm=[True]).logarithm
    repeated = fit(np.repeat(values, weights), None, "none", logarithm=[True]).logarithm
    assert weighted is not None
    assert repeated is not None
    np.testing.assert_allclose(weighted.lowest, repeated.lowest, rtol=1e-6)
    np.testing.assert_allclose(weighted.typical, repeated.typical, rtol=1e-6)


def test_the_shortest_constructor_stays() -> None:
    one = np.ones(1, np.float32)
    plain = Preprocessing(scaling="standard", fill=one, centre=one, scale=one, indicators=())
    assert plain.apply(np.array([[3.0]], np.float32)).tolist() == [[2]]
