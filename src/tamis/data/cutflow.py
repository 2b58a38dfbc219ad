"""The cutflow: the number of events after each step, in numbers that add up exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from tamis.arrays import Float64
from tamis.errors import TamisError

_SCALE = 1126  # the smallest double is 2**-1074, with 53 bits of fraction below its exponent's lower bound
_BLOCK = 2**25  # so many halves of mantissas sum up exactly in a double


def compute_exact_sum(values: Float64) -> int:
    """Sum finite doubles without rounding: the result does not depend on the order of events or the size of chunks.

    It is the sum times 2**1126, which is an integer; `round_exact_sum` converts it back.

    >>> round_exact_sum(compute_exact_sum(np.array([1e16, 1.0, -1e16])))
    1.0
    """
    return sum(_exact_block(values[start : start + _BLOCK]) for start in range(0, len(values), _BLOCK))


def _exact_block(values: Float64) -> int:
    if len(values) > 1 and (values == values[0]).all():  # a shortcut for samples with a constant weight
        return len(values) * _exact_block(values[:1])
    fraction, exponent = np.frexp(values)
    mantissa = np.ldexp(fraction, 53).astype(np.int64)
    lowest = int(exponent.min(initial=0))
    shift_of_event = exponent - lowest
    # mantissas are split into 26 and 27 bits, so that sums of 2**25 of them are exact in double precision
    high = np.bincount(shift_of_event, weights=(mantissa >> 27).astype(np.float64))
    low = np.bincount(shift_of_event, weights=(mantissa & (2**27 - 1)).astype(np.float64))
    shift = _SCALE - 53 + lowest
    return sum(
        ((int(upper) << 27) + int(lower)) << (shift + step)
        for step, (upper, lower) in enumerate(zip(high, low, strict=True))
        if upper or lower
    )


def round_exact_sum(scaled: int) -> float:
    """Round an exact sum to the nearest double."""
    return scaled / (1 << _SCALE)


@dataclass(frozen=True)
class Tally:
    """Number and weights of some events.

    Args:
        weights: exact sum of the physics weights, scaled as by `compute_exact_sum`.
        squares: exact sum of the squared weights, with the same scale.
    """

    events: int = 0
    weights: int = 0
    squares: int = 0
    negative: int = 0

    def __add__(self, second: Tally) -> Tally:
        """Add the counts of two disjoint groups of events."""
        return Tally(*map(add, astuple(self), astuple(second)))

    @property
    def sum_of_weights(self) -> float:
        """Sum of the physics weights."""
        return round_exact_sum(self.weights)

    @property
    def effective_sample_size(self) -> float:
        """Number of unit-weight events with the same relative uncertainty, (sum w)^2 / sum w^2."""
        return self.sum_of_weights**2 / round_exact_sum(self.squares) if self.squares else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for `events.json`."""
        return {
            "events": self.events,
            "sum_of_weights": self.sum_of_weights,
            "sum_of_squared_weights": round_exact_sum(self.squares),
            "effective_sample_size": self.effective_sample_size,
            "negative_fraction": self.negative / self.events if self.events else 0.0,
        }


def tally(weights: Float64) -> Tally:
    """Count events by their weights.

    >>> tally(np.array([1.0, -0.5])).to_dict()["effective_sample_size"]
    0.2
    """
    with np.errstate(under="ignore", over="ignore"):
        squares = np.minimum(weights * weights, np.finfo(np.float64).max)
    return Tally(
        len(weights),
        compute_exact_sum(weights),
        compute_exact_sum(squares),
        int(np.count_nonzero(weights < 0)),
    )


@dataclass(frozen=True)
class SampleCutflow:
    """The cutflow of one sample.

    Args:
        files: number of entries of each file, by file key.
        read: all entries with a finite weight.
        unweighted: number of entries without finite weight, all of which fail the selection.
        failed_selection: entries that fail the selection and have a finite weight.
        dropped: events that a policy removed, by its name.
        splits: used events in training, validation and test.
        made_absolute: number of training events whose negative weight enters the loss with its absolute value; they
            are counted in `splits` with their sign.
        folds: used events by fold, if there are folds: each is a test event of the members that hold out its fold.
    """

    sample: str
    class_name: str
    files: Mapping[str, int]
    read: Tally
    unweighted: int
    failed_selection: Tally
    dropped: Mapping[str, Tally] = field(default_factory=dict)
    splits: Mapping[str, Tally] = field(default_factory=dict)
    made_absolute: int = 0
    folds: tuple[Tally, ...] = ()

    @property
    def entries(self) -> int:
        """Number of entries in the files."""
        return sum(self.files.values())

    @property
    def used(self) -> Tally:
        """All events that are used."""
        return sum_tallies(self.splits.values())

    def check(self) -> None:
        """Check that no entries or weights were lost or counted twice: a `TamisError` is a defect of tamis."""
        accounted = self.failed_selection + sum_tallies(self.dropped.values()) + self.used
        in_folds = sum_tallies(self.folds) if self.folds else self.used
        if (
            accounted != self.read
            or in_folds != self.used
            or self.entries != accounted.events + self.unweighted
        ):
            raise TamisError(
                f"the cutflow of sample {self.sample} does not add up: {self.entries} entries in the files, "
                f"{accounted.events + self.unweighted} accounted for; please report this as a defect of tamis"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the cutflow of the sample for `events.json`."""
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
            "absolute_weight_in_training": self.made_absolute,
            **{split: count.to_dict() for split, count in self.splits.items()},
            **({"folds": [count.to_dict() for count in self.folds]} if self.folds else {}),
        }


def sum_tallies(tallies: Iterable[Tally]) -> Tally:
    """Add the counts of disjoint groups of events."""
    return reduce(Tally.__add__, tallies, Tally())


@dataclass(frozen=True)
class Cutflow:
    """The cutflows of all samples.

    Args:
        samples: one per sample, sorted by name.
        repeated: number of events whose ID occurs earlier in the same sample.
        shared: number of event IDs that occur in more than one sample.
    """

    samples: tuple[SampleCutflow, ...]
    repeated: int = 0
    shared: int = 0

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return the content of `events.json`: by sample, by class and in total."""
        return {
            "samples": [sample.to_dict() for sample in self.samples],
            "classes": {
                name: _summary([sample for sample in self.samples if sample.class_name == name])
                for name in classes
            },
            "total": _summary(self.samples),
            "duplicate_event_ids": {"within_samples": self.repeated, "between_samples": self.shared},
        }


def _summary(samples: Sequence[SampleCutflow]) -> dict[str, Any]:
    merged = SampleCutflow(
        sample="",
        class_name="",
        files={str(number): sample.entries for number, sample in enumerate(samples)},
        read=sum_tallies(sample.read for sample in samples),
        unweighted=sum(sample.unweighted for sample in samples),
        failed_selection=sum_tallies(sample.failed_selection for sample in samples),
        dropped=_merge([sample.dropped for sample in samples]),
        splits=_merge([sample.splits for sample in samples]),
        made_absolute=sum(sample.made_absolute for sample in samples),
        folds=tuple(
            sum_tallies(tallies) for tallies in zip(*(sample.folds for sample in samples), strict=True)
        ),
    ).to_dict()
    return {key: value for key, value in merged.items() if key not in ("sample", "class", "files")}


def _merge(groups: Sequence[Mapping[str, Tally]]) -> dict[str, Tally]:
    names = list(dict.fromkeys(name for group in groups for name in group))
    return {name: sum_tallies(group.get(name, Tally()) for group in groups) for name in names}
