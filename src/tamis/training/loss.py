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
    # an event with several equal highest logits counts for each in equal parts, as in the evaluation
    highest_is = logits >= logits.max(axis=0)[None, :]
    right = (jnp.where(highest_is, target, 0).sum(axis=0) / highest_is.sum(axis=0)).sum()
    return _log_loss(logits, target), jax.lax.stop_gradient(right)


@jax.custom_vjp
def _log_loss(logits: jax.Array, target: jax.Array) -> jax.Array:
    return _with_gradient(logits, target)[0]


def _with_gradient(logits: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sum the loss, and give its gradient: weight * (p - one-hot), from the exponentials that are there already."""
    shifted = logits - logits.max(axis=0)[None, :]
    exponentials = jnp.exp(shifted)
    total = exponentials.sum(axis=0)
    loss = -(target * (shifted - jnp.log(total)[None, :])).sum()
    return loss, exponentials * (target.sum(axis=0) / total)[None, :] - target


_log_loss.defvjp(_with_gradient, lambda gradient, factor: (factor * gradient, None))
