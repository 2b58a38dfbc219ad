from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tamis.config import parse_config
from tamis.data.cutflow import round_exact_sum
from tamis.data.events import Events, find_usable_weights, read_events
from tamis.data.split import SPLITS, TRAINING, Fractions
from tamis.errors import InputError
from tamis.pipeline.preparation import find_input, prepare, read

Make = Callable[..., dict[str, Any]]
WriteTree = Callable[..., Path]


def events_of(config: Mapping[str, Any]) -> Events:
    parsed = parse_config(dict(config))
    return read(parsed, find_input(parsed))[0]


def same(first: Events, second: Events) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name), equal_nan=name == "features")
        for name in ("features", "class_index", "weight", "event_id", "split", "entry")
    )


def test_the_order_of_samples_and_files_changes_nothing(two_classes: Make, write_tree: WriteTree) -> None:
    config = two_classes(50)
    write_tree("more.root", {"x": np.ones(3), "y": np.ones(3)})
    config["samples"][0]["files"] = ["bkg.root", "more.root"]
    first = events_of(config)
    config["samples"] = config["samples"][::-1]
    config["samples"][1]["files"] = ["more.root", "bkg.root"]
    assert same(first, events_of(config))


def test_the_order_in_which_files_are_read_changes_nothing(two_classes: Make, write_tree: WriteTree) -> None:
    config = two_classes(50)
    write_tree("more.root", {"x": np.ones(3), "y": np.ones(3)})
    config["samples"][0]["files"] = ["bkg.root", "more.root"]
    inputs = [(sample.plan, sample.schemas) for sample in find_input(parse_config(config)).inputs]
    reversed_inputs = [(plan, schemas[::-1]) for plan, schemas in inputs[::-1]]
    in_order, reordered = (read_events(each, Fractions(0.25, 0.2))[0] for each in (inputs, reversed_inputs))
    assert same(in_order, reordered)


def test_another_file_moves_no_event(two_classes: Make, write_tree: WriteTree) -> None:
    config = two_classes(200)
    before = events_of(config)
    write_tree("another.root", {"x": np.ones(30), "y": np.ones(30)})
    config["samples"][0]["files"] = ["another.root", "bkg.root"]
    after = events_of(config)
    parts = dict(zip(after.event_id.tolist(), after.split.tolist(), strict=True))
    assert len(after) == len(before) + 30
    assert [parts[event_id] for event_id in before.event_id.tolist()] == before.split.tolist()


@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
def test_chunks_change_nothing(two_classes: Make, rows: int) -> None:
    config = parse_config(two_classes(120))
    inputs = [(sample.plan, sample.schemas) for sample in find_input(config).inputs]
    in_one_chunk, counts = read_events(inputs, Fractions(0.25, 0.2))
    in_chunks, chunk_counts = read_events(inputs, Fractions(0.25, 0.2), rows=rows)
    assert same(in_one_chunk, in_chunks)
    assert [count.read for count in counts] == [count.read for count in chunk_counts]


def test_events_of_one_event_id_are_in_one_split(two_classes: Make) -> None:
    config = two_classes(500, split={"event_id": ["event"], "test": 0.4, "validation": 0.5})
    events = events_of(config)
    splits_of_event: dict[int, set[int]] = {}
    for event_id, split in zip(events.event_id.tolist(), events.split.tolist(), strict=True):
        splits_of_event.setdefault(event_id, set()).add(split)
    assert len(splits_of_event) == 500  # both classes number their events alike
    assert all(len(splits) == 1 for splits in splits_of_event.values())


def test_a_repeated_identity_is_reported(two_classes: Make, write_tree: WriteTree) -> None:
    config = two_classes(100, split={"event_id": "event"})
    write_tree("again.root", {"x": np.ones(3), "y": np.ones(3), "event": np.array([5, 6, 100], np.int64)})
    config["samples"][0]["files"] = ["bkg.root", "again.root"]
    prepared = prepare(parse_config(config))
    assert prepared.cutflow.repeated == 2
    assert prepared.cutflow.shared == 100
    assert (
        "2 events have the same event ID (event) as another event of their sample" in prepared.duplicates[0]
    )
    assert "100 event IDs (event) occur in more than one sample" in prepared.duplicates[1]


