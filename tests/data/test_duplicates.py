"""Equal events are counted by where they are, beside the number that chance alone would give."""

from __future__ import annotations

import numpy as np
import pytest

from tamis.data.duplicates import EqualEvents, find_equal_events

Array = np.ndarray


def grid(*counts: int) -> list[Array]:
    """Columns of so many values each, of which every combination occurs once."""
    return [values.ravel().astype(np.float32) for values in np.meshgrid(*map(np.arange, counts))]


def alike(events: int) -> Array:
    return np.zeros(events, np.int32)


@pytest.mark.parametrize("counts", [(8,), (10, 20), (10, 20, 5), (10, 2, 20, 5), (3, 20, 1, 2, 10)])
def test_the_number_by_chance_is_that_of_the_three_columns_with_most_values(counts: tuple[int, ...]) -> None:
    columns = grid(*counts)
    events = len(columns[0])
    equal = find_equal_events(columns, alike(events), alike(events))
    assert (equal.count, equal.example, equal.suspicious) == (0, None, False)
    expected = events * (events - 1) / 2
    for values in sorted(counts)[-3:]:
        # each value belongs to events / values events; at least one pair counts as equal
        expected *= max(events / values - 1, 1 / events) / (events - 1)
    assert equal.expected == pytest.approx(expected)


def test_equal_events_are_counted_by_class_and_file() -> None:
    columns = [*grid(100), np.linspace(1, 2, 100, dtype=np.float32) ** 2]
    # an event that is there three times counts as two, each against the first one
    copies = np.array([7, 7, 20, 21, 22, 30])
    columns = [np.append(column, column[copies]) for column in columns]
    class_index, file_index = (
        np.append(alike(100), values).astype(np.int32) for values in ([0, 1, 0, 0, 0, 1], [0, 1, 1, 2, 0, 1])
    )
    equal = find_equal_events(columns, class_index, file_index)
    assert (equal.within_files, equal.between_files, equal.between_classes) == (2, 2, 2)
    assert equal.count == 6
    assert equal.example == (7, 101)
    order = np.random.default_rng(1).permutation(106)
    mixed = find_equal_events([column[order] for column in columns], class_index[order], file_index[order])
    assert (mixed.count, mixed.expected) == (6, equal.expected)


@pytest.mark.parametrize(("copies", "suspicious"), [(28, False), (29, True)])
def test_ten_times_as_many_as_by_chance_are_suspicious(copies: int, suspicious: bool) -> None:
    equal = EqualEvents(copies, copies, 0, 0, 2.8, None)
    assert equal.suspicious == suspicious


def test_zeros_of_both_signs_and_missing_values_are_equal() -> None:
    columns = [np.array([0.0, -0.0, np.nan, -np.nan, 1.0], np.float32), np.full(5, 3, np.float32)]
    assert find_equal_events(columns, alike(5), alike(5)).count == 2
