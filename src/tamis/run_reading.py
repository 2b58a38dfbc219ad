"""Read a finished run back: the files of its folder, checked against the hashes that were written with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamis.config import Config, parse_config
from tamis.errors import InputError, Problem, RequestError
from tamis.evaluation.same_events import ScoredRun
from tamis.evaluation.scored import ScoredEvents
from tamis.files import sha256
from tamis.notebook import run_summary
from tamis.provenance import OWN_HASH, with_own_hash

if TYPE_CHECKING:
    from tamis.classifier import Classifier

CHECKPOINTS = "checkpoints"
"""The folder of the progress of a training that is not finished."""
FINISHED = "provenance.json"
"""The file that is written last: a directory that holds it is a finished run."""

_SCORES = "scores.parquet"
_OTHERS = ("config.yaml", "events.json", "history.json", "metrics.json")
_MODEL, _DOCUMENT = "model", "classifier.json"
_SPECTATOR = "spectator_"


@dataclass(frozen=True)
class FinishedRun:
    """A run as its folder holds it; what is large is read when it is first asked for.

    Args:
        folder: the run directory, absolute.
        config: the complete configuration.
        metrics: `metrics.json`: every number that the run quotes.
        history: `history.json`: every epoch.
        ledger: `events.json`: where every entry of the input went.
        provenance: `provenance.json`: versions, inputs, command and times.
    """

    folder: Path
    config: Config
    metrics: Mapping[str, Any]
    history: Mapping[str, Any]
    ledger: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def __repr__(self) -> str:
        """Return the folder and the classes."""
        return f"FinishedRun({str(self.folder)!r}, classes {', '.join(self.class_names)})"

    def _repr_html_(self) -> str:
        """Show the numbers that are quoted first in a notebook."""
        return run_summary(self.name, self.metrics)

    @property
    def name(self) -> str:
        """Name of the folder, which tells runs of one configuration apart."""
        return self.folder.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the scores."""
        return self.config.class_names

    @cached_property
    def scores(self) -> ScoredEvents:
        """The test events with their scores, weights, identities and spectators, in the order of `scores.parquet`.

        Raises:
            InputError: the file is missing, damaged or of another run.
        """
        _check_hash(self.folder, _SCORES, self.provenance)
        return read_scores(self.folder / _SCORES, self.class_names)

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier, whose reference events get their scores again.

        Raises:
            InputError: a file of `model` is missing or damaged.
        """
        from tamis.classifier import Classifier

        return Classifier.load(self.folder / "model")


def read_run(folder: Path | str) -> FinishedRun:
    """Read the directory of a finished run.

    The hash of every file that is read is compared with the one in `provenance.json`.

    Args:
        folder: as `tamis train` wrote it.

    Raises:
        InputError: the folder is not there, is no run, is not finished, or one of its files was damaged or changed.
        ConfigurationError: `config.yaml` is of a version of tamis that knows other keys.

    Example:
        >>> read_run("runs/nothing")
        Traceback (most recent call last):
        tamis.errors.InputError: run: 1 problem
          runs/nothing: there is no such folder; give the directory of a finished run
    """
    given = Path(folder)
    check_run_folder(given)
    provenance = read_mapping(given / FINISHED)
    problem = own_hash_problem(read_text(given / FINISHED))
    if problem:
        raise _refused(given / FINISHED, f"{problem}; copy the whole run again")
    for name in _OTHERS:
        _check_hash(given, name, provenance)
    config = parse_config(read_text(given / "config.yaml"), title=str(given / "config.yaml"))
    found = {name: read_mapping(given / name) for name in _OTHERS if name.endswith(".json")}
    return FinishedRun(
        folder=given.absolute(),
        config=config,
        metrics=found["metrics.json"],
        history=found["history.json"],
        ledger=found["events.json"],
        provenance=provenance,
    )


def model_of(place: Path | str) -> Path:
    """Find the classifier of a run, or the one that a folder is.

    Args:
        place: a run directory, or a folder `model` alone.

    Returns:
        The folder of the classifier. Of a run it is the one that the run was written with; where nothing says which
        that is, because a run was copied in part, it is the one that is there.

    Raises:
        InputError: there is no classifier, or it is that of another run.
    """
    given = Path(place)
    if not given.exists():
        raise _refused(given, "there is no such folder; give a run directory, or its folder `model`")
    if not given.is_dir():
        raise _refused(given, "is a file; give a run directory, or its folder `model`")
    if (given / _DOCUMENT).is_file():
        return given
    model = given / _MODEL
    if (given / CHECKPOINTS).is_dir() and not (given / FINISHED).is_file():
        check_run_folder(given)
    if not (model / _DOCUMENT).is_file():
        raise _refused(
            given, f"holds no classifier, neither {_MODEL}/{_DOCUMENT} nor {_DOCUMENT}; give a run directory"
        )
    if (given / FINISHED).is_file():
        check_model(given, read_mapping(given / FINISHED))
    return model


def check_model(folder: Path, provenance: Mapping[str, Any]) -> None:
    """Refuse a classifier that was put into the folder of another run.

    Args:
        folder: the run directory.
        provenance: what the run says of its files.

    Raises:
        InputError: with both hashes.
    """
    path = folder / _MODEL / _DOCUMENT
    outputs = provenance.get("outputs")
    written = outputs.get(f"{_MODEL}/{_DOCUMENT}") if isinstance(outputs, dict) else None
    if path.is_file() and (found := sha256(path)) != written:
        raise _refused(
            path,
            f"is not the classifier that this run was written with (SHA-256 {found}, and {FINISHED} has {written}); "
            "copy the whole run again",
        )


def scored_runs(runs: Sequence[FinishedRun]) -> tuple[ScoredRun, ...]:
    """Give what a comparison of runs takes, each run with a name of its own.

    Args:
        runs: as they were read. Folders of the same name are called by as much of their path as tells them apart.

    Raises:
        RequestError: a folder is given twice.
    """
    names = distinct_names([run.folder for run in runs])
    return tuple(ScoredRun(name, run.class_names, run.scores) for name, run in zip(names, runs, strict=True))


def distinct_names(folders: Sequence[Path]) -> tuple[str, ...]:
    """Call folders by their last parts, as many as it takes for the names to differ.

    Raises:
        RequestError: a folder is given twice.

    >>> distinct_names([Path("/runs/old/demo"), Path("/runs/new/demo")])
    ('old/demo', 'new/demo')
    """
    for parts in range(1, max((len(folder.parts) for folder in folders), default=1) + 1):
        names = tuple("/".join(folder.parts[-parts:]) for folder in folders)
        if len(set(names)) == len(names):
            return names
    raise RequestError(f"a run is given twice: {', '.join(map(str, folders))}; give each once")


def _refused(path: Path, message: str) -> InputError:
    return InputError("run", [Problem(str(path), message)])


def check_run_folder(folder: Path) -> None:
    """Refuse a folder that is not that of a finished run.

    Raises:
        InputError: it says what the folder is instead.
    """
    if not folder.exists():
        raise _refused(folder, "there is no such folder; give the directory of a finished run")
    if not folder.is_dir():
        raise _refused(folder, "is a file; give the directory of a finished run, such as runs/NAME")
    if (folder / FINISHED).is_file():
        return
    if (folder / CHECKPOINTS).is_dir():
        raise _refused(
            folder, "holds a training that is not finished; go on with it by the same `tamis train` command"
        )
    inside = sorted(path.parent.name for path in folder.glob(f"*/{FINISHED}"))
    if inside:
        raise _refused(folder, f"is no run, but holds some ({', '.join(inside[:5])}); give one of them")
    there = [name for name in (*_OTHERS, _SCORES, "model") if (folder / name).exists()]
    if there:
        message = (
            f"holds {', '.join(there)} but no {FINISHED}, which is written last: the run is not finished"
        )
        raise _refused(
            folder, f"{message}, or only a part of it was copied; train again, or copy the whole folder"
        )
    raise _refused(folder, f"is no run: it has no {FINISHED}; give the directory of a finished run")


def own_hash_problem(text: str) -> str | None:
    """Say what is wrong with the hash that `provenance.json` holds of itself.

    Returns:
        None where it is right; an empty text where there is none.
    """
    said = json.loads(text)
    if OWN_HASH not in said:
        return ""
    try:
        whole = json.dumps(with_own_hash(said), indent=2, allow_nan=False) + "\n"
    except ValueError:
        return "holds a value that is no number"
    return None if whole == text else "was changed after the run was written: its own hash does not match"


def read_text(path: Path) -> str:
    """Read a text file of a run.

    Raises:
        InputError: it is missing, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _refused(path, f"is not text ({error}); the file is damaged, copy the run again") from error
    except OSError as error:
        raise _refused(
            path, f"cannot be read: {error.strerror or error}; copy the whole run again"
        ) from error


