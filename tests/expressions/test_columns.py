import subprocess
import sys
from typing import Any

import awkward
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tamis.errors import ExpressionError
from tamis.expressions import check_branches, evaluate, parse
from tamis.expressions.columns import replace_sentinels

_JAGGED = awkward.Array([[1.5, 2.5], [], [3.5]])


def _value(text: str, column: object, length: int = 3, sentinel: Any = None) -> np.ndarray:
    """Evaluate an expression of the branch `x`."""
    return evaluate(parse(text), {"x": column}, length=length, sentinel=sentinel)


# Widening


@pytest.mark.parametrize(
    ("stored", "computed"),
    [
        ("bool", np.bool_),
        *(
            (kind, np.int64)
            for kind in ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
        ),
        *((kind, np.float64) for kind in ["float16", "float32", "float64", ">f4", ">f8"]),
        (">i4", np.int64),
    ],
)
def test_every_type_becomes_one_of_64_bits(stored: str, computed: type) -> None:
    result = _value("x", np.array([0, 1, 1], stored))
    assert result.dtype == computed
    assert result.tolist() == [0, 1, 1]


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "uint64", "bool"])
def test_unsigned_numbers_do_not_wrap(kind: str) -> None:
    assert _value("x - 4", np.array([0, 1, 1], kind)).tolist() == [-4, -3, -3]


@settings(deadline=None)
@given(hnp.arrays(np.uint64, 3, elements=st.integers(0, 2**63 - 1)))
def test_whole_numbers_are_exact(column: np.ndarray) -> None:
    assert _value("x", column).tolist() == column.tolist()


def test_a_whole_number_beyond_64_bits_with_a_sign_is_refused() -> None:
    with pytest.raises(ExpressionError):
        _value("x", np.array([0, 2**63, 1], np.uint64))


@pytest.mark.parametrize(
    "column",
    [
        [1.0, 2.0, 3.0],
        awkward.Array([1.0, 2.0, 3.0]),
        pd.Series([1.0, 2.0, 3.0]),
        np.array([1.0, 9.0, 2.0, 9.0, 3.0])[::2],
    ],
    ids=["list", "awkward", "pandas", "strided"],
)
def test_other_containers_of_numbers(column: object) -> None:
    assert _value("x", column).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "column",
    [np.ma.MaskedArray([1, 5, 3], mask=[False, True, False]), awkward.Array([1, None, 3])],
    ids=["numpy", "awkward"],
)
def test_masked_values_are_nan(column: object) -> None:
    np.testing.assert_array_equal(_value("x", column), [1, np.nan, 3])


def test_the_column_is_neither_changed_nor_handed_out() -> None:
    column = np.array([1.0, -999.0, 3.0])
    for text in ["x", "+x", "max(x, x)"]:
        result = _value(text, column)
        result[:] = 0
    _value("x", column, sentinel=-999)
    assert column.tolist() == [1, -999, 3]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (np.array(["a", "b", "c"]), "not numbers"),
        (np.array([1 + 1j, 2, 3]), "holds complex128, not numbers"),
        (np.array([1, 2, 3], "datetime64[s]"), "not numbers"),
        (np.array([1, 2, 3], object), "holds object, not numbers"),
        (awkward.Array(["a", "b", "c"]), "not numbers"),
        (awkward.Array([{"a": 1}, {"a": 2}, {"a": 3}]), "not numbers"),
        (awkward.Array([1, "b", 3]), "several kinds"),
        ([[1], [2, 3], []], "several kinds"),
        (np.zeros(4), "has 4 entries, but there are 3 events"),
        (np.array(1.0), "a single entry"),
        (np.zeros((3, 2)), r"write x\[0\]"),
        (_JAGGED, r"write x\[0\]"),
    ],
)
def test_unsuitable_columns_are_refused(column: object, message: str) -> None:
    with pytest.raises(ExpressionError, match=f"the branch 'x' .*{message}") as caught:
        _value("1 + x", column)
    assert str(caught.value).endswith("\n      ^")


# Indices


def test_elements_that_are_not_there_are_nan() -> None:
    np.testing.assert_array_equal(_value("x[0]", _JAGGED), [1.5, np.nan, 3.5])
    np.testing.assert_array_equal(_value("x[1]", _JAGGED), [2.5, np.nan, np.nan])
    np.testing.assert_array_equal(_value("x[9]", _JAGGED), [np.nan] * 3)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-(2**31), 2**31), max_size=4)), st.integers(0, 5))
def test_elements_are_those_of_the_lists(lists: list[list[int]], position: int) -> None:
    column = awkward.values_astype(awkward.Array([*lists, [1]])[:-1], np.int64)
    expected = [float(values[position]) if position < len(values) else np.nan for values in lists]
    result = _value(f"x[{position}]", column, length=len(lists))
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, expected)


def test_missing_lists_and_elements_are_nan() -> None:
    column = awkward.Array([[None, 2], None, [3]])
    np.testing.assert_array_equal(_value("x[0]", column), [np.nan, np.nan, 3])


