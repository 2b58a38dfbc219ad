"""What every peer trains on, and what it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Workload:
    """Data, network and batch; the optimizer is Adam at `LEARNING_RATE`, hidden layers are ReLU.

    Args:
        features: float32 [events, features], about standard normal.
        labels: class of each event, int64 [events]; the number of events is a multiple of the batch size.
        sizes: nodes of every layer, from the inputs to the classes.
        batch_size: events in an optimizer step.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    sizes: tuple[int, ...]
    batch_size: int

    @property
    def steps(self) -> int:
        """Optimizer steps in an epoch."""
        return len(self.labels) // self.batch_size

    def one_hot(self) -> NDArray[np.float32]:
        return np.eye(self.sizes[-1], dtype=np.float32)[self.labels]

    def repeated(self, times: int) -> Workload:
        """Every event several times, for an epoch that is long enough to be timed."""
        return replace(self, features=np.tile(self.features, (times, 1)), labels=np.tile(self.labels, times))


@dataclass(frozen=True)
class Timing:
    """What a peer answers.

    Args:
        seconds: wall time of each timed epoch.
        loss: mean training loss of the last epoch, as the peer reports it: a sign that it did learn.
    """

    seconds: tuple[float, ...]
    loss: float


def simulate_workload(sizes: tuple[int, ...], batch_size: int, steps: int, seed: int = 1) -> Workload:
    """Gaussian classes around different means: learnable, and never learnt to the end."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, sizes[-1], steps * batch_size)
    means = generator.normal(0.0, 0.5, (sizes[-1], sizes[0]))
    features = means[labels] + generator.standard_normal((len(labels), sizes[0]))
    return Workload(features.astype(np.float32), labels, sizes, batch_size)


def time_each(epochs: int, train_epoch: Callable[[], float]) -> Timing:
    """Call a function that trains one epoch and gives its loss: once to warm up, then timed."""
    loss = train_epoch()
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        loss = train_epoch()
        seconds.append(time.perf_counter() - start)
    return Timing(tuple(seconds), loss)
