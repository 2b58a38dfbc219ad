from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tamis.data.chunks import compute_rows_per_chunk, read_chunks, read_range
from tamis.data.scanning import scan_files
from tamis.data.schema import BranchType, SourceFile, find_schema_problems, parse_branch_type
from tamis.data.sources import expand_files
from tamis.errors import InputError
from tamis.expressions import parse

WriteTree = Callable[..., Path]
JETS = ak.values_astype(ak.Array([[50.0, 30.0], [], [20.0], [], [40.0, 35.0, 25.0]]), np.float32)
COLUMNS = {
    "pt": np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
    "n": np.array([0, 1, 2, 3, 4], np.uint32),
    "ok": np.array([True, False, True, True, False]),
}


def write_parquet(path: Path) -> Path:
    pq.write_table(
        pa.table({**{k: pa.array(v) for k, v in COLUMNS.items()}, "jet": pa.array(JETS.to_list())}), path
    )
    return path


def write_rntuple(path: Path) -> Path:
    with uproot.recreate(path) as file:
        file["tree"] = {**COLUMNS, "jet": JETS}
    return path


@pytest.fixture(params=["ttree", "rntuple", "parquet"])
def source(request: pytest.FixtureRequest, tmp_path: Path, write_tree: WriteTree) -> Path:
    match request.param:
        case "ttree":
            return write_tree("a.root", {**COLUMNS, "jet": JETS})
        case "rntuple":
            return write_rntuple(tmp_path / "a.root")
        case _:
            return write_parquet(tmp_path / "a.parquet")


def scan(path: Path, tree: str | None = None):
    return scan_files(expand_files("s", [path.name], path.parent), tree)


def test_a_range_is_the_part_of_the_whole(source: Path) -> None:
    (schema,) = scan(source)
    (chunk,) = read_chunks(schema, ["pt", "jet", "ok"])
    for start in range(5):
        for stop in range(start + 1, 6):
            part = read_range(schema, ["pt", "jet", "ok"], start, stop)
            assert (part.first_entry, part.length) == (start, stop - start)
            for name, values in chunk.columns.items():
                assert ak.to_list(part.columns[name]) == ak.to_list(values[start:stop])


def test_a_range_crosses_the_row_groups_of_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": np.arange(100)}), tmp_path / "a.parquet", row_group_size=7)
    (schema,) = scan(tmp_path / "a.parquet")
    for start, stop in ((0, 1), (6, 8), (7, 14), (20, 77), (98, 100)):
        assert read_range(schema, ["x"], start, stop).columns["x"].tolist() == list(range(start, stop))


def test_every_format_says_what_it_holds(source: Path) -> None:
    (schema,) = scan(source)
    assert schema.entries == 5
    kinds = {name: (kind.kind, kind.number) for name, kind in schema.branches.items() if name != "njet"}
    assert kinds["pt"] == ("scalar", "float64")
    assert kinds["n"] == ("scalar", "uint32")
    assert kinds["ok"] == ("scalar", "bool")
    assert kinds["jet"][0] == "jagged"


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 100])
def test_chunks_join_to_the_whole(source: Path, rows: int) -> None:
    (schema,) = scan(source)
    chunks = list(read_chunks(schema, ["pt", "n", "ok", "jet"], rows))
    assert [chunk.first_entry for chunk in chunks] == list(range(0, 5, rows))
    assert sum(chunk.length for chunk in chunks) == 5
    for name, values in COLUMNS.items():
        assert np.concatenate([chunk.columns[name] for chunk in chunks]).tolist() == values.tolist()
    assert ak.to_list(ak.concatenate([chunk.columns["jet"] for chunk in chunks])) == JETS.to_list()


def test_without_branches_chunks_count_entries(source: Path) -> None:
    (schema,) = scan(source)
    assert [(chunk.first_entry, chunk.length) for chunk in read_chunks(schema, [], 2)] == [
        (0, 2),
        (2, 2),
        (4, 1),
    ]


