"""Random streams depend on the seed and on every name of their purpose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tamis.random_streams import random_stream

PURPOSES = st.lists(st.text(max_size=4), max_size=3).map(tuple)
SEEDS = st.integers(0, 2**63 - 1)


@given(st.sets(st.tuples(SEEDS, PURPOSES), min_size=2, max_size=6))
def test_no_two_streams_share_their_numbers(streams: set[tuple[int, tuple[str, ...]]]) -> None:
    """Zeros and empty names count, too: (seed, "") is not (seed,), and ("a", "b") is not ("ab",)."""
    first = {tuple(random_stream(seed, *purpose).integers(2**63, size=2)) for seed, purpose in streams}
    assert len(first) == len(streams)


@given(SEEDS, PURPOSES)
def test_a_stream_begins_anew_with_the_same_numbers(seed: int, purpose: tuple[str, ...]) -> None:
    again, once = (random_stream(seed, *purpose).random(3).tolist() for _ in range(2))
    assert again == once
