"""The rules of a training: when it ends, how many epochs it has, and which epoch is the best."""

from __future__ import annotations

from collections.abc import Sequence

from tamis.config import EarlyStopping
from tamis.errors import TrainingError
from tamis.training.history import Epoch
from tamis.training.recipe import Recipe
from tamis.wording import counted

_FREELY_PLANNED = 3
"""Number of epochs after which the plan for a time budget can only become shorter."""


def find_stopping_reason(number: int, best: int, planned: int, recipe: Recipe) -> str:
    """Return why the training ends after an epoch, as a clause; an empty text if it continues.

    The best epoch is the last one if nothing is monitored.

    >>> from tamis.config import Training as TrainingSection
    >>> from tamis.training.recipe import resolve_recipe
    >>> find_stopping_reason(12, 2, 20, resolve_recipe(TrainingSection(epochs=20), 1000))
    'validation_loss did not improve for 10 epochs'
    """
    stopping = recipe.early_stopping
    if stopping is not None and number - max(best, stopping.warm_up) >= stopping.patience:
        return f"{stopping.monitor} did not improve for {counted(number - best, 'epoch')}"
    if number < planned:
        return ""
    if planned < recipe.epochs:
        return f"the time budget of {recipe.time_budget:g} s allowed {number} of {recipe.epochs} epochs"
    return "the only epoch was trained" if recipe.epochs == 1 else f"all {recipe.epochs} epochs were trained"


def plan_epochs(planned: int, recipe: Recipe, seconds: Sequence[float], compile_seconds: float) -> int:
    """Plan the number of epochs, so that the training ends within its time budget.

    In the first epochs the plan may become longer or shorter; later only shorter, so that a decreasing learning rate
    does not rise again.

    Args:
        planned: the current plan.
        recipe: the recipe of the training.
        seconds: wall time of each epoch so far.
        compile_seconds: the time of the compilation, which is part of the first epoch.

    Raises:
        TrainingError: the first epoch exceeds the time budget.

    >>> from tamis.config import Training as TrainingSection
    >>> from tamis.training.recipe import resolve_recipe
    >>> recipe = resolve_recipe(TrainingSection(epochs=20, time_budget=10.0), 1000)
    >>> plan_epochs(20, recipe, [3.0, 1.0], 2.0)
    8
    """
    budget = recipe.time_budget
    if budget is None:
        return planned
    done, spent = len(seconds), sum(seconds)
    if done == 1 and spent > budget:
        raise TrainingError(
            f"training.time_budget is {budget:g} s, but the first epoch took {spent:.1f} s ({compile_seconds:.1f} s "
            "for the compilation); allow more time, or use a smaller network, larger batches or fewer events"
        )
    seconds_per_epoch = (spent - compile_seconds) / done
    possible = done + int(max(budget - spent, 0.0) / seconds_per_epoch)
    return max(min(possible, recipe.epochs if done <= _FREELY_PLANNED else planned), done)


def is_improvement(epochs: Sequence[Epoch], best: int, stopping: EarlyStopping | None) -> bool:
    """Return whether the last epoch is better than the best one by more than `min_delta`.

    The number of the best epoch before the last one is 0 if there is none; without a monitored quantity the last epoch
    is the best one.
    """
    if stopping is None or best == 0:
        return True
    last_value, best_value = (getattr(epoch, stopping.monitor) for epoch in (epochs[-1], epochs[best - 1]))
    gain = best_value - last_value if stopping.monitor.endswith("loss") else last_value - best_value
    return bool(gain > stopping.min_delta)
