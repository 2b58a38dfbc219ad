"""Untrained classifiers of any architecture, and events with missing values and extremes for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import onnxruntime
import pytest
from numpy.typing import ArrayLike, NDArray
from onnx import ModelProto

from tamis.classifier import Classifier, Member
from tamis.config import ClassSection, Feature, Folds, Symmetry
from tamis.config import Network as NetworkSection
from tamis.data.ensemble import EnsemblePlan, PlannedMember
from tamis.data.split import NO_FOLD
from tamis.export.lower import lower
from tamis.export.onnx_writer import Inputs, build_model
from tamis.network.network import Network, build_network
from tamis.network.preprocessing import fit_preprocessing

Float32 = NDArray[np.float32]
FEATURES = (
    Feature(name="pt", expression="pt"),
    Feature(name="mass", expression="mass", unit="GeV", missing=(float("nan"), -999.0, -1.0)),
    Feature(name="eta", expression="eta", missing=(-99.9,)),
    Feature(name="phi", expression="phi"),
)


def events_of(seed: int, number: int = 500) -> Float32:
    """Give features with NaN where missing; the first events have extreme values."""
    rng = np.random.default_rng(seed)
    columns = (
        rng.normal(40, 12, number),
        10 + rng.exponential(60, number),
        rng.normal(0, 2, number),
        rng.uniform(-np.pi, np.pi, number),
    )
    events = np.stack(columns, axis=1).astype(np.float32)
    events[0], events[1] = (4000, 9000, 60, 3.14159), (0, -5, -60, -3.14159)
    events[2] = 0
    events[rng.random(number) < 0.2, 1] = np.nan
    events[rng.random(number) < 0.1, 2] = np.nan
    return events


def shifted(network: Network, seed: int) -> Network:
    """Add to biases, gains and running means, which begin at zero, where nothing could go wrong with them."""
    rng, of_outputs = np.random.default_rng(seed), np.random.default_rng([seed, 1])

    def shift(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        if leaf.ndim == 1 and leaf.size > 4:
            return leaf + 0.1 * rng.random(leaf.shape, np.float32)
        # such as those of the output layer, a matrix where members share their weights
        if getattr(path[-1], "name", "") == "bias":
            return leaf - 0.1 * of_outputs.random(leaf.shape, np.float32)
        return leaf

    changed: Network = jax.tree_util.tree_map_with_path(shift, network)
    return changed


def classifier_of(
    layers: Sequence[dict[str, Any]],
    *,
    seed: int = 0,
    classes: int = 3,
    outputs: int | None = None,
    scaling: Any = "robust",
    logarithm: Sequence[bool] = (),
    folds: Sequence[int | None] = (None,),
    symmetries: tuple[Symmetry, ...] = (),
    copies: int = 0,
    **network: Any,
) -> Classifier:
    """Build a classifier with initial weights; its preprocessing is learned from random events."""
    section = NetworkSection.model_validate(
        {"output_initialisation": "random", **network, "layers": list(layers)}
    )
    built = []
    for number in range(len(folds)):
        sample = events_of(seed + number)
        preprocessing = fit_preprocessing(
            sample,
            np.ones(len(sample)),
            scaling,
            missing_allowed=[feature.missing is not None for feature in FEATURES],
            logarithm=logarithm,
        )
        random = np.random.default_rng(seed + number)
        made = build_network(
            preprocessing.inputs,
            classes,
            section,
            random=random,
            outputs=outputs,
            training_inputs=preprocessing.apply(sample),
        )
        built.append(Member(preprocessing, shifted(made, seed + number)))
    known = {fold for fold in folds if fold is not None}
    return Classifier(
        FEATURES,
        {f"class_{number}": ClassSection() for number in range(classes)},
        tuple(built),
        EnsemblePlan(
            tuple(PlannedMember(fold) for fold in folds),
            Folds(number=max(len(known), 2), by="event") if known else None,
        ),
        symmetries=symmetries,
        test_time_augmentation=copies,
    )


Score = Callable[..., Float32]


def runtime(model: ModelProto) -> Score:
    """Run a model in ONNX Runtime."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda **inputs: session.run(["scores"], inputs)[0]


def scorer_of(classifier: Classifier, form: Inputs = "packed") -> Callable[..., Float32]:
    """Give the scores that the exported model gives to features, and to folds."""
    score = runtime(build_model(lower(classifier), form))

    def scores(features: Float32, fold: ArrayLike = NO_FOLD) -> Float32:
        inputs = {"features": features}
        if form == "named":
            inputs = {each.name: features[:, [index]] for index, each in enumerate(classifier.features)}
        if classifier.plan.is_cross_training:
            inputs["fold"] = np.full((len(features), 1), np.reshape(fold, (-1, 1)), np.float32)
        return score(**inputs)

    return scores


@pytest.fixture(scope="session")
def make_events() -> Callable[..., Float32]:
    return events_of


@pytest.fixture(scope="session")
def make_classifier() -> Callable[..., Classifier]:
    return classifier_of


@pytest.fixture(scope="session")
def make_scorer() -> Callable[..., Any]:
    return scorer_of
