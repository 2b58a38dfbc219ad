"""A network in fixed point as QONNX: standard operators between `Quant` nodes (arXiv:2206.07527)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tamis.config import FixedPoint
from tamis.export.fpga_network import FixedPointLayer, FixedPointNetwork
from tamis.network.fixed_point import Integers

OPSET, IR_VERSION = 13, 7
DOMAIN = "qonnx.custom_op.general"
INPUT, OUTPUT = "inputs", "logits"


def build_qonnx(network: FixedPointNetwork, events: int = 1) -> ModelProto:
    """Build the QONNX model of a network.

    `Quant` cannot round ties upwards. Rounding down with half a step added to the bias is equivalent, also with a
    rectifier in between, because half a step rounds down to zero. Compilers for FPGAs need a fixed number of events per
    call, which is one.
    """
    graph = _Quantized()
    value = graph.quantized(INPUT, network.input, "FLOOR", "input")
    for number, layer in enumerate(network.layers):
        value = _add_layer(graph, layer, value, last=number == len(network.layers) - 1)
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "classifier",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [events, network.inputs])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [events, network.outputs])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
        ir_version=IR_VERSION,
        producer_name="tamis",
    )


class _Quantized:
    """Nodes and constants of a graph with `Quant` nodes."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, *inputs: str, output: str, **keys: Any) -> str:
        domain = DOMAIN if operator == "Quant" else ""
        name = f"{output}_{operator}"
        node = helper.make_node(operator, list(inputs), [output], name=name, domain=domain, **keys)
        self.nodes.append(node)
        return output

    def constant(self, values: npt.ArrayLike, name: str) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def quantized(self, value: str, form: FixedPoint, rounding: str, output: str) -> str:
        """Add a quantizer to a format that saturates."""
        scale = self.constant(2.0**-form.fraction, f"{output}_scale")
        zero, bits = self.constant(0, f"{output}_zero"), self.constant(form.bits, f"{output}_bits")
        narrow = form.signed and form.overflow == "SAT_SYM"
        keys: dict[str, Any] = {"signed": int(form.signed), "narrow": int(narrow), "rounding_mode": rounding}
        return self.add("Quant", value, scale, zero, bits, output=output, **keys)


def _add_layer(graph: _Quantized, layer: FixedPointLayer, x: str, *, last: bool) -> str:
    name = layer.name
    weight = graph.constant(layer.weight.values.T, f"{name}_weight")
    weight_format = layer.weight_form.model_copy(update={"overflow": "SAT"})
    weight = graph.quantized(weight, weight_format, "ROUND", f"{name}_weight_quantized")
    shifted = _shifted_bias(layer)
    bias = graph.constant(shifted.values, f"{name}_bias")
    bias = graph.quantized(bias, _form_of(shifted), "ROUND", f"{name}_bias_quantized")
    nodes = graph.add("MatMul", x, weight, output=f"{name}_products")
    nodes = graph.add("Add", nodes, bias, output=f"{name}_sums")
    if layer.rectified:
        nodes = graph.add("Relu", nodes, output=f"{name}_rectified")
    rounding = "ROUND" if layer.output.rounding == "RND_CONV" else "FLOOR"
    return graph.quantized(nodes, layer.output, rounding, OUTPUT if last else name)


def _shifted_bias(layer: FixedPointLayer) -> Integers:
    """Add half a step of the output to the bias where ties are rounded up."""
    if layer.output.rounding != "RND":
        return layer.bias
    half = layer.output.fraction + 1
    finest = max(layer.bias.fraction, half)
    return Integers((layer.bias.steps << (finest - layer.bias.fraction)) + (1 << (finest - half)), finest)


def _form_of(numbers: Integers) -> FixedPoint:
    """Return a format that holds these numbers."""
    bits = 1 + max(1, int(np.abs(numbers.steps).max()).bit_length())
    return FixedPoint.model_construct(
        bits=bits, integer=bits - numbers.fraction, signed=True, rounding="RND_CONV", overflow="SAT"
    )
