"""The sections that say how it is learned: preprocessing and training.

The defaults are the recipe of the package; they stand in the sections and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tamis.config.fields import Count, Devices, Fraction, Name, NotNegative, Positive, Section, TimeSpan
from tamis.config.losses import CrossEntropy, LossChoice, Significance
from tamis.config.optimizers import (
    Adam,
    Constant,
    OneCycle,
    OptimizerChoice,
    ScheduleChoice,
    ScheduleFreeAdamW,
)
from tamis.config.symmetries import Symmetry

Scaling = Literal["standard", "none", "robust", "quantile"]
Monitor = Literal["validation_loss", "validation_accuracy", "validation_auc", "validation_significance"]


class Preprocessing(Section):
    """What happens to the features before the first layer; it is learned from training events only."""

    scaling: Scaling = Field(
        "robust",
        description="`standard` subtracts the mean and divides by the standard deviation, `robust` uses the "
        "median and the interquartile range and compresses what lies far out, `quantile` maps the quantiles of "
        "the training events to those of a normal distribution, `none` changes nothing",
    )
    missing: Literal["median"] = Field(
        "median", description="what a missing value becomes: the median of the values that are there"
    )
    logarithm: tuple[Name, ...] = Field(
        (),
        strict=False,
        description="features with a long positive tail, whose logarithm is taken before they are scaled",
    )


class EarlyStopping(Section):
    """Stop when the validation events gain nothing any more, and keep the best epoch."""

    monitor: Monitor = Field("validation_loss", description="what has to get better")
    patience: Count = Field(10, description="for how many epochs it may fail to get better")
    min_delta: NotNegative = Field(0.0, description="by how much it has to get better to count")
    warm_up: Annotated[int, Field(ge=0)] = Field(
        0, description="epochs at the beginning that do not count towards the patience"
    )


class Training(Section):
    """How the network is fitted."""

    loss: LossChoice = Field(
        CrossEntropy(), description="what is made small; a text `focal` is short for `{name: focal}`"
    )
    optimizer: OptimizerChoice = Field(
        Adam(), description="how steps are made; a text `adam` is short for `{name: adam}`"
    )
    schedule: ScheduleChoice = Field(
        OneCycle(),
        description="how the learning rate changes over the training; a text `cosine` is short for "
        "`{name: cosine}`",
    )
    gradient_clip: Positive | None = Field(
        None,
        description="longest gradient that is used; a longer one is shortened to it; null never shortens",
    )
    average: Fraction | None = Field(
        0.999,
        description="part of the moving average of the weights that is kept in each step, for example 0.99; "
        "the average is what is validated and kept; null takes the weights themselves",
    )
    batch_size: Count | Literal["auto"] = Field(
        "auto", description="events per step; `auto` follows the number of training events"
    )
    epochs: Count | Literal["auto"] = Field(
        "auto",
        description="how often every training event is used, at most; `auto` follows the number of training events",
    )
    early_stopping: EarlyStopping | None = Field(
        EarlyStopping(), description="when to stop early; null always trains all epochs"
    )
    time_budget: TimeSpan | None = Field(
        None,
        description="how long the training may take, such as `60s` or `5min`; the schedule is planned to end in "
        "time; null sets no limit",
    )
    checkpoint_every: TimeSpan | None = Field(
        60.0,
        description="how long a training may go on before its progress is kept on disk; null keeps none",
    )
    symmetries: tuple[Symmetry, ...] = Field(
        (),
        max_length=100,
        strict=False,
        description="what physics leaves unchanged; drawn afresh for the events of every epoch",
    )
    average_symmetries: Annotated[int, Field(ge=0, le=4096)] = Field(
        0, description="over how many draws of the symmetries scores are averaged; 0 does not average"
    )
    seeds: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="networks that are trained from different random numbers and averaged"
    )
    calibration: Literal["none", "temperature", "vector"] = Field(
        "none",
        description="a correction of the scores that is fitted on the validation events after the training and "
        "becomes part of the classifier: `temperature` is one factor of all logits, `vector` a factor and an offset "
        "for each class, `none` leaves the scores as they are",
    )
    devices: Devices = Field(
        "auto", description="over how many devices each batch is divided; `auto` lets the package choose"
    )

    @property
    def settled_batch_size(self) -> int:
        """Events per step, once `auto` has become a number."""
        return _settled("batch_size", self.batch_size)

    @property
    def settled_epochs(self) -> int:
        """Epochs at most, once `auto` has become a number."""
        return _settled("epochs", self.epochs)

    @model_validator(mode="before")
    @classmethod
    def _fill_schedule(cls, value: object) -> object:
        """Leave rate and weights alone where the optimizer sees to both."""
        if not isinstance(value, Mapping):
            return value
        optimizer = value.get("optimizer")
        name = (
            optimizer.get("name") if isinstance(optimizer, Mapping) else getattr(optimizer, "name", optimizer)
        )
        own = {"schedule": "constant", "average": None} if name == "schedule_free_adamw" else {}
        return {**own, **value}

    @model_validator(mode="after")
    def _check_symmetries(self) -> Training:
        if self.average_symmetries and not self.symmetries:
            raise ValueError("average_symmetries needs symmetries; declare some, or set it to 0")
        return self

    @model_validator(mode="after")
    def _check_devices(self) -> Training:
        if isinstance(self.loss, Significance) and self.devices not in ("auto", 1):
            raise ValueError(
                f"the loss significance is one number of a whole batch, which {self.devices} devices cannot share; "
                "set devices to 1"
            )
        return self

    @model_validator(mode="after")
    def _check_schedule_free(self) -> Training:
        if not isinstance(self.optimizer, ScheduleFreeAdamW):
            return self
        if self.average is not None:
            raise ValueError(
                "the optimizer schedule_free_adamw averages the weights itself; set average to null, or choose "
                "another optimizer"
            )
        if self.schedule != Constant():
            raise ValueError(
                f"the optimizer schedule_free_adamw has no use for the schedule {self.schedule.name}; write "
                "constant without warm_up, or leave it out (the optimizer has a warm_up of its own)"
            )
        return self


def _settled(key: str, value: int | str) -> int:
    if isinstance(value, str):
        raise ValueError(
            f"training.{key} is auto; tamis.training.recipe.settle_recipe chooses a number for it"
        )
    return value
