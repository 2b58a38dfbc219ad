"""From the configuration to weighed events: files, selection, split, weights and the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tamis.baselines.events import check_packages
from tamis.config import Config, LogDensity
from tamis.data.events import Damaged, Events, SampleReading, read_events
from tamis.data.ledger import Ledger, SampleAccount, Tally, tally
from tamis.data.split import (
    PARTS,
    Fractions,
    repeated,
    scramble,
)
from tamis.data.weights import WeighedEvents, weigh_events
from tamis.errors import InputError, Problem
from tamis.pipeline.inputs import Input, look_into
from tamis.pipeline.needs import check_needs, estimate_needs
from tamis.pipeline.watch import Watch


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


def find_input(config: Config) -> tuple[Input, ...]:
    """Find and look into every file, and compare what is there with what the expressions need.

    Raises:
        InputError: with every problem of every sample.
    """
    check_labels(config)
    check_packages(config.evaluation.baselines)
    found = look_into(config)
    if found.problems:
        raise InputError("input files", found.problems)
    return found.inputs


def check_labels(config: Config) -> None:
    """Refuse labels and units that cannot be drawn, before hours of training and not after them.

    Raises:
        RequestError: with the label and whose it is.
    """
    from tamis.plots.labels import axis_label, class_styles

    class_styles(config.class_names, [section.label for section in config.classes.values()])
    for column in (*config.features, *config.spectators):
        axis_label(column.name, column.label, column.unit)


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


def signal_indices(config: Config) -> tuple[int, ...]:
    """Give the indices of the classes that are signal."""
    return tuple(config.class_names.index(name) for name in config.signal_names)


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


def read(
    config: Config,
    inputs: Sequence[Input],
    watch: Watch | None = None,
    damaged: Damaged | None = None,
) -> tuple[Events, tuple[SampleReading, ...]]:
    """Read and select the events of all samples; problems stand in the readings, and `damaged` hears of others."""
    watch = watch or Watch()
    entries = sum(schema.entries for each in inputs for schema in each.schemas)
    watch.read(entries, 0)
    return read_events(
        [(each.plan, each.schemas) for each in inputs],
        fractions(config),
        progress=lambda done: watch.read(entries, done),
        damaged=damaged,
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
        InputError: with every problem that was found while reading, a class that cannot be trained on, or a machine or
            limit that clearly does not suffice.
    """
    watch = watch or Watch()
    inputs = find_input(config)
    needs = estimate_needs(config, inputs)
    watch.needs(needs)
    check_needs(needs)
    events, readings = read(config, inputs, watch)
    check_needs(estimate_needs(config, inputs, events=len(events)))
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
        folds=0 if config.split.folds is None else config.split.folds.number,
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
            files={schema.identity: schema.entries for schema in reading.schemas},
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
