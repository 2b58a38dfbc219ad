from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.config import (
    AdamW,
    Dense,
    Lion,
    Muon,
    Optimizer,
    ScheduleFreeAdamW,
    Sgd,
    Sparse,
    Training,
)
from tamis.config import Network as NetworkSection
from tamis.errors import RequestError
from tamis.network.network import Network, build_layer, build_network, map_events, map_training_events
from tamis.network.quantized import compute_layer_costs
from tamis.network.sparse import Sparse as SparseLayer
from tamis.network.sparse import compute_scheduled_density
from tamis.training.batches import WeightedInputs
from tamis.training.events import Trained, run_training
from tamis.training.fit import fit
from tamis.training.recipe import resolve_recipe

SEED = 0


def sparse(inputs: int, *, random: np.random.Generator | None = None, **options: object) -> SparseLayer:
    layer = build_layer(
        Sparse(**{"nodes": 8, **options}), inputs, random=random or np.random.default_rng(SEED)
    )
    assert isinstance(layer, SparseLayer)
    return layer


def mask_of(layer: SparseLayer) -> np.ndarray:
    return np.asarray(layer.mask.value)


# each shape is compiled
@pytest.mark.parametrize(("nodes", "inputs", "density"), [(8, 9, 0.12), (8, 9, 0.5), (8, 9, 1.0)])
def test_a_random_mask_has_its_density_and_no_node_without_inputs(
    nodes: int, inputs: int, density: float
) -> None:
    for seed in range(3):
        layer = sparse(inputs, nodes=nodes, density=density, random=np.random.default_rng(seed))
        assert mask_of(layer).sum() == max(round(density * nodes * inputs), nodes)
        assert mask_of(layer).sum(axis=1).min() >= 1
        (cost,) = compute_layer_costs([layer])
        assert (
            np.count_nonzero(layer.weight) == cost.multiplications == cost.non_zeros == mask_of(layer).sum()
        )
        assert cost.parameters == nodes * inputs + nodes


@pytest.mark.parametrize("kind", ["random", "magnitude"])
@pytest.mark.parametrize("fan_in", [1, 4, 9])
def test_a_fan_in_is_that_of_every_node(fan_in: int, kind: str) -> None:
    layer = sparse(9, fan_in=fan_in, mask=kind).between_epochs(1.0)
    assert mask_of(layer).sum(axis=1).tolist() == [fan_in] * 8


def test_a_mask_follows_from_its_seed() -> None:
    first, same, other = (
        sparse(9, density=0.3, random=np.random.default_rng(number)) for number in (1, 1, 2)
    )
    assert (mask_of(first) == mask_of(same)).all()
    assert (mask_of(first) != mask_of(other)).any()
    assert mask_of(first).sum() == mask_of(other).sum()


def test_a_sparse_node_passes_on_as_much_as_a_dense_one() -> None:
    layer = sparse(400, nodes=300, density=0.1, activation="relu")
    power = (np.asarray(layer.weight) ** 2).sum(axis=1)
    assert power.mean() == pytest.approx(2.0, rel=0.05)


OPTIONS = [
    {"normalisation": "batch", "dropout": 0.4},
    # slow: each is compiled
    pytest.param({"activation": "leaky_relu", "slope": 0.3}, marks=pytest.mark.slow),
    pytest.param({"normalisation": "layer", "residual": True}, marks=pytest.mark.slow),
]


@jax.jit
def everything(network: Network, x: jax.Array) -> list[jax.Array]:
    """Give the logits in prediction, while learning, and in prediction with what was learned of the batch."""
    seed, present = jax.random.bits(jax.random.key(0), (50,), jnp.uint32), jnp.ones(50)
    learned, after = map_training_events(network, x, seed, present)
    return [map_events(network, x), learned, map_events(after, x)]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_density_of_one_is_a_dense_layer(options: dict[str, object]) -> None:
    x = jax.random.normal(jax.random.key(2), (8, 50))
    sections = (Dense(nodes=8, **options), Sparse(nodes=8, density=1.0, **options))
    networks = [
        build_network(8, 2, [Dense(nodes=8), section], random=np.random.default_rng(SEED))
        for section in sections
    ]
    for dense, thin in zip(*(everything(network, x) for network in networks), strict=True):
        np.testing.assert_allclose(dense, thin, rtol=1e-6, atol=1e-6)


