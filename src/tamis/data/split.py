"""Training, validation and test: decided by who an event is, never by where it stands.

The identity of an event is a 64-bit hash of the columns that `split.by` names, or else of its sample, file and
entry number. The part follows from the identity alone, so neither the order of files and samples, nor the size
of chunks, nor another file moves an event, and two events of one identity are always in the same part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamis.errors import RequestError

PARTS = ("training", "validation", "test")
"""Names of the parts; an event's part is a number that indexes this tuple."""
TRAINING, VALIDATION, TEST = range(3)

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
    """Hash names to 64 bits, the same on every machine."""
    joined = "\0".join(texts).encode()
    return np.uint64(int.from_bytes(hashlib.sha256(joined).digest()[:8], "little"))


def identity_of_entries(sample: str, file: str, first_entry: int, length: int) -> UInt64:
    """Hash sample, file and entry number of consecutive entries.

    Args:
        sample: name of the sample.
        file: the file's identity, independent of its position in a list.
        first_entry: entry number of the first row.
        length: number of rows.

    Returns:
        One hash per row, [length].
    """
    entries = np.arange(first_entry, first_entry + length, dtype=np.uint64)
    return scramble(scramble(entries) ^ hash_text(sample, file))


class RowError(RequestError):
    """A value cannot be used.

    Args:
        found: what was found.
        row: in which row.
        expected: what was expected.
    """

    def __init__(self, found: str, row: int, expected: str) -> None:
        """Say the row; who knows its file says the entry instead."""
        self.found, self.row, self.expected = found, row, expected
        super().__init__(f"{found} in row {row}; {expected}")


def identity_of_columns(columns: Sequence[NDArray[np.generic]]) -> UInt64:
    """Hash the columns that identify an event, for example run, luminosity block and event number.

    A whole number hashes alike whether it is stored as an integer or as a float.

    Args:
        columns: arrays of one length; not a number and infinities are not allowed.

    Returns:
        One hash per row.

    Raises:
        RowError: a column holds a value that is not finite.
    """
    identity = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        identity = scramble(identity ^ scramble(_bits(column)))
    return identity


def _bits(column: NDArray[np.generic]) -> UInt64:
    if column.dtype.kind in "bui":
        return (
            column.astype(np.int64).view(np.uint64) if column.dtype.kind != "u" else column.astype(np.uint64)
        )
    values = column.astype(np.float64) + 0.0  # so that -0.0 and 0.0 are the same
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise RowError(f"the value that identifies an event is {values[row]}", row, "expected a number")
    whole = (values == np.floor(values)) & (np.abs(values) < 2.0**53)
    as_integer = np.where(whole, values, 0).astype(np.int64).view(np.uint64)
    return np.where(whole, as_integer, values.view(np.uint64))


@dataclass(frozen=True)
class Fractions:
    """How events are divided.

    Args:
        test: fraction of all events.
        validation: fraction of what is left.
        seed: another number gives another division of the same events.
        folds: number of folds of cross-training, in which nothing is kept for the test alone; 0 for none.
    """

    test: float
    validation: float
    seed: int = 0
    folds: int = 0


def assign_parts(identity: UInt64, fractions: Fractions) -> NDArray[np.uint8]:
    """Give each event its part.

    Args:
        identity: hashes, [n].
        fractions: how events are divided.

    Returns:
        Index into `PARTS` for each event, [n]. With folds an event is test for the members of its own fold, and
        training or validation, as given here, for the others.

    >>> identity = identity_of_entries("sig", "sig.root", 0, 10_000)
    >>> parts = assign_parts(identity, Fractions(test=0.5, validation=0.35))
    >>> (np.bincount(parts) / 10_000).round(2)
    array([0.33, 0.17, 0.5 ])
    """
    position = scramble(identity ^ hash_text("split", str(fractions.seed)))
    only_test = 0.0 if fractions.folds else fractions.test
    test = _threshold(only_test)
    validation = _threshold(only_test + (1 - only_test) * fractions.validation)
    return np.where(position < test, TEST, np.where(position < validation, VALIDATION, TRAINING)).astype(
        np.uint8
    )


