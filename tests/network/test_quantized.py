from __future__ import annotations

from itertools import pairwise, product
from typing import get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.config import Adam, Dense, FixedPoint, Overflow, Quantized, Rounding, Sparse, Training
from tamis.errors import RequestError
from tamis.network.network import Network, build_layer, build_network, map_events
from tamis.network.quantized import Quantized as QuantizedLayer
from tamis.network.quantized import compute_bit_cost, compute_layer_costs, round_bits
from tamis.training.batches import WeightedInputs
from tamis.training.events import Trained, run_training
from tamis.training.fit import fit
from tamis.training.recipe import resolve_recipe

SEED = 0
INPUT = FixedPoint(bits=8, integer=4)
RNG = np.random.default_rng(3)
EVENTS = RNG.normal(0, 4, (5, 10_000)).astype(np.float32)


def quantized(inputs: int = 5, **options: object) -> QuantizedLayer:
    section = Quantized(**{"nodes": 5, "input": INPUT, **options})
    layer = build_layer(section, inputs, random=np.random.default_rng(SEED))
    assert isinstance(layer, QuantizedLayer)
    bias = RNG.normal(0, 1, section.nodes).astype(np.float32)
    return eqx.tree_at(lambda each: each.dense.bias, layer, jnp.asarray(bias))


@eqx.filter_jit
def forward(layer: QuantizedLayer, x: jax.Array) -> jax.Array:
    return jax.vmap(layer, in_axes=1, out_axes=1)(x)


@pytest.mark.parametrize(
    ("rounding", "overflow"), [*product(get_args(Rounding), get_args(Overflow))], ids=lambda each: str(each)
)
def test_the_layer_equals_the_integer_reference(rounding: Rounding, overflow: Overflow) -> None:
    how = {"rounding": rounding, "overflow": overflow}
    layer = quantized(
        activation="linear",
        weight=FixedPoint(bits=6, integer=1, **how),
        bias=FixedPoint(bits=9, integer=1, **how),
        output=FixedPoint(bits=6, integer=4, **how),
        input=FixedPoint(bits=7, integer=4, **how),
    )
    found = np.asarray(forward(layer, EVENTS))
    reference = layer.reference(EVENTS)
    np.testing.assert_array_equal(found, reference.values)
    # the inputs are wide enough for every rule to be used
    form = layer.section.output
    assert {form.lowest, form.highest} <= set(np.unique(reference.steps)) or overflow == "SAT_ZERO"


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_unsigned_nodes_equal_the_reference(activation: str) -> None:
    output = FixedPoint(bits=6, integer=3, signed=False)
    layer = quantized(activation=activation, output=output)
    found = np.asarray(forward(layer, EVENTS))
    np.testing.assert_array_equal(found, layer.reference(EVENTS).values)
    assert found.min() == 0


def test_layers_in_a_row_equal_the_reference() -> None:
    sections = [Quantized(nodes=5, input=INPUT), Quantized(nodes=5, activation="linear")]
    network = build_network(5, 2, sections, random=np.random.default_rng(SEED))
    inner = Network(network.layers[:-1])
    given: object = EVENTS
    for layer in inner.layers:
        given = layer.reference(given)
    np.testing.assert_array_equal(eqx.filter_jit(map_events)(inner, jnp.asarray(EVENTS)), given.values)
    with pytest.raises(RequestError):
        inner.layers[1].reference(EVENTS)


def test_learned_bits_equal_the_reference() -> None:
    layer = quantized(learn_bits=True)
    learned = eqx.tree_at(lambda each: each.fractions, layer, jnp.array([3.4, 4.6, 1.2, 99.0]))
    formats = learned.formats
    bits = [formats.weight.bits, formats.bias.bits, formats.output.bits, formats.input.bits]
    assert bits == [2 + 3, 2 + 5, 4 + 1, 8]
    np.testing.assert_array_equal(forward(learned, EVENTS), learned.reference(EVENTS).values)
    np.testing.assert_array_equal(
        forward(layer, EVENTS), quantized_without_learning(layer).reference(EVENTS).values
    )


