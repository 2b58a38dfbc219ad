"""The stages together: laws of the whole way, and every refusal on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest

import tamis
from tamis.config import parse_config
from tamis.data.split import SPLITS, TRAINING
from tamis.errors import InputError, RequestError
from tamis.pipeline.fitting import fit_member_preprocessing
from tamis.pipeline.preparation import find_input, prepare
from tamis.runs.write import write_run
from tamis.statistics.metrics import compute_metrics

Make = Callable[..., dict[str, Any]]
WriteTree = Callable[..., Path]


def bits(run: tamis.Run) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(run.classifier.network)]


def area(score: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    """The weighted share of pairs in which the signal has the higher score, pair by pair."""
    apart = score[truth][:, None] - score[~truth][None, :]
    above = weight[truth] @ ((apart > 0) + 0.5 * (apart == 0)) @ weight[~truth]
    return float(above / (weight[truth].sum() * weight[~truth].sum()))


def test_the_order_of_samples_and_files_changes_no_bit(two_classes: Make, write_tree: WriteTree) -> None:
    config = two_classes(200)
    write_tree("more.root", {"x": np.ones(3), "y": np.ones(3)})
    config["samples"][0]["files"] = ["bkg.root", "more.root"]
    first = tamis.train(parse_config(config))
    config["samples"] = config["samples"][::-1]
    config["samples"][1]["files"] = ["more.root", "bkg.root"]
    second = tamis.train(parse_config(config))
    assert bits(first) == bits(second)
    for name, part in first.splits.items():
        assert part.scores.tobytes() == second.splits[name].scores.tobytes()
    assert {**first.metrics, "timing": None} == {**second.metrics, "timing": None}


def test_scaling_is_learned_on_training_events_alone(two_classes: Make) -> None:
    config = two_classes(300, preprocessing={"scaling": "standard"})
    prepared = prepare(parse_config(config))
    learned = fit_member_preprocessing(parse_config(config), prepared.weighed, prepared.plan.members[0])
    events = prepared.events
    training = events.split == TRAINING
    weight = prepared.weighed.training_weight[training]
    expected = np.average(events.features[training], axis=0, weights=weight)
    np.testing.assert_allclose(learned.centre, expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(learned.centre, events.features.mean(axis=0), rtol=1e-5)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[tamis.Run, Path]:
    import uproot

    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(2)
    for name, shift in (("bkg", 0.0), ("sig", 1.0)):
        with uproot.recreate(folder / f"{name}.root") as file:
            columns = {
                "x": rng.normal(shift, 1, 500),
                "m": rng.normal(size=500),
                "w": rng.uniform(-0.2, 1, 500),
            }
            file.mktree("tree", dict.fromkeys(columns, "float64")).extend(columns)
    config = parse_config(
        {
            "name": "drawn",
            "data": str(folder),
            "samples": [{"name": n, "class": n, "files": f"{n}.root", "weight": "w"} for n in ("bkg", "sig")],
            "classes": {"bkg": {"label": "$b$"}, "sig": {"signal": True}},
            "features": ["x"],
            "spectators": ["m"],
            "training": {"epochs": 3, "batch_size": 64},
        }
    )
    run = tamis.train(config)
    write_run(run, folder / "runs" / "small")
    return run, folder / "runs" / "small"


def test_the_run_directory_holds_what_the_design_says(finished: tuple[tamis.Run, Path]) -> None:
    _, folder = finished
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "events.json", "figures", "history.json", "metrics.json", "model", "provenance.json",
        "report.html", "results", "scores.parquet", "workspace.json",
    }  # fmt: skip
    figures = {path.name for path in (folder / "figures").iterdir()}
    names = (
        "inputs", "history", "confusion", "score_bkg", "score_sig", "roc", "calibration", "significance", "binning",
        "importance", "sculpting_m", "overtraining",
    )  # fmt: skip
    assert figures == {"figures.pdf", *(f"{name}.svg" for name in names)}
    assert [path.name for path in folder.parent.iterdir()] == ["small"]  # nothing unfinished is left


def test_metrics_can_be_recomputed_from_the_scores(finished: tuple[tamis.Run, Path]) -> None:
    _, folder = finished
    metrics = json.loads((folder / "metrics.json").read_text())
    table = pq.read_table(folder / "scores.parquet").to_pandas()
    assert metrics["classes"] == ["bkg", "sig"]
    truth = (table["class"] == "sig").to_numpy()
    scores = table[["score_bkg", "score_sig"]].to_numpy(np.float64)
    own = scores[np.arange(len(table)), truth.astype(int)]
    for weight, numbers in (
        (table["weight"].to_numpy(), metrics["test"]),
        ((table["weight"] * table["class_weight"]).to_numpy(), metrics["test"]["balanced"]),
        (np.ones(len(table)), metrics["test"]["unweighted"]),
    ):
        assert numbers["loss"] == pytest.approx(-(weight * np.log(own)).sum() / weight.sum(), rel=1e-9)
        right = (scores.argmax(axis=1) == truth) * weight
        assert numbers["accuracy"] == pytest.approx(right.sum() / weight.sum(), rel=1e-9)
        row = [(weight * truth)[scores.argmax(axis=1) == column].sum() for column in (0, 1)]
        assert numbers["confusion"][1] == pytest.approx(row / (weight * truth).sum(), rel=1e-9)
        assert numbers["auc"]["sig"] == pytest.approx(area(scores[:, 1], truth, weight), rel=1e-9)


def test_the_workspace_holds_the_bins(finished: tuple[tamis.Run, Path]) -> None:
    _, folder = finished
    discovery = json.loads((folder / "metrics.json").read_text())["discovery"]
    workspace = json.loads((folder / "workspace.json").read_text())
    assert discovery["no_workspace_reason"] is None
    background, signal = (sample["data"] for sample in workspace["channels"][0]["samples"])
    assert signal == pytest.approx([each["signal"] for each in discovery["bins"]["bins"]])
    assert background == pytest.approx([each["background"] for each in discovery["bins"]["bins"]])
    assert background == pytest.approx([each["yields"]["bkg"] for each in discovery["bins"]["bins"]])


def test_scores_are_those_of_the_saved_classifier(finished: tuple[tamis.Run, Path]) -> None:
    run, folder = finished
    classifier = tamis.Classifier.load(folder / "model")
    for part in run.splits.values():
        found = classifier.scores(run.prepared.events.features[part.rows])
        np.testing.assert_allclose(found, part.scores, atol=0)


def test_the_cutflow_agrees_with_the_scores(finished: tuple[tamis.Run, Path]) -> None:
    _, folder = finished
    cutflow = json.loads((folder / "events.json").read_text())
    table = pq.read_table(folder / "scores.parquet").to_pandas()
    for name in ("bkg", "sig"):
        account = cutflow["classes"][name]
        assert account["entries"] == 500 == account["used"]["events"]
        assert account["test"]["events"] == (table["class"] == name).sum()
        total = table.loc[table["class"] == name, "weight"].sum()
        assert account["test"]["sum_of_weights"] == pytest.approx(total, rel=1e-12)
    assert sum(cutflow["total"][part]["events"] for part in SPLITS) == 1000


def test_the_written_configuration_gives_the_same_run(finished: tuple[tamis.Run, Path]) -> None:
    run, folder = finished
    config = tamis.load_config(folder / "config.yaml")
    assert config == run.config
    assert bits(tamis.train(config)) == bits(run)


def test_provenance_names_inputs_and_outputs_with_their_hashes(finished: tuple[tamis.Run, Path]) -> None:
    from tamis.files import sha256

    _, folder = finished
    found = json.loads((folder / "provenance.json").read_text())
    assert [each["entries"] for each in found["inputs"]] == [500, 500]
    assert all(each["sha256"] == sha256(Path(each["path"])) for each in found["inputs"])
    assert all(sha256(folder / name) == value for name, value in found["outputs"].items())
    assert found["packages"]["jax"]
    assert found["device"] == "1 CPU core"


def test_history_has_every_epoch(finished: tuple[tamis.Run, Path]) -> None:
    run, folder = finished
    history = json.loads((folder / "history.json").read_text())
    (member,) = history["members"]
    assert [epoch["number"] for epoch in member["epochs"]] == [1, 2, 3]
    keys = {
        "training_loss",
        "validation_loss",
        "training_accuracy",
        "validation_accuracy",
        "learning_rate",
        "seconds",
    }
    assert keys < set(member["epochs"][0])
    kept = member["epochs"][member["best_epoch"] - 1]
    balanced = run.results["performance"].splits["validation"].balanced
    assert kept["validation_loss"] == pytest.approx(balanced.loss, rel=1e-4)
    assert kept["validation_accuracy"] == pytest.approx(balanced.accuracy, rel=1e-4)


def test_metrics_are_signed_and_weighted(finished: tuple[tamis.Run, Path]) -> None:
    run, _ = finished
    events = run.prepared.events
    assert (events.weight < 0).any()
    rows = run.splits["test"].rows
    found = compute_metrics(run.splits["test"].scores, events.class_index[rows], events.weight[rows])
    assert run.results["performance"].splits["test"].physics == found


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tamis.runs.figures.chapters_of", lambda _: [])


@pytest.mark.usefixtures("undrawn")
def test_a_run_is_not_overwritten_unless_asked_and_its_folder_may_be_text(
    finished: tuple[tamis.Run, Path], tmp_path: Path
) -> None:
    run, folder = finished[0], tmp_path / "runs" / "small"
    write_run(run, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for place in (folder, str(folder)):
        with pytest.raises(RequestError):
            write_run(run, place)
    (folder / "metrics.json").write_text("{}")  # so that it has to be written anew
    write_run(run, str(folder), overwrite=True)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after.keys() == before.keys()
    same = {"config.yaml", "events.json", "history.json", "metrics.json", "scores.parquet", "workspace.json"}
    assert same <= {path.name for path in before}
    for path, content in before.items():
        if path.name in same or path.parent.name == "model":
            assert after[path] == content, path
    assert [path.name for path in folder.parent.iterdir()] == ["small"]


def test_colleagues_can_read_every_file(finished: tuple[tamis.Run, Path]) -> None:
    _, folder = finished
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    probe = folder.parent.parent / "probe"
    probe.touch()
    assert modes == {probe.stat().st_mode & 0o777}


@pytest.mark.usefixtures("undrawn")
def test_a_failure_leaves_the_run_that_was_there(
    finished: tuple[tamis.Run, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, folder = finished
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tamis.runs.write._write_page", fail)
    with pytest.raises(OSError, match="No space left"):
        write_run(run, folder, overwrite=True)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["small"]


@pytest.mark.parametrize(("scaling", "embedded"), [("robust", True), ("none", False)])
def test_the_default_network_embeds_scaled_inputs(two_classes: Make, scaling: str, embedded: bool) -> None:
    changes = {"network": {}, "training": {"epochs": 1}, "preprocessing": {"scaling": scaling}}
    run = tamis.train(parse_config(two_classes(200, **changes)))
    (member,) = run.classifier.members
    assert (member.network.embedding is not None) == embedded


def test_problems_of_all_samples_are_reported_together(two_classes: Make) -> None:
    config = two_classes(50)
    config["samples"][0]["files"] = "absent.root"
    config["samples"][1]["selection"] = "z > 0"
    with pytest.raises(InputError) as caught:
        find_input(parse_config(config))
    text = str(caught.value)
    assert "sample bkg: file '" in text
    assert "branch 'z' is missing" in text


def test_an_unreadable_file_does_not_hide_what_is_wrong_with_the_others(two_classes: Make) -> None:
    config = two_classes(50)
    (Path(config["data"]) / "broken.root").write_bytes(b"nothing")
    config["samples"][0] |= {"files": ["bkg.root", "broken.root"], "selection": "z > 0"}
    with pytest.raises(InputError) as caught:
        find_input(parse_config(config))
    assert "broken.root: is not a ROOT or Parquet file" in str(caught.value)
    assert "bkg.root:tree: branch 'z' is missing" in str(caught.value)


REFERENCE = {"reference": {"log_density": {"bkg": "-x*x/2", "sig": "-(x-1.5)*(x-1.5)/2"}}}


def test_the_bayes_optimum_is_known_where_the_densities_are(two_classes: Make) -> None:
    config = two_classes(3000, evaluation=REFERENCE)
    run = tamis.train(parse_config(config))
    optimum = run.metrics["bayes_optimum"]["optimum"]
    # the ratio of the densities rises with x, so that no score orders the events better than x itself
    events, rows = run.prepared.events, run.splits["test"].rows
    x, truth = events.features[rows, 0], events.class_index[rows] == 1
    weight = events.weight[rows] * run.prepared.weighed.class_weights[events.class_index[rows]]
    assert optimum["auc"]["sig"] == pytest.approx(area(x, truth, weight), rel=1e-9)
    # of two Gaussians 1.5 apart the area is Phi(1.5 / sqrt 2); 5 deviations of 1500 events of each class
    assert optimum["auc"]["sig"] == pytest.approx(0.8556, abs=5 * 0.007)
    x = x.astype(np.float64)
    shares = [weight[truth == each].sum() for each in (False, True)]
    odds = shares[1] / shares[0] * np.exp(1.5 * x - 1.5**2 / 2)
    best = np.average(np.where(truth, np.log1p(1 / odds), np.log1p(odds)), weights=weight)
    assert optimum["loss"] == pytest.approx(best, rel=1e-5)
    assert optimum["excess_loss"] == pytest.approx(
        run.results["performance"].splits["test"].balanced.loss - optimum["loss"], rel=1e-9
    )
    assert optimum["excess_loss"] > -0.01


@pytest.mark.parametrize("bad", ["log(0 * x)", "log(-1 + 0 * x)"])
def test_a_density_that_is_no_number_is_refused_before_training(two_classes: Make, bad: str) -> None:
    config = two_classes(100, evaluation={"reference": {"log_density": {"bkg": bad, "sig": "2 * x"}}})
    with pytest.raises(InputError):
        prepare(parse_config(config))


def test_a_discriminant_is_drawn_beside_the_network(two_classes: Make) -> None:
    config = two_classes(500, evaluation={"reference": {"discriminant": {"sig": "2 * x"}}})
    run = tamis.train(parse_config(config))
    found = run.metrics["bayes_optimum"]["discriminants"]["sig"]
    events, rows = run.prepared.events, run.splits["test"].rows
    truth = events.class_index[rows] == 1
    expected = area(events.features[rows, 0], truth, events.weight[rows])
    assert found["auc"] == pytest.approx(expected, rel=1e-9)
    assert [curve is None for curve in run.results["bayes_optimum"].curves] == [True, False]


@pytest.mark.parametrize("split", [{}, {"folds": 3}])
def test_features_are_weighed_and_spectators_compared(two_classes: Make, split: dict[str, Any]) -> None:
    config = two_classes(
        1500,
        features=["x", "y"],
        spectators=["w", {"name": "copy", "expression": "3 - x"}],
        split=split,
        evaluation={"luminosity": {"of_weights": 10, "quoted": 40}, "background_uncertainty": 0.1},
    )
    run = tamis.train(parse_config(config))
    written = json.loads(json.dumps(run.metrics, allow_nan=False))
    importance = {each["features"][0]: each for each in written["importance"]["groups"]}
    assert importance["x"]["loss_interval"][0] > 10 * abs(importance["y"]["loss"])
    assert importance["x"]["gradient_interval"][0] > 3 * importance["y"]["gradient_interval"][1]
    assert importance["x"]["gradient_scores"]["sig"] == pytest.approx(
        importance["x"]["gradient_scores"]["bkg"]
    )
    assert importance["x"]["ablation"] is None
    sculpting = written["sculpting"]
    assert len(sculpting["cuts"]) == 3
    for name in ("bkg", "sig"):
        copy, other = sculpting["spectators"]["copy"][name], sculpting["spectators"]["w"][name]
        # with folds the scores are those of three networks
        assert copy["dependence"]["distance_correlation"] > (0.75 if split else 0.9)
        assert copy["warning"].startswith(f"copy of {name} depends on the score: distance correlation 0.")
        assert other["warning"] is None
        # null after a cut that few events pass
        shapes = [shape for shape in copy["shapes"] if shape is not None]
        assert len(shapes) > 1
        assert shapes[0] > shapes[-1]
    discovery = written["discovery"]
    assert discovery["events_per_weight"] == 4.0
    yields = [each["yields"] for each in discovery["categories"].values()]
    for name in ("bkg", "sig"):
        total = run.metrics["test"]["sum_of_weights"][name]
        if not split:
            total = sum(written[part]["sum_of_weights"][name] for part in ("training", "validation", "test"))
        assert sum(each[name] for each in yields) == pytest.approx(4.0 * total)
    assert sum(each["background"] for each in discovery["bins"]["bins"]) == pytest.approx(
        sum(each["background"] for each in discovery["categories"].values())
    )
