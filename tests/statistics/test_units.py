"""Units whose events differ: in several bins, slices or scores, against sums unit by unit and against toys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from tamis.statistics.asimov import Requirements
from tamis.statistics.bins import (
    Counts,
    choose_bins,
    combine_significances,
    compute_significance_influence,
    count_yields,
    fill_bins,
    find_bins,
)
from tamis.statistics.correlations import compute_correlations
from tamis.statistics.counts import count_above
from tamis.statistics.cuts import scan_cuts, tabulate_cuts
from tamis.statistics.expected_significance import ExpectedSignificance, compute_expected_significance
from tamis.statistics.histogram import fill_histogram
from tamis.statistics.overtraining import compute_kolmogorov_smirnov
from tamis.statistics.reliability import compute_reliability
from tamis.statistics.resampling import draw_poisson_counts
from tamis.statistics.roc import compute_efficiency_limit
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.sculpting import compute_dependence, compute_shift, compute_slices
from tamis.statistics.training_range import TrainTestMasks, count_outside
from tamis.statistics.units import (
    compute_power_increments,
    compute_squared_sum,
    compute_unit_sums,
    merge_in_cells,
    select_units,
    sum_by_unit,
)
from tamis.studies.sculpting.result import measure_sculpting

EDGES = (0.0, 0.3, 0.6, 1.0)


def brute_force(weight: np.ndarray, units: np.ndarray, power: int = 2) -> float:
    """Sum a power of the sums of the weights of the units, one after the other."""
    sums: dict[int, float] = {}
    for number, value in zip(units.tolist(), weight.tolist(), strict=True):
        sums[number] = sums.get(number, 0.0) + value
    return sum(value**power for value in sums.values())


EVENTS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(-3, 5), st.integers(0, 6)), max_size=30
)


@given(EVENTS)
def test_sums_over_units_are_those_of_one_after_the_other(rows: list[tuple[int, int, int, int]]) -> None:
    units, cell, weight, score = np.array(rows, np.int64).reshape(-1, 4).T
    values, falling = weight.astype(float), score / 6
    assert compute_squared_sum(values, units) == pytest.approx(brute_force(values, units))
    assert sum_by_unit(values, units).sum() == pytest.approx(values.sum())
    for number, share in zip(units, compute_unit_sums(values, units), strict=True):
        assert share == values[units == number].sum()
    cells, merged = merge_in_cells(cell, values, units)
    assert len(cells) == len({(row[0], row[1]) for row in rows})
    for number in range(4):
        inside = cell == number
        assert merged[cells == number].sum() == values[inside].sum()
        assert (merged[cells == number] ** 2).sum() == brute_force(values[inside], units[inside])
    raised = compute_power_increments(falling, values, units, (1, 2, 3, 4))
    for threshold in np.unique(falling):
        inside = falling >= threshold
        for power, of_event in enumerate(raised, start=1):
            assert of_event[inside].sum() == pytest.approx(brute_force(values[inside], units[inside], power))


def test_without_units_nothing_is_summed() -> None:
    values, cell = np.array([1.0, -2.0]), np.array([0, 0])
    assert sum_by_unit(values, None) is values
    assert compute_unit_sums(values, None) is values
    assert merge_in_cells(cell, values, None) == (cell, values)
    assert compute_squared_sum(values, None) == 5.0
    assert compute_power_increments(values, values, None, (3,))[0].tolist() == [1.0, -8.0]
    assert select_units(None, cell) is None


def search(number: int = 400, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Units of one to five events of one class, whose scores differ."""
    rng = np.random.default_rng(seed)
    units = np.repeat(np.arange(number), rng.integers(1, 6, number))
    is_signal = units % 2 == 1
    score = np.where(is_signal, rng.beta(3, 1, len(units)), rng.beta(1, 3, len(units)))
    weight = rng.uniform(0.1, 0.3, len(units)) * np.where(rng.random(len(units)) < 0.1, -1, 1)
    # in no order of the units
    order = rng.permutation(len(units))
    return score[order], is_signal[order], weight[order], units[order]


