import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tamis.errors import ExpressionError
from tamis.expressions import FUNCTIONS, convert_to_boolean, evaluate, parse
from tamis.expressions.tree import FunctionName

_NAN, _INF = math.nan, math.inf
_COLUMNS: dict[str, np.ndarray] = {
    "pt": np.array([10.0, 25.0, 40.0, _NAN], np.float32),
    "eta": np.array([0.5, -2.0, -3.0, 1.0]),
    "n": np.array([0, 2, 3, 5], np.uint32),
    "k": np.array([-7, 7, -1, 4], np.int16),
    "ok": np.array([True, False, True, True]),
    "Jet.phi": np.array([3.0, -3.0, 0.0, 1.0]),
}


def _value(text: str, columns: dict[str, Any] = _COLUMNS, length: int = 4) -> np.ndarray:
    return evaluate(parse(text), columns, length=length)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # selections
        ("pt > 20", [False, True, True, False]),
        ("pt > 20 && abs(eta) < 2.4", [False, True, False, False]),
        ("(pt > 20) & (abs(eta) < 2.4)", [False, True, False, False]),
        ("(pt > 20) | ok", [True, True, True, True]),
        ("not pt > 20 or ok", [True, False, True, True]),
        ("!ok", [False, True, False, False]),
        ("~ok", [False, True, False, False]),
        ("!n", [True, False, False, False]),
        ("n && k", [False, True, True, True]),
        ("n || ok", [True, True, True, True]),
        ("ok == true", [True, False, True, True]),
        ("true", [True] * 4),
        # NaN: false in every comparison but !=, and as a truth value
        ("pt <= 20", [True, False, False, False]),
        ("pt == pt", [True, True, True, False]),
        ("pt != pt", [False, False, False, True]),
        ("pt && true", [True, True, True, False]),
        ("!pt", [False, False, False, True]),
        ("pt ? 1 : 2", [1, 1, 1, 2]),
        ("isnan(pt)", [False, False, False, True]),
        ("isfinite(1 / n)", [False, True, True, True]),
        # whole numbers stay whole, without wrapping
        ("n - 4", [-4, -2, -1, 1]),
        ("-n", [0, -2, -3, -5]),
        ("+ok", [1, 0, 1, 1]),
        ("-ok", [-1, 0, -1, -1]),
        ("ok + ok", [2, 0, 2, 2]),
        ("k // 2", [-4, 3, -1, 2]),
        ("k % 3", [2, 1, 2, 1]),
        ("k % -3", [-1, -2, -1, -2]),
        ("n & 2", [0, 2, 2, 0]),
        ("n | 1 | 4", [5, 7, 7, 5]),
        ("(n & 1) != 0", [False, False, True, True]),
        ("abs(k)", [7, 7, 1, 4]),
        ("abs(ok)", [1, 0, 1, 1]),
        ("floor(k)", [-7, 7, -1, 4]),
        ("min(n, k, 3)", [-7, 2, -1, 3]),
        ("max(n, k)", [0, 7, 3, 5]),
        ("clip(k, -1, 5)", [-1, 5, -1, 4]),
        ("sign(k)", [-1, 1, -1, 1]),
        ("where(ok, n, k)", [0, 7, 3, 5]),
        ("where(ok, true, n > 1)", [True] * 4),
        ("3", [3] * 4),
        ("2 * 3 - 1", [5] * 4),
        ("10 - 3 - 2", [5] * 4),
        # floats
        ("k / 2", [-3.5, 3.5, -0.5, 2.0]),
        ("6 / 3", [2.0] * 4),
        ("1 / n", [_INF, 0.5, 1 / 3, 0.2]),
        ("0 / n", [_NAN, 0.0, 0.0, 0.0]),
        ("n ** 2", [0.0, 4.0, 9.0, 25.0]),
        ("-2 ** 2", [-4.0] * 4),
        ("2 ** 3 ** 2", [512.0] * 4),
        ("2 ** -1", [0.5] * 4),
        ("100 / 5 / 2 * 3", [30.0] * 4),
        ("eta // 1", [0.0, -2.0, -3.0, 1.0]),
        ("k % 2.5", [0.5, 2.0, 1.5, 1.5]),
        ("sqrt(eta)", [math.sqrt(0.5), _NAN, _NAN, 1.0]),
        ("log(n)", [-_INF, math.log(2), math.log(3), math.log(5)]),
        ("max(pt, 20)", [20.0, 25.0, 40.0, _NAN]),
        ("min(pt, 20)", [10.0, 20.0, 20.0, _NAN]),
        ("clip(pt, 20, 30)", [20.0, 25.0, 30.0, _NAN]),
        ("n * 1.5", [0.0, 3.0, 4.5, 7.5]),
        ("ok ? n : 0.5", [0.0, 0.5, 3.0, 5.0]),
        ("ceil(eta / 2)", [1.0, -1.0, -1.0, 1.0]),
        ("round(n / 2)", [0.0, 1.0, 2.0, 2.0]),
        ("pi()", [math.pi] * 4),
        ("delta_phi(`Jet.phi`, -`Jet.phi`)", [6 - 2 * math.pi, 2 * math.pi - 6, 0.0, 2.0]),
        ("1.0", [1.0] * 4),
    ],
)
def test_known_answers(text: str, expected: list[Any]) -> None:
    result = _value(text)
    assert result.dtype == np.asarray(expected).dtype
    assert result.shape == (4,)
    np.testing.assert_allclose(result, expected, rtol=1e-15)


