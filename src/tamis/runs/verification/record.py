"""The small files of a run directory as they are now, changed or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tamis.config import Config, parse_config
from tamis.errors import InputError, TamisError
from tamis.runs.layout import CONFIG, CUTFLOW, HISTORY, METRICS, PROVENANCE
from tamis.runs.read import check_format, check_run_folder, read_mapping, read_text


class RecordedInput(BaseModel, frozen=True, strict=True):
    """An input file, as `provenance.json` describes it."""

    file: str
    path: str
    entries: int
    bytes: int | None
    sha256: str | None


class Provenance(BaseModel, frozen=True, strict=True):
    """The keys of `provenance.json` that a verification uses."""

    seed: int
    processor: str
    packages: dict[str, str]
    inputs: list[RecordedInput]
    splits: dict[str, int]
    outputs: dict[str, str]
    onnx: dict[str, Any] = {}


@dataclass(frozen=True)
class Record:
    """The small files of a run: provenance and configuration, None if one cannot be used, and the JSON files by name.

    `unreadable` has for each other file why it cannot be read.
    """

    folder: Path
    provenance: Provenance | None
    config: Config | None
    files: Mapping[str, Mapping[str, Any]]
    unreadable: Mapping[str, str]


def read_record(folder: Path) -> Record:
    """Read the small files of a run, also if some are damaged; raise an `InputError` for another folder or format."""
    check_run_folder(folder)
    files: dict[str, Mapping[str, Any]] = {}
    unreadable: dict[str, str] = {}
    for name in (CUTFLOW, HISTORY, METRICS, PROVENANCE):
        try:
            files[name] = read_mapping(folder / name)
        except InputError as error:
            unreadable[name] = error.problems[0].message
    provenance, config = None, None
    if PROVENANCE in files:
        check_format(folder, files[PROVENANCE])
        try:
            provenance = Provenance.model_validate(files[PROVENANCE])
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            unreadable[PROVENANCE] = f"does not have the keys that tamis writes: `{key}`: {first['msg']}"
    try:
        config = parse_config(read_text(folder / CONFIG), title=str(folder / CONFIG))
    except InputError as error:
        unreadable[CONFIG] = error.problems[0].message
    except TamisError as error:
        unreadable[CONFIG] = f"is not a configuration of this version of tamis: {error}"
    return Record(folder, provenance, config, files, unreadable)
