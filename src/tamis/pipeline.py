"""The order of the stages, and the only place that sees the whole configuration."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamis.classifier import Classifier, Member
from tamis.config import BinaryCrossEntropy, Config, LogDensity, Symmetry
from tamis.data.events import Events, SampleReading, read_events
from tamis.data.ledger import Ledger, SampleAccount, Tally, exact_float, tally, total
from tamis.data.plan import Quantity, SamplePlan, plan_sample, quantity
from tamis.data.schema import FileSchema
from tamis.data.sources import check_schemas, expand_files, scan_usable_files
from tamis.data.split import (
    PARTS,
    TEST,
    TRAINING,
    VALIDATION,
    Fractions,
    folds_that_saw,
    repeated,
    rows_of_part,
    scramble,
)
from tamis.data.weights import WeighedEvents, weigh_events
from tamis.errors import InputError, Problem
from tamis.evaluation.arrays import positive_sum
from tamis.evaluation.evaluation import Evaluation, SearchPlan, evaluate_classifier
from tamis.evaluation.importance import EVENTS as ENOUGH_EVENTS
from tamis.evaluation.importance import Importance, permutation_importance
from tamis.evaluation.monitors import best_significance, mean_auc
from tamis.evaluation.scored import ScoredEvents
from tamis.expressions import parse
from tamis.files import sha256
from tamis.network.preprocessing import Preprocessing, fit_preprocessing

if TYPE_CHECKING:
    from tamis.training.batches import WeightedInputs
    from tamis.training.history import Epoch
    from tamis.training.loop import Choices, Measure, Trained


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


def _plain(cost: Mapping[str, Any]) -> dict[str, Any]:
    """Write the formats of a layer as people do, `ap_fixed<8, 3>`."""
    formats = cost["formats"]
    written = None if formats is None else {name: each and str(each) for name, each in vars(formats).items()}
    return {**cost, "formats": written}


@dataclass(frozen=True)
class ScoredPart:
    """The events of one part, with what the classifier says of them.

    Args:
        rows: which of the used events they are, [n].
        scores: [n, n_classes].
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


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
    """

    config: Config
    classifier: Classifier
    members: tuple[Trained, ...]
    prepared: Prepared
    parts: Mapping[str, ScoredPart]
    evaluation: Evaluation
    seconds: Mapping[str, float]

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

    def metrics(self) -> dict[str, Any]:
        """Give every number that the run quotes, as `metrics.json` holds them."""
        from tamis.network.quantized import layer_costs

        network, epochs = self.classifier.network, self.trained.history.epochs
        flattened = self.prepared.weighed.flattened
        return {
            **self.evaluation.to_dict(),
            "network": {
                "inputs": network.inputs,
                "parameters": network.parameters,
                "networks": len(self.members),
                "shared_members": network.members,
                "layers": [_plain(vars(cost)) for cost in layer_costs(network.layers)],
                "overflow": dict(self.overflow),
            },
            "training_factors": dict(
                zip(self.classifier.class_names, self.prepared.weighed.factors.tolist(), strict=True)
            ),
            **({"flattened": {name: vars(each) for name, each in flattened.items()}} if flattened else {}),
            "history": {
                "epochs": len(epochs),
                "best_epoch": self.trained.history.best,
                "ended_because": self.trained.history.reason,
            },
            "timing": {"device": self.trained.device, **self._speed(), "stages": dict(self.seconds)},
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


@dataclass(frozen=True)
class Watch:
    """What a caller wants to hear while the stages run; every part may be left out.

    Args:
        stage: called with the name of each stage as it begins.
        read: called with the number of entries in all files, then with each number of entries that was read.
        epoch: called with the number of the network, counted from 0, how many networks there are, and each of its
            epochs; from several threads where there are several.
    """

    stage: Callable[[str], None] = lambda _: None
    read: Callable[[int, int], None] = lambda _total, _done: None
    epoch: Callable[[int, int, Epoch], None] = lambda _member, _members, _epoch: None


def train(config: Config, watch: Watch | None = None, *, choices: Choices | None = None) -> Run:
    """Read, train and evaluate, all in memory.

    Args:
        config: from `load_config`.
        watch: what to tell the caller on the way.
        choices: a loss and an optimizer of the user's own, in place of the configured ones.

    Raises:
        InputError: the files do not hold what the configuration asks for.
        TrainingError: the training diverged.
    """
    watch = watch or Watch()
    clock = _Clock(watch)
    with clock("reading"):
        prepared = prepare(config, watch)
    with clock("training"):
        classifier, members = fit(config, prepared, watch, choices)
    with clock("evaluation"):
        parts = score(classifier, prepared.events)
        importance = weigh_features(config, classifier, prepared, parts[PARTS[TEST]])
        evaluation = evaluate(config, prepared, parts, importance)
    return Run(config, classifier, members, prepared, parts, evaluation, clock.seconds)


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
            fold=None if config.split.folds is None else config.split.folds.by,
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
        fractions(config),
        progress=lambda done: watch.read(entries, done),
    )


def fractions(config: Config) -> Fractions:
    """Say how events are divided."""
    split = config.split
    return Fractions(
        split.test, split.validation, split.seed, 0 if split.folds is None else split.folds.number
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
    weights = config.weights
    return weigh_events(
        events,
        config.class_names,
        balance=weights.balance,
        negative=weights.negative,
        flatten=weights.flatten,
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
            folds=_folds(weighed.events, number),
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


def _folds(events: Events, sample: int) -> tuple[Tally, ...]:
    number = int(events.fold.max(initial=-1)) + 1
    return tuple(
        tally(events.weight[(events.fold == fold) & (events.sample_index == sample)])
        for fold in range(number)
    )


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
    config: Config, prepared: Prepared, watch: Watch | None = None, choices: Choices | None = None
) -> tuple[Classifier, tuple[Trained, ...]]:
    """Train the network, or several: one for each fold and each seed.

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
    begins = [
        partial(_begin, config, prepared.weighed, transforms[fold], symmetries, fold, seed, choices)
        for (fold, _), seed in zip(planned, seeds, strict=True)
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
    return classifier.with_reference(events.features, None if folds is None else events.fold), trained


def seed_of(seed: int, member: int) -> int:
    """Give the seed of a network; the first one has the configured one.

    >>> seed_of(5, 0)
    5
    """
    return seed if member == 0 else int(np.random.SeedSequence([seed, member]).generate_state(1)[0])


def _begin(
    config: Config,
    weighed: WeighedEvents,
    preprocessing: Preprocessing,
    symmetries: tuple[Symmetry, ...],
    fold: int | None,
    seed: int,
    choices: Choices | None,
    device: int | None,
) -> Generator[Epoch, None, Trained]:
    """Begin the training of one network."""
    import jax

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
        key=jax.random.key(seed),
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
    )


