"""Laws and known answers of the ROC curve."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tamis.errors import RequestError, TamisError
from tamis.statistics.arrays import compute_class_ranks
from tamis.statistics.influence import compute_influences
from tamis.statistics.metrics import compute_metrics
from tamis.statistics.resampling import Resampler
from tamis.statistics.roc import (
    compute_efficiency_limit,
    compute_roc_curve,
    compute_roc_curves,
    compute_working_points,
    mean_auc,
)

Sample = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]


@st.composite
def samples(draw: st.DrawFn, *, negative: bool = True) -> Sample:
    """Scores with many ties, and weights of eighths, so that sums carry no rounding."""
    seed = draw(st.integers(0, 2**32 - 1))
    events = draw(st.integers(2, 60))
    random = np.random.default_rng(seed)
    score = random.integers(0, draw(st.sampled_from([2, 5, 1000])), events) / 7
    is_signal = random.random(events) < 0.5
    is_signal[:2] = True, False
    weight = random.integers(-8 if negative else 0, 33, events) / 8
    # The first event of each kind outweighs what can be negative.
    weight[:2] = 64.0
    return score, is_signal, weight


def by_pairs(score: NDArray[np.float64], is_signal: NDArray[np.bool_], weight: NDArray[np.float64]) -> float:
    signal, background = score[is_signal], score[~is_signal]
    pairs = weight[is_signal][:, None] * weight[~is_signal][None, :]
    wins = (signal[:, None] > background[None, :]) + 0.5 * (signal[:, None] == background[None, :])
    return float((pairs * wins).sum() / pairs.sum())


laws = settings(deadline=None, max_examples=40)


@laws
@given(samples())
def test_area_is_the_share_of_pairs_in_order(sample: Sample) -> None:
    assert compute_roc_curve(*sample).auc == pytest.approx(by_pairs(*sample), abs=1e-12)


@laws
@given(samples())
def test_area_is_the_trapezoid_of_the_curve(sample: Sample) -> None:
    curve = compute_roc_curve(*sample)
    area = np.trapezoid(curve.signal_efficiency, curve.background_efficiency)
    assert curve.auc == pytest.approx(float(area), abs=1e-12)


@laws
@given(samples())
def test_a_point_is_what_its_cut_keeps(sample: Sample) -> None:
    score, is_signal, weight = sample
    curve = compute_roc_curve(*sample)
    points = zip(curve.thresholds, curve.signal_efficiency, curve.background_efficiency, strict=True)
    for threshold, signal, background in points:
        passed = np.where(score >= threshold, weight, 0.0)
        assert signal == pytest.approx(passed[is_signal].sum() / weight[is_signal].sum(), abs=1e-12)
        assert background == pytest.approx(passed[~is_signal].sum() / weight[~is_signal].sum(), abs=1e-12)


@laws
@given(samples(negative=False))
def test_positive_weights_give_a_monotonic_curve_from_nothing_to_all(sample: Sample) -> None:
    curve = compute_roc_curve(*sample)
    for efficiency in (curve.signal_efficiency, curve.background_efficiency):
        assert efficiency[0] == 0.0
        assert efficiency[-1] == 1.0
        assert (np.diff(efficiency) >= 0).all()
    assert (np.diff(curve.thresholds) < 0).all()


@laws
@given(samples(), st.sampled_from([np.exp, np.arctan, lambda score: 3 * score - 11]))
def test_a_rising_map_of_the_score_changes_no_area(sample: Sample, rising: np.ufunc) -> None:
    score, is_signal, weight = sample
    assert compute_roc_curve(rising(score), is_signal, weight).auc == compute_roc_curve(*sample).auc


@laws
@given(samples())
def test_the_opposite_score_has_the_opposite_area(sample: Sample) -> None:
    score, is_signal, weight = sample
    both = compute_roc_curve(score, is_signal, weight).auc + compute_roc_curve(-score, is_signal, weight).auc
    assert both == pytest.approx(1.0, abs=1e-12)


@laws
@given(samples())
def test_signal_and_background_swap(sample: Sample) -> None:
    score, is_signal, weight = sample
    both = compute_roc_curve(score, is_signal, weight).auc + compute_roc_curve(score, ~is_signal, weight).auc
    assert both == pytest.approx(1.0, abs=1e-12)


@laws
@given(samples(), st.integers(0, 2**32 - 1))
def test_order_doubling_dropping_and_scale(sample: Sample, seed: int) -> None:
    score, is_signal, weight = sample
    expected = compute_roc_curve(*sample).auc
    order = np.random.default_rng(seed).permutation(len(score))
    doubled = np.concatenate([order, order])
    extra = compute_roc_curve(np.append(score, 0.3), np.append(is_signal, True), np.append(weight, 0.0))
    assert compute_roc_curve(score[order], is_signal[order], weight[order]).auc == pytest.approx(
        expected, abs=1e-12
    )
    assert compute_roc_curve(score, is_signal, 2 * weight).auc == pytest.approx(expected, abs=1e-12)
    assert compute_roc_curve(score[doubled], is_signal[doubled], weight[doubled]).auc == pytest.approx(
        expected, abs=1e-12
    )
    assert extra.auc == pytest.approx(expected, abs=1e-12)
    assert compute_roc_curve(score, is_signal, weight * 1e-7).auc == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("distance", [0.0, 0.5, 1.0, 2.5])
def test_two_gaussians(distance: float) -> None:
    events = 100_000
    random = np.random.default_rng(12)
    is_signal = np.arange(events) % 2 == 0
    score = random.normal(size=events) + distance * is_signal
    expected = 0.5 * (1 + math.erf(distance / 2))  # Phi(distance / sqrt(2))
    assert compute_roc_curve(score, is_signal, np.ones(events)).auc == pytest.approx(expected, abs=0.004)


def test_infinite_scores_are_the_most_extreme() -> None:
    curve = compute_roc_curve([-np.inf, 0.0, 1.0, np.inf], [0, 1, 0, 1], [1.0] * 4)
    assert curve.auc == 0.75
    assert curve.signal_efficiency.tolist() == [0.0, 0.5, 0.5, 1.0, 1.0]


def test_equal_scores_are_one_point_and_one_half() -> None:
    curve = compute_roc_curve([0.5] * 4, [0, 1, 0, 1], [1.0] * 4)
    assert curve.auc == 0.5
    assert curve.thresholds.tolist() == [np.inf, 0.5]


def test_the_arrays_of_a_curve_cannot_be_changed() -> None:
    curve = compute_roc_curve([0.0, 1.0], [0, 1], [1.0, 1.0])
    with pytest.raises(ValueError, match="read-only"):
        curve.signal_efficiency[0] = 3.0


@pytest.mark.parametrize(
    ("is_signal", "weight", "message"),
    [
        ([1, 1, 1], [1, 1, 1], "ROC curve: the weights of the background .* found 0 in 0 events"),
        ([0, 0, 0], [1, 1, 1], "ROC curve: the weights of the signal .* found 0 in 0 events"),
        ([1, 1, 0], [1, -2, 1], "ROC curve: the weights of the signal .* found -1 in 2 events"),
        ([1, 2, 0], [1, 1, 1], "is_signal: expected true and false"),
    ],
)
def test_undefined_curves_are_refused(is_signal: list[int], weight: list[int], message: str) -> None:
    with pytest.raises(TamisError, match=message):
        compute_roc_curve([0.1, 0.2, 0.3], is_signal, weight)


def test_curves_of_all_classes() -> None:
    scores = np.array([[0.8, 0.2, 0.0], [0.3, 0.7, 0.0], [0.6, 0.4, 0.0]])
    first, second, third = compute_roc_curves(scores, [0, 1, 1], [1.0, 1.0, 1.0])
    assert first is not None
    assert second is not None
    assert third is None
    assert first.auc == second.auc == 1.0


@laws
@given(samples(negative=False), st.floats(0.01, 1.0))
def test_a_working_point_is_the_tightest_cut_that_reaches_the_target(sample: Sample, target: float) -> None:
    score, is_signal, weight = sample
    (point,) = compute_working_points(compute_roc_curve(*sample), [target])
    signal, background = weight * is_signal, weight * ~is_signal
    passed = score >= point.threshold
    assert point.target == target
    assert point.signal_efficiency >= target - 1e-12
    assert point.signal_efficiency == pytest.approx(signal[passed].sum() / signal.sum())
    assert point.background_efficiency == pytest.approx(background[passed].sum() / background.sum())
    tighter = score > point.threshold
    assert signal[tighter].sum() / signal.sum() < target


def test_rejection_is_one_over_the_efficiency_or_none() -> None:
    curve = compute_roc_curve([0.9, 0.8, 0.5, 0.4], [1, 1, 0, 0], [1.0] * 4)
    tight, loose = compute_working_points(curve, [0.5, 1.0])
    assert tight.background_rejection is None
    assert loose.background_rejection is None
    overlapping = compute_roc_curve([0.9, 0.8, 0.5, 0.4], [1, 0, 1, 0], [1.0] * 4)
    assert compute_working_points(overlapping, [1.0])[0].background_rejection == 2.0


@given(
    events=st.lists(st.integers(20, 500), min_size=1, max_size=3),
    weight=st.lists(st.floats(0.01, 100), min_size=3, max_size=3),
    chosen=st.integers(0, 2),
)
def test_a_cut_that_nothing_passes_keeps_less_than_its_limit(
    events: list[int], weight: list[float], chosen: int
) -> None:
    """A larger efficiency, all of it in one class, lets no event pass in 5% of all cases at most."""
    sizes = np.array(events)
    classes = np.repeat(np.arange(len(sizes)), sizes)
    weights = np.array(weight)[classes]
    limit = compute_efficiency_limit(classes, weights)
    of_class = np.bincount(classes, weights)[chosen % len(sizes)] / weights.sum()
    passing = 1.0 if limit is None else limit / of_class
    assert passing >= 1 or (1 - passing) ** sizes[chosen % len(sizes)] <= 0.05
    if len(sizes) == 1 and sizes[0] >= 100:
        assert (1 - limit) ** sizes[0] == pytest.approx(0.05, abs=0.005)


def test_negative_weights_widen_the_limit_and_no_sum_has_none() -> None:
    weights = np.array([1.0] * 100 + [-1.0] * 20)
    classes = np.zeros(120, int)
    # 120 events of an effective weight of 120 / 80 among a sum of 80
    assert compute_efficiency_limit(classes, weights) == pytest.approx(-np.log(0.05) * 120 / 80**2)
    assert compute_efficiency_limit(classes, -weights) is None
    assert compute_efficiency_limit(classes[:2], weights[:2]) is None


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.1, float("nan")])
def test_working_points_are_efficiencies(wrong: float) -> None:
    curve = compute_roc_curve([0.0, 1.0], [0, 1], [1.0, 1.0])
    with pytest.raises(RequestError):
        compute_working_points(curve, [0.5, wrong])


def saturated(events: int, seed: int = 2) -> tuple[Any, Any, Any]:
    """Scores of two classes of 32 bits, of which one is 6000 times as frequent: most of its scores round to one."""
    rng = np.random.default_rng(seed)
    class_index = (np.arange(events) % 2).astype(np.int64)
    logit = rng.normal(0.3 * class_index, 1) - np.log(1e8)
    scores = np.stack([1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit))], axis=1).astype(np.float32)
    assert len(np.unique(scores[:, 0])) < 20
    return scores, class_index, np.where(class_index == 0, 6000.0, 1.0)


def test_two_classes_have_one_area_also_where_scores_are_rounded() -> None:
    scores, class_index, weight = saturated(2000)
    first, second = compute_roc_curves(scores, class_index, weight)
    assert first is not None
    assert second is not None
    expected = by_pairs(scores[:, 1], class_index == 1, weight)
    assert second.auc == pytest.approx(expected, abs=1e-12)
    assert first.auc == pytest.approx(expected, abs=1e-12)
    influences = compute_influences(scores, class_index, weight)
    np.testing.assert_allclose(influences.of_event[:, 2], influences.of_event[:, 3], atol=1e-12)
    counts = np.random.default_rng(1).poisson(1, (2000, 5)).astype(np.uint8)
    areas = Resampler(scores, class_index, weight).measure(counts)[:, 2:4]
    np.testing.assert_allclose(areas[:, 0], areas[:, 1], rtol=2e-3)
    exact = [compute_roc_curves(scores, class_index, weight * count)[1] for count in counts.T]
    np.testing.assert_allclose(areas[:, 1], [curve and curve.auc for curve in exact], rtol=2e-3)
    assert mean_auc(scores, class_index, weight) == pytest.approx(expected, abs=1e-12)
    # a rounded score of three classes is ranked by the other two
    three = np.column_stack([scores[:, 0], scores[:, 1] / 2, scores[:, 1] / 2]).astype(np.float64)
    assert (np.argsort(-compute_class_ranks(three)[:, 0]) == np.argsort(scores[:, 1])).all()


def test_a_working_point_is_a_cut_on_the_rounded_score() -> None:
    scores, class_index, weight = saturated(2000)
    curve = compute_roc_curves(scores, class_index, weight)[0]
    assert curve is not None
    for point in compute_working_points(curve, [0.3, 0.5, 0.9]):
        passed = scores[:, 0] >= point.threshold
        assert point.signal_efficiency == pytest.approx(passed[class_index == 0].mean())
        assert point.background_efficiency == pytest.approx(passed[class_index == 1].mean())


def test_thresholds_fall_also_where_a_rounded_score_rises_with_the_rank() -> None:
    rounded = 1 - 2**-24
    curve, _ = compute_roc_curves([[rounded, 1e-8], [1.0, 2e-8], [0.5, 0.5]], [0, 0, 1], [1.0] * 3)
    assert curve is not None
    assert curve.thresholds.tolist() == [np.inf, rounded, rounded, 0.5]


def test_rounding_moves_no_cut() -> None:
    score, is_signal = np.arange(10.0)[::-1], np.arange(10) % 2 == 0
    # sums of 0.7 over their total, of which four are a little too small
    targets = [0.2, 0.4, 0.6, 0.8]
    points = compute_working_points(compute_roc_curve(score, is_signal, np.full(10, 0.7)), targets)
    assert [point.threshold for point in points] == [9.0, 7.0, 5.0, 3.0]


@given(st.integers(0, 200))
def test_the_mean_area_is_that_of_the_metrics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, class_index = rng.dirichlet(np.ones(3), 50), np.r_[0, 1, 2, rng.integers(0, 3, 47)]
    weight = rng.uniform(0.1, 2, 50)
    areas = [area for area in compute_metrics(scores, class_index, weight).auc if area is not None]
    assert mean_auc(scores, class_index, weight) == pytest.approx(np.mean(areas))


def test_a_mean_area_is_that_of_the_classes_with_events() -> None:
    scores, weight = [[0.9, 0.05, 0.05], [0.2, 0.7, 0.1]], [1.0, 1.0]
    assert mean_auc(scores, [0, 1], weight) == 1.0
    assert mean_auc(scores, [0, 0], weight) == 0.5
