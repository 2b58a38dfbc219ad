"""Values are compared as JSON has them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.runs.verification.comparison import compare_values, few

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=5), inside, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_every_value_equals_itself_behind_json(value: Any) -> None:
    assert compare_values(json.loads(json.dumps(value)), value)[1] == []


@given(JSON, JSON)
def test_what_is_alike_is_alike_both_ways(first: Any, second: Any) -> None:
    assert bool(compare_values(first, second)[1]) == bool(compare_values(second, first)[1])


@pytest.mark.parametrize(
    ("written", "expected", "said"),
    [
        ({"a": 1.0}, {"a": 1.0 + 1e-12}, []),
        ({"a": 1.0}, {"a": 1.0 + 1e-8}, ["a is 1.0, not 1.00000001"]),
        ({"a": True}, {"a": 1}, ["a is True, not 1"]),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {}, ["a is not expected"]),
        ({}, {"a": None}, ["a is missing"]),
        ({"a": [1, 2]}, {"a": (1, 3)}, ["a[1] is 2, not 3"]),
        ({"a": [1]}, {"a": np.array([1, 3])}, ["a is [1], not [1, 3]"]),
        ({"0": {"b": 2}}, {0: {"b": np.int64(2)}}, []),
        (3, {"a": 1}, ["place is 3, not {'a': 1}"]),
    ],
)
def test_each_difference_is_a_sentence(written: Any, expected: Any, said: list[str]) -> None:
    assert compare_values(written, expected, "" if isinstance(written, dict) else "place")[1] == said


def test_many_differences_are_few_sentences() -> None:
    assert few(["a", "b"]) == ("a", "b")
    assert len(few([str(number) for number in range(1000)], "x")) == 6
