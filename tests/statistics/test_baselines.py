"""The network beside other classifiers: the same numbers as elsewhere, and paired intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tamis.statistics.arrays import compute_signal_score
from tamis.statistics.baselines import BackgroundRatio, compare_baselines
from tamis.statistics.metrics import compute_metrics
from tamis.statistics.roc import compute_roc_curve, compute_working_points
from tamis.statistics.scored import ScoredEvents

Float64 = NDArray[np.float64]


def softmax(logits: Float64) -> Float64:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def two_classifiers(seed: int, events: int = 3000, noise: float = 0.3) -> tuple[ScoredEvents, Float64]:
    """Two classifiers that look at the same values, the second with some noise."""
    rng = np.random.default_rng(seed)
    class_index = (np.arange(events) % 3).astype(np.int32)
    logits = 1.5 * (rng.normal(size=(events, 3)) + 1.5 * np.eye(3)[class_index])
    worse = logits + noise * rng.normal(size=(events, 3))
    weight = np.where(rng.random(events) < 0.1, -1.0, 1.0) * (1.0 + class_index)
    factor = np.array([6.0, 3.0, 2.0])[class_index]
    return ScoredEvents(softmax(logits), class_index, weight, factor), softmax(worse)


def test_every_number_is_that_of_the_metrics() -> None:
    test, other = two_classifiers(1)
    _, (found,) = compare_baselines(test, {"xgboost": other}, [1, 2], [0.5])
    for mixture, weight in ((found.physics, test.weight), (found.balanced, test.balanced_weight)):
        assert mixture is not None
        network, baseline = (
            compute_metrics(scores, test.class_index, weight) for scores in (test.scores, other)
        )
        assert mixture.loss.value == pytest.approx(baseline.loss)
        assert mixture.loss.difference == pytest.approx(network.loss - baseline.loss)
        assert mixture.accuracy.value == pytest.approx(baseline.accuracy)
        assert mixture.accuracy.difference == pytest.approx(network.accuracy - baseline.accuracy)
        for area, own, its in zip(mixture.auc, baseline.auc, network.auc, strict=True):
            assert area is not None
            assert own is not None
            assert its is not None
            assert area.value == pytest.approx(own)
            assert area.difference == pytest.approx(its - own)
            assert area.interval is not None
            assert area.interval[0] < area.value < area.interval[1]
    of_signal = test.class_index > 0
    curves = [
        compute_roc_curve(scores[:, 1:].sum(axis=1), of_signal, test.weight)
        for scores in (test.scores, other)
    ]
    assert found.signal.auc.value == pytest.approx(curves[1].auc)
    assert found.signal.auc.difference == pytest.approx(curves[0].auc - curves[1].auc)
    assert found.signal.network_auc == pytest.approx(curves[0].auc)
    assert found.signal.working_points[0].target == 0.5


def test_a_paired_interval_is_narrower_than_an_unpaired_one() -> None:
    test, other = two_classifiers(2)
    _, (found,) = compare_baselines(test, {"logistic": other}, [2], [0.5])
    # the same classifier on both sides of a comparison with the network's own interval
    _, (alone,) = compare_baselines(test, {"logistic": test.scores}, [2], [0.5])
    assert found.balanced is not None
    assert alone.balanced is not None
    for own, network in ((found.balanced.loss, alone.balanced.loss), (found.signal.auc, alone.signal.auc)):
        widths = [width(own.interval), width(network.interval)]
        unpaired = np.hypot(*widths)
        assert width(own.difference_interval) < 0.5 * unpaired
    # a classifier does not differ from itself
    assert alone.signal.auc.difference == 0
    assert alone.signal.auc.difference_interval == (0, 0)
    assert alone.balanced.loss.difference_interval == (0, 0)


def test_backgrounds_are_compared_at_the_same_signal_efficiency() -> None:
    test, other = two_classifiers(3, noise=0.6)
    steps = np.rint(8 * other[:, 2]) / 8  # the cut of a few steps keeps more signal than was requested
    scored = {"same": test.scores, "worse": other, "steps": steps}
    same, worse, few = (
        numbers.signal.background_ratios for numbers in compare_baselines(test, scored, [2], [0.3, 0.7])[1]
    )
    assert [point.ratio for point in same] == [1, 1]
    # fewer than 10 effective events pass the first cut
    assert [point.interval for point in same] == [None, (1, 1)]
    assert worse[1].ratio is not None
    assert worse[1].interval is not None
    assert worse[1].interval[0] < worse[1].ratio < worse[1].interval[1] < 1
    for point in few:
        assert point.ratio is not None
        curves = [
            compute_roc_curve(score, test.class_index == 2, test.weight)
            for score in (test.scores[:, 2], steps)
        ]
        network, baseline = (
            compute_working_points(curve, [point.signal_efficiency])[0].background_efficiency
            for curve in curves
        )
        assert point.ratio == pytest.approx(network / baseline)
        assert point.signal_efficiency > point.target + 0.001


def width(interval: tuple[float, float] | None) -> float:
    assert interval is not None
    return interval[1] - interval[0]


def test_intervals_of_differences_cover(rates: Any) -> None:
    """Of two classifiers with no true difference, the interval holds zero as often as it says."""
    holds, toys = np.zeros(2), rates.toys(80)
    for seed in range(toys):
        rng = np.random.default_rng(seed)
        class_index = (np.arange(400) % 2).astype(np.int32)
        common = rng.normal(size=400) + class_index
        scores = [
            softmax(np.stack([-each, each], axis=1)) for each in common + 0.7 * rng.normal(size=(2, 400))
        ]
        test = ScoredEvents(scores[0], class_index, rng.uniform(0.5, 1.5, 400), np.ones(400))
        _, (found,) = compare_baselines(test, {"xgboost": scores[1]}, [1], [0.5])
        assert found.physics is not None
        for number, each in enumerate((found.physics.loss, found.signal.auc)):
            low, high = each.difference_interval or (np.nan, np.nan)
            holds[number] += low <= 0 <= high
    # unpaired intervals would hold zero nearly always
    rates.check(holds, toys, 0.683, finds=(0.28, 0.98), what="difference of two equal classifiers: loss, AUC")


def test_intervals_of_ratios_of_backgrounds_cover(rates: Any) -> None:
    def measure(seed: int, events: int) -> BackgroundRatio:
        test, other = two_classifiers(seed, events)
        return compare_baselines(test, {"xgboost": other}, [2], [0.8])[1][0].signal.background_ratios[0]

    true, toys = measure(0, 300_000).ratio, rates.toys(200)
    covered = np.zeros(1)
    for seed in range(1, toys + 1):
        low, high = measure(seed, 3000).interval or (np.nan, np.nan)
        covered += low <= true <= high
    rates.check(covered, toys, 0.683, finds=(0.43, 0.9), what="ratio of the backgrounds of two classifiers")


def test_events_of_one_identity_vary_together() -> None:
    test, other = two_classifiers(3, events=1500)
    twice = np.repeat(np.arange(1500), 2)
    doubled = ScoredEvents(
        test.scores[twice], test.class_index[twice], test.weight[twice], test.class_weight[twice],
        event_id=twice.astype(np.uint64),
    )  # fmt: skip
    apart = ScoredEvents(doubled.scores, doubled.class_index, doubled.weight, doubled.class_weight)
    widths = []
    for events, scores in ((test, other), (doubled, other[twice]), (apart, other[twice])):
        _, (found,) = compare_baselines(events, {"xgboost": scores}, [2], [0.5])
        assert found.balanced is not None
        widths.append(width(found.balanced.loss.difference_interval))
    assert widths[1] == pytest.approx(widths[0], rel=0.25)
    assert widths[2] == pytest.approx(widths[0] / np.sqrt(2), rel=0.25)


def test_a_discriminant_has_an_area_and_no_loss() -> None:
    test, other = two_classifiers(4)
    discriminant = np.rint(20 * other[:, 2]) / 20
    _, results = compare_baselines(test, {"cuts": discriminant, "xgboost": other}, [2], [0.5, 0.9])
    cuts, trees = results
    assert (cuts.name, trees.name) == ("cuts", "xgboost")
    assert cuts.physics is None
    assert trees.physics is not None
    assert cuts.signal.auc.value == pytest.approx(
        compute_roc_curve(discriminant, test.class_index == 2, test.weight).auc
    )
    assert cuts.balanced is None
    assert cuts.signal.auc.difference > 0


def test_the_signal_score_stays_a_probability() -> None:
    scores = np.array([[0.0, 0.5, 0.5000001], [1.0, 0.0, 0.0]], np.float32)
    assert compute_signal_score(scores, [1, 2]).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("events", "known"), [(24, False), (25, True)])
def test_a_class_of_few_events_has_no_interval(events: int, known: bool) -> None:
    many, other = two_classifiers(5)
    rows = np.r_[np.flatnonzero(many.class_index != 1), np.flatnonzero(many.class_index == 1)[:events]]
    test = many.take(rows).reweighted(np.ones(len(rows)))
    _, (found,) = compare_baselines(test, {"xgboost": other[rows]}, [1], [0.5])
    assert found.physics is not None
    few = [each for each in (found.physics.auc[1], found.signal.auc) if each is not None]
    assert len(few) == 2
    for each in few:
        assert (each.interval is not None, each.difference_interval is not None) == (known, known)
    assert found.physics.auc[0] is not None
    assert found.physics.auc[0].interval is not None
