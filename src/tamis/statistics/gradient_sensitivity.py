"""Gradient sensitivity: derivatives of the scores with respect to the features, in units of their spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tamis.arrays import Float64
from tamis.errors import TamisError
from tamis.statistics.arrays import check_classes, check_positive_sum, check_weights
from tamis.statistics.influence import compute_mean_influences
from tamis.statistics.intervals import Scale, compute_half_widths, compute_intervals, has_enough_events

if TYPE_CHECKING:
    from tamis.network.sensitivity import Sensitivity


EVENTS = 20_000
"""Number of events that is enough for a precise mean sensitivity."""


@dataclass(frozen=True)
class GradientSensitivity:
    """Gradient sensitivity of a classifier to a group of features, varied by one standard deviation with correlations.

    It is the mean absolute change of log(score of the true class), in nats, and of the score of each class,
    [n_classes], with 68.3% intervals to first order; None for fewer than 25 effective events.
    """

    loss: float
    loss_interval: tuple[float, float] | None
    scores: tuple[float, ...]
    scores_interval: tuple[tuple[float, float] | None, ...]


def compute_gradient_sensitivity(
    sensitivity: Sensitivity,
    features: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    groups: Sequence[Sequence[int]],
    *,
    units: NDArray[np.intp] | None = None,
) -> tuple[GradientSensitivity, ...]:
    r"""Compute the mean gradient sensitivity of the scores to each group of features.

    For an event with the gradient g = d log(score) / d features of a group, the sensitivity is sqrt(g^T C g), where C
    is the covariance of the features of the group: to first order the standard deviation of log(score) if the group
    varied as in the sample and everything else stayed. For one feature it is |g| times its spread: the size of the
    elementary effect of M. Morris (Technometrics 33 (1991) 161) for small steps, whose mean is M. Campolongo's measure
    \mu^* (Environ. Model. Softw. 22 (2007) 1509; for derivatives S. Kucherenko et al., Reliab. Eng. Syst. Saf. 94
    (2009) 1135). The spread makes features of different units comparable. The correlations matter for a group: of two
    copies the network may use the sum or the difference, and the difference never varies.

    The covariance is robust: the spread of a feature is half the distance of its 15.87% and 84.13% quantiles, and
    correlations are those of ranks, weighted with the sizes of the weights. The indicator of a missing value varies
    independently, with f (1 - f), where f is the fraction of missing values. The spread is a unit: the intervals do not
    contain its uncertainty.

    Missing features, [n_events, n_features], are NaN. `groups` are the indices of the features of each group.
    """
    values = np.asarray(features, np.float64)
    events, classes = sensitivity.scores.shape
    if sensitivity.values.shape != (events, classes, *values.shape[1:]) or len(values) != events:
        raise TamisError(
            f"gradient sensitivity: features of shape {values.shape} do not fit derivatives of "
            f"{sensitivity.values.shape}"
        )
    weights = check_weights(weight, events)
    rows = np.arange(events), check_classes(class_index, events, classes)
    check_positive_sum(weights, "gradient sensitivity: the weights")
    enough = has_enough_events(weights, units)
    sensitivities = []
    for group in groups:
        sizes = _sizes(sensitivity, values, np.abs(weights), list(group))
        means, of_event = compute_mean_influences(
            np.column_stack([sizes[rows], sizes * sensitivity.scores]), weights
        )
        # a mean of sizes is not negative, unless signed weights make it so
        scales: list[Scale] = ["log" if mean > 0 else "linear" for mean in means]
        of_loss, *of_scores = compute_intervals(
            means, compute_half_widths(of_event, units), [enough] * len(means), scales
        )
        loss, *scores = means.tolist()
        sensitivities.append(GradientSensitivity(loss, of_loss, tuple(scores), tuple(of_scores)))
    return tuple(sensitivities)


def _sizes(sensitivity: Sensitivity, features: Float64, size: Float64, group: list[int]) -> Float64:
    """Return the absolute change of each log(score), [n_events, n_classes]."""
    changes = sensitivity.values[:, :, group]
    squares = np.einsum(
        "ncj,jk,nck->nc", changes, compute_robust_covariance(features[:, group], size), changes, optimize=True
    )
    missing = np.isnan(features[:, group])
    fraction = size @ missing / size.sum()
    squares += np.square(sensitivity.indicators[:, :, group]) @ (fraction * (1 - fraction))
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def compute_robust_covariance(features: Float64, size: Float64) -> Float64:
    """Compute a robust covariance, [n_features, n_features], from quantiles and the correlations of ranks.

    Missing features, [n_events, n_features], are NaN and count as the median; the size is the absolute weight of each
    event. The covariance is positive semidefinite.

    >>> x = np.arange(1001.0)
    >>> compute_robust_covariance(np.stack([x, -x], axis=1), np.ones(1001)).round()
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
    lengths = np.where(lengths > 0, lengths, 1.0)
    correlation = moments / lengths / lengths[:, None]
    return np.asarray(correlation * spreads * spreads[:, None])


def _ranks(values: Float64, size: Float64) -> Float64:
    """Compute the weight of the events below each value, plus half of those with the same value."""
    _, index = np.unique(values, return_inverse=True)
    share = np.bincount(index, size)
    ranks: Float64 = (np.cumsum(share) - share / 2)[index]
    return ranks


def _middle_and_spread(values: Float64, size: Float64) -> tuple[float, float]:
    """Compute the median and half the distance between the 15.87% and the 84.13% quantile."""
    rows = np.flatnonzero(~np.isnan(values) & (size > 0))
    if not len(rows):
        return 0.0, 0.0
    order = rows[np.argsort(values[rows])]
    reached = np.cumsum(size[order])
    levels = np.array([special.ndtr(-1.0), 0.5, special.ndtr(1.0)]) * reached[-1]
    indices = np.searchsorted(reached, levels - 1e-12 * reached[-1])
    low, middle, high = values[order][indices].tolist()
    if high > low:
        return middle, (high - low) / 2
    # most events share one value
    deviation = np.sqrt(np.average((values[order] - middle) ** 2, weights=size[order]))
    return middle, float(deviation)
