"""Derivatives against differences of scores, through every kind of preprocessing, embedding and average."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tamis.classifier import Classifier, Member
from tamis.config import (
    ClassSection,
    Dense,
    Exchange,
    Feature,
    Folds,
    Gains,
    Network,
    Periodic,
    Reflection,
    Rotation,
    Scaling,
)
from tamis.data.ensemble import EnsemblePlan, PlannedMember
from tamis.data.split import NO_FOLD
from tamis.network.network import build_network
from tamis.network.preprocessing import Preprocessing, fit_preprocessing

CLASSES = 3
NAMES = ("pt", "eta", "met")


def events(number: int = 500) -> np.ndarray:
    """`pt` has a long tail, `eta` both signs, and `met` is missing in a third of the events."""
    rng = np.random.default_rng(2)
    met = np.where(rng.random(number) < 1 / 3, np.nan, rng.normal(60, 20, number))
    return np.stack([rng.exponential(50, number), rng.normal(size=number), met], axis=1).astype(np.float32)


def preprocessing(
    scaling: Scaling = "robust", logarithm: bool = False, number: int | None = None
) -> Preprocessing:
    features = events()[:number]
    learned = fit_preprocessing(
        features, np.ones(len(features)), scaling,
        missing_allowed=[False, False, True], logarithm=[logarithm, False, False],
    )  # fmt: skip
    assert learned.indicators == (2,)
    return learned


def network(inputs: int, seed: int = 1, outputs: int | None = None, **section: Any):
    layers = [Dense(nodes=8, activation="tanh")]
    chosen = Network(**{"layers": layers, "gains": None, "output_initialisation": "random", **section})
    classes = CLASSES if outputs is None else 2
    return build_network(inputs, classes, chosen, random=np.random.default_rng(seed), outputs=outputs)


def classifier(members: list[Member], classes: int = CLASSES, **more: Any) -> Classifier:
    return Classifier(
        tuple(Feature(name=name, expression=name) for name in more.pop("names", NAMES)),
        {f"class {number}": ClassSection() for number in range(classes)},
        tuple(members),
        **{"plan": EnsemblePlan(tuple(PlannedMember() for _ in members)), **more},
    )


def differences(chosen: Classifier, features: np.ndarray, column: int, fold=NO_FOLD) -> np.ndarray:
    """d log(score) / d feature, [n, n_classes], by a small step to both sides."""
    step = 2e-3 * np.nanstd(features[:, column])
    above, below = features.copy(), features.copy()
    above[:, column] += np.float32(step)
    below[:, column] -= np.float32(step)
    width = above[:, column].astype(np.float64) - below[:, column]
    change = np.log(chosen.scores(above, fold)) - np.log(chosen.scores(below, fold))
    return np.where(np.isnan(width), 0, change.astype(np.float64).T / width).T


def assert_agrees(chosen: Classifier, features: np.ndarray, fold=NO_FOLD, fraction: float = 1.0) -> None:
    found = chosen.sensitivity(features, fold)
    np.testing.assert_allclose(found.scores, chosen.scores(features, fold), rtol=1e-4)
    for column in range(features.shape[1]):
        scale = np.nanstd(features[:, column])
        expected = differences(chosen, features, column, fold) * scale
        close = np.isclose(found.values[:, :, column] * scale, expected, atol=2e-3, rtol=2e-3)
        assert close.all(axis=1).mean() >= fraction, column
    assert np.abs(found.values).max() > 0


@pytest.mark.parametrize("logarithm", [False, True])
@pytest.mark.parametrize("scaling", ["standard", "robust"])
def test_it_is_the_derivative_through_a_smooth_preprocessing(scaling: Scaling, logarithm: bool) -> None:
    learned = preprocessing(scaling, logarithm)
    assert_agrees(classifier([Member(learned, network(learned.inputs))]), events())


def test_it_is_the_derivative_between_the_knots_of_quantiles() -> None:
    learned = preprocessing("quantile", number=12)
    # a step over a knot sees another slope on its other side
    assert_agrees(classifier([Member(learned, network(learned.inputs))]), events(), fraction=0.9)
    beyond = np.array([[-1e3, 0.0, 50.0], [1e5, 0.0, 50.0]], np.float32)
    np.testing.assert_array_equal(learned.slopes(beyond)[:, 0], 0.0)


def test_nothing_is_scaled() -> None:
    learned = preprocessing("none")
    np.testing.assert_array_equal(learned.slopes(events()), np.isfinite(events()).astype(float))


@pytest.mark.parametrize("gains", [None, Gains()])
@pytest.mark.parametrize("embedding", [None, Periodic(frequencies=3, nodes=2, sigma=0.1)])
def test_embeddings_and_gains_are_part_of_it(embedding: Any, gains: Any) -> None:
    learned = preprocessing()
    chosen = classifier([Member(learned, network(learned.inputs, embedding=embedding, gains=gains))])
    assert_agrees(chosen, events(), fraction=0.98)  # a step may cross the edge of a relu


def test_members_that_share_weights_are_averaged() -> None:
    learned = preprocessing()
    assert_agrees(classifier([Member(learned, network(learned.inputs, shared_members=3))]), events())


def test_one_output_stands_for_two_classes() -> None:
    learned = preprocessing()
    chosen = classifier([Member(learned, network(learned.inputs, outputs=1))], classes=2)
    assert_agrees(chosen, events())
    found = chosen.sensitivity(events())
    change_of_scores = (found.scores[:, :, None] * found.values).sum(axis=1)
    np.testing.assert_allclose(change_of_scores, 0, atol=1e-6)


def test_several_networks_are_averaged_each_behind_its_own_preprocessing() -> None:
    first, second = preprocessing(), preprocessing("standard")
    members = [Member(first, network(first.inputs, 1)), Member(second, network(second.inputs, 2))]
    assert_agrees(classifier(members), events())


def test_a_fold_takes_the_members_that_never_saw_it() -> None:
    learned = preprocessing()
    members = [Member(learned, network(learned.inputs, seed)) for seed in range(4)]
    plan = EnsemblePlan(tuple(PlannedMember(seed % 2) for seed in range(4)), Folds(number=2))
    chosen = classifier(members, plan=plan)
    fold = (np.arange(500) % 3 - 1).astype(np.int32)
    assert_agrees(chosen, events(), fold)
    alone = classifier(members[1::2])
    of_fold = fold == 1
    np.testing.assert_allclose(
        chosen.sensitivity(events(), fold).values[of_fold],
        alone.sensitivity(events()[of_fold]).values,
        rtol=1e-5,
    )


def test_a_missing_value_has_no_derivative_but_its_indicator_has() -> None:
    learned = preprocessing()
    found = classifier([Member(learned, network(learned.inputs))]).sensitivity(events())
    missing = np.isnan(events()[:, 2])
    assert (found.values[missing, :, 2] == 0).all()
    assert (found.indicators[:, :, :2] == 0).all()
    assert (found.indicators[:, :, 2] != 0).all()


def test_an_average_over_symmetries_is_differentiated_through_its_copies() -> None:
    names = ("pt_1", "phi_1", "pt_2", "phi_2", "eta")
    rng = np.random.default_rng(4)
    features = np.stack(
        [*(f(size=300) for f in [rng.random, rng.standard_normal] * 2), rng.normal(size=300)], axis=1
    ).astype(np.float32)
    features[:40, 0] = np.nan  # these events keep their objects in their places
    features = features[np.abs(features[:, [1, 3]]).max(axis=1) < 3]  # a step may not leave the period
    learned = fit_preprocessing(features, np.ones(len(features)), "standard", missing_allowed=[True] * 5)
    chosen = classifier(
        [Member(learned, network(learned.inputs))],
        names=names,
        symmetries=(
            Exchange(objects=(("pt_1", "phi_1"), ("pt_2", "phi_2"))),
            Reflection(features=("eta",)),
            Rotation(features=("phi_1", "phi_2"), start=-np.pi),
        ),
        test_time_augmentation=8,
    )
    assert_agrees(chosen, features, fraction=0.97)  # a step over the end of a turned period


def test_what_is_symmetric_reacts_the_same_way_to_events_that_are_moved() -> None:
    names = tuple(f"{name}_{number}" for number in (1, 2, 3) for name in ("pt", "eta"))
    rng = np.random.default_rng(5)
    features = rng.normal(size=(300, 6)).astype(np.float32)
    # values are missing in the events that the preprocessing is learned from, so that there are indicators
    sample = np.where(rng.random(features.shape) < 0.1, np.float32(np.nan), features)
    learned = fit_preprocessing(sample, np.ones(len(sample)), "standard", missing_allowed=[True] * 6)
    chosen = classifier(
        [Member(learned, network(learned.inputs))],
        names=names,
        symmetries=(Exchange(objects=(names[:2], names[2:4], names[4:])), Reflection(features=names[1::2])),
        test_time_augmentation=12,  # every order with every sign
    )
    assert_agrees(chosen, features)
    source, sign = np.array([2, 3, 4, 5, 0, 1]), np.tile([1, -1], 3)
    found, moved = chosen.sensitivity(features), chosen.sensitivity(features[:, source] * np.float32(sign))
    np.testing.assert_allclose(moved.scores, found.scores, rtol=1e-4)
    np.testing.assert_allclose(moved.values, found.values[:, :, source] * sign, atol=1e-5)
    np.testing.assert_allclose(moved.indicators, found.indicators[:, :, source], atol=1e-5)
    assert np.abs(found.indicators).max() > 0.01


def test_the_kept_features_are_preprocessed_as_before() -> None:
    for scaling in ("none", "standard", "robust", "quantile"):
        learned = preprocessing(scaling, logarithm=True)
        kept = learned.select([2, 0])
        whole, part = learned.apply(events()), kept.apply(events()[:, [2, 0]])
        np.testing.assert_array_equal(part, whole[:, [2, 0, 3]])
        assert learned.select([1]).logarithm is None
        assert learned.select([1]).inputs == 1
