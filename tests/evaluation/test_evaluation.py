"""One classifier on one set of events: which events and which weights each result is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tamis.evaluation.evaluation import SearchPlan, evaluate_classifier
from tamis.evaluation.limit import distance_to_limit
from tamis.evaluation.metrics import measure
from tamis.evaluation.results import Evaluation
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.stability import Unseen

CLASSES = ("a", "b", "c")
FACTOR = np.array([0.25, 1.0, 12.0])
SHARES = {"training": (0.6, 0.3, 0.1), "validation": (0.5, 0.2, 0.3), "test": (0.2, 0.5, 0.3)}
PLAN = SearchPlan(signal=(2,), events_per_weight=3.0)


def part(name: str, number: int = 500, seed: int = 1) -> ScoredEvents:
    """Scores that are worse for the class with the large factor; every part has classes of other sizes."""
    rng = np.random.default_rng((seed, len(name)))
    class_index = np.r_[0, 1, 2, rng.choice(3, number - 3, p=SHARES[name])].astype(np.int32)
    density = rng.normal(size=(number, 3)) + 1.5 * np.eye(3)[class_index]
    logits = density * [1.0, 1.0, 0.3] + rng.normal(0, 0.3, (number, 3))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return ScoredEvents(
        scores, class_index, rng.uniform(0.2, 1.5, number), FACTOR[class_index],
        reference=dict(zip(CLASSES, density.T, strict=True)), identity=np.arange(number, dtype=np.uint64),
    )  # fmt: skip


PARTS = {name: part(name) for name in SHARES}


def evaluated(**options: object) -> Evaluation:
    given = {"densities": True, "plan": PLAN, "working_points": (0.5,), **options}
    parts = given.pop("parts", PARTS)
    return evaluate_classifier(parts, CLASSES, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluated()


def sums(events: ScoredEvents) -> np.ndarray:
    return np.bincount(events.class_index, events.weight, 3)


def yields(evaluation: Evaluation) -> np.ndarray:
    assert evaluation.search is not None
    return np.sum([each.yields for each in evaluation.search.categories], axis=0)


def test_a_search_counts_all_used_events(evaluation: Evaluation) -> None:
    everything = np.sum([sums(each) for each in PARTS.values()], axis=0)
    np.testing.assert_allclose(yields(evaluation), 3.0 * everything)
    binned = np.sum(evaluation.search.yields.numbers, axis=1)
    np.testing.assert_allclose(binned, 3.0 * everything)


def test_a_search_counts_what_was_dropped_from_the_training() -> None:
    left_out = np.array([-5.0, 0.0, -1.5])
    found = evaluated(left_out=left_out)
    everything = np.sum([sums(each) for each in PARTS.values()], axis=0)
    np.testing.assert_allclose(yields(found), 3.0 * (everything + left_out))
    # other kinds of events in training and test are not compared
    assert found.verdict is None


def test_a_cross_training_counts_each_event_once() -> None:
    compared = {name: replace(each, compared=np.ones(len(each), bool)) for name, each in PARTS.items()}
    np.testing.assert_allclose(yields(evaluated(parts=compared)), 3.0 * sums(PARTS["test"]))


def test_other_test_events_choose_no_other_cut(evaluation: Evaluation) -> None:
    test = PARTS["test"]
    # other scores of the same events: the expected yields stay as they are
    other = evaluated(parts={**PARTS, "test": replace(test, scores=test.scores[:, [2, 0, 1]])})
    assert other.search.cut == evaluation.search.cut
    assert other.search.binning.edges == evaluation.search.binning.edges
    assert other.search.behind_cut != evaluation.search.behind_cut
    assert other.calibration.temperature == evaluation.calibration.temperature
    validation = PARTS["validation"]
    chosen = evaluated(
        parts={**PARTS, "validation": replace(validation, scores=np.roll(validation.scores, 1, axis=1))}
    )
    assert chosen.search.cut != evaluation.search.cut
    assert chosen.calibration.temperature != evaluation.calibration.temperature


@pytest.mark.parametrize("name", SHARES)
def test_each_mixture_has_its_own_numbers_and_intervals(evaluation: Evaluation, name: str) -> None:
    events, found = PARTS[name], evaluation.parts[name]
    weights = {"physics": events.weight, "balanced": events.weight * events.factor}
    for mixture, weight in weights.items():
        assert getattr(found, mixture) == measure(events.scores, events.class_index, weight)
        low, high = evaluation.intervals[name][mixture].loss
        assert low < getattr(found, mixture).loss < high
    # the intervals are narrower than the mixtures are apart, so that neither has that of the other
    low, high = evaluation.intervals[name]["balanced"].loss
    assert not low < found.physics.loss < high


def test_the_limit_is_that_of_the_mixture_that_was_learned(evaluation: Evaluation) -> None:
    test = PARTS["test"]
    weight = test.weight * test.factor
    density = np.stack([test.reference[name] for name in CLASSES], axis=1)
    shares = np.bincount(test.class_index, weight, 3)
    assert evaluation.limit == distance_to_limit(test.scores, density, shares, test.class_index, weight)
    assert evaluation.limit.network == evaluation.parts["test"].balanced


def test_the_verdict_compares_in_the_mixture_that_was_learned(evaluation: Evaluation) -> None:
    loss = evaluation.verdict.comparisons[0]
    assert loss.training == pytest.approx(evaluation.parts["training"].balanced.loss, rel=1e-12)
    assert loss.test == pytest.approx(evaluation.parts["test"].balanced.loss, rel=1e-12)


def test_only_events_that_are_in_one_part_alone_are_compared() -> None:
    rows = {name: np.arange(len(each)) % 3 > 0 for name, each in PARTS.items()}
    found = evaluated(parts={name: replace(each, compared=rows[name]) for name, each in PARTS.items()})
    expected = [
        measure(each.scores, each.class_index, each.learned_weight)
        for each in (PARTS[name].take(rows[name]) for name in ("training", "test"))
    ]
    loss = found.verdict.comparisons[0]
    assert [loss.training, loss.test] == pytest.approx([each.loss for each in expected])
    of_class = [
        PARTS[name].weight[rows[name] & (PARTS[name].class_index == 0)] for name in ("training", "test")
    ]
    sizes = [each.sum() ** 2 / np.square(each).sum() for each in of_class]
    test = found.overtraining[0][0]
    assert [test.effective_training, test.effective_test] == pytest.approx(sizes)


@pytest.mark.parametrize(("passing", "quoted"), [(3, True), (2, False)])
def test_a_rejection_has_an_interval_from_three_background_events_on(passing: int, quoted: bool) -> None:
    score = np.r_[np.linspace(0.3, 0.99, 200), np.full(passing, 0.9), np.linspace(0.01, 0.2, 200 - passing)]
    events = ScoredEvents(
        np.stack([1 - score, score], axis=1),
        np.repeat([1, 0], 200).astype(np.int32),
        np.ones(400),
        np.ones(400),
    )
    parts = dict.fromkeys(SHARES, events)
    (point,) = evaluate_classifier(parts, ("b", "s"), working_points=(0.5,)).working_points[1]
    assert point.background_efficiency == passing / 200
    assert (point.background_efficiency_interval is not None) == quoted


def test_the_networks_of_all_folds_are_judged_alone() -> None:
    groups = [Unseen(PARTS["test"], (PARTS["test"].scores,), fold) for fold in (0, 1)]
    found = evaluated(alone=groups)
    assert [each.fold for each in found.stability.members] == [0, 1]