def signal_indices(config: Config) -> tuple[int, ...]:
    """Give the indices of the classes that are signal."""
    return tuple(config.class_names.index(name) for name in config.signal_names)


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
    features: NDArray[np.float32],
) -> Callable[[int, int], NDArray[np.float32]] | None:
    """Give what draws the inputs of each epoch anew, where there are symmetries."""
    if not symmetries:
        return None
    from tamis.network.symmetries import build_symmetries

    built = build_symmetries(symmetries, [feature.name for feature in config.features])

    def redraw(seed: int, epoch: int) -> NDArray[np.float32]:
        return preprocessing.apply(built.draw(features, np.random.default_rng((seed, epoch, 1))))

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
    signal = signal_indices(config)
    return lambda scores: best_significance(scores, class_index, weight, signal)


def score(classifier: Classifier, events: Events) -> dict[str, ScoredPart]:
    """Compute the scores of all parts; with folds, what tests an event never saw it, and what trained on it did."""
    if classifier.folds is None:
        scores = classifier.scores(events.features)
        rows = [np.flatnonzero(events.part == number) for number in range(len(PARTS))]
        return {name: ScoredPart(each, scores[each]) for name, each in zip(PARTS, rows, strict=True)}
    seen_by = folds_that_saw(events.identity, events.fold, classifier.folds.number)
    seen = classifier.scores(events.features, seen_by)
    unseen = classifier.scores(events.features, events.fold)
    learned = {number: np.flatnonzero(events.part == number) for number in (TRAINING, VALIDATION)}
    parts = {PARTS[number]: ScoredPart(rows, seen[rows]) for number, rows in learned.items()}
    return {**parts, PARTS[TEST]: ScoredPart(np.arange(len(events)), unseen)}


def weigh_features(
    config: Config, classifier: Classifier, prepared: Prepared, test: ScoredPart
) -> tuple[Importance, ...]:
    """Measure what each feature is worth, on test events in the mixture that the network learned."""
    events, rows = prepared.events, test.rows
    generator = np.random.default_rng((config.seed, 5))
    if len(rows) > ENOUGH_EVENTS:
        rows = generator.choice(rows, ENOUGH_EVENTS, replace=False)
    class_index = events.class_index[rows]
    weight = events.weight[rows] * prepared.weighed.factors[class_index]
    if positive_sum(weight) is None:
        return ()
    fold = None if classifier.folds is None else events.fold[rows]
    return permutation_importance(
        lambda features: classifier.scores(features, fold),
        events.features[rows],
        class_index,
        weight,
        [feature.name for feature in config.features],
        generator,
    )


def evaluate(
    config: Config,
    prepared: Prepared,
    scored: Mapping[str, ScoredPart],
    importance: tuple[Importance, ...] = (),
) -> Evaluation:
    """Compute all results from the scores of all used events.

    With cross-training an event is training for one network and test for another. Training and test are compared
    as independent samples, so the training's events are of the even folds there, and the test's of the odd.
    """
    events, factors = prepared.events, prepared.weighed.factors
    parts = {}
    for name, part in scored.items():
        rows = part.rows
        parts[name] = ScoredEvents(
            scores=part.scores,
            class_index=events.class_index[rows],
            weight=events.weight[rows],
            factor=factors[events.class_index[rows]],
            reference={key: values[rows] for key, values in events.reference.items()},
            spectators={key: values[rows] for key, values in events.spectators.items()},
            identity=events.identity[rows],
            compared=None if config.split.folds is None else events.fold[rows] % 2 == (name == PARTS[TEST]),
        )
    return evaluate_classifier(
        parts,
        config.class_names,
        working_points=config.evaluation.working_points,
        densities=isinstance(config.evaluation.reference, LogDensity),
        plan=search_plan(config),
        importance=importance,
        left_out=left_out(config, prepared.ledger),
        seed=config.seed,
    )


def left_out(config: Config, ledger: Ledger) -> NDArray[np.float64] | None:
    """Give the sum of weights that the policy for negative weights left out of the training, by class."""
    if config.weights.negative != "drop":
        return None
    sums = np.zeros(len(config.class_names))
    for each in ledger.samples:
        dropped = total(each.dropped.values())
        sums[config.class_names.index(each.class_name)] += exact_float(dropped.weights)
    return sums if sums.any() else None


def search_plan(config: Config) -> SearchPlan:
    """Give what a search with the signal score would look like."""
    luminosity = config.evaluation.luminosity
    return SearchPlan(
        signal=signal_indices(config),
        events_per_weight=1.0 if luminosity is None else luminosity.quoted / luminosity.of_weights,
        background_uncertainty=config.evaluation.background_uncertainty,
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
