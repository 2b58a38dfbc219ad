"""Laws and known answers of loss, accuracy, areas and confusion."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tamis.calibration import SMALLEST_SCORE
from tamis.errors import TamisError
from tamis.statistics.metrics import Metrics, compute_metrics, describe_loss_above_prior
from tamis.statistics.roc import compute_roc_curves

Sample = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]
laws = settings(deadline=None, max_examples=40)


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Some events of 2 to 5 classes with signed weights, some scores equal and some zero."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    classes = draw(st.integers(2, 5))
    events = draw(st.integers(classes, 60))
    parts = random.integers(0, 5, (events, classes)) + 0.0
    parts[:, 0] += parts.sum(axis=1) == 0
    class_index = np.append(np.arange(classes), random.integers(0, classes, events - classes))
    weight = random.integers(-8, 33, events) / 8
    weight[:classes] = 64.0
    return parts / parts.sum(axis=1, keepdims=True), class_index, weight


def assert_same(first: Metrics, second: Metrics) -> None:
    assert first.loss == pytest.approx(second.loss, abs=1e-12)
    assert first.accuracy == pytest.approx(second.accuracy, abs=1e-12)
    assert first.auc == pytest.approx(second.auc, abs=1e-12)
    assert np.array(first.confusion, dtype=float) == pytest.approx(
        np.array(second.confusion, dtype=float), abs=1e-12
    )


@laws
@given(samples())
def test_weight_two_is_a_doubled_row(sample: Sample) -> None:
    scores, class_index, weight = sample
    doubled = np.where(np.arange(len(weight)) % 3 == 0, 2.0, 1.0)
    rows = np.repeat(np.arange(len(weight)), doubled.astype(int))
    assert_same(
        compute_metrics(scores, class_index, weight * doubled),
        compute_metrics(scores[rows], class_index[rows], weight[rows]),
    )


@laws
@given(samples())
def test_weight_zero_is_a_dropped_row(sample: Sample) -> None:
    scores, class_index, weight = sample
    kept = (np.arange(len(weight)) % 3 != 2) | (weight == 64.0)
    assert_same(
        compute_metrics(scores, class_index, weight * kept),
        compute_metrics(scores[kept], class_index[kept], weight[kept]),
    )


@laws
@given(samples(), st.integers(0, 2**32 - 1))
def test_scale_and_order_change_nothing(sample: Sample, seed: int) -> None:
    scores, class_index, weight = sample
    expected = compute_metrics(*sample)
    order = np.random.default_rng(seed).permutation(len(weight))
    assert_same(compute_metrics(scores[order], class_index[order], weight[order]), expected)
    assert_same(compute_metrics(scores, class_index, weight * 3e-5), expected)


@laws
@given(samples(), st.integers(0, 2**32 - 1))
def test_permuted_classes_permute_the_results(sample: Sample, seed: int) -> None:
    scores, class_index, weight = sample
    order = np.random.default_rng(seed).permutation(scores.shape[1])
    expected = compute_metrics(*sample)
    found = compute_metrics(scores[:, order], np.argsort(order)[class_index], weight)
    assert found.loss == pytest.approx(expected.loss, abs=1e-12)
    assert found.accuracy == pytest.approx(expected.accuracy, abs=1e-12)
    assert found.auc == pytest.approx([expected.auc[index] for index in order], abs=1e-12)
    confusion = np.array(expected.confusion, dtype=float)[np.ix_(order, order)]
    assert np.array(found.confusion, dtype=float) == pytest.approx(confusion, abs=1e-12)
    assert found.events == tuple(expected.events[index] for index in order)


@laws
@given(samples())
def test_accuracy_is_the_weighted_diagonal_and_rows_sum_to_one(sample: Sample) -> None:
    result = compute_metrics(*sample)
    confusion = np.array(result.confusion, dtype=float)
    sums = np.array(result.sum_of_weights)
    assert confusion.sum(axis=1) == pytest.approx(np.ones(len(sums)))
    assert result.accuracy == pytest.approx(float(np.diag(confusion) @ sums / sums.sum()), abs=1e-12)


@laws
@given(samples())
def test_areas_are_those_of_the_curves(sample: Sample) -> None:
    assert compute_metrics(*sample).auc == tuple(
        None if curve is None else curve.auc for curve in compute_roc_curves(*sample)
    )


def test_known_answer() -> None:
    scores = [[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4]]
    result = compute_metrics(scores, [0, 1, 0, 2], [1.0, 2.0, -0.5, 1.5])
    assert result.loss == pytest.approx(
        -(math.log(0.5) + 2 * math.log(0.8) - 0.5 * math.log(0.2) + 1.5 * math.log(0.4)) / 4
    )
    assert result.accuracy == pytest.approx((1 + 2 + 1.5) / 4)
    assert result.confusion == ((2.0, -1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    assert result.sum_of_weights == (0.5, 2.0, 1.5)
    assert result.events == (2, 1, 1)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_a_network_that_knows_nothing(classes: int) -> None:
    class_index = np.arange(10 * classes) % classes
    result = compute_metrics(
        np.full((10 * classes, classes), 1 / classes), class_index, np.ones(10 * classes)
    )
    assert result.loss == pytest.approx(math.log(classes))
    assert result.accuracy == pytest.approx(1 / classes)
    assert result.auc == (0.5,) * classes


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_sure_error_costs_much_but_not_infinitely(kind: type[np.floating]) -> None:
    result = compute_metrics(np.array([[1.0, 0.0], [0.0, 1.0]], dtype=kind), [1, 1], [1.0, 1.0])
    assert result.loss == pytest.approx(-math.log(SMALLEST_SCORE) / 2)
    assert result.loss == pytest.approx(43.668, abs=1e-3)


def test_what_is_undefined_is_none() -> None:
    result = compute_metrics([[0.7, 0.3, 0.0], [0.4, 0.6, 0.0], [0.1, 0.9, 0.0]], [0, 0, 1], [1.0, 2.0, -0.5])
    assert result.auc == (None, None, None)
    assert result.confusion[0] == pytest.approx((1 / 3, 2 / 3, 0.0))
    assert result.confusion[1:] == (None, None)
    assert result.events == (2, 1, 0)


def test_weights_without_a_positive_sum_are_refused() -> None:
    with pytest.raises(TamisError):
        compute_metrics([[0.5, 0.5], [0.5, 0.5]], [0, 1], [1.0, -2.0])
    with pytest.raises(TamisError):
        compute_metrics(np.empty((0, 2)), [], [])


def test_a_network_is_worse_than_the_prior_above_the_loss_of_equal_scores() -> None:
    assert describe_loss_above_prior(np.log(3) - 1e-9, 3) == ""
    assert describe_loss_above_prior(None, 3) == ""
    assert describe_loss_above_prior(float("nan"), 3) == ""
    said = describe_loss_above_prior(11.2, 3)
    assert said.startswith(
        "The network is worse than the prior: its balanced test loss is 11.2000, that of equal scores"
    )
    assert "all 3 classes is 1.0986" in said
