"""Where a result came from: versions, inputs with their hashes, the command and the times."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tamis.data.schema import FileSchema
from tamis.files import sha256

_PACKAGES = (
    "tamis", "jax", "jaxlib", "equinox", "optax", "numpy", "scipy", "uproot", "awkward", "pyarrow", "matplotlib",
    "onnx", "onnxruntime", "pydantic", "safetensors",
)  # fmt: skip


def describe_machine() -> dict[str, Any]:
    """Give the versions of Python, of the packages that compute, and of the operating system."""
    return {
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "system": platform.platform(),
        "processor": platform.machine(),
    }


@cache
def tamis_version() -> str:
    """Return the installed version of tamis; "unknown" for a source tree that is not installed.

    The metadata are read once: later the process may have lost the right to read its installation.
    """
    return _version("tamis") or "unknown"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe_inputs(schemas: Sequence[FileSchema]) -> list[dict[str, Any]]:
    """Return name, entries, size and hash of every tree of an input file; a remote file is not read again for its hash.

    Args:
        schemas: the files of all samples.
    """
    unique = {(schema.source.path, schema.tree): schema for schema in schemas}
    paths = dict.fromkeys(path for path, _ in unique)
    with ThreadPoolExecutor(max_workers=2) as pool:
        contents = dict(zip(paths, pool.map(_content, paths), strict=True))
    return [
        {
            "file": schema.source.identity,
            "path": path,
            "tree": schema.tree,
            "entries": schema.entries,
            **contents[path],
        }
        for (path, _), schema in unique.items()
    ]


def describe_branches(used: Iterable[tuple[Collection[str], Sequence[FileSchema]]]) -> dict[str, list[str]]:
    """Give the types that the numbers of each branch have in the files.

    Args:
        used: for each sample the names of the branches that are read, and its files.
    """
    found: dict[str, set[str]] = {}
    for names, schemas in used:
        for name in names:
            kinds = {schema.branches[name].number for schema in schemas if name in schema.branches}
            found.setdefault(name, set()).update(kinds)
    return {name: sorted(kinds) for name, kinds in sorted(found.items())}


def _content(path: str) -> dict[str, Any]:
    if "://" in path:
        return {"bytes": None, "sha256": None}
    return {"bytes": Path(path).stat().st_size, "sha256": sha256(Path(path))}


def now() -> str:
    """Give the time as text, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def command_line(arguments: Sequence[str]) -> str:
    """Give the command as it can be typed again.

    >>> command_line(["tamis", "train", "my config.yaml"])
    "tamis train 'my config.yaml'"
    """
    return shlex.join(arguments)


OWN_HASH = "sha256"
"""Key of the hash of all the others."""


def with_own_hash(said: Mapping[str, Any]) -> dict[str, Any]:
    """Add the hash of all keys and values, so that nobody changes one of them unnoticed.

    >>> with_own_hash({"seed": 1}) == with_own_hash(with_own_hash({"seed": 1}))
    True
    """
    others = {key: value for key, value in said.items() if key != OWN_HASH}
    text = json.dumps(others, sort_keys=True, allow_nan=False)
    return {**others, OWN_HASH: hashlib.sha256(text.encode()).hexdigest()}
