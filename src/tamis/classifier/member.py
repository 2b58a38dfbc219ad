"""One network of a classifier."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.arrays import Features, Float32
from tamis.network.preprocessing import Preprocessing

if TYPE_CHECKING:
    from tamis.network.network import Network
    from tamis.network.sensitivity import Sensitivity


@dataclass(frozen=True)
class Member:
    """One trained network of a classifier, with the preprocessing of its inputs."""

    preprocessing: Preprocessing
    network: Network

    def scores(self, features: Features) -> Float32:
        """Compute scores, [n, n_classes], from features, [n, n_features], NaN if missing."""
        from tamis.network.prediction import predict_scores

        return predict_scores(self.network, self.preprocessing.apply(features, order="F"))

    def sensitivity(self, features: Features) -> Sensitivity:
        """Differentiate the scores by the features, [n, n_features], NaN if missing."""
        from tamis.network.sensitivity import compute_network_sensitivity

        return compute_network_sensitivity(self.network, self.preprocessing, features)

    def disturbed(self, seed: int) -> Member:
        """Return a copy with each weight moved up or down by about a float32 step, except weights in fixed point."""
        import jax

        from tamis.network.quantized import Quantized

        rng = np.random.default_rng(seed)

        def move(leaf: Any) -> Any:
            if isinstance(leaf, Quantized):
                return leaf
            steps = rng.choice(np.array([-1, 1], np.float32), leaf.shape) * np.finfo(np.float32).eps
            return leaf * (1 + steps)

        network = jax.tree.map(move, self.network, is_leaf=lambda leaf: isinstance(leaf, Quantized))
        return replace(self, network=network)
