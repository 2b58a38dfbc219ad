"""Loss functions: sums over the events of a batch, which the training divides by the number of events.

They are not divided by the sum of weights of a batch: weights are normalised once, over the training set, so that a
batch with large weights counts accordingly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import assert_never

import jax
import jax.numpy as jnp

from tamis import config
from tamis.errors import RequestError

Loss = Callable[[jax.Array, jax.Array], jax.Array]
"""Function of the logits, [classes, n], and the target, [classes, n]: event weights in the row of the true class."""


def build_loss(section: config.Loss, signal: tuple[int, ...] = ()) -> Loss:
    """Build the loss function of a section; the indices of the signal classes are for the significance.

    Raises:
        RequestError: the loss is the significance, but no class is a signal.

    >>> loss = build_loss(config.SquaredError())
    >>> float(loss(jnp.zeros((2, 1)), jnp.array([[0.0], [1.0]])))
    0.25
    """
    match section:
        case config.CrossEntropy() | config.BinaryCrossEntropy():
            return cross_entropy
        case config.Focal():
            return partial(focal, gamma=section.gamma)
        case config.LabelSmoothing():
            return partial(smoothed, smoothing=section.smoothing)
        case config.SquaredError():
            return squared_error
        case config.Significance():
            if not signal:
                raise RequestError(
                    "training.loss is significance, but no class is marked as signal; set `signal: true` for one"
                )
            expected = (section.signal, section.background)
            return partial(significance, signal=signal, expected=expected, systematic=section.systematic)
        case _:
            assert_never(section)


def build_one_hot_target(classes: int, class_index: jax.Array, weight: jax.Array) -> jax.Array:
    """Build the target, [classes, n]: the weight of each event in the row of its class, and zero elsewhere.

    >>> build_one_hot_target(2, jnp.array([1]), jnp.array([3.0])).tolist()
    [[0.0], [3.0]]
    """
    numbers = jnp.arange(classes, dtype=class_index.dtype)
    return jnp.where(numbers[:, None] == class_index[None, :], weight[None, :], 0)


def sum_correct(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Sum the weight of the correctly classified events; equal highest logits share an event, as in the evaluation."""
    highest = logits >= logits.max(axis=0)[None, :]
    right = (jnp.where(highest, target, 0).sum(axis=0) / highest.sum(axis=0)).sum()
    return jax.lax.stop_gradient(right)


