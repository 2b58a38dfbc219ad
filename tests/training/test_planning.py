"""The rules of a training: improvement, patience and time budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import repeat
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.config import EarlyStopping, Monitor, Training
from tamis.errors import TrainingError
from tamis.training.history import Epoch
from tamis.training.planning import find_stopping_reason, is_improvement, plan_epochs
from tamis.training.recipe import Recipe, resolve_recipe


def epoch(number: int, loss: float, accuracy: float = 0.5) -> Epoch:
    return Epoch(number, 1.0, 0.5, loss, accuracy, 0.1, 1.0)


@pytest.mark.parametrize(
    ("losses", "min_delta", "expected"),
    [([1.0, 0.9], 0.0, True), ([1.0, 1.0], 0.0, False), ([1.0, 0.95], 0.1, False), ([1.0, 0.85], 0.1, True)],
)
def test_an_improvement_must_exceed_min_delta(losses: list[float], min_delta: float, expected: bool) -> None:
    epochs = [epoch(number, loss) for number, loss in enumerate(losses, start=1)]
    assert is_improvement(epochs, 1, EarlyStopping(min_delta=min_delta)) is expected


@pytest.mark.parametrize(
    ("epochs", "patience", "number", "expected"),
    [
        (1, 5, 1, "the only epoch was trained"),
        (4, 5, 4, "all 4 epochs were trained"),
        (4, 1, 3, "validation_loss did not improve for 1 epoch"),
    ],
)
def test_the_reason_of_the_end_is_a_clause(epochs: int, patience: int, number: int, expected: str) -> None:
    section = Training(epochs=epochs, early_stopping=EarlyStopping(patience=patience, warm_up=0))
    assert find_stopping_reason(number, number - 1, epochs, resolve_recipe(section, 1000)) == expected


def test_accuracy_improves_upwards() -> None:
    epochs = [epoch(1, 1.0, 0.5), epoch(2, 2.0, 0.6)]
    assert is_improvement(epochs, 1, EarlyStopping(monitor="validation_accuracy"))
    assert not is_improvement(epochs[::-1], 1, EarlyStopping(monitor="validation_accuracy"))


MONITORS = ["validation_loss", "validation_accuracy", "validation_auc", "validation_significance"]


def of_monitor(number: int, monitor: str, value: float) -> Epoch:
    return replace(epoch(number, 1.0), **{monitor: value})


@pytest.mark.parametrize("monitor", MONITORS)
def test_every_monitor_knows_its_better_direction(monitor: str) -> None:
    assert set(MONITORS) == set(get_args(Monitor))
    stopping = EarlyStopping(monitor=monitor, min_delta=0.05)
    better = -0.1 if monitor == "validation_loss" else 0.1
    first = of_monitor(1, monitor, 0.5)
    assert is_improvement([first, of_monitor(2, monitor, 0.5 + better)], 1, stopping)
    assert not is_improvement([first, of_monitor(2, monitor, 0.5 + better / 4)], 1, stopping)
    assert not is_improvement([first, of_monitor(2, monitor, 0.5 - better)], 1, stopping)


def test_without_a_monitor_the_last_epoch_is_kept() -> None:
    assert is_improvement([epoch(1, 1.0), epoch(2, 5.0)], 1, None)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.integers(1, 6),
    st.integers(0, 12),
    st.sampled_from([0.0, 0.2]),
)
def test_a_training_stops_when_patience_ends(
    losses: list[float], patience: int, warm_up: int, min_delta: float
) -> None:
    stopping = EarlyStopping(patience=patience, warm_up=warm_up, min_delta=min_delta)
    recipe = resolve_recipe(Training(epochs=100, early_stopping=stopping), 1000)
    epochs: list[Epoch] = []
    best = 0
    for number, loss in enumerate(losses, start=1):
        epochs.append(epoch(number, loss))
        best = number if is_improvement(epochs, best, stopping) else best
        failed = number - best
        counted = min(failed, number - warm_up)
        stops = bool(find_stopping_reason(number, best, 100, recipe))
        assert stops == (counted >= patience)
        if stops:
            assert number >= warm_up + patience
            # nothing since the best epoch was better by more than min_delta
            assert min(losses[best:number]) >= losses[best - 1] - min_delta
            break


def budget(seconds: float, epochs: int = 100) -> Recipe:
    return resolve_recipe(Training(time_budget=seconds, epochs=epochs), 1000)


def pace(recipe: Recipe, compiling: float, times: Iterable[float]) -> list[float]:
    """Train with invented times: the time of each epoch that was trained."""
    planned, spent = recipe.epochs, []
    for each in times:
        spent.append(each + (0.0 if spent else compiling))
        planned = plan_epochs(planned, recipe, spent, compiling)
        assert len(spent) <= planned <= recipe.epochs
        if len(spent) == planned:
            break
    return spent


@pytest.mark.parametrize(
    ("seconds", "compiling", "each", "expected"),
    [(10, 2, 1, 8), (10, 0, 1, 10), (10, 9.5, 0.1, 5), (10, 5, 5, 1), (1000, 2, 1, 100), (1, 0, 0.6, 1)],
)
def test_a_time_budget_gives_as_many_epochs_as_fit(
    seconds: float, compiling: float, each: float, expected: int
) -> None:
    assert len(pace(budget(seconds), compiling, repeat(each))) == expected


@given(
    st.floats(0.1, 100),
    st.floats(0, 5),
    st.lists(st.floats(0.05, 1.0), min_size=200, max_size=200),
)
def test_a_time_budget_is_kept_to_one_epoch(seconds: float, compiling: float, times: list[float]) -> None:
    if compiling + times[0] > seconds:
        with pytest.raises(TrainingError, match=r"training\.time_budget"):
            pace(budget(seconds), compiling, times)
        return
    spent = pace(budget(seconds), compiling, times)
    assert sum(spent[:-1]) <= seconds
    assert len(spent) == 100 or sum(spent) > seconds / 25


def test_a_plan_that_has_settled_becomes_only_shorter() -> None:
    recipe = budget(100)
    assert plan_epochs(50, recipe, [2.0, 2.0], 0.0) == 50
    assert plan_epochs(50, recipe, [1.0, 1.0], 0.0) == 100
    assert plan_epochs(50, recipe, [1.0] * 10, 0.0) == 50
    assert plan_epochs(50, recipe, [4.0] * 10, 0.0) == 25
    assert plan_epochs(7, resolve_recipe(Training(epochs=7), 1000), [9.0] * 3, 0.0) == 7


def test_the_end_of_a_time_budget_is_told() -> None:
    found = find_stopping_reason(8, 8, 8, budget(60))
    assert found == "the time budget of 60 s allowed 8 of 100 epochs"
