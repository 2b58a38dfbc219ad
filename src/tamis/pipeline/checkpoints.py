"""Checkpoints of a run: the training that they belong to, and when each of its networks writes one."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_never

import numpy as np

from tamis.config import Config, dump_config, load_config
from tamis.config.difference import configuration_differences
from tamis.errors import InputError, RequestError, StoppedError, TamisError
from tamis.files import sha256, write_text
from tamis.machine import cores, describe_machine
from tamis.pipeline.preparation import Prepared
from tamis.runs.layout import CONFIG
from tamis.training.checkpoint import (
    START_AGAIN,
    SignedDocument,
    find_other_training,
    is_checkpoint_file,
    write_checkpoint,
)
from tamis.training.events import ChunkFinished, EpochFinished, Event, TrainingFinished, TrainingStarted
from tamis.wording import join_first

if TYPE_CHECKING:
    from tamis.training.state import TrainState

LONGEST_CHUNK = 0.5
"""Seconds between two checks of the clock and of signals in a training."""
TRAINING_FILE = "training.json"
"""Name of the file that describes the training that the checkpoints belong to."""
_WITHOUT_EFFECT = ("evaluation.", "report.", "name", "data", "training.checkpoint_every")
"""Keys of the configuration that a training does not depend on: their values may differ when it is resumed."""


_NETWORK = re.compile(r"network-\d+")


class _Training(SignedDocument):
    """The training that checkpoints belong to."""

    format: Literal["tamis training"] = "tamis training"
    version: Literal[1] = 1
    events: dict[str, str]
    files: dict[str, int]
    machine: dict[str, str]
    config_sha256: str


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run: where and how often they are written, and whether the training should stop.

    Args:
        folder: of the checkpoints, inside the run directory.
        every: least seconds between two checkpoints of a network.
        overwrite: whether checkpoints of another training may be removed.
        stop: returns the name of the signal that asks the training to stop, or an empty text.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Checkpoints(Path(folder)).writer(0).folder.name
        'network-1'
    """

    folder: Path
    every: float = 60.0
    overwrite: bool = False
    stop: Callable[[], str] = lambda: ""
    notify: Callable[[str], None] = lambda _: None

    def check_configuration(self, config: Config) -> None:
        """Refuse checkpoints of another configuration, before input is read; a `RequestError` has the difference."""
        if self._read_description() is not None and not self.overwrite:
            self._refuse(self._different_configuration(config))

    def open(self, config: Config, prepared: Prepared) -> None:
        """Check that the checkpoints in the folder belong to this training, or start a new set.

        Raises:
            RequestError: they belong to another configuration or other events; the message has the difference.
            InputError: they have another version of the format.
        """
        training = _describe(config, prepared)
        if self._read_description() is None and not self._networks():
            self._write_description(config, training)
            return
        try:
            difference = self._find_difference(config, training)
        except InputError as error:  # checkpoints of another version of the format
            if not self.overwrite:
                raise
            difference = str(error)
        if not self.overwrite:
            self._refuse(difference)
        if difference:
            remove_checkpoints(self.folder)
            self._write_description(config, training)

    def writer(self, member: int) -> CheckpointWriter:
        """Return the observer that writes the checkpoints of one network, counted from 0."""
        return CheckpointWriter(self, self.folder / f"network-{member + 1}")

    def _refuse(self, difference: str) -> None:
        if difference:
            raise RequestError(
                f"{self.folder.parent} holds checkpoints that this training cannot resume from: {difference}; use the "
                f"configuration and the events of these checkpoints, choose another folder, or {START_AGAIN}"
            )

    def _networks(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("network-*") if path.is_dir() and any(path.iterdir()))

    def _write_description(self, config: Config, training: _Training) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / CONFIG, dump_config(config))
        write_text(self.folder / TRAINING_FILE, training.text())

    def _read_description(self) -> _Training | None:
        """Read the description of the training; None if it or its configuration is missing or damaged."""
        path, config = self.folder / TRAINING_FILE, self.folder / CONFIG
        if not (path.exists() and config.exists()):
            return None
        try:
            training = _Training.parse(path.read_bytes())
        except ValueError:
            return None
        return training if sha256(config) == training.config_sha256 else None

    def _find_difference(self, config: Config, training: _Training) -> str:
        """Return how the training of the checkpoints differs from this one; empty if it is the same."""
        path, before = self.folder / TRAINING_FILE, self._read_description()
        # each checkpoint has the hash of the description of its training
        digest = hashlib.sha256(training.text().encode()).hexdigest() if before is None else sha256(path)
        documents = (find_other_training(network, digest) for network in self._networks())
        other_document = next((document for document in documents if document is not None), None)
        if before is None:
            files = f"{path} or {CONFIG} beside it is missing or damaged"
            if other_document is not None:
                return (
                    f"{files}, and configuration, events, machine and versions are not exactly those of "
                    f"{other_document}"
                )
            self.notify(f"{files}, and was written again: this is the training of the checkpoints")
            self._write_description(config, training)
            return ""
        if other_document is not None:
            return f"{other_document} belongs to another training than {path}"
        difference = self._different_configuration(config) or _different_events(before, training)
        for name, version in before.machine.items():
            if not difference and training.machine.get(name) != version:
                self.notify(
                    f"the training was started with {name} {version}, and resumes with {training.machine.get(name)}: "
                    "the last bits of its weights may differ from those of an uninterrupted training"
                )
        return difference

    def _different_configuration(self, config: Config) -> str:
        path = self.folder / CONFIG
        try:
            before = load_config(path)
        except TamisError as error:
            return f"{path} cannot be read: {error}"
        changes = [
            f"{row.path} was {row.values[0] or 'not there'} and is {row.values[1] or 'gone'}"
            for row in configuration_differences([before, config])
            if not row.path.startswith(_WITHOUT_EFFECT) and not row.path.endswith(".files")
        ]
        text = "; ".join(changes or _other_order(before, config))
        return f"the configuration has changed: {text}" if text else ""


