"""The reference in NumPy: numbers that are moved as far as float32 rounds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tamis.export.evaluate import EDGE, HALF_STEP, Disturbance, evaluate
from tamis.network.primitives import GraphBuilder, Rounding

SIZES: dict[Rounding, Callable[[np.ndarray], np.ndarray]] = {
    "relative": lambda y: HALF_STEP * np.abs(y),
    "unit": lambda y: HALF_STEP * (1 + np.abs(y)),
    "steps": lambda y: EDGE * np.abs(y),
    "none": np.zeros_like,
}


@pytest.mark.parametrize("rounding", SIZES)
def test_a_disturbance_moves_a_number_as_far_as_float32_rounds_it(rounding: Rounding) -> None:
    builder = GraphBuilder()
    graph = builder.build((builder.add_input("x", (1,), "float64") * 1).rounded(rounding))
    x = np.random.default_rng(0).normal(0, 30, (10_000, 1))
    size = SIZES[rounding](x)
    moves = [evaluate(graph, {"x": x}, disturbance=Disturbance(1, sign))[0] - x for sign in (1, -1)]
    for move in moves:
        assert (np.abs(move) <= size * (1 + 1e-6)).all()
        assert rounding == "none" or np.quantile(np.abs(move) / size, 0.99) > 0.95
    np.testing.assert_allclose(moves[0], -moves[1], rtol=1e-6, atol=1e-12)


def test_constants_are_moved_where_the_result_is_rounded() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", (1,), "float64")
    total = x * builder.add_constant("factor", np.ones(1))
    graph = builder.build(total.rounded("relative"))
    zero = evaluate(graph, {"x": np.ones((1, 1))}, disturbance=Disturbance(3, 1))[0]
    assert 0 < abs(float(zero[0, 0]) - 1) <= 2 * HALF_STEP * (1 + 1e-6)
    exact = replace(graph, nodes=tuple(replace(node, rounding="none") for node in graph.nodes))
    assert evaluate(exact, {"x": np.ones((1, 1))}, disturbance=Disturbance(3, 1))[0][0, 0] == 1
