"""Toys: how often an interval of 68.3% contains the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest


@dataclass(frozen=True)
class Toys:
    """How many toys are drawn, and so how well the coverage is known."""

    number: int

    def assert_covered(self, inside: np.ndarray | float) -> None:
        """Compare counts of toys whose interval contains the truth with 68.3%, to three standard deviations."""
        allowed = 3 * np.sqrt(0.683 * 0.317 / self.number)
        coverage = np.asarray(inside) / self.number
        assert (np.abs(coverage - 0.683) < allowed).all(), coverage


@pytest.fixture(params=[200, pytest.param(1000, marks=pytest.mark.long)])
def toys(request: pytest.FixtureRequest) -> Toys:
    """Few toys in every run of the tests, 1000 in the long form."""
    return Toys(request.param)
