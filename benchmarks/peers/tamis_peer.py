"""tamis itself: everything that the benchmarks know about its interfaces stands here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from peers.workload import Timing, Workload


@dataclass(frozen=True)
class RunResult:
    """What a finished run says about itself.

    Args:
        loss: log-loss on the test events.
        accuracy: on the test events.
        train_seconds: wall time of the training, without reading and reporting.
    """

    loss: float
    accuracy: float
    train_seconds: float


def time_epochs(workload: Workload, epochs: int) -> Timing:
    """Time epochs of tamis' public training loop; the first is the warm-up (it compiles)."""
    _not_connected("time_epochs", "tamis.training.train", workload, epochs)


def read_rows(path: Path, branches: list[str], rows: int) -> int:
    """Read the branches in chunks of rows, as a training reads them; give the number of rows read."""
    _not_connected("read_rows", "tamis.data.sources.read_chunks", path, branches, rows)


def read_metrics(run: Path) -> RunResult:
    """Read what `tamis train` wrote to `metrics.json`."""
    metrics = json.loads((run / "metrics.json").read_text())
    test = metrics["test"]
    return RunResult(test["loss"], test["accuracy"], metrics["timing"]["train_seconds"])


def read_test_rows(run: Path, file: str, class_name: str, entries: int) -> NDArray[np.bool_]:
    """Say which entries of a file were test events of a run, from the ids in `scores.parquet`.

    An id is the hash of sample, file and entry number; here the sample is named like its class.

    Raises:
        ValueError: the ids do not fit the file, for example because the run was split by other columns.
    """
    import pyarrow.parquet as parquet

    from tamis.data.split import identity_of_entries

    table = parquet.read_table(run / "scores.parquet", columns=["id", "class"])
    classes = np.asarray(table["class"].to_pylist())
    ids = table["id"].to_numpy()[classes == class_name]
    test = np.isin(identity_of_entries(class_name, file, 0, entries), ids)
    if test.sum() != len(ids) or not len(ids):
        raise ValueError(
            f"{test.sum()} of {len(ids)} test events of class {class_name!r} were found in {file}"
        )
    return test


def _not_connected(function: str, entry_point: str, *_arguments: object) -> NoReturn:
    raise NotImplementedError(
        f"benchmarks/peers/tamis_peer.py: {function} does not call {entry_point} yet; write that call there"
    )
