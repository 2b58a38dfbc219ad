"""The scores of a run: each column is found by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tamis.runs.scores import read_scores


def test_scores_and_classes_are_in_the_order_of_the_configuration(tmp_path: Path) -> None:
    table = {
        "event_id": np.array([7, 8, 9], np.uint64),
        "score_bkg": np.float32([0.1, 0.2, 0.3]),
        "class_weight": [1.0, 2.0, 3.0],
        "score_sig": np.float32([0.5, 0.5, 0.6]),
        "spectator_mass": [91.0, 92.0, 93.0],
        "class": ["other", "bkg", "sig"],
        "score_other": np.float32([0.4, 0.3, 0.1]),
        "weight": [-1.0, 4.0, 5.0],
    }
    path = tmp_path / "scores.parquet"
    pq.write_table(pa.table(table), path)
    names = ("sig", "bkg", "other")
    events = read_scores(path, names)
    for index, name in enumerate(names):
        np.testing.assert_array_equal(events.scores[:, index], table[f"score_{name}"])
    assert [names[index] for index in events.class_index] == table["class"]
    assert events.weight.tolist() == table["weight"]
    assert events.class_weight.tolist() == table["class_weight"]
    assert {name: column.tolist() for name, column in events.spectators.items()} == {
        "mass": [91.0, 92.0, 93.0]
    }
    np.testing.assert_array_equal(events.event_id, table["event_id"])