def test_the_options_of_a_dense_layer_reach_the_network() -> None:
    network = build_network(
        4, 2, [Sparse(nodes=4, density=0.5, dropout=0.2)], random=np.random.default_rng(SEED)
    )
    assert network.random
    assert network.widths == (4, 4, 2)
    assert network.layers[0].section == Sparse(nodes=4, density=0.5, dropout=0.2)


def test_masked_weights_have_no_effect_and_no_gradient() -> None:
    layer = sparse(9, density=0.4)
    loud = eqx.tree_at(
        lambda each: each.dense.weight, layer, layer.dense.weight + 100 * (1 - layer.mask.value)
    )
    x = jnp.arange(9.0)
    np.testing.assert_array_equal(layer(x), loud(x))
    np.testing.assert_array_equal(layer.weight, loud.weight)
    gradient = jax.grad(lambda weight: eqx.tree_at(lambda each: each.dense.weight, loud, weight)(x).sum())(
        loud.dense.weight
    )
    assert (np.asarray(gradient)[mask_of(layer) == 0] == 0).all()


def sample(n: int, seed: int) -> WeightedInputs:
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 2, n).astype(np.int32)
    inputs = rng.normal(size=(n, 6)) + 0.7 * class_index[:, None]
    return WeightedInputs(inputs.astype(np.float32), class_index, np.ones(n))


PLAIN = Training(epochs=4, batch_size=64, early_stopping=None)


def run(network: Network, **changes: object) -> Trained:
    settings = Training.model_validate({**PLAIN.model_dump(), **changes})
    return run_training(fit(network, sample(600, 1), sample(200, 2), resolve_recipe(settings, 600), seed=0))


@pytest.mark.parametrize(
    "optimizer",
    [
        AdamW(weight_decay=0.1),
        # slow: each is compiled
        *(
            pytest.param(optimizer, marks=pytest.mark.slow)
            for optimizer in (
                Sgd(weight_decay=0.1),
                Lion(weight_decay=0.1),
                Muon(weight_decay=0.1),
                ScheduleFreeAdamW(),
            )
        ),
    ],
    ids=lambda optimizer: optimizer.name,
)
def test_masked_weights_stay_zero_through_a_training(optimizer: Optimizer) -> None:
    network = build_network(6, 2, [Sparse(nodes=8, density=0.3)], random=np.random.default_rng(SEED))
    weight, mask = np.array(network.layers[0].weight), mask_of(network.layers[0]).copy()
    changes = (
        {"schedule": "constant", "ema_decay": None}
        if isinstance(optimizer, ScheduleFreeAdamW)
        else {"ema_decay": 0.9}
    )
    layer = run(network, optimizer=optimizer.model_dump(), epochs=2, **changes).network.layers[0]
    assert (mask_of(layer) == mask).all()
    assert (np.asarray(layer.weight)[mask == 0] == 0).all()
    assert (np.asarray(layer.weight)[mask > 0] != weight[mask > 0]).all()


@pytest.mark.parametrize("sparsity", [{"density": 0.25}, {"fan_in": 2}], ids=str)
def test_pruning_reaches_its_density(sparsity: dict[str, float]) -> None:
    section = Sparse(nodes=8, mask="magnitude", pruning_end=0.7, **sparsity)
    network = build_network(6, 2, [Dense(nodes=8), section], random=np.random.default_rng(SEED))
    assert mask_of(network.layers[1]).sum() == 64
    trained = run(network)
    layer = trained.network.layers[1]
    assert mask_of(layer).sum() == np.count_nonzero(layer.weight) == 16
    assert np.asarray(layer.weight != 0).sum(axis=1).min() >= 1
    # the network that was given is as it was
    assert mask_of(network.layers[1]).sum() == 64


