"""From files to chunks of named columns, so that memory does not grow with the files."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from tamis.data import parquet_files, root_files
from tamis.data.parquet_files import is_parquet
from tamis.data.schema import FileSchema, SourceFile
from tamis.data.unreadable import reading
from tamis.errors import InputError, Problem

CHUNK_VALUES = 2**23
"""Number of values (rows times branches) that one chunk holds at most: 64 MiB of 8-byte numbers."""

_VALUES_OF_A_LIST = 16


@dataclass(frozen=True)
class Chunk:
    """Consecutive entries of one file.

    Args:
        source: the file.
        first_entry: entry number of the first row.
        length: number of rows.
        columns: one array per branch: NumPy for scalars, awkward for jagged branches.
        identity: what the identities of its events begin with.
    """

    source: SourceFile
    first_entry: int
    length: int
    columns: Mapping[str, Any]
    identity: str = ""


def rows_per_chunk(branches: int) -> int:
    """Give the number of rows of a chunk that holds this many branches.

    >>> rows_per_chunk(20)
    419430
    """
    return max(10_000, CHUNK_VALUES // max(branches, 1))


def read_chunks(schema: FileSchema, branches: Iterable[str], rows: int | None = None) -> Iterator[Chunk]:
    """Stream the branches of one file in chunks of rows.

    Args:
        schema: the file, as scanned.
        branches: names of the branches to read; with none, the chunks have a length only.
        rows: rows per chunk; by default as many as the memory budget allows.

    Raises:
        InputError: the file is damaged, or holds fewer entries than it says.
    """
    names = sorted(set(branches))
    # a list of numbers counts as several values: how many is known only when it is read
    lists = sum(1 for name in names if name in schema.branches and schema.branches[name].kind != "scalar")
    values = len(names) + (_VALUES_OF_A_LIST - 1) * lists
    rows = rows or rows_per_chunk(values)
    reader = parquet_files.iterate if is_parquet(schema.source) else root_files.iterate
    first = 0
    if schema.entries and names:
        chunks = reader(schema, names, rows)
        while (
            columns := reading(
                schema.source,
                lambda: next(chunks, None),
                partial(_damaged_place, schema, names, first, first + rows),
            )
        ) is not None:
            length = len(columns[names[0]])
            yield Chunk(schema.source, first, length, columns, schema.identity)
            first += length
    elif not names:
        for first in range(0, schema.entries, rows):
            yield Chunk(schema.source, first, min(rows, schema.entries - first), {}, schema.identity)
        return
    if first != schema.entries:
        message = f"holds {first} readable entries of {schema.entries}; the file is damaged"
        raise InputError("input files", [Problem(schema.where, message)])


def read_range(schema: FileSchema, branches: Iterable[str], start: int, stop: int) -> Chunk:
    """Read some consecutive entries of one file.

    Args:
        schema: the file, as scanned.
        branches: names of the branches to read.
        start: the first entry.
        stop: the entry behind the last one, at most `schema.entries`.

    Raises:
        InputError: the file is damaged.
    """
    names = sorted(set(branches))
    reader = parquet_files.read_range if is_parquet(schema.source) else root_files.read_range
    place = partial(_damaged_place, schema, names, start, stop)
    columns = reading(schema.source, lambda: reader(schema, names, start, stop), place) if names else {}
    return Chunk(schema.source, start, stop - start, columns, schema.identity)


def read_ahead(chunks: Iterator[Chunk]) -> Generator[Chunk]:
    """Read the next chunk in a thread while this one is used."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(next, chunks, None)
        while (chunk := following.result()) is not None:
            following = thread.submit(next, chunks, None)
            yield chunk


def _damaged_place(schema: FileSchema, names: Sequence[str], start: int, stop: int) -> str:
    """Name the tree, and the branches that cannot be read alone either."""
    reader = parquet_files.read_range if is_parquet(schema.source) else root_files.read_range

    def unreadable(name: str) -> bool:
        try:
            reading(schema.source, lambda: reader(schema, [name], start, min(stop, schema.entries)))
        except InputError:
            return True
        return False

    bad = [repr(name) for name in names if unreadable(name)]
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    branches = f"{'branch' if len(bad) == 1 else 'branches'} {', '.join(bad[:3])}{more}" if bad else ""
    parts = [f"tree {schema.tree!r}" if schema.tree else "", branches]
    inside = ", ".join(part for part in parts if part)
    return f" after entry {start}{f' ({inside})' if inside else ''}"
