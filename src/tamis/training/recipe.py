"""The recipe of a training: the section `training` with a number in place of every `auto`.

The rules are functions of the size of the training set; docs/recipe.md shows the measurements behind them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tamis import config

if TYPE_CHECKING:
    import optax

    from tamis.training.loss import Loss


@dataclass(frozen=True)
class Custom:
    """A custom loss and a custom optimizer, in place of the configured ones.

    Args:
        loss: function of the logits, [classes, n], and the target, [classes, n], with the weight of each event in the
            row of its class; returns a sum over the events.
        optimizer: optax transform of the flat vector of parameters, with its own learning rate, schedule, weight decay
            and gradient clip; the training adds its updates unchanged.

    Example:
        >>> import optax
        >>> custom = Custom(optimizer=optax.adabelief(1e-3))
    """

    loss: Loss | None = None
    optimizer: optax.GradientTransformation | None = None


@dataclass(frozen=True)
class Recipe:
    """The recipe of a training, with every `auto` resolved.

    Args:
        loss: the section of the configuration, or a custom function.
        optimizer: the section of the configuration, or a custom optax transform.
        schedule: how the learning rate changes.
        gradient_clip: maximum norm of the gradient; None does not clip.
        ema_decay: decay of the exponential moving average (EMA) of the weights; None uses the weights themselves.
        batch_size: events per step.
        epochs: maximum number of epochs.
        early_stopping: when to stop early; None trains all epochs and uses the last one.
        time_budget: maximum duration of the training in seconds; None sets no limit.
        devices: number of devices that share each batch; None shares it if that is faster.
    """

    loss: config.Loss | Loss
    optimizer: config.Optimizer | optax.GradientTransformation
    schedule: config.Schedule
    gradient_clip: float | None
    ema_decay: float | None
    batch_size: int
    epochs: int
    early_stopping: config.EarlyStopping | None
    time_budget: float | None
    devices: int | None


@dataclass(frozen=True)
class Size:
    """The size of a training set.

    Args:
        events: number of training events.
        effective: effective sample size, (sum w)^2 / sum w^2, with the weights of the loss.
        features: number of features.
    """

    events: int
    effective: float
    features: int


def compute_size(weight: NDArray[np.float64], features: int) -> Size:
    """Compute the size of a training set from the weights of its events, [n], and its number of features.

    >>> compute_size(np.array([1.0, 1.0, 2.0]), 3)
    Size(events=3, effective=2.6666666666666665, features=3)
    """
    return Size(len(weight), float(weight.sum() ** 2 / (weight**2).sum()), features)


def resolve_recipe(section: config.Training, events: int, custom: Custom | None = None) -> Recipe:
    """Resolve every `auto` of the section `training` for a number of training events.

    >>> recipe = resolve_recipe(config.Training(), 100_000)
    >>> recipe.batch_size, recipe.epochs
    (1024, 14)
    """
    custom = custom or Custom()
    loss = custom.loss or section.loss
    # the significance is not a sum over events, so that a batch cannot be divided
    devices = 1 if isinstance(loss, config.Significance) else None
    # with symmetries every epoch has new events, so that the network can learn from more epochs
    epoch_count = round(choose_epochs(events) * (1.5 if section.symmetries else 1))
    return Recipe(
        loss=loss,
        optimizer=custom.optimizer or section.optimizer,
        schedule=section.schedule,
        gradient_clip=section.gradient_clip,
        ema_decay=section.ema_decay,
        batch_size=choose_batch_size(events) if section.batch_size == "auto" else section.batch_size,
        epochs=epoch_count if section.epochs == "auto" else section.epochs,
        early_stopping=section.early_stopping,
        time_budget=section.time_budget,
        devices=devices if section.devices == "auto" else section.devices,
    )


def resolve_network(
    section: config.Network, size: Size, scaling: config.Scaling = "robust"
) -> config.Network:
    """Resolve every `auto` of the section `network`, except the speed of the gains.

    >>> network = resolve_network(config.Network(), Size(100_000, 90_000.0, 10))
    >>> network.layers[0].dropout, network.embedding.type
    (0.06, 'periodic')
    """
    fraction = choose_dropout(size)
    layers = tuple(
        layer.model_copy(update={"dropout": fraction}) if getattr(layer, "dropout", 0) == "auto" else layer
        for layer in section.layers
    )
    return section.model_copy(update={"layers": layers, "embedding": resolve_embedding(section, scaling)})


def resolve_embedding(section: config.Network, scaling: config.Scaling) -> config.Embedding | None:
    """Return the embedding; `auto` is periodic for the default layers, if there are gains and the inputs are scaled.

    Other layers get their inputs as they are, because some formats cannot compute sines, such as those for FPGAs.
    """
    if section.embedding != "auto":
        return section.embedding
    is_default = section.layers == config.Network().layers
    return config.Periodic() if is_default and section.gains is not None and scaling != "none" else None


def choose_batch_size(events: int) -> int:
    """Return the power of two closest to 2.7 sqrt(events), from 64 to 4096.

    >>> choose_batch_size(100_000)
    1024
    """
    power: int = round(math.log2(events) / 2 + 1.45)
    return int(2 ** min(max(power, 6), 12))


def choose_epochs(events: int) -> int:
    """Return 250 / events^(1/4), from 8 to 60.

    >>> choose_epochs(100_000)
    14
    """
    rounded: int = round(250 / math.sqrt(math.sqrt(events)))
    return min(max(rounded, 8), 60)


def choose_dropout(size: Size) -> float:
    """Return the dropout rate: 0.45 up to 100 effective events per feature, decreasing above."""
    per_feature = size.effective / size.features / 100
    fraction = min(max(0.45 - 0.2 * math.log10(per_feature), 0.0), 0.45)
    return round(fraction, 2)
