"""A spectator that follows the score is found, an independent one is not."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tamis.errors import TamisError
from tamis.statistics.sculpting import (
    LARGE,
    LARGE_SHIFT,
    SLICES,
    Dependence,
    Shift,
    Slice,
    _draw,
    compute_chance_distance,
    compute_dependence,
    compute_shape_distance,
    compute_shape_p_value,
    compute_shift,
    compute_slices,
)


def generator(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    "copy",
    [lambda x: x, lambda x: -x, lambda x: x**3, lambda x: (x - 0.5) ** 2],
    ids=["itself", "negative", "cube", "parabola"],
)
def test_a_copy_of_the_score_is_found(copy) -> None:
    score = generator().random(3000)
    found = compute_dependence(copy(score), score, np.ones(3000), generator())
    assert found is not None
    assert found.p_value == 0.002
    assert found.large
    assert found.distance_correlation > 0.4


def test_a_monotonous_copy_depends_wholly() -> None:
    score = generator().random(3000)
    found = compute_dependence(np.exp(3 * score), score, np.ones(3000), generator())
    assert found is not None
    assert found.distance_correlation == pytest.approx(1, abs=1e-3)


def drawn_weights(
    kind: str, score: np.ndarray, spectator: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw weights that depend on what their kind says."""
    match kind:
        case "varying":
            return rng.lognormal(0, 0.7, len(score))
        case "spread":
            return rng.lognormal(0, 1.3, len(score))
        case "signed":
            return rng.lognormal(0, 0.3, len(score)) * np.where(rng.random(len(score)) < 0.2, -1, 1)
        case "score":
            return np.exp(3 * score)
        case "spectator":
            return np.exp(3 * spectator)
        case "both":
            return np.exp(2 * score + 2 * spectator)
        case _:
            return np.ones(len(score))


WEIGHTS = ["unit", "varying", "spread", "signed", "score", "spectator", "both"]


@pytest.mark.parametrize("weights", WEIGHTS)
def test_an_independent_spectator_is_found_as_often_as_chance_has_it(weights: str, rates: Any) -> None:
    """A weight g(score) h(spectator) leaves them independent."""
    p_values, toys = [], rates.toys(100)
    for seed in range(toys):
        rng = generator(seed)
        spectator, score = rng.random((2, 400))
        weight = drawn_weights(weights, score, spectator, rng)
        found = compute_dependence(spectator, score, weight, rng, events=250)
        assert found is None or not (found.large and found.p_value > 0.01)
        p_values.append(1.0 if found is None else found.p_value)
    fired = int(np.sum(np.array(p_values) <= 0.05))
    rates.check(fired, toys, 0.05, finds=(None, 0.3), what="p up to 0.05, independent spectator")


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_spectator_that_follows_the_score_is_found(weights: str, rates: Any) -> None:
    """A rank correlation of 0.3 in 400 events, of which 250 are drawn."""
    found, toys = 0, rates.toys(40)
    for seed in range(toys):
        rng = generator(seed)
        noise, score = rng.random((2, 400))
        spectator = 0.25 * score + 0.75 * noise
        weight = drawn_weights(weights, score, spectator, rng)
        measured = compute_dependence(spectator, score, weight, rng, events=250)
        found += measured is not None and measured.p_value <= 0.05
    rates.check(found, toys, (0.7, 1.0), finds=(0.16, None), what="p up to 0.05, spectator that follows")


def test_weights_that_make_a_dependence_are_seen() -> None:
    # the events are independent, and their weighted distribution is not
    spectator, score = generator().random((2, 2000))
    weight = np.where((spectator > 0.5) == (score > 0.5), 1.0, 0.3)
    found = compute_dependence(spectator, score, weight, generator())
    assert found is not None
    assert found.p_value == 0.002


def test_negative_weights_take_a_dependence_away() -> None:
    # what follows the score has no weight left: each such event is there with both signs
    spectator, score = generator().random((2, 3000))
    follows = np.repeat(score[:500], 2)
    weight = np.concatenate([np.ones(3000), np.tile([1.0, -1.0], 500)])
    arrays = np.append(spectator, follows), np.append(score, follows), weight
    with_signs, without = (
        compute_dependence(*arrays[:2], each, generator()) for each in (weight, np.abs(weight))
    )
    assert without.p_value == 0.002
    assert with_signs.distance_correlation < without.distance_correlation / 2


