"""The files that are written: scores as a TTree, an RNTuple or a Parquet table, with what they belong to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, assert_never, get_args

import numpy as np
from numpy.typing import NDArray

from tamis.apply.content import SEAL, Content, is_intact, sealed
from tamis.data.chunks import read_chunks, read_range
from tamis.data.parquet_files import is_parquet
from tamis.data.scanning import scan_files
from tamis.data.schema import FileSchema, SourceFile
from tamis.errors import InputError, Problem, RequestError

Format = Literal["ttree", "rntuple", "parquet"]
"""How scores are written."""

TREE = "scores"
"""Name of the tree of scores, so that it differs from that of the events."""
METADATA = "tamis"
"""Under this name a file says what it belongs to: a text in a ROOT file, metadata of the schema in Parquet."""
KIND = "tamis scores"
"""What the metadata call a file of scores."""
CONTENT = "content"
"""Under this name the metadata have the type and the hash of each column."""

ROWS = 2**17
"""Rows that are written at a time, whatever the size of chunks: the files do not depend on it."""

Columns = Mapping[str, NDArray[Any]]
Types = Mapping[str, np.dtype[Any]]


def parse_format(text: str) -> Format:
    """Read the name of a format.

    Raises:
        RequestError: there is no such format.
    """
    for form in get_args(Format):
        if text.lower() == form:
            found: Format = form
            return found
    raise RequestError(f"--format is {text!r}; expected {', '.join(get_args(Format))}")


def ending(form: Format) -> str:
    """Give the ending of the names of files.

    >>> ending("rntuple")
    '.root'
    """
    return ".parquet" if form == "parquet" else ".root"


def score_endings(
    sources: Sequence[SourceFile], form: Format, *, copy: bool, tree: str | None = None
) -> list[str]:
    """Return the file ending of the output of each file; a copy has that of the format of its input.

    Args:
        sources: the files.
        form: how scores are written.
        copy: whether the branches of the input are copied.
        tree: the tree that the user asked for: other trees of the same files have outputs of other names.
    """
    of_tree = "" if tree is None else "." + re.sub(r"[^\w.+=@-]", "_", tree)
    if not copy:
        return [f"{of_tree}.scores{ending(form)}"] * len(sources)
    return [f"{of_tree}.scored{ending('parquet' if is_parquet(source) else 'ttree')}" for source in sources]


class _Destination(Protocol):
    def extend(self, columns: Columns) -> None: ...

    def describe(self, text: str) -> None: ...


@contextmanager
def open_output(path: Path, form: Format, types: Types, entries: int, tree: str = TREE) -> Iterator[Output]:
    """Open a file for rows, which are complete when the block ends.

    Args:
        path: where to write.
        form: how.
        types: the columns.
        entries: how many rows there will be.
        tree: name of the tree in a ROOT file.
    """
    opened = _parquet(path, types) if form == "parquet" else _root(path, form, types, entries, tree)
    with opened as destination:
        yield Output(destination, types)


class Output:
    """Gathers rows, and writes them in pieces of one size."""

    def __init__(self, destination: _Destination, types: Types) -> None:
        """Begin with no rows."""
        self._destination = destination
        self._types = types
        self._content = Content(types)
        self._waiting: list[Columns] = []
        self._rows = 0

    def extend(self, columns: Columns) -> None:
        """Append rows; those that do not fill a piece wait."""
        self._waiting.append({name: columns[name] for name in self._types})
        self._rows += len(columns[next(iter(self._types))])
        if self._rows >= ROWS:
            whole = self._gathered()
            full = self._rows // ROWS * ROWS
            for start in range(0, full, ROWS):
                self._write({name: each[start : start + ROWS] for name, each in whole.items()})
            # a copy, so that what was written is not kept in memory
            self._waiting = [{name: each[full:].copy() for name, each in whole.items()}]
            self._rows -= full

    def finish(self, metadata: Mapping[str, Any]) -> None:
        """Write the last rows, and what the file belongs to, with hashes of all that was written."""
        if self._rows:
            self._write(self._gathered())
        said = sealed({**metadata, CONTENT: self._content.to_dict()})
        self._destination.describe(json.dumps(said, allow_nan=False))

    def _write(self, columns: Columns) -> None:
        self._content.add(columns)
        self._destination.extend(columns)

    def _gathered(self) -> dict[str, NDArray[Any]]:
        return {
            name: np.concatenate([each[name] for each in self._waiting]).astype(kind, copy=False)
            for name, kind in self._types.items()
        }


@dataclass(frozen=True)
class _RootDestination:
    file: Any
    tree: Any

    def extend(self, columns: Columns) -> None:
        self.tree.extend(dict(columns))

    def describe(self, text: str) -> None:
        self.file[METADATA] = text


@contextmanager
def _root(
    path: Path, form: Literal["ttree", "rntuple"], types: Types, entries: int, tree: str
) -> Iterator[_RootDestination]:
    import uproot

    with uproot.recreate(path, compression=uproot.ZSTD(1)) as file:
        match form:
            case "ttree":
                capacity = max(10, entries // ROWS + 1)
                made = file.mktree(tree, dict(types), initial_basket_capacity=capacity)
            case "rntuple":
                made = file.mkrntuple(tree, dict(types))
            case _:
                assert_never(form)
        yield _RootDestination(file, made)


@dataclass(frozen=True)
class _ParquetDestination:
    writer: Any
    schema: Any

    def extend(self, columns: Columns) -> None:
        import pyarrow as pa

        self.writer.write_table(pa.table(dict(columns), schema=self.schema))

    def describe(self, text: str) -> None:
        self.writer.add_key_value_metadata({METADATA: text})


@contextmanager
def _parquet(path: Path, types: Types) -> Iterator[_ParquetDestination]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.from_numpy_dtype(kind)) for name, kind in types.items()])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        yield _ParquetDestination(writer, schema)


def check_names(names: Sequence[str], form: Format) -> None:
    """Refuse names of columns that a format cannot hold.

    Raises:
        RequestError: with the name.
    """
    forbidden = {"ttree": "[]:/", "rntuple": "./\\:\"'", "parquet": ""}[form]
    for name in names:
        if set(name) & set(forbidden):
            raise RequestError(
                f"{name!r} cannot be a column of the format {form}; choose another with --format"
            )


@dataclass(frozen=True)
class Written:
    """A file of scores, as it is found on the disk.

    Args:
        schema: its tree, number of rows and columns.
        metadata: what it says of itself.
    """

    schema: FileSchema
    metadata: Mapping[str, Any]

    @property
    def entries(self) -> int:
        """Number of rows."""
        return self.schema.entries

    @property
    def counts(self) -> dict[str, int]:
        """How many entries were scored, and how many have each flag."""
        return {str(name): int(count) for name, count in self.metadata["counts"].items()}

    @property
    def is_hashed(self) -> bool:
        """Whether it says what its rows hold; files that older versions wrote do not."""
        return CONTENT in self.metadata

    def damage(self) -> Iterator[str]:
        """Read all rows, and name the columns that do not hold what was written; nothing where no hash is known.

        Raises:
            InputError: the file cannot be read.
        """
        written: Mapping[str, Mapping[str, str]] = self.metadata.get(CONTENT, {})
        types = {}
        for name, said in written.items():
            found = self.schema.branches.get(name)
            if found is None or found.kind != "scalar" or found.number != said["type"]:
                yield f"column {name} is {'not there' if found is None else found.found}, not {said['type']}"
            else:
                types[name] = np.dtype(found.number)
        content = Content(types)
        for chunk in read_chunks(self.schema, types, ROWS) if types else ():
            content.add(chunk.columns)
        for name, found_now in content.to_dict().items():
            if found_now != written[name]:
                yield f"column {name} does not hold what was written: it was changed or damaged since"

    def rows(self, names: Sequence[str], start: int, stop: int) -> Mapping[str, NDArray[Any]]:
        """Read some rows of some columns.

        Raises:
            InputError: the file is damaged, or has no such column.
        """
        absent = sorted(set(names) - set(self.schema.branches))
        if absent:
            raise InputError("scores", [Problem(self.schema.where, f"has no column {', '.join(absent)}")])
        return read_range(self.schema, names, start, stop).columns


def read_output(path: Path) -> Written | None:
    """Look into a file of scores.

    Returns:
        What it says of itself; None where it says nothing, so that tamis did not write it.

    Raises:
        InputError: it cannot be read.
    """
    try:
        metadata = _parquet_metadata(path) if path.suffix == ".parquet" else _root_metadata(path)
    except Exception as error:  # a damaged file can raise anything inside the reading libraries
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError("scores", [Problem(str(path), f"cannot be read ({reason[:300]})")]) from error
    if metadata is None:
        return None
    source = SourceFile("", str(path), str(path))
    return Written(scan_files([source], metadata["tree"] or None)[0], metadata)


_SAID = frozenset({
    "format", "version", "model", "selection", "folds", "sentinel", "form", "copy", "tree", "columns", "input",
    "counts", "networks",
})  # fmt: skip


def _parquet_metadata(path: Path) -> dict[str, Any] | None:
    import pyarrow.parquet as pq

    said = (pq.read_metadata(path).metadata or {}).get(METADATA.encode())
    return None if said is None else _checked_metadata(json.loads(said))


def _root_metadata(path: Path) -> dict[str, Any] | None:
    import uproot

    with uproot.open({str(path): None}) as file:
        if file.classnames(cycle=False).get(METADATA) != "TObjString":
            return None
        return _checked_metadata(json.loads(str(file[METADATA])))


def _checked_metadata(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict) or not found.keys() >= _SAID:
        raise ValueError("what it says of itself is not complete")
    if (SEAL in found or CONTENT in found) and not is_intact(found):
        raise ValueError("what it says of itself was changed or damaged since it was written")
    return found
