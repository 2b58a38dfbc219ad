"""The loss: weighted categorical cross-entropy."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def cross_entropy(
    logits: jax.Array, class_index: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Sum the weighted cross-entropy and the weight of the events that are classified rightly.

    loss = - sum_i w_i log p_i(true class of i), with p the softmax of the logits. Nothing is divided here: the
    weights were normalised once, by the sum over the whole training set, so that a batch with large weights
    counts as much as it should.

    Args:
        logits: [classes, n].
        class_index: the true class, as float32 or integer, [n].
        weight: normalised training weights, zero for padding, [n].

    Returns:
        The two sums.

    >>> loss, right = cross_entropy(jnp.zeros((2, 1)), jnp.array([1]), jnp.array([1.0]))
    >>> round(float(loss), 4)
    0.6931
    """
    classes = jnp.arange(logits.shape[0], dtype=class_index.dtype)
    target = jnp.where(classes[:, None] == class_index[None, :], weight[None, :], 0)
    highest = jax.lax.stop_gradient(logits.max(axis=0))
    shifted = logits - highest[None, :]
    normalisation = jnp.log(jnp.exp(shifted).sum(axis=0))
    loss = -(target * (shifted - normalisation[None, :])).sum()
    # an event with several equal highest logits counts for each in equal parts, as in the evaluation
    highest_is = shifted >= 0
    right = (jnp.where(highest_is, target, 0).sum(axis=0) / highest_is.sum(axis=0)).sum()
    return loss, jax.lax.stop_gradient(right)
