"""Several trees of one file, branches that share a name, branches that cannot be used beside others that can."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

from tamis.check import check_input
from tamis.config import parse_config
from tamis.data import root_files
from tamis.data.chunks import read_chunks, read_range
from tamis.data.events import Events
from tamis.data.scanning import scan_files
from tamis.data.schema import FileSchema, SourceFile, find_schema_problems, parse_branch_type
from tamis.errors import InputError
from tamis.expressions import parse
from tamis.pipeline.preparation import find_input, prepare, read
from tamis.runs.provenance import describe_inputs

Make = Callable[..., dict[str, Any]]


def write_trees(path: Path, trees: dict[str, int], *, rntuple: bool = False) -> Path:
    """Write trees with a number that counts their entries, and their own number in all of them."""
    with uproot.recreate(path) as file:
        for number, (name, entries) in enumerate(trees.items()):
            columns = {
                "x": np.arange(entries, dtype=np.float64),
                "tree_number": np.full(entries, float(number)),
            }
            if rntuple:
                file.mkrntuple(name, columns)
            else:
                file.mktree(name, {key: values.dtype for key, values in columns.items()}).extend(columns)
    return path


def config_of(folder: Path, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": "trees",
        "data": str(folder),
        "samples": samples,
        "classes": {"bkg": {}, "sig": {"signal": True}},
        "features": ["x", "tree_number"],
    }


def events_of(config: dict[str, Any]) -> Events:
    parsed = parse_config(config)
    return read(parsed, find_input(parsed))[0]


def two_samples(bkg: Any, sig: Any, files: str = "all.root") -> list[dict[str, Any]]:
    return [
        {"name": name, "class": name, "files": files, "tree": tree}
        for name, tree in (("bkg", bkg), ("sig", sig))
    ]


def test_signal_and_background_may_be_trees_of_one_file(tmp_path: Path) -> None:
    write_trees(tmp_path / "all.root", {"TreeS": 300, "TreeB": 200})
    config = config_of(tmp_path, two_samples("TreeB", "TreeS"))
    prepared = prepare(parse_config(config))
    events = prepared.events
    assert np.bincount(events.class_index).tolist() == [200, 300]
    np.testing.assert_array_equal(events.features[:, 1] == 0, events.class_index == 1)
    assert events.files == ("all.root:TreeB", "all.root:TreeS")
    described = describe_inputs([schema for sample in prepared.inputs for schema in sample.schemas])
    assert [(document["file"], document["tree"], document["entries"]) for document in described] == [
        ("all.root", "TreeB", 200), ("all.root", "TreeS", 300),
    ]  # fmt: skip
    # one tree in two samples is what it was
    same = config_of(tmp_path, two_samples("TreeB", "Tree[B]"))
    with pytest.raises(InputError):
        prepare(parse_config(same))


@pytest.mark.parametrize("rntuple", [False, True], ids=["TTree", "RNTuple"])
def test_a_glob_reads_the_trees_of_all_folders(tmp_path: Path, rntuple: bool) -> None:
    for name, more in (("bkg", 7), ("sig", 8)):
        trees = {f"DF_{number}/O2cand": 100 + number for number in range(3)}
        trees |= {"DF_0/O2mc": more, "x/DF_9/O2cand": 9}
        write_trees(tmp_path / f"{name}.root", trees, rntuple=rntuple)
    samples = two_samples("DF_*/O2cand", ["DF_0/O2cand", "DF_[12]/O2*"])
    for sample in samples:
        sample["files"] = f"{sample['name']}.root"
    config = config_of(tmp_path, samples)
    events = events_of(config)
    assert np.bincount(events.class_index).tolist() == [303, 303]
    assert len(np.unique(events.event_id)) == 606
    rows = check_input(parse_config(config)).samples
    assert [(row.files, row.entries, row.unusable) for row in rows] == [(1, 303, 0), (1, 303, 0)]


def test_another_tree_moves_no_event(tmp_path: Path) -> None:
    write_trees(tmp_path / "all.root", {"DF_1/t": 50, "DF_2/t": 50, "other": 40})
    few, more = (
        events_of(config_of(tmp_path, two_samples(trees, "other"))) for trees in ("DF_1/*", "DF_*/*")
    )
    is_common = np.isin(more.event_id, few.event_id)
    assert len(more) == len(few) + 50
    assert is_common.sum() == len(few)
    parts = dict(zip(few.event_id.tolist(), few.split.tolist(), strict=True))
    assert all(
        parts[event_id] == part
        for event_id, part in zip(more.event_id[is_common].tolist(), more.split[is_common], strict=True)
    )


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("TreeX", "tree 'TreeX' is missing; the file holds 'TreeS', 'TreeB'"),
        (["TreeS", "TreeX"], "tree 'TreeX' is missing"),
        ("DF_*/x", r"no tree matches 'DF_\*/x'; the file holds 'TreeS', 'TreeB'"),
        (None, "the file holds several trees, 'TreeS', 'TreeB'; choose one with `tree: NAME` in the sample"),
    ],
)
def test_a_tree_that_is_not_there_is_told(tmp_path: Path, tree: Any, message: str) -> None:
    write_trees(tmp_path / "all.root", {"TreeS": 3, "TreeB": 2})
    with pytest.raises(InputError, match=message):
        scan_files([SourceFile("", str(tmp_path / "all.root"), "all.root")], tree)


def write_short(path: Path) -> FileSchema:
    """Write a tree of 2513 entries, of which the last branch says that it has 2000."""
    columns = {name: np.arange(2513, dtype=np.float32) for name in ("pt", "bdt")}
    with uproot.recreate(path, compression=None) as file:
        file.mktree("tree", {name: values.dtype for name, values in columns.items()}).extend(columns)
    content = path.read_bytes()
    entries = struct.pack(">q", 2513)
    position = content.index(entries, content.index(entries, content.index(b"\x03bdt\x05bdt/F")) + 8)
    path.write_bytes(content[:position] + struct.pack(">q", 2000) + content[position + 8 :])
    return scan_files([SourceFile("", str(path), path.name)])[0]


def test_a_branch_that_is_shorter_than_its_tree_is_told_with_both_lengths(tmp_path: Path) -> None:
    schema = write_short(tmp_path / "short.root")
    (problem,) = find_schema_problems([schema], [parse("pt"), parse("bdt")])
    assert "branch 'bdt' has 2,000 entries, the tree 2,513" in str(problem)
    assert find_schema_problems([schema], [parse("pt")]) == []
    (chunk,) = read_chunks(schema, ["pt"])
    np.testing.assert_array_equal(chunk.columns["pt"], np.arange(2513))


@dataclass
class Branch:
    """A branch of a tree as uproot shows it, which has its number as its values."""

    name: str
    typename: Any = "float"
    branches: list[Branch] = field(default_factory=list)
    num_entries: int = 4
    number: float = 0.0


def parts(name: str, number: float) -> Branch:
    return Branch(name, "Electron", [Branch("pt", number=number), Branch("eta", number=number)])


class Unreadable(Branch):
    """A branch of a type that uproot does not know."""

    def __getattribute__(self, name: str) -> Any:
        if name == "typename":
            raise KeyError("V", 16)
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    ("branches", "known", "ambiguous"),
    [
        ([parts("el1", 1), parts("el2", 2)], {"el1.pt": 1, "el2.pt": 2}, {"pt": "el1.pt and el2.pt"}),
        ([Branch("pt", number=3), parts("el1", 1)], {"pt": 3, "el1.pt": 1, "eta": 1}, {}),
        ([parts("el1", 1), Branch("pt", number=3)], {"pt": 3, "el1.pt": 1, "eta": 1}, {}),
        ([parts("el1", 1)], {"pt": 1, "eta": 1}, {}),
        (
            [Branch("mu.", "Muon", [Branch("mu.pt", number=4)]), parts("el", 1)],
            {"mu.pt": 4, "pt": 1},
            {},
        ),
        (
            [Branch("a", "A", [parts("el", 1)]), Branch("b", "B", [parts("el", 2)])],
            {"a.el.pt": 1, "b.el.pt": 2},
            {"pt": "a.el.pt and b.el.pt", "el": "a.el and b.el"},
        ),
    ],
)
def test_branches_that_share_a_name_are_known_by_their_full_names(
    branches: list[Branch],
    known: dict[str, float],
    ambiguous: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @dataclass
    class Tree:
        branches: list[Branch]
        num_entries: int = 4

    monkeypatch.setattr(uproot, "TTree", Tree)
    tree = Tree(branches)
    assert (
        known.items() <= {name: branch.number for name, branch in root_files._branches(tree).items()}.items()
    )
    types = root_files._types(tree)
    ambiguous_types = {
        name: kind.type_name for name, kind in types.items() if kind.kind == "ambiguous" and name != "eta"
    }
    assert ambiguous_types == ambiguous
    assert all(types[name].kind == "scalar" for name in known)
    schema = FileSchema(SourceFile("", "a.root", "a.root"), "tree", 4, types)
    assert find_schema_problems([schema], list(map(parse, known))) == []
    for name, names in ambiguous.items():
        (problem,) = find_schema_problems([schema], [parse(name)])
        assert f"several branches are called {name!r}; write {names.replace(' and ', ' or ')}" in str(problem)


def test_one_branch_of_a_strange_type_leaves_the_others_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Tree:
        branches: list[Branch]
        num_entries: int = 4

    monkeypatch.setattr(uproot, "TTree", Tree)
    types = root_files._types(Tree([Branch("pt"), Unreadable("point"), Branch("mass", "double")]))
    assert [name for name, kind in types.items() if kind.usable] == ["pt", "mass"]
    schema = FileSchema(SourceFile("", "a.root", "a.root"), "tree", 4, types)
    (problem,) = find_schema_problems([schema], [parse("point"), parse("pt")])
    assert "branch 'point' has type that cannot be read" in str(problem)


def test_a_field_is_read_without_the_types_of_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_trees(tmp_path / "wide.root", {"Events": 1000}, rntuple=True)
    schema = scan_files([SourceFile("", str(path), "wide.root")])[0]
    built = []
    form = uproot.models.RNTuple.Model_ROOT_3a3a_RNTuple.field_form

    def noted(self: Any, number: int, *arguments: Any, **options: Any) -> Any:
        built.append(self.all_fields[number].name)
        return form(self, number, *arguments, **options)

    # to build the types of a thousand fields takes a second, for each file
    monkeypatch.setattr(uproot.models.RNTuple.Model_ROOT_3a3a_RNTuple, "field_form", noted)
    chunks = list(read_chunks(schema, ["x"], rows=300))
    np.testing.assert_array_equal(np.concatenate([chunk.columns["x"] for chunk in chunks]), np.arange(1000))
    assert set(built) == {"x"}
    np.testing.assert_array_equal(read_range(schema, ["x"], 990, 1000).columns["x"], np.arange(990, 1000))


@pytest.mark.parametrize("text", ["arr", "arr[1]", "`arr[3]`"])
def test_a_hint_works_when_it_is_copied(text: str) -> None:
    types = {
        "arr[3]": parse_branch_type("float[3]"),
        "mass": parse_branch_type("double"),
        "my eta": parse_branch_type("float"),
    }
    schema = FileSchema(SourceFile("", "a.root", "a.root"), "tree", 4, types)
    (problem,) = find_schema_problems([schema], [parse(text)])
    hint = re.search(r"write (\S+)", str(problem))
    assert hint is not None
    expression = parse(hint.group(1))
    assert expression.branches == ("arr[3]",)
    assert find_schema_problems([schema], [expression]) == []
    (problem,) = find_schema_problems([schema], [parse("my_eta")])
    assert "did you mean `my eta`?" in str(problem)
