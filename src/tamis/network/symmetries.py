"""What physics leaves unchanged: other events that are as likely as those that were seen, and of the same class.

Training draws them afresh for every epoch; prediction may average over a fixed set of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice

import numpy as np
from numpy.typing import NDArray

from tamis.config import Exchange, Reflection, Rotation
from tamis.config import Symmetry as SymmetrySection
from tamis.errors import RequestError
from tamis.wording import suggest

Float32 = NDArray[np.float32]
Features = Float32 | NDArray[np.float64]
Columns = tuple[int, ...]

_ROWS_AT_ONCE = 16_384  # as many as stay in the cache
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Copy:
    """One fixed symmetry of all events: each column is another one, with a sign and a shift, in its period.

    Column c of the result is sign[c] * x[source[c]] + shift[c], brought into [start[c], start[c] + period[c]) by
    whole periods. Where an object of an exchange has a missing value, the event keeps all objects of this exchange
    in their places: there the source of a column is the column itself.

    Args:
        source: the column that each column is made of, [n_features].
        sign: 1 or -1, [n_features].
        shift: added then, in the feature's own unit, [n_features].
        start: lower end of the range of a periodic column, [n_features].
        period: its length, 0 for a column that has none, [n_features].
        exchanges: for each exchange the columns of all its objects.
    """

    source: NDArray[np.int32]
    sign: Float32
    shift: Float32
    start: Float32
    period: Float32
    exchanges: tuple[Columns, ...] = ()

    def apply(self, features: Features) -> Features:
        """Give the copy of events, [n, n_features], NaN where missing."""
        copied = np.empty_like(features)
        for start in range(0, len(features), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            copied[rows] = self._of_rows(features[rows])
        return copied

    def pull_back(
        self, changes: NDArray[np.float64], features: Features, *, signed: bool = True
    ) -> NDArray[np.float64]:
        """Turn derivatives by the features of the copy into derivatives by those of the events.

        Args:
            changes: of the copies, [n, ..., n_features].
            features: of the events, [n, n_features], NaN where missing.
            signed: whether a change of sign counts; not for an indicator, which has none.

        Returns:
            Of the events, in the shape of `changes`.
        """
        moved = changes * self.sign if signed else changes
        found = np.zeros_like(changes)
        found[..., self.source] = moved
        for columns in self.exchanges:
            staying = np.flatnonzero(np.isnan(features[:, list(columns)]).any(axis=1))
            for column in columns:
                found[staying, ..., column] = moved[staying, ..., column]
        return found

    def _of_rows(self, features: Features) -> Features:
        moved: Features = features[:, self.source]
        for columns in self.exchanges:
            staying = np.flatnonzero(np.isnan(features[:, list(columns)]).any(axis=1))[:, None]
            moved[staying, columns] = features[staying, columns]
        moved *= self.sign
        moved += self.shift
        _wrap(moved, np.flatnonzero(self.period).tolist(), self.start, self.period)
        return moved


@dataclass(frozen=True)
class Symmetries:
    """What physics leaves unchanged, as columns of the features.

    The exchanges act first, then the reflections, then the rotations.

    Args:
        rotations: the columns of the azimuths that are turned by one common angle, for each rotation.
        reflections: the columns that change their sign together, for each reflection.
        exchanges: the columns of each object, for each exchange.
        start: lower end of the range of a column that is turned, [n_features].
        period: a full turn, 0 for a column that is not turned, [n_features].
    """

    rotations: tuple[Columns, ...]
    reflections: tuple[Columns, ...]
    exchanges: tuple[tuple[Columns, ...], ...]
    start: Float32
    period: Float32

    def draw(self, features: Features, rng: np.random.Generator) -> Features:
        """Draw another event for each event: a fresh angle, sign and order.

        What is missing stays missing: of the objects of an exchange, those without a missing value change places
        among themselves.

        Args:
            features: [n, n_features], NaN where missing.
            rng: where the random numbers come from.

        Returns:
            The drawn events, [n, n_features].

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
        """Give some fixed copies of events, over which scores can be averaged; the first is the events themselves.

        Args:
            features: [n, n_features], NaN where missing.
            number: of the copies.

        Returns:
            One array after the other, [n, n_features].

        Raises:
            RequestError: the number is not at least 1.
        """
        return (copy.apply(features) for copy in self.descriptions(number))

    def descriptions(self, number: int) -> tuple[Copy, ...]:
        """Say what `copies` does, the same for all events, so that it can be stored and exported.

        The angles of each rotation are evenly spaced. A number that is divisible by the number of combinations of
        reflections and orders has each combination equally often; any other even number has each reflection in
        half of the copies.

        Args:
            number: of the copies.

        Raises:
            RequestError: the number is not at least 1.

        >>> turn = build_symmetries([Rotation(features=("phi",), period=1)], ["phi"])
        >>> [float(copy.shift[0]) for copy in turn.descriptions(4)]
        [0.0, 0.25, 0.5, 0.75]
        """
        if number < 1:
            raise RequestError(f"symmetries are averaged over at least 1 copy, found {number}; ask for more")
        return tuple(self._copy(index, number) for index in range(number))

    @property
    def combinations(self) -> int:
        """Number of combinations of reflections and orders of objects."""
        return math.prod(choice.size for choice in self._choices)

    @property
    def _choices(self) -> list[_Choice]:
        """The choices that make up a combination: by how much to shift the first 2, 3, ... objects, and the signs."""
        shifts = [
            _Choice(size, size == len(objects))
            for objects in self.exchanges
            for size in range(2, len(objects) + 1)
        ]
        return [*shifts, *(_Choice(2, True) for _ in self.reflections)]

    def _copy(self, index: int, number: int) -> Copy:
        sign, shift = np.ones_like(self.period), np.zeros_like(self.period)
        source = np.arange(len(self.period), dtype=np.int32)
        choices = iter(_spread_digits(index, self._choices))
        for objects in self.exchanges:
            for place, other in enumerate(_order(len(objects), choices)):
                source[list(objects[place])] = objects[other]
        for columns, flip in zip(self.reflections, choices, strict=True):
            sign[list(columns)] *= 1 - 2 * flip
        for columns, step in zip(self.rotations, _steps(number), strict=False):
            share = index * step % number / number
            shift[list(columns)] = np.float32(share) * self.period[list(columns)]
        # every copy but the first, which changes nothing, also brings values into their range
        period = self.period if index else np.zeros_like(self.period)
        exchanged = tuple(tuple(chain.from_iterable(objects)) for objects in self.exchanges)
        return Copy(source, sign, shift, self.start, period, exchanged)


