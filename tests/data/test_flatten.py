from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.config import Flatten
from tamis.data.events import Events
from tamis.data.flatten import flatten_weights
from tamis.data.split import TRAINING, VALIDATION
from tamis.errors import InputError

CLASSES = ("bkg", "sig")


def falling_and_peaking(n: int, seed: int, **changes: object) -> Events:
    """A falling background and a peak, in one spectator."""
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 2, n).astype(np.int32)
    mass = np.where(class_index == 1, rng.normal(90, 15, n), rng.exponential(60, n) + 20)
    columns: dict[str, object] = {
        "features": np.zeros((n, 1), np.float32),
        "class_index": class_index,
        "weight": rng.uniform(0.5, 1.5, n),
        "event_id": np.arange(n, dtype=np.uint64),
        "split": rng.choice([TRAINING, TRAINING, VALIDATION], n).astype(np.uint8),
        "sample_index": class_index,
        "file_index": np.zeros(n, np.int32),
        "entry": np.arange(n),
        "spectators": {"mass": mass, "pt": rng.exponential(30, n) * (1 + class_index)},
        "reference": {},
        "samples": CLASSES,
        "files": ("events.root",),
        "fold": np.full(n, -1, np.int32),
    }
    return Events(**{**columns, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("spectators", [("mass",), ("mass", "pt")])
def test_all_classes_have_the_same_distribution(spectators: tuple[str, ...]) -> None:
    events = falling_and_peaking(40_000, 1)
    weight, report = flatten_weights(events, events.weight, CLASSES, Flatten(spectators=spectators, bins=5))
    training = events.split == TRAINING
    edges = [np.quantile(events.spectators[name], [0.1, 0.3, 0.5, 0.7, 0.9]) for name in spectators]
    bin_index = sum(
        np.searchsorted(edges_of_spectator, events.spectators[name]) * 6**number
        for number, (edges_of_spectator, name) in enumerate(zip(edges, spectators, strict=True))
    )
    length = 6 ** len(spectators)

    def shape(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return np.bincount(bin_index[rows], weights=weight[rows], minlength=length) / weight[rows].sum()

    of_class = [training & (events.class_index == index) for index in range(2)]
    shares = [shape(rows, weight) for rows in of_class]
    before = [shape(rows, events.weight) for rows in of_class]
    different = np.abs(before[0] - before[1]).sum()
    # other edges than those that were flattened in: what is left is the shape within a bin
    assert np.abs(shares[0] - shares[1]).sum() < 0.4 * different
    for flattened in report.values():
        assert 0 < flattened.effective_sample_size_after < flattened.effective_sample_size_before
        assert flattened.empty_bin_fraction == 0


@given(seed=st.integers(0, 1000), bins=st.integers(2, 20))
def test_a_class_keeps_its_sum_of_weights(seed: int, bins: int) -> None:
    events = falling_and_peaking(2000, seed)
    weight, report = flatten_weights(events, events.weight, CLASSES, Flatten(spectators=("mass",), bins=bins))
    for index, name in enumerate(CLASSES):
        rows = (events.split == TRAINING) & (events.class_index == index)
        expected = events.weight[rows].sum() * (1 - report[name].empty_bin_fraction)
        assert weight[rows].sum() == pytest.approx(expected)


def test_only_training_events_decide_how_weights_are_changed() -> None:
    events = falling_and_peaking(2000, 4)
    flatten = Flatten(spectators=("mass", "pt"), bins=4)
    expected, report = flatten_weights(events, events.weight, CLASSES, flatten)
    training = events.split == TRAINING
    rng = np.random.default_rng(5)
    spectators = {
        name: np.where(training, values, rng.exponential(100, 2000))
        for name, values in events.spectators.items()
    }
    # other weights, other values, and other shares of the classes among the events that are not trained on
    weight = np.where(training, events.weight, np.where(events.class_index == 1, 50.0, 0.1))
    changed_events = Events(**{**vars(events), "spectators": spectators, "weight": weight})
    flattened_weight, second_report = flatten_weights(changed_events, weight, CLASSES, flatten)
    np.testing.assert_array_equal(flattened_weight[training], expected[training])
    assert second_report == report


def test_each_class_counts_alike_in_the_edges() -> None:
    # the signal has a hundredth of the weight: its half of the events still decides on the edge
    mass = np.r_[np.arange(100.0), 1000 + np.arange(100.0)]
    class_index = np.repeat([0, 1], 100).astype(np.int32)
    weight = np.where(class_index == 1, 0.01, 1.0)
    events = falling_and_peaking(
        200, 1, class_index=class_index, spectators={"mass": mass}, weight=weight,
        split=np.full(200, TRAINING, np.uint8),
    )  # fmt: skip
    flattened_weight, report = flatten_weights(events, weight, CLASSES, Flatten(spectators=("mass",), bins=2))
    # the edge lies between the classes: each fills one of the two bins, with half of its sum of weights
    np.testing.assert_allclose(flattened_weight, weight / 2)
    assert {name: flattened.empty_bin_fraction for name, flattened in report.items()} == {
        "bkg": 0.5,
        "sig": 0.5,
    }


def test_a_flat_spectator_costs_nothing() -> None:
    spectator = np.repeat(np.arange(500), 2).astype(float)
    part = np.zeros(1000, np.uint8)
    events = falling_and_peaking(
        1000,
        3,
        weight=np.ones(1000),
        class_index=np.arange(1000, dtype=np.int32) % 2,
        spectators={"mass": spectator},
        split=part,
    )
    weight, report = flatten_weights(events, events.weight, CLASSES, Flatten(spectators=("mass",), bins=10))
    np.testing.assert_allclose(weight, 1)
    assert report["sig"].effective_sample_size_after == pytest.approx(
        report["sig"].effective_sample_size_before
    )


def test_a_spectator_that_is_no_number_is_refused() -> None:
    events = falling_and_peaking(10, 1)
    events.spectators["mass"][4] = np.nan
    with pytest.raises(InputError):
        flatten_weights(events, events.weight, CLASSES, Flatten(spectators=("mass",)))
