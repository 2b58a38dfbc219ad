"""The exported ONNX files: all or none, checked, and with the metadata that a program needs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import onnx
import onnxruntime
import pytest

import tamis
from tamis.classifier import Classifier
from tamis.cli import main
from tamis.config import parse_config
from tamis.data.split import NO_FOLD
from tamis.errors import ExportError
from tamis.export import FILES, export_onnx
from tamis.export.agreement import EVENTS, choose_events
from tamis.export.lower import lower
from tamis.export.onnx_files import check_files

Make = Callable[..., Any]
SAVED = {"classifier.json", "weights.safetensors", "manifest.json"}


@pytest.fixture
def saved(make_classifier: Make, make_events: Make, tmp_path: Path) -> tuple[Classifier, Path]:
    events = make_events(5)
    fold = np.arange(len(events)) % 2
    classifier = make_classifier([{"nodes": 8}], folds=(0, 1)).with_reference(events, fold)
    classifier.save(tmp_path)
    return classifier, tmp_path


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_export_writes_every_file_and_says_how_well_they_agree(saved: tuple[Classifier, Path]) -> None:
    _, folder = saved
    found = export_onnx(folder)
    assert names_in(folder) == {*SAVED, *FILES}
    assert found.events > EVENTS
    assert 0 < found.difference <= 1e-6
    again = {name: (folder / name).read_bytes() for name in FILES}
    export_onnx(str(folder))
    assert {name: (folder / name).read_bytes() for name in FILES} == again


@pytest.mark.parametrize("mask", ["random", "magnitude"])
def test_a_sparse_classifier_can_be_loaded_and_exported(
    mask: str, make_classifier: Make, make_events: Make, tmp_path: Path
) -> None:
    layers = [{"type": "sparse", "nodes": 8, "density": 0.5, "mask": mask}]
    classifier = make_classifier(layers).with_reference(make_events(5))
    classifier.save(tmp_path)
    loaded = Classifier.load(tmp_path)
    assert loaded.network.layers[0].section == classifier.network.layers[0].section
    masks = [each.network.layers[0].mask.value for each in (loaded, classifier)]
    np.testing.assert_array_equal(*masks)
    assert export_onnx(tmp_path).difference <= 1e-6


def test_the_metadata_say_what_goes_in_and_what_comes_out(saved: tuple[Classifier, Path]) -> None:
    _, folder = saved
    export_onnx(folder)
    document = json.loads((folder / "classifier.json").read_text())
    for name, inputs in (
        ("classifier.onnx", ["pt", "mass", "eta", "phi"]),
        ("classifier_packed.onnx", ["features"]),
    ):
        session = onnxruntime.InferenceSession(folder / name, providers=["CPUExecutionProvider"])
        said = json.loads(session.get_modelmeta().custom_metadata_map["tamis"])
        assert said["inputs"] == inputs
        assert [each.name for each in session.get_inputs()] == [*inputs, "fold"]
        assert said["features"][1] == {
            "name": "mass", "expression": "mass", "unit": "GeV", "label": None, "missing": ["nan", -999.0, -1.0],
        }  # fmt: skip
        assert [each["name"] for each in said["classes"]] == ["class_0", "class_1", "class_2"]
        assert said["fold"]["input"] == "fold"
        assert (said["fold"]["number"], said["fold"]["by"]) == (2, "event")
        assert said["weights_sha256"] == document["weights_sha256"]


def test_the_side_car_asks_cmssw_for_no_preprocessing(saved: tuple[Classifier, Path]) -> None:
    classifier, folder = saved
    export_onnx(folder)
    said = json.loads((folder / "preprocess.json").read_text())
    assert said["input_names"] == ["features", "fold"]
    assert said["output_names"] == ["class_0", "class_1", "class_2"]
    session = onnxruntime.InferenceSession(
        folder / "classifier_packed.onnx", providers=["CPUExecutionProvider"]
    )
    event = {"pt": 30.0, "mass": np.nan, "eta": -99.9, "phi": 1.0, "fold": 1.0}
    with np.errstate(over="ignore"):
        inputs = {group: _as_cmssw_does(said[group], event) for group in said["input_names"]}
    found = session.run(None, inputs)[0]
    expected = classifier.scores(np.array([[30, np.nan, np.nan, 1]], np.float32), np.array([1]))
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)


def _as_cmssw_does(group: dict[str, Any], event: dict[str, float]) -> np.ndarray:
    """Do what `center_norm_pad` of RecoBTag/FeatureTools does, in 32 bits."""
    values = []
    for name in group["var_names"]:
        info = {key: np.float32(value) for key, value in group["var_infos"][name].items()}
        value = np.float32(event[name])
        if not np.abs(value) <= 1e32:
            value = info["replace_inf_value"]
        value = (value - info["median"]) * info["norm_factor"]
        assert info["lower_bound"] <= info["pad"] <= info["upper_bound"]
        values.append(min(max(value, info["lower_bound"]), info["upper_bound"]))
    return np.array([values], np.float32)


def test_a_model_that_gives_other_scores_is_not_written(
    saved: tuple[Classifier, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tamis.export import onnx_files

    classifier, folder = saved
    export_onnx(folder)
    before = {name: (folder / name).read_bytes() for name in FILES}
    honest = onnx_files.build_model

    def slightly_wrong(graph: Any, inputs: Any) -> Any:
        del graph
        first = classifier.members[0]
        bias = first.network.layers[-1].bias + np.array([0, 0, 2e-5], np.float32)
        network = eqx.tree_at(lambda each: each.layers[-1].bias, first.network, bias)
        members = (replace(first, network=network), *classifier.members[1:])
        return honest(lower(replace(classifier, members=members)), inputs)

    monkeypatch.setattr(onnx_files, "build_model", slightly_wrong)
    with pytest.raises(ExportError):
        export_onnx(folder)
    assert names_in(folder) == {*SAVED, *FILES}
    assert {name: (folder / name).read_bytes() for name in FILES} == before
    for name in FILES:
        (folder / name).unlink()
    with pytest.raises(ExportError):
        export_onnx(folder)
    assert names_in(folder) == SAVED


def test_events_that_lack_what_they_need_are_not_compared(
    saved: tuple[Classifier, Path], make_events: Make
) -> None:
    _, folder = saved
    events = make_events(5)
    events[3, 0] = np.nan  # a feature without a rule
    with pytest.raises(ExportError):
        export_onnx(folder, events)


def test_a_malformed_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing of that kind")
    with pytest.raises(ExportError):
        check_files(tmp_path / "model.onnx")


def test_numbers_of_64_bits_are_found(saved: tuple[Classifier, Path]) -> None:
    _, folder = saved
    export_onnx(folder)
    model = onnx.load(folder / "classifier.onnx")
    number = next(each for each in model.graph.initializer if each.name.endswith("layers.0.bias"))
    wide = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(number).astype(np.float64), number.name)
    number.CopyFrom(wide)
    onnx.save(model, folder / "wide.onnx")
    with pytest.raises(ExportError):
        check_files(folder / "wide.onnx")


def test_the_events_that_are_compared_include_the_extremes() -> None:
    features = np.random.default_rng(0).normal(size=(100_000, 3)).astype(np.float32)
    features[::5, 1] = np.nan
    features[54_321, 1], features[12_345, 2] = 99, -99
    chosen = choose_events(features, NO_FOLD)
    assert EVENTS <= len(chosen.features) <= EVENTS + 6
    assert np.nanmax(chosen.features[:, 1]) == 99
    assert chosen.features[:, 2].min() == -99
    assert (chosen.fold == -1).all()


def test_a_run_holds_its_model_and_outlives_a_failed_export(
    two_classes: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    features = ["x", {"name": "abs_y", "expression": "abs(y)", "missing": ["nan", -999]}]
    config = two_classes(300, features=features, split={"folds": 2}, report={"figures": False})
    run = tamis.train(parse_config(config))
    folder = tmp_path / "run"

    def fail(*_: object) -> None:
        raise ExportError("the model gives other scores")

    with monkeypatch.context() as patch:
        patch.setattr("tamis.export.export_onnx", fail)
        assert tamis.write_run(run, folder) == ("the model gives other scores",)
    assert names_in(folder / "model") == SAVED
    assert json.loads((folder / "provenance.json").read_text())["onnx"] == {
        "error": "the model gives other scores"
    }

    assert tamis.write_run(run, folder, overwrite=True) == ()
    provenance = json.loads((folder / "provenance.json").read_text())
    assert {f"model/{name}" for name in FILES} <= set(provenance["outputs"])
    assert provenance["onnx"]["largest_difference"] <= 1e-6
    assert provenance["onnx"]["compared_events"] >= 2 * 600
    session = onnxruntime.InferenceSession(
        folder / "model" / "classifier.onnx", providers=["CPUExecutionProvider"]
    )
    events = run.prepared.events
    inputs = {"x": events.features[:, [0]], "abs_y": events.features[:, [1]]}
    fold = events.fold.astype(np.float32)[:, None]
    found = session.run(None, {**inputs, "fold": fold})[0]
    np.testing.assert_allclose(found, run.splits["test"].scores, atol=1e-6, rtol=0)

    (folder / "model" / "classifier.onnx").unlink()
    with pytest.raises(SystemExit) as ended:
        main(["export", str(folder)])
    assert ended.value.code in (0, None)
    assert "from a float64 computation" in capsys.readouterr().out
    assert (folder / "model" / "classifier.onnx").is_file()


def test_a_folder_that_cannot_be_written_to_stays_as_it_is(
    saved: tuple[Classifier, Path], unprivileged: Any
) -> None:
    folder, lowered = unprivileged
    for name in SAVED:
        shutil.copyfile(saved[1] / name, folder / name)
    export_onnx(saved[1])  # imports what the context might not be able to read
    folder.chmod(0o500)
    with lowered(), pytest.raises(OSError, match="Permission denied"):
        export_onnx(folder)
    assert names_in(folder) == SAVED
