"""Every optimizer against optax or its paper, step by step, and the laws that all of them keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.config import Adam, AdamW, Dense, Lion, Muon, NAdam, Optimizer, RmsProp, ScheduleFreeAdamW, Sgd
from tamis.network.network import build_network
from tamis.training.optimizer import build_optimizer, select_evaluated_parameters
from tamis.training.parameters import flatten

RATE = 0.02
PARAMETERS, _, LAYOUT = flatten(
    build_network(3, 2, [Dense(nodes=6), Dense(nodes=4)], random=np.random.default_rng(0))
)
RNG = np.random.default_rng(0)
GRADIENTS = RNG.normal(size=(6, len(PARAMETERS))).astype(np.float32)
WEIGHTS = np.asarray(LAYOUT.weights)

OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Adam(learning_rate=RATE),
    "adamw": AdamW(learning_rate=RATE),
    "nadam": NAdam(learning_rate=RATE),
    "rmsprop": RmsProp(learning_rate=RATE, momentum=0.5),
    "lion": Lion(learning_rate=RATE),
    "muon": Muon(learning_rate=RATE),
    "schedule_free_adamw": ScheduleFreeAdamW(learning_rate=RATE, warm_up=5),
    "sgd": Sgd(learning_rate=RATE),
}
all_optimizers = pytest.mark.parametrize("name", OPTIMIZERS)


def rate_of(optimizer: Optimizer) -> float:
    """The factor of the steps; a schedule-free optimizer brings its own."""
    return 1.0 if isinstance(optimizer, ScheduleFreeAdamW) else optimizer.learning_rate


Walk = Callable[[np.ndarray], tuple[jax.Array, optax.OptState]]


def walk(transform: optax.GradientTransformation, rate: float = 1.0) -> Walk:
    """Give, of gradients, the parameters after each step and the last state."""

    def step(carry: tuple[jax.Array, optax.OptState], gradient: jax.Array):
        parameters, state = carry
        updates, state = transform.update(gradient, state, parameters)
        parameters = parameters + rate * updates
        return (parameters, state), parameters

    @jax.jit
    def along(gradients: jax.Array) -> tuple[jax.Array, optax.OptState]:
        (_, state), found = jax.lax.scan(step, (PARAMETERS, transform.init(PARAMETERS)), gradients)
        return found, state

    return along


@cache
def program(optimizer: Optimizer, clip: float | None, ntk: bool) -> Walk:
    return walk(build_optimizer(optimizer, LAYOUT, clip=clip, ntk=ntk), rate_of(optimizer))


def own_walk(
    optimizer: Optimizer, gradients: np.ndarray = GRADIENTS, *, clip: float | None = None, ntk: bool = False
) -> np.ndarray:
    return np.asarray(program(optimizer, clip, ntk)(gradients)[0])


def test_every_optimizer_of_the_configuration_is_tested() -> None:
    assert {type(optimizer) for optimizer in OPTIMIZERS.values()} == set(Optimizer.__args__)


@all_optimizers
def test_a_convex_problem_is_solved(name: str) -> None:
    optimizer = OPTIMIZERS[name]
    transform = build_optimizer(optimizer, LAYOUT)
    goal = PARAMETERS + jnp.asarray(RNG.normal(0, 0.5, len(PARAMETERS)), jnp.float32)
    curvature = jnp.asarray(np.exp(RNG.normal(0, 1, len(PARAMETERS))), jnp.float32)

    def loss(parameters: jax.Array) -> jax.Array:
        return (curvature * (parameters - goal) ** 2).sum()

    def step(carry: tuple[jax.Array, optax.OptState], _: None):
        parameters, state = carry
        updates, state = transform.update(jax.grad(loss)(parameters), state, parameters)
        return (parameters + rate_of(optimizer) * updates, state), None

    start = (PARAMETERS, transform.init(PARAMETERS))
    (last, state), _ = jax.jit(lambda: jax.lax.scan(step, start, length=300))()
    assert loss(select_evaluated_parameters(state, last)) < 0.05 * loss(PARAMETERS)


def masked_decay(strength: float) -> optax.GradientTransformation:
    """Decoupled decay of the weights alone."""
    return optax.GradientTransformation(
        lambda _: optax.EmptyState(),
        lambda updates, state, params: (updates + strength * jnp.where(WEIGHTS == 1, params, 0), state),
    )


def with_decay(*transforms: optax.GradientTransformation, strength: float) -> optax.GradientTransformation:
    return optax.chain(*transforms, masked_decay(strength), optax.scale(-RATE))


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (Adam(learning_rate=RATE, beta1=0.8, beta2=0.99), optax.adam(RATE, 0.8, 0.99)),
        (Adam(learning_rate=RATE, epsilon=0.1), optax.adam(RATE, eps=0.1)),
        (AdamW(learning_rate=RATE, weight_decay=0.3), with_decay(optax.scale_by_adam(), strength=0.3)),
        (NAdam(learning_rate=RATE), optax.nadam(RATE)),
        (
            NAdam(learning_rate=RATE, weight_decay=0.3),
            with_decay(optax.scale_by_adam(nesterov=True), strength=0.3),
        ),
        (RmsProp(learning_rate=RATE), optax.rmsprop(RATE)),
        (RmsProp(learning_rate=RATE, momentum=0.7), optax.rmsprop(RATE, momentum=0.7)),
        (Lion(learning_rate=RATE), optax.lion(RATE, weight_decay=0.0)),
        (Lion(learning_rate=RATE, weight_decay=0.3), with_decay(optax.scale_by_lion(), strength=0.3)),
        (Sgd(learning_rate=RATE, momentum=0.0), optax.sgd(RATE)),
        (Sgd(learning_rate=RATE, momentum=0.8), optax.sgd(RATE, 0.8)),
        (Sgd(learning_rate=RATE, momentum=0.8, nesterov=True), optax.sgd(RATE, 0.8, nesterov=True)),
        (
            ScheduleFreeAdamW(learning_rate=RATE, warm_up=3),
            optax.contrib.schedule_free_adamw(RATE, warmup_steps=3),
        ),
    ],
    ids=lambda each: each.name if not isinstance(each, tuple) else "",
)
def test_steps_are_those_of_optax(optimizer: Optimizer, expected: optax.GradientTransformation) -> None:
    np.testing.assert_allclose(own_walk(optimizer), walk(expected)(GRADIENTS)[0], rtol=1e-5, atol=1e-6)


def newton_schulz(matrix: np.ndarray) -> np.ndarray:
    """The iteration on the singular values alone."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / np.linalg.norm(values)
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left * values @ right


