"""What the columns of a file hold, as hashes: the same whatever the format, the chunks and the compression."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEAL = "metadata_sha256"
"""Under this name metadata have the hash of all the rest of them."""


class Content:
    """Hashes columns while their rows go by, each alone.

    Args:
        types: the columns.

    >>> content = Content({"flag": np.dtype(np.uint8)})
    >>> content.add({"flag": np.zeros(3, np.uint8)})
    >>> content.to_dict()["flag"]["sha256"] == hashlib.sha256(bytes(3)).hexdigest()
    True
    """

    def __init__(self, types: Mapping[str, np.dtype[Any]]) -> None:
        """Begin with no rows."""
        self._types = dict(types)
        self._hashes = {name: hashlib.sha256() for name in types}

    def add(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Append rows: the bytes of their numbers, the lowest byte of each first."""
        for name, found in self._hashes.items():
            values = columns[name]
            little = values.astype(values.dtype.newbyteorder("<"), copy=False)
            found.update(np.ascontiguousarray(little).view(np.uint8).data)

    def to_dict(self) -> dict[str, dict[str, str]]:
        """Give type and SHA-256 of each column."""
        return {
            name: {"type": str(self._types[name]), "sha256": found.hexdigest()}
            for name, found in self._hashes.items()
        }


def sealed(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Add the hash of all that metadata say.

    >>> is_intact(sealed({"rows": 3})), is_intact({**sealed({"rows": 3}), "rows": 4})
    (True, False)
    """
    return {**metadata, SEAL: _hash(metadata)}


def is_intact(metadata: Mapping[str, Any]) -> bool:
    """Tell whether metadata say what they said when they were sealed."""
    return metadata.get(SEAL) == _hash({key: value for key, value in metadata.items() if key != SEAL})


def _hash(metadata: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()
