"""Read a run back: the files of its directory, checked against the hashes that were written with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tamis import studies
from tamis.classifier import DOCUMENT, Classifier
from tamis.config import parse_config
from tamis.errors import InputError
from tamis.files import add_hash, sha256
from tamis.machine import tamis_version
from tamis.paths import to_path
from tamis.pipeline.run import Run
from tamis.runs import layout
from tamis.runs.provenance import FORMAT, HASH
from tamis.runs.scores import build_run_error, read_scores
from tamis.statistics.scored import ScoredEvents
from tamis.studies import read_results, result_file
from tamis.wording import join_first


def read_run(folder: Path | str) -> Run:
    """Read a run directory.

    The hash of every file that is read is compared with the one in `provenance.json`. The results of the studies, the
    scores and the classifier are read when they are first used.

    Args:
        folder: the run directory, as `tamis train` wrote it.

    Returns:
        The run as `tamis.train` returned it, without its events and its trained networks.

    Raises:
        InputError: the folder does not exist or is not a run directory, has another format, or one of its files is
            damaged or changed.
        ConfigurationError: `config.yaml` has keys of another version of tamis.

    Example:
        >>> read_run("runs/nothing")
        Traceback (most recent call last):
        tamis.errors.InputError: run: runs/nothing: there is no such folder; give the directory of a finished run
    """
    folder = to_path(folder, "read_run")
    check_run_folder(folder)
    provenance = read_provenance(folder)
    if problem := hash_problem(read_text(folder / layout.PROVENANCE)):
        raise _damaged(folder / layout.PROVENANCE, problem)
    for name in layout.STORED:
        _check_hash(folder, name, provenance)
    config = parse_config(read_text(folder / layout.CONFIG), title=str(folder / layout.CONFIG))
    folder = folder.absolute()

    def load_results() -> Mapping[str, Any]:
        for study in studies.STUDIES:
            _check_hash(folder, f"{layout.RESULTS}/{result_file(study)}", provenance)
        return read_results(folder / layout.RESULTS)

    def load_scores() -> ScoredEvents:
        _check_hash(folder, layout.SCORES, provenance)
        return read_scores(folder / layout.SCORES, config.class_names)

    def load_classifier() -> Classifier:
        _check_model(folder, provenance)
        return Classifier.load(folder / layout.MODEL)

    return Run(
        config,
        read_mapping(folder / layout.METRICS),
        read_mapping(folder / layout.HISTORY),
        read_mapping(folder / layout.CUTFLOW),
        load_results,
        load_scores,
        load_classifier,
        written_to=folder,
        provenance=provenance,
    )


def find_model(path: Path | str) -> Path:
    """Return the folder of the classifier in a run directory; a folder `model` alone is returned as it is.

    Raises:
        InputError: there is no classifier, it belongs to another run, or the run has another format.
    """
    folder = to_path(path, "find_model")
    if not folder.is_dir():
        reason = "is a file" if folder.exists() else "there is no such folder"
        raise build_run_error(folder, f"{reason}; give a run directory, or its folder `model`")
    if (folder / DOCUMENT).is_file():
        return folder
    has_provenance = (folder / layout.PROVENANCE).is_file()
    if (folder / layout.CHECKPOINTS).is_dir() and not has_provenance:
        check_run_folder(folder)
    model = folder / layout.MODEL
    if not (model / DOCUMENT).is_file():
        raise build_run_error(
            folder,
            f"holds no classifier, neither {layout.MODEL}/{DOCUMENT} nor {DOCUMENT}; give a run directory",
        )
    if has_provenance:  # it may be missing if only a part of the run was copied
        _check_model(folder, read_provenance(folder))
    return model


def _check_model(folder: Path, provenance: Mapping[str, Any]) -> None:
    """Check that the classifier in a run directory does not belong to another run."""
    path = folder / layout.MODEL / DOCUMENT
    written = _written_hash(folder, f"{layout.MODEL}/{DOCUMENT}", provenance)
    if path.is_file() and (current := sha256(path)) != written:
        raise _damaged(
            path,
            f"is not the classifier of this run (SHA-256 {current}, and {layout.PROVENANCE} has {written})",
        )


def check_run_folder(folder: Path) -> None:
    """Check that a folder is the directory of a finished run; raise an `InputError` that describes it otherwise."""
    if not folder.exists():
        message = "there is no such folder; give the directory of a finished run"
    elif not folder.is_dir():
        message = "is a file; give the directory of a finished run, such as runs/NAME"
    elif (folder / layout.PROVENANCE).is_file():
        return
    elif (folder / layout.CHECKPOINTS).is_dir():
        message = "holds a training that is not finished; resume it with the same `tamis train` command"
    elif runs := sorted(path.parent.name for path in folder.glob(f"*/{layout.PROVENANCE}")):
        message = f"is not a run directory, but contains some ({join_first(runs, 5)}); give one of them"
    elif names := [
        name for name in (*layout.STORED, layout.SCORES, layout.MODEL) if (folder / name).exists()
    ]:
        message = (
            f"holds {', '.join(names)} but no {layout.PROVENANCE}, which is written last: the run is not finished, or "
            "only a part of it was copied; train again, or copy the whole folder"
        )
    else:
        message = (
            f"is not a run directory: it has no {layout.PROVENANCE}; give the directory of a finished run"
        )
    raise build_run_error(folder, message)


def read_provenance(folder: Path) -> Mapping[str, Any]:
    """Read `provenance.json`, and check the format of the run, as `check_format`; the hashes are not compared."""
    provenance = read_mapping(folder / layout.PROVENANCE)
    check_format(folder, provenance)
    return provenance


def check_format(folder: Path, provenance: Mapping[str, Any]) -> None:
    """Check that this version of tamis reads the format of a run directory; raise an `InputError` otherwise."""
    number = provenance.get("format")
    if type(number) is int and number == FORMAT:
        return
    packages = provenance.get("packages")
    version = packages.get("tamis") if isinstance(packages, dict) else None
    writer = "the version of tamis that wrote it" if version is None else f"tamis {version}, which wrote it"
    # versions under development write several formats
    advice = "train again" if version == tamis_version() else f"use {writer}, or train again"
    raise build_run_error(
        folder,
        f"the run directory has {'no format number' if number is None else f'the format {number!r}'}, and this version "
        f"of tamis reads the format {FORMAT}; {advice}",
    )


def hash_problem(text: str) -> str:
    """Return what is wrong with the hash of `provenance.json` that the file itself contains; empty if it is right."""
    document = json.loads(text)
    if HASH not in document:
        return f"has no hash of itself (`{HASH}`)"
    try:
        expected = json.dumps(add_hash(document), indent=2, allow_nan=False) + "\n"
    except ValueError:
        return "contains NaN or an infinite number"
    return "" if expected == text else "was changed after the run was written: its own hash does not match"


def read_text(path: Path) -> str:
    """Read a text file of a run; raise an `InputError` if it is missing or is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(path, f"is not text ({error})") from error
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error.strerror or error}") from error


def read_mapping(path: Path) -> Mapping[str, Any]:
    """Read a JSON file of a run; raise an `InputError` if it is missing or is not a JSON mapping."""
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise _damaged(path, f"is a JSON {type(content).__name__}, not a mapping")
    return content


def _damaged(path: Path, message: str) -> InputError:
    return build_run_error(path, f"{message}; copy the whole run again")


def _written_hash(folder: Path, name: str, provenance: Mapping[str, Any]) -> str | None:
    hashes = provenance.get("outputs")
    if not isinstance(hashes, dict):
        raise _damaged(folder / layout.PROVENANCE, "has no hashes of the files of the run (`outputs`)")
    written: str | None = hashes.get(name)
    return written


def _check_hash(folder: Path, name: str, provenance: Mapping[str, Any]) -> None:
    if problem := file_problem(folder / name, _written_hash(folder, name, provenance)):
        raise _damaged(folder / name, problem)


def file_problem(path: Path, written: str | None) -> str:
    """Return how a file differs from the one with a hash; empty if it is the same."""
    if not path.is_file():
        return "is missing"
    return "" if sha256(path) == written else "was changed after the run was written"
