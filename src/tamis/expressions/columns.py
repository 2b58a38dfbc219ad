"""From columns of any number type to arrays of 64 bits, one value per event."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from tamis.errors import ExpressionError
from tamis.expressions.fault import fault, nearest
from tamis.expressions.functions import SPELLINGS
from tamis.expressions.parser import spell_branch
from tamis.expressions.tree import Branch, Expression, Index, Leaf

Values: TypeAlias = npt.NDArray[np.bool_ | np.int64 | np.float64]
"""What expressions compute with: booleans, whole numbers or floats of 64 bits."""

_LARGEST_WHOLE = np.iinfo(np.int64).max


class _UnsuitableColumnError(Exception):
    """A column does not hold what the expression takes from it."""


def check_branches(expression: Expression, available: Collection[str]) -> None:
    """Check that all branches of an expression exist.

    Args:
        expression: what is to be evaluated.
        available: the names of the branches that there are.

    Raises:
        ExpressionError: when branches are unknown; each is told with the names nearest to it.

    Example:
        >>> from tamis.expressions.parser import parse
        >>> check_branches(parse("pt > 20"), ["pt", "eta"])
    """
    first_use = {leaf.name: leaf.at for leaf in reversed(expression.leaves)}
    unknown = sorted((at, name) for name, at in first_use.items() if name not in available)
    if unknown:
        faults = [fault(expression.text, at, _unknown_branch(name, available)) for at, name in unknown]
        raise ExpressionError("\n".join(str(each) for each in faults))


def _unknown_branch(name: str, available: Collection[str]) -> str:
    """Say what to write instead of a branch that does not exist."""
    if name in SPELLINGS:
        return f"there is no branch {name!r}; the function needs brackets: {name}(...)"
    return f"there is no branch {name!r}: {nearest(name, available)}"


def load(text: str, leaf: Leaf, column: object, *, length: int, sentinels: tuple[float, ...]) -> Values:
    """Take the values of one branch, or of one element of it, out of a column.

    Args:
        text: the expression, for messages.
        leaf: the use of the branch.
        column: a NumPy or awkward array, or what NumPy makes an array of.
        length: the number of events.
        sentinels: values that stand for "not there" and become NaN.

    Returns:
        Array of shape [length]. Floats where the branch is indexed, or where its type can hold a sentinel.

    Raises:
        ExpressionError: when the column has another length, another number of dimensions or no numbers.

    Example:
        >>> load("n - 4", Branch("n"), np.array([1], np.uint32), length=1, sentinels=())
        array([1])
    """
    try:
        raw = _one_per_event(leaf, _array(column), length)
        values = _widened(raw)
    except _UnsuitableColumnError as problem:
        raise fault(text, leaf.at, f"the branch {leaf.name!r} {problem}") from None
    if isinstance(leaf, Index):
        values = values.astype(np.float64)
    matching = tuple(sentinel for sentinel in sentinels if _can_hold(raw.dtype, sentinel))
    return without_sentinels(values, matching) if matching else values


def without_sentinels(values: Values, sentinels: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Put NaN in the place of values that mean "not there".

    A sentinel rounded to 32 bits counts as well, so that -999.9 is found in a branch of either precision.

    Args:
        values: array of any shape.
        sentinels: the values that mean "not there".

    Returns:
        A new array of the same shape.

    Example:
        >>> without_sentinels(np.array([1.0, np.float32(-999.9)]), (-999.9,))
        array([ 1., nan])
    """
    floats = values.astype(np.float64)
    missing = np.zeros(floats.shape, np.bool_)
    for sentinel in sentinels:
        missing |= floats == sentinel
        narrow = np.float64(sentinel).astype(np.float32)
        # whole numbers are exact; 32 bits must be able to tell the sentinel from 0 and infinity; and other values of
        # 64 bits that round to the sentinel, such as a date beside it, are there
        if values.dtype.kind == "f" and np.isfinite(narrow) and narrow != 0:
            missing |= floats == np.float64(narrow)
    floats[missing] = np.nan
    return floats


