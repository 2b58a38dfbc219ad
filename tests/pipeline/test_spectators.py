"""Decorrelation in a run: which spectators are refused, what the penalty of a configuration is, and what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tamis
from tamis.check import check_input
from tamis.config import DistanceCorrelation, Flatness, parse_config
from tamis.errors import InputError
from tamis.pipeline.preparation import prepare
from tamis.pipeline.spectators import build_penalty, check_decorrelation, select_coordinates

WriteTree = Callable[..., Path]
N = 600


def section_of(folder: Path, spectators: list[Any], **changes: Any) -> dict[str, Any]:
    return {
        "name": "decorrelated",
        "data": str(folder),
        "samples": [{"name": name, "class": name, "files": f"{name}.root"} for name in ("bkg", "top", "sig")],
        "classes": {"bkg": {}, "top": {}, "sig": {"signal": True}},
        "features": ["x", "y"],
        "spectators": spectators,
        "network": {"layers": [{"nodes": 8, "dropout": 0}]},
        "report": {"figures": False},
        "training": {
            "epochs": 12,
            "batch_size": 256,
            "decorrelate": {"spectators": ["mass"], **changes.pop("decorrelate", {})},
        },
        **changes,
    }


@pytest.fixture
def folder(write_tree: WriteTree) -> Path:
    """Files whose features are sum and difference of the mass and of what separates the classes."""
    rng = np.random.default_rng(3)
    for index, name in enumerate(("bkg", "top", "sig")):
        mass = rng.normal(0, 0.5, N) if name == "sig" else rng.uniform(-2, 2, N)
        z = rng.normal(0.6 * index, 1, N)
        columns = {
            "x": z + mass,
            "y": z - mass,
            "mass": mass,
            "scaled": np.exp(-3 * (z + mass)),
            "kind": np.full(N, float(index)),
            "hollow": np.where(np.arange(N) % 50 == 7, np.nan, mass),
        }
        path = write_tree(f"{name}.root", columns)
    return path.parent


@pytest.mark.parametrize(
    ("spectator", "number"),
    [
        ({"name": "mass", "expression": "kind"}, 2),  # constant in each class
        ({"name": "mass", "expression": "scaled"}, 2),  # a falling function of a feature
        ({"name": "mass", "expression": "hollow", "missing": "nan"}, 2),
    ],
)
def test_training_and_check_refuse_a_spectator_that_cannot_be_used(
    folder: Path, spectator: dict[str, str], number: int
) -> None:
    config = parse_config(section_of(folder, [spectator]))
    with pytest.raises(InputError) as caught:
        prepare(config)
    assert len(caught.value.problems) == number  # one for each background
    assert all("'mass'" in problem.message for problem in caught.value.problems)
    assert caught.value.problems == tuple(
        problem for problem in check_input(config).problems if "'mass'" in problem.message
    )


def test_classes_without_decorrelation_may_have_any_values(folder: Path) -> None:
    config = parse_config(section_of(folder, [{"name": "mass", "missing": "nan"}]))
    events = prepare(config).events
    values = np.where(events.class_index == 2, np.nan, events.spectators["mass"])
    changed = replace(events, spectators={"mass": values})
    check_decorrelation(config, changed)
    coordinates = select_coordinates(config, changed, events.split == 0)
    assert coordinates is not None
    assert np.isfinite(coordinates).all()
    np.testing.assert_array_equal(coordinates, select_coordinates(config, events, events.split == 0))


def test_the_default_classes_are_the_backgrounds(folder: Path) -> None:
    config = parse_config(section_of(folder, ["mass"]))
    penalty = build_penalty(config)
    assert penalty is not None
    assert (penalty.classes, penalty.signal, penalty.method) == ((0, 1), (2,), DistanceCorrelation())
    listed = {"classes": ["sig", "bkg"], "method": "flatness", "strength": 3}
    penalty = build_penalty(parse_config(section_of(folder, ["mass", "kind"], decorrelate=listed)))
    assert penalty is not None
    assert (penalty.classes, penalty.strength, penalty.method) == ((0, 2), 3.0, Flatness())
    assert penalty.coordinates == 1


@pytest.mark.parametrize("method", ["distance_correlation", {"name": "flatness", "bins": 5}])
def test_a_decorrelated_score_depends_less_on_the_spectator(folder: Path, method: Any) -> None:
    dependences = []
    for strength in (1e-6, 20):
        section = section_of(folder, ["mass"], decorrelate={"method": method, "strength": strength})
        run = tamis.train(parse_config(section))
        by_class = run.results["sculpting"].by_class["mass"]
        dependences.append([by_class[name].dependence.distance_correlation for name in ("bkg", "top")])
    plain, decorrelated = np.array(dependences)
    assert (decorrelated < plain - 0.1).all()