def quantized_without_learning(layer: QuantizedLayer) -> QuantizedLayer:
    return QuantizedLayer(layer.dense, None, layer.section.model_copy(update={"learn_bits": False}))


def test_wide_formats_come_close_to_a_dense_layer() -> None:
    distances = []
    for bits in (4, 6, 8, 10):
        wide = FixedPoint(bits=bits, integer=3)
        layer = quantized(weight=wide, bias=wide, output=FixedPoint(bits=20, integer=10), input=wide)
        x = np.clip(EVENTS / 4, -3.5, 3.5)
        distances.append(float(np.abs(forward(layer, x) - forward(layer.dense, x)).max()))
    assert all(late < early / 2 for early, late in pairwise(distances))
    assert distances[-1] < 0.1


def test_what_is_accepted_at_the_limit_is_exact() -> None:
    form = FixedPoint(bits=9, integer=2)
    section = Quantized(nodes=2, weight=form, bias=form, input=form, activation="linear", output=form)
    assert section.find_inconsistency(255, form) is None
    problem = section.find_inconsistency(256, form)
    assert problem is not None
    assert "256 products of 9 by 9 bits and a bias of 9 bits need 25 bits" in problem
    with pytest.raises(RequestError):
        build_layer(section, 256, random=np.random.default_rng(SEED))
    # the largest sums that there can be, and one step less
    exact = section.model_copy(update={"output": FixedPoint(bits=24, integer=10, signed=False)})
    layer = build_layer(exact, 255, random=np.random.default_rng(SEED))
    layer = eqx.tree_at(
        lambda each: each.dense.weight, layer, jnp.full((2, 255), -2.0).at[1, 0].set(-2 + 2**-7)
    )
    x = np.full((255, 2), -2, np.float32)
    x[3, 1] += 2**-7
    np.testing.assert_array_equal(forward(layer, x), layer.reference(x).values)
    assert layer.reference(x).steps.max() == 255 * 4 * 2**14


def test_the_gradient_is_that_of_a_dense_layer_with_these_weights() -> None:
    layer = quantized(activation="relu", output=FixedPoint(bits=20, integer=8))
    x = jnp.array([0.5, -1.0, 2.0, 0.25, -0.75])  # on the grid of the inputs
    dense = eqx.tree_at(lambda each: (each.weight, each.bias), layer.dense, (layer.weight, layer.bias))
    gradients = [jax.grad(lambda each: (jnp.arange(5.0) * each(x)).sum())(each) for each in (layer, dense)]
    assert np.abs(gradients[1].weight).max() > 0
    np.testing.assert_allclose(gradients[0].dense.weight, gradients[1].weight, rtol=1e-5)
    np.testing.assert_allclose(gradients[0].dense.bias, gradients[1].bias, rtol=1e-5)


FORM = FixedPoint(bits=8, integer=3)


@given(bits=st.floats(-20, 20, width=32), gradient=st.sampled_from([-2.0, 0.5]))
def test_learned_bits_stay_in_their_limits(bits: float, gradient: float) -> None:
    whole, back = jax.vjp(lambda each: round_bits(each, FORM), jnp.float32(bits))
    assert float(whole) == np.clip(np.round(bits), -1, 5)
    # a step goes against the gradient
    leads_out = (bits >= 5 and gradient < 0) or (bits <= -1 and gradient > 0)
    assert float(back(jnp.float32(gradient))[0]) == (0 if leads_out else gradient)


