"""The outcome of each file, and numbers of entries that add up exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from tamis.apply.folds import AVERAGE
from tamis.apply.model import Model
from tamis.errors import TamisError

Status = Literal["written", "kept", "failed", "not tried"]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one file.

    Args:
        output: the path of its scores, even if they do not exist.
        status: `written` now, `kept` from an earlier call, `failed`, or `not tried` after an interruption.
        entries: entries of the input; None if it could not be read.
        networks: with folds, number of entries for each value of the column `network`.
        refused: whether the file or the request is wrong, so that another attempt would fail as well.
        hashed: whether the output has checksums; outputs of older versions have none.
        trained: whether it is a file of the training, from whose events the classifier learned.
    """

    file: str
    output: str
    status: Status
    entries: int | None = None
    rows: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    networks: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""
    refused: bool = False
    warnings: tuple[str, ...] = ()
    hashed: bool = True
    trained: bool = False

    @property
    def done(self) -> bool:
        """Return whether the scores exist."""
        return self.status in ("written", "kept")


@dataclass(frozen=True)
class Summary:
    """The outcome of each file in their order, with the hash of the classifier and notes for the user."""

    model: str
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Return whether any file has no scores."""
        return not all(outcome.done for outcome in self.outcomes)

    @property
    def refused(self) -> bool:
        """Return whether a file has no scores because it, or the request, is wrong."""
        return any(outcome.refused for outcome in self.outcomes)

    @property
    def entries(self) -> dict[str, int]:
        """Number of entries of all inputs, of those that have a row, and of those in failed files."""
        return {
            "in": sum(outcome.entries or 0 for outcome in self.outcomes),
            "out": sum(outcome.rows for outcome in self.outcomes if outcome.done),
            "lost": sum(outcome.entries or 0 for outcome in self.outcomes if not outcome.done),
        }

    @property
    def counts(self) -> dict[str, int]:
        """Number of scored entries, and of entries with each flag."""
        total: Counter[str] = Counter()
        for outcome in self.outcomes:
            total.update(outcome.counts)
        return dict(total)

    def check(self) -> None:
        """Check that the numbers of entries add up; raise a `TamisError` if not."""
        entries = self.entries
        if entries["in"] != entries["out"] + entries["lost"]:
            raise TamisError(f"the entries do not add up: {entries}; please report this")

    def remaining(self, later: Summary) -> Iterator[Outcome]:
        """Yield the outcomes whose scores still exist after a later call with other files."""
        outputs = {outcome.output for outcome in later.outcomes}
        for outcome in self.outcomes if self.model == later.model else ():
            if outcome.done and outcome.output not in outputs and Path(outcome.output).exists():
                yield outcome

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Summary:
        """Return the summary from the content of `summary.json`."""
        outcomes = (Outcome(**{**entry, "warnings": tuple(entry["warnings"])}) for entry in document["files"])
        return cls(document["model"], tuple(outcomes), tuple(document["notes"]))

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `summary.json`."""
        unknown = sum(1 for outcome in self.outcomes if outcome.entries is None)
        return {
            "model": self.model,
            "entries": {**self.entries, "files_that_could_not_be_counted": unknown},
            "counts": self.counts,
            "files": [{**asdict(outcome), "warnings": list(outcome.warnings)} for outcome in self.outcomes],
            "notes": list(self.notes),
        }


def collect_notes(model: Model, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield notes on files of the training, on entries scored by the average, and on scores without checksums."""
    done = [outcome for outcome in outcomes if outcome.done]
    if not model.classifier.plan.is_cross_training:
        learned = [outcome.file for outcome in done if outcome.trained]
        if learned:
            yield (
                f"{_of_files(learned, len(outcomes))} the content of a file of the training ({_example(learned)}): "
                "the network learned from some of these events, whose scores look better than those of new events"
            )
    elif average := sum(outcome.networks.get(str(AVERAGE), 0) for outcome in outcomes):
        yield (
            f"{average:,} entries were scored by the average of all networks, because these events were not in the "
            "training"
        )
    unhashed = [outcome.output for outcome in done if not outcome.hashed]
    if unhashed:
        yield (
            f"{_of_files(unhashed, len(outcomes))} scores of an older tamis without checksums ({_example(unhashed)}): "
            "damage cannot be detected; remove them to have them written again"
        )


def _of_files(some: Sequence[str], total: int) -> str:
    """Format the number of files that have something.

    >>> _of_files(["a"], 1), _of_files(["a"], 3), _of_files(["a", "b"], 3)
    ('the file has', '1 of 3 files has', '2 of 3 files have')
    """
    if total == 1:
        return "the file has"
    return f"{len(some)} of {total} files {'has' if len(some) == 1 else 'have'}"


def _example(files: Sequence[str]) -> str:
    """Format the first of some files.

    >>> _example(["a"]), _example(["a", "b"])
    ('a', 'for example a')
    """
    return files[0] if len(files) == 1 else f"for example {files[0]}"
