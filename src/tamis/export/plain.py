"""A classifier as a plain document: all arrays and rules that determine the scores.

It is lowered to primitive operations (`lower.py`), and is the content of plain JSON; `docs/formats.md` describes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from tamis.calibration import Scaling
from tamis.classifier import Classifier, Member
from tamis.classifier.missing import sentinels_of
from tamis.config import FixedPoint
from tamis.machine import tamis_version
from tamis.network.activations import ACTIVATIONS
from tamis.network.embeddings import Embedding, Periodic, PiecewiseLinear
from tamis.network.layers import VARIANCE_EPSILON, BatchNormalisation, Dense, LayerNormalisation
from tamis.network.network import Network
from tamis.network.preprocessing import Preprocessing
from tamis.network.primitives import GraphBuilder
from tamis.network.quantized import Quantized
from tamis.network.sparse import Sparse
from tamis.network.symmetries import Copy

Document = dict[str, Any]
Arrays = dict[str, NDArray[np.float64]]


def build_plain_document(classifier: Classifier) -> Document:
    """Build the plain document of a classifier, of arrays, numbers and texts.

    Sparse layers become matrices with zeros, quantized weights are in fixed point, and batch normalisation is folded
    into the weights.
    """
    plan, calibration = classifier.plan, classifier.calibration
    networks = [
        _describe_member(member, planned.fold)
        for member, planned in zip(classifier.members, plan.members, strict=True)
    ]
    return {
        "format": "tamis plain",
        "version": 1,
        "producer": f"tamis {tamis_version()}",
        "features": [
            {
                "name": feature.name,
                "expression": feature.expression,
                "unit": feature.unit,
                "may_be_missing": feature.missing is not None,
                "sentinels": list(sentinels_of(feature)),
            }
            for feature in classifier.features
        ],
        "classes": list(classifier.class_names),
        "networks": networks,
        "activations": {
            name: describe_activation(name)
            for name in sorted({layer["activation"] for network in networks for layer in network["layers"]})
        },
        "copies": [describe_copy(copy) for copy in classifier.list_copies()],
        "folds": plan.folds and plan.folds.model_dump(),
        "calibration": calibration
        and {
            "of_all": _describe_scaling(calibration.of_all),
            "of_folds": {
                str(fold): _describe_scaling(scaling) for fold, scaling in calibration.of_folds.items()
            },
        },
    }


def list_arrays(document: Any, name: str = "") -> Arrays:
    """List the arrays of a document, or of the part of it with this path, by their paths.

    The output layers of members that share their layers are one array.

    >>> list_arrays({"networks": [{"fill": [1.0]}, {"fill": [2.0]}]})
    {'networks.0.fill': array([1.]), 'networks.1.fill': array([2.])}
    """
    prefix = f"{name}." if name else ""
    if isinstance(document, Mapping):
        parts = [
            (_output_arrays if key == "outputs" else list_arrays)(value, f"{prefix}{key}")
            for key, value in document.items()
            if key != "activations"
        ]
    elif isinstance(document, list) and document and isinstance(document[0], Mapping):
        parts = [list_arrays(value, f"{prefix}{number}") for number, value in enumerate(document)]
    elif isinstance(document, np.ndarray) or (
        isinstance(document, list) and not (document and isinstance(document[0], str))
    ):
        return {name: np.asarray(document, np.float64)}
    else:
        return {}
    return {key: values for part in parts for key, values in part.items()}


def _output_arrays(outputs: Sequence[Document], name: str) -> Arrays:
    arrays = {key: np.array([output[key] for output in outputs], np.float64) for key in ("weight", "bias")}
    return {f"{name}.{key}": values[0] if len(values) == 1 else values for key, values in arrays.items()}


def describe_activation(name: str) -> list[Document]:
    """List the primitives of an activation of `x`, and of the layer's `slope`."""
    builder = GraphBuilder()
    x, slope = (builder.add_input(argument, (), "float64") for argument in ("x", "slope"))
    graph = builder.build(ACTIVATIONS[name].primitives(x, slope))
    return [
        {"name": node.name, "operation": node.operation, "inputs": list(node.inputs)} for node in graph.nodes
    ]


def _numbers(values: Any) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)


def _describe_scaling(scaling: Scaling) -> Document:
    return {"scale": list(scaling.scale), "offset": list(scaling.offset)}


def _describe_member(member: Member, fold: int | None) -> Document:
    network = member.network
    # a quantized output layer has a format like the hidden layers
    has_format = isinstance(network.layers[-1], Quantized)
    return {
        "fold": fold,
        **describe_preprocessing(member.preprocessing),
        "embedding": None if network.embedding is None else _describe_embedding(network.embedding),
        "gains": None if network.gains is None else _numbers(network.gains.factors),
        "shared_members": None if network.scales is None else _numbers(network.scales),
        "layers": [describe_layer(layer) for layer in network.layers[: None if has_format else -1]],
        "outputs": _describe_outputs(network),
    }


