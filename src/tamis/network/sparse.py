"""Sparse layers: dense layers of which only some weights are there."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tamis.config import Dense as DenseSection
from tamis.config import Sparse as SparseSection
from tamis.errors import RequestError
from tamis.network.layers import Buffer, Dense, Mode


class Sparse(eqx.Module):
    """A dense layer whose weights are multiplied by a mask of zeros and ones.

    A weight that is masked gets no gradient. Once a mask is zero, it stays zero.

    Args:
        dense: the layer without its mask; use `weight` and `bias` of this layer, not of that one.
        mask: 1 where a weight is there, 0 where not, [outputs, inputs].
        section: the layer as the configuration writes it.
    """

    dense: Dense
    mask: Buffer
    section: SparseSection = eqx.field(static=True)

    @classmethod
    def create(cls, inputs: int, section: SparseSection, *, random: np.random.Generator) -> Sparse:
        """Draw a layer's initial weights, and which of them are there; the biases are zero.

        Raises:
            RequestError: the density does not leave each node an input.

        >>> section = SparseSection(nodes=4, fan_in=2)
        >>> Sparse.create(10, section, random=np.random.default_rng(0)).multiplications
        8
        """
        if problem := section.find_contradiction(inputs):
            raise RequestError(f"a sparse layer with {section.nodes} nodes does not fit: {problem}")
        shared = section.model_dump(include=set(DenseSection.model_fields) - {"type"})
        dense = Dense.create(inputs, DenseSection(**shared), random=random)
        mask = np.ones((section.nodes, inputs), np.bool_)
        if section.mask == "random":
            rank = random.random(mask.shape)
            mask = _strongest(rank, _kept(section, inputs, 1.0), per_node=section.fan_in is not None)
            # a node with few inputs needs larger weights to pass on as much
            growth = np.sqrt(inputs / mask.sum(axis=1, keepdims=True)).astype(np.float32)
            weight = jnp.asarray(np.asarray(dense.weight) * mask * growth)
            dense = eqx.tree_at(lambda layer: layer.weight, dense, weight)
        return cls(dense, Buffer(jnp.asarray(mask.astype(np.float32))), section)

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.dense.inputs

    @property
    def outputs(self) -> int:
        """Number of nodes."""
        return self.dense.outputs

    @property
    def dropout(self) -> float:
        """Fraction of the nodes that is left out while the network learns."""
        return self.dense.dropout

    @property
    def weight(self) -> jax.Array:
        """The weights, exactly zero where they are masked, [outputs, inputs]."""
        # where and not a product: what is masked may be anything, and minus zero is not zero to every reader
        return jnp.where(self.mask.value > 0, self.dense.weight, 0)

    @property
    def bias(self) -> jax.Array:
        """The biases, [outputs]."""
        return self.dense.bias

    @property
    def effective(self) -> Dense:
        """A dense layer that computes the same."""
        effective: Dense = eqx.tree_at(lambda layer: layer.weight, self.dense, self.weight)
        return effective

    @property
    def parameters(self) -> int:
        """Number of learned numbers, masked weights included."""
        return self.inputs * self.outputs + self.outputs * (1 if self.dense.normalisation is None else 2)

    @property
    def non_zeros(self) -> int:
        """Number of weights that are not masked."""
        return int(np.asarray(self.mask.value).sum())

    @property
    def multiplications(self) -> int:
        """Number of multiplications of inputs by weights for one event."""
        return self.non_zeros

    @property
    def changing_until(self) -> float:
        """The fraction of the training after which the mask stays as it is."""
        return self.section.end if self.section.mask == "magnitude" else 0.0

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to [outputs]."""
        return self.forward(x, None)[0]

    def forward(self, x: jax.Array, mode: Mode | None) -> tuple[jax.Array, Sparse]:
        """Map the inputs of one event; also give the layer with its new running means."""
        nodes, dense = self.effective.forward(x, mode)
        own = eqx.tree_at(lambda layer: layer.weight, dense, self.dense.weight)
        return nodes, Sparse(own, self.mask, self.section)

    def between_epochs(self, done: float) -> Sparse:
        """Take the smallest weights away, as many as are due.

        Args:
            done: finished fraction of the training, 0 to 1.
        """
        if self.section.mask != "magnitude":
            return self
        before = np.asarray(self.mask.value) > 0
        # a weight that is gone ranks below every other one, so that it does not come back
        rank = np.where(before, np.abs(np.asarray(self.dense.weight)), -1)
        kept = _strongest(
            rank, _kept(self.section, self.inputs, done), per_node=self.section.fan_in is not None
        )
        mask = jax.device_put((kept & before).astype(np.float32), self.mask.value.sharding)
        return Sparse(self.dense, Buffer(mask), self.section)


def scheduled_density(section: SparseSection, inputs: int, done: float) -> float:
    """Give the density that is due: it falls fast at first, and slowly at the end.

    1 + (d - 1) (1 - (1 - t)^3), where t goes from 0 at `begin` to 1 at `end` (Zhu and Gupta, arXiv:1710.01878).

    Args:
        section: the layer.
        inputs: number of its inputs.
        done: finished fraction of the training.

    >>> section = SparseSection(nodes=1, density=0.2, mask="magnitude", begin=0.0, end=1.0)
    >>> [round(scheduled_density(section, 10, done), 3) for done in (0.0, 0.5, 1.0)]
    [1.0, 0.3, 0.2]
    """
    target = section.density if section.density is not None else (section.fan_in or inputs) / inputs
    t = min(max((done - section.begin) / (section.end - section.begin), 0.0), 1.0)
    return 1 + (target - 1) * (1 - (1 - t) ** 3)


def _kept(section: SparseSection, inputs: int, done: float) -> int:
    """Give the number of weights that are due, of each node where its inputs are counted, or else of the layer."""
    density = scheduled_density(section, inputs, done)
    if section.fan_in is not None:
        return max(round(density * inputs), section.fan_in)
    return max(round(density * inputs * section.nodes), section.nodes)


def _strongest(rank: NDArray[np.floating], count: int, *, per_node: bool) -> NDArray[np.bool_]:
    """Choose the highest of [nodes, inputs]: as many of each node, or of all with at least one of each node."""
    mask = np.zeros(rank.shape, np.bool_)
    if per_node:
        np.put_along_axis(mask, np.argsort(-rank, axis=1, kind="stable")[:, :count], values=True, axis=1)
        return mask
    first = rank.copy()
    np.put_along_axis(first, rank.argmax(axis=1)[:, None], np.inf, axis=1)
    mask.reshape(-1)[np.argsort(-first, axis=None, kind="stable")[:count]] = True
    return mask
