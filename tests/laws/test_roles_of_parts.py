"""Training events teach, validation events choose, test events are counted: each has no say in the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from tamis.classifier import Classifier
from tamis.config import parse_config
from tamis.data.split import TEST, TRAINING, VALIDATION
from tamis.pipeline.evaluation import build_context, evaluate, score
from tamis.pipeline.fitting import train_classifier
from tamis.pipeline.preparation import Prepared, prepare, weigh

Make = Callable[..., dict[str, Any]]
Outcome = tuple[Prepared, Classifier, dict[str, Any], tuple[float, ...]]


@pytest.fixture(scope="module")
def outcomes(module_classes: Make) -> dict[str, Outcome]:
    """What comes of the same events, and of others in one part that keep their classes and weights."""
    section = module_classes(
        400,
        features=["x", {"name": "phi", "expression": "3 * (w - 1) + 3.14159"}],
        spectators=["y"],
        weights={"flatten": {"spectators": ["y"], "bins": 4}},
        preprocessing={"scaling": "quantile"},
        training={
            "epochs": 2, "batch_size": 64, "calibration": "vector", "early_stopping": None,
            "symmetries": [{"type": "rotation", "features": ["phi"]}],
            "decorrelate": {"spectators": ["y"], "strength": 1e-3},
        },
    )  # fmt: skip
    for sample in section["samples"]:
        sample["weight"] = "w"
    config = parse_config(section)
    original = prepare(config)
    found = {}
    for name, part in (("same", None), ("validation", VALIDATION), ("test", TEST)):
        events = original.events
        features, spectators = events.features.copy(), {key: x.copy() for key, x in events.spectators.items()}
        rows = np.flatnonzero(events.split == part)
        # other values; the azimuths below zero, where no training event has any
        features[rows] = features[rows] * [-0.5, 1] - [0.3, 3]
        spectators["y"][rows] += 5
        weighed = weigh(config, replace(events, features=features, spectators=spectators), original.plan)
        prepared = replace(original, weighed=weighed)
        classifier, (trained,) = train_classifier(config, prepared)
        found[name] = (
            prepared,
            classifier,
            evaluate(
                build_context(config, prepared, classifier, score(classifier, prepared.events)),
            ),
            tuple(epoch.validation_loss for epoch in trained.history.epochs),
        )
    return found


def learned(outcome: Outcome) -> list[bytes]:
    """What training events decide: weights, preprocessing and network."""
    prepared, classifier, _, _ = outcome
    rows = prepared.events.split == TRAINING
    return [
        prepared.weighed.class_weights.tobytes(),
        prepared.weighed.training_weight[rows].tobytes(),
        repr(classifier.symmetries).encode(),
        classifier.preprocessing.apply(prepared.events.features[rows]).tobytes(),
        *(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(classifier.network)),
    ]


def chosen(outcome: Outcome) -> tuple[Any, ...]:
    """What validation events decide: the best epoch, corrections, cut and bins."""
    _, classifier, results, losses = outcome
    calibration, expected = results["calibration"], results["discovery"].expected
    assert expected.binning is not None
    return (
        classifier.calibration, calibration.temperature, calibration.temperature_error, calibration.vector,
        expected.cut, expected.binning.edges, losses,
    )  # fmt: skip


@pytest.mark.parametrize("part", ["validation", "test"])
def test_training_events_alone_teach(outcomes: dict[str, Outcome], part: str) -> None:
    assert learned(outcomes[part]) == learned(outcomes["same"])


def test_validation_events_choose_and_test_events_do_not(outcomes: dict[str, Outcome]) -> None:
    assert chosen(outcomes["test"]) == chosen(outcomes["same"])
    assert all(
        one != other
        for one, other in zip(chosen(outcomes["validation"]), chosen(outcomes["same"]), strict=True)
    )


def test_what_is_quoted_is_counted_on_test_events(outcomes: dict[str, Outcome]) -> None:
    same, other = (outcomes[name][2] for name in ("same", "test"))
    first, second = (each["performance"].splits for each in (same, other))
    assert first["test"] != second["test"]
    assert first["validation"] == second["validation"]
    first, second = (each["discovery"].expected for each in (same, other))
    assert first.after_cut != second.after_cut
    assert same["calibration"].balanced != other["calibration"].balanced


def test_features_are_exchanged_between_test_events(outcomes: dict[str, Outcome]) -> None:
    same, other = (outcomes[name][2]["importance"].groups for name in ("same", "test"))
    assert {group.features: group.permuted for group in same} != {
        group.features: group.permuted for group in other
    }
