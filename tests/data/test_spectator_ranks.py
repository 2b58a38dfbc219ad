"""Ranks and bins of spectators: uniform in each class, and independent of units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tamis.data.spectator_ranks import compute_bin_numbers, compute_coordinates, compute_ranks


@given(
    values=hnp.arrays(np.float64, st.integers(1, 30), elements=st.sampled_from([-3.0, 0.0, 1.5, 2.0, 1e9])),
    data=st.data(),
)
def test_a_rank_is_the_fraction_of_smaller_reference_events_of_the_group(
    values: np.ndarray, data: st.DataObject
) -> None:
    group = data.draw(hnp.arrays(np.int64, len(values), elements=st.integers(0, 2)))
    reference = data.draw(hnp.arrays(np.bool_, len(values)))
    ranks = compute_ranks(values, group, reference)
    for value, number, rank in zip(values, group, ranks, strict=True):
        compared = values[reference & (group == number)]
        expected = ((compared < value).mean() + (compared == value).mean() / 2) if len(compared) else 0.5
        assert rank == pytest.approx(expected)


@pytest.mark.parametrize("bins", [None, 5])
def test_a_rising_function_of_the_spectator_has_the_same_coordinates(bins: int | None) -> None:
    rng = np.random.default_rng(1)
    columns = [rng.normal(size=500), rng.exponential(size=500)]
    class_index, reference = rng.integers(0, 3, 500), rng.random(500) < 0.7
    first = compute_coordinates(columns, class_index, reference, bins=bins)
    second = compute_coordinates(
        [np.exp(columns[0]), 1000 * columns[1] - 5], class_index, reference, bins=bins
    )
    assert first.tobytes() == second.tobytes()
    assert first.shape == (500, 2 if bins is None else 1)


def test_bins_hold_equal_numbers_of_the_reference_events_of_each_class() -> None:
    rng = np.random.default_rng(2)
    class_index, reference = np.repeat([0, 1], 1000), np.tile([True, False], 1000)
    first = rng.normal(size=2000)
    second = first + rng.normal(size=2000)  # of other values in each bin of the first
    numbers = compute_bin_numbers([first, second], class_index, reference, 5)
    for index in range(2):
        counts = np.bincount(numbers[reference & (class_index == index)], minlength=25)
        np.testing.assert_array_equal(counts, 20)


def test_equal_values_are_in_one_bin() -> None:
    values = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    numbers = compute_bin_numbers([values], np.zeros(6, np.int64), np.ones(6, np.bool_), 3)
    assert len(set(numbers[:4])) == len(set(numbers[4:])) == 1
    assert numbers[0] != numbers[4]
