"""Scores among the inputs: a glob takes along what tamis wrote beside the events, and that is left out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tamis.apply.outputs import KIND, read_output
from tamis.data.schema import SourceFile
from tamis.errors import InputError, RequestError

_SCORES = re.compile(r".+\.(scores|scored)\.(root|parquet)", re.IGNORECASE)
_ALONE = "scores"


def without_scores(
    sources: Sequence[SourceFile], outputs_of: Callable[[Sequence[SourceFile]], Iterable[Path]]
) -> tuple[tuple[SourceFile, ...], tuple[str, ...]]:
    """Leave out files of scores, and copies with scores that are outputs of other files of the list.

    Args:
        sources: the files that were named.
        outputs_of: gives where the outputs of files would be.

    Returns:
        The other files, and a note where some were left out.

    Raises:
        RequestError: no other file is left.
    """
    rest = [source for source in sources if not _is_written(source, copies=False)]
    targets = {os.path.realpath(path) for path in outputs_of(rest)}
    rest = [
        source
        for source in rest
        if os.path.realpath(source.path) not in targets or not _is_written(source, copies=True)
    ]
    left = [source.path for source in sources if source not in rest]
    if not left:
        return tuple(sources), ()
    if not rest:
        raise RequestError(
            f"{left[0]} holds scores that tamis wrote, and no events; give the files of the events"
        )
    said = f"{left[0]} holds scores that tamis wrote, and is no input"
    more = f"; so do {len(left) - 1} more files" if len(left) > 1 else ""
    return tuple(rest), (f"{said}{more}",)


def _is_written(source: SourceFile, *, copies: bool) -> bool:
    """Tell whether tamis wrote a file of scores; its name says so first, so that few files are opened."""
    match = _SCORES.fullmatch(source.path)
    if match is None or "://" in source.path or (match.group(1).lower() != _ALONE and not copies):
        return False
    try:
        found = read_output(Path(source.path))
    except InputError:
        return False  # whatever it is, it cannot be read: that is said where it would be scored
    return found is not None and found.metadata.get("format") == KIND
