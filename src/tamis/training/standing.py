"""Where a training stands while it runs: what the next step needs, and what was best until now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from numpy.typing import NDArray

from tamis.network.network import Network
from tamis.training.checkpoint import Progress, check_arrays
from tamis.training.devices import Placement
from tamis.training.epoch import Method, State, validated_parameters
from tamis.training.history import Epoch
from tamis.training.parameters import Buffers, buffers_of


@dataclass
class Standing:
    """Where a training stands.

    Args:
        state: what the next step needs.
        kept: parameters and buffers of the best epoch.
        planned: epochs of the whole training, as far as is known.
        epochs: that are finished.
        best: number of the best of them; 0 where there is none.
        compiling: seconds that the compilation took.
        reason: why the training ended; an empty text where it goes on.
        step: batches of the next epoch that were learned from already.
        seconds: that they took.
    """

    state: State
    kept: tuple[NDArray[np.float32], Buffers]
    planned: int
    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0
    compiling: float = 0.0
    reason: str = ""
    step: int = 0
    seconds: float = 0.0

    def progress(self) -> Progress:
        """Copy everything that the next steps need."""
        arrays = tuple(np.array(each, order="C") for each in jax.tree.leaves((self.state, self.kept)))
        return Progress(
            arrays,
            tuple(self.epochs),
            self.best,
            self.planned,
            self.compiling,
            self.reason,
            self.step,
            self.seconds,
        )

    def restore(self, begun: Progress, placement: Placement) -> None:
        """Put what was kept in the place of this one.

        Raises:
            InputError: it is of another network or optimizer.
        """
        wanted, structure = jax.tree.flatten((self.state, self.kept))
        begun = self._shared_anew(begun)
        check_arrays(begun, wanted)
        # copies, because the program overwrites what it is given
        restored, self.kept = jax.tree.unflatten(structure, begun.arrays)
        self.state = cast("State", everywhere(jax.tree.map(jnp.array, restored), placement))
        self.epochs, self.planned, self.best = list(begun.epochs), begun.planned, begun.best
        self.compiling, self.reason = begun.compiling, begun.reason
        self.step, self.seconds = begun.step, begun.seconds

    def _shared_anew(self, begun: Progress) -> Progress:
        """Give the sums of an epoch to as many devices as there are now: a job may go on with fewer cores."""
        before = len(jax.tree.leaves((self.state.parameters, self.state.optimizer)))
        sums = begun.arrays[before] if before < len(begun.arrays) else np.empty(0)
        wanted = self.state.seen.shape
        if sums.ndim != 2 or sums.shape == wanted or sums.shape[1:] != wanted[1:]:
            return begun
        shared = np.zeros(wanted, sums.dtype)
        shared[0] = sums.sum(axis=0)
        return replace(begun, arrays=(*begun.arrays[:before], shared, *begun.arrays[before + 1 :]))

    def keep_this(self) -> None:
        """Take the last epoch as the best one."""
        self.best, self.kept = len(self.epochs), kept_of(self.state)


def first_state(parameters: jax.Array, buffers: Buffers, method: Method, placement: Placement) -> State:
    """Give the state before the first step, in arrays of its own."""
    average = None if method.average is None else parameters
    seen = jnp.zeros((placement.count, 2), jnp.float32)
    state = State(parameters, method.optimizer.init(parameters), seen, buffers, average)
    # copies, because the program overwrites what it is given: the caller's network shall stay as it is
    return cast("State", everywhere(jax.tree.map(jnp.array, state), placement))


def kept_of(state: State) -> tuple[NDArray[np.float32], Buffers]:
    """Copy to NumPy what the next epoch will overwrite."""
    return np.array(validated_parameters(state)), jax.tree.map(np.array, state.buffers)


def between_epochs(
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
    return everywhere(changed, placement)


def everywhere(value: Any, placement: Placement) -> Any:
    """Put a value on every device."""
    return jax.device_put(value, NamedSharding(placement.mesh, PartitionSpec()))
