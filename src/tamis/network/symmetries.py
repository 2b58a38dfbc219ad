"""Symmetries: transformations of events under which their class and density are invariant.

Training applies random transformations in every epoch (data augmentation); prediction may average over a fixed set of
transformations (test-time augmentation).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Features, Float32, Float64, Int32
from tamis.config import Exchange, Reflection, Rotation
from tamis.config import Symmetry as SymmetrySection
from tamis.errors import RequestError
from tamis.wording import suggest

Columns = tuple[int, ...]

_ROWS_AT_ONCE = 16_384  # as many as fit the cache
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Copy:
    """One fixed transformation of all events: a permutation of columns, with signs, shifts and periods.

    Column c of the result is sign[c] * x[source[c]] + shift[c], wrapped into [start[c], start[c] + period[c]). If an
    object of an exchange has a missing value, the event keeps the order of all objects of this exchange: the source of
    their columns is the column itself.

    Args:
        source: source of each column, [n_features].
        sign: 1 or -1, [n_features].
        shift: added then, in the unit of the feature, [n_features].
        start: lower end of the range of a periodic column, [n_features].
        period: its length, 0 for columns that are not periodic, [n_features].
        exchanges: for each exchange, the columns of all its objects.
    """

    source: Int32
    sign: Float32
    shift: Float32
    start: Float32
    period: Float32
    exchanges: tuple[Columns, ...] = ()

    def apply(self, features: Features) -> Features:
        """Transform events, [n, n_features], NaN if missing."""
        copied = np.empty_like(features)
        for start in range(0, len(features), _ROWS_AT_ONCE):
            rows = features[start : start + _ROWS_AT_ONCE]
            moved: Features = rows[:, self.source]
            for columns, incomplete in self._find_incomplete(rows):
                moved[incomplete[:, None], columns] = rows[incomplete[:, None], columns]
            moved *= self.sign
            moved += self.shift
            _wrap(moved, np.flatnonzero(self.period).tolist(), self.start, self.period)
            copied[start : start + _ROWS_AT_ONCE] = moved
        return copied

    def pull_back(self, changes: Float64, features: Features, *, signed: bool = True) -> Float64:
        """Convert derivatives by the features of the copies, [n, ..., n_features], to those by the events' features.

        The features of the events, [n, n_features], are NaN if missing; indicators of missing values have no signs.
        """
        moved = changes * self.sign if signed else changes
        of_events = np.zeros_like(changes)
        of_events[..., self.source] = moved
        for columns, incomplete in self._find_incomplete(features):
            for column in columns:
                of_events[incomplete, ..., column] = moved[incomplete, ..., column]
        return of_events

    def _find_incomplete(self, features: Features) -> Iterator[tuple[Columns, NDArray[np.intp]]]:
        """Yield the columns of each exchange, and the events with a missing value in one of them."""
        for columns in self.exchanges:
            yield columns, np.flatnonzero(np.isnan(features[:, list(columns)]).any(axis=1))


@dataclass(frozen=True)
class Symmetries:
    """Symmetries by columns of the features.

    The exchanges are applied first, then the reflections, then the rotations.

    Args:
        rotations: for each rotation, the columns of the azimuths that are rotated by a common angle.
        reflections: for each reflection, the columns whose signs change together.
        exchanges: for each exchange, the columns of each object.
        start: lower end of the range of a rotated column, [n_features].
        period: a full turn, 0 for columns that are not rotated, [n_features].
    """

    rotations: tuple[Columns, ...]
    reflections: tuple[Columns, ...]
    exchanges: tuple[tuple[Columns, ...], ...]
    start: Float32
    period: Float32

    def draw(self, features: Features, rng: np.random.Generator) -> Features:
        """Apply a random transformation, a new angle, sign and order, to each event, [n, n_features], NaN if missing.

        Missing values stay missing: only objects without missing values are exchanged.

        >>> turn = build_symmetries([Rotation(features=("phi_1", "phi_2"))], ["phi_1", "phi_2"])
        >>> event = np.array([[0.5, 0.25]], np.float32)
        >>> drawn = turn.draw(event, np.random.default_rng(0))
        >>> bool(drawn[0, 0] == event[0, 0]), round(float(drawn[0, 0] - drawn[0, 1]), 5)
        (False, 0.25)
        """
        events = len(features)
        keys = [rng.random((events, len(objects)), np.float32) for objects in self.exchanges]
        mirrored = [rng.random(events, np.float32) < 0.5 for _ in self.reflections]
        turns = [rng.random(events, np.float32) for _ in self.rotations]
        drawn = features.copy()
        for start in range(0, events, _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            block = drawn[rows]
            for objects, key in zip(self.exchanges, keys, strict=True):
                _exchange(block, objects, key[rows])
            for columns, flip in zip(self.reflections, mirrored, strict=True):
                block[:, columns] *= np.where(flip[rows], np.float32(-1), np.float32(1))[:, None]
            for columns, turn in zip(self.rotations, turns, strict=True):
                block[:, columns] += turn[rows, None] * self.period[list(columns)]
                _wrap(block, columns, self.start, self.period)
        return drawn

    def copies(self, features: Features, number: int) -> Iterator[Features]:
        """Yield fixed copies of events, [n, n_features], over which scores can be averaged; the first is unchanged.

        Raises:
            RequestError: the number of copies is not at least 1.
        """
        return (copy.apply(features) for copy in self.descriptions(number))

    def descriptions(self, number: int) -> tuple[Copy, ...]:
        """Return the transformations of `copies`, which are the same for all events and can be stored and exported.

        The angles of each rotation are evenly spaced. If the number is divisible by the number of combinations of
        reflections and orders, each combination occurs equally often; for any other even number, each reflection occurs
        in half of the copies.

        Raises:
            RequestError: the number of copies is not at least 1.

        >>> turn = build_symmetries([Rotation(features=("phi",), period=1)], ["phi"])
        >>> [float(copy.shift[0]) for copy in turn.descriptions(4)]
        [0.0, 0.25, 0.5, 0.75]
        """
        if number < 1:
            raise RequestError(f"the number of copies to average over is {number}; it must be at least 1")
        return tuple(self._copy(index, number) for index in range(number))

    def _copy(self, index: int, number: int) -> Copy:
        sign, shift = np.ones_like(self.period), np.zeros_like(self.period)
        source = np.arange(len(self.period), dtype=np.int32)
        # the digits of a combination: cyclic shifts of the first 2, 3, ... objects of each exchange, and the signs
        shifts = [
            _Choice(size, size == len(objects))
            for objects in self.exchanges
            for size in range(2, len(objects) + 1)
        ]
        digits = iter(_spread_digits(index, [*shifts, *(_Choice(2, True) for _ in self.reflections)]))
        for objects in self.exchanges:
            for position, source_position in enumerate(_order(len(objects), digits)):
                source[list(objects[position])] = objects[source_position]
        for columns, flip in zip(self.reflections, digits, strict=True):
            sign[list(columns)] *= 1 - 2 * flip
        for columns, step in zip(self.rotations, _steps(number), strict=False):
            share = index * step % number / number
            shift[list(columns)] = np.float32(share) * self.period[list(columns)]
        # all copies except the first, which is the identity, also wrap values into their range
        period = self.period if index else np.zeros_like(self.period)
        exchanged = tuple(tuple(chain.from_iterable(objects)) for objects in self.exchanges)
        return Copy(source, sign, shift, self.start, period, exchanged)


def resolve_ranges(
    sections: Sequence[SymmetrySection], names: Sequence[str], features: Features
) -> tuple[SymmetrySection, ...]:
    """Set the `start` of each rotation from the training features of these names, [n, n_features], NaN if missing.

    Raises:
        RequestError: the azimuths of a rotation are not all in one range of the length of its period.

    >>> features = np.array([[0.1], [6.2]], np.float32)
    >>> resolve_ranges([Rotation(features=("phi",))], ["phi"], features)[0].start
    0.0
    """
    return tuple(
        section.model_copy(update={"start": _find_start(section, names, features)})
        if isinstance(section, Rotation)
        else section
        for section in sections
    )


def _find_start(section: Rotation, names: Sequence[str], features: Features) -> float:
    period = section.period
    ends = {}
    for name, column in zip(section.features, _columns(section.features, names), strict=True):
        present = features[~np.isnan(features[:, column]), column]
        ends[name] = (float(present.min()), float(present.max())) if len(present) else (0.0, 0.0)
    starts = [-period / 2, 0.0] if section.start is None else [section.start]
    slack = 1e-3 * period
    for start in starts:
        if all(start - slack <= low and high <= start + period + slack for low, high in ends.values()):
            return start
    observed = ", ".join(f"{name} from {low:g} to {high:g}" for name, (low, high) in ends.items())
    ranges = " or ".join(f"from {start:g} to {start + period:g}" for start in starts)
    raise RequestError(
        f"the azimuths of a rotation must all be in a range {ranges}, but {observed}; set its period (360 for "
        "degrees), or convert the azimuths to one range"
    )


def build_symmetries(sections: Sequence[SymmetrySection], names: Sequence[str]) -> Symmetries:
    """Build symmetries of features of these names; a rotation without `start` has the range [-period/2, period/2).

    Raises:
        RequestError: a feature does not exist, or is used twice by rotations or by exchanges.
    """
    start, period = np.zeros(len(names), np.float32), np.zeros(len(names), np.float32)
    rotations, reflections, exchanges = [], [], []
    for section in sections:
        match section:
            case Rotation():
                columns = _columns(section.features, names)
                rotations.append(columns)
                period[list(columns)] = section.period
                start[list(columns)] = -section.period / 2 if section.start is None else section.start
            case Reflection():
                reflections.append(_columns(section.features, names))
            case Exchange():
                columns = _columns(tuple(chain.from_iterable(section.objects)), names)
                size = len(section.objects[0])
                exchanges.append(tuple(columns[at : at + size] for at in range(0, len(columns), size)))
    _check_unique("rotations", rotations, names)
    _check_unique("exchanges", [tuple(chain.from_iterable(objects)) for objects in exchanges], names)
    return Symmetries(tuple(rotations), tuple(reflections), tuple(exchanges), start, period)


def _columns(features: Sequence[str], names: Sequence[str]) -> Columns:
    for index, name in enumerate(features):
        if name not in names:
            hint = suggest(name, names) or f"; the features are {', '.join(map(repr, names))}"
            raise RequestError(f"a symmetry uses the unknown feature {name!r}{hint}")
        if name in features[:index]:
            raise RequestError(f"a symmetry lists the feature {name!r} twice; list it once")
    return tuple(names.index(name) for name in features)


def _check_unique(kind: str, groups: Sequence[Columns], names: Sequence[str]) -> None:
    used: set[int] = set()
    for columns in groups:
        for column in used.intersection(columns):
            raise RequestError(f"two {kind} use the feature {names[column]!r}; it can only be in one of them")
        used.update(columns)


def _wrap(values: Features, columns: Sequence[int], start: Float32, period: Float32) -> None:
    """Wrap columns of values, [n, n_features], into their ranges."""
    if not len(columns):
        return
    lowest, length = start[list(columns)], period[list(columns)]
    wrapped = values[:, list(columns)]
    # values near the largest 32-bit number may overflow here; the clip below makes them finite again
    with np.errstate(over="ignore"):
        wrapped -= length * np.floor((wrapped - lowest) / length)
    highest = np.nextafter(lowest + length, lowest)
    values[:, list(columns)] = np.clip(wrapped, lowest, highest)


def _exchange(values: Features, objects: Sequence[Columns], keys: Float32) -> None:
    """Sort the objects of each event, [n, n_features], by their keys, [n, objects]."""
    incomplete = np.stack([np.isnan(values[:, columns]).any(axis=1) for columns in objects], axis=1)
    order = np.argsort(np.where(incomplete, np.float32(2), keys), axis=1, kind="stable")
    if incomplete.any():
        # an object with a missing value is not exchanged
        positions = np.argsort(incomplete, axis=1, kind="stable")
        np.put_along_axis(order, positions, order.copy(), axis=1)
    for columns in zip(*objects, strict=True):
        values[:, columns] = np.take_along_axis(values[:, columns], order, axis=1)


class _Choice(NamedTuple):
    """A choice between `size` options; it is leading if it alone moves its objects to every position."""

    size: int
    leading: bool


def _spread_digits(index: int, choices: Sequence[_Choice]) -> list[int]:
    """Return the digits of a number, one for each choice, so that counting enumerates all combinations.

    The digits of large choices change fastest. The sum of the faster digits is added to the digit of a leading choice,
    so that the first few numbers already differ in all of them.
    """
    digits, total = [0] * len(choices), 0
    for position in sorted(range(len(choices)), key=lambda position: -choices[position].size):
        size = choices[position].size
        index, digit = divmod(index, size)
        digits[position] = (digit + total) % size if choices[position].leading else digit
        total += digit
    return digits


def _order(objects: int, shifts: Iterator[int]) -> list[int]:
    """Compute an order of objects from the next shifts: of the first two, of the first three, and so on."""
    order = list(range(objects))
    for size, shift in zip(range(2, objects + 1), islice(shifts, objects - 1), strict=True):
        order[:size] = [*order[shift:size], *order[:shift]]
    return order


def _steps(number: int) -> Iterator[int]:
    """Yield steps that are coprime to a number: their multiples, divided by it, fill a circle evenly.

    The first is 1. The others are near multiples of the golden ratio, which decorrelates the angles of two rotations (a
    lattice rule; I. H. Sloan and S. Joe, "Lattice Methods for Multiple Integration").
    """
    for rotation in count():
        target = round(number * (rotation * _GOLDEN % 1)) or 1
        yield next(step for step in count(target) if math.gcd(step, number) == 1)
