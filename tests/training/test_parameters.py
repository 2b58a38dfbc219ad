"""The vector of parameters: nothing is lost, and each number is known for what it is."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tamis.config import Dense, Periodic
from tamis.config import Network as NetworkSection
from tamis.network.network import Network, build_network
from tamis.training.parameters import flatten, select_buffers

HIDDEN = (Dense(nodes=5), Dense(nodes=4))
SECTIONS = {
    "plain": NetworkSection(layers=HIDDEN, gains=None),
    "logistic": NetworkSection(layers=(), gains=None),
    "batch": NetworkSection(
        gains=None, layers=(Dense(nodes=5, normalisation="batch"), Dense(nodes=4, normalisation="layer"))
    ),
    "members": NetworkSection(layers=HIDDEN, shared_members=3, gains=None),
    "embedded": NetworkSection(layers=HIDDEN, embedding=Periodic(frequencies=2, nodes=3)),
}
all_networks = pytest.mark.parametrize("name", SECTIONS)


@cache
def network_of(name: str) -> Network:
    return build_network(2, 3, SECTIONS[name], random=np.random.default_rng(0))


@all_networks
def test_a_network_survives_the_vector(name: str) -> None:
    network = network_of(name)
    vector, buffers, layout = flatten(network)
    again = layout.join(vector, buffers)
    assert jax.tree.structure(again) == jax.tree.structure(network)
    for first, second in zip(jax.tree.leaves(network), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(first, second)
    assert jax.tree.structure(select_buffers(network)) == jax.tree.structure(buffers)


@all_networks
def test_weights_are_known_from_biases_and_scales(name: str) -> None:
    network = network_of(name)
    vector, buffers, layout = flatten(network)
    assert vector.shape == layout.weights.shape == layout.fan_in.shape
    found = layout.join(jnp.asarray(layout.weights), buffers)
    fan_in = layout.join(jnp.asarray(layout.fan_in), buffers)
    for layer, own, inputs in zip(network.layers, found.layers, fan_in.layers, strict=True):
        assert (own.weight == 1).all()
        assert (own.bias == 0).all()
        assert (inputs.weight == layer.weight.shape[-1]).all()
        assert (inputs.bias == 1).all()
    if name == "batch":
        assert (found.layers[0].normalisation.scale == 0).all()
    if name == "members":
        assert (found.scales == 0).all()


@all_networks
def test_the_matrices_of_hidden_layers_are_found(name: str) -> None:
    network = network_of(name)
    vector, _, layout = flatten(network)
    expected = [layer.weight for layer in network.layers[:-1]]
    assert len(layout.hidden) == len(expected)
    for matrix, weight in zip(layout.hidden, expected, strict=True):
        np.testing.assert_array_equal(vector[matrix.entries].reshape(matrix.shape), weight)


def test_running_means_are_no_parameters() -> None:
    vector, buffers, layout = flatten(network_of("batch"))
    assert len(jax.tree.leaves(buffers)) == 2
    # two layers and the output; a scale for each normalised node
    assert len(vector) == (2 * 5 + 5) + (5 * 4 + 4) + (4 * 3 + 3) + 5 + 4
    assert layout.weights.sum() == 2 * 5 + 5 * 4 + 4 * 3
