"""Run the ONNX form of a classifier in ONNX Runtime, and check its file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tamis.classifier import Classifier
from tamis.deploy.constants import check_constants, expected_onnx_constants, onnx_constants
from tamis.deploy.onnx_classifier import Form, fold_input, packed_input, score_output
from tamis.errors import ExportError

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, TensorProto

Float32 = NDArray[np.float32]


class Model:
    """A model file in ONNX Runtime, as something that gives events their scores.

    Args:
        classifier: which it was made of.
        path: the file.
        form: of its inputs.
    """

    def __init__(self, classifier: Classifier, path: Path, form: Form) -> None:
        """Load the file.

        Raises:
            ExportError: it is foreign or damaged.
        """
        import onnxruntime

        refuse_foreign(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        with _explained(f"load {path}"):
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._names = classifier.feature_names if form == "named" else None
        self._packed, self._fold = packed_input(classifier), fold_input(classifier)
        self._output, self._path = score_output(classifier), path
        self._classes = len(classifier.classes)

    def __call__(self, features: Float32, fold: NDArray[np.int32] | None = None) -> Float32:
        """Compute scores, [n, n_classes].

        Args:
            features: as a user would pass them, [n, n_features].
            fold: of each event, [n]; -1 by default.

        Raises:
            ExportError: the file cannot be run, or is of another classifier.
        """
        if self._names is None:
            inputs = {self._packed: np.ascontiguousarray(features)}
        else:
            inputs = {name: features[:, [index]] for index, name in enumerate(self._names)}
        if self._fold is not None:
            own = np.full(len(features), -1) if fold is None else fold
            inputs[self._fold] = own.astype(np.float32)[:, None]
        with _explained(f"run {self._path}"):
            scores: Float32 = np.asarray(self._session.run([self._output], inputs)[0], np.float32)
        if scores.shape != (len(features), self._classes):
            raise ExportError(
                f"{self._path} gives scores of the shape {scores.shape}; it is of another classifier"
            )
        return scores


@contextmanager
def _explained(work: str) -> Iterator[None]:
    """Say what ONNX Runtime cannot do."""
    try:
        yield
    except Exception as error:  # a foreign file can raise anything inside the runtime
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ExportError(f"ONNX Runtime cannot {work} ({reason})") from error


def refuse_foreign(path: Path) -> None:
    """Refuse a model that names other files, loops, or asks for operators that are not of ONNX.

    Args:
        path: of the model. It may be of a stranger: nothing in it is followed or run.

    Raises:
        ExportError: it does, or it is no model.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ExportError(f"{path} is no ONNX model ({error}); copy it again, or export it again") from error
    nodes = model.graph.node
    if model.functions or any(node.domain or any(map(_has_graph, node.attribute)) for node in nodes):
        raise ExportError(
            f"{path} has loops, branches or operators of its own, as tamis never writes; it is foreign"
        )
    tensors = _tensors(model.graph)
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data for tensor in tensors):
        raise ExportError(f"{path} keeps numbers in another file, which is not followed; it is foreign")


def _has_graph(attribute: AttributeProto) -> bool:
    return attribute.HasField("g") or bool(attribute.graphs)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)


def check_numbers(classifier: Classifier, path: Path, name: str | None = None) -> None:
    """Compare every number of the classifier with the file.

    Args:
        classifier: that was exported.
        path: of the file.
        name: that the file will have, for the message.

    Raises:
        ExportError: a number is missing or is another one.
    """
    import onnx

    refuse_foreign(path)
    found = onnx_constants(onnx.load(path, load_external_data=False))
    check_constants(expected_onnx_constants(classifier), found, name or path.name)


_CHECK = "import sys, onnx; [onnx.checker.check_model(path, full_check=True) for path in sys.argv[1:]]"


def check_form(*models: Path) -> None:
    """Have ONNX check model files: operators, types and shapes.

    It happens in a process of its own, because the checker has crashed.

    Raises:
        ExportError: it found something.
    """
    found = subprocess.run(
        [sys.executable, "-c", _CHECK, *map(str, models)], capture_output=True, text=True, check=False
    )
    if found.returncode:
        reason = (found.stderr.strip() or f"it ended with status {found.returncode}").splitlines()[-1]
        raise ExportError(f"the checker of ONNX refuses the model, and this form was not written: {reason}")
