"""A copy of the input with the scores beside its branches, all of which must be copied without loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.apply.outputs import ScoreFileFormat, check_column_names
from tamis.data.parquet_files import is_parquet
from tamis.data.schema import BranchType, FileSchema
from tamis.errors import InputError, Problem

_TRUNCATED = ("Double32_t", "Float16_t", "real32_t", "real16_t")


def select_copied_types(
    schema: FileSchema, added: Mapping[str, np.dtype[Any]], form: ScoreFileFormat
) -> dict[str, np.dtype[Any]]:
    """Return the type of each branch to copy beside the added columns.

    Raises:
        InputError: branches cannot be copied without loss, or the format is not that of the input.
    """
    input_format = read_format(schema)
    if input_format != form:
        message = f"--copy keeps the format of the input, {input_format}; leave out --format, or --copy"
        raise InputError("copy", [Problem(schema.where, message)])
    problems = [
        Problem(schema.where, message)
        for name, kind in schema.branches.items()
        if (message := _explain_refusal(name, kind, added))
    ]
    if problems:
        raise InputError("copy", problems)
    check_column_names(list(schema.branches), form)
    return {name: np.dtype(kind.number) for name, kind in schema.branches.items()}


def _explain_refusal(name: str, kind: BranchType, added: Mapping[str, Any]) -> str:
    if name in added:
        return f"branch {name!r} has the name of a score column; leave out --copy"
    if kind.kind != "scalar" or kind.type_name.removeprefix("std::") in _TRUNCATED:
        return f"branch {name!r} ({kind.type_name}) is not one plain number per event; leave out --copy"
    return ""


def read_format(schema: FileSchema) -> ScoreFileFormat:
    """Return the format of a file."""
    if is_parquet(schema.source):
        return "parquet"
    import uproot

    with uproot.open({schema.source.path: None}) as file:
        return "ttree" if isinstance(file[schema.tree], uproot.TTree) else "rntuple"


def select_copied_columns(
    columns: Mapping[str, Any], types: Mapping[str, np.dtype[Any]], where: str
) -> dict[str, NDArray[Any]]:
    """Select the columns of a chunk that are copied; raise an `InputError` if one holds nulls, which became NaN."""
    for name, kind in types.items():
        if columns[name].dtype != kind:
            # integers and booleans with nulls were read as floats
            message = f"branch {name!r} holds nulls and cannot be copied without loss; leave out --copy"
            raise InputError("copy", [Problem(where, message)])
    return {name: columns[name] for name in types}
