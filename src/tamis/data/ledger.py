"""The ledger: where every entry of the input files went, in numbers that add up exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.errors import TamisError

_SCALE = 1126  # the smallest double is 2**-1074, with 53 bits of fraction below its exponent's lower bound
_BLOCK = 2**25


def exact_sum(values: NDArray[np.float64]) -> int:
    """Sum doubles without any rounding, so that the order of events and the size of chunks change nothing.

    Args:
        values: finite numbers.

    Returns:
        The sum times 2**1126, which is a whole number; `exact_float` turns it back.

    >>> exact_float(exact_sum(np.array([1e16, 1.0, -1e16])))
    1.0
    """
    return sum(_exact_block(values[start : start + _BLOCK]) for start in range(0, len(values), _BLOCK))


def _exact_block(values: NDArray[np.float64]) -> int:
    if len(values) > 1 and (values == values[0]).all():  # as with samples whose weight is a number
        return len(values) * _exact_block(values[:1])
    fraction, exponent = np.frexp(values)
    whole = np.ldexp(fraction, 53).astype(np.int64)
    lowest = int(exponent.min(initial=0))
    place = exponent - lowest
    # halves of 26 and 27 bits, so that sums of 2**25 of them are exact in double precision
    high = np.bincount(place, weights=(whole >> 27).astype(np.float64))
    low = np.bincount(place, weights=(whole & (2**27 - 1)).astype(np.float64))
    shift = _SCALE - 53 + lowest
    return sum(
        ((int(upper) << 27) + int(lower)) << (shift + step)
        for step, (upper, lower) in enumerate(zip(high, low, strict=True))
        if upper or lower
    )


def exact_float(scaled: int) -> float:
    """Round an exact sum to the nearest double."""
    return scaled / (1 << _SCALE)


@dataclass(frozen=True)
class Tally:
    """Number and weights of some events.

    Args:
        events: how many.
        weights: exact sum of the physics weights, scaled as by `exact_sum`.
        squares: exact sum of the squared weights, scaled likewise.
        negative: how many have a negative weight.
    """

    events: int = 0
    weights: int = 0
    squares: int = 0
    negative: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Count two disjoint groups of events together."""
        return Tally(
            self.events + other.events,
            self.weights + other.weights,
            self.squares + other.squares,
            self.negative + other.negative,
        )

    @property
    def sum_of_weights(self) -> float:
        """Sum of the physics weights."""
        return exact_float(self.weights)

    @property
    def effective_number(self) -> float:
        """Number of unit-weight events with the same relative uncertainty, (sum w)^2 / sum w^2."""
        return self.sum_of_weights**2 / exact_float(self.squares) if self.squares else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Give the numbers as the ledger prints them."""
        return {
            "events": self.events,
            "sum_of_weights": self.sum_of_weights,
            "sum_of_squared_weights": exact_float(self.squares),
            "effective_number": self.effective_number,
            "negative_fraction": self.negative / self.events if self.events else 0.0,
        }


def tally(weights: NDArray[np.float64]) -> Tally:
    """Count events by their weights.

    >>> tally(np.array([1.0, -0.5])).to_dict()["effective_number"]
    0.2
    """
    with np.errstate(under="ignore", over="ignore"):
        squares = np.minimum(weights * weights, np.finfo(np.float64).max)
    return Tally(len(weights), exact_sum(weights), exact_sum(squares), int(np.count_nonzero(weights < 0)))


@dataclass(frozen=True)
class SampleAccount:
    """Where the entries of one sample went.

    Args:
        sample: its name.
        class_name: its class.
        files: entries of each file, by the file's identity.
        read: all entries whose weight is a number.
        unweighted: entries whose weight is not a finite number; they are only allowed to fail the selection.
        failed_selection: entries that fail the selection and whose weight is a number.
        dropped: events that a policy left out, by its name.
        parts: used events in training, validation and test.
        made_absolute: training events whose negative weight counts with its absolute value in the loss; they are
            among the used ones, with their sign.
        folds: used events by fold, where there is cross-training: each is test for the members that never saw it.
    """

    sample: str
    class_name: str
    files: Mapping[str, int]
    read: Tally
    unweighted: int
    failed_selection: Tally
    dropped: Mapping[str, Tally] = field(default_factory=dict)
    parts: Mapping[str, Tally] = field(default_factory=dict)
    made_absolute: int = 0
    folds: tuple[Tally, ...] = ()

    @property
    def entries(self) -> int:
        """Number of entries in the files."""
        return sum(self.files.values())

    @property
    def used(self) -> Tally:
        """All events that are used."""
        return total(self.parts.values())

    def check(self) -> None:
        """Refuse an account that does not add up.

        Raises:
            TamisError: entries or weights were lost or counted twice: a defect of tamis, not of the input.
        """
        accounted = self.failed_selection + total(self.dropped.values()) + self.used
        in_folds = total(self.folds) if self.folds else self.used
        if (
            accounted != self.read
            or in_folds != self.used
            or self.entries != accounted.events + self.unweighted
        ):
            raise TamisError(
                f"the ledger of sample {self.sample} does not add up: {self.entries} entries in the files, "
                f"{accounted.events + self.unweighted} accounted for; please report this as a defect of tamis"
            )

    def to_dict(self) -> dict[str, Any]:
        """Give the account as `events.json` holds it."""
        failed = self.failed_selection.to_dict()
        failed["events"] += self.unweighted
        failed["events_without_weight"] = self.unweighted
        return {
            "sample": self.sample,
            "class": self.class_name,
            "files": dict(self.files),
            "entries": self.entries,
            "failed_selection": failed,
            "dropped": {policy: count.to_dict() for policy, count in self.dropped.items()},
            "used": self.used.to_dict(),
            "made_absolute_in_training": self.made_absolute,
            **{part: count.to_dict() for part, count in self.parts.items()},
            **({"folds": [count.to_dict() for count in self.folds]} if self.folds else {}),
        }


def total(tallies: Iterable[Tally]) -> Tally:
    """Count several disjoint groups of events together."""
    return reduce(Tally.__add__, tallies, Tally())


@dataclass(frozen=True)
class Ledger:
    """The accounts of all samples.

    Args:
        samples: one account per sample, sorted by name.
        repeated: number of events whose identity occurs before them in the same sample.
        shared: number of identities that occur in more than one sample.
    """

    samples: tuple[SampleAccount, ...]
    repeated: int = 0
    shared: int = 0

    def of_class(self, class_name: str, part: str) -> Tally:
        """Count the used events of a class in one part."""
        return total(account.parts[part] for account in self.samples if account.class_name == class_name)

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Give the ledger as `events.json` holds it: per sample, per class and in total."""
        return {
            "samples": [account.to_dict() for account in self.samples],
            "classes": {
                name: _summary([account for account in self.samples if account.class_name == name])
                for name in classes
            },
            "total": _summary(self.samples),
            "repeated_identities": {"within_samples": self.repeated, "between_samples": self.shared},
        }


def _summary(accounts: Sequence[SampleAccount]) -> dict[str, Any]:
    merged = SampleAccount(
        sample="",
        class_name="",
        files={str(number): account.entries for number, account in enumerate(accounts)},
        read=total(account.read for account in accounts),
        unweighted=sum(account.unweighted for account in accounts),
        failed_selection=total(account.failed_selection for account in accounts),
        dropped=_merge([account.dropped for account in accounts]),
        parts=_merge([account.parts for account in accounts]),
        made_absolute=sum(account.made_absolute for account in accounts),
        folds=tuple(total(each) for each in zip(*(account.folds for account in accounts), strict=True)),
    ).to_dict()
    return {key: value for key, value in merged.items() if key not in ("sample", "class", "files")}


def _merge(groups: Sequence[Mapping[str, Tally]]) -> dict[str, Tally]:
    names = list(dict.fromkeys(name for group in groups for name in group))
    return {name: total(group.get(name, Tally()) for group in groups) for name in names}
