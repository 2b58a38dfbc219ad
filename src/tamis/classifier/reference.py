"""Reference events: with what a classifier proves at every load that its scores are still those of its making."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tamis.classifier.missing import apply_rules, spell_missing
from tamis.config import Feature
from tamis.errors import InputError, Problem

Float32 = NDArray[np.float32]
Features = Float32 | NDArray[np.float64]

TOLERANCE = 1e-5
"""How far a recomputed score may lie from the stored one, for another processor or version, whatever the network."""
ROUNDINGS = 16
"""By how many times what a float32 step in each weight changes it may lie there, for networks that amplify rounding."""
SPREAD = 20
"""How many events are spread over all of them."""
INCOMPLETE = 8
"""How many events of the sample with missing values are among them, where there are as many."""
_FEATURES = 64
"""Of how many features the lowest and the highest value are among them, and an event without it."""


@dataclass(frozen=True)
class ReferenceEvents:
    """Events that a classifier carries.

    Args:
        features: NaN where missing, [n, n_features].
        given: the same as somebody would pass them: with a sentinel or an infinity where the value is missing.
        rows: which events of the sample they are, or are made of, [n].
    """

    features: Features
    given: Features
    rows: NDArray[np.int64]


def choose_reference(
    features: Features, rules: Sequence[Feature], kind: DTypeLike = np.float32
) -> ReferenceEvents:
    """Choose events: spread over the rows, with the lowest and the highest values, and with what may be missing.

    For each feature that may be missing there is an event without it, and one event lacks all of these.

    Args:
        features: of all events, NaN where missing, [n, n_features].
        rules: the features, with what counts as missing.
        kind: the type of the chosen features.

    >>> features = np.array([[3.0], [1.0], [2.0]], np.float32)
    >>> chosen = choose_reference(features, [Feature(name="x", missing=(-999.0,))])
    >>> bool(np.isnan(chosen.features).any()), -999.0 in chosen.given
    (True, True)
    """
    spread = np.linspace(0, len(features) - 1, SPREAD).astype(np.int64)
    incomplete = np.flatnonzero(np.isnan(features).any(axis=1))[:INCOMPLETE]
    whole = np.concatenate([spread, _extremes(features), incomplete])
    allowed = [index for index, rule in enumerate(rules) if rule.missing is not None]
    away = [*([index] for index in allowed[:_FEATURES]), *([allowed] if allowed else ())]
    lacking = features[spread[np.arange(len(away)) % SPREAD]]
    for event, columns in zip(lacking, away, strict=True):
        event[columns] = np.nan
    rows = np.concatenate([whole, spread[np.arange(len(away)) % SPREAD]])
    chosen = np.concatenate([features[whole], lacking]).astype(kind)
    return ReferenceEvents(chosen, spell_missing(chosen, rules), rows)


def _extremes(features: Features) -> NDArray[np.int64]:
    """Find the events with the lowest and the highest value of each feature."""
    there = ~np.isnan(features)
    lowest = np.where(there, features, np.inf).argmin(axis=0)[:_FEATURES]
    highest = np.where(there, features, -np.inf).argmax(axis=0)[:_FEATURES]
    return np.concatenate([lowest, highest]).astype(np.int64)


def check_scores(
    found: Float32,
    expected: Float32,
    classes: Sequence[str],
    where: str,
    rounding: Callable[[], NDArray[np.float64]],
) -> None:
    """Compare recomputed scores of the reference events with the stored ones.

    Args:
        found: now, [n, n_classes].
        expected: when the classifier was made, [n, n_classes].
        classes: names of the classes.
        where: for the message.
        rounding: measures by how much a float32 step in each weight changes the scores of each event, [n].

    Raises:
        InputError: there are no events, or a score differs by more than `TOLERANCE` and than rounding explains; it says
            which and by how much.
    """
    if not len(expected):
        raise InputError("classifier", [Problem(where, "has no reference events; nothing proves its scores")])
    difference = np.abs(found.astype(np.float64) - expected)
    if (difference <= TOLERANCE).all():
        return
    allowed = np.maximum(TOLERANCE, ROUNDINGS * rounding()[:, None])
    wrong = ~(difference <= allowed)
    if not wrong.any():
        return
    worst = np.where(np.isnan(difference), np.inf, difference / allowed)
    event, index = divmod(int(worst.argmax()), worst.shape[1])
    message = (
        f"reference event {event} gets other scores than when the classifier was made: {classes[index]} is "
        f"{found[event, index]:.7g} and was {expected[event, index]:.7g} (by {difference[event, index]:.2g}, allowed "
        f"are {allowed[event, 0]:.2g}; {int(wrong.any(axis=1).sum())} of {len(wrong)} events differ); the files were "
        "changed, or this machine computes differently"
    )
    raise InputError("classifier", [Problem(where, message)])


def check_rules(given: Features, features: Features, rules: Sequence[Feature], where: str) -> None:
    """Check that what the reference events were given as still means the same.

    Raises:
        InputError: a value counts as missing that did not, or the other way round; it says which.
    """
    found = apply_rules(given, rules)
    wrong = ~((found == features) | (np.isnan(found) & np.isnan(features)))
    if not wrong.any():
        return
    event, index = (int(place[0]) for place in np.nonzero(wrong))
    message = (
        f"feature {rules[index].name!r} of reference event {event} is {given[event, index]:g}, which now means "
        f"{found[event, index]:g} and meant {features[event, index]:g}; the files were changed"
    )
    raise InputError("classifier", [Problem(where, message)])
