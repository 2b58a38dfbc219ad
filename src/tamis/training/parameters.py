"""The parameters of a network as one vector, because each array that is carried through a step costs time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tamis.network.layers import Buffer
from tamis.network.network import Network

Buffers = Any
"""A network with only the buffers of its layers; most networks have none."""


Vector = jax.Array | NDArray[np.float32]


@dataclass(frozen=True)
class Matrix:
    """Position of the weights of a layer in the vector.

    Args:
        start: index of the first weight.
        shape: number of outputs and of inputs of the layer.
    """

    start: int
    shape: tuple[int, int]

    @property
    def entries(self) -> slice:
        """Slice of the vector."""
        return slice(self.start, self.start + self.shape[0] * self.shape[1])


@dataclass(frozen=True)
class Layout:
    """The layout of the parameters of a network in one vector.

    Args:
        join: builds a network from a vector and buffers; its leaves are of the vector's type, without a copy in NumPy.
        weights: 1 for weights, 0 for other parameters, [parameters].
        fan_in: number of inputs of a weight's node, 1 for other parameters, [parameters].
        hidden: the matrices of the hidden layers.
    """

    join: Callable[[Vector, Buffers], Network]
    weights: NDArray[np.float32]
    fan_in: NDArray[np.float32]
    hidden: tuple[Matrix, ...]


def flatten(network: Network) -> tuple[jax.Array, Buffers, Layout]:
    """Split a network into the vector of its parameters and its buffers; the layout joins them again.

    >>> from tamis.config import Dense
    >>> from tamis.network.network import build_network
    >>> vector, _, layout = flatten(build_network(3, 2, [Dense(nodes=4)], random=np.random.default_rng(0)))
    >>> vector.shape, int(layout.weights.sum()), layout.hidden
    ((26,), 20, (Matrix(start=0, shape=(4, 3)),))
    """
    learned = jax.tree.map(lambda leaf: not _is_buffer(leaf), network, is_leaf=_is_buffer)
    parameters, buffers = eqx.partition(network, learned, is_leaf=_is_buffer)
    leaves, structure = jax.tree.flatten(parameters)
    shapes, ends = [leaf.shape for leaf in leaves], np.cumsum([leaf.size for leaf in leaves])
    # with NumPy, because JAX would compile a program for each of these shapes
    vector = jax.device_put(np.concatenate([np.asarray(leaf).ravel() for leaf in leaves]))

    def join(vector: Vector, buffers: Buffers) -> Network:
        split = np.split if isinstance(vector, np.ndarray) else jnp.split
        separated: Sequence[Any] = split(vector, ends[:-1])
        parts = [part.reshape(shape) for part, shape in zip(separated, shapes, strict=True)]
        tree = jax.tree.unflatten(structure, parts)
        joined: Network = eqx.combine(tree, buffers, is_leaf=_is_buffer)
        return joined

    weights, fan_in, hidden, start = [], [], [], 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(parameters):
        is_weight = getattr(path[-1], "name", "") == "weight"
        weights.append(np.full(leaf.size, is_weight, np.float32))
        fan_in.append(np.full(leaf.size, leaf.shape[-1] if is_weight else 1, np.float32))
        in_hidden_layer = getattr(path[0], "name", "") == "layers" and path[1].idx < len(network.layers) - 1
        if is_weight and in_hidden_layer and leaf.ndim == 2:
            hidden.append(Matrix(start, (leaf.shape[0], leaf.shape[1])))
        start += leaf.size
    return vector, buffers, Layout(join, np.concatenate(weights), np.concatenate(fan_in), tuple(hidden))


def select_buffers(network: Network) -> Buffers:
    """Return the buffers of a network, which are not trained by gradients."""
    return eqx.filter(network, jax.tree.map(_is_buffer, network, is_leaf=_is_buffer), is_leaf=_is_buffer)


def _is_buffer(leaf: object) -> bool:
    return isinstance(leaf, Buffer)
