"""The sections that say what is learned and how: preprocessing, network, training and evaluation.

The defaults are the recipe of the package; they stand here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from tamis.config.fields import (
    Count,
    Decay,
    Devices,
    ExpressionText,
    Fraction,
    NotNegative,
    Positive,
    Section,
)
from tamis.config.wording import describe, suggest

Activation = Literal[
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid", "softplus", "linear"
]
Scaling = Literal["standard", "none", "robust"]
Schedule = Literal["constant", "cosine", "one_cycle"]
Monitor = Literal["validation_loss", "validation_accuracy"]


class Preprocessing(Section):
    """What happens to the features before the first layer; it is learned from training events only."""

    scaling: Scaling = Field(
        "standard",
        description="`standard` subtracts the mean and divides by the standard deviation, `robust` uses the "
        "median and the interquartile range, `none` changes nothing",
    )
    missing: Literal["median"] = Field(
        "median", description="what a missing value becomes: the median of the values that are there"
    )


class Dense(Section):
    """A layer in which every node sees every node of the layer before."""

    type: Literal["dense"] = Field("dense", description="the kind of layer")
    nodes: int = Field(ge=1, le=65536, description="how many nodes it has")
    activation: Activation = Field("silu", description="the function behind each node")


# Sparse and quantized layers join here, as members of a union with the tag `type`.
Layer = Dense


class Network(Section):
    """The hidden layers; the output layer, one node per class with softmax, is always added."""

    layers: tuple[Layer, ...] = Field(
        (Dense(nodes=64), Dense(nodes=64)),
        strict=False,
        description="hidden layers from the inputs to the outputs; an empty list is a logistic regression",
    )


class _AdaptiveMoments(Section):
    name: str
    learning_rate: Positive = Field(1e-2, description="size of the steps, at the schedule's highest point")
    beta1: Decay = Field(0.9, description="how slowly the mean of the gradients forgets")
    beta2: Decay = Field(0.999, description="how slowly the mean of their squares forgets")
    epsilon: Positive = Field(1e-8, description="keeps the division by a small root finite")


class Adam(_AdaptiveMoments):
    """Adam (Kingma and Ba, https://arxiv.org/abs/1412.6980)."""

    name: Literal["adam"] = Field("adam", description="the kind of optimizer")


class AdamW(_AdaptiveMoments):
    """Adam with decoupled weight decay (Loshchilov and Hutter, https://arxiv.org/abs/1711.05101)."""

    name: Literal["adamw"] = Field("adamw", description="the kind of optimizer")
    weight_decay: NotNegative = Field(1e-4, description="how strongly parameters are pulled towards zero")


class Sgd(Section):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = Field("sgd", description="the kind of optimizer")
    learning_rate: Positive = Field(1e-2, description="size of the steps, at the schedule's highest point")
    momentum: Decay = Field(0.9, description="the part of the last step that is kept")
    nesterov: bool = Field(False, description="whether the gradient is taken one step ahead; needs momentum")

    @model_validator(mode="after")
    def _check_nesterov(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum above 0; set momentum, or nesterov to false")
        return self


Optimizer = Adam | AdamW | Sgd


def _named_optimizer(value: object) -> object:
    """Read `adam` as `{name: adam}`, and leave out a name as adam."""
    if isinstance(value, str):
        return {"name": value}
    return {"name": "adam", **value} if isinstance(value, Mapping) else value


OptimizerChoice = Annotated[
    Optimizer,
    Field(discriminator="name"),
    BeforeValidator(_named_optimizer, json_schema_input_type=Literal["adam", "adamw", "sgd"] | Optimizer),
]


class EarlyStopping(Section):
    """Stop when the validation events gain nothing any more, and keep the best epoch."""

    monitor: Monitor = Field("validation_loss", description="what has to get better")
    patience: Count = Field(10, description="for how many epochs it may fail to get better")
    min_delta: NotNegative = Field(0.0, description="by how much it has to get better to count")


class Training(Section):
    """How the network is fitted."""

    loss: Literal["cross_entropy"] = Field("cross_entropy", description="what is made small")
    optimizer: OptimizerChoice = Field(
        Adam(), description="how steps are made; a text `adam` is short for `{name: adam}`"
    )
    schedule: Schedule = Field("one_cycle", description="how the learning rate changes over the training")
    batch_size: Count = Field(512, description="events per step")
    epochs: Count = Field(20, description="how often every training event is used, at most")
    early_stopping: EarlyStopping | None = Field(
        EarlyStopping(), description="when to stop early; null always trains all epochs"
    )
    devices: Devices = Field(
        "auto", description="over how many devices each batch is divided; `auto` lets the package choose"
    )


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


class Evaluation(Section):
    """What the results quote."""

    working_points: tuple[Fraction, ...] = Field(
        (0.5, 0.7, 0.9), strict=False, description="signal efficiencies that tables quote"
    )
    reference: ReferenceChoice | None = Field(
        None,
        description="what is known about the events, for comparison: `log_density` or `discriminant`, with "
        "an expression for each class",
    )
