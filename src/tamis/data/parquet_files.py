"""Parquet files, as pyarrow reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from tamis.data.arrow import without_nulls
from tamis.data.schema import BranchType, FileSchema, SourceFile
from tamis.errors import InputError, Problem

_PARQUET = (".parquet", ".pq")


def is_parquet(source: SourceFile) -> bool:
    """Tell whether a file is read as Parquet: its name says so."""
    return source.path.lower().endswith(_PARQUET)


def scan(source: SourceFile, tree: str | Sequence[str] | None) -> FileSchema:
    """Find the rows of a file and the types of its columns.

    Raises:
        InputError: a tree is asked for.
    """
    if tree is not None:
        message = (
            f"a Parquet file holds one table and no tree {tree!r}; leave the tree out (in a sample: `tree`), or read "
            "Parquet and ROOT files apart"
        )
        raise InputError("input files", [Problem(source.path, message)])
    with _opened(source) as file:
        schema = file.schema_arrow
        branches = {name: _arrow_type(schema.field(name).type) for name in schema.names}
        return FileSchema(source, "", int(file.metadata.num_rows), branches)


@contextmanager
def _opened(source: SourceFile) -> Iterator[Any]:
    import pyarrow.parquet

    with ExitStack() as stack:
        place: Any = source.path
        if "://" in source.path:
            import fsspec

            place = stack.enter_context(fsspec.open(source.path, "rb"))
        # what was written without checksums is read without them
        yield stack.enter_context(pyarrow.parquet.ParquetFile(place, page_checksum_verification=True))


def _arrow_type(kind: Any) -> BranchType:
    import pyarrow.types as types

    found = str(kind)
    plain = {"double": "float64", "float": "float32", "halffloat": "float16", "bool": "bool"}
    if types.is_list(kind) or types.is_large_list(kind):
        inner = _arrow_type(kind.value_type)
        return BranchType("jagged" if inner.kind == "scalar" else "other", inner.number, found)
    if types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind):
        return BranchType("scalar", plain.get(found, found), found)
    return BranchType("other", "", found)


def iterate(schema: FileSchema, names: Sequence[str], rows: int) -> Iterator[dict[str, Any]]:
    """Stream columns in chunks of rows."""
    with _opened(schema.source) as file:
        for batch in file.iter_batches(batch_size=rows, columns=list(names)):
            yield _without_nulls(schema, batch, names)


def _without_nulls(schema: FileSchema, table: Any, names: Sequence[str]) -> dict[str, Any]:
    return {
        name: without_nulls(table.column(name), schema.branches[name], f"{schema.where}: branch {name!r}")
        for name in names
    }


def read_range(schema: FileSchema, names: Sequence[str], start: int, stop: int) -> dict[str, Any]:
    """Read the entries from `start` to before `stop`."""
    with _opened(schema.source) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        ends = np.cumsum(sizes)
        groups = [number for number, end in enumerate(ends) if end > start and end - sizes[number] < stop]
        table = file.read_row_groups(groups, columns=list(names))
        skipped = int(ends[groups[0]]) - sizes[groups[0]]
        part = table.slice(start - skipped, stop - start)
        return _without_nulls(schema, part, names)