def test_an_entry_in_two_samples_is_refused(two_classes: Make) -> None:
    config = two_classes(100)
    config["samples"].append({"name": "again", "class": "sig", "files": "bkg.root", "selection": "x > 0"})
    with pytest.raises(InputError):
        prepare(parse_config(config))
    config["samples"][0]["selection"] = "x <= 0"
    assert len(prepare(parse_config(config)).events) == 200


def test_a_copy_of_a_file_is_refused(two_classes: Make) -> None:
    config = two_classes(100)
    folder = Path(config["data"])
    (folder / "copy.root").write_bytes((folder / "bkg.root").read_bytes())
    config["samples"][0]["files"] = ["bkg.root", "copy.root"]
    with pytest.raises(InputError):
        prepare(parse_config(config))


def test_selection_and_weight_are_expressions(two_classes: Make) -> None:
    config = two_classes(300)
    for sample in config["samples"]:
        sample |= {"selection": "x > 0 && fabs(y) < 1", "weight": "2 * w"}
    events = events_of(config)
    assert len(events) > 0
    assert (events.features[:, 0] > 0).all()
    assert (np.abs(events.features[:, 1]) < 1).all()
    assert (events.weight >= 1).all()
    assert (events.weight <= 3).all()


def test_jagged_branches_are_used_through_an_index(two_classes: Make, write_tree: WriteTree) -> None:
    config = two_classes()
    for name in ("bkg", "sig"):
        jets = ak.values_astype(ak.Array([[50.0, 30.0], [], [20.0]] * 40), np.float32)
        write_tree(f"{name}.root", {"jet": jets, "met": np.ones(120)})
    config["features"] = ["met", {"name": "second", "expression": "jet[1]", "missing": -999}]
    events = events_of(config)
    assert str(events.features[:3, 1].tolist()) == "[30.0, nan, nan]"


def test_sentinels_are_missing_before_the_expression_and_after(
    two_classes: Make, write_tree: WriteTree
) -> None:
    config = two_classes()
    for name in ("bkg", "sig"):
        write_tree(f"{name}.root", {"eta": np.array([-999.0, -2.0, 1.0, np.inf] * 30)})
    config["features"] = [{"name": "abs_eta", "expression": "abs(eta)", "missing": -999}]
    events = events_of(config)
    assert str(events.features[:4, 0].tolist()) == "[nan, 2.0, 1.0, nan]"


def test_an_undeclared_missing_value_names_everything(two_classes: Make, write_tree: WriteTree) -> None:
    config = two_classes()
    write_tree("sig.root", {"x": np.array([0.0, 1.0, np.nan, 2.0, np.inf] * 20), "y": np.full(100, np.nan)})
    with pytest.raises(InputError) as caught:
        prepare(parse_config(config))
    text = str(caught.value)
    assert (
        "sig.root: sample sig: feature 'x' (x) is not a finite number of 32 bits in 40 events, first at entry 2;"
        in text
    )
    assert "feature 'y' (y) is not a finite number of 32 bits in 100 events, first at entry 0" in text
    assert "`missing: nan`" in text


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e155, 1e-170])
def test_a_weight_that_is_no_number_names_file_and_entry(
    two_classes: Make, write_tree: WriteTree, bad: float
) -> None:
    config = two_classes()
    weights = np.ones(50)
    weights[[17, 30]] = bad
    write_tree("sig.root", {"x": np.zeros(50), "y": np.zeros(50), "w": weights})
    for sample in config["samples"]:
        sample["weight"] = "w"
    with pytest.raises(
        InputError,
        match=rf"sig\.root: the weight 'w' of sample sig is {re.escape(str(bad))} at entry 17.*\(2 such",
    ):
        prepare(parse_config(config))


