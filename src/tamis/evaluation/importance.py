"""What each feature is worth to a classifier: how much is lost when its values are exchanged between events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from tamis.errors import TamisError
from tamis.evaluation.arrays import mean_ranks, needed_sum, none_where_undefined, weights_of
from tamis.evaluation.influence import Influences, find_influences
from tamis.evaluation.intervals import around, half_widths, student_factors
from tamis.evaluation.parts import known_numbers
from tamis.evaluation.reaction import Reaction
from tamis.evaluation.units import Units, sum_by_unit

Float64 = NDArray[np.float64]
Features = NDArray[np.float32] | NDArray[np.float64]

EVENTS = 50_000
"""Events of which the importance is known well enough."""
CORRELATED = 0.8
"""Size of the rank correlation from which features are exchanged together."""


@dataclass(frozen=True)
class Change:
    """By how much some scores are worse than others of the same events.

    Args:
        loss: by how much the loss grows.
        loss_interval: 68.3% interval, for the same events in both; None for too few events.
        auc: by how much the area under the curve of each class falls, [n_classes]; NaN where it is not defined.
        auc_interval: 68.3% intervals, by class; None where it is not defined.
    """

    loss: float
    loss_interval: tuple[float, float] | None
    auc: tuple[float, ...]
    auc_interval: tuple[tuple[float, float] | None, ...]

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give everything as `metrics.json` holds it."""
        areas = none_where_undefined(self.auc)
        return {
            "loss": self.loss,
            "loss_interval": self.loss_interval,
            "auc": dict(zip(class_names, areas, strict=True)),
            "auc_interval": dict(zip(class_names, self.auc_interval, strict=True)),
        }


