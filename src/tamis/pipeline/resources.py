"""Estimate the memory and disk that a training needs, before the first event is read.

The constants were measured on trainings of a thousand to some million events (`docs/check.md`). The peak of the
resident memory was within a factor `MARGIN` of the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from tamis.config import Config, Periodic, PiecewiseLinear
from tamis.data.chunks import compute_rows_per_chunk
from tamis.data.ensemble import EnsemblePlan
from tamis.errors import InputError, Problem
from tamis.machine import MemoryLimit, cores, find_memory_limits
from tamis.paths import compute_free_space
from tamis.pipeline.inputs import InspectedFiles
from tamis.training.devices import MOST_CORES
from tamis.training.recipe import resolve_embedding
from tamis.wording import format_size

MARGIN = 1.5
"""Factor within which the estimate of the memory was right."""
_MIB = 2**20
_PROGRAM = 730 * _MIB  # JAX, one compiled program and the figures
_RESERVED = 2500 * _MIB  # address space that JAX reserves and never uses, on two cores
_HELD = 60  # bytes of an event beside its features: weights, event ID, origin, split
_CARRIED = 30  # bytes of a spectator or a reference of an event, with the numbers computed from it
_EVALUATED, _TESTED = 200, 900  # bytes of an event, and of a test event, in the evaluation
_TRAINED = 14  # bytes of an input of an event: as it is read, scaled, and in two shuffled copies
_BLOCK = 8192  # rows that are scored at once
_PASSES = 4  # arrays of all node values that a training step holds
# metrics.json, the figures and the report, measured on runs of 2 to 40 classes and 2 to 100 features
_RESULTS = 1_000_000
_RESULTS_OF_CLASS, _RESULTS_OF_PAIR = 400_000, 13_000  # each class has curves, each pair of classes cells
_RESULTS_OF_COLUMN, _RESULTS_OF_COLUMN_AND_CLASS = 40_000, 12_000
_CORRELATION = 120  # a coefficient of one class, with its error
_WITHOUT_FIGURES = 0.4


@dataclass(frozen=True)
class ResourceEstimate:
    """The memory and disk that a training needs, and how much of them is available.

    Args:
        events: number of events: all entries, or the selected ones once their number is known.
        certain_events: number of events without the entries that a selection may remove.
        memory: peak of the resident memory, in bytes, for `events`.
        certain_memory: the same for `certain_events`.
        address_space: peak of the reserved memory, in bytes, for `certain_events`.
        disk: size of the run directory with its checkpoints, in bytes, for `events`.
        certain_disk: the same for `certain_events`.
        disk_free: free bytes of the disk of the run directory; None if nothing is written.
        folder: the run directory; None if nothing is written.
    """

    events: int
    certain_events: int
    memory: int
    certain_memory: int
    address_space: int
    disk: int
    certain_disk: int
    memory_limits: tuple[MemoryLimit, ...]
    disk_free: int | None = None
    folder: Path | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The resources that are clearly insufficient: less than the estimate divided by its margin."""
        problems = []
        for limit in self.memory_limits:
            needed = self.address_space if limit.address_space else self.certain_memory
            if needed > MARGIN * limit.size:
                kind = "address space" if limit.address_space else "memory"
                message = (
                    f"the training of {self.certain_events:,} events needs about {format_size(needed)} of {kind}, and "
                    f"{limit.limit} allows {format_size(limit.size)}; use fewer events (`selection`, fewer files) or "
                    "columns, request more from the batch system, or use a machine with more"
                )
                problems.append(Problem("memory", message))
        if self.disk_free is not None and self.certain_disk > MARGIN * self.disk_free:
            message = (
                f"the run directory {self.folder} needs about {format_size(self.certain_disk)}, and its disk has "
                f"{format_size(self.disk_free)} left; delete files, or choose another disk"
            )
            problems.append(Problem("disk", message))
        return tuple(problems)

    def on_disk_of(self, folder: Path) -> ResourceEstimate:
        """Return the estimate with the free space on the disk of a run directory."""
        return replace(self, disk_free=compute_free_space(folder), folder=folder)

    @property
    def sentence(self) -> str:
        """The estimate and the available resources, as a sentence."""
        most = "at most " if self.certain_events < self.events else ""
        limits = [limit for limit in self.memory_limits if not limit.address_space]
        tightest = min(limits, key=lambda limit: limit.size, default=None)
        memory = "" if tightest is None else f" ({format_size(tightest.size)} available: {tightest.limit})"
        disk = "" if self.disk_free is None else f" ({format_size(self.disk_free)} free)"
        needed = f"{format_size(self.memory)} of memory{memory} and {format_size(self.disk)} of disk{disk}"
        return f"A training needs {most}about {needed}."

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as `tamis check --json` writes them."""
        return {
            "events": self.events,
            "certain_events": self.certain_events,
            "memory_bytes": self.memory,
            "address_space_bytes": self.address_space,
            "margin": MARGIN,
            "disk_bytes": self.disk,
            "memory_limits": [vars(limit) for limit in self.memory_limits],
            "disk_free_bytes": self.disk_free,
        }


def estimate_resources(
    config: Config, inspected: InspectedFiles, *, events: int | None = None
) -> ResourceEstimate:
    """Estimate the memory and disk that a training needs; `events` is None before they are read."""
    plan = inspected.plan
    entries = [
        (sum(schema.entries for schema in sample.schemas), sample.plan.selection)
        for sample in inspected.inputs
    ]
    most = sum(number for number, _ in entries) if events is None else events
    certain = sum(number for number, selection in entries if selection is None) if events is None else events
    branches = max((len(sample.plan.branches) for sample in inspected.inputs), default=0)
    certain_memory = estimate_memory(config, plan, certain, branches)
    return ResourceEstimate(
        events=most,
        certain_events=certain,
        memory=estimate_memory(config, plan, most, branches),
        certain_memory=certain_memory,
        address_space=certain_memory + _RESERVED,
        disk=estimate_disk(config, plan, most),
        certain_disk=estimate_disk(config, plan, certain),
        memory_limits=find_memory_limits(),
    )


def check_resources(estimate: ResourceEstimate) -> None:
    """Refuse a training for which the available memory or disk is clearly insufficient, with an `InputError`."""
    if estimate.problems:
        raise InputError("memory and disk", estimate.problems)


def estimate_memory(config: Config, plan: EnsemblePlan, events: int, branches: int) -> int:
    """Estimate the peak of the resident memory of a training, in bytes, from the numbers of events and branches."""
    rows = min(compute_rows_per_chunk(branches), events)
    reading = 3 * rows * max(branches, 1) * 8  # chunks that are read at the same time
    at_once = min(len(plan.members), cores(), MOST_CORES)  # networks that are trained at the same time
    # of an event: the bytes held all the time, and the larger number of training and evaluation
    carried = len(config.spectators) + len(config.classes) * (config.evaluation.reference is not None)
    held = _HELD + 4 * len(config.features) + _CARRIED * carried + 4 * len(config.classes)
    in_training = at_once * (_TRAINED * _count_inputs(config) + 40)
    event = int(held + max(in_training, _EVALUATED + _TESTED * _tested_fraction(config, plan)))
    # the values of all nodes, for a batch in a training step or a block of events that are scored
    batch = config.training.batch_size
    rows = min(max(batch if isinstance(batch, int) else 0, _BLOCK), max(events, 1))
    values = rows * sum(_widths(config)) * config.network.shared_members
    return _PROGRAM + reading + events * event + 4 * _PASSES * values * at_once


def _tested_fraction(config: Config, plan: EnsemblePlan) -> float:
    """Return the fraction of the events that are test events of a member."""
    return 1.0 if plan.is_cross_training else config.split.test


def _count_inputs(config: Config) -> int:
    """Return the number of inputs of the network: the features, and an indicator for each that may be missing."""
    return len(config.features) + sum(feature.missing is not None for feature in config.features)


def _widths(config: Config) -> list[int]:
    match resolve_embedding(config.network, config.preprocessing.scaling):
        case None:
            widening = 1
        case Periodic() as periodic:
            widening = 1 + periodic.nodes
        case PiecewiseLinear() as binned:
            widening = binned.bins
    nodes = [layer.nodes for layer in config.network.layers]
    return [_count_inputs(config) * widening, *nodes, len(config.classes)]


def estimate_disk(config: Config, plan: EnsemblePlan, events: int) -> int:
    """Estimate the size of a run directory with its checkpoints, in bytes, from the number of events."""
    row = 24 + 4 * len(config.classes) + 8 * len(config.spectators) + 8 * len(config.evaluation.baselines)
    widths = _widths(config)
    parameters = (
        sum((before + 1) * after for before, after in pairwise(widths)) * config.network.shared_members
    )
    # two checkpoints of parameters, two moments, average and the best ones; the classifier and its ONNX forms
    networks = 4 * parameters * len(plan.members) * (2 * 5 + 4)
    # the numbers, the figures and the report
    classes, columns = len(config.classes), len(config.features) + len(config.spectators)
    drawn = (
        _RESULTS
        + _RESULTS_OF_CLASS * classes
        + _RESULTS_OF_PAIR * classes**2
        + (_RESULTS_OF_COLUMN + _RESULTS_OF_COLUMN_AND_CLASS * classes) * columns
    )
    share = 1.0 if config.report.figures else _WITHOUT_FIGURES
    results = share * drawn + _CORRELATION * classes * columns**2
    return int(results + events * _tested_fraction(config, plan) * row + networks)
