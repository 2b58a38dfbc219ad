"""The ONNX files of a classifier: write them with metadata, check them, and score events with ONNX Runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tamis.arrays import Float32
from tamis.classifier import DOCUMENT, Classifier
from tamis.classifier.exported_names import NAMED, PACKED, PREPROCESS
from tamis.data.split import NO_FOLD
from tamis.errors import ExportError
from tamis.export.constants import check_constants
from tamis.export.lower import ClassifierGraph
from tamis.export.onnx_writer import (
    Inputs,
    Names,
    build_model,
    choose_names,
    list_onnx_constants,
    read_constants,
)
from tamis.files import write_json
from tamis.machine import tamis_version

if TYPE_CHECKING:
    from onnx import GraphProto, TensorProto


_INFINITE = 1e39
"""Too large for 32 bits, so that the producers of CMSSW read infinity."""


def write_onnx(
    classifier: Classifier, graph: ClassifierGraph, folder: Path, paths: Mapping[str, Path]
) -> list[OnnxScorer]:
    """Write the three files, check them, and return the functions that score events with the models.

    The classifier was loaded from the folder; the paths are those where the files are written, by their final names.
    """
    from onnx import save_model
    from onnx.helper import set_model_props

    names = choose_names(classifier.feature_names, folds=classifier.plan.is_cross_training)
    models: dict[str, Inputs] = {NAMED: "named", PACKED: "packed"}
    for name, inputs in models.items():
        model = build_model(graph, inputs)
        metadata = _describe(classifier, folder, names, inputs)
        set_model_props(model, {"tamis": json.dumps(metadata, allow_nan=False)})
        save_model(model, str(paths[name]))
        check_numbers(graph, paths[name], name)
    check_files(*(paths[name] for name in models))
    inputs_of_cmssw = build_preprocess_document(classifier.feature_names, classifier.class_names, names)
    write_json(paths[PREPROCESS], inputs_of_cmssw)
    return [OnnxScorer(classifier, paths[name], inputs) for name, inputs in models.items()]


def _describe(classifier: Classifier, folder: Path, names: Names, inputs: Inputs) -> dict[str, Any]:
    """Describe the inputs and outputs of a model as strict JSON, for the key `tamis` of its metadata."""
    document = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
    features = [
        {key: feature[key] for key in ("name", "expression", "unit", "label", "missing")}
        for feature in document["features"]
    ]
    return {
        "format": "tamis onnx",
        "version": 1,
        "producer": f"tamis {tamis_version()}",
        "inputs": list(classifier.feature_names) if inputs == "named" else [names.packed],
        "inputs_are": "the features, in 32 bits; a feature that is an expression is computed before it is passed",
        "features": features,
        "missing": "the values in `missing`, NaN and infinities; a feature without the rule must be finite, and the "
        "scores are NaN otherwise",
        "output": names.scores,
        "classes": document["classes"],
        "fold": {
            "input": names.fold,
            "number": classifier.plan.n_folds,
            "by": classifier.plan.fold_expression,
            "rule": "the remainder of `by` divided by `number`, never negative; -1 where unknown, for the average of "
            "all networks",
        }
        if classifier.plan.is_cross_training
        else None,
        "networks": len(classifier.members),
        "calibration": document.get("calibration"),
        "weights_sha256": document["weights_sha256"],
        "document_sha256": document["document_sha256"],
    }


def build_preprocess_document(
    features: Sequence[str], classes: Sequence[str], names: Names
) -> dict[str, Any]:
    """Describe the inputs of the packed model in the format of weaver, which CMSSW's producers read.

    The model includes the preprocessing, so the document only lists the inputs in their order, and has non-finite
    values replaced by infinity, which the model treats as missing.

    >>> build_preprocess_document(["pt"], ["bkg", "sig"], Names("features", None, "scores"))["features"]["var_names"]
    ['pt']
    """
    groups = {names.packed: _describe_group(features, _INFINITE)}
    if names.fold is not None:
        groups[names.fold] = _describe_group([names.fold], -1.0)
    return {"output_names": list(classes), "input_names": list(groups), **groups}


def _describe_group(names: Sequence[str], replacement: float) -> dict[str, Any]:
    info = {
        "median": 0.0,
        "norm_factor": 1.0,
        "replace_inf_value": replacement,
        "lower_bound": -_INFINITE,
        "upper_bound": _INFINITE,
        "pad": 0.0,
    }
    return {"var_names": list(names), "var_infos": dict.fromkeys(names, info), "var_length": 1}


class OnnxScorer:
    """A model file in ONNX Runtime, with `named` or `packed` inputs, as a function that scores events."""

    def __init__(self, classifier: Classifier, path: Path, inputs: Inputs) -> None:
        """Load the file; raise an ExportError if it was not written by tamis, or is damaged."""
        import onnxruntime

        check_is_own_model(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # only errors
        with _explained(f"load {path}"):
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._features = classifier.feature_names if inputs == "named" else None
        self._names = choose_names(classifier.feature_names, folds=classifier.plan.is_cross_training)
        self._path = path
        self._classes = len(classifier.classes)

    def __call__(self, features: Float32, fold: ArrayLike = NO_FOLD) -> Float32:
        """Compute scores, [n, n_classes], of features as a user passes them, [n, n_features].

        The fold is that of each event, [n], or of all events.

        Raises:
            ExportError: the file cannot be run, or belongs to another classifier.
        """
        if self._features is None:
            inputs = {self._names.packed: np.ascontiguousarray(features)}
        else:
            inputs = {name: features[:, [index]] for index, name in enumerate(self._features)}
        if self._names.fold is not None:
            folds = np.broadcast_to(np.asarray(fold, np.float32), len(features))
            inputs[self._names.fold] = np.ascontiguousarray(folds[:, None])
        with _explained(f"run {self._path}"):
            scores: Float32 = np.asarray(self._session.run([self._names.scores], inputs)[0], np.float32)
        if scores.shape != (len(features), self._classes):
            raise ExportError(
                f"{self._path} returns scores of shape {scores.shape}; it belongs to another classifier"
            )
        return scores


@contextmanager
def _explained(work: str) -> Iterator[None]:
    """Explain an error of ONNX Runtime."""
    try:
        yield
    except Exception as error:  # a foreign file can raise anything inside the runtime
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ExportError(f"ONNX Runtime cannot {work} ({reason})") from error


def check_is_own_model(path: Path) -> None:
    """Check that a model refers to no other files, and has no loops or custom operators, or raise an `ExportError`.

    The model may come from a stranger: nothing in it is followed or executed.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ExportError(f"{path} is not an ONNX model ({error}); copy or export it again") from error
    nodes = model.graph.node
    attributes = [attribute for node in nodes for attribute in node.attribute]
    has_graphs = any(attribute.HasField("g") or attribute.graphs for attribute in attributes)
    if model.functions or has_graphs or any(node.domain for node in nodes):
        raise ExportError(
            f"{path} was not written by tamis: it has loops, branches or operators that are not part of ONNX"
        )
    tensors = _tensors(model.graph)
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data for tensor in tensors):
        raise ExportError(f"{path} was not written by tamis: it refers to data in another file")


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)


def check_numbers(graph: ClassifierGraph, path: Path, name: str | None = None) -> None:
    """Compare every number of a lowered classifier with the file of a final name, or raise an `ExportError`."""
    import onnx

    check_is_own_model(path)
    stored = read_constants(onnx.load(path, load_external_data=False))
    check_constants(list_onnx_constants(graph), stored, name or path.name)


_CHECK = "import sys, onnx; [onnx.checker.check_model(path, full_check=True) for path in sys.argv[1:]]"


def check_files(*models: Path) -> None:
    """Check model files with ONNX's own checker: operators, types and shapes (`ExportError`).

    It runs in another process, because a crash of the checker would end this one.
    """
    checked = subprocess.run(
        [sys.executable, "-c", _CHECK, *map(str, models)], capture_output=True, text=True, check=False
    )
    if checked.returncode:
        reason = (checked.stderr.strip() or f"it ended with status {checked.returncode}").splitlines()[-1]
        raise ExportError(f"ONNX's checker rejects the model, and the file was not written: {reason}")
