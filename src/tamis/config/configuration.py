"""The whole configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tamis.config.evaluation import Evaluation
from tamis.config.events import ClassSection, Feature, Sample, Spectator, Split, Weights
from tamis.config.facts import FACTS, find_contradictions
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
from tamis.config.layers import Network
from tamis.config.learning import Preprocessing, Training
from tamis.config.place import render_place
from tamis.config.report import Report


class Config(Section):
    """Everything that a run needs to know."""

    name: FolderName = Field(
        "run", description="name of the run and of its folder; the name of the file by default"
    )
    seed: Seed = Field(0, description="start of all random numbers of the training")
    data: FileName | None = Field(
        None,
        description="the folder where relative file names are looked up; the folder of this file by default",
    )
    samples: tuple[Sample, ...] = Field(
        min_length=1,
        max_length=MOST_COLUMNS,
        strict=False,
        description="where the events come from; the order never matters",
    )
    classes: Mapping[Name, Annotated[ClassSection, or_null(ClassSection)]] = Field(
        min_length=2,
        max_length=MOST_CLASSES,
        description="what the network tells apart; the order is that of its outputs",
    )
    features: tuple[Annotated[Feature, or_name(Feature)], ...] = Field(
        min_length=1, max_length=MOST_COLUMNS, strict=False, description="the inputs of the network"
    )
    spectators: tuple[Annotated[Spectator, or_name(Spectator)], ...] = Field(
        (),
        max_length=MOST_COLUMNS,
        strict=False,
        description="columns that are carried along but never shown to the network",
    )
    weights: Annotated[Weights, or_null(Weights)] = Field(
        Weights(), description="how events count in the loss"
    )
    split: Annotated[Split, or_null(Split)] = Field(
        Split(), description="which events train, which decide when to stop, and which give the results"
    )
    preprocessing: Annotated[Preprocessing, or_null(Preprocessing)] = Field(
        Preprocessing(), description="what happens to the features before the first layer"
    )
    network: Annotated[Network, or_null(Network)] = Field(Network(), description="the hidden layers")
    training: Annotated[Training, or_null(Training)] = Field(
        Training(), description="how the network is fitted"
    )
    evaluation: Annotated[Evaluation, or_null(Evaluation)] = Field(
        Evaluation(), description="what the results quote"
    )
    report: Annotated[Report, or_null(Report)] = Field(Report(), description="which figures are drawn")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The keys of the classes, in the order of the network's outputs."""
        return tuple(self.classes)

    @property
    def class_labels(self) -> Mapping[str, str]:
        """How plots write each class."""
        return {name: section.display_label(name) for name, section in self.classes.items()}

    @property
    def signal_names(self) -> tuple[str, ...]:
        """The classes that are marked as signal."""
        return tuple(name for name, section in self.classes.items() if section.signal)

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Config:
        findings = find_contradictions(self.model_dump(by_alias=True))
        if findings:
            text = "; ".join(f"{render_place(finding.place)}: {finding.message}" for finding in findings)
            raise PydanticCustomError(FACTS, "{text}", {"text": text})
        return self
