"""Evaluation of expressions for every event, with NumPy in 64 bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

import tamis.expressions.tree as tree
from tamis.expressions.columns import Values, check_branches, load_values, replace_sentinels
from tamis.expressions.diagnostic import build_error
from tamis.expressions.functions import FUNCTIONS
from tamis.expressions.tree import ArithmeticOperator, CompareOperator, Expression, Node

# slightly below 2**63, because the floats in the check for overflow are rounded
_INTEGER_LIMIT = 2.0**63 * (1 - 2.0**-50)

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

    Integers become 64-bit integers and floats become 64-bit floats before any arithmetic; there are no warnings, so
    that the logarithm of a negative number is NaN.

    Args:
        expression: the expression.
        columns: a column for each branch: [length], or for branches with an index [length, n] or an awkward array of
            `length` lists of numbers.
        length: number of events.
        sentinel: one or more values that mark a missing value; they become NaN in the branches and in the result.

    Returns:
        New array of shape [length]: bool, int64 or float64; always float64 with a sentinel.

    Raises:
        ExpressionError: a branch is unknown or does not have the right shape, or an operation is not possible.

    >>> from tamis.expressions.parser import parse
    >>> evaluate(parse("n_jets - 4"), {"n_jets": np.array([3, 6], np.uint32)}, length=2)
    array([-1,  2])
    >>> evaluate(parse("eta"), {"eta": np.array([0.5, -999.0])}, length=2, sentinel=-999)
    array([0.5, nan])
    """
    check_branches(expression, columns)
    sentinels = () if sentinel is None else tuple(np.atleast_1d(np.asarray(sentinel, np.float64)).tolist())
    text = expression.text
    with np.errstate(all="ignore"):
        leaves = {
            leaf: load_values(text, leaf, columns[leaf.name], length=length, sentinels=sentinels)
            for leaf in expression.leaves
        }
        result = np.broadcast_to(_value(expression.tree, _Scope(text, leaves)), (length,))
        return replace_sentinels(result, sentinels) if sentinels else result.copy()


def convert_to_boolean(values: Values) -> npt.NDArray[np.bool_]:
    """Convert values to booleans: a number is true if it is neither 0 nor NaN.

    >>> convert_to_boolean(np.array([0.0, 2.0, np.nan]))
    array([False,  True, False])
    """
    if values.dtype.kind == "b":
        return values.astype(np.bool_, copy=False)
    # NaN is not equal to itself
    return np.asarray((values != 0) & (values == values))


@dataclass(frozen=True)
class _Scope:
    """The text of an expression, for messages, and the values of its branches."""

    text: str
    leaves: Mapping[tree.Leaf, Values]


def _value(node: Node, scope: _Scope) -> Values:
    """Compute a node; the result has shape [] if it depends on no branch, otherwise [length]."""
    match node:
        case tree.Number(value=value) | tree.Boolean(value=value):
            return np.asarray(value)
        case tree.Branch() | tree.Index():
            return scope.leaves[node]
        case tree.Unary():
            return _unary(node, scope)
        case tree.Chain():
            total = _value(node.first, scope)
            for link in node.links:
                total = _arithmetic(link.operator, total, _value(link.operand, scope), link.at, scope)
            return total
        case tree.Bits():
            return _bits(node, scope)
        case tree.Compare():
            first, second = _value(node.first, scope), _value(node.second, scope)
            return np.asarray(_COMPARISON[node.operator](first, second))
        case tree.Logic():
            operation = np.logical_and if node.operator == "&&" else np.logical_or
            # one operand at a time, so that only two are in memory
            return reduce(operation, (convert_to_boolean(_value(part, scope)) for part in node.operands))
        case tree.Call():
            return _call(node, scope)
        case _:
            assert_never(node)


def _unary(node: tree.Unary, scope: _Scope) -> Values:
    operand = _value(node.operand, scope)
    match node.operator:
        case "+":
            return _number(operand)
        case "-" if operand.dtype.kind == "f":
            return np.negative(operand)
        case "-":
            return _arithmetic("-", np.asarray(0), operand, node.at, scope)
        case "~" if operand.dtype.kind != "b":
            raise build_error(
                scope.text, node.at, "'~' is for booleans, and this is a number: write ! or not"
            )
        case "!" | "~":
            return ~convert_to_boolean(operand)
        case _:
            assert_never(node.operator)


def _number(values: Values) -> Values:
    """Convert booleans to integers 0 and 1; numbers are unchanged."""
    return values.astype(np.int64) if values.dtype.kind == "b" else values


def _arithmetic(
    operator: ArithmeticOperator, first: Values, second: Values, at: int, scope: _Scope
) -> Values:
    """Compute one arithmetic operation; integers give integers, except for `/`."""
    first, second = _number(first), _number(second)
    if first.dtype.kind == "i" and second.dtype.kind == "i" and operator != "/":
        _check_exact(operator, first, second, at, scope)
    return np.asarray(_ARITHMETIC[operator](first, second))


def _check_exact(operator: ArithmeticOperator, first: Values, second: Values, at: int, scope: _Scope) -> None:
    """Check that an operation on integers does not overflow 64 bits or divide by zero."""
    if operator in {"//", "%"} and np.any(second == 0):
        message = (
            f"{operator!r} divides a whole number by 0: write max(divisor, 1), or multiply the divisor by 1.0"
        )
        raise build_error(scope.text, at, f"{message} to get NaN or infinity")
    floats = _ARITHMETIC[operator](first.astype(np.float64), second.astype(np.float64))
    if np.any(np.abs(floats) >= _INTEGER_LIMIT):
        message = f"the result of {operator!r} does not fit a whole number of 64 bits"
        raise build_error(scope.text, at, f"{message}: multiply an operand by 1.0 to compute with floats")


def _bits(node: tree.Bits, scope: _Scope) -> Values:
    """Compute `&` or `|`: logical for booleans, bitwise for integers."""
    total = _value(node.operands[0], scope)
    for operand in node.operands[1:]:
        operand_values = _value(operand, scope)
        if total.dtype.kind != operand_values.dtype.kind or total.dtype.kind == "f":
            names = {"b": "booleans", "i": "whole numbers", "f": "floats"}
            kinds = f"{names[total.dtype.kind]} and {names[operand_values.dtype.kind]}"
            reason = " (a branch with an index or a sentinel counts as floats)" if "floats" in kinds else ""
            message = f"{node.operator!r} needs two booleans or two whole numbers, found {kinds}{reason}"
            raise build_error(scope.text, node.at, f"{message}: write {node.operator * 2} for logic")
        operation = np.bitwise_and if node.operator == "&" else np.bitwise_or
        total = np.asarray(operation(total, operand_values))
    return total


def _call(node: tree.Call, scope: _Scope) -> Values:
    arguments = [_value(argument, scope) for argument in node.arguments]
    match node.function:
        case "where":
            condition, if_true, if_false = arguments
            return np.where(convert_to_boolean(condition), if_true, if_false)
        case "abs" if arguments[0].dtype.kind != "f":
            negative = _arithmetic("-", np.asarray(0), arguments[0], node.at, scope)
            return np.maximum(negative, _number(arguments[0]))
        case _:
            compute = FUNCTIONS[node.function].compute
            return np.asarray(compute(*(_number(values) for values in arguments)))
