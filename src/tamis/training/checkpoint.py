"""Where a training stands between two steps, and how that is kept on disk."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tamis.errors import InputError, Problem
from tamis.files import sha256, write_arrays, write_text
from tamis.training.history import Epoch

KEPT = 2
"""Good checkpoints of a network that stay: if the newest is damaged, there is the one before."""
_LARGEST = 1 << 26
"""Bytes that the document of a checkpoint has at most."""
_NAME = re.compile(r"(epoch-\d{6}(?:-step-\d{9})?)\.(json|safetensors)")


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a training stands between two steps: with it, it goes on as if it had never stopped.

    The order of the events and all random numbers follow from the seed and the number of the epoch.

    Args:
        arrays: weights, state of the optimizer, sums of the epoch, buffers and moving average, and the weights and
            buffers that are kept; in the order in which JAX flattens them.
        epochs: that are finished.
        best: number of the best epoch.
        planned: epochs of the whole training, as far as is known.
        compiling: seconds that the compilation took.
        reason: why the training ended; an empty text where it goes on.
        step: batches of the next epoch that were learned from already.
        seconds: that they took.
    """

    arrays: tuple[NDArray[Any], ...]
    epochs: tuple[Epoch, ...]
    best: int
    planned: int
    compiling: float
    reason: str = ""
    step: int = 0
    seconds: float = 0.0

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        after = f"epoch {len(self.epochs)} of {self.planned}"
        return f"step {self.step} of epoch {len(self.epochs) + 1} of {self.planned}" if self.step else after


Keep = Callable[[Callable[[], Progress], bool], None]
"""Called between two steps with what gives the progress, and whether the training has ended."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    format: Literal["tamis checkpoint"] = "tamis checkpoint"
    version: Literal[1] = 1
    epochs: list[dict[str, float | int | None]]
    best: int = Field(ge=0)
    planned: int = Field(ge=1)
    compiling: float = Field(ge=0)
    reason: str
    step: int = Field(ge=0)
    seconds: float = Field(ge=0)
    arrays_sha256: str
    training: str | None = None
    sha256: str = ""

    def text(self) -> str:
        """Give the one text that this content is written as; its last key is the hash of the others."""
        said = self.model_dump(exclude={"sha256"})
        if self.training is None:
            del said["training"]  # older versions wrote none
        own = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        return json.dumps({**said, "sha256": own}, indent=1, sort_keys=True, allow_nan=False) + "\n"


def save_progress(progress: Progress, folder: Path, training: str | None = None) -> Path:
    """Write a checkpoint, and remove those that are older than the newest two.

    The arrays are written first, then the document that makes them a checkpoint; each under another name, synced and
    renamed.

    Args:
        progress: of one network.
        folder: for the checkpoints of this network alone.
        training: names the training that it is of.

    Returns:
        The document.
    """
    folder.mkdir(parents=True, exist_ok=True)
    step = f"-step-{progress.step:09}" if progress.step else ""
    document = folder / f"epoch-{len(progress.epochs):06}{step}.json"
    arrays = document.with_suffix(".safetensors")
    hashed = write_arrays(arrays, {f"{number:04}": each for number, each in enumerate(progress.arrays)})
    said = _Document(
        epochs=[asdict(epoch) for epoch in progress.epochs],
        best=progress.best,
        planned=progress.planned,
        compiling=progress.compiling,
        reason=progress.reason,
        step=progress.step,
        seconds=progress.seconds,
        arrays_sha256=hashed,
        training=training,
    )
    write_text(document, said.text())
    for name in _names(folder)[KEPT:]:
        # the document first: arrays alone are no checkpoint
        for suffix in (".json", ".safetensors"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    return document


def load_progress(folder: Path, damaged: Callable[[str], None] = lambda _: None) -> Progress | None:
    """Read the newest good checkpoint of a network.

    Args:
        folder: of its checkpoints.
        damaged: called with what is wrong with each one that is passed over.

    Returns:
        None where there is no good one.
    """
    for name in _names(folder):
        try:
            return _read(folder / f"{name}.json")
        except InputError as error:
            damaged("; ".join(str(problem) for problem in error.problems))
    return None


def of_other_training(folder: Path, training: str) -> Path | None:
    """Find a good checkpoint that says that it is of another training."""
    for name in _names(folder):
        document = folder / f"{name}.json"
        with suppress(InputError):
            if _read_document(document)[0].training not in (None, training):
                return document
    return None


def is_checkpoint_file(name: str) -> bool:
    """Say whether a file name is one that checkpoints have."""
    return _NAME.fullmatch(name) is not None


def _names(folder: Path) -> list[str]:
    """Give the names of the checkpoints without their endings, the newest first; the alphabet has their order."""
    found = [_NAME.fullmatch(path.name) for path in (folder.iterdir() if folder.is_dir() else ())]
    return sorted({match.group(1) for match in found if match and match.group(2) == "json"}, reverse=True)


def _read_document(document: Path) -> tuple[_Document, tuple[Epoch, ...]]:
    with document.open("rb") as file:
        content = file.read(_LARGEST + 1)
    try:
        said = _Document.model_validate(json.loads(content.decode("utf-8")))
        epochs = tuple(Epoch(**each) for each in said.epochs)  # type: ignore[arg-type]
        text = said.text().encode()
    except (ValidationError, ValueError, TypeError, RecursionError) as error:
        raise _damaged(document) from error
    # one text alone: no bit of it may differ
    if content != text:
        raise _damaged(document)
    return said, epochs


def _read(document: Path) -> Progress:
    said, epochs = _read_document(document)
    arrays = document.with_suffix(".safetensors")
    if not arrays.exists() or sha256(arrays) != said.arrays_sha256:
        raise _damaged(arrays)
    return Progress(
        _load_arrays(arrays),
        epochs,
        said.best,
        said.planned,
        said.compiling,
        said.reason,
        said.step,
        said.seconds,
    )


def _load_arrays(path: Path) -> tuple[NDArray[Any], ...]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            arrays = tuple(file.get_tensor(name) for name in sorted(file.keys()))
    except (
        SafetensorError,
        TypeError,
        AttributeError,
    ) as error:  # the last two for types that NumPy does not have
        raise _damaged(path) from error
    if any(each.dtype.kind not in "biufc" for each in arrays):  # where another package has added them
        raise _damaged(path)
    return arrays


def _damaged(path: Path) -> InputError:
    message = "is damaged or incomplete: its content does not have the hash that was written with it"
    return InputError("checkpoint", [Problem(str(path), message)])


def check_arrays(progress: Progress, wanted: Sequence[Any]) -> None:
    """Refuse a checkpoint whose arrays are not those of this network and this optimizer.

    Args:
        progress: from a checkpoint.
        wanted: arrays of the shapes and types that are needed, in their order.

    Raises:
        InputError: they differ.
    """
    found = [(each.shape, each.dtype) for each in progress.arrays]
    needed = [(each.shape, np.dtype(each.dtype)) for each in wanted]
    if found != needed:
        message = (
            f"holds {len(found)} arrays that do not fit this network and its optimizer, which have {len(needed)}; "
            "begin anew (--overwrite; in Python `anew=True`)"
        )
        raise InputError("checkpoint", [Problem(f"epoch {len(progress.epochs)}", message)])