def describe_preprocessing(preprocessing: Preprocessing) -> Document:
    """Describe the preprocessing of the features."""
    logarithm, quantiles = preprocessing.logarithm, preprocessing.quantiles
    scaling: Document = {"kind": preprocessing.scaling}
    if quantiles is not None:
        scaling |= {"knots": _numbers(quantiles.knots), "values": _numbers(quantiles.values)}
    elif preprocessing.scaling != "none":
        scaling |= {"centre": _numbers(preprocessing.centre), "scale": _numbers(preprocessing.scale)}
    return {
        "fill": _numbers(preprocessing.fill),
        "logarithm": logarithm
        and {
            "features": list(logarithm.features),
            "lowest": _numbers(logarithm.lowest),
            "typical": _numbers(logarithm.typical),
        },
        "scaling": scaling,
        "indicators": list(preprocessing.indicators),
    }


def _describe_embedding(embedding: Embedding) -> Document:
    match embedding:
        case PiecewiseLinear():
            return {"kind": "piecewise_linear", "edges": _numbers(embedding.edges.value)}
        case Periodic():
            return {
                "kind": "periodic",
                "frequency": _numbers(np.float32(2 * np.pi) * np.asarray(embedding.frequency)),
                "weight": _numbers(embedding.weight),
                "bias": _numbers(embedding.bias),
            }
        case _:
            assert_never(embedding)


def describe_layer(layer: Dense | Sparse | Quantized) -> Document:
    """Describe a layer."""
    match layer:
        case Dense():
            return _describe_dense(layer)
        case Sparse():
            return {**_describe_dense(layer.effective), "type": "sparse"}
        case Quantized():
            forms = {name: getattr(layer.formats, name) for name in ("weight", "bias", "output", "input")}
            return {
                **_layer_without_weights(layer.section.activation),
                "type": "quantized",
                "weight": _numbers(layer.weight),
                "bias": _numbers(layer.bias),
                **{f"{name}_format": form and describe_format(form) for name, form in forms.items()},
            }
        case _:
            assert_never(layer)


def _layer_without_weights(activation: str) -> Document:
    return {
        "type": "dense", "activation": activation, "slope": None, "layer_normalisation": None, "residual": False,
        "input_format": None, "weight_format": None, "bias_format": None, "output_format": None,
    }  # fmt: skip


def _describe_dense(layer: Dense) -> Document:
    weight, bias = np.asarray(layer.weight, np.float64), np.asarray(layer.bias, np.float64)
    described = _layer_without_weights(layer.activation) | {"residual": layer.residual}
    if layer.activation == "leaky_relu":
        described["slope"] = float(np.float32(layer.slope))
    match layer.normalisation:
        case None:
            pass
        case LayerNormalisation(scale=scale):
            described["layer_normalisation"] = _numbers(scale)
        case BatchNormalisation(scale=scale, mean=mean, variance=variance):
            # in prediction it is linear, and is folded into the weights
            factor = _numbers(scale) / np.sqrt(_numbers(variance.value) + VARIANCE_EPSILON)
            weight, bias = factor[:, None] * weight, bias - factor * _numbers(mean.value)
        case _:
            assert_never(layer.normalisation)
    return {**described, "weight": weight, "bias": bias}


def describe_format(form: FixedPoint) -> Document:
    """Describe a fixed-point format."""
    return {
        "bits": form.bits, "fraction": form.fraction, "lowest": form.lowest, "highest": form.highest,
        "rounding": form.rounding, "overflow": form.overflow,
    }  # fmt: skip


def _describe_outputs(network: Network) -> list[Document]:
    """Describe the output layer of each shared member, with a row for each class."""
    layer = network.layers[-1]
    weight, bias = np.asarray(layer.weight, np.float64), np.asarray(layer.bias, np.float64)
    if isinstance(layer, Quantized):
        weight, bias = np.eye(layer.outputs), np.zeros(layer.outputs)
    if network.scales is None:
        weight, bias = weight[None], bias[None]
    if layer.outputs == 1:  # the logit of the first of two classes is zero
        weight = np.concatenate([np.zeros_like(weight), weight], axis=1)
        bias = np.concatenate([np.zeros_like(bias), bias], axis=1)
    return [{"weight": row, "bias": offset} for row, offset in zip(weight, bias, strict=True)]


def describe_copy(copy: Copy) -> Document:
    """Describe a copy of an event."""
    return {
        "source": copy.source.tolist(),
        **{name: _numbers(getattr(copy, name)) for name in ("sign", "shift", "start", "period")},
        "exchanges": [list(columns) for columns in copy.exchanges],
    }
