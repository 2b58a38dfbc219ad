"""The classifier: all that is needed to give an event its scores, in one value and one folder."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tamis.config import ClassSection, Embedding, Feature, Folds, Layer, Symmetry
from tamis.config import Network as NetworkSection
from tamis.config import Sparse as SparseSection
from tamis.data.split import folds_of_numbers
from tamis.errors import InputError, Problem, RequestError
from tamis.expressions import evaluate, parse
from tamis.files import complete_file, sha256, write_json
from tamis.network.preprocessing import Logarithm, Preprocessing, Quantiles, Scaling
from tamis.notebook import heading, table

if TYPE_CHECKING:
    from tamis.network.network import Network
    from tamis.network.sensitivity import Sensitivity

Float32 = NDArray[np.float32]

REFERENCE_EVENTS = 32
"""How many events are stored with their scores, to be recomputed at every load."""
TOLERANCE = 1e-5
"""How far a recomputed score may lie from the stored one, for another processor or version."""


def _nothing() -> Float32:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Member:
    """One network of a classifier, with the preprocessing that it was trained behind.

    Args:
        preprocessing: what happens to the features before the network.
        network: the trained network.
        fold: the fold of the events that it never saw; None where there are no folds.
    """

    preprocessing: Preprocessing
    network: Network
    fold: int | None = None

    def scores(self, features: Float32) -> Float32:
        """Compute scores, [n, n_classes], from features, [n, n_features], NaN where missing."""
        from tamis.network.network import predict_scores

        return predict_scores(self.network, self.preprocessing.apply(features))

    def sensitivity(self, features: Float32) -> Sensitivity:
        """Differentiate the scores by the features, [n, n_features], NaN where missing."""
        from tamis.network.sensitivity import network_sensitivity

        return network_sensitivity(self.network, self.preprocessing, features)


@dataclass(frozen=True)
class Classifier:
    """A trained network, or several, with everything that is needed to apply them.

    Args:
        features: the inputs in their order: name, expression, unit, and what counts as missing.
        classes: the outputs in their order, with their labels and whether they are signal.
        members: the networks, whose scores are averaged.
        reference_features: some events, [n, n_features], NaN where missing.
        reference_scores: what the networks gave them, [n, n_classes].
        reference_fold: their folds, -1 where unknown, [n]; empty where there are no folds.
        folds: which fold an event belongs to; None where there are no folds.
        symmetries: over whose draws scores are averaged.
        draws: over how many.
    """

    features: tuple[Feature, ...]
    classes: Mapping[str, ClassSection]
    members: tuple[Member, ...]
    reference_features: Float32 = field(default_factory=_nothing)
    reference_scores: Float32 = field(default_factory=_nothing)
    reference_fold: Float32 = field(default_factory=_nothing)
    folds: Folds | None = None
    symmetries: tuple[Symmetry, ...] = ()
    draws: int = 0

    @property
    def network(self) -> Network:
        """The first network."""
        return self.members[0].network

    @property
    def preprocessing(self) -> Preprocessing:
        """What happens to the features before the first network."""
        return self.members[0].preprocessing

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the scores."""
        return tuple(self.classes)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, in the order of the inputs."""
        return tuple(feature.name for feature in self.features)

    def scores(self, features: Float32, fold: NDArray[np.integer[Any]] | None = None) -> Float32:
        """Compute scores, [n, n_classes], from features, [n, n_features] in their order, NaN where missing.

        Args:
            features: of the events.
            fold: the fold of each event, whose scores come from the members that never saw it; -1, and no folds at
                all, takes the average of all members, [n].
        """
        if fold is None:
            return self._mean(features, self.members)
        scores = np.empty((len(features), len(self.classes)), np.float32)
        for number in np.unique(fold):
            rows = fold == number
            scores[rows] = self._mean(features[rows], self._members_of(number))
        return scores

    def _mean(self, features: Float32, members: Sequence[Member]) -> Float32:
        if len(members) == 1 and not self.draws:
            return members[0].scores(features)
        total = np.zeros((len(features), len(self.classes)))
        copies = 0
        for copy in self._copies(features):
            total += sum(member.scores(copy).astype(np.float64) for member in members)
            copies += 1
        return np.asarray(total / (copies * len(members)), np.float32)

    def sensitivity(self, features: Float32, fold: NDArray[np.integer[Any]] | None = None) -> Sensitivity:
        """Differentiate the logarithm of each score by the features, averaged over members as the scores are.

        Args:
            features: of the events, [n, n_features], NaN where missing; the result has `n_classes` numbers for each.
            fold: the fold of each event, as in `scores`.
        """
        from tamis.network.sensitivity import Sensitivity

        if fold is None:
            return self._mean_sensitivity(features, self.members)
        shape = (len(features), len(self.classes))
        found = Sensitivity(np.empty(shape), *(np.empty((*shape, features.shape[1])) for _ in range(2)))
        for number in np.unique(fold):
            rows = np.flatnonzero(fold == number)
            of_rows = self._mean_sensitivity(features[rows], self._members_of(number))
            found.scores[rows] = of_rows.scores
            found.values[rows] = of_rows.values
            found.indicators[rows] = of_rows.indicators
        return found

    def _mean_sensitivity(self, features: Float32, members: Sequence[Member]) -> Sensitivity:
        from tamis.network.sensitivity import mean_sensitivity
        from tamis.network.symmetries import build_symmetries

        if not self.draws:
            return mean_sensitivity(member.sensitivity(features) for member in members)
        copies = build_symmetries(self.symmetries, self.feature_names).descriptions(self.draws)
        return mean_sensitivity(
            member.sensitivity(copy.apply(features)).pull_back(copy, features)
            for copy in copies
            for member in members
        )

    def _members_of(self, fold: int) -> tuple[Member, ...]:
        """Give the members that never saw a fold; all, where it is none of theirs."""
        return tuple(member for member in self.members if member.fold == fold) or self.members

    def _copies(self, features: Float32) -> Iterable[Float32]:
        if not self.draws:
            return (features,)
        from tamis.network.symmetries import build_symmetries

        return build_symmetries(self.symmetries, self.feature_names).copies(features, self.draws)

    def predict(self, columns: Mapping[str, Any]) -> Float32:
        """Compute the scores of events that are given as columns.

        With cross-training, an event whose fold can be computed (`split.folds.by`) gets its scores from the members
        that never saw its fold, any other one from the average of all members.

        Args:
            columns: a DataFrame, or arrays by name: the branches that the features are made of, in any order;
                what no feature uses is ignored.

        Returns:
            Scores, [n_events, n_classes], in the order of `class_names`.

        Raises:
            RequestError: a branch is missing, or a feature without a `missing` rule has no value in an event.
        """
        return self.scores(self._features(columns), self._fold(columns))

    def _fold(self, columns: Mapping[str, Any]) -> NDArray[np.int32] | None:
        if self.folds is None or self.folds.by is None:
            return None
        rule = parse(self.folds.by)
        if any(name not in columns for name in rule.branches):
            return None
        used = {name: _values(columns[name]) for name in rule.branches}
        return folds_of_numbers(
            evaluate(rule, used, length=len(next(iter(used.values())))), self.folds.number
        )

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

    def _repr_html_(self) -> str:
        """Show inputs, outputs and networks in a notebook."""
        missing = {True: "refused", False: "allowed"}
        features = [
            [each.name, each.expression, each.unit or "", missing[each.missing is None]]
            for each in self.features
        ]
        classes = [[name, "signal" if each.signal else ""] for name, each in self.classes.items()]
        parameters = sum(member.network.parameters for member in self.members)
        shape = " - ".join(str(layer.section.nodes) for layer in self.network.layers)
        return (
            heading(f"tamis classifier: {len(self.members)} networks ({shape}), {parameters:,} parameters")
            + table(["feature", "expression", "unit", "missing values"], features)
            + table(["class", ""], classes)
        )

    def with_reference(self, features: Float32, fold: NDArray[np.integer[Any]] | None = None) -> Classifier:
        """Store some of these events with their scores, spread evenly over the rows, with missing values first."""
        incomplete = np.flatnonzero(np.isnan(features).any(axis=1))[: REFERENCE_EVENTS // 4]
        spread = np.linspace(0, len(features) - 1, REFERENCE_EVENTS - len(incomplete)).astype(np.int64)
        rows = np.concatenate([incomplete, spread])
        chosen, of_fold = features[rows], None if fold is None else fold[rows]
        return replace(
            self,
            reference_features=chosen,
            reference_scores=self.scores(chosen, of_fold),
            reference_fold=_nothing() if of_fold is None else of_fold.astype(np.float32),
        )

    def save(self, folder: Path) -> None:
        """Write `classifier.json` and `weights.safetensors`; nothing else is needed to load the classifier."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / _WEIGHTS
        with complete_file(weights) as temporary:
            save_file(
                {name: np.ascontiguousarray(array) for name, array in self._arrays().items()}, temporary
            )
        write_json(folder / DOCUMENT, self._document(sha256(weights)))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays = {"reference.features": self.reference_features, "reference.scores": self.reference_scores}
        if len(self.reference_fold):
            arrays["reference.fold"] = self.reference_fold
        for prefix, member in zip(_prefixes(len(self.members)), self.members, strict=True):
            learned = {**_preprocessing_arrays(member.preprocessing), **network_arrays(member.network)}
            arrays |= {prefix + name: np.asarray(array) for name, array in learned.items()}
        return arrays

    def _document(self, weights_hash: str) -> dict[str, Any]:
        network, logarithm = self.network, self.preprocessing.logarithm
        document: dict[str, Any] = {
            "format": "tamis classifier",
            "version": 1,
            "features": [_without_nan(feature.model_dump(mode="json")) for feature in self.features],
            "classes": [{"name": name, **section.model_dump()} for name, section in self.classes.items()],
            "preprocessing": {
                "scaling": self.preprocessing.scaling,
                "indicators": self._names(self.preprocessing.indicators),
                "logarithm": self._names(logarithm.features if logarithm else ()),
            },
            "network": [layer.section.model_dump(mode="json") for layer in network.layers],
            "embedding": None
            if network.embedding is None
            else network.embedding.section.model_dump(mode="json"),
            "shared_members": network.members,
            "members": [
                {
                    "fold": member.fold,
                    "indicators": self._names(member.preprocessing.indicators),
                }
                for member in self.members
            ],
            "folds": None if self.folds is None else self.folds.model_dump(mode="json"),
            "symmetries": [symmetry.model_dump(mode="json") for symmetry in self.symmetries],
            "draws": self.draws,
            "weights_sha256": weights_hash,
        }
        return {**document, "document_sha256": _hash_of(document)}

    def _names(self, indices: Sequence[int]) -> list[str]:
        return [self.features[index].name for index in indices]

    @classmethod
    def load(cls, folder: Path | str) -> Classifier:
        """Read a classifier and check that it still gives its reference events their scores.

        Args:
            folder: the folder `model` of a run.

        Raises:
            InputError: a file is missing, damaged or of another kind, or a reference event gets another score.
        """
        folder = Path(folder)
        document = _read_document(folder / DOCUMENT)
        arrays = _read_arrays(folder / _WEIGHTS, document)
        classifier = _assemble(document, arrays)
        classifier.verify(str(folder))
        return classifier

    def verify(self, where: str = "classifier") -> None:
        """Recompute the scores of the reference events.

        Raises:
            InputError: they differ by more than `TOLERANCE`.
        """
        fold = self.reference_fold.astype(np.int32) if len(self.reference_fold) else None
        found = self.scores(self.reference_features, fold)
        difference = np.abs(found - self.reference_scores)
        if not len(difference) or not difference.max() <= TOLERANCE:
            event = int(np.argmax(difference.max(axis=1))) if len(difference) else 0
            largest = difference.max() if len(difference) else math.nan
            message = (
                f"reference event {event} gets other scores than when the classifier was made (by {largest:.2g}, "
                f"allowed are {TOLERANCE:g}); the files were changed, or this machine computes differently"
            )
            raise InputError("classifier", [Problem(where, message)])


