"""The manifest of the folder `model`: the hash of every other file, so that every changed bit is found."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tamis.classifier.opening import DAMAGED, MOST_BYTES, build_error, read_small
from tamis.errors import InputError, Problem
from tamis.files import hash_json, sha256, write_text

MANIFEST = "manifest.json"
_LARGEST = 1 << 20
"""Maximum number of bytes of a manifest."""


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    format: Literal["tamis manifest"] = "tamis manifest"
    version: Literal[1] = 1
    files: dict[str, str]
    changing: dict[str, str] = Field(default_factory=dict)
    manifest_sha256: str = ""

    def allowed_hashes(self, name: str) -> frozenset[str | None]:
        """Return the hashes that a file may have; None means that it is missing."""
        of_file = {self.files.get(name)}
        return frozenset(of_file | {self.changing[name]} if name in self.changing else of_file)

    def to_text(self) -> str:
        """Return the only valid text of these hashes; its last key is the hash of the others."""
        content = self.model_dump(exclude={"manifest_sha256"})
        if not self.changing:
            del content["changing"]
        digest = hash_json(content)
        return json.dumps({**content, "manifest_sha256": digest}, indent=2, sort_keys=True) + "\n"


def files_of(folder: Path) -> dict[str, Path]:
    """Find all files of a folder by their relative names, except the manifest and hidden files.

    Links, pipes and devices are included, because they must not be in the folder.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    return {
        name: path
        for name, path in paths.items()
        if name != MANIFEST
        and (path.is_symlink() or not path.is_dir())
        and not any(part.startswith(".") for part in name.split("/"))
    }


def write_manifest(path: Path, files: Mapping[str, Path]) -> None:
    """Write a manifest with the SHA-256 of each file; `files` has their present paths by their names in the folder."""
    write_text(path, _Manifest(files=_hash_files(files)).to_text())


def list_pending_files(folder: Path, files: Mapping[str, Path]) -> None:
    """Write a manifest that allows both the present files of a folder and new ones that will be renamed into it.

    `files` are the new files by their final names. The folder is valid at any time, even if the process is killed
    between two renames.
    """
    manifest = _Manifest(files=_hash_files(_find_intact_files(folder)), changing=_hash_files(files))
    write_text(folder / MANIFEST, manifest.to_text())


def list_final_files(folder: Path) -> None:
    """Write a manifest of the present files only, after the pending files have been renamed."""
    write_manifest(folder / MANIFEST, _find_intact_files(folder))


def _hash_files(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: sha256(file) for name, file in sorted(files.items())}


def _find_intact_files(folder: Path) -> dict[str, Path]:
    """Find the files that are as the manifest of a folder lists them; all files if there is no manifest."""
    files = files_of(folder)
    if not (folder / MANIFEST).exists():
        return files
    listed = _read_manifest(folder / MANIFEST)
    plain = {name: path for name, path in files.items() if path.is_file() and not path.is_symlink()}
    return {name: path for name, path in plain.items() if sha256(path) in listed.allowed_hashes(name)}


def check_manifest(folder: Path, ignoring: Collection[str] = ()) -> None:
    """Compare every file of a folder with its manifest, except those that are written again (`ignoring`).

    An `InputError` names each file that was changed, is missing or is not listed.
    """
    listed = _read_manifest(folder / MANIFEST)
    files = files_of(folder)
    size = sum(path.lstat().st_size for path in files.values())
    if size > MOST_BYTES:
        raise build_error(
            folder,
            f"has {size:,} bytes; at most {MOST_BYTES:,} are allowed; remove files that tamis did not write",
        )
    problems = [
        Problem(str(folder / name), message)
        for name in sorted({*listed.files, *listed.changing, *files} - set(ignoring))
        if (message := _describe_difference(listed.allowed_hashes(name), files.get(name))) is not None
    ]
    if problems:
        raise InputError("classifier", problems)


def _describe_difference(allowed: frozenset[str | None], path: Path | None) -> str | None:
    if path is None:
        if None in allowed:
            return None
        return f"is missing, but {MANIFEST} lists it; copy the whole folder `model` again"
    if path.is_symlink():
        return "is a link, which tamis does not follow; replace it by the file itself"
    if not path.is_file():
        return "is not a file but a pipe, a socket or a device; remove it"
    if allowed == {None}:
        return f"is not listed in {MANIFEST}, so it does not belong to this classifier; move it to another folder"
    if sha256(path) not in allowed:
        return "was changed after it was written; copy the whole folder `model` again"
    return None


def _read_manifest(path: Path) -> _Manifest:
    try:
        content = read_small(path, _LARGEST)
        manifest = _Manifest.model_validate_json(content)
    except FileNotFoundError as error:
        message = "is missing, so the other files cannot be checked; copy the whole folder `model` again"
        raise build_error(path, message) from error
    except ValueError as error:
        raise build_error(path, f"is not a manifest of a classifier: {DAMAGED}") from error
    # only one text is valid, so that every changed bit is found, also in whitespace
    if content != manifest.to_text().encode():
        raise build_error(path, "was changed after it was written; copy the whole folder `model` again")
    return manifest