def test_every_cut_and_every_bin_knows_the_units() -> None:
    score, is_signal, weight, units = search()
    requirements = Requirements(relative=0.1, effective_sample_size=5.0)
    scan = scan_cuts(score, is_signal, weight, requirements, units=units)
    probabilities = np.stack([1 - score, score], axis=1)
    events = ScoredEvents(
        probabilities,
        is_signal.astype(np.int32),
        weight,
        np.ones(len(score)),
        event_id=units.astype(np.uint64),
    )
    table = tabulate_cuts(events, [1], requirements)
    for place in range(0, len(scan.thresholds), 7):
        cut = scan.thresholds[place]
        background, signal = ((score >= cut) & kind for kind in (~is_signal, is_signal))
        counts = count_above(cut, score, is_signal, weight, requirements, units=units)
        for error, signal_error in (
            (counts.background_error, counts.signal_error),
            (scan.background_error[place], scan.signal_error[place]),
        ):
            assert error**2 == pytest.approx(brute_force(weight[background], units[background]))
            assert signal_error**2 == pytest.approx(brute_force(weight[signal], units[signal]))
        expected = [brute_force(weight[background], units[background], power) for power in (3, 4)]
        np.testing.assert_allclose(counts.powers[2:, 0], expected)
        if np.isfinite(scan.significance[place]):
            assert counts.significance == pytest.approx(scan.significance[place])
            assert counts.significance_error == pytest.approx(scan.significance_error[place])
    for place in range(0, len(table.thresholds), 20):
        inside = (score >= table.thresholds[place]) & ~is_signal
        error = table.background_error[place]
        assert error**2 == pytest.approx(brute_force(weight[inside], units[inside]), abs=1e-9)
    found = count_yields(EDGES, score, is_signal.astype(int), weight, 2, units=units)
    place = find_bins(score, EDGES)
    histogram = fill_histogram(score, weight, np.array(EDGES), units=units)
    for number in range(3):
        inside = (place == number) & ~is_signal
        assert found.errors[0][number] ** 2 == pytest.approx(brute_force(weight[inside], units[inside]))
        inside = place == number
        uncertainty = histogram.uncertainty[number] * weight.sum() * np.diff(EDGES)[number]
        assert uncertainty**2 == pytest.approx(brute_force(weight[inside], units[inside]))


def test_the_chosen_bins_are_the_best_of_all_pairs() -> None:
    score, is_signal, weight, units = search(60)
    requirements = Requirements(effective_sample_size=4.0)
    edges = choose_bins(score, is_signal, weight, requirements, most=2, units=units)
    assert len(edges) == 3

    def worth(cut: float) -> float:
        bins = fill_bins((0.0, cut, 1.0), score, is_signal, weight, requirements, units=units)
        enough = all(each.effective_sample_size >= 4.0 and each.background >= 1 for each in bins.bins)
        return bins.significance if enough else 0.0

    best = max(worth(float(cut)) for cut in score)
    assert worth(edges[1]) == pytest.approx(best, rel=1e-9)
    alone = choose_bins(score, is_signal, weight, requirements, most=2)
    assert alone != edges


@pytest.mark.parametrize("relative", [0.0, 0.1])
def test_the_interval_of_a_significance_is_that_of_drawn_units(relative: float) -> None:
    """Of 2000 bootstrap samples of the units; events of one unit lie in different bins."""
    rng = np.random.default_rng(3)
    units = np.repeat(np.arange(1000), 3)
    is_signal, place = units % 4 == 0, rng.integers(0, 3, 3000)
    weight = np.where(is_signal, 0.01, 0.05)

    def bins(counts: np.ndarray) -> list[Counts]:
        found = []
        for number in range(3):
            sums = np.bincount(units, counts * weight * (place == number) * ~is_signal)
            signal = float((counts * weight)[(place == number) & is_signal].sum())
            # a unit that is drawn twice is two units
            squares = (sums**2 / np.maximum(counts[::3], 1)).sum()
            found.append(Counts(signal, sums.sum(), np.sqrt(squares), 0.0, 100.0, None))
        return found

    whole = bins(np.ones(3000))
    low, high = compute_significance_influence(
        whole, place, is_signal, weight, relative, units=units
    ).interval
    drawn = draw_poisson_counts(2000, 3000, rng, units)
    spread = np.std([combine_significances(bins(counts.astype(float)), relative) for counts in drawn.T])
    # 2000 samples know a spread to 1.6%
    assert (high - low) / 2 == pytest.approx(spread, rel=0.06)
    assert (low + high) / 2 == pytest.approx(combine_significances(whole, relative))
    events = compute_significance_influence(whole, place, is_signal, weight, relative).interval
    assert events[1] - events[0] < 0.8 * (high - low)


