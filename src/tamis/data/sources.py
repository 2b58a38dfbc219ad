"""Input files, from the names in the configuration to chunks of named columns.

ROOT files (TTree and RNTuple) are read by uproot, Parquet files by pyarrow. All files are looked into before
the first event is read, and every problem is reported at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tamis.config.fields import check_place
from tamis.data.arrow import without_nulls
from tamis.data.schema import BranchType, FileSchema, SourceFile, branch_type
from tamis.data.signature import local_path, signature_problem
from tamis.errors import InputError, Problem

CHUNK_VALUES = 2**23
"""Number of values (rows times branches) that one chunk holds at most: 64 MiB of 8-byte numbers."""

NAMING = "`tree: NAME` in the sample"
"""How a configuration says which tree of a file is meant."""

_Result = TypeVar("_Result")
_PARQUET = (".parquet", ".pq")
_VALUES_OF_A_LIST = 16
_FILES_AT_ONCE = 1000
_TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple", "ROOT::Experimental::RNTuple")


@dataclass(frozen=True)
class Chunk:
    """Consecutive entries of one file.

    Args:
        source: the file.
        first_entry: entry number of the first row.
        length: number of rows.
        columns: one array per branch: NumPy for scalars, awkward for jagged branches.
    """

    source: SourceFile
    first_entry: int
    length: int
    columns: Mapping[str, Any]


def expand_files(sample: str, patterns: Sequence[str], folder: Path | str) -> list[SourceFile]:
    """Find the files of a sample as `find_files` does.

    Raises:
        InputError: a pattern matches no file, or a file is named twice.
    """
    found, problems = find_files(sample, patterns, folder)
    if problems:
        raise InputError("input files", problems)
    return found


def find_files(
    sample: str, patterns: Sequence[str], folder: Path | str
) -> tuple[list[SourceFile], list[Problem]]:
    """Find the files of a sample, in an order that does not depend on the list, and what is wrong with the names.

    Args:
        sample: name of the sample.
        patterns: paths, globs or URLs.
        folder: where relative paths are looked up; may be a URL.

    Returns:
        Each file once, and a problem for each pattern that matches no file and each file that is named twice.
    """
    found: list[SourceFile] = []
    problems = []
    root = _absolute(Path(folder))
    for pattern in patterns:
        try:
            paths = _matches(pattern, folder)
        except (OSError, ValueError, IndexError, RuntimeError) as error:
            # no permission, a name that is too long, an unknown ~user, or a pattern such as a**
            message = (
                f"{pattern!r} cannot be looked up ({error}); check the path, its permissions and the pattern"
            )
            problems.append(Problem(f"sample {sample}", message))
            continue
        if not paths:
            problems.append(Problem(f"sample {sample}", f"no file matches {_below(pattern, folder)!r}"))
        found += [SourceFile(sample, path, _identity(path, folder, root)) for path in paths]
    places: dict[str, SourceFile] = {}
    for source in sorted(found, key=lambda source: source.identity):
        place = _place(source.path)
        if place in places:
            message = f"file {source.path!r} is named twice; its events would count twice"
            problems.append(Problem(f"sample {sample}", message))
        places.setdefault(place, source)
    return list(places.values()), problems


def _place(path: str) -> str:
    """Give where a file lies, the same for all its spellings."""
    local = local_path(path)
    return path if local is None else os.path.realpath(local)


def _below(pattern: str, folder: Path | str) -> str:
    """Give the path or URL of a name; only relative names are looked up in the folder."""
    if "://" in pattern:
        return pattern
    if "://" in str(folder):
        return f"{str(folder).rstrip('/')}/{pattern}"
    return str(_absolute(folder / Path(pattern).expanduser()))


def _matches(pattern: str, folder: Path | str) -> list[str]:
    place = check_place(_below(pattern, folder))
    if "://" in place:
        return [place]
    # links are kept: a file is known by the name that the user gave it, not by where its bytes lie
    path = Path(place)
    if path.is_file():
        return [str(path)]
    found = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
    return sorted(str(match) for match in found if match.is_file())


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))


def _identity(path: str, folder: Path | str, root: Path) -> str:
    if "://" in path:
        return path.removeprefix(f"{str(folder).rstrip('/')}/")
    inside = Path(path)
    return inside.relative_to(root).as_posix() if inside.is_relative_to(root) else path


def scan_files(
    sources: Sequence[SourceFile], tree: str | None = None, *, naming: str = NAMING
) -> list[FileSchema]:
    """Look into every file: its tree, number of entries and types of branches.

    Args:
        sources: files of one sample.
        tree: name of the tree, or None where each file holds exactly one.
        naming: how the user says which tree is meant.

    Raises:
        InputError: with one problem for each file that cannot be used.
    """
    schemas, problems = scan_usable_files(sources, tree, naming=naming)
    if problems:
        raise InputError("input files", problems)
    return schemas


def scan_usable_files(
    sources: Sequence[SourceFile], tree: str | None = None, *, naming: str = NAMING
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
                else:
                    branches = known.setdefault(tuple(found.branches.items()), found.branches)
                    schemas.append(replace(found, branches=branches))
    return schemas, problems


def _scan(source: SourceFile, tree: str | None, naming: str) -> FileSchema | Problem:
    try:
        _reading(source, lambda: _check_signature(source))
        return _scan_parquet(source, tree) if is_parquet(source) else _scan_root(source, tree, naming)
    except InputError as error:
        return error.problems[0]


def _check_signature(source: SourceFile) -> None:
    """Refuse what is no file of its kind, or was cut: the branches that are used may be whole by chance."""
    path = local_path(source.path)
    problem = "" if path is None else signature_problem(path, parquet=is_parquet(source))
    if problem:
        raise InputError("input files", [Problem(source.path, problem)])


def is_parquet(source: SourceFile) -> bool:
    """Tell whether a file is read as Parquet: its name says so."""
    return source.path.lower().endswith(_PARQUET)


def _unreadable(source: SourceFile, error: Exception, entries: str = "") -> InputError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    # the name stands before it; without it, files that are broken alike have the same message
    reason = reason.replace(source.path, "the file")
    advice = "is it complete, and a ROOT or Parquet file? copy or produce it again"
    if isinstance(error, ImportError):
        advice = 'for URLs, `pip install "tamis[remote]"`'
    elif isinstance(error, FileNotFoundError | PermissionError):
        advice = "check the path and its permissions"
    where = f"{source.path}{entries}"
    return InputError("input files", [Problem(where, f"cannot be read ({reason[:300]}); {advice}")])


def _reading(source: SourceFile, work: Callable[[], _Result], place: Callable[[], str] = str) -> _Result:
    """Do some work on a file; whatever the reader raises becomes an error that names the file and the place in it."""
    try:
        return work()
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise anything inside the reading libraries
        raise _unreadable(source, error, place()) from error


def _damaged_place(schema: FileSchema, names: Sequence[str], start: int, stop: int) -> str:
    """Name the tree, and the branches that cannot be read alone either."""
    reader = _parquet_range if is_parquet(schema.source) else _root_range

    def unreadable(name: str) -> bool:
        try:
            _reading(schema.source, lambda: reader(schema, [name], start, min(stop, schema.entries)))
        except InputError:
            return True
        return False

    bad = [repr(name) for name in names if unreadable(name)]
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    branches = f"{'branch' if len(bad) == 1 else 'branches'} {', '.join(bad[:3])}{more}" if bad else ""
    parts = [f"tree {schema.tree!r}" if schema.tree else "", branches]
    inside = ", ".join(part for part in parts if part)
    return f" after entry {start}{f' ({inside})' if inside else ''}"


def _scan_root(source: SourceFile, tree: str | None, naming: str) -> FileSchema:
    import uproot

    def look() -> FileSchema:
        with uproot.open({source.path: None}) as file:
            name = _tree_name(source, file.classnames(cycle=False), tree, naming)
            found = file[name]
            return FileSchema(source, name, int(found.num_entries), _root_branches(found))

    return _reading(source, look)


def _tree_name(source: SourceFile, classes: Mapping[str, str], wanted: str | None, naming: str) -> str:
    trees = [name for name, kind in classes.items() if kind in _TREES]
    if wanted in trees:
        return str(wanted)
    listing = ", ".join(repr(name) for name in trees[:12]) or "no tree"
    if wanted is not None:
        message = f"tree {wanted!r} is missing; the file holds {listing}"
    elif len(trees) == 1:
        return trees[0]
    elif trees:
        message = f"the file holds several trees, {listing}; say which with {naming}"
    else:
        message = "the file holds no TTree or RNTuple"
    raise InputError("input files", [Problem(source.path, message)])


def _root_branches(tree: Any) -> dict[str, BranchType]:
    import uproot

    # in an RNTuple only whole fields: the parts of different records may share a name
    names = tree.typenames(recursive=isinstance(tree, uproot.TTree), full_paths=False)
    return {str(name): branch_type(str(spelling)) for name, spelling in names.items()}


def _scan_parquet(source: SourceFile, tree: str | None) -> FileSchema:
    if tree is not None:
        message = (
            f"Parquet files hold one table, found `tree: {tree}`; leave it out, or make samples per format"
        )
        raise InputError("input files", [Problem(source.path, message)])

    def look() -> FileSchema:
        with _parquet_file(source) as file:
            schema = file.schema_arrow
            branches = {name: _arrow_type(schema.field(name).type) for name in schema.names}
            return FileSchema(source, "", int(file.metadata.num_rows), branches)

    return _reading(source, look)


@contextmanager
def _parquet_file(source: SourceFile) -> Iterator[Any]:
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
    reader = _iterate_parquet if is_parquet(schema.source) else _iterate_root
    first = 0
    if schema.entries and names:
        chunks = reader(schema, names, rows)
        while (
            columns := _reading(
                schema.source,
                lambda: next(chunks, None),
                partial(_damaged_place, schema, names, first, first + rows),
            )
        ) is not None:
            length = len(columns[names[0]])
            yield Chunk(schema.source, first, length, columns)
            first += length
    elif not names:
        for first in range(0, schema.entries, rows):
            yield Chunk(schema.source, first, min(rows, schema.entries - first), {})
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
    reader = _parquet_range if is_parquet(schema.source) else _root_range
    place = partial(_damaged_place, schema, names, start, stop)
    columns = _reading(schema.source, lambda: reader(schema, names, start, stop), place) if names else {}
    return Chunk(schema.source, start, stop - start, columns)


def _root_range(schema: FileSchema, names: Sequence[str], start: int, stop: int) -> dict[str, Any]:
    import uproot

    wanted = set(names)
    with uproot.open({schema.source.path: None}) as file:
        found = file[schema.tree].arrays(
            filter_name=wanted.__contains__, entry_start=start, entry_stop=stop, library="ak"
        )
        return {name: _column(found[name], schema.branches[name]) for name in names}


def _parquet_range(schema: FileSchema, names: Sequence[str], start: int, stop: int) -> dict[str, Any]:
    with _parquet_file(schema.source) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        ends = np.cumsum(sizes)
        groups = [number for number, end in enumerate(ends) if end > start and end - sizes[number] < stop]
        table = file.read_row_groups(groups, columns=list(names))
        skipped = int(ends[groups[0]]) - sizes[groups[0]]
        part = table.slice(start - skipped, stop - start)
        return _without_nulls(schema, part, names)


def read_ahead(chunks: Iterator[Chunk]) -> Generator[Chunk]:
    """Read the next chunk in a thread while this one is used."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(next, chunks, None)
        while (chunk := following.result()) is not None:
            following = thread.submit(next, chunks, None)
            yield chunk