def test_muon_follows_its_paper_in_hidden_layers_and_adam_elsewhere() -> None:
    found = own_walk(Muon(learning_rate=RATE, momentum=0.9))
    rest = np.ones(len(PARAMETERS), bool)
    for matrix in LAYOUT.hidden:
        rest[matrix.entries] = False
        expected, mean = np.asarray(PARAMETERS, float)[matrix.entries], np.zeros(matrix.shape)
        for gradient, wanted in zip(GRADIENTS.astype(float), found, strict=True):
            own = gradient[matrix.entries].reshape(matrix.shape)
            mean = own + 0.9 * mean
            step = 0.2 * max(matrix.shape) ** 0.5 * newton_schulz(own + 0.9 * mean)
            expected = expected - RATE * step.ravel()
            np.testing.assert_allclose(wanted[matrix.entries], expected, atol=1e-5)
    assert len(LAYOUT.hidden) == 2
    np.testing.assert_allclose(found[:, rest], own_walk(Adam(learning_rate=RATE))[:, rest], atol=1e-6)


def test_muon_takes_steps_of_nearly_equal_singular_values() -> None:
    found = np.diff(np.concatenate([PARAMETERS[None], own_walk(Muon(learning_rate=1.0))]), axis=0)
    for matrix in LAYOUT.hidden:
        for step, gradient in zip(found, GRADIENTS, strict=True):
            values = np.linalg.svd(step[matrix.entries].reshape(matrix.shape), compute_uv=False)
            values /= 0.2 * max(matrix.shape) ** 0.5
            assert values.min() > 0.6
            assert values.max() < 1.3
            assert np.ptp(np.linalg.svd(gradient[matrix.entries].reshape(matrix.shape))[1]) > 1


