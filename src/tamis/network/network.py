"""The network: layers in a row, from the inputs of one event to one number per class."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tamis.config import Dense as DenseSection
from tamis.network.layers import Dense

_BLOCK = 8192


class Network(eqx.Module):
    """Layers in a row; the last one gives the logits, whose softmax are the scores.

    Args:
        layers: hidden layers and the output layer.
    """

    layers: tuple[Dense, ...]

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to its logits, [classes]."""
        for layer in self.layers:
            x = layer(x)
        return x

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int(self.layers[0].weight.shape[1])

    @property
    def outputs(self) -> int:
        """Number of outputs, one per class."""
        return int(self.layers[-1].weight.shape[0])

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of inputs, of nodes in each layer, and of outputs."""
        return (self.inputs, *(int(layer.weight.shape[0]) for layer in self.layers))

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(self))


def build_network(inputs: int, classes: int, layers: Sequence[DenseSection], *, key: jax.Array) -> Network:
    """Build a network with initial weights.

    Args:
        inputs: number of inputs, indicators included.
        classes: number of outputs.
        layers: the hidden layers, as configured.
        key: where the random numbers come from.

    >>> network = build_network(3, 2, [DenseSection(nodes=6)], key=jax.random.key(0))
    >>> network.parameters
    38
    """
    widths = [inputs, *(layer.nodes for layer in layers), classes]
    names = [*(layer.activation for layer in layers), "linear"]
    keys = jax.random.split(key, len(names))
    return Network(
        tuple(
            Dense.create(before, after, name, key=each)
            for before, after, name, each in zip(widths, widths[1:], names, keys, strict=False)
        )
    )


def map_events(network: Network, inputs: jax.Array) -> jax.Array:
    """Apply the network to many events that lie along the last axis, [inputs, n] to [classes, n].

    With the events last, a layer is one product of matrices without a transposition, which is what makes small
    networks fast on a CPU.
    """
    return jax.vmap(network, in_axes=1, out_axes=1)(inputs)


@eqx.filter_jit
def _scores(network: Network, inputs: jax.Array) -> jax.Array:
    # some GPUs would round to fewer bits: the scores are to be the same on every machine
    with jax.default_matmul_precision("float32"):
        return jax.nn.softmax(map_events(network, inputs), axis=0)


def predict_scores(network: Network, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the scores of many events.

    Args:
        network: the trained network.
        inputs: preprocessed inputs, [n, inputs].

    Returns:
        Scores, [n, classes]; each row sums to one.
    """
    scores = np.empty((len(inputs), network.outputs), np.float32)
    # always the same shape: one compilation, and an event's scores do not depend on how many come with it
    block = np.zeros((network.inputs, _BLOCK), np.float32)
    for start in range(0, len(inputs), _BLOCK):
        rows = inputs[start : start + _BLOCK]
        block[:, : len(rows)] = rows.T
        scores[start : start + _BLOCK] = np.asarray(_scores(network, jnp.asarray(block))).T[: len(rows)]
    return scores
