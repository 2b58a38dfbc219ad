"""The folder of a run: its lock, what may be replaced, and what a process that was killed has left of it."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from tamis.classifier.manifest import MANIFEST
from tamis.errors import RequestError, TamisError
from tamis.pipeline.checkpoints import foreign_files
from tamis.places import obstacle
from tamis.run_reading import CHECKPOINTS, FINISHED

_OWN = frozenset({
    "config.yaml", "provenance.json", "events.json", "history.json", "metrics.json", "scores.parquet",
    "workspace.json", "model", "figures", "report.html", "checkpoints",
})  # fmt: skip
_WHILE_WRITTEN = len("." + "." + ".before") + 32
"""By how many bytes the name of a run directory is longer while it is written."""
_LEFT_BEHIND = r"\.{}\.[0-9a-f]{{32}}\.(part|before)"


def lock_of(folder: Path) -> Path:
    """Return the lock file of a run directory; it lies beside the directory."""
    folder = folder.resolve()
    return folder.with_name(f".{folder.name}.lock")


def recover(folder: Path) -> None:
    """Restore a run directory that a killed process had moved away, and remove the files that it left.

    To be called by the one that holds the lock.

    Args:
        folder: the run directory.
    """
    folder = folder.resolve()
    pattern = re.compile(_LEFT_BEHIND.format(re.escape(folder.name)))
    for found in sorted(folder.parent.iterdir()) if folder.parent.is_dir() else ():
        match = pattern.fullmatch(found.name)
        if match and match.group(1) == "before" and not folder.exists():
            found.rename(folder)
        elif match:
            _remove_rest(found)


def _remove_rest(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise TamisError(
            f"{folder}, which a process that was killed has left, cannot be removed ({error.strerror or error}); "
            "remove it by hand"
        ) from error


def check_place(folder: Path) -> None:
    """Refuse a place where no run directory can be made.

    Args:
        folder: the run directory to be.

    Raises:
        RequestError: it is a file, or cannot be made.
    """
    if not os.path.realpath(folder).strip(os.sep):
        raise RequestError(f"{folder} cannot be a run directory; choose another folder")
    reason = obstacle(folder, longer=_WHILE_WRITTEN)
    if reason:
        raise RequestError(f"{folder} cannot be made: {reason}; choose another folder")
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file; choose another folder")


def _foreign_inside(folder: Path) -> list[str]:
    """Find files in the folders of a finished run that it was not written with."""
    if not (folder / FINISHED).is_file():
        return []
    from tamis.deploy.names import DERIVED

    try:
        written_files = json.loads((folder / FINISHED).read_text(encoding="utf-8"))["outputs"]
        listed = {*written_files, *(f"model/{name}" for name in (*DERIVED, MANIFEST))}
    except (OSError, ValueError, KeyError, TypeError):
        return []  # a damaged run is replaced as it is
    inside = (path for name in ("model", "figures") for path in sorted((folder / name).rglob("*")))
    names = [path.relative_to(folder).as_posix() for path in inside if path.is_symlink() or not path.is_dir()]
    return [name for name in names if name not in listed and not Path(name).name.startswith(".")]


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Refuse to write where something is that would be lost.

    Args:
        folder: the run directory to be.
        overwrite: whether a finished run may be replaced.

    Raises:
        RequestError: the folder holds a run and may not be replaced, holds files that tamis did not write, or
            cannot be made.
    """
    check_place(folder)
    folder = folder.resolve()
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    foreign = [*sorted(names - _OWN), *_foreign_inside(folder)]
    if foreign:
        raise RequestError(
            f"{folder} holds files that are not of a run ({', '.join(foreign[:5])}); "
            "move them, or choose another folder"
        )
    foreign = foreign_files(folder / CHECKPOINTS)
    if foreign:
        raise RequestError(
            f"{folder / CHECKPOINTS} holds files that are no checkpoints ({', '.join(foreign[:5])}); move them, or "
            "choose another folder"
        )
    if names - {CHECKPOINTS} and not overwrite:
        raise RequestError(
            f"{folder} holds a run already; choose another folder, or replace the run (--overwrite; in "
            "Python overwrite=True)"
        )
