"""The sections of the optimizers and of the learning-rate schedules."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tamis.config.fields import Count, Fraction, FractionOrZero, NotNegative, Positive, Section, with_default

_PEAK = "learning rate at the maximum of the schedule"
_DECAY = "weight decay, not applied to biases"


class _AdaptiveMoments(Section):
    name: str
    learning_rate: Positive = Field(5e-3, description=_PEAK)
    beta1: FractionOrZero = Field(0.9, description="decay rate of the mean of the gradients")
    beta2: FractionOrZero = Field(0.999, description="decay rate of the mean of their squares")
    epsilon: Positive = Field(1e-8, description="small number that keeps the division finite")


class Adam(_AdaptiveMoments):
    """Adam (Kingma and Ba, https://arxiv.org/abs/1412.6980)."""

    name: Literal["adam"] = Field("adam", description="name of the optimizer")


class AdamW(_AdaptiveMoments):
    """Adam with decoupled weight decay (Loshchilov and Hutter, https://arxiv.org/abs/1711.05101)."""

    name: Literal["adamw"] = Field("adamw", description="name of the optimizer")
    weight_decay: NotNegative = Field(1e-4, description=_DECAY)


class NAdam(_AdaptiveMoments):
    """Adam with Nesterov momentum (Dozat, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ)."""

    name: Literal["nadam"] = Field("nadam", description="name of the optimizer")
    weight_decay: NotNegative = Field(0.0, description=_DECAY)


class RmsProp(Section):
    """Steps divided by the root of the mean square of the gradients (Tieleman and Hinton, 2012)."""

    name: Literal["rmsprop"] = Field("rmsprop", description="name of the optimizer")
    learning_rate: Positive = Field(1e-3, description=_PEAK)
    decay: FractionOrZero = Field(0.9, description="decay rate of the mean of the squared gradients")
    momentum: FractionOrZero = Field(0.0, description="fraction of the previous step that is added to a step")
    epsilon: Positive = Field(1e-8, description="small number that keeps the division finite")


class Lion(Section):
    """Steps of one size, in the direction of the sign (Chen et al., https://arxiv.org/abs/2302.06675)."""

    name: Literal["lion"] = Field("lion", description="name of the optimizer")
    learning_rate: Positive = Field(1e-3, description=_PEAK)
    beta1: FractionOrZero = Field(0.9, description="weight of the mean of the gradients in a step")
    beta2: FractionOrZero = Field(0.99, description="decay rate of the mean of the gradients")
    weight_decay: NotNegative = Field(0.0, description=_DECAY)


class Muon(Section):
    """Orthogonal steps for the hidden matrices (https://kellerjordan.github.io/posts/muon/), Adam for the rest."""

    name: Literal["muon"] = Field("muon", description="name of the optimizer")
    learning_rate: Positive = Field(1e-2, description=_PEAK)
    momentum: FractionOrZero = Field(0.95, description="decay rate of the mean of the gradients")
    weight_decay: NotNegative = Field(0.0, description=_DECAY)


class ScheduleFreeAdamW(Section):
    """AdamW with averaging instead of a schedule (Defazio et al., https://arxiv.org/abs/2405.15682)."""

    name: Literal["schedule_free_adamw"] = Field("schedule_free_adamw", description="name of the optimizer")
    learning_rate: Positive = Field(1e-2, description="learning rate after the warm-up")
    warm_up: Count = Field(100, description="steps in which the learning rate rises")
    beta1: Fraction = Field(
        0.9,
        description="the gradient is computed at this interpolation between the last iterate, 0, and the average, 1",
    )
    beta2: FractionOrZero = Field(0.999, description="decay rate of the mean of the squared gradients")
    weight_decay: NotNegative = Field(0.0, description=_DECAY)


class Sgd(Section):
    """Stochastic gradient descent with momentum (Sutskever et al., PMLR 28(3), 1139)."""

    name: Literal["sgd"] = Field("sgd", description="name of the optimizer")
    learning_rate: Positive = Field(1e-2, description=_PEAK)
    momentum: FractionOrZero = Field(0.9, description="fraction of the previous step that is added to a step")
    nesterov: bool = Field(False, description="whether to use Nesterov momentum")
    weight_decay: NotNegative = Field(0.0, description=_DECAY)

    @model_validator(mode="after")
    def _check_nesterov(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum above 0; set momentum, or nesterov to false")
        return self


Optimizer = Adam | AdamW | NAdam | RmsProp | Lion | Muon | ScheduleFreeAdamW | Sgd
OptimizerName = Literal["adam", "adamw", "nadam", "rmsprop", "lion", "muon", "schedule_free_adamw", "sgd"]
OptimizerChoice = Annotated[
    Optimizer, Field(discriminator="name"), with_default("name", "adam", OptimizerName | Optimizer)
]


class _Schedule(Section):
    name: str
    warm_up: FractionOrZero = Field(
        0.0, description="fraction of the steps in which the learning rate rises from zero"
    )


class Constant(_Schedule):
    """A constant learning rate."""

    name: Literal["constant"] = Field("constant", description="name of the schedule")


class Step(_Schedule):
    """The learning rate falls by a factor at given points of the training."""

    name: Literal["step"] = Field("step", description="name of the schedule")
    at: tuple[Fraction, ...] = Field(
        (0.5, 0.75),
        strict=False,
        min_length=1,
        description="fractions of the steps after which the learning rate falls, in rising order",
    )
    factor: Fraction = Field(0.1, description="factor of each reduction")

    @model_validator(mode="after")
    def _check_order(self) -> Step:
        if any(second <= first for first, second in pairwise(self.at)):
            raise ValueError(f"`at` is {list(self.at)}; write the fractions in rising order, each once")
        return self


class Exponential(_Schedule):
    """The learning rate falls exponentially."""

    name: Literal["exponential"] = Field("exponential", description="name of the schedule")
    final: Fraction = Field(0.01, description="last learning rate, relative to the highest")


class Cosine(_Schedule):
    """The learning rate falls as half a cosine (Loshchilov and Hutter, https://arxiv.org/abs/1608.03983)."""

    name: Literal["cosine"] = Field("cosine", description="name of the schedule")
    final: FractionOrZero = Field(0.0, description="last learning rate, relative to the highest")


class OneCycle(_Schedule):
    """The learning rate rises, then falls as half a cosine (Smith and Topin, https://arxiv.org/abs/1708.07120)."""

    name: Literal["one_cycle"] = Field("one_cycle", description="name of the schedule")
    warm_up: Fraction = Field(0.15, description="fraction of the steps in which the learning rate rises")
    initial: Fraction = Field(0.04, description="first learning rate, relative to the highest")
    final: FractionOrZero = Field(1e-4, description="last learning rate, relative to the highest")


class Plateau(_Schedule):
    """The learning rate falls by a factor when the validation loss has not improved for some epochs."""

    name: Literal["plateau"] = Field("plateau", description="name of the schedule")
    factor: Fraction = Field(0.3, description="factor of each reduction")
    patience: Count = Field(
        5, description="epochs without improvement of the validation loss before the learning rate falls"
    )
    minimum: FractionOrZero = Field(1e-3, description="smallest learning rate, relative to the highest")


Schedule = Constant | Step | Exponential | Cosine | OneCycle | Plateau
ScheduleName = Literal["constant", "step", "exponential", "cosine", "one_cycle", "plateau"]
ScheduleChoice = Annotated[
    Schedule, Field(discriminator="name"), with_default("name", "one_cycle", ScheduleName | Schedule)
]
