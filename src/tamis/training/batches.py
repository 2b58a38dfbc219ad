"""Training events as blocks of batches, shuffled for every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from numpy.typing import NDArray

from tamis.random_streams import random_key, random_stream
from tamis.training.devices import Placement, replicate

Block = jax.Array
"""[batches, rows, batch size]: the inputs of each event, coordinates, its class and its weight, events last."""

_ROWS_AT_ONCE = 16_384  # gathered and transposed while they are in the cache
GROUP = 16
"""Number of events that a shuffle of large batches moves together: their values of one input fill a cache line."""
GROUPS_FROM = 64
"""Minimum number of groups of a batch per device for which the events are shuffled in groups."""
EPOCHS_PER_GROUPING = 8
"""Number of epochs after which events are assigned to new random groups."""

BLOCK = PartitionSpec(None, None, "events")
"""Partition of a block among the devices."""


@dataclass(frozen=True)
class WeightedInputs:
    """Events as the loss needs them.

    Args:
        inputs: preprocessed features, float32 [n, inputs].
        class_index: the true class, [n].
        weight: weight in the loss, [n].
        redraw: with symmetries, a function of the seed and the number of the epoch that draws the inputs of the epoch.
        coordinates: position in the spectators that the score is decorrelated from, float32 [n, coordinates]; None
            without decorrelation.
    """

    inputs: NDArray[np.float32]
    class_index: NDArray[np.int32]
    weight: NDArray[np.float64]
    redraw: Callable[[int, int], NDArray[np.float32]] | None = None
    coordinates: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.weight)

    def reordered(self, order: NDArray[np.int64]) -> WeightedInputs:
        """Return the events in another order."""
        return WeightedInputs(
            self.inputs[order],
            self.class_index[order],
            self.weight[order],
            coordinates=None if self.coordinates is None else self.coordinates[order],
        )

    @property
    def columns(self) -> int:
        """Number of inputs and coordinates, and two for class and weight."""
        coordinates = 0 if self.coordinates is None else self.coordinates.shape[1]
        return int(self.inputs.shape[1] + coordinates + 2)

    def packed(self, rows: int) -> NDArray[np.float32]:
        """Pack everything into one array, [rows, columns], padded with events of weight zero.

        The weights are normalised to a mean of one over the rows, once and for all events.
        """
        packed = np.zeros((rows, self.columns), np.float32)
        packed[: len(self), : self.inputs.shape[1]] = self.inputs
        if self.coordinates is not None:
            packed[: len(self), self.inputs.shape[1] : -2] = self.coordinates
        packed[: len(self), -2] = self.class_index
        packed[: len(self), -1] = self.weight * (rows / self.weight.sum())
        return packed


def build_fixed_block(events: WeightedInputs, batch_size: int, placement: Placement) -> Block:
    """Build a block of events in their order, for the validation inside the program."""
    batch_size = _divisible(min(batch_size, len(events)), placement.count)
    batches = -(-len(events) // batch_size)
    packed = events.packed(batches * batch_size).reshape(batches, batch_size, -1)
    block: Block = jax.device_put(
        np.ascontiguousarray(packed.transpose(0, 2, 1)), NamedSharding(placement.mesh, BLOCK)
    )
    return block


def shuffle_blocks(
    events: WeightedInputs, batch_size: int, seed: int, placement: Placement, *, first_epoch: int = 0
) -> Generator[Block, None, None]:
    """Yield the block of each epoch, counted from 0, without end; the next block may overwrite it.

    The permutation is a function of the seed and the number of the epoch; large batches are shuffled in groups of
    `GROUP` events, which are drawn at random every `EPOCHS_PER_GROUPING` epochs. The last batch is padded with events
    of weight zero. On a CPU, NumPy shuffles the events in a thread during the previous epoch; other devices store the
    events and shuffle them.
    """
    packed = events.packed(-(-len(events) // batch_size) * batch_size)
    if placement.platform != "cpu" and events.redraw is None:
        return _shuffle_on_device(packed, len(events), batch_size, seed, placement, first_epoch)
    share = batch_size // placement.count
    in_groups = events.redraw is None and share % GROUP == 0 and share // GROUP >= GROUPS_FROM
    shuffle = _Shuffle(events, packed, seed, GROUP if in_groups else 1)
    shape = (placement.count, len(packed) // batch_size, packed.shape[1], share)
    return _shuffle_on_host(shuffle, shape, placement, first_epoch)


def _shuffle_on_host(
    shuffle: _Shuffle, shape: tuple[int, ...], placement: Placement, epoch: int
) -> Generator[Block, None, None]:
    devices, batches, rows, share = shape
    sharding = NamedSharding(placement.mesh, BLOCK)
    # two buffers in turn: while the program reads one, the thread fills the other
    buffers = cycle((_aligned(shape), _aligned(shape)))
    with ThreadPoolExecutor(max_workers=1) as thread:
        future = thread.submit(shuffle.fill, next(buffers), epoch)
        while True:
            shards = future.result()
            epoch += 1
            future = thread.submit(shuffle.fill, next(buffers), epoch)
            pieces = [
                jax.device_put(shards[number], device)
                for number, device in enumerate(placement.mesh.devices.flat)
            ]
            yield jax.make_array_from_single_device_arrays((batches, rows, devices * share), sharding, pieces)


def _aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Allocate an array at a multiple of 64 bytes, which JAX uses on a CPU without copying it."""
    size = math.prod(shape) * 4
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(np.float32).reshape(shape)


