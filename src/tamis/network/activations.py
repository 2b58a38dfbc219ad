"""Activation functions, each defined once: for JAX, by primitives for exports, and with its initial weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, assert_never

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr, ndtri

from tamis.arrays import Float32
from tamis.network.primitives import Value, absolute, exp, log, maximum, minimum, tanh

ActivationFunction = Callable[[jax.Array], jax.Array]
Initialisation = Literal["he", "lecun", "glorot"]

_DEVIATION_WITHIN_TWO = float(np.sqrt(1 - 4 * np.exp(-2) / np.sqrt(2 * np.pi) / (ndtr(2.0) - ndtr(-2.0))))
"""Standard deviation of a normal distribution truncated at two standard deviations."""
_SELU_SCALE, _SELU_SCALE_ALPHA = 1.0507009873554805, 1.7580993408473766
"""arXiv:1706.02515."""
_MISH_IS_LINEAR = 20.0
"""Above this value tanh(softplus(x)) is 1 in 64 bits."""


class ActivationDefinition(NamedTuple):
    """An activation function, elementwise.

    Args:
        function: the function of nodes and the slope below zero, for JAX.
        primitives: the same function by primitives, from which all exported formats are written.
        initialisation: the rule for the initial weights of a layer with this activation.
    """

    function: Callable[[jax.Array, float], jax.Array]
    primitives: Callable[[Value, Value | float], Value]
    initialisation: Initialisation


def _elu(x: Value) -> Value:
    # a sum of two sides, one of which is zero: runtimes are twice as fast as with `where`
    return maximum(x, 0) + (exp(minimum(x, 0)) - 1)


def _selu(x: Value) -> Value:
    return _SELU_SCALE * maximum(x, 0) + _SELU_SCALE_ALPHA * (exp(minimum(x, 0)) - 1)


def _gelu(x: Value) -> Value:
    # arXiv:1606.08415, with the hyperbolic tangent, as jax.nn.gelu
    return x * (0.5 * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x)))))


def _mish(x: Value) -> Value:
    # with s = e^x (e^x + 2), x tanh(log(1 + e^x)) is x s / (s + 2), which has no cancellation (arXiv:1908.08681)
    power = exp(minimum(x, _MISH_IS_LINEAR))
    part = power * (power + 2)
    return x * (part / (part + 2))


def _softplus(x: Value) -> Value:
    return maximum(x, 0) + log(1 + exp(-absolute(x)))


ACTIVATIONS: dict[str, ActivationDefinition] = {
    # jnp.maximum compiles to less code than jax.nn.relu, which defines its own derivative
    "relu": ActivationDefinition(lambda x, _: jnp.maximum(x, 0), lambda x, _: maximum(x, 0), "he"),
    "leaky_relu": ActivationDefinition(
        lambda x, slope: jax.nn.leaky_relu(x, slope),
        lambda x, slope: maximum(x, 0) + slope * minimum(x, 0),
        "he",
    ),
    "elu": ActivationDefinition(lambda x, _: jax.nn.elu(x), lambda x, _: _elu(x), "he"),
    "selu": ActivationDefinition(lambda x, _: jax.nn.selu(x), lambda x, _: _selu(x), "lecun"),
    "gelu": ActivationDefinition(lambda x, _: jax.nn.gelu(x), lambda x, _: _gelu(x), "he"),
    "silu": ActivationDefinition(lambda x, _: jax.nn.silu(x), lambda x, _: x / (1 + exp(-x)), "he"),
    "mish": ActivationDefinition(lambda x, _: jax.nn.mish(x), lambda x, _: _mish(x), "he"),
    "tanh": ActivationDefinition(lambda x, _: jnp.tanh(x), lambda x, _: tanh(x), "glorot"),
    # not ONNX's operator: runtimes compute it as a ratio of polynomials, which is inaccurate for small values
    "sigmoid": ActivationDefinition(lambda x, _: jax.nn.sigmoid(x), lambda x, _: 1 / (1 + exp(-x)), "glorot"),
    "softplus": ActivationDefinition(lambda x, _: jax.nn.softplus(x), lambda x, _: _softplus(x), "he"),
    "linear": ActivationDefinition(lambda x, _: x, lambda x, _: x, "glorot"),
}
"""All activations by name."""


def activation(name: str, slope: float = 0.01) -> ActivationFunction:
    """Return the elementwise function of this name; the slope is that of `leaky_relu` below zero.

    >>> activation("relu")(jnp.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    function = ACTIVATIONS[name].function
    return lambda x: function(x, slope)


def draw_initial_weight(name: str, outputs: int, inputs: int, *, random: np.random.Generator) -> Float32:
    """Draw the initial weights of a layer with this activation, [outputs, inputs].

    Rectifiers preserve the variance of the signal with He's rule (arXiv:1502.01852), `selu` with LeCun's
    (arXiv:1706.02515), both with normal distributions truncated at two standard deviations; all others use Glorot's
    uniform distribution (AISTATS 2010).

    >>> float(draw_initial_weight("linear", 4, 2, random=np.random.default_rng(0)).max()) < 1.0
    True
    """
    rule = ACTIVATIONS[name].initialisation
    match rule:
        case "he" | "lecun":
            # by inversion, so that the number of random numbers is fixed
            truncated = ndtri(random.uniform(ndtr(-2.0), ndtr(2.0), (outputs, inputs)))
            variance = (2 if rule == "he" else 1) / inputs
            weight = variance**0.5 * (truncated / _DEVIATION_WITHIN_TWO)
        case "glorot":
            bound = (6 / (inputs + outputs)) ** 0.5
            weight = random.uniform(-bound, bound, (outputs, inputs))
        case _:
            assert_never(rule)
    return np.asarray(weight, np.float32)
