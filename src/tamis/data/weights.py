"""The physics weight and the training factor, kept apart.

The physics weight of an event is what it counts in the analysis; it may be negative, and evaluation always uses
it with its sign. The training factor of a class balances the classes in the loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tamis.config import Flatten
from tamis.data.events import Events
from tamis.data.flatten import Flattened, flatten_weights
from tamis.data.split import PARTS, TEST, TRAINING, rows_of_part
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
        flattened: what flattening did, by class; empty where nothing is flattened.
        dropped: rows of the events before the policy that it left out of the training.
        changed: rows of `events` whose weight lost its sign in the loss.
    """

    events: Events
    training_weight: NDArray[np.float64]
    factors: NDArray[np.float64]
    dropped: NDArray[np.int64]
    changed: NDArray[np.int64]
    flattened: Mapping[str, Flattened] = field(default_factory=dict)


def weigh_events(
    events: Events,
    classes: Sequence[str],
    *,
    balance: Balance = "classes",
    negative: NegativePolicy = "keep",
    flatten: Flatten | None = None,
) -> WeighedEvents:
    """Apply the policy for negative weights and balance the classes.

    Args:
        events: as read.
        classes: names of the classes.
        balance: `classes` gives each class the same sum of weights in the training set, `none` leaves the
            physics weights, a mapping gives the factors (1 where a class is not named).
        negative: what happens to negative weights in the training set: `keep`, `drop` (leave the event out),
            `absolute` (use its absolute value) or `refuse`.
        flatten: spectators whose distribution in the loss is made the same for all classes.

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
    check_folds(kept, classes, weight)
    flattened: dict[str, Flattened] = {}
    if flatten is not None:
        weight, flattened = flatten_weights(kept, weight, classes, flatten)
    factors = training_factors(weight, kept.class_index, kept.part, classes, balance)
    changed = np.flatnonzero(bad) if negative == "absolute" else np.empty(0, np.int64)
    return WeighedEvents(kept, weight * factors[kept.class_index], factors, dropped, changed, flattened)


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


def _divisions(events: Events) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Name the parts that must have events of every class; the test of a cross-training are the folds."""
    in_folds = bool(len(events)) and int(events.fold.max(initial=-1)) >= 0
    for number, part in enumerate(PARTS):
        if not (in_folds and number == TEST):
            yield part, events.part == number


def check_folds(events: Events, classes: Sequence[str], weight: NDArray[np.float64]) -> None:
    """Refuse folds for which a class cannot be trained on, validated or tested.

    Raises:
        InputError: with counts and sums, for every fold, class and part that lacks events.
    """
    problems = []
    for fold in range(int(events.fold.max(initial=-1)) + 1):
        for number, part in enumerate(PARTS):
            rows = rows_of_part(events.part, events.fold, number, fold)
            for index, name in enumerate(classes):
                of_class = weight[rows & (events.class_index == index)]
                if not len(of_class) or not of_class.sum() > ROUNDING * np.abs(of_class).sum():
                    problems.append(
                        Problem(
                            f"class {name}, fold {fold}",
                            f"{len(of_class)} {part} events with a sum of weights of {of_class.sum():g}; expected a "
                            "positive sum: use fewer folds (`split.folds`), or add files",
                        )
                    )
    if problems:
        raise InputError("split.folds", problems)


def check_classes(events: Events, classes: Sequence[str], weight: NDArray[np.float64]) -> None:
    """Refuse a class that has no events, or whose weights do not sum to something positive, in any part.

    Raises:
        InputError: with counts and sums, for every such class and part.
    """
    problems = []
    for part, chosen in _divisions(events):
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
