"""The input files of a run: they are found, inspected, and compared with the branches that the expressions need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tamis.config import Config, LogDensity
from tamis.data.ensemble import EnsemblePlan, build_plan
from tamis.data.plan import Quantity, SamplePlan, parse_quantity, plan_sample
from tamis.data.scanning import scan_usable_files
from tamis.data.schema import FileSchema, find_schema_problems
from tamis.data.sources import find_files
from tamis.errors import Problem
from tamis.expressions import parse
from tamis.files import sha256


@dataclass(frozen=True)
class Input:
    """The parsed expressions of a sample, and its files."""

    plan: SamplePlan
    schemas: tuple[FileSchema, ...]


@dataclass(frozen=True)
class InspectedFiles:
    """The result of the inspection of all files: samples with their usable files, sorted by name, and all problems.

    `unusable` is the number of files of each sample that cannot be used; a pattern without a file counts as one.
    """

    plan: EnsemblePlan
    inputs: tuple[Input, ...]
    problems: tuple[Problem, ...]
    unusable: Mapping[str, int]


def plan_ensemble(config: Config) -> EnsemblePlan:
    """Return which member learns from, is validated on and scores which events."""
    return build_plan(config.split, config.training.ensemble, config.seed)


def inspect_files(config: Config) -> InspectedFiles:
    """Inspect every file, and separate the usable ones from problems."""
    plan = plan_ensemble(config)
    inputs: list[Input] = []
    problems: list[Problem] = []
    unusable: dict[str, int] = {}
    for sample, sample_plan in zip(config.samples, _plan_samples(config, plan), strict=True):
        sources, missing = find_files(sample.name, sample.files, config.data or ".")
        schemas, unreadable = scan_usable_files(sources, sample.tree)
        unfit = find_schema_problems(schemas, sample_plan.expressions)
        unfit_files = {problem.where for problem in unfit}
        usable = tuple(schema for schema in schemas if schema.where not in unfit_files)
        problems += [*missing, *unreadable, *unfit]
        intact_paths = {schema.source.path for schema in schemas} - {
            schema.source.path for schema in schemas if schema.where in unfit_files
        }
        unusable[sample.name] = len(missing) + len(sources) - len(intact_paths)
        inputs.append(Input(sample_plan, usable))
    problems += _find_copies([schema for sample_input in inputs for schema in sample_input.schemas])
    return InspectedFiles(
        plan,
        tuple(sorted(inputs, key=lambda sample_input: sample_input.plan.sample)),
        tuple(dict.fromkeys(problems)),
        unusable,
    )


def _plan_samples(config: Config, plan: EnsemblePlan) -> list[SamplePlan]:
    """Parse the expressions of each sample, in the order of the configuration."""
    features = [parse_quantity(feature) for feature in config.features]
    spectators = [parse_quantity(spectator) for spectator in config.spectators]
    reference = [Quantity(name, parse(text)) for name, text in _reference_expressions(config).items()]
    return [
        plan_sample(
            sample,
            config.class_names,
            features=features,
            spectators=spectators,
            reference=reference,
            id_columns=config.split.event_id or (),
            fold=plan.fold_expression,
        )
        for sample in config.samples
    ]


def _find_copies(schemas: Sequence[FileSchema]) -> list[Problem]:
    """Find files of different names with the same content: their events would be in training and in test."""
    by_kind: dict[tuple[int, int], dict[str, FileSchema]] = {}
    for schema in schemas:
        if schema.entries and "://" not in schema.source.path:
            kind = (_size(schema.source.path), schema.entries)
            by_kind.setdefault(kind, {}).setdefault(schema.source.path, schema)
    problems, first_of_content = [], dict[str, FileSchema]()
    candidates = (by_path.values() for by_path in by_kind.values() if len(by_path) > 1)
    for schema in chain.from_iterable(candidates):
        first = first_of_content.setdefault(_content(schema.source.path), schema)
        if first is not schema:
            message = (
                f"has the same content as {first.source.path}; the same events would be in training and in test: "
                "leave one of them out"
            )
            problems.append(Problem(schema.source.path, message))
    return problems


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:  # the error is reported when the file is read
        return -1


def _content(path: str) -> str:
    try:
        return sha256(Path(path))
    except OSError:
        return path


def _reference_expressions(config: Config) -> Mapping[str, str]:
    """Return the expression of the known log-density or discriminant of each class; empty without a reference."""
    match config.evaluation.reference:
        case None:
            return {}
        case LogDensity() as reference:
            return reference.log_density
        case reference:
            return reference.discriminant
