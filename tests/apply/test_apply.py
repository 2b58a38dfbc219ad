"""`tamis apply` as a user runs it: exit statuses, and what stands on which stream."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward
import pytest
import uproot

from tamis.apply.summary import Outcome, Summary
from tamis.cli import main
from tamis.cli.application import print_summary

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def apply(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, model: Path = small_run) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["apply", str(model), *arguments])
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return int(ended.value.code or 0), output.out, output.err

    return run


@pytest.fixture
def files(write_events: Callable[..., Path], columns_of: Callable[..., Any], tmp_path: Path) -> Path:
    for number in range(2):
        write_events(tmp_path / f"{number}.root", columns_of(20, seed=number))
    (tmp_path / "link").symlink_to(tmp_path / "0.root")
    return tmp_path


def test_all_done_is_zero(apply: Run, files: Path) -> None:
    code, out, err = apply("0.root", "1.root", "-o", "scores")
    assert (code, err) == (0, "")
    assert "2 of 2 files have their scores in scores: 40 entries in = 40 out + 0 lost." in out
    assert (files / "scores" / "1.scores.root").is_file()


def test_a_bad_file_is_a_wrong_request_and_the_others_are_scored(apply: Run, files: Path) -> None:
    (files / "bad.root").write_text("bad")
    code, out, err = apply("0.root", "bad.root", "-o", "scores")
    assert code == 2
    assert "1 of 2 files" in out
    assert err.count("failed:") == 1
    assert "bad.root: is not a ROOT or Parquet file: it begins with b'bad'" in err


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--selection", "mas > 1"], "branch 'mas' is missing"),
        (["--tree", "absent"], "tree 'absent' is missing"),
        (["--copy", "--format", "parquet"], "--copy keeps the format of the input"),
    ],
)
def test_a_wrong_option_that_only_a_file_shows_is_two(apply: Run, options: list[str], message: str) -> None:
    code, _, err = apply("0.root", "1.root", "-o", "scores", *options)
    assert code == 2
    assert message in err


@pytest.mark.usefixtures("files")
def test_work_that_failed_is_one(apply: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tamis.apply.files._score", fill)
    code, _, err = apply("0.root", "-o", "scores")
    assert code == 1
    assert "No space left on device" in err


def test_a_warning_of_several_files_is_one_line_with_their_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = tuple(
        Outcome(
            f"/data/{number}.root", "", "written", 1, 1, warnings=("'x' is float64, float32 in training",)
        )
        for number in range(5)
    )
    failed = tuple(
        Outcome(f"/data/{name}.root", "", "failed", problem=f"/data/{name}.root: holds no tree")
        for name in "ab"
    )
    odd = Outcome("/data/odd.root", "", "written", 1, 1, warnings=("'x' is constant",))
    print_summary(Summary("", (*outcomes, *failed, odd)), tmp_path)
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if line.startswith("warning")] == [
        "warning: 5 files: 'x' is float64, float32 in training (/data/0.root; /data/1.root; /data/2.root and 2 more)",
        "warning: /data/odd.root: 'x' is constant",
    ]
    assert err == "failed: 2 files: holds no tree (/data/a.root; /data/b.root)\n"


def test_a_missing_file_is_a_wrong_request_and_the_others_are_scored(apply: Run, files: Path) -> None:
    (files / "bad.root").write_text("bad")
    code, out, err = apply("0.root", "bad.root", "absent.root", "-o", "scores")
    assert code == 2
    assert "1 of 3 files have their scores" in out
    assert err.count("failed:") == 2
    assert "absent.root: file does not exist; check the path" in err
    assert "tamis: 1 input file does not exist: " in err
    code, _, err = apply("0.root", "absent.root", "-o", "scores", "--verify")
    assert (code, err.count("1 input file does not exist")) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["0.root", "-o", "s", "--format", "hdf5"], "expected ttree, rntuple, parquet"),
        (["0.root", "-o", "s", "--shard", "2/2"], "expected i/N with i from 0 to N - 1"),
        (["0.root", "-o", "s", "--chunk", "many"], "expected a number of entries"),
        (["0.root", "-o", "s", "--sentinel", "0.5"], "outside the range of scores, 0 to 1"),
        (["0.root", "-o", "s", "--selection", "w >"], "w >"),
        (["0.root", "-o", "s", "--sample", "no"], "the run has no sample 'no'; there are bkg, sig"),
        (["0.root", "-o", "s", "--sample", "bkg", "--selection", "w"], "exclude each other"),
        (["*.parquet", "-o", "s"], "no file matches"),
        (
            ["0.root", "./0.root", "-o", "s"],
            "0.root is given twice, by './0.root' and by '0.root'; give it once",
        ),
        (["0.root", "0.root", "-o", "s"], "0.root is given twice, by '0.root'; give it once"),
        (["*.root", "[0].root", "-o", "s"], "is given twice, by '*.root' and by '[0].root'"),
        (["0.root", "link", "-o", "s"], "link is the same file as"),
        ([".", "-o", "s"], ". is a folder; give its files, such as './*.root'"),
        (["0.root:tree", "-o", "s"], "give the file '0.root' and --tree tree"),
        (["root://site//0.root:a/b", "-o", "s"], "give the file 'root://site//0.root' and --tree a/b"),
        (["0.root", "-o", "s", "--tolerance", "1e-6"], "--tolerance needs --verify"),
        (["0.root", "-o", "s", "--tolerance", "0"], "--tolerance needs --verify"),
        (["0.root", "-o", "s", "--verify", "--format", "ttree"], "leave out --format"),
        (["0.root", "-o", "s", "--verify", "--sentinel", "-1", "--copy"], "leave out --copy, --sentinel"),
        (
            ["0.root", "-o", "s", "--verify", "--selection", "w", "--chunk", "3"],
            "leave out --selection, --chunk",
        ),
        (["0.root", "-o", "s", "--unseen"], "--unseen is for classifiers with folds"),
        (["0.root", "-o", "1.root"], "cannot write to 1.root"),
    ],
)
def test_a_wrong_request_is_two(apply: Run, files: Path, arguments: list[str], message: str) -> None:
    code, out, err = apply(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(files.rglob("*.scores.*"))


@pytest.mark.usefixtures("files")
def test_different_selections_must_be_chosen_from(
    session_classes: Callable[..., Any], make_run: Callable[..., Path], apply: Run
) -> None:
    config = session_classes()
    config["samples"][1]["selection"] = "w > 0.7"
    run = make_run(config)
    code, _, err = apply("0.root", "-o", "scores", model=run)
    assert code == 2
    assert "different selections (bkg: w > 0.6; sig: w > 0.7)" in err
    assert apply("0.root", "-o", "scores", "--sample", "sig", model=run)[0] == 0
    assert apply("0.root", "-o", "scores", "--selection", "true", "--overwrite", model=run)[0] == 0


def test_a_url_of_this_machine_is_a_path(apply: Run, files: Path) -> None:
    code, _, err = apply("0.root", f"file://{files}/0.root", "-o", "scores")
    assert code == 2
    assert f"0.root is given twice, by '0.root' and by 'file://{files}/0.root'" in err
    assert apply(f"file://{files}/*.root", "-o", "scores")[0] == 0
    assert (files / "scores" / "1.scores.root").is_file()


@pytest.mark.parametrize("copy", [(), ("--copy",)])
def test_a_glob_leaves_out_what_tamis_wrote(apply: Run, files: Path, copy: tuple[str, ...]) -> None:
    assert apply("*.root", "-o", ".", *copy)[0] == 0
    before = sorted(path.name for path in files.iterdir())
    code, out, err = apply("*.root", "-o", ".", *copy)
    assert (code, err) == (0, "")
    assert "2 of 2 files have their scores" in out
    assert "skipped files that hold scores, not events: " in out
    assert f"0.{'scored' if copy else 'scores'}.root and 1 more" in out
    assert sorted(path.name for path in files.iterdir()) == before
    assert apply("*.root", "-o", ".", "--verify")[0] == 0


def test_scores_alone_are_no_input_and_copies_are(apply: Run, files: Path) -> None:
    assert apply("0.root", "-o", "a")[0] == 0
    assert apply("0.root", "-o", "b", "--copy")[0] == 0
    code, _, err = apply("a/0.scores.root", "-o", "c")
    assert code == 2
    assert "0.scores.root holds scores, not events; give the files of the events" in err
    assert apply("b/0.scored.root", "-o", "c")[0] == 0
    assert (files / "c" / "0.scored.scores.root").is_file()


@pytest.mark.usefixtures("files")
def test_several_trees_and_lists_are_told_in_the_words_of_the_command(
    apply: Run, columns_of: Callable[..., Any], tmp_path: Path
) -> None:
    columns = columns_of(6)
    types = {name: values.dtype for name, values in columns.items()}
    with uproot.recreate(tmp_path / "trees.root") as file:
        for name in ("one", "two"):
            file.mktree(name, types).extend(columns)
    lists = awkward.Array([[1.0, 2.0]] * 6)
    with uproot.recreate(tmp_path / "lists.root") as file:
        file.mktree("tree", {**types, "y": "var * float64"}).extend({**columns, "y": lists})
    code, _, err = apply("trees.root", "lists.root", "-o", "scores")
    assert code == 2
    assert "holds several trees, 'one', 'two'; choose one with --tree NAME" in err
    assert "branch 'y' has several values per event (double[]); expected one: as in training" in err
    assert "declare" not in err
    assert apply("trees.root", "-o", "scores", "--tree", "two")[0] == 0


def test_no_run_is_a_wrong_request(apply: Run, files: Path) -> None:
    code, _, err = apply("0.root", "-o", "scores", model=files)
    assert code == 2
    assert "is not a run directory" in err
