"""Temperature and vector scaling, fitted to events, with their errors; conversion between class weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from tamis.arrays import Float64
from tamis.calibration import Scaling, fit_scaling, log_scores
from tamis.errors import RequestError
from tamis.statistics.arrays import (
    check_finite_numbers,
    check_positive_sum,
    check_probabilities,
    check_scored,
)
from tamis.statistics.influence import compute_standard_errors


def fit_temperature(scores: ArrayLike, class_index: ArrayLike, weight: ArrayLike) -> Scaling:
    """Fit one factor for all logits with the smallest loss (`fit_scaling`); the temperature is one over the scale."""
    return fit_scaling("temperature", *_checked(scores, class_index, weight))


def compute_temperature_error(
    temperature: Scaling,
    scores: ArrayLike,
    class_index: ArrayLike,
    weight: ArrayLike,
    units: NDArray[np.intp] | None = None,
) -> float:
    """Compute the standard deviation of a temperature that was fitted to these events, to first order.

    That of the logarithm of the scale is the root of the sum of (w g)^2 over the sum of w v, with g the derivative of
    the loss of an event and v the variance of its scaled logits under its scores (P. Huber, "The behavior of maximum
    likelihood estimates under nonstandard conditions", 1967). The result is NaN if the events do not determine a
    temperature.
    """
    probabilities, classes, weights = _checked(scores, class_index, weight)
    scaled = log_scores(probabilities) * temperature.scale[0]
    chances = special.softmax(scaled, axis=1)
    mean = (chances * scaled).sum(axis=1)
    curvature = float(weights @ (chances * (scaled - mean[:, None]) ** 2).sum(axis=1))
    if curvature <= 0:
        return float("nan")
    of_event = weights * (mean - scaled[np.arange(len(scaled)), classes]) / curvature
    return float(compute_standard_errors(of_event[:, None], units)[0]) / temperature.scale[0]


def fit_vector_scaling(scores: ArrayLike, class_index: ArrayLike, weight: ArrayLike) -> Scaling:
    """Fit a factor and an offset for the logit of each class with the smallest loss (`fit_scaling`)."""
    return fit_scaling("vector", *_checked(scores, class_index, weight))


def convert_class_weights(scores: ArrayLike, current: ArrayLike, target: ArrayLike) -> Float64:
    """Convert scores from one weighting of the classes to another, by positive sums of weights of each, [n_classes].

    p'(c) is p(c) target(c) / current(c), divided by the sum over the classes (M. Saerens et al., Neural Computation 14
    (2002) 21). With the sums of physics weights as `target`, scores become posterior probabilities of the analysis.

    >>> convert_class_weights([[0.5, 0.5]], [1.0, 1.0], [9.0, 1.0]).tolist()
    [[0.9, 0.1]]
    """
    probabilities = check_probabilities(scores)
    before, after = check_finite_numbers(current, "current"), check_finite_numbers(target, "target")
    for name, shares in (("current", before), ("target", after)):
        if shares.shape != probabilities.shape[1:] or (shares <= 0).any():
            raise RequestError(
                f"{name} class weights: expected a positive number for each of {probabilities.shape[1]} classes, "
                f"found {shares.tolist()}"
            )
    shifted = probabilities * (after / after.sum()) / (before / before.sum())
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _checked(
    scores: ArrayLike, class_index: ArrayLike, weight: ArrayLike
) -> tuple[Float64, NDArray[np.int64], Float64]:
    events = check_scored(scores, class_index, weight)
    check_positive_sum(events[2], "calibration: the weights")
    return events
