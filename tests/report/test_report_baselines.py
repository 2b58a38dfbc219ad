"""What a report says of the baselines."""

from __future__ import annotations

from typing import Any

import pytest

from tamis.report.baselines import baselines_findings, baselines_section
from tamis.report.blocks import Table, Text
from tamis.report.numbers import minus


def metrics(
    interval: tuple[float, float] | None = (0.01, 0.03), difference: float = 0.02, **changes: Any
) -> dict[str, Any]:
    signal = {
        "auc": 0.9, "interval": (0.89, 0.91), "difference": difference, "difference_interval": interval,
    }  # fmt: skip
    loss = {"loss": 0.4, "intervals": {"loss": (0.38, 0.42)}}
    box = {
        "target": 0.5,
        "fold": None,
        "cuts": [
            {"feature": "<pt>", "low": 1.5, "high": None},
            {"feature": "eta", "low": -2.0, "high": 2.0},
            {"feature": "n", "low": None, "high": 4.0},
        ],
        "signal_efficiency": 0.52,
        "background_efficiency": 0.01,
        "background_rejection": 100.0,
    }
    trees = {
        "signal": signal,
        "balanced": {**loss, "difference": loss},
        "boxes": None,
        "notes": [],
        "train_seconds": 1.5,
    }
    cuts = {
        "signal": signal,
        "balanced": None,
        "boxes": [{**box, **changes}],
        "notes": ["too few"],
        "train_seconds": 0.5,
    }
    return {"baselines": {"xgboost": trees, "cuts": cuts}}


def test_tables_hold_differences_and_cuts() -> None:
    text, results, boxes = baselines_section(metrics())
    assert isinstance(text, Text)
    assert text.text.endswith("cuts: too few.")
    assert isinstance(results, Table)
    assert isinstance(boxes, Table)
    assert [cell.text for cell in results.rows[0]] == [
        "xgboost",
        "0.900",
        "+0.020",
        "0.400",
        "+0.400",
        "1.50",
    ]
    assert [cell.text for cell in results.rows[1]][3:5] == ["\N{EN DASH}"] * 2
    assert boxes.rows[0][1].text == minus("<pt> ≥ 1.500; -2.000 ≤ eta ≤ 2.000; n ≤ 4.000")
    assert len(boxes.columns) == len(boxes.rows[0]) == 5
    (_, _, boxes) = baselines_section(metrics(fold=2, cuts=[]))
    assert isinstance(boxes, Table)
    assert [cell.text for cell in boxes.rows[0]][:3] == ["2", "50.0%", "no cut"]


@pytest.mark.parametrize(
    ("difference", "half", "light"),
    [
        (0.02, 0.009, "good"),
        (0.02, 0.011, "info"),  # more than one standard deviation, less than two
        (0.02, 0.03, "info"),
        (-0.02, 0.009, "look"),
        (-0.03, 0.009, "bad"),
        (-0.03, 0.016, "info"),
        (-0.02, 0.011, "info"),
    ],
)
def test_a_better_baseline_is_worth_a_look(difference: float, half: float, light: str) -> None:
    first, _ = baselines_findings(metrics((difference - half, difference + half), difference))
    assert first.light == light


def test_without_an_interval_nothing_is_judged() -> None:
    first, _ = baselines_findings(metrics(None))
    assert first.light == "info"


def test_runs_without_baselines_say_nothing() -> None:
    assert baselines_section({}) == []
    assert list(baselines_findings({})) == []