def test_drawn_events_stand_for_those_that_are_not_drawn() -> None:
    """Two events are drawn for certain, the others in proportion to their sizes, so that they all get one size."""
    rng = generator()
    weight = np.r_[50.0, -40.0, rng.uniform(0.5, 2, 58) * rng.choice([1, 1, -1], 58)]
    rows, drawn = _draw(np.arange(60), weight, 10, rng)
    np.testing.assert_array_equal(drawn[rows < 2], weight[:2])
    assert 2 < len(rows) < 20
    size = np.abs(weight[2:]).sum() / 8
    np.testing.assert_allclose(drawn[rows >= 2], size * np.sign(weight[rows[rows >= 2]]))


def test_events_of_weight_zero_are_not_drawn() -> None:
    rng = generator()
    spectator, score = rng.normal(size=(2, 2000))
    weight = np.where(np.arange(2000) % 10 == 0, 1.5, 0.0)
    some = weight != 0
    dependence = compute_dependence(spectator, score, weight, generator(), events=300)
    assert dependence == compute_dependence(spectator[some], score[some], weight[some], generator())
    assert dependence.events == 200


def test_few_effective_events_give_no_answer() -> None:
    spectator, score = generator().random((2, 24))
    assert compute_dependence(spectator, score, np.ones(24), generator()) is None
    assert compute_dependence(spectator, score, np.r_[np.full(20, 1e-6), np.ones(4)], generator()) is None


def test_weights_decide_which_events_matter() -> None:
    rng = generator()
    score, noise = rng.random(2000), rng.random(2000)
    follows = np.arange(2000) % 2 == 0
    spectator = np.where(follows, score, noise)
    with_noise = compute_dependence(spectator, score, np.where(follows, 1e-3, 1.0), generator())
    with_copy = compute_dependence(spectator, score, np.where(follows, 1.0, 1e-3), generator())
    assert with_copy.distance_correlation > 0.9
    assert with_noise.distance_correlation < 0.2


@pytest.mark.parametrize("values", [np.full(100, 3.0), np.full(100, np.nan)])
def test_a_spectator_without_values_depends_on_nothing(values: np.ndarray) -> None:
    assert compute_dependence(values, generator().random(100), np.ones(100), generator()) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_slices_hold_every_event_once(seed: int, events: int) -> None:
    rng = generator(seed)
    score, spectator = rng.integers(0, 9, events) / 9, rng.normal(size=events)
    weight = rng.uniform(0.1, 2, events)
    found, _ = compute_slices(spectator, score, weight)
    assert len(found) <= SLICES
    assert all(a.high < b.low for a, b in itertools.pairwise(found))
    sums = [weight[(score >= each.low) & (score <= each.high)].sum() for each in found]
    assert np.dot(sums, [each.mean for each in found]) == pytest.approx(weight @ spectator, abs=1e-9)


def test_the_error_of_a_mean_covers(rates: Any) -> None:
    pulls, toys = [], rates.toys(300)
    for seed in range(toys):
        rng = generator(seed)
        weight = rng.lognormal(0, 0.5, 500) * np.where(rng.random(500) < 0.1, -1, 1)
        found, _ = compute_slices(rng.normal(7, 2, 500), rng.random(500), weight)
        pulls += [(each.mean - 7) / each.error for each in found]
    inside = np.sum(np.abs(pulls) < 1)
    rates.check(inside, SLICES * toys, 0.683, finds=(0.59, 0.77), what="mean of a spectator in a slice")


def test_the_error_of_a_mean_is_the_root_of_the_weighted_squares() -> None:
    values, weight = np.array([1.0, 2.0, 6.0, 3.0]), np.array([1.0, 2.0, 1.0, -0.5])
    (found,), _ = compute_slices(values, np.full(4, 0.1), weight)  # equal scores make one slice
    assert found.mean == pytest.approx(9.5 / 3.5)
    assert found.error == pytest.approx(np.sqrt(np.sum((weight * (values - 9.5 / 3.5)) ** 2)) / 3.5)


@pytest.mark.parametrize(("p_value", "correlation", "large"), [
    (0.01, 1.0, True), (0.02, 1.0, False), (0.01, LARGE, True), (0.01, LARGE * 0.999, False),
])  # fmt: skip
def test_a_dependence_is_large_from_the_bounds_on(p_value: float, correlation: float, large: bool) -> None:
    assert Dependence(correlation, p_value, 100).large == large


def shift(spectator: np.ndarray, score: np.ndarray) -> Shift | None:
    weight = np.ones(len(score))
    return compute_shift(spectator, weight, *compute_slices(spectator, score, weight))