def test_nulls_of_a_range_of_parquet_are_where_they_were(tmp_path: Path) -> None:
    values = [None if row % 3 == 1 else float(row) for row in range(50)]
    lists = [None if row % 5 == 2 else [float(row), None] for row in range(50)]
    pq.write_table(pa.table({"x": values, "jet": lists}), tmp_path / "a.parquet", row_group_size=20)
    (schema,) = scan(tmp_path / "a.parquet")
    for start, stop in ((0, 7), (1, 9), (13, 14), (18, 45)):
        columns = read_range(schema, ["x", "jet"], start, stop).columns
        np.testing.assert_array_equal(columns["x"], np.array(values[start:stop], np.float64))
        expected = [
            [] if values_of_event is None else [values_of_event[0], np.nan]
            for values_of_event in lists[start:stop]
        ]
        assert str(columns["jet"].to_list()) == str(expected)


@pytest.mark.parametrize("value", [2**53, -(2**53), -(2**53) - 1, 2**63 - 1])
def test_whole_numbers_beside_nulls_are_exact_or_refused(value: int, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": pa.array([value, None], pa.int64())}), tmp_path / "a.parquet")
    (schema,) = scan(tmp_path / "a.parquet")
    if abs(value) <= 2**53:
        assert next(read_chunks(schema, ["x"])).columns["x"][0] == value
        return
    with pytest.raises(InputError):
        list(read_chunks(schema, ["x"]))


def test_parquet_null_is_not_a_number(tmp_path: Path) -> None:
    table = {"x": pa.array([1, None, 3], pa.int32()), "jet": pa.array([[1.0, None], None, []])}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    (schema,) = scan(tmp_path / "a.parquet")
    (chunk,) = read_chunks(schema, ["x", "jet"])
    assert str(chunk.columns["x"].tolist()) == "[1.0, nan, 3.0]"
    assert str(ak.to_list(chunk.columns["jet"])) == "[[1.0, nan], [], []]"


@pytest.mark.parametrize("reverse", [False, True])
def test_the_order_of_files_does_not_matter(tmp_path: Path, write_tree: WriteTree, reverse: bool) -> None:
    for name in ("b.root", "sub/a.root", "c.root"):
        write_tree(name, {"x": np.zeros(1)})
    patterns = ["sub/a.root", "?.root"]
    sources = expand_files("s", patterns[::-1] if reverse else patterns, tmp_path)
    assert [source.file_key for source in sources] == ["b.root", "c.root", "sub/a.root"]


def test_the_file_key_does_not_depend_on_where_the_folder_is(tmp_path: Path) -> None:
    for site in ("here", "there/deeper"):
        (tmp_path / site / "data").mkdir(parents=True)
        (tmp_path / site / "data/a.root").touch()
    file_keys = {
        expand_files("s", ["data/a.root"], tmp_path / site)[0].file_key for site in ("here", "there/deeper")
    }
    assert file_keys == {"data/a.root"}


def test_no_match_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        expand_files("s", ["missing*.root"], tmp_path)


def test_a_file_named_twice_is_refused(tmp_path: Path, write_tree: WriteTree) -> None:
    path = write_tree("a.root", {"x": np.zeros(1)})
    (tmp_path / "link.root").symlink_to(path)
    with pytest.raises(InputError):
        expand_files("s", ["*.root"], tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.root", b"", "is empty, and not a ROOT or Parquet file"),
        ("a.parquet", b"", "is empty, and not a ROOT or Parquet file"),
        ("a.root", b"<html>not found</html>", "is not a ROOT or Parquet file: it begins with b'<html>no'"),
        ("a.parquet", b"<html>not found</html>", "is not a Parquet file: it begins with b'<html>no'"),
        (
            "a.root",
            b"root\x00\x00\xf6\x1c",
            "is truncated: it has 8 bytes, fewer than the header of a ROOT file",
        ),
        ("a.parquet", b"root\x00\x00\xf6\x1c", "is a ROOT file with the extension of a Parquet file"),
        ("a.root", b"PAR1" + bytes(40), "is a Parquet file with another extension"),
        ("a.parquet", b"PAR1" + bytes(40), "cannot be read"),
    ],
)
def test_files_of_another_kind_are_named(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: {reason}"):
        scan(tmp_path / name)


def test_a_truncated_file_is_named(write_tree: WriteTree) -> None:
    path = write_tree("a.root", {"x": np.random.default_rng(0).normal(size=20_000)})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError):
        list(read_chunks(scan(path)[0], ["x"]))