@dataclass(frozen=True)
class Importance:
    """What a group of features is worth.

    Args:
        features: names; several where they are correlated.
        exchanged: what is lost where their values are exchanged between events.
        reaction: how strongly the scores react to them.
        left_out: what is lost where the network is trained without them; None where that was not asked for.
    """

    features: tuple[str, ...]
    exchanged: Change
    reaction: Reaction | None = None
    left_out: Change | None = None

    @property
    def loss(self) -> float:
        """By how much the loss grows where the values are exchanged."""
        return self.exchanged.loss

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give everything as `metrics.json` holds it."""
        return {
            "features": list(self.features),
            **self.exchanged.to_dict(class_names),
            **(_NO_REACTION if self.reaction is None else self.reaction.to_dict(class_names)),
            "left_out": None if self.left_out is None else self.left_out.to_dict(class_names),
        }


_NO_REACTION = dict.fromkeys(("gradient", "gradient_interval", "gradient_scores", "gradient_scores_interval"))


def correlated_groups(
    features: ArrayLike, names: Sequence[str], *, threshold: float = CORRELATED
) -> tuple[tuple[str, ...], ...]:
    """Put features together whose ranks are correlated; to exchange one alone would make impossible events.

    Two groups are joined where all pairs between them are correlated on average (average linkage).

    Args:
        features: [n_events, n_features]; missing values are NaN and count as the lowest.
        names: of the features.
        threshold: size of the rank correlation from which they belong together.

    >>> x = np.arange(10.0)
    >>> correlated_groups(np.stack([x, -x, x % 3], axis=1), ["a", "b", "c"])
    (('a', 'b'), ('c',))
    """
    values = np.asarray(features, np.float64)
    if values.shape[1:] != (len(names),):
        raise TamisError(f"features: expected {len(names)} numbers of each event, found {values.shape}")
    if len(names) == 1:
        return ((names[0],),)
    # here, because what draws the result imports this module as well
    from scipy.cluster import hierarchy
    from scipy.spatial import distance

    ranks = np.stack([mean_ranks(np.where(np.isnan(column), -np.inf, column)) for column in values.T], axis=1)
    constant = np.ptp(ranks, axis=0) == 0
    with np.errstate(invalid="ignore"):
        correlation = np.abs(np.corrcoef(ranks, rowvar=False))
    correlation[constant, :] = correlation[:, constant] = 0.0
    np.fill_diagonal(correlation, 1.0)
    apart = distance.squareform(np.clip(1 - correlation, 0, 1), checks=False)
    label = hierarchy.fcluster(hierarchy.linkage(apart, "average"), 1 - threshold, "distance")
    groups: dict[int, list[str]] = {}
    for name, number in zip(names, label.tolist(), strict=True):
        groups.setdefault(number, []).append(name)
    return tuple(tuple(group) for group in groups.values())


def permutation_importance(
    predict: Callable[[Features], NDArray[np.floating]],
    features: Features,
    class_index: NDArray[np.integer],
    weight: ArrayLike,
    names: Sequence[str],
    generator: Generator,
    *,
    groups: Sequence[Sequence[str]] | None = None,
    units: NDArray[np.intp] | None = None,
) -> tuple[Importance, ...]:
    """Exchange the values of each group of features between events, and see how much worse the classifier becomes.

    An event gets the values of another one, drawn in proportion to the size of its weight, so that (but for negative
    weights) the distribution of the group stays as it was and only its connection with everything else is lost
    (L. Breiman, Machine Learning 45 (2001) 5). The intervals are those of the difference for the same events, to first
    order, so they are narrow; they know that other events might have given their values. How much the network would
    lose if it were trained without the group is another question.

    Args:
        predict: gives the scores, [n_events, n_classes], of features, [n_events, n_features].
        features: of test events, [n_events, n_features]; `EVENTS` of them are enough.
        class_index: the true class, [n_events].
        weight: signed weight, [n_events].
        names: of the features.
        generator: where the random numbers come from.
        groups: features that are exchanged together; by default those that are correlated.
        units: number of what each event belongs to, where several events vary together, [n_events].

    Returns:
        By falling importance for the loss.

    Raises:
        TamisError: the arrays do not fit together, or the weights have no positive sum.
    """
    weights = weights_of(weight, len(features))
    classes = np.asarray(class_index)
    groups = groups or correlated_groups(features, names)
    size = np.abs(weights) / np.abs(weights).sum()
    needed_sum(weights, "importance: the weights")
    before = find_influences(predict(features), classes, weights)
    known = known_numbers(classes, weights, before.of_event.shape[1] - 2, units)
    importance = []
    for group, own in zip(groups, generator.spawn(len(groups)), strict=True):
        columns = [list(names).index(name) for name in group]
        changed = features.copy()
        donors = own.choice(len(features), len(features), p=size)
        changed[:, columns] = features[donors][:, columns]
        after = find_influences(predict(changed), classes, weights)
        importance.append(Importance(tuple(group), _change_with_donors(before, after, known, donors, units)))
    return tuple(sorted(importance, key=lambda each: -each.loss))


def _change_with_donors(
    before: Influences,
    after: Influences,
    known: NDArray[np.bool_],
    donors: NDArray[np.intp],
    units: Units | None,
) -> Change:
    """Measure how much worse the scores are, where the events that gave values are drawn too.

    An event contributes what it adds itself, and what the events add to which it gave its values. The sum of the
    squares counts twice what an event and its donor have together, which is taken away once.

    Args:
        before: influences of the events as they are.
        after: influences with the exchanged values.
        known: which numbers have events enough for an interval (`known_numbers`).
        donors: from which event each has its values, [n_events].
        units: number of what each event belongs to, where several events vary together, [n_events].
    """
    of_event = _worse(after.of_event - before.of_event)
    of_donor = np.stack([np.bincount(donors, column, len(donors)) for column in of_event.T], axis=1)
    squares = np.square(sum_by_unit(of_event, units)).sum(axis=0)
    both = np.square(sum_by_unit(of_event + of_donor, units)).sum(axis=0) - squares
    errors = np.sqrt(np.maximum(both, squares)) * student_factors(of_event + of_donor, units)
    return _change(before, after, known, errors)


def compare_influences(
    before: Influences, after: Influences, known: NDArray[np.bool_], units: Units | None = None
) -> Change:
    """Measure how much worse some scores are than others of the same events, with intervals to first order.

    Args:
        before: influences with the one scores.
        after: influences of the same events with the other ones.
        known: which numbers have events enough for an interval (`known_numbers`).
        units: number of what each event belongs to, where several events vary together, [n_events].
    """
    return _change(before, after, known, half_widths(_worse(after.of_event - before.of_event), units))


def _change(before: Influences, after: Influences, known: NDArray[np.bool_], errors: Float64) -> Change:
    whole = _worse((after.value - before.value)[None])[0]
    loss, *areas = (
        around(value, error) if enough else None
        for value, error, enough in zip(whole.tolist(), errors.tolist(), np.delete(known, 1), strict=True)
    )
    return Change(float(whole[0]), loss, tuple(whole[1:].tolist()), tuple(areas))


def _worse(changes: Float64) -> Float64:
    """Turn changes of loss, accuracy and areas, [choices, quantities], into losses: a loss grows, an area falls."""
    return np.column_stack([changes[:, 0], -changes[:, 2:]])
