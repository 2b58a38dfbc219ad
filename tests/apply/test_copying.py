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

from shared.score_files import read_columns
from tamis.apply import ApplyOptions, apply_files, verify_files

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


@pytest.mark.parametrize("form", ["ttree", "rntuple", "parquet"])
def test_a_copy_has_every_bit_of_the_input_and_the_scores(
    form: Any, small_run: Path, columns_of: Callable[..., Any], tmp_path: Path
) -> None:
    columns = many_types(columns_of(500))
    source = write(tmp_path / "a", columns, form)
    apply_files(small_run, [str(source)], tmp_path / "friend", options=ApplyOptions(form="parquet"))
    summary = apply_files(
        small_run, [str(source)], tmp_path / "out", options=ApplyOptions(form=form, copy=True)
    )
    assert [outcome.problem for outcome in summary.outcomes] == [""]
    copy = read_columns(tmp_path / "out" / f"a.scored{source.suffix}", "events")
    scores = read_columns(tmp_path / "friend" / "a.scores.parquet")
    assert list(copy) == [*columns, *scores]
    for name, values in {**columns, **scores}.items():
        assert copy[name].dtype == values.dtype
        assert copy[name].tobytes() == values.tobytes(), name
    (score_check,) = verify_files(small_run, [str(source)], tmp_path / "out")
    assert score_check.holds, score_check.findings
    # the default format is that of the input
    second_summary = apply_files(small_run, [str(source)], tmp_path / "out", options=ApplyOptions(copy=True))
    assert second_summary.outcomes[0].status == "kept"


def test_copies_of_mixed_inputs_follow_each_input(
    small_run: Path, columns_of: Callable[..., Any], tmp_path: Path
) -> None:
    inputs = []
    for form in ("ttree", "rntuple", "parquet"):
        (tmp_path / form).mkdir()
        inputs.append(write(tmp_path / form / ("b" if form == "rntuple" else "a"), columns_of(20), form))
    names = [str(path) for path in inputs]
    out = tmp_path / "out"
    assert not apply_files(small_run, names, out, options=ApplyOptions(copy=True)).failed
    assert {path.name for path in out.iterdir()} == {
        "a.scored.root", "b.scored.root", "a.scored.parquet", "summary.json",
    }  # fmt: skip
    with uproot.open(out / "b.scored.root") as file:
        assert not isinstance(file["events"], uproot.TTree)
    score_checks = verify_files(small_run, names, out)
    assert [score_check.findings for score_check in score_checks] == [(), (), ()]


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
    options = ApplyOptions(form="ttree", copy=True)
    outcomes = apply_files(small_run, [str(tmp_path / "*.root")], out, options=options).outcomes
    problems = {Path(outcome.file).stem: outcome.problem for outcome in outcomes}
    assert "branch 'jet' (" in problems["jagged"]
    assert "is not one plain number per event" in problems["jagged"]
    assert "branch 'flag' has the name of a score column" in problems["taken"]
    assert "the format of the input, rntuple; leave out --format" in problems["other"]
    options = ApplyOptions(form="parquet", copy=True)
    (nulled,) = apply_files(small_run, [str(tmp_path / "nulls.parquet")], out, options=options).outcomes
    assert "'spare' holds nulls" in nulled.problem
    assert [path.name for path in out.iterdir()] == ["summary.json"]
