"""Corrections of scores as part of the classifier: fitted without leakage, applied everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special

import tamis
from tamis.calibration import Calibration, Scaling, fit_scaling, log_scores
from tamis.config import parse_config
from tamis.data.split import NO_FOLD, SPLITS, VALIDATION
from tamis.errors import TrainingError
from tamis.pipeline.fitting import calibrate

Make = Callable[..., dict[str, Any]]
TRAINING = {"epochs": 3, "batch_size": 64}


def distorted(number: int = 40_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores whose logits are three times too large and shifted, with their classes; and the exact ones."""
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(number, 3))
    exact = special.softmax(logits, axis=1)
    class_index = (rng.random(number)[:, None] > exact.cumsum(axis=1)).sum(axis=1)
    return special.softmax(3 * logits + np.array([0.5, 0, -0.5]), axis=1), class_index, exact


def test_a_known_distortion_is_undone() -> None:
    scores, class_index, exact = distorted()
    found = fit_scaling("vector", scores, class_index, np.ones(len(scores)))
    np.testing.assert_allclose(found.scale, 1 / 3, atol=0.02)
    np.testing.assert_allclose(found.offset, [-1 / 6, 0, 1 / 6], atol=0.05)
    assert np.abs(found(scores) - exact).mean() < 0.01
    one = fit_scaling("temperature", scores, class_index, np.ones(len(scores)))
    assert len(set(one.scale)) == 1
    assert one.offset == (0, 0, 0)
    assert one.scale[0] == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("scale", [0.1, 1.0, 7.0])
def test_a_temperature_keeps_the_ranking_and_the_sum(scale: float) -> None:
    scores = np.random.default_rng(0).dirichlet(np.ones(4), 200)
    found = Scaling((scale,) * 4, (0.0,) * 4)(scores)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argsort(axis=1) == scores.argsort(axis=1)).all()
    assert np.isfinite(Scaling((scale, scale), (0.0, 0.0))(np.array([[0.0, 1.0]], np.float32))).all()


# slow: one network has a temperature below
@pytest.fixture(scope="module", params=[pytest.param("temperature", marks=pytest.mark.slow), "vector"])
def run(request: pytest.FixtureRequest, module_classes: Make) -> tamis.Run:
    training = {**TRAINING, "calibration": request.param, "ensemble": 2}
    return tamis.train(parse_config(module_classes(900, training=training, split={"folds": 3})))


def test_each_fold_has_a_correction_that_no_event_of_it_decides(run: tamis.Run) -> None:
    classifier, weighed = run.classifier, run.prepared.weighed
    assert classifier.calibration is not None
    assert set(classifier.calibration.of_folds) == {0, 1, 2}
    events = weighed.events
    bare = replace(classifier, calibration=None)
    method = classifier.calibration.method
    for fold in range(3):
        # the labels of the fold are turned round: its own correction must not notice
        turned = np.where(events.fold == fold, 1 - events.class_index, events.class_index)
        other = replace(weighed, events=replace(events, class_index=turned))
        found = calibrate(method, other, bare).calibration
        assert found is not None
        assert found.of(fold) == classifier.calibration.of(fold)
        assert found.of_all != classifier.calibration.of_all
        rows = classifier.plan.first_members[fold].select(VALIDATION, events)
        assert not (events.fold[rows] == fold).any()


def test_a_correction_is_the_fit_to_validation_events_with_class_weights(run: tamis.Run) -> None:
    classifier, weighed, events = run.classifier, run.prepared.weighed, run.prepared.events
    bare, plan = replace(classifier, calibration=None), classifier.plan
    assert classifier.calibration is not None
    weight = events.weight * weighed.class_weights[events.class_index]
    masks = {fold: (events.fold != fold) & (events.split == VALIDATION) for fold in range(plan.n_folds)}
    masks[NO_FOLD] = events.split == VALIDATION
    for fold, rows in masks.items():
        scores = bare.scores(events.features[rows], fold)
        expected = fit_scaling(classifier.calibration.method, scores, events.class_index[rows], weight[rows])
        np.testing.assert_allclose(classifier.calibration.of(fold).scale, expected.scale, rtol=1e-9)
        np.testing.assert_allclose(classifier.calibration.of(fold).offset, expected.offset, atol=1e-9)