DOCUMENT = "classifier.json"
_WEIGHTS = "weights.safetensors"


class _ClassEntry(ClassSection):
    name: str


class _PreprocessingEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    scaling: Scaling
    indicators: tuple[str, ...]
    logarithm: tuple[str, ...] = ()


class _MemberEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    fold: int | None
    indicators: tuple[str, ...]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal["tamis classifier"]
    version: Literal[1]
    features: tuple[Feature, ...]
    classes: tuple[_ClassEntry, ...]
    preprocessing: _PreprocessingEntry
    network: tuple[Layer, ...]
    embedding: Embedding | None = None
    shared_members: int = 1
    members: tuple[_MemberEntry, ...] = ()
    folds: Folds | None = None
    symmetries: tuple[Symmetry, ...] = ()
    draws: int = 0
    weights_sha256: str
    document_sha256: str

    @model_validator(mode="after")
    def _check_names(self) -> _Document:
        for what, entries in (("features", self.features), ("classes", self.classes)):
            names = [entry.name for entry in entries]
            if len(set(names)) < len(names):
                raise ValueError(f"{what} share a name")
        known = {feature.name for feature in self.features}
        used = [name for member in self.entries for name in member.indicators]
        unknown = {*used, *self.preprocessing.logarithm} - known
        if unknown:
            raise ValueError(f"there are no features {sorted(unknown)}, which the preprocessing names")
        return self

    @property
    def entries(self) -> tuple[_MemberEntry, ...]:
        """The networks; a document without a list of them is of one network."""
        return self.members or (_MemberEntry(fold=None, indicators=self.preprocessing.indicators),)


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
        message = f"is not the file that {DOCUMENT} was written with; copy the whole folder `model` again"
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
    outputs = [layer.nodes for layer in document.network[-1:]]
    if outputs != [classes] and not (outputs == [1] and classes == 2):
        message = (
            f"does not fit {DOCUMENT}: {outputs} outputs for {classes} classes; copy the folder `model` again"
        )
        raise InputError("classifier", [Problem(str(path), message)])
    shapes: dict[str, tuple[int, ...]] = {
        "reference.features": (events, features),
        "reference.scores": (events, classes),
    }
    if "reference.fold" in arrays:
        shapes["reference.fold"] = (events,)
    for prefix, entry in zip(_prefixes(len(document.entries)), document.entries, strict=True):
        skeleton = _skeleton(document, features + len(entry.indicators))
        expected = {name: leaf.shape for name, leaf in network_arrays(skeleton).items()}
        given = {
            name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)
        }
        expected |= _preprocessing_shapes(document.preprocessing, features, given)
        shapes |= {prefix + name: shape for name, shape in expected.items()}
    found = {name: array.shape for name, array in arrays.items()}
    if found != shapes or any(array.dtype != np.float32 for array in arrays.values()):
        wrong = sorted(name for name in {*found, *shapes} if found.get(name) != shapes.get(name))
        message = (
            f"does not fit {DOCUMENT}: arrays {wrong or 'of another type'}; the files are of two classifiers"
        )
        raise InputError("classifier", [Problem(str(path), message)])
    return arrays


