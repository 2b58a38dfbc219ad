"""The notes on weights: which class they are about, from which size on, and which event they name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tamis.check.weights import build_class_rows, collect_weight_notes
from tamis.data.ensemble import ONE_NETWORK
from tamis.data.events import Events

CLASSES = ("bkg", "sig")


def of_two_classes(bkg: Any, sig: Any) -> Events:
    """Events of both classes in turns of ten, each class in a file of its own with its entries counted from 0."""
    weight = np.concatenate([bkg, sig]).astype(np.float64)
    class_index = np.repeat([0, 1], [len(bkg), len(sig)]).astype(np.int32)
    entry = np.concatenate([np.arange(len(bkg)), np.arange(len(sig))])
    order = np.lexsort((class_index, entry // 10))
    n = len(weight)
    return Events(
        features=np.zeros((n, 1), np.float32),
        class_index=class_index[order],
        weight=weight[order],
        event_id=np.arange(n, dtype=np.uint64),
        split=(np.arange(n) % 3).astype(np.uint8),
        sample_index=class_index[order],
        file_index=class_index[order],
        entry=entry[order],
        spectators={},
        reference={},
        samples=CLASSES,
        files=("bkg.root", "sig.root"),
        fold=np.full(n, -1, np.int32),
    )


def notes_of(bkg: Any, sig: Any) -> dict[tuple[str, str], str]:
    events = of_two_classes(bkg, sig)
    found = collect_weight_notes(events, build_class_rows(events, CLASSES, ONE_NETWORK))
    return {(note.kind, note.where): note.message for note in found}


def test_the_heaviest_event_of_each_class_is_named() -> None:
    bkg, sig = np.ones(1000), np.ones(1000)
    bkg[[17, 205]] = 20, -30
    sig[41] = 40
    notes = notes_of(bkg, sig)
    assert set(notes) == {("large_weight", "class bkg"), ("large_weight", "class sig")}
    assert "entry 205 of bkg.root, weight -30" in notes["large_weight", "class bkg"]
    assert "entry 41 of sig.root, weight 40" in notes["large_weight", "class sig"]


@pytest.mark.parametrize(("events", "noted"), [(99, True), (100, False)])
def test_a_class_of_less_than_a_hundred_effective_events_is_noted(events: int, noted: bool) -> None:
    assert (("few_events", "class sig") in notes_of(np.ones(200), np.full(events, 0.5))) == noted


@pytest.mark.parametrize(("negative", "noted"), [(300, False), (301, True)])
def test_a_class_with_more_than_three_negative_weights_in_ten_is_noted(negative: int, noted: bool) -> None:
    sig = np.where(np.arange(1000) < negative, -1.0, 1.0)
    assert (("negative_weights", "class sig") in notes_of(np.ones(200), sig)) == noted
