"""Corrections of scores that are fitted to events, and how well they are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tamis.calibration import Scaling, fit_scaling, log_scores
from tamis.evaluation.arrays import classes_of, needed_sum, probabilities_of, weights_of
from tamis.evaluation.influence import standard_errors

Float64 = NDArray[np.float64]


def temperature_scaling(scores: ArrayLike, class_index: ArrayLike, weight: ArrayLike) -> Scaling:
    """Find the one factor of all logits with the smallest loss; the ranking of the scores stays.

    Source: C. Guo et al., "On calibration of modern neural networks", arXiv:1706.04599. The temperature is one over
    the scale.

    Args:
        scores: of validation events, [n_events, n_classes].
        class_index: the true class, [n_events].
        weight: signed weight, [n_events].

    Raises:
        TamisError: the arrays do not fit together, or the weights have no positive sum.
    """
    return fit_scaling("temperature", *_checked(scores, class_index, weight))


def temperature_error(
    found: Scaling,
    scores: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    units: NDArray[np.intp] | None = None,
) -> float:
    """Give the standard deviation of a fitted temperature, to first order.

    That of the logarithm of the scale is the root of the sum of (w g)^2 over the sum of w v, with g the derivative of
    the loss of an event and v the variance of its scaled logits under its scores (P. Huber, "The behavior of maximum
    likelihood estimates under nonstandard conditions", 1967).

    Args:
        found: from `temperature_scaling` of the same events.
        scores: [n_events, n_classes].
        class_index: the true class, [n_events].
        weight: signed weight, [n_events].
        units: number of what each event belongs to, where several events vary together, [n_events].

    Returns:
        NaN where the events do not determine a temperature.
    """
    probabilities, classes, weights = _checked(scores, class_index, weight)
    scaled = log_scores(probabilities) * found.scale[0]
    chances = special.softmax(scaled, axis=1)
    mean = (chances * scaled).sum(axis=1)
    curvature = float(weights @ (chances * (scaled - mean[:, None]) ** 2).sum(axis=1))
    if curvature <= 0:
        return float("nan")
    of_event = weights * (mean - scaled[np.arange(len(scaled)), classes]) / curvature
    return float(standard_errors(of_event[:, None], units)[0]) / found.scale[0]


def vector_scaling(scores: ArrayLike, class_index: ArrayLike, weight: ArrayLike) -> Scaling:
    """Find a factor and an offset for the logit of each class with the smallest loss (arXiv:1706.04599).

    Args:
        scores: of validation events, [n_events, n_classes].
        class_index: the true class, [n_events].
        weight: signed weight, [n_events].

    Raises:
        TamisError: the arrays do not fit together, or the weights have no positive sum.
    """
    return fit_scaling("vector", *_checked(scores, class_index, weight))


def _checked(
    scores: ArrayLike, class_index: ArrayLike, weight: ArrayLike
) -> tuple[Float64, NDArray[np.int64], Float64]:
    probabilities = probabilities_of(scores)
    weights = weights_of(weight, len(probabilities))
    classes = classes_of(class_index, *probabilities.shape)
    needed_sum(weights, "calibration: the weights")
    return probabilities, classes, weights
