"""Train a classifier and evaluate it, in memory: from the configuration to the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis.arguments import check_kind
from tamis.classifier import Classifier
from tamis.config import Config
from tamis.data.split import SPLITS, TEST
from tamis.errors import RequestError
from tamis.files import as_json
from tamis.notebook import run_summary
from tamis.pipeline.baselines import TrainedBaseline, score_baselines, train_baselines
from tamis.pipeline.callbacks import Callbacks, log_to_standard_error
from tamis.pipeline.checkpoints import Checkpoints
from tamis.pipeline.evaluation import ScoredSplit, build_context, evaluate, score
from tamis.pipeline.feature_ablation import train_without
from tamis.pipeline.fitting import train_classifier
from tamis.pipeline.metrics import describe_history, metrics_of_classifier, metrics_of_training
from tamis.pipeline.preparation import Prepared, prepare
from tamis.statistics.baselines import ScoredBaseline
from tamis.statistics.scored import ScoredEvents
from tamis.studies import extend_results

if TYPE_CHECKING:
    from tamis.training.events import Trained
    from tamis.training.recipe import Custom


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """The part of a run that is not stored: its events and its trained networks.

    Args:
        splits: the events of training, validation and test with their scores; with cross-training every event is
            tested by the members that never saw it.
        baselines: classifiers of other kinds with their scores of the test events, in the order of the configuration.
    """

    prepared: Prepared
    splits: Mapping[str, ScoredSplit]
    members: tuple[Trained, ...] = ()
    baselines: tuple[ScoredBaseline, ...] = ()


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run, as `tamis.train` returns it and as `tamis.read_run` reads it back.

    A run that is read back does not hold the events and the trained networks: `training`, `prepared`, `splits` and
    `members` raise an error. All other attributes are the same for both.

    Args:
        metrics: every number that the run quotes, as in `metrics.json`.
        history: every epoch, as in `history.json`.
        cutflow: how many entries are left after each step, as in `events.json`.
        load_results: returns the results of the studies; called once, as the next two.
        load_scores: returns the test events.
        load_classifier: returns the classifier.
        in_memory: the events and the trained networks; None if the run was read back.
        written_to: the run directory; None if the run is not written yet.
        provenance: versions, inputs, command and times, as in `provenance.json`; empty if the run is not written yet.
    """

    config: Config
    metrics: Mapping[str, Any]
    history: Mapping[str, Any]
    cutflow: Mapping[str, Any]
    load_results: Callable[[], Mapping[str, Any]]
    load_scores: Callable[[], ScoredEvents]
    load_classifier: Callable[[], Classifier]
    in_memory: TrainingResult | None = None
    written_to: Path | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def results(self) -> Mapping[str, Any]:
        """The result of each study, by its name; None if the study does not apply.

        Raises:
            InputError: a file is missing, damaged or belongs to another run.
        """
        return self.load_results()

    @cached_property
    def scores(self) -> ScoredEvents:
        """The test events with their scores, weights, event IDs and spectators, in the order of `scores.parquet`.

        Raises:
            InputError: the file is missing, damaged or belongs to another run.
        """
        return self.load_scores()

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier; when it is read back, its reference events are scored again.

        Raises:
            InputError: a file of `model` is missing, damaged or belongs to another run.
        """
        return self.load_classifier()

    @property
    def folder(self) -> Path:
        """The run directory.

        Raises:
            RequestError: the run is not written yet.
        """
        if self.written_to is None:
            raise RequestError("this run is not written yet; write it with tamis.write_run(run, folder)")
        return self.written_to

    @property
    def training(self) -> TrainingResult:
        """The events and the trained networks.

        Raises:
            RequestError: the run was read from its directory, which does not hold them.
        """
        if self.in_memory is None:
            raise RequestError(
                f"the run was read from {self.folder}, which does not hold its events and its training; use the run "
                "that tamis.train or tamis.run returned"
            )
        return self.in_memory

    @property
    def prepared(self) -> Prepared:
        """The events and the cutflow; not for a run that was read back."""
        return self.training.prepared

    @property
    def splits(self) -> Mapping[str, ScoredSplit]:
        """The events of training, validation and test with their scores; not for a run that was read back."""
        return self.training.splits

    @property
    def members(self) -> tuple[Trained, ...]:
        """The history and the device of each network; not for a run that was read back."""
        return self.training.members

    @property
    def name(self) -> str:
        """Name of the configuration."""
        return self.config.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the scores."""
        return self.config.class_names

    def __repr__(self) -> str:
        """Return the name, the classes, and the balanced loss and accuracy of the test events."""
        test = self.metrics["test"]["balanced"]
        return (
            f"Run({self.name!r}, classes {', '.join(self.class_names)}; test events: balanced loss {test['loss']:.4g}, "
            f"balanced accuracy {test['accuracy']:.4g})"
        )

    def _repr_html_(self) -> str:
        """Show the numbers that are quoted first in a notebook."""
        return run_summary(self.name, self.metrics)


