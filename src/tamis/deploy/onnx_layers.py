"""Layers, activations and embeddings as nodes of a graph, on events that lie along the first axis."""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from tamis.deploy.onnx_fixed_point import quantize
from tamis.deploy.onnx_graph import Graph, Value
from tamis.network.activations import ActivationName
from tamis.network.embeddings import Embedding, Gains, Periodic, PiecewiseLinear
from tamis.network.layers import BatchNormalisation, Dense, LayerNormalisation
from tamis.network.quantized import Quantized
from tamis.network.sparse import Sparse

_SAME_AS_ONE = 20.0
"""Where tanh(softplus(x)) is 1 in 32 bits."""


def apply_layer(graph: Graph, layer: Dense | Sparse | Quantized, x: Value, name: str) -> Value:
    """Apply a layer, [n, inputs] to [n, outputs].

    Args:
        graph: to add to.
        layer: of the network.
        x: its inputs.
        name: of the layer, which the names of its constants begin with.
    """
    match layer:
        case Dense():
            return _dense(graph, layer, x, name)
        case Sparse():
            return _dense(graph, layer.effective, x, name)
        case Quantized():
            return _quantized(graph, layer, x, name)
        case _:
            assert_never(layer)


def _dense(graph: Graph, layer: Dense, x: Value, name: str) -> Value:
    weight, bias = graph.array(layer.weight, f"{name}.weight"), graph.array(layer.bias, f"{name}.bias")
    if layer.normalisation is None:
        nodes = graph("Gemm", x, weight, bias, transB=1)
    else:
        nodes = graph("Gemm", x, weight, transB=1)
        nodes = graph("Add", _normalise(graph, layer.normalisation, nodes, name), bias)
    nodes = activate(graph, layer.activation, nodes, layer.slope)
    return graph("Add", nodes, x) if layer.residual else nodes


def _normalise(
    graph: Graph, normalisation: LayerNormalisation | BatchNormalisation, x: Value, name: str
) -> Value:
    match normalisation:
        case LayerNormalisation():
            deviation = graph("Sub", x, graph("ReduceMean", x, axes=[1], keepdims=1))
            variance = graph("ReduceMean", graph("Mul", deviation, deviation), axes=[1], keepdims=1)
            width = graph("Sqrt", graph("Add", variance, graph.number(1e-5)))
            scaled = graph("Mul", deviation, graph.array(normalisation.scale, f"{name}.scale"))
            return graph("Div", scaled, width)
        case BatchNormalisation():
            deviation = graph("Sub", x, graph.array(normalisation.mean.value, f"{name}.mean"))
            variance_of_all = np.asarray(normalisation.variance.value, np.float64)
            factor = np.asarray(normalisation.scale, np.float64) / np.sqrt(variance_of_all + 1e-5)
            return graph("Mul", deviation, graph.array(factor, f"{name}.scale"))
        case _:
            assert_never(normalisation)


def _quantized(graph: Graph, layer: Quantized, x: Value, name: str) -> Value:
    formats = layer.formats
    if formats.input is not None:
        x = quantize(graph, x, formats.input)
    weight, bias = graph.array(layer.weight, f"{name}.weight"), graph.array(layer.bias, f"{name}.bias")
    # exact in every order of the sums: the configuration allows no more bits
    nodes = activate(graph, layer.section.activation, graph("Gemm", x, weight, bias, transB=1))
    return quantize(graph, nodes, formats.output)


def activate(graph: Graph, name: ActivationName, x: Value, slope: float = 0.01) -> Value:
    """Apply an activation to every node.

    Args:
        graph: to add to.
        name: of the activation.
        x: the nodes.
        slope: of `leaky_relu` below zero.
    """
    match name:
        case "relu":
            return graph("Relu", x)
        case "leaky_relu":
            return graph("LeakyRelu", x, alpha=slope)
        case "elu":
            return graph("Elu", x, alpha=1.0)
        case "selu":
            return graph("Selu", x)
        case "gelu":
            return _gelu(graph, x)
        case "silu":
            return graph("Div", x, _one_and_exponential(graph, x))
        case "mish":
            return _mish(graph, x)
        case "tanh":
            return graph("Tanh", x)
        case "sigmoid":
            return graph("Div", graph.number(1), _one_and_exponential(graph, x))
        case "softplus":
            return _softplus(graph, x)
        case "linear":
            return x
        case _:
            assert_never(name)


