"""What the reading libraries raise, as errors that name the file and the place in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tamis.data.schema import SourceFile
from tamis.errors import InputError, Problem

_Result = TypeVar("_Result")


def _unreadable(source: SourceFile, error: Exception, entries: str = "") -> InputError:
    if isinstance(error, FileNotFoundError):
        what = "address" if "://" in source.path else "path"
        return InputError("input files", [Problem(source.path, f"there is no such file; check the {what}")])
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    # the name stands before it; without it, files that are broken alike have the same message
    reason = reason.replace(source.path, "the file")
    advice = "is it complete, and a ROOT or Parquet file? copy or produce it again"
    if "://" in source.path:
        advice = "is the address right, can this machine reach it, and is it a ROOT or Parquet file?"
    if isinstance(error, ImportError):
        advice = 'for URLs, `pip install "tamis[remote]"`'
    elif isinstance(error, PermissionError):
        advice = "check the path and its permissions"
    where = f"{source.path}{entries}"
    return InputError("input files", [Problem(where, f"cannot be read ({reason[:300]}); {advice}")])


def reading(source: SourceFile, work: Callable[[], _Result], place: Callable[[], str] = str) -> _Result:
    """Do some work on a file; whatever the reader raises becomes an error that names the file and the place in it."""
    try:
        return work()
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise anything inside the reading libraries
        raise _unreadable(source, error, place()) from error
