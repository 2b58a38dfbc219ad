"""Runs are compared on the same events or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.comparison.events import ScoredRun, align_class_weights, align_events, distinct_names
from tamis.errors import RequestError
from tamis.statistics.scored import ScoredEvents

CLASSES = ("a", "b", "c")


def run(name: str = "first", number: int = 60, seed: int = 1, repeated: int = 1) -> ScoredRun:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(3), number).astype(np.float32)
    class_index = rng.integers(0, 3, number).astype(np.int32)
    identity = np.arange(number, dtype=np.uint64) // np.uint64(repeated) * np.uint64(2**60 + 7)
    factor = np.array([1.0, 2.0, 5.0])[class_index]
    return ScoredRun(
        name, CLASSES, ScoredEvents(scores, class_index, rng.normal(1, 1, number), factor, event_id=identity)
    )


def taken(given_run: ScoredRun, rows: np.ndarray, name: str = "second") -> ScoredRun:
    each = given_run.events
    events = ScoredEvents(
        each.scores[rows],
        each.class_index[rows],
        each.weight[rows],
        each.class_weight[rows],
        event_id=each.event_id[rows],
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
    found = align_events([first, turned])
    assert found[1].class_names == CLASSES
    for name in ("scores", "class_index", "weight", "class_weight", "event_id"):
        np.testing.assert_array_equal(getattr(found[0].events, name), getattr(found[1].events, name))


def test_other_events_are_counted_with_repetitions() -> None:
    first = run(repeated=2)
    with pytest.raises(RequestError) as caught:
        align_events([first, taken(first, np.arange(57)), taken(first, np.r_[np.arange(60), 0, 0], "third")])
    text = str(caught.value)
    assert text.startswith("these runs cannot be compared with first: 2 problems")
    assert "second: it has other test events: 3 of the 60 of first are not among its 57, and 0 of" in text
    assert "third: it has other test events: 0 of the 60 of first are not among its 62, and 2 of" in text


def test_other_classes_and_weights_are_counted() -> None:
    first = run()
    class_index = first.events.class_index.copy()
    class_index[:4] = (class_index[:4] + 1) % 3
    weight = first.events.weight.copy()
    weight[10:15] *= 1.001
    runs = [first, changed(first, class_index=class_index), changed(first, "third", weight=weight)]
    with pytest.raises(RequestError) as caught:
        align_events(runs)
    assert "second: 4 of the 60 test events have another class" in str(caught.value)
    assert "third: 5 of the 60 test events have another weight" in str(caught.value)


def test_weights_that_differ_by_rounding_are_the_same() -> None:
    first = run()
    assert len(align_events([first, changed(first, weight=first.events.weight * (1 + 1e-12))])) == 2


def test_other_names_of_classes_are_told() -> None:
    first = run()
    with pytest.raises(RequestError):
        align_events([first, ScoredRun("second", ("a", "b", "d"), first.events)])


def test_no_identities_no_comparison() -> None:
    with pytest.raises(RequestError):
        align_events([changed(run(), "first", event_id=None)] * 2)


def test_scores_of_other_class_weights_are_converted_to_those_of_the_first_run() -> None:
    first = run()
    factors = np.array([1.0, 1.0, 1.0])
    odds = first.events.scores / np.array([1.0, 2.0, 5.0])
    other = changed(
        first,
        scores=(odds / odds.sum(axis=1, keepdims=True)).astype(np.float32),
        class_weight=factors[first.events.class_index],
    )
    (_, found), notes = align_class_weights([first, other])
    np.testing.assert_allclose(found.events.scores, first.events.scores, rtol=1e-5)
    np.testing.assert_array_equal(found.events.class_weight, first.events.class_weight)
    assert len(notes) == 1
    assert "second was trained with other class weights than first" in notes[0]
    (_, same), none = align_class_weights([first, changed(first)])
    assert none == ()
    assert same.events.scores is first.events.scores


def test_folders_of_one_name_are_told_apart_by_their_path() -> None:
    folders = [Path("/a/x/run"), Path("/b/x/run"), Path("/b/y/other")]
    assert distinct_names(folders) == ("a/x/run", "b/x/run", "b/y/other")
    with pytest.raises(RequestError):
        distinct_names([Path("/a/run"), Path("/a/run")])
