"""Quantized layers: dense layers that compute in fixed point, and what the multiplications of a network cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tamis.config import Dense as DenseSection
from tamis.config import FixedPoint
from tamis.config import Quantized as QuantizedSection
from tamis.errors import RequestError
from tamis.network.activations import activation
from tamis.network.fixed_point import Integers, integers_of, quantize
from tamis.network.layers import Dense, Mode, one


class Fractions(NamedTuple):
    """Numbers of fractional bits, whole numbers with a shape of [].

    Args:
        weight: of the weights.
        bias: of the biases.
        output: of the nodes.
        input: of the inputs, None where the layer takes them as they come.
    """

    weight: jax.Array
    bias: jax.Array
    output: jax.Array
    input: jax.Array | None


@dataclass(frozen=True)
class Formats:
    """The formats of a layer, with the bits that it has learned.

    Args:
        weight: of the weights.
        bias: of the biases.
        output: of the nodes behind the activation.
        input: of the inputs, None where the layer takes them as they come.
    """

    weight: FixedPoint
    bias: FixedPoint
    output: FixedPoint
    input: FixedPoint | None


class Quantized(eqx.Module):
    """A dense layer in fixed point: output(activation(weight @ input(x) + bias)), in exact arithmetic.

    Args:
        dense: the weights and biases that are learned; `weight` and `bias` of this layer are those in fixed point.
        fractions: learned numbers of fractional bits of weights, biases, nodes and, where they have a format,
            inputs, [3 or 4]; None where they are fixed.
        section: the layer as the configuration writes it.
    """

    dense: Dense
    fractions: jax.Array | None
    section: QuantizedSection = eqx.field(static=True)

    @classmethod
    def create(cls, inputs: int, section: QuantizedSection, *, random: np.random.Generator) -> Quantized:
        """Draw a layer's initial weights; the biases are zero.

        Raises:
            RequestError: 32-bit floating point could not compute the layer exactly.

        >>> section = QuantizedSection(nodes=2, input=FixedPoint(bits=4, integer=2))
        >>> Quantized.create(3, section, random=np.random.default_rng(0)).formats.output.bits
        8
        """
        if section.input is not None and (problem := section.find_contradiction(inputs, section.input)):
            raise RequestError(f"a quantized layer with {section.nodes} nodes does not fit: {problem}")
        dense = DenseSection(nodes=section.nodes, activation=section.activation)
        fractions = [form.fraction for form in _formats(section)]
        return cls(
            dense=Dense.create(inputs, dense, random=random),
            fractions=jnp.asarray(np.array(fractions, np.float32)) if section.learned else None,
            section=section,
        )

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.dense.inputs

    @property
    def outputs(self) -> int:
        """Number of nodes."""
        return self.dense.outputs

    @property
    def weight(self) -> jax.Array:
        """The weights in fixed point, [outputs, inputs]."""
        return quantize(self.dense.weight, self.section.weight, self.whole_fractions.weight)

    @property
    def bias(self) -> jax.Array:
        """The biases in fixed point, [outputs]."""
        return quantize(self.dense.bias, self.section.bias, self.whole_fractions.bias)

    @property
    def formats(self) -> Formats:
        """The formats, with the learned bits."""
        section, bits = self.section, self.whole_fractions
        return Formats(
            weight=_with_fraction(section.weight, bits.weight),
            bias=_with_fraction(section.bias, bits.bias),
            output=_with_fraction(section.output, bits.output),
            input=None if section.input is None else _with_fraction(section.input, bits.input),
        )

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return (self.inputs + 1) * self.outputs

    @property
    def non_zeros(self) -> int:
        """Number of weights that are not zero in fixed point."""
        return int(np.count_nonzero(np.asarray(self.weight)))

    @property
    def multiplications(self) -> int:
        """Number of multiplications of inputs by weights for one event; a weight of zero needs none."""
        return self.non_zeros

    @property
    def whole_fractions(self) -> Fractions:
        """The numbers of fractional bits of every format, learned or not."""
        formats = _formats(self.section)
        bits = [jnp.float32(form.fraction) for form in formats]
        if self.fractions is not None:
            bits = [whole_bits(self.fractions[number], form) for number, form in enumerate(formats)]
        return Fractions(bits[0], bits[1], bits[2], bits[3] if len(bits) > 3 else None)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Map the inputs of one event, [inputs], to [outputs]."""
        return self.forward(x, None)[0]

    def forward(self, x: jax.Array, mode: Mode | None) -> tuple[jax.Array, Quantized]:
        """Map the inputs of one event; also give the layer, which remembers nothing."""
        del mode
        bits = self.whole_fractions
        if self.section.input is not None:
            x = quantize(x, self.section.input, bits.input)
        # some GPUs would round the factors otherwise
        products = jnp.matmul(self.weight, x, precision=jax.lax.Precision.HIGHEST)
        nodes = activation(self.section.activation)(products + self.bias[:, None] @ one(x))
        return quantize(nodes, self.section.output, bits.output), self

    def reference(self, x: NDArray[np.float32] | Integers) -> Integers:
        """Compute the layer in integers alone; `forward` gives the same numbers, bit by bit.

        Args:
            x: finite inputs of many events, [inputs, n]: floating-point numbers where the layer has an `input`
                format, or what the layer before gave.

        Returns:
            The nodes, [outputs, n].

        Raises:
            RequestError: floating-point inputs for a layer that has no format for them.
        """
        formats = self.formats
        given = _integer_inputs(x, formats.input)
        weight = integers_of(np.asarray(self.dense.weight), formats.weight)
        bias = integers_of(np.asarray(self.dense.bias), formats.bias)
        products = weight.fraction + given.fraction
        finest = max(products, bias.fraction)
        total = (weight.steps @ given.steps) << (finest - products)
        total += (bias.steps << (finest - bias.fraction))[:, None]
        if self.section.activation == "relu":
            total = np.maximum(total, 0)
        return Integers(total, finest).requantized(formats.output)


