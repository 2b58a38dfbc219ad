"""The layers of a network; each maps the numbers of one event."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from tamis.config import Dense as DenseSection
from tamis.config.layers import Activation
from tamis.errors import RequestError
from tamis.network.activations import activation, draw_initial_weight

VARIANCE_EPSILON = 1e-5
"""Added to variances in normalisations."""


class Mode(NamedTuple):
    """Information on an event that a layer has only in training.

    Args:
        seed: a random number for this event in this step, uint32.
        present: 1, or 0 for padding of a batch.
        axes: names of the axes of the events of a batch, for sums over the batch.
    """

    seed: jax.Array
    present: jax.Array
    axes: tuple[str, ...]


class Buffer(eqx.Module):
    """Numbers of a layer that are not trained by gradients: masks, running means, edges of bins.

    Args:
        value: the array.
    """

    value: jax.Array


def count_parameters(module: eqx.Module) -> int:
    """Count the trainable parameters of a layer or a network."""
    leaves = jax.tree.leaves(module, is_leaf=lambda leaf: isinstance(leaf, Buffer))
    return sum(int(np.prod(leaf.shape)) for leaf in leaves if not isinstance(leaf, Buffer))


class Dense(eqx.Module):
    """A fully connected layer: activation(normalise(weight @ x) + bias), with dropout and a residual connection.

    Args:
        weight: [outputs, inputs].
        bias: [outputs].
        activation: name of the activation.
        slope: slope of `leaky_relu` below zero.
        dropout: fraction of the nodes that is dropped in training; the others are scaled up.
        normalisation: normalisation of the nodes, before the bias is added.
        residual: whether the input is added to the output.
    """

    weight: jax.Array
    bias: jax.Array
    normalisation: LayerNormalisation | BatchNormalisation | None
    activation: Activation = eqx.field(static=True)
    slope: float = eqx.field(static=True)
    dropout: float = eqx.field(static=True)
    residual: bool = eqx.field(static=True)

    @classmethod
    def create(cls, inputs: int, section: DenseSection, *, random: np.random.Generator) -> Dense:
        """Create a layer with random initial weights and zero biases."""
        if isinstance(section.dropout, str):
            raise RequestError(
                "dropout is auto; use tamis.training.recipe.resolve_network to choose a number"
            )
        return cls(
            # not jnp.asarray, for which JAX would compile a program for each shape
            weight=jax.device_put(
                draw_initial_weight(section.activation, section.nodes, inputs, random=random)
            ),
            bias=jax.device_put(np.zeros(section.nodes, np.float32)),
            normalisation=_normalisation(section),
            activation=section.activation,
            slope=section.slope,
            dropout=section.dropout,
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
        """The section of the configuration."""
        kinds: dict[type, Literal["layer", "batch"]] = {
            LayerNormalisation: "layer",
            BatchNormalisation: "batch",
        }
        return DenseSection(
            nodes=self.outputs,
            activation=self.activation,
            slope=self.slope,
            dropout=self.dropout,
            normalisation=kinds.get(type(self.normalisation)),
            residual=self.residual,
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to [outputs]."""
        return self.forward(x, None)[0]

    def forward(self, x: jax.Array, mode: Mode | None) -> tuple[jax.Array, Dense]:
        """Map the inputs of one event; also return the layer with its new running means."""
        layer = self
        if self.normalisation is None:
            nodes = affine(self.weight, self.bias, x)
        else:
            nodes, normalisation = self.normalisation.forward(self.weight @ x, mode)
            layer = eqx.tree_at(lambda dense: dense.normalisation, self, normalisation)
            nodes += self.bias[:, None] @ build_constant_input(x)
        nodes = activation(self.activation, self.slope)(nodes)
        if self.dropout and mode is not None:
            nodes = drop_out(nodes, self.dropout, mode.seed)
        return (nodes + x if self.residual else nodes), layer


