"""Write a classifier as JSON for lwtnn (https://github.com/lwtnn/lwtnn), from its plain document.

The format is that of `lwt::parse_json` and `lwt::LightweightNeuralNetwork`: inputs with offset and scale, then dense
layers. A classifier that it cannot express is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

from tamis.arrays import Float32, Float64
from tamis.classifier import Classifier
from tamis.classifier.missing import apply_rules
from tamis.errors import UntranslatableError
from tamis.export.constants import check_constants
from tamis.export.plain import Document, list_arrays

_NAMES = {"relu": "rectified", "sigmoid": "sigmoid", "tanh": "tanh", "linear": "linear"}
_WITH_ALPHA = {"elu": "elu", "silu": "swish", "leaky_relu": "leakyrelu"}


def build_lwtnn_document(document: Mapping[str, Any]) -> Document:
    """Build the JSON of a network of dense layers for lwtnn.

    A feature that may be missing has its fill value as default, which `lwt::NanReplacer` puts for NaN. Its indicator,
    if any, is another input, `NAME_is_missing`, which is 1 if the value is missing and 0 otherwise. An
    `UntranslatableError` lists all reasons why the format cannot express the classifier.
    """
    reasons = list(_list_reasons(document))
    if reasons:
        listed = "\n".join(f"  {reason}" for reason in reasons)
        raise UntranslatableError(
            f"lwtnn cannot express this classifier; use ONNX, C++ or JSON instead:\n{listed}"
        )
    features, network = document["features"], document["networks"][0]
    output, factor = network["outputs"][0], _read_temperature_scale(document)
    return {
        "inputs": _list_inputs(network, [feature["name"] for feature in features]),
        "layers": [
            *(_dense(layer["weight"], layer["bias"], _activation(layer)) for layer in network["layers"]),
            _dense(factor * np.array(output["weight"]), factor * np.array(output["bias"]), "softmax"),
        ],
        "outputs": document["classes"],
        "defaults": {
            feature["name"]: float(fill)
            for feature, fill in zip(features, network["fill"], strict=True)
            if feature["may_be_missing"]
        },
        "miscellaneous": {
            "producer": document["producer"],
            **{f"expression of {feature['name']}": feature["expression"] for feature in features},
            **{
                f"sentinels of {feature['name']}": " ".join(f"{value:.9g}" for value in feature["sentinels"])
                for feature in features
                if feature["sentinels"]
            },
        },
    }


def _list_reasons(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the reasons why the format cannot express a classifier."""
    network = document["networks"][0]
    if len(document["networks"]) > 1:
        yield f"it averages {len(document['networks'])} networks (training.ensemble, split.folds)"
    if network["shared_members"] is not None:
        yield "its layers are shared by several members (network.shared_members)"
    if document["copies"]:
        yield "it averages over symmetries (training.test_time_augmentation)"
    if network["scaling"]["kind"] not in ("standard", "none"):
        yield f"preprocessing.scaling is {network['scaling']['kind']}; only standard and none are linear"
    if network["logarithm"] is not None:
        yield "features are replaced by their logarithms (preprocessing.logarithm)"
    if network["embedding"] is not None:
        yield f"network.embedding is {network['embedding']['kind']}"
    calibration = document["calibration"]
    if calibration is not None and (
        len(set(calibration["of_all"]["scale"])) > 1 or any(calibration["of_all"]["offset"])
    ):
        yield "training.calibration is vector; only a temperature can be part of a layer"
    for number, layer in enumerate(network["layers"]):
        path = f"network.layers[{number}]"
        if layer["output_format"] is not None:
            yield f"{path} is quantized"
        if layer["layer_normalisation"] is not None:
            yield f"{path} has a layer normalisation"
        if layer["residual"]:
            yield f"{path} is residual"
        if layer["activation"] not in {*_NAMES, *_WITH_ALPHA}:
            yield f"{path} has the activation {layer['activation']}"


def _read_temperature_scale(document: Mapping[str, Any]) -> float:
    """Return the factor of all logits, by which the output layer is multiplied."""
    return 1.0 if document["calibration"] is None else float(document["calibration"]["of_all"]["scale"][0])


def _list_inputs(network: Mapping[str, Any], names: Sequence[str]) -> list[Document]:
    scaling, gains = network["scaling"], network["gains"]
    if gains is None:
        gains = np.ones(len(names) + len(network["indicators"]))
    centre = scaling.get("centre", np.zeros(len(names)))
    scale = scaling.get("scale", np.ones(len(names)))
    scaled = [
        {"name": name, "offset": -float(middle), "scale": float(gain / width)}
        for name, middle, width, gain in zip(names, centre, scale, gains, strict=False)
    ]
    return scaled + [
        {"name": f"{names[index]}_is_missing", "offset": 0.0, "scale": float(gain)}
        for index, gain in zip(network["indicators"], gains[len(names) :], strict=True)
    ]


