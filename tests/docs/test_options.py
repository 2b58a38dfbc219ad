"""Every option has an example in the pages of its family; each example is read and trains here, on a few events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import awkward
import numpy as np
import pytest
import yaml

from tamis.config import Config, parse_config
from tamis.config.document import read_document
from tamis.pipeline.preparation import prepare
from tamis.pipeline.run import train

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (
    "layers",
    "training",
    "preprocessing",
    "symmetries",
    "ensembles",
    "weights",
    "baselines",
    "evaluation",
)
_FENCE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EVENTS = 400


def fragments() -> Iterator[Any]:
    for page in PAGES:
        text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        for number, fragment in enumerate(_FENCE.findall(text), start=1):
            yield pytest.param(fragment, id=f"{page}-{number}")


def names_in(values: Mapping[str, Any]) -> list[str]:
    """Every feature that a fragment names."""
    named = list(values.get("preprocessing", {}).get("logarithm", []))
    for symmetry in values.get("training", {}).get("symmetries", []):
        named += symmetry.get("features", [])
        named += [name for each in symmetry.get("objects", []) for name in each]
    return list(dict.fromkeys(["pt", "mass", "eta", *named]))


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(first)
    for key, value in second.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if nested else value
    return result


def configuration(values: Mapping[str, Any], write_tree: Callable[..., Path]) -> Config:
    """Put a fragment into a small configuration, and write the files that it needs."""
    classes = ["bkg1", "bkg2", "sig"]
    if "binary_cross_entropy" in str(values.get("training", {}).get("loss", "")):
        classes = ["bkg1", "sig"]
    given = [each if isinstance(each, str) else each["name"] for each in values.get("features", [])]
    names = given or names_in(values)
    rng = np.random.default_rng(1)
    for number, name in enumerate(classes):
        columns = {
            each: rng.uniform(-3, 3, EVENTS) + 0.3 * number for each in dict.fromkeys([*names, "mass"])
        }
        columns = {key: np.clip(value, -3.1, 3.1) for key, value in columns.items()}
        columns["event"] = np.arange(EVENTS)
        columns["jet_pt"] = awkward.Array([[1.0, 2.0][: 1 + row % 2] for row in range(EVENTS)])
        path = write_tree(f"{name}.root", columns)
    base: dict[str, Any] = {
        "data": str(path.parent),
        "samples": [{"name": name, "class": name, "files": f"{name}.root"} for name in classes],
        "classes": {name: {"signal": name == "sig"} for name in classes},
        "features": names,
        "network": {"layers": [{"nodes": 8}]},
        "training": {"batch_size": 128},
    }
    document = merged(base, values)
    document["training"]["epochs"] = 2
    if "ensemble" in document["training"]:
        document["training"]["ensemble"] = 2
    spectators = document.get("spectators", [])
    document["features"] = [name for name in document["features"] if name not in spectators]
    return parse_config(document)


def values_of(fragment: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(read_document(fragment).values)))
    return values


@pytest.mark.parametrize("fragment", list(fragments()))
def test_every_option_is_read_and_its_events_can_be_prepared(
    fragment: str, write_tree: Callable[..., Path]
) -> None:
    prepared = prepare(configuration(values_of(fragment), write_tree))
    assert len(prepared.events) > 500
    assert np.isfinite(prepared.weighed.training_weight).all()


@pytest.mark.slow  # compiles a training for each of fifty examples; what the options do is tested beside their code
@pytest.mark.parametrize("fragment", list(fragments()))
def test_every_option_trains(fragment: str, write_tree: Callable[..., Path]) -> None:
    run = train(configuration(values_of(fragment), write_tree))
    scores = run.splits["test"].scores
    assert len(scores) > 50
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert 0 < run.results["performance"].splits["test"].balanced.loss < 2
