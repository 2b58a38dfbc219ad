"""How much memory and disk a training takes, told before the first event is read.

The numbers were measured on trainings of a thousand to some million events (`docs/check.md`); the peak of the resident
memory was within a factor `MARGIN` of the estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from tamis.config import Config
from tamis.data.chunks import rows_per_chunk
from tamis.errors import InputError, Problem
from tamis.machine import Room, cores, memory_rooms
from tamis.pipeline.inputs import Input
from tamis.places import disk_left
from tamis.training.devices import MOST_CORES
from tamis.wording import size

MARGIN = 1.5
"""Factor within which the estimate of the memory was right."""
_MIB = 2**20
_PROGRAM = 730 * _MIB  # JAX, one compiled program and the figures
_RESERVED = 2500 * _MIB  # what JAX reserves of the address space and never uses, on two cores
_RESAMPLING = 250 * _MIB  # the intervals and permutations of the evaluation take events in blocks
_RESAMPLED = 100_000
_HELD = 60  # bytes of an event beside its features: weights, identity, origin, part
_CARRIED = 30  # bytes of a spectator or a reference of an event, with what is computed of it
_EVALUATED, _TESTED = 200, 900  # bytes of an event, and of a test event, in the evaluation
_TRAINED = 14  # bytes of an input of an event: as it is read, scaled, and in two shuffled copies
_BLOCK = 8192
_PASSES = 4
# metrics.json, the figures and the report, measured on runs of 2 to 40 classes and 2 to 100 features
_RESULTS = 1_000_000
_RESULTS_OF_CLASS, _RESULTS_OF_PAIR = 400_000, 13_000  # each class has curves, each pair of classes cells
_RESULTS_OF_COLUMN, _RESULTS_OF_COLUMN_AND_CLASS = 40_000, 12_000
_CORRELATION = 120  # a coefficient of one class, with its error
_WITHOUT_FIGURES = 0.4


@dataclass(frozen=True)
class Needs:
    """What a training takes, and what there is.

    Args:
        events: number of events that it was computed for: all entries, or those that are selected once that is known.
        least: number of events that are certain; entries that a selection may leave out are not among them.
        memory: peak of the resident memory, in bytes, for `events`.
        least_memory: the same for `least`.
        address_space: peak of what is reserved, in bytes, for `least`.
        disk: size of the run directory with its checkpoints, in bytes, for `events`.
        least_disk: the same for `least`.
        rooms: what limits the memory.
        disk_free: free bytes of the disk of the run directory; None where nothing is written.
        folder: the run directory.
    """

    events: int
    least: int
    memory: int
    least_memory: int
    address_space: int
    disk: int
    least_disk: int
    rooms: tuple[Room, ...]
    disk_free: int | None = None
    folder: Path | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What clearly does not suffice: less than the estimate divided by its margin."""
        return (*self._memory_problems(), *self._disk_problems())

    def on_disk_of(self, folder: Path) -> Needs:
        """Give the same with the room on the disk of a run directory."""
        return replace(self, disk_free=disk_left(folder), folder=folder)

    def _memory_problems(self) -> list[Problem]:
        found = []
        for room in self.rooms:
            needed = self.address_space if room.address_space else self.least_memory
            if needed > MARGIN * room.size:
                kind = "address space" if room.address_space else "memory"
                message = (
                    f"the training of {self.least:,} events needs about {size(needed)} of {kind}, and {room.limit} "
                    f"allows {size(room.size)}; use fewer events (`selection`, fewer files) or columns, ask the batch "
                    "system for more, or take a machine with more"
                )
                found.append(Problem("memory", message))
        return found

    def _disk_problems(self) -> list[Problem]:
        if self.disk_free is None or self.least_disk <= MARGIN * self.disk_free:
            return []
        message = (
            f"the run directory {self.folder} needs about {size(self.least_disk)}, and its disk has "
            f"{size(self.disk_free)} left; make room, or choose another disk"
        )
        return [Problem("disk", message)]

    @property
    def sentence(self) -> str:
        """Say what is needed and what there is."""
        most = "at most " if self.least < self.events else ""
        there = min(
            (room for room in self.rooms if not room.address_space), key=lambda room: room.size, default=None
        )
        left = "" if there is None else f" ({size(there.size)} there: {there.limit})"
        disk = "" if self.disk_free is None else f" ({size(self.disk_free)} free)"
        return f"A training needs {most}about {size(self.memory)} of memory{left} and {size(self.disk)} of disk{disk}."

    def to_dict(self) -> dict[str, Any]:
        """Give the numbers as `tamis check --json` writes them."""
        return {
            "events": self.events,
            "certain_events": self.least,
            "memory_bytes": self.memory,
            "address_space_bytes": self.address_space,
            "margin": MARGIN,
            "disk_bytes": self.disk,
            "memory_limits": [vars(room) for room in self.rooms],
            "disk_free_bytes": self.disk_free,
        }


