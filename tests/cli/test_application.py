"""What a user reads where something is wrong: what it is, where, and what to do."""

from __future__ import annotations

import decimal
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import yaml

from tamis.machine import MemoryLimit

Make = Callable[..., dict[str, Any]]
WriteTree = Callable[..., Path]
Inside = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, two_classes: Make, write_tree: WriteTree) -> Path:
    """A configuration, its files, and some that differ from them."""
    config = two_classes(100)
    config.pop("data")
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    ones = np.ones(100)
    write_tree("floats.root", {"x": ones.astype(np.float32)})
    write_tree("doubles.root", {"x": ones})
    write_tree("others.root", {"z": ones})
    write_tree("empty.root", {"x": ones[:0], "y": ones[:0]})
    write_tree("negative.root", {"x": ones, "y": ones, "w": -ones, "run": ones, "huge": 1e300 * ones})
    write_tree("fractions.root", {"x": ones, "y": ones, "run": np.where(np.arange(100) == 33, np.nan, 1.0)})
    (tmp_path / "tab.yaml").write_text("samples:\n\t- x\n")
    (tmp_path / "colons.yaml").write_text("name: a\nseed: 1: 2\n")
    (tmp_path / "bytes.yaml").write_bytes(b"name: a\n\xff\n")
    (tmp_path / "files").mkdir()
    shutil.copy(tmp_path / "bkg.root", tmp_path / "two\nlines.root")
    kinds = {"x": ones, "y": ones, "decimal": [decimal.Decimal("1.25")] * 100, "list": [[1.0, 2.0]] * 100}
    parquet.write_table(pa.table(kinds), tmp_path / "kinds.parquet")
    return tmp_path


def changed(*values: str) -> list[str]:
    """Give the arguments of a training with other values."""
    return ["train", "small.yaml", *(each for value in values for each in ("--set", value))]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "tab.yaml"], "line 2: YAML does not allow a tab here"),
        (["check", "colons.yaml"], "line 2: cannot be read as YAML"),
        (["init", "floats.root", "doubles.root"], "doubles.root:tree; convert one of them"),
        (["init", "floats.root", "others.root"], "floats.root:tree has x; "),
        (["init", "absent.root", "files", "files"], "tamis: input files: 2 problems\n  file '"),
        (["init", "bkg.root", "bkg.root"], "bkg.root' is listed twice"),
        (["init", "files", "small.yaml"], "files' is a folder; give its files, such as "),
        (["init", "bkg.root", "sig.root", "-o", "small.yaml/x"], "cannot write to small.yaml/x: "),
        (["init", "bkg.root", "sig.root", "-o", "/proc/x.yaml"], "cannot write to /proc/x.yaml: "),
        (["train", "small.yaml", "--data", "nowhere"], "does not exist; correct `data` or --data"),
        (["train", "small.yaml", "--manifest", "absent"], "No such file or directory); expected a file that"),
        (
            ["train", "small.yaml", "--manifest", "small.yaml"],
            "give one that `tamis check --write-manifest` wrote",
        ),
        (["simulate", "d", "--events", "1000000000000"], "but the disk of d has only "),
        (["simulate", "small.yaml/d", "--events", "10"], "small.yaml is a file; choose another folder"),
        (["apply", ".", "bkg.root", "-o", "out"], "is not a run directory"),
        (changed("samples[0].files=files"), "is a folder; give its files"),
        (changed("features=[1, y]"), "expected the name of a branch or a mapping"),
        (changed("features=[X, y]"), "did you mean 'x'?"),
        (changed("training.epochs=many"), "expected auto or a whole number"),
        (changed("training.optimizer=3"), "expected the name of an optimizer"),
        (changed("split={folds: x}"), "expected a number of folds or a mapping"),
        (changed("network={gains: {speed: 1}}"), "this key is now called learning_rate_factor"),
        (
            changed("network=null", "network.layers[0].nodes=3"),
            "the file has no network.layers; set the whole list",
        ),
        (changed("samples[1].files=empty.root"), "its files have no entries, or none"),
        (
            changed("samples[1].files=negative.root", "samples[1].weight=w", "weights={negative: drop}"),
            "`weights: {negative: drop}` removed ",
        ),
        (
            changed("samples[1].files=negative.root", "split={event_id: [round(w)]}", "features=[x]"),
            "value of `split.event_id`, and events with the same value stay together",
        ),
        (
            changed(
                "samples[1].files=fractions.root",
                "samples[0].files=fractions.root",
                "split={event_id: [run]}",
            ),
            "the value that identifies an event is nan at entry 33; expected a number: choose another branch",
        ),
        (
            changed(
                "samples[1].files=fractions.root",
                "samples[0].files=fractions.root",
                "samples[0].selection=x > 0",
                "split={folds: {number: 2, by: run}}",
            ),
            "split.folds.by is nan at entry 33; expected a whole number",
        ),
        (
            changed("samples[1].files=negative.root", "samples[0].files=negative.root", "features=[huge]"),
            "is not a finite number of 32 bits in 100 events",
        ),
        (
            changed("network.layers=[64]"),
            "network.layers[0] (from --set): expected a mapping (nodes: 64), found 64",
        ),
        (
            changed("training.ensemble=300", "network={layers: [{nodes: 9000}, {nodes: 9000}]}"),
            "weights in each of 300 networks are",
        ),
        (
            changed(r"classes.sig.label='$\foo$'"),
            r"label of class 'sig': '$\foo$' is not LaTeX math that matplotlib can draw (Unknown symbol",
        ),
        (
            changed("samples[1].files=kinds.parquet", "features=[decimal]"),
            "branch 'decimal' has type decimal128(3, 2); expected whole numbers, floats or true and false: write",
        ),
        (
            changed("samples[1].files=kinds.parquet", "samples[1].weight=list"),
            "branch 'list' has several values per event (list<element: double>); expected one: write list[0]",
        ),
        (["demo", "--events", "99"], "--events is 99; the demonstration needs at least 100 of each class"),
        (["init", "bkg.root", "two\nlines.root"], "has characters that a configuration cannot hold"),
    ],
)
def test_it_says_what_where_and_what_to_do(
    inside: Inside, folder: Path, arguments: Sequence[str], message: str
) -> None:
    before = sorted(folder.rglob("*"))
    code, out, error = inside(*arguments)
    assert code == 2
    assert message in error + out, error + out
    assert sorted(folder.rglob("*")) == before