def settle_ranges(
    sections: Sequence[SymmetrySection], names: Sequence[str], sample: Features
) -> tuple[SymmetrySection, ...]:
    """Fill in where the range of each rotation begins, so that drawn azimuths lie where the training ones do.

    Args:
        sections: as configured.
        names: of the features, in their order.
        sample: training features, [n, n_features], NaN where missing.

    Returns:
        The sections, each rotation with its `start`.

    Raises:
        RequestError: the azimuths of a rotation are not all in one range of the length of its period.

    >>> sample = np.array([[0.1], [6.2]], np.float32)
    >>> settle_ranges([Rotation(features=("phi",))], ["phi"], sample)[0].start
    0.0
    """
    return tuple(
        section.model_copy(update={"start": _start(section, names, sample)})
        if isinstance(section, Rotation)
        else section
        for section in sections
    )


def _start(section: Rotation, names: Sequence[str], sample: Features) -> float:
    period = section.period
    ends = {
        name: _ends(sample[:, column])
        for name, column in zip(section.features, _columns(section.features, names), strict=True)
    }
    starts = [-period / 2, 0.0] if section.start is None else [section.start]
    slack = 1e-3 * period
    for start in starts:
        if all(start - slack <= low and high <= start + period + slack for low, high in ends.values()):
            return start
    found = ", ".join(f"{name} from {low:g} to {high:g}" for name, (low, high) in ends.items())
    ranges = " or ".join(f"from {start:g} to {start + period:g}" for start in starts)
    raise RequestError(
        f"the azimuths of a rotation must all lie {ranges}, found {found}; set its period (360 for degrees), or "
        "bring the azimuths into one range"
    )


def _ends(values: Features) -> tuple[float, float]:
    there = values[~np.isnan(values)]
    return (float(there.min()), float(there.max())) if len(there) else (0.0, 0.0)


