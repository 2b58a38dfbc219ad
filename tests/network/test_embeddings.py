from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.config import Adam, Dense, Embedding, Network, Periodic, PiecewiseLinear, Training
from tamis.network.embeddings import Periodic as PeriodicLayer
from tamis.network.embeddings import PiecewiseLinear as PiecewiseLinearLayer
from tamis.network.embeddings import build_embedding, sine_and_cosine
from tamis.network.layers import Buffer
from tamis.network.network import build_network, map_events
from tamis.network.prediction import predict_scores
from tamis.training.batches import WeightedInputs
from tamis.training.events import run_training
from tamis.training.fit import fit
from tamis.training.parameters import flatten
from tamis.training.recipe import resolve_recipe

SEED = 3
RNG = np.random.default_rng(1)
SECTIONS: list[Embedding] = [Periodic(frequencies=3, nodes=5, sigma=0.5), PiecewiseLinear(bins=6)]
EACH = pytest.mark.parametrize("section", SECTIONS, ids=["periodic", "piecewise_linear"])


def piecewise(*edges: list[float]) -> PiecewiseLinearLayer:
    return PiecewiseLinearLayer(Buffer(jnp.array(edges, jnp.float32)))


def test_bins_have_known_positions() -> None:
    layer = piecewise([0, 1, 3], [-1, 0, 10])
    assert layer.inputs == 2
    assert layer.outputs == 4
    np.testing.assert_allclose(layer(jnp.array([0.5, 5.0])), [0.5, 0, 1, 0.5])
    np.testing.assert_allclose(layer(jnp.array([2.0, -0.25])), [1, 0.5, 0.75, 0])
    np.testing.assert_allclose(layer(jnp.array([-9.0, 99.0])), [0, 0, 1, 1])


@jax.jit
def positions_of(edges: jax.Array, values: jax.Array) -> jax.Array:
    return jax.vmap(PiecewiseLinearLayer(Buffer(edges[None])))(values[:, None])


@given(
    edges=st.lists(st.floats(-100, 100, width=32), min_size=5, max_size=5).map(sorted),
    values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=4, max_size=4).map(
        sorted
    ),
)
def test_positions_rise_from_zero_to_one(edges: list[float], values: list[float]) -> None:
    positions = np.asarray(positions_of(np.array(edges, np.float32), np.array(values, np.float32)))
    assert ((positions >= 0) & (positions <= 1)).all()
    assert (np.diff(positions, axis=0) >= 0).all()
    # a bin begins where the one before it ends
    assert (np.diff(positions, axis=1) <= 0).all()


def test_equal_edges_make_a_step() -> None:
    layer = piecewise([0, 0, 0, 1, 1])
    np.testing.assert_array_equal(layer(jnp.array([0.0])), [0, 0, 0, 0])
    np.testing.assert_array_equal(layer(jnp.array([1.0])), [1, 1, 1, 0])
    np.testing.assert_allclose(layer(jnp.array([0.25])), [1, 1, 0.25, 0])
    np.testing.assert_array_equal(layer(jnp.array([2.0])), [1, 1, 1, 1])
    slope = jax.jacobian(layer)(jnp.array([0.0]))
    assert np.isfinite(slope).all()


def test_bins_hold_equally_many_events_of_the_sample() -> None:
    sample = RNG.exponential(size=(8000, 2)).astype(np.float32)
    layer = build_embedding(PiecewiseLinear(bins=8), 2, sample, random=np.random.default_rng(SEED))
    assert isinstance(layer, PiecewiseLinearLayer)
    edges = np.asarray(layer.edges.value)
    assert edges.dtype == np.float32
    np.testing.assert_array_equal(edges[:, [0, -1]], np.array([sample.min(axis=0), sample.max(axis=0)]).T)
    for column in range(2):
        counts = np.histogram(sample[:, column], edges[column])[0]
        assert np.abs(counts - 1000).max() <= 1


def test_some_of_many_events_place_the_edges() -> None:
    sample = np.arange(250_000, dtype=np.float32)[:, None] / 250_000
    layer = build_embedding(PiecewiseLinear(bins=4), 1, sample, random=np.random.default_rng(SEED))
    assert isinstance(layer, PiecewiseLinearLayer)
    np.testing.assert_allclose(layer.edges.value, [[0, 0.25, 0.5, 0.75, 1]], atol=1e-4)


@pytest.mark.parametrize("sample", [None, np.empty((0, 2), np.float32)], ids=["none", "empty"])
def test_without_a_sample_the_bins_are_even(sample: np.ndarray | None) -> None:
    layer = build_embedding(PiecewiseLinear(bins=3), 2, sample, random=np.random.default_rng(SEED))
    assert isinstance(layer, PiecewiseLinearLayer)
    np.testing.assert_allclose(layer.edges.value, [[-3, -1, 1, 3]] * 2, atol=1e-6)


def test_waves_follow_their_formula() -> None:
    layer = build_embedding(SECTIONS[0], 3, None, random=np.random.default_rng(SEED))
    assert isinstance(layer, PeriodicLayer)
    x = np.array([0.3, -1.2, 2.5])
    frequency, weight = np.asarray(layer.frequency, np.float64), np.asarray(layer.weight, np.float64)
    expected = list(x)
    for i in range(3):
        angle = 2 * np.pi * frequency[i] * x[i]
        waves = np.concatenate([np.sin(angle), np.cos(angle)])
        expected += np.maximum(weight[i] @ waves + np.asarray(layer.bias)[i], 0).tolist()
    np.testing.assert_allclose(layer(jnp.asarray(x, jnp.float32)), expected, rtol=1e-4, atol=1e-5)


