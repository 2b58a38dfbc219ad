"""The sections of the training: preprocessing, loss functions, symmetries and the training itself.

The defaults are the recipe of the package; they are defined here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tamis.config.fields import Count, Fraction, Name, NotNegative, Positive, Section, TimeSpan, with_default
from tamis.config.optimizers import (
    Adam,
    Constant,
    OneCycle,
    OptimizerChoice,
    ScheduleChoice,
    ScheduleFreeAdamW,
)

Scaling = Literal["standard", "none", "robust", "quantile"]
Monitor = Literal["validation_loss", "validation_accuracy", "validation_auc", "validation_significance"]


class Preprocessing(Section):
    """Transformations of the features before the first layer, fitted on training events only."""

    scaling: Scaling = Field(
        "robust",
        description="`standard` subtracts the mean and divides by the standard deviation, `robust` uses the "
        "median and the interquartile range and compresses outliers, `quantile` maps the quantiles of "
        "the training events to those of a normal distribution, `none` does nothing",
    )
    missing: Literal["median"] = Field(
        "median", description="replacement of a missing value: the median of the other values"
    )
    logarithm: tuple[Name, ...] = Field(
        (),
        strict=False,
        description="features with a long positive tail, which are scaled after a logarithm",
    )


class CrossEntropy(Section):
    """The weighted categorical cross-entropy."""

    name: Literal["cross_entropy"] = Field("cross_entropy", description="name of the loss")


class BinaryCrossEntropy(Section):
    """The weighted cross-entropy of two classes, from one output (the logit of the second class)."""

    name: Literal["binary_cross_entropy"] = Field("binary_cross_entropy", description="name of the loss")


class Focal(Section):
    """Cross-entropy with less weight for well-classified events (Lin et al., https://arxiv.org/abs/1708.02002)."""

    name: Literal["focal"] = Field("focal", description="name of the loss")
    gamma: NotNegative = Field(2.0, description="focusing parameter; 0 is the cross-entropy")


class LabelSmoothing(Section):
    """Cross-entropy with smoothed class labels (https://arxiv.org/abs/1512.00567)."""

    name: Literal["label_smoothing"] = Field("label_smoothing", description="name of the loss")
    smoothing: Fraction = Field(0.1, description="probability that is spread over all classes")


class SquaredError(Section):
    """The mean squared difference of the scores to one-hot classes (Brier, 1950)."""

    name: Literal["squared_error"] = Field("squared_error", description="name of the loss")


class Significance(Section):
    """Minus the Asimov significance of the signal scores, for fine-tuning (https://arxiv.org/abs/1806.00322)."""

    name: Literal["significance"] = Field("significance", description="name of the loss")
    signal: Positive = Field(description="expected number of signal events")
    background: Positive = Field(description="expected number of background events")
    systematic: NotNegative = Field(0.1, description="relative systematic uncertainty of the background")


Loss = CrossEntropy | BinaryCrossEntropy | Focal | LabelSmoothing | SquaredError | Significance
LossName = Literal[
    "cross_entropy", "binary_cross_entropy", "focal", "label_smoothing", "squared_error", "significance"
]
LossChoice = Annotated[
    Loss, Field(discriminator="name"), with_default("name", "cross_entropy", LossName | Loss)
]


Names = Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]


class Rotation(Section):
    """Rotation of all azimuthal angles by a common angle."""

    type: Literal["rotation"] = Field("rotation", description="type of the symmetry")
    features: Names = Field(description="all azimuthal angles")
    period: Positive = Field(2 * math.pi, description="full turn, in the unit of the features")
    start: float | None = Field(
        None,
        description="lower edge of the range of the angles; null is 0 or minus half a period, according to the "
        "training events",
    )


class Reflection(Section):
    """Reflection: a common change of sign."""

    type: Literal["reflection"] = Field("reflection", description="type of the symmetry")
    features: Names = Field(description="all pseudorapidities, or all azimuthal angles")


class Exchange(Section):
    """Permutation of identical objects."""

    type: Literal["exchange"] = Field("exchange", description="type of the symmetry")
    objects: Annotated[tuple[Names, ...], Field(min_length=2, strict=False)] = Field(
        description="the features of each object, in the same order for all of them"
    )

    @model_validator(mode="after")
    def _check_lengths(self) -> Exchange:
        lengths = {len(features) for features in self.objects}
        if len(lengths) > 1:
            raise ValueError(
                f"the objects have different numbers of features ({sorted(lengths)}); list the same number for each"
            )
        return self


Symmetry = Annotated[Rotation | Reflection | Exchange, Field(discriminator="type")]


class DistanceCorrelation(Section):
    """The squared distance correlation of score and spectators (DisCo, https://arxiv.org/abs/2001.05310)."""

    name: Literal["distance_correlation"] = Field("distance_correlation", description="name of the method")


class Flatness(Section):
    """The differences of the score's distributions in bins of the spectators (https://arxiv.org/abs/1410.4140)."""

    name: Literal["flatness"] = Field("flatness", description="name of the method")
    bins: Annotated[int, Field(ge=2, le=100)] = Field(
        10, description="number of bins of each spectator, with equal numbers of training events of a class"
    )


