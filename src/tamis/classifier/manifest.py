"""The manifest of the folder `model`: the hash of every other file, so that no bit changes unnoticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tamis.classifier.opening import MOST_BYTES, read_small, refused
from tamis.errors import InputError, Problem
from tamis.files import sha256, write_text

MANIFEST = "manifest.json"
_LARGEST = 1 << 20
"""Bytes that a manifest has at most."""


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    format: Literal["tamis manifest"] = "tamis manifest"
    version: Literal[1] = 1
    files: dict[str, str]
    changing: dict[str, str] = Field(default_factory=dict)
    manifest_sha256: str = ""

    def allowed(self, name: str) -> frozenset[str | None]:
        """Give the hashes that a file may have; None where it may be missing, or may not be there."""
        of_file = {self.files.get(name)}
        return frozenset(of_file | {self.changing[name]} if name in self.changing else of_file)

    def text(self) -> str:
        """Give the one text that these hashes are written as; its last key is the hash of the others."""
        said = self.model_dump(exclude={"manifest_sha256"})
        if not self.changing:
            del said["changing"]
        own = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        return json.dumps({**said, "manifest_sha256": own}, indent=2, sort_keys=True) + "\n"


def files_of(folder: Path) -> dict[str, Path]:
    """Find all files of a folder by their relative names, but the manifest and what is hidden."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    return {
        name: path
        for name, path in found.items()
        if name != MANIFEST and _is_listed(path) and not any(part.startswith(".") for part in name.split("/"))
    }


def _is_listed(path: Path) -> bool:
    """Say whether something stands in the manifest, or should not be there: a link, a pipe, a device."""
    return path.is_symlink() or not path.is_dir()


def write_manifest(path: Path, files: Mapping[str, Path]) -> None:
    """Write a manifest: the SHA-256 of each file.

    Args:
        path: of the manifest.
        files: by the names that they have in the folder, where they are now.
    """
    write_text(path, _Manifest(files=_hashes(files)).text())


def announce(folder: Path, files: Mapping[str, Path]) -> None:
    """List files of a folder as they are and as they will be, so that it is whole whatever happens in between.

    Args:
        folder: with a manifest.
        files: new ones by the names that they will have, where they are now.
    """
    manifest = _Manifest(files=_hashes(intact_files(folder)), changing=_hashes(files))
    write_text(folder / MANIFEST, manifest.text())


def settle(folder: Path) -> None:
    """List the files of a folder as they are, once what was announced has its names."""
    write_manifest(folder / MANIFEST, intact_files(folder))


def _hashes(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: sha256(file) for name, file in sorted(files.items())}


def intact_files(folder: Path) -> dict[str, Path]:
    """Find the files that are as the manifest of a folder lists them; all files where there is no manifest."""
    found = files_of(folder)
    if not (folder / MANIFEST).exists():
        return found
    listed = _read(folder / MANIFEST)
    plain = {name: path for name, path in found.items() if path.is_file() and not path.is_symlink()}
    return {name: path for name, path in plain.items() if sha256(path) in listed.allowed(name)}


def check_manifest(folder: Path, ignoring: Collection[str] = ()) -> None:
    """Compare every file of a folder with its manifest.

    Args:
        folder: the folder `model`.
        ignoring: names of files that may differ, because they are written again.

    Raises:
        InputError: the manifest is missing or damaged, or a file was changed, is missing or is not listed; each is
            named.
    """
    listed = _read(folder / MANIFEST)
    found = files_of(folder)
    size = sum(path.lstat().st_size for path in found.values())
    if size > MOST_BYTES:
        raise refused(folder, f"has {size:,} bytes, and {MOST_BYTES:,} are the most; the folder is foreign")
    problems = [
        Problem(str(folder / name), message)
        for name in sorted({*listed.files, *listed.changing, *found} - set(ignoring))
        if (message := _difference(listed.allowed(name), found.get(name))) is not None
    ]
    if problems:
        raise InputError("classifier", problems)


def _difference(allowed: frozenset[str | None], path: Path | None) -> str | None:
    if path is not None and path.is_symlink():
        return "is a link, which may lead anywhere; put the file itself there"
    if path is not None and not path.is_file():
        return "is no file but a pipe, a socket or a device; remove it"
    if path is None and None in allowed:
        return None
    if path is None:
        return f"is missing, but {MANIFEST} lists it; copy the whole folder `model` again"
    if allowed == {None}:
        return f"is not listed in {MANIFEST}: it is not of this classifier; keep it elsewhere"
    if sha256(path) not in allowed:
        return "was changed after it was written; copy the whole folder `model` again"
    return None


def _read(path: Path) -> _Manifest:
    try:
        content = read_small(path, _LARGEST)
        found = _Manifest.model_validate(json.loads(content.decode("utf-8")))
    except FileNotFoundError as error:
        message = (
            "is missing, and nothing says whether the other files are whole; copy the folder `model` again"
        )
        raise InputError("classifier", [Problem(str(path), message)]) from error
    except (ValidationError, ValueError, RecursionError) as error:
        message = "is damaged or foreign: it is no manifest of a classifier; copy the folder `model` again"
        raise InputError("classifier", [Problem(str(path), message)]) from error
    # one text alone: no bit of it may differ, not even one that JSON does not care about
    if content != found.text().encode():
        message = "was changed after it was written; copy the whole folder `model` again"
        raise InputError("classifier", [Problem(str(path), message)])
    return found
