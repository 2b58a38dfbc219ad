"""Rectangular cuts: what they find, and what holds for all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tamis.baselines.cuts import FEWEST_EVENTS, PEEL, Cuts, find_cuts
from tamis.baselines.events import LabelledEvents
from tamis.errors import RequestError
from tamis.statistics.roc import compute_roc_curve

BOX = ((0.3, 0.5), (0.0, 1.0), (0.6, 1.0))


def box_events(seed: int, events: int = 20_000) -> LabelledEvents:
    """Background that is uniform in a cube, and signal in a box inside of it."""
    rng = np.random.default_rng(seed)
    class_index = (np.arange(events) % 2).astype(np.int32)
    low, high = np.array(BOX).T
    values = rng.uniform(size=(events, 3))
    inside = low + values * (high - low)
    features = np.where(class_index[:, None] == 1, inside, values).astype(np.float32)
    return LabelledEvents(features, class_index, np.ones(events))


def random_events(seed: int, events: int = 400) -> LabelledEvents:
    """Signed weights, equal and missing values, a feature that is the same for all."""
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 3, events).astype(np.int32)
    features = rng.normal(size=(events, 4)) + 0.8 * class_index[:, None]
    features[:, 1] = np.rint(features[:, 1])
    features[:, 2] = 1.0
    features[rng.random(events) < 0.2, 3] = np.nan
    weight = np.where(rng.random(events) < 0.15, -1.0, 1.0) * rng.uniform(0.5, 2.0, events)
    return LabelledEvents(features.astype(np.float32), class_index, weight)


def count_boxes(cuts: Cuts, features: NDArray[np.float32]) -> NDArray[np.intp]:
    """Count the boxes that contain each event, the slow way."""
    passed = np.ones((len(features), len(cuts)), np.bool_)
    for box in range(len(cuts)):
        for cut in cuts.intervals(box):
            values = features[:, cut.feature]
            passed[:, box] &= (values >= cut.low) & (values <= cut.high)  # NaN is neither
    return passed.sum(axis=1)


def test_a_box_is_found() -> None:
    cuts = find_cuts(box_events(1), [1])
    found = {cut.feature: (cut.low, cut.high) for cut in cuts.intervals(cuts.box(0.95))}
    assert set(found) == {0, 2}
    assert found[0] == pytest.approx((0.3, 0.5), abs=0.02)
    assert found[2] == pytest.approx((0.6, np.inf), abs=0.02)
    test = box_events(2)
    of_signal = test.class_index == 1
    passes = cuts.boxes_passed(test.features) > cuts.box(0.95)
    # the box has 0.2 * 0.4 of the background
    assert passes[of_signal].mean() == pytest.approx(0.95, abs=0.03)
    assert passes[~of_signal].mean() == pytest.approx(0.08, abs=0.01)
    # nothing can be better than half of the background inside the box
    curve = compute_roc_curve(cuts.scores(test.features), of_signal, test.weight)
    assert 0.95 < curve.auc < 0.96 + 0.003


@given(st.integers(0, 2**32 - 1))
def test_each_box_contains_the_next_one(seed: int) -> None:
    events = random_events(seed)
    cuts = find_cuts(events, [2])
    assert (cuts.low[1:] >= cuts.low[:-1]).all()
    assert (cuts.high[1:] <= cuts.high[:-1]).all()
    assert (np.diff(cuts.inside) < 0).all()
    assert cuts.inside[0] == pytest.approx(1)
    assert not cuts.intervals(0)
    # a feature that is the same for all tells nothing
    assert all(cut.feature != 2 for cut in cuts.intervals(len(cuts) - 1))
    passed = cuts.boxes_passed(events.features)
    np.testing.assert_array_equal(passed, count_boxes(cuts, events.features))
    # the discriminant says the same in other words
    order = np.argsort(passed, kind="stable")
    score = cuts.scores(events.features)
    np.testing.assert_array_equal(np.diff(score[order]) > 0, np.diff(passed[order]) > 0)
    assert score.min() >= 0
    assert score.max() < 1


@given(st.integers(0, 2**32 - 1))
def test_what_is_said_of_a_box_is_true(seed: int) -> None:
    events = random_events(seed)
    cuts = find_cuts(events, [1, 2])
    of_signal = events.class_index > 0
    passed = cuts.boxes_passed(events.features)
    size = np.abs(events.weight)
    ratios = []
    for box in range(len(cuts)):
        kept = passed > box
        signal = events.weight[kept & of_signal]
        assert cuts.signal_inside[box] == pytest.approx(signal.sum() / events.weight[of_signal].sum())
        shares = [size[kept & kind].sum() / size[kind].sum() for kind in (of_signal, ~of_signal)]
        assert cuts.inside[box] == pytest.approx(np.mean(shares))
        background = max(events.weight[kept & ~of_signal].sum(), 0) + size[~of_signal].mean()
        ratios.append(signal.sum() / background)
        if box:
            assert signal.sum() ** 2 / np.square(signal).sum() >= FEWEST_EVENTS * (1 - 1e-9)
    assert (np.diff(ratios) > 0).all()


def test_a_step_is_a_few_percent() -> None:
    events = box_events(3)
    cuts = find_cuts(events, [1])
    passed = cuts.boxes_passed(events.features)
    left = np.array([(passed > box).sum() for box in range(len(cuts))])
    removed = -np.diff(left) / left[:-1]
    assert (removed <= PEEL + 1e-9).all()
    assert (removed > PEEL - 3 / left[:-1]).all()


def test_equal_values_are_peeled_together() -> None:
    values = np.repeat([0.0, 1.0, 2.0], 1000).astype(np.float32)
    class_index = np.repeat([0, 1, 0], 1000).astype(np.int32)
    class_index[::10] = 1 - class_index[::10]
    cuts = find_cuts(LabelledEvents(values[:, None], class_index, np.ones(3000)), [1])
    assert len(cuts) == 3
    (cut,) = cuts.intervals(2)
    assert (cut.low, cut.high) == (1.0, 1.0)


def test_an_event_without_a_value_fails_every_cut_on_it() -> None:
    events = box_events(4)
    features = events.features.copy()
    features[::3, 0] = np.nan
    cuts = find_cuts(replace(events, features=features), [1])
    box = cuts.box(0.5)
    assert any(cut.feature == 0 for cut in cuts.intervals(box))
    good = np.array([[0.4, 0.5, 0.8], [np.nan, 0.5, 0.8]], np.float32)
    assert (cuts.boxes_passed(good) > box).tolist() == [True, False]
    # a third of the signal is lost with the first cut on the feature
    first = next(box for box in range(len(cuts)) if any(cut.feature == 0 for cut in cuts.intervals(box)))
    assert cuts.signal_inside[first] < 0.68


@pytest.mark.parametrize("unit", [2.0**-20, 2.0**20])
def test_the_unit_of_weights_and_events_of_no_weight_are_of_no_matter(unit: float) -> None:
    events = random_events(5)
    weight = events.weight.copy()
    weight[:40] = 0
    cuts = find_cuts(replace(events, weight=weight), [2])
    fewer = LabelledEvents(events.features[40:], events.class_index[40:], weight[40:] * unit)
    np.testing.assert_array_equal(find_cuts(fewer, [2]).low, cuts.low)
    np.testing.assert_array_equal(find_cuts(fewer, [2]).high, cuts.high)


def test_signed_weights_are_right_on_average() -> None:
    """Signal that is taken away again, with negative weights, attracts no box."""
    clean = box_events(6)
    rng = np.random.default_rng(6)
    added = rng.uniform(0, 0.2, (8000, 3)).astype(np.float32)
    sign = np.where(np.arange(8000) % 2, 1.0, -1.0)
    events = LabelledEvents(
        np.concatenate([clean.features, added]),
        np.concatenate([clean.class_index, np.ones(8000, np.int32)]),
        np.concatenate([clean.weight, sign]),
    )
    cuts = find_cuts(events, [1])
    found = {cut.feature: (cut.low, cut.high) for cut in cuts.intervals(cuts.box(0.9))}
    assert found[0] == pytest.approx((0.3, 0.5), abs=0.03)
    assert found[2][0] == pytest.approx(0.6, abs=0.03)


def test_where_nothing_can_be_cut_there_is_one_box() -> None:
    few = box_events(7, events=60)
    cuts = find_cuts(few, [1])
    assert len(cuts) == 1
    assert cuts.scores(few.features).tolist() == [0.0] * 60
    assert cuts.box(0.5) == 0


@pytest.mark.parametrize("signal", [[], [0, 1]])
def test_signal_and_background_are_needed(signal: list[int]) -> None:
    with pytest.raises(RequestError):
        find_cuts(box_events(8, events=100), signal)


def test_cuts_find_what_32_bits_do_not_resolve() -> None:
    near = random_events(4)
    near = replace(near, features=np.round(near.features * 1024) / np.float32(1024))
    far = replace(near, features=near.features.astype(np.float64) + 1.6e9)
    first, second = find_cuts(near, [2]), find_cuts(far, [2])
    np.testing.assert_array_equal(first.boxes_passed(near.features), second.boxes_passed(far.features))
    np.testing.assert_array_equal(first.low.astype(np.float64) + 1.6e9, second.low)
