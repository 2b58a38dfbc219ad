"""Is the model that is handed over the classifier that was validated? Both score the same events."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tamis.classifier import Classifier
from tamis.classifier.missing import sentinels_of
from tamis.deploy.onnx_classifier import Form, fold_input, packed_input, score_output
from tamis.errors import ExportError

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, TensorProto

Float32 = NDArray[np.float32]

TOLERANCE = 1e-6
"""How far a score of the model may lie from that of the classifier."""
EVENTS = 4096
"""How many events are compared, beside those with the lowest and the highest value of each feature."""


@dataclass(frozen=True)
class Comparison:
    """How well the model and the classifier agree.

    Args:
        events: how many were compared.
        difference: the largest one of a score.
    """

    events: int
    difference: float


@dataclass(frozen=True)
class Sample:
    """Events that are compared.

    Args:
        features: NaN where missing, [n, n_features].
        fold: of each event, -1 where unknown, [n].
    """

    features: Float32
    fold: NDArray[np.int32]


def choose_events(features: Float32, fold: NDArray[np.int32] | None) -> Sample:
    """Choose events to compare: some of all, and those with the lowest and the highest value of each feature.

    Args:
        features: of all events, NaN where missing, [n, n_features].
        fold: of all events, [n].
    """
    spread = np.linspace(0, len(features) - 1, min(EVENTS, len(features))).astype(np.int64)
    there = ~np.isnan(features)
    lowest = np.where(there, features, np.inf).argmin(axis=0)
    highest = np.where(there, features, -np.inf).argmax(axis=0)
    rows = np.unique(np.concatenate([spread, lowest, highest]))
    own = np.full(len(features), -1, np.int32) if fold is None else fold
    return Sample(features[rows], own[rows])


def reference_events(classifier: Classifier) -> Sample:
    """Give the reference events of a classifier, and events whose features are those of several of them."""
    features, fold = classifier.reference_features, classifier.reference_fold
    if not len(fold):
        fold = np.full(len(features), -1, np.float32)
    rng = np.random.default_rng(0)
    mixed = rng.integers(len(features), size=(EVENTS, features.shape[1]))
    rows = np.concatenate([np.arange(len(features)), rng.integers(len(features), size=EVENTS)])
    return Sample(
        np.concatenate([features, np.take_along_axis(features, mixed, axis=0)]), fold[rows].astype(np.int32)
    )


def spell_out(classifier: Classifier, sample: Sample) -> Iterator[tuple[Sample, Float32]]:
    """Give the events once for each way in which something can be missing, as what a user would pass.

    Args:
        classifier: whose rules for missing values count.
        sample: events, NaN where missing.

    Yields:
        The events as the classifier sees them, NaN where missing, and as the model is given them.
    """
    yield sample, sample.features
    allowed = np.array([feature.missing is not None for feature in classifier.features])
    if not allowed.any():
        return
    # every third value is taken away, others in each event
    rows, columns = np.indices(sample.features.shape)
    away = allowed & ((rows + columns) % 3 == 0)
    for spelling in _spellings(classifier):
        missing = away | np.isnan(sample.features) & allowed
        lacking = np.where(missing, np.float32(np.nan), sample.features)
        yield Sample(lacking, sample.fold), np.where(missing, spelling, sample.features)


def _spellings(classifier: Classifier) -> list[Float32]:
    """Give each way to spell that a feature is missing, one value for each feature."""
    sentinels = [sentinels_of(feature) or (np.nan,) for feature in classifier.features]
    most = max(len(own) for own in sentinels)
    listed = [[own[min(number, len(own) - 1)] for own in sentinels] for number in range(most)]
    plain = [[value] * len(sentinels) for value in (np.nan, np.inf, -np.inf)]
    return [np.array(row, np.float32) for row in (*listed, *plain)]


def compare(
    classifier: Classifier,
    model: Callable[[Float32, NDArray[np.int32]], Float32],
    sample: Sample,
    program: str = "ONNX Runtime",
) -> Comparison:
    """Compare the scores of a model with those of the classifier.

    Args:
        classifier: what was validated.
        model: made of it: scores of features as a user passes them, and of folds.
        sample: events to compare, NaN where missing.
        program: what runs the model, for the message.

    Raises:
        ExportError: a score differs by more than `TOLERANCE`.
    """
    # with folds, events are also scored as ones of an unknown fold
    unknown = Sample(sample.features, np.full_like(sample.fold, -1))
    samples = [sample] if classifier.folds is None else [sample, unknown]
    events, largest = 0, 0.0
    for each, given in (pair for one in samples for pair in spell_out(classifier, one)):
        expected = classifier.scores(each.features, each.fold if classifier.folds is not None else None)
        difference = np.abs(model(given, each.fold) - expected).max(axis=1, initial=0)
        if not (difference <= TOLERANCE).all():
            raise ExportError(_disagreement(difference, program))
        events, largest = events + len(difference), max(largest, float(difference.max(initial=0)))
    return Comparison(events, largest)


def _disagreement(difference: Float32, program: str) -> str:
    wrong = ~(difference <= TOLERANCE)
    return (
        f"{program} gives {int(wrong.sum())} of {len(wrong)} events other scores than the classifier, by up "
        f"to {np.nanmax(difference, initial=0):.2g}, and {TOLERANCE:g} is allowed; this form was not written. Inputs "
        "that are large compared with what the network resolves do that: scale them (preprocessing.scaling), and take "
        "the logarithm of long tails (preprocessing.logarithm)"
    )


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
