"""From weighted events to a classifier: preprocessing, network and training of each member."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from tamis.arrays import Features, Float32, Mask
from tamis.calibration import Calibration, Method, Scaling, fit_scaling
from tamis.classifier import Classifier, Member
from tamis.config import BinaryCrossEntropy, Config, Symmetry
from tamis.data.ensemble import PlannedMember
from tamis.data.events import Events
from tamis.data.split import NO_FOLD, TRAINING, VALIDATION
from tamis.data.weights import WeighedEvents
from tamis.errors import TrainingError
from tamis.network.preprocessing import Preprocessing, fit_preprocessing
from tamis.pipeline.callbacks import Callbacks
from tamis.pipeline.checkpoints import LONGEST_CHUNK, Checkpoints
from tamis.pipeline.preparation import Prepared, signal_indices
from tamis.pipeline.spectators import build_penalty, select_coordinates
from tamis.random_streams import random_stream
from tamis.statistics.arrays import positive_sum
from tamis.statistics.cuts import best_significance
from tamis.statistics.roc import mean_auc
from tamis.statistics.scored import units_of

if TYPE_CHECKING:
    from pathlib import Path

    from tamis.training.batches import WeightedInputs
    from tamis.training.events import Event, EventStream, Trained
    from tamis.training.fit import Metric
    from tamis.training.recipe import Custom


def fit_member_preprocessing(config: Config, weighed: WeighedEvents, member: PlannedMember) -> Preprocessing:
    """Fit the preprocessing on the training events of a member."""
    training = member.select(TRAINING, weighed.events)
    return fit_preprocessing(
        weighed.events.features[training],
        weighed.training_weight[training],
        config.preprocessing.scaling,
        missing_allowed=[feature.missing is not None for feature in config.features],
        logarithm=[feature.name in config.preprocessing.logarithm for feature in config.features],
    )


def train_classifier(
    config: Config,
    prepared: Prepared,
    callbacks: Callbacks | None = None,
    custom: Custom | None = None,
    checkpoints: Checkpoints | None = None,
) -> tuple[Classifier, tuple[Trained, ...]]:
    """Train the members of the ensemble plan, or resume from their checkpoints; the best epochs give the classifier."""
    from tamis.training.devices import start_devices

    start_devices()
    import jax

    from tamis.training.members import train_members

    plan, events = prepared.plan, prepared.events
    symmetries: tuple[Symmetry, ...] = ()
    if config.training.symmetries:  # completed with the ranges of the azimuths in the training events
        from tamis.network.symmetries import resolve_ranges

        names = [feature.name for feature in config.features]
        training_features = events.features[events.split == TRAINING]
        symmetries = resolve_ranges(config.training.symmetries, names, training_features)
    by_fold = {
        member.fold: fit_member_preprocessing(config, prepared.weighed, member)
        for member in plan.first_members
    }
    preprocessings = [by_fold[member.fold] for member in plan.members]
    if checkpoints is not None:
        checkpoints.open(config, prepared)
    writers = [] if checkpoints is None else [checkpoints.writer(n) for n in range(len(plan.members))]
    trainings = [
        partial(
            start_member,
            config,
            prepared.weighed,
            preprocessing,
            symmetries,
            member,
            custom,
            resume_from=writers[number].folder if writers else None,
        )
        for number, (member, preprocessing) in enumerate(zip(plan.members, preprocessings, strict=True))
    ]
    report = (callbacks or Callbacks()).training_observer(len(trainings))

    def observe(number: int, event: Event) -> None:
        report(number, event)
        if writers:
            writers[number](event)

    trained = train_members(trainings, len(jax.devices()), observe)
    classifier = Classifier(
        config.features,
        config.classes,
        tuple(
            Member(preprocessing, result.network)
            for preprocessing, result in zip(preprocessings, trained, strict=True)
        ),
        plan,
        symmetries=symmetries,
        test_time_augmentation=config.training.test_time_augmentation,
    )
    classifier = calibrate(config.training.calibration, prepared.weighed, classifier)
    return classifier.with_reference(events.features, events.fold), trained


def calibrate(method: Method | Literal["none"], weighed: WeighedEvents, classifier: Classifier) -> Classifier:
    """Fit the calibration of the scores on validation events, with balanced weights; `none` changes nothing.

    The networks that score the events of a fold get a calibration from their own validation events, none of which
    belongs to the fold: no test event influences its own calibration. A class without a positive sum of weights is a
    `TrainingError`.
    """
    if method == "none":
        return classifier
    plan, events = classifier.plan, weighed.events
    of_folds = {
        fold: _fit_scaling(
            method, weighed, classifier, plan.first_members[fold].select(VALIDATION, events), fold
        )
        for fold in range(plan.n_folds)
    }
    of_all = _fit_scaling(method, weighed, classifier, plan.select(VALIDATION, events), NO_FOLD)
    return replace(classifier, calibration=Calibration(method, of_all, of_folds))


def _fit_scaling(
    method: Method, weighed: WeighedEvents, classifier: Classifier, selected: Mask, fold: int
) -> Scaling:
    """Fit the correction for the members that score a fold, on the selected validation events."""
    events, rows = weighed.events, np.flatnonzero(selected)
    class_index = events.class_index[rows]
    weight = events.weight[rows] * weighed.class_weights[class_index]
    for index, name in enumerate(classifier.class_names):
        if positive_sum(weight[class_index == index]) is None:
            raise TrainingError(
                f"training.calibration: the {int((class_index == index).sum())} validation events of class {name!r} "
                "have no positive sum of weights, so that no calibration can be fitted; use more events for "
                "the validation (split.validation), or set training.calibration to none"
            )
    return fit_scaling(method, classifier.scores(events.features[rows], fold), class_index, weight)


def start_member(
    config: Config,
    weighed: WeighedEvents,
    preprocessing: Preprocessing,
    symmetries: tuple[Symmetry, ...],
    member: PlannedMember,
    custom: Custom | None,
    device: int | None,
    resume_from: Path | None = None,
) -> EventStream:
    """Start the training of one network, and return its events; the last one holds the trained network.

    The preprocessing and the ranges of the symmetries are those of the training events. A network without `device` uses
    as many devices as make the training faster. If checkpoints are written, `resume_from` is their folder.
    """
    from tamis.network.network import build_network
    from tamis.training.batches import WeightedInputs
    from tamis.training.fit import fit
    from tamis.training.recipe import compute_size, resolve_network, resolve_recipe

    events = weighed.events
    coordinates = select_coordinates(config, events, member.select(TRAINING, events))

    def select_inputs(split: int) -> WeightedInputs:
        selected = member.select(split, events)
        features = events.features[selected]
        inputs = preprocessing.apply(features)
        redraw = _build_redraw(config, symmetries, preprocessing, features) if split == TRAINING else None
        return WeightedInputs(
            inputs,
            events.class_index[selected],
            weighed.training_weight[selected],
            redraw,
            None if coordinates is None else coordinates[selected],
        )

    training, validation = select_inputs(TRAINING), select_inputs(VALIDATION)
    network = build_network(
        preprocessing.inputs,
        len(config.classes),
        resolve_network(
            config.network, compute_size(training.weight, len(config.features)), config.preprocessing.scaling
        ),
        random=random_stream(member.seed, "training", "initial weights"),
        outputs=1 if isinstance(config.training.loss, BinaryCrossEntropy) else None,
        training_inputs=training.inputs,
    )
    return fit(
        network,
        training,
        validation,
        resolve_recipe(config.training, len(training), custom),
        seed=member.seed,
        ntk=config.network.parametrisation == "ntk",
        signal=signal_indices(config),
        metric=build_metric(config, events, member.select(VALIDATION, events)),
        penalty=build_penalty(config),
        device=device,
        resume_from=resume_from,
        chunk_seconds=None if resume_from is None else LONGEST_CHUNK,
    )


def _build_redraw(
    config: Config,
    symmetries: tuple[Symmetry, ...],
    preprocessing: Preprocessing,
    features: Features,
) -> Callable[[int, int], Float32] | None:
    """Build the function that draws transformed inputs for each epoch; None without symmetries."""
    if not symmetries:
        return None
    from tamis.network.symmetries import build_symmetries

    built = build_symmetries(symmetries, [feature.name for feature in config.features])

    def redraw(seed: int, epoch: int) -> Float32:
        return preprocessing.apply(
            built.draw(features, random_stream(seed, "training", "symmetries", str(epoch)))
        )

    return redraw


def build_metric(config: Config, events: Events, rows: Mask) -> Metric | None:
    """Build the metric that early stopping monitors, as a function of the scores of the selected events.

    It is None for loss and accuracy, which the training computes itself.
    """
    stopping = config.training.early_stopping
    if stopping is None or stopping.monitor in ("validation_loss", "validation_accuracy"):
        return None
    class_index, weight = events.class_index[rows], events.weight[rows]
    if stopping.monitor == "validation_auc":
        return lambda scores: mean_auc(scores, class_index, weight)
    signal, units = signal_indices(config), units_of(class_index, events.event_id[rows])
    return lambda scores: best_significance(scores, class_index, weight, signal, units=units)
