"""The files of a run: found, looked into and compared with what the expressions need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tamis.config import Config, LogDensity
from tamis.data.plan import Quantity, SamplePlan, plan_sample, quantity
from tamis.data.scanning import scan_usable_files
from tamis.data.schema import FileSchema, schema_problems
from tamis.data.sources import find_files
from tamis.errors import Problem
from tamis.expressions import parse
from tamis.files import sha256


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
class Found:
    """What a look into all files gave.

    Args:
        inputs: the samples that have files which can be used, sorted by name, with these files.
        problems: everything that is wrong with the files.
        unusable: how many files of a sample cannot be used, by its name; a pattern that matches none counts as one.
    """

    inputs: tuple[Input, ...]
    problems: tuple[Problem, ...]
    unusable: Mapping[str, int]


def look_into(config: Config) -> Found:
    """Look into every file, and tell what can be used from what is wrong."""
    plans = plan_samples(config)
    inputs: list[Input] = []
    problems: list[Problem] = []
    unusable: dict[str, int] = {}
    for sample, plan in zip(config.samples, plans, strict=True):
        sources, wrong = find_files(sample.name, sample.files, config.data or ".")
        schemas, broken = scan_usable_files(sources, sample.tree)
        unfit = schema_problems(schemas, plan.scalars, plan.indexed)
        bad = {problem.where for problem in unfit}
        usable = tuple(schema for schema in schemas if schema.where not in bad)
        problems += [*wrong, *broken, *unfit]
        whole = {schema.source.path for schema in schemas} - {
            schema.source.path for schema in schemas if schema.where in bad
        }
        unusable[sample.name] = len(wrong) + len(sources) - len(whole)
        inputs.append(Input(plan, usable))
    problems += copied_files([schema for each in inputs for schema in each.schemas])
    return Found(
        tuple(sorted(inputs, key=lambda each: each.plan.sample)), tuple(dict.fromkeys(problems)), unusable
    )


def plan_samples(config: Config) -> list[SamplePlan]:
    """Parse what is computed for the events of each sample, in their order."""
    features = [quantity(feature) for feature in config.features]
    spectators = [quantity(spectator) for spectator in config.spectators]
    reference = [Quantity(name, parse(text)) for name, text in reference_expressions(config).items()]
    return [
        plan_sample(
            sample,
            config.class_names,
            features=features,
            spectators=spectators,
            reference=reference,
            identity=config.split.by or (),
            fold=None if config.split.folds is None else config.split.folds.by,
        )
        for sample in config.samples
    ]


def copied_files(schemas: Sequence[FileSchema]) -> list[Problem]:
    """Find files of other names that hold the same bytes: their events would be in training and in test."""
    alike: dict[tuple[int, int], dict[str, FileSchema]] = {}
    for schema in schemas:
        if schema.entries and "://" not in schema.source.path:
            kind = (_size(schema.source.path), schema.entries)
            alike.setdefault(kind, {}).setdefault(schema.source.path, schema)
    problems, seen = [], dict[str, FileSchema]()
    for schema in (each for same in alike.values() if len(same) > 1 for each in same.values()):
        first = seen.setdefault(_content(schema.source.path), schema)
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
    except OSError:  # it was there a moment ago: reading it says what is wrong
        return -1


def _content(path: str) -> str:
    try:
        return sha256(Path(path))
    except OSError:
        return path


def reference_expressions(config: Config) -> Mapping[str, str]:
    """Give the expression of each class's known log-density or discriminant; empty where there are none."""
    match config.evaluation.reference:
        case None:
            return {}
        case LogDensity() as reference:
            return reference.log_density
        case reference:
            return reference.discriminant
