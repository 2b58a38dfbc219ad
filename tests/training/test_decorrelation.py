"""The penalty for a dependence on spectators against sums over events in NumPy, its laws, and its place in the loss."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import permutations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from tamis.config import Dense, DistanceCorrelation, EarlyStopping, Flatness, Sgd, Training
from tamis.config import Network as NetworkSection
from tamis.data.spectator_ranks import compute_coordinates
from tamis.network.network import Network, build_network, compute_scores_of_logits, map_events
from tamis.statistics.sculpting import compute_dependence
from tamis.training import step
from tamis.training.batches import WeightedInputs, shuffle_blocks
from tamis.training.decorrelation import (
    DecorrelationPenalty,
    compute_distance_covariances,
    compute_distances,
)
from tamis.training.devices import choose_placement
from tamis.training.events import Trained, run_training
from tamis.training.fit import Metric, fit
from tamis.training.recipe import resolve_recipe

METHODS = [DistanceCorrelation(), Flatness(bins=4)]


def distances(values: ArrayLike) -> jax.Array:
    return compute_distances(jnp.asarray(np.atleast_2d(values), jnp.float32))


@cache
def compiled(method: DistanceCorrelation | Flatness) -> Any:
    return jax.jit(DecorrelationPenalty(method, (1,), (0,), 1.0, 1).measure)


def measure(
    method: DistanceCorrelation | Flatness, score: ArrayLike, spectator: ArrayLike, weight: ArrayLike
) -> float:
    return float(
        compiled(method)(*(np.asarray(each, np.float32) for each in (score, [spectator], [weight])))[0]
    )


def draw(events: int, seed: int = 1, dependence: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a score, a spectator in four bins for both methods, and weights of both signs."""
    rng = np.random.default_rng(seed)
    spectator = rng.integers(0, 4, events).astype(float)
    score = dependence * spectator + rng.random(events)
    return score / 4, spectator, rng.normal(1, 0.5, events)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_covariance_is_the_mean_over_different_events_in_proportion_to_their_weights(seed: int) -> None:
    x, y, weight = draw(7, seed)
    a, b = (np.abs(np.subtract.outer(values, values)) for values in (x, y))

    def mean(distance: Any, number: int) -> float:
        tuples = np.array(list(permutations(range(len(x)), number))).T
        products = weight[tuples].prod(axis=0)
        return float((products * distance(*tuples)).sum() / products.sum())

    expected = (
        mean(lambda i, j: a[i, j] * b[i, j], 2)
        - 2 * mean(lambda i, j, k: a[i, j] * b[i, k], 3)
        + mean(lambda i, j, k, m: a[i, j] * b[k, m], 4)
    )
    shares = jnp.asarray(weight / weight.sum(), jnp.float32)[None]
    assert float(compute_distance_covariances(distances(x), distances(y), shares)[0]) == pytest.approx(
        expected, rel=1e-3, abs=1e-5
    )


def centred(matrix: np.ndarray) -> np.ndarray:
    """Centre distances as Szekely and Rizzo, Ann. Stat. 42 (2014) 2382, equation 2.6."""
    n = len(matrix)
    result = (
        matrix
        - matrix.sum(axis=0)[None] / (n - 2)
        - matrix.sum(axis=1)[:, None] / (n - 2)
        + matrix.sum() / ((n - 1) * (n - 2))
    )
    np.fill_diagonal(result, 0)
    return result


def test_without_weights_it_is_the_bias_corrected_distance_correlation() -> None:
    x, y, _ = draw(60)
    a, b = (centred(np.abs(np.subtract.outer(values, values))) for values in (x, y))
    expected = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    assert measure(DistanceCorrelation(), x, y, np.ones(60)) == pytest.approx(expected, rel=1e-4)


def test_distances_of_points_are_euclidean() -> None:
    points = np.random.default_rng(3).normal(size=(3, 9))
    expected = np.linalg.norm(points[:, :, None] - points[:, None], axis=0)
    np.testing.assert_allclose(distances(points), expected, atol=1e-6)


def test_flatness_is_the_cramer_von_mises_distance_of_the_distributions_in_the_bins() -> None:
    # uniform below one half in one bin and above it in the other: int (F_b - F)^2 ds is 1/12 for both
    score = (np.arange(400) + 0.5) / 400
    shares = jnp.full((1, 400), 1 / 400)
    between = distances(np.floor(2 * score))
    covariance = float(compute_distance_covariances(distances(score), between, shares)[0])
    assert covariance == pytest.approx(2 * (0.5**2 / 12 + 0.5**2 / 12), rel=0.01)


