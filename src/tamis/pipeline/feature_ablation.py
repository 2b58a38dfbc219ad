"""Feature ablation: train the classifier again without some features, on the same events, with the same recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
from numpy.typing import NDArray

from tamis.arrays import Float32
from tamis.classifier import Classifier, Member
from tamis.config import Config, Exchange, Reflection, Rotation, Symmetry
from tamis.data.ensemble import PlannedMember
from tamis.data.weights import WeighedEvents
from tamis.errors import RequestError, TrainingError
from tamis.pipeline.callbacks import Callbacks
from tamis.pipeline.fitting import calibrate, start_member

if TYPE_CHECKING:
    from tamis.training.events import EventStream
    from tamis.training.members import StartTraining
    from tamis.training.recipe import Custom

Features = NDArray[np.floating[Any]]
Group = tuple[str, ...]


def train_without(
    config: Config,
    weighed: WeighedEvents,
    classifier: Classifier,
    groups: Sequence[Group],
    features: Features,
    fold: NDArray[np.integer[Any]],
    *,
    callbacks: Callbacks | None = None,
    custom: Custom | None = None,
) -> tuple[Float32 | None, ...]:
    """Train a classifier again without each group of features, and score events with each of the new classifiers.

    Everything else stays the same: events, split, weights, preprocessing of the other features, recipe, and the number
    of folds and seeds. Symmetries act on the remaining features. The networks are trained at the same time, one on each
    device. Arguments and scores are described at `tamis.studies.context.TrainWithout`. A `TrainingError` has the
    features of a training that diverged.
    """
    trainable = [group for group in groups if not group or _fits(config, classifier, group)]
    trained = _train(config, weighed, classifier, trainable, callbacks or Callbacks(), custom)
    scores = {
        group: reduced.scores(features[:, _remaining_columns(classifier, group)], fold)
        for group, reduced in trained.items()
    }
    return tuple(scores.get(group) for group in groups)


def _remaining_columns(classifier: Classifier, group: Sequence[str]) -> list[int]:
    return [index for index, name in enumerate(classifier.feature_names) if name not in group]


def _fits(config: Config, classifier: Classifier, group: Sequence[str]) -> bool:
    """Return whether any feature remains, and the network can be built with the remaining inputs."""
    import equinox as eqx

    from tamis.network.network import build_network
    from tamis.training.recipe import Size, resolve_network

    columns = _remaining_columns(classifier, group)
    if not columns:
        return False
    for inputs in {member.preprocessing.select(columns).inputs for member in classifier.members}:
        section = resolve_network(config.network, Size(1000, 1000.0, inputs), config.preprocessing.scaling)
        build = partial(build_network, inputs, len(config.classes), section, random=np.random.default_rng(0))
        try:
            eqx.filter_eval_shape(build)
        except RequestError:
            return False
    return True


def _train(
    config: Config,
    weighed: WeighedEvents,
    classifier: Classifier,
    groups: Sequence[Group],
    callbacks: Callbacks,
    custom: Custom | None,
) -> dict[Group, Classifier]:
    """Train one classifier without each group."""
    import jax

    from tamis.training.members import train_members

    # other seeds than those of the first training, to measure the effect of the random numbers
    retrained = replace(classifier, plan=classifier.plan.with_other_seeds(config.seed))
    untrained = {group: _classifier_without(retrained, group) for group in groups}

    def select_columns(group: Sequence[str]) -> WeighedEvents:
        features = weighed.events.features[:, _remaining_columns(classifier, group)]
        return replace(weighed, events=replace(weighed.events, features=features))

    def start(group: Group, member: Member, planned: PlannedMember, device: int | None) -> EventStream:
        symmetries = untrained[group].symmetries
        reduced = {
            "features": tuple(feature for feature in config.features if feature.name not in group),
            "training": config.training.model_copy(update={"symmetries": symmetries}),
        }
        configuration = config.model_copy(update=reduced)
        events = select_columns(group)  # copied only now, when the training starts, to save memory
        try:
            yield from start_member(
                configuration, events, member.preprocessing, symmetries, planned, custom, device
            )
        except TrainingError as error:
            without = f"without {', '.join(group)}" if group else "trained once more"
            raise TrainingError(f"evaluation.ablation: {without}: {error}") from error

    trainings: list[StartTraining] = [
        partial(start, group, member, planned)
        for group, reduced in untrained.items()
        for member, planned in zip(reduced.members, reduced.plan.members, strict=True)
    ]
    observer = callbacks.training_observer(len(trainings))
    networks = iter(train_members(trainings, len(jax.devices()), observer))
    trained = {}
    for group, reduced in untrained.items():
        members = tuple(replace(member, network=next(networks).network) for member in reduced.members)
        complete = replace(reduced, members=members)
        trained[group] = calibrate(config.training.calibration, select_columns(group), complete)
    return trained


def _classifier_without(classifier: Classifier, group: Sequence[str]) -> Classifier:
    """Return the classifier without some features; its networks still have all inputs and must be trained again."""
    columns = _remaining_columns(classifier, group)
    symmetries = remaining_symmetries(classifier.symmetries, group)
    return Classifier(
        features=tuple(classifier.features[index] for index in columns),
        classes=classifier.classes,
        members=tuple(
            replace(member, preprocessing=member.preprocessing.select(columns))
            for member in classifier.members
        ),
        plan=classifier.plan,
        symmetries=symmetries,
        test_time_augmentation=classifier.test_time_augmentation if symmetries else 0,
    )


def remaining_symmetries(symmetries: Sequence[Symmetry], removed: Sequence[str]) -> tuple[Symmetry, ...]:
    """Return the symmetries of the remaining features.

    A rotation or reflection still acts on its remaining features. Objects that have lost the same features are still
    identical; if they have lost different features, the largest set of identical objects stays.

    >>> remaining_symmetries([Reflection(features=("eta_1", "eta_2"))], ["eta_1"])
    (Reflection(type='reflection', features=('eta_2',)),)
    """
    remaining: list[Symmetry] = []
    for symmetry in symmetries:
        match symmetry:
            case Rotation() | Reflection():
                features = tuple(name for name in symmetry.features if name not in removed)
                if features:
                    remaining.append(symmetry.model_copy(update={"features": features}))
            case Exchange():
                objects = _identical_objects(symmetry.objects, removed)
                if len(objects) > 1:
                    remaining.append(symmetry.model_copy(update={"objects": objects}))
            case _:
                assert_never(symmetry)
    return tuple(remaining)


def _identical_objects(
    objects: Sequence[tuple[str, ...]], removed: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """Return the objects that are still identical, without the removed features."""
    remains = {features: tuple(name not in removed for name in features) for features in objects}
    patterns = Counter(pattern for pattern in remains.values() if any(pattern))
    if not patterns:
        return ()
    most_common = patterns.most_common(1)[0][0]
    return tuple(
        tuple(name for name, stays in zip(features, most_common, strict=True) if stays)
        for features in objects
        if remains[features] == most_common
    )