def _iterate_root(schema: FileSchema, names: Sequence[str], rows: int) -> Iterator[dict[str, Any]]:
    import uproot

    wanted = set(names)
    with ThreadPoolExecutor(max_workers=2) as pool, uproot.open({schema.source.path: None}) as file:
        tree = file[schema.tree]
        # names go in as a set, never as uproot's expressions, which would be compiled and run
        options = {"filter_name": wanted.__contains__, "step_size": rows, "library": "ak"}
        if isinstance(tree, uproot.TTree):
            options["decompression_executor"] = pool
        for chunk in tree.iterate(**options):
            yield {name: _column(chunk[name], schema.branches[name]) for name in names}


def _iterate_parquet(schema: FileSchema, names: Sequence[str], rows: int) -> Iterator[dict[str, Any]]:
    with _parquet_file(schema.source) as file:
        for batch in file.iter_batches(batch_size=rows, columns=list(names)):
            yield _without_nulls(schema, batch, names)


def _without_nulls(schema: FileSchema, table: Any, names: Sequence[str]) -> dict[str, Any]:
    return {
        name: without_nulls(table.column(name), schema.branches[name], f"{schema.where}: branch {name!r}")
        for name in names
    }


def _column(array: Any, kind: BranchType) -> Any:
    import awkward

    return array if kind.kind == "jagged" else awkward.to_numpy(array)
