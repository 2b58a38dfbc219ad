"""Exact comparison of every number of a classifier with the intermediate form, and of that with a written file.

`list_constants` lists the numbers of the classifier by their paths in the plain document, directly from the arrays of
`weights.safetensors`. Each format reads the numbers of its file back under the same names. Whether they are used
correctly is checked by the comparison of scores (`agreement.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.classifier import Classifier, Member
from tamis.classifier.arrays import member_arrays
from tamis.classifier.missing import sentinels_of
from tamis.errors import ExportError
from tamis.network.embeddings import Periodic
from tamis.network.fixed_point import quantize_to_integers
from tamis.network.layers import VARIANCE_EPSILON, BatchNormalisation, Dense, LayerNormalisation
from tamis.network.quantized import Quantized
from tamis.network.sparse import Sparse

Array = NDArray[Any]
Constants = dict[str, Array]


def list_constants(classifier: Classifier) -> Constants:
    """List the numbers of a classifier by name, in 64 bits; a batch normalisation is part of the weights."""
    constants = {
        f"features.{index}.sentinels": np.array(sentinels_of(feature), np.float64)
        for index, feature in enumerate(classifier.features)
    }
    for number, member in enumerate(classifier.members):
        for name, values in _member_constants(member):
            constants[f"networks.{number}.{name}"] = np.asarray(values, np.float64)
    if classifier.calibration is not None:
        scalings = {"of_all": classifier.calibration.of_all}
        scalings |= {f"of_folds.{fold}": scaling for fold, scaling in classifier.calibration.of_folds.items()}
        for name, scaling in scalings.items():
            for key in ("scale", "offset"):
                constants[f"calibration.{name}.{key}"] = np.array(getattr(scaling, key), np.float64)
    return constants


def check_constants(expected: Constants, stored: Mapping[str, Any], file: str) -> None:
    """Compare the numbers of a file, in its precision, with the classifier; an `ExportError` names one that differs."""
    for name, values in expected.items():
        if name not in stored:
            raise ExportError(f"{name} of the classifier is missing in {file}; {_ADVICE}")
        numbers = np.asarray(stored[name])
        if numbers.shape != values.shape:
            raise ExportError(
                f"{name} has the shape {numbers.shape} in {file}, but {values.shape} in the classifier; {_ADVICE}"
            )
        narrowed = values.astype(numbers.dtype)
        wrong = np.flatnonzero((numbers != narrowed).ravel())
        if len(wrong):
            first = int(wrong[0])
            raise ExportError(
                f"{name} differs between {file} and the classifier: number {first} is "
                f"{numbers.ravel()[first]:.9g} instead of {narrowed.ravel()[first]:.9g} ({len(wrong)} differ); "
                f"{_ADVICE}"
            )


_ADVICE = "the file was not written. Please report it with the configuration"


_SAME_ARRAYS = {
    "preprocessing.fill": "fill",
    "preprocessing.lowest": "logarithm.lowest",
    "preprocessing.typical": "logarithm.typical",
    "preprocessing.knots": "scaling.knots",
    "preprocessing.values": "scaling.values",
    "embedding.edges.value": "embedding.edges",
    "embedding.weight": "embedding.weight",
    "embedding.bias": "embedding.bias",
    "scales": "shared_members",
}
"""Names in the plain document of arrays of `weights.safetensors` that are the same there."""


def _member_constants(member: Member) -> Iterator[tuple[str, Any]]:
    arrays = member_arrays((member,))
    preprocessing, network = member.preprocessing, member.network
    yield from ((name, arrays[stored]) for stored, name in _SAME_ARRAYS.items() if stored in arrays)
    if preprocessing.scaling in ("standard", "robust"):
        yield from ((f"scaling.{name}", arrays[f"preprocessing.{name}"]) for name in ("centre", "scale"))
    if network.gains is not None:
        yield "gains", np.float32(1) + np.float32(network.gains.speed) * arrays["gains.gain"]
    if isinstance(network.embedding, Periodic):
        yield "embedding.frequency", np.float32(2 * np.pi) * arrays["embedding.frequency"]
    *hidden, output = network.layers
    for number, layer in enumerate(hidden):
        yield from _layer_constants(layer, f"layers.{number}")
    yield from _output_constants(output, len(hidden))


def _layer_constants(layer: Dense | Sparse | Quantized, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(layer, Quantized):
        # computed from integers, independently of the floating-point quantizer of the network
        for key in ("weight", "bias"):
            learned, form = np.asarray(getattr(layer.dense, key)), getattr(layer.formats, key)
            yield f"{name}.{key}", quantize_to_integers(learned, form).values
        return
    dense = layer.dense if isinstance(layer, Sparse) else layer
    weight, bias = np.asarray(dense.weight, np.float64), np.asarray(dense.bias, np.float64)
    if isinstance(layer, Sparse):
        weight = weight * (np.asarray(layer.mask.value) > 0)
    rule = dense.normalisation
    if isinstance(rule, BatchNormalisation):
        mean, variance = (np.asarray(statistic.value, np.float64) for statistic in (rule.mean, rule.variance))
        factor = np.asarray(rule.scale, np.float64) / np.sqrt(variance + VARIANCE_EPSILON)
        weight, bias = factor[:, None] * weight, bias - factor * mean
    elif isinstance(rule, LayerNormalisation):
        yield f"{name}.layer_normalisation", rule.scale
    yield from ((f"{name}.weight", weight), (f"{name}.bias", bias))


def _output_constants(output: Dense | Quantized, number: int) -> Iterator[tuple[str, Any]]:
    """List the output layers of all shared members, with zeros for the first class of one output."""
    if isinstance(output, Quantized):
        yield from _layer_constants(output, f"layers.{number}")
        weight, bias = np.eye(output.outputs), np.zeros(output.outputs)
    else:
        weight, bias = np.asarray(output.weight), np.asarray(output.bias)
    added = int(output.outputs == 1)
    unchanged = [(0, 0)] * (weight.ndim - 2)
    yield "outputs.weight", np.pad(weight, [*unchanged, (added, 0), (0, 0)])
    yield "outputs.bias", np.pad(bias, [*unchanged, (added, 0)])
