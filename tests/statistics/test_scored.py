"""Events of one part: which vary together, and which are compared."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tamis.statistics.scored import ScoredEvents, join_events

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=12)


def scored(pairs: list[tuple[int, int]], compared: list[bool] | None = None) -> ScoredEvents:
    identity, class_index = np.array(pairs).T
    number = np.arange(len(pairs), dtype=float)
    return ScoredEvents(
        np.stack([number, -number], axis=1).astype(np.float32),
        class_index.astype(np.int32),
        number,
        number + 1,
        event_id=identity.astype(np.uint64) + np.uint64(2**63),
        compared=None if compared is None else np.array(compared),
    )


@given(PAIRS)
def test_events_vary_together_where_class_and_identity_are_the_same(pairs: list[tuple[int, int]]) -> None:
    units = scored(pairs).units
    if len(set(pairs)) == len(pairs):
        assert units is None
        return
    assert units is not None
    assert units.max() + 1 == len(set(pairs))
    for first, one in zip(pairs, units.tolist(), strict=True):
        for second, other in zip(pairs, units.tolist(), strict=True):
            assert (first == second) == (one == other)


@given(PAIRS, PAIRS)
def test_parts_are_joined_in_their_order(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    both = join_events(scored(first), scored(second))
    assert len(both) == len(first) + len(second)
    assert both.class_index.tolist() == [of_class for _, of_class in first + second]
    assert both.balanced_weight.tolist() == [
        n * (n + 1) for part in (first, second) for n in range(len(part))
    ]


def test_only_what_may_be_compared_is() -> None:
    events = scored([(1, 0), (2, 1), (3, 0)], compared=[True, False, True])
    assert events.to_compare().weight.tolist() == [0.0, 2.0]
    assert events.to_compare().scores[:, 0].tolist() == [0.0, 2.0]
    assert events.to_compare().event_id.tolist() == [2**63 + 1, 2**63 + 3]
    assert len(scored([(1, 0)]).to_compare()) == 1
