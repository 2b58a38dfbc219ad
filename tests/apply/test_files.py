"""Scores beside the events of files: every entry gets its row, whole files or none, and the same bits every time."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward
import jax
import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tamis
from shared.score_files import have_same_bits, read_columns
from tamis.apply import ApplyOptions, ChunkSize, Flag, Outcome, Shard, Summary, apply_files, verify_files
from tamis.apply.outputs import read_score_file
from tamis.config import ClassSection
from tamis.errors import RequestError, TamisError

Columns = dict[str, np.ndarray]
ColumnsOf = Callable[..., Columns]
Write = Callable[..., Path]
Inside = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def columns(columns_of: ColumnsOf) -> Columns:
    return columns_of(1000)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, columns: Columns, write_events: Write) -> Path:
    return write_events(tmp_path_factory.mktemp("input") / "a.root", columns)


def expected_scores(run: Path, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Which entries pass the selection, and what the classifier gives them in memory."""
    passes = columns["w"] > 0.6
    classifier = tamis.Classifier.load(run / "model")
    return passes, classifier.predict({name: values[passes] for name, values in columns.items()})


@pytest.mark.parametrize("form", ["ttree", "rntuple", "parquet"])
def test_every_entry_has_its_row(
    form: Any, small_run: Path, source: Path, columns: Columns, tmp_path: Path
) -> None:
    summary = apply_files(small_run, [str(source)], tmp_path, options=ApplyOptions(form=form))
    (path,) = (path for path in tmp_path.iterdir() if path.name.startswith("a.scores."))
    score_columns = read_columns(path)
    passes, expected = expected_scores(small_run, columns)
    assert list(score_columns) == ["score_bkg", "score_sig", "predicted", "flag"]
    assert [str(values.dtype) for values in score_columns.values()] == [
        "float32",
        "float32",
        "int16",
        "uint8",
    ]
    scores = np.stack([score_columns["score_bkg"], score_columns["score_sig"]], axis=1)
    np.testing.assert_array_equal(scores[passes], expected)
    np.testing.assert_array_equal(scores[~passes], -1)
    np.testing.assert_array_equal(score_columns["predicted"], np.where(passes, scores.argmax(axis=1), -1))
    np.testing.assert_array_equal(score_columns["flag"], np.where(passes, 0, Flag.NOT_SELECTED))
    assert summary.entries == {"in": 1000, "out": 1000, "lost": 0}
    assert summary.counts["scored"] == passes.sum() == 1000 - summary.counts["not_selected"]
    assert json.loads((tmp_path / "summary.json").read_text()) == summary.to_dict()


def test_parquet_and_root_inputs_get_the_same_scores(
    small_run: Path, source: Path, columns: Columns, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), tmp_path / "b.parquet", row_group_size=300)
    with uproot.recreate(tmp_path / "c.root") as file:
        file.mkrntuple("tree", {name: values.dtype for name, values in columns.items()}).extend(columns)
    files = [str(source), str(tmp_path / "b.parquet"), str(tmp_path / "c.root")]
    assert not apply_files(small_run, files, tmp_path / "out").failed
    score_columns = [read_columns(tmp_path / "out" / f"{name}.scores.root") for name in "abc"]
    assert have_same_bits(score_columns[0], score_columns[1])
    assert have_same_bits(score_columns[0], score_columns[2])


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chunk=st.integers(1, 1200), jobs=st.integers(1, 4), piece=st.integers(1, 700), rows=st.integers(1, 700)
)
def test_row_i_belongs_to_event_i_whatever_the_chunks_and_threads(
    small_run: Path,
    source: Path,
    columns: Columns,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
    jobs: int,
    piece: int,
    rows: int,
) -> None:
    chunk = max(chunk, 50)  # a chunk of one entry takes long, and is tried below
    monkeypatch.setattr("tamis.apply.scoring.PIECE", piece)
    monkeypatch.setattr("tamis.apply.outputs.ROWS", rows)
    out = tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    apply_files(small_run, [str(source)], out, chunk=ChunkSize(rows=chunk), jobs=jobs)
    score_columns = read_columns(out / "a.scores.root")
    with uproot.open(source) as file:
        events = file["tree"]["event"].array(library="np")
    passes, expected = expected_scores(small_run, columns)
    by_event = dict(zip(columns["event"][passes].tolist(), expected[:, 1].tolist(), strict=True))
    assert score_columns["score_sig"].tolist() == [by_event.get(event, -1.0) for event in events.tolist()]


