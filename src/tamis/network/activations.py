"""Activation functions and the initialisation that fits each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, assert_never

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

ActivationName = Literal[
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid", "softplus", "linear"
]
Activation = Callable[[jax.Array], jax.Array]

_DEVIATION_WITHIN_TWO = float(np.sqrt(1 - 4 * np.exp(-2) / np.sqrt(2 * np.pi) / (ndtr(2.0) - ndtr(-2.0))))
"""Standard deviation of a normal distribution that ends at two of its deviations."""


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


def initial_weight(
    name: ActivationName, outputs: int, inputs: int, *, random: np.random.Generator
) -> NDArray[np.float32]:
    """Draw the initial weights of a layer with this activation, [outputs, inputs].

    Rectifiers keep the variance of the signal with He's rule (arXiv:1502.01852), `selu` with LeCun's
    (arXiv:1706.02515), both from a normal distribution that ends at two deviations; the others have Glorot's
    uniform distribution (AISTATS 2010).

    >>> float(initial_weight("linear", 4, 2, random=np.random.default_rng(0)).max()) < 1.0
    True
    """
    weight: NDArray[np.float64]
    match name:
        case "relu" | "leaky_relu" | "elu" | "gelu" | "silu" | "mish" | "softplus":
            weight = (2 / inputs) ** 0.5 * _bounded_normal(outputs, inputs, random)
        case "selu":
            weight = (1 / inputs) ** 0.5 * _bounded_normal(outputs, inputs, random)
        case "tanh" | "sigmoid" | "linear":
            limit = (6 / (inputs + outputs)) ** 0.5
            weight = random.uniform(-limit, limit, (outputs, inputs))
        case _:
            assert_never(name)
    return weight.astype(np.float32)


def _bounded_normal(outputs: int, inputs: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Draw normal numbers of variance one that are no further out than they would be at two deviations."""
    # by their quantiles: as many uniform numbers as weights, whatever is drawn
    below, above = ndtr(-2.0), ndtr(2.0)
    normal: NDArray[np.float64] = ndtri(random.uniform(below, above, (outputs, inputs)))
    return normal / _DEVIATION_WITHIN_TWO
