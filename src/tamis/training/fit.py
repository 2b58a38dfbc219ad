"""The training loop: a generator of events that ends with the trained network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tamis.config import EarlyStopping
from tamis.errors import InputError, Problem, RequestError, TrainingError
from tamis.network.network import Network
from tamis.random_streams import random_key, random_stream
from tamis.training.batches import WeightedInputs, build_fixed_block, shuffle_blocks
from tamis.training.checkpoint import START_AGAIN, read_checkpoint
from tamis.training.decorrelation import DecorrelationPenalty
from tamis.training.devices import Placement, choose_placement, replicate
from tamis.training.events import (
    ChunkFinished,
    EpochFinished,
    EventStream,
    Trained,
    TrainingFinished,
    TrainingStarted,
)
from tamis.training.history import Epoch, History
from tamis.training.parameters import Layout, flatten
from tamis.training.planning import find_stopping_reason, is_improvement, plan_epochs
from tamis.training.recipe import Recipe
from tamis.training.schedules import compute_last_rate, compute_peak_rate
from tamis.training.state import TrainState, copy_to_devices, copy_weights, update_layers
from tamis.training.step import EpochSums, StepRange, build_step_function

VALIDATION_BATCH = 8192
"""Batch size of the validation inside the compiled program."""
FIRST_CHUNK = 64
"""Number of steps of the first chunk, before the duration of a step is known."""

Metric = Callable[[NDArray[np.float32]], float]
"""Function of the scores of the validation events, [n, classes]; a larger value is better."""


def fit(
    network: Network,
    training: WeightedInputs,
    validation: WeightedInputs,
    recipe: Recipe,
    *,
    seed: int,
    ntk: bool = False,
    signal: tuple[int, ...] = (),
    metric: Metric | None = None,
    penalty: DecorrelationPenalty | None = None,
    device: int | None = None,
    resume_from: Path | None = None,
    chunk_seconds: float | None = None,
) -> EventStream:
    """Train a network; yield an event at the start, after each chunk of steps, after each epoch, and at the end.

    Args:
        network: the network with its initial weights.
        training: training events.
        validation: events that determine the best epoch and when to stop.
        recipe: optimizer, loss, schedule and sizes.
        seed: seed of the order of the events and of all random numbers.
        ntk: whether the steps of a weight are divided by the square root of the number of its layer's inputs.
        signal: indices of the signal classes, for the loss `significance`.
        metric: computes the monitored quantity if it is neither loss nor accuracy.
        penalty: penalty for a dependence on spectators, which is part of the losses; the events need coordinates.
        device: number of the only device to use, if other devices train other networks.
        resume_from: folder of the checkpoints of this network. The training resumes from the newest one, and the
            results are bit-identical to those of an uninterrupted training; without a checkpoint it starts anew.
        chunk_seconds: approximate duration of a chunk of steps; None makes each epoch one chunk. The result does not
            depend on it.

    Raises:
        RequestError: the monitored quantity cannot be computed, or there are not enough devices.
        InputError: the checkpoint belongs to another network or optimizer, or to another version of tamis.
        TrainingError: the loss is not finite, or the time budget is too short for an epoch.

    Example:
        >>> from tamis.config import Training as TrainingSection
        >>> from tamis.network.network import build_network
        >>> from tamis.training.recipe import resolve_recipe
        >>> rng = np.random.default_rng(1)
        >>> labels = rng.integers(0, 2, 200).astype(np.int32)
        >>> inputs = (rng.normal(size=(200, 1)) + labels[:, None]).astype(np.float32)
        >>> events = WeightedInputs(inputs, labels, np.ones(200))
        >>> network = build_network(1, 2, [], random=rng)
        >>> stream = fit(network, events, events, resolve_recipe(TrainingSection(epochs=2), 200), seed=1)
        >>> [type(event).__name__ for event in stream]
        ['TrainingStarted', 'EpochFinished', 'EpochFinished', 'TrainingFinished']
    """
    metric = _check_metric(metric, recipe.early_stopping)
    if penalty is not None:
        # validation events in the order of the files would be compared with events of their own file
        order = random_stream(seed, "training", "validation order").permutation(len(validation))
        validation, metric = validation.reordered(order), _undo_order(metric, order)
    placement = choose_placement(recipe.devices, recipe.batch_size, network.widths, only=device)
    # a small training set is one batch, which the devices can still divide
    batch_size = min(recipe.batch_size, -(-len(training) // placement.count) * placement.count)
    steps = -(-len(training) // batch_size)
    parameters, buffers, layout = flatten(network)
    step_function = build_step_function(
        network, layout, recipe, placement, signal=signal, ntk=ntk, scores=metric is not None, penalty=penalty
    )
    key = random_key(seed, "training", "dropout")
    # while layers are pruned, the latest epoch counts as the best: earlier ones have another density
    pruned_until = max(getattr(layer, "changing_until", 0.0) for layer in network.layers)

    # start from the initial weights or from a checkpoint
    current = step_function.initial_state(parameters, buffers)
    state = TrainState(current, copy_weights(current), History((), 0, ""), recipe.epochs)
    state = copy_to_devices(state, placement)
    started = TrainingStarted(state) if resume_from is None else _resume(resume_from, state, steps, placement)
    yield started
    state = started.state
    if state.ended:
        yield TrainingFinished(_build_result(state, layout, placement))
        return

    # compile before the first step, to know the duration of both
    clock = time.perf_counter()
    validation_block = build_fixed_block(validation, VALIDATION_BATCH, placement)
    block_shape = (steps, training.columns, batch_size)
    step_range = replicate(_step_range(state, 0, steps, steps, 1.0, key), placement)
    take_steps = step_function.compile(state.current, block_shape, validation_block, step_range)
    seconds = time.perf_counter() - clock
    state = replace(state, seconds=state.seconds + seconds, compile_seconds=state.compile_seconds or seconds)

    chunk = steps if chunk_seconds is None else FIRST_CHUNK
    first_epoch = state.epoch_number - 1
    with closing(shuffle_blocks(training, batch_size, seed, placement, first_epoch=first_epoch)) as blocks:
        while not state.ended:
            clock = time.perf_counter() - state.seconds
            number, past_epochs = state.epoch_number, state.history.epochs
            block = next(blocks)
            if state.batch == 0:
                state = update_layers(state, layout, placement)
            peak = compute_peak_rate(recipe, [epoch.validation_loss for epoch in past_epochs])

            # the steps, chunk by chunk; the last chunk also validates
            while state.batch < steps:
                chunk_clock = time.perf_counter()
                begin, end = state.batch, min(state.batch + chunk, steps)
                step_range = replicate(_step_range(state, begin, end, steps, peak, key), placement)
                current, sums = take_steps(state.current, block, validation_block, step_range)
                state = replace(state, current=current, batch=end)
                if chunk_seconds is not None and end < steps:
                    jax.block_until_ready(current)
                    now = time.perf_counter()
                    chunk = max(1, round(chunk_seconds * (end - begin) / max(now - chunk_clock, 1e-6)))
                    state = replace(state, seconds=now - clock)
                    yield ChunkFinished(state)

            # the results of the epoch
            training_loss, training_accuracy, loss, accuracy = (float(value) for value in sums[:4])
            _check_losses(number, training_loss, loss)
            monitored = _compute_metric(metric, recipe.early_stopping, sums, validation, number)
            epoch = Epoch(
                number,
                training_loss,
                training_accuracy,
                loss,
                accuracy,
                learning_rate=compute_last_rate(recipe, peak, number, steps, state.planned_epochs),
                seconds=time.perf_counter() - clock,
                events=len(training),
                validation_auc=monitored.get("validation_auc"),
                validation_significance=monitored.get("validation_significance"),
            )

            # how many epochs to train, whether this one is the best, and whether it is the last
            times = [past_epoch.seconds for past_epoch in (*past_epochs, epoch)]
            planned = plan_epochs(state.planned_epochs, recipe, times, state.compile_seconds)
            epochs = (*past_epochs, replace(epoch, planned=planned))
            best = state.history.best
            if best < pruned_until * planned or is_improvement(epochs, best, recipe.early_stopping):
                best = number
            state = replace(
                state,
                best=copy_weights(state.current) if best == number else state.best,
                history=History(epochs, best, find_stopping_reason(number, best, planned, recipe)),
                planned_epochs=planned,
                batch=0,
                seconds=0.0,
            )
            yield EpochFinished(state)
    yield TrainingFinished(_build_result(state, layout, placement))


def _check_metric(metric: Metric | None, stopping: EarlyStopping | None) -> Metric | None:
    """Return the metric if it is monitored."""
    if stopping is None or stopping.monitor in ("validation_loss", "validation_accuracy"):
        return None
    if metric is None:
        raise RequestError(
            f"training.early_stopping.monitor is {stopping.monitor}, but no function computes it; pass one as "
            "`metric`, or monitor validation_loss"
        )
    return metric


def _undo_order(metric: Metric | None, order: NDArray[np.int64]) -> Metric | None:
    """Return the metric as a function of the scores of reordered events."""
    if metric is None:
        return None
    original = metric
    return lambda scores: original(scores[np.argsort(order)])


def _resume(folder: Path, initial: TrainState, steps: int, placement: Placement) -> TrainingStarted:
    """Read the newest intact checkpoint; without one the training starts from the initial state."""
    state, damaged = read_checkpoint(folder, like=initial)
    if state is None:
        return TrainingStarted(initial, damaged=damaged)
    if state.batch >= steps:
        problem = f"is after step {state.batch} of an epoch, but an epoch of this training has {steps} steps"
        raise InputError("checkpoint", [Problem(str(folder), f"{problem}; {START_AGAIN}")])
    return TrainingStarted(copy_to_devices(state, placement), resumed=True, damaged=damaged)


def _step_range(
    state: TrainState, begin: int, end: int, steps: int, peak: float, key: jax.Array
) -> StepRange:
    number = state.epoch_number
    return StepRange(
        first_step=jnp.int32((number - 1) * steps),
        begin=jnp.int32(begin),
        end=jnp.int32(end),
        total_steps=jnp.float32(state.planned_epochs * steps),
        peak_rate=jnp.float32(peak),
        key=jax.random.fold_in(key, number),
    )


def _check_losses(number: int, training_loss: float, validation_loss: float) -> None:
    if not (math.isfinite(training_loss) and math.isfinite(validation_loss)):
        raise TrainingError(
            f"the loss is not finite in epoch {number} (training {training_loss}, validation {validation_loss}); lower "
            "training.optimizer.learning_rate, scale the features (preprocessing.scaling), or check events with "
            "extreme weights"
        )


def _compute_metric(
    metric: Metric | None,
    stopping: EarlyStopping | None,
    sums: EpochSums,
    validation: WeightedInputs,
    number: int,
) -> dict[str, float]:
    """Compute the monitored quantity of an epoch, by its name in `Epoch`; nothing if it is a loss or an accuracy."""
    if metric is None or stopping is None:
        return {}
    scores = np.asarray(sums.validation_scores)  # [batches, classes, batch size], with padding
    value = float(metric(scores.transpose(0, 2, 1).reshape(-1, scores.shape[1])[: len(validation)]))
    if not math.isfinite(value):
        raise TrainingError(
            f"training.early_stopping.monitor: {stopping.monitor} is {value} in epoch {number}; monitor "
            "validation_loss, or check the weights of the validation events"
        )
    return {stopping.monitor: value}


def _build_result(state: TrainState, layout: Layout, placement: Placement) -> Trained:
    """Build the network of the best epoch."""
    network = jax.device_put(layout.join(*state.best))
    return Trained(network, state.history, placement.description)
