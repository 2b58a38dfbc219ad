from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

import tamis
from tamis.classifier.manifest import files_of, write_manifest
from tamis.config import parse_config
from tamis.errors import InputError, RequestError
from tamis.files import add_hash, sha256

Make = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def classifier(module_classes: Make) -> tamis.Classifier:
    features = ["x", {"name": "abs_y", "expression": "abs(y)", "missing": ["nan", -999], "unit": "GeV"}]
    return tamis.train(parse_config(module_classes(300, features=features))).classifier


def columns(n: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(9)
    y = rng.normal(size=n)
    y[::5], y[1::5] = np.nan, -999
    return {"x": rng.normal(size=n), "y": y}


def test_save_and_load_change_no_bit(classifier: tamis.Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "model")
    loaded = tamis.Classifier.load(tmp_path / "model")
    assert loaded.predict(columns()).tobytes() == classifier.predict(columns()).tobytes()
    assert loaded.class_names == classifier.class_names
    assert str(loaded.features) == str(classifier.features)
    assert loaded.preprocessing.indicators == classifier.preprocessing.indicators
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "classifier.json",
        "manifest.json",
        "weights.safetensors",
    ]


def test_save_takes_a_text_and_names_a_folder_that_cannot_be_made(
    classifier: tamis.Classifier, tmp_path: Path
) -> None:
    classifier.save(str(tmp_path / "model"))
    assert tamis.Classifier.load(str(tmp_path / "model")).class_names == classifier.class_names
    (tmp_path / "file").touch()
    with pytest.raises(RequestError):
        classifier.save(tmp_path / "file")


def test_a_classifier_is_replaced_only_on_request_and_with_its_exports(
    classifier: tamis.Classifier, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    classifier.save(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RequestError):
        classifier.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "classifier.hpp").touch()
    other = replace(classifier, test_time_augmentation=0, features=classifier.features[::-1])
    other = other.with_reference(np.zeros((30, 2), np.float32))
    other.save(folder, overwrite=True)
    assert {path.name for path in folder.iterdir()} == {*before}
    assert tamis.Classifier.load(folder).feature_names == other.feature_names


def test_a_failed_replacement_leaves_the_classifier_as_it_is(
    classifier: tamis.Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier.save(tmp_path / "model")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tamis.classifier.classifier.write_manifest", full)
    with pytest.raises(OSError, match="No space left"):
        classifier.save(tmp_path / "model", overwrite=True)
    tamis.Classifier.load(tmp_path / "model")


@pytest.mark.parametrize("name", ["model/thesis.tex", "provenance.json", "model/provenance.json"])
def test_files_of_others_and_of_a_run_are_never_replaced(
    name: str, classifier: tamis.Classifier, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / name).touch()
    with pytest.raises(RequestError):
        classifier.save(tmp_path / "model", overwrite=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]


AFTER_A_PREDICTION = """
import sys
import tamis
from tamis.training import devices
devices.cores = lambda: 3
tamis.Classifier.load(sys.argv[1]).predict({"x": [0.0], "y": [0.0]})
print(devices.choose_placement(None, 3 * 10**6, [3, 3, 3]).count)
"""


def test_a_training_after_a_prediction_uses_all_cores(classifier: tamis.Classifier, tmp_path: Path) -> None:
    # devices are fixed when JAX starts, so this needs a process of its own
    classifier.save(tmp_path)
    command = [sys.executable, "-c", AFTER_A_PREDICTION, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "3\n", result.stderr


def test_lists_and_arrays_of_features_give_the_same_scores(classifier: tamis.Classifier) -> None:
    features = np.array([[0.5, 1.0], [1.5, np.nan]], np.float32)
    assert classifier.scores(features.tolist()).tobytes() == classifier.scores(features).tobytes()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (1.0, r"features have the shape \(\); expected \(n_events, 2\), in the order x, abs_y$"),
        (np.ones(2), r"have the shape \(2,\); .*; put one event into brackets, \[features\]$"),
        (np.ones((4, 3)), r"have the shape \(4, 3\); expected \(n_events, 2\)"),
        ([[1.0], [1.0, 2.0]], "are not an array of numbers"),
        ({"x": [1.0], "y": [2.0]}, "pass columns with names to `predict`"),
    ],
)
def test_features_of_another_shape_are_refused(
    features: Any, message: str, classifier: tamis.Classifier
) -> None:
    with pytest.raises(RequestError, match=message):
        classifier.scores(features)


@pytest.mark.parametrize("fold", [[0], [0, 1, 0], None])
def test_folds_of_another_number_of_events_are_refused(fold: Any, classifier: tamis.Classifier) -> None:
    with pytest.raises(RequestError):
        classifier.scores(np.ones((2, 2), np.float32), np.array(fold))


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (1.0, "float has none"),
        (np.ones(2), "ndarray has none"),
        ({"x": 1.0, "y": 2.0}, "column 'x' cannot be used .it is one number; for one event put"),
        ({"x": np.float32(1.0), "y": 2.0}, "column 'x' cannot be used .it is one number; for one event put"),
    ],
)
def test_predict_refuses_what_has_no_columns(events: Any, message: str, classifier: tamis.Classifier) -> None:
    with pytest.raises(RequestError, match=message):
        classifier.predict(events)


