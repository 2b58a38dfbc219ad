"""Permutation importance: how much worse a classifier is if features are permuted between events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from tamis.arrays import Features, Float64
from tamis.errors import TamisError
from tamis.statistics.arrays import check_positive_sum, check_weights, compute_mean_ranks
from tamis.statistics.influence import Influences, compute_influences
from tamis.statistics.intervals import (
    compute_degrees_of_freedom,
    compute_half_widths,
    compute_intervals,
    compute_student_factors,
)
from tamis.statistics.split_metrics import find_known_numbers
from tamis.statistics.units import Units, sum_by_unit

EVENTS = 50_000
"""Number of events that is enough for a precise importance."""
CORRELATED = 0.8
"""Absolute rank correlation from which features are permuted together."""


@dataclass(frozen=True)
class PerformanceDrop:
    """The loss of performance from one set of scores to another on the same events, with 68.3% intervals if known.

    The decrease of the area under the curve of each class, [n_classes], is NaN if undefined.
    """

    loss: float
    loss_interval: tuple[float, float] | None
    auc: tuple[float, ...]
    auc_interval: tuple[tuple[float, float] | None, ...]


@dataclass(frozen=True)
class PermutationImportance:
    """The loss of performance if the values of a group of correlated features are permuted between events."""

    features: tuple[str, ...]
    drop: PerformanceDrop


def find_correlated_groups(features: ArrayLike, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Group features whose ranks are correlated: permuting one of them alone would make impossible events.

    Two groups are joined if the correlation of all pairs between them is at least `CORRELATED` on average (average
    linkage). Missing values (NaN) count as the lowest.

    >>> x = np.arange(10.0)
    >>> find_correlated_groups(np.stack([x, -x, x % 3], axis=1), ["a", "b", "c"])
    (('a', 'b'), ('c',))
    """
    values = np.asarray(features, np.float64)
    if values.shape[1:] != (len(names),):
        raise TamisError(f"features: expected {len(names)} numbers of each event, found {values.shape}")
    if len(names) == 1:
        return ((names[0],),)
    # imported here, because processes that only draw figures import this module too
    from scipy.cluster import hierarchy
    from scipy.spatial import distance

    ranks = np.stack(
        [compute_mean_ranks(np.where(np.isnan(column), -np.inf, column)) for column in values.T], axis=1
    )
    constant = np.ptp(ranks, axis=0) == 0
    with np.errstate(invalid="ignore"):
        correlation = np.abs(np.corrcoef(ranks, rowvar=False))
    correlation[constant, :] = correlation[:, constant] = 0.0
    np.fill_diagonal(correlation, 1.0)
    apart = distance.squareform(np.clip(1 - correlation, 0, 1), checks=False)
    label = hierarchy.fcluster(hierarchy.linkage(apart, "average"), 1 - CORRELATED, "distance")
    groups: dict[int, list[str]] = {}
    for name, number in zip(names, label.tolist(), strict=True):
        groups.setdefault(number, []).append(name)
    return tuple(tuple(group) for group in groups.values())


def compute_permutation_importance(
    predict: Callable[[Features], NDArray[np.floating]],
    features: Features,
    class_index: NDArray[np.integer],
    weight: ArrayLike,
    names: Sequence[str],
    generator: Generator,
    *,
    groups: Sequence[Sequence[str]] | None = None,
    units: NDArray[np.intp] | None = None,
) -> tuple[PermutationImportance, ...]:
    """Permute each group of features between events, and compute the loss of performance, by falling importance.

    An event gets the values of another one, drawn in proportion to the size of its weight, so that (except for negative
    weights) the distribution of the group is unchanged and only its correlation with everything else is lost (L.
    Breiman, Machine Learning 45 (2001) 5). The intervals are those of the difference for the same events, to first
    order, so they are narrow; they include the random choice of the other events. A network that is trained without the
    group may lose less.

    `predict` returns the scores of features, [n_events, n_features]; `EVENTS` test events are enough. `groups` are
    names of features that are permuted together; by default those that are correlated.
    """
    weights = check_weights(weight, len(features))
    classes = np.asarray(class_index)
    groups = groups or find_correlated_groups(features, names)
    size = np.abs(weights) / np.abs(weights).sum()
    check_positive_sum(weights, "importance: the weights")
    before = compute_influences(predict(features), classes, weights)
    known = find_known_numbers(classes, weights, before.of_event.shape[1] - 2, units)
    importance = []
    for group, of_group in zip(groups, generator.spawn(len(groups)), strict=True):
        columns = [list(names).index(name) for name in group]
        changed = features.copy()
        donors = of_group.choice(len(features), len(features), p=size)
        changed[:, columns] = features[donors][:, columns]
        after = compute_influences(predict(changed), classes, weights)
        drop = _drop_with_donors(before, after, known, donors, units)
        importance.append(PermutationImportance(tuple(group), drop))
    return tuple(sorted(importance, key=lambda group: -group.drop.loss))


def _drop_with_donors(
    before: Influences,
    after: Influences,
    known: NDArray[np.bool_],
    donors: NDArray[np.intp],
    units: Units | None,
) -> PerformanceDrop:
    """Compute the loss of performance, with an error that includes the random choice of donors.

    The influence of an event includes that on the events to which it donated its values. The sum of the squares counts
    the common part of an event and its donor twice, so it is subtracted once. `donors` are the events from which the
    values come, [n_events].
    """
    of_event = _worse(after.of_event - before.of_event)
    of_donor = np.stack([np.bincount(donors, column, len(donors)) for column in of_event.T], axis=1)
    squares = np.square(sum_by_unit(of_event, units)).sum(axis=0)
    both = np.square(sum_by_unit(of_event + of_donor, units)).sum(axis=0) - squares
    errors = np.sqrt(np.maximum(both, squares)) * compute_student_factors(
        compute_degrees_of_freedom(of_event + of_donor, units)
    )
    return _drop(before, after, known, errors)


def compare_influences(
    before: Influences, after: Influences, known: NDArray[np.bool_], units: Units | None = None
) -> PerformanceDrop:
    """Compute the loss of performance from one set of scores to another on the same events, to first order.

    `known` tells which numbers have enough events for an interval (`find_known_numbers`).
    """
    return _drop(before, after, known, compute_half_widths(_worse(after.of_event - before.of_event), units))


def _drop(
    before: Influences, after: Influences, known: NDArray[np.bool_], errors: Float64
) -> PerformanceDrop:
    drops = _worse((after.value - before.value)[None])[0]
    loss, *areas = compute_intervals(drops, errors, np.delete(known, 1))
    return PerformanceDrop(float(drops[0]), loss, tuple(drops[1:].tolist()), tuple(areas))


def _worse(changes: Float64) -> Float64:
    """Return the increase of the loss and the decrease of the areas, from changes of [loss, accuracy, areas]."""
    return np.column_stack([changes[:, 0], -changes[:, 2:]])
