"""Every loss and its gradient against a reference in NumPy's 64 bits, and the laws of weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.config import (
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    LabelSmoothing,
    Loss,
    Significance,
    SquaredError,
)
from tamis.errors import RequestError
from tamis.training.batches import WeightedInputs
from tamis.training.loss import asimov_significance, build_loss, build_one_hot_target, sum_correct
from tamis.training.step import compute_loss_sums

CLASSES, EVENTS = 3, 24
Reference = Callable[[np.ndarray, np.ndarray], float]


def scores_of(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=0))
    return exponentials / exponentials.sum(axis=0)


def asimov(s: float, b: float, sigma: float) -> float:
    """The formula as Cowan writes it."""
    first = (s + b) * np.log((s + b) * (b + sigma**2) / (b**2 + (s + b) * sigma**2))
    return float(np.sqrt(2 * (first - b**2 / sigma**2 * np.log(1 + sigma**2 * s / (b * (b + sigma**2))))))


def cross_entropy_reference(logits: np.ndarray, target: np.ndarray) -> float:
    return float(-(target * np.log(scores_of(logits))).sum())


def focal_reference(logits: np.ndarray, target: np.ndarray) -> float:
    score = scores_of(logits)
    return float(-(target * (1 - score) ** 1.5 * np.log(score)).sum())


def smoothing_reference(logits: np.ndarray, target: np.ndarray) -> float:
    label = 0.8 * (target != 0) + 0.2 / len(target)
    return float(-(target.sum(axis=0) * label * np.log(scores_of(logits))).sum())


def brier_reference(logits: np.ndarray, target: np.ndarray) -> float:
    squares = (scores_of(logits) - (target != 0)) ** 2
    return float((target.sum(axis=0) * squares.mean(axis=0)).sum())


def significance_reference(logits: np.ndarray, target: np.ndarray) -> float:
    score = scores_of(logits)[[0, 2]].sum(axis=0)
    of_signal, of_background = target[[0, 2]].sum(axis=0), target[1]
    s = 30 * (of_signal * score).sum() / of_signal.sum()
    b = 200 * (of_background * score).sum() / of_background.sum()
    return -asimov(s, b, 0.1 * b) * logits.shape[1]


LOSSES: dict[str, tuple[Loss, Reference]] = {
    "cross_entropy": (CrossEntropy(), cross_entropy_reference),
    "binary_cross_entropy": (BinaryCrossEntropy(), cross_entropy_reference),
    "focal": (Focal(gamma=1.5), focal_reference),
    "label_smoothing": (LabelSmoothing(smoothing=0.2), smoothing_reference),
    "squared_error": (SquaredError(), brier_reference),
    "significance": (Significance(signal=30.0, background=200.0), significance_reference),
}
all_losses = pytest.mark.parametrize("name", LOSSES)


@cache
def value_and_gradient(name: str) -> Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    return jax.jit(jax.value_and_grad(build_loss(LOSSES[name][0], signal=(0, 2))))


def evaluate(name: str, logits: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    value, gradient = value_and_gradient(name)(jnp.float32(logits), jnp.float32(target))
    return float(value), np.asarray(gradient)


def sample(seed: int = 0, *, negative: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.2, 3, EVENTS) * np.where(rng.random(EVENTS) < negative, -1, 1)
    return rng.normal(0, 2, (CLASSES, EVENTS)), rng.integers(0, CLASSES, EVENTS), weight


def target_of(classes: np.ndarray, weight: np.ndarray) -> np.ndarray:
    target = np.zeros((CLASSES, len(classes)))
    target[classes, np.arange(len(classes))] = weight
    return target


def test_every_loss_of_the_configuration_is_tested() -> None:
    assert sorted(section.model_fields["name"].default for section in Loss.__args__) == sorted(LOSSES)


@all_losses
@pytest.mark.parametrize("negative", [0.0, 0.2])
def test_value_and_gradient_equal_the_reference(name: str, negative: float) -> None:
    logits, classes, weight = sample(negative=negative)
    target, reference = target_of(classes, weight), LOSSES[name][1]
    value, gradient = evaluate(name, logits, target)
    assert value == pytest.approx(reference(logits, target), rel=1e-5)
    expected = np.zeros_like(logits)
    for place in np.ndindex(*logits.shape):
        step = np.zeros_like(logits)
        step[place] = 1e-5
        expected[place] = (reference(logits + step, target) - reference(logits - step, target)) / 2e-5
    np.testing.assert_allclose(gradient, expected, atol=2e-5 * np.abs(expected).max())


@all_losses
def test_weight_two_equals_a_doubled_row(name: str) -> None:
    logits, classes, weight = sample(negative=0.1)
    logits[:, -1], classes[-1] = logits[:, 7], classes[7]
    heavy, doubled = weight.copy(), weight.copy()
    heavy[7], heavy[-1] = 2 * weight[7], 0
    doubled[-1] = weight[7]
    first, second = (evaluate(name, logits, target_of(classes, each)) for each in (heavy, doubled))
    assert first[0] == pytest.approx(second[0], rel=1e-5)
    np.testing.assert_allclose(first[1][:, 7], second[1][:, [7, -1]].sum(axis=1), rtol=1e-4, atol=1e-6)
    # sums of float32 in another order: a few of the last bits of the largest gradients
    np.testing.assert_allclose(
        np.delete(first[1], (7, -1), 1), np.delete(second[1], (7, -1), 1), rtol=2e-6, atol=1e-5
    )


@all_losses
def test_an_event_of_weight_zero_does_not_exist(name: str) -> None:
    logits, classes, weight = sample()
    weight[5] = 0
    other, other_classes = logits.copy(), classes.copy()
    other[:, 5], other_classes[5] = [50, -50, 3], (classes[5] + 1) % CLASSES
    first = evaluate(name, logits, target_of(classes, weight))
    second = evaluate(name, other, target_of(other_classes, weight))
    assert first[0] == pytest.approx(second[0], rel=1e-6)
    assert (first[1][:, 5] == 0).all()
    assert (second[1][:, 5] == 0).all()
    np.testing.assert_allclose(first[1], second[1], rtol=1e-5, atol=1e-7)


@all_losses
@pytest.mark.parametrize("factor", [1e-12, 1e3, 1e12])
def test_scaling_all_weights_changes_nothing(name: str, factor: float) -> None:
    logits, classes, weight = sample(negative=0.1)

    def packed(factor: float) -> np.ndarray:
        events = WeightedInputs(logits.T.astype(np.float32), classes.astype(np.int32), factor * weight)
        return target_of(classes, events.packed(EVENTS)[:, -1])

    first, second = evaluate(name, logits, packed(1.0)), evaluate(name, logits, packed(factor))
    assert first[0] == pytest.approx(second[0], rel=1e-6)
    np.testing.assert_allclose(first[1], second[1], rtol=1e-5, atol=1e-6)


@all_losses
@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_extreme_logits_keep_value_and_gradient_finite(name: str, size: float) -> None:
    logits, classes, weight = sample()
    value, gradient = evaluate(name, size * np.sign(logits), target_of(classes, weight))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@all_losses
def test_adding_a_number_to_all_logits_of_an_event_changes_nothing(name: str) -> None:
    logits, classes, weight = sample()
    target = target_of(classes, weight)
    moved = logits + np.linspace(-5, 5, EVENTS)
    assert evaluate(name, logits, target)[0] == pytest.approx(evaluate(name, moved, target)[0], rel=1e-5)
    # so the gradient of an event has the sum zero
    gradient = evaluate(name, logits, target)[1]
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=2e-6 * np.abs(gradient).max())


numbers = st.floats(-20, 20, width=32)
events = st.lists(st.tuples(numbers, numbers, numbers, st.integers(0, 2)), min_size=EVENTS, max_size=EVENTS)


@given(events)
def test_a_focal_loss_without_focus_is_the_cross_entropy(given_events: list[tuple[float, ...]]) -> None:
    table = np.array(given_events)
    logits, target = table[:, :3].T, target_of(table[:, 3].astype(int), np.ones(EVENTS))
    first = FOCAL_WITHOUT_FOCUS(jnp.float32(logits), jnp.float32(target))
    second = evaluate("cross_entropy", logits, target)
    assert float(first[0]) == pytest.approx(second[0], rel=1e-5, abs=1e-5)
    np.testing.assert_allclose(first[1], second[1], atol=1e-5)


FOCAL_WITHOUT_FOCUS = jax.jit(jax.value_and_grad(build_loss(Focal(gamma=0.0))))


@given(events)
def test_focus_and_certainty_only_take_away(given_events: list[tuple[float, ...]]) -> None:
    table = np.array(given_events)
    logits, target = table[:, :3].T, target_of(table[:, 3].astype(int), np.ones(EVENTS))
    plain = evaluate("cross_entropy", logits, target)[0]
    assert 0 <= evaluate("focal", logits, target)[0] <= plain * (1 + 1e-5) + 1e-6
    assert 0 <= evaluate("squared_error", logits, target)[0] <= EVENTS * 2 / CLASSES + 1e-5


def test_little_smoothing_is_nearly_the_cross_entropy() -> None:
    logits, classes, weight = sample()
    target = target_of(classes, weight)
    plain = evaluate("cross_entropy", logits, target)[0]
    distances = []
    for smoothing in (1e-2, 1e-3, 1e-4):
        loss = build_loss(LabelSmoothing(smoothing=smoothing))
        distances.append(abs(float(loss(jnp.float32(logits), jnp.float32(target))) - plain) / smoothing)
    # the distance falls like the smoothing itself
    assert distances == pytest.approx([distances[0]] * 3, rel=0.05)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"significance"}))
def test_one_output_is_the_logit_of_the_second_of_two_classes(name: str) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (2, EVENTS))
    batch = jnp.float32(np.stack([rng.integers(0, 2, EVENTS), rng.uniform(0, 2, EVENTS)]))
    loss = build_loss(LOSSES[name][0])

    both = jax.jit(jax.value_and_grad(lambda each: compute_loss_sums(loss, each, batch), has_aux=True))
    (one, right), by_one = both(jnp.float32(logits[1:] - logits[:1]))
    (two, right_of_two), by_two = both(jnp.float32(logits))
    assert float(one) == pytest.approx(float(two), rel=1e-5)
    assert right == right_of_two
    np.testing.assert_allclose(by_one[0], by_two[1], atol=1e-5)


def test_binary_cross_entropy_is_that_of_the_textbook() -> None:
    rng = np.random.default_rng(1)
    logit, truth, weight = rng.normal(0, 3, EVENTS), rng.integers(0, 2, EVENTS), rng.uniform(0, 2, EVENTS)
    score = 1 / (1 + np.exp(-logit))
    expected = -(weight * (truth * np.log(score) + (1 - truth) * np.log(1 - score))).sum()
    batch = jnp.float32(np.stack([truth, weight]))
    sums = jax.jit(partial(compute_loss_sums, build_loss(BinaryCrossEntropy())))
    value, right = sums(jnp.float32(logit[None, :]), batch)
    assert float(value) == pytest.approx(expected, rel=1e-5)
    assert float(right) == pytest.approx(weight[(score > 0.5) == truth].sum(), rel=1e-5)


def test_members_learn_from_the_mean_of_their_losses() -> None:
    rng = np.random.default_rng(2)
    logits = jnp.float32(rng.normal(size=(4, CLASSES, EVENTS)))
    batch = jnp.float32(np.stack([rng.integers(0, CLASSES, EVENTS), rng.uniform(0, 2, EVENTS)]))
    sums = jax.jit(partial(compute_loss_sums, build_loss(CrossEntropy())))
    alone = [float(sums(each, batch)[0]) for each in logits]
    value, right = sums(logits, batch)
    assert float(value) == pytest.approx(np.mean(alone), rel=1e-5)
    scores = np.mean([scores_of(np.asarray(each, float)) for each in logits], axis=0)
    expected = np.asarray(batch[1])[scores.argmax(axis=0) == np.asarray(batch[0])].sum()
    assert float(right) == pytest.approx(expected, rel=1e-5)


SIGNIFICANCE = jax.jit(asimov_significance)


def significance_of(s: float, b: float, sigma: float) -> float:
    return float(SIGNIFICANCE(jnp.float32(s), jnp.float32(b), jnp.float32(sigma)))


@given(
    st.floats(1e-3, 1e8),
    st.floats(1e-5, 1e3),
    st.floats(1e-2, 3),
)
def test_the_significance_equals_the_formula(b: float, ratio: float, systematic: float) -> None:
    # long numbers, because the formula loses its digits where the signal is small
    s, wide = np.longdouble(ratio * b), np.longdouble(b)
    sigma = max(np.longdouble(systematic) * wide, np.longdouble(1e-3) * np.sqrt(wide))
    assert significance_of(ratio * b, b, systematic * b) == pytest.approx(
        asimov(s, wide, sigma), rel=2e-3, abs=2e-6
    )


def test_the_significance_has_its_known_limits() -> None:
    assert significance_of(10, 1e4, 0) == pytest.approx(10 / 100, rel=1e-3)  # s / sqrt(b)
    assert significance_of(10, 1e4, 1e3) == pytest.approx(
        10 / np.sqrt(1e4 + 1e6), rel=2e-3
    )  # s / sqrt(b + sigma^2)
    assert significance_of(10, 1e6, 1e5) == pytest.approx(10 / 1e5, rel=1e-3)  # s / sigma
    # without uncertainty: sqrt(2 ((s+b) ln(1+s/b) - s))
    assert significance_of(50, 10, 0) == pytest.approx(np.sqrt(2 * (60 * np.log(6) - 50)), rel=1e-4)


def test_the_significance_rises_with_a_score_that_separates() -> None:
    classes = np.arange(EVENTS) % CLASSES
    logits = np.where(classes == 1, -1, 1) * np.array([[1], [0], [1]]) * np.linspace(0.1, 3, 4)[:, None, None]
    values = [evaluate("significance", each, target_of(classes, np.ones(EVENTS)))[0] for each in logits]
    assert (np.diff(values) < 0).all()


def test_a_batch_without_signal_has_no_significance() -> None:
    logits, _, weight = sample()
    value, gradient = evaluate("significance", logits, target_of(np.ones(EVENTS, int), weight))
    assert value == pytest.approx(0, abs=1e-4)
    assert np.isfinite(gradient).all()


def test_a_significance_without_signal_classes_is_refused() -> None:
    with pytest.raises(RequestError):
        build_loss(Significance(signal=1.0, background=1.0))


def test_equal_logits_are_right_in_equal_parts() -> None:
    target = build_one_hot_target(3, jnp.array([0.0, 1.0, 2.0, 0.0]), jnp.ones(4))
    assert float(sum_correct(jnp.zeros((3, 4)), target)) == pytest.approx(4 / 3)


def test_the_right_events_are_counted_by_weight() -> None:
    logits = jnp.array([[2.0, 0.0, 1.0], [0.0, 3.0, 2.0]])
    target = build_one_hot_target(2, jnp.array([0.0, 0.0, 1.0]), jnp.array([1.0, 2.0, 4.0]))
    assert float(sum_correct(logits, target)) == 5
