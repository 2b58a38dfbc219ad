"""A classifier as plain JSON: every number and every rule that the scores follow from, and nothing else.

`docs/deployment.md` says what each key means. The header for C++ and the file for lwtnn are written from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from tamis.calibration import Scaling
from tamis.classifier import Classifier, Member
from tamis.classifier.missing import sentinels_of
from tamis.config import FixedPoint
from tamis.network.embeddings import Embedding, Gains, Periodic, PiecewiseLinear
from tamis.network.layers import BatchNormalisation, Dense, LayerNormalisation
from tamis.network.network import Network
from tamis.network.preprocessing import Preprocessing
from tamis.network.quantized import Quantized
from tamis.network.sparse import Sparse
from tamis.network.symmetries import Copy, build_symmetries
from tamis.provenance import tamis_version

Document = dict[str, Any]

_VARIANCE = 1e-5
"""What normalisations add to a variance."""


def plain_document(classifier: Classifier) -> Document:
    """Write all that the scores of a classifier follow from, as strict JSON can hold it.

    Sparse layers are matrices with zeros, quantized weights are those in fixed point, and batch normalisation is part
    of the weights.

    Args:
        classifier: to hand over.
    """
    copies: Sequence[Copy] = ()
    if classifier.draws:
        built = build_symmetries(classifier.symmetries, classifier.feature_names)
        copies = built.descriptions(classifier.draws)
    folds, calibration = classifier.folds, classifier.calibration
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
        "networks": [_member(member) for member in classifier.members],
        "copies": [_copy(copy) for copy in copies],
        "folds": None if folds is None else {"number": folds.number, "by": folds.by},
        "calibration": None
        if calibration is None
        else {
            "of_all": _scaling(calibration.of_all),
            "of_folds": {str(fold): _scaling(each) for fold, each in calibration.of_folds.items()},
        },
    }


def _numbers(values: Any) -> Any:
    """Give nested lists of numbers, exactly."""
    return np.asarray(values, np.float64).tolist()


def _scaling(scaling: Scaling) -> Document:
    return {"scale": list(scaling.scale), "offset": list(scaling.offset)}


def _member(member: Member) -> Document:
    network = member.network
    return {
        "fold": member.fold,
        **_preprocessing(member.preprocessing),
        "embedding": None if network.embedding is None else _embedding(network.embedding),
        "shared_members": None if network.scales is None else _numbers(network.scales),
        "layers": [_layer(layer) for layer in _hidden(network)],
        "outputs": _outputs(network),
    }


def _preprocessing(preprocessing: Preprocessing) -> Document:
    logarithm, quantiles = preprocessing.logarithm, preprocessing.quantiles
    scaling: Document = {"kind": preprocessing.scaling}
    if quantiles is not None:
        scaling |= {"knots": _numbers(quantiles.knots), "values": _numbers(quantiles.values)}
    elif preprocessing.scaling != "none":
        scaling |= {"centre": _numbers(preprocessing.centre), "scale": _numbers(preprocessing.scale)}
    return {
        "fill": _numbers(preprocessing.fill),
        "logarithm": None
        if logarithm is None
        else {
            "features": list(logarithm.features),
            "lowest": _numbers(logarithm.lowest),
            "typical": _numbers(logarithm.typical),
        },
        "scaling": scaling,
        "indicators": list(preprocessing.indicators),
    }


def _embedding(embedding: Embedding) -> Document:
    match embedding:
        case Gains():
            gain = np.float32(1) + np.float32(embedding.speed) * np.asarray(embedding.gain)
            return {"kind": "gains", "gain": _numbers(gain)}
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


def _layer(layer: Dense | Sparse | Quantized) -> Document:
    match layer:
        case Dense():
            return _dense(layer)
        case Sparse():
            return _dense(layer.effective)
        case Quantized():
            formats = layer.formats
            return {
                **_rest_of_layer(layer.section.activation),
                "weight": _numbers(layer.weight),
                "bias": _numbers(layer.bias),
                "input_format": None if formats.input is None else _format(formats.input),
                "output_format": _format(formats.output),
            }
        case _:
            assert_never(layer)


def _rest_of_layer(activation: str) -> Document:
    return {
        "activation": activation, "slope": None, "layer_normalisation": None, "residual": False,
        "input_format": None, "output_format": None,
    }  # fmt: skip


def _dense(layer: Dense) -> Document:
    weight, bias = np.asarray(layer.weight, np.float64), np.asarray(layer.bias, np.float64)
    found = _rest_of_layer(layer.activation) | {"residual": layer.residual}
    if layer.activation == "leaky_relu":
        found["slope"] = float(np.float32(layer.slope))
    match layer.normalisation:
        case None:
            pass
        case LayerNormalisation():
            found["layer_normalisation"] = _numbers(layer.normalisation.scale)
        case BatchNormalisation():
            weight, bias = _folded(layer.normalisation, weight, bias)
        case _:
            assert_never(layer.normalisation)
    return {**found, "weight": weight.tolist(), "bias": bias.tolist()}


def _folded(
    normalisation: BatchNormalisation, weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Make a batch normalisation, which is linear in prediction, part of the weights."""
    variance = np.asarray(normalisation.variance.value, np.float64)
    factor = np.asarray(normalisation.scale, np.float64) / np.sqrt(variance + _VARIANCE)
    return factor[:, None] * weight, bias - factor * np.asarray(normalisation.mean.value, np.float64)


def _format(form: FixedPoint) -> Document:
    return {
        "bits": form.bits, "fraction": form.fraction, "lowest": form.lowest, "highest": form.highest,
        "rounding": form.rounding, "overflow": form.overflow,
    }  # fmt: skip


def _hidden(network: Network) -> Sequence[Dense | Sparse | Quantized]:
    """Give the layers before the output layer; one in fixed point has a format, and counts as one of them."""
    return network.layers if isinstance(network.layers[-1], Quantized) else network.layers[:-1]


def _outputs(network: Network) -> list[Document]:
    """Give the output layer of each shared member, with a row for each class."""
    layer = network.layers[-1]
    weight, bias = np.asarray(layer.weight, np.float64), np.asarray(layer.bias, np.float64)
    if isinstance(layer, Quantized):
        weight, bias = np.eye(layer.outputs), np.zeros(layer.outputs)
    if network.scales is None:
        weight, bias = weight[None], bias[None]
    if layer.outputs == 1:  # of two classes the first has a logit of zero
        weight = np.concatenate([np.zeros_like(weight), weight], axis=1)
        bias = np.concatenate([np.zeros_like(bias), bias], axis=1)
    return [{"weight": each.tolist(), "bias": own.tolist()} for each, own in zip(weight, bias, strict=True)]


def _copy(copy: Copy) -> Document:
    return {
        "source": copy.source.tolist(),
        "sign": _numbers(copy.sign),
        "shift": _numbers(copy.shift),
        "start": _numbers(copy.start),
        "period": _numbers(copy.period),
        "exchanges": [list(columns) for columns in copy.exchanges],
    }
