"""The rules of a training: when it ends, how many epochs there will be, which is the best, how large steps are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp

from tamis.config import EarlyStopping, Plateau, ScheduleFreeAdamW, Training
from tamis.errors import TrainingError
from tamis.training.history import Epoch
from tamis.training.schedules import relative_rate

_FREELY_PLANNED = 3
"""Epochs after which a plan for a time budget follows the time that they took both ways."""


def ends_because(number: int, best: int, planned: int, settings: Training) -> str:
    """Say why the training ends; an empty text means that it goes on.

    Args:
        number: of the epoch that is done, counted from 1.
        best: number of the best epoch, or of the last one where nothing is monitored.
        planned: epochs of the whole training.
        settings: the section `training` of the configuration.

    >>> ends_because(12, 2, 20, Training())
    'no improvement of validation_loss for 10 epochs'
    """
    stopping = settings.early_stopping
    if stopping is not None and number - max(best, stopping.warm_up) >= stopping.patience:
        return f"no improvement of {stopping.monitor} for {number - best} epochs"
    if number < planned:
        return ""
    if planned < settings.settled_epochs:
        return f"the time budget of {settings.time_budget:g} s allowed {number} of {settings.settled_epochs} epochs"
    return f"all {settings.settled_epochs} epochs were trained"


def plan_epochs(planned: int, settings: Training, seconds: Sequence[float], compiling: float) -> int:
    """Plan how many epochs there will be, so that the training ends within its time budget.

    In the first epochs the plan follows their time both ways; later it only becomes shorter, so that a schedule that
    has come down does not rise again.

    Args:
        planned: the plan until now.
        settings: the section `training` of the configuration.
        seconds: wall time of each epoch until now.
        compiling: the part of the first one in which the program was compiled.

    Raises:
        TrainingError: not even one epoch fits.

    >>> plan_epochs(20, Training(epochs=20, time_budget=10.0), [3.0, 1.0], 2.0)
    8
    """
    budget = settings.time_budget
    if budget is None:
        return planned
    done, spent = len(seconds), sum(seconds)
    if done == 1 and spent > budget:
        raise TrainingError(
            f"training.time_budget is {budget:g} s, but the first epoch took {spent:.1f} s, of which {compiling:.1f} s "
            "to compile it; allow more time, or use a smaller network, larger batches or fewer events"
        )
    each = (spent - compiling) / done
    possible = done + int(max(budget - spent, 0.0) / each)
    return max(min(possible, settings.settled_epochs if done <= _FREELY_PLANNED else planned), done)


def peak_rate(settings: Training, losses: Sequence[float]) -> float:
    """Give the highest learning rate, lowered for each plateau of the validation loss.

    Args:
        settings: the section `training` of the configuration.
        losses: the validation loss after each epoch until now.
    """
    schedule, highest = settings.schedule, settings.optimizer.learning_rate
    if not isinstance(schedule, Plateau):
        return highest
    factor, lowest, waited = 1.0, math.inf, 0
    for loss in losses:
        waited = 0 if loss < lowest else waited + 1
        lowest = min(loss, lowest)
        if waited == schedule.patience:
            factor, waited = max(factor * schedule.factor, schedule.least), 0
    return highest * factor


def last_rate(settings: Training, peak: float, number: int, steps: int, planned: int) -> float:
    """Give the learning rate of the last step of an epoch.

    Args:
        settings: the section `training` of the configuration.
        peak: the schedule's highest rate.
        number: of the epoch, counted from 1.
        steps: in each epoch.
        planned: epochs of the whole training.
    """
    before = number * steps - 1
    if isinstance(settings.optimizer, ScheduleFreeAdamW):
        return peak * min(before / settings.optimizer.warm_up, 1.0)
    return peak * float(relative_rate(settings.schedule, jnp.float32(before / (planned * steps))))


def improves(epochs: list[Epoch], best: int, stopping: EarlyStopping | None) -> bool:
    """Tell whether the last epoch beats the best one by more than `min_delta`.

    Args:
        epochs: all epochs until now.
        best: number of the best of them, 0 where there is none.
        stopping: what is monitored; without it every epoch replaces the one before.
    """
    if stopping is None or best == 0:
        return True
    now, before = (getattr(epoch, stopping.monitor) for epoch in (epochs[-1], epochs[best - 1]))
    gain = before - now if stopping.monitor.endswith("loss") else now - before
    return bool(gain > stopping.min_delta)
