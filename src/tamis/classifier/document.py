"""`classifier.json`: what a classifier is made of, as a document that is checked before anything is built from it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError, model_validator

from tamis.calibration import Calibration, Method
from tamis.calibration import Scaling as ScoreScaling
from tamis.classifier.manifest import MANIFEST
from tamis.classifier.opening import read_small
from tamis.config import ClassSection, Embedding, Feature, Folds, Layer, Symmetry
from tamis.config.fields import MOST_CLASSES, MOST_COLUMNS, Name
from tamis.config.layers import MOST_LAYERS
from tamis.config.size import MOST_PASSES
from tamis.errors import InputError, Problem
from tamis.network.preprocessing import Scaling

DOCUMENT = "classifier.json"
_LARGEST = 1 << 23
"""Bytes that a document has at most: as Python's values they take fifty times as much."""
_TOLD = 20
"""Problems that are told at once."""
_Names = Annotated[tuple[str, ...], FailFast()]


class ClassEntry(ClassSection):
    """A class with its name."""

    name: Name


class PreprocessingEntry(BaseModel):
    """What the networks have in common of their preprocessing."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    scaling: Scaling
    indicators: _Names
    logarithm: _Names = ()


class MemberEntry(BaseModel):
    """A network: the fold that it never saw, and the features that have an indicator input."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    fold: Annotated[int, Field(ge=0, lt=100)] | None
    indicators: _Names


class ScalingEntry(BaseModel):
    """A correction of scores: a factor and an offset for the logarithm of each class's score."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    scale: Annotated[tuple[Annotated[float, Field(gt=0)], ...], FailFast()]
    offset: Annotated[tuple[float, ...], FailFast()]


class CalibrationEntry(BaseModel):
    """The corrections: of the average of all networks, and by fold of those that never saw it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    method: Method
    of_all: ScalingEntry
    of_folds: dict[int, ScalingEntry] = Field(default_factory=dict, max_length=100)

    @classmethod
    def of(cls, calibration: Calibration) -> CalibrationEntry:
        """Write corrections down."""
        folds = {fold: ScalingEntry(**vars(each)) for fold, each in calibration.of_folds.items()}
        return cls(method=calibration.method, of_all=ScalingEntry(**vars(calibration.of_all)), of_folds=folds)

    def read(self) -> Calibration:
        """Give the corrections."""
        folds = {fold: ScoreScaling(**each.model_dump()) for fold, each in self.of_folds.items()}
        return Calibration(self.method, ScoreScaling(**self.of_all.model_dump()), folds)


class Document(BaseModel):
    """All that `classifier.json` says."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal["tamis classifier"] = "tamis classifier"
    version: Literal[1] = 1
    features: Annotated[tuple[Feature, ...], FailFast()] = Field(min_length=1, max_length=MOST_COLUMNS)
    classes: Annotated[tuple[ClassEntry, ...], FailFast()] = Field(min_length=2, max_length=MOST_CLASSES)
    preprocessing: PreprocessingEntry
    network: Annotated[tuple[Layer, ...], FailFast()] = Field(max_length=MOST_LAYERS + 1)
    embedding: Embedding | None = None
    shared_members: Annotated[int, Field(ge=1, le=1024)] = 1
    members: Annotated[tuple[MemberEntry, ...], FailFast()] = Field((), max_length=100 * 1024)
    folds: Folds | None = None
    symmetries: Annotated[tuple[Symmetry, ...], FailFast()] = Field((), max_length=100)
    draws: Annotated[int, Field(ge=0, le=4096)] = 0
    calibration: CalibrationEntry | None = None
    manifest: Literal["manifest.json"] | None = None
    weights_sha256: str
    document_sha256: str = ""

    @model_validator(mode="after")
    def _check_names(self) -> Document:
        for what, entries in (("features", self.features), ("classes", self.classes)):
            names = [entry.name for entry in entries]
            if len(set(names)) < len(names):
                raise ValueError(f"{what} share a name")
        passes = len(self.entries) * max(self.draws, 1)
        if passes > MOST_PASSES:
            raise ValueError(
                f"{passes:,} networks times draws are more than the {MOST_PASSES:,} that are allowed"
            )
        known = {feature.name for feature in self.features}
        used = [name for member in self.entries for name in member.indicators]
        unknown = {*used, *self.preprocessing.logarithm} - known
        if unknown:
            raise ValueError(f"there are no features {sorted(unknown)}, which the preprocessing names")
        scalings = [self.calibration.of_all, *self.calibration.of_folds.values()] if self.calibration else []
        if any({len(each.scale), len(each.offset)} != {len(self.classes)} for each in scalings):
            raise ValueError(
                f"the calibration does not have a number for each of {len(self.classes)} classes"
            )
        return self

    @property
    def entries(self) -> tuple[MemberEntry, ...]:
        """The networks; a document without a list of them is of one network."""
        return self.members or (MemberEntry(fold=None, indicators=self.preprocessing.indicators),)

    @property
    def prefixes(self) -> list[str]:
        """What the names of the arrays of each network begin with."""
        return prefixes(len(self.entries))

    def to_dict(self) -> dict[str, Any]:
        """Give the document with its own hash, as strict JSON holds it."""
        said = self.model_dump(mode="json", exclude={"document_sha256"})
        said["features"] = [_without_nan(feature) for feature in said["features"]]
        said["classes"] = [{"name": each.pop("name"), **each} for each in said["classes"]]
        return {**said, "document_sha256": hash_of(said)}


def prefixes(members: int) -> list[str]:
    """Give what the names of the arrays of each network begin with; nothing where there is one network."""
    return [""] if members == 1 else [f"members.{number}." for number in range(members)]


def _without_nan(feature: dict[str, Any]) -> dict[str, Any]:
    missing: Sequence[float | None] | None = feature["missing"]
    if missing is not None:
        feature["missing"] = ["nan" if value is None or math.isnan(value) else value for value in missing]
    return feature


def hash_of(document: Mapping[str, Any]) -> str:
    """Hash all that a document says but its own hash, so that no name or order changes unnoticed."""
    said = {key: value for key, value in document.items() if key != "document_sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def read_document(path: Path) -> Document:
    """Read `classifier.json`.

    Raises:
        InputError: it is missing, damaged or foreign, or was changed after it was written.
    """
    try:
        found = json.loads(read_small(path, _LARGEST).decode("utf-8"))
        document = Document.model_validate(found)
    except FileNotFoundError as error:
        message = "is missing; a classifier is the folder `model` of a finished run"
        raise InputError("classifier", [Problem(str(path), message)]) from error
    except ValidationError as error:
        problems = [
            Problem(
                f"{path}: {'.'.join(map(str, each['loc']))}", f"{each['msg']}; the file is damaged or foreign"
            )
            for each in error.errors(include_url=False, include_context=False, include_input=False)[:_TOLD]
        ]
        raise InputError("classifier", problems) from error
    except (ValueError, RecursionError) as error:
        message = f"is not JSON ({error}); the file is damaged or foreign"
        raise InputError("classifier", [Problem(str(path), message)]) from error
    if hash_of(found) != document.document_sha256:
        message = "was changed after it was written; copy the whole folder `model` again"
        raise InputError("classifier", [Problem(str(path), message)])
    return document


def has_manifest(document: Document, folder: Path) -> bool:
    """Say whether the folder must fit a manifest: every classifier since there are manifests."""
    return document.manifest is not None or (folder / MANIFEST).exists()
