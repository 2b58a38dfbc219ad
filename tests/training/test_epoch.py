"""The compiled program of an epoch against NumPy: steps, normalisation, and the laws of weights."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tamis.config import Sgd, Training
from tamis.network.network import Network, build_network
from tamis.training.batches import WeightedInputs, shuffled_blocks
from tamis.training.devices import place
from tamis.training.loop import Trained, follow, train

RATE = 0.1
RNG = np.random.default_rng(4)


def sample(n: int) -> WeightedInputs:
    # weights that differ much from batch to batch: a batch's own sum would give other steps
    weight = np.exp(RNG.normal(0, 2, n)) * np.where(RNG.random(n) < 0.1, -1, 1)
    return WeightedInputs(
        RNG.normal(size=(n, 3)).astype(np.float32), RNG.integers(0, 3, n).astype(np.int32), weight
    )


def linear() -> Network:
    return build_network(3, 3, [], key=jax.random.key(0))


def run(events: WeightedInputs, batch_size: int, epochs: int = 1) -> Trained:
    settings = Training(
        optimizer=Sgd(learning_rate=RATE, momentum=0.0),
        schedule="constant",
        batch_size=batch_size,
        epochs=epochs,
        early_stopping=None,
    )
    return follow(train(linear(), events, sample(20), settings, seed=3))


def gradient(
    weight: np.ndarray, bias: np.ndarray, inputs: np.ndarray, classes: np.ndarray, share: np.ndarray
):
    logits = inputs @ weight.T + bias
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = scores / scores.sum(axis=1, keepdims=True)
    error[np.arange(len(classes)), classes] -= 1
    error *= share[:, None]
    return error.T @ inputs, error.sum(axis=0)


@pytest.mark.parametrize(("events", "batch_size"), [(96, 32), (100, 32), (50, 50)])
def test_every_step_is_normalised_by_the_sum_of_all_weights(events: int, batch_size: int) -> None:
    data = sample(events)
    # the training gives its first block the number 0
    blocks = shuffled_blocks(data, batch_size, 3, place(1, batch_size, [3, 3]))
    block = np.array(next(blocks), np.float64)
    blocks.close()
    network = linear()
    weight, bias = (
        np.asarray(each, np.float64) for each in (network.layers[0].weight, network.layers[0].bias)
    )
    for batch in block:
        present = batch[-1] != 0
        inputs, classes = batch[:3, present].T, batch[3, present].astype(int)
        # the weights in the block have a mean of one over its rows: w / sum of all w, times the number of batches
        share = batch[-1, present] / batch_size
        by_weight, by_bias = gradient(weight, bias, inputs, classes, share)
        weight, bias = weight - RATE * by_weight, bias - RATE * by_bias
    total = block[:, -1].sum() / batch_size
    assert total == pytest.approx(len(block))  # the shares of all batches together: their number
    trained = run(data, batch_size).network.layers[0]
    np.testing.assert_allclose(trained.weight, weight, atol=2e-5)
    np.testing.assert_allclose(trained.bias, bias, atol=2e-5)


def rows(data: WeightedInputs, chosen: list[int]) -> WeightedInputs:
    return WeightedInputs(data.inputs[chosen], data.class_index[chosen], data.weight[chosen])


def test_weight_two_trains_as_a_doubled_row_and_weight_zero_as_a_dropped_one() -> None:
    data = sample(40)
    weight = data.weight.copy()
    weight[5], weight[9] = 2 * weight[5], 0.0
    weighted = WeightedInputs(data.inputs, data.class_index, weight)
    repeated = rows(data, [*(row for row in range(40) if row != 9), 5])
    first, second = (run(each, 64, epochs=5).network.layers[0] for each in (weighted, repeated))
    np.testing.assert_allclose(first.weight, second.weight, atol=1e-5)
    np.testing.assert_allclose(first.bias, second.bias, atol=1e-5)


def test_scaling_all_weights_trains_the_same() -> None:
    data = sample(100)
    scaled = WeightedInputs(data.inputs, data.class_index, 1e7 * data.weight)
    first, second = (run(each, 32, epochs=3).network.layers[0] for each in (data, scaled))
    np.testing.assert_allclose(first.weight, second.weight, atol=1e-5)
