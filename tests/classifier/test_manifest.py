"""No bit of the folder `model` changes unnoticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tamis
from tamis.classifier.manifest import MANIFEST, check_manifest, files_of, write_manifest
from tamis.config import parse_config
from tamis.errors import InputError
from tamis.export import export_onnx

Make = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def whole(module_classes: Make, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A model with its ONNX files, as the content of each."""
    features = ["x", {"name": "abs_y", "expression": "abs(y)", "missing": ["nan", -999]}]
    folder = tmp_path_factory.mktemp("model")
    tamis.train(parse_config(module_classes(300, features=features))).classifier.save(folder)
    export_onnx(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def model(whole: dict[str, bytes], tmp_path: Path) -> Path:
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


NAMES = (
    "classifier.json",
    "weights.safetensors",
    "classifier.onnx",
    "classifier_packed.onnx",
    "preprocess.json",
    MANIFEST,
)


def test_the_manifest_lists_every_other_file(model: Path) -> None:
    assert {path.name for path in model.iterdir()} == set(NAMES)
    assert set(json.loads((model / MANIFEST).read_text())["files"]) == set(NAMES) - {MANIFEST}
    tamis.Classifier.load(model)


@pytest.mark.varying_messages
@pytest.mark.parametrize("name", NAMES)
def test_one_bit_that_is_flipped_anywhere_is_found(name: str, model: Path) -> None:
    content = (model / name).read_bytes()
    for bit in np.random.default_rng(1).integers(8 * len(content), size=12):
        (model / name).write_bytes(flipped(content, int(bit)))
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            tamis.Classifier.load(model)


@pytest.mark.varying_messages
def test_no_bit_of_the_manifest_may_differ(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    write_manifest(tmp_path / MANIFEST, files_of(tmp_path))
    content = (tmp_path / MANIFEST).read_bytes()
    for bit in range(0, 8 * len(content), 3):  # every byte, and each of its bits in some
        (tmp_path / MANIFEST).write_bytes(flipped(content, bit))
        with pytest.raises(InputError):
            check_manifest(tmp_path)


def test_every_file_that_is_wrong_is_named(model: Path) -> None:
    (model / "classifier.onnx").unlink()
    (model / "preprocess.json").write_text("{}")
    (model / "notes.txt").write_text("ours")
    with pytest.raises(InputError) as found:
        tamis.Classifier.load(model)
    said = str(found.value)
    assert "classifier.onnx: is missing, but manifest.json lists it" in said
    assert "preprocess.json: was changed after it was written" in said
    assert "notes.txt: is not listed in manifest.json" in said


def test_hidden_files_of_the_system_do_not_matter(model: Path) -> None:
    (model / ".nfs000001").write_text("")
    tamis.Classifier.load(model)


def test_a_lost_manifest_is_found(model: Path) -> None:
    (model / MANIFEST).unlink()
    with pytest.raises(InputError):
        tamis.Classifier.load(model)


def test_an_export_writes_what_was_lost_or_damaged_again(model: Path) -> None:
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    (model / "classifier.onnx").unlink()
    (model / "preprocess.json").write_text("{}")
    export_onnx(model)
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    (model / "weights.safetensors").write_bytes(b"")
    with pytest.raises(InputError):
        export_onnx(model)


@pytest.mark.parametrize("files", [{"../../secret": "0" * 64}, {"/etc/hostname": "0" * 64}])
def test_a_manifest_never_leads_out_of_its_folder(files: dict[str, str], tmp_path: Path) -> None:
    from tamis.classifier.manifest import _Manifest

    (tmp_path / MANIFEST).write_text(_Manifest(files=files).to_text())
    with pytest.raises(InputError):
        check_manifest(tmp_path)
