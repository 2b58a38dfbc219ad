"""The physics weight and the training factor, kept apart.

The physics weight of an event is what it counts in the analysis; it may be negative, and evaluation always uses
it with its sign. The training factor of a class balances the classes in the loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tamis.config import Flatten
from tamis.data.events import Events
from tamis.data.flatten import Flattened, flatten_weights
from tamis.data.split import PARTS, TEST, TRAINING
from tamis.errors import InputError, Problem
from tamis.wording import counted

NegativePolicy = Literal["keep", "drop", "absolute", "refuse"]
Balance = Literal["classes", "none"] | Mapping[str, float]


ROUNDING = 1e-12
"""A sum of weights below this fraction of the sum of their sizes is rounding, not positive."""


FEW_IDENTITIES = 10
"""A class with so few values of `split.by` lacks parts because of that, not because of its number of events."""


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
    folds: int = 0,
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
        folds: number of folds of cross-training; 0 for none.

    Raises:
        InputError: a class has no events or a sum of weights that is not positive in some part or fold, or there are
            negative weights and the policy is `refuse`.
    """
    bad = (events.weight < 0) & (events.part == TRAINING)
    if negative == "refuse" and (events.weight < 0).any():
        raise InputError("weights.negative", _refusals(events, classes))
    dropped = np.flatnonzero(bad) if negative == "drop" else np.empty(0, np.int64)
    kept = events.take(~bad) if len(dropped) else events
    weight = np.where(bad, np.abs(events.weight), events.weight) if negative == "absolute" else kept.weight
    # the signed weights are what every result is made of, whatever the loss sees
    each_weight = [kept.weight] if weight is kept.weight else [kept.weight, weight]
    check_classes(kept, classes, each_weight, folds, dropped=events.class_index[dropped])
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


@dataclass(frozen=True)
class Division:
    """Sums over the events that must be there of every class, one number for each class.

    Args:
        part: `training`, `validation` or `test`.
        fold: the fold whose network they are for; None where there is one network, and for all folds together.
        events: how many there are, [n_classes].
        weights: sum of their weights, [n_classes].
        sizes: sum of the absolute weights, [n_classes].
        squares: sum of the squared weights, [n_classes].
        negative: how many have a negative weight, [n_classes].
    """

    part: str
    fold: int | None
    events: NDArray[np.float64]
    weights: NDArray[np.float64]
    sizes: NDArray[np.float64]
    squares: NDArray[np.float64]
    negative: NDArray[np.float64]

    def lacking(self) -> NDArray[np.bool_]:
        """Tell which classes have no events or no positive sum of weights, [n_classes]."""
        return np.asarray(~(self.weights > ROUNDING * self.sizes))


def divisions(
    events: Events, weight: NDArray[np.float64], classes: int, folds: int = 0
) -> Iterator[Division]:
    """Sum up the parts that each network needs of every class.

    Args:
        events: as read.
        weight: of each event, [n].
        classes: number of classes.
        folds: number of folds of cross-training, whose test events are those of the fold; 0 for none.
    """
    kinds = (np.ones(1), weight, np.abs(weight), weight * weight, weight < 0)
    shape = (max(folds, 1), len(PARTS), classes)
    cells = events.part.astype(np.int64) * classes + events.class_index
    if folds:
        cells += events.fold.astype(np.int64) * (len(PARTS) * classes)
    sums = np.stack(
        [
            np.bincount(
                cells, np.broadcast_to(np.asarray(kind, np.float64), weight.shape), int(np.prod(shape))
            ).reshape(shape)
            for kind in kinds
        ]
    )
    for number, part in enumerate(PARTS):
        if not (folds and number == TEST):
            yield Division(part, None, *sums[:, :, number].sum(axis=1))
    for own in range(folds):
        others = [other for other in range(folds) if other != own]
        for number, part in enumerate(PARTS):
            chosen = sums[:, own].sum(axis=1) if number == TEST else sums[:, others, number].sum(axis=1)
            yield Division(part, own, *chosen)


def check_classes(
    events: Events,
    classes: Sequence[str],
    weights: Iterable[NDArray[np.float64]],
    folds: int = 0,
    *,
    dropped: NDArray[np.int32] | None = None,
) -> None:
    """Refuse a class that has no events, or whose weights do not sum to something positive, in any part or fold.

    Args:
        events: as read.
        classes: names of the classes.
        weights: the weights that must have positive sums, [n] each.
        folds: number of folds of cross-training; 0 for none.
        dropped: class of each event that is left out because its weight is negative.

    Raises:
        InputError: with counts and sums, for every such class, part and fold.
    """
    each_once: dict[tuple[str, str, int | None], Problem] = {}
    for weight in weights:
        for division in divisions(events, weight, len(classes), folds):
            for name, message in _lacking(events, classes, division, dropped):
                whole = (name, division.part, None)  # its folds have no more to say
                if whole not in each_once:
                    where = (
                        f"class {name}" if division.fold is None else f"class {name}, fold {division.fold}"
                    )
                    each_once.setdefault((name, division.part, division.fold), Problem(where, message))
    if each_once:
        raise InputError("classes", list(each_once.values()))


def _lacking(
    events: Events, classes: Sequence[str], division: Division, dropped: NDArray[np.int32] | None
) -> Iterator[tuple[str, str]]:
    """Say which classes lack events or weight in one division, and what to do."""
    fewer = "" if division.fold is None else "use fewer folds (`split.folds`), or add files"
    for index in np.flatnonzero(division.lacking()).tolist():
        name, count = classes[index], int(division.events[index])
        if count == 0:
            left_out = 0 if dropped is None else int(np.count_nonzero(dropped == index))
            advice = _everywhere(events, index, division.fold, left_out)
            yield name, f"no events in the {division.part} set; {advice}"
            continue
        advice = fewer or "mend the weights, add files, or change the fractions in `split`"
        yield (
            name,
            f"the weights of its {counted(count, f'{division.part} event')} sum to {division.weights[index]:g}; "
            f"expected a positive sum: {advice}",
        )


def _everywhere(events: Events, index: int, fold: int | None, left_out: int) -> str:
    """Say why a class has no events in a part or fold, and what to do."""
    of_class = events.class_index == index
    total = int(np.count_nonzero(of_class))
    if left_out:
        return (
            f"`weights: {{negative: drop}}` leaves {counted(left_out, 'event')} out of training: choose another policy "
            "for negative weights, or add files"
        )
    if total == 0:
        return "its files have no entries, or none of them passes the selection"
    alone = len(np.unique(events.identity[of_class]))
    if total > 1 and alone <= FEW_IDENTITIES and alone < total:
        return (
            f"its {counted(total, 'event')} have {counted(alone, 'value')} of `split.by`, and events of one value stay "
            "together: name branches that tell events apart"
        )
    numbers = len(np.unique(events.fold[of_class]))
    if fold is not None and numbers < min(FEW_IDENTITIES, total):
        return (
            f"its {counted(total, 'event')} are in {counted(numbers, 'fold')}: use fewer folds (`split.folds`), "
            "another branch for them (`split.folds.by`), or add files"
        )
    if fold is not None:
        return "use fewer folds (`split.folds`), or add files"
    return f"it has {counted(total, 'event')} in all: add files, or change the fractions in `split`"


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