DecorrelationMethod = DistanceCorrelation | Flatness
DecorrelationMethodName = Literal["distance_correlation", "flatness"]
DecorrelationMethodChoice = Annotated[
    DecorrelationMethod,
    Field(discriminator="name"),
    with_default("name", "distance_correlation", DecorrelationMethodName | DecorrelationMethod),
]


class Decorrelate(Section):
    """A term of the loss that makes the signal score independent of spectators within each of some classes."""

    spectators: Annotated[tuple[Name, ...], Field(min_length=1, max_length=4, strict=False)] = Field(
        description="spectators, such as the mass; the score becomes independent of all of them together"
    )
    classes: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)] | None = Field(
        None, description="classes within which the score should be independent; null is every background"
    )
    method: DecorrelationMethodChoice = Field(
        DistanceCorrelation(),
        description="measure of the dependence; `flatness` is short for `{name: flatness}`",
    )
    strength: Positive = Field(
        10.0,
        description="factor of the dependence, between 0 and 1, in the loss: larger values make the score more "
        "independent and the classes less separated",
    )


class EarlyStopping(Section):
    """Stop when the validation metric no longer improves, and use the best epoch."""

    monitor: Monitor = Field("validation_loss", description="metric that has to improve")
    patience: Count = Field(10, description="epochs without improvement before the training stops")
    min_delta: NotNegative = Field(0.0, description="smallest improvement that counts")
    warm_up: Annotated[int, Field(ge=0)] = Field(
        0, description="epochs at the beginning that do not count for the patience"
    )


class Training(Section):
    """The training of the network."""

    loss: LossChoice = Field(
        CrossEntropy(), description="loss function; `focal` is short for `{name: focal}`"
    )
    optimizer: OptimizerChoice = Field(Adam(), description="optimizer; `adam` is short for `{name: adam}`")
    schedule: ScheduleChoice = Field(
        OneCycle(),
        description="learning-rate schedule; `cosine` is short for `{name: cosine}`",
    )
    decorrelate: Decorrelate | None = Field(
        None,
        description="makes the score independent of spectators, so that a cut does not shape their distributions; null "
        "does not",
    )
    gradient_clip: Positive | None = Field(
        None,
        description="largest norm of the gradient; longer gradients are scaled to it; null does not clip",
    )
    ema_decay: Fraction | None = Field(
        0.999,
        description="decay of the exponential moving average (EMA) of the weights, for example 0.99; the averaged "
        "weights are validated and saved; null uses the weights of the last step",
    )
    batch_size: Count | Literal["auto"] = Field(
        "auto", description="events per step; `auto` depends on the number of training events"
    )
    epochs: Count | Literal["auto"] = Field(
        "auto",
        description="largest number of epochs; `auto` depends on the number of training events",
    )
    early_stopping: EarlyStopping | None = Field(
        EarlyStopping(), description="early stopping; null trains all epochs"
    )
    time_budget: TimeSpan | None = Field(
        None,
        description="wall time of the training, such as `60s` or `5min`; the schedule is planned to end in time; "
        "null has no limit",
    )
    checkpoint_every: TimeSpan | None = Field(
        60.0,
        description="time between checkpoints; null writes none",
    )
    symmetries: tuple[Symmetry, ...] = Field(
        (),
        max_length=100,
        strict=False,
        description="symmetries of the physics, for data augmentation: transformed copies of the events in every epoch",
    )
    test_time_augmentation: Annotated[int, Field(ge=0, le=4096)] = Field(
        0,
        description="number of transformed copies of an event over which its scores are averaged; 0 does not average",
    )
    ensemble: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="number of networks that are trained with different seeds, and averaged"
    )
    calibration: Literal["none", "temperature", "vector"] = Field(
        "none",
        description="calibration of the scores, fitted on the validation events after the training, as part of the "
        "classifier: `temperature` has one factor for all logits, `vector` a factor and an offset for each class, "
        "`none` does nothing",
    )
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="number of devices that share a batch; `auto` chooses"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_schedule(cls, value: object) -> object:
        """Choose a constant schedule and no EMA for an optimizer that replaces both."""
        if not isinstance(value, Mapping):
            return value
        optimizer = value.get("optimizer")
        name = (
            optimizer.get("name") if isinstance(optimizer, Mapping) else getattr(optimizer, "name", optimizer)
        )
        defaults = {"schedule": "constant", "ema_decay": None} if name == "schedule_free_adamw" else {}
        return {**defaults, **value}

    @model_validator(mode="after")
    def _check_combinations(self) -> Training:
        if self.test_time_augmentation and not self.symmetries:
            raise ValueError("test_time_augmentation needs symmetries; declare some, or set it to 0")
        if isinstance(self.loss, Significance) and self.devices not in ("auto", 1):
            raise ValueError(
                f"the loss significance is one number of a whole batch, which {self.devices} devices cannot share; "
                "set devices to 1"
            )
        averages_itself = isinstance(self.optimizer, ScheduleFreeAdamW)
        if averages_itself and self.ema_decay is not None:
            raise ValueError(
                "the optimizer schedule_free_adamw averages the weights itself; set ema_decay to null, or choose "
                "another optimizer"
            )
        if averages_itself and self.schedule != Constant():
            raise ValueError(
                f"the optimizer schedule_free_adamw does not use the schedule {self.schedule.name}; write "
                "constant without warm_up, or leave it out (the optimizer has its own warm_up)"
            )
        return self
