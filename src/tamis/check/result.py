"""The result of `tamis check`, as values and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tamis.data.cutflow import Cutflow
from tamis.data.duplicates import EqualEvents
from tamis.errors import Problem, group_problems
from tamis.pipeline.resources import ResourceEstimate

FORMAT, VERSION = "tamis check", 1


@dataclass(frozen=True)
class SampleRow:
    """The files of one sample, and the branches that are read; a pattern without match counts as an unusable file."""

    name: str
    class_name: str
    files: int
    empty: int
    unusable: int
    entries: int
    branches: tuple[str, ...]


@dataclass(frozen=True)
class FeatureRow:
    """The values of one feature.

    Args:
        missing: number of selected events without a finite value: NaN, infinite or a declared sentinel.
        infinite: number of these that are infinite, or too large for 32 bits.
    """

    name: str
    missing: int
    infinite: int
    by_class: dict[str, int]
    lowest: float | None
    highest: float | None


@dataclass(frozen=True)
class Group:
    """The events of one class in one split, or in all.

    Args:
        split: `all`, `training`, `validation` or `test`.
        fold: the fold that the members hold out; None for all members together.
        effective_sample_size: (sum of weights)^2 / sum of squares.
    """

    split: str
    fold: int | None
    events: int
    sum_of_weights: float
    effective_sample_size: float
    negative_fraction: float


@dataclass(frozen=True)
class ClassRow:
    """The weights of one class: of all its events, then of each split and fold.

    The share is that of the heaviest event in the absolute weight; `heavy` events have more than 1% of it.
    """

    name: str
    groups: tuple[Group, ...]
    largest_share: float
    heavy: int


@dataclass(frozen=True)
class Note:
    """A suspicious finding on a feature, a class or (empty) all, that does not prevent a training.

    Its kind is one word, its message a sentence; sentinels and spikes have the repeated value.
    """

    kind: str
    where: str
    message: str
    value: float | None = None


@dataclass(frozen=True)
class CheckResult:
    """The result of `tamis check`.

    Args:
        read: whether all events could be read; otherwise everything on events refers to those that could.
        cutflow: the cutflow; None if the events cannot be used.
        equal: events that equal another one; None if no events were read.
    """

    name: str = ""
    class_names: tuple[str, ...] = ()
    samples: tuple[SampleRow, ...] = ()
    read: bool = False
    cutflow: Cutflow | None = None
    classes: tuple[ClassRow, ...] = ()
    features: tuple[FeatureRow, ...] = ()
    equal: EqualEvents | None = None
    resources: ResourceEstimate | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the result as `tamis check --json` writes it."""
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
            "cutflow": None if self.cutflow is None else self.cutflow.to_dict(self.class_names),
            "classes": {row.name: asdict(row) for row in self.classes},
            "features": {row.name: asdict(row) for row in self.features},
            "equal_events": None if self.equal is None else self.equal.to_dict(),
            "resources": None if self.resources is None else self.resources.to_dict(),
        }