def test_a_file_that_is_named_by_path_and_by_url_is_named_twice(
    tmp_path: Path, write_tree: WriteTree
) -> None:
    path = write_tree("a.root", {"x": np.zeros(1)})
    with pytest.raises(InputError):
        expand_files("s", ["a.root", f"file://{path}"], tmp_path)


def test_a_missing_tree_lists_what_there_is(write_tree: WriteTree) -> None:
    path = write_tree("a.root", {"x": np.zeros(1)}, tree="Events")
    with pytest.raises(InputError):
        scan(path, "tree")


def test_several_trees_must_be_told_apart(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "a.root") as file:
        for name in ("one", "two"):
            file.mktree(name, {"x": "float64"}).extend({"x": np.zeros(1)})
    with pytest.raises(InputError):
        scan(tmp_path / "a.root")
    assert scan(tmp_path / "a.root", "two")[0].tree == "two"


def test_parquet_takes_no_tree(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        scan(write_parquet(tmp_path / "a.parquet"), "tree")


def test_all_problems_of_all_files_are_reported_together(write_tree: WriteTree) -> None:
    good = write_tree("a.root", {"mass": np.zeros(2), "jet": JETS[:2], "eta": np.zeros(2)})
    write_tree("b.root", {"mas": np.zeros(2), "jet": JETS[:2], "eta": np.zeros(2, np.float32)})
    schemas = scan_files(expand_files("s", ["*.root"], good.parent))
    problems = find_schema_problems(schemas, [parse(text) for text in ("mass", "jet", "eta", "eta[0]")])
    lines = str(InputError("input files", problems)).splitlines()
    assert lines[0] == "input files: 6 problems"
    text = "\n".join(lines)
    assert "b.root:tree: branch 'mass' is missing; did you mean 'mas'?" in text
    assert (
        "b.root:tree: branch 'jet' has several values per event (float[]); expected one: write jet[0]" in text
    )
    assert "a.root:tree: branch 'eta' has one value per event (double); remove the index" in text
    assert "b.root:tree: branch 'eta' has type float, but double in" in text


def test_a_file_without_entries_needs_no_branches(write_tree: WriteTree) -> None:
    write_tree("a.root", {"x": np.zeros(2)})
    path = write_tree("b.root", {"other": np.zeros(0)})
    schemas = scan_files(expand_files("s", ["*.root"], path.parent))
    assert find_schema_problems(schemas, [parse("x")]) == []
    assert list(read_chunks(schemas[1], ["x"])) == []


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("double", ("scalar", "float64")),
        ("Float_t", ("other", "")),
        ("std::int32_t", ("scalar", "int32")),
        ("uint64_t", ("scalar", "uint64")),
        ("bool", ("scalar", "bool")),
        ("std::vector<float>", ("jagged", "float32")),
        ("vector<std::uint8_t>", ("jagged", "uint8")),
        ("int32_t[]", ("jagged", "int32")),
        ("double[3]", ("array", "float64")),
        ("std::array<float, 4>", ("array", "float32")),
        ("std::vector<std::vector<float>>", ("other", "")),
        ("std::string", ("other", "")),
        ("TLorentzVector", ("other", "")),
    ],
)
def test_types_are_read_from_their_spelling(spelling: str, expected: tuple[str, str]) -> None:
    assert parse_branch_type(spelling) == BranchType(*expected, spelling)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(rows=st.integers(1, 4000))
