"""Everything that can be known before a training, without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tamis.config import Config
from tamis.data.events import Events, SampleReading
from tamis.data.ledger import Ledger
from tamis.data.survey import survey_columns
from tamis.errors import Problem, ProblemsError
from tamis.pipeline import (
    Input,
    Watch,
    check_overlap,
    check_reference,
    close_ledger,
    describe_duplicates,
    find_input,
    read,
    weigh,
)

LARGE_WEIGHT = 0.01
"""A single event with more than this fraction of the weight of its class is worth a look."""


@dataclass(frozen=True)
class SampleRow:
    """What was found of one sample.

    Args:
        name: its name.
        class_name: its class.
        files: number of files.
        entries: number of entries in them.
        branches: what is read.
    """

    name: str
    class_name: str
    files: int
    entries: int
    branches: tuple[str, ...]


@dataclass(frozen=True)
class CheckResult:
    """What `tamis check` says.

    Args:
        class_names: names of the classes.
        samples: what was found of each sample.
        ledger: where every entry goes; None where the events cannot be used.
        problems: what would stop a training.
        notes: what a person should look at.
    """

    class_names: tuple[str, ...]
    samples: tuple[SampleRow, ...]
    ledger: Ledger | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def check_input(config: Config, watch: Watch | None = None) -> CheckResult:
    """Read all events and report what stands in the way and what looks suspicious.

    Args:
        config: from `load_config`.
        watch: what to tell the caller on the way.

    Raises:
        InputError: files are missing, damaged or do not hold what the expressions need.
    """
    watch = watch or Watch()
    watch.stage("reading")
    inputs = find_input(config)
    events, readings = read(config, inputs, watch)
    watch.stage("checks")
    problems = [problem for reading in readings for problem in reading.problems]
    ledger, refused = _weigh(config, events, readings)
    notes = [*_missing(readings), *_suspicions(config, events), *_weights(config, events)]
    if ledger is not None:
        notes += describe_duplicates(config, ledger)
    return CheckResult(
        config.class_names,
        tuple(_row(config, each) for each in inputs),
        ledger if not problems else None,
        (*problems, *refused),
        tuple(notes),
    )


def _weigh(
    config: Config, events: Events, readings: Sequence[SampleReading]
) -> tuple[Ledger | None, tuple[Problem, ...]]:
    problems: tuple[Problem, ...] = ()
    for check in (partial(check_reference, config), check_overlap):
        try:
            check(events)
        except ProblemsError as error:
            problems += error.problems
    if any(reading.problems for reading in readings):
        return None, problems  # events without a weight were left out, so sums say nothing
    try:
        weighed = weigh(config, events)
    except ProblemsError as error:
        return None, (*problems, *error.problems)
    return close_ledger(config, readings, events, weighed), problems


def _row(config: Config, each: Input) -> SampleRow:
    plan = each.plan
    return SampleRow(
        name=plan.sample,
        class_name=config.class_names[plan.class_index],
        files=len(each.schemas),
        entries=sum(schema.entries for schema in each.schemas),
        branches=tuple(sorted(plan.scalars | plan.indexed)),
    )


def _missing(readings: Sequence[SampleReading]) -> list[str]:
    return [
        f"feature {each.feature!r} is missing in {each.count:,} events of sample {each.sample}, as declared."
        for reading in readings
        for each in reading.missing
        if each.declared
    ]


def _suspicions(config: Config, events: Events) -> list[str]:
    if not len(events):
        return []
    columns = {feature.name: events.features[:, index] for index, feature in enumerate(config.features)}
    found = survey_columns(columns, events.class_index, config.class_names, names=False)
    remedies = {
        "sentinel": "if that means 'not there', declare it with `missing: {value:g}`",
        "class": "make sure that it is known in data as well",
        "constant": "it tells the network nothing",
        "empty": "it tells the network nothing",
    }
    return [
        f"feature {each.column!r} {each.reason}; {remedies.get(each.kind, '').format(value=each.value or 0)}."
        for each in found
    ]


def _weights(config: Config, events: Events) -> list[str]:
    notes = []
    for index, name in enumerate(config.class_names):
        weight = events.weight[events.class_index == index]
        total = abs(weight).sum()
        if (
            len(weight)
            and total > 0
            and abs(weight).max() > LARGE_WEIGHT * total
            and len(weight) > 1 / LARGE_WEIGHT
        ):
            share = 100 * abs(weight).max() / total
            notes.append(f"class {name}: one event carries {share:.1f}% of the absolute weight of its class.")
    return notes
