from __future__ import annotations

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.config import Dense
from tamis.config import Network as NetworkSection
from tamis.config.layers import Activation as ActivationName
from tamis.network.activations import activation, draw_initial_weight
from tamis.network.network import Network, build_network, compute_scores_of_logits, map_events
from tamis.network.prediction import predict_gradients, predict_scores

NAMES = get_args(ActivationName)
X = np.array([-3.0, -1.0, -0.1, 0.2, 1.0, 4.0])
# from the definitions, in 64 bits
KNOWN = {
    "relu": np.maximum(X, 0),
    "leaky_relu": np.where(X > 0, X, 0.01 * X),
    "elu": np.where(X > 0, X, np.exp(X) - 1),
    "selu": 1.0507009873554805 * np.where(X > 0, X, 1.6732632423543772 * (np.exp(X) - 1)),
    "silu": X / (1 + np.exp(-X)),
    "mish": X * np.tanh(np.log1p(np.exp(X))),
    "tanh": np.tanh(X),
    "sigmoid": 1 / (1 + np.exp(-X)),
    "softplus": np.log1p(np.exp(X)),
    "linear": X,
    "gelu": X * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3))),
}


@pytest.mark.parametrize("name", NAMES)
def test_activations_follow_their_formula(name: ActivationName) -> None:
    found = activation(name)(jnp.asarray(X, jnp.float32))
    np.testing.assert_allclose(found, KNOWN[name], rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_initial_weights_have_the_fitting_spread(name: ActivationName) -> None:
    weight = np.asarray(draw_initial_weight(name, 300, 500, random=np.random.default_rng(1)))
    expected = {"selu": 1 / 500, "tanh": 2 / 800, "sigmoid": 2 / 800, "linear": 2 / 800}.get(name, 2 / 500)
    assert weight.shape == (300, 500)
    assert weight.var() == pytest.approx(expected, rel=0.02)
    assert abs(weight.mean()) < 5 * np.sqrt(expected / weight.size)


def numpy_logits(network, inputs: np.ndarray) -> np.ndarray:
    x = inputs.astype(np.float64)
    for layer in network.layers:
        x = x @ np.asarray(layer.weight, np.float64).T + np.asarray(layer.bias, np.float64)
        x = np.maximum(x, 0) if layer.activation == "relu" else x
    return x


@pytest.mark.parametrize(
    ("widths", "inputs", "classes", "events"), [([], 1, 2, 0), ([5, 1, 9], 6, 5, 20), ([3], 4, 3, 1)]
)
def test_scores_are_the_softmax_of_the_layers(
    widths: list[int], inputs: int, classes: int, events: int
) -> None:
    check_scores(widths, inputs, classes, events)


@pytest.mark.slow  # each shape is compiled
@settings(max_examples=20)
@given(
    widths=st.lists(st.integers(1, 9), min_size=0, max_size=4),
    inputs=st.integers(1, 6),
    classes=st.integers(2, 5),
    events=st.integers(0, 20),
)
def test_scores_are_the_softmax_of_layers_of_any_width(
    widths: list[int], inputs: int, classes: int, events: int
) -> None:
    check_scores(widths, inputs, classes, events)


def check_scores(widths: list[int], inputs: int, classes: int, events: int) -> None:
    layers = [Dense(nodes=nodes, activation="relu") for nodes in widths]
    network = build_network(inputs, classes, layers, random=np.random.default_rng(len(widths)))
    x = np.random.default_rng(0).normal(size=(events, inputs)).astype(np.float32)
    scores = predict_scores(network, x)
    logits = numpy_logits(network, x)
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    assert scores.shape == (events, classes)
    np.testing.assert_allclose(scores, expected, atol=2e-6)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert network.widths == (inputs, *widths, classes)
    assert network.parameters == sum(
        (a + 1) * b for a, b in zip(network.widths, network.widths[1:], strict=False)
    )


def test_events_along_the_last_axis_equal_one_event_at_a_time() -> None:
    network = build_network(3, 2, [Dense(nodes=5)], random=np.random.default_rng(0))
    x = jax.random.normal(jax.random.key(1), (3, 7))
    one_by_one = jnp.stack([network(x[:, event]) for event in range(7)], axis=1)
    np.testing.assert_allclose(map_events(network, x), one_by_one, rtol=1e-5, atol=1e-6)


def test_an_event_has_the_same_score_in_any_company() -> None:
    network = build_network(3, 3, [Dense(nodes=16), Dense(nodes=16)], random=np.random.default_rng(0))
    x = np.random.default_rng(0).normal(size=(20_000, 3)).astype(np.float32)
    together = predict_scores(network, x)
    for rows in (slice(0, 1), slice(5, 12), slice(8190, 8195), slice(19_999, 20_000)):
        assert predict_scores(network, x[rows]).tobytes() == together[rows].tobytes()


MEMBERS = NetworkSection(
    layers=(Dense(nodes=5), Dense(nodes=4, dropout=0.2)),
    shared_members=3,
    gains=None,
    output_initialisation="random",
)


@pytest.mark.parametrize("nodes", [(6, 6), (64, 64), (13, 7)])
def test_an_event_has_the_same_score_wherever_it_stands(nodes: tuple[int, ...]) -> None:
    """Bit by bit: files are scored in chunks, and single entries of them again to prove that they were."""
    network = build_network(19, 3, [Dense(nodes=width) for width in nodes], random=np.random.default_rng(1))
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(10_000, 19)).astype(np.float32)
    order = rng.permutation(len(inputs))
    np.testing.assert_array_equal(
        predict_scores(network, inputs[order]), predict_scores(network, inputs)[order]
    )