def test_means_that_move_with_the_score_are_seen() -> None:
    rng = generator()
    score = rng.random(5000)
    assert shift(rng.normal(size=5000), score).significance < 5
    # the outer fifths are 0.8 apart, and each mean of 1000 events has a deviation of (1 + 0.2^2 / 12)^(1/2)
    expected = 0.8 / np.sqrt(2 * (1 + 0.04 / 12) / 1000)
    found = shift(score + rng.normal(size=5000), score)
    assert found.significance == pytest.approx(expected, abs=3)
    assert compute_shift([1.0, 1.0], [1.0, 1.0], [Slice(0, 1, 1.0, 0.0, 3.0)]) is None


def test_shapes_that_do_not_overlap_are_one_apart() -> None:
    values = np.r_[np.zeros(500), np.ones(500)] + generator().normal(0, 0.01, 1000)
    apart = compute_shape_distance(values, values > 0.5, np.ones(1000))
    # of half of the events that pass against all: sqrt(1 - log2(3) * 3/4 + 1/2)
    assert apart == pytest.approx(np.sqrt(1.5 - 0.75 * np.log2(3)), abs=1e-6)
    assert compute_shape_distance(values, np.ones(1000), np.ones(1000)) == 0.0
    random = compute_shape_distance(values, np.arange(1000) % 2, np.ones(1000))
    assert random < 0.15


def test_nothing_that_passes_has_no_shape() -> None:
    assert compute_shape_distance([1.0, 2.0], [0, 0], [1.0, 1.0]) is None
    assert compute_shape_distance([1.0, 2.0], [1, 1], [1.0, -1.0]) is None


def test_missing_values_are_left_out() -> None:
    found, _ = compute_slices([1.0, np.nan, 3.0], [0.1, 0.1, 0.1], [1.0, 1.0, 1.0])
    assert [each.mean for each in found] == [2.0]


def test_arrays_of_other_lengths_are_refused() -> None:
    with pytest.raises(TamisError):
        compute_slices([1.0, 2.0, 3.0], [0.1, 0.2], [1.0] * 3)


@pytest.mark.parametrize("value", [1e300, -1e300, np.inf, np.nan])
def test_a_value_that_is_no_measurement_is_missing(value: float) -> None:
    rng = np.random.default_rng(3)
    spectator, score, weight = rng.normal(size=500), rng.random(500), np.ones(500)
    wrong = np.arange(500) % 10 == 0
    found = compute_slices(np.where(wrong, value, spectator), score, weight)
    assert found == compute_slices(spectator[~wrong], score[~wrong], weight[~wrong])


@pytest.mark.parametrize(("significance", "size", "p_value", "large"), [
    (5.0, LARGE_SHIFT, 0.01, True), (5.0, LARGE_SHIFT * 0.999, 0.001, False), (2.0, 1.0, 0.0101, False),
    (5.0, None, 0.001, False), (5.0, 1.0, None, False),
])  # fmt: skip
def test_a_shift_is_large_from_the_bounds_on(
    significance: float, size: float | None, p_value: float | None, large: bool
) -> None:
    assert Shift(significance, size, p_value).large == large


@pytest.mark.parametrize("events", ["alone", "in pairs"])
def test_the_distance_by_chance_is_that_of_random_cuts(events: str) -> None:
    rng = generator(5)
    weight = rng.lognormal(0, 0.7, 1500) * np.where(rng.random(1500) < 0.1, -1.0, 1.0)
    spectator, units = rng.normal(size=1500), None
    if events == "in pairs":
        weight, spectator = np.repeat(weight, 2), np.repeat(spectator, 2)
        units = np.repeat(np.arange(1500), 2)
    distances, expected = [], []
    for _ in range(200):
        passes = rng.random(1500) < 0.4
        passes = np.repeat(passes, 2) if units is not None else passes
        distances.append(compute_shape_distance(spectator, passes, weight))
        expected.append(compute_chance_distance(spectator, passes, weight, units=units))
    # a mean of 200 numbers of 29 degrees of freedom: known to 2%
    assert np.mean(np.square(distances)) == pytest.approx(np.mean(np.square(expected)), rel=0.08)


def test_a_cut_that_nothing_passes_has_no_distance_by_chance() -> None:
    assert compute_chance_distance([1.0, 2.0], [0, 0], [1.0, 1.0]) is None
    # one of a thousand events has a distribution of its own, and no distance is above one
    assert compute_chance_distance(np.arange(1000.0), np.arange(1000) < 1, np.ones(1000)) == 1.0
    assert compute_chance_distance([1.0, 2.0], [1, 1], [1.0, -1.0]) is None


