"""The recipe: what `auto` means, as a rule in the number of training events.

docs/recipe.md says what was tried, with numbers, and why this won.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamis.config import Network, Training


@dataclass(frozen=True)
class Size:
    """What the recipe looks at.

    Args:
        events: number of training events.
        effective: effective number of training events, (sum w)^2 / sum w^2, with the weights of the loss.
        features: number of features.
    """

    events: int
    effective: float
    features: int


def size_of(weight: NDArray[np.float64], features: int) -> Size:
    """Measure the training events.

    >>> size_of(np.array([1.0, 1.0, 2.0]), 3)
    Size(events=3, effective=2.6666666666666665, features=3)
    """
    return Size(len(weight), float(weight.sum() ** 2 / (weight**2).sum()), features)


def settle_recipe(network: Network, training: Training, size: Size) -> tuple[Network, Training]:
    """Put numbers in the place of every `auto`.

    Args:
        network: the section as configured.
        training: the section as configured.
        size: of the training events.

    Returns:
        The sections without any `auto`.

    >>> network, training = settle_recipe(Network(), Training(), Size(100_000, 90_000.0, 10))
    >>> training.batch_size, training.epochs, network.layers[0].dropout
    (1024, 14, 0.06)
    """
    fraction = dropout(size)
    layers = tuple(
        layer.model_copy(update={"dropout": fraction}) if getattr(layer, "dropout", 0) == "auto" else layer
        for layer in network.layers
    )
    return network.model_copy(update={"layers": layers}), settle_training(training, size.events)


def settle_training(training: Training, events: int) -> Training:
    """Put numbers in the place of `auto` in the section `training`.

    Args:
        training: the section as configured.
        events: number of training events.
    """
    changes: dict[str, int] = {}
    if training.batch_size == "auto":
        changes["batch_size"] = batch_size(events)
    if training.epochs == "auto":
        # drawn anew, the events of an epoch are not those of the epoch before
        changes["epochs"] = round(epochs(events) * (1.5 if training.symmetries else 1))
    return training.model_copy(update=changes)


def batch_size(events: int) -> int:
    """Give the power of two next to 2.7 sqrt(events), from 64 to 4096.

    >>> batch_size(100_000)
    1024
    """
    power: int = round(math.log2(events) / 2 + 1.45)
    return int(2 ** min(max(power, 6), 12))


def epochs(events: int) -> int:
    """Give 250 / events^(1/4), from 8 to 60.

    >>> epochs(100_000)
    14
    """
    wanted: int = round(250 / math.sqrt(math.sqrt(events)))
    return min(max(wanted, 8), 60)


def dropout(size: Size) -> float:
    """Give the fraction of nodes to leave out: 0.45 up to 100 effective events per feature, then less and less."""
    per_feature = size.effective / size.features / 100
    fraction = min(max(0.45 - 0.2 * math.log10(per_feature), 0.0), 0.45)
    return round(fraction, 2)
