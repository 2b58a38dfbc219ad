"""All rows of an output are hashed: modified scores are neither kept nor verified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.score_files import read_columns, read_metadata
from tamis.apply import ApplyOptions, ChunkSize, ScoreCheck, apply_files, verify_files
from tamis.apply.outputs import (
    CHECKSUMS,
    METADATA,
    METADATA_CHECKSUM,
    ColumnChecksums,
    read_score_file,
)
from tamis.cli import main
from tamis.errors import InputError
from tamis.files import add_hash

FORMS = ["ttree", "rntuple", "parquet"]
ENTRIES = 3000


def write(path: Path, columns: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
    """Write a score file without tamis."""
    with uproot.recreate(path) as file:
        file.mktree("scores", {name: values.dtype for name, values in columns.items()}).extend(columns)
        file[METADATA] = json.dumps(metadata)


@pytest.fixture(scope="module")
def source(
    tmp_path_factory: pytest.TempPathFactory,
    columns_of: Callable[..., Any],
    write_events: Callable[..., Path],
) -> Path:
    return write_events(tmp_path_factory.mktemp("input") / "a.root", columns_of(ENTRIES))


@pytest.fixture(scope="module", params=FORMS)
def written(
    request: pytest.FixtureRequest, small_run: Path, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the scores in one format."""
    folder = tmp_path_factory.mktemp("written")
    apply_files(small_run, [str(source)], folder, options=ApplyOptions(form=request.param))
    return next(folder.glob("a.scores.*"))


def verify(run: Path, source: Path, folder: Path) -> ScoreCheck:
    (score_check,) = verify_files(run, [str(source)], folder)
    return score_check


def test_the_hashes_are_those_of_the_bytes_of_each_column(written: Path) -> None:
    checksums = read_metadata(written)[CHECKSUMS]
    columns = read_columns(written)
    assert list(checksums) == list(columns) == ["score_bkg", "score_sig", "predicted", "flag"]
    for name, values in columns.items():
        assert checksums[name]["sha256"] == hashlib.sha256(values.tobytes()).hexdigest()
        assert checksums[name]["type"] == str(values.dtype)


def test_the_hashes_depend_on_neither_format_nor_chunks(
    small_run: Path, source: Path, tmp_path: Path
) -> None:
    checksums = []
    for number, form in enumerate(FORMS):
        options, folder = ApplyOptions(form=form), tmp_path / form  # type: ignore[arg-type]
        apply_files(
            small_run, [str(source)], folder, options=options, chunk=ChunkSize(rows=700 + 501 * number)
        )
        checksums.append(read_metadata(next(folder.glob("a.scores.*")))[CHECKSUMS])
    assert checksums[0] == checksums[1] == checksums[2]


@given(cuts=st.lists(st.integers(0, 50), max_size=5), big=st.booleans())
def test_checksums_of_pieces_are_those_of_the_whole(cuts: list[int], big: bool) -> None:
    values = np.random.default_rng(1).normal(size=50)
    in_one_piece, in_pieces = ColumnChecksums({"x": values.dtype}), ColumnChecksums({"x": values.dtype})
    in_one_piece.add({"x": values})
    for piece in np.split(values, sorted(cuts)):
        in_pieces.add({"x": piece.astype(">f8") if big else piece})
    assert in_one_piece.to_dict() == in_pieces.to_dict()


@settings(max_examples=40, deadline=None)
@given(metadata=st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), min_size=1))
def test_a_checksum_fits_only_its_metadata(metadata: dict[str, Any]) -> None:
    key = next(iter(metadata))
    written = add_hash(metadata, METADATA_CHECKSUM)
    assert json.loads(json.dumps(written)) == add_hash(written, METADATA_CHECKSUM)
    changed = {**written, key: "something else"}
    assert changed != add_hash(changed, METADATA_CHECKSUM)
    assert metadata != add_hash(metadata, METADATA_CHECKSUM)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_passes(written: Path, tmp_path: Path, position: float, bit: int) -> None:
    """A flipped bit may not change anything that is read; if it does, it is detected."""
    content = bytearray(written.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    path = tmp_path / written.name
    path.write_bytes(content)
    try:
        score_file = read_score_file(path)
        if score_file is None or list(score_file.damage()):
            return
    except InputError:
        return
    assert score_file.metadata == read_metadata(written)
    original, columns = read_columns(written), read_columns(path)
    assert all(columns[name].tobytes() == values.tobytes() for name, values in original.items())


@pytest.fixture
def scores(small_run: Path, source: Path, tmp_path: Path) -> Path:
    apply_files(small_run, [str(source)], tmp_path)
    return tmp_path / "a.scores.root"


def test_one_changed_row_is_found_and_written_again(small_run: Path, source: Path, scores: Path) -> None:
    columns, metadata = read_columns(scores), read_metadata(scores)
    columns["score_sig"][1500] = np.nextafter(columns["score_sig"][1500], np.float32(2))
    write(scores, columns, metadata)
    finding = "column score_sig does not match its checksum: it was modified or damaged after it was written"
    assert finding in verify(small_run, source, scores.parent).findings
    (outcome,) = apply_files(small_run, [str(source)], scores.parent).outcomes
    assert outcome.status == "written"
    assert outcome.warnings == (f"the existing scores were damaged and have been written again: {finding}",)
    assert verify(small_run, source, scores.parent).holds
    (outcome,) = apply_files(small_run, [str(source)], scores.parent).outcomes
    assert (outcome.status, outcome.warnings) == ("kept", ())


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (
            lambda columns: {**columns, "flag": columns["flag"].astype(np.int8)},
            "column flag is int8_t, not uint8",
        ),
        (
            lambda columns: {name: columns[name] for name in columns if name != "predicted"},
            "column predicted is missing, not int16",
        ),
    ],
)
def test_another_type_and_a_missing_column_are_found(
    small_run: Path, source: Path, scores: Path, change: Callable[..., Any], finding: str
) -> None:
    write(scores, change(read_columns(scores)), read_metadata(scores))
    score_file = read_score_file(scores)
    assert score_file is not None
    assert finding in list(score_file.damage())
    assert not verify(small_run, source, scores.parent).holds
    assert apply_files(small_run, [str(source)], scores.parent).outcomes[0].status == "written"


def test_changed_metadata_are_found(small_run: Path, source: Path, scores: Path) -> None:
    metadata = read_metadata(scores)
    write(scores, read_columns(scores), {**metadata, "counts": {**metadata["counts"], "scored": 1}})
    (finding,) = verify(small_run, source, scores.parent).findings
    assert "its metadata were modified or damaged after it was written" in finding
    assert apply_files(small_run, [str(source)], scores.parent).outcomes[0].status == "written"


def test_scores_of_an_older_tamis_are_kept_with_a_note(
    small_run: Path, source: Path, scores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = {
        key: value
        for key, value in read_metadata(scores).items()
        if key not in (CHECKSUMS, METADATA_CHECKSUM)
    }
    write(scores, read_columns(scores), old)
    summary = apply_files(small_run, [str(source)], scores.parent)
    assert summary.outcomes[0].status == "kept"
    assert not summary.outcomes[0].hashed
    (note,) = summary.notes
    assert note.startswith(f"the file has scores of an older tamis without checksums ({scores})")
    with pytest.raises(SystemExit) as ended:
        main(["apply", str(small_run), str(source), "-o", str(scores.parent), "--verify"])
    assert not ended.value.code
    assert "note: " in (out := capsys.readouterr().out)
    assert "only the entries that were scored again were checked" in out