def test_bits_cost_what_the_multiplications_need() -> None:
    layers = [
        quantized(learn_bits=True, ebops_cost=0.5),
        quantized(input=None, learn_bits=True, ebops_cost=0.25),
        quantized(input=None),
    ]
    costs = compute_layer_costs(layers)
    assert [cost.ebops for cost in costs] == [8 * 8 * cost.non_zeros for cost in costs]
    assert [cost.input_bits for cost in costs] == [8, 8, 8]
    assert float(compute_bit_cost(layers)) == pytest.approx(0.5 * costs[0].ebops + 0.25 * costs[1].ebops)
    gradient = jax.grad(lambda each: compute_bit_cost(each))(layers)
    first = gradient[0].fractions.tolist()
    # the outputs of the first layer are the inputs of the second
    expected = [0.5 * 8 * costs[0].non_zeros, 0, 0.25 * 8 * costs[1].non_zeros, 0.5 * 8 * costs[0].non_zeros]
    assert first == pytest.approx(expected)
    assert gradient[1].fractions.tolist() == pytest.approx([0.25 * 8 * costs[1].non_zeros, 0, 0])


def test_nothing_costs_where_no_bits_are_learned() -> None:
    plain = build_layer(Dense(nodes=5), 5, random=np.random.default_rng(SEED))
    assert compute_bit_cost([plain, quantized()]) is None
    assert compute_bit_cost([quantized(learn_bits=True, ebops_cost=0)]) is None


def test_the_costs_of_a_mixed_network() -> None:
    sections = [
        Dense(nodes=5, normalisation="layer"),
        Sparse(nodes=5, fan_in=2),
        Quantized(nodes=5, input=INPUT),
    ]
    network = build_network(5, 2, sections, random=np.random.default_rng(SEED))
    costs = compute_layer_costs(network.layers)
    assert [cost.kind for cost in costs] == ["dense", "sparse", "quantized", "dense"]
    assert [cost.parameters for cost in costs] == [35, 30, 30, 12]
    assert [cost.multiplications for cost in costs[:2]] == [25, 10]
    assert [cost.ebops for cost in costs] == [None, None, 64 * costs[2].non_zeros, None]


def sample(n: int, seed: int) -> WeightedInputs:
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 2, n).astype(np.int32)
    inputs = rng.normal(size=(n, 5)) + class_index[:, None]
    return WeightedInputs(inputs.astype(np.float32), class_index, np.ones(n))


def run(cost: float) -> Trained:
    layer = Quantized(nodes=5, input=INPUT, learn_bits=True, ebops_cost=cost)
    network = build_network(
        5, 2, [layer, layer.model_copy(update={"input": None})], random=np.random.default_rng(SEED)
    )
    settings = Training(
        optimizer=Adam(learning_rate=1e-2),
        ema_decay=None,
        epochs=6,
        batch_size=64,
        early_stopping=None,
        schedule="constant",
    )
    return run_training(fit(network, sample(2000, 1), sample(500, 2), resolve_recipe(settings, 2000), seed=0))


def test_a_training_learns_the_weights_and_fewer_bits() -> None:
    free, dear = run(0.0), run(1e-4)
    ebops = [
        sum(cost.ebops or 0 for cost in compute_layer_costs(each.network.layers)) for each in (free, dear)
    ]
    assert ebops[1] < 0.6 * ebops[0]
    for trained in (free, dear):
        # the history tells the loss without the cost
        assert trained.history.epochs[-1].validation_loss < 0.4
        assert trained.history.epochs[0].training_loss < 1
        layer = trained.network.layers[0]
        x = sample(300, 3).inputs.T
        np.testing.assert_array_equal(forward(layer, x), layer.reference(x).values)


def test_the_section_of_a_layer_is_kept() -> None:
    layer = quantized(learn_bits=True)
    assert layer.section == Quantized(nodes=5, input=INPUT, learn_bits=True)
    assert (layer.inputs, layer.outputs) == (5, 5)
    (cost,) = compute_layer_costs([layer])
    assert cost.parameters == 30
    assert cost.multiplications == cost.non_zeros == np.count_nonzero(layer.weight) <= 25