@pytest.mark.parametrize("relative", [0.0, 0.2])
def test_the_influences_on_a_significance_are_its_derivatives(relative: float) -> None:
    """A unit that counts more often adds the square of its sum to the variance as often; a weight adds to the sum."""
    rng = np.random.default_rng(17)
    units, bin_index = np.repeat(np.arange(40), 3), rng.integers(0, 3, 120)
    is_signal, weight = units % 4 == 0, rng.uniform(0.2, 1.0, 120)

    def bins(times: np.ndarray, factor: np.ndarray) -> list[Counts]:
        counts = []
        for number in range(3):
            inside = weight * factor * (bin_index == number)
            of_unit = np.bincount(units, inside * ~is_signal)
            signal, variance = times[units] @ (inside * is_signal), times @ of_unit**2
            counts.append(Counts(signal, times @ of_unit, np.sqrt(variance), 0.0, 100.0, None))
        return counts

    def derivative(times: np.ndarray, factor: np.ndarray, step: float = 1e-3) -> float:
        ends = [bins(1 + sign * step * times, 1 + sign * step * factor) for sign in (1, -1)]
        above, below = (combine_significances(counts, relative) for counts in ends)
        return (above - below) / (2 * step)

    once, all_events = np.zeros(40), np.zeros(120)
    influence = compute_significance_influence(
        bins(once + 1, all_events + 1), bin_index, is_signal, weight, relative, units=units
    )
    of_units = [derivative(unit, all_events) for unit in np.eye(40)]
    np.testing.assert_allclose(np.bincount(units, influence.of_event), of_units, rtol=1e-3, atol=1e-6)
    of_weights = [derivative(once, event) for event in np.eye(120)]
    np.testing.assert_allclose(influence.of_weight, of_weights, rtol=1e-3, atol=1e-6)


def test_a_search_propagates_units_through_all_bins() -> None:
    score, is_signal, weight, units = search(2000)
    events = ScoredEvents(
        np.stack([1 - score, score], axis=1),
        is_signal.astype(np.int32),
        np.abs(weight),
        np.ones(len(score)),
        event_id=units.astype(np.uint64),
    )
    found = compute_expected_significance(events, events, [1])
    assert len(found.binning.bins) > 1
    for name, influence in found.influences(events).items():
        assert found.intervals[name] == pytest.approx(influence.interval)
    low, high = found.intervals["cut"]
    assert (high - low) / 2 == pytest.approx(found.after_cut.significance_error, rel=1e-4)


def test_cut_and_bins_need_enough_units() -> None:
    """Of the background at high scores all events are of few units: a cut there seems to have enough events."""
    rng = np.random.default_rng(5)
    is_signal = np.arange(2000) % 2 == 1
    score = np.where(is_signal, rng.beta(4, 1, 2000), rng.random(2000))
    units = np.where(score > 0.6, np.arange(2000) % 12, 100 + np.arange(2000))

    def find(identity: np.ndarray, weight: np.ndarray) -> ExpectedSignificance:
        class_index = is_signal.astype(np.int32)
        scores = np.stack([1 - score, score], axis=1)
        events = ScoredEvents(scores, class_index, weight, np.ones(2000), event_id=identity.astype(np.uint64))
        return compute_expected_significance(events, events, [1])

    weight = np.full(2000, 0.1)
    found = find(units, weight)
    assert found.cut == scan_cuts(score, is_signal, weight, units=units).best
    assert found.cut < scan_cuts(score, is_signal, weight).best
    assert found.binning is not None
    assert find(np.arange(2000) % 16, weight).binning is None
    assert find(np.arange(2000), weight).binning is not None


