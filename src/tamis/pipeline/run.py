"""The whole way, and what comes out of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.classifier import Classifier
from tamis.config import Config
from tamis.data.split import (
    PARTS,
    TEST,
    TRAINING,
)
from tamis.errors import RequestError
from tamis.evaluation.baselines import BaselineResult
from tamis.evaluation.results import Evaluation
from tamis.notebook import run_summary
from tamis.pipeline.baselines import TrainedBaseline, judge_baselines, train_baselines
from tamis.pipeline.checkpoints import Checkpoints
from tamis.pipeline.fitting import fit
from tamis.pipeline.judging import ScoredPart, evaluate, score
from tamis.pipeline.leaving_out import groups_to_leave_out, leave_out, with_left_out
from tamis.pipeline.preparation import Prepared, prepare
from tamis.pipeline.watch import Watch, log_to_standard_error

if TYPE_CHECKING:
    from tamis.training.loop import Choices, Trained


_EVENTS_FOR_NODES = 1000
"""Used events, evenly spread, for all of which a dead node is zero."""


def _plain(cost: Mapping[str, Any]) -> dict[str, Any]:
    """Write the formats of a layer as people do, `ap_fixed<8, 3>`."""
    formats = cost["formats"]
    written = None if formats is None else {name: each and str(each) for name, each in vars(formats).items()}
    return {**cost, "formats": written}


@dataclass(frozen=True)
class Run:
    """Everything that a training produced.

    Args:
        config: the configuration.
        classifier: the trained classifier.
        members: the history and the device of each of its networks.
        prepared: the events and the ledger.
        parts: the events of training, validation and test with their scores; with cross-training every event is
            tested by the members that never saw it.
        evaluation: every number that is quoted.
        seconds: wall time of each stage.
        baselines: classifiers of other kinds on the same test events, in the order of the configuration.
    """

    config: Config
    classifier: Classifier
    members: tuple[Trained, ...]
    prepared: Prepared
    parts: Mapping[str, ScoredPart]
    evaluation: Evaluation
    seconds: Mapping[str, float]
    baselines: tuple[BaselineResult, ...] = ()

    @property
    def trained(self) -> Trained:
        """History and device of the first network."""
        return self.members[0]

    @property
    def history(self) -> dict[str, Any]:
        """Every epoch, as `history.json` holds it: of the first network, and of all where there are several."""
        first = self.trained.history.to_dict()
        if len(self.members) == 1:
            return first
        folds = [member.fold for member in self.classifier.members]
        return {
            **first,
            "members": [
                {"fold": fold, **trained.history.to_dict()}
                for fold, trained in zip(folds, self.members, strict=True)
            ],
        }

    def __repr__(self) -> str:
        """Return the name, the classifier and the headline numbers."""
        return f"Run({self.config.name!r}, {self.classifier!r}, {self.evaluation!r})"

    def _repr_html_(self) -> str:
        """Show the numbers that are quoted first in a notebook."""
        return run_summary(self.config.name, self.metrics())

    def metrics(self) -> dict[str, Any]:
        """Give every number that the run quotes, as `metrics.json` holds them."""
        epochs = self.trained.history.epochs
        return {
            **self.numbers(),
            "history": {
                "epochs": len(epochs),
                "best_epoch": self.trained.history.best,
                "ended_because": self.trained.history.reason,
            },
            "timing": self.timing,
        }

    @property
    def timing(self) -> dict[str, Any]:
        """Device, speed of the training and wall time of each stage, as `metrics.json` holds them."""
        return {"device": self.trained.device, **self._speed(), "stages": dict(self.seconds)}

    def numbers(self) -> dict[str, Any]:
        """Give the part of `metrics` that follows from the classifier and the events alone."""
        from tamis.network.quantized import layer_costs

        network = self.classifier.network
        flattened = self.prepared.weighed.flattened
        baselines = {each.name: each.to_dict(self.classifier.class_names) for each in self.baselines}
        return {
            **self.evaluation.to_dict(),
            **({"baselines": baselines} if baselines else {}),
            "network": {
                "inputs": network.inputs,
                "parameters": network.parameters,
                "networks": len(self.classifier.members),
                "shared_members": network.members,
                "layers": [_plain(vars(cost)) for cost in layer_costs(network.layers)],
                "overflow": dict(self.overflow),
                "dead_nodes": self._dead_nodes(),
            },
            "training_factors": dict(
                zip(self.classifier.class_names, self.prepared.weighed.factors.tolist(), strict=True)
            ),
            **({"flattened": {name: vars(each) for name, each in flattened.items()}} if flattened else {}),
            "applied_calibration": self._calibration(),
        }

    def _dead_nodes(self) -> dict[str, Any]:
        """Count the nodes of each hidden layer that are zero for all of some events, network by network."""
        from tamis.network.dead_nodes import count_dead_nodes

        features = self.prepared.events.features
        rows = np.linspace(0, len(features) - 1, min(_EVENTS_FOR_NODES, len(features))).astype(np.intp)
        inputs = [each.preprocessing.apply(features[rows]) for each in self.classifier.members]
        return {
            "events": len(rows),
            "networks": [
                count_dead_nodes(member.network, each)
                for member, each in zip(self.classifier.members, inputs, strict=True)
            ],
        }

    def _calibration(self) -> dict[str, Any] | None:
        """Give the correction that is part of the scores; None where there is none."""
        found, fitted = self.classifier.calibration, self.config.classes
        if found is None:
            return None
        scalings = {
            "of_all": found.of_all,
            **{f"of_fold_{fold}": each for fold, each in found.of_folds.items()},
        }
        return {
            "method": found.method,
            **{
                name: {
                    "scale": dict(zip(fitted, each.scale, strict=True)),
                    "offset": dict(zip(fitted, each.offset, strict=True)),
                }
                for name, each in scalings.items()
            },
        }

    @property
    def overflow(self) -> Mapping[str, float]:
        """Fraction of training events outside the fixed-point range of the inputs, by input where there are any."""
        from tamis.network.network import first_layer_overflow
        from tamis.network.quantized import Quantized

        preprocessing = self.classifier.preprocessing
        if not isinstance(self.classifier.network.layers[0], Quantized):
            return {}
        features = self.prepared.events.features[self.parts[PARTS[TRAINING]].rows]
        found = first_layer_overflow(self.classifier.network, preprocessing.apply(features))
        if found is None:
            return {}
        names = self.classifier.feature_names
        indicators = [f"{names[index]} is missing" for index in preprocessing.indicators]
        inputs = [*names, *indicators]
        if len(found) != len(inputs):  # an embedding makes several numbers of one input
            inputs = [f"number {number}" for number in range(len(found))]
        return {name: float(part) for name, part in zip(inputs, found, strict=True) if part}

    def _speed(self) -> dict[str, float]:
        epochs = [epoch for trained in self.members for epoch in trained.history.epochs]
        # several networks are trained at the same time, so their epochs do not add up to what passed
        alone = len(self.members) == 1
        seconds = sum(epoch.seconds for epoch in epochs) if alone else self.seconds["training"]
        return {
            "train_seconds": seconds,
            "events_per_second": sum(epoch.events for epoch in epochs) / seconds,
        }


def check_trained(run: object, function: str) -> None:
    """Refuse what `train` did not return, such as a run that was read back from its folder.

    Args:
        run: what a user passed.
        function: to which function.

    Raises:
        RequestError: with what to do instead.
    """
    if isinstance(run, Run):
        return
    folder = getattr(run, "folder", None)
    there = "" if folder is None else f"; {folder} holds the figures, the report and all files of this run"
    raise RequestError(
        f"{function} takes the run that tamis.train returned, with its events, not {type(run).__name__}{there}"
    )


def train(
    config: Config,
    watch: Watch | None = None,
    *,
    choices: Choices | None = None,
    checkpoints: Checkpoints | None = None,
) -> Run:
    """Read, train and evaluate, all in memory.

    Args:
        config: from `load_config`.
        watch: what to tell the caller on the way; by default lines on the standard error, and nothing with `Watch()`.
        choices: a loss and an optimizer of the user's own, in place of the configured ones.
        checkpoints: where the progress is kept; a training that was stopped goes on from there.

    Raises:
        StoppedError: the training was asked to stop, and its progress is kept.
        InputError: the files do not hold what the configuration asks for.
        TrainingError: the training diverged, or one without some features, where these are asked for.
        RequestError: `config` is not a configuration.
    """
    if not isinstance(config, Config):
        raise RequestError(
            f"train takes a configuration, not {type(config).__name__}; load the file first: "
            "tamis.train(tamis.load_config('analysis.yaml'))"
        )
    watch = watch or log_to_standard_error()
    clock = _Clock(watch)
    with clock("reading"):
        prepared = prepare(config, watch)
    trained: tuple[TrainedBaseline, ...] = ()
    if (
        config.evaluation.baselines
    ):  # first, because they are quick, and what is wrong with them is told early
        with clock("baselines"):
            trained = train_baselines(config, prepared.weighed)
    with clock("training"):
        classifier, members = fit(config, prepared, watch, choices, checkpoints)
    with clock("evaluation"):
        parts = score(classifier, prepared.events)
        evaluation = evaluate(config, prepared, classifier, parts, watch.step)
        baselines = judge_baselines(config, prepared, trained, parts[PARTS[TEST]])
    evaluation = _leave_out(config, prepared, classifier, parts[PARTS[TEST]], evaluation, clock, choices)
    return Run(config, classifier, members, prepared, parts, evaluation, clock.seconds, baselines)


def _leave_out(
    config: Config,
    prepared: Prepared,
    classifier: Classifier,
    test: ScoredPart,
    evaluation: Evaluation,
    clock: _Clock,
    choices: Choices | None,
) -> Evaluation:
    """Add what is lost without features, where the configuration asks for it."""
    groups = groups_to_leave_out(config.evaluation.leave_out, evaluation.importance)
    if not groups:
        return evaluation
    with clock("leaving features out"):
        found = leave_out(config, prepared, classifier, test, groups, watch=clock.watch, choices=choices)
    return replace(
        evaluation,
        importance=with_left_out(evaluation.importance, found),
        retrained=None if found is None else found.nothing,
    )


class _Clock:
    """Measures the wall time of each stage."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str) -> _Clock:
        self.stage = stage
        return self

    def __enter__(self) -> None:
        self.watch.stage(self.stage)
        self.started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.stage] = time.perf_counter() - self.started
