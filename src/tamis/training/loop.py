"""The training loop: a generator that yields each epoch's result and returns the trained network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from tamis.config import EarlyStopping, Training
from tamis.errors import TrainingError
from tamis.network.network import Network
from tamis.training.batches import WeightedInputs, fixed_block, shuffled_blocks
from tamis.training.devices import Placement, place
from tamis.training.epoch import EpochSums, State, compile_epoch, flatten
from tamis.training.history import Epoch, History
from tamis.training.optimizer import build_optimizer, learning_rate

VALIDATION_BATCH = 8192
"""Events that the validation inside the program takes at a time."""


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Args:
        network: with the weights of the best epoch.
        history: every epoch, and which was chosen.
        device: where it was trained.
    """

    network: Network
    history: History
    device: str


def train(
    network: Network,
    training: WeightedInputs,
    validation: WeightedInputs,
    settings: Training,
    *,
    seed: int,
) -> Generator[Epoch, None, Trained]:
    """Train a network; yield each epoch's result, return the network of the best epoch.

    Args:
        network: with its initial weights.
        training: the events to learn from.
        validation: the events that decide when to stop and which epoch to keep.
        settings: the section `training` of the configuration.
        seed: where the order of the events comes from.

    Raises:
        TrainingError: the loss is not a finite number any more.
    """
    placement = place(settings.devices, settings.batch_size, network.widths)
    batch_size = min(settings.batch_size, -(-len(training) // placement.count) * placement.count)
    steps = -(-len(training) // batch_size)
    rate = learning_rate(settings.schedule, settings.optimizer.learning_rate, steps * settings.epochs)
    optimizer = build_optimizer(settings.optimizer, rate, network)
    parameters, unravel = flatten(network)
    program = compile_epoch(unravel, optimizer, placement)
    blocks = shuffled_blocks(training, batch_size, seed, placement)
    checks = fixed_block(validation, VALIDATION_BATCH, placement)
    state = _everywhere(State(parameters, optimizer.init(parameters)), placement)
    epochs: list[Epoch] = []
    best, kept = 0, np.array(parameters)
    reason = f"all {settings.epochs} epochs were trained"
    for number in range(1, settings.epochs + 1):
        started = time.perf_counter()
        state, sums = program(state, next(blocks), checks)
        epoch = _result(number, sums, float(rate(number * steps - 1)), started, len(training))
        epochs.append(epoch)
        if improves(epochs, best, settings.early_stopping):
            best, kept = number, np.array(state.parameters)
        yield epoch
        if settings.early_stopping is not None and number - best >= settings.early_stopping.patience:
            reason = f"no improvement of {settings.early_stopping.monitor} for {number - best} epochs"
            break
    blocks.close()
    if settings.early_stopping is None:
        best, kept = len(epochs), np.array(state.parameters)
    return Trained(unravel(jnp.asarray(kept)), History(tuple(epochs), best, reason), placement.description)


def _everywhere(state: State, placement: Placement) -> State:
    copied: State = jax.device_put(state, NamedSharding(placement.mesh, PartitionSpec()))
    return copied


def _result(number: int, sums: EpochSums, rate: float, started: float, events: int) -> Epoch:
    measured = [float(value) for value in sums]
    if not all(math.isfinite(value) for value in measured):
        raise TrainingError(
            f"the loss is not a finite number any more in epoch {number} (training {measured[0]}, validation "
            f"{measured[2]}); lower training.optimizer.learning_rate, scale the features "
            "(preprocessing.scaling), or look at events with extreme weights"
        )
    loss, accuracy, validation_loss, validation_accuracy = measured
    seconds = time.perf_counter() - started
    return Epoch(number, loss, accuracy, validation_loss, validation_accuracy, rate, seconds, events)


def improves(epochs: list[Epoch], best: int, stopping: EarlyStopping | None) -> bool:
    """Tell whether the last epoch beats the best one by more than `min_delta`.

    Args:
        epochs: all epochs until now.
        best: number of the best of them, 0 where there is none.
        stopping: what is monitored; without it every epoch replaces the one before.
    """
    if stopping is None or best == 0:
        return True
    now, before = (getattr(epoch, stopping.monitor) for epoch in (epochs[-1], epochs[best - 1]))
    gain = before - now if stopping.monitor.endswith("loss") else now - before
    return bool(gain > stopping.min_delta)


def follow(epochs: Generator[Epoch, None, Trained], report: Callable[[Epoch], None] | None = None) -> Trained:
    """Run a training to its end and hand each epoch to a reporter, for example a progress bar."""
    while True:
        try:
            epoch = next(epochs)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        if report is not None:
            report(epoch)
