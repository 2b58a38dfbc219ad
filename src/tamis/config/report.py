"""The section that says which files the results are drawn into."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from pydantic import Field, field_validator

from tamis.config.fields import Section

FigureFormat = Literal["svg", "pdf", "png"]


class Report(Section):
    """What is drawn, and into which files."""

    formats: tuple[FigureFormat, ...] = Field(
        ("svg",),
        strict=False,
        description="formats of the single figures: any of `svg`, `pdf`, `png`. SVG is always written, because the "
        "report is made of it; the book `figures.pdf` too",
    )
    figures: bool = Field(
        True, description="whether figures are drawn; without them the report has tables and numbers only"
    )

    @field_validator("formats")
    @classmethod
    def _check_formats(cls, formats: tuple[FigureFormat, ...]) -> tuple[FigureFormat, ...]:
        repeated = [name for name, count in Counter(formats).items() if count > 1]
        if repeated:
            raise ValueError(f"names {', '.join(repeated)} more than once; name each format once")
        return formats
