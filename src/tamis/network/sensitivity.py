"""Derivatives of the scores of a trained network by the features, through network and preprocessing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from tamis.arrays import Features, Float64
from tamis.network.preprocessing import Preprocessing

if TYPE_CHECKING:
    from tamis.network.network import Network
    from tamis.network.symmetries import Copy


_SMALLEST = float(np.finfo(np.float32).smallest_normal)


@dataclass(frozen=True)
class Sensitivity:
    """Derivatives of the logarithm of each score, event by event.

    Args:
        scores: the scores, [n, n_classes].
        values: d log(score) / d feature, in one over the unit of the feature; 0 if the value is missing,
            [n, n_classes, n_features].
        indicators: d log(score) / d indicator of a missing value; 0 for a feature without indicator,
            [n, n_classes, n_features].
    """

    scores: Float64
    values: Float64
    indicators: Float64

    def pull_back(self, copy: Copy, features: Features) -> Sensitivity:
        """Convert the sensitivity of a copy of events to that of the events, [n, n_features], NaN if missing."""
        values = copy.pull_back(self.values, features)
        return Sensitivity(self.scores, values, copy.pull_back(self.indicators, features, signed=False))

    def corrected(self, scale: Sequence[float], scores: Float64) -> Sensitivity:
        """Convert it to that of calibrated scores p' = softmax(scale * log(score) + offset), [n, n_classes].

        With a scale for each class, d log p' is scale d log p, minus the sum over all classes of p' scale d log p.
        """

        def of(changes: Float64) -> Float64:
            scaled = changes * np.array(scale)[None, :, None]
            return np.asarray(scaled - (scores[:, :, None] * scaled).sum(axis=1, keepdims=True))

        return Sensitivity(scores, of(self.values), of(self.indicators))


def compute_network_sensitivity(
    network: Network, preprocessing: Preprocessing, features: Features
) -> Sensitivity:
    """Differentiate the scores of one network by features, [n, n_features], NaN if missing.

    JAX differentiates the network, backwards from each class; the preprocessing, which acts on each feature separately,
    is differentiated analytically. At kinks (relu, the bins of an embedding) the result is a one-sided derivative; a
    quantized layer has the derivative of the straight-through estimator, as in training.
    """
    from tamis.network.prediction import predict_gradients

    log_scores, gradients = predict_gradients(network, preprocessing.apply(features))
    count = features.shape[1]
    indicators = np.zeros((*gradients.shape[:2], count))
    indicators[:, :, list(preprocessing.indicators)] = gradients[:, :, count:]
    values = gradients[:, :, :count] * preprocessing.slopes(features)[:, None, :]
    return Sensitivity(np.exp(log_scores), values, indicators)


def compute_mean_sensitivity(sensitivities: Iterable[Sensitivity]) -> Sensitivity:
    """Compute the sensitivity of the mean of the scores of several members (or copies), at least one.

    d log(mean of p) is sum p_m (d log p_m) / sum p_m.
    """
    remaining = iter(sensitivities)  # one after the other, because they are large
    first, second = next(remaining), next(remaining, None)
    if second is None:
        return first
    count, total, values, indicators = 0, np.zeros(()), np.zeros(()), np.zeros(())
    for sensitivity in chain((first, second), remaining):
        scores = np.maximum(sensitivity.scores, _SMALLEST)
        count += 1
        total = total + scores
        values = values + scores[:, :, None] * sensitivity.values
        indicators = indicators + scores[:, :, None] * sensitivity.indicators
    return Sensitivity(total / count, values / total[:, :, None], indicators / total[:, :, None])
