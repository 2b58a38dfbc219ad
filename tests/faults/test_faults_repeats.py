"""The same training in fresh processes gives the same bits."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Make = Callable[..., dict[str, Any]]
TRAINING = {"epochs": 8, "batch_size": 32, "ensemble": 2, "checkpoint_every": None}
NETWORK = {"layers": [{"nodes": 16, "dropout": 0.1}, {"nodes": 8}]}


def results(folder: Path) -> dict[str, str]:
    """Hash what a run found, without the times."""
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics.pop("timing")
    history = json.loads((folder / "history.json").read_text())
    for each in history["members"]:
        for epoch in each["epochs"]:
            epoch.pop("seconds")
    texts = {"metrics": json.dumps(metrics).encode(), "history": json.dumps(history).encode()}
    for name in ("model/weights.safetensors", "scores.parquet", "events.json", "model/classifier.onnx"):
        texts[name] = (folder / name).read_bytes()
    return {name: hashlib.sha256(content).hexdigest() for name, content in texts.items()}


def repeated(make: Make, folder: Path, number: int) -> list[dict[str, str]]:
    config = make(300, training=TRAINING, network=NETWORK)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    found = []
    for run in range(number):
        command = [sys.executable, "-m", "tamis", "train", "config.yaml", "--output", f"run{run}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(results(folder / f"run{run}"))
    return found


@pytest.mark.slow  # trains in two processes; make test compares a resumed training with a whole one, bit by bit
def test_two_trainings_are_identical_bit_by_bit(two_classes: Make, tmp_path: Path) -> None:
    first, second = repeated(two_classes, tmp_path, 2)
    assert first == second


@pytest.mark.long
def test_ten_trainings_are_identical_bit_by_bit(
    two_classes: Make, tmp_path: Path, record: Callable[[str, dict[str, Any]], None]
) -> None:
    found = repeated(two_classes, tmp_path, 10)
    same = sum(each == found[0] for each in found)
    record("repeats", {"trainings": len(found), "identical": same, "compared": sorted(found[0])})
    assert same == 10
