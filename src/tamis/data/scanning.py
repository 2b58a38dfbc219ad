"""Look into all files before the first event is read, and tell every problem at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tamis.data import parquet_files, root_files
from tamis.data.parquet_files import is_parquet
from tamis.data.schema import BranchType, FileSchema, SourceFile
from tamis.data.signature import local_path, signature_problem
from tamis.data.unreadable import reading
from tamis.errors import InputError, Problem

NAMING = "`tree: NAME` in the sample"
"""How a configuration says which tree of a file is meant."""

_FILES_AT_ONCE = 1000


def scan_files(
    sources: Sequence[SourceFile], tree: str | Sequence[str] | None = None, *, naming: str = NAMING
) -> list[FileSchema]:
    """Read the schema of every file: its trees, number of entries and types of branches.

    Args:
        sources: files of one sample.
        tree: name of the tree, names and globs of several, or None where each file holds exactly one.
        naming: how the user says which tree is meant.

    Raises:
        InputError: with one problem for each file that cannot be used.
    """
    schemas, problems = scan_usable_files(sources, tree, naming=naming)
    if problems:
        raise InputError("input files", problems)
    return schemas


def scan_usable_files(
    sources: Sequence[SourceFile], tree: str | Sequence[str] | None = None, *, naming: str = NAMING
) -> tuple[list[FileSchema], list[Problem]]:
    """Look into every file as `scan_files` does, and give the problems beside what could be looked into."""
    schemas: list[FileSchema] = []
    problems: list[Problem] = []
    # files of one kind share what is kept of their branches: a million of them may have a thousand each
    known: dict[tuple[tuple[str, BranchType], ...], Mapping[str, BranchType]] = {}
    with ThreadPoolExecutor(max_workers=8) as pool:
        for start in range(0, len(sources), _FILES_AT_ONCE):
            for found in pool.map(
                lambda source: _scan(source, tree, naming), sources[start : start + _FILES_AT_ONCE]
            ):
                if isinstance(found, Problem):
                    problems.append(found)
                    continue
                for schema in found:
                    branches = known.setdefault(tuple(schema.branches.items()), schema.branches)
                    schemas.append(replace(schema, branches=branches))
    return schemas, problems


def _scan(
    source: SourceFile, tree: str | Sequence[str] | None, naming: str
) -> Sequence[FileSchema] | Problem:
    def look() -> Sequence[FileSchema]:
        _check_signature(source)
        if is_parquet(source):
            return [parquet_files.scan(source, tree)]
        return root_files.scan(source, tree, naming)

    try:
        return reading(source, look)
    except InputError as error:
        return error.problems[0]


def _check_signature(source: SourceFile) -> None:
    """Refuse what is no file of its kind, or was cut: the branches that are used may be whole by chance."""
    path = local_path(source.path)
    problem = "" if path is None else signature_problem(path, parquet=is_parquet(source))
    if problem:
        raise InputError("input files", [Problem(source.path, problem)])
