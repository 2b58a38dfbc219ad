"""Small runs to apply: their folders hold all that `tamis apply` reads, and no figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot

import tamis
from tamis.config import Config, dump_config, parse_config
from tamis.files import add_hash, sha256, write_json, write_text
from tamis.pipeline.fitting import train_classifier
from tamis.pipeline.preparation import Prepared, prepare
from tamis.runs.provenance import FORMAT, describe_branches, describe_inputs

Make = Callable[..., dict[str, Any]]
WriteTree = Callable[..., Path]


def write_small_run(
    config: Config, prepared: Prepared, classifier: tamis.Classifier, folder: Path, metrics: dict[str, Any]
) -> Path:
    folder.mkdir()
    write_text(folder / "config.yaml", dump_config(config))
    write_json(folder / "events.json", prepared.cutflow.to_dict(config.class_names))
    write_json(folder / "history.json", {})
    write_json(folder / "metrics.json", metrics)
    classifier.save(folder / "model")
    schemas = [schema for sample in prepared.inputs for schema in sample.schemas]
    written = {str(path.relative_to(folder)): sha256(path) for path in folder.rglob("*") if path.is_file()}
    branches = describe_branches((sample.plan.branches, sample.schemas) for sample in prepared.inputs)
    provenance = {
        "format": FORMAT,
        "inputs": describe_inputs(schemas),
        "branches": branches,
        "outputs": written,
    }
    write_json(folder / "provenance.json", add_hash(provenance))
    return folder


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], Path]:
    """Fit a classifier to a configuration and write the folder of the run, without any evaluation."""

    def make(values: dict[str, Any]) -> Path:
        config = parse_config(values)
        prepared = prepare(config)
        classifier, _ = train_classifier(config, prepared)
        return write_small_run(config, prepared, classifier, tmp_path_factory.mktemp("runs") / "run", {})

    return make


def draw(events: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Events that a small run can score; x is missing and y is far out in some of them."""
    rng = np.random.default_rng(seed)
    columns = {
        "x": rng.normal(0.5, 1.2, events),
        "y": rng.normal(0, 1, events).astype(np.float32),
        "w": rng.uniform(0.5, 1.5, events),
        "event": rng.permutation(events).astype(np.int64),
    }
    columns["x"][rng.random(events) < 0.05] = -999
    return columns


@pytest.fixture(scope="session")
def session_classes(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A configuration of two classes, with the files in a folder of their own."""

    def make(events: int = 400, **changes: Any) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("classes")
        rng = np.random.default_rng(5)
        for name, shift in (("bkg", 0.0), ("sig", 1.5)):
            columns = draw(events, seed=int(shift))
            columns["x"] = np.where(columns["x"] == -999, -999, rng.normal(shift, 1, events))
            write(folder / f"{name}.root", columns)
        return {
            "name": "small",
            "data": str(folder),
            "samples": [
                {"name": "bkg", "class": "bkg", "files": "bkg.root", "selection": "w > 0.6"},
                {"name": "sig", "class": "sig", "files": "sig.root", "selection": "w > 0.6"},
            ],
            "classes": {"bkg": {}, "sig": {"signal": True}},
            "features": [
                {"name": "x", "missing": -999},
                "y",
                {"name": "r", "expression": "abs(x) + y", "missing": -999},
            ],
            "network": {"layers": [{"nodes": 4}]},
            "training": {"epochs": 2, "batch_size": 64},
            **changes,
        }

    return make


def write(path: Path, columns: dict[str, Any], tree: str = "tree") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with uproot.recreate(path) as file:
        output_tree = file.mktree(tree, {name: values.dtype for name, values in columns.items()})
        if len(columns["x"]):
            output_tree.extend(columns)
    return path


@pytest.fixture(scope="session")
def write_events() -> Callable[..., Path]:
    return write


@pytest.fixture(scope="session")
def columns_of() -> Callable[..., dict[str, np.ndarray]]:
    return draw


@pytest.fixture(scope="session")
def small_run(session_classes: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tamis.train(parse_config(session_classes()))
    folder = tmp_path_factory.mktemp("runs") / "run"
    return write_small_run(run.config, run.prepared, run.classifier, folder, run.metrics)
