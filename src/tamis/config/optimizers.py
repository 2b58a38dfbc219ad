"""The sections that say how steps are made: the optimizer and the schedule of its learning rate."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tamis.config.fields import Count, Decay, Fraction, NotNegative, Positive, Section, by_name

_PEAK = "size of the steps, at the schedule's highest point"
_Part = Annotated[float, Field(ge=0, lt=1)]
_DECAY = "how strongly weights, never biases, are pulled towards zero"


class _AdaptiveMoments(Section):
    name: str
    learning_rate: Positive = Field(5e-3, description=_PEAK)
    beta1: Decay = Field(0.9, description="how slowly the mean of the gradients forgets")
    beta2: Decay = Field(0.999, description="how slowly the mean of their squares forgets")
    epsilon: Positive = Field(1e-8, description="keeps the division by a small root finite")


class Adam(_AdaptiveMoments):
    """Adam (Kingma and Ba, https://arxiv.org/abs/1412.6980)."""

    name: Literal["adam"] = Field("adam", description="the kind of optimizer")


class AdamW(_AdaptiveMoments):
    """Adam with decoupled weight decay (Loshchilov and Hutter, https://arxiv.org/abs/1711.05101)."""

    name: Literal["adamw"] = Field("adamw", description="the kind of optimizer")
    weight_decay: NotNegative = Field(1e-4, description=_DECAY)


class NAdam(_AdaptiveMoments):
    """Adam with Nesterov momentum (Dozat, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ)."""

    name: Literal["nadam"] = Field("nadam", description="the kind of optimizer")
    weight_decay: NotNegative = Field(0.0, description=_DECAY)


class RmsProp(Section):
    """Steps divided by the root of the mean square of the gradients (Tieleman and Hinton, 2012)."""

    name: Literal["rmsprop"] = Field("rmsprop", description="the kind of optimizer")
    learning_rate: Positive = Field(1e-3, description=_PEAK)
    decay: Decay = Field(0.9, description="how slowly the mean of the squares forgets")
    momentum: Decay = Field(0.0, description="the part of the last step that is kept")
    epsilon: Positive = Field(1e-8, description="keeps the division by a small root finite")


class Lion(Section):
    """Steps of one size, in the direction of the sign (Chen et al., https://arxiv.org/abs/2302.06675)."""

    name: Literal["lion"] = Field("lion", description="the kind of optimizer")
    learning_rate: Positive = Field(1e-3, description=_PEAK)
    beta1: Decay = Field(0.9, description="how much of the mean gradient is in a step")
    beta2: Decay = Field(0.99, description="how slowly the mean of the gradients forgets")
    weight_decay: NotNegative = Field(0.0, description=_DECAY)


class Muon(Section):
    """Orthogonal steps for the hidden matrices (https://kellerjordan.github.io/posts/muon/), Adam for the rest."""

    name: Literal["muon"] = Field("muon", description="the kind of optimizer")
    learning_rate: Positive = Field(1e-2, description=_PEAK)
    momentum: Decay = Field(0.95, description="how slowly the mean of the gradients forgets")
    weight_decay: NotNegative = Field(0.0, description=_DECAY)


class ScheduleFreeAdamW(Section):
    """AdamW that averages instead of lowering its rate (Defazio et al., https://arxiv.org/abs/2405.15682)."""

    name: Literal["schedule_free_adamw"] = Field("schedule_free_adamw", description="the kind of optimizer")
    learning_rate: Positive = Field(1e-2, description="size of the steps after the warm-up")
    warm_up: Count = Field(100, description="steps in which the rate rises")
    beta1: Fraction = Field(
        0.9, description="where between the last point, 0, and the average, 1, gradients are taken"
    )
    beta2: Decay = Field(0.999, description="how slowly the mean of the squares forgets")
    weight_decay: NotNegative = Field(0.0, description=_DECAY)


class Sgd(Section):
    """Stochastic gradient descent with momentum (Sutskever et al., PMLR 28(3), 1139)."""

    name: Literal["sgd"] = Field("sgd", description="the kind of optimizer")
    learning_rate: Positive = Field(1e-2, description=_PEAK)
    momentum: Decay = Field(0.9, description="the part of the last step that is kept")
    nesterov: bool = Field(False, description="whether the gradient is taken one step ahead; needs momentum")
    weight_decay: NotNegative = Field(0.0, description=_DECAY)

    @model_validator(mode="after")
    def _check_nesterov(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum above 0; set momentum, or nesterov to false")
        return self


Optimizer = Adam | AdamW | NAdam | RmsProp | Lion | Muon | ScheduleFreeAdamW | Sgd
OptimizerName = Literal["adam", "adamw", "nadam", "rmsprop", "lion", "muon", "schedule_free_adamw", "sgd"]


OptimizerChoice = Annotated[
    Optimizer,
    Field(discriminator="name"),
    by_name("adam", OptimizerName | Optimizer),
]


class _Schedule(Section):
    name: str
    warm_up: _Part = Field(0.0, description="fraction of the steps in which the rate rises from zero")


class Constant(_Schedule):
    """The same rate in every step."""

    name: Literal["constant"] = Field("constant", description="the kind of schedule")


class Step(_Schedule):
    """The rate falls by a factor at some points of the training."""

    name: Literal["step"] = Field("step", description="the kind of schedule")
    at: tuple[Fraction, ...] = Field(
        (0.5, 0.75),
        strict=False,
        min_length=1,
        description="after which fractions of the steps it falls, in rising order",
    )
    factor: Fraction = Field(0.1, description="what the rate is multiplied by each time")

    @model_validator(mode="after")
    def _check_order(self) -> Step:
        if any(after <= before for before, after in pairwise(self.at)):
            raise ValueError(f"`at` is {list(self.at)}; write the fractions in rising order, each once")
        return self


class Exponential(_Schedule):
    """The rate falls by the same factor in every step."""

    name: Literal["exponential"] = Field("exponential", description="the kind of schedule")
    final: Fraction = Field(0.01, description="the last rate as a fraction of the highest")


class Cosine(_Schedule):
    """The rate falls as half a cosine (Loshchilov and Hutter, https://arxiv.org/abs/1608.03983)."""

    name: Literal["cosine"] = Field("cosine", description="the kind of schedule")
    final: _Part = Field(0.0, description="the last rate as a fraction of the highest")


class OneCycle(_Schedule):
    """The rate rises, then falls as half a cosine (Smith and Topin, https://arxiv.org/abs/1708.07120)."""

    name: Literal["one_cycle"] = Field("one_cycle", description="the kind of schedule")
    warm_up: Fraction = Field(0.15, description="fraction of the steps in which the rate rises")
    initial: Fraction = Field(0.04, description="the first rate as a fraction of the highest")
    final: _Part = Field(1e-4, description="the last rate as a fraction of the highest")


class Plateau(_Schedule):
    """The rate falls by a factor when the validation loss has not got better for some epochs."""

    name: Literal["plateau"] = Field("plateau", description="the kind of schedule")
    factor: Fraction = Field(0.3, description="what the rate is multiplied by each time")
    patience: Count = Field(5, description="epochs without a better validation loss before it falls")
    least: _Part = Field(1e-3, description="the rate falls to no less than this fraction of the highest")


Schedule = Constant | Step | Exponential | Cosine | OneCycle | Plateau
ScheduleName = Literal["constant", "step", "exponential", "cosine", "one_cycle", "plateau"]


ScheduleChoice = Annotated[
    Schedule,
    Field(discriminator="name"),
    by_name("one_cycle", ScheduleName | Schedule),
]