@pytest.mark.parametrize("length", [0, 1, 7])
@pytest.mark.parametrize("text", ["1", "2.5", "true", "pi() > 3", "n // 2", "n[0]", "max(n, 1) & 1"])
def test_the_result_has_one_value_per_event(text: str, length: int) -> None:
    column = np.ones((length, 2)) if "[" in text else np.ones(length, np.int64)
    assert _value(text, {"n": column}, length).shape == (length,)


# Whole numbers, against Python's exact arithmetic

_WHOLE: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
}
_INTEGERS = st.integers(-10, 10) | st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**32), 2**32)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(list(_WHOLE)), _INTEGERS, _INTEGERS)
def test_whole_numbers_are_exact_or_refused(symbol: str, first: int, second: int) -> None:
    columns = {"a": np.array([first]), "b": np.array([second])}
    try:
        result = int(_value(f"a {symbol} b", columns, 1)[0])
    except ExpressionError:
        # The decision has a margin of a few units in the last place of a float.
        assert second == 0 or abs(_WHOLE[symbol](first, second)) >= 2**63 * (1 - 1e-14)
    else:
        assert result == _WHOLE[symbol](first, second)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a + 1", "result of '[+]' does not fit"),
        ("-2 - a", "result of '-' does not fit"),
        ("a * a", "result of '[*]' does not fit"),
        ("-b", "result of '-' does not fit"),
        ("abs(b)", "result of '-' does not fit"),
        ("b // -1", "result of '//' does not fit"),
        ("a // 0", "'//' divides a whole number by 0"),
        ("a % (a - a)", "'%' divides a whole number by 0"),
    ],
)
def test_what_whole_numbers_cannot_give_is_refused(text: str, message: str) -> None:
    columns = {"a": np.array([2**63 - 1]), "b": np.array([-(2**63)])}
    with pytest.raises(ExpressionError, match=message):
        _value(text, columns, 1)


@pytest.mark.parametrize(("text", "expected"), [("1.0 * a * a", 2.0**126), ("1.0 * a // 0", _INF)])
def test_the_remedy_for_whole_numbers_works(text: str, expected: float) -> None:
    assert _value(text, {"a": np.array([2**63 - 1])}, 1).tolist() == [expected]


