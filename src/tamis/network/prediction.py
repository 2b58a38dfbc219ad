"""The scores of many events, and how they react to the inputs: block by block, on all cores."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from tamis.machine import cores
from tamis.network.network import Network, class_logits, map_events, scores_of_logits

_BLOCK = 2**14  # events of one call, which costs as much as some hundred of them
_GRADIENT_BLOCK = 2**12  # each has a number for each input and class
_PART = 512  # of these go through the layers together: their nodes stay in the cache of a core
_LEAST_PART = 32


def predict_scores(network: Network, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the scores of many events.

    Args:
        network: the trained network.
        inputs: preprocessed inputs, [n, inputs].

    Returns:
        Scores, [n, classes]; each row sums to one.
    """
    scores = np.empty((len(inputs), network.classes), np.float32)
    part = _part(network, _BLOCK)

    def work(rows: slice, block: NDArray[np.float32], events: int) -> None:
        (found,) = _scores(network, block, np.int32(events), part)
        scores[rows] = np.asarray(found).T[:events]

    _for_each_block(inputs, _BLOCK, work)
    return scores


def predict_gradients(
    network: Network, inputs: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the logarithms of the scores of many events, and their derivatives.

    Args:
        network: the trained network.
        inputs: preprocessed inputs, [n, inputs].

    Returns:
        log(score), [n, classes], and d log(score) / d input, [n, classes, inputs].
    """
    found = np.empty((len(inputs), network.classes))
    gradients = np.empty((len(inputs), network.classes, network.inputs))
    part = _part(network, _GRADIENT_BLOCK)

    def work(rows: slice, block: NDArray[np.float32], events: int) -> None:
        scores, changes = _gradients(network, block, np.int32(events), part)
        found[rows] = np.asarray(scores).T[:events]
        gradients[rows] = np.asarray(changes).transpose(2, 0, 1)[:events]

    _for_each_block(inputs, _GRADIENT_BLOCK, work)
    return found, gradients


@eqx.filter_jit
def _scores(
    network: Network, block: NDArray[np.float32], events: np.int32, part: int
) -> tuple[jax.Array, ...]:
    return _in_parts(lambda inputs: (scores_of_logits(map_events(network, inputs)),), block, events, part)


@eqx.filter_jit
def _gradients(
    network: Network, block: NDArray[np.float32], events: np.int32, part: int
) -> tuple[jax.Array, ...]:
    def log_scores(inputs: jax.Array) -> jax.Array:
        found = jax.nn.log_softmax(class_logits(map_events(network, inputs)), axis=-2)
        mean = found if found.ndim == 2 else jax.nn.logsumexp(found, axis=0) - math.log(network.members)
        return jnp.asarray(mean)

    def both(inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        found, backwards = jax.vjp(log_scores, inputs)
        # an event's scores depend on its own inputs alone, so that one walk back is enough for all events of a class
        starts = jnp.broadcast_to(jnp.eye(network.classes)[:, :, None], (network.classes, *found.shape))
        return found, jax.vmap(lambda start: backwards(start)[0])(starts)

    return _in_parts(both, block, events, part)


def _for_each_block(
    inputs: NDArray[np.float32], size: int, work: Callable[[slice, NDArray[np.float32], int], None]
) -> None:
    """Hand over the events block by block, on all cores.

    All blocks have the same shape: one compilation, and an event's scores do not depend on how many come with it.

    Args:
        inputs: [n, inputs].
        size: events of a block; the last one is filled up.
        work: gets rows, their block, [inputs, size], and how many of it there are.
    """

    def one(start: int) -> None:
        rows = inputs[start : start + size]
        block = np.zeros((inputs.shape[1], size), np.float32)
        block[:, : len(rows)] = rows.T
        work(slice(start, start + len(rows)), block, len(rows))

    starts = range(0, len(inputs), size)
    if len(starts) < 2:
        for start in starts:
            one(start)
        return
    with ThreadPoolExecutor(min(cores(), len(starts))) as pool:
        for _ in pool.map(one, starts):
            pass


def _part(network: Network, size: int) -> int:
    """Give the number of events that go through the layers together: what fits the cache, or a block on a GPU."""
    if jax.default_backend() != "cpu":
        return size
    # each member makes events of its own of them
    return max(_LEAST_PART, int(_PART >> (network.members - 1).bit_length()))


def _in_parts(
    function: Callable[[jax.Array], tuple[jax.Array, ...]],
    block: NDArray[np.float32],
    events: np.int32,
    part: int,
) -> tuple[jax.Array, ...]:
    """Apply a function to one part of a block after the other; events lie along the last axis of all arrays.

    Args:
        function: of a part, [inputs, part].
        block: [inputs, n], n a multiple of `part`.
        events: how many of the block there are; what comes for parts behind them is 0.
        part: events of a part.
    """

    def step(number: jax.Array, found: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        start = number * part
        own = function(jax.lax.dynamic_slice_in_dim(block, start, part, axis=1))
        return tuple(
            jax.lax.dynamic_update_slice_in_dim(whole, new, start, axis=-1)
            for whole, new in zip(found, own, strict=True)
        )

    shapes = jax.eval_shape(function, jax.ShapeDtypeStruct((len(block), part), block.dtype))
    nothing = tuple(jnp.zeros((*each.shape[:-1], block.shape[1]), each.dtype) for each in shapes)
    # some GPUs would round to fewer bits: the scores are to be the same on every machine
    with jax.default_matmul_precision("float32"):
        found: tuple[jax.Array, ...] = jax.lax.fori_loop(0, -(-events // part), step, nothing)
    return found