def _integer_inputs(x: NDArray[np.float32] | Integers, form: FixedPoint | None) -> Integers:
    if isinstance(x, Integers):
        return x if form is None else x.requantized(form)
    if form is None:
        raise RequestError("this layer takes fixed-point numbers; give it what the layer before it gave")
    return integers_of(x, form)


def _fewest_fraction(form: FixedPoint) -> int:
    """Give the lowest fractional bits that leave one bit beside the sign."""
    return 1 + form.signed - form.integer


def _formats(section: QuantizedSection) -> tuple[FixedPoint, ...]:
    given = () if section.input is None else (section.input,)
    return (section.weight, section.bias, section.output, *given)


def _with_fraction(form: FixedPoint, fraction: jax.Array | None) -> FixedPoint:
    bits = form.bits if fraction is None else form.integer + int(fraction)
    return form.model_copy(update={"bits": bits})


def whole_bits(fraction: jax.Array, form: FixedPoint) -> jax.Array:
    """Round learned fractional bits to a whole number that its format allows.

    The gradient goes straight through, but for one that would lead further beyond a limit.

    Args:
        fraction: as learned, [].
        form: has the most bits that are allowed; the fewest are one bit beside the sign.

    >>> float(whole_bits(jnp.float32(3.4), FixedPoint(bits=8, integer=2)))
    3.0
    """
    return _whole_bits(fraction, float(_fewest_fraction(form)), float(form.fraction))


@jax.custom_vjp
def _whole_bits(fraction: jax.Array, fewest: float, most: float) -> jax.Array:
    return jnp.clip(jnp.round(fraction), fewest, most)


def _whole_bits_forward(
    fraction: jax.Array, fewest: float, most: float
) -> tuple[jax.Array, tuple[jax.Array, float, float]]:
    return _whole_bits(fraction, fewest, most), (fraction, fewest, most)


