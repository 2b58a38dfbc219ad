"""Training events as blocks that a compiled program walks through, shuffled anew for every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from numpy.typing import NDArray

from tamis.random_streams import random_key, random_stream
from tamis.training.devices import Placement

Block = jax.Array
"""[batches, inputs + 2, batch size]: the inputs of each event, its class and its weight, events last."""

_ROWS_AT_ONCE = 16_384  # gathered and transposed while they are in the cache
GROUP = 16
"""Events that a shuffle of large batches moves together: the numbers of one input fill a line of the cache."""
GROUPS_FROM = 64
"""Groups that a device should get of a batch for the events to be shuffled in groups."""
DEALT_FOR = 8
"""Epochs after which the events are dealt into new groups."""

BLOCK = PartitionSpec(None, None, "events")
"""How a block is divided among the devices."""


@dataclass(frozen=True)
class WeightedInputs:
    """What the loss needs of some events.

    Args:
        inputs: preprocessed features, float32 [n, inputs].
        class_index: the true class, [n].
        weight: weight in the loss, [n].
        redraw: gives other inputs for an epoch, from its number and the seed, where symmetries are used.
    """

    inputs: NDArray[np.float32]
    class_index: NDArray[np.int32]
    weight: NDArray[np.float64]
    redraw: Callable[[int, int], NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        """Give the number of events."""
        return len(self.weight)

    def packed(self, rows: int) -> NDArray[np.float32]:
        """Put everything into one array, [rows, inputs + 2], padded with events of weight zero.

        The weights are normalised to a mean of one over the rows, once and for all events.
        """
        packed = np.zeros((rows, self.inputs.shape[1] + 2), np.float32)
        packed[: len(self), :-2] = self.inputs
        packed[: len(self), -2] = self.class_index
        packed[: len(self), -1] = self.weight * (rows / self.weight.sum())
        return packed


def fixed_block(events: WeightedInputs, batch_size: int, placement: Placement) -> Block:
    """Lay events out in their order, for evaluation inside the program."""
    batch_size = _divisible(min(batch_size, len(events)), placement.count)
    batches = -(-len(events) // batch_size)
    packed = events.packed(batches * batch_size).reshape(batches, batch_size, -1)
    return _put(np.ascontiguousarray(packed.transpose(0, 2, 1)), placement)


def shuffled_blocks(
    events: WeightedInputs, batch_size: int, seed: int, placement: Placement, *, first_epoch: int = 0
) -> Generator[Block, None, None]:
    """Give the block of each epoch, without end; a block may be overwritten once the next one is asked for.

    The permutation of an epoch follows from the seed and the epoch's number alone; in large batches the events
    move in groups of `GROUP`, dealt at random every `DEALT_FOR` epochs. On a CPU the events are
    shuffled by NumPy, in a thread, while the epoch before trains; elsewhere they live on the device and are
    shuffled there.

    Args:
        events: the training events.
        batch_size: events per batch; the last batch is padded with events of weight zero.
        seed: where the random numbers come from.
        placement: devices of the training.
        first_epoch: number of the first epoch to give.
    """
    packed = events.packed(-(-len(events) // batch_size) * batch_size)
    if placement.platform != "cpu" and events.redraw is None:
        return _shuffle_on_device(packed, len(events), batch_size, seed, placement, first_epoch)
    fill = _filling(events, packed, batch_size, seed, placement)
    return _shuffle_on_host(fill, packed, batch_size, placement, first_epoch)


Fill = Callable[[NDArray[np.float32], int], NDArray[np.float32]]


def _filling(
    events: WeightedInputs, packed: NDArray[np.float32], batch_size: int, seed: int, placement: Placement
) -> Fill:
    """Choose how an epoch's shards, [devices, batches, rows, events of a shard], are filled."""
    share = batch_size // placement.count
    redraw = events.redraw
    if redraw is not None:

        def fill(shards: NDArray[np.float32], epoch: int) -> NDArray[np.float32]:
            packed[: len(events), :-2] = redraw(seed, epoch)
            return _fill(packed, len(events), seed, shards, epoch)

        return fill
    if share % GROUP == 0 and share // GROUP >= GROUPS_FROM:
        return _Groups(packed, len(events), seed).fill
    return partial(_fill, packed, len(events), seed)


