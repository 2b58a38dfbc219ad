"""The order of the stages, and the only place that sees the whole configuration."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tamis.classifier import Classifier
from tamis.config import Config, LogDensity
from tamis.data.events import Events, SampleReading, read_events
from tamis.data.ledger import Ledger, SampleAccount, Tally, tally
from tamis.data.plan import Quantity, SamplePlan, plan_sample, quantity
from tamis.data.schema import FileSchema
from tamis.data.sources import check_schemas, expand_files, scan_usable_files
from tamis.data.split import PARTS, TRAINING, VALIDATION, Fractions, repeated, scramble
from tamis.data.weights import WeighedEvents, weigh_events
from tamis.errors import InputError, Problem
from tamis.evaluation.evaluation import Evaluation, ScoredEvents, evaluate_classifier
from tamis.expressions import parse
from tamis.files import sha256
from tamis.network.preprocessing import Preprocessing, fit_preprocessing

if TYPE_CHECKING:
    from tamis.training.history import Epoch
    from tamis.training.loop import Trained


@dataclass(frozen=True)
class Input:
    """One sample: what is computed, and the files it is computed from.

    Args:
        plan: its parsed expressions.
        schemas: its files.
    """

    plan: SamplePlan
    schemas: tuple[FileSchema, ...]


@dataclass(frozen=True)
class Prepared:
    """All events of a run, ready to train on.

    Args:
        inputs: samples and files.
        weighed: the used events with their weights in the loss.
        ledger: where every entry went.
        readings: what was counted while reading, per sample.
        duplicates: sentences about identities that occur more than once.
    """

    inputs: tuple[Input, ...]
    weighed: WeighedEvents
    ledger: Ledger
    readings: tuple[SampleReading, ...]
    duplicates: tuple[str, ...]

    @property
    def events(self) -> Events:
        """The used events."""
        return self.weighed.events


@dataclass(frozen=True)
class Run:
    """Everything that a training produced.

    Args:
        config: the configuration.
        classifier: the trained classifier.
        trained: the history and the device.
        prepared: the events and the ledger.
        scores: scores of all used events, [n, n_classes].
        evaluation: every number that is quoted.
        seconds: wall time of each stage.
    """

    config: Config
    classifier: Classifier
    trained: Trained
    prepared: Prepared
    scores: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    evaluation: Evaluation
    seconds: Mapping[str, float]

    def metrics(self) -> dict[str, Any]:
        """Give every number that the run quotes, as `metrics.json` holds them."""
        epochs = self.trained.history.epochs
        training_events = int(np.count_nonzero(self.prepared.events.part == TRAINING))
        seconds = sum(epoch.seconds for epoch in epochs)
        network = self.classifier.network
        return {
            **self.evaluation.to_dict(),
            "network": {"inputs": network.inputs, "parameters": network.parameters},
            "training_factors": dict(
                zip(self.classifier.class_names, self.prepared.weighed.factors.tolist(), strict=True)
            ),
            "history": {
                "epochs": len(epochs),
                "best_epoch": self.trained.history.best,
                "ended_because": self.trained.history.reason,
            },
            "timing": {
                "device": self.trained.device,
                "train_seconds": seconds,
                "events_per_second": training_events * len(epochs) / seconds,
                "stages": dict(self.seconds),
            },
        }


@dataclass(frozen=True)
class Watch:
    """What a caller wants to hear while the stages run; every part may be left out.

    Args:
        stage: called with the name of each stage as it begins.
        read: called with the number of entries in all files, then with each number of entries that was read.
        epoch: called with each epoch of the training.
    """

    stage: Callable[[str], None] = lambda _: None
    read: Callable[[int, int], None] = lambda _total, _done: None
    epoch: Callable[[Epoch], None] = lambda _: None


def train(config: Config, watch: Watch | None = None) -> Run:
    """Read, train and evaluate, all in memory.

    Args:
        config: from `load_config`.
        watch: what to tell the caller on the way.

    Raises:
        InputError: the files do not hold what the configuration asks for.
        TrainingError: the training diverged.
    """
    watch = watch or Watch()
    clock = _Clock(watch)
    with clock("reading"):
        prepared = prepare(config, watch)
    with clock("training"):
        classifier, trained = fit(config, prepared, watch)
    with clock("evaluation"):
        scores = classifier.scores(prepared.events.features)
        evaluation = evaluate(config, prepared, scores)
    return Run(config, classifier, trained, prepared, scores, evaluation, clock.seconds)


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


def find_input(config: Config) -> tuple[Input, ...]:
    """Find and look into every file, and compare what is there with what the expressions need.

    Raises:
        InputError: with every problem of every sample.
    """
    check_labels(config)
    features = [quantity(feature) for feature in config.features]
    spectators = [quantity(spectator) for spectator in config.spectators]
    reference = [Quantity(name, parse(text)) for name, text in reference_expressions(config).items()]
    folder = config.data or "."
    inputs: list[Input] = []
    problems: list[Problem] = []
    for sample in config.samples:
        plan = plan_sample(
            sample,
            config.class_names,
            features=features,
            spectators=spectators,
            reference=reference,
            identity=config.split.by or (),
        )
        try:
            sources = expand_files(sample.name, sample.files, folder)
        except InputError as error:
            problems += error.problems
            continue
        schemas, unusable = scan_usable_files(sources, sample.tree)
        problems += unusable
        inputs.append(Input(plan, tuple(schemas)))
    try:
        check_schemas((each.schemas, each.plan.scalars, each.plan.indexed) for each in inputs)
    except InputError as error:
        problems += error.problems
    problems += copied_files([schema for each in inputs for schema in each.schemas])
    if problems:
        raise InputError("input files", problems)
    return tuple(sorted(inputs, key=lambda each: each.plan.sample))


def check_labels(config: Config) -> None:
    """Refuse labels and units that cannot be drawn, before hours of training and not after them.

    Raises:
        RequestError: with the label and whose it is.
    """
    from tamis.plots.labels import axis_label, class_styles

    class_styles(config.class_names, [section.label for section in config.classes.values()])
    for column in (*config.features, *config.spectators):
        axis_label(column.name, column.label, column.unit)


def copied_files(schemas: Sequence[FileSchema]) -> list[Problem]:
    """Find files of other names that hold the same bytes: their events would be in training and in test."""
    sizes: dict[int, dict[str, FileSchema]] = {}
    for schema in schemas:
        if schema.entries and "://" not in schema.source.path:
            same = sizes.setdefault(Path(schema.source.path).stat().st_size, {})
            same.setdefault(schema.source.path, schema)
    problems, seen = [], dict[str, FileSchema]()
    for schema in (each for same in sizes.values() if len(same) > 1 for each in same.values()):
        first = seen.setdefault(sha256(Path(schema.source.path)), schema)
        if first is not schema:
            message = (
                f"has the same content as {first.source.path}; the same events would be in training and in test: "
                "leave one of them out"
            )
            problems.append(Problem(schema.source.path, message))
    return problems


def check_overlap(events: Events) -> None:
    """Refuse an entry of a file that two samples use.

    Raises:
        InputError: with the number of such entries, the file and the samples.
    """
    entry = scramble(scramble(events.entry.astype(np.uint64)) ^ events.file_index.astype(np.uint64))
    again = repeated(entry)
    if not len(again):
        return
    first = int(again[0])
    users = np.unique(events.sample_index[entry == entry[first]])
    samples = " and ".join(events.samples[index] for index in users)
    message = (
        f"entry {events.entry[first]} is used by the samples {samples} ({len(again)} such entries): the same event "
        "would be in training and in test, or in two classes; make their selections exclude each other"
    )
    raise InputError("input files", [Problem(events.files[events.file_index[first]], message)])


def reference_expressions(config: Config) -> Mapping[str, str]:
    """Give the expression of each class's known log-density or discriminant; empty where there are none."""
    match config.evaluation.reference:
        case None:
            return {}
        case LogDensity() as reference:
            return reference.log_density
        case reference:
            return reference.discriminant