def _skeleton(document: _Document, inputs: int) -> Network:
    """Build the network without computing any weights."""
    import equinox as eqx
    import jax

    from tamis.network.network import build_network
    from tamis.network.sparse import Sparse

    # a random mask is drawn outside of JAX; what is stored says which weights are there
    undrawn = [
        layer.model_copy(update={"mask": "magnitude"}) if isinstance(layer, SparseSection) else layer
        for layer in document.network[:-1]
    ]
    section = NetworkSection(
        layers=tuple(undrawn), embedding=document.embedding, members=document.shared_members
    )
    outputs = document.network[-1].nodes
    skeleton: Network = eqx.filter_eval_shape(
        lambda: build_network(inputs, len(document.classes), section, key=jax.random.key(0), outputs=outputs)
    )
    layers = tuple(
        Sparse(layer.dense, layer.mask, own) if isinstance(own, SparseSection) else layer
        for layer, own in zip(skeleton.layers, document.network, strict=True)
    )
    whole: Network = eqx.tree_at(lambda network: network.layers, skeleton, layers)
    return whole


def _prefixes(members: int) -> list[str]:
    return [""] if members == 1 else [f"members.{number}." for number in range(members)]


def _preprocessing_arrays(preprocessing: Preprocessing) -> dict[str, NDArray[Any]]:
    arrays = {"fill": preprocessing.fill, "centre": preprocessing.centre, "scale": preprocessing.scale}
    if preprocessing.logarithm is not None:
        arrays |= {"lowest": preprocessing.logarithm.lowest, "typical": preprocessing.logarithm.typical}
    if preprocessing.quantiles is not None:
        arrays |= {"knots": preprocessing.quantiles.knots, "values": preprocessing.quantiles.values}
    return {f"preprocessing.{name}": array for name, array in arrays.items()}


