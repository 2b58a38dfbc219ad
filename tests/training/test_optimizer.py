from __future__ import annotations

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from tamis.config import Adam, AdamW, Dense, Sgd
from tamis.network.network import build_network
from tamis.training.optimizer import ScheduleName, build_optimizer, learning_rate

NETWORK = build_network(3, 2, [Dense(nodes=4)], key=jax.random.key(0))
PARAMETERS, UNRAVEL = ravel_pytree(NETWORK)
GRADIENTS = np.random.default_rng(0).normal(size=(4, len(PARAMETERS)))


def steps(optimizer: Adam | AdamW | Sgd, schedule: ScheduleName = "constant") -> list[np.ndarray]:
    transform = build_optimizer(optimizer, learning_rate(schedule, optimizer.learning_rate, 4), NETWORK)
    state, found = transform.init(PARAMETERS), []
    for gradient in GRADIENTS:
        update, state = transform.update(jnp.asarray(gradient, jnp.float32), state, PARAMETERS)
        found.append(np.asarray(update))
    return found


def test_adam_follows_its_paper() -> None:
    mean, square = np.zeros(len(PARAMETERS)), np.zeros(len(PARAMETERS))
    for number, (gradient, found) in enumerate(
        zip(GRADIENTS, steps(Adam(learning_rate=0.01)), strict=True), start=1
    ):
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        expected = -0.01 * (mean / (1 - 0.9**number)) / (np.sqrt(square / (1 - 0.999**number)) + 1e-8)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd_follows_its_formula(momentum: float, nesterov: bool) -> None:
    velocity = np.zeros(len(PARAMETERS))
    found = steps(Sgd(learning_rate=0.1, momentum=momentum, nesterov=nesterov))
    for gradient, update in zip(GRADIENTS, found, strict=True):
        velocity = gradient + momentum * velocity
        expected = -0.1 * (gradient + momentum * velocity if nesterov else velocity)
        np.testing.assert_allclose(update, expected, rtol=1e-5, atol=1e-6)


def test_weight_decay_leaves_biases_alone() -> None:
    difference = UNRAVEL(
        jnp.asarray(
            steps(AdamW(learning_rate=0.01, weight_decay=0.5))[0] - steps(Adam(learning_rate=0.01))[0]
        )
    )
    for layer, change in zip(NETWORK.layers, difference.layers, strict=True):
        np.testing.assert_allclose(change.weight, -0.01 * 0.5 * layer.weight, rtol=1e-3, atol=1e-7)
        assert np.abs(change.bias).max() == 0


@pytest.mark.parametrize("name", get_args(ScheduleName))
def test_schedules_keep_their_shape(name: ScheduleName) -> None:
    rate = np.array([float(learning_rate(name, 0.1, 1000)(step)) for step in range(1000)])
    assert rate.max() == pytest.approx(0.1, rel=1e-3)
    if name == "constant":
        assert rate.min() == rate.max()
    if name == "cosine":
        assert rate[0] == rate.max()
        assert rate[-1] < 1e-6
        assert (np.diff(rate) <= 0).all()
    if name == "one_cycle":
        top = int(rate.argmax())
        assert 0.1 < top / 1000 < 0.2
        assert rate[0] == pytest.approx(0.1 / 25)
        assert rate[-1] < 1e-4
        assert (np.diff(rate[:top]) >= 0).all()
        assert (np.diff(rate[top:]) <= 0).all()
