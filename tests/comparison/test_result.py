"""What a comparison of two runs concludes from its numbers."""

from __future__ import annotations

import pytest

from tamis.comparison.result import LEVEL, Difference


@pytest.mark.parametrize(
    ("difference", "p_value", "significant"),
    [(-0.1, LEVEL, True), (0.1, LEVEL, True), (0.1, LEVEL * (1 + 1e-9), False), (0.0, LEVEL, False)],
)
def test_a_difference_is_significant_up_to_the_level(
    difference: float, p_value: float, significant: bool
) -> None:
    loss = Difference("balanced", "loss", None, 0.5, 0.5 + difference, difference, None, p_value / 8, p_value)
    assert loss.significant == significant
    assert loss.gain == -difference
