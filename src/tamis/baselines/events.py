"""The events of baselines, and a check that the required packages are installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from tamis.arrays import Features, Float64, Int32
from tamis.config import Baseline
from tamis.errors import RequestError

_PACKAGES: dict[Baseline, tuple[str, str]] = {
    "xgboost": ("xgboost", "xgboost"),
    "logistic": ("sklearn", "scikit-learn"),
}
"""The module that each baseline imports, and its package."""


@dataclass(frozen=True)
class LabelledEvents:
    """Events of the training or the validation split: features, [n, n_features], without preprocessing, NaN if missing.

    The weight in the loss, [n], is the signed physics weight times the class weight.
    """

    features: Features
    class_index: Int32
    weight: Float64

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.weight)


def check_packages(baselines: Sequence[Baseline]) -> None:
    """Check that the packages of baselines are installed (`RequestError`), before any file is read.

    >>> check_packages(["cuts"])
    """
    needed = [_PACKAGES[name] for name in baselines if name in _PACKAGES]
    absent = [package for module, package in needed if find_spec(module) is None]
    if absent:
        raise RequestError(
            f"evaluation.baselines: {' and '.join(absent)} must be installed for {', '.join(baselines)}; "
            "install with: pip install 'tamis[baselines]'"
        )


def compute_unsigned_weights(events: LabelledEvents) -> Float64:
    """Compute unsigned weights, [n], for methods that do not support negative weights.

    They are the absolute weights times a factor for each class, which preserves its sum of weights; this sum must be
    positive. Within a class, regions with many negative weights get too much weight.

    >>> features = np.zeros((3, 1), np.float32)
    >>> compute_unsigned_weights(LabelledEvents(features, np.array([0, 0, 1], np.int32), np.array([3.0, -1.0, 5.0])))
    array([1.5, 0.5, 5. ])
    """
    size = np.abs(events.weight)
    signed, sizes = (np.bincount(events.class_index, weights) for weights in (events.weight, size))
    share = np.divide(signed, sizes, out=np.ones(len(sizes)), where=sizes > 0)
    scaled: Float64 = size * share[events.class_index]
    return scaled
