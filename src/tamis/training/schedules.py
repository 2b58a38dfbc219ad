"""How the learning rate changes over the training, as a function of the part of the steps that is done."""

from __future__ import annotations

from typing import assert_never

import jax
import jax.numpy as jnp

from tamis.config import Constant, Cosine, Exponential, OneCycle, Plateau, Schedule, Step


def relative_rate(schedule: Schedule, done: jax.Array) -> jax.Array:
    """Give the learning rate as a fraction of the highest one.

    The schedule knows the part of the training that is done and not the number of steps, so that a training
    whose length is planned on the way needs no other program.

    Args:
        schedule: its section of the configuration; a `plateau` falls between epochs, and is constant here.
        done: part of all steps that is done, from 0 to 1, any shape.

    >>> round(float(relative_rate(Cosine(), jnp.array(0.5))), 3)
    0.5
    """
    rise = schedule.warm_up
    after = jnp.maximum((done - rise) / (1 - rise), 0)
    first = schedule.initial if isinstance(schedule, OneCycle) else 0.0
    # where there is no warm-up, none is ever before its end
    rising = first + (1 - first) * done / (rise or 1.0)
    return jnp.where(done < rise, rising, _falling(schedule, done, after))


def _falling(schedule: Schedule, done: jax.Array, after: jax.Array) -> jax.Array:
    """Give the relative rate after the warm-up, of which the part `after` of the steps is done."""
    match schedule:
        case Constant() | Plateau():
            return jnp.ones_like(done)
        case Step():
            passed = jnp.searchsorted(jnp.array(schedule.at), done, side="right")
            return jnp.power(schedule.factor, passed)
        case Exponential():
            return schedule.final**after
        case Cosine() | OneCycle():
            return schedule.final + (1 - schedule.final) * (1 + jnp.cos(jnp.pi * jnp.minimum(after, 1))) / 2
        case _:
            assert_never(schedule)
