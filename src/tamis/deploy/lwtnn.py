"""A classifier as JSON for lwtnn (https://github.com/lwtnn/lwtnn), written from its plain JSON.

The format is that of `lwt::parse_json` and `lwt::LightweightNeuralNetwork`: inputs with offset and scale, then dense
layers. What it cannot express is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.errors import UntranslatableError

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Document = dict[str, Any]

_NAMES = {"relu": "rectified", "sigmoid": "sigmoid", "tanh": "tanh", "linear": "linear"}
_WITH_ALPHA = {"elu": "elu", "silu": "swish", "leaky_relu": "leakyrelu"}


def lwtnn_document(document: Mapping[str, Any]) -> Document:
    """Write a network of dense layers as lwtnn reads it.

    A feature that may be missing has its fill as default, which `lwt::NanReplacer` puts in the place of NaN; where it
    has an indicator, that is one more input, `NAME_is_missing`, which is 1 where the value is missing and 0 elsewhere.

    Args:
        document: of `plain_document`.

    Raises:
        UntranslatableError: the format has no words for a part of the classifier; all such parts are named.
    """
    found = list(_obstacles(document))
    if found:
        raise UntranslatableError(
            "lwtnn cannot express this classifier: " + "; ".join(found) + "; use ONNX, C++ or JSON for it"
        )
    network = document["networks"][0]
    names = [feature["name"] for feature in document["features"]]
    gains = np.ones(len(names) + len(network["indicators"]))
    if network["embedding"] is not None:
        gains = np.array(network["embedding"]["gain"])
    return {
        "inputs": _inputs(network, names, gains),
        "layers": [*map(_layer, network["layers"]), _output(document)],
        "outputs": document["classes"],
        "defaults": {
            feature["name"]: fill
            for feature, fill in zip(document["features"], network["fill"], strict=True)
            if feature["may_be_missing"]
        },
        "miscellaneous": {
            "producer": document["producer"],
            **{f"expression of {each['name']}": each["expression"] for each in document["features"]},
            **{
                f"sentinels of {each['name']}": " ".join(f"{value:.9g}" for value in each["sentinels"])
                for each in document["features"]
                if each["sentinels"]
            },
        },
    }


def _obstacles(document: Mapping[str, Any]) -> Iterator[str]:
    """Name everything that there are no words for."""
    network = document["networks"][0]
    if len(document["networks"]) > 1:
        yield f"it averages {len(document['networks'])} networks (training.seeds, split.folds)"
    if network["shared_members"] is not None:
        yield "its layers are shared by several members (network.members)"
    if document["copies"]:
        yield "it averages over symmetries (training.average_symmetries)"
    if network["scaling"]["kind"] not in ("standard", "none"):
        yield f"preprocessing.scaling is {network['scaling']['kind']}, and only standard and none are linear"
    if network["logarithm"] is not None:
        yield "features are replaced by their logarithms (preprocessing.logarithm)"
    if network["embedding"] is not None and network["embedding"]["kind"] != "gains":
        yield f"network.embedding is {network['embedding']['kind']}"
    calibration = document["calibration"]
    if calibration is not None and (
        len(set(calibration["of_all"]["scale"])) > 1 or any(calibration["of_all"]["offset"])
    ):
        yield "training.calibration is vector, and only a temperature is part of a layer"
    for number, layer in enumerate(network["layers"]):
        yield from (f"network.layers[{number}] {what}" for what in _obstacles_of_layer(layer))


def _obstacles_of_layer(layer: Mapping[str, Any]) -> Iterator[str]:
    if layer["output_format"] is not None:
        yield "is quantized"
    if layer["layer_normalisation"] is not None:
        yield "has a layer normalisation"
    if layer["residual"]:
        yield "is residual"
    if layer["activation"] not in {*_NAMES, *_WITH_ALPHA}:
        yield f"has the activation {layer['activation']}"


def _inputs(network: Mapping[str, Any], names: Sequence[str], gains: Float64) -> list[Document]:
    scaling = network["scaling"]
    centre = scaling.get("centre", [0.0] * len(names))
    scale = scaling.get("scale", [1.0] * len(names))
    found = [
        {"name": name, "offset": -middle, "scale": gain / width}
        for name, middle, width, gain in zip(names, centre, scale, gains.tolist(), strict=False)
    ]
    return found + [
        {"name": f"{names[index]}_is_missing", "offset": 0.0, "scale": gain}
        for index, gain in zip(network["indicators"], gains[len(names) :].tolist(), strict=True)
    ]


def _layer(layer: Mapping[str, Any]) -> Document:
    name, slope = layer["activation"], layer["slope"]
    alpha = 1.0 if slope is None else slope
    activation = {"function": _WITH_ALPHA[name], "alpha": alpha} if name in _WITH_ALPHA else _NAMES[name]
    return _dense(layer["weight"], layer["bias"], activation)


def _output(document: Mapping[str, Any]) -> Document:
    """Write the output layer; a temperature is a factor of its numbers."""
    output, calibration = document["networks"][0]["outputs"][0], document["calibration"]
    factor = 1.0 if calibration is None else calibration["of_all"]["scale"][0]
    return _dense(
        (factor * np.array(output["weight"])).tolist(),
        (factor * np.array(output["bias"])).tolist(),
        "softmax",
    )


def _dense(weight: list[list[float]], bias: list[float], activation: Any) -> Document:
    # one row after the other, a row for each node
    flat = [number for row in weight for number in row]
    return {"architecture": "dense", "weights": flat, "bias": bias, "activation": activation}


def lwtnn_scores(document: Mapping[str, Any], given: Mapping[str, Float32]) -> Float32:
    """Compute the scores as lwtnn does, [n, n_classes].

    (input + offset) * scale, then for each layer activation(weights @ x + bias); from the library's `InputPreprocessor`
    and `Stack`.

    Args:
        document: of `lwtnn_document`, or read from JSON.
        given: values of each input, NaN where missing, [n] each.
    """
    columns = []
    for each in document["inputs"]:
        values = np.asarray(given[each["name"]], np.float64)
        default = document["defaults"].get(each["name"])
        values = values if default is None else np.where(np.isfinite(values), values, default)
        columns.append((values + each["offset"]) * each["scale"])
    x = np.stack(columns, axis=1)
    for layer in document["layers"]:
        weights = np.array(layer["weights"]).reshape(len(layer["bias"]), -1)
        x = _activated(layer["activation"], x @ weights.T + np.array(layer["bias"]))
    return x.astype(np.float32)


def _activated(activation: Any, x: Float64) -> Float64:
    if isinstance(activation, Mapping):
        return np.asarray(_ALPHA_FUNCTIONS[activation["function"]](x, activation["alpha"]))
    return np.asarray(_FUNCTIONS[activation](x))


def _sigmoid(x: Float64) -> Float64:
    return np.asarray(1 / (1 + np.exp(np.minimum(-x, 700.0))))


def _softmax(x: Float64) -> Float64:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


_FUNCTIONS: Mapping[str, Callable[[Float64], Float64]] = {
    "rectified": lambda x: np.maximum(x, 0.0),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "linear": lambda x: x,
    "softmax": _softmax,
}
_ALPHA_FUNCTIONS: Mapping[str, Callable[[Float64, float], Float64]] = {
    "elu": lambda x, alpha: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "swish": lambda x, alpha: x * _sigmoid(alpha * x),
    "leakyrelu": lambda x, alpha: np.where(x > 0, x, alpha * x),
}
