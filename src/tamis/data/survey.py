"""Columns that look wrong as features: constant, event numbers, weights, pile-up, classes given away, sentinels."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tamis.data.roles import branch_role, varied_branch
from tamis.random_streams import random_stream
from tamis.wording import value as value_text

Kind = Literal[
    "constant",
    "empty",
    "identifier",
    "weight",
    "scale factor",
    "variation",
    "pile-up",
    "truth",
    "class",
    "sentinel",
    "spike",
    "name",
]

_IDENTIFIER = re.compile(
    r"(?i)(^|_)(run|lumi|luminosityblock|ls|event|evt|entry|index|id|bx)(_?(number|nr|num|no|id))?_*$"
    r"|eventnumber|runnumber|mcchannelnumber"
)
_TRUTH = re.compile(
    r"(?i:log_?density|truth|(^|_)(label|target|is_?(signal|sig|bkg))($|_))|^[Gg]en([A-Z_]|$)"
)
_SENTINELS = (-99999.0, -9999.0, -999.0, -99.0, -10.0, -9.0, -1.0, 99.0, 999.0, 9999.0, 99999.0)

_PURE = 100_000
"""Events of a class of which the purity of a feature is known to a thousandth."""
PURITY = 0.98
"""Mean fraction of each class that the values of one column alone assign rightly, from which it is suspicious."""
SPIKE = 0.005
"""Fraction of events with one and the same outlying value, from which it may be a sentinel."""
_MORE_FREQUENT = 5
"""How many times more frequent than the values nearest to it a value must be, to be repeated for a reason."""
_WIDER = 2
"""How many times wider than the distances of these values a gap must be."""
_NEAREST = 7
_BEHIND = 20
"""Events that must be as near to the edge of the others as a value is, for there to be a gap."""


@dataclass(frozen=True)
class Suspicion:
    """One column that may not belong among the features.

    Args:
        column: its name.
        kind: what it looks like.
        reason: one sentence for people.
        value: the repeated value, where it is a well-known `sentinel` or another `spike`.
    """

    column: str
    kind: Kind
    reason: str
    value: float | None = None


def survey_columns(
    columns: Mapping[str, NDArray[np.generic]],
    class_index: NDArray[np.int32],
    classes: Sequence[str],
    *,
    names: bool = True,
) -> list[Suspicion]:
    """Look for columns that would make a classifier worthless or wrong.

    Args:
        columns: values of each candidate, [n]; NaN where missing.
        class_index: the true class, [n].
        classes: names of the classes.
        names: whether a column's name counts, as when nobody has chosen the features yet.

    Returns:
        Suspicions in the order of the columns; several may concern one column.
    """
    found: list[Suspicion] = []
    several = len(np.unique(class_index)) > 1  # else every column tells the class of all events
    some = some_of_each_class(class_index, len(classes))
    for name, values in columns.items():
        purity = (
            class_purity(values[some].astype(np.float64), class_index[some], len(classes)) if several else 0.0
        )
        found += survey_column(name, values, purity, names=names, others=columns)
    return found


def survey_column(
    name: str,
    values: NDArray[np.generic],
    purity: float,
    *,
    names: bool = False,
    others: Collection[str] = (),
) -> list[Suspicion]:
    """Say what looks wrong in one column whose purity is known.

    Args:
        name: of the column.
        values: [n]; NaN where missing.
        purity: from `class_purity`.
        names: whether the column's name counts.
        others: names of all columns, among which variations have their opposite.

    >>> [each.reason for each in survey_column("charge", np.array([1.0, 1.0]), 0.5)]
    ['is 1 in all events']
    """
    unfit = (
        _constant(name, values) or (_by_name(name, values, others) if names else None) or _class(name, purity)
    )
    certain = unfit is not None and unfit.kind in ("constant", "empty")
    return [*([] if unfit is None else [unfit]), *([] if certain else _sentinels(name, values))]


def _constant(name: str, values: NDArray[np.generic]) -> Suspicion | None:
    numbers = values[np.isfinite(values.astype(np.float64))]
    if not len(numbers):
        return Suspicion(name, "empty", "has no finite value")
    if numbers.min() == numbers.max():
        return Suspicion(name, "constant", f"is {value_text(float(numbers[0]))} in all events")
    return None


def _by_name(name: str, values: NDArray[np.generic], others: Collection[str]) -> Suspicion | None:
    role = branch_role(name, others)
    if role == "variation":
        reason = f"looks like a systematic variation of {varied_branch(name, others)}"
        return Suspicion(name, "variation", reason)
    if _IDENTIFIER.search(name):
        return Suspicion(name, "identifier", "looks like a number that identifies events")
    if role in ("generator weight", "event weight", "weight"):
        return Suspicion(name, "weight", "looks like an event weight")
    if role == "scale factor" and _is_near_one(values):
        return Suspicion(name, "scale factor", "looks like a scale factor, which belongs in the weight")
    if role == "pile-up":
        reason = (
            "measures pile-up, which depends on the running conditions and is often simulated wrongly; use it as a "
            "feature only where simulation is reweighted to data"
        )
        return Suspicion(name, "pile-up", reason)
    if _TRUTH.search(name):
        return Suspicion(name, "truth", "looks like the truth of a simulation, which data do not have")
    if values.dtype.kind in "iu" and len(values) > 1000 and len(np.unique(values)) > 0.99 * len(values):
        return Suspicion(name, "identifier", "is a whole number that is different in nearly every event")
    return None


def _is_near_one(values: NDArray[np.generic]) -> bool:
    """Return whether numbers can be scale factors: near 1, and no flags ("SF" is also same flavour)."""
    numbers = values.astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    fractional = bool((numbers != np.floor(numbers)).any())
    return fractional and 0.3 < float(np.median(numbers)) < 3


def _class(name: str, purity: float) -> Suspicion | None:
    if purity < PURITY:
        return None
    return Suspicion(
        name,
        "class",
        f"nearly identifies the class: alone it assigns {100 * purity:.1f}% of the events rightly",
    )


def some_of_each_class(class_index: NDArray[np.integer], classes: int) -> NDArray[np.intp]:
    """Choose at most 100,000 events of each class, of which the purity of a feature is known to a thousandth.

    They are in random order (always the same one): an order that files bring along, such as copies behind each other,
    would divide them in halves that know of each other.

    Args:
        class_index: the true class, [n].
        classes: number of classes.

    >>> sorted(some_of_each_class(np.array([0, 1, 1]), 2).tolist())
    [0, 1, 2]
    """
    generator = random_stream(0, "survey", "events")
    of_classes = (np.flatnonzero(class_index == index) for index in range(classes))
    return np.concatenate([generator.permutation(rows)[:_PURE] for rows in of_classes])


def class_purity(values: NDArray[np.float64], class_index: NDArray[np.int32], classes: int) -> float:
    """Measure how well the values of one column alone tell the classes apart.

    Every value (every one of 200 quantile bins, where there are more values) is assigned to the class that is
    most frequent there among every other event, each class counting the same; the events between measure it, so
    that chance alone gives no purity.

    Args:
        values: the column, [n], of events in random order; a value that is not finite counts as a value of its own.
        class_index: the true class, [n].
        classes: number of classes.

    Returns:
        Mean over the classes of the fraction that is assigned rightly; 1/classes for a column that says nothing.
    """
    learned, measured = _halves(values, class_index, classes)
    present = np.flatnonzero(measured.sum(axis=1))
    assigned = learned.argmax(axis=0)
    return float(measured[assigned, np.arange(measured.shape[1])].sum() / max(len(present), 1))


def _halves(
    values: NDArray[np.float64], class_index: NDArray[np.int32], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the fraction of each class in each bin of the values, of every other event, [classes, bins] each."""
    values = np.where(np.isfinite(values), values, -np.inf)
    rising = np.sort(values)
    edges = rising[np.append(True, rising[1:] != rising[:-1])[: len(rising)]]
    if len(edges) > 200:
        edges = np.unique(rising[np.floor(np.linspace(0, 1, 201) * (len(rising) - 1)).astype(np.intp)])
    bins = np.searchsorted(edges, values, side="right")
    learned, measured = (
        _shares(bins[half::2], class_index[half::2], classes, len(edges) + 1) for half in (0, 1)
    )
    return learned, measured


