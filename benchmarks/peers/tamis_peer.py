"""tamis itself: everything that the benchmarks know about its interfaces stands here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from peers.workload import LEARNING_RATE, Timing, Workload, time_each


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
    """Time epochs of tamis' public training loop; the first is the warm-up (it compiles).

    An epoch is what a user waits for: the shuffle, all steps, loss and accuracy, and the validation events, of
    which there are as few as there can be, because the peers have none.
    """
    from tamis.training.devices import start_devices

    start_devices()

    from tamis.config import Adam, Dense, Training
    from tamis.network.network import build_network
    from tamis.training.batches import WeightedInputs
    from tamis.training.events import EpochFinished
    from tamis.training.fit import fit
    from tamis.training.recipe import resolve_recipe

    hidden = [Dense(nodes=nodes, activation="relu") for nodes in workload.sizes[1:-1]]
    network = build_network(workload.sizes[0], workload.sizes[-1], hidden, random=np.random.default_rng(0))
    settings = Training(
        ema_decay=None,
        optimizer=Adam(learning_rate=LEARNING_RATE),
        schedule="constant",
        batch_size=workload.batch_size,
        epochs=epochs + 1,
        early_stopping=None,
    )
    weight = np.ones(len(workload.labels))
    classes = workload.labels.astype(np.int32)
    events = WeightedInputs(workload.features, classes, weight)
    few = WeightedInputs(workload.features[:64], classes[:64], weight[:64])
    stream = fit(network, events, few, resolve_recipe(settings, len(events)), seed=0)
    finished = (event.epoch for event in stream if isinstance(event, EpochFinished))
    return time_each(epochs, lambda: next(finished).training_loss)


def read_rows(path: Path, branches: list[str], rows: int) -> int:
    """Read as a training reads: every branch a feature, weighed, counted in the cutflow, identified and split.

    Gives the number of events; all of them are in memory then.
    """
    from tamis.config import Sample
    from tamis.data.events import read_events
    from tamis.data.plan import Quantity, plan_sample
    from tamis.data.scanning import scan_files
    from tamis.data.sources import expand_files
    from tamis.data.split import Fractions
    from tamis.expressions import parse

    schemas = scan_files(expand_files("sample", [str(path)], path.parent))
    sample = Sample.model_validate({"name": "sample", "class": "class", "files": str(path)})
    features = [Quantity(branch, parse(branch)) for branch in branches]
    plan = plan_sample(sample, ["class"], features=features)
    events, _ = read_events([(plan, schemas)], Fractions(test=0.25, validation=0.2), rows=rows)
    return len(events)


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

    from tamis.data.split import hash_entries

    table = parquet.read_table(run / "scores.parquet", columns=["event_id", "class"])
    classes = np.asarray(table["class"].to_pylist())
    ids = table["event_id"].to_numpy()[classes == class_name]
    test = np.isin(hash_entries(class_name, file, 0, entries), ids)
    if test.sum() != len(ids) or not len(ids):
        raise ValueError(
            f"{test.sum()} of {len(ids)} test events of class {class_name!r} were found in {file}"
        )
    return test
