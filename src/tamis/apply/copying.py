"""A copy of the input with the scores beside its branches: flat branches, which are copied without any loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.apply.outputs import Format, check_names
from tamis.data.parquet_files import is_parquet
from tamis.data.schema import BranchType, FileSchema
from tamis.errors import InputError, Problem

_TRUNCATED = ("Double32_t", "Float16_t", "real32_t", "real16_t")


def copied_types(
    schema: FileSchema, added: Mapping[str, np.dtype[Any]], form: Format
) -> dict[str, np.dtype[Any]]:
    """Give the branches that are copied, and their types.

    Args:
        schema: the input.
        added: the columns that stand beside them.
        form: the format of the copy, which must be that of the input.

    Raises:
        InputError: with every branch that cannot be copied as it is.
    """
    found = format_of(schema)
    if found != form:
        message = f"a copy has the format of its input, which is {found}: leave out --format, or --copy"
        raise InputError("copy", [Problem(schema.where, message)])
    problems = [
        Problem(schema.where, message)
        for name, kind in schema.branches.items()
        if (message := _obstacle(name, kind, added))
    ]
    if problems:
        raise InputError("copy", problems)
    check_names(list(schema.branches), form)
    return {name: np.dtype(kind.number) for name, kind in schema.branches.items()}


def _obstacle(name: str, kind: BranchType, added: Mapping[str, Any]) -> str:
    if name in added:
        return f"branch {name!r} has the name of a column that is added; leave out --copy"
    if kind.kind != "scalar" or kind.found.removeprefix("std::") in _TRUNCATED:
        return f"branch {name!r} ({kind.found}) is not one plain number per event; leave out --copy"
    return ""


def format_of(schema: FileSchema) -> Format:
    """Tell in which format a file is."""
    if is_parquet(schema.source):
        return "parquet"
    import uproot

    with uproot.open({schema.source.path: None}) as file:
        return "ttree" if isinstance(file[schema.tree], uproot.TTree) else "rntuple"


def copied_columns(
    columns: Mapping[str, Any], types: Mapping[str, np.dtype[Any]], where: str
) -> dict[str, NDArray[Any]]:
    """Take the columns that are copied out of a chunk.

    Raises:
        InputError: a column holds nulls, which became NaN when they were read.
    """
    for name, kind in types.items():
        if columns[name].dtype != kind:
            message = (
                f"branch {name!r} holds values that are not there, and cannot be copied; leave out --copy"
            )
            raise InputError("copy", [Problem(where, message)])
    return {name: columns[name] for name in types}
