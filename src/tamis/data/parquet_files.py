"""Parquet files and Arrow columns, as pyarrow reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from tamis.data.schema import BranchType, FileSchema, SourceFile
from tamis.errors import InputError, Problem

_PARQUET = (".parquet", ".pq")
_EXACT = 2**53  # integers up to this number are exact as 64-bit floats


def is_parquet(source: SourceFile) -> bool:
    """Return whether a file is read as Parquet, by its extension."""
    return source.path.lower().endswith(_PARQUET)


def scan(source: SourceFile, trees: str | Sequence[str] | None, _naming: str) -> list[FileSchema]:
    """Read the schema of a file; raise an `InputError` if a tree is given, which Parquet files do not have."""
    if trees is not None:
        message = (
            f"a Parquet file has no trees, but tree {trees!r} was chosen; remove the tree (in a sample: `tree`), or "
            "use separate samples for Parquet and ROOT files"
        )
        raise InputError("input files", [Problem(source.path, message)])
    with _opened(source) as file:
        schema = file.schema_arrow
        branches = {name: _arrow_type(schema.field(name).type) for name in schema.names}
        return [FileSchema(source, "", int(file.metadata.num_rows), branches)]


@contextmanager
def _opened(source: SourceFile) -> Iterator[Any]:
    import pyarrow.parquet

    with ExitStack() as stack:
        file: Any = source.path
        if "://" in source.path:
            import fsspec

            file = stack.enter_context(fsspec.open(source.path, "rb"))
        # a page without a checksum is read, too
        yield stack.enter_context(pyarrow.parquet.ParquetFile(file, page_checksum_verification=True))


def _arrow_type(kind: Any) -> BranchType:
    import pyarrow.types as types

    name = str(kind)
    plain = {"double": "float64", "float": "float32", "halffloat": "float16", "bool": "bool"}
    if types.is_list(kind) or types.is_large_list(kind):
        inner = _arrow_type(kind.value_type)
        return BranchType("jagged" if inner.kind == "scalar" else "other", inner.number, name)
    if types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind):
        return BranchType("scalar", plain.get(name, name), name)
    return BranchType("other", "", name)


def iterate(schema: FileSchema, names: Sequence[str], rows: int) -> Iterator[dict[str, Any]]:
    """Stream columns in chunks of rows."""
    with _opened(schema.source) as file:
        for batch in file.iter_batches(batch_size=rows, columns=list(names)):
            yield _without_nulls(schema, batch, names)


def _without_nulls(schema: FileSchema, table: Any, names: Sequence[str]) -> dict[str, Any]:
    return {
        name: _replace_nulls(table.column(name), schema.branches[name], f"{schema.where}: branch {name!r}")
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
        return _without_nulls(schema, table.slice(start - skipped, stop - start), names)


def convert_arrow(column: Any) -> Any:
    """Convert a column to an awkward array, with None for nulls.

    The column is copied first: awkward (2.14) reads the values of a slice from its start, but the null mask from the
    start of the sliced array.

    >>> import pyarrow as pa
    >>> convert_arrow(pa.array([1.5, 2.5, None]).slice(1)).to_list()
    [2.5, None]
    """
    import awkward
    import pyarrow as pa

    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return awkward.from_arrow(pa.concat_arrays(chunks) if chunks else pa.array([], column.type))


def _replace_nulls(column: Any, kind: BranchType, where: str) -> Any:
    """Convert a column to a NumPy or awkward array, with NaN for nulls, if 64-bit floats represent its integers."""
    import awkward

    if kind.kind == "scalar" and not column.null_count:
        return np.asarray(column)
    array = convert_arrow(column)
    if kind.kind != "scalar":
        filled = awkward.fill_none(array, np.nan, axis=-1)
        return awkward.fill_none(filled, [], axis=0)
    numbers = awkward.to_numpy(awkward.drop_none(array))
    if numbers.dtype.kind in "iu" and ((numbers > _EXACT) | (numbers < -_EXACT)).any():
        message = (
            f"holds nulls and whole numbers above 2^53 ({numbers[np.abs(numbers.astype(float)).argmax()]}), which "
            "cannot be read together without rounding; write the file without nulls in this branch"
        )
        raise InputError("input files", [Problem(where, message)])
    return awkward.to_numpy(awkward.fill_none(awkward.values_astype(array, np.float64), np.nan))
