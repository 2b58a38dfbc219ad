"""The provenance of a run: versions, inputs with their hashes, the command and the times."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tamis.data.schema import FileSchema
from tamis.files import sha256
from tamis.machine import describe_machine
from tamis.pipeline.run import Run

FORMAT = 2
"""The format of a run directory; it changes when other versions cannot read the files. tamis 0.1 wrote no number."""
HASH = "sha256"
"""The key of the hash of all other keys and values."""


def describe_run(run: Run, folder: Path, arguments: Sequence[str], started: str) -> dict[str, Any]:
    """Return the provenance of a run in a folder with all its other files, without the hash of itself."""
    inputs = run.prepared.inputs
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "format": FORMAT,
        "command": shlex.join(arguments),
        "started": started,
        "finished": now(),
        "seed": run.config.seed,
        "device": run.metrics["timing"]["device"],
        **describe_machine(),
        "inputs": describe_inputs([schema for sample in inputs for schema in sample.schemas]),
        "branches": describe_branches((sample.plan.branches, sample.schemas) for sample in inputs),
        "splits": {name: len(split.rows) for name, split in run.splits.items()},
        "outputs": {str(path.relative_to(folder)): sha256(path) for path in files},
    }


def describe_inputs(schemas: Sequence[FileSchema]) -> list[dict[str, Any]]:
    """Return name, entries, size and hash of every tree of the input files; remote files have no size and no hash."""
    unique = {(schema.source.path, schema.tree): schema for schema in schemas}
    paths = dict.fromkeys(path for path, _ in unique)
    with ThreadPoolExecutor(max_workers=2) as pool:
        contents = dict(zip(paths, pool.map(_content, paths), strict=True))
    return [
        {
            "file": schema.source.file_key,
            "path": path,
            "tree": tree,
            "entries": schema.entries,
            **contents[path],
        }
        for (path, tree), schema in unique.items()
    ]


def _content(path: str) -> dict[str, Any]:
    if "://" in path:
        return {"bytes": None, "sha256": None}
    return {"bytes": Path(path).stat().st_size, "sha256": sha256(Path(path))}


def describe_branches(used: Iterable[tuple[Collection[str], Sequence[FileSchema]]]) -> dict[str, list[str]]:
    """Return the types that the numbers of each branch have, from the branches and files of each sample."""
    types: dict[str, set[str]] = {}
    for names, schemas in used:
        for name in names:
            numbers = {schema.branches[name].number for schema in schemas if name in schema.branches}
            types.setdefault(name, set()).update(numbers)
    return {name: sorted(types[name]) for name in sorted(types)}


def now() -> str:
    """Return the time as text, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
