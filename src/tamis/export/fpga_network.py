"""The network that an FPGA computes, a sequence of fixed-point layers, or the reasons why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.classifier import Classifier
from tamis.config import FixedPoint
from tamis.errors import UntranslatableError
from tamis.export.lower import lower
from tamis.export.plain import Document
from tamis.network.fixed_point import Integers, quantize_to_integers

ROUNDINGS = ("RND", "RND_CONV", "TRN")
"""Rounding modes of HGQ2 that QONNX supports as well, some with a shifted bias."""
OVERFLOWS = ("SAT", "SAT_SYM")


@dataclass(frozen=True)
class FixedPointLayer:
    """One layer: output(activation(weight @ x + bias)), with exact sums.

    Args:
        weight: [nodes, inputs].
        bias: [nodes].
        rectified: whether the activation is `relu`; it is `linear` otherwise.
        output: the format of the nodes; `WRAP` is replaced by `SAT` if no overflow is possible.
    """

    name: str
    weight: Integers
    bias: Integers
    rectified: bool
    input: FixedPoint
    weight_form: FixedPoint
    bias_form: FixedPoint
    output: FixedPoint

    @property
    def fraction(self) -> int:
        """Fractional bits of the sums."""
        return max(self.weight.fraction + self.input.fraction, self.bias.fraction)

    @property
    def range(self) -> tuple[int, int]:
        """Lowest and highest sum for any inputs, in steps of 2^-fraction."""
        up = self.fraction - self.weight.fraction - self.input.fraction
        least, most = (self.weight.steps * end for end in (self.input.lowest, self.input.highest))
        bias = self.bias.steps << (self.fraction - self.bias.fraction)
        lowest = (np.minimum(least, most).sum(axis=1) << up) + bias
        highest = (np.maximum(least, most).sum(axis=1) << up) + bias
        return int(lowest.min()), int(highest.max())

    @property
    def sum_bits(self) -> int:
        """Number of bits, with the sign, that hold every sum."""
        lowest, highest = self.range
        return 1 + max(highest.bit_length(), (-lowest - 1).bit_length() if lowest < 0 else 0)

    @property
    def multiplications(self) -> int:
        """Number of weights that are not zero."""
        return int(np.count_nonzero(self.weight.steps))

    @property
    def ebops(self) -> int:
        """Effective bit operations, the product of the bits of weight and input, summed over multiplications.

        They are about LUTs + 55 DSPs (arXiv:2405.00645).
        """
        return self.multiplications * self.weight_form.bits * self.input.bits

    @property
    def can_overflow(self) -> bool:
        """Return whether a node can exceed the range of its format."""
        wide = self.output.model_copy(
            update={"bits": 62, "integer": 62 - self.output.fraction, "signed": True}
        )
        lowest, highest = Integers(np.array(self.range), self.fraction).requantized(wide).steps
        if self.rectified:
            lowest, highest = max(lowest, 0), max(highest, 0)
        return bool(lowest < self.output.lowest or highest > self.output.highest)


@dataclass(frozen=True)
class FixedPointNetwork:
    """The network that an FPGA computes: from inputs on a grid, through its layers, to logits on a grid."""

    input: FixedPoint
    layers: tuple[FixedPointLayer, ...]

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return int(self.layers[0].weight.steps.shape[1])

    @property
    def outputs(self) -> int:
        """Number of logits; one stands for two classes."""
        return int(self.layers[-1].weight.steps.shape[0])


def build_fixed_point_network(classifier: Classifier) -> FixedPointNetwork:
    """Build the network that an FPGA computes: everything between the quantizer of the inputs and the softmax.

    Raises:
        UntranslatableError: a part cannot be translated; the message lists all such parts with reasons.
    """
    document = lower(classifier).document
    network = document["networks"][0]
    problems = [*_find_unsupported_parts(document), *_find_layers_in_floating_point(network)]
    if not problems:
        layers, problems = _translate(network)
        problems += _find_unsupported_formats(layers)
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise UntranslatableError(f"this classifier cannot be translated for an FPGA:\n{listed}")
    return FixedPointNetwork(layers[0].input, tuple(layers))


def _find_unsupported_parts(document: Document) -> Iterator[str]:
    networks = document["networks"]
    members, embedding = len(networks[0]["outputs"]), networks[0]["embedding"]
    if len(networks) > 1:
        yield (
            f"it averages {len(networks)} networks, but an FPGA computes one; set training.ensemble to 1 and "
            "split.folds to null"
        )
    if document["copies"]:
        yield "symmetries: it averages over copies of each event, but an FPGA computes each event once; remove them"
    if members > 1:
        yield f"network.shared_members: {members} networks share their layers, but an FPGA computes one; set it to 1"
    if embedding is not None:
        yield f"network.embedding: {embedding['kind']} is computed in floating point; set it to null"


def _has_quantized_output(network: Document) -> bool:
    """Return whether the output layer is among the quantized layers, and only copied to the outputs."""
    weight, bias = network["outputs"][0]["weight"], network["outputs"][0]["bias"]
    classes, nodes = weight.shape
    copied = classes >= nodes and np.array_equal(weight, np.eye(classes)[:, classes - nodes :])
    return bool(network["layers"]) and copied and not bias.any()


def _path(number: int, layers: int, *, quantized_output: bool = True) -> str:
    is_output = quantized_output and number == layers - 1
    return "network.quantized_output" if is_output else f"network.layers[{number}]"


def _find_layers_in_floating_point(network: Document) -> Iterator[str]:
    layers, quantized_output = network["layers"], _has_quantized_output(network)
    for number, layer in enumerate(layers):
        if layer["type"] != "quantized":
            path = _path(number, len(layers), quantized_output=quantized_output)
            yield f"{path}: a {layer['type']} layer is in floating point; make it type: quantized"
    if not quantized_output:
        yield (
            "network.quantized_output: the output layer is dense, in floating point; give it formats "
            "(quantized_output: {})"
        )


def _translate(network: Document) -> tuple[list[FixedPointLayer], list[str]]:
    layers: list[FixedPointLayer] = []
    for number, layer in enumerate(network["layers"]):
        declared_format = None if layer["input_format"] is None else _read_format(layer["input_format"])
        input_format = layers[-1].output if layers else declared_format
        if input_format is None:
            raise UntranslatableError("the first layer has no format for its inputs; give it an `input`")
        if layers and declared_format is not None and not _holds(declared_format, input_format):
            problem = (
                f"{_path(number, len(network['layers']))}.input: the inputs are converted from {input_format} to "
                f"{declared_format}, but hls4ml merges two consecutive quantizers; remove `input`, and use this format "
                "as the output of the previous layer"
            )
            return layers, [problem]
        layers.append(_translate_layer(layer, f"layer_{number}", input_format))
    return layers, []


def _holds(form: FixedPoint, inner: FixedPoint) -> bool:
    """Return whether a format contains every number of another one."""
    finer = form.fraction - inner.fraction
    return finer >= 0 and form.lowest <= inner.lowest << finer and inner.highest << finer <= form.highest


def _read_format(described: Document) -> FixedPoint:
    bits, fraction = described["bits"], described["fraction"]
    return FixedPoint.model_construct(
        bits=bits, integer=bits - fraction, signed=described["lowest"] < 0,
        rounding=described["rounding"], overflow=described["overflow"],
    )  # fmt: skip


def _translate_layer(layer: Document, name: str, input_format: FixedPoint) -> FixedPointLayer:
    forms = {key: _read_format(layer[f"{key}_format"]) for key in ("weight", "bias", "output")}
    weight, bias = (
        Integers(np.ldexp(layer[key], forms[key].fraction).astype(np.int64), forms[key].fraction)
        for key in ("weight", "bias")
    )
    output = forms["output"]
    is_rectified = layer["activation"] == "relu"
    translated = FixedPointLayer(
        name, weight, bias, is_rectified, input_format, forms["weight"], forms["bias"], output
    )
    if translated.can_overflow:
        return translated
    return replace(translated, output=output.model_copy(update={"overflow": "SAT"}))


def _find_unsupported_formats(layers: Sequence[FixedPointLayer]) -> Iterator[str]:
    """Yield a problem for each format of nodes that hls4ml does not support; weights and inputs are on grids."""
    for number, layer in enumerate(layers):
        path = _path(number, len(layers))
        if layer.output.rounding not in ROUNDINGS:
            yield (
                f"{path}.output: HGQ2 and QONNX do not support the rounding {layer.output.rounding}; choose one of "
                f"{', '.join(ROUNDINGS)}"
            )
        if layer.output.overflow not in OVERFLOWS:
            yield (
                f"{path}.output: its nodes can exceed the range, and QONNX does not support overflow "
                f"{layer.output.overflow}; choose one of {', '.join(OVERFLOWS)}, or more integer bits"
            )


def compute_grid_inputs(classifier: Classifier, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the inputs of the FPGA: preprocessed, with gains, and quantized to the format of the first layer.

    The features are NaN if missing, [n, n_features]; the inputs are [n, inputs].
    """
    values: Any = classifier.preprocessing.apply(features)
    gains, form = classifier.network.gains, classifier.network.layers[0].formats.input
    if gains is not None:
        values = np.asarray(values * gains.factors)
    return quantize_to_integers(values, form).values.astype(np.float32)