def _divisible(events: int, devices: int) -> int:
    return max(-(-events // devices), 1) * devices


class _Shuffle:
    """Shuffle of the events of every epoch, one by one or in random groups.

    Gathering single events from random addresses takes a fifth of the time of a step with a large batch. A batch of
    groups is an equally random sample, because the groups were drawn at random; but two events of a group stay
    together for `EPOCHS_PER_GROUPING` epochs.
    """

    def __init__(self, events: WeightedInputs, packed: NDArray[np.float32], seed: int, group: int) -> None:
        self._events, self._packed, self._seed, self._group = events, packed, seed, group
        self._grouping = -1  # number of the current grouping
        shape = (len(packed) // group, packed.shape[1], group)
        self._groups = packed.reshape(shape) if group == 1 else np.empty(shape, np.float32)

    def fill(self, shards: NDArray[np.float32], epoch: int) -> NDArray[np.float32]:
        """Shuffle the events of an epoch into the shards, [devices, batches, rows, events of a shard]."""
        if self._events.redraw is not None:
            inputs = self._events.redraw(self._seed, epoch)
            self._packed[: len(self._events), : inputs.shape[1]] = inputs
        if self._group > 1 and self._grouping != epoch // EPOCHS_PER_GROUPING:
            self._regroup(epoch // EPOCHS_PER_GROUPING)
        devices, batches, rows, share = shards.shape
        order = np.arange(len(self._groups))
        n_groups = len(self._events) // self._group  # an incomplete group, and the padding, stay at the end
        order[:n_groups] = random_stream(self._seed, "training", "order", str(epoch)).permutation(n_groups)
        groups_of_batches = order.reshape(batches, -1)
        target = shards.reshape(devices, batches, rows, -1, self._group)
        step = max(_ROWS_AT_ONCE // (devices * share), 1)
        memory = np.empty((step * groups_of_batches.shape[1], rows, self._group), np.float32)
        for first in range(0, batches, step):
            groups = groups_of_batches[first : first + step].ravel()
            gathered = memory[: len(groups)]
            # "clip" because NumPy copies once more to be able to raise
            self._groups.take(groups, axis=0, out=gathered, mode="clip")
            pieces = gathered.reshape(-1, devices, share // self._group, rows, self._group)
            target[:, first : first + step] = pieces.transpose(1, 0, 3, 2, 4)
        return shards

    def _regroup(self, number: int) -> None:
        order = np.arange(len(self._packed))
        stream = random_stream(self._seed, "training", "groups", str(number))
        order[: len(self._events)] = stream.permutation(len(self._events))
        step = _ROWS_AT_ONCE // self._group
        for first in range(0, len(self._groups), step):
            rows = order[first * self._group : (first + step) * self._group]
            gathered = self._packed[rows].reshape(-1, self._group, self._packed.shape[1])
            self._groups[first : first + step] = gathered.transpose(0, 2, 1)
        self._grouping = number


def _shuffle_on_device(
    packed: NDArray[np.float32], events: int, batch_size: int, seed: int, placement: Placement, epoch: int
) -> Generator[Block, None, None]:
    def shuffle(packed: jax.Array, key: jax.Array) -> Block:
        order = jnp.concatenate([jax.random.permutation(key, events), jnp.arange(events, len(packed))])
        return packed[order].reshape(-1, batch_size, packed.shape[1]).transpose(0, 2, 1)

    compiled = jax.jit(shuffle, out_shardings=NamedSharding(placement.mesh, BLOCK))
    on_device = replicate(packed, placement)
    key = random_key(seed, "training", "order")
    while True:
        yield compiled(on_device, jax.random.fold_in(key, epoch))
        epoch += 1
