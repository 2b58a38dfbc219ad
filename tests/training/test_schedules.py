"""The schedules at known points, and the laws that all of them keep."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.config import (
    Adam,
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Plateau,
    Schedule,
    ScheduleFreeAdamW,
    Step,
    Training,
)
from tamis.training.recipe import resolve_recipe
from tamis.training.schedules import compute_last_rate, compute_peak_rate, compute_relative_rate

DONE = np.linspace(0, 1, 401, dtype=np.float32)
SCHEDULES: list[Schedule] = [
    kind(warm_up=warm_up)
    for kind in (Constant, Step, Exponential, Cosine, OneCycle, Plateau)
    for warm_up in (0.1, 0.4)
]
all_schedules = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda each: f"{each.name}-{each.warm_up}")


def rates(schedule: Schedule, done: np.ndarray = DONE) -> np.ndarray:
    return np.asarray(compute_relative_rate(schedule, jnp.asarray(done, jnp.float32)))


def test_every_schedule_of_the_configuration_is_tested() -> None:
    assert {type(schedule) for schedule in SCHEDULES} == set(Schedule.__args__)


@pytest.mark.parametrize(
    ("schedule", "first", "middle", "last"),
    [
        (Constant(), 1, 1, 1),
        (Plateau(), 1, 1, 1),
        (Step(at=(0.5,), factor=0.2), 1, 0.2, 0.2),
        (Step(at=(0.25, 0.5, 0.75), factor=0.5), 1, 0.25, 0.125),
        (Exponential(final=0.01), 1, 0.1, 0.01),
        (Cosine(), 1, 0.5, 0),
        (Cosine(final=0.2), 1, 0.6, 0.2),
        (OneCycle(warm_up=0.5, initial=0.1, final=0.01), 0.1, 1, 0.01),
        (Constant(warm_up=0.5), 0, 1, 1),
        (Cosine(warm_up=0.5), 0, 1, 0),
        (Exponential(warm_up=0.5, final=0.01), 0, 1, 0.01),
    ],
)
def test_known_values(schedule: Schedule, first: float, middle: float, last: float) -> None:
    np.testing.assert_allclose(rates(schedule, np.array([0, 0.5, 1])), [first, middle, last], atol=1e-6)


@all_schedules
def test_the_rate_rises_to_its_highest_point_and_never_after(schedule: Schedule) -> None:
    rate, rising = rates(schedule), schedule.warm_up > DONE
    assert rate.max() == pytest.approx(1, abs=1e-5)
    assert rate.min() >= 0
    assert (np.diff(rate[rising]) > 0).all()
    assert (np.diff(rate[~rising]) <= 1e-6).all()
    # halfway through the warm-up: halfway up
    first = schedule.initial if isinstance(schedule, OneCycle) else 0
    middle = rates(schedule, np.array([schedule.warm_up / 2]))[0]
    assert middle == pytest.approx((1 + first) / 2, abs=1e-6)


@given(
    st.lists(st.floats(0.01, 0.99), min_size=1, max_size=5, unique=True),
    st.floats(0.05, 0.95),
)
def test_a_step_falls_at_its_fractions_of_all_steps(points: list[float], factor: float) -> None:
    at = tuple(sorted(points))
    found = rates(Step(at=at, factor=factor))
    expected = factor ** sum((np.float32(point) <= DONE).astype(int) for point in at)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    late = rates(Step(at=at, factor=factor, warm_up=0.005))
    np.testing.assert_allclose(late[DONE >= 0.005], found[DONE >= 0.005], rtol=1e-5)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Cosine(final=0.1), optax.cosine_decay_schedule(1.0, 400, alpha=0.1)),
        (Exponential(final=0.05), optax.exponential_decay(1.0, 400, 0.05)),
        (Cosine(warm_up=0.25), optax.warmup_cosine_decay_schedule(0.0, 1.0, 100, 400)),
        (Constant(warm_up=0.25), optax.warmup_constant_schedule(0.0, 1.0, 100)),
        (Step(at=(0.5, 0.75)), optax.piecewise_constant_schedule(1.0, {200: 0.1, 300: 0.1})),
    ],
    ids=["cosine", "exponential", "cosine-warm", "constant-warm", "step"],
)
def test_the_schedules_are_those_of_optax(schedule: Schedule, expected: optax.Schedule) -> None:
    number = np.arange(400)
    wanted = np.array([float(expected(step)) for step in number[::10]])
    np.testing.assert_allclose(rates(schedule, number[::10] / 400), wanted, atol=2e-6)


def peak(losses: list[float], **changes: float) -> float:
    settings = Training(
        schedule=Plateau(patience=2, factor=0.5, **changes), optimizer=Adam(learning_rate=0.8)
    )
    return compute_peak_rate(resolve_recipe(settings, 1000), losses)


def test_a_plateau_lowers_the_rate_after_its_patience() -> None:
    losses = [1.0, 0.9, 0.9, 0.95, 0.94, 0.8, 0.9, 0.9, 0.9, 0.9]
    # lowest at the second epoch; two worse ones, then one of two; better; two worse, and two worse again
    factors = [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert [peak(losses[:done]) for done in range(11)] == pytest.approx([0.8 * each for each in factors])


def test_a_plateau_falls_to_no_less_than_its_least() -> None:
    assert peak([1.0] * 50, minimum=0.2) == pytest.approx(0.16)
    assert peak([1.0] * 50, minimum=0.0) < 1e-6


@given(st.lists(st.floats(0, 10), max_size=40))
def test_the_rate_of_a_plateau_never_rises(losses: list[float]) -> None:
    found = [peak(losses[:done], minimum=0.1) for done in range(len(losses) + 1)]
    assert found[0] == 0.8
    assert (np.diff(found) <= 0).all()
    assert found[-1] >= 0.08


@all_schedules
def test_only_a_plateau_looks_at_the_loss(schedule: Schedule) -> None:
    recipe = resolve_recipe(Training(schedule=schedule), 1000)
    changed = compute_peak_rate(recipe, [1.0] * 30) != recipe.optimizer.learning_rate
    assert changed == isinstance(schedule, Plateau)


def test_the_history_has_the_rate_of_the_last_step() -> None:
    recipe = resolve_recipe(Training(schedule="cosine"), 1000)
    # the last of 4 x 5 steps is number 19, counted from 0
    expected = 0.3 * (1 + np.cos(np.pi * 19 / 20)) / 2
    assert compute_last_rate(recipe, 0.3, number=4, steps=5, planned=4) == pytest.approx(expected, rel=1e-4)
    own = resolve_recipe(Training(optimizer=ScheduleFreeAdamW(warm_up=10)), 1000)
    assert compute_last_rate(own, 0.3, number=1, steps=6, planned=4) == pytest.approx(0.15)
    assert compute_last_rate(own, 0.3, number=4, steps=6, planned=4) == 0.3
