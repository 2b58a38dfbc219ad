from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.config import Folds
from tamis.data.ensemble import ONE_NETWORK, EnsemblePlan
from tamis.data.events import Events
from tamis.data.split import TEST, TRAINING, VALIDATION
from tamis.data.weights import compute_split_sums, weigh_events
from tamis.errors import InputError

CLASSES = ("bkg", "sig")
FOLDS = EnsemblePlan(folds=Folds(number=2))


def events(weight: Any, class_index: Any, part: Any) -> Events:
    n = len(weight)
    return Events(
        features=np.zeros((n, 1), np.float32),
        class_index=np.array(class_index, np.int32),
        weight=np.array(weight, np.float64),
        event_id=np.arange(n, dtype=np.uint64),
        split=np.array(part, np.uint8),
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
    sample_events = in_all_parts(weights)
    weight = np.where(sample_events.class_index == 1, ratio, 1.0) * sample_events.weight
    weighed = weigh_events(Events(**{**vars(sample_events), "weight": weight}), CLASSES)
    training = sample_events.split == TRAINING
    sums = [
        weighed.training_weight[training & (sample_events.class_index == index)].sum() for index in (0, 1)
    ]
    assert sums[0] == pytest.approx(sums[1])
    assert sum(sums) == pytest.approx(weight[training].sum())
    assert weighed.events.weight.tolist() == weight.tolist()  # the physics weight is left alone


def test_factors_are_those_of_the_training_events_alone() -> None:
    # sums by part and class: training 6 and 2, validation 1 and 9, test 5 and 4
    parts = np.repeat([TRAINING, VALIDATION, TEST], 4)
    sample_events = events([4, 2, 1.5, 0.5, 0.5, 0.5, 4, 5, 2, 3, 1, 3], np.tile([0, 0, 1, 1], 3), parts)
    assert weigh_events(sample_events, CLASSES).class_weights.tolist() == [
        pytest.approx(8 / 2 / 6),
        pytest.approx(8 / 2 / 2),
    ]
    for part in (VALIDATION, TEST):
        weight = np.where(
            (sample_events.split == part) & (sample_events.class_index == 0),
            7 * sample_events.weight,
            sample_events.weight,
        )
        reweighed = weigh_events(Events(**{**vars(sample_events), "weight": weight}), CLASSES)
        assert reweighed.class_weights.tolist() == weigh_events(sample_events, CLASSES).class_weights.tolist()


def test_an_event_of_weight_zero_is_not_negative() -> None:
    sample_events = in_all_parts([3.0, 0.0, -0.0])
    assert weigh_events(sample_events, CLASSES, negative="refuse").dropped.tolist() == []
    for policy in ("drop", "absolute"):
        weighed = weigh_events(sample_events, CLASSES, negative=policy)
        assert len(weighed.events) == 18
        assert weighed.dropped.tolist() == weighed.changed.tolist() == []


def test_factors_can_be_given_or_left_out() -> None:
    sample_events = in_all_parts([1.0])
    assert weigh_events(sample_events, CLASSES, balance={"bkg": 10.0}).class_weights.tolist() == [10, 1]
    assert weigh_events(sample_events, CLASSES, balance="none").class_weights.tolist() == [1, 1]


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
    sample_events = in_all_parts([3.0, -1.0])
    weight = np.where(
        (sample_events.split == TRAINING) & (sample_events.class_index == 1),
        -sample_events.weight,
        sample_events.weight,
    )
    with pytest.raises(InputError):
        weigh_events(Events(**{**vars(sample_events), "weight": weight}), CLASSES, negative="absolute")


def test_refuse_counts_by_class() -> None:
    with pytest.raises(InputError):
        weigh_events(in_all_parts([3.0, -1.0]), CLASSES, negative="refuse")
    assert weigh_events(in_all_parts([3.0]), CLASSES, negative="refuse").changed.tolist() == []


@pytest.mark.parametrize("part", [TRAINING, VALIDATION, TEST])
@pytest.mark.parametrize("bad", [-3.0, -5.0])
def test_a_class_without_a_positive_sum_is_refused_in_every_part(part: int, bad: float) -> None:
    sample_events = in_all_parts([3.0, 0.0])
    weight = np.where(
        (sample_events.split == part) & (sample_events.class_index == 1) & (sample_events.weight == 0),
        bad,
        sample_events.weight,
    )
    name = ("training", "validation", "test")[part]
    with pytest.raises(
        InputError, match=rf"class sig: the weights of its 2 {name} events sum to {bad + 3:g}"
    ):
        weigh_events(Events(**{**vars(sample_events), "weight": weight}), CLASSES)


def test_a_class_without_events_is_refused_with_counts() -> None:
    sample_events = in_all_parts([1.0])
    with pytest.raises(InputError) as caught:
        weigh_events(
            sample_events.take((sample_events.split != TEST) | (sample_events.class_index == 0)), CLASSES
        )
    assert "class sig: no events in the test set; it has 2 events in all" in str(caught.value)
    with pytest.raises(
        InputError,
    ):
        weigh_events(sample_events.take(sample_events.class_index == 0), CLASSES)


def test_a_class_is_needed_in_the_folds_that_a_network_learns_from() -> None:
    sample_events = in_all_parts([1.0, 1.0])
    # the signal's training events are all in the first fold, which its network never sees
    fold = np.where(
        (sample_events.split == TRAINING) & (sample_events.class_index == 1),
        0,
        np.arange(len(sample_events)) % 2,
    )
    parts = Events(**{**vars(sample_events), "fold": fold.astype(np.int32)})
    with pytest.raises(InputError) as caught:
        weigh_events(parts, CLASSES, plan=FOLDS)
    assert "class sig, fold 0: no events in the training set" in str(caught.value)
    assert "fold 1" not in str(caught.value)
    weigh_events(
        Events(**{**vars(sample_events), "fold": (np.arange(len(sample_events)) % 2).astype(np.int32)}),
        CLASSES,
        plan=FOLDS,
    )


def test_dropping_may_leave_a_class_empty() -> None:
    sample_events = in_all_parts([1.0])
    weight = np.where((sample_events.split == TRAINING) & (sample_events.class_index == 1), -1.0, 1.0)
    with pytest.raises(InputError):
        weigh_events(Events(**{**vars(sample_events), "weight": weight}), CLASSES, negative="drop")


def test_classes_are_balanced_in_the_weights_of_the_loss() -> None:
    sample_events = in_all_parts([3.0, -1.0])
    weight = np.where(
        (sample_events.class_index == 1) & (sample_events.weight < 0), -2.0, sample_events.weight
    )
    weighed = weigh_events(Events(**{**vars(sample_events), "weight": weight}), CLASSES, negative="absolute")
    # absolute training weights of 4 and of 5
    assert weighed.class_weights.tolist() == pytest.approx([9 / 2 / 4, 9 / 2 / 5])


def test_a_weight_of_zero_is_not_counted_as_negative() -> None:
    sample_events = in_all_parts([3.0, 0.0, -0.0, -1.0])
    sums_of_splits = compute_split_sums(sample_events, sample_events.weight, 2, ONE_NETWORK)
    assert [sums.negative.tolist() for sums in sums_of_splits] == [[1, 1]] * 3
