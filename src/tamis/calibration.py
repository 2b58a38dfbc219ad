"""Corrections of scores, so that they are probabilities: their meaning, and how they are fitted.

A classifier may carry one (`training.calibration`); the evaluation fits them to say what they would change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Method = Literal["temperature", "vector"]

SMALLEST_SCORE = float(np.finfo(np.float32).smallest_normal)
"""A score below it counts as this one, so that its logarithm is a number."""


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
        return _softmax(log_scores(scores) * np.array(self.scale) + np.array(self.offset))[0]


@dataclass(frozen=True)
class Calibration:
    """The corrections of a classifier: of the average of its networks, and of those that never saw a fold.

    Args:
        method: how they were fitted; `temperature` has one scale for all classes and no offset.
        of_all: of the average of all networks.
        of_folds: by fold, of the average of the networks that never saw it; empty where there are no folds.
    """

    method: Method
    of_all: Scaling
    of_folds: Mapping[int, Scaling] = field(default_factory=dict)

    def of(self, fold: int | None) -> Scaling:
        """Give the correction of what scores the events of a fold."""
        return self.of_all if fold is None else self.of_folds.get(fold, self.of_all)


def log_scores(scores: NDArray[np.floating]) -> Float64:
    """Give the logarithms of scores in 64 bits; a score of zero has a finite one."""
    return np.log(np.maximum(scores.astype(np.float64), SMALLEST_SCORE))


def _softmax(logits: Float64) -> tuple[Float64, Float64]:
    """Give the softmax, [n_events, n_classes], and the logarithm of the sum of powers, [n_events]."""
    highest = logits.max(axis=1)
    powers = np.exp(logits - highest[:, None])
    sums = powers.sum(axis=1)
    powers /= sums[:, None]
    return powers, highest + np.log(sums)


def fit_scaling(
    method: Method, scores: NDArray[np.floating], class_index: NDArray[np.integer], weight: Float64
) -> Scaling:
    """Find the correction with the smallest loss.

    Source: C. Guo et al., "On calibration of modern neural networks", arXiv:1706.04599.

    Args:
        method: `temperature` has one factor for all logits, which keeps the ranking; `vector` a factor and an offset
            for the logit of each class.
        scores: probabilities of events that the network did not learn from, [n_events, n_classes].
        class_index: the true class, [n_events].
        weight: signed weight, of a positive sum, [n_events].
    """
    logits = log_scores(scores)
    return (_fit_temperature if method == "temperature" else _fit_vector)(logits, class_index, weight)


def _fit_temperature(logits: Float64, class_index: NDArray[np.integer], weight: Float64) -> Scaling:
    from scipy import optimize

    def loss(logarithm: float) -> float:
        return mean_loss(np.exp(logarithm) * logits, class_index, weight)

    found = optimize.minimize_scalar(loss, bounds=(-5.0, 5.0), method="bounded", options={"xatol": 1e-6})
    count = logits.shape[1]
    return Scaling((float(np.exp(found.x)),) * count, (0.0,) * count)


def _fit_vector(logits: Float64, class_index: NDArray[np.integer], weight: Float64) -> Scaling:
    from scipy import optimize

    count = logits.shape[1]
    rows = np.arange(len(logits))
    shares = weight / weight.sum()

    def loss(parameters: Float64) -> tuple[float, Float64]:
        scaled = logits * parameters[:count] + parameters[count:]
        error, logarithm = _softmax(scaled)
        value = float(shares @ (logarithm - scaled[rows, class_index]))
        error[rows, class_index] -= 1
        error *= shares[:, None]
        return value, np.concatenate([(error * logits).sum(axis=0), error.sum(axis=0)])

    start = np.concatenate([np.ones(count), np.zeros(count)])
    # a scale that is not positive would turn the ranking round
    bounds = [(1e-2, 1e2)] * count + [(-20.0, 20.0)] * count
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    scale, offset = found.x[:count], found.x[count:]
    return Scaling(tuple(scale.tolist()), tuple((offset - offset.mean()).tolist()))


def mean_loss(logits: Float64, class_index: NDArray[np.integer], weight: Float64) -> float:
    """Give the weighted mean of -log(score of the true class), of logits, [n_events, n_classes]."""
    return float(weight @ event_losses(logits, class_index)) / float(weight.sum())


def event_losses(logits: Float64, class_index: NDArray[np.integer]) -> Float64:
    """Give -log(score of the true class) of each event, of logits, [n_events, n_classes]."""
    found: Float64 = _softmax(logits)[1] - logits[np.arange(len(logits)), class_index]
    return found
