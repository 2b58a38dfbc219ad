"""The folder that a run is written to: it can be created, nothing of the user is lost in it, and its lock."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tamis.classifier.exported_names import DERIVED
from tamis.classifier.manifest import MANIFEST
from tamis.errors import RequestError, TamisError
from tamis.files import folders_for, locked
from tamis.paths import check_writable
from tamis.pipeline.checkpoints import check_checkpoints
from tamis.runs.layout import (
    CHECKPOINTS,
    ENTRIES,
    FIGURES,
    FPGA,
    LOCK,
    LONGER_WHILE_REPLACED,
    MODEL,
    PREVIOUS,
    PROVENANCE,
    UNFINISHED,
)
from tamis.wording import join_first


def check_path(folder: Path) -> None:
    """Check that a run directory can be created at a path; raise a `RequestError` otherwise."""
    if not os.path.realpath(folder).strip(os.sep):
        raise RequestError(f"{folder} cannot be a run directory; choose another folder")
    check_writable(folder, "choose another folder", longer=LONGER_WHILE_REPLACED)
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file; choose another folder")


def check_output(folder: Path, *, overwrite: bool) -> None:
    """Check that a run can be written to a folder without losing anything there.

    Raises:
        RequestError: the folder holds a run and may not be replaced, holds files that tamis did not write, or
            cannot be created.
    """
    check_path(folder)
    folder = folder.resolve()
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    foreign = [*sorted(names - ENTRIES), *_foreign_inside(folder)]
    if foreign:
        raise RequestError(
            f"{folder} holds files that do not belong to a run ({join_first(foreign, 5)}); move them, or choose "
            "another folder"
        )
    check_checkpoints(folder / CHECKPOINTS)
    if names - {CHECKPOINTS} and not overwrite:
        raise RequestError(
            f"{folder} holds a run already; choose another folder, or replace the run (--overwrite; in "
            "Python overwrite=True)"
        )


def _foreign_inside(folder: Path) -> list[str]:
    """Return the files in folders of a finished run that tamis did not write, and its export for an FPGA."""
    try:
        outputs = {*json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))["outputs"]}
    except (OSError, ValueError, KeyError, TypeError):
        return []  # no run yet, not finished, or damaged: replaced as it is
    written = outputs | {f"{MODEL}/{name}" for name in (*DERIVED, MANIFEST)}
    inside = (path for name in (MODEL, FIGURES, FPGA) for path in sorted((folder / name).rglob("*")))
    names = [path.relative_to(folder).as_posix() for path in inside if path.is_symlink() or not path.is_dir()]
    return [name for name in names if name not in written and not Path(name).name.startswith(".")]


@contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Hold the lock of a run directory, and clean up after a process that was killed.

    The parent folders are created; those that are still empty at the end are removed. The lock file is beside the
    run directory, which may not exist yet and is replaced as a whole.

    Raises:
        RequestError: another process holds the lock.
        TamisError: files of a killed process cannot be removed.
    """
    resolved = folder.resolve()
    path = resolved.with_name(LOCK.format(name=resolved.name))
    busy = f"{folder} is being written by {{}}; wait until it ends, or write to another folder"
    with folders_for(folder), locked(path, busy=busy):
        _recover(resolved)
        yield


def _recover(folder: Path) -> None:
    """Restore a run directory that a killed process had moved away, and remove its unfinished files."""
    unfinished, previous = (
        re.compile(
            re.escape(name).replace(r"\{key\}", "[0-9a-f]{32}").replace(r"\{name\}", re.escape(folder.name))
        )
        for name in (UNFINISHED, PREVIOUS)
    )
    for path in sorted(folder.parent.iterdir()):
        if previous.fullmatch(path.name) and not folder.exists():
            path.rename(folder)
        elif previous.fullmatch(path.name) or unfinished.fullmatch(path.name):
            try:
                shutil.rmtree(path)
            except OSError as error:
                raise TamisError(
                    f"{path} was left by a killed process and cannot be removed ({error.strerror or error}); remove "
                    "it yourself"
                ) from error
