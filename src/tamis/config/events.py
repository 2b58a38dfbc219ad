"""The sections of the events: samples, classes, columns, weights and the split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from tamis.config.fields import (
    ColumnName,
    ExpressionText,
    ExpressionTexts,
    FileNames,
    Fraction,
    Label,
    MissingValues,
    Name,
    Positive,
    Section,
    Seed,
    TreeNames,
    Weight,
    or_number,
)


class Sample(Section):
    """The files of one process."""

    name: Name = Field(description="name of the sample in reports and in the cutflow")
    class_name: Name = Field(alias="class", description="class of its events")
    files: FileNames = Field(
        description="a path, glob or URL, or a list of them; relative names are below `data`"
    )
    tree: TreeNames | None = Field(
        None,
        description="name of the tree; a glob such as `DF_*/O2cand`, or a list, reads several trees of each file; "
        "null if each file has only one tree",
    )
    weight: Weight = Field(
        1.0, description="physics weight of an event: a number or an expression of branches"
    )
    selection: ExpressionText | None = Field(
        None, description="expression that selects events; null selects all"
    )


class ClassSection(Section):
    """A class of events, one output of the network."""

    label: Label | None = Field(None, description="label in figures; null is the name")
    signal: bool = Field(False, description="whether the class is signal")


class Variable(Section):
    """A number per event, computed from branches."""

    name: ColumnName = Field(description="name of the column, unique")
    # the name is the default
    expression: ExpressionText = Field(
        default_factory=str, description="expression of branches; by default the name"
    )
    unit: Label | None = Field(None, description="unit, for the axes of figures")
    label: Label | None = Field(None, description="label in figures; null is the name")
    missing: MissingValues = Field(
        None,
        description="values that mark a missing value, such as -999; nan allows NaN",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_expression(cls, value: object) -> object:
        if not isinstance(value, Mapping) or value.get("expression") is not None:
            return value
        return {**value, "expression": value["name"]} if isinstance(value.get("name"), str) else value


class Feature(Variable):
    """An input of the network; a text `pt` is short for `{name: pt, expression: pt}`."""


class Spectator(Variable):
    """A variable that is not an input of the network."""


Balance = Annotated[
    Annotated[Literal["classes", "none"], Tag("rule")] | Annotated[Mapping[str, Positive], Tag("factors")],
    Discriminator(lambda value: "factors" if isinstance(value, Mapping) else "rule"),
]


class Flatten(Section):
    """Reweight all classes to the same distribution of one or two spectators in the loss."""

    spectators: Annotated[tuple[Name, ...], Field(min_length=1, max_length=2, strict=False)] = Field(
        description="one or two spectators, such as the mass"
    )
    bins: Annotated[int, Field(ge=2, le=1000)] = Field(
        20, description="number of bins of each spectator, with equal sums of training weights"
    )


class Weights(Section):
    """Weights of the events in the loss; the evaluation always uses the signed physics weights."""

    balance: Balance = Field(
        "classes",
        description="class weights: `classes` gives all classes the same sum of weights, `none` changes "
        "nothing, a mapping has a factor for each class (default 1)",
    )
    negative: Literal["keep", "drop", "absolute", "refuse"] = Field(
        "keep",
        description="use of negative weights in the training: `keep` the sign, `drop` the events, use the `absolute` "
        "value, or `refuse` them",
    )
    flatten: Flatten | None = Field(
        None,
        description="reweight all classes to the same distribution of spectators; null does not",
    )


class Folds(Section):
    """K-fold cross-training: each network scores the fold that it was not trained on."""

    number: Annotated[int, Field(ge=2, le=100)] = Field(description="number of folds")
    by: ExpressionText | None = Field(
        None,
        description="integer expression, such as `event`, whose remainder is the fold; null uses the hash of "
        "the event ID",
    )


class Split(Section):
    """Split of the events into training, validation and test."""

    test: Fraction = Field(0.25, description="fraction of all events in the test split, for the results")
    validation: Fraction = Field(
        0.2, description="fraction of the other events in the validation split, for early stopping"
    )
    event_id: ExpressionTexts | None = Field(
        None,
        description="columns that identify an event, such as [run, luminosityBlock, event]; events with equal "
        "IDs are in the same split; null uses sample, file and entry",
    )
    seed: Seed = Field(0, description="seed of the split")
    folds: Annotated[Folds, or_number(Folds)] | None = Field(
        None,
        description="number of folds of a k-fold cross-training: each fold is scored by a network that was not "
        "trained on it, and `test` is not used; null trains without folds",
    )
