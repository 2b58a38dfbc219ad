"""Logistic regression, where it is the best classifier that there can be, and where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tamis.baselines.events import LabelledEvents
from tamis.baselines.logistic import Logistic, train_logistic
from tamis.config import Scaling
from tamis.network.preprocessing import fit_preprocessing
from tamis.statistics.metrics import compute_metrics

Float64 = NDArray[np.float64]


def gaussians(seed: int, events: int, centres: Float64) -> LabelledEvents:
    """Classes of one covariance, so that the logarithms of their densities differ by planes."""
    rng = np.random.default_rng(seed)
    classes, features = centres.shape
    class_index = (np.arange(events) % classes).astype(np.int32)
    values = centres[class_index] + rng.normal(size=(events, features))
    return LabelledEvents(values.astype(np.float32), class_index, np.ones(events))


def fitted(training: LabelledEvents, classes: int, scaling: Scaling = "standard") -> Logistic:
    preprocessing = fit_preprocessing(training.features, training.weight, scaling)
    return train_logistic(training, preprocessing, classes)


def limit(events: LabelledEvents, centres: Float64) -> Float64:
    """The exact probabilities of the classes."""
    density = np.exp(-0.5 * np.square(events.features[:, None, :] - centres).sum(axis=2))
    return np.asarray(density / density.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("scaling", ["standard", "none"])
@pytest.mark.parametrize(
    "centres", [[[0.0, 0, 0], [1.0, -0.5, 0]], [[0.0, 0], [1.5, 0], [0, 2.0]]], ids=["two", "three"]
)
def test_it_reaches_the_limit_of_gaussians(centres: list[list[float]], scaling: Scaling) -> None:
    places = np.array(centres)
    found = fitted(gaussians(1, 30_000, places), len(places), scaling)
    assert found.converged
    test = gaussians(2, 60_000, places)
    reached = compute_metrics(found.scores(test.features), test.class_index, test.weight).loss
    best = compute_metrics(limit(test, places), test.class_index, test.weight).loss
    # expected: half the number of parameters for each training event, about 0.0001
    assert -1e-4 < reached - best < 5e-4


def test_signed_weights_are_right_on_average() -> None:
    """Events that are added with weight 1 and, others of the same kind, with weight -1 change nothing."""
    rng = np.random.default_rng(3)
    clean = gaussians(3, 40_000, np.array([[0.0], [1.0]]))
    junk = rng.normal(-2, 1, (20_000, 1)).astype(np.float32)
    sign = np.where(np.arange(20_000) % 2, 1.0, -1.0)
    features = np.concatenate([clean.features, junk])
    class_index = np.concatenate([clean.class_index, np.ones(20_000, np.int32)])
    signed = LabelledEvents(features, class_index, np.concatenate([clean.weight, sign]))
    sizes = LabelledEvents(features, class_index, np.abs(signed.weight))
    # log p1/p0 = x - 1/2
    exact = 1 / (1 + np.exp(0.5 - np.linspace(-1, 2, 7)))
    grid = np.linspace(-1, 2, 7, dtype=np.float32)[:, None]
    np.testing.assert_allclose(fitted(signed, 2).scores(grid)[:, 1], exact, atol=0.03)
    assert np.abs(fitted(sizes, 2).scores(grid)[:, 1] - exact).max() > 0.1


def test_the_unit_of_weights_is_of_no_matter() -> None:
    training = gaussians(4, 2000, np.array([[0.0, 0], [1.0, 1]]))
    heavy = LabelledEvents(training.features, training.class_index, training.weight * 1024)
    first, second = (fitted(each, 2).scores(training.features[:50]) for each in (training, heavy))
    assert first.tobytes() == second.tobytes()


def test_classes_that_a_line_separates_leave_finite_factors() -> None:
    features = np.repeat(np.array([[-1.0, 7.0], [1.0, 7.0]], np.float32), 50, axis=0)
    events = LabelledEvents(features, np.repeat([0, 1], 50).astype(np.int32), np.ones(100))
    found = fitted(events, 2)
    scores = found.scores(events.features)
    assert np.isfinite(found.factor).all()
    np.testing.assert_array_equal(scores.argmax(axis=1), events.class_index)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)


def test_missing_values_get_what_the_network_gets() -> None:
    rng = np.random.default_rng(5)
    class_index = (np.arange(4000) % 2).astype(np.int32)
    features = rng.normal(size=(4000, 1)).astype(np.float32)
    features[(class_index == 1) & (rng.random(4000) < 0.5)] = np.nan
    events = LabelledEvents(features, class_index, np.ones(4000))
    preprocessing = fit_preprocessing(features, events.weight, "standard", missing_allowed=[True])
    found = train_logistic(events, preprocessing, 2)
    missing, there = found.scores(np.array([[np.nan], [0.0]], np.float32))[:, 1]
    # P(sig | missing) = 1, P(sig | there) = 1/3
    assert missing > 0.98
    assert there == pytest.approx(1 / 3, abs=0.03)
