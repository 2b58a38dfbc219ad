"""Embeddings of the inputs before the first layer (Gorishniy et al., arXiv:2203.05556)."""

from __future__ import annotations

from abc import abstractmethod
from typing import assert_never

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from tamis import config
from tamis.arrays import Float32
from tamis.network.layers import Buffer

_FASTEST_GAIN = 30
_QUANTILE_EVENTS = 100_000
"""Number of events that suffice to determine the edges of bins."""


# least-squares fits on a quarter turn to either side, in odd and even powers; errors below 1e-8
_SINE = (6.28318516, -41.34165493, 81.60099808, -76.54965403, 39.53579141)
_COSINE = (1.0, -19.73920855, 64.93934655, -85.45356812, 60.14395069, -24.9818244)


@jax.custom_jvp
def sine_and_cosine(turns: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Compute sin(2 pi x) and cos(2 pi x) by polynomials, with an error of about 2e-7.

    XLA computes the sine of each number by itself on CPUs; this takes a third of the time of an embedding's step.

    >>> [round(float(value), 5) for value in sine_and_cosine(jnp.float32(-2.125))]
    [-0.70711, 0.70711]
    """
    half_turns = jnp.round(2 * turns)
    remainder = turns - 0.5 * half_turns
    sign = 1 - 2 * jnp.abs(half_turns - 2 * jnp.round(0.5 * half_turns))
    square = remainder * remainder
    sine, cosine = (_evaluate_polynomial(coefficients, square) for coefficients in (_SINE, _COSINE))
    return sign * sine * remainder, sign * cosine


def _evaluate_polynomial(coefficients: tuple[float, ...], x: jax.Array) -> jax.Array:
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


@sine_and_cosine.defjvp
def _differentiate(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    sine, cosine = sine_and_cosine(*primals)
    angle = 2 * jnp.pi * tangents[0]
    return (sine, cosine), (cosine * angle, -sine * angle)


class Gains(eqx.Module):
    """Each input times a trained number, initially one (Holzmueller et al., arXiv:2407.04491).

    Args:
        gain: difference of the numbers from one, divided by the speed, [inputs].
        speed: factor by which the steps of gains are larger than those of weights.
    """

    gain: jax.Array
    speed: float = eqx.field(static=True)

    @property
    def section(self) -> config.Gains:
        """The section of the configuration."""
        return config.Gains(learning_rate_factor=self.speed)

    @property
    def factors(self) -> Float32:
        """The factors of the inputs, [inputs]."""
        return np.float32(1) + np.float32(self.speed) * np.asarray(self.gain)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to [inputs]."""
        return x * (1 + self.speed * self.gain)


class _Embedding(eqx.Module):
    @property
    def inputs(self) -> int:
        """Number of inputs, which is the length of the first axis of every array."""
        return int(jax.tree.leaves(self)[0].shape[0])

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return int(jax.eval_shape(self, jax.ShapeDtypeStruct((self.inputs,), jnp.float32)).shape[0])

    @abstractmethod
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to [outputs]."""


class Periodic(_Embedding):
    """Each input, and some nodes that are functions of its sines and cosines.

    The nodes are relu(weight @ [sin(2 pi frequency x), cos(2 pi frequency x)] + bias).

    Args:
        frequency: trained frequencies, [inputs, frequencies].
        weight: [inputs, nodes, 2 frequencies].
        bias: [inputs, nodes].
    """

    frequency: jax.Array
    weight: jax.Array
    bias: jax.Array

    @classmethod
    def create(cls, inputs: int, section: config.Periodic, *, random: np.random.Generator) -> Periodic:
        """Draw frequencies and weights."""
        shape = (inputs, section.nodes, 2 * section.frequencies)
        frequency = section.sigma * random.standard_normal((inputs, section.frequencies))
        weight = random.standard_normal(shape) * shape[2] ** -0.5
        numbers = (frequency, weight, np.zeros(shape[:2]))
        return cls(*(jax.device_put(values.astype(np.float32)) for values in numbers))

    @property
    def section(self) -> config.Periodic:
        """The section of the configuration."""
        return config.Periodic(frequencies=int(self.frequency.shape[1]), nodes=int(self.bias.shape[1]))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to [outputs]."""
        waves = jnp.concatenate(sine_and_cosine(self.frequency * x[:, None]), axis=1)
        nodes = jax.nn.relu(jnp.einsum("iof,if->io", self.weight, waves) + self.bias)
        return jnp.concatenate([x, nodes.ravel()])


class PiecewiseLinear(_Embedding):
    """The position of each input in each bin: 0 below it, 1 above it, rising linearly in between.

    The first and the last bin are bounded as well, so that outliers have no large effect.

    Args:
        edges: [inputs, bins + 1], ascending; equal neighbours make a step.
    """

    edges: Buffer

    @property
    def section(self) -> config.PiecewiseLinear:
        """The section of the configuration."""
        return config.PiecewiseLinear(bins=int(self.edges.value.shape[1]) - 1)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to [outputs]."""
        low, high = self.edges.value[:, :-1], self.edges.value[:, 1:]
        width = jnp.maximum(high - low, 1e-6)
        return jnp.clip((x[:, None] - low) / width, 0, 1).ravel()


Embedding = Periodic | PiecewiseLinear


def build_embedding(
    section: config.Embedding,
    inputs: int,
    training_inputs: Float32 | None,
    *,
    random: np.random.Generator,
) -> Embedding:
    """Build an embedding.

    The edges of bins are quantiles of the preprocessed training inputs, [n, inputs]; without these, the bins divide the
    range from -3 to 3 evenly.
    """
    match section:
        case config.Periodic():
            return Periodic.create(inputs, section, random=random)
        case config.PiecewiseLinear():
            return PiecewiseLinear(Buffer(jax.device_put(_edges(inputs, section.bins, training_inputs))))
        case _:
            assert_never(section)


def build_gains(section: config.Gains, inputs: int, embedding: Embedding | None) -> Gains:
    """Build the gains of a number of inputs and of the nodes of their embedding.

    Those of periodic nodes start at zero: the network begins as if it had only the inputs, and useless nodes stay so.
    """
    speed = section.learning_rate_factor
    if speed == "auto":
        speed = float(min(inputs, _FASTEST_GAIN))
    factors = np.ones(inputs if embedding is None else embedding.outputs)
    if isinstance(embedding, Periodic):
        factors[inputs:] = 0
    return Gains(jax.device_put(((factors - 1) / speed).astype(np.float32)), speed)


def _edges(inputs: int, bins: int, training_inputs: Float32 | None) -> Float32:
    share = np.linspace(0, 1, bins + 1)
    if training_inputs is None or not len(training_inputs):
        return np.tile(np.float32(6) * share.astype(np.float32) - np.float32(3), (inputs, 1))
    subset = training_inputs[:: -(-len(training_inputs) // _QUANTILE_EVENTS)]
    return np.quantile(subset, share, axis=0).T.astype(np.float32)
