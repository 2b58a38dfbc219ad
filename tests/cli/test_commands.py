"""The program as a user runs it: right and wrong input, exit statuses, messages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
import yaml

import tamis
from tamis.cli.commands import app

Make = Callable[..., dict[str, Any]]
WriteTree = Callable[..., Path]


def program(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the real program in a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "tamis", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, check=False, stdin=subprocess.DEVNULL
    )


def write_config(folder: Path, config: dict[str, Any], name: str = "small.yaml") -> Path:
    path = folder / name
    path.write_text(
        yaml.safe_dump({key: value for key, value in config.items() if key != "data"}, sort_keys=False)
    )
    return path


def test_help_names_every_command(tmp_path: Path) -> None:
    result = program("--help", cwd=tmp_path)
    assert result.returncode == 0
    assert all(
        command in result.stdout for command in ("demo", "simulate", "init", "check", "train", "export")
    )
    assert "--debug" in result.stdout


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize(
    "command", ["", *sorted(command.name or command.callback.__name__ for command in app.registered_commands)]
)
def test_every_command_explains_itself(command: str, option: str, inside) -> None:
    code, out, _ = inside(*command.split(), option)
    assert code == 0
    assert f"Usage: tamis {command}".rstrip() in out


def test_the_version_is_that_of_the_package(inside) -> None:
    assert inside("--version") == (0, f"tamis {version('tamis')}\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str, inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TAMIS_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "tamis sim")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("COMP_WORDS", "tamis sim")
    monkeypatch.setenv("COMP_CWORD", "1")
    status, out, _ = inside()
    assert status == 0
    assert "simulate" in out
    assert "compare" not in out


def test_demo_goes_the_whole_way(inside, demo_folder: Path) -> None:
    output = (demo_folder / "output.txt").read_text()
    run = demo_folder / "runs" / "demo"
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0.1 < metrics["bayes_optimum"]["optimum"]["loss"] < 0.3
    assert f"{metrics['test']['balanced']['loss']:.4f}" in output
    assert "minus that of the Bayes optimum" in output
    assert (run / "figures" / "figures.pdf").stat().st_size > 10_000
    assert tamis.Classifier.load(run / "model").class_names == ("bkg1", "bkg2", "sig")
    status, _, error = inside("demo", "--events", "600", "-o", str(run))
    assert status == 2
    assert "runs/demo holds a run already" in error


def test_the_list_of_commands_has_whole_sentences_in_the_order_of_the_work(inside) -> None:
    _, out, _ = inside("-h")
    listed = out[out.index("Commands:") :]
    assert "..." not in listed
    commands = [
        line.split()[0] for line in listed.splitlines()[1:] if line[:3].strip() and line.startswith("  ")
    ]
    assert commands == [
        "demo", "simulate", "init", "check", "train", "report", "figures", "compare", "apply", "verify", "export",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "arguments"), [("init", "FILES"), ("apply", "FILES"), ("compare", "RUN")]
)
def test_arguments_are_named_once_in_the_help(inside, command: str, arguments: str) -> None:
    _, out, _ = inside(command, "-h")
    usage = out.splitlines()[0]
    assert f"{arguments}..." in usage.replace("}", "").replace("]", "")
    assert "......" not in usage.replace("}", "")
    assert f"{arguments} {arguments}" not in out


def test_the_version_is_that_of_the_command(inside) -> None:
    assert inside("--version")[1] == f"tamis {tamis.__version__}\n"


def test_simulate_says_what_to_do_in_its_own_words(inside) -> None:
    assert inside("simulate", "events", "--events", "10")[0] == 0
    _, _, error = inside("simulate", "events", "--events", "10")
    assert "exist already; replace with --overwrite, or choose another folder\n" in error
    assert "demo" not in error


@pytest.mark.slow  # four commands
def test_simulate_then_init_then_check_then_train(inside, tmp_path: Path) -> None:
    assert inside("simulate", "data", "--events", "2000", "--seed", "3")[0] == 0
    names = [f"data/{name}_Events.root" for name in ("bkg1", "bkg2", "sig")]
    code, out, _ = inside("init", *names, "-o", "start.yaml")
    assert code == 0
    assert out == "wrote start.yaml; read it, then: tamis check start.yaml\n"
    config = tamis.load_config(tmp_path / "start.yaml")
    assert config.name == "start"
    assert config.class_names == ("bkg1", "bkg2", "sig")
    assert config.signal_names == ("sig",)
    assert [feature.name for feature in config.features] == ["pt", "mass", "eta"]
    code, out, _ = inside("check", "start.yaml")
    assert code == 0
    assert "No problems: ready for training." in out
    options = ("--set", "training.epochs=1", "--set", "training.batch_size=64", "--output", "out/first")
    code, out, _ = inside("train", "start.yaml", *options, "--no-figures")
    assert code == 0
    written = tamis.load_config(tmp_path / "out/first/config.yaml")
    assert (written.training.epochs, written.training.batch_size) == (1, 64)


@pytest.mark.slow  # a training of the command
def test_a_run_without_figures_is_whole(inside, tmp_path: Path, two_classes: Make) -> None:
    write_config(tmp_path, two_classes(200))
    for name in ("first", "second"):
        assert inside("train", "small.yaml", "--no-figures", "-o", name, "--data", str(tmp_path))[0] == 0
    run = tmp_path / "first"
    assert not (run / "figures").exists()
    assert not tamis.load_config(run / "config.yaml").report.figures
    assert "figures/" not in (run / "report.html").read_text()
    assert inside("verify", "first")[0] == 0
    assert inside("report", "first")[:2] == (0, "wrote first/report.html\n")
    assert "figures/roc.svg" in (run / "report.html").read_text()
    assert (run / "figures" / "roc.svg").is_file()
    assert inside("verify", "first")[0] == 0
    assert inside("compare", "first", "second")[0] == 0
    assert inside("demo", "--no-figures", "--events", "300", "-o", "demo")[0] == 0
    assert not (tmp_path / "demo" / "figures").exists()


@pytest.mark.slow  # a training of the command
def test_init_output_trains_as_it_is(inside, tmp_path: Path, write_tree: WriteTree) -> None:
    rng = np.random.default_rng(1)
    for number, name in enumerate(("ttbar", "signal #1")):
        write_tree(
            f"{name}.root",
            {
                "pt": rng.exponential(50, 1500),
                "a b": rng.normal(number, 1, 1500),
                "btag": np.where(rng.random(1500) < 0.2, -99.0, rng.random(1500)),
                "dxy": np.where(rng.random(1500) < 0.1, np.nan, rng.normal(size=1500)),
                "eventNumber": np.arange(1500, dtype=np.int64),
                "genWeight": rng.normal(1, 0.1, 1500),
                "year": np.full(1500, 2018, np.int32),
                "tag": np.full(1500, float(number)) + rng.normal(0, 1e-3, 1500),
            },
        )
    code, text, _ = inside("init", "ttbar.root", "signal #1.root")
    assert code == 0
    for name, reason in (
        ("eventNumber", "looks like a number that identifies events"),
        ("genWeight", "looks like an event weight"),
        ("year", "is 2018 in all events"),
        ("tag", "nearly identifies the class"),
    ):
        assert any(line.startswith(f"  # - {name}") and reason in line for line in text.splitlines()), name
    (tmp_path / "c.yaml").write_text(text)
    config = tamis.load_config(tmp_path / "c.yaml")
    found = {feature.name: (feature.expression, feature.missing) for feature in config.features}
    assert found["a b"] == ("`a b`", None)
    assert found["btag"] == ("btag", (-99.0,))
    assert str(found["dxy"]) == "('dxy', (nan,))"
    assert config.signal_names == ("signal_1",)
    assert [sample.weight for sample in config.samples] == ["genWeight", "genWeight"]
    assert inside("train", "c.yaml", "--set", "training.epochs=1")[0] == 0


def test_init_copes_with_odd_branches(inside, write_tree: WriteTree) -> None:
    rng = np.random.default_rng(1)
    late = rng.normal(size=150_000)
    late[140_000] = np.nan
    for name in ("signal_m100", "signal_m200"):
        columns = {each: rng.normal(size=150_000) for each in ("pass", "class", "True", "np.x", "x")}
        kind = np.float32 if name == "signal_m100" else np.float64
        write_tree(f"{name}.root", {**columns, "late": late, "mixed": late.astype(kind), "__hidden": late})
    code, text, error = inside("init", "signal_m100.root", "signal_m200.root")
    assert code == 0, error
    assert "# Which class is the signal?" in text  # both names say it
    config = tamis.parse_config(text.replace("signal_m200: {signal: false}", "signal_m200: {signal: true}"))
    assert config.signal_names == ("signal_m200",)
    found = {feature.name: (feature.expression, feature.missing is not None) for feature in config.features}
    assert found["late"] == ("late", True)  # the only NaN is far down in the file
    assert found["x"] == ("x", False)
    assert {name: found[name][0] for name in ("pass", "class", "True")} == {
        name: f"`{name}`" for name in ("pass", "class", "True")
    }
    assert "# - mixed  # not used: different in some files (double, float)" in text
    assert "mixed" not in found
    assert found["__hidden"] == ("__hidden", True)


def test_one_configuration_serves_several_sites(inside, tmp_path: Path, two_classes: Make) -> None:
    config = two_classes(300)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "site").mkdir()
    path = write_config(tmp_path / "elsewhere", config)
    for name in ("bkg", "sig"):
        (tmp_path / f"{name}.root").rename(tmp_path / "site" / f"{name}.root")
    code, _, error = inside("train", str(path))
    assert code == 2
    assert "does not exist; check the path" in error
    assert inside("train", str(path), "--data", "site", "-o", "one")[0] == 0
    (tmp_path / "site").rename(tmp_path / "other")
    assert inside("train", str(path), "--data", "other", "-o", "two")[0] == 0
    weights = [(tmp_path / run / "model" / "weights.safetensors").read_bytes() for run in ("one", "two")]
    assert weights[0] == weights[1]  # bit-identical, wherever the files are
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "one", "other", "two"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["train"], "Missing argument 'CONFIG'"),
        (["train", "absent.yaml"], "absent.yaml"),
        (["train", "small.yaml", "--set", "training.epoch=3"], "did you mean 'epochs'?"),
        (["train", "small.yaml", "--set", "training.epochs=none"], "training.epochs (from --set)"),
        (["train", "small.yaml", "--set", "training"], "--set"),
        (["train", "small.yaml", "--set", "samples.0.files=a.root"], "counts from 0: samples[0].files=..."),
        (
            ["train", "small.yaml", "--set", "samples.0=a"],
            "written in brackets and counts from 0: samples[0]=...",
        ),
        (["train", "small.yaml", "--data", "nowhere"], "nowhere' does not exist; correct `data` or --data"),
        (["train", "small.yaml", "--output", "small.yaml"], "small.yaml is a file"),
        (["train", "small.yaml", "--output", "small.yaml/run"], "small.yaml is a file; choose another"),
        (["train", "small.yaml", "--output", "/"], "/ cannot be a run directory"),
        (
            ["train", "small.yaml", "--output", "n" * 300],
            "its name is too long: 300 bytes, but 214 are allowed",
        ),
        (["train", "small.yaml", "--output", "n" * 215], "its name is too long: 215 bytes"),
        (
            ["train", "small.yaml", "--output", "runs/" + "n" * 300 + "/run"],
            "its name is too long: 300 bytes",
        ),
        (["train", "small.yaml", "--output", "/proc/self/run"], "cannot write to /proc/self/run: "),
        (["demo", "--output", "n" * 215], "its name is too long"),
        (
            ["compare", "bkg.root", "sig.root", "-o", "page.pdf"],
            "page.pdf does not end in .html",
        ),
        (["compare", "bkg.root", "sig.root", "-o", "small.yaml/page.html"], "small.yaml is a file"),
        (["compare", "absent", "other"], "absent: there is no such folder"),
        (["report", "absent"], "absent: there is no such folder"),
        (
            ["export", "absent"],
            "absent: there is no such folder; give a run directory, or its folder `model`",
        ),
        (["export", "absent", "--format", "fpga"], "absent: there is no such folder"),
        (["export", "bkg.root"], "bkg.root: is a file; give a run directory"),
        (["export", "."], "holds no classifier, neither model/classifier.json nor classifier.json"),
        (["export", ".", "-o", "out"], "holds no classifier"),
        (["train", "small.yaml", "--set", "samples[0].files=/"], "sample bkg"),
        (["train", "small.yaml", "--set", "samples[0].files=~nosuchuser/x.root"], "cannot search for "),
        (["train", "small.yaml", "--set", "samples[0].files=a**.root"], "sample bkg"),
        (["train", "small.yaml", "--set", "classes.sig.label=$p_T"], "label"),
        (["train", "small.yaml", "--set", "training.devices=77"], "training.devices is 77"),
        (
            ["train", "small.yaml", "--set", "samples[0].tree=Events"],
            "tree 'Events' is missing; the file holds 'tree'",
        ),
        (["train", "small.yaml", "--set", "features=[x, z]"], "branch 'z' is missing"),
        (["init", "bkg.root"], "at least two classes"),
        (["init", "bkg.root", "absent.root"], "absent.root' does not exist"),
        (["init", "bkg.root", "sig.root", "-o", "small.yaml"], "small.yaml exists already"),
        (["simulate", "d", "--events", "0"], "events"),
        (["simulate", "d", "--events", "many"], "'--events': 'many' is not a whole number"),
        (["simulate", "d", "--events", "1e3"], "'--events': '1e3' is not a whole number"),
        (["demo", "--output", "d", "--seed", "-1"], "the seed is -1"),
        (["apply", "r", "f", "-o", "d", "--jobs", "0"], "'--jobs': 0 is too small; the smallest is 1"),
        (["apply", "r", "f", "-o", "d", "--sentinel", "none"], "'--sentinel': 'none' is not a number"),
        (["verify", "r", "--tolerance", "nan"], "'--tolerance': nan is not a difference of scores"),
        (["verify", "r", "--tolerance", "inf"], "'--tolerance': inf is not a difference of scores"),
        (["verify", "r", "--tolerance", "-1e-6"], "'--tolerance': -1e-6 is not a difference of scores"),
        (
            ["export", "r", "--format", "onix"],
            "'--format': 'onix' is not one of onnx, json, lwtnn, cpp, all, fpga; did you mean 'onnx'?",
        ),
        (
            ["figures", "r", "--format", "jpg"],
            "Invalid value for '--format': 'jpg' is not one of svg, pdf, png",
        ),
        (["export", "r", "--format", "c++"], "did you mean 'cpp'?"),
        (["export", "r", "--format", "Header"], "did you mean 'cpp'?"),
        (["export", ".", "--output", "a", "-o", "b"], "'--output' / '-o': it is given 2 times"),
        (
            ["apply", "r", "f", "-o", "d", "--format", "ttree", "--format", "parquet"],
            "'--format': it is given 2",
        ),
        (
            ["train", "small.yaml", "--data", ".", "--data", ".", "--data", "."],
            "'--data': it is given 3 times",
        ),
        (["simulate", "d", "--seed", "1", "--seed", "2"], "'--seed': it is given 2 times"),
        (["demo", "--output", "."], "holds files that do not belong to a run"),
    ],
)
def test_a_wrong_request_is_told_in_words(
    inside, tmp_path: Path, two_classes: Make, arguments: Sequence[str], message: str
) -> None:
    write_config(tmp_path, two_classes(100))
    before = sorted(tmp_path.rglob("*"))
    code, out, error = inside(*arguments)
    assert code == 2
    assert message in error
    assert out == ""
    assert sorted(tmp_path.rglob("*")) == before  # nothing was written


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "small.yaml", "-o", "finished/new"],
        ["demo", "-o", "finished/new", "--events", "100"],
        ["simulate", "finished", "--events", "100"],
        ["init", "bkg.root", "sig.root", "-o", "finished/new.yaml"],
        ["check", "small.yaml", "--write-manifest", "finished/new.json"],
    ],
)
def test_nothing_is_written_into_a_finished_run(
    inside, tmp_path: Path, two_classes: Make, arguments: Sequence[str]
) -> None:
    write_config(tmp_path, two_classes(100))
    (tmp_path / "finished").mkdir()
    (tmp_path / "finished" / "provenance.json").touch()
    before = sorted(tmp_path.rglob("*"))
    code, _, error = inside(*arguments)
    assert (code, "inside the directory of the finished run" in error) == (2, True)
    assert sorted(tmp_path.rglob("*")) == before


def test_demo_does_not_replace_files_that_are_there(inside, tmp_path: Path) -> None:
    own = tmp_path / "offshell-data" / "bkg1_Events.root"
    own.parent.mkdir()
    own.write_text("mine")
    code, _, error = inside("demo", "--output", "offshell", "--events", "100")
    assert code == 2
    assert "bkg1_Events.root exists already" in error
    assert "replace with --overwrite, or choose another --output" in error
    assert own.read_text() == "mine"


def test_a_link_as_output_stays_a_link(inside, tmp_path: Path, two_classes: Make) -> None:
    write_config(tmp_path, two_classes(200))
    (tmp_path / "large_disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "large_disk")
    assert inside("train", "small.yaml", "-o", "run", "--set", "training.epochs=1")[0] == 0
    assert (tmp_path / "run").is_symlink()
    assert (tmp_path / "large_disk" / "provenance.json").is_file()


def test_a_training_that_diverges_is_status_1(inside, tmp_path: Path, two_classes: Make) -> None:
    write_config(tmp_path, two_classes(100))
    code, _, error = inside(
        "train", "small.yaml", "--set", "training.optimizer={name: sgd, learning_rate: 1e38}"
    )
    assert code == 1
    assert "the loss is not finite in epoch 1" in error
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_somebody_made_stays_after_a_failure(inside, tmp_path: Path, two_classes: Make) -> None:
    write_config(tmp_path, two_classes(100))
    (tmp_path / "mine").mkdir()
    diverge = ["--set", "training.optimizer={name: sgd, learning_rate: 1e38}"]
    assert inside("train", "small.yaml", "-o", "mine", *diverge)[0] == 1
    assert inside("train", "small.yaml", "-o", "mine/deep/below", *diverge)[0] == 1
    assert list((tmp_path / "mine").iterdir()) == []


def test_debug_shows_the_traceback(tmp_path: Path, inside) -> None:
    result = program("train", "absent.yaml", "--debug", cwd=tmp_path)
    assert result.returncode != 0
    assert "Traceback" in result.stderr
    assert "ConfigurationError" in result.stderr
    code, _, error = inside("train", "absent.yaml")
    assert code == 2
    assert "Traceback" not in error
    assert 1 <= len(error.strip().splitlines()) <= 4


def test_check_reports_problems_and_suspicions_together(
    inside, tmp_path: Path, write_tree: WriteTree
) -> None:
    rng = np.random.default_rng(1)
    for number, name in enumerate(("bkg", "sig")):
        weight = rng.uniform(0.5, 1, 1000)
        weight[3] = 80
        write_tree(
            f"{name}.root",
            {
                "x": np.where(rng.random(1000) < 0.01, np.nan, rng.normal(size=1000)),
                "btag": np.where(rng.random(1000) < 0.1, -99.0, rng.random(1000)),
                "truth": np.full(1000, number),
                "flat": np.ones(1000),
                "w": weight,
            },
        )
    config = {
        "samples": [{"name": n, "class": n, "files": f"{n}.root", "weight": "w"} for n in ("bkg", "sig")],
        "classes": {"bkg": {}, "sig": {"signal": True}},
        "features": ["x", "btag", "truth", "flat"],
    }
    write_config(tmp_path, config)
    code, out, error = inside("check", "small.yaml")
    assert code == 2
    assert "see the problems above" in error
    for text in (
        "feature 'x' (x) is not a finite number of 32 bits in",
        "feature btag: is -99 in",
        "declare it with `missing: -99`",
        "feature truth: nearly identifies the class",
        "feature flat: is 1 in all events",
        "class bkg: one event has",
    ):
        assert text in out, text


def test_a_sample_without_events_in_a_part_is_refused_with_counts(
    inside, tmp_path: Path, write_tree: WriteTree, two_classes: Make
) -> None:
    config = two_classes(100)
    write_tree("sig.root", {"x": np.zeros(1), "y": np.zeros(1)})
    write_config(tmp_path, config)
    code, _, error = inside("train", "small.yaml")
    assert code == 2
    assert "class sig: no events in the" in error
    assert "it has 1 event in all" in error


def test_empty_files_stand_in_the_cutflow(inside, tmp_path: Path, two_classes: Make) -> None:
    config = two_classes(300)
    with uproot.recreate(tmp_path / "empty.root") as file:
        file.mktree("tree", {"x": "float64", "y": "float64"})
    config["samples"][0]["files"] = ["bkg.root", "empty.root"]
    write_config(tmp_path, config)
    assert inside("train", "small.yaml", "-o", "run")[0] == 0
    cutflow = json.loads((tmp_path / "run" / "events.json").read_text())
    assert cutflow["samples"][0]["files"] == {"bkg.root": 300, "empty.root": 0}
