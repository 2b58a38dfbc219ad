"""Columns of any number type as arrays of 64 bits, with one value per event."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tamis.errors import ExpressionError
from tamis.expressions.diagnostic import build_error, suggest_names
from tamis.expressions.functions import ALIASES
from tamis.expressions.parser import format_branch
from tamis.expressions.tree import Expression, Index, Leaf

Values: TypeAlias = npt.NDArray[np.bool_ | np.int64 | np.float64]
"""Values of expressions: booleans, 64-bit integers or 64-bit floats."""

_LARGEST_INTEGER = np.iinfo(np.int64).max
_MIXED = "holds values of several kinds: choose a branch of numbers"


class _UnsuitableColumnError(Exception):
    """A column has the wrong type, shape or length for its use in an expression."""


def check_branches(expression: Expression, available: Collection[str]) -> None:
    """Check that all branches of an expression exist; an `ExpressionError` suggests similar names."""
    first_use = {leaf.name: leaf.at for leaf in reversed(expression.leaves)}
    unknown = sorted((at, name) for name, at in first_use.items() if name not in available)
    if unknown:
        errors = []
        for at, name in unknown:
            remedy = f": {suggest_names(name, available)}"
            if name in ALIASES:
                remedy = f"; the function needs brackets: {name}(...)"
            errors.append(str(build_error(expression.text, at, f"there is no branch {name!r}{remedy}")))
        raise ExpressionError("\n".join(errors))


def load_values(
    text: str, leaf: Leaf, column: object, *, length: int, sentinels: tuple[float, ...]
) -> Values:
    """Return the values of one branch, or of one element of it, from a column, [length]; sentinels become NaN.

    The column is a NumPy or awkward array, or an object that NumPy converts to an array. The text is that of the
    expression, for messages. The values are floats if the branch is indexed, or if its type can hold a sentinel.

    Raises:
        ExpressionError: the column has a wrong length or number of dimensions, or holds no numbers.
    """
    try:
        raw = _one_per_event(leaf, _array(column), length)
        values = _widened(raw)
    except _UnsuitableColumnError as problem:
        raise build_error(text, leaf.at, f"the branch {leaf.name!r} {problem}") from None
    if isinstance(leaf, Index):
        values = values.astype(np.float64)
    matching = tuple(sentinel for sentinel in sentinels if _can_hold(raw.dtype, sentinel))
    return replace_sentinels(values, matching) if matching else values


def replace_sentinels(values: Values, sentinels: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Replace sentinels by NaN, in a new array.

    A sentinel rounded to 32 bits is replaced as well, so that -999.9 is recognised in a branch of either precision.

    >>> replace_sentinels(np.array([1.0, np.float32(-999.9)]), (-999.9,))
    array([ 1., nan])
    """
    floats = values.astype(np.float64)
    missing = np.zeros(floats.shape, np.bool_)
    for sentinel in sentinels:
        missing |= floats == sentinel
        narrow = np.float64(sentinel).astype(np.float32)
        # integers are exact; in 32 bits the sentinel must differ from 0 and infinity; and other 64-bit values that
        # round to the sentinel, such as adjacent dates, are not missing
        if values.dtype.kind == "f" and np.isfinite(narrow) and narrow != 0:
            missing |= floats == np.float64(narrow)
    floats[missing] = np.nan
    return floats


def _can_hold(dtype: np.dtype[Any], sentinel: float) -> bool:
    """Return whether a branch of this type can hold a sentinel, whatever its values in one chunk."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return float(sentinel).is_integer() and limits.min <= sentinel <= limits.max
    return dtype.kind == "f" or sentinel in (0, 1)


def _array(column: object) -> Any:
    """Convert a column to NumPy, or to awkward if events have different numbers of elements."""
    if isinstance(column, np.ndarray):
        return column
    import awkward

    try:
        if not isinstance(column, awkward.Array):
            return np.asarray(column)
        one_shape = column.ndim == 1 or column.layout.purelist_isregular
        return awkward.to_numpy(column) if one_shape else column
    except (TypeError, ValueError):
        raise _UnsuitableColumnError(_MIXED) from None


def _one_per_event(leaf: Leaf, array: Any, length: int) -> npt.NDArray[Any]:
    """Return an array of shape [length] with the type of the column, masked if an event has no value."""
    if array.ndim == 0 or len(array) != length:
        entries = "a single entry" if array.ndim == 0 else f"{len(array)} entries"
        raise _UnsuitableColumnError(
            f"has {entries}, but there are {length} events: give one entry per event"
        )
    if isinstance(leaf, Index):
        return _element(array, leaf.position)
    if array.ndim != 1:
        first = f"{format_branch(leaf.name)}[0]"
        raise _UnsuitableColumnError(f"holds several values per event: write {first} for the first")
    return np.asanyarray(array)


def _element(array: Any, position: int) -> npt.NDArray[Any]:
    """Return the element at one position of every event."""
    if array.ndim == 1:
        raise _UnsuitableColumnError("holds one value per event: remove the index")
    if array.ndim > 2:
        raise _UnsuitableColumnError(
            f"has {array.ndim - 1} indices per event: choose a branch with one index"
        )
    if not isinstance(array, np.ndarray):
        return _jagged_element(array, position)
    if position >= array.shape[1]:
        raise _UnsuitableColumnError(
            f"holds {array.shape[1]} values in every event, so [{position}] never exists: count from 0"
        )
    return np.asanyarray(array[:, position])


def _jagged_element(array: Any, position: int) -> npt.NDArray[Any]:
    """Return the element at one position of every event, masked if it does not exist."""
    import awkward

    has_element = awkward.to_numpy(awkward.fill_none(awkward.num(array, axis=1), 0)) > position
    try:
        elements = awkward.to_numpy(array[has_element][:, position])
    except (TypeError, ValueError):
        raise _UnsuitableColumnError(_MIXED) from None
    data = np.zeros(len(array), elements.dtype)
    data[has_element] = np.ma.getdata(elements)
    missing = ~has_element
    missing[has_element] = np.ma.getmaskarray(elements)
    return np.ma.MaskedArray(data, mask=missing)


def _widened(raw: npt.NDArray[Any]) -> Values:
    """Convert to booleans, 64-bit integers or 64-bit floats, with NaN for masked values."""
    if raw.dtype.kind not in "biuf":
        raise _UnsuitableColumnError(f"holds {raw.dtype.name}, not numbers: choose another branch")
    if isinstance(raw, np.ma.MaskedArray):
        return np.asarray(np.ma.filled(raw.astype(np.float64), np.nan))
    if raw.dtype == np.uint64 and np.any(raw > _LARGEST_INTEGER):
        raise _UnsuitableColumnError(
            f"holds whole numbers above {_LARGEST_INTEGER}, the largest signed one in 64 bits: it can only be used by "
            "itself in split.event_id and split.folds.by; for anything else, store it in another type"
        )
    if raw.dtype.kind == "b":
        return raw
    return raw.astype(np.float64 if raw.dtype.kind == "f" else np.int64, copy=False)
