"""`classifier.json`: the parts of a classifier, as a document that is checked before anything is built from it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, TypeAdapter, ValidationError, model_validator

from tamis.calibration import Calibration, Method
from tamis.classifier.opening import DAMAGED, build_error, read_small
from tamis.config import ClassSection, Embedding, Feature, Folds, Gains, Layer, Symmetry
from tamis.config.fields import MOST_CLASSES, MOST_COLUMNS, Name
from tamis.config.layers import MOST_LAYERS
from tamis.config.size import MOST_PASSES
from tamis.data.ensemble import EnsemblePlan, PlannedMember
from tamis.errors import InputError, Problem
from tamis.files import add_hash
from tamis.network.preprocessing import Scaling

DOCUMENT = "classifier.json"
VERSION: Literal[2] = 2
"""Version of the format; version 1 had other names of keys."""
_FORMAT: Literal["tamis classifier"] = "tamis classifier"
_LARGEST = 1 << 23
"""Maximum number of bytes of a document; as Python objects they take fifty times as much."""
_MOST_PROBLEMS = 20
"""Maximum number of problems in a message."""
_Names = Annotated[tuple[str, ...], FailFast()]


class ClassEntry(ClassSection):
    """A class with its name."""

    name: Name


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PreprocessingEntry(_Entry):
    """The preprocessing that all networks have in common, and the indicators of the first."""

    scaling: Scaling
    indicators: _Names
    logarithm: _Names = ()


class MemberEntry(_Entry):
    """A network: its role in the ensemble plan, and the features that have an indicator input."""

    fold: Annotated[int, Field(ge=0, lt=100)] | None
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    indicators: _Names


class ScalingEntry(_Entry):
    """A correction of scores: a factor and an offset for the logarithm of each class's score."""

    scale: Annotated[tuple[Annotated[float, Field(gt=0)], ...], FailFast()]
    offset: Annotated[tuple[float, ...], FailFast()]


class CalibrationEntry(_Entry):
    """The corrections of the average of all networks, and of the networks that did not train on a fold."""

    method: Method
    of_all: ScalingEntry
    of_folds: dict[int, ScalingEntry] = Field(default_factory=dict, max_length=100)

    def to_calibration(self) -> Calibration:
        """Return the corrections."""
        return TypeAdapter(Calibration).validate_python(self.model_dump())


class ClassifierDocument(_Entry):
    """The content of `classifier.json`."""

    format: Literal["tamis classifier"] = _FORMAT
    version: Literal[2] = VERSION
    features: Annotated[tuple[Feature, ...], FailFast()] = Field(min_length=1, max_length=MOST_COLUMNS)
    classes: Annotated[tuple[ClassEntry, ...], FailFast()] = Field(min_length=2, max_length=MOST_CLASSES)
    preprocessing: PreprocessingEntry
    network: Annotated[tuple[Layer, ...], FailFast()] = Field(max_length=MOST_LAYERS + 1)
    embedding: Embedding | None = None
    gains: Gains | None = None
    shared_members: Annotated[int, Field(ge=1, le=1024)] = 1
    members: Annotated[tuple[MemberEntry, ...], FailFast()] = Field(min_length=1, max_length=100 * 1024)
    folds: Folds | None = None
    symmetries: Annotated[tuple[Symmetry, ...], FailFast()] = Field((), max_length=100)
    test_time_augmentation: Annotated[int, Field(ge=0, le=4096)] = 0
    calibration: CalibrationEntry | None = None
    manifest: Literal["manifest.json"] = "manifest.json"
    weights_sha256: str
    document_sha256: str = ""

    @model_validator(mode="after")
    def _check_consistency(self) -> ClassifierDocument:
        for key in ("features", "classes"):
            names = [entry.name for entry in getattr(self, key)]
            if len(set(names)) < len(names):
                raise ValueError(f"two {key} have the same name")
        passes = len(self.members) * max(self.test_time_augmentation, 1)
        if passes > MOST_PASSES:
            raise ValueError(
                f"{passes:,} networks times copies of an event are more than the maximum of {MOST_PASSES:,}"
            )
        used = {name for member in self.members for name in member.indicators}
        used |= {*self.preprocessing.indicators, *self.preprocessing.logarithm}
        unknown = used - {feature.name for feature in self.features}
        if unknown:
            raise ValueError(f"the preprocessing names features that do not exist: {sorted(unknown)}")
        scalings = [self.calibration.of_all, *self.calibration.of_folds.values()] if self.calibration else []
        if any({len(scaling.scale), len(scaling.offset)} != {len(self.classes)} for scaling in scalings):
            raise ValueError(
                f"the calibration does not have one number for each of {len(self.classes)} classes"
            )
        return self

    @property
    def prefixes(self) -> list[str]:
        """The beginning of the names of the arrays of each network."""
        return list_prefixes(len(self.members))

    @property
    def plan(self) -> EnsemblePlan:
        """The ensemble plan."""
        members = tuple(PlannedMember(entry.fold, entry.seed) for entry in self.members)
        return EnsemblePlan(members, self.folds)

    def to_dict(self) -> dict[str, Any]:
        """Return the document with its own hash, as strict JSON."""
        content = self.model_dump(mode="json", exclude={"document_sha256"})
        for feature in content["features"]:
            if feature["missing"] is not None:
                feature["missing"] = [
                    "nan" if value is None or math.isnan(value) else value for value in feature["missing"]
                ]
        content["classes"] = [{"name": entry.pop("name"), **entry} for entry in content["classes"]]
        return add_hash(content, "document_sha256")


def list_prefixes(members: int) -> list[str]:
    """Return the beginning of the names of the arrays of each network; empty for a single network."""
    return [""] if members == 1 else [f"members.{number}." for number in range(members)]


def read_document(path: Path) -> ClassifierDocument:
    """Read `classifier.json`; raise an `InputError` if it is missing, damaged, changed, or of another version."""
    try:
        text = read_small(path, _LARGEST)
        content = json.loads(text.decode("utf-8"))
    except FileNotFoundError as error:
        message = "is missing; a classifier is the folder `model` of a finished run"
        inside = path.parent / "model" / path.name
        if inside.is_file():
            message = f"is missing; {path.parent} is a run directory, whose classifier is in {inside.parent}"
        raise build_error(path, message) from error
    except (ValueError, RecursionError) as error:
        raise build_error(path, f"is not JSON ({error}): {DAMAGED}") from error
    _check_version(path, content)
    try:
        document = ClassifierDocument.model_validate_json(text)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [
            Problem(f"{path}: {'.'.join(map(str, detail['loc']))}", f"{detail['msg']}: {DAMAGED}")
            for detail in details[:_MOST_PROBLEMS]
        ]
        raise InputError("classifier", problems) from error
    if add_hash(content, "document_sha256")["document_sha256"] != document.document_sha256:
        raise build_error(path, "was changed after it was written; copy the whole folder `model` again")
    return document


def _check_version(path: Path, content: Any) -> None:
    """Refuse a document of another version before its keys are validated, because these have changed."""
    if not isinstance(content, Mapping) or content.get("format") != _FORMAT:
        return
    version = content.get("version")
    if version != VERSION:
        raise build_error(
            path,
            f"has version {repr(version)[:20]} of the format, but this tamis reads version {VERSION}; train again with "
            "this tamis, or use the tamis that wrote the file",
        )
