"""The sections that say what is made small."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tamis.config.fields import Fraction, NotNegative, Positive, Section, by_name


class CrossEntropy(Section):
    """The weighted categorical cross-entropy."""

    name: Literal["cross_entropy"] = Field("cross_entropy", description="the kind of loss")


class BinaryCrossEntropy(Section):
    """The weighted cross-entropy of two classes, from one output (the logit of the second class)."""

    name: Literal["binary_cross_entropy"] = Field("binary_cross_entropy", description="the kind of loss")


class Focal(Section):
    """Cross-entropy in which easy events count less (Lin et al., https://arxiv.org/abs/1708.02002)."""

    name: Literal["focal"] = Field("focal", description="the kind of loss")
    gamma: NotNegative = Field(2.0, description="how much less; 0 is the cross-entropy")


class LabelSmoothing(Section):
    """Cross-entropy to classes that are not quite certain (https://arxiv.org/abs/1512.00567)."""

    name: Literal["label_smoothing"] = Field("label_smoothing", description="the kind of loss")
    smoothing: Fraction = Field(0.1, description="the part of each event that is spread over all classes")


class SquaredError(Section):
    """The mean squared difference of the scores to one-hot classes (Brier, 1950)."""

    name: Literal["squared_error"] = Field("squared_error", description="the kind of loss")


class Significance(Section):
    """Minus the Asimov significance of the signal scores, for fine-tuning (https://arxiv.org/abs/1806.00322)."""

    name: Literal["significance"] = Field("significance", description="the kind of loss")
    signal: Positive = Field(description="expected number of signal events")
    background: Positive = Field(description="expected number of background events")
    systematic: NotNegative = Field(0.1, description="relative uncertainty of the background")


Loss = CrossEntropy | BinaryCrossEntropy | Focal | LabelSmoothing | SquaredError | Significance
LossName = Literal[
    "cross_entropy", "binary_cross_entropy", "focal", "label_smoothing", "squared_error", "significance"
]


LossChoice = Annotated[
    Loss,
    Field(discriminator="name"),
    by_name("cross_entropy", LossName | Loss),
]
