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
        return activation(self.activation)(self.weight @ x + self.bias[:, None] @ one(x))


def one(x: jax.Array) -> jax.Array:
    """Give an input that is always one, of which a bias is the weight, [1].

    The gradient of a bias is then a product of matrices over the events of a batch. As a sum over them, which it
    would be otherwise, a compiler for CPUs adds one number after the other: 20% of a step for large batches. The
    one is made from the event, so that the compiler cannot see that it is constant and turn it back into a sum.

    >>> one(jnp.array([3.0, jnp.inf])).tolist()
    [1.0]
    """
    return 1 + jnp.clip(jax.lax.stop_gradient(x[:1]), 0, 0)
