"""What a baseline learns from, and whether the packages for it are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from tamis.config import Baseline
from tamis.errors import RequestError

Float64 = NDArray[np.float64]

_PACKAGES: dict[Baseline, tuple[str, str]] = {
    "xgboost": ("xgboost", "xgboost"),
    "logistic": ("sklearn", "scikit-learn"),
}
"""The module that each baseline imports, and the package that brings it."""


@dataclass(frozen=True)
class LabelledEvents:
    """Events of the training or of the validation part.

    Args:
        features: as read, a missing value is NaN, [n, n_features].
        class_index: the true class, [n].
        weight: weight in the loss: signed physics weight times the training factor of the class, [n].
    """

    features: NDArray[np.float32] | NDArray[np.float64]
    class_index: NDArray[np.int32]
    weight: Float64

    def __len__(self) -> int:
        """Give the number of events."""
        return len(self.weight)


def check_packages(baselines: Sequence[Baseline]) -> None:
    """Refuse baselines whose package is not installed, before any file is read.

    Args:
        baselines: their names.

    Raises:
        RequestError: with all packages that are not there, and the command that brings them.

    >>> check_packages(["cuts"])
    """
    needed = [_PACKAGES[name] for name in baselines if name in _PACKAGES]
    absent = [package for module, package in needed if find_spec(module) is None]
    if absent:
        raise RequestError(
            f"evaluation.baselines: {' and '.join(absent)} must be installed for {', '.join(baselines)}; "
            "install with: pip install 'tamis[baselines]'"
        )


def sizes_of_weights(events: LabelledEvents) -> Float64:
    """Give weights without a sign: absolute, times a factor for each class that keeps its signed sum.

    So the classes stay in the mixture that the signed weights have, but within a class the regions with many negative
    weights count too much: for methods that cannot take a negative weight.

    Args:
        events: each class has a positive sum of weights.

    Returns:
        Positive weights, zero where the weight is zero, [n].

    >>> features = np.zeros((3, 1), np.float32)
    >>> sizes_of_weights(LabelledEvents(features, np.array([0, 0, 1], np.int32), np.array([3.0, -1.0, 5.0])))
    array([1.5, 0.5, 5. ])
    """
    size = np.abs(events.weight)
    signed, sizes = (np.bincount(events.class_index, each) for each in (events.weight, size))
    share = np.divide(signed, sizes, out=np.ones(len(sizes)), where=sizes > 0)
    scaled: Float64 = size * share[events.class_index]
    return scaled
