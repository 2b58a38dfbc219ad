"""Schedules: the learning rate as a function of the completed fraction of the training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

import jax
import jax.numpy as jnp
import optax

from tamis import config
from tamis.training.recipe import Recipe


def compute_relative_rate(schedule: config.Schedule, done: jax.Array) -> jax.Array:
    """Return the learning rate as a fraction of the highest one.

    It is a function of the completed fraction of the training, 0 to 1, and not of the number of steps, so that a new
    plan of the number of epochs needs no compilation. A `plateau` changes between epochs, and is constant here.

    >>> round(float(compute_relative_rate(config.Cosine(), jnp.array(0.5))), 3)
    0.5
    """
    warm_up = schedule.warm_up
    after = jnp.maximum((done - warm_up) / (1 - warm_up), 0)
    first = schedule.initial if isinstance(schedule, config.OneCycle) else 0.0
    # without a warm-up the value is never used
    rising = first + (1 - first) * done / (warm_up or 1.0)
    match schedule:
        case config.Constant() | config.Plateau():
            falling = jnp.ones_like(done)
        case config.Step():
            milestones = jnp.searchsorted(jnp.array(schedule.at), done, side="right")
            falling = jnp.power(schedule.factor, milestones)
        case config.Exponential():
            falling = schedule.final**after
        case config.Cosine() | config.OneCycle():
            cosine = jnp.cos(jnp.pi * jnp.minimum(after, 1))
            falling = schedule.final + (1 - schedule.final) * (1 + cosine) / 2
        case _:
            assert_never(schedule)
    return jnp.where(done < warm_up, rising, falling)


def compute_peak_rate(recipe: Recipe, losses: Sequence[float]) -> float:
    """Return the highest learning rate of the schedule, lowered for each plateau of the validation losses so far.

    It is 1 if a custom optimizer has its own rate.
    """
    if isinstance(recipe.optimizer, optax.GradientTransformation):
        return 1.0
    schedule, highest = recipe.schedule, recipe.optimizer.learning_rate
    if not isinstance(schedule, config.Plateau):
        return highest
    factor, lowest, waited = 1.0, math.inf, 0
    for loss in losses:
        waited = 0 if loss < lowest else waited + 1
        lowest = min(loss, lowest)
        if waited == schedule.patience:
            factor, waited = max(factor * schedule.factor, schedule.minimum), 0
    return highest * factor


def compute_last_rate(recipe: Recipe, peak: float, number: int, steps: int, planned: int) -> float | None:
    """Return the learning rate of the last step of an epoch; None if a custom optimizer has its own rate.

    Args:
        recipe: the recipe of the training.
        peak: the highest rate of the schedule.
        number: number of the epoch, counted from 1.
        steps: number of steps per epoch.
        planned: planned total number of epochs.
    """
    completed = number * steps - 1
    if isinstance(recipe.optimizer, optax.GradientTransformation):
        return None
    if isinstance(recipe.optimizer, config.ScheduleFreeAdamW):
        return peak * min(completed / recipe.optimizer.warm_up, 1.0)
    return peak * float(_compiled_rate(recipe.schedule, jnp.float32(completed / (planned * steps))))


# one program instead of one for each operation, which a first run would have to compile
_compiled_rate = jax.jit(compute_relative_rate, static_argnums=0)