def build_symmetries(sections: Sequence[SymmetrySection], names: Sequence[str]) -> Symmetries:
    """Find the columns of symmetries.

    Args:
        sections: as configured, with settled ranges; a rotation without `start` uses [-period/2, period/2).
        names: of the features, in their order.

    Raises:
        RequestError: a feature does not exist, or is used twice by symmetries of one kind where it must not be.
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
    _refuse_repetition("rotations", rotations, names)
    _refuse_repetition("exchanges", [tuple(chain.from_iterable(objects)) for objects in exchanges], names)
    return Symmetries(tuple(rotations), tuple(reflections), tuple(exchanges), start, period)


def _columns(features: Sequence[str], names: Sequence[str]) -> Columns:
    for index, name in enumerate(features):
        if name not in names:
            hint = suggest(name, names) or f"; the features are {', '.join(map(repr, names))}"
            raise RequestError(f"a symmetry names {name!r}, but there is no such feature{hint}")
        if name in features[:index]:
            raise RequestError(f"a symmetry names the feature {name!r} twice; name it once")
    return tuple(names.index(name) for name in features)


def _refuse_repetition(what: str, groups: Sequence[Columns], names: Sequence[str]) -> None:
    used: set[int] = set()
    for columns in groups:
        for column in used.intersection(columns):
            raise RequestError(f"two {what} use the feature {names[column]!r}; it can be in one of them only")
        used.update(columns)


def _wrap(values: Features, columns: Sequence[int], start: Float32, period: Float32) -> None:
    """Bring columns of values, [n, n_features], into their ranges, by whole periods."""
    if not len(columns):
        return
    lowest, length = start[list(columns)], period[list(columns)]
    inside = values[:, list(columns)]
    # what is as large as 32 bits allow has no angle any more, but stays a number
    with np.errstate(over="ignore"):
        inside -= length * np.floor((inside - lowest) / length)
    highest = np.nextafter(lowest + length, lowest)
    values[:, list(columns)] = np.clip(inside, lowest, highest)


def _exchange(values: Features, objects: Sequence[Columns], keys: Float32) -> None:
    """Put the objects of each event, [n, n_features], into the order of their keys, [n, objects]."""
    incomplete = np.stack([np.isnan(values[:, columns]).any(axis=1) for columns in objects], axis=1)
    order = np.argsort(np.where(incomplete, np.float32(2), keys), axis=1, kind="stable")
    if incomplete.any():
        # an object with a missing value stays where it is
        places = np.argsort(incomplete, axis=1, kind="stable")
        shuffled = order.copy()
        np.put_along_axis(order, places, shuffled, axis=1)
    for columns in zip(*objects, strict=True):
        values[:, columns] = np.take_along_axis(values[:, columns], order, axis=1)


@dataclass(frozen=True)
class _Choice:
    """A choice between `size` things; it is leading if it alone already takes its objects to every place."""

    size: int
    leading: bool


def _spread_digits(index: int, choices: Sequence[_Choice]) -> list[int]:
    """Write a number with one digit for each choice, so that counting runs through all combinations.

    The digits of large choices change fastest. The digit of a leading choice has the sum of those that change faster
    added: so the first few numbers already differ in all of them, and not only in the fastest.
    """
    digits, total = [0] * len(choices), 0
    for place in sorted(range(len(choices)), key=lambda place: -choices[place].size):
        size = choices[place].size
        index, digit = divmod(index, size)
        digits[place] = (digit + total) % size if choices[place].leading else digit
        total += digit
    return digits


def _order(objects: int, shifts: Iterator[int]) -> list[int]:
    """Make an order of objects of the next shifts: of the first two, of the first three, and so on."""
    order = list(range(objects))
    for size, shift in zip(range(2, objects + 1), islice(shifts, objects - 1), strict=True):
        order[:size] = [*order[shift:size], *order[:shift]]
    return order


def _steps(number: int) -> Iterator[int]:
    """Give steps without a common divisor with a number: their multiples, divided by it, fill a circle evenly.

    The first is 1. The others are near multiples of the golden ratio, which keeps the angles of two rotations apart
    (a lattice rule; I. H. Sloan and S. Joe, "Lattice Methods for Multiple Integration").
    """
    for rotation in count():
        wanted = round(number * (rotation * _GOLDEN % 1)) or 1
        yield next(step for step in count(wanted) if math.gcd(step, number) == 1)
