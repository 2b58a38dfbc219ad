"""Model folders and checkpoints that nobody would write, with the hashes repaired as an attacker would.

python tests/faults/fuzz_model.py --seconds 60 --report build/faults/fuzz_model.json
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import struct
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fuzzing import Opened, Session, arguments, changed, mutated, run

Files = dict[str, bytes]
DOCUMENT, WEIGHTS, MANIFEST, ONNX = (
    "classifier.json",
    "weights.safetensors",
    "manifest.json",
    "classifier.onnx",
)
OTHER_TYPES = {
    "F64": 8,
    "I64": 8,
    "C64": 8,
    "I32": 4,
    "BF16": 2,
    "F16": 2,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E8M0": 1,
    "U8": 1,
    "F4": 0.5,
}
"""Bytes of a number of each type that is not 32-bit floating point."""
DICTIONARY = [
    *(word.encode() for word in (
        '{"', '":', "[", "]", "{", "}", ",", "null", "true", "NaN", "Infinity", "-1", "0", "1e999", "9" * 30,
        '"../../x"', '"/etc/passwd"',
        "data_offsets", "shape", "dtype", "F32", "F64", "BF16", "F8_E4M3", "__metadata__", "weights_sha256",
        "\\u0000", "\\ud800",
        "layers.0.weight", "members.0.", "reference.features", "[0,0]", "[18446744073709551615]",
        "[4294967296,4294967296]",
    )),
    b"\x00" * 8, b"\xff" * 8, b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x00\x00\x00\x00\x01\x00\x00\x00", b"\xff",
    b"\x80",
]  # fmt: skip
VALUES = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e38, -1e38, np.inf, -np.inf, np.nan, 1e-30, 65536.0)


def seeds(folder: Path) -> list[Files]:
    """Make a model of each kind, with its ONNX files where there is a form for it."""
    from tamis.export import export_onnx

    models = []
    for number, classifier in enumerate(classifiers()):
        place = folder / f"seed-{number}"
        classifier.save(place)
        if number == 0:
            export_onnx(place)
        models.append({path.name: path.read_bytes() for path in place.iterdir()})
    return models


def classifiers() -> list[Any]:
    from tamis.calibration import Calibration, Scaling
    from tamis.config import Folds, Reflection

    layers = [{"type": "dense", "nodes": 5, "activation": "relu"}]
    form = {"bits": 10, "integer": 4}
    calibration = Calibration(
        "temperature", Scaling((1.1,) * 3, (0.0,) * 3), {0: Scaling((0.9,) * 3, (0.0,) * 3)}
    )
    return [
        classifier_of(layers, gains=None),
        classifier_of(
            [{"type": "sparse", "nodes": 4, "fan_in": 2}, {"type": "dense", "nodes": 4, "residual": True}]
        ),
        classifier_of(
            [{"type": "quantized", "nodes": 4, "input": form}],
            gains=None,
            quantized_output={},
            scaling="quantile",
        ),
        classifier_of(
            layers,
            embedding={"type": "periodic", "frequencies": 2, "nodes": 2},
            shared_members=2,
            logarithm=True,
        ),
        classifier_of(
            [{**layers[0], "normalisation": "batch"}], embedding={"type": "piecewise_linear", "bins": 3}
        ),
        classifier_of(
            layers,
            folds=(0, 1),
            rule=Folds(number=2, by="event"),
            symmetries=(Reflection(type="reflection", features=("pt",)),),
            draws=2,
            calibration=calibration,
        ),
    ]


def classifier_of(
    layers: list[dict[str, Any]],
    *,
    scaling: Any = "robust",
    logarithm: bool = False,
    folds: tuple[int | None, ...] = (None,),
    rule: Any = None,
    symmetries: tuple[Any, ...] = (),
    draws: int = 0,
    calibration: Any = None,
    **network: Any,
) -> Any:
    """Build a classifier with initial weights."""

    from tamis.classifier import Classifier, Member
    from tamis.config import ClassSection, Feature, Network
    from tamis.data.ensemble import EnsemblePlan, PlannedMember
    from tamis.data.split import NO_FOLD
    from tamis.network.network import build_network
    from tamis.network.preprocessing import fit_preprocessing

    features = (
        Feature(name="pt", expression="pt"),
        Feature(name="mass", expression="abs(mass)", unit="GeV", missing=(float("nan"), -999.0)),
    )
    rng = np.random.default_rng(1)
    events = np.stack([rng.exponential(40, 200), rng.normal(80, 20, 200)], axis=1).astype(np.float32)
    events[::7, 1] = np.nan
    section = Network.model_validate({"output_initialisation": "random", **network, "layers": layers})
    members = []
    for number in range(len(folds)):
        preprocessing = fit_preprocessing(
            events, np.ones(200), scaling, missing_allowed=[False, True], logarithm=[logarithm, False]
        )
        made = build_network(
            preprocessing.inputs,
            3,
            section,
            random=np.random.default_rng(number),
            training_inputs=preprocessing.apply(events),
        )
        members.append(Member(preprocessing, made))
    classes = {name: ClassSection(signal=name == "sig") for name in ("bkg", "top", "sig")}
    made = Classifier(
        features,
        classes,
        tuple(members),
        EnsemblePlan(tuple(PlannedMember(fold) for fold in folds), rule),
        symmetries=symmetries,
        test_time_augmentation=draws,
        calibration=calibration,
    )
    return made.with_reference(events, np.arange(200) % 2 if rule else NO_FOLD)


def train_state() -> Any:
    from tamis.training.history import Epoch, History
    from tamis.training.state import BestWeights, TrainState
    from tamis.training.step import StepState

    epochs = tuple(Epoch(number, 0.7, 0.5, 0.7, 0.5, 1e-3, 1.0, 100, 9) for number in (1, 2, 3))
    parameters, moments = np.arange(6, dtype=np.float32), (np.ones(3, np.int32), np.array(2.0, np.float32))
    current = StepState(parameters, moments, np.zeros((1, 2), np.float32))
    return TrainState(current, BestWeights(parameters, None), History(epochs, 2, ""), planned_epochs=9)


def checkpoint(folder: Path) -> Files:
    from tamis.training.checkpoint import write_checkpoint

    write_checkpoint(train_state(), folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def own_hash(document: dict[str, Any], key: str) -> dict[str, Any]:
    """Give a document with its own hash in its place."""
    said = {name: value for name, value in document.items() if name != key}
    return {**said, key: hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()}


def repaired(files: Files) -> Files:
    """Let all hashes fit again, as far as the documents can be read."""
    files = dict(files)
    try:
        document = json.loads(files[DOCUMENT])
        document["weights_sha256"] = hashlib.sha256(files[WEIGHTS]).hexdigest()
        files[DOCUMENT] = json.dumps(own_hash(document, "document_sha256"), indent=2).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    listed = {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != MANIFEST
    }
    return {**files, MANIFEST: manifest_of(listed)}


def manifest_of(listed: Any) -> bytes:
    said = {"format": "tamis manifest", "version": 1, "files": listed}
    return (json.dumps(own_hash(said, "manifest_sha256"), indent=2, sort_keys=True) + "\n").encode()


def arrays_of(content: bytes) -> tuple[dict[str, Any], bytes]:
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def safetensors_of(header: Any, data: bytes, size: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text) if size is None else size) + text + data


class Fuzzer:
    def __init__(self, session: Session, folder: Path) -> None:
        from tamis.classifier import Classifier
        from tamis.export.onnx_files import check_is_own_model
        from tamis.training.checkpoint import read_checkpoint

        self._load, self._read_onnx = Classifier.load, check_is_own_model
        self._read_state = partial(read_checkpoint, like=train_state())
        self._session, self._folder = session, folder / "model"
        self._models, self._checkpoint = seeds(folder), checkpoint(folder / "checkpoint")
        self._epoch, self._arrays = sorted(self._checkpoint)

    def one(self, chance: random.Random) -> None:
        """Make an input, and read it."""
        if chance.random() < 0.2:
            self._execute(self._changed_checkpoint(chance), self._read_checkpoint)
            return
        made = self._changed_model(chance)
        self._execute(made, self._read_model, chance)

    def every(self) -> None:
        import jax

        jax.clear_caches()

    def _execute(self, files: Files, read: Callable[[], None], links: random.Random | None = None) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        for name, content in files.items():
            (self._folder / name).write_bytes(content)
        said = [f"{name}: {content!r}"[:20_000] for name, content in files.items()]
        if links is not None and links.random() < 0.06:
            said.append(self._replace(links))
        self._session.execute(read, lambda: "\n".join(said).encode("utf-8", "replace"))

    def _replace(self, chance: random.Random) -> str:
        """Put something in the place of a file that is no file, or is endless."""
        path = self._folder / chance.choice((DOCUMENT, WEIGHTS, MANIFEST))
        path.unlink()
        match kind := chance.randrange(6):
            case 0:
                path.symlink_to("/dev/zero")
            case 1:
                path.symlink_to("/etc/passwd")
            case 2:
                os.mkfifo(path)
            case 3:
                path.mkdir()
            case 4:
                path.touch()
                os.truncate(path, 1 << 40)  # without a block on the disk
            case _:
                path.symlink_to(path.name)
        return f"{path.name} replaced by kind {kind}"

    def _read_model(self) -> None:
        path = self._folder / ONNX
        if path.exists() and not path.is_symlink():
            self._read_onnx(path)
        classifier = self._load(self._folder)
        columns = {name: np.array([1.0, 40.0, -999.0, np.nan]) for name in ("mass", "pt", "event", "x")}
        classifier.predict({**columns, "event": np.arange(4), "pt": np.arange(4) + 1.0})

    def _read_checkpoint(self) -> None:
        found, damaged = self._read_state(self._folder)
        if (found is None) != bool(damaged):
            raise ValueError(f"a damaged checkpoint without a message, or a good one with one: {damaged}")

    def _changed_model(self, chance: random.Random) -> Files:
        files = dict(chance.choice(self._models))
        names = [name for name in (DOCUMENT, DOCUMENT, WEIGHTS, WEIGHTS, MANIFEST, ONNX) if name in files]
        name = chance.choice(names)
        if chance.random() < 0.3:
            files[name] = mutated(files[name], chance, DICTIONARY, list(files.values()))
            return repaired(files) if chance.random() < 0.7 and name != MANIFEST else files
        match name:
            case "classifier.json":
                files[name] = json.dumps(
                    changed(json.loads(files[name]), chance, times=chance.choice((1, 1, 2)))
                ).encode()
            case "weights.safetensors":
                files[name] = self._changed_arrays(files[name], chance)
            case "manifest.json":
                listed = json.loads(files[name])["files"]
                more = {
                    chance.choice(
                        ("../secret", "/etc/passwd", "a/../../b", ".hidden", "\x00", "x" * 300)
                    ): "0" * 64
                }
                return {**files, name: manifest_of(changed({**listed, **more}, chance))}
            case _:
                files[name] = mutated(files[name], chance, DICTIONARY, list(files.values()))
        return repaired(files)

    def _changed_arrays(self, content: bytes, chance: random.Random) -> bytes:
        header, data = arrays_of(content)
        match chance.randrange(6):
            case 0:
                return safetensors_of(changed(header, chance), data)
            case 5:
                name, kind = chance.choice(list(header)), chance.choice(list(OTHER_TYPES))
                begin, end = header[name]["data_offsets"]
                other = {**header[name], "dtype": kind, "shape": [int((end - begin) / OTHER_TYPES[kind])]}
                return safetensors_of({**header, name: other}, data)
            case 1:
                return safetensors_of(
                    header, data, chance.choice((0, 7, 2**24 + 8, 10**8, 2**40, 2**63, 2**64 - 1))
                )
            case 2:
                return safetensors_of(
                    {**header, **{f"{n}": next(iter(header.values())) for n in range(3)}}, data
                )
            case 3:
                return safetensors_of(header, data[: chance.randrange(len(data))])
            case _:
                numbers = np.frombuffer(data, np.float32).copy()
                for _ in range(chance.choice((1, 1, 3, len(numbers)))):
                    numbers[chance.randrange(len(numbers))] = chance.choice(VALUES)
                return safetensors_of(header, numbers.tobytes())

    def _changed_checkpoint(self, chance: random.Random) -> Files:
        files = dict(self._checkpoint)
        if chance.random() < 0.4:
            name = chance.choice((self._epoch, self._arrays))
            files[name] = mutated(files[name], chance, DICTIONARY, list(files.values()))
        elif chance.random() < 0.5:
            files[self._arrays] = self._changed_arrays(files[self._arrays], chance)
        document = json.loads(self._checkpoint[self._epoch])
        if chance.random() < 0.6:
            document["arrays_sha256"] = hashlib.sha256(files[self._arrays]).hexdigest()
            document = changed(document, chance) if chance.random() < 0.6 else document
            if isinstance(document, dict):
                files[self._epoch] = (
                    json.dumps(own_hash(document, "sha256"), indent=1, sort_keys=True) + "\n"
                ).encode()
        return files


def main() -> None:
    given = arguments()
    warnings.simplefilter("ignore")  # numbers that overflow are refused by what they lead to
    with tempfile.TemporaryDirectory(prefix="tamis-fuzz-") as folder:
        place = Path(folder)
        session = Session("fuzz_model", given.report.parent / "crashes", Opened(place))
        session.report = given.report
        fuzzer = Fuzzer(session, place)
        run(session, given, fuzzer.one, fuzzer.every)


if __name__ == "__main__":
    main()
