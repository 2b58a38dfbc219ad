"""Every branch of every layout is read as uproot reads it alone, in chunks of any size, whatever stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward
import numpy as np
import pytest
import uproot

from tamis.data.chunks import read_chunks, read_range
from tamis.data.root_files import _branches
from tamis.data.scanning import scan_files
from tamis.data.schema import FileSchema, SourceFile

EVENTS = 257
KINDS = ("bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
RNG = np.random.default_rng(6)


def scalars() -> dict[str, Any]:
    """One column of each type, with its smallest and its largest values."""
    columns: dict[str, Any] = {}
    for kind in map(np.dtype, KINDS):
        if kind.kind in "iu":
            ends = np.iinfo(kind)
            columns[f"x_{kind.name}"] = RNG.integers(ends.min, ends.max, EVENTS, kind, endpoint=True)
        else:
            columns[f"x_{kind.name}"] = (RNG.normal(size=EVENTS) * 1e30).astype(kind)
    columns["x_float64"][:3] = np.nan, np.inf, -np.inf
    return columns


def lists() -> dict[str, Any]:
    lengths = RNG.integers(0, 5, EVENTS)
    return {
        f"list_{kind}": awkward.unflatten(RNG.integers(0, 100, lengths.sum()).astype(kind), lengths)
        for kind in ("f4", "f8", "i4")
    }


def arrays() -> dict[str, Any]:
    return {
        "array_of_3": RNG.normal(size=(EVENTS, 3)),
        "array_of_1": RNG.normal(size=(EVENTS, 1)).astype("f4"),
    }


def write_tree(path: Path, columns: dict[str, Any], *, compression: Any = None, baskets: int = 1) -> None:
    with uproot.recreate(path, compression=compression) as file:
        types = {
            name: values.type.content
            if isinstance(values, awkward.Array)
            else (values.dtype, values.shape[1:])
            for name, values in columns.items()
        }
        tree = file.mktree("folder/tree", types)
        for part in np.array_split(np.arange(EVENTS), baskets):
            tree.extend({name: values[part[0] : part[-1] + 1] for name, values in columns.items()})


def write_rntuple(path: Path, columns: dict[str, Any]) -> None:
    with uproot.recreate(path) as file:
        file.mkrntuple("folder/tree", columns)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "scalars": lambda path: write_tree(path, scalars()),
    "lists": lambda path: write_tree(path, lists()),
    "arrays": lambda path: write_tree(path, arrays()),
    "all, LZ4, 7 baskets": lambda path: write_tree(
        path, {**scalars(), **arrays(), **lists()}, compression=uproot.LZ4(4), baskets=7
    ),
    "all, ZSTD, 50 baskets": lambda path: write_tree(
        path, {**lists(), **scalars()}, compression=uproot.ZSTD(1), baskets=50
    ),
    "RNTuple": lambda path: write_rntuple(path, {**scalars(), **lists()}),
}


def same(column: Any, expected: Any) -> bool:
    """Return whether two columns have the same values of the same type, bit by bit; all NaN are alike."""
    if isinstance(expected, awkward.Array) and expected.ndim > 1:
        parts = [
            (awkward.flatten(lists, axis=None), awkward.num(lists, axis=1)) for lists in (column, expected)
        ]
        return all(
            np.array_equal(*map(np.asarray, pair), equal_nan=True) for pair in zip(*parts, strict=True)
        )
    column, expected = np.asarray(column), np.asarray(expected)
    return column.dtype == expected.dtype and np.array_equal(
        column, expected, equal_nan=column.dtype.kind == "f"
    )


def read_branch(tree: Any, name: str) -> Any:
    """Read a branch without tamis, except for its name."""
    branch = _branches(tree)[name] if isinstance(tree, uproot.TTree) else tree[name]
    array = branch.array(library="ak")
    return awkward.to_numpy(array) if array.ndim == 1 or array.layout.purelist_isregular else array


def check_file(path: Path, trees: str | None = None) -> int:
    """Compare every branch that can be used; return how many there were."""
    compared = 0
    for schema in scan_files([SourceFile("", str(path), path.name)], trees):
        compared += check_tree(path, schema)
    return compared


def check_tree(path: Path, schema: FileSchema) -> int:
    names = [name for name, kind in schema.branches.items() if kind.usable]
    with uproot.open(path) as file:
        tree = file[schema.tree]
        expected = {name: read_branch(tree, name) for name in names}
        assert schema.entries == tree.num_entries
    for rows in (None, 1 + schema.entries // 3):
        chunks = list(read_chunks(schema, names, rows))
        for name in names:
            joined = [chunk.columns[name] for chunk in chunks]
            if joined:
                concatenate = np.concatenate if isinstance(joined[0], np.ndarray) else awkward.concatenate
                assert same(concatenate(joined), expected[name]), name
    middle = schema.entries // 2
    part = read_range(schema, names, middle, min(middle + 5, schema.entries)).columns
    for name in names:
        assert same(part[name], expected[name][middle : middle + 5]), name
    # a branch is the same without the others
    for name in names[:: max(1, len(names) // 3)]:
        (alone,) = read_chunks(schema, [name])
        assert same(alone.columns[name], expected[name]), name
    return len(names)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_branch_is_read_as_uproot_reads_it(layout: str, tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    LAYOUTS[layout](path)
    with uproot.open(path) as file:
        tree = file["folder/tree"]
        branches = len(tree.branches) if isinstance(tree, uproot.TTree) else len(tree.fields)
    # uproot writes the lengths of each list beside it
    assert check_file(path) == branches


ROOT_MACRO = """
#include "TFile.h"
#include "TTree.h"
#include "TNtuple.h"
#include "TRandom3.h"
#include <vector>
struct Electron { float pt; float eta; int charge; };
void write_layouts(const char* name, int events) {
  TFile file(name, "RECREATE");
  TRandom3 random(3);
  TTree tree("tree", "tree");
  Electron el1, el2; float leaves[2]; double mass; std::vector<float> jets; float fixed[4]; int n; float list[9];
  struct { float x[15][2]; float y[15][2]; } point = {};
  tree.Branch("el1", &el1, "pt/F:eta/F:charge/I");
  tree.Branch("el2", &el2, "pt/F:eta/F:charge/I");
  tree.Branch("mass", &mass, "mass/D");
  tree.Branch("jets", &jets);
  tree.Branch("fixed", fixed, "fixed[4]/F");
  tree.Branch("n", &n, "n/I");
  tree.Branch("list", list, "list[n]/F");
  tree.Branch("point", &point, "x[15][2]/F:y[15][2]/F");
  TNtuple ntuple("ntuple", "ntuple", "a:b");
  for (int event = 0; event < events; ++event) {
    el1 = {float(random.Exp(50)), float(random.Gaus()), 1};
    el2 = {float(random.Exp(20)), float(random.Gaus()), -1};
    mass = random.Gaus(91, 2);
    jets.clear(); n = event % 9;
    for (int k = 0; k < n; ++k) { jets.push_back(random.Exp(30)); list[k] = random.Rndm(); }
    for (float& each : fixed) each = random.Rndm();
    tree.Fill(); ntuple.Fill(event, random.Rndm());
    if (event % 100 == 99) tree.FlushBaskets();
  }
  tree.Write(); ntuple.Write();
}
"""


# slow: ROOT compiles the macro
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_files_of_root_are_read_as_uproot_reads_them(tmp_path: Path) -> None:
    root = pytest.importorskip("ROOT", reason="ROOT is not installed (pip install root)")
    path = tmp_path / "root.root"
    assert root.gInterpreter.Declare(ROOT_MACRO)
    root.write_layouts(str(path), 450)
    assert check_file(path, "*") >= 7
