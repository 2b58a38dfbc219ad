"""What became of the files: one line each, and numbers of entries that add up to the unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tamis.errors import TamisError

Status = Literal["written", "kept", "failed", "not tried"]


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Args:
        file: the input.
        output: where its scores are, or would be.
        status: `written` now, `kept` from before, `failed`, or `not tried` because the work was given up.
        entries: entries of the input; None where it could not be looked into.
        rows: rows of the output.
        counts: how many were scored, and how many have each flag.
        networks: with cross-training, how many entries each value of the column `network` has.
        problem: why it failed.
        warnings: what to look at.
        hashed: whether the rows of the output have hashes; those that older versions wrote have none.
    """

    file: str
    output: str
    status: Status
    entries: int | None = None
    rows: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    networks: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""
    warnings: tuple[str, ...] = ()
    hashed: bool = True

    @property
    def done(self) -> bool:
        """Whether the scores are there."""
        return self.status in ("written", "kept")


@dataclass(frozen=True)
class Summary:
    """What became of all files.

    Args:
        model: hash of the classifier.
        outcomes: one for each file, in the order of the files.
        notes: what the user should know.
    """

    model: str
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether any file has no scores."""
        return not all(outcome.done for outcome in self.outcomes)

    @property
    def entries(self) -> dict[str, int]:
        """Entries of the inputs, those that have a row, and those of files that failed."""
        return {
            "in": _sum(self.outcomes),
            "out": sum(each.rows for each in self.outcomes if each.done),
            "lost": _sum([each for each in self.outcomes if not each.done]),
        }

    @property
    def counts(self) -> dict[str, int]:
        """How many entries were scored, and how many have each flag."""
        total: Counter[str] = Counter()
        for outcome in self.outcomes:
            total.update(outcome.counts)
        return dict(total)

    def check(self) -> None:
        """Refuse numbers that do not add up.

        Raises:
            TamisError: an entry appeared or disappeared.
        """
        found = self.entries
        if found["in"] != found["out"] + found["lost"]:
            raise TamisError(f"the entries do not add up: {found}; please report this")

    def to_dict(self) -> dict[str, Any]:
        """Give everything as `summary.json` holds it."""
        unknown = sum(1 for each in self.outcomes if each.entries is None)
        return {
            "model": self.model,
            "entries": {**self.entries, "files_that_could_not_be_counted": unknown},
            "counts": self.counts,
            "files": [{**asdict(outcome), "warnings": list(outcome.warnings)} for outcome in self.outcomes],
            "notes": list(self.notes),
        }


def _sum(outcomes: Sequence[Outcome]) -> int:
    return sum(outcome.entries or 0 for outcome in outcomes)
