"""The compiled program of a chunk of steps: the step of every batch, and after the last one the validation.

The result does not depend on how an epoch is divided into chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding, PartitionSpec

from tamis.config import Schedule, ScheduleFreeAdamW, Significance
from tamis.network.network import (
    Network,
    compute_class_logits,
    compute_scores_of_logits,
    map_events,
    map_training_events,
)
from tamis.network.quantized import compute_bit_cost
from tamis.training.batches import BLOCK, Block
from tamis.training.decorrelation import DecorrelationPenalty
from tamis.training.devices import Placement
from tamis.training.loss import Loss, build_loss, build_one_hot_target, sum_correct
from tamis.training.optimizer import build_optimizer, select_evaluated_parameters
from tamis.training.parameters import Buffers, Layout, select_buffers
from tamis.training.recipe import Recipe
from tamis.training.schedules import compute_relative_rate

PIECE = 512
"""Number of events of a large batch that a core processes together, so that their nodes stay in its cache."""
PIECES_FROM = 2048
"""Minimum number of events of a core's share of a batch for which the share is divided into pieces."""


class StepState(NamedTuple):
    """Everything that a step changes.

    Args:
        parameters: all weights and biases in one vector, [parameters].
        optimizer: state of the optax transform.
        sums: loss and correctly classified weight, summed over the batches of the epoch, [devices, 2].
        buffers: buffers of the layers, such as running means.
        ema: exponential moving average of the parameters, [parameters]; None if there is none.
    """

    parameters: jax.Array
    optimizer: optax.OptState
    sums: jax.Array
    buffers: Buffers = None
    ema: jax.Array | None = None


class StepRange(NamedTuple):
    """The steps of a chunk, as scalars on the devices.

    Args:
        first_step: number of steps before the epoch.
        begin: the first batch of the chunk, counted from 0 in the epoch.
        end: the batch after the last one.
        total_steps: planned number of steps of the whole training.
        peak_rate: highest learning rate.
        key: key of the random numbers of the epoch.
    """

    first_step: jax.Array
    begin: jax.Array
    end: jax.Array
    total_steps: jax.Array
    peak_rate: jax.Array
    key: jax.Array


class EpochSums(NamedTuple):
    """Results of an epoch, per unit of training weight; only valid after the last chunk of an epoch.

    Args:
        training_loss: mean loss over the batches, each before its step.
        training_accuracy: weighted fraction of correctly classified events, likewise.
        validation_loss: loss of the validation events after the last step.
        validation_accuracy: accuracy of the validation events after the last step.
        validation_scores: scores of the validation events, [batches, classes, batch size]; None if they are not needed.
    """

    training_loss: jax.Array
    training_accuracy: jax.Array
    validation_loss: jax.Array
    validation_accuracy: jax.Array
    validation_scores: jax.Array | None = None


