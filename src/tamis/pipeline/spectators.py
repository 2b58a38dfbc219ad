"""Spectators that the training decorrelates the score from: whether that is possible, and the penalty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tamis.arrays import Float32, Float64, Mask
from tamis.config import Config, Decorrelate, Flatness
from tamis.data.events import Events
from tamis.data.spectator_ranks import compute_coordinates
from tamis.errors import InputError, Problem
from tamis.statistics.sculpting import FEWEST, has_value
from tamis.studies.context import Decorrelation
from tamis.wording import format_value

if TYPE_CHECKING:
    from tamis.training.decorrelation import DecorrelationPenalty

_COMPARED = 1000
"""Number of events in which a spectator and a feature are compared; a copy agrees in all of them."""


def select_decorrelated_classes(config: Config, section: Decorrelate) -> tuple[int, ...]:
    """Return the indices of the classes in which the score becomes independent: those listed, or the backgrounds."""
    background = [name for name in config.class_names if name not in config.signal_names]
    names = background if section.classes is None else section.classes
    return tuple(sorted(config.class_names.index(name) for name in names))


def check_decorrelation(config: Config, events: Events) -> None:
    """Refuse spectators that the score cannot be decorrelated from.

    A spectator must be a number in every event of the classes, must vary within each of them, and must not be a
    rising or falling function of a feature.

    Raises:
        InputError: with every such spectator.
    """
    section = config.training.decorrelate
    if section is None:
        return
    problems: list[Problem] = []
    for name in section.spectators:
        for index in select_decorrelated_classes(config, section):
            problems += _find_problems(config, events, name, index)
    if problems:
        raise InputError("training.decorrelate", problems)


def _find_problems(config: Config, events: Events, name: str, class_index: int) -> Iterator[Problem]:
    """Yield the reason why the score cannot be decorrelated from a spectator in a class, if there is one."""
    class_name = config.class_names[class_index]
    where = f"class {class_name}"
    rows = np.flatnonzero(events.class_index == class_index)
    values = events.spectators[name][rows]
    unusable = rows[~has_value(values)]
    if len(unusable):
        first = int(unusable[0])
        yield Problem(
            events.files[events.file_index[first]],
            f"spectator {name!r} is {events.spectators[name][first]} at entry {events.entry[first]} "
            f"({len(unusable):,} such events of class {class_name}); training.decorrelate needs a number for every "
            "event: remove such events with `selection`, or the class from training.decorrelate.classes",
        )
    elif len(values) and np.ptp(values) == 0:
        yield Problem(
            where,
            f"spectator {name!r} is {format_value(float(values[0]))} in all {len(values):,} events, so that any score "
            "is independent of it; remove the spectator or the class from training.decorrelate",
        )
    else:
        compared = rows[:_COMPARED]
        for feature, column in zip(config.features, events.features[compared].T, strict=True):
            if _is_function(events.spectators[name][compared], column):
                yield Problem(
                    where,
                    f"spectator {name!r} rises or falls strictly with the feature {feature.name!r}, so that the "
                    "network sees it; remove the feature",
                )


def _is_function(values: Float64, feature: Float32) -> bool:
    """Return whether a feature is a strictly rising or falling function of a spectator, in some events."""
    present = ~np.isnan(feature)
    if np.count_nonzero(present) < FEWEST:
        return False
    # features have 32 bits, so that nearly equal values are equal
    _, rank = np.unique(values[present].astype(np.float32), return_inverse=True)
    _, rank_of_feature = np.unique(feature[present], return_inverse=True)
    return bool((rank == rank_of_feature).all() or (rank.max() - rank == rank_of_feature).all())


def select_coordinates(config: Config, events: Events, training: Mask) -> Float32 | None:
    """Compute the coordinates of all events in the spectators of `training.decorrelate`, [n, coordinates].

    Args:
        config: the whole configuration.
        events: the used events.
        training: training events of a member, [n].

    Returns:
        None without decorrelation; zeros for events of other classes, which have no penalty.
    """
    section = config.training.decorrelate
    if section is None:
        return None
    inside = np.isin(events.class_index, select_decorrelated_classes(config, section))
    bins = section.method.bins if isinstance(section.method, Flatness) else None
    of_classes = compute_coordinates(
        [events.spectators[name][inside] for name in section.spectators],
        events.class_index[inside],
        training[inside],
        bins=bins,
    )
    coordinates = np.zeros((len(events), of_classes.shape[1]), np.float32)
    coordinates[inside] = of_classes
    return coordinates


def describe_decorrelation(config: Config) -> Decorrelation | None:
    """Return what the training makes the score independent of; None for nothing."""
    section = config.training.decorrelate
    if section is None:
        return None
    names = tuple(config.class_names[index] for index in select_decorrelated_classes(config, section))
    return Decorrelation(section.spectators, names, section.method.name, section.strength)


def build_penalty(config: Config) -> DecorrelationPenalty | None:
    """Build the penalty of `training.decorrelate`; None without it."""
    from tamis.training.decorrelation import DecorrelationPenalty

    section = config.training.decorrelate
    if section is None:
        return None
    return DecorrelationPenalty(
        method=section.method,
        signal=tuple(config.class_names.index(name) for name in config.signal_names),
        classes=select_decorrelated_classes(config, section),
        strength=section.strength,
        coordinates=1 if isinstance(section.method, Flatness) else len(section.spectators),
    )