def train(
    config: Config,
    callbacks: Callbacks | None = None,
    *,
    custom: Custom | None = None,
    checkpoints: Checkpoints | None = None,
) -> Run:
    """Read, train and evaluate, all in memory.

    Args:
        config: from `load_config`.
        callbacks: functions that are called on the way; by default they write lines to the standard error, and
            `Callbacks()` writes nothing.
        custom: a loss and an optimizer in place of the configured ones.
        checkpoints: where checkpoints are written; a training that was stopped resumes from them.

    Raises:
        StoppedError: the training was asked to stop, and its checkpoints are written.
        InputError: the input files do not match the configuration.
        TrainingError: the training diverged, or a training of the feature ablation.
        RequestError: an argument has the wrong type, such as a path instead of a configuration.
    """
    check_config(config, "train")
    check_kind(callbacks, Callbacks, "callbacks of train")
    check_kind(checkpoints, Checkpoints, "checkpoints of train")
    callbacks = callbacks or log_to_standard_error()
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        """Announce a stage, and measure its wall time."""
        callbacks.stage(name)
        started = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - started

    if checkpoints is not None:
        checkpoints.check_configuration(config)
    with stage("reading"):
        prepared = prepare(config, callbacks)
    trained: tuple[TrainedBaseline, ...] = ()
    # before the network: baselines are quick, and their problems are reported early
    if config.evaluation.baselines:
        with stage("baselines"):
            trained = train_baselines(config, prepared)
    with stage("training"):
        classifier, members = train_classifier(config, prepared, callbacks, custom, checkpoints)

    train_again = partial(
        train_without, config, prepared.weighed, classifier, callbacks=callbacks, custom=custom
    )
    with stage("evaluation"):
        splits = score(classifier, prepared.events)
        baselines = score_baselines(config, prepared, trained)
        context = build_context(
            config, prepared, classifier, splits, stage("feature ablation")(train_again), baselines=baselines
        )
        results = evaluate(context, callbacks.step)
    results = extend_results(context, results)
    history = describe_history(classifier, members)
    metrics = {
        **metrics_of_classifier(config, classifier, prepared, results),
        **metrics_of_training(history, members, seconds),
    }
    scores = replace(
        context.splits[SPLITS[TEST]], reference={}, compared=None, split=None
    )  # these are not stored
    return Run(
        config,
        as_json(metrics),
        as_json(history),
        as_json(prepared.cutflow.to_dict(config.class_names)),
        lambda: results,
        lambda: scores,
        lambda: classifier,
        TrainingResult(prepared, splits, members, baselines),
    )


def check_run(run: object, function: str) -> None:
    """Check that an argument of a public function is a run, not such as its path, or raise a `RequestError`."""
    if not isinstance(run, Run):
        raise RequestError(
            f"{function} takes a tamis.Run, not {type(run).__name__}; tamis.train, tamis.run and tamis.read_run return "
            "one"
        )


def check_config(config: object, function: str) -> None:
    """Check that an argument of a public function is a configuration, not its path, or raise a `RequestError`."""
    if not isinstance(config, Config):
        raise RequestError(
            f"{function} takes a configuration, not {type(config).__name__}; load the file first: "
            f"tamis.{function}(tamis.load_config('analysis.yaml'), ...)"
        )
