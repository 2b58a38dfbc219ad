"""Values that studies share are computed once, also where several threads ask for them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tamis.studies.context import Context


def test_a_shared_value_is_computed_once() -> None:
    context, calls = Context(("bkg", "sig"), {}), []

    def slow(given: Context) -> object:
        assert given is context
        time.sleep(0.02)
        calls.append(1)
        return object()

    def depends_on_it(given: Context) -> object:
        return given.once(slow)

    with ThreadPoolExecutor(4) as pool:
        values = list(pool.map(context.once, [slow, depends_on_it] * 4))
    assert len(set(map(id, values))) == 1
    assert len(calls) == 1
    assert Context(("bkg", "sig"), {}).once(lambda _: 3) == 3


def test_a_failure_is_told_to_all_who_ask() -> None:
    context = Context((), {})

    def fails(_: Context) -> None:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            context.once(fails)


def test_random_numbers_follow_from_seed_and_purpose() -> None:
    first, same, other = (Context((), {}, seed) for seed in (1, 1, 2))
    draws = [each.random_stream("a").random() for each in (first, same, other)]
    assert draws[0] == draws[1] != draws[2]
    assert first.random_stream("b").random() != draws[0]
