"""Read score files without tamis, as an analysis reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import awkward
import numpy as np
import pyarrow.parquet as pq
import uproot


def read_columns(path: Path, tree: str = "scores") -> dict[str, np.ndarray]:
    """Read all columns of a Parquet file, or of a tree of a ROOT file."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return {name: table.column(name).to_numpy() for name in table.column_names}
    with uproot.open(path) as file:
        arrays = file[tree].arrays()
        return {name: awkward.to_numpy(arrays[name]) for name in arrays.fields}


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata of a score file."""
    if path.suffix == ".parquet":
        return dict(json.loads(pq.read_metadata(path).metadata[b"tamis"]))
    with uproot.open(path) as file:
        return dict(json.loads(str(file["tamis"])))


def have_same_bits(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    """Return whether two files have the same columns, bit by bit."""
    return first.keys() == second.keys() and all(
        first[name].tobytes() == second[name].tobytes() for name in first
    )
