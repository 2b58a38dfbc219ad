"""The training loop: a generator that yields each epoch's result and returns the trained network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from tamis.config import EarlyStopping, ScheduleFreeAdamW, Significance, Training
from tamis.errors import RequestError, TrainingError
from tamis.network.network import Network
from tamis.random_streams import random_key
from tamis.training.batches import Block, WeightedInputs, fixed_block, shuffled_blocks
from tamis.training.checkpoint import Keep, Progress
from tamis.training.devices import Placement, place
from tamis.training.epoch import EpochSums, Method, Plan, epoch_program
from tamis.training.history import Epoch, History
from tamis.training.loss import Loss, build_loss
from tamis.training.optimizer import build_optimizer
from tamis.training.parameters import Layout, flatten
from tamis.training.planning import ends_because, improves, last_rate, peak_rate, plan_epochs
from tamis.training.recipe import settle_training
from tamis.training.standing import Standing, between_epochs, everywhere, first_state, kept_of
from tamis.training.stretches import Stretches

VALIDATION_BATCH = 8192
"""Events that the validation inside the program takes at a time."""

Measure = Callable[[NDArray[np.float32]], float]
"""A number of the scores of the validation events, [n, classes], that larger values make better."""


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


@dataclass(frozen=True)
class Choices:
    """What a Python user may bring along instead of what the section `training` can say.

    Args:
        loss: of the logits, [classes, n], and the target, [classes, n], the weight of each event in the row of its
            class: a sum over the events.
        optimizer: an optax transform of the flat vector of parameters, whose updates are added as they are; it
            brings its own learning rate, schedule, weight decay and gradient clip.
    """

    loss: Loss | None = None
    optimizer: optax.GradientTransformation | None = None


def train(
    network: Network,
    training: WeightedInputs,
    validation: WeightedInputs,
    settings: Training,
    *,
    seed: int,
    ntk: bool = False,
    signal: tuple[int, ...] = (),
    measure: Measure | None = None,
    choices: Choices | None = None,
    device: int | None = None,
    begun: Progress | None = None,
    keep: Keep | None = None,
) -> Generator[Epoch, None, Trained]:
    """Train a network; yield each epoch's result, return the network of the best epoch.

    Args:
        network: with its initial weights.
        training: the events to learn from.
        validation: the events that decide when to stop and which epoch to keep.
        settings: the section `training` of the configuration.
        seed: where the order of the events comes from.
        ntk: whether the steps of a weight are divided by the root of its layer's inputs.
        signal: indices of the classes that are signal, for the loss `significance`.
        measure: computes what is monitored, where it is neither loss nor accuracy.
        choices: a loss and an optimizer of the user's own.
        device: number of the one device to use, where others train other networks.
        begun: where a training that was stopped stood; it goes on from there, bit by bit as if it had not stopped.
        keep: called after each stretch of an epoch with what gives the progress, and whether the training has ended.

    Raises:
        RequestError: what is monitored cannot be computed, or the devices are not there.
        TrainingError: the loss is not a finite number any more, or the time budget is too short for an epoch.
    """
    choices = choices or Choices()
    settings = settle_training(settings, len(training))
    measure = _needed_measure(measure, settings.early_stopping)
    placement = place(_devices(settings, choices), settings.settled_batch_size, network.widths, only=device)
    batch_size = min(settings.settled_batch_size, -(-len(training) // placement.count) * placement.count)
    steps = -(-len(training) // batch_size)
    parameters, buffers, layout = flatten(network)
    method = _method(
        network,
        layout,
        settings,
        choices,
        signal=signal,
        ntk=ntk,
        scores=measure is not None,
        remembers=bool(jax.tree.leaves(buffers)),
    )
    state = first_state(parameters, buffers, method, placement)
    stand = Standing(state, kept_of(state), settings.settled_epochs)
    if begun is not None:
        stand.restore(begun, placement)
    checks = fixed_block(validation, VALIDATION_BATCH, placement)
    course = _Course(layout, method, placement, checks, steps, keep)
    key = random_key(seed, "training", "dropout")
    changing = max(getattr(layer, "changing_until", 0.0) for layer in network.layers)
    first = len(stand.epochs)
    with closing(shuffled_blocks(training, batch_size, seed, placement, first_epoch=first)) as blocks:
        while not stand.reason:
            started = time.perf_counter() - stand.seconds
            number, planned, epochs = len(stand.epochs) + 1, stand.planned, stand.epochs
            peak = peak_rate(settings, [epoch.validation_loss for epoch in epochs])
            sums = course.run(stand, next(blocks), _plan(number, steps, planned, peak, key))
            epoch = _measured(number, sums, measure, validation, settings)
            rate = None if choices.optimizer else last_rate(settings, peak, number, steps, planned)
            seconds = time.perf_counter() - started
            epochs.append(replace(epoch, learning_rate=rate, seconds=seconds, events=len(training)))
            stand.planned = plan_epochs(
                planned, settings, [epoch.seconds for epoch in epochs], stand.compiling
            )
            epochs[-1] = replace(epochs[-1], planned=stand.planned)
            # while layers are pruned, every epoch replaces the one before
            if stand.best < changing * stand.planned or improves(epochs, stand.best, settings.early_stopping):
                stand.keep_this()
            yield epochs[-1]
            stand.reason = ends_because(number, stand.best, stand.planned, settings)
            if keep is not None:
                keep(stand.progress, bool(stand.reason))
    vector, remembered = stand.kept
    final = layout.join(jnp.asarray(vector), jax.tree.map(jnp.asarray, remembered))
    return Trained(final, History(tuple(stand.epochs), stand.best, stand.reason), placement.description)


class _Course:
    """What is the same in all epochs of a training: the compiled program, and what it is given each time."""

    def __init__(
        self,
        layout: Layout,
        method: Method,
        placement: Placement,
        checks: Block,
        steps: int,
        keep: Keep | None,
    ) -> None:
        self._layout, self._method, self._placement = layout, method, placement
        self._checks, self._steps, self._keep = checks, steps, keep
        self._stretches = Stretches(steps, divide=keep is not None)
        self._program: jax.stages.Compiled | None = None

    def run(self, stand: Standing, block: Block, plan: Plan) -> EpochSums:
        """Train the rest of an epoch, stretch by stretch, and measure the validation set after the last one."""
        started = time.perf_counter() - stand.seconds
        if stand.step == 0:
            done = (len(stand.epochs) + 1) / stand.planned
            buffers = between_epochs(self._layout.join, stand.state, done, self._placement)
            stand.state = stand.state._replace(buffers=buffers)
        sums: EpochSums
        for begin, end in self._stretches.of_epoch(stand.step):
            part = plan._replace(begin=jnp.int32(begin), end=jnp.int32(end))
            given = (stand.state, block, self._checks, everywhere(part, self._placement))
            program = self._compiled(stand, given)
            clock = time.perf_counter()
            stand.state, sums = program(*given)
            if self._keep is not None and end < self._steps:
                jax.block_until_ready(stand.state)
                now = time.perf_counter()
                self._stretches.took(end - begin, now - clock)
                stand.step, stand.seconds = end, now - started
                self._keep(stand.progress, False)
        stand.step, stand.seconds = 0, 0.0
        return sums

    def _compiled(self, stand: Standing, given: tuple[Any, ...]) -> jax.stages.Compiled:
        """Compile ahead of the first step, so that its time alone is known."""
        if self._program is None:
            clock = time.perf_counter()
            self._program = epoch_program(self._layout, self._method, self._placement).lower(*given).compile()
            stand.compiling = stand.compiling or time.perf_counter() - clock
        return self._program


def _needed_measure(measure: Measure | None, stopping: EarlyStopping | None) -> Measure | None:
    if stopping is None or stopping.monitor in ("validation_loss", "validation_accuracy"):
        return None
    if measure is None:
        raise RequestError(
            f"training.early_stopping.monitor is {stopping.monitor}, but there is no function that computes it; "
            "give one as `measure`, or monitor validation_loss"
        )
    return measure


def _devices(settings: Training, choices: Choices) -> int | str:
    # the significance is no sum over events, so a batch cannot be divided
    whole = isinstance(settings.loss, Significance) and choices.loss is None
    return 1 if whole and settings.devices == "auto" else settings.devices


def _method(
    network: Network,
    layout: Layout,
    settings: Training,
    choices: Choices,
    *,
    signal: tuple[int, ...],
    ntk: bool,
    scores: bool,
    remembers: bool,
) -> Method:
    own_rate = choices.optimizer is not None or isinstance(settings.optimizer, ScheduleFreeAdamW)
    return Method(
        loss=choices.loss or build_loss(settings.loss, signal),
        optimizer=choices.optimizer
        or build_optimizer(settings.optimizer, layout, clip=settings.gradient_clip, ntk=ntk),
        schedule=None if own_rate else settings.schedule,
        average=settings.average,
        divisible=choices.loss is None and not isinstance(settings.loss, Significance) and not remembers,
        random=network.random,
        scores=scores,
    )


def _plan(number: int, steps: int, planned: int, peak: float, key: jax.Array) -> Plan:
    """Plan a whole epoch."""
    return Plan(
        first_step=jnp.int32((number - 1) * steps),
        begin=jnp.int32(0),
        end=jnp.int32(steps),
        steps=jnp.float32(planned * steps),
        rate=jnp.float32(peak),
        key=jax.random.fold_in(key, number),
    )


def _measured(
    number: int, sums: EpochSums, measure: Measure | None, validation: WeightedInputs, settings: Training
) -> Epoch:
    """Give what an epoch measured; its rate, time and events are filled in later."""
    seen_loss, seen_accuracy, loss, accuracy = (float(value) for value in sums[:4])
    if not (math.isfinite(seen_loss) and math.isfinite(loss)):
        raise TrainingError(
            f"the loss is not a finite number any more in epoch {number} (training {seen_loss}, "
            f"validation {loss}); lower training.optimizer.learning_rate, scale the features "
            "(preprocessing.scaling), or look at events with extreme weights"
        )
    measured = Epoch(number, seen_loss, seen_accuracy, loss, accuracy, learning_rate=None, seconds=0.0)
    if measure is None or settings.early_stopping is None:
        return measured
    scores = np.asarray(sums.validation_scores)
    value = float(measure(scores.transpose(0, 2, 1).reshape(-1, scores.shape[1])[: len(validation)]))
    monitor = settings.early_stopping.monitor
    if not math.isfinite(value):
        raise TrainingError(
            f"training.early_stopping.monitor: {monitor} is {value} in epoch {number}; monitor validation_loss, or "
            "look at the weights of the validation events"
        )
    if monitor == "validation_auc":
        return replace(measured, validation_auc=value)
    return replace(measured, validation_significance=value)


def follow(epochs: Generator[Epoch, None, Trained], report: Callable[[Epoch], None] | None = None) -> Trained:
    """Run a training to its end and hand each epoch to a reporter, for example a progress bar."""
    while True:
        try:
            epoch = next(epochs)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        if report is not None:
            report(epoch)
