"""The compiled program of an epoch against NumPy: steps, normalisation, and the laws of weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tamis.config import Dense, Sgd, Training
from tamis.config import Network as NetworkSection
from tamis.network.network import Network, build_network, map_training_events
from tamis.training import step
from tamis.training.batches import WeightedInputs, shuffle_blocks
from tamis.training.devices import choose_placement
from tamis.training.events import Trained, run_training
from tamis.training.fit import fit
from tamis.training.recipe import resolve_recipe

RATE = 0.1
RNG = np.random.default_rng(4)


def sample(n: int) -> WeightedInputs:
    # weights that differ much from batch to batch: a batch's own sum would give other steps
    weight = np.exp(RNG.normal(0, 2, n)) * np.where(RNG.random(n) < 0.1, -1, 1)
    return WeightedInputs(
        RNG.normal(size=(n, 3)).astype(np.float32), RNG.integers(0, 3, n).astype(np.int32), weight
    )


def linear() -> Network:
    return build_network(3, 3, [], random=np.random.default_rng(0))


def run(events: WeightedInputs, batch_size: int, epochs: int = 1, ema_decay: float | None = None) -> Trained:
    settings = Training(
        optimizer=Sgd(learning_rate=RATE, momentum=0.0),
        schedule="constant",
        batch_size=batch_size,
        epochs=epochs,
        early_stopping=None,
        ema_decay=ema_decay,
    )
    recipe = resolve_recipe(settings, len(events))
    return run_training(fit(linear(), events, sample(20), recipe, seed=3))


def gradient(
    weight: np.ndarray, bias: np.ndarray, inputs: np.ndarray, classes: np.ndarray, share: np.ndarray
):
    logits = inputs @ weight.T + bias
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = scores / scores.sum(axis=1, keepdims=True)
    error[np.arange(len(classes)), classes] -= 1
    error *= share[:, None]
    return error.T @ inputs, error.sum(axis=0)


@pytest.mark.parametrize(
    ("events", "batch_size", "average"),
    # the last is taken in pieces
    [(96, 32, None), (100, 32, None), (50, 50, None), (100, 8, 0.7), (5000, 4096, None)],
)
def test_every_step_is_normalised_by_the_sum_of_all_weights(
    events: int, batch_size: int, average: float | None
) -> None:
    data = sample(events)
    # the training gives its first block the number 0
    blocks = shuffle_blocks(data, batch_size, 3, choose_placement(1, batch_size, [3, 3]))
    block = np.array(next(blocks), np.float64)
    blocks.close()
    network = linear()
    weight, bias = (
        np.asarray(each, np.float64) for each in (network.layers[0].weight, network.layers[0].bias)
    )
    averages = weight, bias
    for number, batch in enumerate(block):
        present = batch[-1] != 0
        inputs, classes = batch[:3, present].T, batch[3, present].astype(int)
        # the weights in the block have a mean of one over its rows: w / sum of all w, times the number of batches
        share = batch[-1, present] / batch_size
        by_weight, by_bias = gradient(weight, bias, inputs, classes, share)
        weight, bias = weight - RATE * by_weight, bias - RATE * by_bias
        # the average forgets the beginning faster
        keep = 0.0 if average is None else min(average, (1 + number) / (10 + number))
        averages = tuple(keep * a + (1 - keep) * b for a, b in zip(averages, (weight, bias), strict=True))
    total = block[:, -1].sum() / batch_size
    assert total == pytest.approx(len(block))  # the shares of all batches together: their number
    trained = run(data, batch_size, ema_decay=average).network.layers[0]
    np.testing.assert_allclose(trained.weight, averages[0], atol=2e-5)
    np.testing.assert_allclose(trained.bias, averages[1], atol=2e-5)


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
    np.testing.assert_allclose(first.weight, second.weight, atol=1e-6)
    np.testing.assert_allclose(first.bias, second.bias, atol=1e-6)


def logits_while_learning(network: Network, inputs: np.ndarray) -> np.ndarray:
    seeds = np.random.default_rng(1).integers(0, 2**32, inputs.shape[1], dtype=np.uint32)
    present = jnp.ones(inputs.shape[1])
    learn = jax.jit(lambda x: map_training_events(network, x, jnp.asarray(seeds), present)[0])
    return np.asarray(learn(jnp.float32(inputs)))


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_dropout_keeps_the_expectation_and_predicts_without_chance(fraction: float) -> None:
    layer = Dense(nodes=16, activation="linear", dropout=fraction)
    network = build_network(3, 2, [layer], random=np.random.default_rng(1))
    events = 20_000
    same = np.repeat(RNG.normal(size=(3, 1)), events, axis=1)
    predicted = np.asarray(network(jnp.float32(same[:, 0])))
    found = logits_while_learning(network, same)
    assert (found.std(axis=1) > 0.01).all()
    np.testing.assert_allclose(found.mean(axis=1), predicted, atol=5 * found.std() / events**0.5)
    without = build_network(
        3, 2, [layer.model_copy(update={"dropout": 0.0})], random=np.random.default_rng(1)
    )
    np.testing.assert_array_equal(without(jnp.float32(same[:, 0])), predicted)


def test_batch_normalisation_learns_the_means_of_the_data_and_leaves_the_network_as_it_was() -> None:
    layer = Dense(nodes=5, normalisation="batch")
    network = build_network(3, 3, [layer], random=np.random.default_rng(1))
    data = sample(1000)  # 16 batches of 64, the last one padded
    # events of negative weight have other values, and count like all others
    inputs = (3 * data.inputs + [1, -2, 0] + 10 * (data.weight < 0)[:, None]).astype(np.float32)
    settings = Training(
        optimizer=Sgd(learning_rate=1e-12, momentum=0.0), batch_size=64, epochs=8, early_stopping=None
    )
    recipe = resolve_recipe(settings, len(data))
    trained = run_training(
        fit(network, replace(data, inputs=inputs), sample(20), recipe, seed=3)
    ).network.layers[0]
    nodes = inputs.astype(float) @ np.asarray(network.layers[0].weight, float).T
    assert (network.layers[0].normalisation.mean.value == 0).all()
    deviation = nodes.std(axis=0)
    assert np.abs((trained.normalisation.mean.value - nodes.mean(axis=0)) / deviation).max() < 0.1
    np.testing.assert_allclose(trained.normalisation.variance.value, nodes.var(axis=0), rtol=0.15)


def test_batch_normalisation_leaves_out_events_that_only_fill_up() -> None:
    network = build_network(3, 3, [Dense(nodes=5, normalisation="batch")], random=np.random.default_rng(1))
    inputs = jnp.float32(RNG.normal(size=(3, 8)))

    @jax.jit
    def learn(inputs: jax.Array, present: jax.Array) -> tuple[jax.Array, Network]:
        return map_training_events(network, inputs, jnp.zeros(8, jnp.uint32), present)

    present = jnp.array([1.0] * 5 + [0.0] * 3)
    first, after = learn(inputs, present)
    second, again = learn(inputs.at[:, 5:].set(1e3), present)
    np.testing.assert_allclose(first[:, :5], second[:, :5], atol=1e-6)
    np.testing.assert_array_equal(*(each.layers[0].normalisation.mean.value for each in (after, again)))
    nodes = (np.asarray(network.layers[0].weight) @ np.asarray(inputs))[:, :5]
    np.testing.assert_allclose(after.layers[0].normalisation.mean.value, 0.05 * nodes.mean(axis=1), atol=1e-6)


def of_large_batches(layer: Dense, **network: Any) -> list[np.ndarray]:
    rng = np.random.default_rng(8)
    inputs = rng.normal(size=(5000, 3)).astype(np.float32)
    events = WeightedInputs(inputs, rng.integers(0, 2, 5000).astype(np.int32), np.ones(5000))
    settings = Training(
        optimizer=Sgd(learning_rate=RATE), batch_size=4096, epochs=2, early_stopping=None, devices=1
    )
    section = NetworkSection(layers=(layer,), gains=None, **network)
    start = build_network(3, 2, section, random=np.random.default_rng(0))
    recipe = resolve_recipe(settings, len(events))
    trained = run_training(fit(start, events, sample_of_two(), recipe, seed=3))
    return [np.asarray(leaf) for leaf in jax.tree.leaves(trained.network)]


def sample_of_two() -> WeightedInputs:
    rng = np.random.default_rng(9)
    return WeightedInputs(
        rng.normal(size=(100, 3)).astype(np.float32), rng.integers(0, 2, 100).astype(np.int32), np.ones(100)
    )


@pytest.mark.parametrize(
    ("layer", "network"),
    [
        (Dense(nodes=8, dropout=0.3), {"shared_members": 2}),
        # slow: each is compiled
        pytest.param(Dense(nodes=8, dropout=0.0), {}, marks=pytest.mark.slow),
        pytest.param(Dense(nodes=8, dropout=0.3), {}, marks=pytest.mark.slow),
        pytest.param(Dense(nodes=8, dropout=0.0, normalisation="layer"), {}, marks=pytest.mark.slow),
    ],
)
def test_a_batch_in_pieces_makes_the_step_of_the_whole(
    layer: Dense, network: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = of_large_batches(layer, **network)
    monkeypatch.setattr(step, "PIECES_FROM", 10**9)
    whole = of_large_batches(layer, **network)
    for first, second in zip(pieces, whole, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6)
    assert any(first.tobytes() != second.tobytes() for first, second in zip(pieces, whole, strict=True))


def test_a_layer_that_looks_at_the_whole_batch_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Dense(nodes=8, dropout=0.0, normalisation="batch")
    found = of_large_batches(layer)
    monkeypatch.setattr(step, "PIECES_FROM", 10**9)
    assert [each.tobytes() for each in found] == [each.tobytes() for each in of_large_batches(layer)]
