"""What `tamis check` found, as values and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tamis.data.duplicates import EqualEvents
from tamis.data.ledger import Ledger
from tamis.errors import Problem, group_problems
from tamis.pipeline.needs import Needs

FORMAT, VERSION = "tamis check", 1


@dataclass(frozen=True)
class SampleRow:
    """What was found of one sample.

    Args:
        name: its name.
        class_name: its class.
        files: number of files that can be used.
        empty: how many of them have no entries.
        unusable: number of files that cannot be used, and of patterns that match none.
        entries: number of entries in the files that can be used.
        branches: what is read.
    """

    name: str
    class_name: str
    files: int
    empty: int
    unusable: int
    entries: int
    branches: tuple[str, ...]


@dataclass(frozen=True)
class FeatureRow:
    """What was found of one feature.

    Args:
        name: its name.
        missing: number of selected events without a finite value: NaN, infinite or a declared sentinel.
        infinite: how many of these are infinite, or too large for 32 bits.
        by_class: missing values of each class.
        lowest: smallest value; None where there is none.
        highest: largest value; None where there is none.
    """

    name: str
    missing: int
    infinite: int
    by_class: dict[str, int]
    lowest: float | None
    highest: float | None


@dataclass(frozen=True)
class Group:
    """The events of one class in one part, or in all.

    Args:
        part: `all`, `training`, `validation` or `test`.
        fold: the fold whose network they are for; None where there is one network, and for all folds together.
        events: how many.
        sum_of_weights: of the physics weights.
        effective_number: (sum of weights)^2 / sum of squares.
        negative_fraction: share of the events whose weight is negative.
    """

    part: str
    fold: int | None
    events: int
    sum_of_weights: float
    effective_number: float
    negative_fraction: float


@dataclass(frozen=True)
class ClassRow:
    """What was found of the weights of one class.

    Args:
        name: of the class.
        groups: all its events, then those of each part and each fold.
        largest_share: weight of the heaviest event, as a fraction of the absolute weight of the class.
        heavy: number of events with more than 1% of it.
    """

    name: str
    groups: tuple[Group, ...]
    largest_share: float
    heavy: int


@dataclass(frozen=True)
class Note:
    """Something that a person should look at, though a training is possible.

    Args:
        kind: what it is about, in one word.
        where: a feature or a class; empty where it concerns all.
        message: a sentence.
        value: the value that is repeated, where that is what is odd.
    """

    kind: str
    where: str
    message: str
    value: float | None = None


@dataclass(frozen=True)
class CheckResult:
    """What `tamis check` says.

    Args:
        name: of the configuration.
        class_names: names of the classes.
        samples: what was found of each sample.
        read: whether all events could be read; else what is said of events is said of those that could be.
        ledger: where every entry goes; None where the events cannot be used.
        classes: the weights of each class.
        features: what was found of each feature.
        equal: events that equal another one; None where no events were read.
        needs: memory and disk that a training takes; None where it is not known.
        problems: what would stop a training.
        notes: what a person should look at.
    """

    name: str = ""
    class_names: tuple[str, ...] = ()
    samples: tuple[SampleRow, ...] = ()
    read: bool = False
    ledger: Ledger | None = None
    classes: tuple[ClassRow, ...] = ()
    features: tuple[FeatureRow, ...] = ()
    equal: EqualEvents | None = None
    needs: Needs | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give everything as `tamis check --json` writes it."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "ready": not self.problems,
            "problems": [
                {
                    "message": group.message,
                    "count": len(group.problems),
                    "where": [problem.where for problem in group.problems],
                    "lines": [problem.line for problem in group.problems if problem.line is not None],
                }
                for group in group_problems(self.problems)
            ],
            "notes": [asdict(note) for note in self.notes],
            "samples": [
                {"class" if key == "class_name" else key: value for key, value in asdict(row).items()}
                for row in self.samples
            ],
            "all_events_read": self.read,
            "ledger": None if self.ledger is None else self.ledger.to_dict(self.class_names),
            "classes": {row.name: asdict(row) for row in self.classes},
            "features": {row.name: asdict(row) for row in self.features},
            "equal_events": None if self.equal is None else self.equal.to_dict(),
            "needs": None if self.needs is None else self.needs.to_dict(),
        }