@dataclass(frozen=True, eq=False)
class StepFunction:
    """The function that takes a chunk of steps; each device runs it on its share of every batch.

    Args:
        layout: converts the vector of parameters to the network.
        placement: devices that share each batch.
        loss: the loss function.
        optimizer: converts flat gradients to flat updates.
        schedule: schedule of the learning rate; None if the optimizer has its own.
        ema_decay: decay of the exponential moving average of the parameters; None for no average.
        divisible: whether loss and layers treat each event independently, so that a batch can be divided into pieces.
        random: whether layers need random numbers for each event in each step.
        scores: whether to return the scores of the validation events.
        penalty: the penalty for a dependence on spectators; None for none.
    """

    layout: Layout
    placement: Placement
    loss: Loss
    optimizer: optax.GradientTransformation
    schedule: Schedule | None
    ema_decay: float | None
    divisible: bool
    random: bool
    scores: bool
    penalty: DecorrelationPenalty | None = None

    def initial_state(self, parameters: jax.Array, buffers: Buffers) -> StepState:
        """Build the state before the first step."""
        sums = jnp.zeros((self.placement.count, 2), jnp.float32)
        ema = None if self.ema_decay is None else parameters
        return StepState(parameters, self.optimizer.init(parameters), sums, buffers, ema)

    def compile(
        self, state: StepState, block_shape: tuple[int, ...], validation: Block, steps: StepRange
    ) -> jax.stages.Compiled:
        """Compile the function for training blocks of a shape, before the first step.

        The result is a function of state, training block, validation block and range of steps that returns the new
        state and the `EpochSums`, and reuses the memory of the state.
        """
        sharding = NamedSharding(self.placement.mesh, BLOCK)
        block = jax.ShapeDtypeStruct(block_shape, jnp.float32, sharding=sharding)
        function = self._take_steps if self.placement.count == 1 else self._share_steps()
        return jax.jit(function, donate_argnums=0).lower(state, block, validation, steps).compile()

    def _share_steps(self) -> Callable[..., tuple[StepState, EpochSums]]:
        replicated: Any = PartitionSpec()
        scores: Any = BLOCK if self.scores else None
        return jax.shard_map(
            self._take_steps,
            mesh=self.placement.mesh,
            in_specs=(replicated, BLOCK, BLOCK, replicated),
            out_specs=(replicated, EpochSums(replicated, replicated, replicated, replicated, scores)),
            check_vma=False,
        )

    def _take_steps(
        self, state: StepState, training: Block, validation: Block, steps: StepRange
    ) -> tuple[StepState, EpochSums]:
        """Take the steps, and validate after the last batch of the epoch."""
        sums, key = state.sums[0], steps.key
        if self._shared:  # each device has its own sums and random numbers
            device = jax.lax.axis_index(self._shared[0])
            sums, key = state.sums[device], jax.random.fold_in(steps.key, device)
        number = steps.first_step + jnp.arange(len(training))
        rate = jnp.ones(len(training))  # for an optimizer with its own rate
        if self.schedule is not None:
            rate = steps.peak_rate * compute_relative_rate(self.schedule, number / steps.total_steps)
        # a shorter memory in the first steps, so that the initial weights are forgotten
        decay = jnp.minimum(self.ema_decay or 0.0, (1 + number) / (10 + number))
        keys = jax.random.split(key, len(training)) if self.random else None
        inputs = (training, rate, decay, keys)
        rows_per_event = self._count_rows_per_event(training)

        def step(batch: jax.Array, state: StepState) -> StepState:
            of_batch = partial(jax.lax.dynamic_index_in_dim, index=batch, keepdims=False)
            return self._step(state, *jax.tree.map(of_batch, inputs), rows_per_event=rows_per_event)

        state = state._replace(sums=jnp.where(steps.begin == 0, 0.0, sums))
        state = jax.lax.fori_loop(steps.begin, steps.end, step, state)
        trained = self._mean(state.sums, training)
        skipped = jax.tree.map(
            lambda array: jnp.zeros(array.shape, array.dtype),
            jax.eval_shape(self._validate, state, validation),
        )
        validation_sums, scores = jax.lax.cond(
            steps.end == len(training), lambda: self._validate(state, validation), lambda: skipped
        )
        validated = self._mean(validation_sums, validation)
        # only the end of an epoch adds the sums of the devices, so that chunks change no bit
        all_sums = jax.lax.all_gather(state.sums, self._shared[0]) if self._shared else state.sums[None]
        state = state._replace(sums=all_sums)
        return state, EpochSums(trained[0], trained[1], validated[0], validated[1], scores)

    def _step(
        self,
        state: StepState,
        batch: jax.Array,
        rate: jax.Array,
        decay: jax.Array,
        key: Any = None,
        *,
        rows_per_event: jax.Array | None,
    ) -> StepState:
        sums, gradient, buffers = self._gradient(state, batch, key, rows_per_event)
        # divided by the size of a batch, never by its sum of weights, which may be small or negative
        mean_gradient = self._total(gradient) / (batch.shape[1] * self.placement.count)
        updates, memory = self.optimizer.update(mean_gradient, state.optimizer, state.parameters)
        parameters = state.parameters + rate * updates
        ema = None if state.ema is None else decay * state.ema + (1 - decay) * parameters
        return StepState(parameters, memory, state.sums + sums, buffers, ema)

    def _gradient(
        self, state: StepState, batch: jax.Array, key: Any, rows_per_event: jax.Array | None
    ) -> tuple[jax.Array, jax.Array, Buffers]:
        """Return the sums of loss and correct weight of a batch, [2], the gradient of its loss, and the new buffers."""
        gradient_of = jax.value_and_grad(partial(self._loss, rows_per_event=rows_per_event), has_aux=True)
        rows, events = batch.shape
        seeds = jax.random.bits(key, (events,), jnp.uint32) if self.random else jnp.zeros(events, jnp.uint32)
        in_pieces = self.divisible and self.placement.platform == "cpu"
        if not in_pieces or events < PIECES_FROM or events % PIECE:
            (value, (right, buffers)), gradient = gradient_of(state.parameters, state.buffers, batch, seeds)
            return jnp.stack([value, right]), gradient, buffers

        def add(number: int, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            first = number * PIECE
            piece = jax.lax.dynamic_slice(batch, (0, first), (rows, PIECE))
            piece_seeds = jax.lax.dynamic_slice(seeds, (first,), (PIECE,))
            (value, (right, _)), gradient = gradient_of(state.parameters, state.buffers, piece, piece_seeds)
            return sums[0] + jnp.stack([value, right]), sums[1] + gradient

        zeros = (jnp.zeros(2), jnp.zeros_like(state.parameters))
        return (*jax.lax.fori_loop(0, events // PIECE, add, zeros), state.buffers)

    def _loss(
        self,
        parameters: jax.Array,
        buffers: Buffers,
        batch: jax.Array,
        seeds: jax.Array,
        *,
        rows_per_event: jax.Array | None,
    ) -> tuple[jax.Array, tuple[jax.Array, Buffers]]:
        network = self.layout.join(parameters, buffers)
        present = (batch[-1] != 0).astype(jnp.float32)
        inputs = self._select_inputs(batch)
        logits, network = map_training_events(network, inputs, seeds, present, shared=self._shared)
        value, right = compute_loss_sums(self.loss, logits, batch)
        value = self._add_penalty(value, logits, batch, rows_per_event)
        cost = compute_bit_cost(network.layers)
        if cost is not None:
            # a value of zero with the gradient of the cost, so that the history contains only the loss
            value += batch.shape[1] * (cost - jax.lax.stop_gradient(cost))
        return value, (right, select_buffers(network))

    def _validate(self, state: StepState, block: Block) -> tuple[jax.Array, jax.Array | None]:
        parameters = select_validated_parameters(state)
        network = self.layout.join(parameters, state.buffers)
        rows_per_event = self._count_rows_per_event(block)

        def add(sums: jax.Array, batch: jax.Array) -> tuple[jax.Array, jax.Array | None]:
            logits = map_events(network, self._select_inputs(batch))
            scores = compute_scores_of_logits(logits) if self.scores else None
            value, right = compute_loss_sums(self.loss, logits, batch)
            return sums + jnp.stack([self._add_penalty(value, logits, batch, rows_per_event), right]), scores

        return jax.lax.scan(add, jnp.zeros(2), block)

    def _select_inputs(self, batch: jax.Array) -> jax.Array:
        return batch[: -2 - (0 if self.penalty is None else self.penalty.coordinates)]

    def _count_rows_per_event(self, block: Block) -> jax.Array | None:
        """Return the factor of the penalty of an event, whose sum over a block is divided by the number of all rows."""
        if self.penalty is None:
            return None
        present = self._total((block[:, -1] != 0).sum())
        return block.shape[0] * block.shape[2] * self.placement.count / present

    def _add_penalty(
        self, value: jax.Array, logits: jax.Array, batch: jax.Array, rows_per_event: jax.Array | None
    ) -> jax.Array:
        if self.penalty is None or rows_per_event is None:
            return value
        scores = compute_scores_of_logits(logits)
        return value + rows_per_event * self.penalty.sum_over_events(scores, batch)

    @property
    def _shared(self) -> tuple[str, ...]:
        """The axes of the mesh along which a batch is divided."""
        return ("events",) if self.placement.count > 1 else ()

    def _total(self, values: jax.Array) -> jax.Array:
        return jax.lax.psum(values, self._shared) if self._shared else values

    def _mean(self, sums: jax.Array, block: Block) -> jax.Array:
        # the weights have a mean of one over all rows of a block
        return self._total(sums) / (block.shape[0] * block.shape[2] * self.placement.count)


def build_step_function(
    network: Network,
    layout: Layout,
    recipe: Recipe,
    placement: Placement,
    *,
    signal: tuple[int, ...] = (),
    ntk: bool = False,
    scores: bool = False,
    penalty: DecorrelationPenalty | None = None,
) -> StepFunction:
    """Build the step function of a network; the options are those of `tamis.training.fit.fit` and `StepFunction`."""
    loss, optimizer, schedule = recipe.loss, recipe.optimizer, recipe.schedule
    has_own_rate = isinstance(optimizer, ScheduleFreeAdamW | optax.GradientTransformation)
    has_buffers = bool(jax.tree.leaves(select_buffers(network)))
    if not isinstance(optimizer, optax.GradientTransformation):
        optimizer = build_optimizer(optimizer, layout, clip=recipe.gradient_clip, ntk=ntk)
    return StepFunction(
        layout,
        placement,
        loss=loss if callable(loss) else build_loss(loss, signal),
        optimizer=optimizer,
        schedule=None if has_own_rate else schedule,
        ema_decay=recipe.ema_decay,
        divisible=not callable(loss) and not isinstance(loss, Significance) and not has_buffers,
        random=network.random,
        scores=scores,
        penalty=penalty,
    )


def select_validated_parameters(state: StepState) -> jax.Array:
    """Return the parameters that are validated: the moving average, if there is one."""
    if state.ema is not None:
        return state.ema
    return select_evaluated_parameters(state.optimizer, state.parameters)


def compute_loss_sums(loss: Loss, logits: jax.Array, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sum the loss of a batch, [rows, n], and the weight of its correctly classified events.

    The logits are [outputs, n], or [members, outputs, n], over whose losses the mean is taken.
    """
    logits = compute_class_logits(logits)
    target = build_one_hot_target(logits.shape[-2], batch[-2], batch[-1])
    if logits.ndim == 2:
        return loss(logits, target), sum_correct(logits, target)
    value = jax.vmap(lambda member: loss(member, target))(logits).mean()
    return value, sum_correct(compute_scores_of_logits(logits), target)