def _threshold(fraction: float) -> np.uint64:
    return np.uint64(min(int(fraction * 2.0**64), 2**64 - 1))


def folds_of_identities(identity: UInt64, number: int, seed: int = 0) -> NDArray[np.int32]:
    """Give each event a fold, from a hash that the division into training and validation does not use.

    Args:
        identity: hashes, [n].
        number: how many folds there are.
        seed: another number gives other folds.

    >>> folds = folds_of_identities(identity_of_entries("sig", "sig.root", 0, 10_000), 4)
    >>> (np.bincount(folds) / 10_000).round(2)
    array([0.26, 0.24, 0.24, 0.25])
    """
    return (scramble(identity ^ hash_text("folds", str(seed))) % np.uint64(number)).astype(np.int32)


def folds_of_numbers(values: NDArray[np.generic], number: int) -> NDArray[np.int32]:
    """Give each event the remainder of a whole number as its fold.

    Args:
        values: whole numbers, [n].
        number: how many folds there are.

    Raises:
        RowError: a value is not a whole number.

    >>> folds_of_numbers(np.array([7.0, 8.0, -1.0]), 4)
    array([3, 0, 3], dtype=int32)
    """
    if values.dtype.kind not in "bui":
        whole = np.isfinite(values) & (values == np.floor(values)) & (np.abs(values) <= 2.0**53)
        if not whole.all():
            row = int(np.flatnonzero(~whole)[0])
            expected = "expected a whole number of a size up to 2^53"
            raise RowError(f"split.folds.by is {values[row]}", row, expected)
    if values.dtype.kind == "u":
        return np.asarray(values.astype(np.uint64) % np.uint64(number), np.int32)
    return np.asarray(values.astype(np.int64) % number, np.int32)


def repeated(identity: UInt64) -> NDArray[np.int64]:
    """Find the events whose identity occurs before them.

    Returns:
        Indices of all but the first event of each identity, ascending.

    >>> repeated(np.array([5, 7, 5, 5], np.uint64))
    array([2, 3])
    """
    order = np.argsort(identity, kind="stable")
    same = identity[order][1:] == identity[order][:-1]
    return np.sort(order[1:][same])


def folds_that_saw(identity: UInt64, fold: NDArray[np.int32], number: int) -> NDArray[np.int32]:
    """Choose for each event a network of a cross-training that learned from it, by the fold which that never saw.

    An event of an even fold gets a network of an odd one, and the other way round, at random. So the events of the
    even folds as training and those of the odd folds as test are other events, scored by the same networks in the
    same proportions: what differs between them is whether the networks had seen them.

    Args:
        identity: hashes, [n].
        fold: of each event, [n].
        number: how many folds there are.

    >>> folds_that_saw(np.array([3, 4], np.uint64), np.array([0, 1], np.int32), 2)
    array([1, 0], dtype=int32)
    """
    draw = scramble(identity ^ hash_text("seen"))
    even, odd = (np.arange(first, number, 2, dtype=np.int32) for first in (0, 1))
    chosen = np.where(fold % 2 == 0, odd[draw % np.uint64(len(odd))], even[draw % np.uint64(len(even))])
    return np.asarray(chosen, np.int32)


def rows_of_part(
    part: NDArray[np.uint8], fold: NDArray[np.int32], wanted: int, member: int | None
) -> NDArray[np.bool_]:
    """Tell which events belong to a part for one member of a cross-training.

    Args:
        part: of each event, [n].
        fold: of each event, [n].
        wanted: `TRAINING`, `VALIDATION` or `TEST`.
        member: the fold that the member never sees; None where there are no folds.

    >>> part, fold = np.array([0, 1, 0], np.uint8), np.array([0, 1, 1], np.int32)
    >>> rows_of_part(part, fold, TRAINING, 1), rows_of_part(part, fold, TEST, 1)
    (array([ True, False, False]), array([False,  True,  True]))
    """
    if member is None:
        return np.asarray(part == wanted)
    own = fold == member
    return np.asarray(own if wanted == TEST else ~own & (part == wanted))
