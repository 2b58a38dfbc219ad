"""Open files: read the schemas of all of them before the first event, and explain errors of the reading libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import ModuleType
from typing import TypeVar

from tamis.data import parquet_files, root_files
from tamis.data.parquet_files import is_parquet
from tamis.data.schema import BranchType, FileSchema, SourceFile
from tamis.data.signature import find_signature_problem, resolve_local_path
from tamis.errors import InputError, Problem

_Result = TypeVar("_Result")

_NAMING = "`tree: NAME` in the sample"
_FILES_AT_ONCE = 1000  # bounds the schemas that wait for their turn


def scan_files(
    sources: Sequence[SourceFile], tree: str | Sequence[str] | None = None, *, naming: str = _NAMING
) -> list[FileSchema]:
    """Read the schema of every file of a sample: its trees, number of entries and types of branches.

    `tree` is a name, names and globs of several, or None if each file has exactly one; messages say how the user
    selects one (`naming`). An `InputError` has a problem for each file that cannot be used.
    """
    schemas, problems = scan_usable_files(sources, tree, naming=naming)
    if problems:
        raise InputError("input files", problems)
    return schemas


def scan_usable_files(
    sources: Sequence[SourceFile], tree: str | Sequence[str] | None = None, *, naming: str = _NAMING
) -> tuple[list[FileSchema], list[Problem]]:
    """Read the schemas as `scan_files` does, and return those of the usable files and the problems of the others."""
    schemas: list[FileSchema] = []
    problems: list[Problem] = []
    # files with the same branches share one mapping: there may be a million files of a thousand branches
    known: dict[tuple[tuple[str, BranchType], ...], Mapping[str, BranchType]] = {}
    # threads, more than cores: opening a file mostly waits for the disk or the network
    with ThreadPoolExecutor(max_workers=8) as pool:
        for start in range(0, len(sources), _FILES_AT_ONCE):
            for scanned in pool.map(
                lambda source: _scan(source, tree, naming), sources[start : start + _FILES_AT_ONCE]
            ):
                if isinstance(scanned, Problem):
                    problems.append(scanned)
                    continue
                for schema in scanned:
                    branches = known.setdefault(tuple(schema.branches.items()), schema.branches)
                    schemas.append(replace(schema, branches=branches))
    return schemas, problems


def _scan(source: SourceFile, tree: str | Sequence[str] | None, naming: str) -> list[FileSchema] | Problem:
    def scan() -> list[FileSchema] | Problem:
        # a truncated file may still hold the branches in use, so its end is checked
        path = resolve_local_path(source.path)
        problem = "" if path is None else find_signature_problem(path, parquet=is_parquet(source))
        if problem:
            return Problem(source.path, problem)
        schemas: list[FileSchema] = get_reader(source).scan(source, tree, naming)
        return schemas

    try:
        return read_with_context(source, scan)
    except InputError as error:
        return error.problems[0]


def get_reader(source: SourceFile) -> ModuleType:
    """Return the module that reads a file, with the functions `scan`, `iterate` and `read_range`."""
    return parquet_files if is_parquet(source) else root_files


def read_with_context(
    source: SourceFile, work: Callable[[], _Result], describe_position: Callable[[], str] = str
) -> _Result:
    """Call a reader; any error becomes an `InputError` that names the file and the position in it."""
    try:
        return work()
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise anything inside the reading libraries
        raise _unreadable(source, error, describe_position()) from error


def _unreadable(source: SourceFile, error: Exception, entries: str = "") -> InputError:
    if isinstance(error, FileNotFoundError):
        what = "address" if "://" in source.path else "path"
        return InputError("input files", [Problem(source.path, f"file does not exist; check the {what}")])
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    # the message starts with the path; without it, files with the same damage have the same reason and are grouped
    reason = reason.replace(source.path, "the file")
    advice = "check that it is a complete ROOT or Parquet file, or copy or produce it again"
    if "://" in source.path:
        advice = "check the address, the connection, and that it is a ROOT or Parquet file"
    if isinstance(error, ImportError):
        advice = 'for URLs, run `pip install "tamis[remote]"`'
    elif isinstance(error, PermissionError):
        advice = "check the path and its permissions"
    where = f"{source.path}{entries}"
    return InputError("input files", [Problem(where, f"cannot be read ({reason[:300]}); {advice}")])