@pytest.mark.parametrize("method", METHODS)
@given(scale=st.sampled_from([0.01, 3.0]), shift=st.sampled_from([-2.0, 5.0]), seed=st.integers(0, 100))
def test_only_ratios_of_weights_and_of_differences_count(
    method: DistanceCorrelation | Flatness, scale: float, shift: float, seed: int
) -> None:
    score, spectator, weight = draw(50, seed)
    expected = measure(method, score, spectator, weight)
    assert measure(method, shift + score * scale, spectator, weight) == pytest.approx(expected, abs=1e-3)
    assert measure(method, score, shift - scale * spectator, weight) == pytest.approx(expected, abs=1e-3)
    assert measure(method, score, spectator, weight * scale) == pytest.approx(expected, abs=1e-5)
    order = np.random.default_rng(seed).permutation(50)
    assert measure(method, score[order], spectator[order], weight[order]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_an_event_of_weight_zero_is_a_dropped_event(method: DistanceCorrelation | Flatness) -> None:
    score, spectator, weight = draw(50)
    weight[::3] = 0
    inside = weight != 0
    assert measure(method, score, spectator, weight) == pytest.approx(
        measure(method, score[inside], spectator[inside], weight[inside]), abs=1e-5
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_it_vanishes_on_average_if_score_and_spectator_are_independent(
    method: DistanceCorrelation | Flatness, spread: float
) -> None:
    rng = np.random.default_rng(5)
    samples = 4000
    penalty = DecorrelationPenalty(method, (1,), (0,), 1.0, 1)
    values = jax.vmap(penalty.measure)(
        jnp.asarray(rng.random((samples, 60)) ** 3, jnp.float32),
        jnp.asarray(rng.integers(0, 4, (samples, 1, 60)), jnp.float32),
        # signed weights that depend on nothing
        jnp.asarray(rng.normal(1, spread, (samples, 1, 60)), jnp.float32),
    )
    values = np.asarray(values, float).ravel()
    assert abs(values.mean()) < 4 * values.std() / samples**0.5
    # the usual estimate would be larger than 1 / 60
    assert 4 * values.std() / samples**0.5 < 0.2 / 60


@pytest.mark.parametrize("method", METHODS)
def test_it_is_one_for_a_copy_and_smaller_otherwise(method: DistanceCorrelation | Flatness) -> None:
    score, spectator, weight = draw(60)
    halves = np.round(spectator / 4)
    assert measure(method, halves, halves, np.ones(60)) == pytest.approx(1, abs=1e-4)
    assert 0.1 < measure(method, score, spectator, weight) < 0.95


@pytest.mark.parametrize("method", METHODS)
def test_too_few_events_and_constants_have_no_penalty_and_no_gradient(
    method: DistanceCorrelation | Flatness,
) -> None:
    score, spectator, weight = draw(60)
    few, negative = np.where(np.arange(60) < 9, 1.0, 0.0), -np.ones(60)
    for values in (
        (score, spectator, few),
        (score, spectator, negative),
        (score, spectator, 0 * weight),
        (np.ones(60), spectator, weight),
        (score, np.ones(60), weight),
    ):
        assert measure(method, *values) == 0
        arrays = (
            jnp.asarray(np.asarray(each), jnp.float32) for each in (values[0], [values[1]], [values[2]])
        )
        np.testing.assert_array_equal(jax.grad(total_of(method))(*arrays), 0)


def total_of(method: DistanceCorrelation | Flatness) -> Any:
    return lambda *arrays: compiled(method)(*arrays).sum()


@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_is_that_of_finite_differences(method: DistanceCorrelation | Flatness) -> None:
    score, spectator, weight = draw(40)
    score = np.argsort(np.argsort(score)) / 40  # no difference of scores changes its sign
    arrays = (jnp.asarray(np.asarray(each), jnp.float32) for each in (score, [spectator], [weight]))
    gradient = jax.grad(total_of(method))(*arrays)
    direction = np.random.default_rng(7).normal(size=40)
    size = 1e-3
    change = measure(method, score + size * direction, spectator, weight)
    change -= measure(method, score - size * direction, spectator, weight)
    assert change / (2 * size) == pytest.approx(float(gradient @ jnp.float32(direction)), rel=0.02, abs=2e-3)


def batch_of(score: np.ndarray, spectator: np.ndarray, classes: np.ndarray, weight: np.ndarray) -> Any:
    scores = jnp.asarray(np.stack([1 - score, score]), jnp.float32)
    return scores, jnp.asarray(np.stack([0 * score, spectator, classes, weight]), jnp.float32)


def test_a_large_batch_is_the_sum_of_its_pieces_and_padding_adds_nothing() -> None:
    sum_over_events = jax.jit(
        DecorrelationPenalty(DistanceCorrelation(), (1,), (0, 1), 3.0, 1).sum_over_events
    )
    score, spectator, weight = draw(900)
    classes = np.arange(900) % 2
    total = float(sum_over_events(*batch_of(score, spectator, classes, weight)))
    expected = 0.0
    for rows in (slice(0, 450), slice(450, 900)):
        of_classes = [
            measure(
                DistanceCorrelation(), score[rows], spectator[rows], weight[rows] * (classes[rows] == index)
            )
            for index in range(2)
        ]
        expected += 3.0 * 450 * float(np.mean(of_classes))
    assert total == pytest.approx(expected, rel=1e-4)
    few = [values[:300] for values in (score, spectator, classes, weight)]
    padded = [np.pad(values, (0, 100)) for values in few]
    assert float(sum_over_events(*batch_of(*padded))) == pytest.approx(
        float(sum_over_events(*batch_of(*few))), rel=1e-5
    )


RATE = 1e-12  # so small that the network remains the initial one
PENALTY = DecorrelationPenalty(DistanceCorrelation(), (1,), (0,), 2.0, 1)


def events_of(events: int, seed: int) -> WeightedInputs:
    rng = np.random.default_rng(seed)
    class_index = np.sort(rng.integers(0, 2, events)).astype(np.int32)
    inputs = rng.normal(size=(events, 3)).astype(np.float32)
    spectator = inputs[:, 0] + rng.normal(size=events)
    reference = np.ones(events, np.bool_)
    return WeightedInputs(
        inputs,
        class_index,
        rng.uniform(0.5, 1.5, events),
        coordinates=compute_coordinates([spectator], class_index, reference),
    )


def network_of(**section: Any) -> Network:
    settings = NetworkSection(
        layers=(Dense(nodes=4, dropout=0.0),),
        embedding=None,
        gains=None,
        output_initialisation="random",
        **section,
    )
    return build_network(3, 2, settings, random=np.random.default_rng(0))


def train(
    training: WeightedInputs,
    validation: WeightedInputs,
    penalty: DecorrelationPenalty | None = PENALTY,
    metric: Metric | None = None,
    network: Network | None = None,
    **settings: Any,
) -> Trained:
    defaults = {
        "optimizer": Sgd(learning_rate=RATE, momentum=0.0),
        "schedule": "constant",
        "epochs": 1,
        "ema_decay": None,
        "devices": 1,
    }
    if penalty is None:
        training, validation = (replace(events, coordinates=None) for events in (training, validation))
    recipe = resolve_recipe(Training(**{**defaults, **settings}), len(training))
    return run_training(
        fit(network or network_of(), training, validation, recipe, seed=3, metric=metric, penalty=penalty)
    )


def predict(network: Network, events: WeightedInputs) -> np.ndarray:
    return np.asarray(compute_scores_of_logits(map_events(network, jnp.asarray(events.inputs.T))))


@pytest.mark.parametrize("members", [1, 3])
def test_losses_contain_the_mean_of_the_penalty(members: int) -> None:
    # one batch of all events, so that the order has no effect
    training, validation = events_of(400, 1), events_of(300, 2)
    network = network_of(shared_members=members)
    settings = {"batch_size": 400, "network": network}
    with_penalty, without = (
        train(training, validation, penalty, **settings).history.epochs[0] for penalty in (PENALTY, None)
    )
    for events, difference in (
        (training, with_penalty.training_loss - without.training_loss),
        (validation, with_penalty.validation_loss - without.validation_loss),
    ):
        weight = events.weight * (events.class_index == 0)
        dependence = measure(
            DistanceCorrelation(), predict(network, events)[1], events.coordinates[:, 0], weight
        )
        assert difference == pytest.approx(2.0 * dependence, abs=1e-5)
        assert dependence > 0.01


def test_padding_of_the_last_batch_does_not_dilute_the_penalty() -> None:
    training, validation = events_of(500, 1), events_of(300, 2)
    losses = [
        train(training, validation, penalty, batch_size=300).history.epochs[0] for penalty in (PENALTY, None)
    ]
    blocks = shuffle_blocks(training, 300, 3, choose_placement(1, 300, [3, 2]))
    network, total = network_of(), 0.0
    for batch in np.array(next(blocks)):
        scores = np.asarray(compute_scores_of_logits(map_events(network, jnp.asarray(batch[:3]))))
        weight = batch[-1] * (batch[-2] == 0)
        total += (batch[-1] != 0).sum() * measure(DistanceCorrelation(), scores[1], batch[3], weight)
    blocks.close()
    assert losses[0].training_loss - losses[1].training_loss == pytest.approx(2.0 * total / 500, abs=1e-5)
    assert total / 500 > 0.01


def test_a_metric_gets_the_scores_in_the_order_of_the_events() -> None:
    training, validation = events_of(400, 1), events_of(300, 2)
    received = []

    def metric(scores: np.ndarray) -> float:
        received.append(np.array(scores))
        return 0.5

    stopping = EarlyStopping(monitor="validation_auc")
    trained = train(training, validation, metric=metric, early_stopping=stopping, batch_size=400)
    np.testing.assert_allclose(received[0], predict(trained.network, validation).T, atol=1e-6)


@pytest.mark.slow  # two programs
def test_a_batch_in_pieces_makes_the_step_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    training, validation = events_of(5000, 1), events_of(300, 2)
    settings = {"batch_size": 4096, "epochs": 2, "optimizer": Sgd(learning_rate=0.1)}
    pieces = train(training, validation, **settings)
    monkeypatch.setattr(step, "PIECES_FROM", 10**9)
    whole = train(training, validation, **settings)
    for first, second in zip(jax.tree.leaves(pieces.network), jax.tree.leaves(whole.network), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-5)
    assert pieces.history.epochs[-1].training_loss == pytest.approx(
        whole.history.epochs[-1].training_loss, rel=1e-4
    )


def draw_toy(events: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw inputs, class, spectator, and the probability of the signal under the best uniform classifier.

    The inputs are z + m and z - m. In each class z and the spectator m are independent; z is normal, around 1.2 in the
    signal, and m is uniform in the background and peaks in the signal. Let f(z, m) be any score that is independent of
    m in the background. Its distribution there is then that of f(z, m) at each m, so that E[log(1 - f)] over the
    background depends on this distribution F alone. Over the signal, with the density ratios r(z) and h(m), E[log f]
    is the mean of h(m) r(z) log f(z, m) over the background. At each m it is largest if f rises with r(z), by the
    inequality of rearrangement: f is then the same function of z at every m. Of the functions of z, the best one is
    the probability of the signal for a given z.
    """
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 2, events).astype(np.int32)
    z = rng.normal(1.2 * class_index, 1)
    mass = np.where(class_index == 1, rng.normal(0, 0.5, events), rng.uniform(-1.7, 1.7, events))
    inputs = np.stack([z + mass, z - mass], axis=1).astype(np.float32)
    return inputs, class_index, mass, 1 / (1 + np.exp(0.72 - 1.2 * z))


def compute_toy_loss(score: np.ndarray, class_index: np.ndarray) -> float:
    return float(-np.log(np.where(class_index == 1, score, 1 - score)).mean())


@pytest.mark.slow  # a training of 16,000 events
@pytest.mark.parametrize("method", [DistanceCorrelation(), Flatness(bins=10)])
def test_the_best_uniform_classifier_is_approached(method: DistanceCorrelation | Flatness) -> None:
    inputs, class_index, mass, _ = draw_toy(20_000, 1)
    reference = np.arange(20_000) < 16_000
    bins = method.bins if isinstance(method, Flatness) else None
    coordinates = compute_coordinates([mass], class_index, reference, bins=bins)
    training, validation = (
        WeightedInputs(inputs[rows], class_index[rows], np.ones(rows.sum()), coordinates=coordinates[rows])
        for rows in (reference, ~reference)
    )
    section = NetworkSection(
        layers=(Dense(nodes=32, dropout=0.0), Dense(nodes=32, dropout=0.0)), embedding=None
    )
    network = build_network(2, 2, section, random=np.random.default_rng(0), training_inputs=inputs)
    penalty = DecorrelationPenalty(method, (1,), (0,), 9.0, 1)
    recipe = resolve_recipe(Training(batch_size=1024, epochs=30, devices=1), 16_000)
    trained = run_training(fit(network, training, validation, recipe, seed=3, penalty=penalty))

    inputs, class_index, mass, optimum = draw_toy(100_000, 2)
    score = np.asarray(compute_scores_of_logits(map_events(trained.network, jnp.asarray(inputs.T))), float)[1]
    excess = compute_toy_loss(score, class_index) - compute_toy_loss(optimum, class_index)
    background = class_index == 0
    dependence = compute_dependence(
        mass[background], score[background], np.ones(background.sum()), np.random.default_rng(5), events=3000
    )
    # a loss below the optimum is only possible with some dependence, of which nothing may be seen
    assert excess < 0.002
    assert dependence is not None
    assert dependence.p_value > 0.05
    rows = np.flatnonzero(background)[:3000]
    assert measure(DistanceCorrelation(), score[rows], mass[rows], np.ones(3000)) < 0.001