def read_mapping(path: Path) -> Mapping[str, Any]:
    """Read a JSON file of a run.

    Raises:
        InputError: it is missing, or is not JSON, or no mapping.
    """
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"is not JSON ({error}); the file is damaged, copy the run again") from error
    if not isinstance(found, dict):
        raise _refused(path, f"holds no mapping but a {type(found).__name__}; the file is foreign")
    return found


def _check_hash(folder: Path, name: str, provenance: Mapping[str, Any]) -> None:
    written = provenance.get("outputs")
    if not isinstance(written, dict):
        raise _refused(folder / FINISHED, "has no hashes of the run's files (`outputs`); the file is foreign")
    if not (folder / name).is_file():
        raise _refused(folder / name, "is missing; copy the whole run again")
    if sha256(folder / name) != written.get(name):
        raise _refused(folder / name, "was changed after the run was written; copy the whole run again")


def read_scores(path: Path, class_names: tuple[str, ...]) -> ScoredEvents:
    """Read the test events of a run with their scores.

    Args:
        path: `scores.parquet`.
        class_names: in the order of the scores.

    Raises:
        InputError: it is missing or damaged, or has no such classes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise _refused(path, f"is not a readable Parquet file ({error}); copy the run again") from error
    needed = ["id", "class", "weight", "training_factor", *(f"score_{name}" for name in class_names)]
    absent = [name for name in needed if name not in table.column_names]
    if absent:
        raise _refused(path, f"has no columns {', '.join(absent)}; the file is of another run")

    def column(name: str) -> NDArray[Any]:
        return np.asarray(table.column(name).to_numpy())

    return ScoredEvents(
        scores=np.stack([column(f"score_{name}") for name in class_names], axis=1),
        class_index=_class_index(table.column("class"), class_names, path),
        weight=column("weight"),
        factor=column("training_factor"),
        spectators={
            name.removeprefix(_SPECTATOR): column(name)
            for name in table.column_names
            if name.startswith(_SPECTATOR)
        },
        identity=column("id"),
    )


def _class_index(labels: Any, class_names: tuple[str, ...], path: Path) -> NDArray[np.int32]:
    """Give the number of each event's class; the labels are stored once and an index for each event."""
    import pyarrow as pa

    if not len(labels):
        return np.empty(0, np.int32)
    encoded = labels.cast(pa.string()).combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    foreign = [str(name) for name in names if name not in class_names]
    if foreign:
        raise _refused(path, f"has events of the classes {', '.join(foreign)}, which the configuration lacks")
    rows: NDArray[np.intp] = encoded.indices.to_numpy()
    return np.array([class_names.index(name) for name in names], np.int32)[rows]