def test_a_failing_event_may_have_no_weight(two_classes: Make, write_tree: WriteTree) -> None:
    config = two_classes(100)
    columns = {
        "x": np.r_[np.full(5, -9.0), np.zeros(95)],
        "y": np.zeros(100),
        "w": np.r_[np.full(5, np.nan), np.ones(95)],
    }
    write_tree("sig.root", columns)
    config["samples"][1] |= {"weight": "w", "selection": "x > -5"}
    account = prepare(parse_config(config)).cutflow.samples[1].to_dict()
    assert account["failed_selection"]["events"] == 5
    assert account["failed_selection"]["events_without_weight"] == 5
    assert account["used"]["events"] == 95


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    cut=st.floats(-1.5, 1.0),
    shift=st.floats(0.0, 0.9),
    negative=st.sampled_from(["keep", "drop", "absolute"]),
    test=st.floats(0.2, 0.6),
)
def test_the_cutflow_adds_up(two_classes: Make, cut: float, shift: float, negative: str, test: float) -> None:
    config = two_classes(400, weights={"negative": negative}, split={"test": test, "validation": 0.3})
    for sample in config["samples"]:
        sample |= {"selection": f"x > {cut}", "weight": f"w - {shift}"}
    prepared = prepare(parse_config(config))
    for account in prepared.cutflow.samples:
        document = account.to_dict()
        dropped = document["dropped"]["negative_weight"]
        assert document["entries"] == 400
        assert document["failed_selection"]["events"] + dropped["events"] + document["used"]["events"] == 400
        assert document["used"]["events"] == sum(document[split]["events"] for split in SPLITS)
        weights = account.failed_selection.weights + account.dropped["negative_weight"].weights
        weights += sum(account.splits[split].weights for split in SPLITS)
        assert weights == account.read.weights  # to the last bit
        assert (dropped["events"] > 0) <= (negative == "drop")
        events = prepared.events
        lost_sign = (events.weight < 0) & (events.split == TRAINING)
        lost_sign &= events.sample_index == (0 if account.sample == "bkg" else 1)
        expected = np.count_nonzero(lost_sign) if negative == "absolute" else 0
        assert document["absolute_weight_in_training"] == expected
        used = prepared.events.weight[prepared.events.sample_index == (0 if account.sample == "bkg" else 1)]
        assert document["used"]["sum_of_weights"] == pytest.approx(used.sum(), rel=1e-12)
        assert document["used"]["sum_of_weights"] == round_exact_sum(account.used.weights)


def test_fourth_powers_of_weights_that_are_taken_are_numbers() -> None:
    limits = np.array([1e-70, -1e-70, 1e70, -1e70])
    assert find_usable_weights(limits).all()
    assert not find_usable_weights(np.array([1e-71, 1e71, -1e77, 1e99, np.inf, np.nan])).any()
    powers = limits**4
    assert (powers > np.finfo(np.float64).tiny).all()
    assert np.isfinite(powers * 1e12).all()  # the sum over any number of events


@pytest.mark.parametrize("folds", [None, {"number": 3, "by": "hash"}])
def test_a_hash_of_64_bits_identifies_events(two_classes: Make, write_tree: WriteTree, folds: Any) -> None:
    config = two_classes(100)
    rng = np.random.default_rng(2)
    numbers = {name: rng.integers(2**63, 2**64 - 1, 100, dtype=np.uint64) for name in ("bkg", "sig")}
    for name, values in numbers.items():
        write_tree(f"{name}.root", {"x": rng.normal(size=100), "y": rng.normal(size=100), "hash": values})
    events = events_of({**config, "split": {"event_id": ["hash"], "folds": folds}})
    assert len(np.unique(events.event_id)) == 200
    if folds is not None:
        expected = [int(number) % 3 for number in numbers["bkg"].tolist()]
        assert events.fold[events.class_index == 0].tolist() == expected
    with pytest.raises(InputError):
        events_of({**config, "features": ["x", "hash"]})
