"""A classifier with a feature that 32 bits do not resolve: it is trained, saved and applied as without the offset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import uproot
import yaml

import tamis
from tamis.apply import apply_files
from tamis.apply.folds import AverageOfAll
from tamis.apply.model import Range
from tamis.apply.scoring import Scoring
from tamis.check import check_input
from tamis.classifier.precision import precision_problem
from tamis.config import parse_config
from tamis.statistics.metrics import compute_metrics

WriteTree = Callable[..., Path]
GPS = 1.6e9
EVENTS = 400


def columns(sample: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng((sample, seed))
    seconds = np.round(rng.normal(25 * sample, 10, EVENTS) * 1024) / 1024
    return {"near": seconds, "far": GPS + seconds, "y": rng.normal(size=EVENTS)}


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory, write_events: WriteTree) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("times")
    for number, name in enumerate(("bkg", "sig")):
        write_events(folder / f"{name}.root", {"x": np.ones(EVENTS), **columns(number)})
    return {
        "name": "times",
        "data": str(folder),
        "samples": [{"name": name, "class": name, "files": f"{name}.root"} for name in ("bkg", "sig")],
        "classes": {"bkg": {}, "sig": {"signal": True}},
        "features": ["far", "y"],
        "network": {"layers": [{"nodes": 4}]},
        "training": {"epochs": 2, "batch_size": 64},
    }


@pytest.fixture(scope="module")
def run(configuration: dict[str, Any], make_run: Callable[[dict[str, Any]], Path]) -> Path:
    return make_run(configuration)


def test_an_offset_changes_no_score(
    run: Path, configuration: dict[str, Any], make_run: Callable[[dict[str, Any]], Path]
) -> None:
    second_run = make_run({**configuration, "features": [{"name": "far", "expression": "near"}, "y"]})
    far, near = (tamis.Classifier.load(folder / "model") for folder in (run, second_run))
    assert far.unresolved_features == ("far",)
    assert near.unresolved_features == ()
    events = [columns(number, seed=1) for number in (0, 1)]
    columns_of_features = {
        name: np.concatenate([columns_of_class[name] for columns_of_class in events]) for name in events[0]
    }
    scores = far.predict(columns_of_features)
    np.testing.assert_allclose(scores, near.predict(columns_of_features), atol=1e-4)
    of_class = np.repeat([0, 1], EVENTS)
    assert compute_metrics(scores, of_class, np.ones(2 * EVENTS)).auc[1] > 0.9


def test_scores_in_files_are_those_of_predict(run: Path, tmp_path: Path, write_events: WriteTree) -> None:
    columns_of_features = columns(1, seed=2)
    path = write_events(tmp_path / "new.root", {"x": np.ones(EVENTS), **columns_of_features})
    summary = apply_files(run, [str(path)], tmp_path / "scores")
    with uproot.open(Path(summary.outcomes[0].output)) as file:
        scores = file["scores"].arrays(library="np")
    expected = tamis.Classifier.load(run / "model").predict(columns_of_features)
    np.testing.assert_array_equal(scores["score_sig"], expected[:, 1])
    assert len(np.unique(expected[:, 1])) > EVENTS / 2


def test_what_to_do_for_forms_of_32_bits_works_when_it_is_copied(
    run: Path, configuration: dict[str, Any], make_run: Callable[[dict[str, Any]], Path]
) -> None:
    problem = precision_problem(tamis.Classifier.load(run / "model"))
    assert problem is not None
    assert problem.startswith("feature 'far' cannot be passed as 32-bit numbers")
    feature = yaml.safe_load(problem.split("for example ")[1])
    changed = tamis.Classifier.load(make_run({**configuration, "features": [feature, "y"]}) / "model")
    assert changed.unresolved_features == ()
    assert precision_problem(changed) is None


def test_the_check_shows_the_range_and_calls_nothing_constant(configuration: dict[str, Any]) -> None:
    result = check_input(parse_config(configuration))
    assert not [note for note in result.notes if note.kind == "constant"]
    seconds = np.concatenate([columns(number)["far"] for number in (0, 1)])
    assert (result.features[0].lowest, result.features[0].highest) == (seconds.min(), seconds.max())


def test_values_are_outside_beyond_the_width_of_the_training_range() -> None:
    names = [SimpleNamespace(name=name) for name in ("x", "y")]
    model: Any = SimpleNamespace(features=names, ranges={"x": Range(1.0, 3.0)})
    features = np.float32([[-1.0, -1.1, 5.0, 5.1, np.nan], [1e3, 1e4, 1e5, 1e6, 1e7]])
    extent = Scoring(model, AverageOfAll(), -1.0)._extent(features)
    assert extent.outside.tolist() == [2, 0]
    assert (extent.low.tolist(), extent.high.tolist()) == ([np.float32(-1.1), 1e3], [np.float32(5.1), 1e7])
