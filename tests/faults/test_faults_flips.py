"""Every bit that is flipped in a model or a checkpoint is found before anything is computed from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tamis
from tamis.errors import InputError
from tamis.training.checkpoint import read_checkpoint, write_checkpoint
from tamis.training.history import Epoch, History
from tamis.training.state import BestWeights, TrainState
from tamis.training.step import StepState

Record = Callable[[str, dict[str, Any]], None]
HEADER = 4096
"""Bytes at the beginning of a file that are all changed; a header is shorter."""


@pytest.fixture(name="model", scope="module")
def model_folder(
    module_classes: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    run = tamis.train(tamis.parse_config(module_classes(300, training={"epochs": 1})))
    folder = tmp_path_factory.mktemp("model") / "run"
    tamis.write_run(run, folder)
    return folder / "model"


def flip(path: Path, bit: int) -> None:
    with path.open("rb+") as file:
        file.seek(bit // 8)
        value = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([value ^ (1 << bit % 8)]))


def bits(path: Path, header: int, others: int, rng: np.random.Generator) -> list[int]:
    """Choose one bit of every byte of the header, and some of the whole file."""
    size = path.stat().st_size
    first = [8 * place + int(rng.integers(8)) for place in range(min(size, header))]
    return [*first, *rng.integers(0, 8 * size, others).tolist()]


def flip_model(model: Path, header: int, others: int) -> dict[str, int]:
    rng, tried = np.random.default_rng(1), {}
    for path in sorted(each for each in model.rglob("*") if each.is_file()):
        chosen = bits(path, header, others, rng)
        tried[path.name] = len(chosen)
        for bit in chosen:
            flip(path, bit)
            with pytest.raises(InputError):
                tamis.Classifier.load(model)
            flip(path, bit)
        tamis.Classifier.load(model)
    return tried


def flip_checkpoint(folder: Path, header: int, others: int) -> dict[str, int]:
    rng, tried = np.random.default_rng(2), {}
    epochs = tuple(Epoch(number + 1, 0.5, 0.5, 0.5, 0.5, 0.01, 0.1, 10, 9) for number in range(20))
    parameters, moments, ema = (rng.normal(size=size).astype(np.float32) for size in (10, 500, 5))
    current = StepState(parameters, moments, np.zeros((1, 2), np.float32), ema=ema)
    state = TrainState(current, BestWeights(parameters, None), History(epochs, 1, ""), planned_epochs=20)
    write_checkpoint(state, folder)
    for path in sorted(folder.iterdir()):
        chosen = bits(path, header, others, rng)
        tried[path.suffix] = len(chosen)
        for bit in chosen:
            flip(path, bit)
            found, damaged = read_checkpoint(folder, like=state)
            assert found is None, (path.name, bit)
            assert path.name in damaged[0]
            flip(path, bit)
        assert read_checkpoint(folder, like=state)[0] is not None
    return tried


@pytest.mark.varying_messages
@pytest.mark.slow  # loads a model for each of a hundred bits
def test_some_bits_of_a_model_and_a_checkpoint(model: Path, tmp_path: Path) -> None:
    names = flip_model(model, header=12, others=12)
    assert {"classifier.json", "weights.safetensors", "manifest.json", "classifier.onnx"} <= set(names)
    assert set(flip_checkpoint(tmp_path / "checkpoint", header=50, others=50)) == {".json", ".safetensors"}


@pytest.mark.long
def test_every_byte_of_headers_and_a_thousand_bits(model: Path, tmp_path: Path, record: Record) -> None:
    tried = flip_model(model, HEADER, others=1000)
    found = flip_checkpoint(tmp_path / "checkpoint", HEADER, others=1000)
    record("flips", {"model": tried, "checkpoint": found, "undetected": 0})