def test_correlations_are_those_of_explicit_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tamis.statistics.correlations._ROWS_AT_ONCE", 64)
    rng = np.random.default_rng(4)
    units = rng.permutation(np.repeat(np.arange(200), 5))
    x = rng.normal(size=(1000, 3)) + rng.normal(size=(200, 3))[units]
    x[:, 1] += x[:, 0]
    x[rng.random((1000, 3)) < 0.1] = np.nan
    weight = rng.uniform(0.5, 1.5, 1000) * np.where(rng.random(1000) < 0.1, -1, 1)
    rows = np.flatnonzero(rng.random(1000) < 0.8)
    found = compute_correlations(x, weight, rows, units=units)
    np.testing.assert_array_equal(found.matrix, compute_correlations(x, weight, rows).matrix)
    for first, second in ((0, 1), (0, 2), (2, 1)):
        both = rows[np.isfinite(x[rows][:, [first, second]]).all(axis=1)]
        w, total = weight[both], weight[both].sum()
        z = []
        for column in (first, second):
            offset = x[both, column] - w @ x[both, column] / total
            z.append(offset / np.sqrt(w @ offset**2 / total))
        r = w @ (z[0] * z[1]) / total
        of_event = w * (z[0] * z[1] - r * (z[0] ** 2 + z[1] ** 2) / 2) / total
        assert found.error[first, second] == pytest.approx(np.sqrt(brute_force(of_event, units[both])))


def test_few_units_have_no_correlation() -> None:
    x = np.random.default_rng(1).normal(size=(1000, 2))
    assert np.isfinite(compute_correlations(x, np.ones(1000)).matrix).all()
    assert np.isnan(compute_correlations(x, np.ones(1000), units=np.arange(1000) % 2).matrix).all()


def test_a_limit_counts_units() -> None:
    classes, units = np.repeat([0, 1], 500), np.arange(1000) // 5
    expected = compute_efficiency_limit(np.repeat([0, 1], 100), np.full(200, 5.0))
    assert compute_efficiency_limit(classes, np.ones(1000), units=units) == pytest.approx(expected)


def assert_fires(p_values: list[float], at_least: float = 0.0, at_most: float = 0.05) -> None:
    """Compare how often p <= 0.05 with a range of probabilities, by an exact binomial bound of 1e-6 at each end."""
    number = len(p_values)
    fired = int(np.count_nonzero(np.array(p_values) <= 0.05))
    assert stats.binom.cdf(fired, number, at_least) > 1e-6, fired
    assert stats.binom.sf(fired - 1, number, at_most) > 1e-6, fired


def clustered(rng: np.random.Generator, units: int, size: int, common: float) -> tuple[Any, Any]:
    """Give normal values of units whose events have a part in common, and the units."""
    number = np.repeat(np.arange(units), size)
    values = np.sqrt(common) * rng.normal(size=units)[number]
    return values + np.sqrt(1 - common) * rng.normal(size=units * size), number


@pytest.mark.parametrize(
    ("common", "at_least", "without"), [(0.9, 0.02, 0.5), (0.3, 0.02, 0.15), (0.0, 0.02, 0.02)]
)
def test_smirnov_fires_as_often_as_it_says(common: float, at_least: float, without: float) -> None:
    """In 400 toys of two samples of 100 and 60 units of six events: a rate of 15% is noticed at 99%."""
    rng = np.random.default_rng(6)
    with_units, alone = [], []
    for _ in range(400):
        samples = [clustered(rng, units, 6, common) for units in (100, 60)]
        arguments = [array for values, _ in samples for array in (values, np.ones(len(values)))]
        units = samples[0][1], samples[1][1]
        with_units.append(compute_kolmogorov_smirnov(*arguments, units=units).p_value)
        alone.append(compute_kolmogorov_smirnov(*arguments).p_value)
    assert_fires(with_units, at_least)
    assert np.mean(np.array(alone) <= 0.05) >= without


@pytest.mark.parametrize("common", [1.0, 0.5, 0.0])
def test_smirnov_has_the_variance_of_explicit_sums(common: float) -> None:
    rng = np.random.default_rng(12)
    samples = []
    for number in (80, 50):
        values, units = clustered(rng, number, 4, common)
        order = rng.permutation(len(values))
        weight = rng.uniform(0.5, 1.5, len(values)) * np.where(values > 0, 3, 1)
        samples.append((values[order], weight[order], units[order]))
    everywhere = np.sort(np.concatenate([values for values, *_ in samples]))
    sums, numbers = [], []
    for values, weight, units in samples:
        of_unit = np.zeros((units.max() + 1, len(everywhere)))
        np.add.at(of_unit, units, weight[:, None] * (values[:, None] <= everywhere))
        whole = of_unit[:, -1]
        square = (whole**2).sum()
        share = of_unit.sum(axis=0) / whole.sum()
        sums.append([share, (of_unit**2).sum(axis=0) / square, whole @ of_unit / square])
        numbers.append(whole.sum() ** 2 / square)
    share, spread, shared = np.average(sums, axis=0, weights=numbers)
    variance = spread - 2 * share * shared + share**2
    least = 0.25 + (spread - shared)[np.argmin(np.abs(share - 0.5))]
    (first, first_weight, first_units), (second, second_weight, second_units) = samples
    found = compute_kolmogorov_smirnov(
        first, first_weight, second, second_weight, units=(first_units, second_units)
    )
    root = np.sqrt(numbers[0] * numbers[1] / sum(numbers))
    scale = 2 * np.sqrt(max(least, variance.max()))
    expected = special.kolmogorov((root + 0.12 + 0.11 / root) * found.distance / scale)
    assert found.p_value == pytest.approx(expected)
    assert (found.training_effective_sample_size, found.test_effective_sample_size) == pytest.approx(
        tuple(numbers)
    )


