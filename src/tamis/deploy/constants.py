"""Read every number of a classifier back from an exported file, and compare it exactly.

`classifier_constants` lists the numbers under the names that the plain JSON has for them; each form has a reader that
finds them in its file. What a number is used for the comparison of scores tests (`agreement.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamis.classifier import Classifier, Member
from tamis.classifier.arrays import member_arrays
from tamis.classifier.missing import sentinels_of
from tamis.errors import ExportError
from tamis.network.embeddings import Embedding, Gains, Periodic, PiecewiseLinear
from tamis.network.fixed_point import integers_of
from tamis.network.layers import BatchNormalisation, Dense, LayerNormalisation
from tamis.network.quantized import Quantized
from tamis.network.sparse import Sparse

if TYPE_CHECKING:
    from onnx import ModelProto

Array = NDArray[Any]
Constants = dict[str, Array]


def classifier_constants(classifier: Classifier, *, folded: bool = True) -> Constants:
    """List the numbers of a classifier by name, in 64 bits.

    Args:
        classifier: whose arrays `weights.safetensors` holds.
        folded: whether a batch normalisation is part of the weights; otherwise it is the entries `mean` and `scale`.
    """
    constants = {
        f"features.{index}.sentinels": np.array(sentinels_of(feature), np.float64)
        for index, feature in enumerate(classifier.features)
    }
    for number, member in enumerate(classifier.members):
        for name, values in _member_constants(member, folded=folded):
            constants[f"networks.{number}.{name}"] = np.asarray(values, np.float64)
    if classifier.calibration is not None:
        calibration = classifier.calibration
        scalings = {"of_all": calibration.of_all}
        scalings |= {f"of_folds.{fold}": scaling for fold, scaling in calibration.of_folds.items()}
        for name, scaling in scalings.items():
            constants[f"calibration.{name}.scale"] = np.array(scaling.scale, np.float64)
            constants[f"calibration.{name}.offset"] = np.array(scaling.offset, np.float64)
    return constants


def check_constants(expected: Constants, found: Mapping[str, Any], file: str) -> None:
    """Compare the numbers of a file with those of the classifier.

    Args:
        expected: by name.
        found: in the file, by the same names, in the precision of the file; others are ignored.
        file: its name, for the message.

    Raises:
        ExportError: a number is missing or is another one; it says which.
    """
    for name, values in expected.items():
        if name not in found:
            raise ExportError(f"{file} lacks the numbers {name} of the classifier; {_ADVICE}")
        stored = np.asarray(found[name])
        if stored.shape != values.shape:
            raise ExportError(
                f"{file} has {name} with the shape {stored.shape}, and the classifier {values.shape}; {_ADVICE}"
            )
        narrowed = values.astype(stored.dtype)
        wrong = np.flatnonzero((stored != narrowed).ravel())
        if len(wrong):
            first = int(wrong[0])
            raise ExportError(
                f"{file} has other numbers than the classifier in {name}: number {first} is "
                f"{stored.ravel()[first]:.9g} instead of {narrowed.ravel()[first]:.9g} ({len(wrong)} differ); {_ADVICE}"
            )


_ADVICE = "this form was not written. Please report it with the configuration"


def _member_constants(member: Member, *, folded: bool) -> Iterator[tuple[str, Any]]:
    arrays = member_arrays((member,))
    preprocessing, network = member.preprocessing, member.network
    yield "fill", arrays["preprocessing.fill"]
    if preprocessing.logarithm is not None:
        for name in ("lowest", "typical"):
            yield f"logarithm.{name}", arrays[f"preprocessing.{name}"]
    kinds = {"standard": ("centre", "scale"), "robust": ("centre", "scale"), "quantile": ("knots", "values")}
    for name in kinds.get(preprocessing.scaling, ()):
        yield f"scaling.{name}", arrays[f"preprocessing.{name}"]
    if network.embedding is not None:
        yield from _embedding_constants(network.embedding, arrays)
    if network.scales is not None:
        yield "shared_members", arrays["scales"]
    *hidden, output = network.layers
    for number, layer in enumerate(hidden):
        yield from _layer_constants(layer, f"layers.{number}", folded=folded)
    yield from _output_constants(output, len(hidden), shared=network.scales is not None)


def _embedding_constants(embedding: Embedding, arrays: Mapping[str, Array]) -> Iterator[tuple[str, Any]]:
    if isinstance(embedding, Gains):
        yield "embedding.gain", np.float32(1) + np.float32(embedding.speed) * arrays["embedding.gain"]
    elif isinstance(embedding, PiecewiseLinear):
        yield "embedding.edges", arrays["embedding.edges.value"]
    elif isinstance(embedding, Periodic):
        yield "embedding.frequency", np.float32(2 * np.pi) * arrays["embedding.frequency"]
        yield "embedding.weight", arrays["embedding.weight"]
        yield "embedding.bias", arrays["embedding.bias"]


def _layer_constants(
    layer: Dense | Sparse | Quantized, name: str, *, folded: bool
) -> Iterator[tuple[str, Any]]:
    if isinstance(layer, Quantized):
        # by integers, and not by the floating-point quantizer that the network is computed with
        for key in ("weight", "bias"):
            learned, form = np.asarray(getattr(layer.dense, key)), getattr(layer.formats, key)
            yield f"{name}.{key}", integers_of(learned, form).values
        return
    dense = layer.dense if isinstance(layer, Sparse) else layer
    weight, bias = np.asarray(dense.weight, np.float64), np.asarray(dense.bias, np.float64)
    if isinstance(layer, Sparse):
        weight = weight * (np.asarray(layer.mask.value) > 0)
    rule = dense.normalisation
    if isinstance(rule, BatchNormalisation):
        mean, variance = (np.asarray(each.value, np.float64) for each in (rule.mean, rule.variance))
        factor = np.asarray(rule.scale, np.float64) / np.sqrt(variance + 1e-5)
        if folded:
            weight, bias = factor[:, None] * weight, bias - factor * mean
        else:
            yield from ((f"{name}.mean", mean), (f"{name}.scale", factor))
    elif isinstance(rule, LayerNormalisation):
        yield f"{name}.layer_normalisation", rule.scale
    yield from ((f"{name}.weight", weight), (f"{name}.bias", bias))


def _output_constants(output: Dense | Quantized, number: int, *, shared: bool) -> Iterator[tuple[str, Any]]:
    """List the output layer of each shared member, with a row of zeros for the first class of one output."""
    if isinstance(output, Quantized):
        yield from _layer_constants(output, f"layers.{number}", folded=True)
        weights, biases = np.eye(output.outputs)[None], np.zeros((1, output.outputs))
    else:
        weights, biases = np.asarray(output.weight), np.asarray(output.bias)
        if not shared:
            weights, biases = weights[None], biases[None]
    for member, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        single = len(bias) == 1
        yield f"outputs.{member}.weight", np.pad(weight, ((1, 0), (0, 0))) if single else weight
        yield f"outputs.{member}.bias", np.pad(bias, (1, 0)) if single else bias


# plain JSON


def document_constants(document: Any, name: str = "") -> Constants:
    """List the numbers of a plain JSON by the path of the list that holds them."""
    if isinstance(document, Mapping):
        parts = [document_constants(value, f"{name}.{key}") for key, value in document.items()]
    elif isinstance(document, list) and document and isinstance(document[0], Mapping):
        parts = [document_constants(value, f"{name}.{number}") for number, value in enumerate(document)]
    elif isinstance(document, list) and not (document and isinstance(document[0], str)):
        return {name.removeprefix("."): np.array(document, np.float64)}
    else:
        return {}
    return {key: values for part in parts for key, values in part.items()}


# C++

_HEXADECIMAL = re.compile(r"-?0x[0-9a-f.]+p-?\d+")
_NETWORK = re.compile(
    r"^namespace network_(\d+) \{(.*?)^\}  // namespace network_\1$", re.DOTALL | re.MULTILINE
)
_TABLE = re.compile(
    r"^inline constexpr (float|double) (\w+?)((?:\[\d+\])+) = (\{.*?\});$", re.DOTALL | re.MULTILINE
)
_SCORES = re.compile(r"scores_(\d+)\(const Values& given\) \{(.*?)\n\}\n", re.DOTALL)
_LOGARITHM = re.compile(r"take_logarithm\(values\[\d+\], (\S+)f, (\S+)f\);")
_AVERAGE = re.compile(r"> average_(of_all|of_fold_\d+)\(const Values& given\) \{(.*?)\n\}\n", re.DOTALL)
_CORRECTION = re.compile(r"constexpr double (scale|offset)\[n_classes\] = (\{.*?\});")
_SENTINELS = re.compile(r"inside::remove\(given\[(\d+)\], (\{.*?\})\);")


def cpp_constants(header: str) -> Constants:
    """List the numbers of a header."""
    constants: Constants = {}
    for network, body in _NETWORK.findall(header):
        tables = {
            name: _numbers(text, kind).reshape([int(size) for size in re.findall(r"\d+", shape)])
            for kind, name, shape, text in _TABLE.findall(body)
        }
        scales = [tables.pop(name) for name in sorted(tables, key=_last_number) if name.startswith("scales_")]
        if scales:
            constants[f"networks.{network}.shared_members"] = np.stack(scales)
        constants |= {f"networks.{network}.{_path_of_table(name)}": values for name, values in tables.items()}
    for network, body in _SCORES.findall(header):
        pairs = _LOGARITHM.findall(body)
        for position, name in enumerate(("lowest", "typical")):
            if pairs:
                numbers = [float.fromhex(pair[position]) for pair in pairs]
                constants[f"networks.{network}.logarithm.{name}"] = np.array(numbers, np.float32)
    for name, body in _AVERAGE.findall(header):
        path = name.replace("of_fold_", "of_folds.")
        constants |= {
            f"calibration.{path}.{key}": _numbers(text, "double") for key, text in _CORRECTION.findall(body)
        }
    return constants | {
        f"features.{index}.sentinels": _numbers(text, "float") for index, text in _SENTINELS.findall(header)
    }


def _numbers(text: str, kind: str) -> Array:
    values = [float.fromhex(number) for number in _HEXADECIMAL.findall(text)]
    return np.array(values, np.float32 if kind == "float" else np.float64)


def _last_number(name: str) -> int:
    digits = re.search(r"\d+$", name)
    return int(digits.group()) if digits else 0


def _path_of_table(name: str) -> str:
    """Translate the name of a table.

    >>> [_path_of_table(name) for name in ("fill_values", "scaling_centre", "weight_2", "end_bias_0")]
    ['fill', 'scaling.centre', 'layers.2.weight', 'outputs.0.bias']
    """
    if name == "fill_values":
        return "fill"
    if name.startswith(("scaling_", "embedding_")):
        return name.replace("_", ".", 1)
    key, _, number = name.rpartition("_")
    if key.startswith("end_"):
        return f"outputs.{number}.{key.removeprefix('end_')}"
    return f"layers.{number}.{key.replace('normalisation', 'layer_normalisation')}"


# lwtnn


def expected_lwtnn_constants(classifier: Classifier) -> Constants:
    """List the numbers that a file for lwtnn holds, as it arranges them."""
    constants = classifier_constants(classifier)
    numbers = {name.removeprefix("networks.0."): values for name, values in constants.items()}
    features = len(classifier.features)
    inputs = classifier.preprocessing.inputs
    centre, scale = np.zeros(inputs), np.ones(inputs)
    centre[:features] = numbers.get("scaling.centre", np.zeros(features))
    scale[:features] = numbers.get("scaling.scale", np.ones(features))
    factor = 1.0 if classifier.calibration is None else classifier.calibration.of_all.scale[0]
    layers = len(classifier.network.layers) - 1
    expected = {"offset": -centre, "scale": numbers.get("embedding.gain", np.ones(inputs)) / scale}
    for number in range(layers):
        expected |= {
            f"layers.{number}.{key}": numbers[f"layers.{number}.{key}"].ravel() for key in ("weight", "bias")
        }
    expected |= {
        f"layers.{layers}.{key}": factor * numbers[f"outputs.0.{key}"].ravel() for key in ("weight", "bias")
    }
    allowed = [feature.missing is not None for feature in classifier.features]
    return {**expected, "defaults": numbers["fill"][allowed]}


def lwtnn_constants(document: Mapping[str, Any], classifier: Classifier) -> Constants:
    """List the numbers of a file for lwtnn."""
    constants = {key: np.array([each[key] for each in document["inputs"]]) for key in ("offset", "scale")}
    for number, layer in enumerate(document["layers"]):
        constants[f"layers.{number}.weight"] = np.array(layer["weights"])
        constants[f"layers.{number}.bias"] = np.array(layer["bias"])
    names = [feature.name for feature in classifier.features if feature.missing is not None]
    return {**constants, "defaults": np.array([document["defaults"][name] for name in names], np.float64)}


# ONNX


def expected_onnx_constants(classifier: Classifier) -> Constants:
    """List the numbers that an ONNX file holds, by the names of its initializers."""
    constants = classifier_constants(classifier, folded=False)
    expected: Constants = {}
    for number, member in enumerate(classifier.members):
        start = f"networks.{number}."
        prefix = "" if len(classifier.members) == 1 else f"/members.{number}"
        numbers = {
            name.removeprefix(start): values for name, values in constants.items() if name.startswith(start)
        }
        for name, values in _onnx_names(numbers, member):
            expected[f"{prefix}/{name}"] = values
    return expected


def _onnx_names(numbers: Constants, member: Member) -> Iterator[tuple[str, Array]]:
    network = member.network
    last = len(network.layers) - 1
    outputs = [
        [numbers[f"outputs.{index}.{key}"] for index in range(max(network.members, 1))]
        for key in ("weight", "bias")
    ]
    for name, values in numbers.items():
        part, _, key = name.rpartition(".")
        if name == "fill" or part in ("logarithm",) or name in ("scaling.centre", "scaling.scale"):
            yield f"preprocessing.{key}", values[None]
        elif name == "scaling.knots":
            yield "preprocessing.knots", _padded(values)
        elif name == "scaling.values":
            yield "preprocessing.values", _padded(values)
        elif name == "shared_members":
            yield "scales", values[:, None]
        elif name == "embedding.gain":
            yield name, values[None]
        elif name == "embedding.edges":
            yield name, values[:, :-1]
        elif name == "embedding.frequency":
            yield name, values[:, None]
        elif name in ("embedding.weight", "embedding.bias"):
            yield name, np.swapaxes(values, 1, 2) if key == "weight" else values[:, None]
        elif part == f"layers.{last}":  # in fixed point; two classes may have one output
            single = network.layers[-1].outputs == 1
            yield name, np.pad(values, [(1, 0)] + [(0, 0)] * (values.ndim - 1)) if single else values
        elif part.startswith("layers."):
            yield name.replace("layer_normalisation", "scale"), values
    if isinstance(network.layers[-1], Quantized):
        return
    weight, bias = (np.stack(each) for each in outputs)
    if network.scales is None:
        yield from ((f"layers.{last}.weight", weight[0]), (f"layers.{last}.bias", bias[0]))
    else:
        yield f"layers.{last}.weight", np.swapaxes(weight, 1, 2)
        yield f"layers.{last}.bias", bias[:, None]


def _padded(columns: Array) -> Array:
    length = 1 << (columns.shape[1] - 1).bit_length()
    return np.pad(columns, ((0, 0), (0, length - columns.shape[1])), "edge").ravel()


def onnx_constants(model: ModelProto) -> Constants:
    """List the initializers of an ONNX model by name."""
    from onnx import numpy_helper

    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