def test_files_that_are_done_in_parallel_are_not_mixed_up(
    small_run: Path, columns_of: ColumnsOf, write_events: Write, tmp_path: Path
) -> None:
    sizes = [1, 700, 3, 250, 90, 0, 400]
    inputs = [columns_of(size, seed=number) for number, size in enumerate(sizes)]
    files = [str(write_events(tmp_path / f"{number}.root", columns)) for number, columns in enumerate(inputs)]
    summary = apply_files(small_run, files[::-1], tmp_path / "out", jobs=4, chunk=ChunkSize(rows=64))
    assert [outcome.entries for outcome in summary.outcomes] == sizes
    for number, columns in enumerate(inputs):
        scores = read_columns(tmp_path / "out" / f"{number}.scores.root")
        passes, expected = expected_scores(small_run, columns)
        np.testing.assert_array_equal(scores["score_sig"][passes], expected[:, 1])
        assert len(scores["flag"]) == sizes[number]


def test_permuted_branches_files_and_chunks_of_one_change_no_score(
    small_run: Path, source: Path, columns: Columns, write_events: Write, tmp_path: Path
) -> None:
    apply_files(small_run, [str(source)], tmp_path / "first")
    first = read_columns(tmp_path / "first" / "a.scores.root")
    order = np.random.default_rng(3).permutation(1000)
    backwards = {name: columns[name][order] for name in reversed(columns)}
    mixed = write_events(tmp_path / "mixed.root", {"unused": columns["w"][order] * 7, **backwards})
    few = write_events(tmp_path / "few.root", {name: values[:20] for name, values in columns.items()})
    apply_files(small_run, [str(mixed), str(few)], tmp_path / "second", chunk=ChunkSize(rows=333))
    second = read_columns(tmp_path / "second" / "mixed.scores.root")
    assert have_same_bits({name: values[order] for name, values in first.items()}, second)
    apply_files(small_run, [str(few)], tmp_path / "third", chunk=ChunkSize(rows=1))
    third = read_columns(tmp_path / "third" / "few.scores.root")
    assert have_same_bits({name: values[:20] for name, values in first.items()}, third)


def test_what_cannot_be_scored_has_the_sentinel_and_a_reason(
    small_run: Path, columns_of: ColumnsOf, write_events: Write, tmp_path: Path
) -> None:
    events = columns_of(8)
    events["x"] = np.array([-999, np.nan, np.inf, 0, 0, 0, 0, 0], np.float64)
    events["y"] = np.array([0, 0, 0, np.nan, np.inf, np.nan, 0, 0], np.float32)
    events["w"] = np.array([1, 1, 1, 1, 1, 0, np.nan, 1])
    source = write_events(tmp_path / "a.root", events)
    summary = apply_files(small_run, [str(source)], tmp_path / "out", options=ApplyOptions(sentinel=-99))
    score_columns = read_columns(tmp_path / "out" / "a.scores.root")
    # the features x and r have a rule for what is missing: they are filled as in training
    assert score_columns["flag"].tolist() == [
        0,
        0,
        0,
        Flag.MISSING,
        Flag.INFINITE,
        Flag.NOT_SELECTED,
        Flag.NOT_SELECTED,
        0,
    ]
    unscored = score_columns["flag"] != 0
    assert (score_columns["score_sig"][unscored] == -99).all()
    assert (score_columns["predicted"][unscored] == -1).all()
    assert ((score_columns["score_sig"][~unscored] > 0) & (score_columns["score_sig"][~unscored] < 1)).all()
    assert summary.counts == {
        "scored": 4, "not_selected": 2, "missing": 1, "infinite": 1, "no_fold": 0, "not_finite": 0,
    }  # fmt: skip