# Bits and logic


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ok & n", "found booleans and whole numbers: write && for logic"),
        ("n | ok", "found whole numbers and booleans"),
        ("eta & ok", "found floats and booleans"),
        ("eta | eta", "found floats and floats .*: write [|][|]"),
        ("n & 1.0", "found whole numbers and floats"),
        ("~n", "write ! or not"),
        ("~eta", "write ! or not"),
    ],
)
def test_bits_of_other_kinds_are_refused_at_their_place(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        _value(text)
    position = len(str(caught.value).split("\n")[-1]) - 3
    assert text[position] in "&|~"


@settings(deadline=None)
@given(hnp.arrays(np.int64, 4), hnp.arrays(np.int64, 4))
def test_bits_are_those_of_whole_numbers(first: np.ndarray, second: np.ndarray) -> None:
    columns = {"a": first, "b": second}
    assert _value("a & b", columns).tolist() == (first & second).tolist()
    assert _value("a | b", columns).tolist() == (first | second).tolist()


@settings(deadline=None)
@given(hnp.arrays(np.bool_, 4), hnp.arrays(np.bool_, 4))
def test_the_laws_of_de_morgan(first: np.ndarray, second: np.ndarray) -> None:
    columns = {"a": first, "b": second}
    np.testing.assert_array_equal(_value("!(a && b)", columns), _value("!a || !b", columns))
    np.testing.assert_array_equal(_value("not (a | b)", columns), _value("~a & ~b", columns))


@pytest.mark.parametrize("values", [[0.0, -0.0, 1.0, _NAN, _INF], [0, 1, -1], [True, False]])
def test_truth_is_neither_zero_nor_nan(values: list[Any]) -> None:
    assert convert_to_boolean(np.array(values)).tolist() == [
        value == value and value != 0 for value in values
    ]


# Functions, against Python's own

_PYTHON: dict[str, Callable[..., float]] = {
    "abs": abs,
    **{
        name: getattr(math, name)
        for name in [
            "sqrt", "exp", "log", "log10", "log2", "log1p", "expm1", "sin", "cos", "tan", "asin", "acos",
            "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "pow", "hypot", "floor",
            "ceil", "isnan", "isfinite",
        ]
    },
    "min": min,
    "max": max,
    "round": round,
    "sign": lambda x: (x > 0) - (x < 0),
    "where": lambda c, a, b: a if c else b,
    "clip": lambda x, low, high: min(max(x, low), high),
    "delta_phi": lambda a, b: math.remainder(a - b, 2 * math.pi),
    "pi": lambda: math.pi,
}  # fmt: skip


def test_every_function_is_compared_with_python() -> None:
    assert set(FUNCTIONS) == set(_PYTHON)


@settings(deadline=None, max_examples=20)
@given(st.data())
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_agree_with_python(name: FunctionName, data: st.DataObject) -> None:
    count = len(FUNCTIONS[name].arguments)
    arguments = data.draw(
        st.lists(st.floats(-20, 20).map(lambda x: round(x, 3)), min_size=count, max_size=count)
    )
    try:
        expected = _PYTHON[name](*arguments)
    except (ValueError, ZeroDivisionError):
        assume(False)
    names = ["x", "y", "z"][:count]
    columns = {branch: np.array([value]) for branch, value in zip(names, arguments, strict=True)}
    result = _value(f"{name}({', '.join(names)})", columns, 1)
    np.testing.assert_allclose(result, [expected], rtol=1e-12, atol=1e-13)


@settings(deadline=None)
@given(hnp.arrays(np.float64, 3, elements=st.floats(-1e3, 1e3)), st.integers(-5, 5))
def test_differences_of_angles_lie_in_one_turn_and_know_no_full_turns(phi: np.ndarray, turns: int) -> None:
    columns = {"a": phi, "b": phi[::-1] / 3, "turned": phi + 2 * np.pi * turns}
    difference = _value("delta_phi(a, b)", columns, 3)
    assert np.all(np.abs(difference) <= np.pi)
    turned = _value("delta_phi(turned, b)", columns, 3)
    np.testing.assert_allclose(np.exp(1j * difference), np.exp(1j * turned), atol=1e-9)


@settings(deadline=None)
@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5))
def test_a_difference_within_one_turn_is_untouched(first: float, second: float) -> None:
    columns = {"a": np.array([first]), "b": np.array([second])}
    assert _value("delta_phi(a, b)", columns, 1)[0] == first - second


# Laws

