"""Files in chunks of named columns, so that memory does not grow with the files."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tamis.arrays import Int64
from tamis.data.scanning import get_reader, read_with_context
from tamis.data.schema import FileSchema, SourceFile
from tamis.errors import InputError, Problem
from tamis.wording import join_first

CHUNK_VALUES = 2**23
"""Maximum number of values (rows times branches) of a chunk: 64 MiB of 8-byte numbers."""

_VALUES_OF_A_LIST = 16  # assumed mean length of a list


@dataclass(frozen=True)
class Chunk:
    """Consecutive entries of one file: an array for each branch, NumPy for scalars, awkward for jagged branches.

    Event IDs are computed from the `file_key` of file and tree.
    """

    source: SourceFile
    first_entry: int
    length: int
    columns: Mapping[str, Any]
    file_key: str = ""

    @property
    def entries(self) -> Int64:
        """Entry number of each row."""
        return np.arange(self.first_entry, self.first_entry + self.length)


def compute_rows_per_chunk(branches: int) -> int:
    """Return the number of rows of a chunk with this number of branches.

    >>> compute_rows_per_chunk(20)
    419430
    """
    return max(10_000, CHUNK_VALUES // max(branches, 1))


def read_chunks(schema: FileSchema, branches: Iterable[str], rows: int | None = None) -> Iterator[Chunk]:
    """Stream the branches of one file in chunks of rows, by default as many rows as the memory budget allows.

    Without branches, the chunks only have a length. A damaged file raises an `InputError`.
    """
    names = sorted(set(branches))
    # a list counts as several values; its length is only known after reading
    lists = sum(1 for name in names if name in schema.branches and schema.branches[name].kind != "scalar")
    values = len(names) + (_VALUES_OF_A_LIST - 1) * lists
    rows = rows or compute_rows_per_chunk(values)
    if not names:
        for first in range(0, schema.entries, rows):
            yield Chunk(schema.source, first, min(rows, schema.entries - first), {}, schema.file_key)
        return
    chunks = get_reader(schema.source).iterate(schema, names, rows) if schema.entries else iter(())
    first = 0
    while (
        columns := read_with_context(
            schema.source,
            lambda: next(chunks, None),
            partial(_describe_damage, schema, names, first, first + rows),
        )
    ) is not None:
        length = len(columns[names[0]])
        yield Chunk(schema.source, first, length, columns, schema.file_key)
        first += length
    if first != schema.entries:
        message = f"holds {first} readable entries of {schema.entries}; the file is damaged"
        raise InputError("input files", [Problem(schema.where, message)])


def read_range(schema: FileSchema, branches: Iterable[str], start: int, stop: int) -> Chunk:
    """Read the entries from `start` to before `stop`, which is at most `schema.entries`, if the file is not damaged."""
    names = sorted(set(branches))
    columns: Mapping[str, Any] = {}
    if names:
        columns = read_with_context(
            schema.source,
            partial(get_reader(schema.source).read_range, schema, names, start, stop),
            partial(_describe_damage, schema, names, start, stop),
        )
    return Chunk(schema.source, start, stop - start, columns, schema.file_key)


def read_ahead(chunks: Iterator[Chunk]) -> Generator[Chunk]:
    """Read the next chunk in a thread while the current one is used."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(next, chunks, None)
        while (chunk := following.result()) is not None:
            following = thread.submit(next, chunks, None)
            yield chunk


def _describe_damage(schema: FileSchema, names: Sequence[str], start: int, stop: int) -> str:
    """Describe where a file is damaged: the tree, and the branches that cannot be read individually."""
    read = get_reader(schema.source).read_range

    def is_unreadable(name: str) -> bool:
        try:
            read_with_context(schema.source, partial(read, schema, [name], start, min(stop, schema.entries)))
        except InputError:
            return True
        return False

    bad = [repr(name) for name in names if is_unreadable(name)]
    branches = f"{'branch' if len(bad) == 1 else 'branches'} {join_first(bad, 3)}" if bad else ""
    parts = [f"tree {schema.tree!r}" if schema.tree else "", branches]
    inside = ", ".join(part for part in parts if part)
    return f" after entry {start}{f' ({inside})' if inside else ''}"
