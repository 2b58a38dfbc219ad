"""What a configuration to start from makes of data, weights, corrections, pile-up, and of names that say no signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import ArrayLike

import tamis
from tamis.config import Config
from tamis.errors import ConfigurationError, RequestError
from tamis.pipeline.preparation import find_input
from tamis.scaffold import SIGNAL_QUESTION, build_configuration

WriteTree = Callable[..., Path]
N = 300


def columns(**more: ArrayLike) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {"pt": rng.exponential(50, N), "eta": rng.normal(size=N)} | {
        name: np.asarray(value) for name, value in more.items()
    }


def simulated(**more: ArrayLike) -> dict[str, np.ndarray]:
    return columns(genWeight=np.random.default_rng(6).normal(2, 0.1, N), **more)


def start(write_tree: WriteTree, folder: Path, files: Mapping[str, dict[str, np.ndarray]]) -> str:
    paths = []
    for name, values in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        paths.append(str(write_tree(name, values)))
    return build_configuration(paths, folder=folder)


def with_signal(text: str, name: str) -> Config:
    return tamis.parse_config(text.replace(f"{name}: {{signal: false}}", f"{name}: {{signal: true}}"))


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("data_2018.root", columns(), "its path contains 'data'"),
        (
            "data_2018.root",
            simulated(),
            "its path contains 'data'",
        ),  # a weight of 1 is often written for data, too
        ("SingleMuon.root", columns(), "its path contains 'SingleMuon'"),
        ("Run2018A/part.root", columns(), "its path contains 'Run2018A'"),
        ("period_B.root", columns(), "it has no generator weight, and others have genWeight"),
    ],
)
def test_observed_data_are_no_class(
    write_tree: WriteTree, tmp_path: Path, name: str, values: dict[str, np.ndarray], reason: str
) -> None:
    text = start(write_tree, tmp_path, {"bkg.root": simulated(), name: values, "sig.root": simulated()})
    config = tamis.parse_config(text)
    assert config.class_names == ("bkg", "sig")
    assert [sample.name for sample in config.samples] == ["bkg", "sig"]
    assert f"# {name} looks like observed data ({reason}): it is not a class" in text


@pytest.mark.parametrize(
    "name", ["data/wjets.root", "wjets_Run2.root", "datadriven_fakes.root", "mc_qcd.root"]
)
def test_simulation_stays_a_class(write_tree: WriteTree, tmp_path: Path, name: str) -> None:
    text = start(write_tree, tmp_path, {name: simulated(), "sig.root": simulated()})
    assert "observed data" not in text
    assert len(tamis.parse_config(text).class_names) == 2


def test_a_single_file_with_a_generator_weight_makes_no_data_of_the_others(
    write_tree: WriteTree, tmp_path: Path
) -> None:
    text = start(write_tree, tmp_path, {"dy.root": columns(), "sig.root": simulated()})
    assert tamis.parse_config(text).class_names == ("dy", "sig")
    assert text.count("if it is observed data, remove it") == 1


def test_data_beside_one_simulation_are_refused(write_tree: WriteTree, tmp_path: Path) -> None:
    with pytest.raises(RequestError):
        start(write_tree, tmp_path, {"data.root": columns(), "sig.root": simulated()})


def test_a_branch_that_data_lack_is_no_feature(write_tree: WriteTree, tmp_path: Path) -> None:
    extra = np.random.default_rng(1).normal(size=N)
    files = {"bkg.root": simulated(top_pt=extra), "data.root": columns(), "sig.root": simulated(top_pt=extra)}
    text = start(write_tree, tmp_path, files)
    assert {feature.name for feature in tamis.parse_config(text).features} == {"eta", "pt"}
    assert "# - top_pt  # not used: is not in data.root, which looks like observed data" in text


def test_corrections_and_pile_up_are_no_features_and_the_weight_is_proposed(
    write_tree: WriteTree, tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    more = {
        "btagSF": rng.normal(1, 0.1, N),
        "btagSFUp": rng.normal(1.1, 0.1, N),
        "btagSFDown": rng.normal(0.9, 0.1, N),
        "met_jesUp": rng.exponential(30, N),
        "met_jesDown": rng.exponential(30, N),
        "PV_npvs": rng.poisson(30, N),
        "mll_SF": rng.normal(91, 5, N),  # same flavour
        "isSF": rng.integers(0, 2, N),
    }
    text = start(write_tree, tmp_path, {"bkg.root": simulated(**more), "sig.root": simulated(**more)})
    config = tamis.parse_config(text)
    assert sorted(feature.name for feature in config.features) == ["eta", "isSF", "mll_SF", "pt"]
    assert [sample.weight for sample in config.samples] == ["genWeight", "genWeight"]
    assert 'weight: "genWeight * btagSF"' in text
    assert (
        "Systematic variations, for studies of uncertainties: btagSFUp, btagSFDown, met_jesUp, met_jesDown"
        in text
    )
    reasons = dict(
        line.strip("# -").split("  # not used: ") for line in text.splitlines() if "not used: " in line
    )
    assert reasons["PV_npvs"].startswith("measures pile-up")
    assert reasons["btagSFUp"] == "looks like a systematic variation of btagSF"


def test_the_weight_of_the_event_stands_before_that_of_the_generator(
    write_tree: WriteTree, tmp_path: Path
) -> None:
    weight = np.random.default_rng(3).normal(1, 0.2, N)
    files = {"bkg.root": simulated(eventWeight=weight, eventWeight_up=weight + 1), "sig.root": simulated()}
    text = start(write_tree, tmp_path, files)
    assert [sample.weight for sample in tamis.parse_config(text).samples] == ["eventWeight", "genWeight"]
    assert "if eventWeight does not contain genWeight: eventWeight * genWeight" in text


@pytest.mark.parametrize(
    ("weight", "problem"),
    [
        (np.where(np.arange(N) == N - 1, np.nan, 1.0), "is not finite in every event"),
        (np.where(np.arange(N) % 3, -1.0, 1.0), "has a sum that is not above 0"),
    ],
)
def test_an_impossible_weight_is_not_proposed(
    write_tree: WriteTree, tmp_path: Path, weight: np.ndarray, problem: str
) -> None:
    files = {"bkg.root": columns(genWeight=weight), "sig.root": simulated()}
    text = start(write_tree, tmp_path, files)
    assert [sample.weight for sample in tamis.parse_config(text).samples] == [1.0, "genWeight"]
    assert f"genWeight looks like one, but {problem}" in text


@pytest.mark.parametrize("names", [("ttbar", "wjets"), ("zprime", "background"), ("signal_a", "signal_b")])
def test_the_signal_is_not_guessed_from_the_order(
    write_tree: WriteTree, tmp_path: Path, names: tuple[str, str]
) -> None:
    text = start(write_tree, tmp_path, {f"{name}.root": simulated() for name in names})
    lines = text.splitlines()
    assert SIGNAL_QUESTION in lines[lines.index("classes:  # the order is that of the network's outputs") + 1]
    with pytest.raises(ConfigurationError):
        tamis.parse_config(text)
    for name in names:
        assert with_signal(text, name).signal_names == (name,)


def test_the_region_of_a_file_is_no_signal(write_tree: WriteTree, tmp_path: Path) -> None:
    text = start(write_tree, tmp_path, {"ttbar_signal_region.root": simulated(), "zprime.root": simulated()})
    assert SIGNAL_QUESTION in text


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("run", "lumi", "event"), ", event_id: [run, lumi, event]}"),
        (("event", "luminosityBlock", "run"), ", event_id: [run, luminosityBlock, event]}"),
        (("runNumber", "eventNumber"), ", event_id: [runNumber, eventNumber]}"),
        (("run",), "}"),
        ((), "}"),
    ],
)
def test_the_proposed_split_names_branches_of_the_files(
    write_tree: WriteTree, tmp_path: Path, names: tuple[str, ...], line: str
) -> None:
    numbers = {name: np.arange(N, dtype=np.int64) + number for number, name in enumerate(names)}
    text = start(write_tree, tmp_path, {"bkg.root": columns(**numbers), "sig.root": columns(**numbers)})
    proposed = f"# split: {{test: 0.25, validation: 0.2{line}"
    assert proposed in text.splitlines()
    config = tamis.parse_config(text.replace(proposed, proposed.removeprefix("# ")), data=tmp_path)
    find_input(config)  # no branch is missing


def test_an_event_number_with_a_fraction_is_not_proposed_for_the_split(
    write_tree: WriteTree, tmp_path: Path
) -> None:
    values = columns(event=np.linspace(0, 1, N))
    text = start(write_tree, tmp_path, {"bkg.root": values, "sig.root": values})
    assert "event_id: [" not in text


def test_a_run_is_called_as_its_configuration(write_tree: WriteTree, tmp_path: Path) -> None:
    files = [str(write_tree(name, columns())) for name in ("bkg.root", "sig.root")]
    assert tamis.parse_config(build_configuration(files, folder=tmp_path, name="mass_cut")).name == "mass_cut"
    path = tmp_path / "other.yaml"
    path.write_text(build_configuration(files, folder=tmp_path))
    assert tamis.load_config(path).name == "other"


def test_the_order_of_the_files_is_kept_and_namesakes_are_named(
    write_tree: WriteTree, tmp_path: Path
) -> None:
    for name in ("sig.root", "a/bkg.root", "b/bkg.root"):
        write_tree(name, {"x": np.arange(20.0), "y": np.arange(20.0) % 3})
    files = [str(tmp_path / name) for name in ("sig.root", "b/bkg.root", "a/bkg.root")]
    text = build_configuration(files, folder=tmp_path)
    assert [sample["files"] for sample in yaml.safe_load(text)["samples"]] == [
        "sig.root",
        "b/bkg.root",
        "a/bkg.root",
    ]
    assert text.count("has the same file name") == 2