def _shares(
    bins: NDArray[np.intp], class_index: NDArray[np.int32], classes: int, number: int
) -> NDArray[np.float64]:
    """Give the fraction of each class in each bin, [classes, number]."""
    cells = class_index.astype(np.intp) * number + bins
    counts = np.bincount(cells, minlength=classes * number).reshape(classes, number)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def _sentinels(name: str, values: NDArray[np.generic]) -> list[Suspicion]:
    numbers = values.astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    found: list[Suspicion] = []
    rest, events = numbers, len(numbers)
    while (end := _end(rest, events)) is not None:
        found.append(_repeated(name, *end, events))
        rest = rest[rest != end[0]]
    return found + [
        _repeated(name, value, count, events)
        for value in _SENTINELS
        if (count := int(np.count_nonzero(rest == value))) >= SPIKE * events
        and _stands_among(value, count, rest)
    ]


def _repeated(name: str, value: float, count: int, events: int) -> Suspicion:
    share = f"{count:,} events" if count < 0.001 * events else f"{100 * count / events:.1f}% of the events"
    kind: Kind = "sentinel" if value in _SENTINELS else "spike"
    return Suspicion(name, kind, f"is {value_text(value)} in {share}, apart from all other values", value)


def _end(values: NDArray[np.float64], events: int) -> tuple[float, int] | None:
    """Give the smallest or largest value where it is one and the same number that stands apart, and how often it is."""
    if not len(values):
        return None
    for value in (float(values.min()), float(values.max())):
        same = values == value
        count = int(np.count_nonzero(same))
        # nobody measures -999 three times
        least = 3 if value in _SENTINELS and abs(value) >= 99 else SPIKE * events
        if count >= max(least, 2) and _stands_apart(value, count, values[~same]):
            return value, count
    return None