def test_the_mean_of_few_events_needs_the_distribution_of_student() -> None:
    """Of two means with 26 effective events each, three standard deviations are less rare than of known errors."""
    slices = [Slice(0, 1, 0.0, 1.0, 26.0), Slice(1, 2, 3 * np.sqrt(2), 1.0, 26.0)]
    found = compute_shift(np.arange(9.0), np.ones(9), slices)
    assert found.p_value == pytest.approx(2 * stats.t.sf(3, 50), rel=1e-9)
    assert found.p_value > 1.5 * 2 * stats.norm.sf(3)
    # the pair that is least likely by chance is quoted: here not the one with the most standard deviations
    wide = [Slice(0, 1, 0.0, 1.0, 1e6), Slice(1, 2, 6.1, 1.0, 1e6), Slice(2, 3, 30.0, 6.8, 26.0)]
    assert compute_shift(np.arange(9.0), np.ones(9), wide).significance == pytest.approx(6.1 / np.sqrt(2))


@pytest.mark.parametrize("spectator", ["normal", "exponential"])
@pytest.mark.parametrize("weights", ["equal", "log-normal", "negative"])
def test_few_events_rarely_shift_by_chance(weights: str, spectator: str, rates: Any) -> None:
    """Five slices of about 27 effective events each: with normal quantiles p <= 0.01 in up to 2% of the toys."""
    p_values, toys = [], rates.toys(400)
    number = {"equal": 135, "log-normal": 240, "negative": 440}[weights]
    for seed in range(toys):
        rng = generator(seed)
        weight = {
            "equal": np.ones(number),
            "log-normal": rng.lognormal(0, 0.7, number),
            "negative": np.where(rng.random(number) < 0.2, -1.0, 1.0),
        }[weights]
        values = rng.normal(size=number) if spectator == "normal" else rng.exponential(size=number)
        found = compute_shift(values, weight, *compute_slices(values, rng.random(number), weight))
        p_values.append(1.0 if found is None or found.p_value is None else found.p_value)
    for level, highest in ((0.05, 0.05), (0.01, 0.012)):
        count = int(np.sum(np.array(p_values) <= level))
        rates.check(
            count, toys, (0.0, highest), finds=FOUND[level], what=f"p up to {level:g}, {spectator} spectator"
        )


FOUND = {0.05: (None, 0.16), 0.01: (None, 0.08)}


@pytest.mark.parametrize("weights", ["unit", "varying", "signed", "spectator", "units"])
def test_a_cut_that_is_independent_of_the_spectator_is_found_as_often_as_chance_has_it(
    weights: str, rates: Any
) -> None:
    p_values, toys = [], rates.toys(1000)
    for seed in range(toys):
        rng = generator(seed)
        spectator, score = rng.random((2, 2000))
        weight = drawn_weights(weights, score, spectator, rng)
        units = np.arange(2000) // 2 if weights == "units" else None
        if units is not None:  # two equal events count as one
            spectator, score = spectator[units], score[units]
        p_values.append(compute_shape_p_value(spectator, score > 0.7, weight, units=units))
    fired = int(np.sum(np.array(p_values) <= 0.05))
    rates.check(fired, toys, (0.02, 0.06), finds=(0.0, 0.13), what="p up to 0.05, independent cut")


def test_a_cut_that_follows_the_spectator_is_found_and_needs_events_on_both_sides() -> None:
    spectator = generator().random(2000)
    p_value = compute_shape_p_value(spectator, spectator > 0.7, np.ones(2000))
    assert p_value is not None
    assert p_value < 1e-6
    assert compute_shape_p_value(spectator, spectator > 2, np.ones(2000)) is None
    assert compute_shape_p_value(spectator, spectator < 2, np.ones(2000)) is None


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("value", [0.0, 1.0, 125.3])
def test_a_constant_spectator_has_no_p_value_and_no_distance_by_chance(value: float, fraction: float) -> None:
    rng = generator()
    spectator, passes, weight = np.full(3000, value), rng.random(3000) < fraction, rng.lognormal(size=3000)
    assert compute_shape_p_value(spectator, passes, weight) is None
    assert compute_chance_distance(spectator, passes, weight) == 0


@pytest.mark.parametrize(("size", "known"), [(25.0, True), (24.9, False)])
def test_a_shift_has_a_p_value_from_25_effective_events_in_each_slice(size: float, known: bool) -> None:
    slices = [Slice(0.0, 0.5, 1.0, 0.1, 25.0), Slice(0.5, 1.0, 1.1, 0.1, size)]
    shift = compute_shift([0.0, 1.0, 2.0], [1.0] * 3, slices)
    assert (shift.p_value is not None) == known
