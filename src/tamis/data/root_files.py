"""ROOT files, TTree and RNTuple, as uproot reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tamis.data.schema import BranchType, FileSchema, SourceFile, branch_type
from tamis.errors import InputError, Problem

_TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple", "ROOT::Experimental::RNTuple")


def scan(source: SourceFile, tree: str | None, naming: str) -> FileSchema:
    """Find the tree of a file, its entries and the types of its branches.

    Raises:
        InputError: the tree is missing, or it is not said which of several is meant.
    """
    import uproot

    with uproot.open({source.path: None}) as file:
        name = _tree_name(source, file.classnames(cycle=False), tree, naming)
        found = file[name]
        return FileSchema(source, name, int(found.num_entries), _branches(found))


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


def _branches(tree: Any) -> dict[str, BranchType]:
    import uproot

    # in an RNTuple only whole fields: the parts of different records may share a name
    names = tree.typenames(recursive=isinstance(tree, uproot.TTree), full_paths=False)
    return {str(name): branch_type(str(spelling)) for name, spelling in names.items()}


def iterate(schema: FileSchema, names: Sequence[str], rows: int) -> Iterator[dict[str, Any]]:
    """Stream branches in chunks of rows: NumPy for scalars, awkward for jagged branches."""
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


def read_range(schema: FileSchema, names: Sequence[str], start: int, stop: int) -> dict[str, Any]:
    """Read the entries from `start` to before `stop`."""
    import uproot

    wanted = set(names)
    with uproot.open({schema.source.path: None}) as file:
        found = file[schema.tree].arrays(
            filter_name=wanted.__contains__, entry_start=start, entry_stop=stop, library="ak"
        )
        return {name: _column(found[name], schema.branches[name]) for name in names}


def _column(array: Any, kind: BranchType) -> Any:
    import awkward

    return array if kind.kind == "jagged" else awkward.to_numpy(array)