def test_reliability_knows_which_bins_share_units() -> None:
    rng = np.random.default_rng(13)
    noise, units = clustered(rng, 300, 4, 0.7)
    is_class = (rng.random(300) < 0.5)[units]
    score = special.expit(np.where(is_class, 0.5, -0.5) + noise)
    weight = rng.uniform(0.5, 1.5, 1200)
    found = compute_reliability(score, is_class, weight, bins=6, units=units)
    deviations = np.array([(each.fraction - each.score) / each.error for each in found.bins])
    inside = np.array([(score >= each.low) & (score <= each.high) for each in found.bins])
    of_unit = np.zeros((6, 300))
    for number in range(6):
        np.add.at(of_unit[number], units, inside[number] * weight * (is_class - score))
    products = of_unit @ of_unit.T
    correlation = products / np.sqrt(np.outer(np.diag(products), np.diag(products)))
    inflation = (correlation**2).sum() / 6
    assert inflation > 1.1
    # J. Rao and A. Scott, Ann. Stat. 12 (1984) 46, from what is found; ours simulates what exact scores would give
    expected = stats.chi2.sf((deviations**2).sum() / inflation, 6 / inflation)
    assert found.p_value == pytest.approx(expected, abs=0.05)


def test_reliability_of_few_units_has_their_errors() -> None:
    rng = np.random.default_rng(14)
    score, weight, copies = rng.random(12), rng.uniform(0.5, 1.5, 12), np.repeat(np.arange(12), 5)
    is_class = np.arange(12) % 3 == 0
    once = compute_reliability(score, is_class, weight, bins=2)
    several = compute_reliability(score[copies], is_class[copies], weight[copies] / 5, bins=2, units=copies)
    errors = [[(each.error, each.expected_sample_size) for each in found.bins] for found in (several, once)]
    np.testing.assert_allclose(*errors)


@pytest.mark.parametrize(
    ("common", "at_least"),
    [
        (1.0, 0.03),
        pytest.param(0.5, 0.003, marks=pytest.mark.slow),
        pytest.param(0.0, 0.003, marks=pytest.mark.slow),
    ],
)
def test_reliability_fires_no_more_often_than_it_says(common: float, at_least: float) -> None:
    """In 300 toys of 500 units of four events, of one score or of several: a rate of 19% is noticed at 99%."""
    rng = np.random.default_rng(7)
    with_units, alone = [], []
    for _ in range(300):
        noise, units = clustered(rng, 500, 4, common)
        is_class = (rng.random(500) < 0.5)[units]
        # two Gaussians at +-1/2: the logarithm of the ratio of the densities is x
        score = special.expit(np.where(is_class, 0.5, -0.5) + noise)
        arguments = score, is_class, np.ones(2000)
        with_units.append(compute_reliability(*arguments, bins=6, units=units).p_value)
        alone.append(compute_reliability(*arguments, bins=6).p_value)
    assert_fires(with_units, at_least, 0.06)
    assert np.mean(np.array(alone) <= 0.05) > 0.1


