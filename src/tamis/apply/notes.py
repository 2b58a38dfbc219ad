"""What the user should know of all files together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tamis.apply.folds import AVERAGE
from tamis.apply.model import Model
from tamis.apply.summary import Outcome


def notes_on(model: Model, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Say which files the networks learned from, which entries got an average, and which scores cannot be checked.

    Args:
        model: what was applied.
        outcomes: what became of each file.
    """
    done = [each for each in outcomes if each.done]
    if model.folds is None:
        known = {(each.name, each.bytes) for each in model.training}
        learned = [each.file for each in done if _name_and_size(each.file) in known]
        if learned:
            yield (
                f"{_of_files(learned, len(outcomes))} the name and the size of a file of the training ({learned[0]}): "
                "the network learned from a part of the events, whose scores look better than those of new events"
            )
    elif average := sum(each.networks.get(str(AVERAGE), 0) for each in outcomes):
        yield (
            f"{average:,} entries got the average of all networks, which is right for events that were not in the "
            "training"
        )
    unhashed = [each.output for each in done if not each.hashed]
    if unhashed:
        yield (
            f"{_of_files(unhashed, len(outcomes))} scores that an older tamis wrote, without a hash of their rows "
            f"({unhashed[0]}): they are kept, and nobody can tell whether a row was damaged since"
        )


def _of_files(some: Sequence[str], total: int) -> str:
    """Say how many of the files have something.

    >>> _of_files(["a"], 1), _of_files(["a"], 3), _of_files(["a", "b"], 3)
    ('the file has', '1 of 3 files has', '2 of 3 files have')
    """
    if total == 1:
        return "the file has"
    return f"{len(some)} of {total} files {'has' if len(some) == 1 else 'have'}"


def _name_and_size(file: str) -> tuple[str, int | None]:
    path = Path(file)
    return path.name, path.stat().st_size if path.is_file() else None
