"""The input manifest: the hashes of all input files, with which a training refuses files that have changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tamis.config import Config
from tamis.data.schema import SourceFile
from tamis.data.sources import find_files
from tamis.errors import InputError, Problem, RequestError
from tamis.files import add_hash, sha256, write_text
from tamis.paths import check_writable
from tamis.pipeline.preparation import find_input
from tamis.runs.provenance import describe_inputs

_FORMAT = {"format": "tamis input manifest", "version": 1}


class _Listed(BaseModel, frozen=True, strict=True):
    entries: int
    bytes: int | None
    sha256: str | None


def check_new_manifest(path: Path) -> None:
    """Check that a manifest can be written to a path, where only another manifest is replaced."""
    if not path.parent.is_dir():
        raise RequestError(f"{path.parent} is not a folder; create it, or write the manifest elsewhere")
    if path.exists():
        _read(path)
    check_writable(path, "write the manifest elsewhere")


def write_input_manifest(config: Config, path: Path) -> int:
    """Write size, entries and SHA-256 of every input file, and return the number of files.

    Raises:
        InputError: a file cannot be used.
        RequestError: the manifest cannot be written to this path.
    """
    check_new_manifest(path)
    schemas = [schema for sample in find_input(config).inputs for schema in sample.schemas]
    listed: dict[str, dict[str, Any]] = {}
    for tree in sorted(describe_inputs(schemas), key=itemgetter("file")):
        file = {"entries": 0, "bytes": tree["bytes"], "sha256": tree["sha256"]}
        listed.setdefault(tree["file"], file)["entries"] += tree["entries"]
    write_text(path, _text(listed))
    return len(listed)


def check_input_manifest(config: Config, path: Path) -> tuple[str, ...]:
    """Compare every input file with a manifest, before any of them is read; tell of remote files, which have no hash.

    Raises:
        InputError: with every file that has changed, is missing or is not listed.
        RequestError: the manifest cannot be read, was changed, or is another kind of file.
    """
    listed = _read(path)
    sources: dict[str, SourceFile] = {}
    problems: list[Problem] = []
    for sample in config.samples:
        files, problems_of_sample = find_files(sample.name, sample.files, config.data or ".")
        sources |= {file.file_key: file for file in files}
        problems += problems_of_sample
    notes = []
    for name in sorted({*listed, *sources}):
        source, expected = sources.get(name), listed.get(name)
        if source is None:
            problems.append(
                Problem(name, "is listed in the manifest, but the configuration does not find it")
            )
        elif expected is None:
            problems.append(Problem(source.path, "is not listed in the manifest"))
        elif "://" in source.path or expected.sha256 is None:
            notes.append(f"{source.path} is remote and was not compared with {path}")
        elif difference := _difference(Path(source.path), expected):
            problems.append(Problem(source.path, difference))
    if problems:
        raise InputError(f"input files against {path}", problems)
    return tuple(notes)


def _difference(path: Path, expected: _Listed) -> str:
    size = path.stat().st_size
    if size != expected.bytes:
        return f"has {size:,} bytes, and had {expected.bytes:,} when the manifest was written; {_ADVICE}"
    if sha256(path) != expected.sha256:
        return f"has the same size as when the manifest was written, but other content; {_ADVICE}"
    return ""


_ADVICE = "copy the file again from its origin, or, if the change is intended, write a new manifest (--write-manifest)"


def _text(listed: Mapping[str, Any]) -> str:
    return json.dumps(add_hash({**_FORMAT, "files": listed}), indent=2) + "\n"


def _read(path: Path) -> dict[str, _Listed]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not text"
        raise RequestError(
            f"{path} cannot be read as a manifest ({reason}); expected a file that `tamis check "
            "--write-manifest` wrote"
        ) from error
    try:
        content = json.loads(text)
        files = {name: _Listed.model_validate(file) for name, file in content["files"].items()}
    except (ValueError, ValidationError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(
            f"{path} is not a manifest of input files; give one that `tamis check --write-manifest` wrote, or write it "
            "to another file"
        ) from error
    # the text must be exactly the one that tamis writes, so that a change of any bit is noticed
    if _text(content["files"]) != text:
        raise RequestError(
            f"{path} was changed after it was written; write it again from files that are known to be right"
        )
    return files
