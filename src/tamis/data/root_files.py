"""ROOT files, TTree and RNTuple, as uproot reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from fnmatch import fnmatchcase
from typing import Any

from tamis.data.schema import BranchType, FileSchema, SourceFile, parse_branch_type
from tamis.errors import InputError, Problem
from tamis.wording import join_first

_TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple", "ROOT::Experimental::RNTuple")
_WILD = frozenset("*?[")


class MissingTree(Problem):
    """A file does not hold the tree that was asked for."""


def scan(source: SourceFile, trees: str | Sequence[str] | None, naming: str) -> list[FileSchema]:
    """Find the trees of a file, their entries and types of branches; an `InputError` if it is not clear which."""
    import uproot

    with uproot.open({source.path: None}) as file:
        names = _tree_names(source, file.classnames(cycle=False), trees, naming)
        several = is_several(trees)
        return [
            FileSchema(source, name, int(file[name].num_entries), _types(file[name]), several=several)
            for name in names
        ]


def is_several(trees: str | Sequence[str] | None) -> bool:
    """Return whether a sample may read several trees of one file, because `tree` is a list or a glob.

    >>> is_several("Events"), is_several("DF_*/O2cand"), is_several(["TreeS"])
    (False, True, True)
    """
    return trees is not None and (not isinstance(trees, str) or bool(_WILD.intersection(trees)))


def _tree_names(
    source: SourceFile, classes: Mapping[str, str], patterns: str | Sequence[str] | None, naming: str
) -> list[str]:
    trees = [name for name, kind in classes.items() if kind in _TREES]
    listing = join_first(map(repr, trees), 12) or "no tree"
    if patterns is None:
        if len(trees) == 1:
            return trees
        message = "the file holds no TTree or RNTuple"
        if trees:
            message = f"the file holds several trees, {listing}; choose one with {naming}"
        raise InputError("input files", [Problem(source.path, message)])
    chosen: list[str] = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        is_glob = pattern not in trees and bool(_WILD.intersection(pattern))
        matching = [name for name in trees if (_matches(name, pattern) if is_glob else name == pattern)]
        if not matching:
            reason = f"no tree matches {pattern!r}" if is_glob else f"tree {pattern!r} is missing"
            raise InputError("input files", [MissingTree(source.path, f"{reason}; the file holds {listing}")])
        chosen += matching
    return sorted(set(chosen)) if is_several(patterns) else chosen


def _matches(name: str, pattern: str) -> bool:
    """Return whether a glob matches the name of a tree, folder by folder: * does not match a /."""
    folders, patterns = name.split("/"), pattern.split("/")
    return len(folders) == len(patterns) and all(map(fnmatchcase, folders, patterns))


def _types(tree: Any) -> dict[str, BranchType]:
    """Return the type of each branch; a branch that uproot cannot read is marked as unusable."""
    import uproot

    if not isinstance(tree, uproot.TTree):
        # only top-level fields of an RNTuple: subfields of different records may share a name
        return {str(field.name): _type_of(field) for field in tree.fields}
    entries = int(tree.num_entries)
    types = {name: _type_of(branch, entries) for name, branch in _branches(tree).items()}
    full_names: dict[str, list[str]] = {}
    for path, _ in _walk_branches(tree.branches):
        full_names.setdefault(path[-1], []).append(_full_name(path))
    ambiguous = {
        name: BranchType("ambiguous", "", " and ".join(names))
        for name, names in full_names.items()
        if name not in types
    }
    return types | ambiguous


def _type_of(branch: Any, entries: int | None = None) -> BranchType:
    try:
        kind = parse_branch_type(str(branch.typename))
    except Exception as error:  # noqa: BLE001 - for unknown types, uproot raises exceptions of any class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return BranchType("other", "", f"that cannot be read ({reason[:100]})")
    if entries is not None and kind.usable and int(branch.num_entries) != entries:
        return BranchType("incomplete", "", f"{int(branch.num_entries):,} entries, the tree {entries:,}")
    return kind


def _walk_branches(
    branches: Sequence[Any], parents: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield all branches of a TTree in order, each with the names of its parents and its name."""
    for branch in branches:
        path = (*parents, str(branch.name))
        yield path, branch
        yield from _walk_branches(branch.branches, path)


