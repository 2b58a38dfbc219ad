"""Find columns that are suspicious as features: constants, event numbers, weights, pile-up, class labels, sentinels."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float64, Int32
from tamis.data.roles import find_branch_role, find_nominal_branch
from tamis.random_streams import random_stream
from tamis.wording import format_value

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

_EVENTS_PER_CLASS = 100_000  # from which the purity of a feature is known to about 0.001
PURITY = 0.98
"""Mean fraction of correctly assigned events, by the values of one column alone, from which it is suspicious."""
_SPIKE = 0.005  # fraction of events with the same outlying value, from which it may be a sentinel
_MORE_FREQUENT = 5  # minimum frequency of a spike, relative to the frequency of the nearest values
_WIDER = 2  # minimum gap next to a spike, relative to the spacing of the nearest values
_NEAREST = 7
_EDGE_EVENTS = 20  # minimum number of events at the edge of the remaining values, within the width of the gap


@dataclass(frozen=True)
class Suspicion:
    """A reason why a column may not be a useful feature, with the repeated value of a `sentinel` or `spike`."""

    column: str
    kind: Kind
    reason: str
    value: float | None = None


def survey_columns(
    columns: Mapping[str, NDArray[np.generic]],
    class_index: Int32,
    classes: Sequence[str],
    *,
    names: bool = True,
) -> list[Suspicion]:
    """Find columns, [n] each, NaN if missing, that would make a classifier useless or wrong, in their order.

    With `names`, names of columns are checked too, as for features that a user has not chosen.
    """
    suspicions: list[Suspicion] = []
    several = len(np.unique(class_index)) > 1  # with one class, any column identifies it
    rows = sample_each_class(class_index, len(classes))
    for name, values in columns.items():
        purity = 0.0
        if several:
            purity = compute_class_purity(values[rows].astype(np.float64), class_index[rows], len(classes))
        suspicions += survey_column(name, values, purity, names=names, all_names=columns)
    return suspicions


def survey_column(
    name: str,
    values: NDArray[np.generic],
    purity: float,
    *,
    names: bool = False,
    all_names: Collection[str] = (),
) -> list[Suspicion]:
    """Return the suspicions of one column, [n], NaN if missing, of a purity from `compute_class_purity`.

    With `names` its name is checked too; `all_names` are those of all columns, to recognise variations by their
    opposite.

    >>> [suspicion.reason for suspicion in survey_column("charge", np.array([1.0, 1.0]), 0.5)]
    ['is 1 in all events']
    """
    numbers = values[np.isfinite(values.astype(np.float64))]
    if not len(numbers):
        return [Suspicion(name, "empty", "has no finite value")]
    if numbers.min() == numbers.max():
        return [Suspicion(name, "constant", f"is {format_value(float(numbers[0]))} in all events")]
    floats = numbers.astype(np.float64)
    suspicion = _check_name(name, values, floats, all_names) if names else None
    if suspicion is None and purity >= PURITY:
        share = f"{100 * purity:.1f}%"
        reason = f"nearly identifies the class: it alone classifies {share} of the events correctly"
        suspicion = Suspicion(name, "class", reason)
    return [*([] if suspicion is None else [suspicion]), *_find_sentinels(name, floats)]


def _check_name(
    name: str, values: NDArray[np.generic], numbers: Float64, all_names: Collection[str]
) -> Suspicion | None:
    role = find_branch_role(name, all_names)
    if role == "variation":
        reason = f"looks like a systematic variation of {find_nominal_branch(name, all_names)}"
        return Suspicion(name, "variation", reason)
    if _IDENTIFIER.search(name):
        return Suspicion(name, "identifier", "looks like a number that identifies events")
    if role in ("generator weight", "event weight", "weight"):
        return Suspicion(name, "weight", "looks like an event weight")
    if role == "scale factor" and _is_near_one(numbers):
        return Suspicion(name, "scale factor", "looks like a scale factor, which belongs in the weight")
    if role == "pile-up":
        reason = (
            "measures pile-up, which depends on the running conditions and is often not well simulated; use it as a "
            "feature only if the simulation is reweighted to data"
        )
        return Suspicion(name, "pile-up", reason)
    if _TRUTH.search(name):
        return Suspicion(name, "truth", "looks like simulation truth, which data do not have")
    if values.dtype.kind in "iu" and len(values) > 1000 and len(np.unique(values)) > 0.99 * len(values):
        return Suspicion(name, "identifier", "is a whole number that is different in nearly every event")
    return None


def _is_near_one(numbers: Float64) -> bool:
    """Return whether numbers can be scale factors: near 1, and not flags ("SF" also means same flavour)."""
    fractional = bool((numbers != np.floor(numbers)).any())
    return fractional and 0.3 < float(np.median(numbers)) < 3


def sample_each_class(class_index: NDArray[np.integer], classes: int) -> NDArray[np.intp]:
    """Choose at most 100,000 events of each class, which determine the purity of a feature to about 0.001.

    They are in a fixed random order: in the order of a file, the two halves of the events could be correlated, for
    example by consecutive copies of an event.

    >>> sorted(sample_each_class(np.array([0, 1, 1]), 2).tolist())
    [0, 1, 2]
    """
    generator = random_stream(0, "survey", "events")
    of_classes = (np.flatnonzero(class_index == index) for index in range(classes))
    return np.concatenate([generator.permutation(rows)[:_EVENTS_PER_CLASS] for rows in of_classes])


def compute_class_purity(values: Float64, class_index: Int32, classes: int) -> float:
    """Compute how well the values of one column alone separate the classes: 1 / classes without separation.

    Every value (or each of 200 quantile bins, if there are more values) is assigned to its most frequent class in one
    half of the events, with equal weights of the classes. The purity is the mean over the classes of the fraction of
    correctly assigned events of the other half, without bias, so that the events must be in random order. All values
    that are not finite count as one value.
    """
    learned, measured = _halves(values, class_index, classes)
    present = np.flatnonzero(measured.sum(axis=1))
    assigned = learned.argmax(axis=0)
    return float(measured[assigned, np.arange(measured.shape[1])].sum() / max(len(present), 1))


def _halves(values: Float64, class_index: Int32, classes: int) -> tuple[Float64, Float64]:
    """Return the fraction of each class in each bin of the values, [classes, bins], for two halves of the events."""
    values = np.where(np.isfinite(values), values, -np.inf)
    rising = np.sort(values)
    edges = rising[np.append(True, rising[1:] != rising[:-1])[: len(rising)]]
    if len(edges) > 200:
        edges = np.unique(rising[np.floor(np.linspace(0, 1, 201) * (len(rising) - 1)).astype(np.intp)])
    bins = np.searchsorted(edges, values, side="right")
    shape = (classes, len(edges) + 1)
    cells = np.ravel_multi_index((class_index, bins), shape)
    counts = (np.bincount(cells[half::2], minlength=shape[0] * shape[1]).reshape(shape) for half in (0, 1))
    learned, measured = (count / np.maximum(count.sum(axis=1, keepdims=True), 1) for count in counts)
    return learned, measured


def _find_sentinels(name: str, numbers: Float64) -> list[Suspicion]:
    suspicions: list[Suspicion] = []
    remaining, events = numbers, len(numbers)
    while (end := _find_outlying_value(remaining, events)) is not None:
        suspicions.append(_repeated(name, *end, events))
        remaining = remaining[remaining != end[0]]
    return suspicions + [
        _repeated(name, value, count, events)
        for value in _SENTINELS
        if (count := int(np.count_nonzero(remaining == value))) >= _SPIKE * events
        and _is_spike_inside(value, count, remaining)
    ]


def _repeated(name: str, value: float, count: int, events: int) -> Suspicion:
    share = f"{count:,} events" if count < 0.001 * events else f"{100 * count / events:.1f}% of the events"
    kind: Kind = "sentinel" if value in _SENTINELS else "spike"
    return Suspicion(name, kind, f"is {format_value(value)} in {share}, apart from all other values", value)


def _find_outlying_value(values: Float64, events: int) -> tuple[float, int] | None:
    """Return the smallest or largest value and its count, if it is repeated and separated from the other values."""
    if not len(values):
        return None
    for value in (float(values.min()), float(values.max())):
        same = values == value
        count = int(np.count_nonzero(same))
        # three times -999 is already suspicious
        least = 3 if value in _SENTINELS and abs(value) >= 99 else _SPIKE * events
        if count >= max(least, 2) and _is_separated(value, count, values[~same]):
            return value, count
    return None


def _is_separated(value: float, count: int, remaining: Float64) -> bool:
    """Return whether a gap separates an extreme value from the remaining values, many of which are near the gap."""
    if not len(remaining):
        return False
    low, high = float(remaining.min()), float(remaining.max())
    gap = low - value if value < low else value - high
    sample = remaining[:: max(1, len(remaining) // 1000)]  # evenly from all files
    if len(np.unique(sample)) < 10:
        # for few integers, such as a number of jets, -99 is an obvious sentinel, but -1 may be a value
        return value in _SENTINELS and abs(value) >= 99 and gap > high - low
    if value not in _SENTINELS and gap <= 5 and (sample == np.floor(sample)).all():
        return False  # integers
    far = value in _SENTINELS and gap > 0.02 * (high - low)
    if far and abs(value) >= 99:
        return True
    # rounded numbers are all repeated and separated, so the value must stand out from its neighbours
    spacing, usual = _neighbours(value, remaining)
    if count < _MORE_FREQUENT * usual or gap <= _WIDER * spacing:
        return False
    if far:
        return True
    at_edge = np.count_nonzero(remaining <= low + gap if value < low else remaining >= high - gap)
    return bool(at_edge >= max(_EDGE_EVENTS, 0.001 * len(remaining)))


def _is_spike_inside(value: float, count: int, values: Float64) -> bool:
    """Return whether a value inside the range of a continuous variable is far more frequent than its neighbours."""
    different = values[values != value]
    sample = different[:1000]
    continuous = len(sample) > 0 and len(np.unique(sample)) >= 0.5 * len(sample)
    if not continuous or not different.min() < value < different.max():
        return False
    width = 0.001 * float(different.max() - different.min())
    near = float(np.count_nonzero(np.abs(different - value) < width))
    return bool(count > 10 * max(near, _neighbours(value, different)[1]))


def _neighbours(value: float, different: Float64) -> tuple[float, float]:
    """Return the median spacing of the distinct values nearest to a value, and the median of their counts."""
    distance = np.abs(different - value)
    last = min(len(different), 50 * _NEAREST) - 1
    nearest = different[distance <= np.partition(distance, last)[last]]
    values, counts = np.unique(nearest, return_counts=True)
    order = np.argsort(np.abs(values - value))[:_NEAREST]
    spacing = np.diff(np.sort(values[order]))
    return float(np.median(spacing)) if len(spacing) else 0.0, float(np.median(counts[order]))


def find_identified_class(values: Float64, class_index: Int32, classes: int) -> tuple[int, float]:
    """Find the class that the values of one column separate best from all other classes; see `compute_class_purity`.

    Its purity is the mean of the fractions of its events, and of all other events, that are correctly assigned.
    """
    learned, measured = _halves(values, class_index, classes)
    best = (0, 0.0)
    for index in range(classes):
        other_classes = np.arange(classes) != index
        chosen = learned[index] > learned[other_classes].max(axis=0)
        efficiency = measured[index, chosen].sum()
        rejection = measured[other_classes][:, ~chosen].sum(axis=1).mean()
        best = max(best, (index, float(efficiency + rejection) / 2), key=lambda candidate: candidate[1])
    return best
