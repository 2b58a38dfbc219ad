"""Physics weights of events and class weights of the loss.

The physics weight is the weight of an event in the analysis; it may be negative, and evaluation always uses it with its
sign. The class weight balances the classes in the loss and is used nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float64, Int32, Int64
from tamis.config import Flatten
from tamis.data.ensemble import ONE_NETWORK, EnsemblePlan
from tamis.data.events import Events
from tamis.data.flatten import Flattened, flatten_weights
from tamis.data.split import SPLITS, TEST, TRAINING
from tamis.errors import InputError, Problem
from tamis.wording import counted

NegativePolicy = Literal["keep", "drop", "absolute", "refuse"]
Balance = Literal["classes", "none"] | Mapping[str, float]

# a sum of weights below this fraction of the sum of absolute weights is zero within rounding
_ROUNDING = 1e-12
# with at most so few event IDs, a class may have no event in a split, however many events it has
_FEW_IDS = 10


@dataclass(frozen=True)
class WeighedEvents:
    """Events with their weights in the loss.

    Args:
        training_weight: weight in the loss, [n]: the class weight times the physics weight after the policy, which is
            applied in the training split only.
        class_weights: [n_classes].
        flattened: the effect of flattening, by class; empty without flattening.
        dropped: rows of the original events that the policy removed.
        changed: rows of `events` whose weight enters the loss with its absolute value.
    """

    events: Events
    training_weight: Float64
    class_weights: Float64
    dropped: Int64
    changed: Int64
    flattened: Mapping[str, Flattened] = field(default_factory=dict)


def weigh_events(
    events: Events,
    classes: Sequence[str],
    *,
    balance: Balance = "classes",
    negative: NegativePolicy = "keep",
    flatten: Flatten | None = None,
    plan: EnsemblePlan = ONE_NETWORK,
) -> WeighedEvents:
    """Apply the policy for negative weights and balance the classes, as in the section `weights` of the configuration.

    `plan` has the members that are trained on the events.

    Raises:
        InputError: a class has no events or no positive sum of weights in a split or fold, or there are negative
            weights and the policy is `refuse`.
    """
    bad = (events.weight < 0) & (events.split == TRAINING)
    if negative == "refuse" and (events.weight < 0).any():
        counts = np.bincount(events.class_index[events.weight < 0], minlength=len(classes))
        of_classes = [
            f"{counted(count, 'event')} of class {name}"
            for name, count in zip(classes, counts.tolist(), strict=True)
            if count
        ]
        verb = "has" if counts.sum() == 1 else "have"
        message = f"is 'refuse', but {' and '.join(of_classes)} {verb} a negative weight"
        remedy = "choose keep, drop or absolute, or fix the weights"
        raise InputError("weights", [Problem("weights.negative", f"{message}; {remedy}")])
    dropped = np.flatnonzero(bad) if negative == "drop" else np.empty(0, np.int64)
    used = events.take(~bad) if len(dropped) else events
    weight = np.where(bad, np.abs(events.weight), events.weight) if negative == "absolute" else used.weight
    # results use the signed weights even if the loss does not, so the sums of both must be positive
    weights = [used.weight] if weight is used.weight else [used.weight, weight]
    check_classes(used, classes, weights, plan, dropped=events.class_index[dropped])
    flattened: dict[str, Flattened] = {}
    if flatten is not None:
        weight, flattened = flatten_weights(used, weight, classes, flatten)
    class_weights = compute_class_weights(weight, used.class_index, used.split, classes, balance)
    changed = np.flatnonzero(bad) if negative == "absolute" else np.empty(0, np.int64)
    return WeighedEvents(
        used, weight * class_weights[used.class_index], class_weights, dropped, changed, flattened
    )


@dataclass(frozen=True)
class SplitSums:
    """Sums over the events of each class in one split of one network, [n_classes] each.

    Members hold out the fold, None for all members together. The sizes are absolute weights.
    """

    split: str
    fold: int | None
    events: Float64
    weights: Float64
    sizes: Float64
    squares: Float64
    negative: Float64


def compute_split_sums(
    events: Events, weight: Float64, classes: int, plan: EnsemblePlan
) -> Iterator[SplitSums]:
    """Compute the sums of each class for each split of each member; `weight` is [n], `classes` their number."""
    kinds = (np.ones(1), weight, np.abs(weight), weight * weight, weight < 0)
    # one bincount over cells of fold, split and class; the last row is that of events without a fold
    shape = (plan.n_folds + 1, len(SPLITS), classes)
    cells = np.ravel_multi_index((events.fold % shape[0], events.split, events.class_index), shape)
    sums = np.stack(
        [
            np.bincount(
                cells, np.broadcast_to(np.asarray(kind, np.float64), weight.shape), int(np.prod(shape))
            ).reshape(shape)
            for kind in kinds
        ]
    )
    for number, split in enumerate(SPLITS):
        if number != TEST or not plan.is_cross_training:
            yield SplitSums(split, None, *sums[:, :, number].sum(axis=1))
    for fold in range(plan.n_folds):
        training_folds = [number for number in range(plan.n_folds) if number != fold]
        for number, split in enumerate(SPLITS):
            cells_of_split = sums[:, fold] if number == TEST else sums[:, training_folds, number]
            yield SplitSums(split, fold, *cells_of_split.sum(axis=1))


def check_classes(
    events: Events,
    classes: Sequence[str],
    weights: Iterable[Float64],
    plan: EnsemblePlan,
    *,
    dropped: Int32 | None = None,
) -> None:
    """Check that each class has events and a positive sum of all `weights`, [n] each, in every split and fold.

    `dropped` is the class of each event that was removed because its weight is negative. The `InputError` has counts
    and sums.
    """
    failed: dict[tuple[int, str, int | None], SplitSums] = {}
    for weight in weights:
        for sums in compute_split_sums(events, weight, len(classes), plan):
            for index in np.flatnonzero(~(sums.weights > _ROUNDING * sums.sizes)).tolist():
                # a problem of all folds together is not repeated for each fold
                if (index, sums.split, None) not in failed:
                    failed.setdefault((index, sums.split, sums.fold), sums)
    # the splits of a class, or of a fold of it, that fail for the same reason are one problem
    groups: dict[tuple[int, int | None, bool], list[SplitSums]] = {}
    for (index, _, number), sums in failed.items():
        groups.setdefault((index, number, sums.events[index] == 0), []).append(sums)
    problems = []
    for (index, number, _), of_splits in groups.items():
        n_dropped = 0 if dropped is None else int(np.count_nonzero(dropped == index))
        where = f"class {classes[index]}{'' if number is None else f', fold {number}'}"
        problems.append(Problem(where, _explain(events, index, of_splits, n_dropped)))
    if problems:
        raise InputError("classes", problems)


_FEWER_FOLDS = "use fewer folds (`split.folds`), or add files"


def _explain(events: Events, index: int, of_splits: Sequence[SplitSums], n_dropped: int) -> str:
    """Explain why a class has no events or no positive sum of weights in splits of one fold, and what to do."""
    fold = of_splits[0].fold
    if of_splits[0].events[index] == 0:
        *first, last = [sums.split for sums in of_splits]
        sets = f"{', '.join(first)} and {last} sets" if first else f"{last} set"
        return f"no events in the {sets}; {_explain_empty_split(events, index, fold, n_dropped)}"
    remedy = "fix the weights, add files, or change the fractions in `split`"
    sums_of_splits = ", those of its ".join(
        f"{counted(int(sums.events[index]), f'{sums.split} event')} sum to {sums.weights[index]:,.6g}"
        for sums in of_splits
    )
    return f"the weights of its {sums_of_splits}; expected a positive sum: {remedy if fold is None else _FEWER_FOLDS}"


def _explain_empty_split(events: Events, index: int, fold: int | None, n_dropped: int) -> str:
    of_class = events.class_index == index
    total = int(np.count_nonzero(of_class))
    if n_dropped:
        return (
            f"`weights: {{negative: drop}}` removed {counted(n_dropped, 'event')} from the training: choose another "
            "policy for negative weights, or add files"
        )
    if total == 0:
        return "its files have no entries, or none of them passes the selection"
    n_ids = len(np.unique(events.event_id[of_class]))
    if total > 1 and n_ids <= _FEW_IDS and n_ids < total:
        return (
            f"its {counted(total, 'event')} have only {counted(n_ids, 'value')} of `split.event_id`, and events with "
            "the same value stay together: use branches that differ between events"
        )
    n_folds = len(np.unique(events.fold[of_class]))
    if fold is not None and n_folds < min(_FEW_IDS, total):
        return (
            f"its {counted(total, 'event')} are in only {counted(n_folds, 'fold')}: use fewer folds (`split.folds`), "
            "another branch for them (`split.folds.by`), or add files"
        )
    if fold is not None:
        return _FEWER_FOLDS
    return f"it has {counted(total, 'event')} in all: add files, or change the fractions in `split`"


def compute_class_weights(
    weight: Float64,
    class_index: Int32,
    split: NDArray[np.uint8],
    classes: Sequence[str],
    balance: Balance,
) -> Float64:
    """Compute the positive weight of each class in the loss, [n_classes].

    With `classes`, class_weight_c = (sum of all weights / number of classes) / (sum of weights of class c), over the
    training split.
    """
    if balance == "none":
        return np.ones(len(classes))
    if balance == "classes":
        training = split == TRAINING
        sums = np.bincount(class_index[training], weights=weight[training], minlength=len(classes))
        return np.asarray(sums.sum() / len(classes) / sums)
    return np.array([float(balance.get(name, 1.0)) for name in classes])
