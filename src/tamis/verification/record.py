"""The small files of a run directory as they are now, whether or not they are as they were written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tamis.config import Config, parse_config
from tamis.errors import InputError, TamisError
from tamis.run_reading import FINISHED, check_run_folder, read_mapping, read_text


class RecordedInput(BaseModel):
    """An input file as `provenance.json` knows it."""

    model_config = ConfigDict(frozen=True, strict=True)
    file: str
    path: str
    entries: int
    bytes: int | None
    sha256: str | None


class Provenance(BaseModel):
    """What a verification needs of `provenance.json`."""

    model_config = ConfigDict(frozen=True, strict=True)
    seed: int
    processor: str
    packages: dict[str, str]
    inputs: list[RecordedInput]
    parts: dict[str, int]
    outputs: dict[str, str]
    onnx: dict[str, Any] = {}


@dataclass(frozen=True)
class Record:
    """What a run says of itself; None where a file cannot be read.

    Args:
        folder: the run directory.
        provenance: of `provenance.json`.
        config: of `config.yaml`.
        files: of the JSON files, by name.
        unreadable: why the others cannot be read, by name.
        text: of `provenance.json`.
    """

    folder: Path
    provenance: Provenance | None
    config: Config | None
    files: Mapping[str, Mapping[str, Any]]
    unreadable: Mapping[str, str]
    text: str


def read_record(folder: Path) -> Record:
    """Read the small files of a run, each for itself.

    Raises:
        InputError: the folder is not that of a finished run.
    """
    check_run_folder(folder)
    files: dict[str, Mapping[str, Any]] = {}
    unreadable: dict[str, str] = {}
    for name in ("events.json", "history.json", "metrics.json"):
        try:
            files[name] = read_mapping(folder / name)
        except InputError as error:
            unreadable[name] = error.problems[0].message
    provenance, text = None, ""
    try:
        text = read_text(folder / FINISHED)
        provenance = Provenance.model_validate(read_mapping(folder / FINISHED))
    except InputError as error:
        unreadable[FINISHED] = error.problems[0].message
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        unreadable[FINISHED] = f"is not as tamis writes it: `{place}`: {first['msg']}"
    config = None
    try:
        config = parse_config(read_text(folder / "config.yaml"), title=str(folder / "config.yaml"))
    except InputError as error:
        unreadable["config.yaml"] = error.problems[0].message
    except TamisError as error:
        unreadable["config.yaml"] = f"is no configuration of this version of tamis: {error}"
    return Record(folder, provenance, config, files, unreadable, text)
