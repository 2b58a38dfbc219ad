"""The baselines of a run: trained on the events of the network, and compared with it on its test events."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

import numpy as np
from numpy.typing import NDArray

from tamis.baselines.cuts import Cuts, find_cuts
from tamis.baselines.events import LabelledEvents
from tamis.baselines.logistic import MOST_STEPS, Logistic, train_logistic
from tamis.baselines.trees import MOST_TREES, Trees, train_trees
from tamis.config import Baseline, Config
from tamis.data.events import Events
from tamis.data.split import PARTS, TEST, TRAINING, VALIDATION, rows_of_part
from tamis.data.weights import WeighedEvents
from tamis.evaluation.baselines import BaselineResult, BoxOfCuts, compare_baselines
from tamis.pipeline.fitting import learn_preprocessing, seed_of
from tamis.pipeline.judging import ScoredPart, scored_events
from tamis.pipeline.preparation import Prepared, signal_indices

if TYPE_CHECKING:
    Model = Trees | Logistic | Cuts

MOST_THREADS = 16


@dataclass(frozen=True)
class TrainedBaseline:
    """A baseline: one model, or one for each fold.

    Args:
        name: of the baseline.
        models: by the fold that the model never saw; None is the only key without folds.
        seconds: wall time of all trainings.
    """

    name: Baseline
    models: Mapping[int | None, Model]
    seconds: float

    def scores(self, events: Events, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        """Score events, each by the model that never saw its fold.

        Returns:
            Probabilities [n, n_classes], or the discriminant of the cuts [n].
        """
        if None in self.models:
            return _scores(self.models[None], events.features[rows])
        fold = events.fold[rows]
        found = [
            (own := np.flatnonzero(fold == number), _scores(model, events.features[rows[own]]))
            for number, model in self.models.items()
        ]
        order = np.argsort(np.concatenate([own for own, _ in found]), kind="stable")
        return np.concatenate([scores for _, scores in found])[order]

    def notes(self) -> tuple[str, ...]:
        """Say in sentences what went less well than it should."""
        told = [_note(model) for model in self.models.values()]
        return tuple(dict.fromkeys(note for note in told if note))


def _scores(model: Model, features: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.floating]:
    match model:
        case Cuts():
            return model.signal_score(features)
        case Trees() | Logistic():
            return model.scores(features)
        case _:
            assert_never(model)


def _note(model: Model) -> str:
    match model:
        case Trees() if model.rounds >= MOST_TREES:
            return f"the validation loss still fell after {MOST_TREES} rounds of boosting"
        case Logistic() if not model.converged:
            return f"the fit did not converge in {MOST_STEPS} steps"
        case Cuts() if len(model) == 1:
            return "no cut raises the ratio of signal and background in the training events"
        case _:
            return ""


def train_baselines(config: Config, weighed: WeighedEvents) -> tuple[TrainedBaseline, ...]:
    """Train the baselines of the configuration on the training and validation events of the network."""
    return tuple(_train(name, config, weighed) for name in config.evaluation.baselines)


def _train(name: Baseline, config: Config, weighed: WeighedEvents) -> TrainedBaseline:
    started = time.perf_counter()
    folds = config.split.folds
    numbers: Sequence[int | None] = (None,) if folds is None else range(folds.number)
    models = {fold: _train_model(name, config, weighed, fold) for fold in numbers}
    return TrainedBaseline(name, models, time.perf_counter() - started)


def _train_model(name: Baseline, config: Config, weighed: WeighedEvents, fold: int | None) -> Model:
    from tamis.machine import cores

    training = labelled_events(weighed, TRAINING, fold)
    classes = len(config.class_names)
    match name:
        case "xgboost":
            validation = labelled_events(weighed, VALIDATION, fold)
            seed = seed_of(config.seed, fold or 0)
            return train_trees(training, validation, classes, seed=seed, threads=min(cores(), MOST_THREADS))
        case "logistic":
            return train_logistic(training, learn_preprocessing(config, weighed, fold), classes)
        case "cuts":
            return find_cuts(training, signal_indices(config))
        case _:
            assert_never(name)


def labelled_events(weighed: WeighedEvents, part: int, fold: int | None) -> LabelledEvents:
    """Give the events of a part for one member, as the network gets them."""
    events = weighed.events
    rows = rows_of_part(events.part, events.fold, part, fold)
    return LabelledEvents(events.features[rows], events.class_index[rows], weighed.training_weight[rows])


def judge_baselines(
    config: Config, prepared: Prepared, trained: Sequence[TrainedBaseline], test: ScoredPart
) -> tuple[BaselineResult, ...]:
    """Compare baselines with the network on its test events.

    Args:
        config: the configuration.
        prepared: the events.
        trained: the baselines.
        test: the test events with the scores of the network.
    """
    if not trained:
        return ()
    events = prepared.events
    found = compare_baselines(
        scored_events(config, prepared, PARTS[TEST], test),
        {each.name: each.scores(events, test.rows) for each in trained},
        signal_indices(config),
        config.evaluation.working_points,
    )
    return tuple(
        replace(
            result,
            seconds=each.seconds,
            boxes=tuple(_boxes(config, each, events, test.rows)),
            notes=each.notes(),
        )
        for result, each in zip(found, trained, strict=True)
    )


def _boxes(
    config: Config, trained: TrainedBaseline, events: Events, rows: NDArray[np.int64]
) -> Iterator[BoxOfCuts]:
    """Give the cuts at each working point, and what they keep of the test events."""
    for fold, model in trained.models.items():
        if isinstance(model, Cuts):
            own = rows if fold is None else rows[events.fold[rows] == fold]
            for target in config.evaluation.working_points:
                yield _box(config, model, events, own, target, fold)


def _box(
    config: Config, model: Cuts, events: Events, rows: NDArray[np.int64], target: float, fold: int | None
) -> BoxOfCuts:
    number = model.box(target)
    passes = model.boxes_passed(events.features[rows]) > number
    weight, of_signal = events.weight[rows], np.isin(events.class_index[rows], signal_indices(config))
    signal, background = (
        float(weight[passes & kind].sum() / weight[kind].sum()) for kind in (of_signal, ~of_signal)
    )
    names = [feature.name for feature in config.features]
    return BoxOfCuts(
        target=target,
        fold=fold,
        cuts=tuple(cut.to_dict(names) for cut in model.intervals(number)),
        training_signal_efficiency=float(model.signal_inside[number]),
        signal_efficiency=signal,
        background_efficiency=background,
        background_rejection=1 / background if background > 0 else None,
    )