class CheckpointWriter:
    """The observer of the training of one network that writes its checkpoints and stops it on request."""

    def __init__(self, checkpoints: Checkpoints, folder: Path) -> None:
        """Write nothing yet; `folder` is for the checkpoints of this network."""
        self.folder = folder
        self._checkpoints = checkpoints
        self._training_id: str | None = None  # known when the training starts
        self._last_time = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Handle an event of the training; if it should stop, write its checkpoint and raise a `StoppedError`."""
        match event:
            case TrainingStarted():
                self._start(event)
            case ChunkFinished(state) | EpochFinished(state):
                self._write_if_due(state)
            case TrainingFinished():
                pass
            case _:
                assert_never(event)

    def _start(self, event: TrainingStarted) -> None:
        for problem in event.damaged:
            self._checkpoints.notify(f"skipped a checkpoint: {problem}")
        if event.resumed and not event.state.ended:
            # a batch system repeats a command with --overwrite too, which must go on from its checkpoints
            advice = f"; to start again, remove {self.folder.parent}" if self._checkpoints.overwrite else ""
            self._checkpoints.notify(f"resuming after {event.state.position} ({self.folder.name}){advice}")
        description = self._checkpoints.folder / TRAINING_FILE
        self._training_id = sha256(description) if description.exists() else None
        self._last_time = time.monotonic()

    def _write_if_due(self, state: TrainState) -> None:
        stop = self._checkpoints.stop()
        due = time.monotonic() - self._last_time >= self._checkpoints.every
        if not (state.ended or stop or due):
            return
        write_checkpoint(state, self.folder, self._training_id)
        self._last_time = time.monotonic()
        if stop and not state.ended:
            raise StoppedError(
                f"stopped by {stop} after {state.position}; run the same command again to resume from there "
                f"({self.folder.parent})"
            )


def check_checkpoints(folder: Path) -> None:
    """Refuse a folder of checkpoints with other files, whose names are in the `RequestError`."""
    foreign = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        name = path.relative_to(folder)
        of_network = len(name.parts) <= 2 and _NETWORK.fullmatch(name.parts[0]) is not None
        if len(name.parts) == 1:
            expected = of_network or path.name in (TRAINING_FILE, CONFIG)
        else:
            expected = of_network and is_checkpoint_file(path.name)
        if not expected and not path.name.endswith((".part.json", ".part.safetensors", ".part.yaml")):
            foreign.append(str(name))
    if foreign:
        raise RequestError(
            f"{folder} holds files that are not checkpoints ({join_first(foreign, 5)}); move them, or choose another "
            "folder"
        )


def remove_checkpoints(folder: Path) -> None:
    """Remove checkpoints, and nothing else.

    Raises:
        RequestError: there are other files among them.
        OSError: a file cannot be removed.
    """
    check_checkpoints(folder)
    # the description of the training is removed last, so that no checkpoint is ever without it
    for network in sorted(folder.glob("network-*")):
        shutil.rmtree(network)
    if folder.is_dir():
        shutil.rmtree(folder)


def _describe(config: Config, prepared: Prepared) -> _Training:
    events = prepared.events
    arrays: Mapping[str, tuple[Any, ...]] = {
        "features": (events.features,),
        "classes": (events.class_index,),
        "weights": (events.weight, prepared.weighed.training_weight),
        "event IDs": (events.event_id,),
        "split": (events.split, events.fold),
    }
    machine = describe_machine()
    packages = {
        name: machine["packages"][name] for name in ("tamis", "jax", "jaxlib", "optax", "equinox", "numpy")
    }
    return _Training(
        events={name: _hash(array) for name, array in arrays.items()},
        files={schema.file_key: schema.entries for inputs in prepared.inputs for schema in inputs.schemas},
        machine={**packages, "processor": machine["processor"], "cores": str(cores())},
        config_sha256=hashlib.sha256(dump_config(config).encode()).hexdigest(),
    )


def _other_order(before: Config, now: Config) -> Iterator[str]:
    """Yield a sentence for features and for classes, if their order, that of inputs and outputs, has changed."""
    orders = [
        {"features": [feature.name for feature in config.features], "classes": list(config.class_names)}
        for config in (before, now)
    ]
    for kind, old in orders[0].items():
        new = orders[1][kind]
        if old != new:
            yield f"the order of the {kind} was {join_first(old, 20)} and is {join_first(new, 20)}"


def _hash(arrays: tuple[Any, ...]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _different_events(before: _Training, now: _Training) -> str:
    names = [name for name, value in before.events.items() if now.events.get(name) != value]
    if not names:
        return ""
    files = [
        f"{name} had {before.files.get(name, 0):,} entries and has {now.files.get(name, 0):,}"
        for name in sorted({*before.files, *now.files})
        if before.files.get(name) != now.files.get(name)
    ]
    where = (
        f" ({join_first(files, 5, separator='; ')})"
        if files
        else " (the files have as many entries as before)"
    )
    return f"the {' and the '.join(names)} of the events have changed{where}"
