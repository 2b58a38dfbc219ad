"""The layers that a network is built of."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

from tamis.network.activations import ActivationName, activation, initial_weight


class Dense(eqx.Module):
    """A fully connected layer: activation(weight @ x + bias).

    Args:
        weight: [outputs, inputs].
        bias: [outputs].
        activation: name of the activation.
    """

    weight: jax.Array
    bias: jax.Array
    activation: ActivationName = eqx.field(static=True)

    @classmethod
    def create(cls, inputs: int, outputs: int, name: ActivationName, *, key: jax.Array) -> Dense:
        """Draw a layer's initial weights; the biases are zero."""
        return cls(initial_weight(name, outputs, inputs, key=key), jnp.zeros(outputs, jnp.float32), name)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to [outputs]."""
        return activation(self.activation)(self.weight @ x + self.bias)
