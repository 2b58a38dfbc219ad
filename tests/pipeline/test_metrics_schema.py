"""`metrics.json` is what its JSON Schema says, and the schema and its page are those of the code."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import tamis
from tamis.config import parse_config
from tamis.pipeline.metrics_schema import SCHEMA_FILE, metrics_schema
from tamis.studies import STUDIES

DOCS = Path(__file__).parents[2] / "docs"
QUICK = {"epochs": 1, "batch_size": 64}
DENSITIES = {"bkg": "-0.5 * x**2", "sig": "-0.5 * (x - 1.5)**2"}
QUANTIZED = {"type": "quantized", "nodes": 3, "input": {"bits": 10, "integer": 4}}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "folds": {
        "split": {"folds": 2, "event_id": "event"},
        "training": {**QUICK, "ensemble": 2, "calibration": "vector"},
        "evaluation": {"baselines": ["logistic", "cuts"]},
    },
    "references": {
        "features": ["x", {"name": "y", "missing": -999}],
        "spectators": ["w"],
        "weights": {"flatten": {"spectators": ["w"], "bins": 5}},
        "network": {"layers": [QUANTIZED]},
        "evaluation": {
            "reference": {"log_density": DENSITIES},
            "luminosity": {"of_weights": 1, "quoted": 2},
            "ablation": ["y"],
        },
    },
    "negative weights": {
        "samples": [
            {"name": "bkg", "class": "bkg", "files": "bkg.root", "weight": "w - 0.7", "selection": "y < 0"},
            {"name": "more", "class": "more", "files": ["bkg.root"], "selection": "y >= 0"},
            {"name": "sig", "class": "sig", "files": "sig.root", "weight": "w - 0.6"},
        ],
        "classes": {"bkg": {}, "more": {}, "sig": {"signal": True}},
        "evaluation": {"reference": {"discriminant": {"sig": "x + 0.01 * y"}}},
    },
}


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def metrics(request: pytest.FixtureRequest, module_classes: Callable[..., dict[str, Any]]) -> Any:
    config = parse_config(module_classes(300, **{"training": QUICK, **CONFIGURATIONS[request.param]}))
    run = tamis.train(config, callbacks=tamis.Callbacks())
    return json.loads(json.dumps(run.metrics, allow_nan=False))


def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(metrics_schema())


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(inner)


def test_metrics_are_what_the_schema_says(metrics: Any) -> None:
    validator().validate(metrics)


def test_another_key_and_a_key_less_are_refused(metrics: Any) -> None:
    rng = np.random.default_rng(3)
    # an object whose keys are names of classes may have any
    of_split = metrics["test"]["balanced"]
    for changed in (metrics, of_split, metrics["history"][0], metrics["working_points"]["sig"][0]):
        before = dict(changed)
        changed["unheard_of"] = 1
        assert not validator().is_valid(metrics)
        del changed["unheard_of"]
        changed.pop(str(rng.choice(sorted(changed))))
        assert not validator().is_valid(metrics)
        changed.update(before)
    validator().validate(metrics)


def test_the_shipped_schema_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == metrics_schema()
    jsonschema.Draft202012Validator.check_schema(metrics_schema())


def test_every_study_describes_its_part() -> None:
    names: list[str] = []
    for study in STUDIES:
        sources = [of_key.validation_alias or name for name, (_, of_key) in study.keys().items()]
        assert {source.partition(".")[0] for source in sources} == {study.name}
        names += study.keys()
    assert len(set(names)) == len(names)


def test_every_key_has_a_description() -> None:
    for definition in objects(metrics_schema()):
        for name, value in definition.get("properties", {}).items():
            assert value["description"], name


def test_the_page_of_the_keys_is_that_of_the_schema() -> None:
    page = runpy.run_path(str(DOCS / "make_metrics_page.py"))["metrics_page"]()
    assert (DOCS / "metrics.md").read_text(encoding="utf-8") == page


def test_the_page_of_the_run_directory_has_every_key_of_the_top() -> None:
    text = (DOCS / "run_directory.md").read_text(encoding="utf-8").partition("## metrics.json")[2]
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    assert not [
        name for name in metrics_schema()["properties"] if not any(f"`{name}`" in row for row in rows)
    ]
