"""The training loop: a generator that yields each epoch's result and returns the trained network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec
from numpy.typing import NDArray

from tamis.config import EarlyStopping, Plateau, ScheduleFreeAdamW, Significance, Training
from tamis.errors import RequestError, TrainingError
from tamis.network.network import Network
from tamis.training.batches import WeightedInputs, fixed_block, shuffled_blocks
from tamis.training.checkpoint import Keep, Progress, check_arrays
from tamis.training.devices import Placement, place
from tamis.training.epoch import EpochSums, Method, Plan, State, epoch_program, validated_parameters
from tamis.training.history import Epoch, History
from tamis.training.loss import Loss, build_loss
from tamis.training.optimizer import build_optimizer
from tamis.training.parameters import Buffers, Layout, buffers_of, flatten
from tamis.training.recipe import settle_training
from tamis.training.schedules import relative_rate

VALIDATION_BATCH = 8192
"""Events that the validation inside the program takes at a time."""
_FREELY_PLANNED = 3
"""Epochs after which a plan for a time budget follows the time that they took both ways."""

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
        keep: called between two epochs with what gives the progress, and whether it is the last one.

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
    state = _first_state(parameters, buffers, method, placement)
    checks = fixed_block(validation, VALIDATION_BATCH, placement)
    key = jax.random.key(seed)
    program, compiling = None, 0.0
    epochs: list[Epoch] = []
    changing = max(getattr(layer, "changing_until", 0.0) for layer in network.layers)
    planned, best, kept, reason = settings.settled_epochs, 0, _kept(state), ""
    if begun is not None:
        state, kept = _restored(begun, state, kept, placement)
        epochs, planned, best, reason = list(begun.epochs), begun.planned, begun.best, begun.reason
        compiling = begun.compiling
    with closing(shuffled_blocks(training, batch_size, seed, placement, first_epoch=len(epochs))) as blocks:
        while not reason:
            started = time.perf_counter()
            number, block = len(epochs) + 1, next(blocks)
            peak = peak_rate(settings, [epoch.validation_loss for epoch in epochs])
            plan = _plan(number, steps, planned, peak, key, placement)
            state = state._replace(buffers=_between_epochs(layout.join, state, number / planned, placement))
            if program is None:
                # ahead of the first epoch, so that its time alone is known
                program = epoch_program(layout, method, placement).lower(state, block, checks, plan).compile()
                compiling = compiling or time.perf_counter() - started
            state, sums = program(state, block, checks, plan)
            epoch = _measured(number, sums, measure, validation, settings)
            rate = None if choices.optimizer else last_rate(settings, peak, number, steps, planned)
            seconds = time.perf_counter() - started
            epochs.append(replace(epoch, learning_rate=rate, seconds=seconds, events=len(training)))
            planned = plan_epochs(planned, settings, [epoch.seconds for epoch in epochs], compiling)
            epochs[-1] = replace(epochs[-1], planned=planned)
            # while layers are pruned, every epoch replaces the one before
            if best < changing * planned or improves(epochs, best, settings.early_stopping):
                best, kept = number, _kept(state)
            yield epochs[-1]
            reason = ends_because(number, best, planned, settings)
            if keep is not None:
                now = (tuple(epochs), best, planned, compiling, reason)
                keep(partial(_progress, state, kept, *now), bool(reason))
    vector, remembered = kept
    final = layout.join(jnp.asarray(vector), jax.tree.map(jnp.asarray, remembered))
    return Trained(final, History(tuple(epochs), best, reason), placement.description)


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


def _first_state(parameters: jax.Array, buffers: Buffers, method: Method, placement: Placement) -> State:
    average = None if method.average is None else parameters
    state = State(parameters, method.optimizer.init(parameters), buffers, average)
    # copies, because the program overwrites what it is given: the caller's network shall stay as it is
    return cast("State", _everywhere(jax.tree.map(jnp.array, state), placement))


def _plan(number: int, steps: int, planned: int, peak: float, key: jax.Array, placement: Placement) -> Plan:
    plan = Plan(
        first_step=jnp.int32((number - 1) * steps),
        steps=jnp.float32(planned * steps),
        rate=jnp.float32(peak),
        key=jax.random.fold_in(key, number),
    )
    return cast("Plan", _everywhere(plan, placement))


def _kept(state: State) -> tuple[NDArray[np.float32], Buffers]:
    """Copy to NumPy what the next epoch will overwrite."""
    return np.array(validated_parameters(state)), jax.tree.map(np.array, state.buffers)


def ends_because(number: int, best: int, planned: int, settings: Training) -> str:
    """Say why the training ends; an empty text means that it goes on.

    Args:
        number: of the epoch that is done, counted from 1.
        best: number of the best epoch, or of the last one where nothing is monitored.
        planned: epochs of the whole training.
        settings: the section `training` of the configuration.

    >>> ends_because(12, 2, 20, Training())
    'no improvement of validation_loss for 10 epochs'
    """
    stopping = settings.early_stopping
    if stopping is not None and number - max(best, stopping.warm_up) >= stopping.patience:
        return f"no improvement of {stopping.monitor} for {number - best} epochs"
    if number < planned:
        return ""
    if planned < settings.settled_epochs:
        return f"the time budget of {settings.time_budget:g} s allowed {number} of {settings.settled_epochs} epochs"
    return f"all {settings.settled_epochs} epochs were trained"


def plan_epochs(planned: int, settings: Training, seconds: Sequence[float], compiling: float) -> int:
    """Plan how many epochs there will be, so that the training ends within its time budget.

    In the first epochs the plan follows their time both ways; later it only becomes shorter, so that a schedule that
    has come down does not rise again.

    Args:
        planned: the plan until now.
        settings: the section `training` of the configuration.
        seconds: wall time of each epoch until now.
        compiling: the part of the first one in which the program was compiled.

    Raises:
        TrainingError: not even one epoch fits.

    >>> plan_epochs(20, Training(epochs=20, time_budget=10.0), [3.0, 1.0], 2.0)
    8
    """
    budget = settings.time_budget
    if budget is None:
        return planned
    done, spent = len(seconds), sum(seconds)
    if done == 1 and spent > budget:
        raise TrainingError(
            f"training.time_budget is {budget:g} s, but the first epoch took {spent:.1f} s, of which {compiling:.1f} s "
            "to compile it; allow more time, or use a smaller network, larger batches or fewer events"
        )
    each = (spent - compiling) / done
    possible = done + int(max(budget - spent, 0.0) / each)
    return max(min(possible, settings.settled_epochs if done <= _FREELY_PLANNED else planned), done)


def peak_rate(settings: Training, losses: Sequence[float]) -> float:
    """Give the highest learning rate, lowered for each plateau of the validation loss.

    Args:
        settings: the section `training` of the configuration.
        losses: the validation loss after each epoch until now.
    """
    schedule, highest = settings.schedule, settings.optimizer.learning_rate
    if not isinstance(schedule, Plateau):
        return highest
    factor, lowest, waited = 1.0, math.inf, 0
    for loss in losses:
        waited = 0 if loss < lowest else waited + 1
        lowest = min(loss, lowest)
        if waited == schedule.patience:
            factor, waited = max(factor * schedule.factor, schedule.least), 0
    return highest * factor


def last_rate(settings: Training, peak: float, number: int, steps: int, planned: int) -> float:
    """Give the learning rate of the last step of an epoch.

    Args:
        settings: the section `training` of the configuration.
        peak: the schedule's highest rate.
        number: of the epoch, counted from 1.
        steps: in each epoch.
        planned: epochs of the whole training.
    """
    before = number * steps - 1
    if isinstance(settings.optimizer, ScheduleFreeAdamW):
        return peak * min(before / settings.optimizer.warm_up, 1.0)
    return peak * float(relative_rate(settings.schedule, jnp.float32(before / (planned * steps))))


def _progress(
    state: State,
    kept: tuple[NDArray[np.float32], Buffers],
    epochs: tuple[Epoch, ...],
    best: int,
    planned: int,
    compiling: float,
    reason: str,
) -> Progress:
    """Copy everything that the next epochs need."""
    arrays = tuple(np.array(each, order="C") for each in jax.tree.leaves((state, kept)))
    return Progress(arrays, epochs, best, planned, compiling, reason)


def _restored(
    begun: Progress, state: State, kept: tuple[NDArray[np.float32], Buffers], placement: Placement
) -> tuple[State, tuple[NDArray[np.float32], Buffers]]:
    """Put what was kept in the place of a first state."""
    wanted, structure = jax.tree.flatten((state, kept))
    check_arrays(begun, wanted)
    # copies, because the program overwrites what it is given
    restored, chosen = jax.tree.unflatten(structure, begun.arrays)
    placed = cast("State", _everywhere(jax.tree.map(jnp.array, restored), placement))
    return placed, chosen


def _between_epochs(
    join: Callable[[jax.Array, Buffers], Network], state: State, done: float, placement: Placement
) -> Buffers:
    """Let layers that change between epochs, such as pruned ones, look at their weights."""
    if not jax.tree.leaves(state.buffers):
        return state.buffers
    network = join(state.parameters, state.buffers)
    changing = [number for number, layer in enumerate(network.layers) if hasattr(layer, "between_epochs")]
    if not changing:
        return state.buffers
    layers = list(network.layers)
    for number in changing:
        layers[number] = layers[number].between_epochs(done)
    changed = buffers_of(eqx.tree_at(lambda each: each.layers, network, tuple(layers)))
    # of the same kind as before, for the program is compiled only once
    changed = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), changed, state.buffers)
    return _everywhere(changed, placement)


def _everywhere(value: Any, placement: Placement) -> Any:
    return jax.device_put(value, NamedSharding(placement.mesh, PartitionSpec()))


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
