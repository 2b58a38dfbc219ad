"""The complete report on files, events, weights and resources; a problem does not hide the following ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from tamis.arguments import check_kind
from tamis.baselines.events import check_packages
from tamis.check.columns import build_feature_rows, collect_duplicate_notes, collect_feature_notes
from tamis.check.result import CheckResult, Note, SampleRow
from tamis.check.weights import build_class_rows, collect_weight_notes
from tamis.config import Config
from tamis.data.cutflow import Cutflow
from tamis.data.duplicates import find_equal_events
from tamis.data.ensemble import EnsemblePlan
from tamis.data.events import Events, SampleReading
from tamis.data.weights import WeighedEvents
from tamis.errors import Problem, ProblemsError, RequestError
from tamis.pipeline.callbacks import Callbacks
from tamis.pipeline.inputs import Input, InspectedFiles, inspect_files
from tamis.pipeline.preparation import (
    build_cutflow,
    check_labels,
    check_overlap,
    check_reference,
    check_selected,
    describe_duplicates,
    read,
    weigh,
)
from tamis.pipeline.resources import estimate_resources
from tamis.pipeline.spectators import check_decorrelation
from tamis.runs.layout import PROVENANCE
from tamis.runs.output import check_output
from tamis.training.devices import check_devices


def check_input(
    config: Config, callbacks: Callbacks | None = None, *, folder: Path | None = None
) -> CheckResult:
    """Check all files and events, and the disk of the run directory, and report problems and suspicious findings.

    A file with a problem is not used.
    """
    check_kind(callbacks, Callbacks, "callbacks of check_input")
    callbacks = callbacks or Callbacks()
    callbacks.stage("opening files")
    problems = [
        *_refusals(check_labels, config),
        *_refusals(check_packages, config.evaluation.baselines),
        *_refusals(check_devices, config.training.devices),
    ]
    if folder is not None:
        problems += _refusals(partial(check_output, overwrite=True), folder)
    inputs = inspect_files(config)
    resources = estimate_resources(config, inputs)
    if folder is not None:
        resources = resources.on_disk_of(folder)
    report = CheckResult(
        name=config.name,
        class_names=config.class_names,
        samples=tuple(_row(config, inputs_of_sample, inputs.unusable) for inputs_of_sample in inputs.inputs),
        resources=resources,
        problems=(*problems, *inputs.problems, *resources.problems),
        notes=_finished_run(folder),
    )
    return report if resources.problems else _read(config, inputs, report, callbacks)


def _read(config: Config, inputs: InspectedFiles, report: CheckResult, callbacks: Callbacks) -> CheckResult:
    """Add the findings on events."""
    callbacks.stage("reading")
    # the samples with files that cannot be read to their end
    damaged: dict[str, list[Problem]] = {}
    events, readings = read(
        config,
        inputs,
        callbacks,
        lambda sample, problems: damaged.setdefault(sample, []).extend(problems),
    )
    callbacks.stage("checking events")
    incomplete = _incomplete_classes(config, inputs, readings, damaged)
    cutflow, refused = _weigh(config, inputs.plan, events, readings, incomplete)
    of_readings = [problem for reading in readings for problem in reading.problems]
    unread = (*report.problems, *chain.from_iterable(damaged.values()), *of_readings)
    problems = (*unread, *refused)
    features = build_feature_rows(config, events, readings)
    classes = build_class_rows(events, config.class_names, inputs.plan)
    columns = [*events.features.T, *events.spectators.values()]
    equal = find_equal_events(columns, events.class_index, events.file_index)
    repeated = () if cutflow is None else describe_duplicates(config, cutflow)
    return replace(
        report,
        read=not any(inputs.unusable.values()) and not damaged,
        cutflow=None if unread else cutflow,
        classes=classes,
        features=features,
        equal=equal,
        problems=problems,
        notes=(
            *report.notes,
            *collect_feature_notes(config, events, features),
            *collect_weight_notes(events, classes),
            *collect_duplicate_notes(events, equal),
            *(Note("event_ids", "", sentence) for sentence in repeated),
        ),
    )


def _finished_run(folder: Path | None) -> tuple[Note, ...]:
    if folder is None or not (folder / PROVENANCE).is_file():
        return ()
    message = f"{folder} contains a run already: train with --overwrite, or with another --output"
    return (Note("output", "", message),)


def _refusals(check: Callable[..., object], *arguments: object) -> list[Problem]:
    """Return the problems that a check raises."""
    try:
        check(*arguments)
    except ProblemsError as error:
        return list(error.problems)
    except RequestError as error:
        return [Problem("", str(error))]
    return []


def _incomplete_classes(
    config: Config, inputs: InspectedFiles, readings: Sequence[SampleReading], damaged: Iterable[str]
) -> set[str]:
    """Return the classes with incomplete events, whose sums are not meaningful."""
    samples = {*damaged, *(name for name, number in inputs.unusable.items() if number)}
    samples |= {reading.plan.sample for reading in readings if reading.bad_weights}
    return {sample.class_name for sample in config.samples if sample.name in samples}


def _weigh(
    config: Config,
    plan: EnsemblePlan,
    events: Events,
    readings: tuple[SampleReading, ...],
    incomplete: Collection[str],
) -> tuple[Cutflow | None, list[Problem]]:
    empty = _refusals(check_selected, config, readings)
    problems = [
        *empty,
        *_refusals(check_reference, config, events),
        *_refusals(check_overlap, events),
        *_refusals(check_decorrelation, config, events),
    ]
    try:
        weighed = weigh(config, events, plan)
    except ProblemsError as error:
        unknown = {*(f"class {name}" for name in incomplete), *(problem.where for problem in empty)}
        problems += [problem for problem in error.problems if problem.where.partition(",")[0] not in unknown]
        if not empty:
            return None, problems
        # the cutflow shows that the selection rejects all events of a class
        none = np.empty(0, np.int64)
        weighed = WeighedEvents(events, events.weight, np.ones(len(config.class_names)), none, none)
    return (None if incomplete else build_cutflow(config, readings, events, weighed)), problems


def _row(config: Config, inputs_of_sample: Input, unusable: Mapping[str, int]) -> SampleRow:
    plan = inputs_of_sample.plan
    entries: Counter[str] = Counter()  # by file, summed over its trees
    for schema in inputs_of_sample.schemas:
        entries[schema.source.path] += schema.entries
    return SampleRow(
        name=plan.sample,
        class_name=config.class_names[plan.class_index],
        files=len(entries),
        empty=sum(not number for number in entries.values()),
        unusable=unusable[plan.sample],
        entries=sum(entries.values()),
        branches=tuple(sorted(plan.branches)),
    )
