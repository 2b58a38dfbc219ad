"""The baselines of a run: trained on the events of the network, and scored on its test events."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import numpy as np
from numpy.typing import NDArray

from tamis.baselines.cuts import Cuts, find_cuts
from tamis.baselines.events import LabelledEvents
from tamis.baselines.logistic import MOST_STEPS, Logistic, train_logistic
from tamis.baselines.trees import MOST_TREES, Trees, train_trees
from tamis.config import Baseline, Config
from tamis.data.ensemble import PlannedMember, member_seed
from tamis.data.events import Events
from tamis.data.split import TEST, TRAINING, VALIDATION
from tamis.data.weights import WeighedEvents
from tamis.machine import cores
from tamis.pipeline.fitting import fit_member_preprocessing
from tamis.pipeline.preparation import Prepared, signal_indices
from tamis.statistics.baselines import BoxOfCuts, Cut, ScoredBaseline

if TYPE_CHECKING:
    Model = Trees | Logistic | Cuts

MOST_THREADS = 16


@dataclass(frozen=True)
class TrainedBaseline:
    """A baseline: a model for each fold of the ensemble plan, with a member that has the same training events."""

    name: Baseline
    models: tuple[tuple[PlannedMember, Model], ...]
    seconds: float

    def scores(self, events: Events) -> NDArray[np.floating]:
        """Score each test event with the model that held it out: [n, n_classes], or the discriminant of cuts, [n]."""
        rows = [np.flatnonzero(member.select(TEST, events)) for member, _ in self.models]
        scores: list[NDArray[np.floating]] = [
            model.scores(events.features[test]) for test, (_, model) in zip(rows, self.models, strict=True)
        ]
        return np.concatenate(scores)[np.argsort(np.concatenate(rows), kind="stable")]

    def notes(self) -> tuple[str, ...]:
        """Return sentences about problems of the training."""
        notes = [_note(model) for _, model in self.models]
        return tuple(dict.fromkeys(note for note in notes if note))


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


def train_baselines(config: Config, prepared: Prepared) -> tuple[TrainedBaseline, ...]:
    """Train the baselines of the configuration on the training and validation events of the network."""
    trained = []
    for name in config.evaluation.baselines:
        started = time.perf_counter()
        models = tuple(
            (member, _train_model(name, config, prepared.weighed, member, member_seed(config.seed, number)))
            for number, member in enumerate(prepared.plan.first_members)
        )
        trained.append(TrainedBaseline(name, models, time.perf_counter() - started))
    return tuple(trained)


def _train_model(
    name: Baseline, config: Config, weighed: WeighedEvents, member: PlannedMember, seed: int
) -> Model:
    training = select_events(weighed, TRAINING, member)
    classes = len(config.class_names)
    match name:
        case "xgboost":
            validation = select_events(weighed, VALIDATION, member)
            return train_trees(training, validation, classes, seed=seed, threads=min(cores(), MOST_THREADS))
        case "logistic":
            return train_logistic(training, fit_member_preprocessing(config, weighed, member), classes)
        case "cuts":
            return find_cuts(training, signal_indices(config))
        case _:
            assert_never(name)


def select_events(weighed: WeighedEvents, split: int, member: PlannedMember) -> LabelledEvents:
    """Return the events of a split of a member, with their training weights."""
    events, selected = weighed.events, member.select(split, weighed.events)
    return LabelledEvents(
        events.features[selected], events.class_index[selected], weighed.training_weight[selected]
    )


def score_baselines(
    config: Config, prepared: Prepared, trained: Sequence[TrainedBaseline]
) -> tuple[ScoredBaseline, ...]:
    """Score the test events with the baselines."""
    events = prepared.events
    return tuple(
        ScoredBaseline(
            baseline.name,
            baseline.scores(events),
            baseline.seconds,
            tuple(_boxes(config, baseline, events)),
            baseline.notes(),
        )
        for baseline in trained
    )


def _boxes(config: Config, trained: TrainedBaseline, events: Events) -> Iterator[BoxOfCuts]:
    """Yield the cuts at each working point, with their efficiencies on the test events."""
    names = [feature.name for feature in config.features]
    for member, model in trained.models:
        if not isinstance(model, Cuts):
            continue
        rows = np.flatnonzero(member.select(TEST, events))
        boxes_passed = model.boxes_passed(events.features[rows])
        weight, of_signal = events.weight[rows], np.isin(events.class_index[rows], signal_indices(config))
        for target in config.evaluation.working_points:
            number = model.box(target)
            signal, background = (
                float(weight[(boxes_passed > number) & kind].sum() / weight[kind].sum())
                for kind in (of_signal, ~of_signal)
            )
            yield BoxOfCuts(
                target=target,
                fold=member.fold,
                cuts=tuple(Cut(**cut.to_dict(names)) for cut in model.intervals(number)),
                training_signal_efficiency=float(model.signal_inside[number]),
                signal_efficiency=signal,
                background_efficiency=background,
                background_rejection=1 / background if background > 0 else None,
            )
