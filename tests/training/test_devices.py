"""How many devices share a batch."""

from __future__ import annotations

import pytest

from tamis.errors import RequestError
from tamis.training.devices import choose_device_count, choose_placement


def test_small_batches_stay_on_one_device() -> None:
    assert choose_placement(None, 32, [3, 6, 6, 3]).count == 1


@pytest.mark.parametrize(
    ("available", "batch_size", "expected"),
    [(2, 4096, 2), (128, 4096, 4), (3, 4096, 2), (2, 4097, 1), (8, 65_536, 8)],
)
def test_devices_share_a_batch_where_each_has_enough_to_do(
    available: int, batch_size: int, expected: int
) -> None:
    assert choose_device_count(available, batch_size, [18, 60, 30, 15, 10, 6]) == expected


def test_too_many_devices_are_refused() -> None:
    with pytest.raises(RequestError):
        choose_placement(99, 990, [2, 2])


def test_devices_are_described_for_people() -> None:
    assert choose_placement(1, 32, [3, 6, 6, 3]).description == "1 CPU core"
