"""Every row of an output has a hash: what is not as it was written is neither kept nor proved."""

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

from tamis.apply import ChunkSize, Proof, Wish, apply_files, verify_files
from tamis.apply.content import SEAL, Content, is_intact, sealed
from tamis.apply.outputs import CONTENT, METADATA, read_output
from tamis.cli import main
from tamis.errors import InputError

FORMS = ["ttree", "rntuple", "parquet"]
ENTRIES = 3000


def columns_in(path: Path) -> dict[str, np.ndarray]:
    """Read a file of scores with nothing of tamis."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        return {name: table.column(name).to_numpy() for name in table.column_names}
    with uproot.open(path) as file:
        found = file["scores"].arrays()
        return {name: found[name].to_numpy() for name in found.fields}


def metadata_in(path: Path) -> dict[str, Any]:
    found = read_output(path)
    assert found is not None
    return dict(found.metadata)


def write(path: Path, columns: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
    """Write a file of scores as anybody could."""
    with uproot.recreate(path) as file:
        file.mktree("scores", {name: each.dtype for name, each in columns.items()}).extend(columns)
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
    apply_files(small_run, [str(source)], folder, wish=Wish(form=request.param))
    return next(folder.glob("a.scores.*"))


def prove(run: Path, source: Path, folder: Path) -> Proof:
    (proof,) = verify_files(run, [str(source)], folder)
    return proof


def test_the_hashes_are_those_of_the_bytes_of_each_column(written: Path) -> None:
    said = metadata_in(written)[CONTENT]
    found = columns_in(written)
    assert list(said) == list(found) == ["score_bkg", "score_sig", "predicted", "flag"]
    for name, values in found.items():
        assert said[name]["sha256"] == hashlib.sha256(values.tobytes()).hexdigest()
        assert said[name]["type"] == str(values.dtype)


def test_the_hashes_depend_on_neither_format_nor_chunks(
    small_run: Path, source: Path, tmp_path: Path
) -> None:
    found = []
    for number, form in enumerate(FORMS):
        wish, folder = Wish(form=form), tmp_path / form  # type: ignore[arg-type]
        apply_files(small_run, [str(source)], folder, wish=wish, chunk=ChunkSize(rows=700 + 501 * number))
        found.append(metadata_in(next(folder.glob("a.scores.*")))[CONTENT])
    assert found[0] == found[1] == found[2]


@given(cuts=st.lists(st.integers(0, 50), max_size=5), big=st.booleans())
def test_content_is_that_of_the_whole(cuts: list[int], big: bool) -> None:
    values = np.random.default_rng(1).normal(size=50)
    whole, parts = Content({"x": values.dtype}), Content({"x": values.dtype})
    whole.add({"x": values})
    for part in np.split(values, sorted(cuts)):
        parts.add({"x": part.astype(">f8") if big else part})
    assert whole.to_dict() == parts.to_dict()


@settings(max_examples=40, deadline=None)
@given(said=st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), min_size=1))
def test_a_seal_fits_what_it_was_made_for(said: dict[str, Any]) -> None:
    key = next(iter(said))
    assert is_intact(json.loads(json.dumps(sealed(said))))
    assert not is_intact({**sealed(said), key: "something else"})
    assert not is_intact(said)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_passes(written: Path, tmp_path: Path, place: float, bit: int) -> None:
    """A bit may lie where nobody reads; wherever it changes what is read, it is found."""
    content = bytearray(written.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path = tmp_path / written.name
    path.write_bytes(content)
    try:
        found = read_output(path)
        if found is None or list(found.damage()):
            return
    except InputError:
        return
    assert found.metadata == metadata_in(written)
    whole, columns = columns_in(written), columns_in(path)
    assert all(columns[name].tobytes() == each.tobytes() for name, each in whole.items())


@pytest.fixture
def scores(small_run: Path, source: Path, tmp_path: Path) -> Path:
    apply_files(small_run, [str(source)], tmp_path)
    return tmp_path / "a.scores.root"


def test_one_changed_row_is_found_and_written_again(small_run: Path, source: Path, scores: Path) -> None:
    columns, metadata = columns_in(scores), metadata_in(scores)
    columns["score_sig"][1500] = np.nextafter(columns["score_sig"][1500], np.float32(2))
    write(scores, columns, metadata)
    finding = "column score_sig does not hold what was written: it was changed or damaged since"
    assert finding in prove(small_run, source, scores.parent).findings
    (outcome,) = apply_files(small_run, [str(source)], scores.parent).outcomes
    assert outcome.status == "written"
    assert outcome.warnings == (
        f"the scores that were there were of no use and were written again: {finding}",
    )
    assert prove(small_run, source, scores.parent).holds
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
            "column predicted is not there, not int16",
        ),
    ],
)
def test_another_type_and_a_missing_column_are_found(
    small_run: Path, source: Path, scores: Path, change: Callable[..., Any], finding: str
) -> None:
    write(scores, change(columns_in(scores)), metadata_in(scores))
    found = read_output(scores)
    assert found is not None
    assert finding in list(found.damage())
    assert not prove(small_run, source, scores.parent).holds
    assert apply_files(small_run, [str(source)], scores.parent).outcomes[0].status == "written"


def test_changed_words_are_found(small_run: Path, source: Path, scores: Path) -> None:
    metadata = metadata_in(scores)
    write(scores, columns_in(scores), {**metadata, "counts": {**metadata["counts"], "scored": 1}})
    (finding,) = prove(small_run, source, scores.parent).findings
    assert "what it says of itself was changed or damaged since it was written" in finding
    assert apply_files(small_run, [str(source)], scores.parent).outcomes[0].status == "written"


def test_scores_of_an_older_tamis_are_kept_with_a_note(
    small_run: Path, source: Path, scores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = {key: value for key, value in metadata_in(scores).items() if key not in (CONTENT, SEAL)}
    write(scores, columns_in(scores), old)
    summary = apply_files(small_run, [str(source)], scores.parent)
    assert summary.outcomes[0].status == "kept"
    assert not summary.outcomes[0].hashed
    (note,) = summary.notes
    assert note.startswith(
        f"the file has scores that an older tamis wrote, without a hash of their rows ({scores})"
    )
    with pytest.raises(SystemExit) as ended:
        main(["apply", str(small_run), str(source), "-o", str(scores.parent), "--verify"])
    assert not ended.value.code
    assert "note: " in (out := capsys.readouterr().out)
    assert "only those that were scored again were looked at" in out
