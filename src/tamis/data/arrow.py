"""Columns of Arrow as arrays: nulls, and columns that are a part of another."""

from __future__ import annotations

from typing import Any

import numpy as np

from tamis.data.schema import BranchType
from tamis.errors import InputError, Problem

_EXACT = 2**53
"""Whole numbers up to it are the same in floats of 64 bits."""


def from_arrow(column: Any) -> Any:
    """Give an awkward array of a column, with None where a value is null.

    The column is copied first. Of one that is a part of another, awkward (2.14) takes the values from where the part
    begins, but which of them are null from the beginning of the whole: values would be lost, and others appear.

    Args:
        column: an array or a chunked array of Arrow.

    >>> import pyarrow as pa
    >>> from_arrow(pa.array([1.5, 2.5, None]).slice(1)).to_list()
    [2.5, None]
    """
    import awkward
    import pyarrow as pa

    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return awkward.from_arrow(pa.concat_arrays(chunks) if chunks else pa.array([], column.type))


def without_nulls(column: Any, kind: BranchType, where: str) -> Any:
    """Give a column as NumPy or awkward array; null becomes NaN, the one spelling of "not there" behind this point.

    Args:
        column: an array or a chunked array of Arrow.
        kind: of the branch.
        where: file and branch, for the message.

    Raises:
        InputError: whole numbers that 64-bit floats cannot hold stand beside nulls.
    """
    import awkward

    if kind.kind == "scalar" and not column.null_count:
        return np.asarray(column)
    array = from_arrow(column)
    if kind.kind != "scalar":
        filled = awkward.fill_none(array, np.nan, axis=-1)
        return awkward.fill_none(filled, [], axis=0)
    whole = awkward.to_numpy(awkward.drop_none(array))
    if whole.dtype.kind in "iu" and ((whole > _EXACT) | (whole < -_EXACT)).any():
        message = (
            f"holds nulls and whole numbers above 2^53 ({whole[np.abs(whole.astype(float)).argmax()]}), which become "
            "inexact beside them; write the file without nulls in this branch"
        )
        raise InputError("input files", [Problem(where, message)])
    return awkward.to_numpy(awkward.fill_none(awkward.values_astype(array, np.float64), np.nan))
