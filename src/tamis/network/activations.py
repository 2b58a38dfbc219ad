"""Activation functions and the initialisation that fits each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, assert_never

import jax
import jax.numpy as jnp
from jax.nn import initializers

ActivationName = Literal[
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid", "softplus", "linear"
]
Activation = Callable[[jax.Array], jax.Array]


def activation(name: ActivationName, slope: float = 0.01) -> Activation:
    """Give the function of this name, elementwise.

    Args:
        name: of the function.
        slope: of `leaky_relu` below zero.

    >>> activation("relu")(jnp.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    match name:
        case "relu":
            # the maximum alone compiles to less than jax.nn.relu, which defines its own derivative
            return lambda x: jnp.maximum(x, 0)
        case "leaky_relu":
            return lambda x: jax.nn.leaky_relu(x, slope)
        case "elu":
            return jax.nn.elu
        case "selu":
            return jax.nn.selu
        case "gelu":
            return jax.nn.gelu
        case "silu":
            return jax.nn.silu
        case "mish":
            return jax.nn.mish
        case "tanh":
            return jnp.tanh
        case "sigmoid":
            return jax.nn.sigmoid
        case "softplus":
            return jax.nn.softplus
        case "linear":
            return lambda x: x
        case _:
            assert_never(name)


def initial_weight(name: ActivationName, outputs: int, inputs: int, *, key: jax.Array) -> jax.Array:
    """Draw the initial weights of a layer with this activation, [outputs, inputs].

    Rectifiers keep the variance of the signal with He's rule (arXiv:1502.01852), `selu` with LeCun's
    (arXiv:1706.02515), the others with Glorot's (AISTATS 2010).
    """
    match name:
        case "relu" | "leaky_relu" | "elu" | "gelu" | "silu" | "mish" | "softplus":
            rule = initializers.he_normal(in_axis=1, out_axis=0)
        case "selu":
            rule = initializers.lecun_normal(in_axis=1, out_axis=0)
        case "tanh" | "sigmoid" | "linear":
            rule = initializers.glorot_uniform(in_axis=1, out_axis=0)
        case _:
            assert_never(name)
    return rule(key, (outputs, inputs), jnp.float32)
