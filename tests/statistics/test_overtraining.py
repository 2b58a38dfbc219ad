"""The Kolmogorov-Smirnov test fires at its nominal rate, and laws of its distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hep_ml.metrics_utils import ks_2samp_weighted
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import stats

from tamis.errors import TamisError
from tamis.statistics.overtraining import (
    KolmogorovSmirnov,
    compute_kolmogorov_smirnov,
    compute_kolmogorov_smirnov_tests,
)
from tamis.statistics.scored import ScoredEvents

Events = tuple[NDArray[np.float64], NDArray[np.float64]]
laws = settings(deadline=None, max_examples=40)


def unit(random: Generator, events: int) -> Events:
    return random.normal(size=events), np.ones(events)


def varying(random: Generator, events: int) -> Events:
    return random.normal(size=events), random.lognormal(size=events)


def signed(random: Generator, events: int) -> Events:
    return random.normal(size=events), np.where(random.random(events) < 0.2, -1.0, 1.0)


def signed_and_varying(random: Generator, events: int) -> Events:
    values, weights = varying(random, events)
    return values, weights * np.where(random.random(events) < 0.2, -1.0, 1.0)


def negative_at_high_values(random: Generator, events: int) -> Events:
    values = random.random(events)
    return values, np.where(random.random(events) < 0.45 * values, -1.0, 1.0)


def heavy_process_at_one_side(random: Generator, events: int) -> Events:
    heavy = random.random(events) < 0.03
    return np.where(heavy, random.normal(2, 0.5, events), random.normal(size=events)), np.where(
        heavy, 10.0, 1.0
    )


independent = [unit, varying, signed, signed_and_varying]
dependent = [negative_at_high_values, heavy_process_at_one_side]


def fired(null: Callable[..., Events], toys: int, sizes: tuple[int, int] = (1000, 1000)) -> int:
    random = np.random.default_rng(2024)
    p_values = [
        compute_kolmogorov_smirnov(*null(random, sizes[0]), *null(random, sizes[1])).p_value
        for _ in range(toys)
    ]
    return int(np.sum(np.array(p_values) < 0.05))


@pytest.mark.parametrize("null", independent)
def test_it_fires_at_the_nominal_rate(null: Callable[..., Events], rates: Any) -> None:
    toys = rates.toys(1000)
    rates.check(fired(null, toys), toys, 0.05, finds=(0.01, 0.11), what="p < 0.05")


def test_it_fires_at_the_nominal_rate_for_unequal_samples(rates: Any) -> None:
    toys = rates.toys(1000)
    number = fired(signed_and_varying, toys, (1200, 400))
    rates.check(number, toys, 0.05, finds=(0.01, 0.11), what="p < 0.05, unequal samples")


@pytest.mark.parametrize("null", dependent)
def test_weights_that_depend_on_the_value_do_not_make_it_fire_more(
    null: Callable[..., Events], rates: Any
) -> None:
    toys = rates.toys(1000)
    # The effective numbers alone would let the heavy process fire at 11%.
    rates.check(fired(null, toys), toys, (0.02, 0.05), finds=(0.0, 0.11), what="p < 0.05, dependent weights")


def test_the_scale_of_a_heavy_process_is_the_largest_deviation_of_its_limit() -> None:
    # by hand: shares 1/3, 1/3, 1/3 of events with weights 1, 1, 2 at 0, 1, 2 in both samples
    values, weights = np.repeat([0.0, 1.0, 2.0], [200, 200, 100]), np.repeat([1.0, 1.0, 2.0], [200, 200, 100])
    moved = np.where(np.arange(500) < 20, 1.0, values)
    found = compute_kolmogorov_smirnov(values, weights, moved, weights)
    assert found.distance == pytest.approx(20 / 600)
    squares, share = np.array([200, 400, 800]) / 800, np.array([200, 400, 600]) / 600
    # the second sample has 20 of the 200 lightest at 1
    pooled = [(squares + np.array([180, 400, 800]) / 800) / 2, (share + np.array([180, 400, 600]) / 600) / 2]
    variance = pooled[0] * (1 - pooled[0]) + (pooled[0] - pooled[1]) ** 2
    scale = 2 * np.sqrt(max(0.25, variance.max()))
    root = np.sqrt(600**2 / 800 / 2)
    expected = stats.kstwobign.sf((root + 0.12 + 0.11 / root) * found.distance / scale)
    assert scale > 1
    assert found.p_value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("null", independent + dependent)
def test_it_finds_another_distribution(null: Callable[..., Events]) -> None:
    random = np.random.default_rng(7)
    values, weights = null(random, 2000)
    result = compute_kolmogorov_smirnov(values + 0.5, weights, *null(random, 2000))
    assert result.p_value < 1e-4
    assert result.distance > 0.1


@pytest.mark.parametrize("sizes", [(500, 500), (2000, 300)])
def test_unit_weights_agree_with_the_exact_distribution(sizes: tuple[int, int]) -> None:
    random = np.random.default_rng(5)
    for shift in (0.0, 0.05, 0.1):
        first, second = random.normal(size=sizes[0]), random.normal(shift, size=sizes[1])
        expected = stats.ks_2samp(first, second, method="exact")
        found = compute_kolmogorov_smirnov(first, np.ones(sizes[0]), second, np.ones(sizes[1]))
        assert found.distance == pytest.approx(float(expected.statistic), abs=1e-12)
        assert found.p_value == pytest.approx(float(expected.pvalue), rel=0.12)
        assert (found.training_effective_sample_size, found.test_effective_sample_size) == pytest.approx(
            sizes
        )


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
def test_weighted_distances_are_those_of_hep_ml(shift: float) -> None:
    """Its cumulative distributions count half of the event itself, so that they are half an event's share apart."""
    random = np.random.default_rng(6)
    first, second = random.normal(size=4000), random.normal(shift, size=3000)
    weights = random.gamma(2.0, size=4000), random.uniform(0.1, 10.0, 3000)
    found = compute_kolmogorov_smirnov(first, weights[0], second, weights[1])
    expected = ks_2samp_weighted(first, second, *weights)
    assert found.distance == pytest.approx(expected, abs=max(each.max() / each.sum() for each in weights))