class DenseWrapper(eqx.Module):
    """A layer that computes with changed weights of a dense layer.

    Args:
        dense: the trained weights and biases; use `weight` and `bias` of this layer, which are changed.
    """

    dense: Dense

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.dense.inputs

    @property
    def outputs(self) -> int:
        """Number of nodes."""
        return self.dense.outputs

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to [outputs]."""
        return self.forward(x, None)[0]

    @abstractmethod
    def forward(self, x: jax.Array, mode: Mode | None) -> tuple[jax.Array, DenseWrapper]:
        """Map the inputs of one event; also return the layer with its new buffers."""


class LayerNormalisation(eqx.Module):
    """Normalise the nodes of each event to mean 0 and standard deviation 1, then scale (arXiv:1607.06450).

    Args:
        scale: [nodes].
    """

    scale: jax.Array

    def forward(self, x: jax.Array, mode: Mode | None) -> tuple[jax.Array, LayerNormalisation]:
        """Normalise the nodes of one event."""
        del mode
        deviation = x - x.mean()
        return self.scale * deviation * jax.lax.rsqrt((deviation**2).mean() + VARIANCE_EPSILON), self


class BatchNormalisation(eqx.Module):
    """Normalise each node to mean 0 and standard deviation 1 over a batch, then scale (arXiv:1502.03167).

    Padding of a batch is excluded; the weights of events are not used.

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
        # sums over all devices, so that the result does not depend on how many share a batch
        events = jnp.maximum(jax.lax.psum(mode.present, mode.axes), 1)
        mean = jax.lax.psum(x * mode.present, mode.axes) / events
        variance = jax.lax.psum((x - mean) ** 2 * mode.present, mode.axes) / events
        decay = 0.95
        running = BatchNormalisation(
            self.scale,
            Buffer(decay * self.mean.value + (1 - decay) * jax.lax.stop_gradient(mean)),
            Buffer(decay * self.variance.value + (1 - decay) * jax.lax.stop_gradient(variance)),
        )
        return self._apply(x, mean, variance), running

    def _apply(self, x: jax.Array, mean: jax.Array, variance: jax.Array) -> jax.Array:
        return self.scale * (x - mean) * jax.lax.rsqrt(variance + VARIANCE_EPSILON)


def _normalisation(section: DenseSection) -> LayerNormalisation | BatchNormalisation | None:
    zeros, ones = (jax.device_put(np.full(section.nodes, value, np.float32)) for value in (0, 1))
    match section.normalisation:
        case None:
            return None
        case "layer":
            return LayerNormalisation(ones)
        case "batch":
            return BatchNormalisation(ones, Buffer(zeros), Buffer(ones))


def drop_out(x: jax.Array, fraction: float, seed: jax.Array) -> jax.Array:
    """Drop a random fraction of the nodes of one event, [nodes], and scale up the others (JMLR 15, 1929)."""
    numbers = scramble32(seed + jnp.arange(len(x), dtype=jnp.uint32) * jnp.uint32(0x9E3779B9))
    keep = numbers >= jnp.uint32(math.floor(fraction * 2**32))
    return jnp.where(keep, x / (1 - fraction), 0)


def scramble32(values: jax.Array) -> jax.Array:
    """Mix the bits of 32-bit numbers by a bijection, which is far cheaper than a random key for each node.

    Source: C. Wellons, "Prospecting for hash functions", lowbias32.

    >>> int(scramble32(jnp.uint32(1)))
    1753845952
    """
    mixed: jax.Array = (values ^ (values >> 16)) * jnp.uint32(0x7FEB352D)
    mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(0x846CA68B)
    return mixed ^ (mixed >> 16)


def affine(weight: jax.Array, bias: jax.Array, x: jax.Array) -> jax.Array:
    """Compute weight @ x + bias, [outputs], as one product of matrices.

    The bias becomes the weight of an input that is always one, which saves a pass over the nodes both forwards and for
    its gradient.

    >>> affine(jnp.array([[1.0, 2.0]]), jnp.array([3.0]), jnp.array([1.0, 1.0])).tolist()
    [6.0]
    """
    # padding, unlike concatenation, does not transpose a batch of events
    with_one = jax.lax.pad(x, jnp.ones((), x.dtype), [(0, 1, 0)])
    return jnp.concatenate([weight, bias[:, None]], axis=1) @ with_one


def build_constant_input(x: jax.Array) -> jax.Array:
    """Return an input that is always one, whose weight is a bias, [1].

    The gradient of the bias is then a product of matrices over the events of a batch. Otherwise it would be a sum,
    which the compiler for CPUs does not vectorise: 20% of a step for large batches. The one is computed from the event,
    so that the compiler does not recognise a constant and turn the product back into a sum.

    >>> build_constant_input(jnp.array([3.0, jnp.inf])).tolist()
    [1.0]
    """
    return 1 + jnp.clip(jax.lax.stop_gradient(x[:1]), 0, 0)
