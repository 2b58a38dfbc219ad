"""Dead nodes: rectifiers whose output is zero for all events, so that they get no gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float64
from tamis.network.layers import VARIANCE_EPSILON, BatchNormalisation, Dense
from tamis.network.network import Network
from tamis.network.sparse import Sparse


def count_dead_nodes(network: Network, inputs: NDArray[np.floating[Any]]) -> list[int | None]:
    """Count the nodes of each hidden layer that are zero for all events, whose inputs are preprocessed, [n, inputs].

    The number is None from the first layer that is not a dense or sparse layer with `relu`, and for all layers of
    networks with an embedding or with shared members. NumPy computes the layers in 64 bits, without compilation.

    >>> layer = Dense(np.array([[1.0], [-1.0]]), np.array([0.0, -3.0]), None, "relu", 0.01, 0.0, False)
    >>> count_dead_nodes(Network((layer, layer)), np.array([[-2.0], [1.0]]))
    [1]
    """
    hidden: Sequence[Any] = network.layers[:-1]
    counts: list[int | None] = []
    values = np.asarray(inputs, np.float64)
    if network.embedding is None and network.scales is None:
        for layer in hidden:
            dense = layer.effective if isinstance(layer, Sparse) else layer
            if not isinstance(dense, Dense) or dense.activation != "relu":
                break
            nodes = np.maximum(_linear(dense, values), 0)
            counts.append(int((nodes == 0).all(axis=0).sum()))
            values = nodes + values if dense.residual else nodes
    return [*counts, *[None] * (len(hidden) - len(counts))]


def _linear(layer: Dense, values: Float64) -> Float64:
    """Compute the input of the activation of a layer, [n, outputs]."""
    weight, bias = (np.asarray(parameters, np.float64) for parameters in (layer.weight, layer.bias))
    nodes: Float64 = values @ weight.T
    normalisation = layer.normalisation
    if normalisation is None:
        return nodes + bias
    if isinstance(normalisation, BatchNormalisation):
        mean, variance = (
            np.asarray(statistic.value, np.float64)
            for statistic in (normalisation.mean, normalisation.variance)
        )
    else:
        mean, variance = nodes.mean(axis=1, keepdims=True), nodes.var(axis=1, keepdims=True)
    scale = np.asarray(normalisation.scale, np.float64)
    return np.asarray(scale * (nodes - mean) / np.sqrt(variance + VARIANCE_EPSILON) + bias)
