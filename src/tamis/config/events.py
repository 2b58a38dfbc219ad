"""The sections that say which events there are: samples, classes, columns, weights and the split."""

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
    """A set of files of one process."""

    name: Name = Field(description="what reports and the ledger call the sample")
    class_name: Name = Field(alias="class", description="the class that its events belong to")
    files: FileNames = Field(
        description="one path, glob or URL, or a list of them; relative names are looked up in `data`"
    )
    tree: TreeNames | None = Field(
        None,
        description="the tree in the files; a glob such as `DF_*/O2cand`, or a list, reads several of each file; "
        "null where each holds one tree only",
    )
    weight: Weight = Field(1.0, description="the physics weight: a number or an expression of branches")
    selection: ExpressionText | None = Field(
        None, description="an expression; events for which it is false are not used; null uses all"
    )


class ClassSection(Section):
    """What the network tells apart; one output each."""

    label: Label | None = Field(None, description="how plots write the class; null writes its name")
    signal: bool = Field(False, description="whether the class is a signal")

    def display_label(self, name: str) -> str:
        """Give the label for plots.

        Args:
            name: the key of the class, which stands in where there is no label.
        """
        return self.label or name


class Column(Section):
    """A number per event that is computed from branches."""

    name: ColumnName = Field(description="its name, one per column")
    # the name fills it in when it is left out
    expression: ExpressionText = Field(
        default_factory=str, description="how it is computed from branches; the name where it is left out"
    )
    unit: Label | None = Field(None, description="its unit, for axes of plots")
    label: Label | None = Field(None, description="how plots write it; null writes its name")
    missing: MissingValues = Field(
        None,
        description="the value or values that mean 'not there', such as -999; nan says that NaN may occur",
    )

    @property
    def display_label(self) -> str:
        """The label for plots, without the unit."""
        return self.label or self.name

    @model_validator(mode="before")
    @classmethod
    def _fill_expression(cls, value: object) -> object:
        if not isinstance(value, Mapping) or value.get("expression") is not None:
            return value
        return {**value, "expression": value["name"]} if isinstance(value.get("name"), str) else value


class Feature(Column):
    """An input of the network; a text `pt` is short for `{name: pt, expression: pt}`."""


class Spectator(Column):
    """A column that is carried along but never shown to the network."""


def _kind_of_balance(value: object) -> str:
    return "factors" if isinstance(value, Mapping) else "rule"


Balance = Annotated[
    Annotated[Literal["classes", "none"], Tag("rule")] | Annotated[Mapping[str, Positive], Tag("factors")],
    Discriminator(_kind_of_balance),
]


class Flatten(Section):
    """Give every class the same distribution of one or two spectators in the loss."""

    spectators: Annotated[tuple[Name, ...], Field(min_length=1, max_length=2, strict=False)] = Field(
        description="one or two spectators, such as the mass, that cannot be read off the numbers of events then"
    )
    bins: Annotated[int, Field(ge=2, le=1000)] = Field(
        20, description="bins of each, with the same weight of training events in each"
    )


class Weights(Section):
    """How events count in the loss; evaluation always uses the signed physics weights."""

    balance: Balance = Field(
        "classes",
        description="the training factors: `classes` gives all classes the same sum of weights, `none` "
        "changes nothing, a mapping gives a factor for each class (1 where it is left out)",
    )
    negative: Literal["keep", "drop", "absolute", "refuse"] = Field(
        "keep", description="what happens to events of negative weight in training"
    )
    flatten: Flatten | None = Field(
        None,
        description="spectators whose distribution is made the same for all classes; null changes nothing",
    )


class Folds(Section):
    """Cross-training: as many networks as folds, each scores the events that it never saw."""

    number: Annotated[int, Field(ge=2, le=100)] = Field(description="number of folds")
    by: ExpressionText | None = Field(
        None,
        description="a whole number per event, such as `event`, whose remainder is the fold; null takes the hash "
        "of the event's identity",
    )


class Split(Section):
    """Which events train, which decide when to stop, and which give the results."""

    test: Fraction = Field(0.25, description="fraction of all events that is kept for the results")
    validation: Fraction = Field(0.2, description="fraction of what is left that decides when to stop")
    by: ExpressionTexts | None = Field(
        None,
        description="the columns that identify an event, such as [run, luminosityBlock, event]; equal events "
        "stay together; null identifies an event by sample, file and entry",
    )
    seed: Seed = Field(0, description="another number gives another division of the same events")
    folds: Annotated[Folds, or_number(Folds)] | None = Field(
        None,
        description="cross-training: the number of folds, each of which is scored by a network that never saw "
        "it; `test` is not used then; null trains one network",
    )
