"""Dead nodes are those that the network itself computes as zero for all events."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from tamis.config import Dense as DenseSection
from tamis.config import Sparse as SparseSection
from tamis.network.dead_nodes import _linear, count_dead_nodes
from tamis.network.network import Network, build_network


def with_bias(network: Network, layer: int, bias: np.ndarray[Any, Any]) -> Network:
    dense = network.layers[layer]
    where = (
        (lambda net: net.layers[layer].dense.bias)
        if hasattr(dense, "dense")
        else (lambda net: net.layers[layer].bias)
    )
    changed: Network = eqx.tree_at(where, network, jnp.asarray(bias.astype(np.float32)))
    return changed


@pytest.mark.parametrize(
    "section",
    [
        DenseSection(nodes=8, activation="relu"),
        DenseSection(nodes=8, activation="relu", normalisation="layer", residual=True),
        DenseSection(nodes=8, activation="relu", normalisation="batch"),
        SparseSection(nodes=8, activation="relu", density=0.5),
    ],
)
def test_the_nodes_are_those_of_the_network(section: Any) -> None:
    rng = np.random.default_rng(0)
    layers = [DenseSection(nodes=8, activation="relu"), section, DenseSection(nodes=8, activation="relu")]
    network = build_network(3, 2, layers, random=rng)
    inputs = rng.normal(size=(60, 3)).astype(np.float32)
    # rising biases: no event reaches the first nodes, all reach the last
    for layer in (0, 1, 2):
        network = with_bias(network, layer, np.linspace(-6, 3, 8))
    expected, values = [], jnp.asarray(inputs.T)
    for layer in network.layers[:-1]:
        after, _ = eqx.filter_vmap(
            lambda x, layer=layer: layer.forward(x, None), in_axes=1, out_axes=(1, None)
        )(values)
        nodes = after - values if getattr(layer, "residual", False) else after
        dense = getattr(layer, "effective", layer)
        found = np.maximum(_linear(dense, np.asarray(values.T, np.float64)), 0)
        np.testing.assert_allclose(found.T, nodes, atol=1e-4)
        expected.append(int((np.abs(np.asarray(nodes)) < 1e-6).all(axis=1).sum()))
        values = after
    assert count_dead_nodes(network, inputs) == expected
    assert 0 < sum(expected) < 24


def test_layers_that_cannot_die_are_not_counted() -> None:
    layers = [DenseSection(nodes=4, activation=name) for name in ("relu", "silu", "relu")]
    network = build_network(2, 2, layers, random=np.random.default_rng(0))
    assert count_dead_nodes(network, np.zeros((3, 2))) == [4, None, None]
