"""What the weights of each class look like, in all and in each part and fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tamis.check.result import ClassRow, Group, Note
from tamis.data.events import Events
from tamis.data.ledger import Tally, tally
from tamis.data.weights import divisions
from tamis.wording import counted

LARGE_WEIGHT = 0.01
"""A single event with more than this fraction of the weight of its class is worth a look."""
FEW = 100.0
"""Effective events of a class from which on a training is not hopeless."""
MANY_NEGATIVE = 0.3
"""Share of negative weights from which on little is left of the statistics."""


def class_rows(events: Events, classes: Sequence[str], folds: int) -> tuple[ClassRow, ...]:
    """Sum up the weights of each class.

    Args:
        events: as read.
        classes: names of the classes.
        folds: number of folds of cross-training; 0 for none.
    """
    parts = list(divisions(events, events.weight, len(classes), folds))
    rows = []
    for index, name in enumerate(classes):
        weight = events.weight[events.class_index == index]
        groups = [
            _group(each.part, each.fold, *(float(values[index]) for values in _sums(each))) for each in parts
        ]
        share, heavy = _largest(weight)
        rows.append(ClassRow(name, (_all(tally(weight)), *groups), share, heavy))
    return tuple(rows)


def _sums(division: object) -> tuple[NDArray[np.float64], ...]:
    return tuple(getattr(division, name) for name in ("events", "weights", "squares", "negative"))


def _group(
    part: str, fold: int | None, events: float, total: float, squares: float, negative: float
) -> Group:
    effective = total**2 / squares if squares else 0.0
    return Group(part, fold, int(events), total, effective, negative / events if events else 0.0)


def _all(found: Tally) -> Group:
    numbers = found.to_dict()
    return Group(
        "all",
        None,
        found.events,
        numbers["sum_of_weights"],
        numbers["effective_number"],
        numbers["negative_fraction"],
    )


def _largest(weight: NDArray[np.float64]) -> tuple[float, int]:
    sizes = np.abs(weight)
    total = float(sizes.sum())
    if not total:
        return 0.0, 0
    return float(sizes.max() / total), int(np.count_nonzero(sizes > LARGE_WEIGHT * total))


def weight_notes(events: Events, rows: Sequence[ClassRow]) -> list[Note]:
    """Say where few events carry a class, or where signs cancel most of it."""
    return [note for index, row in enumerate(rows) for note in _notes(events, index, row)]


def _notes(events: Events, index: int, row: ClassRow) -> list[Note]:
    everything, where = row.groups[0], f"class {row.name}"
    notes = []
    if row.heavy and everything.events > 1 / LARGE_WEIGHT:
        of_class = np.flatnonzero(events.class_index == index)
        heaviest = of_class[np.abs(events.weight[of_class]).argmax()]
        several = (
            f"{counted(row.heavy, 'event')} carry more than 1% of its absolute weight each; the heaviest"
        )
        message = (
            f"{several if row.heavy > 1 else 'one event'} carries "
            f"{100 * row.largest_share:.1f}% of its absolute weight (entry {events.entry[heaviest]} of "
            f"{events.files[events.file_index[heaviest]]}, weight {events.weight[heaviest]:g})"
        )
        notes.append(Note("large_weight", where, message))
    if 0 < everything.effective_number < FEW:
        message = (
            f"the effective number of its {counted(everything.events, 'event')} is {everything.effective_number:,.1f}: "
            "little can be learned from so few"
        )
        notes.append(Note("few_events", where, message))
    if everything.negative_fraction > MANY_NEGATIVE:
        message = f"{100 * everything.negative_fraction:.0f}% of its events have a negative weight"
        notes.append(Note("negative_weights", where, message))
    return notes
