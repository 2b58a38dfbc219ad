"""The files to score, their shares, the names of their outputs, and the size of the chunks that are read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tamis.apply.outputs import FORMAT_NAME, SCORE_FILE_NAME, read_score_file
from tamis.data.parquet_files import is_parquet
from tamis.data.root_files import MissingTree
from tamis.data.scanning import scan_files, scan_usable_files
from tamis.data.schema import FileSchema, SourceFile
from tamis.data.signature import resolve_local_path
from tamis.data.sources import WILDCARD, find_matching_files
from tamis.errors import InputError, Problem, RequestError
from tamis.wording import join_first

_WITH_TREE = re.compile(r"(.+\.root):([^:/?#][^:?#]*)")
_SHARD = re.compile(r"(\d+)/(\d+)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
_UNITS = {"": None, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_DEFAULT_BYTES = 2**24  # large enough to hide the overhead of reading, small beside the memory of a job
_NUMBERS_OF_A_LIST = 16
_NAMING = "--tree NAME"


def find_inputs(patterns: Sequence[str]) -> tuple[SourceFile, ...]:
    """Find the files of paths, globs or URLs, in an order that does not depend on that of the patterns.

    A path that does not exist is included, and only this file will fail.

    Raises:
        RequestError: a glob matches nothing, a file is given twice, or a name is that of a folder or of a tree.
    """
    matches = sorted((path, pattern) for pattern in patterns for path in _matches(pattern))
    by_real_path: dict[str, tuple[str, str]] = {}
    for path, pattern in matches:
        real_path = path if "://" in path else os.path.realpath(path)
        if real_path in by_real_path:
            first, first_pattern = by_real_path[real_path]
            if first != path:
                raise RequestError(f"{path} is the same file as {first}; give it once")
            also = (
                f"by {first_pattern!r} and by {pattern!r}" if first_pattern != pattern else f"by {pattern!r}"
            )
            raise RequestError(f"file {path} is given twice, {also}; give it once")
        by_real_path[real_path] = path, pattern
    return tuple(SourceFile("", path, path) for path, _ in matches)


def _matches(pattern: str) -> list[str]:
    local = resolve_local_path(pattern)
    if local is None:
        _check_no_tree(pattern)
        return [pattern]
    path = Path(os.path.normpath(local.expanduser().absolute()))
    if path.is_dir():
        raise RequestError(f"{pattern} is a folder; give its files, such as '{pattern.rstrip('/')}/*.root'")
    if path.exists() or not WILDCARD.search(pattern):
        if not path.exists():
            _check_no_tree(pattern)
        return [str(path)]
    files = find_matching_files(path)
    if not files:
        raise RequestError(f"no file matches {pattern!r}; check the pattern")
    return files


def _check_no_tree(pattern: str) -> None:
    """Check that a pattern is not `file.root:tree`, the notation of uproot."""
    match = _WITH_TREE.fullmatch(pattern)
    if match is not None:
        raise RequestError(
            f"{pattern!r} names a file and a tree; give the file {match.group(1)!r} and --tree {match.group(2)}"
        )


def build_output_names(sources: Sequence[SourceFile], endings: Sequence[str]) -> tuple[PurePosixPath, ...]:
    """Name the output of each file by its last path component, or by as many as make all names different.

    The names depend on the full list of files, so that they are the same in every share. The endings replace `.root` or
    `.parquet`.

    Raises:
        RequestError: two outputs would have the same name.

    >>> files = [SourceFile("", path, path) for path in ("/data/0000/a.root", "/data/0001/a.root")]
    >>> [str(name) for name in build_output_names(files, [".scores.root"] * 2)]
    ['0000/a.scores.root', '0001/a.scores.root']
    """
    parts = [_parts(source.path) for source in sources]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = [
            "/".join(path_parts[-depth:]) + ending for path_parts, ending in zip(parts, endings, strict=True)
        ]
        if len(set(names)) == len(names):
            return tuple(map(PurePosixPath, names))
    raise RequestError(
        "two files differ only in their extension or in special characters; score them in two calls, each with "
        "its own --output"
    )


def exclude_score_files(
    sources: Sequence[SourceFile], outputs_of: Callable[[Sequence[SourceFile]], Iterable[Path]]
) -> tuple[tuple[SourceFile, ...], tuple[str, ...]]:
    """Exclude score files, and copies with scores that are outputs (`outputs_of`) of other files of the list; note it.

    A glob matches them if the outputs are in the folder of the inputs. A `RequestError` if no file is left.
    """
    inputs = [source for source in sources if not _is_score_file(source, include_copies=False)]
    outputs = {os.path.realpath(path) for path in outputs_of(inputs)}
    inputs = [
        source
        for source in inputs
        if os.path.realpath(source.path) not in outputs or not _is_score_file(source, include_copies=True)
    ]
    excluded = [source.path for source in sources if source not in inputs]
    if not excluded:
        return tuple(sources), ()
    if not inputs:
        raise RequestError(f"{excluded[0]} holds scores, not events; give the files of the events")
    return tuple(inputs), (f"skipped files that hold scores, not events: {join_first(excluded, 1)}",)


def _is_score_file(source: SourceFile, *, include_copies: bool) -> bool:
    """Return whether tamis wrote a file; only files with the name of an output are opened."""
    match = SCORE_FILE_NAME.fullmatch(source.path)
    if match is None or "://" in source.path or (match.group(1).lower() != "scores" and not include_copies):
        return False
    try:
        score_file = read_score_file(Path(source.path))
    except InputError:
        return False  # reported when it is scored
    return score_file is not None and score_file.metadata.get("format") == FORMAT_NAME


def _parts(path: str) -> list[str]:
    plain = path.split("?")[0] if "://" in path else path
    *folders, name = [part for part in plain.split("/") if part not in ("", ".", "..")]
    for suffix in (".root", ".parquet", ".pq"):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    return [re.sub(r"[^\w.+=@ -]", "_", part) for part in (*folders, name)]


@dataclass(frozen=True)
class Shard:
    """One of several shares of the files: its number, counted from 0, and the number of shares."""

    number: int
    of: int


def parse_shard(text: str) -> Shard:
    """Read `i/N`, or raise a `RequestError`.

    >>> parse_shard("0/10")
    Shard(number=0, of=10)
    """
    match = _SHARD.fullmatch(text.strip())
    if match is None or not int(match.group(1)) < int(match.group(2)):
        raise RequestError(f"--shard is {text!r}; expected i/N with i from 0 to N - 1, such as 0/10 to 9/10")
    return Shard(int(match.group(1)), int(match.group(2)))


def scan_input(source: SourceFile, tree: str | Sequence[str] | None, *, only: bool) -> FileSchema:
    """Read the schema of a file.

    In a ROOT file the tree is that of this name, or the only one that matches names and globs. Without `only`,
    the only tree of a file is read, whatever its name.
    """
    if is_parquet(source):
        return scan_files([source], tree if only else None)[0]
    if only or tree is None:
        return _one_tree(scan_files([source], tree, naming=_NAMING))
    schemas, problems = scan_usable_files([source], tree)
    if not problems:
        return _one_tree(schemas)
    if isinstance(problems[0], MissingTree):
        return scan_files([source], naming=_NAMING)[0]
    raise InputError("input files", problems)


def _one_tree(schemas: Sequence[FileSchema]) -> FileSchema:
    """Return the only tree; raise an `InputError` if there are several, because each needs its own score file."""
    if len(schemas) > 1:
        names = join_first([repr(schema.tree) for schema in schemas], 12)
        message = f"the file holds several trees, {names}; score them one at a time with {_NAMING}"
        raise InputError("input files", [Problem(schemas[0].source.path, message)])
    return schemas[0]


@dataclass(frozen=True)
class ChunkSize:
    """The size of a chunk of a file: a number of entries, or the bytes of the branches that are read."""

    rows: int | None = None
    bytes: int | None = None

    def rows_of(self, schema: FileSchema, branches: Iterable[str]) -> int:
        """Return the number of entries of a chunk, with sixteen numbers assumed for a list."""
        if self.rows is not None:
            return self.rows
        width = 0
        for kind in (schema.branches[name] for name in branches if name in schema.branches):
            size = np.dtype(kind.number).itemsize if kind.number else 8
            width += size if kind.kind == "scalar" else size * _NUMBERS_OF_A_LIST
        return max(1, (self.bytes or _DEFAULT_BYTES) // max(width, 1))


def parse_chunk(text: str) -> ChunkSize:
    """Read a number of entries, or of bytes with a unit, or raise a `RequestError`.

    >>> parse_chunk("100000"), parse_chunk("16 MB")
    (ChunkSize(rows=100000, bytes=None), ChunkSize(rows=None, bytes=16000000))
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None or match.group(2) not in _UNITS or not float(match.group(1)) >= 1:
        raise RequestError(f"--chunk is {text!r}; expected a number of entries, or of bytes such as 16MB")
    unit = _UNITS[match.group(2)]
    number = float(match.group(1))
    return ChunkSize(rows=int(number)) if unit is None else ChunkSize(bytes=int(number * unit))