@pytest.mark.parametrize("common", [1.0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_dependence_fires_as_often_as_it_says(common: float) -> None:
    """In 100 toys of 40 units of five events with similar values: a rate of 29% is noticed at 99%."""
    rng = np.random.default_rng(8)
    with_units, alone = [], []
    for _ in range(100):
        spectator, units = clustered(rng, 40, 5, common)
        score, _ = clustered(rng, 40, 5, common)
        weight = rng.uniform(0.5, 1.5, 200)
        with_units.append(compute_dependence(spectator, score, weight, rng, units=units).p_value)
        alone.append(compute_dependence(spectator, score, weight, rng).p_value)
    assert_fires(with_units, 0.05)
    assert np.mean(np.array(alone) <= 0.05) > 0.1


def test_dependence_draws_one_event_of_each_unit() -> None:
    rng = np.random.default_rng(9)
    units = rng.permutation(np.repeat(np.arange(30), 10)) * 2
    found = compute_dependence(rng.normal(size=300), rng.random(300), np.ones(300), rng, units=units)
    assert found.events == 30
    # one event of each unit has nearly all of its weight: it is drawn
    weight = np.full(300, 1e-12)
    weight[np.unique(units, return_index=True)[1]] = 1.0
    heavy = weight == 1.0
    spectator = rng.normal(size=300)
    score = np.where(heavy, spectator, 0.0)
    found = compute_dependence(spectator, score, weight, rng, units=units)
    assert found.distance_correlation > 0.999
    assert compute_dependence(spectator, score, np.ones(300), rng, units=units % 9) is None


def test_dependence_counts_a_unit_by_the_weights_of_all_its_events() -> None:
    rng = np.random.default_rng(15)
    times = rng.integers(1, 9, 50)
    copies = np.repeat(np.arange(50), times)
    spectator, score = rng.normal(size=(2, 50))
    found = compute_dependence(
        spectator[copies], score[copies], np.ones(len(copies)), np.random.default_rng(1), units=copies
    )
    assert found == compute_dependence(spectator, score, times.astype(float), np.random.default_rng(1))


def test_means_of_slices_share_their_units() -> None:
    """What all events of a unit have in common falls out of the difference of two slices that share it."""
    rng = np.random.default_rng(10)
    units = np.repeat(np.arange(60), 2)
    score = np.tile([0.2, 0.8], 60)
    shifts, alone, errors = [], [], []
    for _ in range(200):
        spectator = 5 * rng.normal(size=60)[units] + rng.normal(size=120)
        (found,) = measure_sculpting(
            {"mass": spectator}, score, np.zeros(120, int), np.ones(120), ["all"], [], rng, units=units
        )
        shifts.append(found.shift.significance)
        means, _ = compute_slices(spectator, score, np.ones(120), units=units)
        alone.append(compute_shift(spectator, np.ones(120), means).significance)
        errors.append((spectator[::2] - spectator[1::2]).mean() / found.shift.significance)
    # a normal deviation is beyond one 31.7% of the time
    assert abs(np.mean(np.array(shifts) > 1) - 0.317) < 5 * np.sqrt(0.317 * 0.683 / 200)
    assert np.mean(np.array(alone) > 1) < 0.01
    assert np.abs(errors).mean() == pytest.approx(np.sqrt(2 / 60), rel=0.05)


def test_events_outside_count_by_units() -> None:
    """In 1000 toys the expected number is the mean, and a rate of 11% is noticed at 99%."""
    rng = np.random.default_rng(11)
    numbers, expected, p_values, alone = [], [], [], []
    for _ in range(1000):
        values, units = clustered(rng, 60, 5, 0.8)
        test = (rng.permutation(60) < 20)[units]
        masks = TrainTestMasks(((~test, test),), (~test, test))
        found = count_outside(values, np.ones(300), masks, units=units)
        numbers.append(found.events)
        expected.append(found.expected)
        p_values.append(found.p_value)
        alone.append(count_outside(values, np.ones(300), masks).p_value)
    error = np.std(numbers) / np.sqrt(1000)
    assert abs(np.mean(numbers) - np.mean(expected)) < 5 * error
    assert_fires(p_values)
    assert np.mean(np.array(alone) <= 0.05) > 0.1


def test_a_unit_in_training_and_test_is_one_in_each() -> None:
    """So it is with folds by a column that is not the identity."""
    rng = np.random.default_rng(16)
    values, test = rng.normal(size=200), np.arange(200) % 2 == 1
    masks = TrainTestMasks(((~test, test),), (~test, test))
    found = count_outside(values, np.ones(200), masks, units=np.arange(200) // 2)
    assert found == count_outside(values, np.ones(200), masks)
