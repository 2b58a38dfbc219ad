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
from tamis.data.events import Events, usable_weight
from tamis.data.ledger import exact_float
from tamis.data.split import PARTS, TRAINING
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
        for name in ("features", "class_index", "weight", "identity", "part", "entry")
    )


def test_the_order_of_samples_and_files_changes_nothing(two_classes: Make, write_tree: WriteTree) -> None:
    config = two_classes(50)
    write_tree("more.root", {"x": np.ones(3), "y": np.ones(3)})
    config["samples"][0]["files"] = ["bkg.root", "more.root"]
    first = events_of(config)
    config["samples"] = config["samples"][::-1]
    config["samples"][1]["files"] = ["more.root", "bkg.root"]
    assert same(first, events_of(config))


def test_another_file_moves_no_event(two_classes: Make, write_tree: WriteTree) -> None:
    config = two_classes(200)
    before = events_of(config)
    write_tree("another.root", {"x": np.ones(30), "y": np.ones(30)})
    config["samples"][0]["files"] = ["another.root", "bkg.root"]
    after = events_of(config)
    parts = dict(zip(after.identity.tolist(), after.part.tolist(), strict=True))
    assert len(after) == len(before) + 30
    assert [parts[identity] for identity in before.identity.tolist()] == before.part.tolist()


@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
def test_chunks_change_nothing(two_classes: Make, rows: int) -> None:
    from tamis.data.events import read_events
    from tamis.data.split import Fractions

    config = parse_config(two_classes(120))
    inputs = [(each.plan, each.schemas) for each in find_input(config)]
    whole, counts = read_events(inputs, Fractions(0.25, 0.2))
    chunked, chunk_counts = read_events(inputs, Fractions(0.25, 0.2), rows=rows)
    assert same(whole, chunked)
    assert [count.read for count in counts] == [count.read for count in chunk_counts]


def test_events_of_one_identity_are_in_one_part(two_classes: Make) -> None:
    config = two_classes(500, split={"by": ["event"], "test": 0.4, "validation": 0.5})
    events = events_of(config)
    parts: dict[int, set[int]] = {}
    for identity, part in zip(events.identity.tolist(), events.part.tolist(), strict=True):
        parts.setdefault(identity, set()).add(part)
    assert len(parts) == 500  # both classes number their events alike
    assert all(len(found) == 1 for found in parts.values())


def test_a_repeated_identity_is_reported(two_classes: Make, write_tree: WriteTree) -> None:
    config = two_classes(100, split={"by": "event"})
    write_tree("again.root", {"x": np.ones(3), "y": np.ones(3), "event": np.array([5, 6, 100], np.int64)})
    config["samples"][0]["files"] = ["bkg.root", "again.root"]
    prepared = prepare(parse_config(config))
    assert prepared.ledger.repeated == 2
    assert prepared.ledger.shared == 100
    assert (
        "2 events have the same identity (event) as another event of their sample" in prepared.duplicates[0]
    )
    assert "100 identities (event) occur in more than one sample" in prepared.duplicates[1]


def test_an_entry_in_two_samples_is_refused(two_classes: Make) -> None:
    config = two_classes(100)
    config["samples"].append({"name": "again", "class": "sig", "files": "bkg.root", "selection": "x > 0"})
    with pytest.raises(InputError, match=r"bkg\.root: entry \d+ is used by the samples again and bkg"):
        prepare(parse_config(config))
    config["samples"][0]["selection"] = "x <= 0"
    assert len(prepare(parse_config(config)).events) == 200


def test_a_copy_of_a_file_is_refused(two_classes: Make) -> None:
    config = two_classes(100)
    folder = Path(config["data"])
    (folder / "copy.root").write_bytes((folder / "bkg.root").read_bytes())
    config["samples"][0]["files"] = ["bkg.root", "copy.root"]
    with pytest.raises(InputError, match=r"has the same content as .*; the same events would be in training"):
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
    account = prepare(parse_config(config)).ledger.samples[1].to_dict()
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
def test_the_ledger_adds_up(two_classes: Make, cut: float, shift: float, negative: str, test: float) -> None:
    config = two_classes(400, weights={"negative": negative}, split={"test": test, "validation": 0.3})
    for sample in config["samples"]:
        sample |= {"selection": f"x > {cut}", "weight": f"w - {shift}"}
    prepared = prepare(parse_config(config))
    for account in prepared.ledger.samples:
        found = account.to_dict()
        dropped = found["dropped"]["negative_weight"]
        assert found["entries"] == 400
        assert found["failed_selection"]["events"] + dropped["events"] + found["used"]["events"] == 400
        assert found["used"]["events"] == sum(found[part]["events"] for part in PARTS)
        weights = account.failed_selection.weights + account.dropped["negative_weight"].weights
        weights += sum(account.parts[part].weights for part in PARTS)
        assert weights == account.read.weights  # to the last bit
        assert (dropped["events"] > 0) <= (negative == "drop")
        events = prepared.events
        lost_sign = (events.weight < 0) & (events.part == TRAINING)
        lost_sign &= events.sample_index == (0 if account.sample == "bkg" else 1)
        expected = np.count_nonzero(lost_sign) if negative == "absolute" else 0
        assert found["made_absolute_in_training"] == expected
        used = prepared.events.weight[prepared.events.sample_index == (0 if account.sample == "bkg" else 1)]
        assert found["used"]["sum_of_weights"] == pytest.approx(used.sum(), rel=1e-12)
        assert found["used"]["sum_of_weights"] == exact_float(account.used.weights)


def test_fourth_powers_of_weights_that_are_taken_are_numbers() -> None:
    limits = np.array([1e-70, -1e-70, 1e70, -1e70])
    assert usable_weight(limits).all()
    assert not usable_weight(np.array([1e-71, 1e71, -1e77, 1e99, np.inf, np.nan])).any()
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
    found = events_of({**config, "split": {"by": ["hash"], "folds": folds}})
    assert len(np.unique(found.identity)) == 200
    if folds is not None:
        expected = [int(each) % 3 for each in numbers["bkg"].tolist()]
        assert found.fold[found.class_index == 0].tolist() == expected
    with pytest.raises(InputError, match="can identify an event"):
        events_of({**config, "features": ["x", "hash"]})
