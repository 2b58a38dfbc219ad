"""The losses: sums over the events of a batch, of which the training divides by the number of events.

Nothing is divided by a batch's sum of weights: the weights were normalised once, by their sum over the whole
training set, so that a batch with large weights counts as much as it should.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import jax
import jax.numpy as jnp

from tamis.config import (
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    LabelSmoothing,
    Significance,
    SquaredError,
)
from tamis.config import Loss as LossSection
from tamis.errors import RequestError

Loss = Callable[[jax.Array, jax.Array], jax.Array]
"""Of the logits, [classes, n], and the target, [classes, n]: the weight of the event in the row of its true class."""


def build_loss(section: LossSection, signal: tuple[int, ...] = ()) -> Loss:
    """Give the loss that a section asks for.

    Args:
        section: as configured.
        signal: indices of the classes that are signal, for the significance.

    Raises:
        RequestError: the significance is wanted, but no class is a signal.

    >>> loss = build_loss(SquaredError())
    >>> float(loss(jnp.zeros((2, 1)), jnp.array([[0.0], [1.0]])))
    0.25
    """
    match section:
        case CrossEntropy() | BinaryCrossEntropy():
            return cross_entropy
        case Focal():
            return lambda logits, target: focal(logits, target, gamma=section.gamma)
        case LabelSmoothing():
            return lambda logits, target: smoothed(logits, target, smoothing=section.smoothing)
        case SquaredError():
            return squared_error
        case Significance():
            if not signal:
                raise RequestError(
                    "training.loss is significance, but no class is a signal; name the classes that are one"
                )
            return lambda logits, target: significance(
                logits,
                target,
                signal=signal,
                expected=(section.signal, section.background),
                systematic=section.systematic,
            )
        case _:
            assert_never(section)


def one_hot_target(classes: int, class_index: jax.Array, weight: jax.Array) -> jax.Array:
    """Put the weight of each event into the row of its class, [classes, n].

    Args:
        classes: number of classes.
        class_index: the true class, as float32 or integer, [n].
        weight: normalised training weights, zero for padding, [n].

    >>> one_hot_target(2, jnp.array([1]), jnp.array([3.0])).tolist()
    [[0.0], [3.0]]
    """
    numbers = jnp.arange(classes, dtype=class_index.dtype)
    return jnp.where(numbers[:, None] == class_index[None, :], weight[None, :], 0)


def sum_right(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Sum the weight of the events that are classified rightly.

    An event with several equal highest logits counts for each in equal parts, as in the evaluation.
    """
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
    """Sum the loss, and give its gradient: weight * (p - one-hot), from the exponentials that are there already."""
    shifted = logits - logits.max(axis=0)[None, :]
    exponentials = jnp.exp(shifted)
    total = exponentials.sum(axis=0)
    loss = -(target * (shifted - jnp.log(total)[None, :])).sum()
    return loss, exponentials * (target.sum(axis=0) / total)[None, :] - target


cross_entropy.defvjp(_with_gradient, lambda gradient, factor: (factor * gradient, None))


def focal(logits: jax.Array, target: jax.Array, *, gamma: float) -> jax.Array:
    """Sum the focal loss, - sum_i w_i (1 - p_i)^gamma log p_i (Lin et al., arXiv:1708.02002).

    Args:
        logits: [classes, n].
        target: [classes, n].
        gamma: how much less an easy event counts; 0 is the cross-entropy.

    >>> round(float(focal(jnp.zeros((2, 1)), jnp.array([[0.0], [1.0]]), gamma=2.0)), 4)
    0.1733
    """
    log_score = jax.nn.log_softmax(logits, axis=0)
    # 1 - p without cancellation, and away from 0, where the power has no derivative
    rest = jnp.maximum(-jnp.expm1(log_score), 1e-7)
    return -(target * rest**gamma * log_score).sum()


def smoothed(logits: jax.Array, target: jax.Array, *, smoothing: float) -> jax.Array:
    """Sum the cross-entropy to labels that are smoothed over all classes (Szegedy et al., arXiv:1512.00567).

    With K classes it is - sum_i w_i sum_k ((1 - smoothing) [k is true] + smoothing / K) log p_i(k).

    Args:
        logits: [classes, n].
        target: [classes, n].
        smoothing: the part of the weight that is spread evenly over all classes.

    >>> logits, target = jnp.array([[0.0], [2.0]]), jnp.array([[0.0], [1.0]])
    >>> round(float(smoothed(logits, target, smoothing=0.1)), 4)
    0.2269
    """
    even = target.sum(axis=0) / len(target)
    return cross_entropy(logits, (1 - smoothing) * target + smoothing * even[None, :])


def squared_error(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Sum the mean squared difference of the scores and the one-hot class (Brier, Mon. Weather Rev. 78 (1950) 1).

    With K classes it is sum_i w_i sum_k (p_i(k) - [k is true])^2 / K; Brier's own score has no K.

    Args:
        logits: [classes, n].
        target: [classes, n].

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
    """Give minus the Asimov significance of a batch, times its number of events (Elwood et al., arXiv:1806.00322).

    The score stands in for a cut: with q the sum of an event's scores for the signal classes and w its weight,
    s = S sum w q / sum w over signal events and b = B sum w q / sum w over background events.
    A small batch says little about s and b: take large ones.

    Args:
        logits: [classes, n].
        target: [classes, n].
        signal: indices of the classes that are signal.
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

    def passing(part: jax.Array) -> jax.Array:
        total = part.sum()
        return (part * score).sum() / jnp.where(total > 0, total, 1)

    # negative weights may make these negative in a small batch
    s = expected[0] * jnp.maximum(passing(of_signal), 0)
    b = expected[1] * jnp.maximum(passing(of_background), 1e-9)
    return -asimov_significance(s, b, systematic * b) * logits.shape[1]


def asimov_significance(s: jax.Array, b: jax.Array, sigma: jax.Array) -> jax.Array:
    """Give the median significance with which s signal events on b +- sigma background events are discovered.

    Z^2 = 2 ((s+b) ln((s+b)(b+V) / (b^2+(s+b)V)) - b^2/V ln(1 + V s/(b(b+V)))) with V = sigma^2.
    Source: G. Cowan, "Discovery sensitivity for a counting experiment with background uncertainty", 2012.

    Args:
        s: expected signal, any shape.
        b: expected background, above zero.
        sigma: its uncertainty in events; below a thousandth of sqrt(b) it counts as that.

    >>> round(float(asimov_significance(jnp.array(10.0), jnp.array(100.0), jnp.array(0.0))), 3)
    0.984
    """
    variance = jnp.maximum(sigma, 1e-3 * jnp.sqrt(b)) ** 2
    both = b + variance
    shared = variance * s / (b * both)
    # the first logarithm is that of 1 + s / (both (1 + shared)); without the sum, 32 bits keep a small one
    formula = 2 * ((s + b) * jnp.log1p(s / (both * (1 + shared))) - b**2 / variance * jnp.log1p(shared))
    # where the two terms would cancel, the first orders of s / b
    series = s**2 / both * (1 - s * (b + 2 * variance) / (3 * b * both))
    # the root has no derivative at 0
    return jnp.sqrt(jnp.maximum(jnp.where(s < 0.01 * b, series, formula), 1e-12))
