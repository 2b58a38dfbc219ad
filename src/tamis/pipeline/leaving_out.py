"""What a network loses that is trained without a feature: trained again, on the same events, by the same recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, assert_never

import numpy as np

from tamis.classifier import Classifier, Member
from tamis.config import Config, Exchange, Reflection, Rotation, Symmetry
from tamis.data.weights import WeighedEvents
from tamis.errors import RequestError, TrainingError
from tamis.evaluation.arrays import positive_sum
from tamis.evaluation.importance import Change, Importance, compare_influences
from tamis.evaluation.influence import find_influences
from tamis.evaluation.parts import known_numbers
from tamis.evaluation.scored import units_of
from tamis.pipeline.fitting import begin_member, calibrate, seed_of
from tamis.pipeline.judging import ScoredPart, enough_rows
from tamis.pipeline.preparation import Prepared
from tamis.pipeline.watch import Watch
from tamis.random_streams import random_stream

if TYPE_CHECKING:
    from tamis.training.history import Epoch
    from tamis.training.loop import Choices, Trained
    from tamis.training.members import Begin


@dataclass(frozen=True)
class LeftOut:
    """What was lost without features.

    Args:
        groups: for each group of features that was left out, what the classifier lost without it.
        nothing: what it lost when it was trained again with all features, from other random numbers: the size that
            chance alone gives to such a difference.
    """

    groups: dict[tuple[str, ...], Change]
    nothing: Change


def leave_out(
    config: Config,
    prepared: Prepared,
    classifier: Classifier,
    test: ScoredPart,
    groups: Sequence[tuple[str, ...]],
    *,
    watch: Watch | None = None,
    choices: Choices | None = None,
) -> LeftOut | None:
    """Train a classifier again without each group of features, and compare it with the one that has all.

    Everything else stays as it was: events, split, weights, preprocessing of the other features, recipe, and the
    number of folds and seeds. Symmetries act on the features that are left. All networks are trained at the same
    time, one on each device.

    Args:
        config: of the classifier.
        prepared: the events.
        classifier: trained on all features.
        test: its test events with their scores.
        groups: names of the features of each group; one that cannot be left out is passed over: nothing would be
            left, or the first layer does not fit fewer inputs.
        watch: hears of every epoch.
        choices: a loss and an optimizer of the user's own.

    Returns:
        The losses in the mixture that the network learned; None where its weights have no positive sum.

    Raises:
        TrainingError: a training diverged; it says without which features.
    """
    generator = random_stream(config.seed, "ablation", "events")
    places = enough_rows(np.arange(len(test.rows)), generator)
    events = prepared.events.take(test.rows[places])
    weight = events.weight * prepared.weighed.factors[events.class_index]
    if positive_sum(weight) is None:
        return None
    chosen = [(), *(group for group in groups if _fits(config, classifier, group))]
    trained = _train(config, prepared.weighed, classifier, chosen, watch or Watch(), choices)
    before = find_influences(test.scores[places], events.class_index, weight)
    units = units_of(events.class_index, events.identity)
    known = known_numbers(events.class_index, weight, len(classifier.classes), units)
    fold = None if classifier.folds is None else events.fold
    changes = []
    for group, each in zip(chosen, trained, strict=True):
        scores = each.scores(events.features[:, _kept(classifier, group)], fold)
        after = find_influences(scores, events.class_index, weight)
        changes.append(compare_influences(before, after, known, units))
    return LeftOut(dict(zip(chosen[1:], changes[1:], strict=True)), changes[0])


def groups_to_leave_out(
    wanted: bool | tuple[str, ...], importance: Sequence[Importance]
) -> tuple[tuple[str, ...], ...]:
    """Choose the groups of features that have a wanted one among them.

    Args:
        wanted: all, none, or names of features.
        importance: of each group.
    """
    groups = [each.features for each in importance]
    if isinstance(wanted, bool):
        return tuple(groups) if wanted else ()
    return tuple(group for group in groups if set(wanted).intersection(group))


def with_left_out(importance: Sequence[Importance], found: LeftOut | None) -> tuple[Importance, ...]:
    """Add what was lost without each group to what it is worth."""
    groups = {} if found is None else found.groups
    return tuple(replace(each, left_out=groups.get(each.features)) for each in importance)


def _kept(classifier: Classifier, group: Sequence[str]) -> list[int]:
    return [index for index, name in enumerate(classifier.feature_names) if name not in group]


def _fits(config: Config, classifier: Classifier, group: Sequence[str]) -> bool:
    """Say whether anything is left without these features, and a network can be built on it."""
    kept = _kept(classifier, group)
    sizes = {member.preprocessing.select(kept).inputs for member in classifier.members} if kept else ()
    return bool(sizes) and all(_can_be_built(config, inputs) for inputs in sizes)


def _can_be_built(config: Config, inputs: int) -> bool:
    import equinox as eqx

    from tamis.network.network import build_network
    from tamis.training.recipe import Size, settle_recipe

    section, _ = settle_recipe(config.network, config.training, Size(1000, 1000.0, inputs))
    try:
        eqx.filter_eval_shape(
            lambda: build_network(inputs, len(config.classes), section, random=np.random.default_rng(0))
        )
    except RequestError:
        return False
    return True


def _train(
    config: Config,
    weighed: WeighedEvents,
    classifier: Classifier,
    groups: Sequence[tuple[str, ...]],
    watch: Watch,
    choices: Choices | None,
) -> tuple[Classifier, ...]:
    """Train one classifier without each group."""
    import jax

    from tamis.training.members import train_members

    reduced = [_classifier_without(classifier, group) for group in groups]
    count = len(classifier.members)
    begins: list[Begin] = [
        partial(
            _begin,
            _configuration_without(config, group),
            weighed,
            group,
            _kept(classifier, group),
            member,
            each.symmetries,
            # not the seeds of the first training: what chance does shall differ
            seed_of(config.seed, count + number),
            choices,
        )
        for group, each in zip(groups, reduced, strict=True)
        for number, member in enumerate(each.members)
    ]
    trained = train_members(
        begins, len(jax.devices()), lambda number, epoch: watch.epoch(number, len(begins), epoch)
    )
    networks = iter(trained)
    whole = [
        replace(
            each, members=tuple(replace(member, network=next(networks).network) for member in each.members)
        )
        for each in reduced
    ]
    return tuple(
        calibrate(config.training.calibration, _without(weighed, _kept(classifier, group)), each)
        for group, each in zip(groups, whole, strict=True)
    )


def _without(weighed: WeighedEvents, kept: list[int]) -> WeighedEvents:
    return replace(weighed, events=replace(weighed.events, features=weighed.events.features[:, kept]))


def _begin(
    config: Config,
    weighed: WeighedEvents,
    group: Sequence[str],
    kept: list[int],
    member: Member,
    symmetries: tuple[Symmetry, ...],
    seed: int,
    choices: Choices | None,
    device: int | None,
) -> Generator[Epoch, None, Trained]:
    """Begin the training of one network; the events without the features are made only now."""
    rest = _without(weighed, kept)
    try:
        return (
            yield from begin_member(
                config, rest, member.preprocessing, symmetries, member.fold, seed, choices, device
            )
        )
    except TrainingError as error:
        without = f"without {', '.join(group)}" if group else "trained once more"
        raise TrainingError(f"evaluation.leave_out: {without}: {error}") from error


def _classifier_without(classifier: Classifier, group: Sequence[str]) -> Classifier:
    """Leave features out of everything but the networks, which are not trained yet."""
    kept = _kept(classifier, group)
    symmetries = remaining_symmetries(classifier.symmetries, group)
    return Classifier(
        features=tuple(classifier.features[index] for index in kept),
        classes=classifier.classes,
        members=tuple(
            replace(member, preprocessing=member.preprocessing.select(kept)) for member in classifier.members
        ),
        folds=classifier.folds,
        symmetries=symmetries,
        draws=classifier.draws if symmetries else 0,
    )


def _configuration_without(config: Config, group: Sequence[str]) -> Config:
    """Give the configuration that a training sees; the preprocessing has been learned."""
    symmetries = remaining_symmetries(config.training.symmetries, group)
    return config.model_copy(
        update={
            "features": tuple(feature for feature in config.features if feature.name not in group),
            "training": config.training.model_copy(update={"symmetries": symmetries}),
        }
    )


def remaining_symmetries(symmetries: Sequence[Symmetry], gone: Sequence[str]) -> tuple[Symmetry, ...]:
    """Give the symmetries that are left where some features are not there.

    What is left unchanged by turning or mirroring all its features together is so without some of them. Objects that
    have lost the same features are still identical; of those that have lost others, the larger number stays.

    Args:
        symmetries: of all features.
        gone: names of the features that are left out.

    >>> remaining_symmetries([Reflection(features=("eta_1", "eta_2"))], ["eta_1"])
    (Reflection(type='reflection', features=('eta_2',)),)
    """
    found: list[Symmetry] = []
    for symmetry in symmetries:
        match symmetry:
            case Rotation() | Reflection():
                features = tuple(name for name in symmetry.features if name not in gone)
                if features:
                    found.append(symmetry.model_copy(update={"features": features}))
            case Exchange():
                objects = _alike(symmetry.objects, gone)
                if len(objects) > 1:
                    found.append(symmetry.model_copy(update={"objects": objects}))
            case _:
                assert_never(symmetry)
    return tuple(found)


def _alike(objects: Sequence[tuple[str, ...]], gone: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Give the objects that are still identical, without the features that are gone; none if nothing is left."""
    left = {features: tuple(name not in gone for name in features) for features in objects}
    patterns = Counter(pattern for pattern in left.values() if any(pattern))
    if not patterns:
        return ()
    most = patterns.most_common(1)[0][0]
    return tuple(
        tuple(name for name, stays in zip(features, most, strict=True) if stays)
        for features in objects
        if left[features] == most
    )