def _full_name(path: tuple[str, ...]) -> str:
    """Join the names of a path with points, as ROOT does.

    >>> _full_name(("el1", "pt")), _full_name(("el1.", "el1.pt"))
    ('el1.pt', 'el1.pt')
    """
    joined = ""
    for name in path:
        plain = name.rstrip(".")
        joined = plain if not joined or plain.startswith(f"{joined}.") else f"{joined}.{plain}"
    return joined


def _branches(tree: Any) -> dict[str, Any]:
    """Return the branches of a TTree by name.

    The key of a branch is its name, such as `pt`. If several branches share a name, it is the key of the top-level one;
    the keys of the others are their full names, such as `el1.pt`.
    """
    paths = list(_walk_branches(tree.branches))
    counts = Counter(path[-1] for path, _ in paths)
    by_name = {path[-1]: branch for path, branch in paths if len(path) == 1 or counts[path[-1]] == 1}
    for path, branch in paths:
        if len(path) > 1 and counts[path[-1]] > 1:
            by_name.setdefault(_full_name(path), branch)
    return by_name


def iterate(schema: FileSchema, names: Sequence[str], rows: int) -> Iterator[dict[str, Any]]:
    """Stream branches in chunks of rows: NumPy for scalars, awkward for jagged branches."""
    import uproot

    with ThreadPoolExecutor(max_workers=2) as pool, uproot.open({schema.source.path: None}) as file:
        tree = file[schema.tree]
        if isinstance(tree, uproot.TTree):
            yield from _iterate_tree(tree, schema, names, rows, pool)
        else:
            for first in range(0, schema.entries, rows):
                yield _read(tree, schema, names, first, min(first + rows, schema.entries))


def _iterate_tree(
    tree: Any, schema: FileSchema, names: Sequence[str], rows: int, pool: Executor
) -> Iterator[dict[str, Any]]:
    branches = _branches(tree)
    # uproot returns a chunk as a record, whose fields have the names of the branches, not our keys
    plain = {name: branches[name] for name in names if branches[name].name == name}
    renamed = [name for name in names if name not in plain]
    branch_ids = {id(branch) for branch in plain.values()}
    # branches are selected by a filter, never by uproot's expressions, which would be compiled and executed
    options = {"filter_branch": lambda branch: id(branch) in branch_ids, "step_size": rows, "library": "ak"}
    chunks = tree.iterate(**options, decompression_executor=pool) if plain else None
    for first in range(0, schema.entries, rows):
        columns = _read(branches, schema, renamed, first, min(first + rows, schema.entries), pool)
        if chunks is not None:
            chunk = next(chunks)
            columns |= {name: _column(chunk[name], schema.branches[name]) for name in plain}
        yield columns


def _read(
    branches: Any,
    schema: FileSchema,
    names: Sequence[str],
    start: int,
    stop: int,
    pool: Executor | None = None,
) -> dict[str, Any]:
    """Read branches, or fields of an RNTuple, one by one: for several fields, uproot first builds the types of all."""
    options = {"entry_start": start, "entry_stop": stop, "library": "ak", "array_cache": None}
    return {
        name: _column(branches[name].array(**options, decompression_executor=pool), schema.branches[name])
        for name in names
    }


def read_range(schema: FileSchema, names: Sequence[str], start: int, stop: int) -> dict[str, Any]:
    """Read the entries from `start` to before `stop`."""
    import uproot

    with uproot.open({schema.source.path: None}) as file:
        tree = file[schema.tree]
        branches = _branches(tree) if isinstance(tree, uproot.TTree) else tree
        return _read(branches, schema, names, start, stop)


def _column(array: Any, kind: BranchType) -> Any:
    import awkward

    return array if kind.kind == "jagged" else awkward.to_numpy(array)