def _can_hold(dtype: np.dtype[Any], sentinel: float) -> bool:
    """Say whether a branch of this type can hold a sentinel; the answer is the same for every chunk."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return float(sentinel).is_integer() and limits.min <= sentinel <= limits.max
    return dtype.kind == "f" or sentinel in (0, 1)


def _array(column: object) -> Any:
    """Give a NumPy array, or an awkward array where events differ in their number of elements."""
    if isinstance(column, np.ndarray):
        return column
    import awkward

    try:
        if not isinstance(column, awkward.Array):
            return np.asarray(column)
        one_shape = column.ndim == 1 or column.layout.purelist_isregular
        return awkward.to_numpy(column) if one_shape else column
    except (TypeError, ValueError):
        raise _UnsuitableColumnError("holds values of several kinds, which cannot be computed with") from None


def _one_per_event(leaf: Leaf, array: Any, length: int) -> npt.NDArray[Any]:
    """Give an array of shape [length] of the type of the column, masked where an event has no value."""
    if array.ndim == 0 or len(array) != length:
        entries = "a single entry" if array.ndim == 0 else f"{len(array)} entries"
        raise _UnsuitableColumnError(
            f"has {entries}, but there are {length} events: give one entry per event"
        )
    match leaf:
        case Branch():
            if array.ndim != 1:
                first = f"{spell_branch(leaf.name)}[0]"
                raise _UnsuitableColumnError(f"holds several values per event: write {first} for the first")
            return np.asanyarray(array)
        case Index(position=position):
            return _element(array, position)
        case _:
            assert_never(leaf)


def _element(array: Any, position: int) -> npt.NDArray[Any]:
    """Give the element at one position of every event."""
    if array.ndim == 1:
        raise _UnsuitableColumnError("holds one value per event: leave the index out")
    if array.ndim > 2:
        raise _UnsuitableColumnError(
            f"has {array.ndim - 1} indices per event: only branches with one can be used"
        )
    if not isinstance(array, np.ndarray):
        return _jagged_element(array, position)
    if position >= array.shape[1]:
        found = f"holds {array.shape[1]} values in every event"
        raise _UnsuitableColumnError(f"{found}, so [{position}] is never there: count from 0")
    return np.asanyarray(array[:, position])


def _jagged_element(array: Any, position: int) -> npt.NDArray[Any]:
    """Give the element at one position of every event that has it, masked elsewhere."""
    import awkward

    there = awkward.to_numpy(awkward.fill_none(awkward.num(array, axis=1), 0)) > position
    try:
        found = awkward.to_numpy(array[there][:, position])
    except (TypeError, ValueError):
        raise _UnsuitableColumnError("holds values of several kinds, which cannot be computed with") from None
    data = np.zeros(len(array), found.dtype)
    data[there] = np.ma.getdata(found)
    missing = ~there
    missing[there] = np.ma.getmaskarray(found)
    return np.ma.MaskedArray(data, mask=missing)


def _widened(raw: npt.NDArray[Any]) -> Values:
    """Give booleans, whole numbers or floats of 64 bits; what is masked becomes NaN."""
    if raw.dtype.kind not in "biuf":
        message = f"holds {raw.dtype.name}, not numbers: choose another branch"
        raise _UnsuitableColumnError(message)
    if isinstance(raw, np.ma.MaskedArray):
        return np.asarray(np.ma.filled(raw.astype(np.float64), np.nan))
    match raw.dtype.kind:
        case "b":
            return raw
        case "f":
            return raw.astype(np.float64, copy=False)
        case _:
            if raw.dtype == np.uint64 and np.any(raw > _LARGEST_WHOLE):
                rule = f"holds whole numbers above {_LARGEST_WHOLE}, the largest with a sign in 64 bits"
                raise _UnsuitableColumnError(
                    f"{rule}: it can identify an event (split.by, split.folds.by) as it is, without a formula around "
                    "it; for anything else, store it in another type"
                )
            return raw.astype(np.int64, copy=False)
