"""The layers that a network is built of: each maps the numbers of one event."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from tamis.config import Dense as DenseSection
from tamis.errors import RequestError
from tamis.network.activations import ActivationName, activation, initial_weight


class Mode(NamedTuple):
    """What a layer knows of an event only while the network learns.

    Args:
        seed: a random number of this event in this step, uint32.
        present: 1, or 0 for an event that only fills up a batch.
        axes: names of the axes along which the events of a batch lie, for sums over the batch.
    """

    seed: jax.Array
    present: jax.Array
    axes: tuple[str, ...]


class Buffer(eqx.Module):
    """Numbers of a layer that are not learned by gradients: masks, running means, edges of bins.

    Args:
        value: the array.
    """

    value: jax.Array


class Layer(Protocol):
    """What the network needs of a layer; equinox modules are tuples of arrays to JAX."""

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        ...

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        ...

    def forward(self, x: jax.Array, mode: Mode | None) -> tuple[jax.Array, Any]:
        """Map the inputs of one event, [inputs], to [outputs]; also give the layer with its new buffers."""
        ...


class Dense(eqx.Module):
    """A fully connected layer: activation(normalise(weight @ x) + bias), with what else its section asks for.

    Args:
        weight: [outputs, inputs].
        bias: [outputs].
        activation: name of the activation.
        slope: of `leaky_relu`.
        dropout: fraction of the nodes that is left out while learning; the others count for more.
        normalisation: of the nodes, before the bias is added.
        residual: whether the input is added to the output.
    """

    weight: jax.Array
    bias: jax.Array
    normalisation: LayerNormalisation | BatchNormalisation | None
    activation: ActivationName = eqx.field(static=True)
    slope: float = eqx.field(static=True)
    dropout: float = eqx.field(static=True)
    residual: bool = eqx.field(static=True)

    @classmethod
    def create(cls, inputs: int, section: DenseSection, *, random: np.random.Generator) -> Dense:
        """Draw a layer's initial weights; the biases are zero."""
        return cls(
            weight=jnp.asarray(initial_weight(section.activation, section.nodes, inputs, random=random)),
            bias=jnp.asarray(np.zeros(section.nodes, np.float32)),
            normalisation=_normalisation(section),
            activation=section.activation,
            slope=section.slope,
            dropout=settled(section.dropout),
            residual=section.residual,
        )

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int(self.weight.shape[-1])

    @property
    def outputs(self) -> int:
        """Number of nodes."""
        return int(self.weight.shape[-2])

    @property
    def section(self) -> DenseSection:
        """The layer as the configuration writes it."""
        kind = self.normalisation
        return DenseSection(
            nodes=self.outputs,
            activation=self.activation,
            slope=self.slope,
            dropout=self.dropout,
            normalisation=None
            if kind is None
            else "batch"
            if isinstance(kind, BatchNormalisation)
            else "layer",
            residual=self.residual,
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to [outputs]."""
        return self.forward(x, None)[0]

    def forward(self, x: jax.Array, mode: Mode | None) -> tuple[jax.Array, Dense]:
        """Map the inputs of one event; also give the layer with its new running means."""
        layer = self
        if self.normalisation is None:
            nodes = affine(self.weight, self.bias, x)
        else:
            nodes, normalisation = self.normalisation.forward(self.weight @ x, mode)
            layer = eqx.tree_at(lambda each: each.normalisation, self, normalisation)
            nodes += self.bias[:, None] @ one(x)
        nodes = activation(self.activation, self.slope)(nodes)
        if self.dropout and mode is not None:
            nodes = drop_out(nodes, self.dropout, mode.seed)
        return (nodes + x if self.residual else nodes), layer


def settled(dropout: float | str) -> float:
    """Refuse a dropout that still has to be chosen.

    Raises:
        RequestError: it is `auto`, which the recipe puts a number in the place of.
    """
    if isinstance(dropout, str):
        raise RequestError("dropout is auto; tamis.training.recipe.settle_recipe chooses a number for it")
    return dropout


class LayerNormalisation(eqx.Module):
    """Bring the nodes of each event to mean 0 and deviation 1, then scale (arXiv:1607.06450).

    Args:
        scale: [nodes].
    """

    scale: jax.Array

    def forward(self, x: jax.Array, mode: Mode | None) -> tuple[jax.Array, LayerNormalisation]:
        """Normalise the nodes of one event."""
        del mode
        deviation = x - x.mean()
        return self.scale * deviation * jax.lax.rsqrt((deviation**2).mean() + 1e-5), self


class BatchNormalisation(eqx.Module):
    """Bring each node to mean 0 and deviation 1 over the events of a batch, then scale (arXiv:1502.03167).

    Events that only fill up a batch are left out; the weights of the events are not used.

    Args:
        scale: [nodes].
        mean: running mean, used in prediction, [nodes].
        variance: running variance, [nodes].
    """

    scale: jax.Array
    mean: Buffer
    variance: Buffer

    def forward(self, x: jax.Array, mode: Mode | None) -> tuple[jax.Array, BatchNormalisation]:
        """Normalise the nodes of one event."""
        if mode is None:
            return self._apply(x, self.mean.value, self.variance.value), self
        events = jnp.maximum(jax.lax.psum(mode.present, mode.axes), 1)
        mean = jax.lax.psum(x * mode.present, mode.axes) / events
        variance = jax.lax.psum((x - mean) ** 2 * mode.present, mode.axes) / events
        keep = 0.95
        running = BatchNormalisation(
            self.scale,
            Buffer(keep * self.mean.value + (1 - keep) * jax.lax.stop_gradient(mean)),
            Buffer(keep * self.variance.value + (1 - keep) * jax.lax.stop_gradient(variance)),
        )
        return self._apply(x, mean, variance), running

    def _apply(self, x: jax.Array, mean: jax.Array, variance: jax.Array) -> jax.Array:
        return self.scale * (x - mean) * jax.lax.rsqrt(variance + 1e-5)


def _normalisation(section: DenseSection) -> LayerNormalisation | BatchNormalisation | None:
    zeros, ones = (jnp.asarray(np.full(section.nodes, value, np.float32)) for value in (0, 1))
    match section.normalisation:
        case None:
            return None
        case "layer":
            return LayerNormalisation(ones)
        case "batch":
            return BatchNormalisation(ones, Buffer(zeros), Buffer(ones))


def drop_out(x: jax.Array, fraction: float, seed: jax.Array) -> jax.Array:
    """Leave out a fraction of the nodes of one event, and let the others count for more (JMLR 15, 1929).

    Args:
        x: [nodes].
        fraction: of the nodes that is left out.
        seed: a random number of the event, uint32.
    """
    numbers = scramble32(seed + jnp.arange(len(x), dtype=jnp.uint32) * jnp.uint32(0x9E3779B9))
    keep = numbers >= jnp.uint32(math.floor(fraction * 2**32))
    return jnp.where(keep, x / (1 - fraction), 0)


def scramble32(values: jax.Array) -> jax.Array:
    """Mix the bits of 32-bit numbers: a bijection, and far cheaper than a random key for each node.

    Source: C. Wellons, "Prospecting for hash functions", lowbias32.

    >>> int(scramble32(jnp.uint32(1)))
    1753845952
    """
    mixed: jax.Array = (values ^ (values >> 16)) * jnp.uint32(0x7FEB352D)
    mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(0x846CA68B)
    return mixed ^ (mixed >> 16)


def affine(weight: jax.Array, bias: jax.Array, x: jax.Array) -> jax.Array:
    """Give weight @ x + bias, [outputs], as one product of matrices.

    The bias is the weight of an input that is always one: it then costs no pass over the nodes, neither forwards
    nor for its gradient.

    >>> affine(jnp.array([[1.0, 2.0]]), jnp.array([3.0]), jnp.array([1.0, 1.0])).tolist()
    [6.0]
    """
    # padded and not concatenated, which would turn a batch of events round and back
    with_one = jax.lax.pad(x, jnp.ones((), x.dtype), [(0, 1, 0)])
    return jnp.concatenate([weight, bias[:, None]], axis=1) @ with_one


def one(x: jax.Array) -> jax.Array:
    """Give an input that is always one, of which a bias is the weight, [1].

    The gradient of a bias is then a product of matrices over the events of a batch. As a sum over them, which it
    would be otherwise, a compiler for CPUs adds one number after the other: 20% of a step for large batches. The
    one is made from the event, so that the compiler cannot see that it is constant and turn it back into a sum.

    >>> one(jnp.array([3.0, jnp.inf])).tolist()
    [1.0]
    """
    return 1 + jnp.clip(jax.lax.stop_gradient(x[:1]), 0, 0)