def read(
    config: Config, inputs: Sequence[Input], watch: Watch | None = None
) -> tuple[Events, tuple[SampleReading, ...]]:
    """Read and select the events of all samples; problems stand in the readings."""
    watch = watch or Watch()
    entries = sum(schema.entries for each in inputs for schema in each.schemas)
    watch.read(entries, 0)
    return read_events(
        [(each.plan, each.schemas) for each in inputs],
        Fractions(config.split.test, config.split.validation, config.split.seed),
        progress=lambda done: watch.read(entries, done),
    )


def prepare(config: Config, watch: Watch | None = None) -> Prepared:
    """Read the events, weigh them and close the ledger.

    Raises:
        InputError: with every problem that was found while reading, or a class that cannot be trained on.
    """
    inputs = find_input(config)
    events, readings = read(config, inputs, watch)
    problems = [problem for reading in readings for problem in reading.problems]
    if problems:
        raise InputError("input files", problems)
    check_reference(config, events)
    check_overlap(events)
    weighed = weigh(config, events)
    ledger = close_ledger(config, readings, events, weighed)
    return Prepared(tuple(inputs), weighed, ledger, readings, describe_duplicates(config, ledger))


def weigh(config: Config, events: Events) -> WeighedEvents:
    """Apply the section `weights`."""
    return weigh_events(
        events, config.class_names, balance=config.weights.balance, negative=config.weights.negative
    )


def close_ledger(
    config: Config, readings: Sequence[SampleReading], events: Events, weighed: WeighedEvents
) -> Ledger:
    """Account for every entry of every file.

    Raises:
        TamisError: it does not add up.
    """
    within, between = _repetitions(events)
    accounts = []
    for number, reading in enumerate(readings):
        dropped = weighed.dropped[events.sample_index[weighed.dropped] == number]
        account = SampleAccount(
            sample=reading.plan.sample,
            class_name=config.class_names[reading.plan.class_index],
            files={schema.source.identity: schema.entries for schema in reading.schemas},
            read=reading.read,
            unweighted=reading.unweighted,
            failed_selection=reading.failed_selection,
            dropped={"negative_weight": tally(events.weight[dropped])},
            parts=_tallies(weighed.events, number),
            made_absolute=int(np.count_nonzero(weighed.events.sample_index[weighed.changed] == number)),
        )
        account.check()
        accounts.append(account)
    return Ledger(tuple(accounts), within, between)


