from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.data.events import Events
from tamis.data.split import TEST, TRAINING, VALIDATION
from tamis.data.weights import divisions, weigh_events
from tamis.errors import InputError

CLASSES = ("bkg", "sig")


def events(weight: Any, class_index: Any, part: Any) -> Events:
    n = len(weight)
    return Events(
        features=np.zeros((n, 1), np.float32),
        class_index=np.array(class_index, np.int32),
        weight=np.array(weight, np.float64),
        identity=np.arange(n, dtype=np.uint64),
        part=np.array(part, np.uint8),
        sample_index=np.array(class_index, np.int32),
        file_index=np.zeros(n, np.int32),
        entry=np.arange(n),
        spectators={},
        reference={},
        samples=CLASSES,
        files=("f",),
        fold=np.full(n, -1, np.int32),
    )


def in_all_parts(weights: Any) -> Events:
    """The same weights for both classes in every part."""
    n = len(weights)
    parts = np.repeat([TRAINING, VALIDATION, TEST], 2 * n)
    return events(np.tile(weights, 6), np.tile(np.repeat([0, 1], n), 3), parts)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), st.floats(0.01, 100))
def test_balanced_classes_have_equal_sums_and_the_same_total(weights: list[float], ratio: float) -> None:
    made = in_all_parts(weights)
    weight = np.where(made.class_index == 1, ratio, 1.0) * made.weight
    weighed = weigh_events(Events(**{**vars(made), "weight": weight}), CLASSES)
    training = made.part == TRAINING
    sums = [weighed.training_weight[training & (made.class_index == index)].sum() for index in (0, 1)]
    assert sums[0] == pytest.approx(sums[1])
    assert sum(sums) == pytest.approx(weight[training].sum())
    assert weighed.events.weight.tolist() == weight.tolist()  # the physics weight is left alone


def test_factors_are_those_of_the_training_events_alone() -> None:
    # sums by part and class: training 6 and 2, validation 1 and 9, test 5 and 4
    parts = np.repeat([TRAINING, VALIDATION, TEST], 4)
    made = events([4, 2, 1.5, 0.5, 0.5, 0.5, 4, 5, 2, 3, 1, 3], np.tile([0, 0, 1, 1], 3), parts)
    assert weigh_events(made, CLASSES).factors.tolist() == [
        pytest.approx(8 / 2 / 6),
        pytest.approx(8 / 2 / 2),
    ]
    for part in (VALIDATION, TEST):
        weight = np.where((made.part == part) & (made.class_index == 0), 7 * made.weight, made.weight)
        other = weigh_events(Events(**{**vars(made), "weight": weight}), CLASSES)
        assert other.factors.tolist() == weigh_events(made, CLASSES).factors.tolist()


def test_an_event_of_weight_zero_is_not_negative() -> None:
    made = in_all_parts([3.0, 0.0, -0.0])
    assert weigh_events(made, CLASSES, negative="refuse").dropped.tolist() == []
    for policy in ("drop", "absolute"):
        weighed = weigh_events(made, CLASSES, negative=policy)
        assert len(weighed.events) == 18
        assert weighed.dropped.tolist() == weighed.changed.tolist() == []


def test_factors_can_be_given_or_left_out() -> None:
    made = in_all_parts([1.0])
    assert weigh_events(made, CLASSES, balance={"bkg": 10.0}).factors.tolist() == [10, 1]
    assert weigh_events(made, CLASSES, balance="none").factors.tolist() == [1, 1]


def test_keep_trains_on_signed_weights() -> None:
    weighed = weigh_events(in_all_parts([3.0, -1.0]), CLASSES, balance="none")
    assert weighed.training_weight.tolist() == [3, -1] * 6
    assert len(weighed.dropped) == 0


def test_drop_leaves_events_out_of_training_only() -> None:
    weighed = weigh_events(in_all_parts([3.0, -1.0]), CLASSES, balance="none", negative="drop")
    assert weighed.dropped.tolist() == [1, 3]
    assert weighed.training_weight.tolist() == [3, 3] + [3, -1] * 4
    assert len(weighed.events) == 10


