"""The weights of each class, in total and in each split and fold, and notes on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tamis.check.result import ClassRow, Group, Note
from tamis.data.cutflow import tally
from tamis.data.ensemble import EnsemblePlan
from tamis.data.events import Events
from tamis.data.weights import SplitSums, compute_split_sums
from tamis.wording import counted

LARGE_WEIGHT = 0.01
"""Fraction of the weight of its class above which a single event is suspicious."""
FEW = 100.0
"""Minimum effective sample size of a class for a reasonable training."""
MANY_NEGATIVE = 0.3
"""Fraction of negative weights above which the statistical power is greatly reduced."""


def build_class_rows(events: Events, classes: Sequence[str], plan: EnsemblePlan) -> tuple[ClassRow, ...]:
    """Sum the weights of each class, in total and in each split and fold of the members of a plan."""
    splits = list(compute_split_sums(events, events.weight, len(classes), plan))
    rows = []
    for index, name in enumerate(classes):
        weight = events.weight[events.class_index == index]
        numbers = tally(weight).to_dict()
        keys = ("events", "sum_of_weights", "effective_sample_size", "negative_fraction")
        everything = Group("all", None, *(numbers[key] for key in keys))
        groups = (everything, *(_group(sums, index) for sums in splits))
        sizes = np.abs(weight)
        total = float(sizes.sum())
        share = float(sizes.max() / total) if total else 0.0
        heavy = int(np.count_nonzero(sizes > LARGE_WEIGHT * total)) if total else 0
        rows.append(ClassRow(name, groups, share, heavy))
    return tuple(rows)


def _group(sums: SplitSums, index: int) -> Group:
    """Select the numbers of one class."""
    events, total, squares, negative = (
        float(values[index]) for values in (sums.events, sums.weights, sums.squares, sums.negative)
    )
    effective = total**2 / squares if squares else 0.0
    return Group(sums.split, sums.fold, int(events), total, effective, negative / events if events else 0.0)


def collect_weight_notes(events: Events, rows: Sequence[ClassRow]) -> list[Note]:
    """Return notes on classes with few or very large weights, or with many negative ones."""
    return [note for index, row in enumerate(rows) for note in _notes(events, index, row)]


def _notes(events: Events, index: int, row: ClassRow) -> list[Note]:
    everything, where, notes = row.groups[0], f"class {row.name}", []
    if row.heavy and everything.events > 1 / LARGE_WEIGHT:
        of_class = np.flatnonzero(events.class_index == index)
        heaviest = of_class[np.abs(events.weight[of_class]).argmax()]
        several = f"{counted(row.heavy, 'event')} have more than 1% of its absolute weight each; the heaviest"
        message = (
            f"{several if row.heavy > 1 else 'one event'} has "
            f"{100 * row.largest_share:.1f}% of its absolute weight (entry {events.entry[heaviest]} of "
            f"{events.files[events.file_index[heaviest]]}, weight {events.weight[heaviest]:g})"
        )
        notes.append(Note("large_weight", where, message))
    if 0 < everything.effective_sample_size < FEW:
        message = (
            f"the effective sample size of its {counted(everything.events, 'event')} is only "
            f"{everything.effective_sample_size:,.1f}, which is too small for a good training"
        )
        notes.append(Note("few_events", where, message))
    if everything.negative_fraction > MANY_NEGATIVE:
        message = f"{100 * everything.negative_fraction:.0f}% of its events have a negative weight"
        notes.append(Note("negative_weights", where, message))
    return notes
