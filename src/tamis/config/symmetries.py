"""The sections that say what physics leaves unchanged."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tamis.config.fields import Name, Positive, Section

Names = Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]


class Rotation(Section):
    """All azimuths are turned by one common angle."""

    type: Literal["rotation"] = Field("rotation", description="the kind of symmetry")
    features: Names = Field(description="the azimuths, all of them")
    period: Positive = Field(2 * math.pi, description="a full turn in the unit of the features")
    start: float | None = Field(
        None,
        description="where the range of the azimuths begins; null takes 0 or minus half a period, as the training "
        "events have it",
    )


class Reflection(Section):
    """All these features change their sign together."""

    type: Literal["reflection"] = Field("reflection", description="the kind of symmetry")
    features: Names = Field(description="pseudorapidities, or azimuths, all of them")


class Exchange(Section):
    """Identical objects are put into another order."""

    type: Literal["exchange"] = Field("exchange", description="the kind of symmetry")
    objects: Annotated[tuple[Names, ...], Field(min_length=2, strict=False)] = Field(
        description="the features of each object, in the same order for all of them"
    )

    @model_validator(mode="after")
    def _check_lengths(self) -> Exchange:
        lengths = {len(features) for features in self.objects}
        if len(lengths) > 1:
            raise ValueError(
                f"the objects have different numbers of features ({sorted(lengths)}); give each the same"
            )
        return self


Symmetry = Annotated[Rotation | Reflection | Exchange, Field(discriminator="type")]
