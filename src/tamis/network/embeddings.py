"""Embeddings: what one input becomes before the first layer (Gorishniy et al., arXiv:2203.05556)."""

from __future__ import annotations

from typing import assert_never

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tamis.config import Embedding as EmbeddingSection
from tamis.config import Gains as GainsSection
from tamis.config import Periodic as PeriodicSection
from tamis.config import PiecewiseLinear as PiecewiseLinearSection
from tamis.network.layers import Buffer

_FASTEST_GAIN = 30
_QUANTILE_EVENTS = 100_000
"""Events that are enough to place the edges of bins."""


class Periodic(eqx.Module):
    """Each input itself, and some nodes that see its sines and cosines.

    The nodes are relu(weight @ [sin(2 pi frequency x), cos(2 pi frequency x)] + bias).

    Args:
        frequency: learned, [inputs, frequencies].
        weight: [inputs, nodes, 2 frequencies].
        bias: [inputs, nodes].
    """

    frequency: jax.Array
    weight: jax.Array
    bias: jax.Array

    @classmethod
    def create(cls, inputs: int, section: PeriodicSection, *, random: np.random.Generator) -> Periodic:
        """Draw frequencies and weights."""
        shape = (inputs, section.nodes, 2 * section.frequencies)
        frequency = section.sigma * random.standard_normal((inputs, section.frequencies))
        weight = random.standard_normal(shape) * shape[2] ** -0.5
        numbers = (frequency, weight, np.zeros(shape[:2]))
        return cls(*(jnp.asarray(each.astype(np.float32)) for each in numbers))

    @property
    def section(self) -> PeriodicSection:
        """The embedding as the configuration writes it."""
        return PeriodicSection(frequencies=int(self.frequency.shape[1]), nodes=int(self.bias.shape[1]))

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int(self.frequency.shape[0])

    @property
    def outputs(self) -> int:
        """Number of numbers that the inputs become."""
        return self.inputs * (1 + int(self.weight.shape[1]))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to [outputs]."""
        angle = 2 * jnp.pi * self.frequency * x[:, None]
        waves = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=1)
        nodes = jax.nn.relu(jnp.einsum("iof,if->io", self.weight, waves) + self.bias)
        return jnp.concatenate([x, nodes.ravel()])


class Gains(eqx.Module):
    """Each input times a learned number that begins at one (Holzmueller et al., arXiv:2407.04491).

    Args:
        gain: by how much the numbers differ from one, divided by the speed, [inputs].
        speed: how many times as fast as a weight a gain learns.
    """

    gain: jax.Array
    speed: float = eqx.field(static=True)

    @property
    def section(self) -> GainsSection:
        """The embedding as the configuration writes it."""
        return GainsSection(speed=self.speed)

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int(self.gain.shape[0])

    @property
    def outputs(self) -> int:
        """Number of numbers that the inputs become."""
        return self.inputs

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to [inputs]."""
        return x * (1 + self.speed * self.gain)


class PiecewiseLinear(eqx.Module):
    """The position of each input in each bin: 0 below it, 1 above it, rising linearly in between.

    The first and the last bin are bounded like the others, so that no input leads far out.

    Args:
        edges: [inputs, bins + 1], rising; equal neighbours make a step.
    """

    edges: Buffer

    @property
    def section(self) -> PiecewiseLinearSection:
        """The embedding as the configuration writes it."""
        return PiecewiseLinearSection(bins=int(self.edges.value.shape[1]) - 1)

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int(self.edges.value.shape[0])

    @property
    def outputs(self) -> int:
        """Number of numbers that the inputs become."""
        return self.inputs * (int(self.edges.value.shape[1]) - 1)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to [outputs]."""
        low, high = self.edges.value[:, :-1], self.edges.value[:, 1:]
        width = jnp.maximum(high - low, 1e-6)
        return jnp.clip((x[:, None] - low) / width, 0, 1).ravel()


Embedding = Periodic | PiecewiseLinear | Gains


def build_embedding(
    section: EmbeddingSection, inputs: int, sample: NDArray[np.float32] | None, *, random: np.random.Generator
) -> Embedding:
    """Build an embedding.

    Args:
        section: as configured.
        inputs: number of inputs.
        sample: preprocessed training inputs, [n, inputs], whose quantiles the bins follow; without it the bins
            divide the range from -3 to 3 evenly.
        random: generator of the initial values.
    """
    match section:
        case PeriodicSection():
            return Periodic.create(inputs, section, random=random)
        case PiecewiseLinearSection():
            return PiecewiseLinear(Buffer(jnp.asarray(_edges(inputs, section.bins, sample))))
        case GainsSection():
            speed = section.speed if section.speed != "auto" else float(min(inputs, _FASTEST_GAIN))
            return Gains(jnp.asarray(np.zeros(inputs, np.float32)), speed)
        case _:
            assert_never(section)


def _edges(inputs: int, bins: int, sample: NDArray[np.float32] | None) -> NDArray[np.float32]:
    share = np.linspace(0, 1, bins + 1)
    if sample is None or not len(sample):
        return np.tile(np.float32(6) * share.astype(np.float32) - np.float32(3), (inputs, 1))
    some = sample[:: -(-len(sample) // _QUANTILE_EVENTS)]
    return np.quantile(some, share, axis=0).T.astype(np.float32)