def _one_and_exponential(graph: Graph, x: Value) -> Value:
    # the operator Sigmoid loses what is small: runtimes compute it with a ratio of polynomials
    return graph("Add", graph("Exp", graph("Neg", x)), graph.number(1))


def _gelu(graph: Graph, x: Value) -> Value:
    """Give x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 (arXiv:1606.08415)."""
    cube = graph("Mul", graph("Mul", x, x), x)
    inner = graph("Add", x, graph("Mul", cube, graph.number(0.044715)))
    inner = graph("Mul", inner, graph.number(math.sqrt(2 / math.pi)))
    half = graph("Mul", graph("Add", graph("Tanh", inner), graph.number(1)), graph.number(0.5))
    return graph("Mul", x, half)


def _mish(graph: Graph, x: Value) -> Value:
    """Give x tanh(log(1 + e^x)) as x s / (s + 2), s = e^x (e^x + 2) (arXiv:1908.08681)."""
    power = graph("Exp", graph("Min", x, graph.number(_SAME_AS_ONE)))
    part = graph("Mul", power, graph("Add", power, graph.number(2)))
    return graph("Mul", x, graph("Div", part, graph("Add", part, graph.number(2))))


def _softplus(graph: Graph, x: Value) -> Value:
    """Give log(1 + e^x) as max(x, 0) + log(1 + e^-|x|)."""
    small = graph("Exp", graph("Neg", graph("Abs", x)))
    return graph("Add", graph("Relu", x), graph("Log", graph("Add", small, graph.number(1))))


def embed(graph: Graph, embedding: Embedding, x: Value, name: str) -> Value:
    """Apply an embedding, [n, inputs] to [n, outputs].

    Args:
        graph: to add to.
        embedding: of the network.
        x: the inputs.
        name: which the names of its constants begin with.
    """
    match embedding:
        case Gains():
            gain = np.float32(1) + np.float32(embedding.speed) * np.asarray(embedding.gain)
            return graph("Mul", x, graph.row(gain, f"{name}.gain"))
        case PiecewiseLinear():
            return _piecewise_linear(graph, np.asarray(embedding.edges.value), x, name)
        case Periodic():
            return _periodic(graph, embedding, x, name)
        case _:
            assert_never(embedding)


def _piecewise_linear(graph: Graph, edges: NDArray[np.float32], x: Value, name: str) -> Value:
    inputs, bins = edges.shape[0], edges.shape[1] - 1
    width = np.maximum(edges[:, 1:] - edges[:, :-1], np.float32(1e-6))
    above = graph("Sub", graph.reshaped(x, -1, inputs, 1), graph.array(edges[:, :-1], f"{name}.edges"))
    share = graph("Div", above, graph.array(width, f"{name}.width"))
    return graph.reshaped(graph.clipped(share, graph.number(0), graph.number(1)), -1, inputs * bins)


def _periodic(graph: Graph, embedding: Periodic, x: Value, name: str) -> Value:
    frequency = np.float32(2 * np.pi) * np.asarray(embedding.frequency)
    inputs, nodes = embedding.bias.shape
    # the inputs first, so that each has its own product of matrices
    column = graph.reshaped(graph("Transpose", x, perm=[1, 0]), inputs, -1, 1)
    angle = graph("Mul", column, graph.array(frequency[:, None, :], f"{name}.frequency"))
    waves = graph("Concat", graph("Sin", angle), graph("Cos", angle), axis=2)
    weight = graph.array(np.swapaxes(embedding.weight, 1, 2), f"{name}.weight")
    bias = graph.array(np.asarray(embedding.bias)[:, None, :], f"{name}.bias")
    found = graph("Relu", graph("Add", graph("MatMul", waves, weight), bias))
    found = graph.reshaped(graph("Transpose", found, perm=[1, 0, 2]), -1, inputs * nodes)
    return graph("Concat", x, found, axis=1)
