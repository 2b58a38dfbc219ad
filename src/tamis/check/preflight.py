"""One complete report of files, events, weights and needs; what is broken does not hide the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from tamis.baselines.events import check_packages
from tamis.check.columns import equal_notes, feature_notes, feature_rows, find_equal
from tamis.check.result import CheckResult, Note, SampleRow
from tamis.check.weights import class_rows, weight_notes
from tamis.config import Config
from tamis.data.events import Events, SampleReading
from tamis.data.ledger import Ledger
from tamis.errors import Problem, ProblemsError, RequestError
from tamis.pipeline.inputs import Found, Input, look_into
from tamis.pipeline.needs import estimate_needs
from tamis.pipeline.preparation import (
    check_labels,
    check_overlap,
    check_reference,
    close_ledger,
    describe_duplicates,
    read,
    weigh,
)
from tamis.pipeline.watch import Watch
from tamis.run_reading import FINISHED
from tamis.training.devices import check_devices


@dataclass
class _Damage:
    """Collects the files that cannot be read to their end."""

    problems: list[Problem] = field(default_factory=list)
    samples: set[str] = field(default_factory=set)

    def __call__(self, sample: str, problems: Sequence[Problem]) -> None:
        self.problems += problems
        self.samples.add(sample)


def check_input(config: Config, watch: Watch | None = None, *, folder: Path | None = None) -> CheckResult:
    """Look at all files and events, and report what stands in the way and what looks suspicious.

    Files that cannot be used are reported, and everything else is said of the others.

    Args:
        config: from `load_config`.
        watch: what to tell the caller on the way.
        folder: the run directory of the training, whose disk is looked at.
    """
    watch = watch or Watch()
    watch.stage("files")
    problems = [*_refusals(partial(check_labels, config)), *_refusals(partial(_check_packages, config))]
    problems += _refusals(partial(check_devices, config.training.devices))
    if folder is not None:
        problems += _refusals(partial(_check_folder, folder))
    found = look_into(config)
    needs = estimate_needs(config, found.inputs, folder)
    report = CheckResult(
        name=config.name,
        class_names=config.class_names,
        samples=tuple(_row(config, each, found.unusable) for each in found.inputs),
        needs=needs,
        problems=(*problems, *found.problems, *needs.problems),
        notes=() if folder is None else tuple(_finished_run(folder)),
    )
    return report if needs.problems else _read(config, found, report, watch)


def _read(config: Config, found: Found, report: CheckResult, watch: Watch) -> CheckResult:
    """Add what the events themselves show."""
    watch.stage("reading")
    damage = _Damage()
    events, readings = read(config, found.inputs, watch, damage)
    watch.stage("checks")
    incomplete = _incomplete(config, found, readings, damage)
    ledger, refused = _weigh(config, events, readings, incomplete)
    of_readings = [problem for reading in readings for problem in reading.problems]
    problems = (*report.problems, *damage.problems, *of_readings, *refused)
    folds = 0 if config.split.folds is None else config.split.folds.number
    features = feature_rows(config, events, readings)
    classes = class_rows(events, config.class_names, folds)
    equal = find_equal(events)
    repeated = () if ledger is None else describe_duplicates(config, ledger)
    return replace(
        report,
        read=not any(found.unusable.values()) and not damage.samples,
        ledger=None if problems else ledger,
        classes=classes,
        features=features,
        equal=equal,
        problems=problems,
        notes=(
            *report.notes,
            *feature_notes(config, events, features),
            *weight_notes(events, classes),
            *equal_notes(events, equal),
            *(Note("identities", "", said) for said in repeated),
        ),
    )


def _check_folder(folder: Path) -> None:
    from tamis.run_folder import check_output

    check_output(folder, overwrite=True)


def _finished_run(folder: Path) -> Iterator[Note]:
    if (folder / FINISHED).is_file():
        yield Note(
            "output", "", f"{folder} holds a run already: train with --overwrite, or with another --output"
        )


def _refusals(check: Callable[[], None]) -> list[Problem]:
    """Give what a check refuses, instead of raising it."""
    try:
        check()
    except ProblemsError as error:
        return list(error.problems)
    except RequestError as error:
        return [Problem("", str(error))]
    return []


def _check_packages(config: Config) -> None:
    check_packages(config.evaluation.baselines)


def _incomplete(config: Config, found: Found, readings: Sequence[SampleReading], damage: _Damage) -> set[str]:
    """Name the classes whose events are not all there, so that their sums say nothing."""
    samples = {name for name, number in found.unusable.items() if number} | damage.samples
    samples |= {reading.plan.sample for reading in readings if reading.bad_weights}
    return {sample.class_name for sample in config.samples if sample.name in samples}


def _weigh(
    config: Config, events: Events, readings: Sequence[SampleReading], incomplete: Collection[str]
) -> tuple[Ledger | None, list[Problem]]:
    problems = [
        *_refusals(partial(check_reference, config, events)),
        *_refusals(partial(check_overlap, events)),
    ]
    try:
        weighed = weigh(config, events)
    except ProblemsError as error:
        unknown = {f"class {name}" for name in incomplete}
        told = [each for each in error.problems if each.where.partition(",")[0] not in unknown]
        return None, [*problems, *told]
    return (None if incomplete else close_ledger(config, readings, events, weighed)), problems


def _row(config: Config, each: Input, unusable: Mapping[str, int]) -> SampleRow:
    plan = each.plan
    entries: Counter[str] = Counter()  # by file, of all trees that are read of it
    for schema in each.schemas:
        entries[schema.source.path] += schema.entries
    return SampleRow(
        name=plan.sample,
        class_name=config.class_names[plan.class_index],
        files=len(entries),
        empty=sum(not number for number in entries.values()),
        unusable=unusable[plan.sample],
        entries=sum(entries.values()),
        branches=tuple(sorted(plan.scalars | plan.indexed)),
    )