def test_pruning_takes_the_smallest_and_never_gives_back() -> None:
    layer = sparse(9, density=0.2, mask="magnitude", pruning_begin=0.2, pruning_end=0.8)
    counts = []
    for done in (0.0, 0.2, 0.3, 0.5, 0.4, 0.8, 1.0):
        before, after = layer, layer.between_epochs(done)
        gone = (mask_of(before) > 0) & (mask_of(after) == 0)
        assert (mask_of(after) <= mask_of(before)).all()
        if gone.any():
            sizes = np.abs(np.asarray(layer.weight))
            kept = (mask_of(after) > 0) & (sizes < sizes.max(axis=1, keepdims=True))
            assert sizes[gone].max() <= sizes[kept].min()
        counts.append(int(mask_of(after).sum()))
        # what was small when it went may be large later: it stays away
        grown = after.dense.weight + 5 * (1 - after.mask.value)
        layer = eqx.tree_at(lambda each: each.dense.weight, after, grown)
    assert counts[:2] == [72, 72]
    assert counts == sorted(counts, reverse=True)
    assert counts[-2:] == [14, 14]


def test_every_node_keeps_its_largest_weight() -> None:
    layer = sparse(9, density=1 / 9, mask="magnitude")
    weight = layer.dense.weight.at[0].multiply(1e-3)
    pruned = eqx.tree_at(lambda each: each.dense.weight, layer, weight).between_epochs(1.0)
    assert mask_of(pruned).sum(axis=1).tolist() == [1] * 8
    assert (mask_of(pruned).argmax(axis=1) == np.abs(np.asarray(weight)).argmax(axis=1)).all()


@given(
    done=st.lists(st.floats(0, 1), min_size=2, max_size=2), target=st.floats(0.05, 1), begin=st.floats(0, 0.6)
)
def test_the_schedule_falls_from_one_to_the_density(done: list[float], target: float, begin: float) -> None:
    section = Sparse(nodes=1, density=target, mask="magnitude", pruning_begin=begin, pruning_end=0.7)
    early, late = (compute_scheduled_density(section, 100, each) for each in sorted(done))
    assert 1 >= early >= late >= target - 1e-12
    assert compute_scheduled_density(section, 100, begin) == pytest.approx(1)
    assert compute_scheduled_density(section, 100, 0.7) == pytest.approx(target)
    middle = compute_scheduled_density(section, 100, (begin + 0.7) / 2)
    assert middle == pytest.approx(target + (1 - target) / 8)  # half of the way: (1/2)^3 of it is left


def test_a_random_mask_does_not_change_between_epochs() -> None:
    layer = sparse(9, density=0.5)
    assert layer.between_epochs(0.5) is layer
    assert layer.changing_until == 0
    assert sparse(9, density=0.5, mask="magnitude", pruning_end=0.6).changing_until == 0.6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0.2}, "a density of 0.2 leaves the nodes 0.6 of 3 inputs each"),
        ({"fan_in": 4}, "fan_in is 4, but the layer has 3 inputs; lower fan_in"),
    ],
)
def test_a_first_layer_without_inputs_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        build_network(3, 2, [Sparse(nodes=5, **options)], random=np.random.default_rng(SEED))


def test_members_share_a_sparse_layer() -> None:
    section = NetworkSection(layers=(Sparse(nodes=8, density=0.5),), shared_members=3)
    network = build_network(8, 2, section, random=np.random.default_rng(SEED))
    x = jax.random.normal(jax.random.key(0), (8, 5))
    logits = jax.jit(map_events)(network, x)
    effective = eqx.tree_at(
        lambda each: each.layers, network, (network.layers[0].effective, network.layers[1])
    )
    assert logits.shape == (3, 2, 5)
    np.testing.assert_allclose(logits, jax.jit(map_events)(effective, x), rtol=1e-5, atol=1e-6)