def test_adam_follows_its_paper() -> None:
    mean, square, expected = (
        np.zeros(len(PARAMETERS)),
        np.zeros(len(PARAMETERS)),
        np.asarray(PARAMETERS, float),
    )
    found = own_walk(Adam(learning_rate=0.01))
    for number, gradient in enumerate(GRADIENTS.astype(float), start=1):
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        step = (mean / (1 - 0.9**number)) / (np.sqrt(square / (1 - 0.999**number)) + 1e-8)
        expected = expected - 0.01 * step
        np.testing.assert_allclose(found[number - 1], expected, atol=1e-6)


def test_lion_follows_its_paper() -> None:
    mean, expected = np.zeros(len(PARAMETERS)), np.asarray(PARAMETERS, float)
    found = own_walk(Lion(learning_rate=0.01, beta1=0.8, beta2=0.95, weight_decay=0.2))
    for gradient, wanted in zip(GRADIENTS.astype(float), found, strict=True):
        expected = expected - 0.01 * (np.sign(0.8 * mean + 0.2 * gradient) + 0.2 * WEIGHTS * expected)
        mean = 0.95 * mean + 0.05 * gradient
        np.testing.assert_allclose(wanted, expected, atol=1e-6)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd_follows_its_formula(momentum: float, nesterov: bool) -> None:
    velocity, expected = np.zeros(len(PARAMETERS)), np.asarray(PARAMETERS, float)
    found = own_walk(Sgd(learning_rate=0.1, momentum=momentum, nesterov=nesterov))
    for gradient, wanted in zip(GRADIENTS.astype(float), found, strict=True):
        velocity = gradient + momentum * velocity
        expected = expected - 0.1 * (gradient + momentum * velocity if nesterov else velocity)
        np.testing.assert_allclose(wanted, expected, atol=1e-5)


def test_a_schedule_free_optimizer_evaluates_the_average_of_its_points() -> None:
    optimizer = ScheduleFreeAdamW(learning_rate=0.05, warm_up=2, beta1=0.8, weight_decay=0.1)
    found, state = program(optimizer, 3.0, False)(GRADIENTS)
    start = np.asarray(PARAMETERS, float)
    point, average, square, weights, highest = start, start, np.zeros(len(start)), 0.0, 0.0
    for number, gradient in enumerate(GRADIENTS.astype(float)):
        gradient = gradient * min(1, 3 / np.linalg.norm(gradient))
        between = 0.2 * point + 0.8 * average
        square = 0.999 * square + 0.001 * gradient**2
        step = gradient / (np.sqrt(square / (1 - 0.999 ** (number + 1))) + 1e-8)
        # the step's own rate, and that of the average, which optax counts from 1
        rate, counted = (0.05 * min(each / 2, 1) for each in (number, number + 1))
        point = point - rate * (step + 0.1 * WEIGHTS * between)
        highest = max(highest, counted)
        weights += highest**2
        share = highest**2 / weights
        average = (1 - share) * average + share * point
        np.testing.assert_allclose(found[number], 0.2 * point + 0.8 * average, atol=2e-5)
    np.testing.assert_allclose(select_evaluated_parameters(state, jnp.asarray(found[-1])), average, atol=2e-5)
    assert np.abs(average - found[-1]).max() > 1e-3


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"schedule_free_adamw"}))
def test_other_optimizers_evaluate_the_parameters_themselves(name: str) -> None:
    state = build_optimizer(OPTIMIZERS[name], LAYOUT).init(PARAMETERS)
    assert select_evaluated_parameters(state, PARAMETERS) is PARAMETERS


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"adam", "rmsprop"}))
@pytest.mark.parametrize("ntk", [False, True])
def test_weight_decay_moves_weights_and_never_a_bias(name: str, ntk: bool) -> None:
    optimizer = OPTIMIZERS[name].model_copy(update={"weight_decay": 0.5})
    start = np.asarray(PARAMETERS) + (WEIGHTS == 0)  # biases that could be moved
    transform = build_optimizer(optimizer, LAYOUT, ntk=ntk)
    parameters, state = jnp.asarray(start, jnp.float32), transform.init(jnp.asarray(start, jnp.float32))
    update = jax.jit(transform.update)
    for _ in range(2):  # the first step of a warm-up is none
        updates, state = update(jnp.zeros(len(start)), state, parameters)
        parameters = parameters + rate_of(optimizer) * updates
    np.testing.assert_array_equal(parameters[WEIGHTS == 0], start[WEIGHTS == 0])
    shrunk = np.asarray(parameters)[WEIGHTS == 1] / start[WEIGHTS == 1]
    assert (shrunk < 1).all()
    assert np.ptp(shrunk) < 1e-4  # all by the same part