def test_a_rerun_keeps_what_is_right_and_redoes_what_is_not(
    small_run: Path, columns_of: ColumnsOf, write_events: Write, tmp_path: Path
) -> None:
    files = [
        str(write_events(tmp_path / f"{number}.root", columns_of(50, seed=number))) for number in range(4)
    ]
    out = tmp_path / "out"

    def statuses(**changes: Any) -> list[str]:
        return [outcome.status for outcome in apply_files(small_run, files, out, **changes).outcomes]

    assert statuses() == ["written"] * 4
    assert statuses() == ["kept"] * 4
    before = {path.name: path.read_bytes() for path in out.glob("*.root")}
    (out / "0.scores.root").write_bytes(before["0.scores.root"][:200])
    (out / "1.scores.root").unlink()
    write_events(tmp_path / "2.root", columns_of(50, seed=99))
    assert statuses() == ["written", "written", "written", "kept"]
    assert statuses(options=ApplyOptions(sentinel=-5), overwrite=True) == ["written"] * 4
    assert statuses(selection="true", overwrite=True) == ["written"] * 4
    summary = apply_files(small_run, files, out, selection="true")
    assert summary.entries == {"in": 200, "out": 200, "lost": 0}
    assert summary.counts["scored"] == 200


def test_a_bad_file_does_not_stop_the_others(
    small_run: Path, columns_of: ColumnsOf, write_events: Write, tmp_path: Path
) -> None:
    good = columns_of(30)
    write_events(tmp_path / "good.root", good)
    (tmp_path / "text.root").write_text("no ROOT file")
    content = write_events(tmp_path / "cut.root", columns_of(20000)).read_bytes()
    (tmp_path / "cut.root").write_bytes(content[: len(content) // 2])
    write_events(tmp_path / "without.root", {name: good[name] for name in ("x", "w")})
    with uproot.recreate(tmp_path / "other.root") as file:
        types = {name: values.dtype for name, values in good.items()}
        jagged = awkward.Array([[1.0, 2.0][: number % 3] for number in range(30)])
        file.mktree("tree", {**types, "y": "var * float64"}).extend({**good, "y": jagged})
    names = ["good", "text", "cut", "without", "other", "absent"]
    out = tmp_path / "out"
    summary = apply_files(small_run, [str(tmp_path / f"{name}.root") for name in names], out)
    outcomes = {Path(outcome.file).stem: outcome for outcome in summary.outcomes}
    assert {name for name, outcome in outcomes.items() if outcome.status == "written"} == {"good"}
    assert {path.name for path in out.iterdir()} == {"good.scores.root", "summary.json"}
    assert summary.failed
    assert "branch 'y' is missing" in outcomes["without"].problem
    assert "branch 'y' has several values per event" in outcomes["other"].problem
    assert all(f"{name}.root" in outcomes[name].problem for name in names[1:])
    assert summary.entries["in"] == summary.entries["out"] + summary.entries["lost"]
    assert summary.entries["out"] == 30


def test_a_file_that_is_damaged_in_the_middle_leaves_nothing(
    small_run: Path, columns_of: ColumnsOf, tmp_path: Path
) -> None:
    columns = columns_of(40_000)
    with uproot.recreate(tmp_path / "a.root") as file:
        tree = file.mktree("tree", {name: values.dtype for name, values in columns.items()})
        for start in range(0, 40_000, 4000):
            tree.extend({name: values[start : start + 4000] for name, values in columns.items()})
    with uproot.open(tmp_path / "a.root") as file:
        position = file["tree"]["x"].member("fBasketSeek")[6]
    content = bytearray((tmp_path / "a.root").read_bytes())
    content[position + 200 : position + 400] = bytes(200)
    (tmp_path / "a.root").write_bytes(content)
    summary = apply_files(small_run, [str(tmp_path / "a.root")], tmp_path / "out", chunk=ChunkSize(rows=3000))
    assert summary.entries == {"in": 40_000, "out": 0, "lost": 40_000}
    assert "a.root after entry" in summary.outcomes[0].problem
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.json"]


def test_a_file_that_was_cut_is_refused_although_all_that_is_used_is_there(
    small_run: Path, columns_of: ColumnsOf, write_events: Write, tmp_path: Path
) -> None:
    path = write_events(tmp_path / "a.root", columns_of(50))
    path.write_bytes(path.read_bytes()[:-1])
    (outcome,) = apply_files(small_run, [str(path)], tmp_path / "out").outcomes
    assert "a.root: is truncated: it has" in outcome.problem
    assert "bytes; copy it again" in outcome.problem


def test_unseen_needs_folds(small_run: Path, source: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        apply_files(small_run, [str(source)], tmp_path, options=ApplyOptions(unseen=True))


def test_a_score_that_is_no_number_is_flagged(
    small_run: Path, source: Path, columns: Columns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute_scores = tamis.Classifier.scores

    def with_a_hole(self: tamis.Classifier, features: np.ndarray, fold: Any) -> np.ndarray:
        scores = compute_scores(self, features, fold)
        if len(scores) > 100:  # not the reference events
            scores[3] = np.nan
        return scores

    monkeypatch.setattr(tamis.Classifier, "scores", with_a_hole)
    apply_files(small_run, [str(source)], tmp_path)
    score_columns = read_columns(tmp_path / "a.scores.root")
    entry = np.flatnonzero(columns["w"] > 0.6)[3]
    assert (
        score_columns["flag"][entry],
        score_columns["score_sig"][entry],
        score_columns["predicted"][entry],
    ) == (16, -1, -1)
    assert np.count_nonzero(score_columns["flag"] == Flag.NOT_FINITE) == 1


def test_the_input_is_never_touched(
    small_run: Path, columns_of: ColumnsOf, write_events: Write, tmp_path: Path
) -> None:
    source = write_events(tmp_path / "a.root", columns_of(40))
    before = source.read_bytes(), source.stat().st_mtime_ns
    apply_files(small_run, [str(source)], tmp_path)  # the output's folder is that of the input
    assert (source.read_bytes(), source.stat().st_mtime_ns) == before
    os.link(source, tmp_path / "b.scores.root")
    second_file = write_events(tmp_path / "b.root", columns_of(10))
    summary = apply_files(small_run, [str(second_file)], tmp_path)
    assert "was not written by tamis" in summary.outcomes[0].problem
    with pytest.raises(RequestError):
        apply_files(small_run, [str(tmp_path / "*.root")], tmp_path)
    assert source.read_bytes() == before[0]


@pytest.mark.parametrize("form", ["ttree", "rntuple", "parquet"])
def test_a_full_disk_is_one_error_and_no_file(
    form: Any,
    small_run: Path,
    columns_of: ColumnsOf,
    write_events: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system refuses the last step, when all was written and is to be made safe."""
    files = [str(write_events(tmp_path / f"{number}.root", columns_of(50))) for number in range(3)]

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("tamis.files.os.fsync", refuse)
        patched.setattr("tamis.apply.files.write_json", lambda *_: None)
        summary = apply_files(small_run, files, tmp_path / "out", options=ApplyOptions(form=form), jobs=1)
    assert [outcome.status for outcome in summary.outcomes] == ["failed", "not tried", "not tried"]
    assert "No space left on device" in summary.outcomes[0].problem
    assert list((tmp_path / "out").iterdir()) == []
    assert summary.entries == {"in": 50, "out": 0, "lost": 50}


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let the system refuse larger files; compiled programs, which would be cut off, are not stored."""
    limits, seconds = resource.getrlimit(resource.RLIMIT_FSIZE), "jax_persistent_cache_min_compile_time_secs"
    previous = getattr(jax.config, seconds)
    jax.config.update(seconds, 1e9)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        jax.config.update(seconds, previous)


@pytest.mark.parametrize("form", ["ttree", "parquet"])
def test_a_file_system_that_takes_no_more_gives_one_error(
    form: str, small_run: Path, columns_of: ColumnsOf, write_events: Write, tmp_path: Path, inside: Inside
) -> None:
    """The system refuses while the scores are written: files beyond a size are not allowed."""
    files = [str(write_events(tmp_path / f"{number}.root", columns_of(20_000))) for number in range(2)]
    with files_up_to(30_000):
        status, _, error = inside(
            "apply", str(small_run), *files, "-o", "out", "--format", form, "--jobs", "1"
        )
    assert status == 1
    assert error.count("File too large") == 1, error
    assert "nothing half-written was left behind" in error
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.json"]


def test_shards_are_a_partition(
    small_run: Path, columns_of: ColumnsOf, write_events: Write, tmp_path: Path
) -> None:
    for number in range(5):
        write_events(tmp_path / f"{number % 2}" / f"{number // 2}.root", columns_of(10 + number))
    patterns = [str(tmp_path / "?" / "*.root")]
    apply_files(small_run, patterns, tmp_path / "whole")
    shares = [
        apply_files(small_run, patterns, tmp_path / "shared", shard=Shard(number, 3)) for number in range(3)
    ]
    files = [outcome.file for share in shares for outcome in share.outcomes]
    assert len(files) == len(set(files)) == 5
    all_names = {path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.root")}
    shared = {path.relative_to(tmp_path / "shared") for path in (tmp_path / "shared").rglob("*.root")}
    # files of one name in different folders do not collide, and are called alike in every share
    assert all_names == shared == {Path(f"{n % 2}/{n // 2}.scores.root") for n in range(5)}
    for name in all_names:
        assert have_same_bits(
            read_columns(tmp_path / "whole" / name), read_columns(tmp_path / "shared" / name)
        )
    assert (tmp_path / "shared" / "summary-0-of-3.json").is_file()


def test_a_file_says_what_it_belongs_to(small_run: Path, source: Path, tmp_path: Path) -> None:
    apply_files(small_run, [str(source)], tmp_path)
    score_file = read_score_file(tmp_path / "a.scores.root")
    assert score_file is not None
    document = json.loads((small_run / "model" / "classifier.json").read_text())
    assert score_file.metadata["model"] == document["document_sha256"]
    assert score_file.metadata["selection"] == "w > 0.6"
    assert score_file.metadata["input"]["file"] == "a.root"
    assert score_file.metadata["input"]["entries"] == 1000
    assert len(score_file.metadata["input"]["first_sha256"]) == 64
    assert score_file.metadata["input"]["first_sha256"] != score_file.metadata["input"]["last_sha256"]


def test_absurd_values_are_named(
    small_run: Path, columns_of: ColumnsOf, write_events: Write, tmp_path: Path
) -> None:
    mev = {**columns_of(400), "y": columns_of(400)["y"] * 1000}
    empty = {**columns_of(400), "y": np.zeros(400, np.float32)}
    fine = columns_of(400)
    files = [
        str(write_events(tmp_path / f"{name}.root", columns))
        for name, columns in (("empty", empty), ("fine", fine), ("mev", mev))
    ]
    outcomes = apply_files(small_run, files, tmp_path / "out").outcomes
    assert "feature 'y' (branches y) is 0 in all" in outcomes[0].warnings[0]
    assert outcomes[1].warnings == ()
    assert "feature 'y' (branches y) is far outside the training range in" in outcomes[2].warnings[0]
    count = int(outcomes[2].warnings[0].split("range in ")[1].split(" of ")[0])
    assert count > 300
    second_outcomes = apply_files(small_run, files, tmp_path / "out").outcomes
    assert [(outcome.status, outcome.warnings) for outcome in second_outcomes] == [
        ("kept", outcome.warnings) for outcome in outcomes
    ]


def test_rows_that_were_not_written_do_not_add_up() -> None:
    summary = Summary("", (Outcome("a", "b", "written", entries=3, rows=2),))
    with pytest.raises(TamisError):
        summary.check()


def test_a_null_in_whole_numbers_changes_neither_a_rerun_nor_a_proof(
    small_run: Path, columns_of: ColumnsOf, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = columns_of(300)
    integers, absent = columns["x"].round().astype(np.int64), np.arange(300) == 5
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({**columns, "x": pa.array(integers, mask=absent)}), path)
    out = tmp_path / "out"
    assert [apply_files(small_run, [path], out).outcomes[0].status for _ in range(2)] == ["written", "kept"]
    (score_check,) = verify_files(small_run, [path], out)
    assert score_check.findings == ()


def test_a_leftover_of_a_killed_process_is_removed(small_run: Path, source: Path, tmp_path: Path) -> None:
    leftover = tmp_path / ".a.scores.root.0123abcd.part.root"
    leftover.write_text("half")
    apply_files(small_run, [str(source)], tmp_path)
    assert not leftover.exists()


@pytest.mark.parametrize("sentinel", [0.0, 0.5, 1.0, 1.0000000001, -1e-50, 1e300])
def test_a_sentinel_that_could_be_a_score_is_refused(sentinel: float) -> None:
    with pytest.raises(RequestError):
        ApplyOptions(sentinel=sentinel)


def test_scores_of_another_file_of_the_same_name_are_not_replaced(
    small_run: Path, columns: Columns, write_events: Write, tmp_path: Path
) -> None:
    sources = []
    for folder, part in (("one", slice(0, 300)), ("two", slice(300, 600))):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "ntuple.root"
        sources.append(write_events(path, {name: values[part] for name, values in columns.items()}))
    out = tmp_path / "out"
    apply_files(small_run, [str(sources[0])], out)
    before = (out / "ntuple.scores.root").read_bytes()
    summary = apply_files(small_run, [str(sources[1])], out)
    (outcome,) = summary.outcomes
    assert outcome.status == "failed"
    assert f"holds the scores of {sources[0]}, another file of that name" in outcome.problem
    assert (out / "ntuple.scores.root").read_bytes() == before
    # a file that was moved is the same one
    sources[0].rename(tmp_path / "ntuple.root")
    assert apply_files(small_run, [str(tmp_path / "ntuple.root")], out).failed == 0


def test_a_summary_that_is_none_of_tamis_is_not_replaced(
    small_run: Path, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "summary.json").write_text("precious")
    with pytest.raises(RequestError):
        apply_files(small_run, [str(source)], tmp_path)
    assert (tmp_path / "summary.json").read_text() == "precious"


def test_a_file_without_any_score_is_warned_of(
    small_run: Path, columns: Columns, write_events: Write, tmp_path: Path
) -> None:
    nothing = {
        name: np.full_like(values, np.nan) for name, values in columns.items() if values.dtype.kind == "f"
    }
    path = write_events(tmp_path / "nothing.root", {**columns, **nothing})
    (outcome,) = apply_files(small_run, [str(path)], tmp_path / "out", selection="true").outcomes
    assert outcome.counts["scored"] == 0
    assert outcome.warnings[0].startswith("no entry could be scored")


def test_a_branch_of_another_type_than_in_training_is_named(
    small_run: Path, columns: Columns, write_events: Write, tmp_path: Path
) -> None:
    changed = {**columns, "x": columns["x"].astype(np.int32), "y": columns["y"].astype(np.float64)}
    path = write_events(tmp_path / "other.root", changed)
    (outcome,) = apply_files(small_run, [str(path)], tmp_path / "out").outcomes
    assert outcome.status == "written"
    assert "branch 'x' is int32, but was float64 in training; check how it is filled" in outcome.warnings
    assert any("branch 'y' is float64, but was float32" in warning for warning in outcome.warnings)
    assert not any("branch 'w'" in warning for warning in outcome.warnings)


def test_a_selection_that_nothing_passes_is_a_warning(small_run: Path, source: Path, tmp_path: Path) -> None:
    (outcome,) = apply_files(small_run, [str(source)], tmp_path, selection="w > 1e9").outcomes
    assert outcome.warnings == ("no entry passes the selection",)


@pytest.mark.parametrize("inside", [".", "figures", "model/deep"])
def test_nothing_is_written_into_a_run(small_run: Path, source: Path, inside: str) -> None:
    before = sorted(small_run.rglob("*"))
    with pytest.raises(RequestError):
        apply_files(small_run, [str(source)], small_run / inside)
    assert sorted(small_run.rglob("*")) == before


def test_a_tree_of_a_parquet_file_is_refused(small_run: Path, columns: Columns, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(dict(columns)), tmp_path / "a.parquet")
    (outcome,) = apply_files(small_run, [str(tmp_path / "a.parquet")], tmp_path / "out", tree="tree").outcomes
    assert "a Parquet file has no trees, but tree 'tree' was chosen" in outcome.problem


def test_the_trees_of_one_file_have_outputs_of_their_own(
    small_run: Path, tmp_path: Path, columns_of: ColumnsOf
) -> None:
    trees = {name: columns_of(50 + number, seed=number) for number, name in enumerate(("nominal", "JES/up"))}
    path = tmp_path / "all.root"
    with uproot.recreate(path) as file:
        for name, columns in trees.items():
            file.mktree(name, {key: values.dtype for key, values in columns.items()}).extend(columns)
    output = tmp_path / "scores"
    for name, columns in trees.items():
        (outcome,) = apply_files(small_run, [str(path)], output, tree=name, selection="true").outcomes
        assert outcome.status == "written"
        scores = read_columns(Path(outcome.output))
        expected = tamis.Classifier.load(small_run / "model").predict(columns)
        np.testing.assert_array_equal(scores["score_sig"], expected[:, 1])
    names = {path.name for path in output.iterdir()}
    assert names == {"all.nominal.scores.root", "all.JES_up.scores.root", "summary.json"}
    score_checks = verify_files(small_run, [str(path)], output)
    assert [score_check.findings for score_check in score_checks] == [(), ()]
    # what would still have the same name is refused, and the scores that are there stay
    with uproot.recreate(path) as file:
        for name in ("nominal", "JES_up", "JES/up"):
            columns = trees["nominal"]
            file.mktree(name, {key: values.dtype for key, values in columns.items()}).extend(columns)
    (outcome,) = apply_files(small_run, [str(path)], output, tree="JES_up", selection="true").outcomes
    assert outcome.status == "failed"
    assert "holds the scores of tree 'JES/up' of the file, not of 'JES_up'" in str(outcome.problem)
    (outcome,) = apply_files(small_run, [str(path)], output, tree="*/*", selection="true").outcomes
    assert outcome.status == "written"
    (outcome,) = apply_files(small_run, [str(path)], output, tree="*", selection="true").outcomes
    assert "several trees, 'JES_up', 'nominal'; score them one at a time with --tree" in str(outcome.problem)


def test_score_columns_are_names_that_root_can_use(
    session_classes: Callable[..., dict[str, Any]],
    make_run: Callable[..., Path],
    source: Path,
    tmp_path: Path,
) -> None:
    values = session_classes(classes={"t#bar{t} + jets": {}, "H\u2192bb": {"signal": True}})
    for sample, name in zip(values["samples"], values["classes"], strict=True):
        sample["class"] = name
    run = make_run(values)
    for form in ("ttree", "rntuple", "parquet"):
        folder = tmp_path / form
        (outcome,) = apply_files(run, [str(source)], folder, options=ApplyOptions(form=form)).outcomes
        scores = read_columns(Path(outcome.output))
        assert list(scores)[:2] == ["score_t_bar_t_jets", "score_H_bb"]
        assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in scores)
        (score_check,) = verify_files(run, [str(source)], folder)
        assert score_check.findings == ()


def test_scores_of_another_classifier_or_selection_are_only_replaced_on_request(
    small_run: Path, columns_of: ColumnsOf, write_events: Write, tmp_path: Path
) -> None:
    """A folder never mixes the scores of two classifiers, nor a file those of two selections unasked."""
    classifier = tamis.Classifier.load(small_run / "model")
    classes = {**classifier.classes, "bkg": ClassSection(label="background")}
    other_model = tmp_path / "model"
    replace(classifier, classes=classes).save(other_model)
    files = [str(write_events(tmp_path / f"{name}.root", columns_of(20))) for name in "ab"]
    out = tmp_path / "out"
    apply_files(small_run, files, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for run, changes in (
        (other_model, {"selection": "w > 0.6"}),
        (small_run, {"selection": "true"}),
        (small_run, {"options": ApplyOptions(sentinel=-5)}),
    ):
        with pytest.raises(RequestError):
            apply_files(run, files[:1], out, **changes)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    summary = apply_files(other_model, files[:1], out, selection="w > 0.6", overwrite=True)
    assert {path.name for path in out.iterdir()} == {"a.scores.root", "summary.json"}
    assert {note.split()[0] for note in summary.notes} >= {"replaced", "removed"}


def test_the_summary_describes_the_folder_after_a_call_with_other_files(
    small_run: Path, columns_of: ColumnsOf, write_events: Write, tmp_path: Path
) -> None:
    """A partial or a refused call leaves the scores of other files in the summary, once each."""
    files = [str(write_events(tmp_path / f"{name}.root", columns_of(20))) for name in "ab"]
    out = tmp_path / "out"

    def read_summary() -> dict[str, Any]:
        return dict(json.loads((out / "summary.json").read_text()))

    apply_files(small_run, files, out)
    assert apply_files(small_run, files[:1], out).entries["in"] == 20
    assert read_summary()["entries"]["out"] == 40
    assert apply_files(small_run, [str(tmp_path / "absent.root")], out).failed
    assert [file["status"] for file in read_summary()["files"]] == ["written", "kept", "failed"]
    (out / "b.scores.root").unlink()
    apply_files(small_run, files[:1], out)
    assert [Path(file["file"]).name for file in read_summary()["files"]] == ["a.root"]


def test_the_entries_of_a_file_that_lacks_a_branch_are_lost(
    small_run: Path, columns_of: ColumnsOf, write_events: Write, tmp_path: Path
) -> None:
    columns = columns_of(20)
    path = write_events(tmp_path / "a.root", {name: columns[name] for name in ("x", "w")})
    assert apply_files(small_run, [str(path)], tmp_path / "out").entries == {"in": 20, "out": 0, "lost": 20}


def test_a_file_of_the_training_is_recognised_by_its_content_and_another_tree_is_named(
    session_classes: Callable[..., Any], make_run: Callable[..., Path], columns: Columns, write_events: Write,
    tmp_path: Path,
) -> None:  # fmt: skip
    values = session_classes(50)
    run = make_run(values)
    shutil.copy(Path(values["data"]) / "sig.root", tmp_path / "renamed.root")
    write_events(tmp_path / "new.root", columns, "Events")
    new, renamed = apply_files(run, [str(tmp_path / "*.root")], tmp_path / "out").outcomes
    assert (new.trained, renamed.trained) == (False, True)
    assert ["'Events'" in warning for warning in new.warnings] == [True]
    assert renamed.warnings == ()
