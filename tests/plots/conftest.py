"""Scored events of any number of classes, for all figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from tamis.plots.labels import ClassStyle, class_styles
from tamis.statistics.asimov import Requirements
from tamis.statistics.expected_significance import ExpectedSignificance, compute_expected_significance
from tamis.statistics.importance import compute_permutation_importance
from tamis.statistics.scored import ScoredEvents
from tamis.studies.calibration import CalibrationResult, compute_calibration
from tamis.studies.context import Context
from tamis.studies.importance.result import FeatureImportance
from tamis.studies.overtraining.permutation import PermutationTest, compute_permutation_test
from tamis.studies.sculpting.result import Sculpting, measure_sculpting


@pytest.fixture(scope="session")
def results_of() -> Callable[[int], Results]:
    """Give every result of a number of classes; with six of them names are long or hostile."""
    return cache(results)


NAMES = ("bkg", "$\\bad_{x", "_underscored", "<img src=x onerror=alert(1)>", "ttbar_" + 10 * "jets_", "sig")


@dataclass(frozen=True)
class Results:
    names: tuple[str, ...]
    styles: tuple[ClassStyle, ...]
    test: ScoredEvents
    calibration: CalibrationResult
    expected: ExpectedSignificance
    importance: tuple[FeatureImportance, ...]
    sculpting: tuple[Sculpting, ...]
    overtraining: PermutationTest


def scored(seed: int, classes: int, events: int) -> tuple[ScoredEvents, NDArray[np.float32]]:
    rng = np.random.default_rng((seed, classes))
    class_index = (np.arange(events) % classes).astype(np.int32)
    x = rng.normal(size=(events, classes)) + 1.2 * np.eye(classes)[class_index]
    x[:, 1] = x[:, 1] if classes > 2 else x[:, 0] + 0.1 * rng.normal(size=events)
    weight = rng.lognormal(0, 0.4, events) * np.where(rng.random(events) < 0.05, -1, 1)
    weight *= np.geomspace(1, 0.02, classes)[class_index]
    factor = 1 / np.bincount(class_index, weight, classes)
    x = x.astype(np.float32)
    return ScoredEvents(predict(x), class_index, weight, factor[class_index]), x


def predict(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return special.softmax(1.8 * x, axis=1).astype(np.float32)


def results(classes: int) -> Results:
    names = (*NAMES[: classes - 1], NAMES[-1])
    (training, _), (validation, _), (test, x) = (scored(seed, classes, 3000) for seed in (1, 2, 3))
    rng = np.random.default_rng(4)
    calibration = compute_calibration(Context(names, {"validation": validation, "test": test}))
    features = [*(f"feature_{number}" for number in range(classes - 1)), "$\\bad<b>" + 10 * "_long"]
    permuted = compute_permutation_importance(
        predict, x, test.class_index, test.balanced_weight, features, rng
    )
    first, *others = (FeatureImportance(group.features, group.drop) for group in permuted)
    drop = replace(first.permuted, loss=first.permuted.loss / 2, loss_interval=None)
    importance = (replace(first, ablated=drop), *others)
    score = test.scores[:, -1].astype(np.float64)
    mass = np.where(test.class_index == 0, 100 + 40 * score, 0) + rng.exponential(20, len(test))
    return Results(
        names,
        class_styles(names),
        test,
        calibration,
        compute_expected_significance(validation, test, [classes - 1], Requirements(relative=0.02)),
        importance,
        measure_sculpting({"mass": mass}, score, test.class_index, test.weight, names, [0.3, 0.6, 2.0], rng),
        compute_permutation_test(training, test, names, permutations=49, generator=rng),
    )
