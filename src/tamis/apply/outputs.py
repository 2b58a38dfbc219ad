"""Score files: a TTree, an RNTuple or a Parquet table, with metadata of the model and the input."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tamis.data.chunks import read_chunks, read_range
from tamis.data.parquet_files import is_parquet
from tamis.data.scanning import scan_files
from tamis.data.schema import FileSchema, SourceFile
from tamis.errors import InputError, Problem, RequestError
from tamis.files import add_hash

ScoreFileFormat = Literal["ttree", "rntuple", "parquet"]
"""Format of score files."""

TREE = "scores"
"""Name of the tree of scores, which differs from that of the events."""
METADATA = "tamis"
"""Name of the metadata: a TObjString in a ROOT file, a key of the metadata of the schema in Parquet."""
FORMAT_NAME = "tamis scores"
"""Value of the key `format` of the metadata."""
CHECKSUMS = "checksums"
"""Key of the metadata with the type and the hash of each column."""
METADATA_CHECKSUM = "metadata_sha256"
"""Key of the metadata with the hash of all other keys."""

ROWS = 2**17
"""Rows that are written at a time, whatever the size of chunks, so that files do not depend on it."""

SCORE_FILE_NAME = re.compile(r".+\.(scores|scored)\.(root|parquet)", re.IGNORECASE)
"""Names of score files, and of copies with scores."""

Columns = Mapping[str, NDArray[Any]]
Types = Mapping[str, np.dtype[Any]]
WriteRows = Callable[[Columns], Any]
WriteMetadata = Callable[[str], Any]


def parse_format(text: str) -> ScoreFileFormat:
    """Read the name of a format, or raise a `RequestError`."""
    parsed: ScoreFileFormat | None = next(
        (form for form in get_args(ScoreFileFormat) if form == text.lower()), None
    )
    if parsed is None:
        raise RequestError(f"--format is {text!r}; expected {', '.join(get_args(ScoreFileFormat))}")
    return parsed


def build_output_endings(
    sources: Sequence[SourceFile], form: ScoreFileFormat, *, copy: bool, tree: str | None = None
) -> list[str]:
    """Return the end of the name of each output; a copy has the extension of the format of its input.

    A tree that the user chose becomes part of the name.
    """
    of_tree = "" if tree is None else "." + re.sub(r"[^\w.+=@-]", "_", tree)
    kind = "scored" if copy else "scores"
    in_parquet = [is_parquet(source) if copy else form == "parquet" for source in sources]
    return [f"{of_tree}.{kind}{'.parquet' if parquet else '.root'}" for parquet in in_parquet]


class ColumnChecksums:
    """SHA-256 of each column, updated chunk by chunk.

    >>> checksums = ColumnChecksums({"flag": np.dtype(np.uint8)})
    >>> checksums.add({"flag": np.zeros(3, np.uint8)})
    >>> checksums.to_dict()["flag"]["sha256"] == hashlib.sha256(bytes(3)).hexdigest()
    True
    """

    def __init__(self, types: Mapping[str, np.dtype[Any]]) -> None:
        """Start with no rows."""
        self._types = dict(types)
        self._hashes = {name: hashlib.sha256() for name in types}

    def add(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Append rows: the bytes of their values, in little-endian order."""
        for name, digest in self._hashes.items():
            values = columns[name]
            little_endian = values.astype(values.dtype.newbyteorder("<"), copy=False)
            digest.update(np.ascontiguousarray(little_endian).view(np.uint8).data)

    def to_dict(self) -> dict[str, dict[str, str]]:
        """Return type and SHA-256 of each column."""
        return {
            name: {"type": str(self._types[name]), "sha256": digest.hexdigest()}
            for name, digest in self._hashes.items()
        }


@contextmanager
def open_score_file(
    path: Path, form: ScoreFileFormat, types: Types, entries: int, tree: str = TREE
) -> Iterator[Output]:
    """Open a file for writing a number of entries; it is complete when the block ends."""
    opened = _open_parquet(path, types) if form == "parquet" else _open_root(path, form, types, entries, tree)
    with opened as (write_rows, write_metadata):
        yield Output(write_rows, write_metadata, types)


class Output:
    """Buffers rows, and writes them in blocks of one size."""

    def __init__(self, write_rows: WriteRows, write_metadata: WriteMetadata, types: Types) -> None:
        """Start with no rows."""
        self._write_rows = write_rows
        self._write_metadata = write_metadata
        self._types = types
        self._checksums = ColumnChecksums(types)
        self._waiting: list[Columns] = []
        self._rows = 0

    def extend(self, columns: Columns) -> None:
        """Append rows; those that do not fill a block are buffered."""
        self._waiting.append({name: columns[name] for name in self._types})
        self._rows += len(columns[next(iter(self._types))])
        if self._rows >= ROWS:
            buffered = self._concatenate()
            full = self._rows // ROWS * ROWS
            for start in range(0, full, ROWS):
                self._write({name: values[start : start + ROWS] for name, values in buffered.items()})
            # a copy, so that the written rows can be freed
            self._waiting = [{name: values[full:].copy() for name, values in buffered.items()}]
            self._rows -= full

    def finish(self, metadata: Mapping[str, Any]) -> None:
        """Write the last rows, and the metadata with checksums of all columns."""
        if self._rows:
            self._write(self._concatenate())
        complete = add_hash({**metadata, CHECKSUMS: self._checksums.to_dict()}, METADATA_CHECKSUM)
        self._write_metadata(json.dumps(complete, allow_nan=False))

    def _write(self, columns: Columns) -> None:
        self._checksums.add(columns)
        self._write_rows(columns)

    def _concatenate(self) -> dict[str, NDArray[Any]]:
        return {
            name: np.concatenate([columns[name] for columns in self._waiting]).astype(kind, copy=False)
            for name, kind in self._types.items()
        }


