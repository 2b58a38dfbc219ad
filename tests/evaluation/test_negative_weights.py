"""Negative weights against counting by hand, and their effect on numbers against toys."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tamis.evaluation.asimov import Requirements
from tamis.evaluation.influence import kept_influences
from tamis.evaluation.metrics import measure
from tamis.evaluation.negative_weights import Counted, judge_negative_weights, without_negative
from tamis.evaluation.roc import background_rejection, roc_curve
from tamis.evaluation.scored import ScoredEvents
from tamis.evaluation.search import judge_search

CLASSES = ("bkg", "sig")


def scored(number: int = 3000, seed: int = 1, negative: float = 0.2, *, shaped: bool = False) -> ScoredEvents:
    """Two classes; where `shaped`, the negative weights of the background lie at high signal scores."""
    rng = np.random.default_rng(seed)
    class_index = np.arange(number) % 2
    signal = 1 / (1 + np.exp(-rng.normal(2.0 * class_index - 1.0, 1.0)))
    probability = negative * (2 * signal if shaped else np.ones(number)) * (class_index == 0)
    weight = np.where(rng.random(number) < probability, -1.0, 1.0)
    scores = np.stack([1 - signal, signal], axis=1)
    return ScoredEvents(scores, class_index.astype(np.int32), weight, np.ones(number))


def test_nothing_is_said_where_there_are_none() -> None:
    assert judge_negative_weights(scored(negative=0.0), CLASSES, [0.5]) is None


def test_a_weight_of_zero_is_not_negative() -> None:
    events = scored(8)
    weight = np.array([2.0, 1.0, 0.0, 1.0, -0.0, 1.0, 1.0, 1.0])
    assert judge_negative_weights(replace(events, weight=weight), CLASSES, [0.5]) is None
    found = judge_negative_weights(replace(events, weight=np.append(weight[:7], -0.5)), CLASSES, [])
    assert (found.classes["bkg"].events, found.classes["sig"].events) == (0, 1)


def test_shares_are_those_that_are_counted() -> None:
    events = scored(8)
    weight = np.array([2.0, 1.0, -1.0, 1.0, 1.0, 1.0, -0.5, 1.0])
    found = judge_negative_weights(replace(events, weight=weight), CLASSES, [])
    background, signal = (found.classes[name] for name in CLASSES)
    assert (background.events, background.fraction) == (2, 0.5)
    assert background.share == pytest.approx(1.5 / 4.5)
    assert background.effective == pytest.approx(1.5**2 / 6.25)
    assert background.effective_without == pytest.approx(9 / 5)
    assert background.gained == pytest.approx(2.0)
    assert (signal.events, signal.share, signal.effective, signal.effective_without) == (0, 0.0, 4.0, 4.0)
    assert signal.gained == 1.0


def test_numbers_are_those_of_the_events_without_them() -> None:
    events = scored(8000, shaped=True)
    found = judge_negative_weights(events, CLASSES, [0.5, 0.9])
    kept = without_negative(events)
    np.testing.assert_allclose(
        [kept.weight[events.class_index == index].sum() for index in (0, 1)],
        [events.weight[events.class_index == index].sum() for index in (0, 1)],
    )
    pair = [measure(each.scores, each.class_index, each.weight) for each in (events, kept)]
    changes = {(each.quantity, each.of, each.target): each for each in found.changes}
    assert len(changes) == 2 + 2 + 2 * 2
    for quantity in ("loss", "accuracy"):
        each = changes[quantity, None, None]
        assert (each.quoted, each.without) == tuple(getattr(numbers, quantity) for numbers in pair)
    each = changes["auc", "sig", None]
    assert (each.quoted, each.without) == tuple(numbers.auc[1] for numbers in pair)
    # half of the background at high scores cancels: without the negative weights the classifier looks worse
    assert each.change < -5 * each.error
    assert changes["loss", None, None].change > 5 * changes["loss", None, None].error
    assert changes["background_efficiency", "sig", 0.5].change > 0


def test_negative_weights_that_know_nothing_of_the_score_change_nothing_but_by_chance(rates: Any) -> None:
    pulls, toys = [], rates.toys(400)
    for seed in range(toys):
        found = judge_negative_weights(scored(600, seed), CLASSES, [])
        pulls.append([each.change / each.error for each in found.changes])
    inside, above = (np.abs(pulls) < 1).sum(axis=0), (np.array(pulls) > 0).sum(axis=0)
    rates.check(inside, toys, 0.683, finds=(0.50, 0.84), what="change without negative weights")
    rates.check(above, toys, 0.5, finds=(0.32, 0.68), what="change without negative weights above zero")


def test_significances_are_compared_where_there_is_a_search() -> None:
    events, kept = scored(shaped=True), without_negative(scored(shaped=True))
    searches = tuple(judge_search(each, each, [1]) for each in (events, kept))
    counted = tuple(Counted(*pair) for pair in zip(searches, (events, kept), strict=True))
    found = judge_negative_weights(events, CLASSES, [], counted)
    changes = {each.of: each for each in found.changes if each.quantity == "significance"}
    assert set(changes) == {"cut", "bins", "categories"}
    assert changes["cut"].quoted == searches[0].behind_cut.significance
    assert changes["bins"].without == searches[1].binning.significance
    assert changes["categories"].change == searches[1].by_categories - searches[0].by_categories
    assert judge_negative_weights(events, CLASSES, [], (counted[0], None)).changes[-1].quantity == "auc"
    for each in changes.values():
        assert each.error > 0


@pytest.mark.parametrize("relative", [0.0, pytest.param(0.1, marks=pytest.mark.slow)])
def test_errors_of_changed_significances_and_working_points_are_their_spread(relative: float) -> None:
    """The cut and the bins are those of other events: 100 toys know a width to 7%."""
    chosen = scored(3000, 1000, shaped=True)
    changes, errors = [], []
    for seed in range(100):
        events = scored(3000, seed, shaped=True)
        both = (events, without_negative(events))
        searches = [
            judge_search(validation, each, [1], Requirements(relative=relative))
            for validation, each in zip((chosen, without_negative(chosen)), both, strict=True)
        ]
        counted = tuple(Counted(*pair) for pair in zip(searches, both, strict=True))
        found = judge_negative_weights(events, CLASSES, [0.5, 0.8], counted).changes
        changes.append([each.change for each in found])
        errors.append([each.error for each in found])
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(changes, axis=0), rtol=0.25)


def test_a_class_without_a_positive_sum_has_shares_alone() -> None:
    events = scored()
    weight = np.where(events.class_index == 0, -1.0, 1.0)
    found = judge_negative_weights(replace(events, weight=weight), CLASSES, [0.5])
    assert found.changes == ()
    assert found.classes["bkg"].gained is None
    assert found.sentence.startswith(
        "1,500 test events have negative weights. The largest fraction is that of bkg: 100.0% of its events"
    )


def test_the_sentence_and_the_json_say_the_same() -> None:
    found = judge_negative_weights(scored(shaped=True), CLASSES, [0.5])
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    loss = next(each for each in written["changes"] if each["quantity"] == "loss")
    assert written["sentence"] == found.sentence
    assert f"change the loss by {loss['change']:+.4f} +- {loss['error']:.4f}, the AUC of " in found.sentence
    assert loss["change"] == loss["without"] - loss["quoted"]


def test_the_error_of_a_change_is_that_of_its_derivatives_by_the_weights() -> None:
    events = scored(60, 3, negative=0.4, shaped=True)

    def changes(weight: np.ndarray) -> np.ndarray:
        found = judge_negative_weights(replace(events, weight=weight), CLASSES, [])
        return np.array([each.change for each in found.changes])

    slopes = []
    for event in range(60):
        step = np.where(np.arange(60) == event, 1e-6, 0.0) * events.weight
        slopes.append((changes(events.weight + step) - changes(events.weight - step)) / 2e-6)
    errors = [each.error for each in judge_negative_weights(events, CLASSES, []).changes]
    np.testing.assert_allclose(errors, np.sqrt(np.square(slopes).sum(axis=0)), rtol=1e-6)


def test_a_class_keeps_a_sum_that_has_an_error_itself() -> None:
    events, kept = scored(400, 3, 0.4, shaped=True), without_negative(scored(400, 3, 0.4, shaped=True))
    classes, searches = events.class_index, [judge_search(each, each, [1]) for each in (events, kept)]
    counted = tuple(map(Counted, searches, (events, kept)))
    found = {
        (each.quantity, each.of): each.error
        for each in judge_negative_weights(events, CLASSES, [0.5], counted).changes
    }

    def error(before: np.ndarray, after: np.ndarray, of_weight: np.ndarray) -> float:
        share = np.bincount(classes, of_weight) / np.bincount(classes, events.weight)
        return float(np.linalg.norm(after + (events.weight - kept.weight) * share[classes] - before))

    before, after = (
        search.influences(each)["categories"] for search, each in zip(searches, (events, kept), strict=True)
    )
    expected = error(before.of_event, after.of_event, after.of_weight)
    assert found["significance", "categories"] == pytest.approx(expected)
    quoted, changed = (
        kept_influences(each.scores[:, 1], classes == 1, each.weight, point.threshold, 0.5)
        for each in (events, kept)
        for point in background_rejection(roc_curve(each.scores[:, 1], classes == 1, each.weight), [0.5])
    )
    assert found["background_efficiency", "sig"] == pytest.approx(error(quoted, changed, changed))