def test_absolute_changes_training_only() -> None:
    weighed = weigh_events(in_all_parts([3.0, -1.0]), CLASSES, balance="none", negative="absolute")
    assert weighed.training_weight.tolist() == [3, 1, 3, 1] + [3, -1] * 4
    assert weighed.changed.tolist() == [1, 3]
    assert weighed.events.weight.tolist() == [3, -1] * 6


def test_absolute_does_not_hide_a_signed_sum_that_is_not_positive() -> None:
    made = in_all_parts([3.0, -1.0])
    weight = np.where((made.part == TRAINING) & (made.class_index == 1), -made.weight, made.weight)
    with pytest.raises(InputError, match="class sig: the weights of its 2 training events sum to -2"):
        weigh_events(Events(**{**vars(made), "weight": weight}), CLASSES, negative="absolute")


def test_refuse_counts_by_class() -> None:
    with pytest.raises(
        InputError, match=r"class bkg: 3 events have a negative weight and weights\.negative is 'refuse'"
    ):
        weigh_events(in_all_parts([3.0, -1.0]), CLASSES, negative="refuse")
    assert weigh_events(in_all_parts([3.0]), CLASSES, negative="refuse").changed.tolist() == []


@pytest.mark.parametrize("part", [TRAINING, VALIDATION, TEST])
@pytest.mark.parametrize("bad", [-3.0, -5.0])
def test_a_class_without_a_positive_sum_is_refused_in_every_part(part: int, bad: float) -> None:
    made = in_all_parts([3.0, 0.0])
    weight = np.where((made.part == part) & (made.class_index == 1) & (made.weight == 0), bad, made.weight)
    name = ("training", "validation", "test")[part]
    with pytest.raises(
        InputError, match=rf"class sig: the weights of its 2 {name} events sum to {bad + 3:g}"
    ):
        weigh_events(Events(**{**vars(made), "weight": weight}), CLASSES)


def test_a_class_without_events_is_refused_with_counts() -> None:
    made = in_all_parts([1.0])
    with pytest.raises(InputError) as caught:
        weigh_events(made.take((made.part != TEST) | (made.class_index == 0)), CLASSES)
    assert "class sig: no events in the test set; it has 2 events in all" in str(caught.value)
    with pytest.raises(
        InputError,
        match="class sig: no events in the training set; its files have no entries, or none of them",
    ):
        weigh_events(made.take(made.class_index == 0), CLASSES)


def test_a_class_is_needed_in_the_folds_that_a_network_learns_from() -> None:
    made = in_all_parts([1.0, 1.0])
    # the signal's training events are all in the first fold, which its network never sees
    fold = np.where((made.part == TRAINING) & (made.class_index == 1), 0, np.arange(len(made)) % 2)
    parts = Events(**{**vars(made), "fold": fold.astype(np.int32)})
    with pytest.raises(InputError) as caught:
        weigh_events(parts, CLASSES, folds=2)
    assert "class sig, fold 0: no events in the training set" in str(caught.value)
    assert "fold 1" not in str(caught.value)
    weigh_events(
        Events(**{**vars(made), "fold": (np.arange(len(made)) % 2).astype(np.int32)}), CLASSES, folds=2
    )


def test_dropping_may_leave_a_class_empty() -> None:
    made = in_all_parts([1.0])
    weight = np.where((made.part == TRAINING) & (made.class_index == 1), -1.0, 1.0)
    with pytest.raises(InputError, match="class sig: no events in the training set"):
        weigh_events(Events(**{**vars(made), "weight": weight}), CLASSES, negative="drop")


def test_classes_are_balanced_in_the_weights_of_the_loss() -> None:
    made = in_all_parts([3.0, -1.0])
    weight = np.where((made.class_index == 1) & (made.weight < 0), -2.0, made.weight)
    weighed = weigh_events(Events(**{**vars(made), "weight": weight}), CLASSES, negative="absolute")
    # absolute training weights of 4 and of 5
    assert weighed.factors.tolist() == pytest.approx([9 / 2 / 4, 9 / 2 / 5])


def test_a_weight_of_zero_is_not_counted_as_negative() -> None:
    made = in_all_parts([3.0, 0.0, -0.0, -1.0])
    assert [each.negative.tolist() for each in divisions(made, made.weight, 2)] == [[1, 1]] * 3