@jax.custom_vjp
def cross_entropy(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Sum the weighted categorical cross-entropy, - sum_i w_i log p_i(true class of i), p the softmax.

    >>> round(float(cross_entropy(jnp.zeros((2, 1)), jnp.array([[0.0], [1.0]]))), 4)
    0.6931
    """
    return _with_gradient(logits, target)[0]


def _with_gradient(logits: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Compute the loss and its gradient, weight * (p - one-hot), which reuses the exponentials."""
    shifted = logits - logits.max(axis=0)[None, :]
    exponentials = jnp.exp(shifted)
    total = exponentials.sum(axis=0)
    loss = -(target * (shifted - jnp.log(total)[None, :])).sum()
    return loss, exponentials * (target.sum(axis=0) / total)[None, :] - target


cross_entropy.defvjp(_with_gradient, lambda gradient, factor: (factor * gradient, None))


def focal(logits: jax.Array, target: jax.Array, *, gamma: float) -> jax.Array:
    """Sum the focal loss, - sum_i w_i (1 - p_i)^gamma log p_i (Lin et al., arXiv:1708.02002).

    It suppresses well-classified events; gamma = 0 is the cross-entropy.

    >>> round(float(focal(jnp.zeros((2, 1)), jnp.array([[0.0], [1.0]]), gamma=2.0)), 4)
    0.1733
    """
    log_score = jax.nn.log_softmax(logits, axis=0)
    # 1 - p without cancellation, and away from 0, where the power has no derivative
    complement = jnp.maximum(-jnp.expm1(log_score), 1e-7)
    return -(target * complement**gamma * log_score).sum()


def smoothed(logits: jax.Array, target: jax.Array, *, smoothing: float) -> jax.Array:
    """Sum the cross-entropy to labels that are smoothed over all classes (Szegedy et al., arXiv:1512.00567).

    With K classes it is - sum_i w_i sum_k ((1 - smoothing) [k is true] + smoothing / K) log p_i(k).

    >>> logits, target = jnp.array([[0.0], [2.0]]), jnp.array([[0.0], [1.0]])
    >>> round(float(smoothed(logits, target, smoothing=0.1)), 4)
    0.2269
    """
    even = target.sum(axis=0) / len(target)  # the weight of each event, distributed evenly
    return cross_entropy(logits, (1 - smoothing) * target + smoothing * even[None, :])


def squared_error(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Sum the mean squared difference of the scores and the one-hot class (Brier, Mon. Weather Rev. 78 (1950) 1).

    With K classes it is sum_i w_i sum_k (p_i(k) - [k is true])^2 / K; Brier's definition has no K.

    >>> float(squared_error(jnp.zeros((2, 1)), jnp.array([[0.0], [1.0]])))
    0.25
    """
    scores = jax.nn.softmax(logits, axis=0)
    weight = target.sum(axis=0)
    squares = (scores**2).sum(axis=0)
    # |p - e|^2 = |p|^2 - 2 p_true + 1
    return (weight * (squares + 1) - 2 * (target * scores).sum(axis=0)).sum() / len(target)


def significance(
    logits: jax.Array,
    target: jax.Array,
    *,
    signal: tuple[int, ...],
    expected: tuple[float, float],
    systematic: float,
) -> jax.Array:
    """Return minus the Asimov significance of a batch, times its number of events (Elwood et al., arXiv:1806.00322).

    The score replaces a cut, because it is differentiable: with q the sum of an event's scores for the signal classes
    and w its weight, s = S sum w q / sum w over signal events and b = B sum w q / sum w over background events. Small
    batches estimate s and b poorly: use large ones.

    Args:
        logits: [classes, n].
        target: [classes, n].
        signal: indices of the signal classes.
        expected: S and B, numbers of events before any cut.
        systematic: uncertainty of the background, relative to b.

    >>> logits, target = jnp.array([[9.0, -9.0], [-9.0, 9.0]]), jnp.eye(2)
    >>> value = significance(logits, target, signal=(1,), expected=(50.0, 1e6), systematic=0.0)
    >>> bool(value < -50)
    True
    """
    score = jax.nn.softmax(logits, axis=0)[list(signal), :].sum(axis=0)
    of_signal = target[list(signal), :].sum(axis=0)
    of_background = target.sum(axis=0) - of_signal

    def efficiency(weight: jax.Array) -> jax.Array:
        total = weight.sum()
        return (weight * score).sum() / jnp.where(total > 0, total, 1)

    # negative weights may make these negative in a small batch
    s = expected[0] * jnp.maximum(efficiency(of_signal), 0)
    b = expected[1] * jnp.maximum(efficiency(of_background), 1e-9)
    return -asimov_significance(s, b, systematic * b) * logits.shape[1]


def asimov_significance(s: jax.Array, b: jax.Array, sigma: jax.Array) -> jax.Array:
    """Compute the median discovery significance of s signal events on b +- sigma background events (b > 0).

    Z^2 = 2 ((s+b) ln((s+b)(b+V) / (b^2+(s+b)V)) - b^2/V ln(1 + V s/(b(b+V)))) with V = sigma^2; sigma is at least a
    thousandth of sqrt(b).
    Source: G. Cowan, "Discovery sensitivity for a counting experiment with background uncertainty", 2012.

    >>> round(float(asimov_significance(jnp.array(10.0), jnp.array(100.0), jnp.array(0.0))), 3)
    0.984
    """
    variance = jnp.maximum(sigma, 1e-3 * jnp.sqrt(b)) ** 2
    both = b + variance
    shared = variance * s / (b * both)
    # log1p, because 1 + s / (both (1 + shared)) would lose a small s in 32 bits
    formula = 2 * ((s + b) * jnp.log1p(s / (both * (1 + shared))) - b**2 / variance * jnp.log1p(shared))
    # for small s / b the two terms cancel: use the first orders of s / b
    series = s**2 / both * (1 - s * (b + 2 * variance) / (3 * b * both))
    # the square root has no finite derivative at 0
    return jnp.sqrt(jnp.maximum(jnp.where(s < 0.01 * b, series, formula), 1e-12))
