"""The code of the pages on exports runs, and gives the scores of the classifier."""

from __future__ import annotations

import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import tamis
from tamis.config import parse_config
from tamis.data.simulate import write_sample
from tamis.export import export_classifier
from tamis.export.cpp_writer import has_compiler

DOCS = Path(__file__).parents[2] / "docs"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [body for own, body in _FENCE.findall(text) if own == language]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs/workshop/model`, in every form; eta may be missing."""
    folder = tmp_path_factory.mktemp("workshop")
    write_sample(folder, events=500, seed=1)
    data: dict[str, Any] = {
        "name": "workshop",
        "data": str(folder),
        "samples": [{"name": n, "class": n, "files": f"{n}_Events.root"} for n in ("bkg1", "bkg2", "sig")],
        "classes": {"bkg1": {}, "bkg2": {}, "sig": {"signal": True}},
        "features": ["pt", "mass", {"name": "eta", "missing": ["nan", -999]}],
        "network": {"layers": [{"nodes": 16}, {"nodes": 16}]},
        "training": {"epochs": 2, "ensemble": 2},
    }
    model = folder / "runs" / "workshop" / "model"
    run = tamis.train(parse_config(data))
    run.classifier.save(model)
    export_classifier(model, ["onnx", "json", "cpp"])
    return folder


@pytest.fixture(autouse=True)
def inside(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workshop)


def run_block(code: str, folder: Path) -> dict[str, Any]:
    script = folder / "block.py"
    script.write_text(code, encoding="utf-8")
    return runpy.run_path(str(script))


def expected() -> tuple[dict[str, np.ndarray], np.ndarray]:
    classifier = tamis.Classifier.load("runs/workshop/model")
    rng = np.random.default_rng(0)
    events = {"pt": rng.uniform(5, 90, 50), "mass": rng.uniform(5, 300, 50), "eta": rng.normal(0, 2, 50)}
    events["eta"][::4], events["eta"][1::4] = np.nan, -999
    narrow = {name: values.astype(np.float32) for name, values in events.items()}
    return narrow, classifier.predict(narrow)


def test_forty_lines_of_numpy_give_the_scores_of_the_plain_json(workshop: Path) -> None:
    (code,) = blocks("formats.md", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 46
    names = run_block(code.replace("runs/recommended", "runs/workshop"), workshop)
    assert names["scores"].shape == (2, 3)
    events, scores = expected()
    found = names["predict"](np.stack([events[name] for name in ("pt", "mass", "eta")], axis=1))
    np.testing.assert_allclose(found, scores, atol=1e-6, rtol=0)


def test_the_wrapper_scores_events_and_the_objects_in_them(workshop: Path) -> None:
    (code,) = [block for block in blocks("deployment.md", "python") if "class Scores" in block]
    names = run_block(code.replace("runs/recommended", "runs/workshop"), workshop)
    events, scores = expected()
    for name, column in zip(("bkg1", "bkg2", "sig"), scores.T, strict=True):
        np.testing.assert_allclose(names["score"](**events)[name], column, atol=1e-6, rtol=0)
    counts = [3, 0, 20, 27]
    jagged = {name: ak.unflatten(ak.nan_to_none(values), counts) for name, values in events.items()}
    found = names["score"](**jagged)
    assert ak.num(found.sig).tolist() == counts
    np.testing.assert_allclose(ak.flatten(found.sig), scores[:, 2], atol=1e-6, rtol=0)
    assert names["per_jet"].sig.ndim == 2
    assert len(names["per_event"]) == 1


def test_the_other_python_of_the_page_runs(workshop: Path) -> None:
    for code in blocks("deployment.md", "python"):
        names = run_block(code.replace("runs/recommended", "runs/workshop"), workshop)
        if "events = pd.DataFrame" in code:
            assert names["scores"].shape == (2, 3)


@pytest.mark.skipif(not has_compiler(), reason="there is no compiler g++ on this machine")
def test_the_program_with_the_header_compiles_and_prints_the_scores(workshop: Path) -> None:
    model = workshop / "runs" / "workshop" / "model"
    (workshop / "main.cpp").write_text(blocks("formats.md", "cpp")[0])
    flags = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{model}"]
    subprocess.run(["g++", *flags, "main.cpp", "-o", "main"], check=True)
    said = subprocess.run(["./main"], capture_output=True, text=True, check=True).stdout.splitlines()
    scores = tamis.Classifier.load(model).predict({"pt": [40.0], "mass": [15.0], "eta": [0.3]})[0]
    assert [line.split()[0] for line in said] == ["bkg1", "bkg2", "sig"]
    np.testing.assert_allclose([float(line.split()[1]) for line in said], scores, atol=1e-6, rtol=0)
