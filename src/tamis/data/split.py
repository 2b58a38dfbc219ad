"""Event IDs, and the assignment of events to splits and folds by a hash of their ID.

The ID of an event is a 64-bit hash of the columns of `split.event_id`, or by default of its sample, file and entry
number. The split depends only on the ID: it does not change with the order of files and samples, the size of chunks or
additional files, and events with the same ID are always in the same split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Int32, Int64, Mask
from tamis.errors import RequestError

SPLITS = ("training", "validation", "test")
"""Names of the splits; the split of an event is an index into this tuple."""
TRAINING, VALIDATION, TEST = range(3)
NO_FOLD = -1
"""The fold of an event that no member of an ensemble holds out, or whose fold is unknown."""

UInt64 = NDArray[np.uint64]


def scramble(values: UInt64) -> UInt64:
    """Mix the bits of 64-bit numbers: the finaliser of splitmix64, a bijection.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.

    >>> int(scramble(np.array([1], np.uint64))[0])
    10451216379200822465
    """
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def hash_text(*texts: str) -> np.uint64:
    """Hash texts to 64 bits, identically on all machines."""
    joined = "\0".join(texts).encode()
    return np.uint64(int.from_bytes(hashlib.sha256(joined).digest()[:8], "little"))


def hash_entries(sample: str, file_key: str, first_entry: int, length: int) -> UInt64:
    """Compute the event IDs of consecutive entries, [length], from the sample, the file key and the entry number."""
    entries = np.arange(first_entry, first_entry + length, dtype=np.uint64)
    return scramble(scramble(entries) ^ hash_text(sample, file_key))


class RowError(RequestError):
    """A value in a row cannot be used."""

    def __init__(self, observed: str, row: int, expected: str) -> None:
        """Write a message with the row; readers of files replace the row by the entry."""
        self.observed, self.row, self.expected = observed, row, expected
        super().__init__(f"{observed} in row {row}; {expected}")


def hash_columns(columns: Sequence[NDArray[np.generic]]) -> UInt64:
    """Compute event IDs, [n], from columns, [n] each, for example run, luminosity block and event number.

    An integer has the same hash whether it is stored as an integer or as a float; a value that is not finite is a
    `RowError`.
    """
    event_id = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        event_id = scramble(event_id ^ scramble(_bits(column)))
    return event_id


def _bits(column: NDArray[np.generic]) -> UInt64:
    if column.dtype.kind == "u":
        return column.astype(np.uint64)
    if column.dtype.kind in "bi":
        return column.astype(np.int64).view(np.uint64)
    values = column.astype(np.float64)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise RowError(f"the value that identifies an event is {values[row]}", row, "expected a number")
    # both zeros are the same integer
    is_integer = (values == np.floor(values)) & (np.abs(values) < 2.0**53)
    as_integer = np.where(is_integer, values, 0).astype(np.int64).view(np.uint64)
    return np.where(is_integer, as_integer, values.view(np.uint64))


@dataclass(frozen=True)
class Fractions:
    """The fractions of the splits, and the number of folds.

    Args:
        test: fraction of all events.
        validation: fraction of the remaining events.
        seed: each seed gives a different split of the same events.
        folds: number of folds, 0 for none; with folds there is no separate test split.
    """

    test: float
    validation: float
    seed: int = 0
    folds: int = 0


def assign_splits(event_id: UInt64, fractions: Fractions) -> NDArray[np.uint8]:
    """Assign each event to a split: its index into `SPLITS`, [n].

    With folds, this is the split for the members of all other folds; for the members that hold out its fold, each event
    is a test event.

    >>> event_id = hash_entries("sig", "sig.root", 0, 10_000)
    >>> split = assign_splits(event_id, Fractions(test=0.5, validation=0.35))
    >>> (np.bincount(split) / 10_000).round(2)
    array([0.33, 0.17, 0.5 ])
    """
    position = scramble(event_id ^ hash_text("split", str(fractions.seed)))
    only_test = 0.0 if fractions.folds else fractions.test
    test = _threshold(only_test)
    validation = _threshold(only_test + (1 - only_test) * fractions.validation)
    split = np.where(position < test, TEST, np.where(position < validation, VALIDATION, TRAINING))
    return split.astype(np.uint8)


def _threshold(fraction: float) -> np.uint64:
    return np.uint64(min(int(fraction * 2.0**64), 2**64 - 1))


def assign_folds_by_id(event_id: UInt64, number: int, seed: int = 0) -> Int32:
    """Assign each event to one of `number` folds, by a hash that is independent of that of the split.

    Without folds every event has `NO_FOLD`.

    >>> folds = assign_folds_by_id(hash_entries("sig", "sig.root", 0, 10_000), 4)
    >>> (np.bincount(folds) / 10_000).round(2)
    array([0.26, 0.24, 0.24, 0.25])
    """
    if not number:
        return np.full(len(event_id), NO_FOLD, np.int32)
    return (scramble(event_id ^ hash_text("folds", str(seed))) % np.uint64(number)).astype(np.int32)


def assign_folds_by_number(values: NDArray[np.generic], number: int) -> Int32:
    """Assign each event to the remainder of its integer (`RowError` for another number) divided by the number of folds.

    >>> assign_folds_by_number(np.array([7.0, 8.0, -1.0]), 4)
    array([3, 0, 3], dtype=int32)
    """
    if values.dtype.kind not in "bui":
        is_integer = np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) <= 2.0**53)
        if not is_integer.all():
            row = int(np.flatnonzero(~is_integer)[0])
            expected = "expected a whole number of at most 2^53"
            raise RowError(f"split.folds.by is {values[row]}", row, expected)
    if values.dtype.kind == "u":
        return np.asarray(values.astype(np.uint64) % np.uint64(number), np.int32)
    return np.asarray(values.astype(np.int64) % number, np.int32)


def find_duplicates(event_id: UInt64) -> Int64:
    """Return the indices of all but the first event with each ID, ascending.

    >>> find_duplicates(np.array([5, 7, 5, 5], np.uint64))
    array([2, 3])
    """
    order = np.argsort(event_id, kind="stable")
    same = event_id[order][1:] == event_id[order][:-1]
    return np.sort(order[1:][same])


def choose_training_folds(event_id: UInt64, fold: Int32, number: int) -> Int32:
    """Choose at random for each event one of the `number` folds whose networks did not hold it out.

    The fold that holds an event out is random too, so that these two can be exchanged: scores of events by networks
    that learned from them and by networks that did not come from the same networks in the same proportions.

    >>> choose_training_folds(np.array([3, 4], np.uint64), np.array([0, 1], np.int32), 2)
    array([1, 0], dtype=int32)
    """
    distance = 1 + scramble(event_id ^ hash_text("seen")) % np.uint64(number - 1)
    return np.asarray((fold + distance.astype(np.int32)) % number, np.int32)


def is_in_second_half(event_id: UInt64) -> Mask:
    """Divide events at random into two halves, [n]; events with the same ID are in the same one.

    >>> round(is_in_second_half(hash_entries("sig", "sig.root", 0, 10_000)).mean(), 2)
    np.float64(0.5)
    """
    return np.asarray(scramble(event_id ^ hash_text("half")) % np.uint64(2), np.bool_)
