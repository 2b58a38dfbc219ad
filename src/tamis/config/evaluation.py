"""The section that says what the results are compared with and what they quote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from tamis.config.fields import ExpressionText, Fraction, Name, Positive, Section
from tamis.config.wording import describe
from tamis.wording import suggest


class LogDensity(Section):
    """The known log-density of each class, up to one common constant."""

    log_density: Mapping[str, ExpressionText] = Field(description="an expression for every class")


class Discriminant(Section):
    """A known discriminant to compare with."""

    discriminant: Mapping[str, ExpressionText] = Field(
        min_length=1,
        description="an expression for each class that has one; larger means more like the class",
    )


Reference = LogDensity | Discriminant
_REFERENCES: Mapping[str, type[Section]] = {"log_density": LogDensity, "discriminant": Discriminant}


def _one_reference(value: object) -> object:
    if isinstance(value, LogDensity | Discriminant):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a mapping (key: value), found {describe(value)}")
    given = [kind for kind in _REFERENCES if kind in value]
    if len(given) == 1:
        return value
    hint = suggest(str(next(iter(value))), _REFERENCES) if value and not given else ""
    raise ValueError(
        f"expected exactly one of {', '.join(_REFERENCES)}; found {' and '.join(given) or 'none'}{hint}"
    )


def _kind_of_reference(value: object) -> str:
    if isinstance(value, Mapping):
        return next((section.__name__ for kind, section in _REFERENCES.items() if kind in value), "")
    return type(value).__name__


ReferenceChoice = Annotated[
    Annotated[LogDensity, Tag("LogDensity")] | Annotated[Discriminant, Tag("Discriminant")],
    Discriminator(_kind_of_reference),
    BeforeValidator(_one_reference, json_schema_input_type=Reference),
]


class Luminosity(Section):
    """How many events the physics weights stand for."""

    of_weights: Positive = Field(description="luminosity to which the physics weights are normalised")
    quoted: Positive = Field(
        description="luminosity for which yields and significances are quoted; in the same unit"
    )


Baseline = Literal["xgboost", "logistic", "cuts"]


def _all_or_named(value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, list | tuple):
        return tuple(value)
    raise ValueError(f"expected true, false or a list of features, found {describe(value)}")


def _kind_of_features(value: object) -> str:
    return "bool" if isinstance(value, bool) else "names"


Features = Annotated[
    Annotated[bool, Tag("bool")] | Annotated[tuple[Name, ...], Tag("names")],
    Discriminator(_kind_of_features),
    BeforeValidator(_all_or_named, json_schema_input_type=bool | tuple[Name, ...]),
]


def _number_or_by_class(value: object) -> object:
    if isinstance(value, Mapping) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise ValueError(f"expected a number or a mapping (class: number), found {describe(value)}")


def _kind_of_uncertainty(value: object) -> str:
    return "by_class" if isinstance(value, Mapping) else "number"


Relative = Annotated[float, Field(ge=0)]
Uncertainty = Annotated[
    Annotated[Relative, Tag("number")] | Annotated[Mapping[Name, Relative], Tag("by_class")],
    Discriminator(_kind_of_uncertainty),
    BeforeValidator(_number_or_by_class, json_schema_input_type=Relative | Mapping[Name, Relative]),
]


class Evaluation(Section):
    """What the results quote."""

    working_points: tuple[Fraction, ...] = Field(
        (0.5, 0.7, 0.9),
        max_length=100,
        strict=False,
        description="signal efficiencies that tables quote",
    )
    reference: ReferenceChoice | None = Field(
        None,
        description="what is known about the events, for comparison: `log_density` or `discriminant`, with "
        "an expression for each class",
    )
    luminosity: Luminosity | None = Field(
        None,
        description="for yields and significances; null takes the physics weights as they are, and quotes no expected "
        "events",
    )
    background_uncertainty: Uncertainty = Field(
        0.0,
        description="relative systematic uncertainty of each background, apart from each other, for significances; one "
        "number for all, or one for each background class",
    )
    baselines: tuple[Baseline, ...] = Field(
        (),
        strict=False,
        description="classifiers of other kinds to train on the same events and compare with",
    )
    leave_out: Features = Field(
        False,
        description="whether the network is trained again without each feature, or the features for which it is; one "
        "training for each, and for each group of correlated features",
    )
