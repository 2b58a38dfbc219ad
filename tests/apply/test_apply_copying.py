"""A copy of the input with the scores beside its branches, or a refusal that names what cannot be copied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from tamis.apply import Wish, apply_files, verify_files

KINDS = [
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float32",
    "float64",
]


def many_types(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add a branch of each type, with the extremes that a conversion would lose."""
    rng = np.random.default_rng(1)
    added = {}
    for kind in KINDS:
        raw = rng.integers(0, 256, len(columns["x"]) * np.dtype(kind).itemsize, np.uint8).view(kind)
        added[f"of_{kind}"] = raw % 2 == 1 if kind == "bool" else raw
    return {**columns, **added}


def write(path: Path, columns: dict[str, np.ndarray], form: str) -> Path:
    if form == "parquet":
        pq.write_table(pa.table(columns), path.with_suffix(".parquet"))
        return path.with_suffix(".parquet")
    with uproot.recreate(path.with_suffix(".root")) as file:
        make = file.mktree if form == "ttree" else file.mkrntuple
        make("events", {name: values.dtype for name, values in columns.items()}).extend(columns)
    return path.with_suffix(".root")


def read(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return {name: table.column(name).to_numpy() for name in table.column_names}
    with uproot.open(path) as file:
        arrays = file["events"].arrays()
        return {name: awkward.to_numpy(arrays[name]) for name in arrays.fields}


@pytest.mark.parametrize("form", ["ttree", "rntuple", "parquet"])
def test_a_copy_has_every_bit_of_the_input_and_the_scores(
    form: Any, small_run: Path, columns_of: Callable[..., Any], tmp_path: Path
) -> None:
    columns = many_types(columns_of(500))
    source = write(tmp_path / "a", columns, form)
    apply_files(small_run, [str(source)], tmp_path / "friend", wish=Wish(form="parquet"))
    summary = apply_files(small_run, [str(source)], tmp_path / "out", wish=Wish(form=form, copy=True))
    assert [each.problem for each in summary.outcomes] == [""]
    found = read(tmp_path / "out" / f"a.scored{source.suffix}")
    scores = read(tmp_path / "friend" / "a.scores.parquet")
    assert list(found) == [*columns, *scores]
    for name, values in {**columns, **scores}.items():
        assert found[name].dtype == values.dtype
        assert found[name].tobytes() == values.tobytes(), name
    (proof,) = verify_files(small_run, [str(source)], tmp_path / "out")
    assert proof.holds, proof.findings
    # without a wish the format is that of the input
    again = apply_files(small_run, [str(source)], tmp_path / "out", wish=Wish(copy=True))
    assert again.outcomes[0].status == "kept"


def test_copies_of_mixed_inputs_follow_each_input(
    small_run: Path, columns_of: Callable[..., Any], tmp_path: Path
) -> None:
    inputs = []
    for form in ("ttree", "rntuple", "parquet"):
        (tmp_path / form).mkdir()
        inputs.append(write(tmp_path / form / ("b" if form == "rntuple" else "a"), columns_of(20), form))
    names = [str(path) for path in inputs]
    out = tmp_path / "out"
    assert not apply_files(small_run, names, out, wish=Wish(copy=True)).failed
    assert {path.name for path in out.iterdir()} == {
        "a.scored.root", "b.scored.root", "a.scored.parquet", "summary.json",
    }  # fmt: skip
    with uproot.open(out / "b.scored.root") as file:
        assert not isinstance(file["events"], uproot.TTree)
    proofs = verify_files(small_run, names, out)
    assert [proof.findings for proof in proofs] == [(), (), ()]


def test_what_cannot_be_copied_is_refused_by_name(
    small_run: Path, columns_of: Callable[..., Any], tmp_path: Path
) -> None:
    columns = columns_of(6)
    types = {name: values.dtype for name, values in columns.items()}
    jets = awkward.Array([[1.0], [], [2.0, 3.0], [], [4.0], []])
    with uproot.recreate(tmp_path / "jagged.root") as file:
        file.mktree("tree", {**types, "jet": "var * float64"}).extend({**columns, "jet": jets})
    write(tmp_path / "taken", {**columns, "flag": columns["event"]}, "ttree")
    write(tmp_path / "other", columns, "rntuple")
    nulls = pa.table({**columns, "spare": pa.array([1, None, 3, 4, 5, 6])})
    pq.write_table(nulls, tmp_path / "nulls.parquet")
    out = tmp_path / "out"
    wish = Wish(form="ttree", copy=True)
    found = apply_files(small_run, [str(tmp_path / "*.root")], out, wish=wish).outcomes
    said = {Path(each.file).stem: each.problem for each in found}
    assert "branch 'jet' (" in said["jagged"]
    assert "is not one plain number per event" in said["jagged"]
    assert "branch 'flag' has the name of a column that is added" in said["taken"]
    assert "which is rntuple: leave out --format" in said["other"]
    wish = Wish(form="parquet", copy=True)
    (nulled,) = apply_files(small_run, [str(tmp_path / "nulls.parquet")], out, wish=wish).outcomes
    assert "'spare' holds values that are not there" in nulled.problem
    assert [path.name for path in out.iterdir()] == ["summary.json"]
