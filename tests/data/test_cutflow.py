from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.data.cutflow import (
    Cutflow,
    SampleCutflow,
    Tally,
    compute_exact_sum,
    round_exact_sum,
    sum_tallies,
    tally,
)
from tamis.errors import TamisError

numbers = st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), max_size=30)


@given(numbers)
def test_exact_sum_equals_the_sum_of_fractions(values: list[float]) -> None:
    assert Fraction(compute_exact_sum(np.array(values, np.float64)), 2**1126) == sum(
        map(Fraction, values), Fraction()
    )


@given(st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_exact_sum_rounds_as_fsum_does(values: list[float]) -> None:
    assert round_exact_sum(compute_exact_sum(np.array(values, np.float64))) == math.fsum(values)


@given(st.lists(st.floats(-1e9, 1e9), max_size=40), st.integers(0, 40))
def test_pieces_add_up_to_the_whole(values: list[float], cut: int) -> None:
    weights = np.array(values, np.float64)
    assert tally(weights[:cut]) + tally(weights[cut:]) == tally(weights)


def test_a_tally_knows_its_statistics() -> None:
    numbers = tally(np.array([2.0, 1.0, -1.0])).to_dict()
    assert numbers["events"] == 3
    assert numbers["sum_of_weights"] == 2
    assert numbers["sum_of_squared_weights"] == 6
    assert numbers["effective_sample_size"] == pytest.approx(4 / 6)
    assert numbers["negative_fraction"] == pytest.approx(1 / 3)


def test_a_weight_of_zero_is_not_negative() -> None:
    total = tally(np.array([0.0, -0.0, 1.0, -1.0]))
    assert (total.events, total.negative) == (4, 1)
    assert total.to_dict()["negative_fraction"] == 0.25


def account(**changes: object) -> SampleCutflow:
    weights = {name: tally(np.full(n, 0.1)) for name, n in (("training", 3), ("validation", 2), ("test", 4))}
    dropped = {"negative_weight": tally(np.full(1, -0.1))}
    failed = tally(np.full(5, 0.3))
    cutflow = SampleCutflow(
        sample="s",
        class_name="c",
        files={"a.root": 10, "b.root": 7},
        read=sum_tallies([*weights.values(), *dropped.values(), failed]),
        unweighted=2,
        failed_selection=failed,
        dropped=dropped,
        splits=weights,
    )
    return replace(cutflow, **changes)  # type: ignore[arg-type]


def test_an_account_that_adds_up_passes() -> None:
    account().check()
    document = account().to_dict()
    assert document["entries"] == 17
    assert document["entries"] == (
        document["failed_selection"]["events"]
        + document["dropped"]["negative_weight"]["events"]
        + document["used"]["events"]
    )
    assert document["failed_selection"]["events_without_weight"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"a.root": 18}},
        {"unweighted": 1},
        {"failed_selection": Tally()},
        {"splits": {"training": tally(np.full(9, 0.1000001))}},
    ],
)
def test_an_account_that_does_not_add_up_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(TamisError):
        account(**change).check()


def test_classes_and_total_sum_their_samples() -> None:
    cutflow = Cutflow((account(), account(sample="t", class_name="d"), account(sample="u")))
    document = cutflow.to_dict(["c", "d"])
    assert document["classes"]["c"]["entries"] == 34
    assert document["classes"]["d"]["training"]["events"] == 3
    assert document["total"]["used"]["events"] == 27