def test_the_corrected_scores_are_what_is_evaluated_and_quoted(run: tamis.Run) -> None:
    classifier, events = run.classifier, run.prepared.events
    assert classifier.calibration is not None
    bare = replace(classifier, calibration=None)
    before = bare.scores(events.features, events.fold)
    expected = np.empty_like(before)
    for fold in range(3):
        rows = events.fold == fold
        expected[rows] = classifier.calibration.of(fold)(before[rows])
    np.testing.assert_array_equal(run.splits[SPLITS[2]].scores, expected)
    assert np.abs(expected - before).max() > 1e-3
    unknown = classifier.scores(events.features)
    np.testing.assert_array_equal(
        unknown, classifier.calibration.of_all(bare.scores(events.features)).astype(np.float32)
    )
    metrics = run.metrics
    assert metrics["applied_calibration"]["method"] == classifier.calibration.method
    assert metrics["applied_calibration"]["of_all"]["scale"]["bkg"] == classifier.calibration.of_all.scale[0]
    loss = -np.log(expected[np.arange(len(events)), events.class_index])
    assert metrics["test"]["loss"] == pytest.approx(np.average(loss, weights=events.weight), rel=1e-5)


def test_a_saved_correction_is_the_same(run: tamis.Run, tmp_path: Path) -> None:
    run.classifier.save(tmp_path)
    loaded = tamis.Classifier.load(tmp_path)
    assert loaded.calibration == run.classifier.calibration
    events = run.prepared.events
    assert loaded.scores(events.features).tobytes() == run.classifier.scores(events.features).tobytes()
    assert tamis.export_onnx(tmp_path, events.features, events.fold).difference <= 1e-6


def test_derivatives_are_those_of_the_corrected_scores(run: tamis.Run) -> None:
    # the preprocessing is smooth, and a step in 32 bits must be seen
    classifier = run.classifier
    features = run.prepared.events.features[:50]
    step = np.float32(2e-2)
    fold = run.prepared.events.fold[:50]
    found = classifier.sensitivity(features, fold)
    np.testing.assert_allclose(found.scores, classifier.scores(features, fold), atol=1e-5)
    up, down = features.copy(), features.copy()
    up[:, 0] += step
    down[:, 0] -= step
    numeric = (np.log(classifier.scores(up, fold)) - np.log(classifier.scores(down, fold))) / (2 * step)
    close = np.abs(found.values[:, :, 0] - numeric) < 0.02 + 0.02 * np.abs(numeric)
    assert close.mean() > 0.95  # but for edges of rectifiers


def test_one_network_is_corrected_on_its_validation_events(module_classes: Make) -> None:
    data = module_classes(900, training={**TRAINING, "calibration": "temperature"})
    calibrated = tamis.train(parse_config(data))
    plain = tamis.train(parse_config({**data, "training": TRAINING}))
    assert plain.classifier.calibration is None
    assert plain.metrics["applied_calibration"] is None
    assert calibrated.classifier.calibration is not None
    assert not calibrated.classifier.calibration.of_folds
    # what is fitted on corrected scores of the same events corrects nothing any more
    assert calibrated.results["calibration"].temperature.scale[0] == pytest.approx(1, abs=1e-4)
    expected = plain.results["calibration"].temperature.scale[0]
    assert calibrated.classifier.calibration.of_all.scale[0] == pytest.approx(expected, abs=1e-4)
    assert expected != pytest.approx(1, abs=0.01)


def test_too_few_validation_events_are_refused(module_classes: Make) -> None:
    run = tamis.train(parse_config(module_classes(200, training=TRAINING)))
    weighed = run.prepared.weighed
    events = replace(weighed.events, weight=-weighed.events.weight)
    with pytest.raises(TrainingError):
        calibrate("vector", replace(weighed, events=events), run.classifier)


def test_an_unknown_fold_takes_the_correction_of_all() -> None:
    all_, own = Scaling((1.0, 1.0), (0.0, 0.0)), Scaling((2.0, 2.0), (0.0, 0.0))
    calibration = Calibration("temperature", all_, {0: own})
    assert [calibration.of(fold) for fold in (0, 1, NO_FOLD)] == [own, all_, all_]


@pytest.mark.parametrize("method", ["temperature", "vector"])
def test_an_event_of_the_opposite_weight_takes_one_away(method: Any) -> None:
    scores, class_index, _ = distorted(2000)
    more = np.r_[np.arange(2000), np.arange(500), np.arange(500)]
    weight = np.repeat([1.0, 1.0, -1.0], [2000, 500, 500])
    first = fit_scaling(method, scores, class_index, np.ones(2000))
    second = fit_scaling(method, scores[more], class_index[more], weight)
    np.testing.assert_allclose(second.scale, first.scale, rtol=1e-3)
    np.testing.assert_allclose(second.offset, first.offset, atol=1e-3)


def test_a_score_counts_down_to_the_smallest_normal_number_of_32_bits() -> None:
    smallest = float(np.finfo(np.float32).smallest_normal)
    found = log_scores(np.array([0.0, 1e-40, smallest, 1e-30]))
    np.testing.assert_allclose(found, np.log([smallest, smallest, smallest, 1e-30]), rtol=1e-12)
