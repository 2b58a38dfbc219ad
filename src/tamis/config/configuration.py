"""The whole configuration, and its JSON Schema: editors complete and check the file with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tamis.config.consistency import INCONSISTENCY, find_inconsistencies
from tamis.config.evaluation import Evaluation, Report
from tamis.config.events import ClassSection, Feature, Sample, Spectator, Split, Weights
from tamis.config.fields import (
    MOST_CLASSES,
    MOST_COLUMNS,
    FileName,
    FolderName,
    Name,
    Section,
    Seed,
    or_name,
    or_null,
)
from tamis.config.key_path import format_key_path
from tamis.config.layers import Network
from tamis.config.learning import Preprocessing, Training

SCHEMA_FILE = Path(__file__).with_name("tamis.schema.json")
"""The schema as the package ships it."""


class Config(Section):
    """The configuration of a run."""

    name: FolderName = Field(
        "run", description="name of the run and of its folder; by default the name of this file"
    )
    seed: Seed = Field(0, description="seed of the random numbers of the training")
    data: FileName | None = Field(
        None,
        description="folder of relative file names; by default the folder of this file",
    )
    samples: tuple[Sample, ...] = Field(
        min_length=1,
        max_length=MOST_COLUMNS,
        strict=False,
        description="the input samples; their order does not matter",
    )
    classes: Mapping[Name, Annotated[ClassSection, or_null(ClassSection)]] = Field(
        min_length=2,
        max_length=MOST_CLASSES,
        description="the classes, in the order of the network's outputs",
    )
    features: tuple[Annotated[Feature, or_name(Feature)], ...] = Field(
        min_length=1, max_length=MOST_COLUMNS, strict=False, description="the inputs of the network"
    )
    spectators: tuple[Annotated[Spectator, or_name(Spectator)], ...] = Field(
        (),
        max_length=MOST_COLUMNS,
        strict=False,
        description="variables that are not inputs of the network, for example to check for sculpting",
    )
    weights: Annotated[Weights, or_null(Weights)] = Field(
        Weights(), description="weights of the events in the loss"
    )
    split: Annotated[Split, or_null(Split)] = Field(
        Split(), description="split of the events into training, validation and test, or into folds"
    )
    preprocessing: Annotated[Preprocessing, or_null(Preprocessing)] = Field(
        Preprocessing(), description="transformations of the features before the first layer"
    )
    network: Annotated[Network, or_null(Network)] = Field(
        Network(), description="the architecture of the network"
    )
    training: Annotated[Training, or_null(Training)] = Field(
        Training(), description="how the network is trained"
    )
    evaluation: Annotated[Evaluation, or_null(Evaluation)] = Field(
        Evaluation(), description="which results are computed"
    )
    report: Annotated[Report, or_null(Report)] = Field(Report(), description="the figures of the report")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the network's outputs."""
        return tuple(self.classes)

    @property
    def class_labels(self) -> tuple[str | None, ...]:
        """The label of each class in plots; None is the name."""
        return tuple(section.label for section in self.classes.values())

    @property
    def signal_names(self) -> tuple[str, ...]:
        """The classes that are marked as signal."""
        return tuple(name for name, section in self.classes.items() if section.signal)

    @model_validator(mode="after")
    def _check_consistency(self) -> Config:
        diagnostics = find_inconsistencies(self.model_dump(by_alias=True))
        if diagnostics:
            text = "; ".join(
                f"{format_key_path(diagnostic.path)}: {diagnostic.message}" for diagnostic in diagnostics
            )
            raise PydanticCustomError(INCONSISTENCY, "{text}", {"text": text})
        return self


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the YAML file.

    Returns:
        A schema of draft 2020-12 with the keys, their descriptions, types and limits, and the short forms. It does not
        contain the consistency checks across sections, such as the names of classes.

    Example:
        >>> json_schema()["required"]
        ['samples', 'classes', 'features']
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(by_alias=True),
    }


def write_json_schema(path: Path = SCHEMA_FILE) -> None:
    """Write the JSON Schema to a file; the one in the package is written after every change of the models."""
    path.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