@st.composite
def samples(draw: st.DrawFn) -> Events:
    """Values with ties and signed weights of eighths that have a positive sum."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    events = draw(st.integers(1, 40))
    weights = random.integers(-8, 33, events) / 8
    weights[0] = 64.0
    return random.integers(0, draw(st.sampled_from([2, 6, 1000])), events) / 7, weights


def by_definition(first: Events, second: Events) -> float:
    def cumulative(sample: Events, at: float) -> float:
        values, weights = sample
        return float(weights[values <= at].sum() / weights.sum())

    points = np.concatenate([first[0], second[0]])
    return max(abs(cumulative(first, at) - cumulative(second, at)) for at in points)


@laws
@given(samples(), samples())
def test_distance_is_the_largest_difference_of_the_distributions(first: Events, second: Events) -> None:
    assert compute_kolmogorov_smirnov(*first, *second).distance == pytest.approx(
        by_definition(first, second), abs=1e-12
    )


def assert_same(first: KolmogorovSmirnov, second: KolmogorovSmirnov) -> None:
    assert first.distance == pytest.approx(second.distance, abs=1e-12)
    assert first.p_value == pytest.approx(second.p_value, abs=1e-9)


@laws
@given(samples(), samples(), st.integers(0, 2**32 - 1))
def test_order_scale_zero_weights_and_rising_maps_change_nothing(
    first: Events, second: Events, seed: int
) -> None:
    expected = compute_kolmogorov_smirnov(*first, *second)
    order = np.random.default_rng(seed).permutation(len(first[0]))
    assert_same(compute_kolmogorov_smirnov(first[0][order], first[1][order], *second), expected)
    assert_same(compute_kolmogorov_smirnov(first[0], first[1] * 1e-6, *second), expected)
    assert_same(
        compute_kolmogorov_smirnov(np.append(first[0], 0.5), np.append(first[1], 0.0), *second), expected
    )
    assert_same(
        compute_kolmogorov_smirnov(np.exp(first[0]), first[1], np.exp(second[0]), second[1]), expected
    )
    assert_same(compute_kolmogorov_smirnov(*second, *first), expected)
    assert 0.0 <= expected.p_value <= 1.0


@pytest.mark.parametrize(("first", "second"), [(1.0, 0.0), (0.0, 1.0), (1.0, -1.0)])
def test_a_sample_without_a_positive_sum_is_refused(first: float, second: float) -> None:
    name = "second" if first else "first"
    with pytest.raises(TamisError, match=f"weights of the {name} sample must have a positive sum"):
        compute_kolmogorov_smirnov([0.5], [first], [0.5], [second])


def scored(random: Generator, events: int) -> ScoredEvents:
    class_index = np.arange(events, dtype=np.int32) % 3
    scores = random.dirichlet([1.0, 1.0, 1.0], events) * 0.5 + np.eye(3)[class_index] * 0.5
    return ScoredEvents(scores, class_index, random.random(events), np.ones(events))


def test_there_is_one_result_for_each_class_and_score() -> None:
    random = np.random.default_rng(3)
    training, test = scored(random, 600), scored(random, 300)
    results = compute_kolmogorov_smirnov_tests(training, test)
    assert [len(row) for row in results] == [3, 3, 3]
    first, second = (events.take(events.class_index == 2) for events in (training, test))
    assert results[2][0] == compute_kolmogorov_smirnov(
        first.scores[:, 0], first.weight, second.scores[:, 0], second.weight
    )


def test_a_network_that_learned_by_heart_is_found() -> None:
    random = np.random.default_rng(4)
    training = scored(random, 3000)
    learned = replace(training, scores=(training.scores + 5 * np.eye(3)[training.class_index]) / 6)
    for row in compute_kolmogorov_smirnov_tests(learned, scored(random, 3000)):
        assert all(result is not None and result.p_value < 1e-6 for result in row)


def test_a_class_without_events_has_no_result() -> None:
    random = np.random.default_rng(3)
    training = scored(random, 60)
    without = training.take(training.class_index != 1)
    results = compute_kolmogorov_smirnov_tests(without, scored(random, 60))
    assert results[1] == (None, None, None)
    assert None not in results[0] + results[2]


def test_arrays_that_do_not_fit_are_refused() -> None:
    events = scored(np.random.default_rng(3), 60)
    with pytest.raises(TamisError):
        compute_kolmogorov_smirnov_tests(events, replace(events, weight=events.weight[1:]))