_FORMULAS = st.sampled_from(
    [
        "pt",
        "n - 4",
        "pt > 20 && abs(eta) < 2.4",
        "jet[1] / pt",
        "isnan(jet[0]) ? -1 : jet[0]",
        "sqrt(pt ** 2 + eta ** 2) * cos(eta) - log(n)",
        "(n & 3) == 2 || eta",
        "max(pt, eta, n) % 3",
        "2.5",
    ]
)
_EVENTS = st.integers(1, 6).flatmap(
    lambda length: st.fixed_dictionaries(
        {
            "pt": hnp.arrays(np.float32, length, elements=st.floats(width=32)),
            "eta": hnp.arrays(np.float64, length),
            "n": hnp.arrays(np.uint16, length),
            "jet": hnp.arrays(np.float32, (length, 2), elements=st.floats(width=32)),
        }
    )
)
_SENTINELS = st.sampled_from([None, -1.0, -999.9, _NAN, (-1.0, _INF)])


@settings(deadline=None, max_examples=40)
@given(_FORMULAS, _EVENTS, _SENTINELS, st.data())
def test_chunks_give_what_the_whole_gives(
    text: str, columns: dict[str, np.ndarray], sentinel: Any, data: st.DataObject
) -> None:
    expression = parse(text)
    length = len(columns["pt"])
    cut = data.draw(st.integers(0, length))
    in_one_chunk = evaluate(expression, columns, length=length, sentinel=sentinel)
    parts = [
        evaluate(
            expression,
            {name: column[part] for name, column in columns.items()},
            length=size,
            sentinel=sentinel,
        )
        for part, size in [(slice(None, cut), cut), (slice(cut, None), length - cut)]
    ]
    assert {part.dtype for part in parts} == {in_one_chunk.dtype}
    np.testing.assert_array_equal(np.concatenate(parts), in_one_chunk)


@settings(deadline=None, max_examples=40)
@given(_FORMULAS, _EVENTS, _SENTINELS, st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(
    text: str, columns: dict[str, np.ndarray], sentinel: Any, random: Any
) -> None:
    expression = parse(text)
    length = len(columns["pt"])
    order = random.sample(range(length), length)
    moved = {name: column[order] for name, column in columns.items()}
    np.testing.assert_array_equal(
        evaluate(expression, moved, length=length, sentinel=sentinel),
        evaluate(expression, columns, length=length, sentinel=sentinel)[order],
    )


_BINARY = ["+", "-", "*", "/", "//", "%", "**", "&", "|", "&&", "||", "<", "<=", "==", "!="]


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Formulas around smaller ones, of all operators and functions."""
    return st.one_of(
        st.tuples(inner, st.sampled_from(_BINARY), inner).map(lambda parts: f"({' '.join(parts)})"),
        st.tuples(st.sampled_from("+-!~"), inner).map(lambda parts: f"({''.join(parts)})"),
        st.tuples(inner, inner, inner).map(lambda parts: "({} ? {} : {})".format(*parts)),
        st.tuples(st.sampled_from(list(FUNCTIONS)), inner, inner, inner).map(
            lambda parts: f"{parts[0]}({', '.join(parts[1 : 1 + len(FUNCTIONS[parts[0]].arguments)])})"
        ),
    )


@settings(deadline=None, max_examples=200)
@given(
    st.recursive(
        st.sampled_from([*"012", "0.5", "true", "pt", "eta", "n", "k", "ok"]), _larger, max_leaves=8
    ),
    st.sampled_from([None, 0, -999.0]),
)
def test_any_formula_gives_one_value_per_event_or_is_refused(text: str, sentinel: float | None) -> None:
    expression = parse(text)
    try:
        result = evaluate(expression, _COLUMNS, length=4, sentinel=sentinel)
    except ExpressionError as error:
        message = str(error)
    else:
        message = "^"
        assert result.shape == (4,)
        assert result.dtype.name in (["float64"] if sentinel is not None else ["bool", "int64", "float64"])
    assert message.endswith("^")


@pytest.mark.parametrize("symbol", ["+", "*", "&&", "|"])
def test_a_thousand_terms_can_be_computed(symbol: str) -> None:
    text = symbol.join(["n"] * 1000)
    result = _value(text, {"n": np.array([1, 0])}, 2)
    assert result.tolist() == [1000 if symbol == "+" else 1, 0]


def test_the_deepest_expression_can_be_computed() -> None:
    assert _value("-" * 99 + "n", {"n": np.array([3])}, 1).tolist() == [-3]


def test_a_tower_of_powers_is_harmless() -> None:
    assert _value("9 ** 9 ** 9 ** 9", {}, 1).tolist() == [_INF]
