"""With cross-training no network scores an entry that it learned from, and a column has the fold of the network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

import tamis
from shared.score_files import read_columns
from tamis.apply import ApplyOptions, ChunkSize, Flag, Outcome, apply_files
from tamis.apply.folds import (
    AverageOfAll,
    EntryNumberRule,
    EventIdRule,
    FileUse,
    NumberRule,
    PositionInTraining,
    TrainingFile,
    find_fold_source,
    find_in_training,
)
from tamis.data.schema import BranchType, FileSchema, SourceFile
from tamis.data.split import assign_folds_by_id, hash_columns
from tamis.errors import InputError
from tamis.expressions import parse
from tamis.pipeline.preparation import prepare

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
MakeRun = Callable[..., Path]
UNSEEN = ApplyOptions(unseen=True)


def member_scores(run: Path, columns: dict[str, np.ndarray], fold: np.ndarray | None) -> np.ndarray:
    """Score in memory: features by hand, the networks that never saw the fold."""
    classifier = tamis.Classifier.load(run / "model")
    x = np.where(columns["x"] == -999, np.nan, columns["x"])
    features = np.stack([x, columns["y"], np.abs(x) + columns["y"]], axis=1).astype(np.float32)
    return classifier.scores(features, fold)[:, 1]


@pytest.fixture(scope="module")
def by_entry(session_classes: Make, make_run: MakeRun) -> tuple[Path, Path]:
    """A run whose folds follow from the position of an event in its file, and the folder of these files."""
    config = session_classes(split={"folds": 2, "seed": 7})
    return make_run(config), Path(config["data"])


@pytest.fixture(scope="module")
def by_number(session_classes: Make, make_run: MakeRun) -> tuple[Path, Path]:
    config = session_classes(split={"folds": {"number": 3, "by": "event"}})
    return make_run(config), Path(config["data"])


def test_a_file_of_the_training_gets_the_networks_that_never_saw_its_events(
    by_entry: tuple[Path, Path], tmp_path: Path
) -> None:
    run, data = by_entry
    shutil.copy(data / "sig.root", tmp_path / "renamed.root")
    apply_files(run, [str(tmp_path / "renamed.root")], tmp_path)
    scores, columns = read_columns(tmp_path / "renamed.scores.root"), read_columns(data / "sig.root", "tree")
    events = prepare(tamis.load_config(run / "config.yaml")).events
    is_signal = events.class_index == 1
    fold = np.full(len(columns["x"]), -2)
    fold[events.entry[is_signal]] = events.fold[is_signal]
    np.testing.assert_array_equal(scores["network"], fold)
    selected = fold >= 0
    np.testing.assert_array_equal(
        scores["score_sig"][selected], member_scores(run, columns, fold.astype(np.int32))[selected]
    )
    np.testing.assert_array_equal(scores["flag"], np.where(selected, 0, Flag.NOT_SELECTED))


def test_chunks_and_pieces_of_them_change_no_fold(
    by_entry: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, data = by_entry
    apply_files(run, [str(data / "sig.root")], tmp_path / "whole")
    in_one_piece = read_columns(tmp_path / "whole" / "sig.scores.root")
    monkeypatch.setattr("tamis.apply.scoring.PIECE", 64)
    for name, size in (("pieces", None), ("chunks", ChunkSize(rows=150))):
        apply_files(run, [str(data / "sig.root")], tmp_path / name, chunk=size, jobs=2)
        divided = read_columns(tmp_path / name / "sig.scores.root")
        for column, values in in_one_piece.items():
            np.testing.assert_array_equal(divided[column], values, err_msg=f"{column} in {name}")


def test_events_of_a_training_file_that_were_not_used_get_the_average(
    by_entry: tuple[Path, Path], tmp_path: Path
) -> None:
    run, data = by_entry
    apply_files(run, [str(data / "bkg.root")], tmp_path, selection="true")
    scores, columns = read_columns(tmp_path / "bkg.scores.root"), read_columns(data / "bkg.root", "tree")
    unused = columns["w"] <= 0.6
    assert (scores["network"][unused] == -1).all()
    assert set(scores["network"][~unused].tolist()) == {0, 1}
    average = member_scores(run, columns, np.full(len(unused), -1, np.int32))
    np.testing.assert_array_equal(scores["score_sig"][unused], average[unused])


def test_other_files_get_the_average_and_the_summary_says_so(
    by_entry: tuple[Path, Path], columns_of: Callable[..., Any], write_events: Write, tmp_path: Path
) -> None:
    run, _ = by_entry
    columns = columns_of(100)
    write_events(tmp_path / "new.root", columns)
    summary = apply_files(run, [str(tmp_path / "new.root")], tmp_path, selection="true")
    scores = read_columns(tmp_path / "new.scores.root")
    assert (scores["network"] == -1).all()
    np.testing.assert_array_equal(
        scores["score_sig"], member_scores(run, columns, np.full(100, -1, np.int32))
    )
    assert summary.notes == (
        "100 entries were scored by the average of all networks, because these events were not in the "
        "training",
    )


def test_a_changed_file_of_the_training_is_not_taken_for_a_new_one(
    by_entry: tuple[Path, Path], columns_of: Callable[..., Any], write_events: Write, tmp_path: Path
) -> None:
    run, _ = by_entry
    write_events(tmp_path / "sig.root", columns_of(100))
    (outcome,) = apply_files(run, [str(tmp_path / "sig.root")], tmp_path / "out").outcomes
    assert "has the name of a file of the training but has other content" in outcome.problem
    (outcome,) = apply_files(run, [str(tmp_path / "sig.root")], tmp_path / "out", options=UNSEEN).outcomes
    assert outcome.status == "written"


@pytest.mark.parametrize(
    ("path", "entries", "known"),
    [
        ("https://a.org/data/sig.root", 100, True),
        ("https://a.org/data/sig.root", 101, False),  # it was replaced there
        ("https://b.org/data/sig.root", 100, False),
        ("https://b.org/copies/data/sig.root", 100, False),
    ],
)
def test_a_url_is_a_file_of_the_training_only_where_it_is_that_url(
    path: str, entries: int, known: bool
) -> None:
    use = FileUse("sig", None, None)
    trained = TrainingFile("data/sig.root", None, None, (use,), "https://a.org/data/sig.root", 100)
    schema = FileSchema(SourceFile("", path, path), "tree", entries, {})
    assert (find_in_training(schema.source.path, schema.entries, [trained]) == trained) == known
    rule = EntryNumberRule(2, 0)
    if known:
        assert isinstance(find_fold_source(rule, schema, [trained], unseen=False), PositionInTraining)
    else:
        with pytest.raises(InputError):
            find_fold_source(rule, schema, [trained], unseen=False)
        assert isinstance(find_fold_source(rule, schema, [trained], unseen=True), AverageOfAll)


def test_nobody_can_call_a_file_of_the_training_unseen(by_entry: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = by_entry
    shutil.copy(data / "sig.root", tmp_path / "renamed.root")
    (outcome,) = apply_files(run, [str(tmp_path / "renamed.root")], tmp_path, options=UNSEEN).outcomes
    assert "was used in the training (sig.root); leave out --unseen" in outcome.problem


def test_another_tree_of_a_file_of_the_training_is_refused_unless_it_is_called_unseen(
    session_classes: Make, make_run: MakeRun, tmp_path: Path
) -> None:
    config = session_classes(200, split={"folds": 2})
    config["samples"][1]["tree"] = "tree"
    path = Path(config["data"]) / "sig.root"
    columns = read_columns(path, "tree")
    with uproot.recreate(path) as file:
        for tree in ("tree", "tree_up"):
            file.mktree(tree, {name: values.dtype for name, values in columns.items()}).extend(columns)
    run = make_run(config)

    def outcome(tree: str, *, unseen: bool) -> Outcome:
        options: dict[str, Any] = {"tree": tree, "options": ApplyOptions(unseen=unseen)}
        return apply_files(run, [str(path)], tmp_path / tree, **options).outcomes[0]

    assert set(outcome("tree", unseen=False).networks) == {"0", "1", "-2"}
    problem = outcome("tree_up", unseen=False).problem
    assert "is another tree of a file of the training (sig.root)" in problem
    assert "was used in the training" in outcome("tree", unseen=True).problem
    assert set(outcome("tree_up", unseen=True).networks) == {"-1", "-2"}


def test_the_folder_of_the_model_alone_does_not_know_the_training(
    by_entry: tuple[Path, Path], tmp_path: Path
) -> None:
    run, data = by_entry
    (outcome,) = apply_files(run / "model", [str(data / "sig.root")], tmp_path).outcomes
    assert "which only the run directory lists" in outcome.problem


def test_a_number_of_the_event_gives_the_fold(by_number: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = by_number
    for model, name in ((run, "a"), (run / "model", "b")):
        apply_files(model, [str(data / "sig.root")], tmp_path / name, selection="true")
    scores, columns = (
        read_columns(tmp_path / "a" / "sig.scores.root"),
        read_columns(data / "sig.root", "tree"),
    )
    np.testing.assert_array_equal(scores["network"], columns["event"] % 3)
    classifier = tamis.Classifier.load(run / "model")
    np.testing.assert_array_equal(scores["score_sig"], classifier.predict(columns)[:, 1])
    alone = read_columns(tmp_path / "b" / "sig.scores.root")
    assert all(scores[name].tobytes() == alone[name].tobytes() for name in scores)


def test_a_file_without_that_number_is_refused_unless_it_is_called_unseen(
    by_number: tuple[Path, Path], columns_of: Callable[..., Any], write_events: Write, tmp_path: Path
) -> None:
    run, _ = by_number
    columns = columns_of(60)
    del columns["event"]
    write_events(tmp_path / "a.root", columns)
    (outcome,) = apply_files(run, [str(tmp_path / "a.root")], tmp_path).outcomes
    assert "branch 'event' is missing" in outcome.problem
    apply_files(run, [str(tmp_path / "a.root")], tmp_path, options=UNSEEN)
    assert set(read_columns(tmp_path / "a.scores.root")["network"].tolist()) == {-1, -2}


@pytest.mark.parametrize(
    "rule", [NumberRule(parse("event"), 2), EventIdRule((parse("run"), parse("event")), 2, 0)]
)
def test_another_tree_with_the_columns_of_the_folds_is_never_averaged(
    rule: NumberRule | EventIdRule,
) -> None:
    url = "https://a.org/sig.root"
    trained = TrainingFile("sig.root", None, None, (FileUse("sig", "tree", None),), url, 100)
    integer = BranchType("scalar", "int64", "int64_t")

    def schema(entries: int, *branches: str) -> FileSchema:
        return FileSchema(SourceFile("", url, url), "tree_up", entries, dict.fromkeys(branches, integer))

    known = schema(100, "run", "event")
    assert find_fold_source(rule, known, [trained], unseen=False) == rule
    with pytest.raises(
        InputError,
    ):
        find_fold_source(rule, known, [trained], unseen=True)
    # without the columns, and in files that the training did not read, the user decides
    assert find_fold_source(rule, schema(100, "run"), [trained], unseen=True) == AverageOfAll()
    assert find_fold_source(rule, schema(99, "run", "event"), [trained], unseen=True) == AverageOfAll()


def test_the_average_does_not_replace_scores_of_networks_that_never_saw_the_events(
    by_number: tuple[Path, Path], columns_of: Callable[..., Any], write_events: Write, tmp_path: Path
) -> None:
    run, _ = by_number
    write_events(tmp_path / "new.root", columns_of(60))
    paths = [str(tmp_path / "new.root")]
    apply_files(run, paths, tmp_path / "out")
    scores = tmp_path / "out" / "new.scores.root"
    before = scores.read_bytes()
    (outcome,) = apply_files(run, paths, tmp_path / "out", options=UNSEEN).outcomes
    assert "holds out-of-fold scores (the remainder of event" in outcome.problem
    assert scores.read_bytes() == before
    (outcome,) = apply_files(run, paths, tmp_path / "other", options=UNSEEN).outcomes
    assert set(outcome.networks) <= {"-1", "-2"}
    # the other way round nothing is lost
    assert not apply_files(run, paths, tmp_path / "other").outcomes[0].problem


def test_an_event_whose_number_is_no_number_is_flagged(
    by_number: tuple[Path, Path], columns_of: Callable[..., Any], write_events: Write, tmp_path: Path
) -> None:
    run, _ = by_number
    columns = columns_of(4)
    columns["event"] = np.array([0.0, np.nan, 1.5, 7.0])
    columns["w"][:] = 1
    write_events(tmp_path / "a.root", columns)
    apply_files(run, [str(tmp_path / "a.root")], tmp_path)
    scores = read_columns(tmp_path / "a.scores.root")
    assert scores["flag"].tolist() == [0, Flag.NO_FOLD, Flag.NO_FOLD, 0]
    assert scores["network"].tolist() == [0, -2, -2, 1]


def test_columns_that_identify_an_event_give_the_fold(
    session_classes: Make, make_run: MakeRun, tmp_path: Path
) -> None:
    config = session_classes(300, split={"folds": 2, "event_id": ["event", "w"], "seed": 7})
    run, data = make_run(config), Path(config["data"])
    shuffled = {name: values[::-1] for name, values in read_columns(data / "sig.root", "tree").items()}
    pq.write_table(pa.table(shuffled), tmp_path / "skim.parquet")
    apply_files(run, [str(tmp_path / "skim.parquet")], tmp_path, selection="true")
    scores = read_columns(tmp_path / "skim.scores.root")
    identity = hash_columns([shuffled["event"], shuffled["w"]])
    np.testing.assert_array_equal(scores["network"], assign_folds_by_id(identity, 2, 7))


def test_rounded_numbers_of_events_give_no_folds(
    by_number: tuple[Path, Path], columns_of: Callable[..., Any], write_events: Write, tmp_path: Path
) -> None:
    run, _ = by_number
    columns = columns_of(50)
    for kind, status in ((np.float32, "failed"), (np.float64, "written"), (np.int32, "written")):
        path = write_events(
            tmp_path / f"{kind.__name__}.root", {**columns, "event": columns["event"].astype(kind)}
        )
        (outcome,) = apply_files(run, [str(path)], tmp_path / kind.__name__).outcomes
        assert outcome.status == status
        words = "'event', which determines the fold of an event, is float32 but was int64 in training"
        assert (words in (outcome.problem or "")) == (status == "failed")
        assert any("'event' is" in warning for warning in outcome.warnings) == (status == "written")
