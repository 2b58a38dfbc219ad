"""Blocks of batches: every event once in every epoch, in an order that follows from seed and epoch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tamis.training.batches import (
    EPOCHS_PER_GROUPING,
    GROUP,
    WeightedInputs,
    build_fixed_block,
    shuffle_blocks,
)
from tamis.training.devices import Placement, choose_placement


def sample(n: int, seed: int) -> WeightedInputs:
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 2, n).astype(np.int32)
    inputs = rng.normal(size=(n, 2)) + class_index[:, None]
    return WeightedInputs(inputs.astype(np.float32), class_index, np.ones(n))


@pytest.mark.parametrize(("events", "batch_size"), [(1000, 64), (10, 64), (128, 64), (65, 64)])
def test_every_event_is_in_every_epoch_once(events: int, batch_size: int) -> None:
    data = sample(events, 1)
    blocks = shuffle_blocks(data, batch_size, 5, choose_placement(1, batch_size, [2, 2]))
    seen = [np.array(next(blocks)) for _ in range(3)]
    blocks.close()
    expected = sorted(map(tuple, data.packed(-(-events // batch_size) * batch_size).tolist()))
    for block in seen:
        assert block.shape == (-(-events // batch_size), 4, batch_size)
        assert sorted(map(tuple, block.transpose(0, 2, 1).reshape(-1, 4).tolist())) == expected
    assert (seen[0] != seen[1]).any()


@pytest.mark.parametrize("events", [10_000, 5000, 1030, 4096])
def test_every_event_is_in_every_epoch_of_large_batches_once(events: int) -> None:
    data = WeightedInputs(
        np.arange(events, dtype=np.float32)[:, None], np.zeros(events, np.int32), np.ones(events)
    )
    blocks = shuffle_blocks(data, 1024, 5, choose_placement(1, 1024, [2, 2]))
    seen = [np.array(next(blocks))[:, [0, -1]] for _ in range(EPOCHS_PER_GROUPING + 1)]
    blocks.close()
    for block in seen:
        number, weight = block.transpose(1, 0, 2).reshape(2, -1)
        assert sorted(number[weight > 0]) == list(range(events))
    assert len({block.tobytes() for block in seen}) == len(seen)

    def together(block: np.ndarray) -> set[int]:
        """Events that follow each other."""
        return {int(a) * events + int(b) for row in block[:, 0] for a, b in pairwise(row)}

    # groups stay together until they are dealt anew
    again = [
        len(together(seen[0]) & together(other)) / events for other in (seen[1], seen[EPOCHS_PER_GROUPING])
    ]
    assert again[0] == pytest.approx(1 - 1 / GROUP, abs=0.03)
    assert again[1] < 0.03


@pytest.mark.parametrize("batch_size", [64, 1024])
def test_an_epoch_can_be_drawn_again(batch_size: int) -> None:
    placement = choose_placement(1, batch_size, [2, 2])
    blocks = shuffle_blocks(sample(5000, 1), batch_size, 5, placement)
    tenth = [np.array(next(blocks)) for _ in range(10)][-1]
    blocks.close()
    again = shuffle_blocks(sample(5000, 1), batch_size, 5, placement, first_epoch=9)
    assert np.array(next(again)).tobytes() == tenth.tobytes()
    again.close()


@pytest.mark.parametrize("batch_size", [64, 1024])
def test_an_epoch_is_the_same_however_many_events_are_gathered_at_once(
    batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_block() -> bytes:
        placement = choose_placement(1, batch_size, [2, 2])
        blocks = shuffle_blocks(sample(5000, 1), batch_size, 5, placement)
        block = np.array(next(blocks)).tobytes()
        blocks.close()
        return block

    at_once = first_block()
    monkeypatch.setattr("tamis.training.batches._ROWS_AT_ONCE", 2 * batch_size)
    assert first_block() == at_once


def test_the_shuffle_on_a_device_keeps_every_event() -> None:
    # what a GPU does, run on the CPU: the program is the same
    data = sample(100, 1)
    placement = Placement(choose_placement(1, 64, [2, 2]).mesh, "gpu", "test")
    blocks = shuffle_blocks(data, 64, 5, placement)
    seen = [np.array(next(blocks)) for _ in range(2)]
    expected = sorted(map(tuple, data.packed(128).tolist()))
    for block in seen:
        assert sorted(map(tuple, block.transpose(0, 2, 1).reshape(-1, 4).tolist())) == expected
    assert (seen[0] != seen[1]).any()


def test_validation_is_padded_without_effect() -> None:
    block = np.asarray(build_fixed_block(sample(100, 1), 64, choose_placement(1, 64, [2, 2])))
    assert block.shape == (2, 4, 64)
    assert block[:, -1].sum() == pytest.approx(128)
    assert np.count_nonzero(block[:, -1]) == 100


@pytest.mark.parametrize("devices", [3, 5, 6])
def test_validation_divides_evenly_among_any_number_of_devices(devices: int) -> None:
    from tamis.training.batches import _divisible

    for events in (1, 100, 8192, 9000):
        assert _divisible(min(8192, events), devices) % devices == 0
