"""Histograms keep the area and lose nothing; ranges follow the bulk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tamis.statistics.histogram import (
    FEWEST_BINS,
    MOST_BINS,
    choose_binning,
    choose_number_of_bins,
    fill_histogram,
)

values_of_any_size = arrays(
    np.float64, st.integers(1, 40), elements=st.floats(-1e9, 1e9) | st.integers(-3, 3).map(float)
)


@settings(deadline=None, max_examples=50)
@given(values_of_any_size, values_of_any_size, st.integers(FEWEST_BINS, MOST_BINS))
def test_edges_rise_and_hold_every_value(first: np.ndarray, second: np.ndarray, bins: int) -> None:
    found = choose_binning([first, np.empty(0), second], bins)
    assert (np.diff(found.edges) > 0).all()
    assert len(found.edges) <= bins + 4
    both = np.concatenate([first, second])
    if not found.below:
        assert both.min() >= found.edges[0]
    if not found.above:
        assert both.max() <= found.edges[-1]


@settings(deadline=None, max_examples=60)
@given(values_of_any_size)
def test_area_is_one_and_nothing_is_lost(values: np.ndarray) -> None:
    weight = np.where(np.arange(len(values)) % 3 == 1, -0.5, 1.0)
    histogram = fill_histogram(values, weight, np.linspace(-1.0, 1.0, 6))
    assert histogram is not None
    width = np.diff(histogram.edges)
    assert histogram.density @ width == pytest.approx(1.0)
    variance = np.square(histogram.uncertainty * width).sum()
    assert variance == pytest.approx(np.square(weight).sum() / weight.sum() ** 2)


def test_known_histogram() -> None:
    histogram = fill_histogram(
        np.array([-9.0, 0.0, 1.0, 2.0]), np.array([1.0, 2.0, -1.0, 2.0]), np.array([0.0, 1.0, 2.0])
    )
    assert histogram is not None
    assert histogram.density == pytest.approx([3 / 4, 1 / 4])
    assert histogram.uncertainty == pytest.approx([np.sqrt(5) / 4, np.sqrt(5) / 4])
    assert histogram.centres.tolist() == [0.5, 1.5]


@pytest.mark.parametrize("weight", [[], [1.0, -1.0], [-2.0, 1.0]])
def test_without_a_positive_sum_there_is_no_histogram(weight: list[float]) -> None:
    assert fill_histogram(np.zeros(len(weight)), np.array(weight), np.array([0.0, 1.0])) is None


def test_a_far_tail_goes_to_its_own_bin() -> None:
    random = np.random.default_rng(1)
    values = np.append(random.normal(size=1000), [500.0, 600.0])
    found = choose_binning([values], 20)
    assert (found.below, found.above) == (False, True)
    assert found.edges[-1] < 5
    histogram = fill_histogram(values, np.ones(len(values)), found.edges)
    assert histogram is not None
    assert histogram.density[-1] * (found.edges[-1] - found.edges[-2]) * len(values) == pytest.approx(
        np.count_nonzero(values >= found.edges[-2])
    )


def test_a_long_tail_does_not_squeeze_the_bulk() -> None:
    values = np.random.default_rng(2).lognormal(6.0, 2.0, size=5000)
    found = choose_binning([values], 20)
    assert found.above
    assert found.edges[1] < np.median(values) * 2


def test_mostly_zeros_show_the_rest() -> None:
    found = choose_binning([np.append(np.zeros(10_000), [0.5, 20.0])], 20)
    assert found.edges[-1] >= 20.0


def test_the_range_holds_the_bulk_of_every_class() -> None:
    random = np.random.default_rng(3)
    found = choose_binning([random.normal(size=5000), random.normal(50.0, size=50)], 20)
    assert found.edges[0] < -2
    assert found.edges[-1] > 51


@pytest.mark.parametrize("value", [0.0, 3.5, -1e12, 7.0])
def test_a_constant_is_in_the_middle(value: float) -> None:
    edges = choose_binning([np.full(10, value)], 11).edges
    assert edges[0] < value < edges[-1]
    assert (edges[0] + edges[-1]) / 2 == pytest.approx(value)


def test_whole_numbers_are_in_the_middle_of_bins_of_whole_width() -> None:
    found = choose_binning([np.arange(100.0)], 20)
    assert found.is_integer
    assert np.diff(found.edges).tolist() == [5.0] * 20
    assert found.edges[0] == -0.5
    assert choose_binning([np.array([0.0, 1.0])], 20).edges.tolist() == [-0.5, 0.5, 1.5]


def test_the_smallest_class_sets_the_number_of_bins() -> None:
    assert choose_number_of_bins([np.ones(10**6), np.ones(10**6)]) == MOST_BINS
    assert choose_number_of_bins([np.ones(10**6), np.ones(3), np.empty(0)]) == FEWEST_BINS
    assert choose_number_of_bins([]) == FEWEST_BINS


@pytest.mark.parametrize("size", [5e-324, 1e-200, 1e-30, 1.0, 1e30, 1e100])
@pytest.mark.parametrize("weight", [1e-100, 1.0, 1e100])
def test_values_and_weights_of_every_size_have_a_density(size: float, weight: float) -> None:
    values, weights = np.linspace(-size, size, 50), np.full(50, weight)
    filled = fill_histogram(values, weights, choose_binning([values], 10).edges)
    assert filled is not None
    assert np.isfinite(filled.density).all()
    assert np.isfinite(filled.uncertainty).all()
    np.testing.assert_allclose((filled.density * np.diff(filled.edges)).sum(), 1)


def test_events_of_negligible_weight_do_not_widen_the_range() -> None:
    values = np.append(np.linspace(0, 1, 1001), np.full(100, 1000.0))
    weight = np.append(np.linspace(1, 1.1, 1001), np.full(100, 1e-9))
    binning = choose_binning([values], 20, [weight])
    assert binning.above
    # the bin above the range is the last one
    assert binning.edges[-2] == pytest.approx(0.995, abs=0.01)