def test_check_sees_what_training_would_refuse(inside: Inside, folder: Path) -> None:
    code, out, _ = inside("check", "small.yaml", "--set", "training.devices=77")
    assert code == 2
    assert "training.devices is 77, but there are " in out
    assert "use auto, or at most " in out
    for output, words in (("small.yaml", "is a file"), (".", "holds files that do not belong to a run")):
        code, out, _ = inside("check", "small.yaml", "-o", output)
        assert code == 2
        assert words in out
    run = folder / "run"
    run.mkdir()
    (run / "provenance.json").write_text("{}")
    code, out, _ = inside("check", "small.yaml", "-o", "run")
    assert code == 0
    assert "run contains a run already: train with --overwrite" in out


@pytest.mark.usefixtures("folder")
def test_an_emptied_class_makes_no_feature_suspicious(inside: Inside) -> None:
    code, out, _ = inside("check", "small.yaml", "--set", "samples[1].selection=x > 1000")
    assert code == 2
    assert "none of 100 entries passes `x > 1000`" in out
    assert "nearly identifies" not in out


def test_a_simulation_replaces_all_files_or_none(inside: Inside, tmp_path: Path) -> None:
    assert inside("simulate", "d", "--events", "20")[0] == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()}
    (tmp_path / "d" / "sig_Events.root").unlink()
    (tmp_path / "d" / "sig_Events.root").mkdir()
    code, _, error = inside("simulate", "d", "--events", "30", "--overwrite")
    assert code == 2
    assert "sig_Events.root, because it is a folder; choose another" in error
    assert (tmp_path / "d" / "bkg1_Events.root").read_bytes() == before["bkg1_Events.root"]


def test_debug_keeps_the_exit_status(inside: Inside) -> None:
    code, _, error = inside("check", "absent.yaml", "--debug")
    assert code == 2
    assert "Traceback" in error


@pytest.mark.usefixtures("folder")
def test_what_is_wrong_with_a_file_of_two_samples_is_said_once(inside: Inside) -> None:
    code, out, _ = inside("check", *changed("samples[1].files=bkg.root", "features=[nope]")[1:])
    assert code == 2
    assert out.count("branch 'nope' is missing") == 1


@pytest.mark.usefixtures("folder")
def test_equal_events_are_named_with_their_samples(inside: Inside) -> None:
    _, out, _ = inside("check", *changed("samples[1].files=bkg.root")[1:])
    assert " of bkg.root (sample bkg) and entry " in out
    assert " of bkg.root (sample sig)" in out


def test_a_folder_that_is_gone_is_no_riddle(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, _, error = inside("check", "small.yaml")
    assert (code, error) == (2, "tamis: the current folder does not exist any more; change to another one\n")


def run_program(
    *arguments: str, folder: Path, before: str = "", after: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the real program in a shell."""
    line = f"{before} exec {shlex.join([sys.executable, '-m', 'tamis', *arguments])} {after}"
    return subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("limit", ["-v 250000", "-v 400000", "-v 1500000", "-d 300000"])
def test_a_limit_is_named_before_libraries_meet_it(folder: Path, limit: str) -> None:
    done = run_program("check", "small.yaml", folder=folder, before=f"ulimit {limit};")
    assert done.returncode == 2
    assert f"(`ulimit {limit[:2]}`) is " in done.stderr
    assert "but tamis reserves 2.0 GiB of addresses, most of them never used; raise that limit" in done.stderr


@pytest.mark.usefixtures("folder")
def test_it_says_which_memory_was_not_enough(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(
        "tamis.machine.find_memory_limits",
        lambda: (MemoryLimit(5 * 2**30, "a job"), MemoryLimit(9 * 2**30, "it")),
    )
    monkeypatch.setattr("tamis.check.check_input", full)
    code, _, error = inside("check", "small.yaml")
    assert (code, error.split(";")[0]) == (1, "tamis: there is too little memory: a job allows 5.0 GiB")


def test_a_simulation_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tamis", "simulate", "d", "--events", "20000000"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(3000):
            if any(path.stat().st_size for path in tmp_path.glob("d/.*.part.root")):
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert said.strip() == "tamis: stopped by SIGTERM; nothing half-written was left behind"
    assert list((tmp_path / "d").iterdir()) == []
