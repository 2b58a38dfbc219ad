"""Intervals cover as often as they say, down to 25 effective events, near bounds and with spread and signed weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from tamis.statistics.importance import compute_permutation_importance
from tamis.statistics.influence import compute_influences, compute_standard_errors
from tamis.statistics.intervals import (
    combine_degrees_of_freedom,
    compute_bootstrap_interval,
    compute_central_interval,
    compute_degrees_of_freedom,
    compute_half_widths,
    compute_interval,
    compute_student_factors,
    has_area_interval,
)
from tamis.statistics.scored import ScoredEvents
from tamis.statistics.split_metrics import (
    Intervals,
    compute_bootstrap_intervals,
    compute_first_order,
    compute_split_metrics,
)

CASES = {
    # events of signal and background, distance of the two Gaussians, sigma of the weights, share of negative ones
    "50 signal events, AUC 0.997": (50, 1000, 3.9, 0.0, 0.0),
    "25 signal events": (25, 500, 2.0, 0.0, 0.0),
    "sigma 1.3": (250, 1000, 2.0, 1.3, 0.0),
    "sigma 1.3, AUC 0.997": (250, 1000, 3.9, 1.3, 0.0),
    "30% negative": (300, 1000, 1.5, 0.0, 0.3),
}
POINTS = (0.5, 0.9)


def toy(case: str, rng: np.random.Generator) -> ScoredEvents:
    """Two Gaussians with the posterior of equal shares as the score."""
    signal, background, distance, sigma, negative = CASES[case]
    class_index = np.repeat([1, 0], [signal, background]).astype(np.int32)
    number = signal + background
    score = special.expit(distance * (rng.normal(size=number) + distance * (class_index - 0.5)))
    weight = rng.lognormal(0, sigma, number) * np.where(rng.random(number) < negative, -1, 1)
    return ScoredEvents(np.stack([1 - score, score], axis=1), class_index, weight, np.ones(number))


def truths(case: str) -> dict[str, float]:
    """Integrate over the densities of the two classes."""
    distance = CASES[case][2]
    x = np.linspace(-9, 9, 20_001)
    density = stats.norm.pdf(x)
    # in standard deviations from its own mean, both classes have the same distribution of losses
    loss = np.trapezoid(density * np.logaddexp(0, -distance * (x + distance / 2)), x)
    right = float(stats.norm.cdf(distance / 2))
    return {
        "loss": float(loss),
        "accuracy": right,
        "area": float(stats.norm.cdf(distance / np.sqrt(2))),
        **{f"{point}": float(stats.norm.sf(distance + stats.norm.isf(point))) for point in POINTS},
    }


def covered(found: Intervals, truth: dict[str, float]) -> dict[str, bool]:
    """Say which intervals that are quoted hold the truth."""
    intervals = {"loss": found.loss, "accuracy": found.accuracy, "area": found.auc[1]}
    return {name: each[0] <= truth[name] <= each[1] for name, each in intervals.items() if each is not None}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["bootstrap", "first order"])
def test_intervals_of_quoted_numbers_cover(case: str, kind: str, rates: Any) -> None:
    truth, toys = truths(case), rates.toys(60)
    inside: dict[str, list[bool]] = {"loss": [], "accuracy": [], "area": []}
    for number in range(toys):
        rng = np.random.default_rng((number, 1))
        events = toy(case, rng)
        found = (
            compute_bootstrap_intervals(events, events.weight, rng)
            if kind == "bootstrap"
            else compute_first_order(events, [events.weight])[0].intervals()
        )
        for name, each in covered(found, truth).items():
            inside[name].append(each)
    for name, each in inside.items():
        # nearly all toys have enough effective events
        assert len(each) >= 0.85 * toys
        count = round(np.mean(each) * toys)
        rates.check(count, toys, (0.64, 0.75), finds=(0.19, 1.0), what=f"{kind} interval of the {name}")


def test_below_25_effective_events_no_interval_is_quoted() -> None:
    rng = np.random.default_rng(1)
    for signal, quoted in ((25, True), (24, False)):
        class_index = np.repeat([1, 0], [signal, 200]).astype(np.int32)
        score = special.expit(rng.normal(class_index - 0.5))
        events = ScoredEvents(
            np.stack([1 - score, score], axis=1), class_index, np.ones(len(score)), np.ones(len(score))
        )
        for found in (
            compute_bootstrap_intervals(events, events.weight, rng),
            compute_first_order(events, [events.weight])[0].intervals(),
        ):
            assert [each is not None for each in found.auc] == [quoted] * 2
            assert found.loss is not None
    assert not has_area_interval(class_index == 1, np.where(class_index == 1, -1.0, 1.0))


def test_an_interval_stays_inside_the_bounds_of_its_number() -> None:
    low, high = compute_interval(0.999, 0.01, "logit")
    assert 0 < low < 0.999 < high < 1
    assert compute_interval(0.01, 0.02, "log")[0] > 0
    assert compute_interval(1.0, 0.0, "logit") is None
    # to first order all scales are one
    for scale in ("linear", "log", "logit"):
        assert compute_interval(0.5, 1e-4, scale) == pytest.approx((0.4999, 0.5001), rel=1e-6)


def test_replicas_give_their_width_on_the_scale() -> None:
    replicas = special.expit(np.linspace(-1, 1, 1001))
    low, high = compute_bootstrap_interval(0.9, replicas, 1.5, "logit")
    assert (special.logit(high) - special.logit(low)) / 2 == pytest.approx(1.5 * 0.683, rel=0.01)
    assert (special.logit(high) + special.logit(low)) / 2 == pytest.approx(special.logit(0.9))
    assert compute_bootstrap_interval(0.9, [0.5, np.nan], 1.0, "logit") is None
    assert compute_bootstrap_interval(0.9, np.r_[np.full(50, 0.8), np.ones(50)], 1.0, "logit")[1] == 1.0
    # with signed weights an area may be above one
    assert compute_bootstrap_interval(1.001, np.linspace(0.999, 1.003, 1000), 1.0, "logit")[1] > 1.001


def test_an_interval_leaves_out_as_much_on_both_sides() -> None:
    assert compute_central_interval(np.arange(1001)) == pytest.approx((158.5, 841.5))


@pytest.mark.parametrize("replicas", [[1.0, np.nan], []])
def test_undefined_replicas_have_no_interval(replicas: list[float]) -> None:
    assert compute_central_interval(replicas) is None


def test_few_large_influences_widen_an_interval() -> None:
    rng = np.random.default_rng(3)
    spread = rng.lognormal(0, 2, (200, 1))
    few, many = (compute_degrees_of_freedom(influences) for influences in (spread, rng.normal(size=(200, 1))))
    assert compute_student_factors(few) > 1.05 > 1.01 > compute_student_factors(many)
    # two events of one unit are one
    units = np.repeat(np.arange(200), 2)
    np.testing.assert_allclose(compute_degrees_of_freedom(np.repeat(spread / 2, 2, axis=0), units), few)


def test_a_difference_has_the_freedom_of_the_influences_of_both() -> None:
    rng = np.random.default_rng(3)
    parts = [rng.lognormal(0, sigma, (number, 2)) for sigma, number in ((1, 30), (0.3, 200))]
    errors, freedoms = (
        [measure(one) for one in parts] for measure in (compute_standard_errors, compute_degrees_of_freedom)
    )
    joined = compute_degrees_of_freedom(np.concatenate(parts))
    np.testing.assert_allclose(combine_degrees_of_freedom(errors, freedoms), joined)
    assert combine_degrees_of_freedom([0.0, 0.0], [5.0, 5.0]) == 1


@pytest.mark.parametrize("sigma", [0.0, 1.3])
def test_the_interval_of_an_irrelevant_feature_holds_zero(sigma: float, rates: Any) -> None:
    """A feature that the scores follow, and that says nothing: on average its exchange changes nothing."""

    def predict(features: np.ndarray) -> np.ndarray:
        first, second = features.T
        signal = special.expit(1.5 * first + 0.3 * second + 0.15 * first * second)
        return np.stack([1 - signal, signal], axis=1)

    toys = rates.toys(100)
    inside = {"loss": 0, "area": 0}
    for number in range(toys):
        rng = np.random.default_rng((number, 2))
        class_index = rng.integers(0, 2, 1000)
        features = np.stack([rng.normal(class_index - 0.5), rng.normal(size=1000)], axis=1)
        weight = rng.lognormal(0, sigma, 1000)
        found = compute_permutation_importance(
            predict, features.astype(np.float32), class_index, weight, ["used", "useless"], rng,
            groups=[("used",), ("useless",)],
        )  # fmt: skip
        (change,) = (each.drop for each in found if each.features == ("useless",))
        inside["loss"] += change.loss_interval[0] <= 0 <= change.loss_interval[1]
        inside["area"] += change.auc_interval[1][0] <= 0 <= change.auc_interval[1][1]
    for name, count in inside.items():
        rates.check(count, toys, (0.64, 0.73), finds=(0.28, 0.98), what=f"irrelevant feature, {name}")


@pytest.mark.parametrize("weight", [0.1, 0.3, 0.7, 1.0])
def test_loss_and_accuracy_have_intervals_from_50_effective_events_on(weight: float) -> None:
    rng = np.random.default_rng(1)
    for events, quoted in ((49, False), (50, True)):
        class_index = (np.arange(events) % 2).astype(np.int32)
        score = special.expit(rng.normal(class_index - 0.5))
        scored = ScoredEvents(
            np.stack([1 - score, score], axis=1), class_index, np.full(events, weight), np.ones(events)
        )
        (found,) = compute_first_order(scored, [scored.weight])
        assert found.known[:2].tolist() == [quoted] * 2


def test_a_number_at_its_bound_has_no_interval_in_any_mixture() -> None:
    class_index = np.repeat([0, 1], 200).astype(np.int32)
    scores = np.stack([1.0 - class_index, class_index], axis=1) * 0.98 + 0.01
    events = ScoredEvents(scores, class_index, np.ones(400), np.ones(400))
    (found,) = compute_first_order(events, [events.weight])
    drawn = compute_bootstrap_intervals(events, events.weight, np.random.default_rng(1))
    for each in (found.intervals(), drawn):
        assert each.accuracy is None
        assert each.auc == (None, None)


def mixed(seed: int = 4, number: int = 300) -> ScoredEvents:
    """Three classes; in the learned mixture one heavy event of the first leaves it few effective ones."""
    rng = np.random.default_rng(seed)
    class_index = np.arange(number, dtype=np.int32) % 3
    scores = special.softmax(rng.normal(size=(number, 3)) + np.eye(3)[class_index], axis=1)
    factor = np.where(np.arange(number) == 0, 100.0, 1.0)
    return ScoredEvents(scores, class_index, rng.uniform(0.5, 1.5, number), factor)


def test_errors_to_first_order_are_those_of_the_influences_in_each_mixture() -> None:
    events = mixed()
    found = compute_split_metrics(events)
    for first_order, weight in ((found.physics, events.weight), (found.balanced, events.balanced_weight)):
        expected = compute_influences(events.scores, events.class_index, weight)
        np.testing.assert_allclose(first_order.value, expected.value)
        np.testing.assert_allclose(first_order.error, compute_half_widths(expected.of_event))
        np.testing.assert_allclose(first_order.freedom, compute_degrees_of_freedom(expected.of_event))


def test_each_mixture_and_class_has_events_enough_of_its_own() -> None:
    found = compute_split_metrics(mixed())
    assert found.physics.known.all()
    # the heavy event is one of the rest for the other classes, too
    assert not found.balanced.known.any()
    few = mixed().take(np.arange(300) % 3 + np.arange(300) // 3 * (np.arange(300) % 3 == 0) < 24)
    assert np.bincount(few.class_index).tolist() == [24, 100, 100]
    intervals = compute_bootstrap_intervals(few, few.weight * 0 + 1, np.random.default_rng(1))
    assert [each is not None for each in intervals.auc] == [False, True, True]


def test_several_events_of_one_identity_do_not_make_a_class_known() -> None:
    events = mixed(number=150)
    assert compute_first_order(events, [events.weight])[0].known.all()
    pairs = replace(events, event_id=(np.arange(150) // 9).astype(np.uint64))
    assert not compute_first_order(pairs, [np.ones(150)])[0].known[2:].all()


@pytest.mark.parametrize(("events", "known"), [(50, True), (49, False)])
def test_loss_and_accuracy_have_intervals_from_fifty_effective_events(events: int, known: bool) -> None:
    first_order = compute_first_order(mixed(number=events), [np.ones(events)])[0]
    assert first_order.known[:2].tolist() == [known] * 2


@pytest.mark.parametrize("freedom", [4, 25])
def test_the_factor_is_the_quantile_of_the_distribution_of_student(freedom: int) -> None:
    expected = stats.t.ppf((1 + 0.683) / 2, freedom)
    assert compute_degrees_of_freedom(np.ones((freedom, 1)))[0] == freedom
    assert compute_student_factors(freedom) == pytest.approx(expected, rel=1e-6)


def test_a_loss_has_an_interval_that_is_symmetric_in_its_logarithm() -> None:
    found = compute_first_order(mixed(), [np.ones(300)])[0]
    value, width = found.value[0], found.error[0] / found.value[0]
    assert found.intervals().loss == pytest.approx((value * np.exp(-width), value * np.exp(width)))


def test_the_factor_of_student_widens_bootstrap_intervals() -> None:
    events = mixed()
    (known,) = compute_first_order(events, [events.weight])
    widths = [
        np.log(found.loss[1] / found.loss[0])
        for freedom in (np.full_like(known.freedom, 1e9), np.ones_like(known.freedom))
        for found in [
            compute_bootstrap_intervals(
                events, events.weight, np.random.default_rng(1), known=replace(known, freedom=freedom)
            )
        ]
    ]
    ratio = compute_student_factors(1.0) / compute_student_factors(1e9)
    assert widths[1] == pytest.approx(ratio * widths[0])


@pytest.mark.parametrize(
    ("fewest", "copies", "first_order"), [(1000, 1, True), (999, 1, False), (500, 2, False), (1000, 2, True)]
)
def test_from_a_thousand_effective_events_of_each_class_first_order_is_enough(
    fewest: int, copies: int, first_order: bool
) -> None:
    rng = np.random.default_rng(2)
    class_index = np.repeat([0, 1], [fewest * copies, 3000]).astype(np.int32)
    signal = special.expit(rng.normal(class_index - 0.5))
    events = ScoredEvents(
        np.stack([1 - signal, signal], axis=1), class_index, rng.uniform(0.1, 1, len(signal)),
        np.ones(len(signal)),
        event_id=np.r_[np.arange(fewest * copies) // copies, np.arange(3000)].astype(np.uint64),
    )  # fmt: skip
    weight = np.ones(len(signal))
    found = compute_bootstrap_intervals(events, weight, rng)
    assert (found == compute_first_order(events, [weight])[0].intervals()) == first_order
