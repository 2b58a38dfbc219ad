"""The loss and its gradient against a reference in NumPy's 64 bits, and the laws of weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from tamis.config import Dense
from tamis.network.network import Network, build_network, map_events
from tamis.training.batches import WeightedInputs
from tamis.training.loss import cross_entropy

RNG = np.random.default_rng(11)


def sample(n: int, inputs: int = 3, classes: int = 3, *, negative: float = 0.0) -> WeightedInputs:
    weight = RNG.uniform(0.2, 3, n) * np.where(RNG.random(n) < negative, -1, 1)
    return WeightedInputs(
        RNG.normal(size=(n, inputs)).astype(np.float32), RNG.integers(0, classes, n).astype(np.int32), weight
    )


def network_of(*nodes: int, classes: int = 3, seed: int = 0) -> Network:
    layers = [Dense(nodes=each, activation="tanh") for each in nodes]
    return build_network(3, classes, layers, key=jax.random.key(seed))


def loss_and_gradient(
    network: Network, events: WeightedInputs, rows: int | None = None
) -> tuple[float, np.ndarray]:
    """The loss of one batch that holds all events, as the training computes it."""
    rows = rows or len(events)
    parameters, unravel = ravel_pytree(network)
    batch = jnp.asarray(events.packed(rows).T)

    def loss(vector: jax.Array) -> jax.Array:
        value, _ = cross_entropy(map_events(unravel(vector), batch[:-2]), batch[-2], batch[-1])
        return value / rows

    value, gradient = jax.jit(jax.value_and_grad(loss))(parameters)
    return float(value), np.asarray(gradient)


def reference(network: Network, events: WeightedInputs) -> tuple[float, np.ndarray]:
    """Backpropagation by hand, in 64 bits: tanh layers, softmax, sum w l / sum w."""
    layers = [(np.asarray(each.weight, float), np.asarray(each.bias, float)) for each in network.layers]
    outputs = [events.inputs.astype(float)]
    for weight, bias in layers[:-1]:
        outputs.append(np.tanh(outputs[-1] @ weight.T + bias))
    logits = outputs[-1] @ layers[-1][0].T + layers[-1][1]
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_scores = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    share = events.weight / events.weight.sum()
    loss = -(share * log_scores[np.arange(len(share)), events.class_index]).sum()
    error = np.exp(log_scores)
    error[np.arange(len(share)), events.class_index] -= 1
    error *= share[:, None]
    gradients: list[np.ndarray] = []
    for number in range(len(layers) - 1, -1, -1):
        gradients = [(error.T @ outputs[number]).ravel(), error.sum(axis=0), *gradients]
        error = (error @ layers[number][0]) * (1 - outputs[number] ** 2)
    return float(loss), np.concatenate(gradients)


@pytest.mark.parametrize("negative", [0.0, 0.25])
@pytest.mark.parametrize("nodes", [(), (5,), (6, 4)])
def test_loss_and_gradient_equal_the_reference(nodes: tuple[int, ...], negative: float) -> None:
    network, events = network_of(*nodes), sample(200, negative=negative)
    value, gradient = loss_and_gradient(network, events)
    expected, expected_gradient = reference(network, events)
    assert value == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-5 * np.abs(expected_gradient).max())


def test_weight_two_equals_a_doubled_row() -> None:
    network, events = network_of(6), sample(50)
    weight = events.weight.copy()
    weight[7] *= 2
    heavy = WeightedInputs(events.inputs, events.class_index, weight)
    rows = [*range(50), 7]
    doubled = WeightedInputs(events.inputs[rows], events.class_index[rows], events.weight[rows])
    first, second = loss_and_gradient(network, heavy), loss_and_gradient(network, doubled)
    assert first[0] == pytest.approx(second[0], rel=1e-5)
    np.testing.assert_allclose(first[1], second[1], atol=1e-5 * np.abs(second[1]).max())


def test_weight_zero_equals_a_dropped_row() -> None:
    network, events = network_of(6), sample(50)
    weight = events.weight.copy()
    weight[7] = 0
    light = WeightedInputs(events.inputs, events.class_index, weight)
    rows = [row for row in range(50) if row != 7]
    dropped = WeightedInputs(events.inputs[rows], events.class_index[rows], events.weight[rows])
    first, second = loss_and_gradient(network, light), loss_and_gradient(network, dropped)
    assert first[0] == pytest.approx(second[0], rel=1e-5)
    np.testing.assert_allclose(first[1], second[1], atol=1e-5 * np.abs(second[1]).max())


@pytest.mark.parametrize("factor", [1e-20, 1e-3, 1e12])
def test_scaling_all_weights_changes_nothing(factor: float) -> None:
    network, events = network_of(6), sample(50, negative=0.2)
    scaled = WeightedInputs(events.inputs, events.class_index, factor * events.weight)
    first, second = loss_and_gradient(network, events), loss_and_gradient(network, scaled)
    np.testing.assert_allclose(first[1], second[1], rtol=1e-4, atol=1e-7)
    assert first[0] == pytest.approx(second[0], rel=1e-6)


def test_padding_changes_nothing() -> None:
    network, events = network_of(6), sample(50)
    first, second = loss_and_gradient(network, events), loss_and_gradient(network, events, rows=77)
    assert first[0] == pytest.approx(second[0], rel=1e-5)
    np.testing.assert_allclose(first[1], second[1], rtol=1e-4, atol=1e-7)


def test_large_logits_stay_finite() -> None:
    logits = jnp.array([[1e4, -1e4], [-1e4, 1e4]])
    loss, right = cross_entropy(logits, jnp.array([0.0, 0.0]), jnp.array([1.0, 1.0]))
    assert float(loss) == pytest.approx(2e4)
    assert float(right) == 1


def test_equal_logits_are_right_in_equal_parts() -> None:
    _, right = cross_entropy(jnp.zeros((3, 4)), jnp.array([0.0, 1.0, 2.0, 0.0]), jnp.ones(4))
    assert float(right) == pytest.approx(4 / 3)


def test_the_right_events_are_counted_by_weight() -> None:
    logits = jnp.array([[2.0, 0.0, 1.0], [0.0, 3.0, 2.0]])
    _, right = cross_entropy(logits, jnp.array([0.0, 0.0, 1.0]), jnp.array([1.0, 2.0, 4.0]))
    assert float(right) == 5
