"""Checkpoints: the state of a training on disk."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tamis.errors import InputError, Problem
from tamis.files import hash_json, sha256, write_arrays, write_text
from tamis.training.history import Epoch, History
from tamis.wording import join_first

if TYPE_CHECKING:
    from tamis.training.state import TrainState

N_CHECKPOINTS = 2
"""Number of checkpoints of a network that are not removed: if the newest is damaged, the previous one is used."""
START_AGAIN = "start again (--overwrite; in Python overwrite=True)"
_VERSION: Literal[3] = 3
"""Version of the format: raise it with every change of a key, a type or a meaning, also in `training.json`."""
_LARGEST = 1 << 26
"""Maximum size of the document of a checkpoint in bytes."""
_NAME = re.compile(r"(epoch-\d{6}(?:-step-\d{9})?)\.(json|safetensors)")
_SUMS = ".current.sums"
_NUMBERS = ("planned_epochs", "batch", "seconds", "compile_seconds")


class SignedDocument(BaseModel):
    """A JSON document that holds the hash of its content, and has one valid text for each content."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    sha256: str = ""

    def text(self) -> str:
        """Return the one valid text."""
        content = self.model_dump(exclude={"sha256"})
        signed = {**content, "sha256": hash_json(content)}
        return json.dumps(signed, indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read a text.

        Raises:
            ValueError: any bit of it differs from the valid text of its content.
        """
        # from JSON, because the strict mode takes its lists and objects for tuples and dataclasses
        document = cls.model_validate_json(text)
        if text != document.text().encode():
            raise ValueError("its content does not match its hash")
        return document


class _Document(SignedDocument):
    """Everything in a state except its arrays, and the hash of the file of the arrays."""

    format: Literal["tamis checkpoint"] = "tamis checkpoint"
    version: Literal[3] = _VERSION
    epochs: tuple[Epoch, ...]
    best: int = Field(ge=0)
    reason: str
    planned_epochs: int = Field(ge=1)
    batch: int = Field(ge=0)
    seconds: float = Field(ge=0)
    compile_seconds: float = Field(ge=0)
    arrays_sha256: str
    training: str | None = None


def write_checkpoint(state: TrainState, folder: Path, training: str | None = None) -> Path:
    """Write a checkpoint of a network to the folder of its checkpoints, remove all but the newest two, return its path.

    The document refers to the training by its identifier. The arrays are written first, because the document makes them
    a checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    step = f"-step-{state.batch:09}" if state.batch else ""
    document = folder / f"epoch-{len(state.history.epochs):06}{step}.json"
    arrays = {name: np.asarray(array) for name, array in _named_arrays(state).items()}
    content = _Document(
        epochs=state.history.epochs,
        best=state.history.best,
        reason=state.history.reason,
        **{name: getattr(state, name) for name in _NUMBERS},
        arrays_sha256=write_arrays(document.with_suffix(".safetensors"), arrays),
        training=training,
    )
    write_text(document, content.text())
    for name in _names(folder)[N_CHECKPOINTS:]:
        # the document first: arrays alone are not a checkpoint
        for suffix in (".json", ".safetensors"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    return document


def read_checkpoint(folder: Path, like: TrainState) -> tuple[TrainState | None, tuple[str, ...]]:
    """Read the newest intact checkpoint of a network.

    Args:
        folder: folder of the checkpoints of this network.
        like: a state of the same network and optimizer, such as the initial one.

    Returns:
        The state, with NumPy arrays, or None without an intact checkpoint; and the problem of each newer checkpoint.

    Raises:
        InputError: the checkpoint belongs to another network or optimizer, or has another version of the format.
    """
    damaged: list[str] = []
    for name in _names(folder):
        document = folder / f"{name}.json"
        try:
            content = _read_document(document)
            arrays = _read_arrays(document.with_suffix(".safetensors"), content.arrays_sha256)
        except _DamagedError as error:
            damaged += [str(problem) for problem in error.problems]
        else:
            history = History(content.epochs, content.best, content.reason)
            numbers = {name: getattr(content, name) for name in _NUMBERS}
            state = replace(_with_arrays(like, arrays, document), history=history, **numbers)
            return state, tuple(damaged)
    return None, tuple(damaged)


def find_other_training(folder: Path, training: str) -> Path | None:
    """Return an intact checkpoint in a folder that belongs to another training than that of this identifier, or None.

    Raises:
        InputError: a checkpoint has another version of the format.
    """
    for name in _names(folder):
        document = folder / f"{name}.json"
        with suppress(_DamagedError):
            if _read_document(document).training not in (None, training):
                return document
    return None


def is_checkpoint_file(name: str) -> bool:
    """Return whether a file has the name of a checkpoint."""
    return _NAME.fullmatch(name) is not None


def _names(folder: Path) -> list[str]:
    """Return the names of the checkpoints without suffixes, newest first: alphabetical order is chronological."""
    matches = [_NAME.fullmatch(path.name) for path in (folder.iterdir() if folder.is_dir() else ())]
    return sorted({match.group(1) for match in matches if match and match.group(2) == "json"}, reverse=True)


def _read_document(document: Path) -> _Document:
    with document.open("rb") as file:
        text = file.read(_LARGEST + 1)
    _check_version(document, text)
    try:
        return _Document.parse(text)
    except ValueError as error:
        raise _DamagedError(document) from error


def _check_version(document: Path, text: bytes) -> None:
    """Check that an intact document has the current version."""
    with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):  # a damaged document
        content = json.loads(text.decode("utf-8"))
        signature, version = content.pop("sha256"), content["version"]
        if version != _VERSION and signature == hash_json(content):
            message = (
                f"has version {version} of the format, but this version of tamis reads version {_VERSION}; "
                f"{START_AGAIN}, or resume with the version of tamis that wrote it"
            )
            raise InputError("checkpoint", [Problem(str(document), message)])


def _read_arrays(path: Path, expected_sha256: str) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError, safe_open

    if not path.exists() or sha256(path) != expected_sha256:
        raise _DamagedError(path)
    try:
        with safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, AttributeError) as error:
        # the last two for types that NumPy does not support
        raise _DamagedError(path) from error
    # other packages may register more types with NumPy
    if any(array.dtype.kind not in "biufc" for array in arrays.values()):
        raise _DamagedError(path)
    return arrays


