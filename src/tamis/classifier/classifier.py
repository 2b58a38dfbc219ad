"""The classifier as a value: features, networks and classes; it scores events, and is saved and loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.arrays import Features, Float32
from tamis.calibration import Calibration
from tamis.classifier.arrays import WEIGHTS, assemble_members, member_arrays, read_arrays
from tamis.classifier.columns import column_names, feature_values, take_columns
from tamis.classifier.document import (
    DOCUMENT,
    CalibrationEntry,
    ClassEntry,
    ClassifierDocument,
    MemberEntry,
    PreprocessingEntry,
    read_document,
)
from tamis.classifier.exported_names import DERIVED
from tamis.classifier.manifest import MANIFEST, check_manifest, files_of, write_manifest
from tamis.classifier.member import Member
from tamis.classifier.missing import mark_missing
from tamis.classifier.reference import check_rules, check_scores, choose_reference
from tamis.config import ClassSection, Feature, Symmetry
from tamis.data.ensemble import ONE_NETWORK, EnsemblePlan
from tamis.data.plan import get_unsigned_column
from tamis.data.split import NO_FOLD, assign_folds_by_number
from tamis.errors import RequestError
from tamis.expressions import evaluate, parse
from tamis.files import complete_file, write_arrays, write_json
from tamis.network.preprocessing import Preprocessing
from tamis.notebook import heading, table
from tamis.paths import check_writable, to_path
from tamis.wording import counted, join_first

if TYPE_CHECKING:
    from tamis.network.network import Network
    from tamis.network.sensitivity import Sensitivity
    from tamis.network.symmetries import Copy


_DISTURBANCES = 8
"""Number of disturbances of the weights that measure the effect of rounding."""


def _no_events() -> Float32:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Classifier:
    """The trained members of an ensemble with everything that is needed to apply them.

    Args:
        features: the inputs in their order: name, expression, unit, and what counts as missing.
        classes: the outputs in their order, with their labels and whether they are signal.
        members: the networks, whose scores are averaged.
        plan: which member trains on, is validated on and scores which events, in the order of `members`.
        reference_features: some events, [n, n_features], NaN if missing.
        reference_scores: their scores, [n, n_classes].
        reference_fold: their folds, `NO_FOLD` if unknown or without cross-training, [n].
        symmetries: the symmetries of the events, for test-time augmentation.
        test_time_augmentation: number of copies of each event over which scores are averaged; 0 for none.
        calibration: the correction of the averaged scores, fitted on validation events; None for no correction.
        reference_as_passed: the reference events as a user would pass them, with sentinels, [n, n_features].
    """

    features: tuple[Feature, ...]
    classes: Mapping[str, ClassSection]
    members: tuple[Member, ...]
    plan: EnsemblePlan = ONE_NETWORK
    reference_features: Features = field(default_factory=_no_events)
    reference_scores: Float32 = field(default_factory=_no_events)
    reference_fold: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    symmetries: tuple[Symmetry, ...] = ()
    test_time_augmentation: int = 0
    calibration: Calibration | None = None
    reference_as_passed: Features = field(default_factory=_no_events)

    @property
    def network(self) -> Network:
        """The first network."""
        return self.members[0].network

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of the first network."""
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
        """Names of the features that 32 bits do not resolve: an offset is subtracted from them in 64 bits."""
        indices = sorted({index for member in self.members for index in member.preprocessing.unresolved})
        return tuple(self.features[index].name for index in indices)

    @property
    def feature_type(self) -> np.dtype[np.float32] | np.dtype[np.float64]:
        """The type of the features that `scores` needs: float64 if 32 bits do not resolve one of them."""
        return np.dtype(np.float64) if self.unresolved_features else np.dtype(np.float32)

    def scores(self, features: Features, fold: ArrayLike = NO_FOLD) -> Float32:
        """Compute scores, [n, n_classes], from features, [n, n_features] in their order, NaN if missing.

        Args:
            features: of the events, of the type `feature_type`.
            fold: the fold of each event, [n], or of all events; their scores are the average of the members that did
                not train on it, and of all members for `NO_FOLD`.

        Raises:
            RequestError: the features are not one row for each event, or the folds not one number for each.
        """
        features = self._as_rows(features)
        scores = np.empty((len(features), len(self.classes)), np.float32)
        for number, rows in _rows_by_fold(fold, len(features)):
            averaged = self._average_scores(features[rows], number)
            if self.calibration is not None:
                averaged = self.calibration.of(number)(averaged).astype(np.float32)
            scores[rows] = averaged
        return scores

    def _as_rows(self, features: Any) -> Features:
        """Return the features as an array, [n, n_features]; raise a RequestError if they have another shape."""
        try:
            rows: NDArray[Any] = np.asanyarray(features, getattr(features, "dtype", self.feature_type))
        except (TypeError, ValueError) as error:
            raise RequestError(
                f"the features are not an array of numbers ({error}); pass columns with names to `predict`"
            ) from error
        if rows.ndim != 2 or (len(rows) and rows.shape[1] != len(self.features)):
            is_one_event = rows.shape == (len(self.features),)
            raise RequestError(
                f"the features have the shape {rows.shape}; expected (n_events, {len(self.features)}), in the order "
                f"{', '.join(self.feature_names)}{'; put one event into brackets, [features]' * is_one_event}"
            )
        return rows

    def _average_scores(self, features: Features, fold: int) -> Float32:
        members, copies = self._scorers(fold), self.list_copies()
        if len(members) == 1 and not copies:
            return members[0].scores(features)
        total = np.zeros((len(features), len(self.classes)))
        for copied in (copy.apply(features) for copy in copies) if copies else (features,):
            total += sum(member.scores(copied).astype(np.float64) for member in members)
        return np.asarray(total / (max(len(copies), 1) * len(members)), np.float32)

    def sensitivity(self, features: Features, fold: ArrayLike = NO_FOLD) -> Sensitivity:
        """Differentiate the logarithm of each score by the features, averaged over members as the scores are.

        Features, [n, n_features], and fold are those of `scores`; there are `n_classes` numbers for each feature.
        """
        from tamis.network.sensitivity import Sensitivity

        shape = (len(features), len(self.classes))
        sensitivity = Sensitivity(np.empty(shape), *(np.empty((*shape, features.shape[1])) for _ in range(2)))
        for number, rows in _rows_by_fold(fold, len(features)):
            of_rows = self._average_sensitivity(features[rows], number)
            if self.calibration is not None:
                scaling = self.calibration.of(number)
                of_rows = of_rows.corrected(scaling.scale, scaling(of_rows.scores))
            sensitivity.scores[rows] = of_rows.scores
            sensitivity.values[rows] = of_rows.values
            sensitivity.indicators[rows] = of_rows.indicators
        return sensitivity

    def _average_sensitivity(self, features: Features, fold: int) -> Sensitivity:
        from tamis.network.sensitivity import compute_mean_sensitivity

        members, copies = self._scorers(fold), self.list_copies()
        if not copies:
            return compute_mean_sensitivity(member.sensitivity(features) for member in members)
        return compute_mean_sensitivity(
            member.sensitivity(copy.apply(features)).pull_back(copy, features)
            for copy in copies
            for member in members
        )

    def _scorers(self, fold: int) -> tuple[Member, ...]:
        """Return the members that score the events of a fold."""
        return tuple(self.members[number] for number in self.plan.scorers(fold))

    def list_copies(self) -> tuple[Copy, ...]:
        """Return the transformations of an event over which scores are averaged; none without augmentation."""
        from tamis.network.symmetries import build_symmetries

        if not self.test_time_augmentation:
            return ()
        symmetries = build_symmetries(self.symmetries, self.feature_names)
        return symmetries.descriptions(self.test_time_augmentation)

    def take_member(self, number: int) -> Classifier:
        """Return the classifier with only one of its members; the calibration stays that of the ensemble."""
        plan = replace(self.plan, members=(self.plan.members[number],))
        return replace(self, members=(self.members[number],), plan=plan)

    def predict(self, columns: Any) -> Float32:
        """Compute the scores of events that are given as columns.

        With cross-training, an event is scored by the members that did not train on its fold, if the columns of
        `split.folds.by` are there, and otherwise by the average of all members.

        Args:
            columns: arrays by name, an awkward record array, a pandas or polars DataFrame, or an Arrow table, with the
                branches in the expressions of the features, in any order; others are ignored. None, null and NA mean
                that a value is missing.

        Returns:
            Scores, [n_events, n_classes], in the order of `class_names`.

        Raises:
            RequestError: a branch is missing or has several values per event, or a feature without a `missing` rule
                has no value in an event.
        """
        features = feature_values(self.features, columns, self.unresolved_features)
        return self.scores(features, self._fold(columns))

    def _fold(self, columns: Any) -> ArrayLike:
        """Return the fold of each event, [n]; `NO_FOLD` if the columns do not determine it."""
        if self.plan.fold_expression is None:
            return NO_FOLD
        expression, names = parse(self.plan.fold_expression), column_names(columns)
        if any(name not in names for name in expression.branches):
            return NO_FOLD
        used = take_columns(columns, expression.branches)
        unsigned = get_unsigned_column(expression, used)
        if unsigned is not None:
            return assign_folds_by_number(unsigned, self.plan.n_folds)
        numbers = evaluate(expression, used, length=len(next(iter(used.values()))))
        return assign_folds_by_number(numbers, self.plan.n_folds)

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
            [section.name, section.expression, section.unit or "", missing[section.missing is None]]
            for section in self.features
        ]
        classes = [[name, "signal" if section.signal else ""] for name, section in self.classes.items()]
        parameters = sum(member.network.parameters for member in self.members)
        shape = " - ".join(str(layer.section.nodes) for layer in self.network.layers)
        return (
            heading(
                f"tamis classifier: {counted(len(self.members), 'network')} ({shape}), {parameters:,} parameters"
            )
            + table(["feature", "expression", "unit", "missing values"], features)
            + table(["class", ""], classes)
        )

    def with_reference(self, features: Features, fold: ArrayLike = NO_FOLD) -> Classifier:
        """Return the classifier with some of these events, chosen by `choose_reference`, and their scores."""
        chosen, rows = choose_reference(features, self.features, self.feature_type)
        reference_fold = np.broadcast_to(np.asarray(fold, np.int32), len(features))[rows]
        return replace(
            self,
            reference_features=chosen,
            reference_as_passed=mark_missing(chosen, self.features),
            reference_scores=self.scores(chosen, reference_fold),
            reference_fold=reference_fold,
        )

    def save(self, folder: Path | str, *, overwrite: bool = False) -> None:
        """Write `classifier.json`, `weights.safetensors` and `manifest.json` into a folder, which may be new.

        Args:
            folder: not inside the directory of a finished run.
            overwrite: whether a classifier in the folder, with its exports, may be replaced.

        Raises:
            RequestError: the folder holds a classifier or other files, is inside a run, or cannot be created.
        """
        folder = to_path(folder, "Classifier.save")
        check_writable(folder / DOCUMENT, "choose another folder", name=folder)
        names = set(files_of(folder))
        if foreign := sorted(names - {DOCUMENT, WEIGHTS, *DERIVED}):
            raise RequestError(
                f"{folder} holds files that do not belong to a classifier ({join_first(foreign, 5)}); move them, or "
                "choose another folder"
            )
        if names and not overwrite:
            raise RequestError(
                f"{folder} holds a classifier already; choose another folder, or replace it (overwrite=True)"
            )
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"reference.features": self.reference_features, "reference.scores": self.reference_scores}
        if len(self.reference_as_passed):
            arrays["reference.given"] = self.reference_as_passed
        if (self.reference_fold != NO_FOLD).any():
            arrays["reference.fold"] = self.reference_fold.astype(np.float32)
        with ExitStack() as stack:
            # they get their names in the reverse order: a folder without a manifest is not a classifier
            paths = {
                name: stack.enter_context(complete_file(folder / name))
                for name in (MANIFEST, DOCUMENT, WEIGHTS)
            }
            weights_hash = write_arrays(paths[WEIGHTS], arrays | member_arrays(self.members))
            write_json(paths[DOCUMENT], self._build_document(weights_hash).to_dict())
            write_manifest(paths[MANIFEST], {name: paths[name] for name in (DOCUMENT, WEIGHTS)})
            for name in (MANIFEST, *DERIVED):
                (folder / name).unlink(missing_ok=True)

    def _build_document(self, weights_hash: str) -> ClassifierDocument:
        network, preprocessing = self.network, self.preprocessing

        def names(indices: Sequence[int]) -> tuple[str, ...]:
            return tuple(self.features[index].name for index in indices)

        return ClassifierDocument(
            features=self.features,
            classes=tuple(
                ClassEntry(name=name, **section.model_dump()) for name, section in self.classes.items()
            ),
            preprocessing=PreprocessingEntry(
                scaling=preprocessing.scaling,
                indicators=names(preprocessing.indicators),
                logarithm=names(preprocessing.logarithm.features if preprocessing.logarithm else ()),
            ),
            network=tuple(layer.section for layer in network.layers),
            embedding=network.embedding and network.embedding.section,
            gains=network.gains and network.gains.section,
            shared_members=network.shared_members,
            members=tuple(
                MemberEntry(
                    fold=planned.fold, seed=planned.seed, indicators=names(member.preprocessing.indicators)
                )
                for planned, member in zip(self.plan.members, self.members, strict=True)
            ),
            folds=self.plan.folds,
            symmetries=self.symmetries,
            test_time_augmentation=self.test_time_augmentation,
            calibration=self.calibration and CalibrationEntry.model_validate(asdict(self.calibration)),
            weights_sha256=weights_hash,
        )

    @classmethod
    def load(cls, folder: Path | str, *, ignoring: Collection[str] = ()) -> Classifier:
        """Read a classifier from the folder `model` of a run, and check the scores of its reference events.

        Files that are written again (`ignoring`) may be missing or changed.

        Raises:
            InputError: a file is missing, damaged, not listed in `manifest.json` or of another version, or the score
                of a reference event differs.
        """
        folder = to_path(folder, "Classifier.load")
        document = read_document(folder / DOCUMENT)
        arrays = read_arrays(folder / WEIGHTS, document)
        check_manifest(folder, ignoring)
        classifier = cls(
            features=document.features,
            classes={
                entry.name: ClassSection(label=entry.label, signal=entry.signal) for entry in document.classes
            },
            members=assemble_members(document, arrays),
            plan=document.plan,
            reference_features=arrays["reference.features"],
            reference_scores=arrays["reference.scores"],
            reference_fold=arrays.get(
                "reference.fold", np.full(len(arrays["reference.features"]), NO_FOLD)
            ).astype(np.int32),
            reference_as_passed=arrays.get("reference.given", _no_events()),
            symmetries=document.symmetries,
            test_time_augmentation=document.test_time_augmentation,
            calibration=None if document.calibration is None else document.calibration.to_calibration(),
        )
        classifier.verify(str(folder))
        return classifier

    def verify(self, where: str = "classifier") -> None:
        """Recompute the missing values and the scores of the reference events; `where` begins the message.

        Raises:
            InputError: they differ, the scores by more than 1e-5 and by more than rounding explains.
        """
        if len(self.reference_as_passed):
            check_rules(self.reference_as_passed, self.reference_features, self.features, where)
        scores = self.scores(self.reference_features, self.reference_fold)
        measure_rounding = partial(self._measure_rounding, scores)
        check_scores(scores, self.reference_scores, self.class_names, where, measure_rounding)

    def _measure_rounding(self, scores: Float32) -> NDArray[np.float64]:
        """Return the largest change of a score of each reference event by a float32 step in each weight, [n]."""
        moved = np.zeros(len(scores))
        for seed in range(_DISTURBANCES):
            members = tuple(member.disturbed(seed) for member in self.members)
            disturbed = replace(self, members=members).scores(self.reference_features, self.reference_fold)
            moved = np.maximum(moved, np.abs(disturbed.astype(np.float64) - scores).max(axis=1))
        return moved


def _rows_by_fold(fold: ArrayLike, n_events: int) -> Iterator[tuple[int, slice | NDArray[np.intp]]]:
    """Yield each fold with the rows of its events; a slice, which copies nothing, if all are in one fold."""
    folds = np.asarray(fold)
    if folds.shape not in ((), (n_events,)) or folds.dtype.kind not in "iuf":
        raise RequestError(
            f"the folds have the shape {folds.shape} and the type {folds.dtype}; expected one number for each of the "
            f"{n_events:,} events"
        )
    numbers = np.unique(folds).tolist()
    for number in numbers:
        yield int(number), slice(None) if len(numbers) == 1 else np.flatnonzero(folds == number)