@contextmanager
def _open_root(
    path: Path, form: Literal["ttree", "rntuple"], types: Types, entries: int, tree: str
) -> Iterator[tuple[WriteRows, WriteMetadata]]:
    import uproot

    # the lowest level: scores hardly compress, and writing must not be slower than scoring
    with uproot.recreate(path, compression=uproot.ZSTD(1)) as file:
        if form == "ttree":
            capacity = max(10, entries // ROWS + 1)
            # one basket per block: the default capacity would rewrite the list of baskets as it grows
            output_tree = file.mktree(tree, dict(types), initial_basket_capacity=capacity)
        else:
            output_tree = file.mkrntuple(tree, dict(types))

        def write_metadata(text: str) -> None:
            file[METADATA] = text

        yield lambda columns: output_tree.extend(dict(columns)), write_metadata


@contextmanager
def _open_parquet(path: Path, types: Types) -> Iterator[tuple[WriteRows, WriteMetadata]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.from_numpy_dtype(kind)) for name, kind in types.items()])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        yield (
            lambda columns: writer.write_table(pa.table(dict(columns), schema=schema)),
            lambda text: writer.add_key_value_metadata({METADATA: text}),
        )


def check_column_names(names: Sequence[str], form: ScoreFileFormat) -> None:
    """Check that a format can hold columns of these names; raise a `RequestError` for the first that it cannot."""
    forbidden = {"ttree": "[]:/", "rntuple": "./\\:\"'", "parquet": ""}[form]
    for name in names:
        if set(name) & set(forbidden):
            raise RequestError(
                f"the format {form} cannot hold a column named {name!r}; choose another with --format"
            )


@dataclass(frozen=True)
class ScoreFile:
    """An existing file of scores: its tree with the number of rows and the columns, and its metadata."""

    schema: FileSchema
    metadata: Mapping[str, Any]

    @property
    def entries(self) -> int:
        """Number of rows."""
        return self.schema.entries

    @property
    def counts(self) -> dict[str, int]:
        """Number of scored entries, and of entries with each flag."""
        return {str(name): int(count) for name, count in self.metadata["counts"].items()}

    @property
    def is_hashed(self) -> bool:
        """Return whether it has checksums of its columns; files of older versions have none."""
        return CHECKSUMS in self.metadata

    def damage(self) -> Iterator[str]:
        """Read all rows, if it can be read (`InputError`), and yield a message for each column without its checksum."""
        written: Mapping[str, Mapping[str, str]] = self.metadata.get(CHECKSUMS, {})
        types = {}
        for name, column in written.items():
            branch = self.schema.branches.get(name)
            if branch is None or branch.kind != "scalar" or branch.number != column["type"]:
                stored = "missing" if branch is None else branch.type_name
                yield f"column {name} is {stored}, not {column['type']}"
            else:
                types[name] = np.dtype(branch.number)
        checksums = ColumnChecksums(types)
        for chunk in read_chunks(self.schema, types, ROWS) if types else ():
            checksums.add(chunk.columns)
        for name, checksum in checksums.to_dict().items():
            if checksum != written[name]:
                yield f"column {name} does not match its checksum: it was modified or damaged after it was written"

    def rows(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, NDArray[Any]]:
        """Read some rows of some columns; raise an `InputError` if the file is damaged, or has no such column."""
        absent = sorted(set(names) - set(self.schema.branches))
        if absent:
            raise InputError("scores", [Problem(self.schema.where, f"has no column {', '.join(absent)}")])
        return read_range(self.schema, names, start, stop).columns


def read_score_file(path: Path) -> ScoreFile | None:
    """Read the schema and the metadata of a score file; return None if it has no metadata of tamis.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        metadata = _read_metadata(path)
    except Exception as error:  # a damaged file can raise anything inside the reading libraries
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError("scores", [Problem(str(path), f"cannot be read ({reason[:300]})")]) from error
    if metadata is None:
        return None
    source = SourceFile("", str(path), str(path))
    return ScoreFile(scan_files([source], metadata["tree"] or None)[0], metadata)


_REQUIRED_KEYS = frozenset({
    "format", "version", "model", "selection", "folds", "sentinel", "file_format", "copy", "tree", "columns", "input",
    "counts", "networks",
})  # fmt: skip


def _read_metadata(path: Path) -> dict[str, Any] | None:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        text = (pq.read_metadata(path).metadata or {}).get(METADATA.encode())
    else:
        import uproot

        with uproot.open({str(path): None}) as file:
            has_metadata = file.classnames(cycle=False).get(METADATA) == "TObjString"
            text = str(file[METADATA]) if has_metadata else None
    if text is None:
        return None
    metadata: Any = json.loads(text)
    if not isinstance(metadata, dict) or not metadata.keys() >= _REQUIRED_KEYS:
        raise ValueError("its metadata are incomplete")
    is_hashed = METADATA_CHECKSUM in metadata or CHECKSUMS in metadata
    if is_hashed and metadata != add_hash(metadata, METADATA_CHECKSUM):
        raise ValueError("its metadata were modified or damaged after it was written")
    return metadata