def _divisible(events: int, devices: int) -> int:
    return max(-(-events // devices), 1) * devices


def _put(block: NDArray[np.float32], placement: Placement) -> Block:
    placed: Block = jax.device_put(block, NamedSharding(placement.mesh, BLOCK))
    return placed


def _shuffle_on_host(
    fill: Fill, packed: NDArray[np.float32], batch_size: int, placement: Placement, epoch: int
) -> Generator[Block, None, None]:
    share = batch_size // placement.count
    shape = (placement.count, len(packed) // batch_size, packed.shape[1], share)
    # two buffers in turn: while the program reads one, the thread fills the other
    buffers = cycle((_aligned(shape), _aligned(shape)))
    with ThreadPoolExecutor(max_workers=1) as thread:
        future: Future[NDArray[np.float32]] = thread.submit(fill, next(buffers), epoch)
        while True:
            shards = future.result()
            epoch += 1
            future = thread.submit(fill, next(buffers), epoch)
            yield _share(shards, placement)


def _aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Allocate an array at a multiple of 64 bytes, which JAX uses on a CPU without copying it."""
    size = math.prod(shape) * 4
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(np.float32).reshape(shape)


def _fill(
    packed: NDArray[np.float32], events: int, seed: int, shards: NDArray[np.float32], epoch: int
) -> NDArray[np.float32]:
    """Shuffle the events into the shards, [devices, batches, rows, events of a shard]."""
    devices, batches, rows, share = shards.shape
    order = np.arange(len(packed))
    order[:events] = random_stream(seed, "training", "order", str(epoch)).permutation(events)
    of_batch = order.reshape(batches, devices * share)
    step = max(_ROWS_AT_ONCE // (devices * share), 1)
    gathered = np.empty((step * devices * share, rows), np.float32)
    for first in range(0, batches, step):
        chosen = of_batch[first : first + step].ravel()
        some = gathered[: len(chosen)]
        # "clip" because NumPy copies once more to be able to raise
        packed.take(chosen, axis=0, out=some, mode="clip")
        shards[:, first : first + step] = some.reshape(-1, devices, share, rows).transpose(1, 0, 3, 2)
    return shards


class _Groups:
    """Events dealt into groups at random, and the groups shuffled for every epoch.

    To gather single events from all over the memory takes a fifth of the time of a large batch's step. A batch of
    whole groups is as random a choice of events as any, because the events of a group were drawn at random; only
    who is together with whom is drawn anew no more often than every `DEALT_FOR` epochs.
    """

    def __init__(self, packed: NDArray[np.float32], events: int, seed: int) -> None:
        self._packed, self._events, self._seed = packed, events, seed
        self._dealt = -1
        self._groups = np.empty((len(packed) // GROUP, packed.shape[1], GROUP), np.float32)

    def fill(self, shards: NDArray[np.float32], epoch: int) -> NDArray[np.float32]:
        """Shuffle the events into the shards, [devices, batches, rows, events of a shard]."""
        if self._dealt != epoch // DEALT_FOR:
            self._deal(epoch // DEALT_FOR)
        devices, batches, rows, share = shards.shape
        order = np.arange(len(self._groups))
        whole = self._events // GROUP  # what is left over, and the padding, stays at the end
        order[:whole] = random_stream(self._seed, "training", "order", str(epoch)).permutation(whole)
        of_batch = order.reshape(batches, -1)
        target = shards.reshape(devices, batches, rows, share // GROUP, GROUP)
        step = max(_ROWS_AT_ONCE // (devices * share), 1)
        for first in range(0, batches, step):
            some = self._groups[of_batch[first : first + step].ravel()]
            pieces = some.reshape(-1, devices, share // GROUP, rows, GROUP)
            target[:, first : first + step] = pieces.transpose(1, 0, 3, 2, 4)
        return shards

    def _deal(self, number: int) -> None:
        order = np.arange(len(self._packed))
        stream = random_stream(self._seed, "training", "groups", str(number))
        order[: self._events] = stream.permutation(self._events)
        step = _ROWS_AT_ONCE // GROUP
        for first in range(0, len(self._groups), step):
            chosen = order[first * GROUP : (first + step) * GROUP]
            some = self._packed[chosen].reshape(-1, GROUP, self._packed.shape[1])
            self._groups[first : first + step] = some.transpose(0, 2, 1)
        self._dealt = number


def _share(shards: NDArray[np.float32], placement: Placement) -> Block:
    devices, batches, rows, share = shards.shape
    pieces = [
        jax.device_put(shards[number], device) for number, device in enumerate(placement.mesh.devices.flat)
    ]
    sharding = NamedSharding(placement.mesh, BLOCK)
    block: Block = jax.make_array_from_single_device_arrays(
        (batches, rows, devices * share), sharding, pieces
    )
    return block


def _shuffle_on_device(
    packed: NDArray[np.float32], events: int, batch_size: int, seed: int, placement: Placement, epoch: int
) -> Generator[Block, None, None]:
    everything = NamedSharding(placement.mesh, PartitionSpec())
    on_device = jax.device_put(packed, everything)
    key = random_key(seed, "training", "order")
    shuffle = _device_shuffle(events, batch_size, NamedSharding(placement.mesh, BLOCK))
    while True:
        yield shuffle(on_device, jax.random.fold_in(key, epoch))
        epoch += 1


def _device_shuffle(
    events: int, batch_size: int, sharding: NamedSharding
) -> Callable[[jax.Array, jax.Array], Block]:
    def shuffle(packed: jax.Array, key: jax.Array) -> Block:
        order = jnp.concatenate([jax.random.permutation(key, events), jnp.arange(events, len(packed))])
        return packed[order].reshape(-1, batch_size, packed.shape[1]).transpose(0, 2, 1)

    return jax.jit(shuffle, out_shardings=sharding)
