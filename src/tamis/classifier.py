"""The classifier: all that is needed to give an event its scores, in one value and one folder."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tamis.config import ClassSection, Dense, Feature
from tamis.errors import InputError, Problem, RequestError
from tamis.expressions import evaluate, parse
from tamis.files import complete_file, sha256, write_json
from tamis.network.preprocessing import Preprocessing, Scaling

if TYPE_CHECKING:
    from tamis.network.network import Network

Float32 = NDArray[np.float32]

REFERENCE_EVENTS = 32
"""How many events are stored with their scores, to be recomputed at every load."""
TOLERANCE = 1e-5
"""How far a recomputed score may lie from the stored one, for another processor or version."""


@dataclass(frozen=True)
class Classifier:
    """A trained network with everything that is needed to apply it.

    Args:
        features: the inputs in their order: name, expression, unit, and what counts as missing.
        classes: the outputs in their order, with their labels and whether they are signal.
        preprocessing: what happens to the features before the network.
        network: the trained network.
        reference_features: some events, [n, n_features], NaN where missing.
        reference_scores: what the network gave them, [n, n_classes].
    """

    features: tuple[Feature, ...]
    classes: Mapping[str, ClassSection]
    preprocessing: Preprocessing
    network: Network
    reference_features: Float32
    reference_scores: Float32

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the scores."""
        return tuple(self.classes)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, in the order of the inputs."""
        return tuple(feature.name for feature in self.features)

    def scores(self, features: Float32) -> Float32:
        """Compute scores, [n, n_classes], from features, [n, n_features] in their order, NaN where missing."""
        from tamis.network.network import predict_scores

        return predict_scores(self.network, self.preprocessing.apply(features))

    def predict(self, columns: Mapping[str, Any]) -> Float32:
        """Compute the scores of events that are given as columns.

        Args:
            columns: a DataFrame, or arrays by name: the branches that the features are made of, in any order;
                what no feature uses is ignored.

        Returns:
            Scores, [n_events, n_classes], in the order of `class_names`.

        Raises:
            RequestError: a branch is missing, or a feature without a `missing` rule has no value in an event.
        """
        return self.scores(self._features(columns))

    def _features(self, columns: Mapping[str, Any]) -> Float32:
        expressions = [parse(feature.expression) for feature in self.features]
        branches = sorted({name for expression in expressions for name in expression.branches})
        absent = [name for name in branches if name not in columns]
        if absent:
            given = ", ".join(map(str, columns)) or "none"
            raise RequestError(f"the classifier needs the columns {', '.join(absent)}; found {given}")
        used = {name: _values(columns[name]) for name in branches}
        lengths = {name: len(values) for name, values in used.items()}
        if len(set(lengths.values())) > 1:
            raise RequestError(f"the columns have different numbers of events: {lengths}")
        length = next(iter(lengths.values()))
        values = [
            evaluate(expression, used, sentinel=feature.missing, length=length)
            for expression, feature in zip(expressions, self.features, strict=True)
        ]
        with np.errstate(over="ignore"):
            features = np.stack([each.astype(np.float32) for each in values], axis=1)
        return self._checked(np.where(np.isfinite(features), features, np.float32(np.nan)))

    def _checked(self, features: Float32) -> Float32:
        for feature, missing in zip(self.features, np.isnan(features).T, strict=True):
            if feature.missing is None and missing.any():
                raise RequestError(
                    f"feature {feature.name!r} is not a finite number in {int(missing.sum())} events, first in row "
                    f"{int(np.flatnonzero(missing)[0])}; the classifier was trained without a rule for missing values"
                )
        return features

    def with_reference(self, features: Float32) -> Classifier:
        """Store some of these events with their scores, spread evenly over the rows, with missing values first."""
        incomplete = np.flatnonzero(np.isnan(features).any(axis=1))[: REFERENCE_EVENTS // 4]
        spread = np.linspace(0, len(features) - 1, REFERENCE_EVENTS - len(incomplete)).astype(np.int64)
        chosen = features[np.concatenate([incomplete, spread])]
        return replace(self, reference_features=chosen, reference_scores=self.scores(chosen))

    def save(self, folder: Path) -> None:
        """Write `classifier.json` and `weights.safetensors`; nothing else is needed to load the classifier."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / _WEIGHTS
        with complete_file(weights) as temporary:
            save_file(
                {name: np.ascontiguousarray(array) for name, array in self._arrays().items()}, temporary
            )
        write_json(folder / _DOCUMENT, self._document(sha256(weights)))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays = {
            "preprocessing.fill": self.preprocessing.fill,
            "preprocessing.centre": self.preprocessing.centre,
            "preprocessing.scale": self.preprocessing.scale,
            "reference.features": self.reference_features,
            "reference.scores": self.reference_scores,
        }
        for number, layer in enumerate(self.network.layers):
            arrays[f"layers.{number}.weight"] = np.asarray(layer.weight)
            arrays[f"layers.{number}.bias"] = np.asarray(layer.bias)
        return arrays

    def _document(self, weights_hash: str) -> dict[str, Any]:
        document: dict[str, Any] = {
            "format": "tamis classifier",
            "version": 1,
            "features": [_without_nan(feature.model_dump(mode="json")) for feature in self.features],
            "classes": [{"name": name, **section.model_dump()} for name, section in self.classes.items()],
            "preprocessing": {
                "scaling": self.preprocessing.scaling,
                "indicators": [self.features[index].name for index in self.preprocessing.indicators],
            },
            "network": [
                {"type": "dense", "nodes": int(layer.weight.shape[0]), "activation": layer.activation}
                for layer in self.network.layers
            ],
            "weights_sha256": weights_hash,
        }
        return {**document, "document_sha256": _hash_of(document)}

    @classmethod
    def load(cls, folder: Path | str) -> Classifier:
        """Read a classifier and check that it still gives its reference events their scores.

        Args:
            folder: the folder `model` of a run.

        Raises:
            InputError: a file is missing, damaged or of another kind, or a reference event gets another score.
        """
        folder = Path(folder)
        document = _read_document(folder / _DOCUMENT)
        arrays = _read_arrays(folder / _WEIGHTS, document)
        classifier = _assemble(document, arrays)
        classifier.verify(str(folder))
        return classifier

    def verify(self, where: str = "classifier") -> None:
        """Recompute the scores of the reference events.

        Raises:
            InputError: they differ by more than `TOLERANCE`.
        """
        found = self.scores(self.reference_features)
        difference = np.abs(found - self.reference_scores)
        if not len(difference) or not difference.max() <= TOLERANCE:
            event = int(np.argmax(difference.max(axis=1))) if len(difference) else 0
            largest = difference.max() if len(difference) else math.nan
            message = (
                f"reference event {event} gets other scores than when the classifier was made (by {largest:.2g}, "
                f"allowed are {TOLERANCE:g}); the files were changed, or this machine computes differently"
            )
            raise InputError("classifier", [Problem(where, message)])


