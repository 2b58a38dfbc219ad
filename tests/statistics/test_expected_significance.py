"""Significances against closed forms and toys; cuts, bins and categories that can be counted by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from tamis.errors import TamisError
from tamis.statistics.asimov import Requirements, compute_asimov_significance, compute_profile_significance
from tamis.statistics.bins import (
    choose_bins,
    combine_significances,
    compute_significance_influence,
    compute_significance_interval,
    fill_bins,
    find_bins,
)
from tamis.statistics.counts import Counts, count_above, fill_categories
from tamis.statistics.cuts import choose_candidate_cuts, scan_cuts
from tamis.statistics.expected_significance import compute_expected_significance
from tamis.statistics.scored import ScoredEvents


def test_it_is_s_over_the_root_of_b_for_small_signals() -> None:
    assert compute_asimov_significance(1.0, 1e6) == pytest.approx(1e-3, rel=1e-3)
    assert compute_asimov_significance(1.0, 1e4, 100.0) == pytest.approx(1 / np.sqrt(2e4), rel=1e-3)


def test_it_is_the_median_significance_of_an_experiment() -> None:
    # of Poisson counts: the p-value of the median count of signal and background
    s, b = 30.0, 100.0
    median = stats.poisson.median(s + b)
    p_value = stats.poisson.sf(median - 1, b)
    assert float(compute_asimov_significance(s, b)) == pytest.approx(stats.norm.isf(p_value), abs=0.1)


@given(st.floats(0.1, 1e4), st.floats(0.5, 1e5), st.floats(0, 1))
def test_less_is_known_with_an_uncertainty(s: float, b: float, relative: float) -> None:
    exact, spread = compute_asimov_significance(s, b), compute_asimov_significance(s, b, relative * b)
    assert 0 <= spread <= exact * (1 + 1e-6)
    assert compute_asimov_significance(2 * s, b, relative * b) >= spread


def test_a_tiny_uncertainty_changes_nothing() -> None:
    for relative in (1e-6, 9.9e-5, 1.1e-4):
        assert compute_asimov_significance(5.0, 50.0, relative * 50) == pytest.approx(
            float(compute_asimov_significance(5.0, 50.0)), rel=1e-4
        )


def test_no_signal_has_no_significance() -> None:
    assert compute_asimov_significance([0.0, -3.0], [10.0, 10.0], 1.0).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("background", "uncertainty"), [(0.0, 0.0), (-1.0, 0.0), (1.0, -1.0)])
def test_what_has_no_meaning_is_refused(background: float, uncertainty: float) -> None:
    with pytest.raises(TamisError):
        compute_asimov_significance(1.0, background, uncertainty)


def search(number: int = 20_000, seed: int = 1):
    """A signal at high scores over a falling background; the densities are 3 x^2 and 3 (1 - x)^2."""
    rng = np.random.default_rng(seed)
    is_signal = rng.random(number) < 0.5
    score = np.where(is_signal, rng.beta(3, 1, number), rng.beta(1, 3, number))
    weight = np.where(is_signal, 50.0, 1000.0) / (number / 2)
    return score, is_signal, weight


def test_a_scan_counts_what_passes_and_finds_the_best_cut() -> None:
    score, is_signal, weight = search()
    scan = scan_cuts(score, is_signal, weight)
    assert (np.diff(scan.thresholds) < 0).all()
    for place in (3, len(scan.thresholds) // 2, -1):
        cut = scan.thresholds[place]
        assert scan.signal[place] == pytest.approx(weight[is_signal & (score >= cut)].sum())
        assert scan.background[place] == pytest.approx(weight[~is_signal & (score >= cut)].sum())
    x = np.linspace(0.01, 0.9, 2000)
    background = 1000 * (1 - x) ** 3
    # 10,000 events of weight 0.1: the variance is a tenth of the sum
    yields = 50 * (1 - x**3), background[:, None], 0.1 * background
    exact, *_ = compute_profile_significance(
        yields[0][:, None], yields[1][:, :, None], yields[2][:, None], np.zeros(1)
    )
    assert scan.best == pytest.approx(x[exact.argmax()], abs=0.05)
    assert np.nanmax(scan.significance) == pytest.approx(exact.max(), rel=0.05)
    found = count_above(scan.best, score, is_signal, weight)
    assert found.significance == pytest.approx(np.nanmax(scan.significance))


def test_the_error_of_a_scan_is_how_much_it_varies() -> None:
    # the same cuts in 200 samples of Poisson numbers of events
    def sample(seed: int):
        number = int(np.random.default_rng((seed, 1)).poisson(4000))
        score, is_signal, weight = search(number, seed)
        return score, is_signal, weight * number / 4000

    cuts = np.linspace(0.1, 0.6, 5)
    found = [[count_above(cut, *sample(seed)) for cut in cuts] for seed in range(200)]
    spread = np.std([[each.significance for each in row] for row in found], axis=0)
    scan = scan_cuts(*sample(1))
    error = np.interp(cuts, scan.thresholds[::-1], scan.significance_error[::-1])
    np.testing.assert_allclose(error, spread, rtol=0.2)
    spread = np.std([[each.signal for each in row] for row in found], axis=0)
    error = np.interp(cuts, scan.thresholds[::-1], scan.signal_error[::-1])
    np.testing.assert_allclose(error, spread, rtol=0.2)


def test_a_scan_knows_what_an_exact_background_would_give() -> None:
    scan = scan_cuts(*search(), Requirements(relative=0.2))
    known = np.isfinite(scan.significance)
    expected = compute_asimov_significance(scan.signal[known], scan.background[known])
    np.testing.assert_allclose(scan.without_uncertainty[known], expected)
    assert (scan.significance[known] < scan.without_uncertainty[known]).all()


def test_a_cut_without_enough_background_says_nothing() -> None:
    scan = scan_cuts([0.1, 0.9], [0, 1], [1.0, 1.0])
    assert scan.best is None
    assert np.isnan(scan.significance).all()
    assert count_above(0.5, [0.1, 0.9], [0, 1], [1.0, 1.0]).significance is None


def test_bins_are_worth_more_than_a_cut_and_keep_what_they_must() -> None:
    requirements = Requirements(background=5.0, effective_sample_size=20.0)
    chosen = search(seed=1)
    edges = choose_bins(*chosen, requirements, most=6)
    assert (edges[0], edges[-1]) == (0.0, 1.0)
    assert 3 <= len(edges) <= 7
    assert (np.diff(edges) > 0).all()
    quoted = fill_bins(edges, *search(seed=2), requirements)
    cut = count_above(scan_cuts(*chosen, requirements).best, *search(seed=2), requirements)
    assert quoted.significance > 1.02 * cut.significance
    for each in fill_bins(edges, *chosen, requirements).bins:
        assert each.background >= 5.0
        assert each.effective_sample_size >= 20.0 * (1 - 1e-9)
    _, is_signal, weight = search(seed=2)
    assert sum(each.signal for each in quoted.bins) == pytest.approx(weight[is_signal].sum())
    assert sum(each.background for each in quoted.bins) == pytest.approx(weight[~is_signal].sum())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_no_other_two_bins_are_better(seed: int) -> None:
    score, is_signal, weight = search(300, seed)
    requirements = Requirements(background=1.0, effective_sample_size=5.0)
    edges = choose_bins(score, is_signal, weight, requirements, most=2)
    best = fill_bins(edges, score, is_signal, weight, requirements).significance
    for cut in np.unique(np.quantile(score, np.linspace(0.05, 0.95, 19), method="inverted_cdf")):
        both = fill_bins((0.0, cut, 1.0), score, is_signal, weight, requirements)
        if all(each.background >= 1 and each.effective_sample_size >= 5 for each in both.bins):
            # the candidates are not all cuts, and a bin more must bring one per cent
            assert both.significance <= best * 1.03


def test_a_sample_that_is_too_small_for_any_bin_is_refused() -> None:
    with pytest.raises(TamisError):
        choose_bins([0.1, 0.9], [0, 1], [1.0, 1.0])


def test_categories_hold_every_event_once() -> None:
    rng = np.random.default_rng(4)
    scores = rng.dirichlet([1, 1, 1], 3000)
    class_index, weight = rng.integers(0, 3, 3000), rng.normal(1, 1, 3000)
    categories = fill_categories(scores, class_index, weight, [2])
    yields = np.array([each.yields for each in categories])
    np.testing.assert_allclose(yields.sum(axis=0), np.bincount(class_index, weight, 3))
    for number, each in enumerate(categories):
        inside = scores.argmax(axis=1) == number
        assert each.counts.signal == pytest.approx(weight[inside & (class_index == 2)].sum())
        assert each.counts.background == pytest.approx(weight[inside & (class_index != 2)].sum())


def test_bins_without_a_common_uncertainty_add_in_squares() -> None:
    counts = [Counts(s, b, 0.0, 0.0, 100.0, None) for s, b in ((30.0, 100.0), (5.0, 400.0), (3.0, 0.0))]
    alone = [float(compute_asimov_significance(each.signal, each.background)) for each in counts[:2]]
    assert combine_significances(counts) == pytest.approx(np.hypot(*alone))
    assert combine_significances([]) == 0.0


def test_a_score_that_tells_nothing_gains_nothing_from_bins() -> None:
    whole = Counts(100.0, 10_000.0, 0.0, 0.0, 1e6, None)
    tenth = Counts(10.0, 1000.0, 0.0, 0.0, 1e5, None)
    one, ten = combine_significances([whole], 0.1), combine_significances([tenth] * 10, 0.1)
    assert ten == pytest.approx(one)
    assert one == pytest.approx(by_minimisation(100.0, 10_000.0, 0.0, 0.1))
    rng, ones = np.random.default_rng(1), np.ones(20_000)
    found = compute_expected_significance(*[
        ScoredEvents(np.stack([1 - score, score], axis=1), np.arange(20_000) % 2, np.tile([1.0, 0.01], 10_000), ones)
        for score in rng.random((2, 20_000))
    ], [1], Requirements(relative=0.1))  # fmt: skip
    assert found.binning.significance < 0.2


def by_minimisation(s: float, b: float, error: float, relative: float) -> float:
    """Minimise the likelihood ratio of one bin by a library, over both factors of the background."""

    def ratio(factors: np.ndarray) -> float:
        simulation, systematic = factors
        expected = max(b * (1 + error * simulation) * (1 + relative) ** systematic, 1e-9)
        n = s + b
        return float(2 * (expected - n + n * np.log(n / expected)) + simulation**2 + systematic**2)

    best = optimize.minimize(ratio, [0.1, 0.1], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    return float(np.sqrt(best.fun))


@settings(max_examples=40, deadline=None)
@given(
    s=st.floats(0.1, 100), b=st.floats(1, 1e4), error=st.floats(0, 0.5), relative=st.floats(1e-3, 1),
    parts=st.integers(1, 5),
)  # fmt: skip
def test_one_bin_is_the_cut_that_keeps_the_same_events(
    s: float, b: float, error: float, relative: float, parts: int
) -> None:
    bins = [Counts(s / parts, b / parts, error * b / np.sqrt(parts), 0.0, 1e6, None)] * parts
    assert combine_significances(bins, relative) == pytest.approx(
        by_minimisation(s, b, error, relative), rel=1e-4, abs=1e-4
    )
    different = [*bins, Counts(2 * s, b, error * b, 0.0, 1e6, None)]
    assert (
        combine_significances(bins, relative)
        <= combine_significances(different, relative)
        <= combine_significances(different)
    )


def test_ten_events_of_a_tenth_are_one_expected_event() -> None:
    # summed one after the other they are a little less than one
    events = ScoredEvents(
        np.array([[0.6, 0.4]] * 11), np.array([0] * 10 + [1]), np.full(11, 0.1), np.ones(11)
    )
    assert compute_expected_significance(events, events, [1]).binning.edges == (0.0, 1.0)


def test_a_small_uncertainty_of_a_large_background_counts() -> None:
    for uncertainty in (9e5, 1.01e6):
        expected = 1e5 / np.sqrt(1e10 + uncertainty**2)
        assert compute_asimov_significance(1e5, 1e10, uncertainty) == pytest.approx(expected, rel=1e-3)


SIZE = 0.05
"""An event of the toys stands for a twentieth of one, or for minus that."""


def simulated(expected: tuple[float, float], negative: float, rng: np.random.Generator | None) -> Counts:
    """Simulate signal and background of a bin; without a generator exactly as expected."""
    numbers = []
    for wanted in expected:
        mean = wanted / SIZE / (1 - 2 * negative)
        events = mean if rng is None else rng.poisson(mean)
        minus = negative * events if rng is None else rng.binomial(events, negative)
        numbers.append((events, (events - 2 * minus) * SIZE))
    (of_signal, signal), (of_background, background) = numbers
    cubes = background * SIZE**2
    errors = np.sqrt(of_background) * SIZE, np.sqrt(of_signal) * SIZE
    powers = background, errors[0] ** 2, cubes, of_background * SIZE**4
    return Counts(signal, background, *errors, 1e3, None, (powers,))


@pytest.mark.parametrize("relative", [0.0, 0.1])
@pytest.mark.parametrize("negative", [0.0, 0.1])
def test_intervals_of_significances_cover_the_truth(relative: float, negative: float, rates: Any) -> None:
    """Finite simulations of bins of 60, 40, 12 background and 6, 10, 8 signal events."""
    expected = ((6.0, 60.0), (10.0, 40.0), (8.0, 12.0))
    truth = combine_significances([simulated(each, negative, None) for each in expected], relative)
    covered, toys = 0, rates.toys(200)
    for toy in range(toys):
        rng = np.random.default_rng((toy, 11))
        low, high = compute_significance_interval(
            [simulated(each, negative, rng) for each in expected], relative
        )
        covered += low <= truth <= high
    rates.check(covered, toys, 0.683, finds=(0.43, 0.9), what="significance of three bins")


def two_class_events(is_signal: np.ndarray, score: np.ndarray, weight: np.ndarray) -> ScoredEvents:
    return ScoredEvents(
        np.stack([1 - score, score], axis=1), is_signal.astype(np.int32), weight, np.ones(len(weight))
    )


def chosen_and_counted() -> tuple[ScoredEvents, ScoredEvents]:
    """Validation events whose background falls faster than that of the test events: other cuts and bins are best."""
    parts = []
    for seed, power in ((1, 6.0), (2, 1.5)):
        rng = np.random.default_rng(seed)
        is_signal = rng.random(4000) < 0.5
        score = np.where(is_signal, rng.beta(3, 1, 4000), rng.beta(1, power, 4000))
        parts.append(two_class_events(is_signal, score, np.where(is_signal, 0.02, 0.4)))
    return parts[0], parts[1]


def test_cut_and_bins_are_chosen_on_validation_events_and_counted_on_test_events() -> None:
    validation, test = chosen_and_counted()
    arguments = [(part.scores[:, 1], part.class_index == 1, part.weight) for part in (validation, test)]
    best = [scan_cuts(*each).best for each in arguments]
    edges = [choose_bins(*each) for each in arguments]
    assert best[0] != best[1]
    assert edges[0] != edges[1]
    found = compute_expected_significance(validation, test, [1])
    assert found.cut == best[0]
    assert found.binning.edges == edges[0]
    assert found.after_cut == count_above(best[0], *arguments[1])
    assert found.binning == fill_bins(edges[0], *arguments[1])
    np.testing.assert_array_equal(found.scan.significance, scan_cuts(*arguments[1]).significance)
    # no test event has a say in what is chosen
    other = compute_expected_significance(validation, replace(test, scores=test.scores[::-1]), [1])
    assert other.cut == found.cut
    assert other.binning.edges == found.binning.edges
    assert other.after_cut != found.after_cut


def test_whether_there_is_background_enough_for_bins_is_seen_on_validation_events() -> None:
    validation, test = chosen_and_counted()
    little = replace(validation, weight=validation.weight * np.where(validation.class_index == 1, 1, 1e-4))
    assert compute_expected_significance(little, test, [1]).binning is None
    less = replace(test, weight=test.weight * np.where(test.class_index == 1, 1, 1e-4))
    assert compute_expected_significance(validation, less, [1]).binning is not None


def test_an_event_at_the_cut_passes_it() -> None:
    score, is_signal, weight = [0.2, 0.5, 0.5, 0.5, 0.9], [0, 0, 0, 1, 1], [1.0, 2.0, 4.0, 8.0, 16.0]
    found = count_above(0.5, score, is_signal, weight)
    assert (found.background, found.signal) == (6.0, 24.0)
    scan = scan_cuts(score, is_signal, weight)
    place = scan.thresholds.tolist().index(0.5)
    assert (scan.background[place], scan.signal[place]) == (6.0, 24.0)
    assert scan.signal_error[place] == pytest.approx(np.hypot(8.0, 16.0))
    assert scan.background_error[place] == pytest.approx(np.hypot(2.0, 4.0))


@pytest.mark.parametrize("relative", [0.0, 0.1])
def test_the_error_of_a_significance_is_the_sum_over_its_events(relative: float) -> None:
    """By the definition: what each event contributes, found by counting it a little more."""
    rng = np.random.default_rng(8)
    is_signal = np.arange(60) % 3 == 0
    weight = rng.uniform(0.2, 1.5, 60)
    background = np.arange(60) % 2
    requirements = Requirements(relative=(relative, 2 * relative))

    def significance(weight_of_events: np.ndarray) -> float:
        # an event that counts twice also has twice its square
        squares = (weight_of_events * weight)[~is_signal].sum()
        by_background = [weight_of_events[~is_signal & (background == number)].sum() for number in (0, 1)]
        uncertainties = np.array(requirements.relative)
        signal = weight_of_events[is_signal].sum()
        return float(
            compute_profile_significance(
                np.array([signal]), np.array(by_background)[:, None], np.array([squares]), uncertainties
            )[0]
        )

    slopes = []
    for event in range(60):
        step = 1e-4 * weight * (np.arange(60) == event)
        slopes.append((significance(weight + step) - significance(weight - step)) / 2e-4)
    found = count_above(0.0, np.zeros(60), is_signal, weight, requirements, background=background)
    assert found.significance == pytest.approx(significance(weight), rel=1e-9)
    assert found.significance_error == pytest.approx(np.sqrt(np.sum(np.square(slopes))), rel=1e-4)


def test_without_background_there_is_no_interval() -> None:
    assert compute_significance_interval([]) is None
    assert compute_significance_interval([Counts(1.0, 0.0, 0.0, 0.1, 0.0, None)]) is None


@pytest.mark.parametrize("relative", [0.0, 0.2])
def test_a_cut_has_the_error_of_the_scan_and_lies_in_its_interval(relative: float) -> None:
    rng = np.random.default_rng(3)
    is_signal = rng.random(5000) < 0.2
    score = np.clip(rng.normal(np.where(is_signal, 0.7, 0.3), 0.2), 0, 1)
    weight = rng.uniform(0.05, 0.2, 5000)
    requirements = Requirements(relative=relative)
    scan = scan_cuts(score, is_signal, weight, requirements)
    place = int(np.nanargmax(scan.significance))
    found = count_above(float(scan.thresholds[place]), score, is_signal, weight, requirements)
    assert found.significance == pytest.approx(scan.significance[place])
    assert found.significance_error == pytest.approx(scan.significance_error[place])
    events = ScoredEvents(
        np.stack([1 - score, score], axis=1), is_signal.astype(np.int32), weight, np.ones(5000)
    )
    search = compute_expected_significance(events, events, [1], requirements)
    low, high = search.intervals["cut"]
    assert low < search.after_cut.significance < high


@pytest.mark.parametrize("relative", [0.0, (0.2, 0.1)])
def test_intervals_are_the_sums_of_the_influences_of_events(relative: float | tuple[float, float]) -> None:
    rng = np.random.default_rng(8)
    background, is_signal = np.arange(120) % 2, np.arange(120) % 3 == 0
    score, weight = rng.random(120), rng.uniform(0.2, 1.0, 120)
    requirements = Requirements(relative=relative, effective_sample_size=1.0)
    for edges in ((0.0, 0.3, 0.6, 1.0), (0.6, 1.0)):
        binning = fill_bins(edges, score, is_signal, weight, requirements, background=background)
        influence = compute_significance_influence(
            binning.bins, find_bins(score, edges), is_signal, weight, relative, background=background
        )
        interval = compute_significance_interval(binning.bins, relative)
        assert interval == pytest.approx(influence.interval, rel=1e-9)
    cut = count_above(0.6, score, is_signal, weight, requirements, background=background)
    assert cut.significance_error == pytest.approx(interval[1] - cut.significance, rel=1e-9)


def test_backgrounds_that_vary_apart_hurt_less_in_one_bin_and_more_in_several() -> None:
    # in one bin two halves of the background cancel in part: 10% of each are 7% of both
    counts = Counts(30.0, 100.0, 0.0, 0.0, 1e6, None, ((50.0, 0.0, 0.0, 0.0),) * 2)
    apart, common = (
        combine_significances([counts], 0.1),
        combine_significances([replace(counts, by_background=())], 0.1),
    )
    assert apart == pytest.approx(by_minimisation(30.0, 100.0, 0.0, 0.1 / np.sqrt(2)), rel=0.01)
    assert apart > 1.1 * common
    # a bin with the first background alone tells nothing of the second, and of a common one all
    side = Counts(0.0, 1e4, 0.0, 0.0, 1e6, None, ((1e4, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)))
    assert combine_significances([counts, side], 0.1) < 0.97 * combine_significances(
        [replace(each, by_background=()) for each in (counts, side)], 0.1
    )


def test_each_background_has_its_own_uncertainty() -> None:
    counts = Counts(30.0, 100.0, 0.0, 0.0, 1e6, None, ((80.0, 0.0, 0.0, 0.0), (20.0, 0.0, 0.0, 0.0)))
    assert combine_significances([counts], (0.0, 0.0)) == pytest.approx(combine_significances([counts]))
    assert (
        combine_significances([counts], (0.2, 0.0))
        < combine_significances([counts], (0.0, 0.2))
        < combine_significances([counts])
    )
    with pytest.raises(TamisError):
        combine_significances([counts], (0.1, 0.1, 0.1))


def test_cuts_are_tried_at_quantiles_of_signal_and_of_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tamis.statistics.cuts.CANDIDATES", 6)
    values, signal = np.r_[0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0], np.arange(8) < 4
    # half of the events of a class lie at or below the second of four
    assert choose_candidate_cuts(values, signal).tolist() == [13.0, 11.0, 10.0, 3.0, 1.0, 0.0]


def test_without_enough_background_a_scan_quotes_no_significance_of_any_kind() -> None:
    found = scan_cuts(*search(2000))
    undefined = np.isnan(found.significance)
    assert undefined.any()
    assert (found.background[undefined] > 0).any()
    for each in (found.significance_error, found.without_uncertainty):
        np.testing.assert_array_equal(np.isnan(each), undefined)