def _activation(layer: Mapping[str, Any]) -> str | Document:
    name, slope = layer["activation"], layer["slope"]
    if name in _NAMES:
        return _NAMES[name]
    return {"function": _WITH_ALPHA[name], "alpha": 1.0 if slope is None else slope}


def _dense(weight: Float64, bias: Float64, activation: Any) -> Document:
    # one row after the other, a row for each node
    return {"architecture": "dense", "weights": weight.ravel(), "bias": bias, "activation": activation}


def check_lwtnn_constants(document: Mapping[str, Any], written: Mapping[str, Any], file: str) -> None:
    """Compare every number of the content of a file for lwtnn with the plain document, or raise an `ExportError`."""
    network, rules = document["networks"][0], document["features"]
    arrays = list_arrays(network)
    features, layers = len(rules), len(network["layers"])
    inputs = features + len(network["indicators"])
    centre, scale = np.zeros(inputs), np.ones(inputs)
    centre[:features] = arrays.get("scaling.centre", np.zeros(features))
    scale[:features] = arrays.get("scaling.scale", np.ones(features))
    factor = _read_temperature_scale(document)
    expected = {"offset": -centre, "scale": arrays.get("gains", np.ones(inputs)) / scale}
    stored = {key: np.array([entry[key] for entry in written["inputs"]]) for key in ("offset", "scale")}
    for number, layer in enumerate(written["layers"]):
        name, size = ("outputs", factor) if number == layers else (f"layers.{number}", 1.0)
        for key, written_key in (("weight", "weights"), ("bias", "bias")):
            expected[f"{name}.{key}"] = size * arrays[f"{name}.{key}"].ravel()
            stored[f"{name}.{key}"] = np.array(layer[written_key])
    allowed = [rule["may_be_missing"] for rule in rules]
    names = [rule["name"] for rule in rules if rule["may_be_missing"]]
    expected["defaults"] = arrays["fill"][allowed]
    stored["defaults"] = np.array([written["defaults"][name] for name in names], np.float64)
    check_constants(expected, stored, file)


def compute_lwtnn_inputs(classifier: Classifier, features_as_passed: Float32) -> dict[str, Float32]:
    """Compute the inputs of lwtnn by name, NaN if missing, from features as a user passes them, [n, n_features]."""
    features = apply_rules(features_as_passed, classifier.features)
    names = classifier.feature_names
    columns = {name: features[:, index] for index, name in enumerate(names)}
    return columns | {
        f"{names[index]}_is_missing": np.isnan(features[:, index]).astype(np.float32)
        for index in classifier.preprocessing.indicators
    }


def compute_lwtnn_scores(document: Mapping[str, Any], inputs: Mapping[str, Float32]) -> Float32:
    """Compute the scores as lwtnn does, [n, n_classes], from the values of each input, NaN if missing, [n] each.

    They are (input + offset) * scale, then activation(weights @ x + bias) for each layer, as in the library's
    `InputPreprocessor` and `Stack`.
    """
    columns = []
    for entry in document["inputs"]:
        values = np.asarray(inputs[entry["name"]], np.float64)
        default = document["defaults"].get(entry["name"])
        values = values if default is None else np.where(np.isfinite(values), values, default)
        columns.append((values + entry["offset"]) * entry["scale"])
    x = np.stack(columns, axis=1)
    for layer in document["layers"]:
        weights = np.array(layer["weights"]).reshape(len(layer["bias"]), -1)
        activation = layer["activation"]
        if isinstance(activation, str):
            activation = {"function": activation, "alpha": 1.0}
        nodes = x @ weights.T + np.array(layer["bias"])
        x = np.asarray(_FUNCTIONS[activation["function"]](nodes, activation["alpha"]))
    return x.astype(np.float32)


_FUNCTIONS: Mapping[str, Callable[[Float64, float], Float64]] = {
    "rectified": lambda x, _: np.maximum(x, 0.0),
    "sigmoid": lambda x, _: special.expit(x),
    "tanh": lambda x, _: np.tanh(x),
    "linear": lambda x, _: x,
    "softmax": lambda x, _: special.softmax(x, axis=1),
    "elu": lambda x, alpha: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "swish": lambda x, alpha: x * special.expit(alpha * x),
    "leakyrelu": lambda x, alpha: np.where(x > 0, x, alpha * x),
}
