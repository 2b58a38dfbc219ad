"""The physics weight and the training factor, kept apart.

The physics weight of an event is what it counts in the analysis; it may be negative, and evaluation always uses
it with its sign. The training factor of a class balances the classes in the loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tamis.data.events import Events
from tamis.data.split import PARTS, TRAINING
from tamis.errors import InputError, Problem

NegativePolicy = Literal["keep", "drop", "absolute", "refuse"]
Balance = Literal["classes", "none"] | Mapping[str, float]


ROUNDING = 1e-12
"""A sum of weights below this fraction of the sum of their sizes is rounding, not positive."""


@dataclass(frozen=True)
class WeighedEvents:
    """Events with their weights in the loss.

    Args:
        events: all events that are used.
        training_weight: weight in the loss, the physics weight after the policy times the training factor of the
            class; outside the training part the sign is kept whatever the policy, [n].
        factors: training factor of each class, [n_classes].
        dropped: rows of the events before the policy that it left out of the training.
        changed: rows of `events` whose weight lost its sign in the loss.
    """

    events: Events
    training_weight: NDArray[np.float64]
    factors: NDArray[np.float64]
    dropped: NDArray[np.int64]
    changed: NDArray[np.int64]


def weigh_events(
    events: Events, classes: Sequence[str], *, balance: Balance = "classes", negative: NegativePolicy = "keep"
) -> WeighedEvents:
    """Apply the policy for negative weights and balance the classes.

    Args:
        events: as read.
        classes: names of the classes.
        balance: `classes` gives each class the same sum of weights in the training set, `none` leaves the
            physics weights, a mapping gives the factors (1 where a class is not named).
        negative: what happens to negative weights in the training set: `keep`, `drop` (leave the event out),
            `absolute` (use its absolute value) or `refuse`.

    Raises:
        InputError: a class has no events or a sum of weights that is not positive in some part, or there are
            negative weights and the policy is `refuse`.
    """
    bad = (events.weight < 0) & (events.part == TRAINING)
    if negative == "refuse" and (events.weight < 0).any():
        raise InputError("weights.negative", _refusals(events, classes))
    dropped = np.flatnonzero(bad) if negative == "drop" else np.empty(0, np.int64)
    kept = events.take(~bad) if len(dropped) else events
    weight = np.where(bad, np.abs(events.weight), events.weight) if negative == "absolute" else kept.weight
    # the signed weights are what every result is made of, whatever the loss sees
    check_classes(kept, classes, kept.weight)
    check_classes(kept, classes, weight)
    factors = training_factors(weight, kept.class_index, kept.part, classes, balance)
    changed = np.flatnonzero(bad) if negative == "absolute" else np.empty(0, np.int64)
    return WeighedEvents(kept, weight * factors[kept.class_index], factors, dropped, changed)


def _refusals(events: Events, classes: Sequence[str]) -> list[Problem]:
    counts = np.bincount(events.class_index[events.weight < 0], minlength=len(classes))
    return [
        Problem(
            f"class {name}",
            f"{count} events have a negative weight and weights.negative is 'refuse'; "
            "choose keep, drop or absolute, or mend the weights",
        )
        for name, count in zip(classes, counts, strict=True)
        if count
    ]


def check_classes(events: Events, classes: Sequence[str], weight: NDArray[np.float64]) -> None:
    """Refuse a class that has no events, or whose weights do not sum to something positive, in any part.

    Raises:
        InputError: with counts and sums, for every such class and part.
    """
    problems = []
    for number, part in enumerate(PARTS):
        chosen = events.part == number
        count = np.bincount(events.class_index[chosen], minlength=len(classes))
        summed = np.bincount(events.class_index[chosen], weights=weight[chosen], minlength=len(classes))
        sizes = np.bincount(
            events.class_index[chosen], weights=np.abs(weight[chosen]), minlength=len(classes)
        )
        for name, n, total, size in zip(classes, count, summed, sizes, strict=True):
            if n == 0:
                message = f"no events in the {part} set; {_everywhere(events, classes, name)}"
            elif not total > ROUNDING * size:
                message = f"the weights of its {n} {part} events sum to {total:g}; expected a positive sum"
            else:
                continue
            problems.append(Problem(f"class {name}", message))
    if problems:
        raise InputError("classes", problems)


def _everywhere(events: Events, classes: Sequence[str], name: str) -> str:
    total = int(np.count_nonzero(events.class_index == list(classes).index(name)))
    if total == 0:
        return "no event of this class passes the selection"
    return f"it has {total} events in all: add files, or change the fractions in `split`"


def training_factors(
    weight: NDArray[np.float64],
    class_index: NDArray[np.int32],
    part: NDArray[np.uint8],
    classes: Sequence[str],
    balance: Balance,
) -> NDArray[np.float64]:
    """Compute the factor of each class in the loss.

    With `classes`, factor_c = (sum of all weights / number of classes) / (sum of weights of class c), over the
    training set.

    Returns:
        Positive factors, [n_classes].
    """
    if balance == "none":
        return np.ones(len(classes))
    if balance == "classes":
        chosen = part == TRAINING
        sums = np.bincount(class_index[chosen], weights=weight[chosen], minlength=len(classes))
        return np.asarray(sums.sum() / len(classes) / sums)
    return np.array([float(balance.get(name, 1.0)) for name in classes])
