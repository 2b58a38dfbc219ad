"""The sections of the results: what they quote, what they are compared with, and the figures of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator

from tamis.config.fields import ExpressionText, Fraction, Name, NotNegative, Positive, Section
from tamis.wording import suggest


class LogDensity(Section):
    """The known log-density of each class, up to a common constant."""

    log_density: Mapping[str, ExpressionText] = Field(description="an expression for every class")


class Discriminant(Section):
    """A known discriminant, for comparison."""

    discriminant: Mapping[str, ExpressionText] = Field(
        min_length=1,
        description="an expression for each class that has one; larger values are more like the class",
    )


Reference = LogDensity | Discriminant
_REFERENCES = ("log_density", "discriminant")


def _one_reference(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    kinds = [kind for kind in _REFERENCES if kind in value]
    if len(kinds) == 1:
        return value
    hint = suggest(str(next(iter(value))), _REFERENCES) if value and not kinds else ""
    raise ValueError(
        f"expected exactly one of {', '.join(_REFERENCES)}; found {' and '.join(kinds) or 'none'}{hint}"
    )


def _kind_of_reference(value: object) -> str:
    is_discriminant = isinstance(value, Discriminant) or (
        isinstance(value, Mapping) and "discriminant" in value
    )
    return "Discriminant" if is_discriminant else "LogDensity"


ReferenceChoice = Annotated[
    Annotated[LogDensity, Tag("LogDensity")] | Annotated[Discriminant, Tag("Discriminant")],
    Discriminator(_kind_of_reference),
    BeforeValidator(_one_reference, json_schema_input_type=Reference),
]


class Luminosity(Section):
    """The integrated luminosity."""

    of_weights: Positive = Field(description="luminosity to which the physics weights are normalised")
    quoted: Positive = Field(
        description="luminosity for which yields and significances are quoted; in the same unit"
    )


Baseline = Literal["xgboost", "logistic", "cuts"]


# a tag selects one alternative, so that a wrong value has the errors of this one only
Features = Annotated[
    Annotated[bool, Tag("bool")] | Annotated[tuple[Name, ...], Field(strict=False), Tag("names")],
    Discriminator(lambda value: "bool" if isinstance(value, bool) else "names"),
]
Uncertainty = Annotated[
    Annotated[NotNegative, Tag("number")] | Annotated[Mapping[Name, NotNegative], Tag("by_class")],
    Discriminator(lambda value: "by_class" if isinstance(value, Mapping) else "number"),
]


class Evaluation(Section):
    """Which results are computed."""

    working_points: tuple[Fraction, ...] = Field(
        (0.5, 0.7, 0.9),
        max_length=100,
        strict=False,
        description="signal efficiencies in the tables",
    )
    reference: ReferenceChoice | None = Field(
        None,
        description="known densities or discriminants to compare with: `log_density` or `discriminant`, with an "
        "expression for each class",
    )
    luminosity: Luminosity | None = Field(
        None,
        description="for yields and significances; null quotes sums of physics weights instead of expected events",
    )
    background_uncertainty: Uncertainty = Field(
        0.0,
        description="relative systematic uncertainty of the backgrounds, for significances: one number for each, or "
        "a mapping (class: number); uncertainties of different classes are independent",
    )
    baselines: tuple[Baseline, ...] = Field(
        (),
        strict=False,
        description="other classifiers that are trained on the same events for comparison",
    )
    ablation: Features = Field(
        False,
        description="feature ablation: trains the network again without each feature, or without each of the listed "
        "features; groups of correlated features are ablated together",
    )


FigureFormat = Literal["svg", "pdf", "png"]


class Report(Section):
    """Figures and their formats."""

    formats: tuple[FigureFormat, ...] = Field(
        ("svg",),
        strict=False,
        description="file formats of the figures: any of `svg`, `pdf`, `png`. SVG, which the report needs, and "
        "`figures.pdf` are always written",
    )
    figures: bool = Field(
        True, description="whether to draw figures; without them the report has only tables"
    )

    @field_validator("formats")
    @classmethod
    def _check_formats(cls, formats: tuple[FigureFormat, ...]) -> tuple[FigureFormat, ...]:
        repeated = [name for name, count in Counter(formats).items() if count > 1]
        if repeated:
            raise ValueError(f"names {', '.join(repeated)} more than once; name each format once")
        return formats
