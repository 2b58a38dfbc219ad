"""Distributions: histograms of the events they are made of, and a refusal of arrays that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from tamis.errors import TamisError
from tamis.statistics.distributions import compute_feature_distributions, compute_score_distributions
from tamis.statistics.histogram import fill_histogram
from tamis.statistics.scored import ScoredEvents


def test_each_histogram_holds_the_events_of_its_class_and_split() -> None:
    rng = np.random.default_rng(1)
    values, class_index = rng.normal(size=(3000, 2)), rng.integers(0, 3, 3000)
    weight, split = rng.normal(1.0, 0.5, 3000), rng.integers(0, 3, 3000)
    found = compute_feature_distributions(values, class_index, weight, split == 0, split == 1, classes=3)
    assert len(found) == 2
    for feature, distribution in enumerate(found):
        assert distribution.bins is not None
        assert distribution.missing == 0
        for number, histograms in enumerate((distribution.training, distribution.test)):
            for index, histogram in enumerate(histograms):
                rows = (split == number) & (class_index == index)
                expected = fill_histogram(values[rows, feature], weight[rows], distribution.bins.edges)
                assert histogram is not None
                assert expected is not None
                np.testing.assert_array_equal(histogram.density, expected.density)
                np.testing.assert_array_equal(histogram.uncertainty, expected.uncertainty)


def test_missing_values_are_those_of_training_and_test() -> None:
    values = np.array([[np.nan], [1.0], [2.0], [np.inf], [np.nan]])
    training, test = np.array([1, 1, 0, 0, 0], bool), np.array([0, 0, 1, 1, 0], bool)
    (found,) = compute_feature_distributions(values, [0, 0, 1, 1, 1], np.ones(5), training, test, classes=2)
    assert found.missing == 0.5
    (nothing,) = compute_feature_distributions(values[[0]], [0], [1.0], [True], [False], classes=2)
    assert (nothing.bins, nothing.training, nothing.test) == (None, (None, None), (None, None))
    assert nothing.missing == 1.0


def test_a_score_has_equal_bins_from_0_to_1() -> None:
    rng = np.random.default_rng(2)
    score, class_index = rng.random(2000), np.arange(2000, dtype=np.int32) % 2
    events = ScoredEvents(np.stack([score, 1 - score], axis=1), class_index, np.ones(2000), np.ones(2000))
    found, _ = compute_score_distributions(events, events.reweighted(-np.ones(2000)))
    (first, second) = found.training
    assert first is not None
    assert second is not None
    assert first.edges == pytest.approx(np.linspace(0, 1, 21))
    expected = fill_histogram(score[class_index == 1], np.ones(1000), first.edges)
    assert expected is not None
    np.testing.assert_array_equal(second.density, expected.density)
    assert found.test == (None, None)  # their sums of weights are negative


def test_arrays_that_do_not_fit_are_refused() -> None:
    halves = ([True, False], [False, True])
    with pytest.raises(TamisError):
        compute_feature_distributions([0.0, 1.0], [0, 1], [1.0, 1.0], *halves, classes=2)
    with pytest.raises(TamisError):
        compute_feature_distributions(np.zeros((2, 1)), [0, 1], [1.0], *halves, classes=2)
    with pytest.raises(TamisError):
        compute_feature_distributions(
            np.zeros((2, 1)), [0, 1], [1.0, 1.0], [True, False], [False] * 3, classes=2
        )
    with pytest.raises(TamisError):
        compute_score_distributions(*[ScoredEvents(np.ones((2, 1)), np.zeros(2), np.ones(1), np.ones(2))] * 2)
