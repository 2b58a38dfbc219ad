"""Values that hurt: NaN, infinities, sentinels and weights of every size are refused or handled as declared."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tamis.check import check_input
from tamis.config import Config, parse_config
from tamis.errors import TamisError
from tamis.files import write_json
from tamis.pipeline.run import Run, train

N = 160
WRONG = (np.nan, np.inf, -np.inf)
SENTINELS = (-999.0, -99.0, -1.0, 9999.0)
ODD = (0.0, 1e30, -1e30, 1e-30, 3.4e38, 1e39, -1e300, 5e-324)
WEIGHTS = (0.0, -1.0, 1e30, -1e30, 1e-30, -1e-30, 1e69, 1e-69, 1e99, 1e-99, np.nan, np.inf, 1e200)


@st.composite
def columns(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Draw a sample in which some values of each column are what they should not be."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    found = {"x": rng.normal(size=N), "y": rng.normal(size=N), "s": rng.normal(size=N), "w": np.ones(N)}
    for name, choices in (
        ("x", (*WRONG, *SENTINELS, *ODD)),
        ("y", (*SENTINELS, *ODD)),
        ("s", (*WRONG, *ODD)),
        ("w", WEIGHTS),
    ):
        for value in draw(st.lists(st.sampled_from(choices), max_size=2)):
            rows = rng.random(N) < draw(st.sampled_from([0.01, 0.1, 0.5, 1.0]))
            found[name] = np.where(rows, value, found[name])
    return found


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[dict[str, np.ndarray]], dict[str, Any]]:
    """Draw the events of two classes and a configuration with rules for some of what may be wrong."""
    missing = draw(st.sampled_from([None, "nan", ["nan", -999, -99, -1, 9999]]))
    weights = {
        "balance": draw(st.sampled_from(["classes", "none"])),
        "negative": draw(st.sampled_from(["keep", "drop", "absolute", "refuse"])),
    }
    changes: dict[str, Any] = {
        "features": [{"name": name, "missing": missing} for name in ("x", "y")],
        "weights": weights,
        "split": {"folds": draw(st.sampled_from([None, None, 2]))},
        "preprocessing": {"scaling": draw(st.sampled_from(["none", "standard", "robust", "quantile"]))},
    }
    return [draw(columns()) for _ in range(2)], changes


def configuration(folder: Path, changes: dict[str, Any]) -> Config:
    return parse_config(
        {
            "name": "values",
            "data": str(folder),
            "samples": [
                {"name": name, "class": name, "files": f"{name}.parquet", "weight": "w"}
                for name in ("bkg", "sig")
            ],
            "classes": {"bkg": {}, "sig": {"signal": True}},
            "spectators": ["s"],
            "network": {"layers": [{"nodes": 2}]},
            "training": {"epochs": 1, "batch_size": 64},
            **changes,
        }
    )


def write(folder: Path, samples: list[dict[str, np.ndarray]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, values in zip(("bkg", "sig"), samples, strict=True):
        pq.write_table(pa.table(values), folder / f"{name}.parquet")


def assert_whole(run: Run, folder: Path) -> None:
    """Nothing that is written holds a value that is not finite."""
    write_json(folder / "metrics.json", run.metrics)  # refuses what is not finite
    write_json(folder / "history.json", run.history)
    write_json(folder / "events.json", run.prepared.cutflow.to_dict(run.config.class_names))
    for part in run.splits.values():
        assert np.isfinite(part.scores).all()
        assert (part.scores >= 0).all()
        np.testing.assert_allclose(part.scores.sum(axis=1), 1, atol=1e-5)


def hurt(folder: Path, case: tuple[list[dict[str, np.ndarray]], dict[str, Any]]) -> str:
    """Check and train; say whether it was refused, and that both agree."""
    samples, changes = case
    write(folder, samples)
    config = configuration(folder, changes)
    result = check_input(config)
    json.dumps(result.to_dict(), allow_nan=False)
    try:
        run = train(config)
    except TamisError as error:
        refusal = str(error)
    else:
        assert result.problems == ()
        assert_whole(run, folder)
        return "trained"
    assert refusal
    assert "defect" not in refusal
    return "refused before" if result.problems else f"refused in training: {refusal.split(';')[0]}"


@pytest.mark.slow  # the short form of a fuzzer; trains for each example
@settings(max_examples=3, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_no_value_leads_to_a_result_that_is_no_number(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[list[dict[str, np.ndarray]], dict[str, Any]]
) -> None:
    hurt(tmp_path_factory.mktemp("values"), case)


@pytest.mark.long
def test_no_value_leads_to_a_result_that_is_no_number_in_many_trainings(
    tmp_path_factory: pytest.TempPathFactory, record: Callable[[str, dict[str, Any]], None]
) -> None:
    counts: dict[str, int] = {}
    cases_tried = int(os.environ.get("TAMIS_FAULT_CASES", "400"))

    @settings(max_examples=cases_tried, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=cases())
    def run(case: tuple[list[dict[str, np.ndarray]], dict[str, Any]]) -> None:
        became = hurt(tmp_path_factory.mktemp("values"), case).split(":")[0]
        counts[became] = counts.get(became, 0) + 1

    run()
    assert counts.get("trained", 0) > cases_tried / 20
    assert counts.get("refused before", 0) > cases_tried / 20
    record("values", counts)