def test_any_chunk_size_reads_the_same(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "many.root"
    values = np.arange(3000, dtype=np.float32)
    if not path.exists():
        with uproot.recreate(path) as file:
            tree = file.mktree("tree", {"x": "float32"})
            for start in range(0, 3000, 700):  # several baskets
                tree.extend({"x": values[start : start + 700]})
    (schema,) = scan(path)
    assert (
        np.concatenate([chunk.columns["x"] for chunk in read_chunks(schema, ["x"], rows)]).tolist()
        == values.tolist()
    )


def test_a_chunk_keeps_to_its_budget() -> None:
    assert compute_rows_per_chunk(1000) * 1000 * 8 <= 80_000_000


@pytest.mark.parametrize(
    ("folder", "pattern", "path", "file_key"),
    [
        ("root://site//store/user", "a/b.root", "root://site//store/user/a/b.root", "a/b.root"),
        ("root://site//store/user/", "b.root", "root://site//store/user/b.root", "b.root"),
        ("/data", "https://site/b.root", "https://site/b.root", "https://site/b.root"),
    ],
)
def test_urls_are_kept_as_they_are(folder: str, pattern: str, path: str, file_key: str) -> None:
    (source,) = expand_files("s", [pattern], folder)
    assert (source.path, source.file_key) == (path, file_key)


def test_the_memory_that_reading_takes_does_not_grow_with_the_file(tmp_path: Path) -> None:
    # NumPy tells tracemalloc of every array. An RNTuple also has uproot's cache of clusters, at most 100 MB.
    def peak_of(entries: int) -> int:
        path = tmp_path / f"{entries}.root"
        values = np.random.default_rng(1).normal(size=10_000)
        with uproot.recreate(path) as file:
            tree = file.mktree("tree", dict.fromkeys("abcd", "float64"))
            for _ in range(0, entries, 10_000):
                tree.extend(dict.fromkeys("abcd", values))
        (schema,) = scan(path)
        tracemalloc.start()
        try:
            assert sum(chunk.length for chunk in read_chunks(schema, ["a", "b"], 10_000)) == entries
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    chunk = 2 * 10_000 * 8
    peak_of(20_000)  # loads what is loaded only once
    # two threads decompress, and how many pieces they hold at once is chance: the least of some readings is not
    few, many = (min(peak_of(entries) for _ in range(4)) for entries in (50_000, 400_000))
    assert many < few + chunk
    assert many < 15 * chunk


@pytest.mark.parametrize(("damaged", "words"), [("y", "branch 'y'"), ("x", "branch 'x'")])
def test_what_cannot_be_read_is_named_with_its_tree_and_branch(
    tmp_path: Path, damaged: str, words: str
) -> None:
    path = tmp_path / "a.root"
    with uproot.recreate(path, compression=uproot.ZLIB(9)) as file:
        tree = file.mktree("events", {"x": np.float64, "y": np.float64})
        tree.extend({"x": np.zeros(2000), "y": np.ones(2000)})
    with uproot.open(path) as file:
        position = file["events"][damaged].basket_key(0).data_cursor.index
    content = bytearray(path.read_bytes())
    content[position + 15] ^= 0xFF  # behind the header of the compressed block
    path.write_bytes(content)
    schema = scan_files([SourceFile("bkg", str(path), "a.root")])[0]
    for read in (
        lambda: list(read_chunks(schema, ["x", "y"])),
        lambda: read_range(schema, ["x", "y"], 0, 10),
    ):
        with pytest.raises(InputError) as caught:
            read()
        assert f"{path} after entry 0 (tree 'events', {words}): cannot be read" in str(caught.value)
