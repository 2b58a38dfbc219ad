"""Corrections of scores, so that they are probabilities: their meaning, and their fit.

A classifier may have one (`training.calibration`); the evaluation fits them to report what they would change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float64

Method = Literal["temperature", "vector"]

SMALLEST_SCORE = float(np.finfo(np.float32).smallest_normal)
"""A score below it counts as this one, so that its logarithm is a number."""

_EVENTS_AT_ONCE = 2**14


@dataclass(frozen=True)
class Scaling:
    """A correction of scores: softmax(scale * log(score) + offset).

    Args:
        scale: of each class, above zero, [n_classes].
        offset: of each class, [n_classes]; their mean is zero.

    >>> Scaling((0.5, 0.5), (0.0, 0.0))(np.array([[0.9, 0.1]])).round(6).tolist()
    [[0.75, 0.25]]
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def __call__(self, scores: NDArray[np.floating]) -> Float64:
        """Correct scores that are probabilities, [n_events, n_classes]."""
        corrected = np.empty(scores.shape)
        scale, offset = np.array([self.scale, self.offset])[:, :, None]
        for block in _blocks(len(scores)):
            logits = log_scores(np.ascontiguousarray(scores[block].T))
            corrected[block] = _softmax(logits * scale + offset)[0].T
        return corrected


@dataclass(frozen=True)
class Calibration:
    """The corrections of a classifier: of the average of all members, and of the members that did not train on a fold.

    Args:
        method: of the fit; `temperature` has one scale for all classes and no offset.
        of_all: of the average of all members.
        of_folds: by fold, of the average of the members that did not train on it; empty without folds.
    """

    method: Method
    of_all: Scaling
    of_folds: Mapping[int, Scaling] = field(default_factory=dict)

    def of(self, fold: int) -> Scaling:
        """Return the correction of the scores of events of a fold; that of all members for other folds."""
        return self.of_folds.get(fold, self.of_all)


def log_scores(scores: NDArray[np.floating]) -> Float64:
    """Return the logarithms of scores in 64 bits; that of a score of zero is finite."""
    return np.log(np.maximum(scores.astype(np.float64), SMALLEST_SCORE))


def _blocks(events: int) -> Iterator[slice]:
    """Divide events into blocks whose logits stay in the cache of a core."""
    return (slice(first, first + _EVENTS_AT_ONCE) for first in range(0, events, _EVENTS_AT_ONCE))


def _softmax(logits: Float64) -> tuple[Float64, Float64]:
    """Compute the softmax, [n_classes, n_events], and the logarithm of its denominator, [n_events].

    Logits are stored class by class, [n_classes, n_events], which is many times as fast as event by event.
    """
    highest = logits.max(axis=0)
    powers = np.exp(logits - highest)
    # not sum(axis=0), which adds in another order for a single event
    total = reduce(np.add, powers)
    return powers / total, highest + np.log(total)


def fit_scaling(
    method: Method, scores: NDArray[np.floating], class_index: NDArray[np.integer], weight: Float64
) -> Scaling:
    """Fit the correction with the smallest loss (C. Guo et al., arXiv:1706.04599).

    `temperature` has one factor for all logits, which preserves the ranking; `vector` a factor and an offset for the
    logit of each class. The scores, [n_events, n_classes], are of events that the network was not trained on, with
    signed weights of a positive sum, [n_events].
    """
    logits = log_scores(scores)
    return (_fit_temperature if method == "temperature" else _fit_vector)(logits, class_index, weight)


def _fit_temperature(logits: Float64, class_index: NDArray[np.integer], weight: Float64) -> Scaling:
    from scipy import optimize

    def loss(logarithm: float) -> float:
        return mean_loss(np.exp(logarithm) * logits, class_index, weight)

    minimum = optimize.minimize_scalar(loss, bounds=(-5.0, 5.0), method="bounded", options={"xatol": 1e-6})
    count = logits.shape[1]
    return Scaling((float(np.exp(minimum.x)),) * count, (0.0,) * count)


def _fit_vector(logits: Float64, class_index: NDArray[np.integer], weight: Float64) -> Scaling:
    from scipy import optimize

    count = logits.shape[1]
    shares = weight / weight.sum()
    blocks = list(_blocks(len(logits)))
    # one class after the other
    by_class = [np.ascontiguousarray(logits[block].T) for block in blocks]

    def loss(parameters: Float64) -> tuple[float, Float64]:
        value, gradient = 0.0, np.zeros((2, count))
        for block, of_block in zip(blocks, by_class, strict=True):
            scaled = of_block * parameters[:count, None] + parameters[count:, None]
            error, logarithm = _softmax(scaled)
            true_class = class_index[block], np.arange(scaled.shape[1])
            value += float(shares[block] @ (logarithm - scaled[true_class]))
            error[true_class] -= 1
            error *= shares[block]
            gradient += np.sum(error * of_block, axis=1), np.sum(error, axis=1)
        return value, gradient.ravel()

    start = np.concatenate([np.ones(count), np.zeros(count)])
    # a negative scale would reverse the ranking
    bounds = [(1e-2, 1e2)] * count + [(-20.0, 20.0)] * count
    minimum = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    scale, offset = minimum.x[:count], minimum.x[count:]
    return Scaling(tuple(scale.tolist()), tuple((offset - offset.mean()).tolist()))


def mean_loss(logits: Float64, class_index: NDArray[np.integer], weight: Float64) -> float:
    """Compute the weighted mean of -log(score of the true class), of logits, [n_events, n_classes]."""
    return float(weight @ event_losses(logits, class_index)) / float(weight.sum())


def event_losses(logits: Float64, class_index: NDArray[np.integer]) -> Float64:
    """Compute -log(score of the true class) of each event, [n_events], of logits, [n_events, n_classes]."""
    losses = np.empty(len(logits))
    for block in _blocks(len(logits)):
        by_class = np.ascontiguousarray(logits[block].T)
        true_class = class_index[block], np.arange(by_class.shape[1])
        losses[block] = _softmax(by_class)[1] - by_class[true_class]
    return losses
