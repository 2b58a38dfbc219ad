"""Quantized layers: dense layers in fixed point, and the cost of the multiplications of a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from tamis import config
from tamis.arrays import Float32
from tamis.errors import RequestError
from tamis.network.activations import activation
from tamis.network.fixed_point import Integers, quantize, quantize_to_integers
from tamis.network.layers import Dense, DenseWrapper, Mode, build_constant_input, count_parameters


class Quantized(DenseWrapper):
    """A dense layer in fixed point: output(activation(weight @ input(x) + bias)), in exact arithmetic.

    Args:
        fractions: trained numbers of fractional bits of weights, biases, nodes and, if they have a format, inputs,
            [3 or 4]; None if they are fixed.
        section: the section of the configuration.
    """

    fractions: jax.Array | None
    section: config.Quantized = eqx.field(static=True)

    @classmethod
    def create(cls, inputs: int, section: config.Quantized, *, random: np.random.Generator) -> Quantized:
        """Create a layer with random initial weights and zero biases.

        Raises:
            RequestError: 32-bit floating point could not compute the layer exactly.

        >>> section = config.Quantized(nodes=2, input=config.FixedPoint(bits=4, integer=2))
        >>> Quantized.create(3, section, random=np.random.default_rng(0)).formats.output.bits
        8
        """
        if section.input is not None and (problem := section.find_inconsistency(inputs, section.input)):
            raise RequestError(f"a quantized layer with {section.nodes} nodes does not fit: {problem}")
        dense = config.Dense(nodes=section.nodes, activation=section.activation)
        fractions = [form.fraction for form in _initial_formats(section).values()]
        return cls(
            dense=Dense.create(inputs, dense, random=random),
            fractions=jax.device_put(np.array(fractions, np.float32)) if section.learn_bits else None,
            section=section,
        )

    @property
    def weight(self) -> jax.Array:
        """The weights in fixed point, [outputs, inputs]."""
        return quantize(self.dense.weight, self.section.weight, self.fraction_bits["weight"])

    @property
    def bias(self) -> jax.Array:
        """The biases in fixed point, [outputs]."""
        return quantize(self.dense.bias, self.section.bias, self.fraction_bits["bias"])

    @property
    def formats(self) -> config.Quantized:
        """The section with trained numbers of bits in its formats."""
        bits = self.fraction_bits
        trained = {
            name: form.model_copy(update={"bits": form.integer + int(bits[name])})
            for name, form in _initial_formats(self.section).items()
        }
        return self.section.model_copy(update=trained)

    @property
    def fraction_bits(self) -> dict[str, jax.Array]:
        """The number of fractional bits of each format, trained or fixed: integers as float32, []."""
        formats = _initial_formats(self.section)
        if self.fractions is None:
            return {name: jnp.float32(form.fraction) for name, form in formats.items()}
        return {
            name: round_bits(self.fractions[number], form)
            for number, (name, form) in enumerate(formats.items())
        }

    def forward(self, x: jax.Array, mode: Mode | None) -> tuple[jax.Array, Quantized]:
        """Map the inputs of one event; also return the layer, which has no buffers."""
        del mode
        bits = self.fraction_bits
        if self.section.input is not None:
            x = quantize(x, self.section.input, bits["input"])
        # some GPUs round the factors to fewer bits by default
        products = jnp.matmul(self.weight, x, precision=jax.lax.Precision.HIGHEST)
        nodes = activation(self.section.activation)(products + self.bias[:, None] @ build_constant_input(x))
        return quantize(nodes, self.section.output, bits["output"]), self

    def reference(self, x: Float32 | Integers) -> Integers:
        """Compute the nodes of many events, [outputs, n], with integers; `forward` has bit-identical results.

        Args:
            x: finite inputs, [inputs, n]: floating-point numbers if the layer has an `input` format, or the result of
                the previous layer.

        Raises:
            RequestError: the layer has no format for floating-point inputs.
        """
        formats = self.formats
        inputs = _integer_inputs(x, formats.input)
        weight = quantize_to_integers(np.asarray(self.dense.weight), formats.weight)
        bias = quantize_to_integers(np.asarray(self.dense.bias), formats.bias)
        products = weight.fraction + inputs.fraction
        finest = max(products, bias.fraction)
        total = (weight.steps @ inputs.steps) << (finest - products)
        total += (bias.steps << (finest - bias.fraction))[:, None]
        if self.section.activation == "relu":
            total = np.maximum(total, 0)
        return Integers(total, finest).requantized(formats.output)


def _integer_inputs(x: Float32 | Integers, form: config.FixedPoint | None) -> Integers:
    if isinstance(x, Integers):
        return x if form is None else x.requantized(form)
    if form is None:
        raise RequestError("this layer takes fixed-point numbers; pass the result of the previous layer")
    return quantize_to_integers(x, form)


def _initial_formats(section: config.Quantized) -> dict[str, config.FixedPoint]:
    """Return the formats of a section, in the order of the trained numbers of bits."""
    formats = {"weight": section.weight, "bias": section.bias, "output": section.output}
    return formats if section.input is None else {**formats, "input": section.input}


def round_bits(fraction: jax.Array, form: config.FixedPoint) -> jax.Array:
    """Round a trained number of fractional bits to an integer that its format allows.

    The format has the maximum number of bits; the minimum is one bit besides the sign. The gradient is that of the
    straight-through estimator, or zero if it leads further out of this range.

    >>> float(round_bits(jnp.float32(3.4), config.FixedPoint(bits=8, integer=2)))
    3.0
    """
    return _whole_bits(fraction, float(1 + form.signed - form.integer), float(form.fraction))


@jax.custom_vjp
def _whole_bits(fraction: jax.Array, fewest: float, most: float) -> jax.Array:
    return jnp.clip(jnp.round(fraction), fewest, most)


def _whole_bits_forward(
    fraction: jax.Array, fewest: float, most: float
) -> tuple[jax.Array, tuple[jax.Array, float, float]]:
    return _whole_bits(fraction, fewest, most), (fraction, fewest, most)


def _whole_bits_backward(
    residuals: tuple[jax.Array, float, float], gradient: jax.Array
) -> tuple[jax.Array, None, None]:
    fraction, fewest, most = residuals
    # a step has the opposite direction of the gradient
    outwards = ((fraction >= most) & (gradient < 0)) | ((fraction <= fewest) & (gradient > 0))
    return jnp.where(outwards, 0, gradient), None, None


_whole_bits.defvjp(_whole_bits_forward, _whole_bits_backward)


@dataclass(frozen=True)
class LayerCost:
    """The cost of a layer in hardware.

    Args:
        kind: `dense`, `sparse` or `quantized`.
        inputs: number of inputs.
        outputs: number of nodes.
        parameters: number of weights, biases and scales, including masked weights.
        non_zeros: number of weights that are not zero.
        multiplications: multiplications of inputs by weights, for one event.
        formats: section of a quantized layer with trained numbers of bits, None otherwise.
        input_bits: bits of the inputs of a quantized layer, None otherwise.
        ebops: effective bit operations of a quantized layer, None otherwise.
    """

    kind: str
    inputs: int
    outputs: int
    parameters: int
    non_zeros: int
    multiplications: int
    formats: config.Quantized | None = None
    input_bits: int | None = None
    ebops: int | None = None


def compute_layer_costs(layers: Iterable[Any]) -> tuple[LayerCost, ...]:
    """Compute the cost of each layer of a network, from the inputs to the outputs.

    >>> layer = Dense.create(3, config.Dense(nodes=2), random=np.random.default_rng(0))
    >>> compute_layer_costs([layer])[0].multiplications
    6
    """
    costs = []
    input_format: config.FixedPoint | None = None
    for layer in layers:
        non_zeros = int(np.count_nonzero(np.asarray(layer.weight)))
        parameters = count_parameters(getattr(layer, "dense", layer))
        cost = LayerCost(layer.section.type, layer.inputs, layer.outputs, parameters, non_zeros, non_zeros)
        formats = layer.formats if isinstance(layer, Quantized) else None
        if formats is not None:
            source = formats.input or input_format
            bits = None if source is None else source.bits
            ebops = None if bits is None else non_zeros * formats.weight.bits * bits
            cost = replace(cost, formats=formats, input_bits=bits, ebops=ebops)
        costs.append(cost)
        input_format = None if formats is None else formats.output
    return tuple(costs)


def compute_bit_cost(layers: Sequence[Any]) -> jax.Array | None:
    """Compute the penalty term of the loss for trained numbers of bits, []; None if no layer trains its bits.

    It is the sum, over the layers with trained bits, of `ebops_cost` times the effective bit operations: for each
    multiplication, the bits of the weight times the bits of the input (arXiv:2006.10159, arXiv:2405.00645), without
    weights that are zero in fixed point.
    """
    costs = []
    input_bits: jax.Array | None = None
    for layer in layers:
        if not isinstance(layer, Quantized):
            input_bits = None
            continue
        section, bits = layer.section, layer.fraction_bits
        if section.input is not None:
            input_bits = section.input.integer + bits["input"]
        if section.learn_bits and section.ebops_cost and input_bits is not None:
            non_zeros = jax.lax.stop_gradient(jnp.count_nonzero(layer.weight).astype(jnp.float32))
            weight_bits = section.weight.integer + bits["weight"]
            costs.append(section.ebops_cost * non_zeros * weight_bits * input_bits)
        input_bits = section.output.integer + bits["output"]
    return sum(costs[1:], costs[0]) if costs else None