@pytest.mark.parametrize("members", [1, pytest.param(3, marks=pytest.mark.slow), 40])  # each is compiled
def test_blocks_and_their_parts_change_nothing(members: int) -> None:
    section = NetworkSection(
        layers=(Dense(nodes=7),), shared_members=members, gains=None, output_initialisation="random"
    )
    network = build_network(4, 3, section, random=np.random.default_rng(2))
    inputs = np.random.default_rng(0).normal(size=(2**15 + 700, 4)).astype(np.float32)
    expected = np.asarray(compute_scores_of_logits(map_events(network, jnp.asarray(inputs.T)))).T
    np.testing.assert_allclose(predict_scores(network, inputs), expected, atol=1e-6)
    log_scores, gradients = predict_gradients(network, inputs)
    np.testing.assert_allclose(log_scores, np.log(expected), atol=1e-5)
    for rows in (slice(0, 1), slice(511, 514), slice(4095, 4098), slice(len(inputs) - 1, len(inputs))):
        alone = predict_gradients(network, inputs[rows])
        assert alone[0].tobytes() == log_scores[rows].tobytes()
        assert alone[1].tobytes() == gradients[rows].tobytes()


def test_one_member_is_the_plain_network() -> None:
    plain = build_network(3, 2, MEMBERS.layers, random=np.random.default_rng(1))
    one = build_network(
        3, 2, MEMBERS.model_copy(update={"shared_members": 1}), random=np.random.default_rng(1)
    )
    assert jax.tree.structure(plain) == jax.tree.structure(one)
    for first, second in zip(jax.tree.leaves(plain), jax.tree.leaves(one), strict=True):
        assert np.array_equal(first, second)


def test_each_member_is_a_plain_network_of_scaled_inputs() -> None:
    network = build_network(3, 2, MEMBERS, random=np.random.default_rng(1))
    assert network.shared_members == 3
    assert network.scales is not None
    inputs = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    scores = []
    for member in range(3):
        output = jax.tree.map(lambda leaf, number=member: leaf[number], network.layers[-1])
        alone = Network((*network.layers[:-1], output))
        scores.append(predict_scores(alone, inputs * np.asarray(network.scales[member])))
    np.testing.assert_allclose(predict_scores(network, inputs), np.mean(scores, axis=0), atol=1e-6)
    assert np.abs(scores[0] - scores[1]).max() > 1e-3


def test_one_output_stands_for_two_classes() -> None:
    network = build_network(3, 2, [Dense(nodes=4)], random=np.random.default_rng(0), outputs=1)
    inputs = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    logit = np.asarray(map_events(network, jnp.asarray(inputs.T)))[0]
    np.testing.assert_allclose(predict_scores(network, inputs)[:, 1], 1 / (1 + np.exp(-logit)), rtol=1e-5)
    np.testing.assert_allclose(predict_scores(network, inputs).sum(axis=1), 1, rtol=1e-6)


def test_an_output_layer_of_zeros_gives_equal_scores() -> None:
    section = NetworkSection(layers=(Dense(nodes=4),), output_initialisation="zero", gains=None)
    network = build_network(3, 4, section, random=np.random.default_rng(0))
    np.testing.assert_allclose(predict_scores(network, np.ones((5, 3), np.float32)), 0.25)


def test_batch_normalisation_of_members_is_refused() -> None:
    with pytest.raises(ValueError, match="would mix the members"):
        NetworkSection(layers=(Dense(nodes=4, normalisation="batch"),), shared_members=2)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            (Dense(nodes=4, residual=True),),
            r"layers\[0\] is residual and has 4 nodes, but it follows the inputs",
        ),
        (
            (Dense(nodes=4), Dense(nodes=5, residual=True)),
            r"layers\[1\] is residual and has 5 nodes, but it follows 4 nodes",
        ),
    ],
)
def test_a_residual_layer_follows_as_many_nodes(layers: tuple[Dense, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkSection(layers=layers)
