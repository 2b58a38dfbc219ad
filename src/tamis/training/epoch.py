"""One epoch as one compiled program: every batch's step, then the validation set."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jax.sharding import PartitionSpec

from tamis.network.network import Network, map_events
from tamis.training.batches import BLOCK, Block
from tamis.training.devices import Placement
from tamis.training.loss import cross_entropy


class State(NamedTuple):
    """Everything that training changes.

    Args:
        parameters: all weights and biases in one vector.
        optimizer: the state of the optax transform.
    """

    parameters: jax.Array
    optimizer: optax.OptState


class EpochSums(NamedTuple):
    """What an epoch measured, per unit of training weight; the training's while the weights moved.

    Args:
        training_loss: mean loss over the batches, each before its step.
        training_accuracy: weighted fraction that was classified rightly, likewise.
        validation_loss: loss of the validation set after the last step.
        validation_accuracy: accuracy of the validation set after the last step.
    """

    training_loss: jax.Array
    training_accuracy: jax.Array
    validation_loss: jax.Array
    validation_accuracy: jax.Array


Epoch = Callable[[State, Block, Block], tuple[State, EpochSums]]
Unravel = Callable[[jax.Array], Network]


def flatten(network: Network) -> tuple[jax.Array, Unravel]:
    """Put all parameters into one vector, because each array that a step carries along costs time."""
    return ravel_pytree(network)


def compile_epoch(unravel: Unravel, optimizer: optax.GradientTransformation, placement: Placement) -> Epoch:
    """Build the program of one epoch.

    Args:
        unravel: turns the vector of parameters into the network.
        optimizer: turns flat gradients into flat updates.
        placement: devices that share each batch.

    Returns:
        A function of the state, the training block and the validation block.
    """
    shared = placement.count > 1

    def total(values: jax.Array) -> jax.Array:
        return jax.lax.psum(values, "events") if shared else values

    def mean(sums: jax.Array, block: Block) -> jax.Array:
        # the weights have a mean of one over all rows of a block
        return total(sums) / (block.shape[0] * block.shape[2] * placement.count)

    def loss(parameters: jax.Array, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = map_events(unravel(parameters), batch[:-2])
        return cross_entropy(logits, batch[-2], batch[-1])

    def step(carry: tuple[State, jax.Array], batch: jax.Array) -> tuple[tuple[State, jax.Array], None]:
        state, sums = carry
        size = batch.shape[1] * placement.count
        (value, right), gradient = jax.value_and_grad(loss, has_aux=True)(state.parameters, batch)
        # divided by the size of a batch, never by its sum of weights
        updates, memory = optimizer.update(total(gradient) / size, state.optimizer, state.parameters)
        state = State(state.parameters + updates, memory)
        return (state, sums + jnp.stack([value, right])), None

    def measure(parameters: jax.Array, block: Block) -> jax.Array:
        def add(sums: jax.Array, batch: jax.Array) -> tuple[jax.Array, None]:
            return sums + jnp.stack(loss(parameters, batch)), None

        return mean(jax.lax.scan(add, jnp.zeros(2), block)[0], block)

    def epoch(state: State, training: Block, validation: Block) -> tuple[State, EpochSums]:
        (state, seen), _ = jax.lax.scan(step, (state, jnp.zeros(2)), training)
        return state, EpochSums(*mean(seen, training), *measure(state.parameters, validation))

    if not shared:
        return jax.jit(epoch, donate_argnums=0)
    everywhere = PartitionSpec()
    divided = jax.shard_map(
        epoch, mesh=placement.mesh, in_specs=(everywhere, BLOCK, BLOCK), out_specs=everywhere, check_vma=False
    )
    return jax.jit(divided, donate_argnums=0)
