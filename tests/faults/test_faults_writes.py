"""Every write, sync, rename and removal fails once: what was there stays, and the next command goes on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tamis.config import parse_config
from tamis.pipeline.fitting import train_classifier
from tamis.pipeline.preparation import prepare

HERE = Path(__file__).parent
Make = Callable[..., dict[str, Any]]
Record = Callable[[str, dict[str, Any]], None]


def faults(shim: Path, *arguments: str | Path) -> list[dict[str, Any]]:
    """Let the driver run with the library preloaded, and give its lines."""
    command = [sys.executable, str(HERE / "write_faults.py"), *map(str, arguments)]
    environment = {**os.environ, "LD_PRELOAD": str(shim)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_good_checkpoint_is_there_whatever_fails(shim: Path, tmp_path: Path, record: Record) -> None:
    kinds = ("full", "broken", "kill", "torn")
    found = faults(shim, "checkpoint", tmp_path, ",".join(kinds), "1")
    points = Counter(each["kind"] for each in found)
    assert all(points[kind] >= 12 for kind in kinds), "fewer changes than a checkpoint needs"
    for each in found:
        assert each["right"], each
        assert each["goes_on"], each
        assert each["heard"] == [], each  # what is half-written has no name of a checkpoint
        assert each["status"] == (-9 if each["kind"] in ("kill", "torn") else 0)
        assert each["said"].startswith("OSError: ") or each["said"] == ""
        if each["said"]:
            assert f"{tmp_path}/victim" in each["said"], each
    for kind in kinds:
        record(f"checkpoint-{kind}", {"points": points[kind]})


def check_run_faults(found: list[dict[str, Any]]) -> None:
    unnamed = [each for each in found if not all(name in each["said"] for name in each["left"])]
    assert unnamed == []
    for each in found:
        assert each["intact"] or each["whole"], each
        if each["said"]:
            assert "No space left on device" in each["said"] or "Input/output error" in each["said"], each


@pytest.mark.slow  # a run is written for each point
@pytest.mark.parametrize("kind", ["full", "broken"])
def test_a_run_is_replaced_as_a_whole_or_not_at_all(
    kind: str, shim: Path, two_classes: Make, tmp_path: Path
) -> None:
    config = two_classes(300, name="victim", training={"epochs": 1}, report={"figures": True})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    found = faults(shim, "run", tmp_path, kind, "17")
    assert len(found) >= 10
    check_run_faults(found)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["full", "broken"])
def test_every_change_of_a_run_fails(
    kind: str, shim: Path, two_classes: Make, tmp_path: Path, record: Record
) -> None:
    config = two_classes(300, name="victim", training={"epochs": 1}, report={"figures": True})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    step = os.environ.get("TAMIS_FAULT_STEP", "1")
    found = faults(shim, "run", tmp_path, kind, step)
    check_run_faults(found)
    kept = Counter("intact" if each["intact"] else "whole" for each in found)
    changes = found[-1]["point"] + 1
    counts = {"points": len(found), "changes": changes, "step": int(step), "figures": "empty", **kept}
    record(f"run-{kind}", counts)


def exported(shim: Path, two_classes: Make, folder: Path, kinds: str) -> list[dict[str, Any]]:
    """Let every change of an export fail; the classifier is whole after each."""
    config = parse_config(two_classes(200, training={"epochs": 1}))
    train_classifier(config, prepare(config))[0].save(folder / "model")
    found = faults(shim, "export", folder, kinds, "1")
    for each in found:
        assert each["loads"] == "", each
        assert each["kept"], each
        assert each["status"] == (-9 if each["kind"] in ("kill", "torn") else 0), each
    return found


@pytest.mark.slow  # a process exports for each point
def test_a_classifier_stays_whole_while_it_is_exported(shim: Path, two_classes: Make, tmp_path: Path) -> None:
    assert len(exported(shim, two_classes, tmp_path, "kill")) >= 8


@pytest.mark.long
def test_a_classifier_stays_whole_whatever_fails_while_it_is_exported(
    shim: Path, two_classes: Make, tmp_path: Path, record: Record
) -> None:
    found = exported(shim, two_classes, tmp_path, "full,broken,kill,torn")
    record("export", {"points": len(found), **Counter(each["kind"] for each in found)})


@pytest.mark.slow  # starts the program several times
def test_a_disk_that_fills_while_a_training_keeps_its_progress(
    shim: Path, two_classes: Make, tmp_path: Path, equal_runs: Callable[[Path, Path], None]
) -> None:
    training = {"epochs": 6, "batch_size": 64, "early_stopping": None, "checkpoint_every": 0.001}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(two_classes(300, training=training)))

    def train(output: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tamis", "train", "config.yaml", "-o", output]
        given = {**os.environ, **environment}
        return subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, check=False)

    assert train("whole").returncode == 0
    full = {"LD_PRELOAD": str(shim), "FAULT_MARK": "/checkpoints/network-1", "FAULT_KIND": "1"}
    failed = train("victim", **full, FAULT_AT="41")
    assert failed.returncode == 1
    last = failed.stderr.strip().splitlines()[-1]
    assert re.fullmatch(
        r"tamis: .*/victim/checkpoints/network-1.*: No space left on device; free disk space, or choose another "
        r"folder; nothing half-written was left behind",
        last,
    )
    assert [path.name for path in (tmp_path / "victim").iterdir()] == ["checkpoints"]
    assert train("victim").returncode == 0
    equal_runs(tmp_path / "victim", tmp_path / "whole")
