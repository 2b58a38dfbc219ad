"""The overtraining test fires at its nominal rate without overtraining, and finds a network that memorises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from tamis.config import Adam, Dense, Training
from tamis.network.network import build_network
from tamis.network.prediction import predict_scores
from tamis.statistics.influence import compute_influences
from tamis.statistics.intervals import compute_half_widths
from tamis.statistics.p_values import compute_corrected_p_values
from tamis.statistics.scored import ScoredEvents
from tamis.studies.overtraining.permutation import LEVEL, PermutationTest, compute_permutation_test
from tamis.studies.study import Undefined
from tamis.training.batches import WeightedInputs
from tamis.training.events import run_training
from tamis.training.fit import fit
from tamis.training.recipe import resolve_recipe
from tamis.wording import format_with_interval

NAMES = ("bkg", "sig")


def part(rng: np.random.Generator, number: int, weights: str, *, sharper: float = 1.0) -> ScoredEvents:
    """Events whose weights depend on the score; `sharper` is how much surer of itself the network is."""
    class_index = np.r_[[0, 1] * 5, rng.integers(0, 2, number - 10)].astype(np.int32)
    x = rng.normal(np.where(class_index == 1, 0.7, -0.7))
    signal = 1 / (1 + np.exp(-1.4 * sharper * x))
    weight = np.ones(number)
    if weights in ("varying", "signed"):
        weight = rng.lognormal(0.3 * x, 1.0)
    if weights == "signed":
        weight = weight * np.where(rng.random(number) < 0.1 + 0.1 * (x > 0), -1, 1)
    weight[:10] = 5.0
    scores = np.stack([1 - signal, signal], axis=1).astype(np.float32)
    return ScoredEvents(scores, class_index, weight, np.where(class_index == 1, 3.0, 1.0))


def judged(training: ScoredEvents, test: ScoredEvents, seed: Any = 1, **more: Any) -> PermutationTest:
    result = compute_permutation_test(training, test, NAMES, generator=np.random.default_rng(seed), **more)
    assert isinstance(result, PermutationTest)
    return result


@pytest.mark.parametrize("weights", ["unit", "varying", "signed"])
def test_it_fires_at_the_nominal_rate(weights: str, rates: Any) -> None:
    """With 19 permutations the smallest p-value is 1/20: the rate is 5%, as with 99 or 199."""
    fired, toys = [], rates.toys(600)
    for toy in range(toys):
        rng = np.random.default_rng((toy, 3))
        training, test = part(rng, 150, weights), part(rng, 100, weights)
        own = np.random.default_rng((toy, 4))
        result = compute_permutation_test(training, test, NAMES, generator=own, permutations=19)
        if isinstance(
            result, PermutationTest
        ):  # few heavy negative events can make the sum of a class negative
            fired.append(result.overtrained)
    assert len(fired) >= 0.995 * toys
    rates.check(
        sum(fired), toys, 0.05, finds=(0.0, 0.14), what="a network that is not overtrained is called so"
    )


@pytest.mark.parametrize("weights", ["unit", "varying", "signed"])
def test_it_finds_scores_that_are_too_sure_in_training(weights: str) -> None:
    rng = np.random.default_rng(5)
    found = [
        judged(part(rng, 1000, weights, sharper=2.5), part(rng, 1000, weights), toy).overtrained
        for toy in range(20)
    ]
    assert sum(found) >= 19


def test_a_network_that_memorises_is_found() -> None:
    rng = np.random.default_rng(6)
    class_index = rng.integers(0, 2, 600).astype(np.int32)
    inputs = (rng.normal(size=(600, 5)) + 0.3 * class_index[:, None]).astype(np.float32)
    learned = WeightedInputs(inputs[:300], class_index[:300], np.ones(300))
    network = build_network(5, 2, [Dense(nodes=64, activation="relu")] * 2, random=np.random.default_rng(0))
    settings = Training(
        optimizer=Adam(learning_rate=0.01), schedule="constant", ema_decay=None, batch_size=64, epochs=60,
        early_stopping=None,
    )  # fmt: skip
    trained = run_training(fit(network, learned, learned, resolve_recipe(settings, len(learned)), seed=1))
    scores = predict_scores(trained.network, inputs)
    ones = np.ones(300)
    result = judged(
        ScoredEvents(scores[:300], class_index[:300], ones, ones),
        ScoredEvents(scores[300:], class_index[300:], ones, ones),
    )
    assert result.overtrained
    assert result.p_value == pytest.approx(1 / 200)
    loss = next(each for each in result.comparisons if each.quantity == "loss")
    assert loss.interval is not None
    assert loss.difference < loss.interval[1] < 0
    assert result.sentence.startswith(
        "Overtrained (p <= 0.005, corrected for 8 comparisons): the balanced loss is "
    )
    assert result.sentence.endswith("; it deviates most.")
    assert f"{loss.training:.4f} in training and {loss.test:.4f} in test" in result.sentence
    digits = format_with_interval(loss.difference, loss.interval)[0].partition(".")[2]
    # no number stands twice
    worst = replace(loss, p_value=0.001, corrected_p_value=0.001)
    sentence = replace(result, comparisons=(worst, *result.comparisons[1:])).sentence
    assert sentence.count(f"{loss.difference:.{len(digits)}f}") == 1
    near = replace(loss, difference=1e-06, interval=(-2e-06, 4e-06))
    small = replace(result, comparisons=(near, *result.comparisons[1:]))
    assert "training minus test +0.0000010 (68.3% interval [-0.0000020, +0.0000040])" in small.sentence


def test_a_network_that_is_better_in_test_is_not_overtrained_in_its_loss() -> None:
    rng = np.random.default_rng(7)
    result = judged(part(rng, 500, "unit", sharper=0.2), part(rng, 500, "unit"))
    loss = next(each for each in result.comparisons if each.quantity == "loss")
    assert loss.difference > 0
    assert loss.p_value > 0.9


def test_the_same_events_in_both_parts_give_no_sign() -> None:
    events = part(np.random.default_rng(8), 300, "signed")
    result = judged(events, events)
    assert not result.overtrained
    assert all(each.difference == pytest.approx(0, abs=1e-12) for each in result.comparisons)
    assert result.sentence.startswith("No sign of overtraining (p = ")


def test_everything_that_is_quoted_is_compared() -> None:
    rng = np.random.default_rng(9)
    result = judged(part(rng, 200, "unit"), part(rng, 200, "unit"))
    kinds = [(each.quantity, each.class_name, each.score) for each in result.comparisons]
    assert kinds == [
        ("loss", None, None), ("accuracy", None, None), ("auc", "bkg", None), ("auc", "sig", None),
        ("score", "bkg", "bkg"), ("score", "bkg", "sig"), ("score", "sig", "bkg"), ("score", "sig", "sig"),
    ]  # fmt: skip
    for each in result.comparisons:
        assert 0 < each.p_value <= each.corrected_p_value <= 1
    assert result.p_value == min(each.corrected_p_value for each in result.comparisons)
    assert result.level == LEVEL
    assert len(result.comparisons) == 8


def test_the_result_depends_on_the_generator_alone() -> None:
    rng = np.random.default_rng(10)
    training, test = part(rng, 300, "signed"), part(rng, 300, "signed")
    assert judged(training, test, 1) == judged(training, test, 1)


def test_without_a_positive_sum_of_weights_there_is_no_test() -> None:
    events = part(np.random.default_rng(11), 100, "unit")
    nothing = ScoredEvents(
        events.scores, events.class_index, np.where(events.class_index == 0, -1.0, 1.0), events.class_weight
    )
    result = compute_permutation_test(events, nothing, NAMES, generator=np.random.default_rng(1))
    assert isinstance(result, Undefined)
    assert "a class has no positive sum of weights" in result.reason


def test_what_cannot_be_computed_counts_as_larger() -> None:
    single, corrected = compute_corrected_p_values(np.array([5.0]), np.array([[1.0], [np.nan], [2.0]]))
    assert single.tolist() == corrected.tolist() == [0.5]


def test_a_network_that_gives_all_events_the_same_scores_is_not_overtrained() -> None:
    # the sums differ by rounding alone
    for seed in range(10):
        rng = np.random.default_rng(seed)
        parts = []
        for number in (2000, 1000):
            class_index = rng.integers(0, 2, number).astype(np.int32)
            factor = np.where(class_index == 1, 1.37, 0.61)
            scores = np.full((number, 2), 0.5, np.float32)
            parts.append(ScoredEvents(scores, class_index, rng.exponential(size=number), factor))
        assert judged(*parts, seed).p_value == 1.0


def test_events_of_one_identity_are_exchanged_together(rates: Any) -> None:
    fired, toys = [], rates.toys(100)
    for toy in range(toys):
        rng = np.random.default_rng((toy, 9))
        parts = []
        for first in (0, 1000):
            few = part(rng, 100, "unit")
            again = np.repeat(np.arange(100), 4)
            parts.append(
                ScoredEvents(
                    few.scores[again],
                    few.class_index[again],
                    few.weight[again],
                    few.class_weight[again],
                    event_id=(again + first).astype(np.uint64),
                )
            )
        fired.append(judged(*parts, toy, permutations=19).overtrained)
    # single events would fire in most of the toys
    rates.check(sum(fired), toys, 0.05, finds=(None, 0.30), what="the same with four copies of each event")


@pytest.mark.parametrize("weights", ["unit", "varying", "signed"])
def test_class_factors_count_as_if_they_were_in_the_weights(weights: str) -> None:
    rng = np.random.default_rng(12)
    training, test = part(rng, 400, weights, sharper=1.3), part(rng, 300, weights)
    # powers of two, so that nothing is rounded otherwise
    parts = [
        replace(each, class_weight=np.where(each.class_index == 1, 8.0, 0.5)) for each in (training, test)
    ]
    inside = [replace(each, weight=each.balanced_weight, class_weight=np.ones(len(each))) for each in parts]
    found, expected = judged(*parts), judged(*inside)
    assert found == expected
    assert found.comparisons != judged(training, test).comparisons


def test_a_p_value_at_the_level_is_overtrained_and_one_above_is_not() -> None:
    rng = np.random.default_rng(13)
    training, test = part(rng, 400, "unit", sharper=4.0), part(rng, 400, "unit")
    # nothing deviates as much: the p-value is one in one more than the permutations
    assert judged(training, test, permutations=19).p_value == LEVEL
    assert judged(training, test, permutations=19).overtrained
    assert judged(training, test, permutations=18).p_value == 1 / 19
    assert not judged(training, test, permutations=18).overtrained


def test_a_permutation_that_deviates_as_much_counts() -> None:
    single, corrected = compute_corrected_p_values(np.array([2.0]), np.array([[2.0], [0.0], [1.0]]))
    assert single.tolist() == corrected.tolist() == [0.5]


def test_weights_that_are_lost_beside_others_give_no_test() -> None:
    rng = np.random.default_rng(3)
    training, test = part(rng, 300, "unit"), part(rng, 200, "unit")
    weight = training.weight.copy()
    weight[np.flatnonzero(training.class_index == 1)[:2]] = 1e30
    heavy = ScoredEvents(training.scores, training.class_index, weight, training.class_weight)
    own = np.random.default_rng(1)
    result = compute_permutation_test(heavy, test, NAMES, generator=own, permutations=19)
    assert isinstance(result, Undefined)
    assert "lost by rounding" in result.reason


def test_skewed_comparisons_do_not_hide_the_loss() -> None:
    # 98% of the losses are smaller; of 20 skewed distances one nearly always has a larger standardised number
    rng = np.random.default_rng(1)
    drawn = np.column_stack([rng.normal(size=1999), rng.exponential(size=(1999, 20)) ** 2])
    observed = np.r_[np.quantile(drawn[:, 0], 0.98), np.full(20, 0.5)]
    single, corrected = compute_corrected_p_values(observed, drawn)
    assert single[0] == pytest.approx(0.02, abs=0.003)
    # a quarter more for the share of the loss, and what the others add
    assert corrected[0] == pytest.approx(0.02 / 0.8, rel=0.35)
    standardised = (drawn - drawn.mean(axis=0)) / drawn.std(axis=0)
    assert np.mean(standardised.max(axis=1) >= (observed[0] - drawn[:, 0].mean()) / drawn[:, 0].std()) > 0.3


def test_the_other_comparisons_share_a_fifth_of_the_level() -> None:
    rng = np.random.default_rng(2)
    drawn = rng.normal(size=(9999, 5))
    found = [
        compute_corrected_p_values(np.r_[-3.0, size, -3.0, -3.0, -3.0], drawn)[1][1] for size in (2.5, 3.0)
    ]
    # the p-value of the largest of four, five times
    alone = 1 - stats.norm.cdf([2.5, 3.0]) ** 4
    assert found == pytest.approx(np.minimum(5 * alone, 1).tolist(), rel=0.25)


def memorised(rng: np.random.Generator, number: int, shift: float, kind: str = "") -> ScoredEvents:
    """Three classes whose logits are larger by `shift` for the true class than those of unseen events."""
    class_index = rng.integers(0, 3, number).astype(np.int32)
    logits = rng.normal(size=(number, 3))
    logits[np.arange(number), class_index] += 1.2 + shift
    scores = special.softmax(1.2 * logits, axis=1)
    if kind == "ties":
        scores = scores.round(1) + 1e-6
        scores /= scores.sum(axis=1, keepdims=True)
    weight = np.ones(number)
    if kind == "heavy":
        weight = rng.lognormal(0, 2, number) * np.where(rng.random(number) < 0.3, -1, 1)
    return ScoredEvents(scores.astype(np.float32), class_index, weight, np.ones(number))


def result_of(
    toy: int, number: int, shift: float, kind: str, permutations: int
) -> PermutationTest | Undefined:
    rng = np.random.default_rng((toy, 9))
    parts = memorised(rng, number, shift, kind), memorised(rng, number, 0.0, kind)
    return compute_permutation_test(*parts, "abc", generator=rng, permutations=permutations)


@pytest.mark.parametrize("kind", ["heavy", "ties"])
def test_it_holds_its_rate_for_200_events(kind: str, rates: Any) -> None:
    """Weights of sigma 2, 30% of them negative; and scores of eleven values."""
    toys, fired, toy = rates.toys(200), [], 0
    while len(fired) < toys:
        result = result_of(toy, 100, 0.0, kind, 19)
        toy += 1
        if isinstance(result, PermutationTest):  # a class whose weights have a negative sum
            fired.append(result.overtrained)
    rates.check(sum(fired), toys, 0.05, finds=(None, 0.21), what="overtrained, 200 events")


def test_mild_memorisation_of_1000_events_is_found(rates: Any) -> None:
    """The comparison of the losses alone finds it in about two of three cases."""
    toys = rates.toys(40)
    results = [result_of(toy, 500, 0.19, "", 99) for toy in range(toys)]
    found = sum(result.overtrained for result in results if isinstance(result, PermutationTest))
    rates.check(found, toys, (0.6, 1.0), finds=(0.09, None), what="mild memorisation is found")


def test_the_sentence_quotes_no_interval_where_there_are_too_few_events() -> None:
    rng = np.random.default_rng(1)
    few = judged(part(rng, 400, "unit"), part(rng, 40, "unit"))
    assert few is not None
    assert few.comparisons[0].interval is None
    assert "[" not in few.sentence
    assert "[" in judged(part(rng, 400, "unit"), part(rng, 400, "unit")).sentence


def test_a_distance_is_that_of_its_score_for_its_class() -> None:
    rng = np.random.default_rng(14)
    training, test = memorised(rng, 300, 0.5), memorised(rng, 200, 0.0)
    result = compute_permutation_test(training, test, "abc", generator=rng, permutations=19)
    for each in result.comparisons[5:]:
        true, score = "abc".index(each.class_name), "abc".index(each.score)
        parts = [part.scores[part.class_index == true, score] for part in (training, test)]
        assert each.difference == pytest.approx(stats.ks_2samp(*parts).statistic)


def test_the_error_of_a_difference_is_that_of_the_influences_of_both_parts() -> None:
    rng = np.random.default_rng(15)
    parts = part(rng, 400, "varying"), part(rng, 200, "varying")
    influences = [
        compute_influences(each.scores, each.class_index, each.balanced_weight).of_event for each in parts
    ]
    errors = compute_half_widths(np.concatenate([influences[0], -influences[1]]))
    for each, error in zip(judged(*parts, permutations=19).comparisons, errors, strict=False):
        assert each.interval == pytest.approx((each.difference - error, each.difference + error))


def test_a_difference_from_few_events_has_no_interval() -> None:
    rng = np.random.default_rng(16)
    many, few = part(rng, 400, "unit"), part(rng, 40, "unit")
    for parts in ((many, few), (few, many)):
        assert all(each.interval is None for each in judged(*parts, permutations=19).comparisons)


def crossed_toy(seed: int, number: int = 400, memory: float = 0.0) -> tuple[ScoredEvents, ScoredEvents]:
    """Score each event by two of four networks of different quality; the first learned from it, with some memory."""
    rng = np.random.default_rng((seed, 8))
    class_index = np.r_[[0, 1] * 5, rng.integers(0, 2, number - 10)].astype(np.int32)
    sign = 2.0 * class_index - 1
    x = rng.normal(0.7 * sign)
    out, seen = rng.permuted(np.tile(np.arange(4), (number, 1)), axis=1)[:, :2].T
    # the last network is bad: an imbalance of networks would look like overtraining
    logits = 1.4 * x + np.array([0.1, 0.1, 0.3, 2.0])[:, None] * rng.normal(size=(4, number))
    weight = rng.lognormal(0, 1, number)
    events = []
    for network, gain in ((seen, memory), (out, 0.0)):
        signal = special.expit(logits[network, np.arange(number)] + gain * sign)
        scores = np.stack([1 - signal, signal], axis=1)
        events.append(ScoredEvents(scores, class_index, weight, np.where(class_index == 1, 3.0, 1.0)))
    return events[0], events[1]


def test_pairs_of_scores_fire_at_the_nominal_rate(rates: Any) -> None:
    toys = rates.toys(300)
    fired = sum(
        judged(*crossed_toy(toy), toy, permutations=19, paired=True).overtrained for toy in range(toys)
    )
    rates.check(fired, toys, 0.05, finds=(0.0, 0.18), what="overtrained, pairs of scores")


def test_pairs_of_scores_find_what_independent_events_do_not() -> None:
    training, test = crossed_toy(1, 600, memory=0.3)
    paired = judged(training, test, paired=True)
    assert paired.overtrained
    half = np.arange(600) % 2 == 0
    assert not judged(training.take(half), test.take(~half)).overtrained
    loss, independent = (found.comparisons[0] for found in (paired, judged(training, test)))
    assert np.ptp(loss.interval) < np.ptp(independent.interval)


def test_the_error_of_a_difference_of_pairs_is_that_of_the_difference_of_influences() -> None:
    pair = crossed_toy(3)
    of_training, of_test = (
        compute_influences(events.scores, events.class_index, events.balanced_weight).of_event
        for events in pair
    )
    errors = compute_half_widths(of_training - of_test)
    comparisons = judged(*pair, permutations=19, paired=True).comparisons
    for comparison, error in zip(comparisons, errors.tolist(), strict=False):
        ends = comparison.difference - error, comparison.difference + error
        assert comparison.interval == pytest.approx(ends)


def test_copies_of_an_event_exchange_their_scores_together() -> None:
    training, test = crossed_toy(2, 100)
    copies = np.repeat(np.arange(100), 4)
    four, once = (
        judged(
            *(replace(events.take(rows), event_id=rows.astype(np.uint64), weight=events.weight[rows] / size)
              for events in (training, test)),
            paired=True,
        )
        for rows, size in ((copies, 4), (np.arange(100), 1))
    )  # fmt: skip
    assert four.comparisons[0].interval == pytest.approx(once.comparisons[0].interval)
