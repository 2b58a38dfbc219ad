"""The parameters of a network as one vector, because each array that a step carries along costs time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from tamis.network.layers import Buffer
from tamis.network.network import Network

Buffers = Any
"""The network with nothing in it but what its layers remember; it has no arrays for most networks."""
Path = tuple[Any, ...]
"""The way to an array in a network, as JAX gives it."""
Leaves = list[tuple[Path, jax.Array]]


@dataclass(frozen=True)
class Matrix:
    """Where the weights of a layer lie in the vector.

    Args:
        start: number of the first of them.
        shape: outputs and inputs of the layer.
    """

    start: int
    shape: tuple[int, int]

    @property
    def place(self) -> slice:
        """The part of the vector."""
        return slice(self.start, self.start + self.shape[0] * self.shape[1])


@dataclass(frozen=True)
class Layout:
    """How the parameters of a network lie in one vector.

    Args:
        join: makes a network of a vector and buffers.
        unravel: makes a network without buffers of a vector.
        weights: 1 where the parameter is a weight, 0 where it is a bias, [parameters].
        fan_in: number of inputs that a weight's node has, 1 for other parameters, [parameters].
        hidden: the matrices of the hidden layers.
    """

    join: Callable[[jax.Array, Buffers], Network]
    unravel: Callable[[jax.Array], Network]
    weights: NDArray[np.float32]
    fan_in: NDArray[np.float32]
    hidden: tuple[Matrix, ...]


def is_buffer(leaf: object) -> bool:
    """Tell whether a part of a network is not learned by gradients."""
    return isinstance(leaf, Buffer)


def flatten(network: Network) -> tuple[jax.Array, Buffers, Layout]:
    """Divide a network into the vector of its parameters and its buffers.

    Returns:
        The vector, the buffers, and how to put them together again.

    >>> from tamis.config import Dense
    >>> from tamis.network.network import build_network
    >>> vector, _, layout = flatten(build_network(3, 2, [Dense(nodes=4)], random=np.random.default_rng(0)))
    >>> vector.shape, int(layout.weights.sum()), layout.hidden
    ((26,), 20, (Matrix(start=0, shape=(4, 3)),))
    """
    learned = jax.tree.map(lambda leaf: not is_buffer(leaf), network, is_leaf=is_buffer)
    parameters, buffers = eqx.partition(network, learned, is_leaf=is_buffer)
    vector, unravel = ravel_pytree(parameters)

    def join(vector: jax.Array, buffers: Buffers) -> Network:
        joined: Network = eqx.combine(unravel(vector), buffers, is_leaf=is_buffer)
        return joined

    leaves = jax.tree_util.tree_leaves_with_path(parameters)
    layout = Layout(
        join=join,
        unravel=unravel,
        weights=_for_each(leaves, lambda path, _: _is_weight(path)),
        fan_in=_for_each(leaves, lambda path, leaf: leaf.shape[-1] if _is_weight(path) else 1),
        hidden=_hidden_matrices(leaves, len(network.layers) - 1),
    )
    return vector, buffers, layout


def _for_each(leaves: Leaves, number: Callable[[Path, jax.Array], float]) -> NDArray[np.float32]:
    """Give each parameter the number of its array."""
    return np.concatenate([np.full(leaf.size, number(path, leaf), np.float32) for path, leaf in leaves])


def _hidden_matrices(leaves: Leaves, output: int) -> tuple[Matrix, ...]:
    found, start = [], 0
    for path, leaf in leaves:
        in_layers = getattr(path[0], "name", "") == "layers"
        if in_layers and path[1].idx < output and _is_weight(path) and leaf.ndim == 2:
            found.append(Matrix(start, (leaf.shape[0], leaf.shape[1])))
        start += leaf.size
    return tuple(found)


def _is_weight(path: Path) -> bool:
    return getattr(path[-1], "name", "") == "weight"


def buffers_of(network: Network) -> Buffers:
    """Take out of a network what its layers remember."""
    return eqx.filter(network, jax.tree.map(is_buffer, network, is_leaf=is_buffer), is_leaf=is_buffer)