def _tallies(events: Events, sample: int) -> dict[str, Tally]:
    return {
        name: tally(events.weight[(events.part == part) & (events.sample_index == sample)])
        for part, name in enumerate(PARTS)
    }


def _repetitions(events: Events) -> tuple[int, int]:
    """Count identities that occur again in the same sample, and those that occur in several samples."""
    within = 0
    first = []
    for sample in range(len(events.samples)):
        identity = events.identity[events.sample_index == sample]
        within += len(repeated(identity))
        first.append(np.unique(identity))
    everywhere = np.concatenate(first)
    return within, len(np.unique(everywhere[repeated(everywhere)]))


def describe_duplicates(config: Config, ledger: Ledger) -> tuple[str, ...]:
    """Say in sentences what the ledger counted of repeated identities."""
    sentences = []
    named = "" if not config.split.by else f" ({', '.join(config.split.by)})"
    if ledger.repeated:
        sentences.append(
            f"{ledger.repeated} events have the same identity{named} as another event of their sample: they may be "
            "in the input twice. Equal events are in the same part of the split, but count twice."
        )
    if ledger.shared:
        sentences.append(
            f"{ledger.shared} identities{named} occur in more than one sample. Simulated samples often number their "
            "events alike; if they are the same events, one of them is in the wrong class."
        )
    return tuple(sentences)


def learn_preprocessing(config: Config, weighed: WeighedEvents) -> Preprocessing:
    """Learn fills and scales on the training events."""
    training = weighed.events.part == TRAINING
    return fit_preprocessing(
        weighed.events.features[training],
        weighed.training_weight[training],
        config.preprocessing.scaling,
        missing_allowed=[feature.missing is not None for feature in config.features],
    )


def fit(config: Config, prepared: Prepared, watch: Watch | None = None) -> tuple[Classifier, Trained]:
    """Train the network.

    Returns:
        The classifier with the chosen weights, and the history.
    """
    from tamis.training.devices import start_devices

    start_devices()
    import jax

    from tamis.network.network import build_network
    from tamis.training.batches import WeightedInputs
    from tamis.training.loop import follow, train

    weighed, events = prepared.weighed, prepared.events
    preprocessing = learn_preprocessing(config, weighed)

    def part(number: int) -> WeightedInputs:
        rows = events.part == number
        return WeightedInputs(
            preprocessing.apply(events.features[rows]),
            events.class_index[rows],
            weighed.training_weight[rows],
        )

    network = build_network(
        preprocessing.inputs, len(config.classes), config.network.layers, key=jax.random.key(config.seed)
    )
    epochs = train(network, part(TRAINING), part(VALIDATION), config.training, seed=config.seed)
    trained = follow(epochs, (watch or Watch()).epoch)
    nothing = np.empty((0, 0), np.float32)
    classifier = Classifier(config.features, config.classes, preprocessing, trained.network, nothing, nothing)
    return classifier.with_reference(events.features), trained


def evaluate(config: Config, prepared: Prepared, scores: np.ndarray[Any, np.dtype[np.float32]]) -> Evaluation:
    """Compute all results from the scores of all used events."""
    events, factors = prepared.events, prepared.weighed.factors
    parts = {}
    for number, name in enumerate(PARTS):
        rows = events.part == number
        parts[name] = ScoredEvents(
            scores=scores[rows],
            class_index=events.class_index[rows],
            weight=events.weight[rows],
            factor=factors[events.class_index[rows]],
            reference={key: values[rows] for key, values in events.reference.items()},
        )
    return evaluate_classifier(
        parts,
        config.class_names,
        working_points=config.evaluation.working_points,
        densities=isinstance(config.evaluation.reference, LogDensity),
    )


def check_reference(config: Config, events: Events) -> None:
    """Refuse known densities and discriminants that are no numbers, before anything is trained.

    A density may be zero (its logarithm -inf) only under the classes that the event does not belong to.

    Raises:
        InputError: with count, file and entry for each class.
    """
    densities = isinstance(config.evaluation.reference, LogDensity)
    problems = []
    for name, values in events.reference.items():
        own = events.class_index == config.class_names.index(name)
        bad = ~np.isfinite(values) & ~(np.isneginf(values) & ~own & densities)
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            message = (
                f"is {values[first]} at entry {events.entry[first]} of {events.files[events.file_index[first]]} "
                f"({np.count_nonzero(bad)} such events); expected a finite number"
            )
            problems.append(Problem(f"evaluation.reference for class {name}", message))
    if problems:
        raise InputError("evaluation.reference", problems)
