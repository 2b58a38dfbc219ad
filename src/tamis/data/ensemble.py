"""The ensemble plan: for each member, the events that it learns from, is validated on and scores.

One network is a plan of one member. The plan is built once from the configuration, so no other code depends on whether
there are folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from tamis.arrays import Int32, Mask
from tamis.data.split import TEST, choose_training_folds, is_in_second_half
from tamis.random_streams import random_stream

if TYPE_CHECKING:
    from tamis.config import Folds, Split
    from tamis.data.events import Events


@dataclass(frozen=True)
class PlannedMember:
    """One network of an ensemble.

    The events of its fold and those of the test split are held out: the network scores them, but does not learn from
    them.

    Args:
        fold: the fold that is held out; None without cross-training: then only the test split is held out.
        seed: seed of its random numbers; 0 if it is unknown, for a classifier of an earlier version.
    """

    fold: int | None = None
    seed: int = 0

    def select(self, split: int, events: Events) -> Mask:
        """Return a mask of the events that it learns from (`TRAINING`), is validated on, or scores (`TEST`), [n]."""
        held_out = events.split == TEST
        if self.fold is not None:
            held_out |= events.fold == self.fold
        return np.asarray(held_out if split == TEST else ~held_out & (events.split == split))


@dataclass(frozen=True)
class EnsemblePlan:
    """The members of a classifier, whose scores are averaged.

    Args:
        members: in the order of the networks; the members of one fold are adjacent.
        folds: the rule for the fold of an event; None without cross-training.

    >>> from tamis.config import Folds
    >>> EnsemblePlan((PlannedMember(0, 5), PlannedMember(1, 7)), Folds(number=2)).scorers(1)
    (1,)
    """

    members: tuple[PlannedMember, ...] = (PlannedMember(),)
    folds: Folds | None = None

    @property
    def n_folds(self) -> int:
        """Number of folds; 0 without cross-training."""
        return self.folds.number if self.folds else 0

    @property
    def fold_expression(self) -> str | None:
        """The number of an event whose remainder is its fold; None if the fold follows from the event ID."""
        return self.folds.by if self.folds else None

    @property
    def is_cross_training(self) -> bool:
        """Return whether there are folds, instead of a test split that is held out from all members."""
        return self.n_folds > 0

    @property
    def first_members(self) -> tuple[PlannedMember, ...]:
        """The first member of each fold, or the first of all; members of one fold learn from the same events."""
        by_fold = {member.fold: member for member in reversed(self.members)}
        return tuple(by_fold[fold] for fold in dict.fromkeys(member.fold for member in self.members))

    def scorers(self, fold: int) -> tuple[int, ...]:
        """Return the positions of the members that score the events of a fold; of all members if none holds it out."""
        positions = (number for number, member in enumerate(self.members) if member.fold == fold)
        return tuple(positions) or tuple(range(len(self.members)))

    def select(self, split: int, events: Events) -> Mask:
        """Return a mask of the events that any member learns from, is validated on, or scores, [n]."""
        return np.asarray(np.any([member.select(split, events) for member in self.first_members], axis=0))

    def select_independent(self, split: int, events: Events) -> Mask:
        """Return a mask of the events of a split that are compared with other splits as independent samples, [n].

        With cross-training an event is a training event of one member and a test event of another. So training and
        validation events come from a random half of the events, and test events from the other one.
        """
        selected = self.select(split, events)
        if not self.is_cross_training:
            return selected
        return np.asarray(selected & (is_in_second_half(events.event_id) == (split == TEST)))

    def choose_seen_fold(self, events: Events) -> Int32:
        """Return for each event a fold whose members did not hold it out, [n]; see `choose_training_folds`."""
        if not self.is_cross_training:
            return events.fold
        return choose_training_folds(events.event_id, events.fold, self.n_folds)

    def with_other_seeds(self, seed: int) -> EnsemblePlan:
        """Return the same plan with seeds that none of its members has; `seed` is that of the configuration."""
        count = len(self.members)
        members = (
            replace(member, seed=member_seed(seed, count + number))
            for number, member in enumerate(self.members)
        )
        return replace(self, members=tuple(members))


ONE_NETWORK = EnsemblePlan()
"""The plan of one network that is tested on the test split."""


def build_plan(split: Split, seeds: int, seed: int) -> EnsemblePlan:
    """Build the plan of a configuration, with `seeds` members for each fold; the first has the seed of all.

    >>> from tamis.config import Split
    >>> [member.fold for member in build_plan(Split(folds=2), seeds=2, seed=1).members]
    [0, 0, 1, 1]
    """
    folds: Sequence[int | None] = range(split.folds.number) if split.folds else (None,)
    fold_of_member = [fold for fold in folds for _ in range(seeds)]
    members = (PlannedMember(fold, member_seed(seed, number)) for number, fold in enumerate(fold_of_member))
    return EnsemblePlan(tuple(members), split.folds)


def name_members(folds: Sequence[int | None]) -> tuple[str, ...]:
    """Name members by their fold (None without cross-training), and by their number in the fold, counted from 1.

    >>> name_members([None]), name_members([0, 1]), name_members([0, 0, 1, 1])[1:3]
    (('',), ('fold 0', 'fold 1'), ('fold 0, network 2', 'fold 1, network 1'))
    """
    has_seeds = len(set(folds)) < len(folds)
    names = []
    for position, fold in enumerate(folds):
        of_fold = [] if fold is None else [f"fold {fold}"]
        number = folds[: position + 1].count(fold)
        names.append(", ".join([*of_fold, *([f"network {number}"] if has_seeds else [])]))
    return tuple(names)


@cache
def member_seed(seed: int, number: int) -> int:
    """Return the seed of a member; the first one has the seed of the configuration.

    >>> member_seed(5, 0)
    5
    """
    return seed if number == 0 else int(random_stream(seed, "member", str(number)).integers(2**32))
