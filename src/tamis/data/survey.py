"""Columns that look wrong as features: constant, numbering events, weights, giving the class away, sentinels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["constant", "empty", "identifier", "weight", "truth", "class", "sentinel", "name"]

_IDENTIFIER = re.compile(
    r"(?i)(^|_)(run|lumi|luminosityblock|ls|event|evt|entry|index|id|bx)(_?(number|nr|num|no|id))?$"
    r"|eventnumber|runnumber|mcchannelnumber"
)
_WEIGHT = re.compile(r"(?i)weight|(^|_)(wgt|xsec|crosssection|lumiscale|scalefactor|sf)($|_)")
_TRUTH = re.compile(
    r"(?i:log_?density|truth|(^|_)(label|target|is_?(signal|sig|bkg))($|_))|^[Gg]en([A-Z_]|$)"
)
_SENTINELS = (-9999.0, -999.0, -99.0, -9.0, -1.0, 999.0, 9999.0)

PURITY = 0.98
"""Mean fraction of each class that the values of one column alone assign rightly, from which it is suspicious."""
SPIKE = 0.005
"""Fraction of events with one and the same outlying value, from which it may be a sentinel."""


@dataclass(frozen=True)
class Suspicion:
    """One column that may not belong among the features.

    Args:
        column: its name.
        kind: what it looks like.
        reason: one sentence for people.
        value: the sentinel, where that is the kind.
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
    for name, values in columns.items():
        purity = class_purity(values.astype(np.float64), class_index, len(classes))
        found += survey_column(name, values, purity, names=names)
    return found


def survey_column(
    name: str, values: NDArray[np.generic], purity: float, *, names: bool = False
) -> list[Suspicion]:
    """Say what looks wrong in one column whose purity is known.

    Args:
        name: of the column.
        values: [n]; NaN where missing.
        purity: from `class_purity`.
        names: whether the column's name counts.

    >>> [each.reason for each in survey_column("charge", np.array([1.0, 1.0]), 0.5)]
    ['is 1 in all events']
    """
    unfit = _constant(name, values) or (_by_name(name, values) if names else None) or _class(name, purity)
    certain = unfit is not None and unfit.kind in ("constant", "empty")
    sentinel = None if certain else _sentinel(name, values)
    return [each for each in (unfit, sentinel) if each is not None]


def _constant(name: str, values: NDArray[np.generic]) -> Suspicion | None:
    numbers = values[np.isfinite(values.astype(np.float64))]
    if not len(numbers):
        return Suspicion(name, "empty", "has no finite value")
    if numbers.min() == numbers.max():
        return Suspicion(name, "constant", f"is {numbers[0]:g} in all events")
    return None


def _by_name(name: str, values: NDArray[np.generic]) -> Suspicion | None:
    if _IDENTIFIER.search(name):
        return Suspicion(name, "identifier", "looks like a number that identifies events")
    if _WEIGHT.search(name):
        return Suspicion(name, "weight", "looks like an event weight")
    if _TRUTH.search(name):
        return Suspicion(name, "truth", "looks like the truth of a simulation, which data do not have")
    if values.dtype.kind in "iu" and len(values) > 1000 and len(np.unique(values)) > 0.99 * len(values):
        return Suspicion(name, "identifier", "is a whole number that is different in nearly every event")
    return None


def _class(name: str, purity: float) -> Suspicion | None:
    if purity < PURITY:
        return None
    return Suspicion(
        name,
        "class",
        f"nearly identifies the class: alone it assigns {100 * purity:.1f}% of the events rightly",
    )


def class_purity(values: NDArray[np.float64], class_index: NDArray[np.int32], classes: int) -> float:
    """Measure how well the values of one column alone tell the classes apart.

    Every value (every one of 200 quantile bins, where there are more values) is assigned to the class that is
    most frequent there among every other event, each class counting the same; the events between measure it, so
    that chance alone gives no purity.

    Args:
        values: the column, [n]; a value that is not finite counts as a value of its own.
        class_index: the true class, [n].
        classes: number of classes.

    Returns:
        Mean over the classes of the fraction that is assigned rightly; 1/classes for a column that says nothing.
    """
    values = np.where(np.isfinite(values), values, -np.inf)
    rising = np.sort(values)
    edges = rising[np.append(True, rising[1:] != rising[:-1])[: len(rising)]]
    if len(edges) > 200:
        edges = np.unique(rising[np.floor(np.linspace(0, 1, 201) * (len(rising) - 1)).astype(np.intp)])
    bins = np.searchsorted(edges, values, side="right")
    learned, measured = (
        _shares(bins[half::2], class_index[half::2], classes, len(edges) + 1) for half in (0, 1)
    )
    present = np.flatnonzero(measured.sum(axis=1))
    assigned = learned.argmax(axis=0)
    return float(measured[assigned, np.arange(measured.shape[1])].sum() / max(len(present), 1))


def _shares(
    bins: NDArray[np.intp], class_index: NDArray[np.int32], classes: int, number: int
) -> NDArray[np.float64]:
    """Give the fraction of each class in each bin, [classes, number]."""
    cells = class_index.astype(np.intp) * number + bins
    counts = np.bincount(cells, minlength=classes * number).reshape(classes, number)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def _sentinel(name: str, values: NDArray[np.generic]) -> Suspicion | None:
    numbers = values.astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    for sentinel in _SENTINELS:
        same = numbers == sentinel
        fraction = float(same.mean()) if len(numbers) else 0.0
        rest = numbers[~same]
        if fraction < SPIKE or len(np.unique(rest[:1000])) < 10:
            continue
        low, high = rest.min(), rest.max()
        # a sentinel stands apart from all other values: it is no end of a continuous range
        if (sentinel < low and low - sentinel > 0.02 * (high - low)) or sentinel > high + 0.02 * (high - low):
            reason = f"is {sentinel:g} in {100 * fraction:.1f}% of the events, apart from all other values"
            return Suspicion(name, "sentinel", reason, sentinel)
    return None
