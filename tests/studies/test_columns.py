"""Columns that the figure data of several studies have in common."""

from __future__ import annotations

import numpy as np
import pytest

from tamis.statistics.roc_outline import RocOutline, RocPoints
from tamis.studies.columns import (
    NEGATIVE_EFFICIENCIES,
    build_density_column,
    build_error_column,
    build_interval_column,
    build_roc_table,
)


def test_errors_and_intervals_are_distances_from_the_value() -> None:
    column = build_interval_column("AUC", [(0.8, (0.75, 0.9)), (None, (0.1, 0.2)), (0.7, None)])
    assert column.errors == {"68.3% interval": [pytest.approx((0.05, 0.1)), None, None]}
    column = build_error_column("Mean", [1.0, 2.0, 3.0], [0.1, None, np.inf], label="error")
    assert column.errors == {"error": [(0.1, 0.1), None, None]}


def test_a_class_without_a_histogram_has_an_empty_column() -> None:
    assert list(build_density_column(None, 3, {"Class": "sig"}).values) == [None] * 3


@pytest.mark.parametrize(
    ("efficiencies", "rejections", "noted"),
    [
        ([0.0, 1.0], [5.0, 1.0], False),
        ([-0.1, 1.0], [5.0, 1.0], True),
        ([0.5, 1.2], [5.0, 1.0], True),
        ([0.5, 1.0], [5.0, 0.8], True),
    ],
)
def test_unusual_efficiencies_are_noted_in_the_description(
    efficiencies: list[float], rejections: list[float], noted: bool
) -> None:
    points = RocPoints(np.array(efficiencies), np.array(rejections))
    table = build_roc_table("roc", "A curve.", RocOutline(0.9, points, points))
    assert (NEGATIVE_EFFICIENCIES in table.description) == noted
