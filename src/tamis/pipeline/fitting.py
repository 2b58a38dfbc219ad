"""From weighed events to a classifier: preprocessing, network and training of each member."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from tamis.calibration import Calibration, Method, Scaling, fit_scaling
from tamis.classifier import Classifier, Member
from tamis.config import BinaryCrossEntropy, Config, Symmetry
from tamis.data.events import Events
from tamis.data.split import (
    TRAINING,
    VALIDATION,
    rows_of_part,
)
from tamis.data.weights import WeighedEvents
from tamis.errors import TrainingError
from tamis.evaluation.arrays import positive_sum
from tamis.evaluation.monitors import best_significance, mean_auc
from tamis.evaluation.scored import units_of
from tamis.network.preprocessing import Preprocessing, fit_preprocessing
from tamis.pipeline.checkpoints import Checkpoints, MemberCheckpoints
from tamis.pipeline.preparation import Prepared, signal_indices
from tamis.pipeline.watch import Watch
from tamis.random_streams import random_stream

if TYPE_CHECKING:
    from tamis.training.batches import WeightedInputs
    from tamis.training.history import Epoch
    from tamis.training.loop import Choices, Measure, Trained


def learn_preprocessing(config: Config, weighed: WeighedEvents, fold: int | None = None) -> Preprocessing:
    """Learn fills and scales on the training events of a network.

    Args:
        config: the configuration.
        weighed: all events.
        fold: the fold that the network never sees.
    """
    training = rows_of_part(weighed.events.part, weighed.events.fold, TRAINING, fold)
    return fit_preprocessing(
        weighed.events.features[training],
        weighed.training_weight[training],
        config.preprocessing.scaling,
        missing_allowed=[feature.missing is not None for feature in config.features],
        logarithm=[feature.name in config.preprocessing.logarithm for feature in config.features],
    )


def fit(
    config: Config,
    prepared: Prepared,
    watch: Watch | None = None,
    choices: Choices | None = None,
    checkpoints: Checkpoints | None = None,
) -> tuple[Classifier, tuple[Trained, ...]]:
    """Train the network, or several: one for each fold and each seed.

    Args:
        config: the configuration.
        prepared: the events.
        watch: hears of every epoch.
        choices: a loss and an optimizer of the user's own.
        checkpoints: where the progress is kept, and where that of a training that was stopped lies.

    Returns:
        The classifier with the chosen weights, and the history of each network.
    """
    from tamis.training.devices import start_devices

    start_devices()
    import jax

    from tamis.training.members import train_members

    watch = watch or Watch()
    folds = config.split.folds
    numbers: Sequence[int | None] = (None,) if folds is None else range(folds.number)
    planned = [(fold, number) for fold in numbers for number in range(config.training.seeds)]
    seeds = [seed_of(config.seed, number) for number in range(len(planned))]
    symmetries = settle_symmetries(config, prepared.events)
    transforms = {fold: learn_preprocessing(config, prepared.weighed, fold) for fold in numbers}
    if checkpoints is not None:
        checkpoints.open(config, prepared)
    begins = [
        partial(
            begin_member,
            config,
            prepared.weighed,
            transforms[fold],
            symmetries,
            fold,
            seed,
            choices,
            checkpoints=None if checkpoints is None else checkpoints.of(number),
        )
        for number, ((fold, _), seed) in enumerate(zip(planned, seeds, strict=True))
    ]
    trained = train_members(
        begins, len(jax.devices()), lambda member, epoch: watch.epoch(member, len(begins), epoch)
    )
    members = tuple(
        Member(transforms[fold], each.network, fold) for (fold, _), each in zip(planned, trained, strict=True)
    )
    classifier = Classifier(
        config.features,
        config.classes,
        members,
        folds=folds,
        symmetries=symmetries,
        draws=config.training.average_symmetries,
    )
    events = prepared.events
    classifier = calibrate(config.training.calibration, prepared.weighed, classifier)
    return classifier.with_reference(events.features, None if folds is None else events.fold), trained


def calibrate(method: Method | Literal["none"], weighed: WeighedEvents, classifier: Classifier) -> Classifier:
    """Fit the correction of the scores on validation events, from which no network has learned its weights.

    What scores the events of a fold is corrected by its own validation events, none of which are of the fold: no
    event that is tested tells anything about its own correction.

    Args:
        method: how; `none` changes nothing.
        weighed: all events; they count with their physics weight times the training factor of their class.
        classifier: without a correction.

    Raises:
        TrainingError: the validation events of a class have no positive sum of weights.
    """
    if method == "none":
        return classifier
    folds = [] if classifier.folds is None else range(classifier.folds.number)
    of_folds = {fold: _fit_scaling(method, weighed, classifier, fold) for fold in folds}
    of_all = _fit_scaling(method, weighed, classifier, None)
    return replace(classifier, calibration=Calibration(method, of_all, of_folds))


def _fit_scaling(method: Method, weighed: WeighedEvents, classifier: Classifier, fold: int | None) -> Scaling:
    events = weighed.events
    rows = np.flatnonzero(rows_of_part(events.part, events.fold, VALIDATION, fold))
    class_index = events.class_index[rows]
    weight = events.weight[rows] * weighed.factors[class_index]
    for index, name in enumerate(classifier.class_names):
        if positive_sum(weight[class_index == index]) is None:
            raise TrainingError(
                f"training.calibration: the {int((class_index == index).sum())} validation events of class {name!r} "
                "have no positive sum of weights, so that no correction can be fitted; use more events for the "
                "validation (split.validation), or set training.calibration to none"
            )
    own = None if fold is None else np.full(len(rows), fold)
    return fit_scaling(method, classifier.scores(events.features[rows], own), class_index, weight)


def seed_of(seed: int, member: int) -> int:
    """Give the seed of a network; the first one has the configured one.

    >>> seed_of(5, 0)
    5
    """
    return seed if member == 0 else int(random_stream(seed, "member", str(member)).integers(2**32))


def begin_member(
    config: Config,
    weighed: WeighedEvents,
    preprocessing: Preprocessing,
    symmetries: tuple[Symmetry, ...],
    fold: int | None,
    seed: int,
    choices: Choices | None,
    device: int | None,
    checkpoints: MemberCheckpoints | None = None,
) -> Generator[Epoch, None, Trained]:
    """Begin the training of one network.

    Args:
        config: the configuration.
        weighed: all events.
        preprocessing: what happens to the features before the network.
        symmetries: with the ranges that the training events have.
        fold: the fold that the network never sees.
        seed: of this network.
        choices: a loss and an optimizer of the user's own.
        device: number of the device; None for as many as pay.
        checkpoints: of this network.

    Returns:
        A generator of epochs, whose value is the trained network.
    """
    from tamis.network.network import build_network
    from tamis.training.batches import WeightedInputs
    from tamis.training.loop import train
    from tamis.training.recipe import settle_recipe, size_of

    events = weighed.events

    def part(number: int) -> WeightedInputs:
        rows = rows_of_part(events.part, events.fold, number, fold)
        features = events.features[rows]
        inputs = preprocessing.apply(features)
        redraw = redrawing(config, symmetries, preprocessing, features) if number == TRAINING else None
        return WeightedInputs(inputs, events.class_index[rows], weighed.training_weight[rows], redraw)

    training, validation = part(TRAINING), part(VALIDATION)
    size = size_of(training.weight, len(config.features))
    section, settings = settle_recipe(config.network, config.training, size)
    network = build_network(
        preprocessing.inputs,
        len(config.classes),
        section,
        random=random_stream(seed, "training", "initial weights"),
        outputs=1 if isinstance(config.training.loss, BinaryCrossEntropy) else None,
        sample=training.inputs,
    )
    return train(
        network,
        training,
        validation,
        settings,
        seed=seed,
        ntk=config.network.parametrisation == "ntk",
        signal=signal_indices(config),
        measure=monitored(config, events, rows_of_part(events.part, events.fold, VALIDATION, fold)),
        choices=choices,
        device=device,
        begun=None if checkpoints is None else checkpoints.begun,
        keep=None if checkpoints is None else checkpoints.keep(),
    )


def settle_symmetries(config: Config, events: Events) -> tuple[Symmetry, ...]:
    """Complete the symmetries with what the training events tell of them: where the range of an azimuth begins."""
    if not config.training.symmetries:
        return ()
    from tamis.network.symmetries import settle_ranges

    names = [feature.name for feature in config.features]
    return settle_ranges(config.training.symmetries, names, events.features[events.part == TRAINING])


def redrawing(
    config: Config,
    symmetries: tuple[Symmetry, ...],
    preprocessing: Preprocessing,
    features: NDArray[np.float32] | NDArray[np.float64],
) -> Callable[[int, int], NDArray[np.float32]] | None:
    """Give what draws the inputs of each epoch anew, where there are symmetries."""
    if not symmetries:
        return None
    from tamis.network.symmetries import build_symmetries

    built = build_symmetries(symmetries, [feature.name for feature in config.features])

    def redraw(seed: int, epoch: int) -> NDArray[np.float32]:
        return preprocessing.apply(
            built.draw(features, random_stream(seed, "training", "symmetries", str(epoch)))
        )

    return redraw


def monitored(config: Config, events: Events, rows: NDArray[np.bool_]) -> Measure | None:
    """Give what early stopping looks at, as a function of the scores of these events.

    Returns:
        None where it looks at loss or accuracy, which the training computes itself.
    """
    stopping = config.training.early_stopping
    if stopping is None or stopping.monitor in ("validation_loss", "validation_accuracy"):
        return None
    class_index, weight = events.class_index[rows], events.weight[rows]
    if stopping.monitor == "validation_auc":
        return lambda scores: mean_auc(scores, class_index, weight)
    signal, units = signal_indices(config), units_of(class_index, events.identity[rows])
    return lambda scores: best_significance(scores, class_index, weight, signal, units=units)
