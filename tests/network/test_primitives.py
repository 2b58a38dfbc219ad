"""Graphs of primitive operations know the shapes and kinds of their values, and refuse to mix precisions."""

from __future__ import annotations

import numpy as np
import pytest

from tamis.network.primitives import GraphBuilder, affine, column, concatenate, flatten, gather, mean, widen


def test_shapes_are_those_of_one_event() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", (3,))
    scales = builder.add_constant("scales", np.ones((4, 3), np.float32))
    weight = builder.add_constant("weight", np.ones((4, 5, 3), np.float32))
    shapes = [
        value.shape
        for value in (
            x * scales,
            affine(x * scales, weight),
            mean(x * scales, 0),
            mean(x * scales, -1),
            flatten(x * scales),
            column(x),
            concatenate(x, x),
            gather(x, np.zeros((2, 7), np.int64)),
        )
    ]
    assert shapes == [(4, 3), (4, 5), (3,), (4, 1), (12,), (3, 1), (6,), (2, 7)]


def test_numbers_of_two_precisions_are_not_mixed() -> None:
    builder = GraphBuilder()
    x = builder.add_input("x", (3,))
    assert (widen(x) * builder.add_constant("factor", np.ones(3))).kind == "float64"
    assert ((x > 0).kind, (x * 2).kind) == ("bool", "float32")
    with pytest.raises(TypeError, match="multiply mixes numbers of 32 and of 64 bits"):
        x * builder.add_constant("other", np.ones(3))
