"""From the configuration to weighted events: files, selection, split, weights and the cutflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tamis.arrays import Mask
from tamis.baselines.events import check_packages
from tamis.config import Config, LogDensity
from tamis.data.cutflow import Cutflow, SampleCutflow, Tally, tally
from tamis.data.ensemble import EnsemblePlan
from tamis.data.events import Damaged, Events, SampleReading, read_events
from tamis.data.split import SPLITS, Fractions, find_duplicates, scramble
from tamis.data.weights import WeighedEvents, weigh_events
from tamis.errors import InputError, Problem
from tamis.pipeline.callbacks import Callbacks
from tamis.pipeline.inputs import Input, InspectedFiles, inspect_files
from tamis.pipeline.resources import check_resources, estimate_resources
from tamis.pipeline.spectators import check_decorrelation


@dataclass(frozen=True)
class Prepared:
    """All events of a run, ready to train on: samples and files, ensemble plan, weights, cutflow and duplicates."""

    inputs: tuple[Input, ...]
    plan: EnsemblePlan
    weighed: WeighedEvents
    cutflow: Cutflow
    duplicates: tuple[str, ...]

    @property
    def events(self) -> Events:
        """The used events."""
        return self.weighed.events


def find_input(config: Config) -> InspectedFiles:
    """Find and inspect every file, and check its branches; an `InputError` has every problem of every sample."""
    check_labels(config)
    check_packages(config.evaluation.baselines)
    inspected = inspect_files(config)
    if inspected.problems:
        raise InputError("input files", inspected.problems)
    return inspected


def check_labels(config: Config) -> None:
    """Refuse labels and units that cannot be drawn (`RequestError`), before hours of training and not after them."""
    from tamis.plots.labels import axis_label, class_styles

    class_styles(config.class_names, config.class_labels)
    for column in (*config.features, *config.spectators):
        axis_label(column.name, column.label, column.unit)


def check_overlap(events: Events) -> None:
    """Refuse entries of a file that two samples use; the `InputError` has their number, the file and the samples."""
    entry = scramble(scramble(events.entry.astype(np.uint64)) ^ events.file_index.astype(np.uint64))
    again = find_duplicates(entry)
    if not len(again):
        return
    first = int(again[0])
    users = np.unique(events.sample_index[entry == entry[first]])
    samples = " and ".join(events.samples[index] for index in users)
    message = (
        f"entry {events.entry[first]} is used by the samples {samples} ({len(again):,} such entries): the same event "
        "would be in training and in test, or in two classes; make their selections exclude each other"
    )
    raise InputError("input files", [Problem(events.files[events.file_index[first]], message)])


def check_selected(config: Config, readings: Sequence[SampleReading]) -> None:
    """Refuse classes of which no entry passes the selections, which are in the `InputError`."""
    problems = []
    for index, name in enumerate(config.class_names):
        of_class = [reading for reading in readings if reading.plan.class_index == index]
        entries = sum(schema.entries for reading in of_class for schema in reading.schemas)
        rejected = sum(reading.failed_selection.events + reading.unweighted for reading in of_class)
        if rejected and rejected == entries:
            selections = {
                reading.plan.selection.text for reading in of_class if reading.plan.selection is not None
            }
            passed = " or ".join(f"`{selection}`" for selection in sorted(selections))
            message = f"none of {entries:,} entries passes {passed}; change the selection, or add files"
            problems.append(Problem(f"class {name}", message))
    if problems:
        raise InputError("classes", problems)


def signal_indices(config: Config) -> tuple[int, ...]:
    """Return the indices of the signal classes."""
    return tuple(config.class_names.index(name) for name in config.signal_names)


def check_reference(config: Config, events: Events) -> None:
    """Refuse known densities and discriminants that are not numbers, before the training (`InputError`).

    A density may be zero (its logarithm -inf) only under the classes that the event does not belong to.
    """
    densities = isinstance(config.evaluation.reference, LogDensity)
    problems = []
    for name, values in events.reference.items():
        of_class = events.class_index == config.class_names.index(name)
        bad = ~np.isfinite(values) & ~(np.isneginf(values) & ~of_class & densities)
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            message = (
                f"is {values[first]} at entry {events.entry[first]} of {events.files[events.file_index[first]]} "
                f"({np.count_nonzero(bad):,} such events); expected a finite number"
            )
            problems.append(Problem(f"evaluation.reference for class {name}", message))
    if problems:
        raise InputError("evaluation.reference", problems)


def read(
    config: Config,
    inspected: InspectedFiles,
    callbacks: Callbacks | None = None,
    damaged: Damaged | None = None,
) -> tuple[Events, tuple[SampleReading, ...]]:
    """Read and select the events of all samples.

    Problems of the events are in the readings; `damaged` gets the problems of files.
    """
    callbacks = callbacks or Callbacks()
    entries = sum(schema.entries for sample in inspected.inputs for schema in sample.schemas)
    callbacks.read(entries, 0)
    return read_events(
        [(sample.plan, sample.schemas) for sample in inspected.inputs],
        Fractions(config.split.test, config.split.validation, config.split.seed, inspected.plan.n_folds),
        progress=lambda done: callbacks.read(entries, done),
        damaged=damaged,
    )


def prepare(config: Config, callbacks: Callbacks | None = None) -> Prepared:
    """Read the events, weight them and build the cutflow.

    Raises:
        InputError: with every problem that was found while reading, a class that cannot be trained on, or clearly
            insufficient memory.
    """
    callbacks = callbacks or Callbacks()
    inspected = find_input(config)
    resources = estimate_resources(config, inspected)
    callbacks.resources(resources)
    check_resources(resources)
    events, readings = read(config, inspected, callbacks)
    check_resources(estimate_resources(config, inspected, events=len(events)))
    problems = [problem for reading in readings for problem in reading.problems]
    if problems:
        raise InputError("input files", problems)
    check_selected(config, readings)
    check_reference(config, events)
    check_overlap(events)
    check_decorrelation(config, events)
    weighed = weigh(config, events, inspected.plan)
    cutflow = build_cutflow(config, readings, events, weighed)
    duplicates = describe_duplicates(config, cutflow)
    return Prepared(inspected.inputs, inspected.plan, weighed, cutflow, duplicates)


def weigh(config: Config, events: Events, plan: EnsemblePlan) -> WeighedEvents:
    """Apply the section `weights`."""
    weights = config.weights
    return weigh_events(
        events,
        config.class_names,
        balance=weights.balance,
        negative=weights.negative,
        flatten=weights.flatten,
        plan=plan,
    )


def build_cutflow(
    config: Config, readings: tuple[SampleReading, ...], events: Events, weighed: WeighedEvents
) -> Cutflow:
    """Build the cutflow, which accounts for every entry of every file; a `TamisError` if its sums do not agree."""
    accounts = []
    for number, reading in enumerate(readings):
        dropped = weighed.dropped[events.sample_index[weighed.dropped] == number]
        account = SampleCutflow(
            sample=reading.plan.sample,
            class_name=config.class_names[reading.plan.class_index],
            files={schema.file_key: schema.entries for schema in reading.schemas},
            read=reading.read,
            unweighted=reading.unweighted,
            failed_selection=reading.failed_selection,
            dropped={"negative_weight": tally(events.weight[dropped])},
            splits={
                name: _tally(weighed.events, number, weighed.events.split == split)
                for split, name in enumerate(SPLITS)
            },
            folds=tuple(
                _tally(weighed.events, number, weighed.events.fold == fold)
                for fold in range(int(weighed.events.fold.max(initial=-1)) + 1)
            ),
            made_absolute=int(np.count_nonzero(weighed.events.sample_index[weighed.changed] == number)),
        )
        account.check()
        accounts.append(account)
    return Cutflow(tuple(accounts), *_count_duplicates(events))


def _tally(events: Events, sample: int, selected: Mask) -> Tally:
    return tally(events.weight[selected & (events.sample_index == sample)])


def _count_duplicates(events: Events) -> tuple[int, int]:
    """Count event IDs that occur again in the same sample, and those that occur in several samples."""
    of_samples = [events.event_id[events.sample_index == sample] for sample in range(len(events.samples))]
    different = np.concatenate([np.unique(ids) for ids in of_samples])
    within = sum(len(find_duplicates(ids)) for ids in of_samples)
    return within, len(np.unique(different[find_duplicates(different)]))


def describe_duplicates(config: Config, cutflow: Cutflow) -> tuple[str, ...]:
    """Describe the duplicate event IDs that the cutflow counted."""
    sentences = []
    named = "" if not config.split.event_id else f" ({', '.join(config.split.event_id)})"
    if cutflow.repeated:
        sentences.append(
            f"{cutflow.repeated:,} events have the same event ID{named} as another event of their sample: they may be "
            "in the input twice. They are in the same split, but count twice."
        )
    if cutflow.shared:
        sentences.append(
            f"{cutflow.shared:,} event IDs{named} occur in more than one sample. Simulated samples often number their "
            "events in the same way; if they are the same events, one of them is in the wrong class."
        )
    return tuple(sentences)