def test_sine_and_cosine_follow_numpy() -> None:
    turns = np.linspace(-50, 50, 40_001, dtype=np.float32)
    computed, slopes = jax.jvp(sine_and_cosine, (jnp.asarray(turns),), (jnp.ones(len(turns)),))
    angle = 2 * np.pi * turns.astype(np.float64)
    np.testing.assert_allclose(computed, [np.sin(angle), np.cos(angle)], atol=5e-7)
    np.testing.assert_allclose(slopes, 2 * np.pi * np.array([np.cos(angle), -np.sin(angle)]), atol=5e-6)


def test_with_gains_a_network_begins_as_the_one_without_periodic_nodes() -> None:
    network = network_with(SECTIONS[0], 3)
    assert network.gains is not None
    np.testing.assert_allclose(network.gains.factors, [1] * 3 + [0] * 15, atol=1e-6)
    binned = network_with(SECTIONS[1], 3)
    assert binned.gains is not None
    np.testing.assert_array_equal(binned.gains.factors, 1)


def test_frequencies_have_the_width_that_is_asked_for() -> None:
    layers = [
        build_embedding(
            Periodic(frequencies=3, nodes=5, sigma=sigma), 3, None, random=np.random.default_rng(SEED)
        )
        for sigma in (1, 0.25)
    ]
    wide, narrow = (np.asarray(layer.frequency) for layer in layers if isinstance(layer, PeriodicLayer))
    np.testing.assert_array_equal(narrow, wide / 4)
    assert 0.3 < wide.std() < 2


@EACH
def test_sizes_are_what_comes_out(section: Embedding) -> None:
    layer = build_embedding(section, 3, None, random=np.random.default_rng(SEED))
    assert layer.inputs == 3
    assert layer.outputs == 18  # 1 + 5 nodes, or 6 bins
    assert layer(jnp.zeros(3)).shape == (18,)
    assert layer.section.type == section.type


@EACH
def test_the_same_seed_gives_the_same_embedding(section: Embedding) -> None:
    first, second = (build_embedding(section, 3, None, random=np.random.default_rng(SEED)) for _ in range(2))
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)


@EACH
def test_its_arrays_determine_an_embedding(section: Embedding) -> None:
    layer = build_embedding(
        section, 3, RNG.normal(size=(100, 3)).astype(np.float32), random=np.random.default_rng(SEED)
    )
    arrays = [np.array(leaf) for leaf in jax.tree.leaves(layer)]
    again = jax.tree.unflatten(jax.tree.structure(layer), [jnp.asarray(array) for array in arrays])
    x = jnp.array([0.1, -0.5, 2.0])
    np.testing.assert_array_equal(again(x), layer(x))


def network_with(section: Embedding, inputs: int, sample: np.ndarray | None = None):
    return build_network(
        inputs,
        2,
        Network(layers=(Dense(nodes=8),), embedding=section, output_initialisation="random"),
        random=np.random.default_rng(SEED),
        training_inputs=sample,
    )


@EACH
def test_every_learned_number_has_a_finite_gradient(section: Embedding) -> None:
    network = network_with(section, 3, RNG.normal(size=(100, 3)).astype(np.float32))
    # away from the start, where the gains of periodic nodes are zero
    network = eqx.tree_at(lambda network: network.gains.gain, network, jnp.full(18, 0.1))
    vector, buffers, layout = flatten(network)
    x = jnp.asarray(RNG.normal(size=(3, 50)), jnp.float32)
    gradient_of = jax.jit(jax.grad(lambda each: jnp.sum(map_events(layout.join(each, buffers), x) ** 2)))
    gradient = gradient_of(vector)
    assert np.isfinite(gradient).all()
    found = layout.join(gradient, jax.tree.map(lambda _: None, buffers))
    assert (np.asarray(found.layers[0].weight) != 0).mean() > 0.9
    if isinstance(found.embedding, PeriodicLayer):
        for part in (found.embedding.frequency, found.embedding.weight, found.embedding.bias):
            assert (np.asarray(part) != 0).mean() > 0.9
    else:
        assert not jax.tree.leaves(found.embedding)  # the edges are not learned


@EACH
def test_an_embedding_learns_stripes(section: Embedding) -> None:
    # the class changes four times along x: no logistic regression can follow, bins and waves can
    def sample(seed: int, events: int = 4000) -> WeightedInputs:
        x = np.random.default_rng(seed).uniform(-2, 2, (events, 3)).astype(np.float32)
        return WeightedInputs(x, (np.floor(x[:, 0]) % 2).astype(np.int32), np.ones(events))

    training, validation = sample(1), sample(2)
    network = network_with(section, 3, training.inputs)
    settings = Training(
        epochs=8, batch_size=64, optimizer=Adam(learning_rate=0.02), early_stopping=None, devices=1
    )
    trained = run_training(
        fit(network, training, validation, resolve_recipe(settings, len(training)), seed=1)
    )
    accuracy = (
        predict_scores(trained.network, validation.inputs).argmax(axis=1) == validation.class_index
    ).mean()
    assert accuracy > 0.9
    assert trained.history.epochs[-1].validation_accuracy == pytest.approx(accuracy, abs=2e-3)
    before, after = network.embedding, trained.network.embedding
    if isinstance(before, PiecewiseLinearLayer) and isinstance(after, PiecewiseLinearLayer):
        np.testing.assert_array_equal(before.edges.value, after.edges.value)
    if isinstance(before, PeriodicLayer) and isinstance(after, PeriodicLayer):
        assert (np.asarray(before.frequency) != np.asarray(after.frequency)).all()
