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
        "identity": np.arange(n, dtype=np.uint64),
        "part": rng.choice([TRAINING, TRAINING, VALIDATION], n).astype(np.uint8),
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
    training = events.part == TRAINING
    edges = [np.quantile(events.spectators[name], [0.1, 0.3, 0.5, 0.7, 0.9]) for name in spectators]
    place = sum(
        np.searchsorted(each, events.spectators[name]) * 6**number
        for number, (each, name) in enumerate(zip(edges, spectators, strict=True))
    )
    length = 6 ** len(spectators)

    def shape(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return np.bincount(place[rows], weights=weight[rows], minlength=length) / weight[rows].sum()

    of_class = [training & (events.class_index == index) for index in range(2)]
    shares = [shape(rows, weight) for rows in of_class]
    before = [shape(rows, events.weight) for rows in of_class]
    different = np.abs(before[0] - before[1]).sum()
    # other edges than those that were flattened in: what is left is the shape within a bin
    assert np.abs(shares[0] - shares[1]).sum() < 0.4 * different
    for flattened in report.values():
        assert 0 < flattened.after < flattened.before
        assert flattened.empty == 0


@given(seed=st.integers(0, 1000), bins=st.integers(2, 20))
def test_a_class_keeps_its_sum_of_weights(seed: int, bins: int) -> None:
    events = falling_and_peaking(2000, seed)
    weight, report = flatten_weights(events, events.weight, CLASSES, Flatten(spectators=("mass",), bins=bins))
    for index, name in enumerate(CLASSES):
        rows = (events.part == TRAINING) & (events.class_index == index)
        kept = events.weight[rows].sum() * (1 - report[name].empty)
        assert weight[rows].sum() == pytest.approx(kept)


def test_a_flat_spectator_costs_nothing() -> None:
    spectator = np.repeat(np.arange(500), 2).astype(float)
    part = np.zeros(1000, np.uint8)
    events = falling_and_peaking(
        1000,
        3,
        weight=np.ones(1000),
        class_index=np.arange(1000, dtype=np.int32) % 2,
        spectators={"mass": spectator},
        part=part,
    )
    weight, report = flatten_weights(events, events.weight, CLASSES, Flatten(spectators=("mass",), bins=10))
    np.testing.assert_allclose(weight, 1)
    assert report["sig"].after == pytest.approx(report["sig"].before)


def test_a_spectator_that_is_no_number_is_refused() -> None:
    events = falling_and_peaking(10, 1)
    events.spectators["mass"][4] = np.nan
    with pytest.raises(InputError, match=r"(?s)events\.root.*'mass' is nan at entry 4.*selection"):
        flatten_weights(events, events.weight, CLASSES, Flatten(spectators=("mass",)))
