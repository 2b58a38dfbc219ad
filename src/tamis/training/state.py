"""The state of a training between two steps: one immutable pytree, which is the content of a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tamis.training.devices import Placement, replicate
from tamis.training.history import History
from tamis.training.parameters import Buffers, Layout, select_buffers
from tamis.training.step import StepState, select_validated_parameters


class BestWeights(NamedTuple):
    """The weights of the best epoch, in the memory of the host.

    Args:
        parameters: the validated parameters, [parameters].
        buffers: the buffers of the same epoch.
    """

    parameters: NDArray[np.float32]
    buffers: Buffers


class TrainState(eqx.Module):
    """The state of a training between two steps, from which it resumes with identical results.

    The order of the events and all random numbers are functions of the seed and the number of the epoch.

    Args:
        current: arrays that the next step updates; their memory is donated, so they are invalid afterwards.
        best: weights of the best epoch.
        history: finished epochs, the number of the best one (0 for none), and why the training ended (empty while it
            continues).
        planned_epochs: planned total number of epochs.
        batch: number of trained batches of the unfinished epoch.
        seconds: wall time of the unfinished epoch.
        compile_seconds: wall time of the compilation.
    """

    current: StepState
    best: BestWeights
    history: History = eqx.field(static=True)
    planned_epochs: int = eqx.field(static=True)
    batch: int = eqx.field(static=True, default=0)
    seconds: float = eqx.field(static=True, default=0.0)
    compile_seconds: float = eqx.field(static=True, default=0.0)

    @property
    def ended(self) -> bool:
        """Return whether the training has ended."""
        return bool(self.history.reason)

    @property
    def epoch_number(self) -> int:
        """Number of the epoch that the next step belongs to, counted from 1."""
        return len(self.history.epochs) + 1

    @property
    def position(self) -> str:
        """The progress of the training, in words."""
        if self.batch:
            return f"step {self.batch} of epoch {self.epoch_number} of {self.planned_epochs}"
        return f"epoch {len(self.history.epochs)} of {self.planned_epochs}"


def copy_to_devices(state: TrainState, placement: Placement) -> TrainState:
    """Copy the arrays of a state to the devices of a training."""
    # copies, because a step overwrites its arguments, and the arrays of the caller must not change
    return replace(state, current=replicate(jax.tree.map(jnp.array, state.current), placement))


def copy_weights(current: StepState) -> BestWeights:
    """Copy the validated weights to the host, before the next step overwrites them."""
    return BestWeights(
        np.array(select_validated_parameters(current)), jax.tree.map(np.array, current.buffers)
    )


def update_layers(state: TrainState, layout: Layout, placement: Placement) -> TrainState:
    """Update layers that change between epochs, such as pruned ones, at the beginning of an epoch."""
    current = state.current
    network = layout.join(np.asarray(current.parameters), current.buffers)
    if not any(hasattr(layer, "between_epochs") for layer in network.layers):
        return state
    progress = state.epoch_number / state.planned_epochs
    layers = tuple(
        layer.between_epochs(progress) if hasattr(layer, "between_epochs") else layer
        for layer in network.layers
    )
    buffers = select_buffers(eqx.tree_at(lambda network: network.layers, network, layers))
    # the compiled program takes arrays of the same type as before
    buffers = jax.tree.map(
        lambda new, old: jax.device_put(np.asarray(new, old.dtype)), buffers, current.buffers
    )
    return replace(state, current=current._replace(buffers=replicate(buffers, placement)))
