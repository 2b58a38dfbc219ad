"""Which files are scored, in which share of the work, and what their outputs are called."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tamis.data.chunks import Chunk
from tamis.data.parquet_files import is_parquet
from tamis.data.scanning import scan_files
from tamis.data.schema import BranchType, FileSchema, SourceFile
from tamis.data.signature import local_path
from tamis.errors import InputError, Problem, RequestError

_WILD = re.compile(r"[*?\[]")
_WITH_TREE = re.compile(r"(.+\.root):([^:/?#][^:?#]*)")
_SHARD = re.compile(r"(\d+)/(\d+)")


def find_inputs(patterns: Sequence[str]) -> tuple[SourceFile, ...]:
    """Find the files, in an order that does not depend on that of the patterns.

    Args:
        patterns: paths, globs or URLs; a path that does not exist is kept, and is an error of this file alone.

    Raises:
        RequestError: a glob matches nothing, a file is named twice, or a name is that of a folder or of a tree.
    """
    named = sorted((path, pattern) for pattern in patterns for path in _matches(pattern))
    seen: dict[str, tuple[str, str]] = {}
    for path, pattern in named:
        place = path if "://" in path else os.path.realpath(path)
        if place in seen:
            raise RequestError(_twice(seen[place], (path, pattern)))
        seen[place] = path, pattern
    return tuple(SourceFile("", path, path) for path, _ in named)


def _twice(first: tuple[str, str], second: tuple[str, str]) -> str:
    """Say that a file is given twice, by which words."""
    if first[0] != second[0]:
        return f"{second[0]} is the same file as {first[0]}; give it once"
    words = f"by {first[1]!r} and by {second[1]!r}" if first[1] != second[1] else f"by {first[1]!r}"
    return f"file {first[0]} is given twice, {words}; give it once"


def _matches(pattern: str) -> list[str]:
    local = local_path(pattern)
    if local is None:
        _check_no_tree(pattern)
        return [pattern]
    path = Path(os.path.normpath(local.expanduser().absolute()))
    if path.is_dir():
        raise RequestError(f"{pattern} is a folder; give its files, such as '{pattern.rstrip('/')}/*.root'")
    if path.exists() or not _WILD.search(pattern):
        if not path.exists():
            _check_no_tree(pattern)
        return [str(path)]
    found = [
        str(each) for each in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if each.is_file()
    ]
    if not found:
        raise RequestError(f"no file matches {pattern!r}")
    return found


def _check_no_tree(pattern: str) -> None:
    """Refuse `file.root:tree`, the spelling of other tools.

    Raises:
        RequestError: with the words that say it here.
    """
    match = _WITH_TREE.fullmatch(pattern)
    if match is not None:
        raise RequestError(
            f"{pattern!r} names a file and a tree; give the file {match.group(1)!r} and --tree {match.group(2)}"
        )


def output_names(sources: Sequence[SourceFile], endings: Sequence[str]) -> tuple[PurePosixPath, ...]:
    """Name the output of each file: by its last part, or by as many parts as it takes for all names to differ.

    The names follow from the whole list, never from a share of it.

    Args:
        sources: all files.
        endings: what takes the place of `.root` or `.parquet` in the name of each.

    Raises:
        RequestError: two files cannot be told apart.

    >>> files = [SourceFile("", path, path) for path in ("/data/0000/a.root", "/data/0001/a.root")]
    >>> [str(name) for name in output_names(files, [".scores.root"] * 2)]
    ['0000/a.scores.root', '0001/a.scores.root']
    """
    parts = [_parts(source.path) for source in sources]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(each[-depth:]) + ending for each, ending in zip(parts, endings, strict=True)]
        if len(set(names)) == len(names):
            return tuple(map(PurePosixPath, names))
    raise RequestError(
        "two files differ in their ending or in special characters alone; score them in two calls, with "
        "another --output each"
    )


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
    """One of several shares of the files.

    Args:
        number: which one, counted from 0.
        of: how many there are.
    """

    number: int
    of: int


def parse_shard(text: str) -> Shard:
    """Read `i/N`.

    Raises:
        RequestError: it is no share.

    >>> parse_shard("0/10")
    Shard(number=0, of=10)
    """
    match = _SHARD.fullmatch(text.strip())
    if match is None or not int(match.group(1)) < int(match.group(2)):
        raise RequestError(f"--shard is {text!r}; expected i/N with i from 0 to N - 1, such as 0/10 to 9/10")
    return Shard(int(match.group(1)), int(match.group(2)))


_NAMING = "--tree NAME"


def scan_input(source: SourceFile, tree: str | Sequence[str] | None, *, only: bool) -> FileSchema:
    """Look into a file.

    Args:
        source: the file.
        tree: the tree that is wanted in a ROOT file, or names and globs of which one may match.
        only: whether no other tree will do; else a file's only tree is taken whatever its name.

    Raises:
        InputError: the file cannot be used.
    """
    if is_parquet(source):
        return scan_files([source], tree if only else None)[0]
    if only or tree is None:
        return _one_tree(scan_files([source], tree, naming=_NAMING))
    try:
        return _one_tree(scan_files([source], tree))
    except InputError as error:
        if "is missing; the file holds" not in str(error) and "no tree matches" not in str(error):
            raise
        return scan_files([source], naming=_NAMING)[0]


def _one_tree(schemas: Sequence[FileSchema]) -> FileSchema:
    """Return the only tree; every tree has a file of scores of its own.

    Raises:
        InputError: there are several.
    """
    if len(schemas) > 1:
        names = ", ".join(repr(schema.tree) for schema in schemas[:12])
        more = f" and {len(schemas) - 12} more" if len(schemas) > 12 else ""
        message = (
            f"the file holds several trees to score, {names}{more}; score one after the other with {_NAMING}"
        )
        raise InputError("input files", [Problem(schemas[0].source.path, message)])
    return schemas[0]


@dataclass
class Ends:
    """Hashes of the first and the last event that went by: the branches by name, and their values.

    Args:
        branches: what is hashed.
        first: hash of the first event, empty where there is none.
        last: hash of the last event.
    """

    branches: frozenset[str]
    first: str = ""
    last: str = ""

    def watch(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Hand chunks on, and remember the ends."""
        for chunk in chunks:
            self.first = self.first or self.hash(chunk, 0)
            self.last = self.hash(chunk, chunk.length - 1)
            yield chunk

    def hash(self, chunk: Chunk, row: int) -> str:
        """Hash one event; the type of a number does not matter, its value does."""
        values = [[name, _plain(chunk.columns[name][row])] for name in sorted(self.branches)]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Spell numbers in one way: a column is of integers in one chunk, and of floats where another holds a null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return float(value) if isinstance(value, int) and abs(value) <= _EXACT else value


