"""One epoch as one compiled program: every batch's step, then the validation set.

The program can be called for a stretch of the batches at a time: what it gives does not depend on where it is divided.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec

from tamis.config import Schedule
from tamis.network.network import class_logits, map_events, map_training_events, scores_of_logits
from tamis.network.quantized import bit_cost
from tamis.training.batches import BLOCK, Block
from tamis.training.devices import Placement
from tamis.training.loss import Loss, one_hot_target, sum_right
from tamis.training.optimizer import evaluated_parameters
from tamis.training.parameters import Buffers, Layout, buffers_of
from tamis.training.schedules import relative_rate

PIECE = 512
"""Events of a large batch that a core takes at a time: what a narrow network makes of them stays in its cache."""
PIECES_FROM = 2048
"""Events that a core should get of a batch for it to be taken in pieces."""


class State(NamedTuple):
    """Everything that training changes.

    Args:
        parameters: all weights and biases in one vector.
        optimizer: the state of the optax transform.
        seen: loss and weight that was classified rightly, summed over the batches of the epoch, [devices, 2].
        buffers: what layers remember.
        average: the moving average of the parameters, None where there is none.
    """

    parameters: jax.Array
    optimizer: optax.OptState
    seen: jax.Array
    buffers: Buffers = None
    average: jax.Array | None = None


class Plan(NamedTuple):
    """Where in the training a stretch of an epoch lies.

    Args:
        first_step: number of steps before the epoch.
        begin: the first batch of the stretch, counted from 0 in the epoch.
        end: the batch after the last one; the validation set is measured after the last batch of the epoch alone.
        steps: planned number of steps of the whole training.
        rate: highest learning rate.
        key: where the random numbers of the epoch come from.
    """

    first_step: jax.Array
    begin: jax.Array
    end: jax.Array
    steps: jax.Array
    rate: jax.Array
    key: jax.Array


class EpochSums(NamedTuple):
    """What an epoch measured, per unit of training weight; the training's while the weights moved.

    Only what the last stretch of an epoch gives counts.

    Args:
        training_loss: mean loss over the batches, each before its step.
        training_accuracy: weighted fraction that was classified rightly, likewise.
        validation_loss: loss of the validation set after the last step.
        validation_accuracy: accuracy of the validation set after the last step.
        validation_scores: scores of the validation set, [batches, classes, batch size], where they are asked for.
    """

    training_loss: jax.Array
    training_accuracy: jax.Array
    validation_loss: jax.Array
    validation_accuracy: jax.Array
    validation_scores: jax.Array | None = None


class Method(NamedTuple):
    """How a step is made.

    Args:
        loss: what is made small.
        optimizer: turns flat gradients into flat steps.
        schedule: how the learning rate changes; None where the optimizer sees to it.
        average: part of the moving average of the weights that is kept in each step.
        divisible: whether loss and layers treat every event alone, so that a batch can be taken in pieces.
        random: whether layers need random numbers of each event in each step.
        scores: whether the scores of the validation set are wanted.
    """

    loss: Loss
    optimizer: optax.GradientTransformation
    schedule: Schedule | None
    average: float | None = None
    divisible: bool = False
    random: bool = False
    scores: bool = False


def epoch_program(layout: Layout, method: Method, placement: Placement) -> jax.stages.Wrapped:
    """Build the program of one epoch.

    Args:
        layout: turns the vector of parameters into the network.
        method: how a step is made.
        placement: devices that share each batch.

    Returns:
        A function of the state, the training block, the validation block and the plan, that gives the new state
        and the `EpochSums`; it uses the memory of the state that it is given. JAX compiles it.
    """
    shared = ("events",) if placement.count > 1 else ()
    in_pieces = method.divisible and placement.platform == "cpu"

    def total(values: jax.Array) -> jax.Array:
        return jax.lax.psum(values, shared) if shared else values

    def mean(sums: jax.Array, block: Block) -> jax.Array:
        # the weights have a mean of one over all rows of a block
        return total(sums) / (block.shape[0] * block.shape[2] * placement.count)

    def learn(
        parameters: jax.Array, buffers: Buffers, batch: jax.Array, seed: jax.Array
    ) -> tuple[jax.Array, tuple[jax.Array, Buffers]]:
        network = layout.join(parameters, buffers)
        present = (batch[-1] != 0).astype(jnp.float32)
        logits, network = map_training_events(network, batch[:-2], seed, present, shared=shared)
        value, right = sums_of_logits(method.loss, logits, batch)
        cost = bit_cost(network.layers)
        if cost is not None:
            # only its gradient counts, so that the history tells the loss alone
            value += batch.shape[1] * (cost - jax.lax.stop_gradient(cost))
        return value, (right, buffers_of(network))

    def descend(state: State, batch: jax.Array, key: Any) -> tuple[jax.Array, jax.Array, Buffers]:
        """Give loss and accuracy of a batch in one array, the gradient of its loss, and the new buffers."""
        gradient_of = jax.value_and_grad(learn, has_aux=True)
        rows, events = batch.shape
        seed = jax.random.bits(key, (events,), jnp.uint32) if method.random else jnp.zeros(events, jnp.uint32)
        if not in_pieces or events < PIECES_FROM or events % PIECE:
            (value, (right, buffers)), gradient = gradient_of(state.parameters, state.buffers, batch, seed)
            return jnp.stack([value, right]), gradient, buffers

        def add(number: int, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            first = number * PIECE
            piece = jax.lax.dynamic_slice(batch, (0, first), (rows, PIECE))
            seeds = jax.lax.dynamic_slice(seed, (first,), (PIECE,))
            (value, (right, _)), gradient = gradient_of(state.parameters, state.buffers, piece, seeds)
            return sums[0] + jnp.stack([value, right]), sums[1] + gradient

        nothing = (jnp.zeros(2), jnp.zeros_like(state.parameters))
        return (*jax.lax.fori_loop(0, events // PIECE, add, nothing), state.buffers)

    def step(state: State, given: tuple[Any, ...]) -> State:
        batch, rate, keep, key = given
        size = batch.shape[1] * placement.count
        seen, gradient, buffers = descend(state, batch, key)
        # divided by the size of a batch, never by its sum of weights
        updates, memory = method.optimizer.update(total(gradient) / size, state.optimizer, state.parameters)
        parameters = state.parameters + rate * updates
        average = None if state.average is None else keep * state.average + (1 - keep) * parameters
        return State(parameters, memory, state.seen + seen, buffers, average)

    def measure(state: State, block: Block) -> tuple[jax.Array, jax.Array | None]:
        parameters = validated_parameters(state)
        network = layout.join(parameters, state.buffers)

        def add(sums: jax.Array, batch: jax.Array) -> tuple[jax.Array, jax.Array | None]:
            logits = map_events(network, batch[:-2])
            scores = scores_of_logits(logits) if method.scores else None
            return sums + jnp.stack(sums_of_logits(method.loss, logits, batch)), scores

        return jax.lax.scan(add, jnp.zeros(2), block)

    def epoch(state: State, training: Block, validation: Block, plan: Plan) -> tuple[State, EpochSums]:
        number = plan.first_step + jnp.arange(len(training))
        rate = jnp.ones(len(training))
        if method.schedule is not None:
            rate = plan.rate * relative_rate(method.schedule, number / plan.steps)
        # the average forgets the beginning faster
        keep = jnp.minimum(method.average or 0.0, (1 + number) / (10 + number))
        own = _own_key(plan.key, shared)
        keys = jax.random.split(own, len(training)) if method.random else None
        given = (training, rate, keep, keys)

        def step_of(batch: jax.Array, state: State) -> State:
            return step(state, jax.tree.map(lambda each: _at(each, batch), given))

        state = state._replace(seen=jnp.where(plan.begin == 0, 0.0, _own(state.seen, shared)))
        state = jax.lax.fori_loop(plan.begin, plan.end, step_of, state)
        seen = mean(state.seen, training)
        nothing = jax.tree.map(
            lambda each: jnp.zeros(each.shape, each.dtype), jax.eval_shape(measure, state, validation)
        )
        sums, scores = jax.lax.cond(
            plan.end == len(training), lambda: measure(state, validation), lambda: nothing
        )
        checked = mean(sums, validation)
        state = state._replace(seen=_of_all(state.seen, shared))
        return state, EpochSums(seen[0], seen[1], checked[0], checked[1], scores)

    if not shared:
        return jax.jit(epoch, donate_argnums=0)
    everywhere = PartitionSpec()
    one: Any = everywhere
    scores: Any = BLOCK if method.scores else None
    sums = EpochSums(one, one, one, one, scores)
    divided = jax.shard_map(
        epoch,
        mesh=placement.mesh,
        in_specs=(everywhere, BLOCK, BLOCK, everywhere),
        out_specs=(everywhere, sums),
        check_vma=False,
    )
    return jax.jit(divided, donate_argnums=0)


def validated_parameters(state: State) -> jax.Array:
    """Give the parameters that are validated and kept: the average where there is one."""
    return (
        state.average
        if state.average is not None
        else evaluated_parameters(state.optimizer, state.parameters)
    )


def sums_of_logits(loss: Loss, logits: jax.Array, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sum the loss of a batch and the weight that is classified rightly.

    Args:
        loss: what is made small.
        logits: [outputs, n], or [members, outputs, n], of which the mean of the losses is taken.
        batch: inputs, classes and weights, [inputs + 2, n].
    """
    logits = class_logits(logits)
    target = one_hot_target(logits.shape[-2], batch[-2], batch[-1])
    if logits.ndim == 2:
        return loss(logits, target), sum_right(logits, target)
    value = jax.vmap(lambda each: loss(each, target))(logits).mean()
    return value, sum_right(scores_of_logits(logits), target)


def _at(values: jax.Array, number: jax.Array) -> jax.Array:
    found: jax.Array = jax.lax.dynamic_index_in_dim(values, number, keepdims=False)
    return found


def _own(seen: jax.Array, shared: tuple[str, ...]) -> jax.Array:
    """Give what this device saw, [2], from the sums of all."""
    return seen[jax.lax.axis_index(shared[0])] if shared else seen[0]


def _of_all(seen: jax.Array, shared: tuple[str, ...]) -> jax.Array:
    """Give the sums of all devices; they are added at the end alone, so that stretches change no bit."""
    return jax.lax.all_gather(seen, shared[0]) if shared else seen[None]


def _own_key(key: jax.Array, shared: tuple[str, ...]) -> jax.Array:
    return jax.random.fold_in(key, jax.lax.axis_index(shared[0])) if shared else key
