"""Checkpoints of a whole run: of which training they are, and those of each of its networks."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from tamis.config import Config, dump_config, load_config
from tamis.config.difference import configuration_differences
from tamis.errors import RequestError, StoppedError, TamisError, TrainingError
from tamis.files import remove_empty, write_text
from tamis.machine import cores
from tamis.pipeline.preparation import Prepared
from tamis.provenance import describe_machine
from tamis.training.checkpoint import is_checkpoint_file, load_progress, of_other_training, save_progress

if TYPE_CHECKING:
    from tamis.training.checkpoint import Keep, Progress

TRAINING_FILE = "training.json"
"""Name of the file that says of which training the checkpoints are."""
_CONFIG_FILE = "config.yaml"
_WITHOUT_EFFECT = ("evaluation.", "report.", "name", "data", "training.checkpoint_every")
"""Where configurations may differ: what is trained does not depend on it. Nor does it on the names of the files."""


class _Training(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    format: Literal["tamis training"] = "tamis training"
    version: Literal[1] = 1
    events: dict[str, str]
    files: dict[str, int]
    machine: dict[str, str]
    config_sha256: str
    sha256: str = ""

    def text(self) -> str:
        said = self.model_dump(exclude={"sha256"})
        own = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        return json.dumps({**said, "sha256": own}, indent=1, sort_keys=True) + "\n"


@dataclass(frozen=True)
class Checkpoints:
    """Where a training keeps its progress, when it does so, and who may ask it to stop.

    Args:
        folder: of the checkpoints, inside the run directory.
        every: seconds between two checkpoints of a network; the end of a step is waited for.
        anew: whether the progress of another training may be removed.
        stop: tells whether the training was asked to stop, and by what; an empty text goes on.
        note: hears what the user should know of.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Checkpoints(Path(folder)).of(0).begun is None
        True
    """

    folder: Path
    every: float = 60.0
    anew: bool = False
    stop: Callable[[], str] = lambda: ""
    note: Callable[[str], None] = lambda _: None
    _writing: Lock = field(default_factory=Lock, repr=False, compare=False)

    def open(self, config: Config, prepared: Prepared) -> None:
        """See whether the progress that is there is of this training; begin anew where there is none.

        Raises:
            RequestError: it is of another configuration, other events or another split; it says in what they differ.
        """
        wanted = _describe(config, prepared)
        if not (self.folder / TRAINING_FILE).exists() and not self._networks():
            self._begin(config, wanted)
            return
        problem = self._other_training(config, wanted)
        if problem and not self.anew:
            raise RequestError(
                f"{self.folder.parent} holds progress that this training cannot go on with: {problem}; go on with what "
                "it was begun with, choose another folder, or begin anew (--overwrite; in Python `anew=True`)"
            )
        if problem:
            remove_checkpoints(self.folder)
            self._begin(config, wanted)

    def of(self, member: int) -> MemberCheckpoints:
        """Give the checkpoints of one network, counted from 0."""
        return MemberCheckpoints(self, self.folder / f"network-{member + 1}")

    def training(self) -> str | None:
        """Give what names the training in its checkpoints: the hash of the file that describes it."""
        path = self.folder / TRAINING_FILE
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None

    def _networks(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("network-*") if path.is_dir() and any(path.iterdir()))

    def _begin(self, config: Config, wanted: _Training) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / _CONFIG_FILE, dump_config(config))
        write_text(self.folder / TRAINING_FILE, wanted.text())

    def _other_training(self, config: Config, wanted: _Training) -> str:
        """Say in what the training that is there differs; an empty text where it is the same."""
        path = self.folder / TRAINING_FILE
        if not path.exists():
            return f"{path} is missing, which says what {self._networks()[0].name} is of"
        try:
            content = path.read_bytes()
            there = _Training.model_validate(json.loads(content.decode("utf-8")))
        except (ValidationError, ValueError, RecursionError):
            return f"{path} is damaged"
        if content != there.text().encode():
            return f"{path} is damaged"
        for network in self._networks():
            other = of_other_training(network, hashlib.sha256(content).hexdigest())
            if other is not None:
                return f"{other} is of another one than {path}"
        different = self._different_configuration(config, there)
        if different:
            return different
        found = _different_events(there, wanted)
        if found:
            return found
        for name, version in there.machine.items():
            if wanted.machine.get(name) != version:
                self.note(
                    f"the training was begun with {name} {version}, and goes on with {wanted.machine.get(name)}: the "
                    "last bits of its weights may differ from those of one that was never stopped"
                )
        return ""

    def _different_configuration(self, config: Config, there: _Training) -> str:
        path = self.folder / _CONFIG_FILE
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != there.config_sha256:
            return f"{path} is missing or damaged"
        try:
            before = load_config(path)
        except TamisError as error:
            return f"{path} cannot be read: {error}"
        rows = [
            row
            for row in configuration_differences([before, config])
            if not row.path.startswith(_WITHOUT_EFFECT) and not row.path.endswith(".files")
        ]
        said = "; ".join(
            f"{row.path} was {row.values[0] or 'not there'} and is {row.values[1] or 'gone'}" for row in rows
        )
        if not said:
            said = "; ".join(_other_order(before, config))
        return f"the configuration has changed: {said}" if said else ""


@dataclass(frozen=True)
class MemberCheckpoints:
    """The checkpoints of one network.

    Args:
        run: those of all.
        folder: of this network.
    """

    run: Checkpoints
    folder: Path

    @property
    def begun(self) -> Progress | None:
        """The newest progress that is whole; None where there is none."""
        found = load_progress(self.folder, lambda said: self.run.note(f"passed over a checkpoint: {said}"))
        if found is not None and not found.reason:
            self.run.note(f"going on after {found.place} ({self.folder.name})")
        return found

    def keep(self) -> Keep:
        """Give what a training calls between two steps."""
        last, training = time.monotonic(), self.run.training()

        def keep(progress: Callable[[], Progress], ended: bool) -> None:
            nonlocal last
            stop = self.run.stop()
            if not (ended or stop or time.monotonic() - last >= self.run.every):
                return
            now = progress()
            save_progress(now, self.folder, training)
            last = time.monotonic()
            if stop and not ended:
                raise StoppedError(
                    f"stopped by {stop} after {now.place}; the same command goes on from there ({self.folder.parent})"
                )

        return keep


def foreign_files(folder: Path) -> list[str]:
    """Find what lies among checkpoints and was not written as one of them."""
    found = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        name = path.relative_to(folder)
        own = len(name.parts) == 1 and (path.name in (TRAINING_FILE, _CONFIG_FILE) or _of_network(path))
        own = own or (len(name.parts) == 2 and _of_network(path.parent) and is_checkpoint_file(path.name))
        if not own and not path.name.endswith((".part.json", ".part.safetensors", ".part.yaml")):
            found.append(str(name))
    return found


def _of_network(path: Path) -> bool:
    return path.name.removeprefix("network-").isdigit() and path.name.startswith("network-")


def remove_checkpoints(folder: Path) -> None:
    """Remove checkpoints, and nothing that was not written as one.

    Raises:
        RequestError: something else lies among them.
        OSError: a file cannot be removed.
    """
    foreign = foreign_files(folder)
    if foreign:
        raise RequestError(
            f"{folder} holds files that are no checkpoints ({', '.join(foreign[:5])}); move them"
        )
    # what says of which training they are goes last, so that no checkpoint is ever without it
    for network in sorted(folder.glob("network-*")):
        shutil.rmtree(network)
    if folder.is_dir():
        shutil.rmtree(folder)


@contextmanager
def useful_checkpoints(folder: Path) -> Iterator[None]:
    """Keep what a training that fails has left only where the same command could go on with it.

    A training whose loss is no number any more would come to the same end again, and one that failed before it kept
    anything has nothing to go on with.

    Args:
        folder: of the checkpoints, in the run directory; what was made of both goes where nothing stays in it.
    """
    was_there = folder.parent.exists()
    try:
        yield
    except TrainingError:
        with suppress(OSError):  # the same command would come to the same end from them
            remove_checkpoints(folder)
        raise
    finally:
        if folder.is_dir() and not any(path.is_dir() for path in folder.iterdir()):
            remove_checkpoints(folder)
        if not was_there:
            remove_empty(folder.parent)


def _describe(config: Config, prepared: Prepared) -> _Training:
    events = prepared.events
    arrays: Mapping[str, tuple[Any, ...]] = {
        "features": (events.features,),
        "classes": (events.class_index,),
        "weights": (events.weight, prepared.weighed.training_weight),
        "identities": (events.identity,),
        "split": (events.part, events.fold),
    }
    machine = describe_machine()
    packages = {
        name: machine["packages"][name] for name in ("tamis", "jax", "jaxlib", "optax", "equinox", "numpy")
    }
    return _Training(
        events={name: _hash(each) for name, each in arrays.items()},
        files={schema.identity: schema.entries for each in prepared.inputs for schema in each.schemas},
        machine={**packages, "processor": machine["processor"], "cores": str(cores())},
        config_sha256=hashlib.sha256(dump_config(config).encode()).hexdigest(),
    )


def _other_order(before: Config, now: Config) -> Iterator[str]:
    """Say of which lists the order has changed: that of features and classes is that of inputs and outputs."""
    for what, was, found in (
        ("features", [each.name for each in before.features], [each.name for each in now.features]),
        ("classes", list(before.class_names), list(now.class_names)),
    ):
        if was != found:
            yield f"the order of the {what} was {', '.join(was[:20])} and is {', '.join(found[:20])}"


def _hash(arrays: tuple[Any, ...]) -> str:
    found = hashlib.sha256()
    for each in arrays:
        found.update(np.ascontiguousarray(each).data)
    return found.hexdigest()


def _different_events(there: _Training, wanted: _Training) -> str:
    names = [name for name, value in there.events.items() if wanted.events.get(name) != value]
    if not names:
        return ""
    files = [
        f"{name} had {there.files.get(name, 0):,} entries and has {wanted.files.get(name, 0):,}"
        for name in sorted({*there.files, *wanted.files})
        if there.files.get(name) != wanted.files.get(name)
    ]
    where = f" ({'; '.join(files[:5])})" if files else " (the files have as many entries as before)"
    return f"the {' and the '.join(names)} of the events have changed{where}"
