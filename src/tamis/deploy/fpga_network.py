"""A classifier as an FPGA computes it: layers in fixed point in a row, or the reasons why it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.classifier import Classifier
from tamis.config import FixedPoint
from tamis.errors import UntranslatableError
from tamis.network.embeddings import Gains
from tamis.network.fixed_point import Integers, integers_of
from tamis.network.quantized import Quantized

ROUNDINGS = ("RND", "RND_CONV", "TRN")
"""What both HGQ2 and, with a shifted bias, QONNX can express."""
OVERFLOWS = ("SAT", "SAT_SYM")


@dataclass(frozen=True)
class FixedPointLayer:
    """One layer: output(activation(weight @ x + bias)), with exact sums.

    Args:
        name: of the layer in the files.
        weight: [nodes, inputs].
        bias: [nodes].
        rectified: whether the activation is `relu`; it is `linear` otherwise.
        given: the format of its inputs.
        weight_form: of the weights.
        bias_form: of the biases.
        output: the format of the nodes; a `WRAP` that cannot happen is a `SAT`.
    """

    name: str
    weight: Integers
    bias: Integers
    rectified: bool
    given: FixedPoint
    weight_form: FixedPoint
    bias_form: FixedPoint
    output: FixedPoint

    @property
    def fraction(self) -> int:
        """Fractional bits of the sums."""
        return max(self.weight.fraction + self.given.fraction, self.bias.fraction)

    @property
    def range(self) -> tuple[int, int]:
        """Lowest and highest sum that any inputs can give, in steps of 2^-fraction."""
        up = self.fraction - self.weight.fraction - self.given.fraction
        least, most = (self.weight.steps * end for end in (self.given.lowest, self.given.highest))
        bias = self.bias.steps << (self.fraction - self.bias.fraction)
        lowest = (np.minimum(least, most).sum(axis=1) << up) + bias
        highest = (np.maximum(least, most).sum(axis=1) << up) + bias
        return int(lowest.min()), int(highest.max())

    @property
    def sum_bits(self) -> int:
        """Bits of a sum, with its sign, that holds every sum."""
        lowest, highest = self.range
        return 1 + max(highest.bit_length(), (-lowest - 1).bit_length() if lowest < 0 else 0)

    @property
    def can_overflow(self) -> bool:
        """Whether a node can be outside the range of its format."""
        lowest, highest = (
            Integers(np.array(self.range), self.fraction)
            .requantized(
                self.output.model_copy(
                    update={"bits": 62, "integer": 62 - self.output.fraction, "signed": True}
                )
            )
            .steps
        )
        if self.rectified:
            lowest, highest = max(lowest, 0), max(highest, 0)
        return bool(lowest < self.output.lowest or highest > self.output.highest)


@dataclass(frozen=True)
class FixedPointNetwork:
    """What an FPGA computes: from inputs on a grid to logits on a grid.

    Args:
        input: the format of the inputs.
        layers: from the inputs to the logits.
    """

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


def fixed_point_network(classifier: Classifier) -> FixedPointNetwork:
    """Give what an FPGA computes of a classifier: all between the inputs' quantizer and the softmax.

    Args:
        classifier: one network whose layers are all quantized.

    Raises:
        UntranslatableError: something has no translation; the message names all that has none, and says why.
    """
    problems = [*_around(classifier), *_kinds(classifier)]
    if not problems:
        network = _translate(classifier)
        problems = list(_formats(network))
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise UntranslatableError(f"this classifier cannot be translated for an FPGA:\n{listed}")
    return network


def _around(classifier: Classifier) -> Iterator[str]:
    network = classifier.network
    if len(classifier.members) > 1:
        yield (
            f"it averages {len(classifier.members)} networks, and an FPGA gets one; set training.seeds to 1 and "
            "split.folds to null"
        )
    if classifier.draws:
        yield "symmetries: it averages over copies of each event, and an FPGA sees each event once; leave them out"
    if network.scales is not None:
        yield f"network.members: {network.members} networks share their layers, and an FPGA gets one; set it to 1"
    if network.embedding is not None and not isinstance(network.embedding, Gains):
        kind = network.embedding.section.type
        yield f"network.embedding: {kind} is computed in floating point; set it to null, or to type: gains"


def _places(classifier: Classifier) -> list[str]:
    hidden = len(classifier.network.layers) - 1
    return [*(f"network.layers[{number}]" for number in range(hidden)), "network.quantized_output"]


def _kinds(classifier: Classifier) -> Iterator[str]:
    """Name the layers that are in floating point."""
    layers = classifier.network.layers
    for place, layer in zip(_places(classifier), layers, strict=True):
        if isinstance(layer, Quantized):
            continue
        if layer is layers[-1]:
            yield f"{place}: the output layer is dense, in floating point; give it formats (quantized_output: {{}})"
        else:
            yield f"{place}: a {layer.section.type} layer is in floating point; make it type: quantized"


def _translate(classifier: Classifier) -> FixedPointNetwork:
    layers: list[FixedPointLayer] = []
    for number, layer in enumerate(classifier.network.layers):
        given = layers[-1].output if layers else layer.formats.input
        if layers and layer.formats.input is not None and not _holds(layer.formats.input, given):
            raise UntranslatableError(
                "this classifier cannot be translated for an FPGA:\n"
                f"  {_places(classifier)[number]}.input: the inputs are brought from {given} to "
                f"{layer.formats.input}, and hls4ml makes one quantizer of two in a row; leave `input` away, and "
                "give the layer before this format as its output"
            )
        layers.append(_layer(layer, f"layer_{number}", given))
    return FixedPointNetwork(layers[0].given, tuple(layers))


def _holds(form: FixedPoint, given: FixedPoint) -> bool:
    """Tell whether a format has every number of another."""
    finer = form.fraction - given.fraction
    return finer >= 0 and form.lowest <= given.lowest << finer and given.highest << finer <= form.highest


def _layer(layer: Quantized, name: str, given: FixedPoint) -> FixedPointLayer:
    formats = layer.formats
    made = FixedPointLayer(
        name=name,
        weight=integers_of(np.asarray(layer.dense.weight), formats.weight),
        bias=integers_of(np.asarray(layer.dense.bias), formats.bias),
        rectified=layer.section.activation == "relu",
        given=given,
        weight_form=formats.weight,
        bias_form=formats.bias,
        output=formats.output,
    )
    if made.can_overflow:
        return made
    saturating = formats.output.model_copy(update={"overflow": "SAT"})
    return FixedPointLayer(**{**vars(made), "output": saturating})


def _formats(network: FixedPointNetwork) -> Iterator[str]:
    """Name the formats of nodes that hls4ml has no quantizer for; weights and inputs are on their grids already."""
    for number, layer in enumerate(network.layers):
        place = "network.quantized_output" if layer is network.layers[-1] else f"network.layers[{number}]"
        if layer.output.rounding not in ROUNDINGS:
            yield (
                f"{place}.output: rounding {layer.output.rounding} is neither in HGQ2 nor in QONNX; choose one of "
                f"{', '.join(ROUNDINGS)}"
            )
        if layer.output.overflow not in OVERFLOWS:
            yield (
                f"{place}.output: its nodes can leave the range, and overflow {layer.output.overflow} is not in "
                f"QONNX; choose one of {', '.join(OVERFLOWS)}, or more integer bits"
            )


def grid_inputs(classifier: Classifier, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute what is passed to the FPGA: preprocessed, with gains, and brought to the format of the first layer.

    Args:
        classifier: that `fixed_point_network` translates.
        features: NaN where missing, [n, n_features].

    Returns:
        Numbers of the format, [n, inputs].
    """
    values: Any = classifier.preprocessing.apply(features)
    gains, form = classifier.network.embedding, classifier.network.layers[0].formats.input
    if isinstance(gains, Gains):
        values = np.asarray(values * (np.float32(1) + np.float32(gains.speed) * np.asarray(gains.gain)))
    return integers_of(values, form).values.astype(np.float32)
