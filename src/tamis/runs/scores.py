"""The test events with their weights and scores: `scores.parquet`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis.config import Config
from tamis.data.split import SPLITS, TEST
from tamis.errors import InputError, Problem
from tamis.pipeline.run import TrainingResult
from tamis.statistics.scored import ScoredEvents

_SPECTATOR = "spectator_"


def build_run_error(path: Path, message: str) -> InputError:
    """Return the error about a file or folder of a run that cannot be used."""
    return InputError("run", [Problem(str(path), message)])


def score_table(config: Config, training: TrainingResult) -> Any:
    """Return the origin, the class, the weights and the scores of each test event, as an Arrow table."""
    import pyarrow as pa

    events, test = training.prepared.events, training.splits[SPLITS[TEST]]
    rows, classes = test.rows, config.class_names
    columns = {
        "event_id": events.event_id[rows],
        "sample": _labels(events.samples, events.sample_index[rows]),
        "file": _labels(events.files, events.file_index[rows]),
        "entry": events.entry[rows],
        "class": _labels(classes, events.class_index[rows]),
        "weight": events.weight[rows],
        "class_weight": training.prepared.weighed.class_weights[events.class_index[rows]],
        **{f"score_{name}": test.scores[:, index] for index, name in enumerate(classes)},
        **({"fold": events.fold[rows]} if training.prepared.plan.is_cross_training else {}),
        **_baseline_columns(classes, training),
        **{f"{_SPECTATOR}{name}": values[rows] for name, values in events.spectators.items()},
    }
    return pa.table(columns)


def _baseline_columns(classes: Sequence[str], training: TrainingResult) -> dict[str, NDArray[Any]]:
    """Return the scores of the baselines, or the discriminant of the cuts."""
    columns = {}
    for baseline in training.baselines:
        prefix = f"baseline_{baseline.name}"
        if baseline.scores.ndim == 1:
            columns[prefix] = baseline.scores
        else:
            columns |= zip([f"{prefix}_score_{name}" for name in classes], baseline.scores.T, strict=True)
    return columns


def _labels(names: Sequence[str], index: NDArray[Any]) -> Any:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), pa.array(list(names)))


def read_scores(path: Path, class_names: tuple[str, ...]) -> ScoredEvents:
    """Read the test events of a run with their scores, in the order of the class names.

    Raises:
        InputError: the file is missing or damaged, or has other classes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise build_run_error(
            path, f"is not a readable Parquet file ({error}); copy the run again"
        ) from error
    needed = ["event_id", "class", "weight", "class_weight", *(f"score_{name}" for name in class_names)]
    absent = [name for name in needed if name not in table.column_names]
    if absent:
        raise build_run_error(path, f"has no columns {', '.join(absent)}; copy the whole run again")

    def column(name: str) -> NDArray[Any]:
        return np.asarray(table.column(name).to_numpy())

    return ScoredEvents(
        scores=np.stack([column(f"score_{name}") for name in class_names], axis=1),
        class_index=_class_index(table.column("class"), class_names, path),
        weight=column("weight"),
        class_weight=column("class_weight"),
        spectators={
            name.removeprefix(_SPECTATOR): column(name)
            for name in table.column_names
            if name.startswith(_SPECTATOR)
        },
        event_id=column("event_id"),
    )


def _class_index(labels: Any, class_names: tuple[str, ...], path: Path) -> NDArray[np.int32]:
    """Return the class index of each event."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = labels.cast(pa.string())
    foreign = [str(name) for name in pc.unique(names).to_pylist() if name not in class_names]
    if foreign:
        raise build_run_error(
            path, f"has events of the classes {', '.join(foreign)}, which are not in the configuration"
        )
    return np.asarray(pc.index_in(names, value_set=pa.array(class_names)), np.int32)
