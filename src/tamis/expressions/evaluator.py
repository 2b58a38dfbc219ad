"""The value of an expression for every event, in NumPy with 64 bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from tamis.expressions.columns import Values, check_branches, load, without_sentinels
from tamis.expressions.fault import fault
from tamis.expressions.tree import (
    ArithmeticOperator,
    BitOperator,
    Bits,
    Boolean,
    Branch,
    Call,
    Chain,
    Compare,
    CompareOperator,
    Expression,
    FunctionName,
    Index,
    Leaf,
    Logic,
    Node,
    Number,
    Unary,
)

# A little below 2**63: the floats that decide about overflow are themselves rounded.
_WHOLE_LIMIT = 2.0**63 * (1 - 2.0**-50)

_ARITHMETIC: Mapping[ArithmeticOperator, np.ufunc] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.true_divide,
    "//": np.floor_divide,
    "%": np.remainder,
}
_COMPARISON: Mapping[CompareOperator, np.ufunc] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


def evaluate(
    expression: Expression,
    columns: Mapping[str, Any],
    *,
    length: int,
    sentinel: float | Sequence[float] | None = None,
) -> Values:
    """Compute an expression for every event.

    Integers become 64-bit integers and floats become 64-bit floats before any arithmetic; NumPy's warnings
    stay silent, so that the logarithm of a negative number is NaN.

    Args:
        expression: what to compute.
        columns: the columns by branch name, each a NumPy array of shape [length], or for branches with an
            index of shape [length, n], or an awkward array of `length` lists of numbers.
        length: the number of events.
        sentinel: one or more values that mean "not there": they become NaN in the branches and in the result.

    Returns:
        New array of shape [length]: bool, int64 or float64; always float64 where a sentinel is given.

    Raises:
        ExpressionError: when a branch is unknown or not of the right shape, or an operation is not possible.

    Example:
        >>> from tamis.expressions.parser import parse
        >>> evaluate(parse("n_jets - 4"), {"n_jets": np.array([3, 6], np.uint32)}, length=2)
        array([-1,  2])
        >>> evaluate(parse("eta"), {"eta": np.array([0.5, -999.0])}, length=2, sentinel=-999)
        array([0.5, nan])
    """
    check_branches(expression, columns)
    sentinels = _listed(sentinel)
    text = expression.text
    with np.errstate(all="ignore"):
        leaves = {
            leaf: load(text, leaf, columns[leaf.name], length=length, sentinels=sentinels)
            for leaf in expression.leaves
        }
        result = np.broadcast_to(_value(expression.tree, _Scope(text, leaves)), (length,))
        return without_sentinels(result, sentinels) if sentinels else result.copy()


def truth(values: Values) -> npt.NDArray[np.bool_]:
    """Read values as logic: a number is true when it is neither 0 nor NaN.

    Args:
        values: a result of `evaluate`, such as that of a selection.

    Returns:
        Array of the same shape.

    Example:
        >>> truth(np.array([0.0, 2.0, np.nan]))
        array([False,  True, False])
    """
    if values.dtype.kind == "b":
        return values.astype(np.bool_, copy=False)
    return np.asarray((values != 0) & (values == values))


def _listed(sentinel: float | Sequence[float] | None) -> tuple[float, ...]:
    """Give the sentinels as a tuple."""
    if sentinel is None:
        return ()
    return tuple(float(each) for each in np.atleast_1d(np.asarray(sentinel, np.float64)))


@dataclass(frozen=True)
class _Scope:
    """What is known while a tree is evaluated.

    Args:
        text: the expression, for messages.
        leaves: the values of the branches.
    """

    text: str
    leaves: Mapping[Leaf, Values]


def _value(node: Node, scope: _Scope) -> Values:
    """Compute a node; the result has shape [] where it depends on no branch, and [length] elsewhere."""
    match node:
        case Number(value=value) | Boolean(value=value):
            return np.asarray(value)
        case Branch() | Index():
            return scope.leaves[node]
        case Unary():
            return _unary(node, scope)
        case Chain():
            return _chain(node, scope)
        case Bits():
            return _bits(node, scope)
        case Compare():
            left, right = _value(node.left, scope), _value(node.right, scope)
            return np.asarray(_COMPARISON[node.operator](left, right))
        case Logic():
            return _logic(node, scope)
        case Call():
            return _call(node, scope)
        case _:
            assert_never(node)


def _unary(node: Unary, scope: _Scope) -> Values:
    """Compute a sign or a negation."""
    operand = _value(node.operand, scope)
    match node.operator:
        case "+":
            return _number(operand)
        case "-" if operand.dtype.kind == "f":
            return np.negative(operand)
        case "-":
            return _arithmetic("-", np.asarray(0), operand, node.at, scope)
        case "!":
            return ~truth(operand)
        case "~" if operand.dtype.kind == "b":
            return ~truth(operand)
        case "~":
            raise fault(scope.text, node.at, "'~' is for booleans, and this is a number: write ! or not")
        case _:
            assert_never(node.operator)


def _number(values: Values) -> Values:
    """Give booleans as whole numbers 0 and 1, and numbers as they are."""
    return values.astype(np.int64) if values.dtype.kind == "b" else values


def _chain(node: Chain, scope: _Scope) -> Values:
    """Compute arithmetic from left to right."""
    total = _value(node.first, scope)
    for link in node.links:
        total = _arithmetic(link.operator, total, _value(link.operand, scope), link.at, scope)
    return total


def _arithmetic(operator: ArithmeticOperator, left: Values, right: Values, at: int, scope: _Scope) -> Values:
    """Compute one arithmetic operation; whole numbers stay whole, except in a division by `/`."""
    left, right = _number(left), _number(right)
    if left.dtype.kind == "i" and right.dtype.kind == "i" and operator != "/":
        _refuse_inexact(operator, left, right, at, scope)
    return np.asarray(_ARITHMETIC[operator](left, right))


def _refuse_inexact(
    operator: ArithmeticOperator, left: Values, right: Values, at: int, scope: _Scope
) -> None:
    """Refuse operations on whole numbers whose result is not a whole number of 64 bits."""
    if operator in {"//", "%"} and np.any(right == 0):
        message = f"{operator!r} divides a whole number by 0: keep the divisor from 0 with max(divisor, 1)"
        raise fault(scope.text, at, f"{message}, or multiply it by 1.0 to get NaN or infinity")
    floats = _ARITHMETIC[operator](left.astype(np.float64), right.astype(np.float64))
    if np.any(np.abs(floats) >= _WHOLE_LIMIT):
        message = f"{operator!r} gives whole numbers that do not fit 64 bits"
        raise fault(scope.text, at, f"{message}: multiply an operand by 1.0 to compute with floats")


def _bits(node: Bits, scope: _Scope) -> Values:
    """Compute `&` or `|`: logic on booleans, bitwise on whole numbers."""
    total = _value(node.operands[0], scope)
    for operand in node.operands[1:]:
        right = _value(operand, scope)
        if total.dtype.kind != right.dtype.kind or total.dtype.kind == "f":
            raise fault(scope.text, node.at, _bits_rule(node.operator, total, right))
        operation = np.bitwise_and if node.operator == "&" else np.bitwise_or
        total = np.asarray(operation(total, right))
    return total


def _bits_rule(operator: BitOperator, left: Values, right: Values) -> str:
    """Say what `&` and `|` need, and what they found."""
    kinds = f"{_kind(left)} and {_kind(right)}"
    why = " (a branch with an index or a sentinel counts as floats)" if "floats" in kinds else ""
    rule = f"{operator!r} needs two booleans or two whole numbers, found {kinds}{why}"
    return f"{rule}: write {operator * 2} for logic"


def _kind(values: Values) -> str:
    """Say in words what values are."""
    return {"b": "booleans", "i": "whole numbers"}.get(values.dtype.kind, "floats")


def _logic(node: Logic, scope: _Scope) -> Values:
    """Compute `&&` or `||`."""
    operation = np.logical_and if node.operator == "&&" else np.logical_or
    total = truth(_value(node.operands[0], scope))
    for operand in node.operands[1:]:
        total = np.asarray(operation(total, truth(_value(operand, scope))))
    return total


def _call(node: Call, scope: _Scope) -> Values:
    """Compute a function of its arguments."""
    arguments = [_value(argument, scope) for argument in node.arguments]
    match node.function:
        case "where":
            condition, yes, no = arguments
            return np.where(truth(condition), yes, no)
        case "abs" if arguments[0].dtype.kind != "f":
            negative = _arithmetic("-", np.asarray(0), arguments[0], node.at, scope)
            return np.maximum(negative, _number(arguments[0]))
        case _:
            return np.asarray(_IMPLEMENTATIONS[node.function](*(_number(each) for each in arguments)))


def _floating(function: Callable[..., Any]) -> Callable[..., Values]:
    """Make a function compute in floats of 64 bits."""
    return lambda *arguments: np.asarray(function(*(each.astype(np.float64) for each in arguments)))


def _rounding(function: np.ufunc) -> Callable[[Values], Values]:
    """Make a function leave whole numbers as they are."""
    return lambda values: values if values.dtype.kind == "i" else np.asarray(function(values))


def _clip(values: Values, low: Values, high: Values) -> Values:
    """Keep values between two limits; NaN stays NaN."""
    return np.asarray(np.minimum(np.maximum(values, low), high))


def _delta_phi(first: Values, second: Values) -> Values:
    """Bring the difference of two angles into [-pi, pi], leaving those that lie there untouched."""
    difference = first - second
    turns = np.floor((difference + np.pi) / (2 * np.pi))
    return np.asarray(np.clip(difference - 2 * np.pi * turns, -np.pi, np.pi))


_IMPLEMENTATIONS: Mapping[FunctionName, Callable[..., Values]] = {
    "abs": np.abs,
    "sqrt": _floating(np.sqrt),
    "exp": _floating(np.exp),
    "log": _floating(np.log),
    "log10": _floating(np.log10),
    "log2": _floating(np.log2),
    "log1p": _floating(np.log1p),
    "expm1": _floating(np.expm1),
    "sin": _floating(np.sin),
    "cos": _floating(np.cos),
    "tan": _floating(np.tan),
    "asin": _floating(np.arcsin),
    "acos": _floating(np.arccos),
    "atan": _floating(np.arctan),
    "atan2": _floating(np.arctan2),
    "sinh": _floating(np.sinh),
    "cosh": _floating(np.cosh),
    "tanh": _floating(np.tanh),
    "asinh": _floating(np.arcsinh),
    "acosh": _floating(np.arccosh),
    "atanh": _floating(np.arctanh),
    "min": lambda *arguments: reduce(np.minimum, arguments),
    "max": lambda *arguments: reduce(np.maximum, arguments),
    "pow": _floating(np.power),
    "hypot": _floating(np.hypot),
    "floor": _rounding(np.floor),
    "ceil": _rounding(np.ceil),
    "round": _rounding(np.rint),
    "sign": np.sign,
    "isnan": np.isnan,
    "isfinite": np.isfinite,
    "clip": _clip,
    "delta_phi": _floating(_delta_phi),
    "pi": lambda: np.asarray(np.pi),
}