_DOCUMENT = "classifier.json"
_WEIGHTS = "weights.safetensors"


class _ClassEntry(ClassSection):
    name: str


class _PreprocessingEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    scaling: Scaling
    indicators: tuple[str, ...]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal["tamis classifier"]
    version: Literal[1]
    features: tuple[Feature, ...]
    classes: tuple[_ClassEntry, ...]
    preprocessing: _PreprocessingEntry
    network: tuple[Dense, ...]
    weights_sha256: str
    document_sha256: str

    @model_validator(mode="after")
    def _check_names(self) -> _Document:
        for what, entries in (("features", self.features), ("classes", self.classes)):
            names = [entry.name for entry in entries]
            if len(set(names)) < len(names):
                raise ValueError(f"{what} share a name")
        return self


def _values(column: Any) -> Any:
    # a DataFrame's column gives its array; anything else is an array already
    return column.to_numpy() if hasattr(column, "to_numpy") else column


def _without_nan(feature: dict[str, Any]) -> dict[str, Any]:
    missing: Sequence[float] | None = feature["missing"]
    if missing is not None:
        feature["missing"] = ["nan" if math.isnan(value) else value for value in missing]
    return feature


def _read_document(path: Path) -> _Document:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        document = _Document.model_validate(found)
    except FileNotFoundError as error:
        message = "is missing; a classifier is the folder `model` of a finished run"
        raise InputError("classifier", [Problem(str(path), message)]) from error
    except ValidationError as error:
        problems = [
            Problem(
                f"{path}: {'.'.join(map(str, each['loc']))}", f"{each['msg']}; the file is damaged or foreign"
            )
            for each in error.errors()
        ]
        raise InputError("classifier", problems) from error
    except (ValueError, RecursionError) as error:
        message = f"is not JSON ({error}); the file is damaged or foreign"
        raise InputError("classifier", [Problem(str(path), message)]) from error
    if _hash_of(found) != document.document_sha256:
        message = "was changed after it was written; copy the whole folder `model` again"
        raise InputError("classifier", [Problem(str(path), message)])
    return document


