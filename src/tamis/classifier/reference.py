"""Reference events: whenever a classifier is loaded, their scores are compared with those of the training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tamis.arrays import Features, Float32
from tamis.classifier.missing import apply_rules
from tamis.config import Feature
from tamis.errors import InputError, Problem

TOLERANCE = 1e-5
"""Allowed difference of a recomputed score from the stored one, on another processor or version, for any network."""
ROUNDINGS = 16
"""Allowed difference for networks that amplify rounding, in units of the change by a float32 step in each weight."""
SPREAD = 20
"""Number of evenly spaced events."""
INCOMPLETE = 8
"""Maximum number of events of the sample with missing values."""
_FEATURES = 64
"""Maximum number of features for which there are events with the lowest, the highest and a missing value."""


def choose_reference(
    features: Features, rules: Sequence[Feature], kind: DTypeLike = np.float32
) -> tuple[Features, NDArray[np.int64]]:
    """Choose events: evenly spaced, with the lowest and the highest values, and with missing values.

    For each feature that may be missing there is an event without it, and one event lacks all of these. The result is
    their features, NaN if missing, [n, n_features], and the event from which each is made, [n].

    >>> features = np.array([[3.0], [1.0], [2.0]], np.float32)
    >>> chosen, rows = choose_reference(features, [Feature(name="x", missing=(-999.0,))])
    >>> bool(np.isnan(chosen).any())
    True
    """
    spread = np.linspace(0, len(features) - 1, SPREAD).astype(np.int64)
    incomplete = np.flatnonzero(np.isnan(features).any(axis=1))[:INCOMPLETE]
    unchanged = np.concatenate([spread, find_extremes(features[:, :_FEATURES]), incomplete])
    allowed = [index for index, rule in enumerate(rules) if rule.missing is not None]
    removed = [*([index] for index in allowed[:_FEATURES]), *([allowed] if allowed else ())]
    rows_of_lacking = spread[np.arange(len(removed)) % SPREAD]
    lacking = features[rows_of_lacking]
    for event, columns in zip(lacking, removed, strict=True):
        event[columns] = np.nan
    rows = np.concatenate([unchanged, rows_of_lacking])
    return np.concatenate([features[unchanged], lacking]).astype(kind), rows


def find_extremes(features: Features) -> NDArray[np.int64]:
    """Find the rows with the lowest and the highest value of each feature."""
    present = ~np.isnan(features)
    lowest = np.where(present, features, np.inf).argmin(axis=0)
    highest = np.where(present, features, -np.inf).argmax(axis=0)
    return np.concatenate([lowest, highest]).astype(np.int64)


def check_scores(
    scores: Float32,
    expected: Float32,
    classes: Sequence[str],
    where: str,
    rounding: Callable[[], NDArray[np.float64]],
) -> None:
    """Compare recomputed scores of the reference events, [n, n_classes], with the stored ones.

    `rounding` measures by how much a float32 step in each weight changes the scores of each event, [n].

    Raises:
        InputError: there are no events, or a score differs by more than `TOLERANCE` and more than rounding explains.
    """
    if not len(expected):
        message = (
            "has no reference events, so its scores cannot be checked; save it again with reference events"
        )
        raise InputError("classifier", [Problem(where, message)])
    difference = np.abs(scores.astype(np.float64) - expected)
    if (difference <= TOLERANCE).all():
        return
    allowed = np.maximum(TOLERANCE, ROUNDINGS * rounding()[:, None])
    wrong = ~(difference <= allowed)
    if not wrong.any():
        return
    worst = np.where(np.isnan(difference), np.inf, difference / allowed)
    event, index = divmod(int(worst.argmax()), worst.shape[1])
    message = (
        f"reference event {event} gets other scores than when the classifier was saved: {classes[index]} is "
        f"{scores[event, index]:.7g} and was {expected[event, index]:.7g} (by {difference[event, index]:.2g}, allowed "
        f"are {allowed[event, 0]:.2g}; {int(wrong.any(axis=1).sum())} of {len(wrong)} events differ); the files were "
        "changed, or this machine computes differently; copy the whole folder `model` again"
    )
    raise InputError("classifier", [Problem(where, message)])


def check_rules(marked: Features, features: Features, rules: Sequence[Feature], where: str) -> None:
    """Check that the same values count as missing as when the classifier was saved, or raise an `InputError`."""
    values = apply_rules(marked, rules)
    differing = ~((values == features) | (np.isnan(values) & np.isnan(features)))
    if not differing.any():
        return
    event, index = (int(indices[0]) for indices in np.nonzero(differing))
    message = (
        f"feature {rules[index].name!r} of reference event {event} is {marked[event, index]:g}, which now means "
        f"{values[event, index]:g} and meant {features[event, index]:g}; the files were changed, copy the whole "
        "folder `model` again"
    )
    raise InputError("classifier", [Problem(where, message)])
