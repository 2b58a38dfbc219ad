"""The classifier as a value: features, networks and classes; it scores events, and is saved and loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamis.calibration import Calibration
from tamis.classifier.arrays import WEIGHTS, assemble_members, member_arrays, read_arrays
from tamis.classifier.columns import column_names, feature_values, take_columns
from tamis.classifier.document import (
    DOCUMENT,
    CalibrationEntry,
    ClassEntry,
    Document,
    MemberEntry,
    PreprocessingEntry,
    has_manifest,
    read_document,
)
from tamis.classifier.manifest import MANIFEST, check_manifest, write_manifest
from tamis.classifier.member import Member
from tamis.classifier.reference import check_rules, check_scores, choose_reference
from tamis.config import ClassSection, Feature, Folds, Symmetry
from tamis.data.plan import unsigned_column
from tamis.data.split import folds_of_numbers
from tamis.errors import RequestError
from tamis.expressions import evaluate, parse
from tamis.files import write_arrays, write_json
from tamis.network.preprocessing import Preprocessing
from tamis.notebook import heading, table
from tamis.places import obstacle
from tamis.wording import counted

if TYPE_CHECKING:
    from tamis.network.network import Network
    from tamis.network.sensitivity import Sensitivity

Float32 = NDArray[np.float32]
Features = Float32 | NDArray[np.float64]

_DISTURBANCES = 8
"""How often weights are disturbed, to measure what rounding changes."""


def _nothing() -> Float32:
    return np.empty((0, 0), np.float32)


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
        reference_given: the same events as a user would pass them, with sentinels where missing, [n, n_features].
        folds: which fold an event belongs to; None where there are no folds.
        symmetries: over whose draws scores are averaged.
        draws: over how many.
        calibration: the correction of the averaged scores, fitted on validation events; None leaves them as they are.
    """

    features: tuple[Feature, ...]
    classes: Mapping[str, ClassSection]
    members: tuple[Member, ...]
    reference_features: Features = field(default_factory=_nothing)
    reference_scores: Float32 = field(default_factory=_nothing)
    reference_fold: Float32 = field(default_factory=_nothing)
    folds: Folds | None = None
    symmetries: tuple[Symmetry, ...] = ()
    draws: int = 0
    calibration: Calibration | None = None
    reference_given: Features = field(default_factory=_nothing)

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

    @property
    def unresolved_features(self) -> tuple[str, ...]:
        """Names of the features that 32 bits do not resolve: an offset is subtracted from them in 64 bits.

        A form of the classifier that takes features of 32 bits only cannot compute its scores.
        """
        indices = sorted({index for member in self.members for index in member.preprocessing.unresolved})
        return tuple(self.features[index].name for index in indices)

    @property
    def feature_type(self) -> np.dtype[np.float32] | np.dtype[np.float64]:
        """The type in which `scores` needs the features: float64 where 32 bits do not resolve one of them."""
        return np.dtype(np.float64) if self.unresolved_features else np.dtype(np.float32)

    def scores(self, features: Features, fold: NDArray[np.integer[Any]] | None = None) -> Float32:
        """Compute scores, [n, n_classes], from features, [n, n_features] in their order, NaN where missing.

        Args:
            features: of the events, of the type `feature_type`.
            fold: the fold of each event, whose scores come from the members that never saw it; -1, and no folds at
                all, takes the average of all members, [n].

        Raises:
            RequestError: the features are not one row for each event, or the folds not one number for each.
        """
        features = self._rows(features)
        if fold is None:
            return self._calibrated(self._mean(features, self.members), None)
        if np.shape(fold) != (len(features),):
            raise RequestError(
                f"the folds have the shape {np.shape(fold)}; expected one number for each of the {len(features):,} "
                "events"
            )
        scores = np.empty((len(features), len(self.classes)), np.float32)
        for number in np.unique(fold):
            rows = fold == number
            averaged = self._mean(features[rows], self._members_of(number))
            scores[rows] = self._calibrated(averaged, int(number))
        return scores

    def _rows(self, features: Any) -> Features:
        """Return the features as an array, [n, n_features].

        Raises:
            RequestError: they have another shape.
        """
        try:
            rows: NDArray[Any] = np.asanyarray(features, getattr(features, "dtype", self.feature_type))
        except (TypeError, ValueError) as error:
            raise RequestError(
                f"the features are not an array of numbers ({error}); pass columns with names to `predict`"
            ) from error
        if rows.ndim != 2 or (len(rows) and rows.shape[1] != len(self.features)):
            advice = (
                "; put one event into brackets, [features]" if rows.shape == (len(self.features),) else ""
            )
            raise RequestError(
                f"the features have the shape {rows.shape}; expected (n_events, {len(self.features)}), in the order "
                f"{', '.join(self.feature_names)}{advice}"
            )
        return rows

    def _calibrated(self, scores: Float32, fold: int | None) -> Float32:
        if self.calibration is None:
            return scores
        return self.calibration.of(fold)(scores).astype(np.float32)

    def _mean(self, features: Features, members: Sequence[Member]) -> Float32:
        if len(members) == 1 and not self.draws:
            return members[0].scores(features)
        total = np.zeros((len(features), len(self.classes)))
        copies = 0
        for copy in self._copies(features):
            total += sum(member.scores(copy).astype(np.float64) for member in members)
            copies += 1
        return np.asarray(total / (copies * len(members)), np.float32)

    def sensitivity(self, features: Features, fold: NDArray[np.integer[Any]] | None = None) -> Sensitivity:
        """Differentiate the logarithm of each score by the features, averaged over members as the scores are.

        Args:
            features: of the events, [n, n_features], NaN where missing; the result has `n_classes` numbers for each.
            fold: the fold of each event, as in `scores`.
        """
        from tamis.network.sensitivity import Sensitivity

        if fold is None:
            return self._calibrated_sensitivity(self._mean_sensitivity(features, self.members), None)
        shape = (len(features), len(self.classes))
        found = Sensitivity(np.empty(shape), *(np.empty((*shape, features.shape[1])) for _ in range(2)))
        for number in np.unique(fold):
            rows = np.flatnonzero(fold == number)
            averaged = self._mean_sensitivity(features[rows], self._members_of(number))
            of_rows = self._calibrated_sensitivity(averaged, int(number))
            found.scores[rows] = of_rows.scores
            found.values[rows] = of_rows.values
            found.indicators[rows] = of_rows.indicators
        return found

    def _calibrated_sensitivity(self, found: Sensitivity, fold: int | None) -> Sensitivity:
        return (
            found
            if self.calibration is None
            else found.corrected(self.calibration.of(fold).scale, self.calibration.of(fold)(found.scores))
        )

    def _mean_sensitivity(self, features: Features, members: Sequence[Member]) -> Sensitivity:
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

    def _copies(self, features: Features) -> Iterable[Features]:
        if not self.draws:
            return (features,)
        from tamis.network.symmetries import build_symmetries

        return build_symmetries(self.symmetries, self.feature_names).copies(features, self.draws)

    def predict(self, columns: Any) -> Float32:
        """Compute the scores of events that are given as columns.

        With cross-training, an event whose fold can be computed (`split.folds.by`) gets its scores from the members
        that never saw its fold, any other one from the average of all members.

        Args:
            columns: arrays by name, an awkward record array, a pandas or polars DataFrame, or an Arrow table: the
                branches that the features are made of, in any order; what no feature uses is ignored. None, null and
                NA mean that a value is missing.

        Returns:
            Scores, [n_events, n_classes], in the order of `class_names`.

        Raises:
            RequestError: a branch is missing or has several values per event, or a feature without a `missing` rule
                has no value in an event.
        """
        features = feature_values(self.features, columns, self.unresolved_features)
        return self.scores(features, self._fold(columns))

    def _fold(self, columns: Any) -> NDArray[np.int32] | None:
        if self.folds is None or self.folds.by is None:
            return None
        rule, there = parse(self.folds.by), column_names(columns)
        if any(name not in there for name in rule.branches):
            return None
        used = take_columns(columns, rule.branches)
        numbers = unsigned_column(rule, used)
        if numbers is not None:
            return folds_of_numbers(numbers, self.folds.number)
        return folds_of_numbers(
            evaluate(rule, used, length=len(next(iter(used.values())))), self.folds.number
        )

    def __repr__(self) -> str:
        """Name the classes, and count features and networks."""
        return (
            f"Classifier({counted(len(self.members), 'network')}, {counted(len(self.features), 'feature')}, "
            f"classes {', '.join(self.classes)})"
        )

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

    def with_reference(self, features: Features, fold: NDArray[np.integer[Any]] | None = None) -> Classifier:
        """Store some of these events with their scores: spread over the rows, extremes, and missing values."""
        chosen = choose_reference(features, self.features, self.feature_type)
        of_fold = None if fold is None else fold[chosen.rows]
        return replace(
            self,
            reference_features=chosen.features,
            reference_given=chosen.given,
            reference_scores=self.scores(chosen.features, of_fold),
            reference_fold=_nothing() if of_fold is None else of_fold.astype(np.float32),
        )

    def save(self, folder: Path | str) -> None:
        """Write `classifier.json`, `weights.safetensors` and `manifest.json`; nothing else is needed to load it.

        Args:
            folder: is made where it is not there.

        Raises:
            RequestError: it is a file, or cannot be made.
        """
        folder = Path(folder)
        reason = obstacle(folder / DOCUMENT)
        if reason:
            raise RequestError(f"{folder} cannot be made or written to: {reason}; choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
        hashed = write_arrays(folder / WEIGHTS, self._arrays())
        write_json(folder / DOCUMENT, self._document(hashed).to_dict())
        # what else may lie there is not of this classifier until it is exported again
        write_manifest(folder / MANIFEST, {name: folder / name for name in (DOCUMENT, WEIGHTS)})

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays = {"reference.features": self.reference_features, "reference.scores": self.reference_scores}
        if len(self.reference_given):
            arrays["reference.given"] = self.reference_given
        if len(self.reference_fold):
            arrays["reference.fold"] = self.reference_fold
        return arrays | member_arrays(self.members)

    def _document(self, weights_hash: str) -> Document:
        network, own = self.network, self.preprocessing
        return Document(
            features=self.features,
            classes=tuple(
                ClassEntry(name=name, **section.model_dump()) for name, section in self.classes.items()
            ),
            preprocessing=PreprocessingEntry(
                scaling=own.scaling,
                indicators=self._names(own.indicators),
                logarithm=self._names(own.logarithm.features if own.logarithm else ()),
            ),
            network=tuple(layer.section for layer in network.layers),
            embedding=None if network.embedding is None else network.embedding.section,
            shared_members=network.members,
            members=tuple(
                MemberEntry(fold=member.fold, indicators=self._names(member.preprocessing.indicators))
                for member in self.members
            ),
            folds=self.folds,
            symmetries=self.symmetries,
            draws=self.draws,
            calibration=None if self.calibration is None else CalibrationEntry.of(self.calibration),
            manifest="manifest.json",
            weights_sha256=weights_hash,
        )

    def _names(self, indices: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.features[index].name for index in indices)

    @classmethod
    def load(cls, folder: Path | str, *, ignoring: Collection[str] = ()) -> Classifier:
        """Read a classifier and check that it still gives its reference events their scores.

        Args:
            folder: the folder `model` of a run.
            ignoring: names of files in it that may be missing or changed, because they are written again.

        Raises:
            InputError: a file is missing, damaged, not listed in `manifest.json` or of another kind, or a reference
                event gets another score.
        """
        folder = Path(folder)
        document = read_document(folder / DOCUMENT)
        arrays = read_arrays(folder / WEIGHTS, document)
        if has_manifest(document, folder):
            check_manifest(folder, ignoring)
        classifier = cls(
            features=document.features,
            classes={
                each.name: ClassSection(label=each.label, signal=each.signal) for each in document.classes
            },
            members=assemble_members(document, arrays),
            reference_features=arrays["reference.features"],
            reference_scores=arrays["reference.scores"],
            reference_fold=arrays.get("reference.fold", _nothing()),
            reference_given=arrays.get("reference.given", _nothing()),
            folds=document.folds,
            symmetries=document.symmetries,
            draws=document.draws,
            calibration=None if document.calibration is None else document.calibration.read(),
        )
        classifier.verify(str(folder))
        return classifier

    def verify(self, where: str = "classifier") -> None:
        """Recompute the scores of the reference events, and what is missing in them.

        Raises:
            InputError: they differ by more than 1e-5, and by more than rounding explains.
        """
        if len(self.reference_given):
            check_rules(self.reference_given, self.reference_features, self.features, where)
        fold = self.reference_fold.astype(np.int32) if len(self.reference_fold) else None
        scores = self.scores(self.reference_features, fold)
        check_scores(
            scores,
            self.reference_scores,
            self.class_names,
            where,
            lambda: self._measure_rounding(scores, fold),
        )

    def _measure_rounding(self, scores: Float32, fold: NDArray[np.int32] | None) -> NDArray[np.float64]:
        """Return the largest change of a score of each reference event by a float32 step in each weight, [n]."""
        moved = np.zeros(len(scores))
        for seed in range(_DISTURBANCES):
            members = tuple(member.disturbed(seed) for member in self.members)
            disturbed = replace(self, members=members).scores(self.reference_features, fold)
            moved = np.maximum(moved, np.abs(disturbed.astype(np.float64) - scores).max(axis=1))
        return moved
