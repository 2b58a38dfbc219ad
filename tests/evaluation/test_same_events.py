"""Runs are compared on the same events or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.errors import RequestError
from tamis.evaluation.same_events import ScoredRun, in_one_mixture, same_events
from tamis.evaluation.scored import ScoredEvents

CLASSES = ("a", "b", "c")


def run(name: str = "first", number: int = 60, seed: int = 1, repeated: int = 1) -> ScoredRun:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(3), number).astype(np.float32)
    class_index = rng.integers(0, 3, number).astype(np.int32)
    identity = np.arange(number, dtype=np.uint64) // np.uint64(repeated) * np.uint64(2**60 + 7)
    factor = np.array([1.0, 2.0, 5.0])[class_index]
    return ScoredRun(
        name, CLASSES, ScoredEvents(scores, class_index, rng.normal(1, 1, number), factor, identity=identity)
    )


def taken(given_run: ScoredRun, rows: np.ndarray, name: str = "second") -> ScoredRun:
    each = given_run.events
    events = ScoredEvents(
        each.scores[rows],
        each.class_index[rows],
        each.weight[rows],
        each.factor[rows],
        identity=each.identity[rows],
    )
    return ScoredRun(name, given_run.class_names, events)


def changed(given_run: ScoredRun, name: str = "second", **columns: np.ndarray) -> ScoredRun:
    return ScoredRun(name, given_run.class_names, replace(given_run.events, **columns))


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_the_order_of_events_and_classes_does_not_matter(seed: int, repeated: int) -> None:
    first = run(repeated=repeated)
    rng = np.random.default_rng(seed)
    shuffled = taken(first, rng.permutation(60))
    order = rng.permutation(3)
    events = replace(
        shuffled.events,
        scores=shuffled.events.scores[:, order],
        class_index=np.argsort(order)[shuffled.events.class_index].astype(np.int32),
    )
    turned = ScoredRun("second", tuple(CLASSES[index] for index in order), events)
    found = same_events([first, turned])
    assert found[1].class_names == CLASSES
    for name in ("scores", "class_index", "weight", "factor", "identity"):
        np.testing.assert_array_equal(getattr(found[0].events, name), getattr(found[1].events, name))


def test_other_events_are_counted_with_repetitions() -> None:
    first = run(repeated=2)
    with pytest.raises(RequestError) as caught:
        same_events([first, taken(first, np.arange(57)), taken(first, np.r_[np.arange(60), 0, 0], "third")])
    text = str(caught.value)
    assert text.startswith("these runs cannot be compared with first: 2 problems")
    assert "second: its test events are others: 3 of the 60 of first are not among its 57, and 0 of" in text
    assert "third: its test events are others: 0 of the 60 of first are not among its 62, and 2 of" in text


def test_other_classes_and_weights_are_counted() -> None:
    first = run()
    class_index = first.events.class_index.copy()
    class_index[:4] = (class_index[:4] + 1) % 3
    weight = first.events.weight.copy()
    weight[10:15] *= 1.001
    runs = [first, changed(first, class_index=class_index), changed(first, "third", weight=weight)]
    with pytest.raises(RequestError) as caught:
        same_events(runs)
    assert "second: 4 of the 60 test events have another class" in str(caught.value)
    assert "third: 5 of the 60 test events have another weight" in str(caught.value)


def test_weights_that_differ_by_rounding_are_the_same() -> None:
    first = run()
    assert len(same_events([first, changed(first, weight=first.events.weight * (1 + 1e-12))])) == 2


def test_other_names_of_classes_are_told() -> None:
    first = run()
    with pytest.raises(RequestError, match="second: its classes are a, b, d, not a, b, c"):
        same_events([first, ScoredRun("second", ("a", "b", "d"), first.events)])


def test_no_identities_no_comparison() -> None:
    with pytest.raises(RequestError, match="first: its events have no identities"):
        same_events([changed(run(), "first", identity=None)] * 2)


def test_scores_of_other_training_factors_are_turned_into_the_first_mixture() -> None:
    first = run()
    factors = np.array([1.0, 1.0, 1.0])
    odds = first.events.scores / np.array([1.0, 2.0, 5.0])
    other = changed(
        first,
        scores=(odds / odds.sum(axis=1, keepdims=True)).astype(np.float32),
        factor=factors[first.events.class_index],
    )
    (_, found), notes = in_one_mixture([first, other])
    np.testing.assert_allclose(found.events.scores, first.events.scores, rtol=1e-5)
    np.testing.assert_array_equal(found.events.factor, first.events.factor)
    assert len(notes) == 1
    assert "second has other training factors than first" in notes[0]
    (_, same), none = in_one_mixture([first, changed(first)])
    assert none == []
    assert same.events.scores is first.events.scores