class _DamagedError(InputError):
    """A file of a checkpoint is damaged; an older checkpoint may be intact."""

    def __init__(self, path: Path) -> None:
        message = "is damaged, or was not written by tamis: its content does not match its hash"
        super().__init__("checkpoint", [Problem(str(path), message)])


def _named_arrays(state: TrainState) -> dict[str, Any]:
    """Return the arrays of a state by their path in it, such as `.current.parameters`."""
    from jax.tree_util import keystr, tree_leaves_with_path

    return {keystr(path): array for path, array in tree_leaves_with_path(state)}


def _with_arrays(like: TrainState, arrays: dict[str, NDArray[Any]], document: Path) -> TrainState:
    """Return a state with the arrays of a checkpoint, which must be of the same network and optimizer."""
    import jax

    expected = _named_arrays(like)
    if _SUMS in arrays:
        arrays = {**arrays, _SUMS: _redistribute(arrays[_SUMS], expected[_SUMS].shape)}
    shapes, expected_shapes = (
        {(name, array.shape, np.dtype(array.dtype)) for name, array in named_arrays.items()}
        for named_arrays in (arrays, expected)
    )
    differing = sorted({name for name, *_ in shapes ^ expected_shapes})
    if differing:
        names = f"{join_first(differing, 3)} {'differs' if len(differing) == 1 else 'differ'}"
        message = f"does not fit this network and its optimizer: {names}; {START_AGAIN}"
        raise InputError("checkpoint", [Problem(str(document), message)])
    state: TrainState = jax.tree.unflatten(jax.tree.structure(like), [arrays[name] for name in expected])
    return state


def _redistribute(sums: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Redistribute the sums of an epoch to the current number of devices: a job may resume with fewer cores."""
    if sums.ndim != 2 or sums.shape == shape or sums.shape[1:] != shape[1:]:
        return sums
    redistributed = np.zeros(shape, sums.dtype)
    redistributed[0] = sums.sum(axis=0)
    return redistributed
