"""How strongly the scores react to each feature: derivatives, in units of how much the feature varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tamis.errors import TamisError
from tamis.evaluation.arrays import classes_of, needed_sum, weights_of
from tamis.evaluation.influence import influences_on_means
from tamis.evaluation.intervals import around, half_widths, is_enough

if TYPE_CHECKING:
    from tamis.network.sensitivity import Sensitivity

Float64 = NDArray[np.float64]

EVENTS = 20_000
"""Events of which the reaction is known well enough."""


@dataclass(frozen=True)
class Reaction:
    """How strongly a classifier reacts to a group of features.

    Args:
        loss: mean size of the change of log(score of the true class), in nats, where the features of the group move
            by one standard deviation, as they move together.
        loss_interval: 68.3% interval to first order; None for fewer than 25 effective events.
        scores: mean size of the change of the score of each class, likewise, [n_classes].
        scores_interval: likewise, by class.
    """

    loss: float
    loss_interval: tuple[float, float] | None
    scores: tuple[float, ...]
    scores_interval: tuple[tuple[float, float] | None, ...]

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Give everything as `metrics.json` holds it."""
        return {
            "gradient": self.loss,
            "gradient_interval": self.loss_interval,
            "gradient_scores": dict(zip(class_names, self.scores, strict=True)),
            "gradient_scores_interval": dict(zip(class_names, self.scores_interval, strict=True)),
        }


def measure_reaction(
    sensitivity: Sensitivity,
    features: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    groups: Sequence[Sequence[int]],
    *,
    units: NDArray[np.intp] | None = None,
) -> tuple[Reaction, ...]:
    r"""Average how strongly the scores react to each group of features.

    For an event with the gradient g = d log(score) / d features of a group, the reaction is sqrt(g^T C g), where C is
    the covariance of the features of the group: to first order the standard deviation of log(score) if the group
    varied as it does in the sample and all else stayed. For one feature it is |g| times its spread: the size of the
    elementary effect of M. Morris (Technometrics 33 (1991) 161) for small steps, whose mean is M. Campolongo's
    measure \mu^* (Environ. Model. Softw. 22 (2007) 1509; for derivatives S. Kucherenko et al., Reliab. Eng. Syst. Saf.
    94 (2009) 1135). The spread makes features of different units comparable. The correlations matter for a group: of
    two copies the network may use the sum or the difference, and the difference never varies.

    The covariance is robust: the spread of a feature is half the distance of its 15.87% and 84.13% quantiles, and
    correlations are those of ranks, weighted with the sizes of the weights. The indicator of a missing value varies
    on its own, with f (1 - f), where f is the fraction of missing values. The spread is a unit: the intervals do not
    contain its uncertainty.

    Args:
        sensitivity: of the events.
        features: [n_events, n_features], NaN where missing.
        class_index: the true class, [n_events].
        weight: signed weight, [n_events].
        groups: indices of the features of each group.
        units: number of what each event belongs to, where several events vary together, [n_events].

    Returns:
        One for each group.

    Raises:
        TamisError: the arrays do not fit together, or the weights have no positive sum.
    """
    values = np.asarray(features, np.float64)
    events, classes = sensitivity.scores.shape
    if sensitivity.values.shape != (events, classes, *values.shape[1:]) or len(values) != events:
        raise TamisError(
            f"reaction: features of shape {values.shape} do not fit derivatives of {sensitivity.values.shape}"
        )
    weights = weights_of(weight, events)
    rows = np.arange(events), classes_of(class_index, events, classes)
    needed_sum(weights, "reaction: the weights")
    enough = is_enough(weights, units)
    reactions = []
    for group in groups:
        sizes = _sizes(sensitivity, values, np.abs(weights), list(group))
        means, of_event = influences_on_means(
            np.column_stack([sizes[rows], sizes * sensitivity.scores]), weights
        )
        loss, *scores = means.tolist()
        of_loss, *of_scores = (
            # a mean of sizes is not negative, unless signed weights make it so
            around(mean, error, "log" if mean > 0 else "linear") if enough else None
            for mean, error in zip(means.tolist(), half_widths(of_event, units).tolist(), strict=True)
        )
        reactions.append(Reaction(loss, of_loss, tuple(scores), tuple(of_scores)))
    return tuple(reactions)


def _sizes(sensitivity: Sensitivity, features: Float64, size: Float64, group: list[int]) -> Float64:
    """Give the size of the reaction of each log(score), [n_events, n_classes]."""
    changes = sensitivity.values[:, :, group]
    squares = np.einsum(
        "ncj,jk,nck->nc", changes, covariance(features[:, group], size), changes, optimize=True
    )
    missing = np.isnan(features[:, group])
    fraction = size @ missing / size.sum()
    squares += np.square(sensitivity.indicators[:, :, group]) @ (fraction * (1 - fraction))
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def covariance(features: Float64, size: Float64) -> Float64:
    """Give the robust covariance of features: their spreads, and the correlations of their ranks.

    Args:
        features: [n_events, n_features]; missing values are NaN and count as the median.
        size: how much an event counts, not negative, [n_events].

    Returns:
        [n_features, n_features]; it is positive semidefinite.

    >>> x = np.arange(1001.0)
    >>> covariance(np.stack([x, -x], axis=1), np.ones(1001)).round()
    array([[ 116964., -116964.],
           [-116964.,  116964.]])
    """
    filled = np.empty_like(features)
    spreads = np.empty(features.shape[1])
    for index, column in enumerate(features.T):
        middle, spreads[index] = _middle_and_spread(column, size)
        filled[:, index] = np.where(np.isnan(column), middle, column)
    ranks = np.stack([_ranks(column, size) for column in filled.T], axis=1)
    offsets = ranks - np.average(ranks, axis=0, weights=size)
    moments = (offsets * size[:, None]).T @ offsets
    lengths = np.sqrt(np.diag(moments))
    correlation = moments / np.where(lengths > 0, lengths, 1.0) / np.where(lengths > 0, lengths, 1.0)[:, None]
    return np.asarray(correlation * spreads * spreads[:, None])


def _ranks(values: Float64, size: Float64) -> Float64:
    """Give how much of all events lies below each value, half of those that share it among them."""
    _, place = np.unique(values, return_inverse=True)
    share = np.bincount(place, size)
    ranks: Float64 = (np.cumsum(share) - share / 2)[place]
    return ranks


def _middle_and_spread(values: Float64, size: Float64) -> tuple[float, float]:
    """Give the median and half the distance of the quantiles that are one standard deviation away in a normal one."""
    there = np.flatnonzero(~np.isnan(values) & (size > 0))
    if not len(there):
        return 0.0, 0.0
    order = there[np.argsort(values[there])]
    reached = np.cumsum(size[order])
    wanted = np.array([special.ndtr(-1.0), 0.5, special.ndtr(1.0)]) * reached[-1]
    places = np.searchsorted(reached, wanted - 1e-12 * reached[-1])
    low, middle, high = values[order][places].tolist()
    if high > low:
        return middle, (high - low) / 2
    # most events share one value
    deviation = np.sqrt(np.average((values[order] - middle) ** 2, weights=size[order]))
    return middle, float(deviation)