def _whole_bits_backward(
    kept: tuple[jax.Array, float, float], gradient: jax.Array
) -> tuple[jax.Array, None, None]:
    fraction, fewest, most = kept
    # a step goes against the gradient
    outwards = ((fraction >= most) & (gradient < 0)) | ((fraction <= fewest) & (gradient > 0))
    return jnp.where(outwards, 0, gradient), None, None


_whole_bits.defvjp(_whole_bits_forward, _whole_bits_backward)


@dataclass(frozen=True)
class LayerCost:
    """What a layer costs in hardware.

    Args:
        kind: `dense`, `sparse` or `quantized`.
        inputs: number of inputs.
        outputs: number of nodes.
        parameters: number of learned numbers.
        non_zeros: number of weights that are not zero.
        multiplications: of inputs by weights, for one event.
        formats: of a quantized layer, None otherwise.
        input_bits: bits of the inputs of a quantized layer, None otherwise.
        ebops: effective bit operations of a quantized layer, None otherwise.
    """

    kind: str
    inputs: int
    outputs: int
    parameters: int
    non_zeros: int
    multiplications: int
    formats: Formats | None = None
    input_bits: int | None = None
    ebops: int | None = None


def layer_costs(layers: Iterable[Any]) -> tuple[LayerCost, ...]:
    """Count what each layer of a network costs, the output layer included.

    Args:
        layers: of a network, from the inputs to the outputs.

    >>> layer = Dense.create(3, DenseSection(nodes=2), random=np.random.default_rng(0))
    >>> layer_costs([layer])[0].multiplications
    6
    """
    costs = []
    given: FixedPoint | None = None
    for layer in layers:
        costs.append(_cost(layer, given))
        given = layer.formats.output if isinstance(layer, Quantized) else None
    return tuple(costs)


def _cost(layer: Any, given: FixedPoint | None) -> LayerCost:
    weights = np.asarray(layer.weight)
    non_zeros = int(np.count_nonzero(weights))
    learned = getattr(layer, "parameters", None)
    if learned is None:
        learned = weights.size + np.size(layer.bias) + (0 if layer.normalisation is None else layer.outputs)
    plain = LayerCost(
        layer.section.type, layer.inputs, layer.outputs, int(learned), non_zeros, multiplications=non_zeros
    )
    if not isinstance(layer, Quantized):
        return plain
    formats = layer.formats
    source = formats.input or given
    bits = None if source is None else source.bits
    ebops = None if bits is None else non_zeros * formats.weight.bits * bits
    return LayerCost(**{**vars(plain), "formats": formats, "input_bits": bits, "ebops": ebops})


def bit_cost(layers: Sequence[Any]) -> jax.Array | None:
    """Give what the bits add to the loss, as a number whose gradient makes learned bits fewer.

    The sum over the layers that learn their bits of `cost` times the effective bit operations: for each
    multiplication bits of the weight times bits of the input (arXiv:2006.10159, arXiv:2405.00645). A multiplication
    by a weight that is zero in fixed point does not count.

    Args:
        layers: of a network, from the inputs to the outputs.

    Returns:
        The cost, [], or None where no layer learns its bits.
    """
    costs = []
    given: jax.Array | None = None
    for layer in layers:
        if not isinstance(layer, Quantized):
            given = None
            continue
        section, bits = layer.section, layer.whole_fractions
        source = given if section.input is None or bits.input is None else section.input.integer + bits.input
        if section.learned and section.cost and source is not None:
            costs.append(section.cost * _non_zeros(layer) * (section.weight.integer + bits.weight) * source)
        given = section.output.integer + bits.output
    return sum(costs[1:], costs[0]) if costs else None


def _non_zeros(layer: Quantized) -> jax.Array:
    return jax.lax.stop_gradient(jnp.count_nonzero(layer.weight).astype(jnp.float32))
