from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.data.ledger import Ledger, SampleAccount, Tally, exact_float, exact_sum, tally, total
from tamis.errors import TamisError

numbers = st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), max_size=30)


@given(numbers)
def test_exact_sum_equals_the_sum_of_fractions(values: list[float]) -> None:
    assert Fraction(exact_sum(np.array(values, np.float64)), 2**1126) == sum(
        map(Fraction, values), Fraction()
    )


@given(st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_exact_sum_rounds_as_fsum_does(values: list[float]) -> None:
    assert exact_float(exact_sum(np.array(values, np.float64))) == math.fsum(values)


@given(st.lists(st.floats(-1e9, 1e9), max_size=40), st.integers(0, 40))
def test_pieces_add_up_to_the_whole(values: list[float], cut: int) -> None:
    weights = np.array(values, np.float64)
    assert tally(weights[:cut]) + tally(weights[cut:]) == tally(weights)


def test_a_tally_knows_its_statistics() -> None:
    found = tally(np.array([2.0, 1.0, -1.0])).to_dict()
    assert found["events"] == 3
    assert found["sum_of_weights"] == 2
    assert found["sum_of_squared_weights"] == 6
    assert found["effective_number"] == pytest.approx(4 / 6)
    assert found["negative_fraction"] == pytest.approx(1 / 3)


def test_a_weight_of_zero_is_not_negative() -> None:
    found = tally(np.array([0.0, -0.0, 1.0, -1.0]))
    assert (found.events, found.negative) == (4, 1)
    assert found.to_dict()["negative_fraction"] == 0.25


def account(**changes: object) -> SampleAccount:
    weights = {name: tally(np.full(n, 0.1)) for name, n in (("training", 3), ("validation", 2), ("test", 4))}
    dropped = {"negative_weight": tally(np.full(1, -0.1))}
    failed = tally(np.full(5, 0.3))
    made = SampleAccount(
        sample="s",
        class_name="c",
        files={"a.root": 10, "b.root": 7},
        read=total([*weights.values(), *dropped.values(), failed]),
        unweighted=2,
        failed_selection=failed,
        dropped=dropped,
        parts=weights,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_an_account_that_adds_up_passes() -> None:
    account().check()
    found = account().to_dict()
    assert found["entries"] == 17
    assert found["entries"] == (
        found["failed_selection"]["events"]
        + found["dropped"]["negative_weight"]["events"]
        + found["used"]["events"]
    )
    assert found["failed_selection"]["events_without_weight"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"a.root": 18}},
        {"unweighted": 1},
        {"failed_selection": Tally()},
        {"parts": {"training": tally(np.full(9, 0.1000001))}},
    ],
)
def test_an_account_that_does_not_add_up_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(TamisError, match="ledger of sample s does not add up"):
        account(**change).check()


def test_classes_and_total_sum_their_samples() -> None:
    ledger = Ledger((account(), account(sample="t", class_name="d"), account(sample="u")))
    found = ledger.to_dict(["c", "d"])
    assert found["classes"]["c"]["entries"] == 34
    assert found["classes"]["d"]["training"]["events"] == 3
    assert found["total"]["used"]["events"] == 27
    assert ledger.of_class("c", "test").events == 8
