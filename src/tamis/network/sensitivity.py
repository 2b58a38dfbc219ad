"""How the scores of a trained network react to the features: derivatives, through network and preprocessing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tamis.network.preprocessing import Preprocessing

if TYPE_CHECKING:
    from tamis.network.network import Network
    from tamis.network.symmetries import Copy

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_SMALLEST = float(np.finfo(np.float32).smallest_normal)


@dataclass(frozen=True)
class Sensitivity:
    """Derivatives of the logarithm of each score, event by event.

    Args:
        scores: the scores, [n, n_classes].
        values: d log(score) / d feature, in one over the feature's own unit; 0 where the value is missing,
            [n, n_classes, n_features].
        indicators: d log(score) / d indicator of a missing value; 0 for a feature that has none,
            [n, n_classes, n_features].
    """

    scores: Float64
    values: Float64
    indicators: Float64

    def pull_back(self, copy: Copy, features: Float32 | Float64) -> Sensitivity:
        """Turn the sensitivity of a copy of events into that of the events, [n, n_features], NaN where missing."""
        values = copy.pull_back(self.values, features)
        return Sensitivity(self.scores, values, copy.pull_back(self.indicators, features, signed=False))

    def corrected(self, scale: Sequence[float], scores: Float64) -> Sensitivity:
        """Turn it into that of corrected scores, softmax(scale * log(score) + offset).

        d log p' of a class is scale d log p, minus the sum over all classes of p' scale d log p.

        Args:
            scale: of each class, [n_classes].
            scores: after the correction, [n, n_classes].
        """

        def of(changes: Float64) -> Float64:
            scaled = changes * np.array(scale)[None, :, None]
            return np.asarray(scaled - (scores[:, :, None] * scaled).sum(axis=1, keepdims=True))

        return Sensitivity(scores, of(self.values), of(self.indicators))


def network_sensitivity(
    network: Network, preprocessing: Preprocessing, features: Float32 | Float64
) -> Sensitivity:
    """Differentiate the scores of one network.

    The network is differentiated by JAX, backwards from each class; the preprocessing acts on each feature alone and
    is differentiated by hand. Where a function has an edge (relu, the bins of an embedding) it is the derivative of
    one side; a quantized layer, which is a staircase, counts as the straight line that it was trained as.

    Args:
        network: the trained network.
        preprocessing: what happens to the features before it.
        features: [n, n_features], NaN where missing.
    """
    from tamis.network.prediction import predict_gradients

    log_scores, gradients = predict_gradients(network, preprocessing.apply(features))
    count = features.shape[1]
    indicators = np.zeros((*gradients.shape[:2], count))
    indicators[:, :, list(preprocessing.indicators)] = gradients[:, :, count:]
    values = gradients[:, :, :count] * preprocessing.slopes(features)[:, None, :]
    return Sensitivity(np.exp(log_scores), values, indicators)


def mean_sensitivity(parts: Iterable[Sensitivity]) -> Sensitivity:
    """Give the sensitivity of the mean of scores: log(mean of p) changes by sum p_m (d log p_m) / sum p_m.

    Args:
        parts: of the same events by several networks; at least one.
    """
    rest = iter(parts)
    first, second = next(rest), next(rest, None)
    if second is None:
        return first
    count, total, values, indicators = 0, np.zeros(()), np.zeros(()), np.zeros(())
    for part in chain((first, second), rest):
        scores = np.maximum(part.scores, _SMALLEST)
        count += 1
        total = total + scores
        values = values + scores[:, :, None] * part.values
        indicators = indicators + scores[:, :, None] * part.indicators
    return Sensitivity(total / count, values / total[:, :, None], indicators / total[:, :, None])