def _stands_apart(value: float, count: int, rest: NDArray[np.float64]) -> bool:
    """Tell whether a value is no end of the range of the others: there is a gap, and there are many behind it."""
    if not len(rest):
        return False
    low, high = float(rest.min()), float(rest.max())
    gap = low - value if value < low else value - high
    some = rest[:: max(1, len(rest) // 1000)]  # of all files, not of the first alone
    if len(np.unique(some)) < 10:
        # a number of jets: -99 is further from it than it is wide, and -1 may be one of its values
        return value in _SENTINELS and abs(value) >= 99 and gap > high - low
    if value not in _SENTINELS and gap <= 5 and (some == np.floor(some)).all():
        return False  # the next whole number
    far = value in _SENTINELS and gap > 0.02 * (high - low)
    if far and abs(value) >= 99:
        return True
    # of numbers that were rounded each is frequent, and is apart from the next
    spacing, usual = _neighbours(value, rest)
    if count < _MORE_FREQUENT * usual or gap <= _WIDER * spacing:
        return False
    if far:
        return True
    behind = np.count_nonzero(rest <= low + gap if value < low else rest >= high - gap)
    return bool(behind >= max(_BEHIND, 0.001 * len(rest)))


def _stands_among(value: float, count: int, values: NDArray[np.float64]) -> bool:
    """Tell whether a value is far more frequent than those beside it, inside the range of a continuous variable."""
    others = values[values != value]
    some = others[:1000]
    if len(np.unique(some)) < 0.5 * len(some) or not len(some) or not others.min() < value < others.max():
        return False
    width = 0.001 * float(others.max() - others.min())
    near = float(np.count_nonzero(np.abs(others - value) < width))
    return bool(count > 10 * max(near, _neighbours(value, others)[1]))


def _neighbours(value: float, others: NDArray[np.float64]) -> tuple[float, float]:
    """Return how far the different values nearest to a value are from each other, and how often each of them is."""
    distance = np.abs(others - value)
    some = min(len(others), 50 * _NEAREST) - 1
    nearest = others[distance <= np.partition(distance, some)[some]]
    values, counts = np.unique(nearest, return_counts=True)
    order = np.argsort(np.abs(values - value))[:_NEAREST]
    spacing = np.diff(np.sort(values[order]))
    return float(np.median(spacing)) if len(spacing) else 0.0, float(np.median(counts[order]))


def identified_class(
    values: NDArray[np.float64], class_index: NDArray[np.int32], classes: int
) -> tuple[int, float]:
    """Find the class that the values of one column tell best from all others, as in `class_purity`.

    Args:
        values: the column, [n]; a value that is not finite counts as a value of its own.
        class_index: the true class, [n].
        classes: number of classes.

    Returns:
        The class, and the mean of the fraction of its events and of the fraction of the others that are assigned
        rightly.
    """
    learned, measured = _halves(values, class_index, classes)
    best = (0, 0.0)
    for index in range(classes):
        others = np.arange(classes) != index
        chosen = learned[index] > learned[others].max(axis=0)
        kept, left = measured[index, chosen].sum(), measured[others][:, ~chosen].sum(axis=1).mean()
        best = max(best, (index, float(kept + left) / 2), key=lambda found: found[1])
    return best