def test_indicator_and_logarithm_stay_with_their_feature(module_classes: Make, tmp_path: Path) -> None:
    # values are missing in the second feature alone
    features = ["x", {"name": "y", "expression": "y > -1 ? y : -999", "missing": -999}]
    config = module_classes(300, features=features, preprocessing={"logarithm": ["y"]})
    trained = tamis.train(parse_config(config)).classifier
    trained.save(tmp_path)
    loaded = tamis.Classifier.load(tmp_path)
    assert loaded.preprocessing.indicators == trained.preprocessing.indicators == (1,)
    assert loaded.preprocessing.logarithm is not None
    assert loaded.preprocessing.logarithm.features == (1,)
    assert loaded.predict(columns()).tobytes() == trained.predict(columns()).tobytes()


def test_columns_are_found_by_name(classifier: tamis.Classifier) -> None:
    given = columns()
    expected = classifier.predict(given).tobytes()
    assert classifier.predict({"more": np.ones(3), **dict(reversed(given.items()))}).tobytes() == expected
    assert classifier.predict(pd.DataFrame(given)).tobytes() == expected
    assert classifier.predict({name: values.tolist() for name, values in given.items()}).tobytes() == expected


def test_every_way_of_being_missing_is_the_same(classifier: tamis.Classifier) -> None:
    values = np.array([np.nan, -999, np.inf, -np.inf])
    scores = classifier.predict({"x": np.zeros(4), "y": values})
    assert (scores == scores[0]).all()
    assert np.isfinite(scores).all()


def test_a_missing_column_is_named(classifier: tamis.Classifier) -> None:
    with pytest.raises(RequestError):
        classifier.predict({"x": [1.0], "z": [1.0]})


def test_columns_of_different_lengths_are_refused(classifier: tamis.Classifier) -> None:
    with pytest.raises(RequestError):
        classifier.predict({"x": [1.0, 2.0], "y": [1.0]})


def test_an_undeclared_missing_value_is_refused(classifier: tamis.Classifier) -> None:
    with pytest.raises(RequestError):
        classifier.predict({"x": [1.0, math.nan], "y": [1.0, 1.0]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda folder: (folder / "classifier.json").unlink(),
            "classifier.json: is missing; a classifier is the folder",
        ),
        (lambda folder: (folder / "classifier.json").write_text("{"), "is not JSON"),
        (lambda folder: (folder / "classifier.json").write_text("[" * 100_000), "is not JSON"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "weights.safetensors: is missing"),
        (
            lambda folder: flip_bit(folder / "weights.safetensors"),
            "is not the file that classifier.json was written with",
        ),
        (
            lambda folder: edit(folder, run_this="os.system"),
            "run_this: .* the file is damaged, or was not written",
        ),
        (lambda folder: swap_classes(folder), "classifier.json: was changed after it was written"),
        (lambda folder: use_another_branch(folder), "classifier.json: was changed after it was written"),
        (
            lambda folder: edit(folder, classes=[{"name": "a", "signal": True}] * 2),
            "two classes have the same name",
        ),
        (lambda folder: edit(folder, network=[]), "does not fit classifier.json"),
        (
            lambda folder: edit(folder, network=[{"nodes": 4096}, {"nodes": 2}]),
            "asks for 16,384 weights",
        ),
        (lambda folder: edit(folder, shared_members=10**12), "shared_members: .* the file is damaged"),
        (
            lambda folder: edit(folder, test_time_augmentation=10**9),
            "test_time_augmentation: .* the file is damaged, or was not written",
        ),
        (
            lambda folder: edit(folder, features=[{"name": "x"}, {"name": "abs_y", "missing": [5.0]}]),
            "now means",
        ),
        (lambda folder: change_weights(folder, lambda a: a + 0.01), "reference event .* gets other scores"),
        (lambda folder: change_weights(folder, lambda a: a.astype(np.float64)), "arrays of another type"),
        (lambda folder: change_weights(folder, lambda a: a * np.nan), "reference event .* gets other scores"),
    ],
)
def test_a_damaged_model_is_refused(
    classifier: tamis.Classifier, tmp_path: Path, change: Callable[[Path], Any], message: str
) -> None:
    classifier.save(tmp_path)
    change(tmp_path)
    with pytest.raises(InputError, match=message):
        tamis.Classifier.load(tmp_path)


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)


def edit(folder: Path, **changes: Any) -> None:
    """Change the document as somebody would who also knows of its hash."""
    path = folder / "classifier.json"
    document = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(add_hash(document, "document_sha256")))
    write_manifest(folder / "manifest.json", files_of(folder))


def swap_classes(folder: Path) -> None:
    path = folder / "classifier.json"
    document = json.loads(path.read_text())
    document["classes"].reverse()
    path.write_text(json.dumps(document))


def use_another_branch(folder: Path) -> None:
    path = folder / "classifier.json"
    path.write_text(path.read_text().replace('"abs(y)"', '"abs(z)"'))


def change_weights(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    path = folder / "weights.safetensors"
    arrays = load_file(path)
    arrays["layers.0.weight"] = change(arrays["layers.0.weight"])
    save_file(arrays, path)
    edit(folder, weights_sha256=sha256(path))


@pytest.mark.parametrize("version", [1, 3, None, "2"])
def test_another_version_is_refused_before_other_keys_are_read(
    version: object, classifier: tamis.Classifier, tmp_path: Path
) -> None:
    classifier.save(tmp_path)
    edit(tmp_path, version=version, draws=5, members="many")
    with pytest.raises(InputError, match=rf"version {version!r} .* reads version 2; train again") as caught:
        tamis.Classifier.load(tmp_path)
    (problem,) = caught.value.problems
    assert problem.where == str(tmp_path / "classifier.json")
