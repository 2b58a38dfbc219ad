"""Many resamples at once have the numbers of each resample alone; bootstrap intervals cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from tamis.errors import TamisError
from tamis.statistics.influence import compute_influences
from tamis.statistics.intervals import compute_central_interval
from tamis.statistics.metrics import compute_metrics
from tamis.statistics.resampling import (
    CellSums,
    GroupedScore,
    Resampler,
    bootstrap,
    divide_into_blocks,
    draw_poisson_counts,
    draw_subsets,
    permute_labels,
)
from tamis.statistics.roc import compute_roc_curves


def events(seed: int, number: int, classes: int = 3, *, ties: bool = False, signed: bool = True):
    rng = np.random.default_rng(seed)
    class_index = np.r_[np.arange(classes), rng.integers(0, classes, number - classes)].astype(np.int32)
    logits = rng.normal(size=(number, classes)) + np.eye(classes)[class_index]
    if ties:
        logits = logits.round()
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    weight = rng.uniform(0.5, 2, number) * np.where(signed & (rng.random(number) < 0.1), -1, 1)
    weight[:classes] = 3.0
    return scores, class_index, weight


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(30, 80), st.booleans())
def test_each_choice_is_measured_as_if_it_were_alone(seed: int, number: int, ties: bool) -> None:
    scores, class_index, weight = events(seed, number, ties=ties)
    drawn = draw_poisson_counts(5, number, np.random.default_rng(seed))
    drawn[:6] += 1
    found = Resampler(scores, class_index, weight).measure(drawn)
    for number_of_choice, counts in enumerate(drawn.T):
        repeated = np.repeat(np.arange(number), counts)
        alone = compute_metrics(scores[repeated], class_index[repeated], weight[repeated])
        areas = [np.nan if area is None else area for area in alone.auc]
        np.testing.assert_allclose(found[number_of_choice], [alone.loss, alone.accuracy, *areas], rtol=1e-9)


def test_an_area_without_events_is_not_defined() -> None:
    found = Resampler([[0.9, 0.1], [0.2, 0.8]], [0, 1], [1.0, 1.0]).measure(np.array([[1, 1], [0, 1]]))
    assert np.isnan(found[0, 2:]).all()
    assert found[1, 2:].tolist() == [1.0, 1.0]


def test_a_sum_of_weights_that_is_not_positive_is_refused() -> None:
    with pytest.raises(TamisError):
        Resampler([[0.9, 0.1], [0.2, 0.8]], [0, 1], [1.0, -1.0])


def test_counts_are_poisson_numbers() -> None:
    counts = draw_poisson_counts(10, 100_000, np.random.default_rng(1)).ravel()
    assert counts.mean() == pytest.approx(1, abs=5e-3)
    observed = np.bincount(counts, minlength=6)[:6]
    expected = stats.poisson.pmf(np.arange(6), 1) * counts.size
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


def test_the_bootstrap_depends_on_the_seed_alone_and_not_on_threads() -> None:
    resampler = Resampler(*events(3, 500))
    first, again, other = (bootstrap(resampler, 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize(("resamples", "number"), [(199, 10), (199, 10**6), (3, 10**8), (1, 1)])
def test_blocks_add_up(resamples: int, number: int) -> None:
    assert sum(divide_into_blocks(resamples, number)) == resamples


def test_labels_stay_within_their_groups() -> None:
    labels = np.array([True, True, False, False, True, False])
    groups = [np.array([0, 2, 4]), np.array([1, 3, 5])]
    shuffled = permute_labels(labels, groups, 300, np.random.default_rng(1))
    assert (shuffled[groups[0]].sum(axis=0) == 2).all()
    assert (shuffled[groups[1]].sum(axis=0) == 1).all()


@pytest.mark.parametrize(("size", "members"), [(5, 2), (4, 4), (4, 0), (6, 1)])
def test_all_subsets_of_a_size_are_equally_probable(size: int, members: int) -> None:
    """A subset that is more probable by a fifth is found with 99% probability."""
    subsets = draw_subsets(size, members, 8000, np.random.default_rng(3))
    assert (subsets.sum(axis=0) == members).all()
    counts = np.bincount(2 ** np.arange(size) @ subsets, minlength=2**size)
    counts = counts[[bin(number).count("1") == members for number in range(2**size)]]
    assert len(counts) == 1 or stats.chisquare(counts).pvalue > 1e-5


def test_events_of_one_unit_have_one_label_and_are_drawn_together() -> None:
    units = np.array([0, 0, 1, 2, 2, 2, 3])
    labels = np.array([True, True, False, True, True, True, False])
    shuffled = permute_labels(labels, [np.arange(7)], 50, np.random.default_rng(1), units)
    counts = draw_poisson_counts(50, 7, np.random.default_rng(1), units)
    for drawn in (shuffled, counts):
        assert (drawn == drawn[[0, 0, 2, 3, 3, 3, 6]]).all()
    assert (shuffled[[0, 2, 3, 6]].sum(axis=0) == 2).all()


def test_scores_of_more_values_than_cells_give_nearly_the_same_areas() -> None:
    """Where a cell holds several scores the areas differ by far less than chance moves them."""
    scores, class_index, weight = events(3, 60_000)
    resampler = Resampler(scores, class_index, weight)
    drawn = draw_poisson_counts(8, 60_000, np.random.default_rng(1))
    measured = resampler.measure(drawn)
    deviation = bootstrap(resampler, 50, np.random.default_rng(2)).std(axis=0)
    for choice, counts in enumerate(drawn.T):
        for index, curve in enumerate(compute_roc_curves(scores, class_index, weight * counts)):
            assert abs(measured[choice, 2 + index] - curve.auc) < 0.01 * deviation[2 + index]


def test_every_event_once_has_the_numbers_of_the_events() -> None:
    given = events(4, 300, ties=True)
    once = Resampler(*given).measure(np.ones((300, 1), np.uint8))[0]
    np.testing.assert_allclose(compute_influences(*given).value, once[:5], rtol=1e-12)


def gaussian(rng: np.random.Generator, number: int, weights: str):
    """Two classes whose exact posterior is the score; weights that do not depend on the score."""
    class_index = rng.integers(0, 2, number)
    x = rng.normal(np.where(class_index == 1, 0.75, -0.75))
    signal = 1 / (1 + np.exp(-1.5 * x))
    weight = np.ones(number)
    if weights != "unit":
        weight = rng.lognormal(0, 0.7, number)
    if weights == "signed":
        weight *= np.where(rng.random(number) < 0.1, -1, 1)
    return np.stack([1 - signal, signal], axis=1), class_index, weight


@pytest.mark.parametrize("weights", ["unit", "varying", "signed"])
def test_intervals_cover_the_truth(weights: str, rates: Any) -> None:
    many = Resampler(*gaussian(np.random.default_rng(0), 2_000_000, "unit"))
    truth = many.measure(np.ones((len(many), 1), np.uint8))[0]
    assert truth[2] == pytest.approx(stats.norm.cdf(1.5 / np.sqrt(2)), abs=1e-3)
    covered, toys = np.zeros(3), rates.toys(200)
    for toy in range(toys):
        rng = np.random.default_rng((toy, 7))
        replicas = bootstrap(Resampler(*gaussian(rng, 500, weights)), 100, rng)
        for number in range(3):
            low, high = compute_central_interval(replicas[:, number])
            covered[number] += low <= truth[number] <= high
    rates.check(covered, toys, 0.683, finds=(0.43, 0.9), what="loss, accuracy, AUC")


def test_each_class_has_the_area_of_its_own_order_where_scores_are_rounded() -> None:
    rng = np.random.default_rng(5)
    class_index = rng.integers(0, 3, 1000)
    # scores of the first two classes are so near to one that 32 bits round them
    logits = rng.normal(size=(1000, 3)) + np.eye(3)[class_index] + 18 * np.eye(3)[rng.integers(0, 2, 1000)]
    scores = special.softmax(logits, axis=1).astype(np.float32)
    found = Resampler(scores, class_index, np.ones(1000)).measure(np.ones((1000, 1), np.uint8))
    expected = [curve.auc for curve in compute_roc_curves(scores, class_index, np.ones(1000))]
    np.testing.assert_allclose(found[0, 2:5], expected, rtol=1e-9)


def test_as_many_units_keep_a_label_as_had_it_whatever_their_sizes() -> None:
    units, labels = np.array([0, 0, 0, 1, 2, 3]), np.arange(6) < 3
    shuffled = permute_labels(labels, [np.arange(6)], 50, np.random.default_rng(1), units)
    assert (shuffled[[0, 3, 4, 5]].sum(axis=0) == 1).all()


def test_an_event_without_a_group_has_no_part_in_a_score() -> None:
    column = GroupedScore(np.array([0.1, 0.4, 0.4, 0.8]), np.array([1, -1, 0, 0]))
    (sums,) = CellSums([column], np.ones(4)).sums(np.ones((4, 1), np.uint8))
    assert sums[:, :, 0].tolist() == [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]