def _hash_of(document: Mapping[str, Any]) -> str:
    """Hash all that the document says but its own hash, so that no name or order changes unnoticed."""
    said = {key: value for key, value in document.items() if key != "document_sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _read_arrays(path: Path, document: _Document) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file():
        raise InputError("classifier", [Problem(str(path), "is missing; copy the whole folder `model`")])
    if sha256(path) != document.weights_sha256:
        message = f"is not the file that {_DOCUMENT} was written with; copy the whole folder `model` again"
        raise InputError("classifier", [Problem(str(path), message)])
    try:
        arrays: dict[str, NDArray[Any]] = load_file(path)
    except (SafetensorError, ValueError) as error:
        message = f"is damaged ({error}); copy the whole folder `model` again"
        raise InputError("classifier", [Problem(str(path), message)]) from error
    return _checked_arrays(arrays, document, path)


def _checked_arrays(
    arrays: dict[str, NDArray[Any]], document: _Document, path: Path
) -> dict[str, NDArray[Any]]:
    features, classes = len(document.features), len(document.classes)
    events = len(arrays.get("reference.features", ()))
    shapes: dict[str, tuple[int, ...]] = {
        "preprocessing.fill": (features,),
        "preprocessing.centre": (features,),
        "preprocessing.scale": (features,),
        "reference.features": (events, features),
        "reference.scores": (events, classes),
    }
    inputs = features + len(document.preprocessing.indicators)
    for number, layer in enumerate(document.network):
        shapes[f"layers.{number}.weight"] = (layer.nodes, inputs)
        shapes[f"layers.{number}.bias"] = (layer.nodes,)
        inputs = layer.nodes
    found = {name: array.shape for name, array in arrays.items()}
    if found != shapes or inputs != classes or any(array.dtype != np.float32 for array in arrays.values()):
        wrong = sorted(name for name in {*found, *shapes} if found.get(name) != shapes.get(name))
        message = (
            f"does not fit {_DOCUMENT}: arrays {wrong or 'of another type'}; the files are of two classifiers"
        )
        raise InputError("classifier", [Problem(str(path), message)])
    return arrays


def _assemble(document: _Document, arrays: Mapping[str, NDArray[Any]]) -> Classifier:
    import jax.numpy as jnp

    from tamis.network.layers import Dense as DenseLayer
    from tamis.network.network import Network

    names = [feature.name for feature in document.features]
    layers = tuple(
        DenseLayer(
            jnp.asarray(arrays[f"layers.{number}.weight"]),
            jnp.asarray(arrays[f"layers.{number}.bias"]),
            layer.activation,
        )
        for number, layer in enumerate(document.network)
    )
    return Classifier(
        features=document.features,
        classes={each.name: ClassSection(label=each.label, signal=each.signal) for each in document.classes},
        preprocessing=Preprocessing(
            scaling=document.preprocessing.scaling,
            fill=arrays["preprocessing.fill"],
            centre=arrays["preprocessing.centre"],
            scale=arrays["preprocessing.scale"],
            indicators=tuple(names.index(name) for name in document.preprocessing.indicators),
        ),
        network=Network(layers),
        reference_features=arrays["reference.features"],
        reference_scores=arrays["reference.scores"],
    )
