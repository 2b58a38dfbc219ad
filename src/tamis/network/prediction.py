"""Scores of many events and their derivatives by the inputs, computed block by block on all cores."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from tamis.arrays import Float32, Float64
from tamis.machine import cores
from tamis.network.network import Network, compute_class_logits, compute_scores_of_logits, map_events

_BLOCK = 2**14  # events per call, whose overhead equals some hundred events
_GRADIENT_BLOCK = 2**12  # smaller, because each event has a number for each input and class
_PART = 512  # events that go through the layers together, so that their nodes fit the cache of a core
_LEAST_PART = 32


def predict_scores(network: Network, inputs: Float32) -> Float32:
    """Compute the scores of many events, [n, classes], from preprocessed inputs, [n, inputs]; each row sums to one."""
    scores = np.empty((len(inputs), network.classes), np.float32)
    part = _part(network, _BLOCK)

    def work(rows: slice, block: Float32, events: int) -> None:
        (block_scores,) = _scores(network, block, np.int32(events), part)
        scores[rows] = np.asarray(block_scores).T[:events]

    _for_each_block(inputs, _BLOCK, work)
    return scores


def predict_gradients(network: Network, inputs: Float32) -> tuple[Float64, Float64]:
    """Compute log(score), [n, classes], and its derivatives by the preprocessed inputs, [n, classes, inputs]."""
    log_scores = np.empty((len(inputs), network.classes))
    gradients = np.empty((len(inputs), network.classes, network.inputs))
    part = _part(network, _GRADIENT_BLOCK)

    def work(rows: slice, block: Float32, events: int) -> None:
        scores, changes = _gradients(network, block, np.int32(events), part)
        log_scores[rows] = np.asarray(scores).T[:events]
        gradients[rows] = np.asarray(changes).transpose(2, 0, 1)[:events]

    _for_each_block(inputs, _GRADIENT_BLOCK, work)
    return log_scores, gradients


@eqx.filter_jit
def _scores(network: Network, block: Float32, events: np.int32, part: int) -> tuple[jax.Array, ...]:
    return _in_parts(
        lambda inputs: (compute_scores_of_logits(map_events(network, inputs)),), block, events, part
    )


@eqx.filter_jit
def _gradients(network: Network, block: Float32, events: np.int32, part: int) -> tuple[jax.Array, ...]:
    def log_scores(inputs: jax.Array) -> jax.Array:
        log_softmax = jax.nn.log_softmax(compute_class_logits(map_events(network, inputs)), axis=-2)
        if log_softmax.ndim == 2:
            return log_softmax
        return jax.nn.logsumexp(log_softmax, axis=0) - math.log(network.shared_members)

    def both(inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        log_probability, backwards = jax.vjp(log_scores, inputs)
        # the scores of an event depend on its own inputs only, so one backward pass per class serves all events
        starts = jnp.broadcast_to(
            jnp.eye(network.classes)[:, :, None], (network.classes, *log_probability.shape)
        )
        return log_probability, jax.vmap(lambda start: backwards(start)[0])(starts)

    return _in_parts(both, block, events, part)


def _for_each_block(inputs: Float32, size: int, work: Callable[[slice, Float32, int], None]) -> None:
    """Call `work` with the rows of each block, the block, [inputs, size], and the number of its events, on all cores.

    All blocks have the same shape, so that there is one compilation, and the scores of an event do not depend on the
    number of events; the last block is padded.
    """

    def process(start: int) -> None:
        rows = inputs[start : start + size]
        block = np.zeros((inputs.shape[1], size), np.float32)
        block[:, : len(rows)] = rows.T
        work(slice(start, start + len(rows)), block, len(rows))

    starts = range(0, len(inputs), size)
    if len(starts) == 1:  # without the start of a thread
        process(0)
    elif starts:
        with ThreadPoolExecutor(min(cores(), len(starts))) as pool:
            list(pool.map(process, starts))  # raises the exceptions of the threads


def _part(network: Network, size: int) -> int:
    """Return how many events go through the layers together: as many as fit the cache, or a block on a GPU."""
    if jax.default_backend() != "cpu":
        return size
    # each shared member multiplies the number of events
    return max(_LEAST_PART, int(_PART >> (network.shared_members - 1).bit_length()))


def _in_parts(
    function: Callable[[jax.Array], tuple[jax.Array, ...]],
    block: Float32,
    events: np.int32,
    part: int,
) -> tuple[jax.Array, ...]:
    """Apply a function to the parts, [inputs, part], of a block, [inputs, n], n a multiple of `part`.

    Events are along the last axis of all results, which are 0 for parts that are only padding.
    """

    def step(number: jax.Array, results: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        start = number * part
        part_results = function(jax.lax.dynamic_slice_in_dim(block, start, part, axis=1))
        return tuple(
            jax.lax.dynamic_update_slice_in_dim(result, new, start, axis=-1)
            for result, new in zip(results, part_results, strict=True)
        )

    shapes = jax.eval_shape(function, jax.ShapeDtypeStruct((len(block), part), block.dtype))
    zeros = tuple(jnp.zeros((*shape.shape[:-1], block.shape[1]), shape.dtype) for shape in shapes)
    # some GPUs round products to fewer bits by default
    with jax.default_matmul_precision("float32"):
        results: tuple[jax.Array, ...] = jax.lax.fori_loop(0, -(-events // part), step, zeros)
    return results
