from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.config.key_path import KeyPath, existing_key_path, format_key_path, parse_key_path

keys = st.one_of(st.from_regex(r"[a-z_][a-z0-9_]*", fullmatch=True), st.text(max_size=8))
paths = st.builds(
    lambda first, rest: (first, *rest), keys, st.lists(keys | st.integers(0, 10**6), max_size=5)
)


@settings(deadline=None)
@given(paths)
def test_reading_undoes_rendering(path: KeyPath) -> None:
    assert parse_key_path(format_key_path(path) + "=value") == (path, "=value")


@pytest.mark.parametrize("text", ["", "=1", ".a=1", "[x]=1", '["a=1', '["\\q"]=1'])
def test_a_text_without_a_place_stays_whole(text: str) -> None:
    assert parse_key_path(text) == ((), text)


@pytest.mark.parametrize(
    ("text", "rest"), [("a..b", "..b"), ("a[1", "[1"), ("a[-1]", "[-1]"), ("a b", " b"), ("a[0]b", "b")]
)
def test_reading_stops_where_the_place_ends(text: str, rest: str) -> None:
    assert parse_key_path(text)[1] == rest


def test_steps_that_are_not_in_the_values_are_left_out() -> None:
    values = {"network": {"layers": [{"nodes": 3}]}}
    location = ("network", "Network", "layers", 0, "dense", "nodes", "int")
    assert existing_key_path(location, values) == ("network", "layers", 0, "nodes")
