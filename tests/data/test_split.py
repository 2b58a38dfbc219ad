from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis.data.split import (
    SPLITS,
    TEST,
    TRAINING,
    VALIDATION,
    Fractions,
    assign_folds_by_id,
    assign_folds_by_number,
    assign_splits,
    choose_training_folds,
    find_duplicates,
    hash_columns,
    hash_entries,
    hash_text,
    scramble,
)
from tamis.errors import TamisError

fractions = st.builds(
    Fractions, test=st.floats(0.01, 0.99), validation=st.floats(0.01, 0.99), seed=st.integers(0, 2**31)
)


def test_scramble_is_the_finaliser_of_splitmix64() -> None:
    # the first outputs of the reference implementation for the state 1234567 (Vigna, prng.di.unimi.it)
    golden = np.uint64(0x9E3779B97F4A7C15)
    states = np.array([1234567], np.uint64) + golden * np.arange(3, dtype=np.uint64)
    assert scramble(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_hashes_of_names_never_change() -> None:
    # a change here would move the events of every user to another part
    assert int(hash_text("sig", "sig.root")) == 15037934658403686537
    assert hash_entries("sig", "sig.root", 0, 2).tolist() == [
        14487373764228545829,
        3842891367088548146,
    ]
    assert hash_columns([np.array([1]), np.array([2])]).tolist() == [15671754871817308195]


@given(first=st.integers(0, 10**12), lengths=st.lists(st.integers(0, 50), max_size=5))
def test_chunks_change_no_event_id(first: int, lengths: list[int]) -> None:
    in_one_chunk = hash_entries("s", "f", first, sum(lengths))
    starts = first + np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(int) if lengths else []
    pieces = [hash_entries("s", "f", int(a), n) for a, n in zip(starts, lengths, strict=True)]
    assert np.concatenate([np.empty(0, np.uint64), *pieces]).tolist() == in_one_chunk.tolist()


@given(event_ids=st.lists(st.integers(0, 2**64 - 1), min_size=1), fractions=fractions, data=st.data())
def test_the_split_depends_on_the_event_id_alone(
    event_ids: list[int], fractions: Fractions, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(event_ids))))
    values = np.array(event_ids, np.uint64)
    splits = assign_splits(values, fractions)
    assert set(splits.tolist()) <= set(range(len(SPLITS)))
    assert assign_splits(values[order], fractions).tolist() == splits[order].tolist()


@pytest.mark.parametrize(("test", "validation"), [(0.5, 0.35), (0.25, 0.2), (0.1, 0.9), (0.9, 0.5)])
def test_fractions_are_kept(test: float, validation: float) -> None:
    n = 200_000
    splits = assign_splits(hash_entries("s", "f", 0, n), Fractions(test, validation))
    expected = {TEST: test, VALIDATION: (1 - test) * validation, TRAINING: (1 - test) * (1 - validation)}
    for split, fraction in expected.items():
        count = np.count_nonzero(splits == split)
        assert abs(count - n * fraction) < 5 * np.sqrt(n * fraction * (1 - fraction))


def test_parts_do_not_depend_on_each_other_between_files() -> None:
    first, second = (assign_splits(hash_entries("s", f, 0, 100_000), Fractions(0.5, 0.5)) for f in "ab")
    both = np.count_nonzero((first == TEST) & (second == TEST))
    assert abs(both - 25_000) < 5 * np.sqrt(100_000 * 0.25 * 0.75)


def test_another_seed_divides_otherwise() -> None:
    event_id = hash_entries("s", "f", 0, 1000)
    assert (
        assign_splits(event_id, Fractions(0.5, 0.5, 1)) != assign_splits(event_id, Fractions(0.5, 0.5, 2))
    ).any()


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64, np.uint64, np.float64, np.float32])
def test_a_whole_number_is_the_same_event_in_every_type(kind: type) -> None:
    numbers = np.array([0, 1, 7, 65_535])
    assert hash_columns([numbers.astype(kind)]).tolist() == hash_columns([numbers]).tolist()


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_minus_zero_is_zero(kind: type) -> None:
    event_id = hash_columns([np.array([0.0, -0.0], kind)])
    assert event_id[0] == event_id[1] == hash_columns([np.array([0])])[0]


@pytest.mark.parametrize("number", [-1, -7, 2**31, -(2**40), 2**53 - 1, 1 - 2**53])
def test_a_large_or_negative_whole_number_is_the_same_event_as_a_float(number: int) -> None:
    event_ids = [hash_columns([np.array([number], kind)])[0] for kind in (np.int64, np.float64)]
    assert event_ids[0] == event_ids[1]


@given(st.lists(st.tuples(st.integers(-(2**62), 2**62), st.integers(0, 2**31)), unique=True, min_size=2))
def test_different_columns_are_different_events(rows: list[tuple[int, int]]) -> None:
    columns = [np.array(column, np.int64) for column in zip(*rows, strict=True)]
    assert len(set(hash_columns(columns).tolist())) == len(rows)


def test_the_order_of_columns_counts() -> None:
    a, b = np.array([1, 2]), np.array([2, 1])
    assert hash_columns([a, b])[0] != hash_columns([b, a])[0]


def test_an_event_id_of_nan_is_refused() -> None:
    with pytest.raises(TamisError):
        hash_columns([np.array([1.0, np.nan])])


@given(st.lists(st.integers(0, 20)))
def test_repeated_finds_all_but_the_first(values: list[int]) -> None:
    expected = [i for i, value in enumerate(values) if value in values[:i]]
    assert find_duplicates(np.array(values, np.uint64)).tolist() == expected


def test_unsigned_numbers_are_used_as_they_are() -> None:
    large = np.array([2**64 - 1, 2**63, 2**63 + 1, 5], np.uint64)
    event_id = hash_columns([large])
    assert len(np.unique(event_id)) == 4
    assert event_id[3] == hash_columns([np.array([5], np.int64)])[0]
    assert assign_folds_by_number(large, 7).tolist() == [int(number) % 7 for number in large.tolist()]


def test_a_fold_is_told_by_whole_numbers_up_to_two_to_the_53() -> None:
    assert assign_folds_by_number(np.array([2.0**53, 1 - 2.0**53]), 5).tolist() == [
        2**53 % 5,
        (1 - 2**53) % 5,
    ]
    with pytest.raises(TamisError):
        assign_folds_by_number(np.array([2.0**53 + 2]), 5)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_the_fold_that_scores_a_training_event_and_its_own_can_be_exchanged(number: int) -> None:
    """Else networks of different quality would have other shares in training than in test scores."""
    event_id = hash_entries("sig", "sig.root", 0, 40_000)
    fold = assign_folds_by_id(event_id, number)
    seen = choose_training_folds(event_id, fold, number)
    pairs = np.bincount(number * fold + seen, minlength=number**2).reshape(number, number)
    assert (np.diag(pairs) == 0).all()
    expected = 40_000 / (number * (number - 1))
    assert np.abs(pairs[~np.eye(number, dtype=bool)] - expected).max() < 5 * np.sqrt(expected)
