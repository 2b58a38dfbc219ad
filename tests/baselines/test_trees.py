"""Boosted trees, where the best loss is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tamis.baselines.events import LabelledEvents
from tamis.baselines.trees import Trees, train_trees
from tamis.statistics.metrics import compute_metrics


def checkerboard(seed: int, events: int, classes: int = 2) -> LabelledEvents:
    """A class for each quadrant pair, of which a tenth is labelled as another class at random."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(-1, 1, (events, 3)).astype(np.float32)
    right = ((features[:, 0] > 0) ^ (features[:, 1] > 0)).astype(np.int32)
    if classes == 3:
        right = np.where((features[:, 2] > 0), right, 2)
    wrong = (right + rng.integers(1, classes, events)) % classes
    class_index = np.where(rng.random(events) < 0.1, wrong, right).astype(np.int32)
    return LabelledEvents(features, class_index, np.ones(events))


def grown(training: LabelledEvents, classes: int = 2, seed: int = 1) -> Trees:
    return train_trees(training, checkerboard(8, 5000, classes), classes, seed=seed, threads=2)


@pytest.mark.parametrize("classes", [2, 3])
def test_they_come_close_to_the_limit_of_a_checkerboard(classes: int) -> None:
    trees = grown(checkerboard(1, 10_000, classes), classes)
    test = checkerboard(2, 20_000, classes)
    scores = trees.scores(test.features)
    assert scores.shape == (20_000, classes)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    found = compute_metrics(scores, test.class_index, test.weight)
    # -0.9 log 0.9 - 0.1 log(0.1 / other classes)
    limit = -0.9 * np.log(0.9) - 0.1 * np.log(0.1 / (classes - 1))
    assert limit - 0.02 < found.loss < limit + 0.02
    assert found.accuracy == pytest.approx(0.9, abs=0.01)


def test_they_stop_when_the_validation_loss_rises() -> None:
    noise = checkerboard(3, 2000)
    rng = np.random.default_rng(4)
    noise = replace(noise, class_index=rng.integers(0, 2, 2000).astype(np.int32))
    validation = checkerboard(5, 2000)
    validation = replace(validation, class_index=rng.integers(0, 2, 2000).astype(np.int32))
    trees = train_trees(noise, validation, 2, seed=1, threads=2)
    assert trees.rounds < 10
    # what was grown after the best round is not used
    assert trees.booster.num_boosted_rounds() > trees.rounds
    assert np.abs(trees.scores(validation.features) - 0.5).max() < 0.3


def test_the_seed_decides_and_nothing_else() -> None:
    training = checkerboard(6, 3000)
    first, again, other = (grown(training, seed=seed).scores(training.features) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_the_unit_of_weights_is_of_no_matter() -> None:
    training = checkerboard(7, 3000)
    training = replace(training, weight=np.random.default_rng(7).uniform(0.5, 1.5, 3000))
    heavy = replace(training, weight=training.weight * 1024)
    first, second = (grown(each).scores(training.features) for each in (training, heavy))
    assert first.tobytes() == second.tobytes()


def test_negative_weights_keep_the_share_of_each_class() -> None:
    """Where nothing tells the classes apart, the scores are the shares of the signed sums."""
    rng = np.random.default_rng(9)
    class_index = (np.arange(8000) % 2).astype(np.int32)
    weight = np.where(class_index == 1, 3.0, 1.0)
    # a third of the signal and none of the background is negative: shares 1/2, not 3/4
    weight[(class_index == 1) & (np.arange(8000) % 12 < 4)] *= -1
    features = rng.normal(size=(8000, 2)).astype(np.float32)
    first, second = (
        LabelledEvents(features[rows], class_index[rows], weight[rows])
        for rows in (slice(None, 6000), slice(6000, None))
    )
    trees = train_trees(first, second, 2, seed=1, threads=2)
    assert np.bincount(class_index, weight) == pytest.approx([4000, 4000], rel=0.01)
    assert trees.scores(features)[:, 1].mean() == pytest.approx(0.5, abs=0.02)


def test_missing_values_go_where_they_fit() -> None:
    rng = np.random.default_rng(10)
    class_index = (np.arange(4000) % 2).astype(np.int32)
    features = rng.normal(size=(4000, 1)).astype(np.float32)
    features[(class_index == 1) & (rng.random(4000) < 0.5)] = np.nan
    events, checked = (
        LabelledEvents(features[rows], class_index[rows], np.ones(2000))
        for rows in (slice(None, 2000), slice(2000, None))
    )
    trees = train_trees(events, checked, 2, seed=1, threads=2)
    assert trees.scores(np.array([[np.nan]], np.float32))[0, 1] > 0.95


def test_an_offset_that_32_bits_cannot_hold_changes_no_score() -> None:
    near = checkerboard(9, 2000)
    near = replace(near, features=np.round(near.features * 1024) / np.float32(1024))
    far = replace(near, features=near.features.astype(np.float64) + 1.6e9)
    first, second = (
        train_trees(each, each, 2, seed=1, threads=1).scores(each.features) for each in (near, far)
    )
    np.testing.assert_array_equal(first, second)
