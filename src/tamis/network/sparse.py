"""Sparse layers: dense layers with a mask of their weights."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tamis import config
from tamis.arrays import Mask
from tamis.errors import RequestError
from tamis.network.layers import Buffer, Dense, DenseWrapper, Mode


class Sparse(DenseWrapper):
    """A dense layer whose weights are multiplied by a mask of zeros and ones.

    A masked weight gets no gradient. Once a mask is zero, it stays zero.

    Args:
        mask: 1 for weights in use, 0 for masked ones, [outputs, inputs].
        section: the section of the configuration.
    """

    mask: Buffer
    section: config.Sparse = eqx.field(static=True)

    @classmethod
    def create(cls, inputs: int, section: config.Sparse, *, random: np.random.Generator) -> Sparse:
        """Create a layer with random initial weights, a mask and zero biases.

        Raises:
            RequestError: the density does not leave each node an input.

        >>> section = config.Sparse(nodes=4, fan_in=2)
        >>> int(Sparse.create(10, section, random=np.random.default_rng(0)).mask.value.sum())
        8
        """
        if problem := section.find_inconsistency(inputs):
            raise RequestError(f"a sparse layer with {section.nodes} nodes does not fit: {problem}")
        shared = section.model_dump(include=set(config.Dense.model_fields) - {"type"})
        dense = Dense.create(inputs, config.Dense(**shared), random=random)
        mask = np.ones((section.nodes, inputs), np.bool_)
        if section.mask == "random":
            rank = random.random(mask.shape)
            mask = _strongest(
                rank, _scheduled_count(section, inputs, 1.0), per_node=section.fan_in is not None
            )
            # nodes with fewer inputs get larger weights, to preserve the variance
            growth = np.sqrt(inputs / mask.sum(axis=1, keepdims=True)).astype(np.float32)
            weight = jax.device_put(np.asarray(dense.weight) * mask * growth)
            dense = eqx.tree_at(lambda layer: layer.weight, dense, weight)
        return cls(dense, Buffer(jax.device_put(mask.astype(np.float32))), section)

    @property
    def dropout(self) -> float:
        """Fraction of the nodes that is dropped in training."""
        return self.dense.dropout

    @property
    def weight(self) -> jax.Array:
        """The weights, exactly zero where they are masked, [outputs, inputs]."""
        # `where` instead of a product: masked weights may be infinite, and -0.0 is not 0.0 in every format
        return jnp.where(self.mask.value > 0, self.dense.weight, 0)

    @property
    def bias(self) -> jax.Array:
        """The biases, [outputs]."""
        return self.dense.bias

    @property
    def effective(self) -> Dense:
        """An equivalent dense layer."""
        effective: Dense = eqx.tree_at(lambda layer: layer.weight, self.dense, self.weight)
        return effective

    @property
    def changing_until(self) -> float:
        """The fraction of the training after which the mask is constant."""
        return self.section.pruning_end if self.section.mask == "magnitude" else 0.0

    def forward(self, x: jax.Array, mode: Mode | None) -> tuple[jax.Array, Sparse]:
        """Map the inputs of one event; also return the layer with its new running means."""
        nodes, dense = self.effective.forward(x, mode)
        unmasked = eqx.tree_at(lambda layer: layer.weight, dense, self.dense.weight)
        return nodes, Sparse(unmasked, self.mask, self.section)

    def between_epochs(self, done: float) -> Sparse:
        """Mask the smallest weights, down to the scheduled density after a fraction of the training, 0 to 1."""
        if self.section.mask != "magnitude":
            return self
        previous = np.asarray(self.mask.value) > 0
        # masked weights rank below all others, so that they stay masked
        rank = np.where(previous, np.abs(np.asarray(self.dense.weight)), -1)
        strongest = _strongest(
            rank, _scheduled_count(self.section, self.inputs, done), per_node=self.section.fan_in is not None
        )
        mask = jax.device_put((strongest & previous).astype(np.float32), self.mask.value.sharding)
        return Sparse(self.dense, Buffer(mask), self.section)


def compute_scheduled_density(section: config.Sparse, inputs: int, done: float) -> float:
    """Compute the scheduled density, which falls fast at first, and slowly at the end.

    1 + (d - 1) (1 - (1 - t)^3), where t goes from 0 at `pruning_begin` to 1 at `pruning_end` (Zhu and Gupta,
    arXiv:1710.01878).

    >>> section = config.Sparse(nodes=1, density=0.2, mask="magnitude", pruning_begin=0.0, pruning_end=1.0)
    >>> [round(compute_scheduled_density(section, 10, done), 3) for done in (0.0, 0.5, 1.0)]
    [1.0, 0.3, 0.2]
    """
    target = section.density if section.density is not None else (section.fan_in or inputs) / inputs
    t = min(max((done - section.pruning_begin) / (section.pruning_end - section.pruning_begin), 0.0), 1.0)
    return 1 + (target - 1) * (1 - (1 - t) ** 3)


def _scheduled_count(section: config.Sparse, inputs: int, done: float) -> int:
    """Compute the scheduled number of weights, per node if the section has a `fan_in`, otherwise of the layer."""
    density = compute_scheduled_density(section, inputs, done)
    if section.fan_in is not None:
        return max(round(density * inputs), section.fan_in)
    return max(round(density * inputs * section.nodes), section.nodes)


def _strongest(rank: NDArray[np.floating], count: int, *, per_node: bool) -> Mask:
    """Return a mask of the highest ranks [nodes, inputs]: `count` per node, or in total with at least one per node."""
    mask = np.zeros(rank.shape, np.bool_)
    if per_node:
        np.put_along_axis(mask, np.argsort(-rank, axis=1, kind="stable")[:, :count], values=True, axis=1)
        return mask
    first = rank.copy()
    np.put_along_axis(first, rank.argmax(axis=1)[:, None], np.inf, axis=1)
    mask.reshape(-1)[np.argsort(-first, axis=None, kind="stable")[:count]] = True
    return mask
