"""Columns of events in NumPy, awkward, pandas, polars or Arrow, and the features of a classifier from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tamis.arrays import Features
from tamis.config import Feature
from tamis.data.parquet_files import convert_arrow
from tamis.errors import ExpressionError, RequestError
from tamis.expressions import collect_branches, evaluate, parse
from tamis.wording import counted, join_first, suggest


def feature_values(features: Sequence[Feature], events: Any, unresolved: Collection[str] = ()) -> Features:
    """Compute the features of events, [n, n_features], NaN if missing; `Classifier.predict` lists the types of events.

    The result has 64 bits if 32 do not resolve a feature (`unresolved`).

    Raises:
        RequestError: a column is missing, has another length or several values per event, or a feature without a
            `missing` rule has no value in an event.
    """
    expressions = [parse(feature.expression) for feature in features]
    branches = sorted(collect_branches(expressions))
    used = take_columns(events, branches)
    lengths = {name: len(values) for name, values in used.items()}
    if len(set(lengths.values())) > 1:
        raise RequestError(f"the columns have different numbers of events: {lengths}")
    length = next(iter(lengths.values()))
    matrix = np.empty((length, len(features)), np.float64 if unresolved else np.float32)
    for index, (feature, expression) in enumerate(zip(features, expressions, strict=True)):
        try:
            column = evaluate(expression, used, sentinel=feature.missing, length=length)
        except ExpressionError as error:
            raise RequestError(
                f"feature {feature.name!r} cannot be computed from these events: {error}"
            ) from error
        with np.errstate(over="ignore"):
            matrix[:, index] = column if feature.name in unresolved else column.astype(np.float32)
    matrix[~np.isfinite(matrix)] = np.nan
    for feature, missing in zip(features, np.isnan(matrix).T, strict=True):
        if feature.missing is None and missing.any():
            number = counted(int(missing.sum()), "event")
            raise RequestError(
                f"feature {feature.name!r} is not a finite number of 32 bits in {number}, first in row "
                f"{int(np.flatnonzero(missing)[0])}; the classifier was trained without a rule for missing values. "
                "Remove these events"
            )
    return matrix


def take_columns(events: Any, names: Sequence[str]) -> dict[str, Any]:
    """Take columns of events by name, as NumPy or awkward arrays, masked if an event has no value.

    A `RequestError` names each missing column with the most similar name.

    >>> take_columns({"pt": [40.0, None]}, ["pt"])["pt"].tolist()
    [40.0, None]
    """
    available = column_names(events)
    missing = [name for name in names if name not in available]
    if missing:
        hints = "".join(dict.fromkeys(suggest(name, available) for name in missing))
        raise RequestError(
            f"the classifier needs the columns {', '.join(missing)}; found {join_first(available, 20) or 'none'}{hints}"
        )
    return {name: _column(events, name) for name in names}


def column_names(events: Any) -> list[str]:
    """Return the names of the columns of events; raise a RequestError if they have no names."""
    if isinstance(events, Mapping):
        return [str(name) for name in events]
    # an awkward array has fields, an Arrow table column_names, a DataFrame columns, a structured array a type
    for attribute in ("fields", "column_names", "columns"):
        names = getattr(events, attribute, None)
        if names is not None and all(isinstance(name, str) for name in names):
            return list(names)
    names = getattr(getattr(events, "dtype", None), "names", None)
    if names is None:
        raise RequestError(
            f"events need columns with names, and {type(events).__name__} has none; pass a dictionary of arrays, an "
            "awkward record array, a DataFrame or an Arrow table"
        )
    return list(names)


def _column(events: Any, name: str) -> Any:
    expected = "expected an array with one number, or one list of numbers, for each event"
    try:
        if isinstance(events[name], int | float | np.number):
            raise TypeError(f"it is one number; for one event put it into brackets, [{events[name]}]")
        column = _array(events[name])
        len(column)
    except RequestError:
        raise
    except (TypeError, ValueError, OverflowError, KeyError, IndexError, AttributeError) as error:
        # raised by the library of the column, or by a value in it
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise RequestError(f"column {name!r} cannot be used ({reason}); {expected}") from error
    return column


def _array(column: Any) -> Any:
    """Return an array for expressions, of the same type; None, null and NA are masked."""
    if hasattr(column, "to_arrow"):  # polars
        column = column.to_arrow()
    if hasattr(column, "to_numpy") and hasattr(column, "dtype"):  # pandas
        plain = isinstance(column.dtype, np.dtype) and column.dtype.kind != "O"
        return column.to_numpy() if plain else convert_arrow(_arrow(column))
    if hasattr(column, "null_count"):
        return convert_arrow(column)
    if hasattr(column, "layout") or (isinstance(column, np.ndarray) and column.dtype.kind != "O"):
        return column
    is_jagged = isinstance(column, Sequence) and any(isinstance(value, Sequence) for value in column)
    array = None if is_jagged else np.asarray(column)
    return array if array is not None and array.dtype.kind != "O" else convert_arrow(_arrow(column))


def _arrow(column: Any) -> Any:
    import pyarrow as pa

    try:
        return pa.array(column, from_pandas=True)
    except (pa.ArrowException, TypeError) as error:
        raise RequestError(
            f"a column has values of several types, which are not numbers ({error})"
        ) from error
