"""A finished run whose names are written to break a page, and the demo of the program."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import tamis
from tamis.config.dump import dump_config
from tamis.files import sha256, write_json
from tamis.provenance import with_own_hash
from tamis.run_directory import write_run
from tamis.run_reading import FINISHED

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def hostile_run(once: Callable[..., Path]) -> Path:
    """Train on three classes with hostile names, weights of both signs, missing values and a spectator."""
    return once("hostile", write_hostile_run) / "run"


def write_hostile_run(folder: Path) -> None:
    import uproot

    rng = np.random.default_rng(3)
    samples: list[dict[str, Any]] = []
    classes = (HOSTILE, '"><b onclick="alert(2)">', "sig & Co")
    for number, name in enumerate(classes):
        n = 700
        columns = {
            "x": rng.normal(number, 1, n),
            "y": np.where(rng.random(n) < 0.1, -999, rng.normal(-number, 1, n)),
            "mass": rng.normal(100, 10, n),
            "w": rng.uniform(0.5, 1.5, n) * np.where(rng.random(n) < 0.1, -1, 1),
        }
        with uproot.recreate(folder / f"{number}.root") as file:
            file.mktree("tree", {key: values.dtype for key, values in columns.items()}).extend(columns)
        samples.append({"name": f"sample {number}", "class": name, "files": f"{number}.root", "weight": "w"})
    config = tamis.parse_config(
        {
            "name": "hostile",
            "data": str(folder),
            "samples": samples,
            "classes": {
                classes[0]: {},
                classes[1]: {"label": "</text><script>alert(3)</script>"},
                classes[2]: {"signal": True},
            },
            "features": [{"name": "<x>", "expression": "x"}, {"name": "y", "missing": -999}],
            "spectators": ["mass"],
            "network": {"layers": [{"nodes": 12}, {"nodes": 6, "type": "sparse", "density": 0.5}]},
            "training": {"epochs": 4, "batch_size": 64},
            "evaluation": {"baselines": ["xgboost", "logistic", "cuts"]},
        }
    )
    write_run(tamis.train(config), folder / "run")


@pytest.fixture
def demo_run(demo_folder: Path) -> Path:
    """Return the run directory of the demo."""
    return demo_folder / "runs" / "demo"


def altered_copy(
    run: Path,
    folder: Path,
    *,
    noise: float = 0.0,
    drop: int = 0,
    config: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Copy a run as another training could have left it, with the hashes that belong to it.

    Args:
        run: a finished run.
        folder: the copy.
        noise: of the logarithms of the scores; with any the copy is a worse classifier.
        drop: test events that are left out.
        config: sections of the configuration with their new values.
    """
    shutil.copytree(run, folder)
    table = pq.read_table(folder / "scores.parquet")
    table = table.slice(drop)
    if noise:
        columns = [name for name in table.column_names if name.startswith("score_")]
        scores = np.stack([table[name].to_numpy() for name in columns], axis=1)
        scores = scores * np.exp(np.random.default_rng(5).normal(0, noise, scores.shape))
        scores = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
        for name, column in zip(columns, scores.T, strict=True):
            table = table.set_column(table.column_names.index(name), name, pa.array(column))
    pq.write_table(table, folder / "scores.parquet")
    document = yaml.safe_load((folder / "config.yaml").read_text())
    for section, values in (config or {}).items():
        document[section] = {**document[section], **values}
    (folder / "config.yaml").write_text(dump_config(tamis.parse_config(document)))
    provenance = json.loads((folder / FINISHED).read_text())
    for name in ("scores.parquet", "config.yaml"):
        provenance["outputs"][name] = sha256(folder / name)
    write_json(folder / FINISHED, with_own_hash(provenance))
    return folder


@pytest.fixture
def altered(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that makes an altered copy of a run under a name."""

    def make(run: Path, name: str, **changes: Any) -> Path:
        return altered_copy(run, tmp_path / "runs" / name, **changes)

    return make