@pytest.mark.parametrize("kind", ["numpy", "awkward"])
def test_a_branch_of_fixed_size(kind: str) -> None:
    column = np.arange(6, dtype=np.int32).reshape(3, 2)
    result = _value("x[1]", column if kind == "numpy" else awkward.Array(column))
    assert result.tolist() == [1, 3, 5]
    assert result.dtype == np.float64


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (np.zeros(3), "remove the index"),
        (np.zeros((3, 2)), r"holds 2 values in every event, so \[2\] never exists"),
        (np.zeros((3, 2, 2)), "2 indices"),
        (awkward.Array([[[1.0]], [], []]), "2 indices"),
        (awkward.Array([["a"], ["b"], []]), "not numbers"),
        (awkward.Array([[1, 2, "a"], [1, 2, 3], []]), "several kinds|not numbers"),
    ],
)
def test_unsuitable_indices_are_refused(column: object, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        _value("x[2]", column)


# Sentinels


@pytest.mark.parametrize(
    ("sentinel", "kind"),
    [
        *(
            (sentinel, kind)
            for sentinel in [-999, -999.9, -1e30, -3.4e38]
            for kind in [np.float32, np.float64]
        ),
        (-1.7976931348623157e308, np.float64),
    ],
)
def test_a_sentinel_is_found_in_both_precisions(sentinel: float, kind: type) -> None:
    column: np.ndarray = np.array([1, sentinel, -5], kind)
    np.testing.assert_array_equal(_value("x", column, sentinel=sentinel), [1, np.nan, -5])


def test_a_sentinel_of_64_bits_does_not_match_infinity_or_zero() -> None:
    column = np.array([np.inf, 1e308, 1e-60])
    assert _value("x", column, sentinel=[1.7e308, 1e-50, 0.0]).tolist() == column.tolist()


@pytest.mark.parametrize("sentinel", [-999, (-999,), [-999, -1], np.array([-999.0])])
def test_one_or_more_sentinels(sentinel: object) -> None:
    np.testing.assert_array_equal(_value("x", np.array([1, -999, 3]), sentinel=sentinel), [1, np.nan, 3])


def test_nan_as_sentinel_is_just_nan() -> None:
    column = np.array([1, np.nan, 3])
    np.testing.assert_array_equal(_value("x", column, sentinel=np.nan), column)


def test_results_that_equal_a_sentinel_are_nan() -> None:
    result = _value("x > 2 ? x : -999", np.array([1, 2, 3]), sentinel=-999)
    np.testing.assert_array_equal(result, [np.nan, np.nan, 3])


def test_a_sentinel_is_taken_out_before_the_formula() -> None:
    np.testing.assert_array_equal(_value("abs(x)", np.array([1, -999, -3]), sentinel=-999), [1, np.nan, 3])
    column = awkward.Array([[-999.0], [], [2.0]])
    np.testing.assert_array_equal(_value("2 * x[0]", column, sentinel=-999), [np.nan, np.nan, 4])


@pytest.mark.parametrize("text", ["x", "x > 1", "true", "3"])
def test_with_a_sentinel_the_result_is_a_float(text: str) -> None:
    assert _value(text, np.array([1, 2, 3]), sentinel=-999).dtype == np.float64


def test_an_empty_list_of_sentinels_changes_nothing() -> None:
    assert _value("x", np.array([1, 2, 3]), sentinel=[]).dtype == np.int64


def test_a_type_that_cannot_hold_the_sentinel_stays_whole() -> None:
    column = np.array([1, 4, 5], np.uint32)
    assert _value("x & 4", column, sentinel=-999).tolist() == [0, 4, 4]


def test_whether_a_branch_becomes_floats_depends_on_its_type_only() -> None:
    with pytest.raises(ExpressionError):
        _value("x & 4", np.array([1, 4, 5], np.int32), sentinel=-999)


@settings(deadline=None)
@given(hnp.arrays(np.float32, 5, elements=st.floats(width=32)), st.floats(width=32, allow_nan=False))
def test_exactly_the_sentinels_become_nan(values: np.ndarray, sentinel: float) -> None:
    result = replace_sentinels(values.astype(np.float64), (sentinel,))
    expected = [np.nan if value == sentinel else float(value) for value in values]
    np.testing.assert_array_equal(result, expected)


# Names


def test_known_branches_pass() -> None:
    check_branches(parse("pt + jet[0]"), {"pt": 0, "jet": 0, "eta": 0})
    check_branches(parse("2"), [])


def test_all_unknown_branches_are_told_with_their_neighbours() -> None:
    with pytest.raises(ExpressionError) as caught:
        check_branches(parse("ptt + eta * Mass - ptt"), ["pt", "eta", "mass"])
    assert str(caught.value).split("\n") == [
        "there is no branch 'ptt': did you mean pt?",
        "  ptt + eta * Mass - ptt",
        "  ^",
        "there is no branch 'Mass': did you mean mass?",
        "  ptt + eta * Mass - ptt",
        "              ^",
    ]


def test_a_function_without_brackets_is_noticed() -> None:
    with pytest.raises(ExpressionError):
        check_branches(parse("phi > pi"), ["phi"])


def test_evaluation_checks_the_branches() -> None:
    with pytest.raises(ExpressionError):
        _value("y", np.zeros(3))


def test_awkward_is_imported_only_when_it_is_needed() -> None:
    program = (
        "import sys, numpy; from tamis.expressions import evaluate, parse; "
        "evaluate(parse('x'), {'x': numpy.zeros(2)}, length=2); sys.exit('awkward' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