def test_adam_and_rmsprop_have_no_weight_decay() -> None:
    assert not {"weight_decay"} & (Adam.model_fields.keys() | RmsProp.model_fields.keys())


@jax.jit
def clipped(gradient: jax.Array, clip: jax.Array) -> jax.Array:
    transform = build_optimizer(Sgd(momentum=0.0), LAYOUT, clip=clip)
    return -transform.update(gradient, transform.init(PARAMETERS), PARAMETERS)[0]


def step_of(gradient: Sequence[float], clip: float) -> np.ndarray:
    return np.asarray(clipped(jnp.asarray(gradient, jnp.float32), jnp.float32(clip)), float)


@given(st.floats(1e-3, 1e3), st.floats(1e-6, 1e6), st.integers(0, 10_000))
def test_the_clip_bounds_the_length_and_keeps_the_direction(clip: float, size: float, seed: int) -> None:
    gradient = size * np.random.default_rng(seed).normal(size=len(PARAMETERS))
    found, length = step_of(gradient, clip), np.linalg.norm(gradient)
    assert np.linalg.norm(found) == pytest.approx(min(length, clip), rel=1e-4)
    np.testing.assert_allclose(found / np.linalg.norm(found), gradient / length, atol=1e-5)


@all_optimizers
def test_every_optimizer_takes_the_clipped_gradient(name: str) -> None:
    optimizer = OPTIMIZERS[name]
    lengths = np.linalg.norm(GRADIENTS, axis=1, keepdims=True)
    shortened = GRADIENTS * np.minimum(1, 2.0 / lengths)
    assert lengths.min() > 2
    found, expected = own_walk(optimizer, clip=2.0), own_walk(optimizer, shortened.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_ntk_is_adam_on_weights_that_stand_without_their_root() -> None:
    # weight = w / sqrt(inputs): the gradient of w is that of the weight divided by the root, and so is the step
    root = np.sqrt(np.asarray(LAYOUT.fan_in))
    found = own_walk(Adam(learning_rate=RATE, epsilon=1e-12), ntk=True) - np.asarray(PARAMETERS)
    other = own_walk(Adam(learning_rate=RATE, epsilon=1e-12), GRADIENTS / root) - np.asarray(PARAMETERS)
    np.testing.assert_allclose(found, other / root, atol=2e-6)


@all_optimizers
def test_ntk_divides_the_steps_by_the_root_of_the_inputs(name: str) -> None:
    optimizer = OPTIMIZERS[name]
    if getattr(optimizer, "weight_decay", 0):
        optimizer = optimizer.model_copy(update={"weight_decay": 0.0})
    plain, divided = (own_walk(optimizer, ntk=ntk) - np.asarray(PARAMETERS) for ntk in (False, True))
    np.testing.assert_allclose(divided, plain / np.sqrt(np.asarray(LAYOUT.fan_in)), atol=2e-6)
