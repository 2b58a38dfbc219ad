"""The hashes of all input files in one file, so that a training refuses what has changed since somebody looked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tamis.config import Config
from tamis.data.schema import SourceFile
from tamis.data.sources import find_files
from tamis.errors import InputError, Problem, RequestError
from tamis.files import sha256, write_text
from tamis.pipeline.preparation import find_input
from tamis.provenance import describe_inputs, with_own_hash

_FORMAT = {"format": "tamis input manifest", "version": 1}


class _Listed(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)
    entries: int
    bytes: int | None
    sha256: str | None


def write_input_manifest(config: Config, path: Path) -> int:
    """Write size, entries and SHA-256 of every input file.

    Args:
        config: from `load_config`; the files are known by their names below its data folder.
        path: of the manifest; only another manifest is replaced.

    Returns:
        The number of files.

    Raises:
        InputError: a file cannot be used.
        RequestError: something else is at this path, or its folder is not there.
    """
    if not path.parent.is_dir():
        raise RequestError(f"{path.parent} is not a folder; make it, or write the manifest elsewhere")
    if path.exists():
        _read(path)
    schemas = [schema for each in find_input(config) for schema in each.schemas]
    listed: dict[str, dict[str, Any]] = {}
    for each in describe_inputs(schemas):
        before = listed.get(each["file"], {"entries": 0})["entries"]
        entries = {"entries": before + each["entries"]}  # of all trees that are read of the file
        listed[each["file"]] = {**{key: each[key] for key in _Listed.model_fields}, **entries}
    write_text(path, _text(dict(sorted(listed.items()))))
    return len(listed)


def check_input_manifest(config: Config, path: Path) -> tuple[str, ...]:
    """Compare every input file with a manifest, before any of them is read.

    Args:
        config: from `load_config`.
        path: of the manifest.

    Returns:
        What could not be compared, as sentences: a remote file has no hash.

    Raises:
        InputError: a file has changed, is not there or is not listed; each is named.
        RequestError: the manifest cannot be read, was changed, or is none.
    """
    listed = _read(path)
    sources: dict[str, SourceFile] = {}
    problems: list[Problem] = []
    for sample in config.samples:
        found, wrong = find_files(sample.name, sample.files, config.data or ".")
        sources |= {each.identity: each for each in found}
        problems += wrong
    notes = []
    for name in sorted({*listed, *sources}):
        source, wanted = sources.get(name), listed.get(name)
        if source is None:
            problems.append(
                Problem(name, "is listed in the manifest, but the configuration does not find it")
            )
        elif wanted is None:
            problems.append(Problem(source.path, "is not listed in the manifest"))
        elif "://" in source.path or wanted.sha256 is None:
            notes.append(f"{source.path} is remote and was not compared with {path}")
        elif said := _difference(Path(source.path), wanted):
            problems.append(Problem(source.path, said))
    if problems:
        raise InputError(f"input files against {path}", problems)
    return tuple(notes)


def _difference(place: Path, wanted: _Listed) -> str:
    size = place.stat().st_size
    if size != wanted.bytes:
        return f"has {size:,} bytes, and had {wanted.bytes:,} when the manifest was written"
    if sha256(place) != wanted.sha256:
        return "has other content than when the manifest was written, though of the same size"
    return ""


def _text(listed: Mapping[str, Any]) -> str:
    return json.dumps(with_own_hash({**_FORMAT, "files": listed}), indent=2) + "\n"


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is no text"


def _read(path: Path) -> dict[str, _Listed]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"{path} cannot be read as a manifest ({_reason(error)}); expected a file that `tamis check "
            "--write-manifest` wrote"
        ) from error
    try:
        said = json.loads(text)
        files = {name: _Listed.model_validate(each) for name, each in said["files"].items()}
    except (ValueError, ValidationError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(
            f"{path} is no manifest of input files; give one that `tamis check --write-manifest` wrote, or write it to "
            "another file"
        ) from error
    # one text alone, so that no bit of it may differ
    if _text(said["files"]) != text:
        raise RequestError(
            f"{path} was changed after it was written; write it again where the files are right"
        )
    return files
