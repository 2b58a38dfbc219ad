"""Optimizers and schedules, as chains of optax transforms over the flat vector of parameters."""

from __future__ import annotations

from typing import Literal, assert_never

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from tamis.config import Adam, AdamW, Sgd
from tamis.network.network import Network

ScheduleName = Literal["constant", "cosine", "one_cycle"]

WARM_UP = 0.15
"""Fraction of a one-cycle schedule in which the learning rate rises."""


def learning_rate(schedule: ScheduleName, peak: float, steps: int) -> optax.Schedule:
    """Give the learning rate as a function of the step.

    Args:
        schedule: `constant`; `cosine` falls from the peak to zero; `one_cycle` rises from a 25th of the peak and
            falls as a cosine to almost zero (Smith and Topin, arXiv:1708.07120).
        peak: the configured learning rate.
        steps: number of steps of the whole training.

    >>> float(learning_rate("cosine", 0.1, 100)(50)).__round__(3)
    0.05
    """
    match schedule:
        case "constant":
            return optax.constant_schedule(peak)
        case "cosine":
            return optax.cosine_decay_schedule(peak, max(steps, 1))
        case "one_cycle":
            rise = max(int(WARM_UP * steps), 1)
            up = optax.linear_schedule(peak / 25, peak, rise)
            down = optax.cosine_decay_schedule(peak, max(steps - rise, 1), alpha=1e-4)
            return optax.join_schedules([up, down], [rise])
        case _:
            assert_never(schedule)


def build_optimizer(
    optimizer: Adam | AdamW | Sgd, rate: optax.Schedule, network: Network
) -> optax.GradientTransformation:
    """Build the transform that turns flat gradients into flat updates.

    Args:
        optimizer: its section of the configuration.
        rate: learning rate by step.
        network: says which parameters are biases, which weight decay leaves alone.
    """
    match optimizer:
        case AdamW():
            decay = [decay_weights(optimizer.weight_decay, network)]
        case Adam() | Sgd():
            decay = []
        case _:
            assert_never(optimizer)
    match optimizer:
        case Adam() | AdamW():
            step = optax.scale_by_adam(optimizer.beta1, optimizer.beta2, optimizer.epsilon)
        case Sgd():
            step = (
                optax.trace(optimizer.momentum, optimizer.nesterov)
                if optimizer.momentum
                else optax.identity()
            )
    return optax.chain(step, *decay, optax.scale_by_learning_rate(rate))


def decay_weights(strength: float, network: Network) -> optax.GradientTransformation:
    """Add decoupled weight decay (arXiv:1711.05101) to all parameters but the biases.

    Args:
        strength: decay per unit of learning rate.
        network: parameters with fewer than two axes are biases.
    """
    chosen, _ = ravel_pytree(
        jax.tree.map(lambda leaf: np.full(leaf.shape, leaf.ndim > 1, np.float32), network)
    )
    factors = strength * jnp.asarray(chosen)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        return jax.tree.map(lambda u, p: u + factors * p, updates, params), state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)