def estimate_needs(
    config: Config, inputs: Sequence[Input], folder: Path | None = None, *, events: int | None = None
) -> Needs:
    """Estimate what a training takes.

    Args:
        config: the configuration.
        inputs: samples and files.
        folder: the run directory; None where nothing is written.
        events: number of selected events, where it is known.
    """
    entries = [(sum(schema.entries for schema in each.schemas), each.plan.selection) for each in inputs]
    most = sum(number for number, _ in entries) if events is None else events
    least = sum(number for number, selection in entries if selection is None) if events is None else events
    branches = max((len(each.plan.scalars | each.plan.indexed) for each in inputs), default=0)
    needs = Needs(
        events=most,
        least=least,
        memory=memory_of(config, most, branches),
        least_memory=memory_of(config, least, branches),
        address_space=memory_of(config, least, branches) + _RESERVED,
        disk=disk_of(config, most),
        least_disk=disk_of(config, least),
        rooms=memory_rooms(),
    )
    return needs if folder is None else needs.on_disk_of(folder)


def check_needs(needs: Needs) -> None:
    """Refuse a training for which the machine or a limit clearly does not suffice.

    Raises:
        InputError: with what is needed and what there is.
    """
    if needs.problems:
        raise InputError("memory and disk", needs.problems)


def memory_of(config: Config, events: int, branches: int) -> int:
    """Estimate the peak of the resident memory of a training, in bytes.

    Args:
        config: the configuration.
        events: number of events.
        branches: number of branches that are read.
    """
    return (
        _PROGRAM + _reading(events, branches) + events * _bytes_of_event(config) + _networks(config, events)
    )


def _reading(events: int, branches: int) -> int:
    """Chunks that are read at the same time, with what the reader holds of them."""
    rows = min(rows_per_chunk(branches), events)
    return 3 * rows * max(branches, 1) * 8


def _bytes_of_event(config: Config) -> int:
    """What is held of an event all the time, and the larger of what training and evaluation add."""
    carried = len(config.spectators) + len(config.classes) * (config.evaluation.reference is not None)
    held = _HELD + 4 * len(config.features) + _CARRIED * carried + 4 * len(config.classes)
    tested = 1.0 if config.split.folds is not None else config.split.test
    in_training = _at_once(config) * (_TRAINED * _inputs(config) + 40)
    return int(held + max(in_training, _EVALUATED + _TESTED * tested))


def _at_once(config: Config) -> int:
    """How many networks are trained at the same time."""
    return min(_members(config), cores(), MOST_CORES)


def _members(config: Config) -> int:
    return config.training.seeds * (1 if config.split.folds is None else config.split.folds.number)


def _inputs(config: Config) -> int:
    """Numbers that the network gets of an event."""
    return len(config.features) + sum(feature.missing is not None for feature in config.features)


def _widths(config: Config) -> list[int]:
    each = {None: 1, "gains": 1}
    embedding = config.network.embedding
    kind = None if embedding is None else embedding.type
    first = _inputs(config) * each.get(kind, 16)
    return [first, *(layer.nodes for layer in config.network.layers), len(config.classes)]


def _networks(config: Config, events: int) -> int:
    """What a step of the training keeps of a batch, or the scoring of a block, in all networks at a time."""
    batch = config.training.batch_size
    rows = min(max(batch if isinstance(batch, int) else 0, _BLOCK), max(events, 1))
    values = rows * sum(_widths(config)) * config.network.members
    return 4 * _PASSES * values * _at_once(config)


def disk_of(config: Config, events: int) -> int:
    """Estimate the size of a run directory with its checkpoints, in bytes.

    Args:
        config: the configuration.
        events: number of events.
    """
    tested = events if config.split.folds is not None else events * config.split.test
    row = 24 + 4 * len(config.classes) + 8 * len(config.spectators) + 8 * len(config.evaluation.baselines)
    widths = _widths(config)
    parameters = sum((before + 1) * after for before, after in pairwise(widths)) * config.network.members
    # two checkpoints of parameters, two moments, average and the best ones; the classifier and its ONNX forms
    networks = 4 * parameters * _members(config) * (2 * 5 + 4)
    return int(_results(config) + tested * row + networks)


def _results(config: Config) -> float:
    """What the numbers, the figures and the report take, in bytes."""
    classes, columns = len(config.classes), len(config.features) + len(config.spectators)
    drawn = (
        _RESULTS
        + _RESULTS_OF_CLASS * classes
        + _RESULTS_OF_PAIR * classes**2
        + (_RESULTS_OF_COLUMN + _RESULTS_OF_COLUMN_AND_CLASS * classes) * columns
    )
    share = 1.0 if config.report.figures else _WITHOUT_FIGURES
    return share * drawn + _CORRELATION * classes * columns**2