def _preprocessing_shapes(
    entry: _PreprocessingEntry, features: int, given: Mapping[str, NDArray[Any]]
) -> dict[str, tuple[int, ...]]:
    """Say what shapes the arrays must have; the number of knots is whatever the arrays have."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("fill", "centre", "scale"), (features,))
    if entry.logarithm:
        shapes |= {name: (len(entry.logarithm),) for name in ("lowest", "typical")}
    if entry.scaling == "quantile":
        knots = given.get("preprocessing.knots")
        count = knots.shape[1] if knots is not None and knots.ndim == 2 else 0
        shapes |= dict.fromkeys(("knots", "values"), (features, count))
    return {f"preprocessing.{name}": shape for name, shape in shapes.items()}


def _preprocessing(
    document: _Document, entry: _MemberEntry, arrays: Mapping[str, NDArray[Any]], prefix: str
) -> Preprocessing:
    names = [feature.name for feature in document.features]
    own = document.preprocessing

    def array(name: str) -> Float32:
        return arrays[f"{prefix}preprocessing.{name}"]

    logarithm, quantiles = None, None
    if own.logarithm:
        chosen = tuple(names.index(name) for name in own.logarithm)
        logarithm = Logarithm(chosen, array("lowest"), array("typical"))
    if own.scaling == "quantile":
        quantiles = Quantiles(array("knots"), array("values"))
    return Preprocessing(
        scaling=own.scaling,
        fill=array("fill"),
        centre=array("centre"),
        scale=array("scale"),
        indicators=tuple(names.index(name) for name in entry.indicators),
        logarithm=logarithm,
        quantiles=quantiles,
    )


def _assemble(document: _Document, arrays: Mapping[str, NDArray[Any]]) -> Classifier:
    members = []
    for prefix, entry in zip(_prefixes(len(document.entries)), document.entries, strict=True):
        skeleton = _skeleton(document, len(document.features) + len(entry.indicators))
        preprocessing = _preprocessing(document, entry, arrays, prefix)
        members.append(Member(preprocessing, fill_network(skeleton, arrays, prefix), entry.fold))
    return Classifier(
        features=document.features,
        classes={each.name: ClassSection(label=each.label, signal=each.signal) for each in document.classes},
        members=tuple(members),
        reference_features=arrays["reference.features"],
        reference_scores=arrays["reference.scores"],
        reference_fold=arrays.get("reference.fold", _nothing()),
        folds=document.folds,
        symmetries=document.symmetries,
        draws=document.draws,
    )


def network_arrays(network: Network) -> dict[str, Any]:
    """Name all arrays of a network by where they are, for example `layers.0.weight`."""
    from jax.tree_util import tree_flatten_with_path

    return {".".join(map(_step, path)): leaf for path, leaf in tree_flatten_with_path(network)[0]}


def fill_network(skeleton: Network, arrays: Mapping[str, NDArray[Any]], prefix: str = "") -> Network:
    """Put arrays into a network, by the names that `network_arrays` gives them."""
    import jax.numpy as jnp
    from jax.tree_util import tree_map_with_path

    filled: Network = tree_map_with_path(
        lambda path, _: jnp.asarray(arrays[prefix + ".".join(map(_step, path))]), skeleton
    )
    return filled


def _step(key: Any) -> str:
    return str(getattr(key, "name", getattr(key, "idx", key)))
