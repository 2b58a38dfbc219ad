"""Importance against a classifier of which everything is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special
from sklearn.inspection import permutation_importance as of_scikit_learn
from sklearn.linear_model import LogisticRegression

from tamis.errors import TamisError
from tamis.statistics.importance import (
    compare_influences,
    compute_permutation_importance,
    find_correlated_groups,
)
from tamis.statistics.influence import compute_influences
from tamis.statistics.intervals import (
    compute_degrees_of_freedom,
    compute_half_widths,
    compute_student_factors,
)
from tamis.statistics.resampling import Resampler, draw_poisson_counts
from tamis.statistics.units import sum_by_unit

NAMES = ("strong", "weak", "useless", "echo")


def sample(number: int = 4000, seed: int = 1):
    """`echo` is a copy of `strong`; the score is exact and uses `strong` and `weak` alone."""
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 2, number).astype(np.int32)
    strong = rng.normal(np.where(class_index == 1, 1.0, -1.0))
    weak = rng.normal(np.where(class_index == 1, 0.2, -0.2))
    echo = strong + rng.normal(0, 0.01, number)
    features = np.stack([strong, weak, rng.normal(size=number), echo], axis=1).astype(np.float32)
    return features, class_index


def predict(features: np.ndarray) -> np.ndarray:
    signal = special.expit(2 * features[:, 0] + 0.4 * features[:, 1])
    return np.stack([1 - signal, signal], axis=1)


def alone(weight: np.ndarray | None = None, seed: int = 1):
    features, class_index = sample(seed=seed)
    weights = np.ones(len(features)) if weight is None else weight
    groups = [(name,) for name in NAMES]
    found = compute_permutation_importance(
        predict, features, class_index, weights, NAMES, np.random.default_rng(seed), groups=groups
    )
    return {each.features[0]: each.drop for each in found}


def test_a_feature_that_is_not_used_is_worth_nothing() -> None:
    found = alone()
    for name in ("useless", "echo"):
        assert found[name].loss == 0.0
        assert found[name].loss_interval == (0.0, 0.0)
        assert found[name].auc == (0.0, 0.0)


def test_importance_is_ordered_and_has_intervals() -> None:
    found = alone()
    assert list(found)[:2] == ["strong", "weak"]
    for name in ("strong", "weak"):
        low, high = found[name].loss_interval
        assert low <= found[name].loss <= high
        assert low > 0
        assert found[name].auc[1] > 0


def test_an_irrelevant_feature_of_a_fit_is_compatible_with_zero() -> None:
    features, class_index = sample()
    model = LogisticRegression(C=1e6).fit(features[:2000, :3], class_index[:2000])
    found = compute_permutation_importance(
        lambda rows: model.predict_proba(rows), features[2000:, :3], class_index[2000:], np.ones(2000),
        NAMES[:3], np.random.default_rng(1), groups=[(name,) for name in NAMES[:3]],
    )  # fmt: skip
    useless = next(each for each in found if each.features == ("useless",))
    low, high = useless.drop.loss_interval
    width = (high - low) / 2
    assert abs(useless.drop.loss) < 3 * width


def test_scikit_learn_finds_the_same() -> None:
    features, class_index = sample()
    model = LogisticRegression(C=1e6).fit(features[:, :3], class_index)
    theirs = of_scikit_learn(
        model, features[:, :3], class_index, scoring="roc_auc", n_repeats=5, random_state=1
    )
    ours = compute_permutation_importance(
        lambda rows: model.predict_proba(rows), features[:, :3], class_index, np.ones(len(features)),
        NAMES[:3], np.random.default_rng(1), groups=[(name,) for name in NAMES[:3]],
    )  # fmt: skip
    by_name = {each.features[0]: each.drop.auc[1] for each in ours}
    np.testing.assert_allclose([by_name[name] for name in NAMES[:3]], theirs.importances_mean, atol=0.01)


def test_values_come_from_events_in_proportion_to_the_size_of_their_weights() -> None:
    rng, number = np.random.default_rng(5), 6000
    class_index = rng.integers(0, 2, number).astype(np.int32)
    kind = np.arange(number) % 3
    # a third of the events each has a weight of 1, of 3 (one in ten of -3) and of nothing
    weight = np.array([1.0, 3.0, 0.0])[kind] * np.where(np.arange(number) % 30 == 1, -1, 1)
    kind[weight < 0] = 3
    seen: list[np.ndarray] = []

    def remember(features: np.ndarray) -> np.ndarray:
        seen.append(features.copy())
        return np.full((len(features), 2), 0.5)

    compute_permutation_importance(
        remember, kind[:, None].astype(np.float32), class_index, weight, ["kind"], np.random.default_rng(1)
    )
    counts = np.bincount(seen[1][:, 0].astype(int), minlength=4)
    assert counts[2] == 0
    # a quarter of the weight has a size of one, and 3 of 40 are negative: to five standard deviations
    for share, count in ((0.25, counts[0]), (0.075, counts[3])):
        assert count / number == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / number))


def test_an_event_of_weight_zero_changes_nothing() -> None:
    weight = np.ones(len(sample()[0]))
    weight[::2] = 0.0
    half = alone(weight)["strong"].loss
    assert half == pytest.approx(alone()["strong"].loss, rel=0.15)


def test_events_that_vary_together_widen_the_intervals() -> None:
    """Four copies of each event know as much as one: without their units the intervals are half as wide."""
    rng = np.random.default_rng(1)
    class_index = np.repeat(rng.integers(0, 2, 2000), 4)
    chances = np.repeat(rng.beta(2, 2, (2, 2000)), 4, axis=1)
    before, after = (
        compute_influences(np.stack([1 - each, each], axis=1), class_index, np.ones(8000)) for each in chances
    )
    widths = [
        np.diff(compare_influences(before, after, np.ones(4, np.bool_), given).loss_interval)
        for given in (np.repeat(np.arange(2000), 4), None)
    ]
    assert widths[0] / widths[1] == pytest.approx(2.0, rel=0.001)


def test_an_interval_of_a_change_is_that_of_a_paired_bootstrap() -> None:
    rng = np.random.default_rng(3)
    class_index = rng.integers(0, 2, 3000)
    noise = rng.normal(size=(2, 3000))
    logits = class_index + noise[0], class_index + 0.5 * noise[0] + noise[1]
    scores = [np.stack([special.expit(-each), special.expit(each)], axis=1) for each in logits]
    weight = rng.lognormal(0, 0.5, 3000) * np.where(rng.random(3000) < 0.1, -1, 1)
    found = compare_influences(
        *(compute_influences(each, class_index, weight) for each in scores), np.ones(4, np.bool_)
    )
    counts = draw_poisson_counts(1000, 3000, rng)
    before, after = (Resampler(each, class_index, weight).measure(counts) for each in scores)
    assert np.diff(found.loss_interval) / 2 == pytest.approx(np.std(after[:, 0] - before[:, 0]), rel=0.1)
    assert np.diff(found.auc_interval[1]) / 2 == pytest.approx(np.std(before[:, 3] - after[:, 3]), rel=0.1)


def test_correlated_features_are_exchanged_together() -> None:
    features, class_index = sample()
    groups = find_correlated_groups(features, NAMES)
    assert groups == (("strong", "echo"), ("weak",), ("useless",))
    found = compute_permutation_importance(
        predict, features, class_index, np.ones(len(features)), NAMES, np.random.default_rng(1)
    )
    assert found[0].features == ("strong", "echo")


def test_constant_and_missing_features_stand_alone() -> None:
    rng = np.random.default_rng(3)
    features = np.stack([np.full(100, 5.0), rng.normal(size=100), np.full(100, np.nan)], axis=1)
    assert find_correlated_groups(features, ["a", "b", "c"]) == (("a",), ("b",), ("c",))
    assert find_correlated_groups(features[:, :1], ["a"]) == (("a",),)


def test_ties_do_not_make_features_correlated_nor_hide_that_they_are() -> None:
    rng = np.random.default_rng(4)
    sparse = np.where(rng.random((5000, 2)) < 0.95, 0.0, rng.random((5000, 2)))
    binary = rng.integers(0, 2, 5000).astype(float)
    missing = np.where(binary == 1, np.nan, 0.0)
    features = np.column_stack([sparse, binary, 1 - binary, missing])
    assert find_correlated_groups(features, list("abcde")) == (("a",), ("b",), ("c", "d", "e"))


def test_names_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TamisError):
        find_correlated_groups(np.zeros((5, 3)), ["a", "b"])


@pytest.mark.parametrize(("events", "known"), [(24, False), (25, True)])
def test_areas_of_a_class_of_few_events_have_no_interval(events: int, known: bool) -> None:
    features, class_index = sample()
    rows = np.r_[np.flatnonzero(class_index == 0), np.flatnonzero(class_index == 1)[:events]]
    found = compute_permutation_importance(
        predict, features[rows], class_index[rows], np.ones(len(rows)), NAMES, np.random.default_rng(1)
    )
    for each in found:
        assert [area is not None for area in each.drop.auc_interval] == [known] * 2
        assert each.drop.loss_interval is not None


@pytest.mark.parametrize("units", [None, np.arange(200) // 2])
def test_an_error_counts_what_an_event_adds_itself_and_through_those_that_have_its_values(units: Any) -> None:
    features, class_index = (each[:200] for each in sample(200))
    weight = np.random.default_rng(6).uniform(0.2, 3, 200)
    found = compute_permutation_importance(
        predict,
        features,
        class_index,
        weight,
        NAMES,
        np.random.default_rng(1),
        groups=[("weak",)],
        units=units,
    )[0].drop
    donors = np.random.default_rng(1).spawn(1)[0].choice(200, 200, p=weight / weight.sum())
    changed = features.copy()
    changed[:, 1] = features[donors, 1]
    before, after = (compute_influences(predict(each), class_index, weight) for each in (features, changed))
    own = (after.of_event - before.of_event)[:, [0, 2, 3]]
    with_given = own + [own[donors == event].sum(axis=0) for event in range(200)]
    sums = [np.square(sum_by_unit(each, units)).sum(axis=0) for each in (own, with_given)]
    errors = np.sqrt(np.maximum(sums[1] - sums[0], sums[0])) * compute_student_factors(
        compute_degrees_of_freedom(with_given, units)
    )
    assert found.loss == pytest.approx(after.value[0] - before.value[0])
    assert found.auc == pytest.approx(before.value[2:] - after.value[2:])
    widths = [np.diff(each)[0] / 2 for each in (found.loss_interval, *found.auc_interval)]
    assert widths == pytest.approx(errors)


def test_a_change_of_few_events_is_known_with_the_factor_of_student() -> None:
    features, class_index = (each[:12] for each in sample(200))
    before, after = (
        compute_influences(predict(each), class_index, np.ones(12)) for each in (features, 0.5 * features)
    )
    found = compare_influences(before, after, np.ones(4, np.bool_))
    error = compute_half_widths((after.of_event - before.of_event)[:, :1])[0]
    change = after.value[0] - before.value[0]
    assert found.loss_interval == pytest.approx((change - error, change + error))