_EXACT = 2**53
"""Whole numbers up to it are the same in floats of 64 bits."""


@dataclass(frozen=True)
class ChunkSize:
    """How much of a file is read at a time; one of both.

    Args:
        rows: number of entries.
        bytes: of the branches that are read.
    """

    rows: int | None = None
    bytes: int | None = None

    def rows_of(self, schema: FileSchema, branches: Iterable[str]) -> int:
        """Give the number of entries of a chunk; a list of numbers counts as sixteen."""
        if self.rows is not None:
            return self.rows
        width = sum(_bytes(schema.branches[name]) for name in branches if name in schema.branches)
        return max(1, (self.bytes or DEFAULT_BYTES) // max(width, 1))


DEFAULT_BYTES = 2**24
_UNITS = {"": None, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
_NUMBERS_OF_A_LIST = 16


def _bytes(kind: BranchType) -> int:
    one = np.dtype(kind.number).itemsize if kind.number else 8
    return one if kind.kind == "scalar" else one * _NUMBERS_OF_A_LIST


def parse_chunk(text: str) -> ChunkSize:
    """Read a number of entries, or of bytes with a unit.

    Raises:
        RequestError: it is neither.

    >>> parse_chunk("100000"), parse_chunk("16 MB")
    (ChunkSize(rows=100000, bytes=None), ChunkSize(rows=None, bytes=16000000))
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None or match.group(2) not in _UNITS or not float(match.group(1)) >= 1:
        raise RequestError(f"--chunk is {text!r}; expected a number of entries, or of bytes such as 16MB")
    unit = _UNITS[match.group(2)]
    number = float(match.group(1))
    return ChunkSize(rows=int(number)) if unit is None else ChunkSize(bytes=int(number * unit))
