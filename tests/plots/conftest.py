"""Scored events of any number of classes, for all figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray


@dataclass(frozen=True)
class Events:
    values: NDArray[np.float64]
    scores: NDArray[np.float64]
    class_index: NDArray[np.int64]
    weight: NDArray[np.float64]


def simulate(seed: int, classes: int = 3, events: int = 3000) -> Events:
    random = np.random.default_rng(seed)
    class_index = np.arange(events) % classes
    values = random.normal(size=(events, classes)) + 1.5 * np.eye(classes)[class_index]
    scores = np.exp(1.5 * values)
    weight = np.where(random.random(events) < 0.1, -1.0, 1.0) * (1.0 + class_index)
    return Events(values, scores / scores.sum(axis=1, keepdims=True), class_index, weight)


@pytest.fixture
def events_of() -> Callable[..., Events]:
    return simulate
