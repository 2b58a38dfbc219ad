"""Model files from strangers, whose hashes all fit: what they may not do, whatever they say."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import tamis
from tamis.classifier.manifest import files_of, write_manifest
from tamis.config import parse_config
from tamis.errors import ExportError, InputError
from tamis.export import export_onnx
from tamis.export.onnx_files import OnnxScorer, check_is_own_model
from tamis.files import add_hash, sha256

Make = Callable[..., dict[str, Any]]
DOCUMENT, WEIGHTS, MANIFEST = "classifier.json", "weights.safetensors", "manifest.json"
MEMBER: dict[str, Any] = {"fold": None, "seed": 0, "indicators": []}


@pytest.fixture(scope="module")
def whole(module_classes: Make, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("model")
    tamis.train(parse_config(module_classes(300))).classifier.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def model(whole: dict[str, bytes], tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in whole.items():
        (folder / name).write_bytes(content)
    return folder


def edit(folder: Path, **changes: Any) -> None:
    """Change the document as somebody would who repairs all hashes."""
    path = folder / DOCUMENT
    document = {**json.loads(path.read_text()), "weights_sha256": sha256(folder / WEIGHTS), **changes}
    path.write_text(json.dumps(add_hash(document, "document_sha256")))
    write_manifest(folder / MANIFEST, files_of(folder))


def rewrite(
    folder: Path, change: Callable[[dict[str, Any], bytes], tuple[Any, bytes]], size: int | None = None
) -> None:
    """Change the list of arrays, or the numbers behind it."""
    path = folder / WEIGHTS
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = change(json.loads(content[8 : 8 + length]), content[8 + length :])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if size is None else size) + text + data)
    edit(folder)


def shaped(header: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**header, "layers.0.weight": {**header["layers.0.weight"], **changes}}


def replaced(folder: Path, name: str, put: Callable[[Path], Any]) -> None:
    (folder / name).unlink()
    put(folder / name)


def sparse(path: Path) -> None:
    """Make a file of a TB that takes no place."""
    path.touch()
    os.truncate(path, 1 << 40)


def dense(*nodes: int) -> list[dict[str, Any]]:
    return [{"type": "dense", "nodes": number} for number in nodes]


def write_lists(folder: Path, number: int) -> None:
    (folder / DOCUMENT).write_text("[" + "[]," * number + "[]]")


HOSTILE: list[tuple[str, Callable[[Path], Any], str]] = [
    *(
        (f"{name} is {what}", lambda folder, name=name, put=put: replaced(folder, name, put), said)
        for name in (DOCUMENT, WEIGHTS, MANIFEST)
        for what, put, said in (
            ("a link to an endless file", lambda path: path.symlink_to("/dev/zero"), "is a link"),
            ("a link to a secret", lambda path: path.symlink_to("/etc/passwd"), "is a link"),
            ("a link to itself", lambda path: path.symlink_to(path.name), "is a link"),
            ("a link to nothing", lambda path: path.symlink_to("nothing"), "is a link"),
            ("a pipe", os.mkfifo, "is not a file"),
            ("a folder", Path.mkdir, "is not a file"),
        )
    ),
    ("a document of a TB", lambda folder: replaced(folder, DOCUMENT, sparse), "has more than 8,388,608 bytes"),
    ("a manifest of a TB", lambda folder: replaced(folder, MANIFEST, sparse), "has more than 1,048,576 bytes"),
    ("weights of a TB", lambda folder: replaced(folder, WEIGHTS, sparse), "has more than 2,147,483,648 bytes"),
    ("another file of a TB", lambda folder: sparse(folder / "more.onnx"), "at most 2,147,483,648 are allowed"),
    ("another file is a link", lambda folder: (folder / "notes").symlink_to("/etc/passwd"), "notes: is a link"),
    ("another file is a pipe", lambda folder: os.mkfifo(folder / "notes"), "notes: is not a file"),
    ("a folder is a link", lambda folder: (folder / "etc").symlink_to("/etc"), "etc: is a link"),
    ("another file is a link to nothing", lambda folder: (folder / "notes").symlink_to("nothing"), "notes: is a link"),
    ("deep JSON", lambda folder: (folder / DOCUMENT).write_text('{"a":' * 200_000), "is not JSON"),
    ("deep JSON that ends", lambda folder: (folder / DOCUMENT).write_text("[" * 10**5 + "]" * 10**5), "is not JSON"),
    ("many lists", lambda folder: write_lists(folder, 10**4), "damaged, or was not written"),
    ("a long number", lambda folder: (folder / DOCUMENT).write_text('{"version": ' + "1" * 5000 + "}"),
    "is not JSON"),
    ("half a character", lambda folder: (folder / DOCUMENT).write_bytes(b'{"a": "\xed\xa0\x80"}'), "is not JSON"),
    ("many wrong features", lambda folder: edit(folder, features=[1] * 10**5), "features.0: .*damaged, or was not"),
    ("many wrong members", lambda folder: edit(folder, members=[{**MEMBER, "indicators": [1] * 10**5}] * 9),
    "damaged"),
    ("NaN as a number", lambda folder: edit(folder, test_time_augmentation=float("nan")),
    "test_time_augmentation: .*damaged, or was not written"),
    ("wide layers", lambda folder: edit(folder, network=dense(65536, 65536, 2)), "asks for 4,295,229,440 weights"),
    ("wide sparse layers", lambda folder: edit(folder, network=[
        {"type": "sparse", "nodes": 60, "fan_in": 1}, {"type": "sparse", "nodes": 60000, "fan_in": 1}, *dense(2)]),
        "asks for 3,720,120 weights"),
    ("a wide embedding", lambda folder: edit(folder, embedding={"type": "periodic", "nodes": 2**31 - 1}),
    "weights: it has"),
    ("many bins", lambda folder: edit(folder, embedding={"type": "piecewise_linear", "bins": 1024}),
    "weights: it has"),
    ("many members", lambda folder: edit(folder, members=[MEMBER] * 10**4),
    "weights: it has"),
    ("more members than there may be", lambda folder: edit(folder, members=[MEMBER] * 17_000),
    "17,000 networks times copies of an event are more than the maximum of 16,384"),
    ("many small layers", lambda folder: edit(folder, network=dense(*[1] * 99, 2)), "asks for at least 203 arrays"),
    ("a score that takes days", lambda folder: edit(
        folder, test_time_augmentation=4096, members=[MEMBER] * 5),
    "20,480 networks times copies of an event are more than the maximum of 16,384"),
    ("endless layers", lambda folder: edit(folder, network=dense(*[1] * 10**4)), "network: .*damaged, or was not"),
    ("a fold that is none", lambda folder: edit(folder, members=[{**MEMBER, "fold": 10**9}]),
    "damaged, or was not written"),
    ("a name that leads away", lambda folder: edit(folder, classes=[{"name": "../../x"}, {"name": "b"}]),
    "is not a name"),
    ("a name that clears the screen", lambda folder: edit(folder, classes=[{"name": "\x1b[2J"}, {"name": "b"}]),
    "damaged"),
    ("half a character as name", lambda folder: edit(folder, classes=[{"name": "\ud800"}, {"name": "b"}]), "damaged"),
    *(
        (f"a list of {size} bytes", lambda folder, size=size: rewrite(folder, lambda h, d: (h, d), size), said)
        for size, said in ((0, "damaged"), (10**7, "damaged"), (10**9, "list of arrays of"), (2**64 - 1,
        "list of arrays of"))
    ),
    ("a shape that lies", lambda folder: rewrite(folder, lambda h, d: (shaped(h, shape=[2**31, 2**31]), d)),
    "is damaged"),
    ("a shape that overflows", lambda folder: rewrite(folder, lambda h, d: (shaped(h, shape=[2**33, 2**33]), d)),
    "is damaged"),
    ("a place that lies", lambda folder: rewrite(folder, lambda h, d: (shaped(h, data_offsets=[0, 2**40]), d)),
    "is damaged"),
    ("arrays that overlap", lambda folder: rewrite(folder, lambda h, d: ({**h, "x": h["layers.0.weight"]}, d)),
    "is damaged"),
    ("numbers of another type", lambda folder: rewrite(folder, lambda h, d: (shaped(h, dtype="I32"), d)),
    "of another type"),
    ("more behind the arrays", lambda folder: rewrite(folder, lambda h, d: (h, d + b"\0" * 64)), "is damaged"),
    ("half of the arrays", lambda folder: rewrite(folder, lambda h, d: (h, d[: len(d) // 2])), "is damaged"),
    ("no file", lambda folder: (replaced(folder, WEIGHTS, Path.touch), edit(folder)), "is damaged"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"), [each[1:] for each in HOSTILE], ids=[each[0] for each in HOSTILE]
)
def test_a_hostile_model_is_refused(model: Path, change: Callable[[Path], Any], message: str) -> None:
    change(model)
    with pytest.raises(InputError, match=message) as caught:
        tamis.Classifier.load(model)
    assert len(str(caught.value)) < 20_000


def test_the_model_that_is_changed_above_is_whole(model: Path) -> None:
    edit(model)
    tamis.Classifier.load(model)


def test_folds_of_reference_events_are_whole_numbers(model: Path) -> None:
    def add(header: dict[str, Any], data: bytes) -> tuple[Any, bytes]:
        events = header["reference.features"]["shape"][0]
        offsets = [len(data), len(data) + 4 * events]
        return (
            {**header, "reference.fold": {"dtype": "F32", "shape": [events], "data_offsets": offsets}},
            data + np.full(events, np.nan, np.float32).tobytes(),
        )

    rewrite(model, add)
    with pytest.raises(InputError):
        tamis.Classifier.load(model)


@pytest.mark.slow  # each in a process of its own, whose memory is limited
@pytest.mark.parametrize(
    "name",
    ["a document of a TB", "wide layers", "wide sparse layers", "a million lists", "many wrong members"],
)
def test_what_asks_for_too_much_ends_within_a_gigabyte(model: Path, name: str) -> None:
    if name == "a million lists":
        write_lists(model, 10**6)
    else:
        (change,) = (each[1] for each in HOSTILE if each[0] == name)
        change(model)
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))\n"
        "import sys; from tamis.classifier import Classifier; from tamis.errors import InputError\n"
        "try: Classifier.load(sys.argv[1])\n"
        "except InputError: sys.stdout.write('refused')"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(model)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert found.stdout == "refused"


def external(path: Path, where: str) -> onnx.ModelProto:
    """Let a model take an array out of another file."""
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    if where == "inside a node":
        node = model.graph.node.add(op_type="Constant", output=["more"])
        node.attribute.append(onnx.helper.make_attribute("value", tensor))
        tensor = node.attribute[0].t
    if where == "inside a branch":
        node = model.graph.node.add(op_type="If", input=["x"], output=["more"])
        inner = onnx.helper.make_graph([], "inner", [], [], [tensor])
        node.attribute.append(onnx.helper.make_attribute("then_branch", inner))
        tensor = node.attribute[0].g.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    return model


@pytest.mark.parametrize("where", ["at the top", "inside a node", "inside a branch"])
def test_numbers_in_other_files_are_neither_written_nor_taken(model: Path, where: str) -> None:
    export_onnx(model)
    written = sorted(path.name for path in model.iterdir())
    assert written == sorted(
        [DOCUMENT, MANIFEST, WEIGHTS, "classifier.onnx", "classifier_packed.onnx", "preprocess.json"]
    )
    path = model / "classifier.onnx"
    check_is_own_model(path)
    path.write_bytes(external(path, where).SerializeToString())
    with pytest.raises(ExportError):
        check_is_own_model(path)
    classifier = tamis.Classifier.load(model, ignoring=["classifier.onnx"])
    with pytest.raises(ExportError):
        OnnxScorer(classifier, path, "named")


def test_an_onnx_file_of_another_classifier_is_refused(model: Path) -> None:
    export_onnx(model)
    classifier, path = tamis.Classifier.load(model), model / "classifier.onnx"
    events = classifier.reference_features
    assert OnnxScorer(classifier, path, "named")(events).shape == (len(events), 2)
    with pytest.raises(ExportError):
        OnnxScorer(classifier, path, "packed")(events)
    changed = onnx.load(path)
    changed.graph.input[0].name = "another"
    path.write_bytes(changed.SerializeToString())
    with pytest.raises(ExportError):
        OnnxScorer(classifier, path, "named")
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(ExportError):
        OnnxScorer(classifier, path, "named")


def test_a_header_in_cpp_cannot_be_broken_out_of() -> None:
    from tamis.export.cpp_text import build_identifiers, literal

    for text in ('"; int main(){system("id");} //', "*/ system(1); /*", "\\", "\n#include <x>", "??/", '")'):
        inside = literal(text)[1:-1]
        assert not set(inside) & set('"\n?')
        assert inside.replace("\\", "").isprintable()
        assert all(part[:3].isdigit() for part in inside.split("\\")[1:])
        assert build_identifiers([text])[0].isidentifier()


def test_a_manifest_of_a_stranger_names_nothing_outside(model: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for name in ("../secret", str(secret)):
        listed = {path.name: sha256(path) for path in (model / DOCUMENT, model / WEIGHTS)}
        listed[name] = hashlib.sha256(b"secret").hexdigest()
        said = {"format": "tamis manifest", "version": 1, "files": listed}
        own = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        text = json.dumps({**said, "manifest_sha256": own}, indent=2, sort_keys=True) + "\n"
        (model / MANIFEST).write_text(text)
        with pytest.raises(InputError):
            tamis.Classifier.load(model)
