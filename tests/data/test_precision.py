"""Features that 32 bits do not resolve keep their 64 bits until an offset is subtracted from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from tamis.config import parse_config
from tamis.config.learning import Scaling
from tamis.data.events import Events, read_events
from tamis.data.precision import PrecisionSample, compute_float32_offset
from tamis.data.split import Fractions
from tamis.network.preprocessing import fit_preprocessing
from tamis.pipeline.preparation import find_input, read

Make = Callable[..., dict[str, Any]]
WriteTree = Callable[..., Path]
RNG = np.random.default_rng(3)
GPS = 1.6e9


def on_grid(events: int, seed: int = 1) -> np.ndarray:
    """Some seconds that stay the same when a large number is added to them and subtracted."""
    return np.round(np.random.default_rng(seed).normal(0, 10, events) * 1024) / 1024


@pytest.mark.parametrize(
    ("values", "resolved"),
    [
        (GPS + RNG.normal(0, 10, 1000), False),
        (GPS + RNG.normal(0, 3e5, 1000), True),
        (RNG.choice([20180103.0, 20180104.0], 1000, p=[0.9, 0.1]), False),
        (RNG.choice([20180104.0, 20180106.0], 1000), True),
        (RNG.normal(91, 2.5, 1000), True),
        (RNG.normal(0, 1e-30, 1000), True),
        (np.full(1000, 0.1), True),
        (np.full(1000, 1600000001.0), True),
        (0.1 + RNG.choice([0.0, 1e-16], 1000), True),
        (np.append(GPS + RNG.normal(0, 10, 999), 0.0), False),
        (np.append(RNG.normal(0, 1, 999), 1e200), True),
        (np.append(GPS + RNG.normal(0, 10, 500), np.full(500, np.nan)), False),
        (np.full(10, np.nan), True),
        (np.empty(0), True),
    ],
)
def test_32_bits_resolve_what_varies_by_more_than_their_rounding(values: Any, resolved: bool) -> None:
    offset = compute_float32_offset(values)
    assert (offset == 0) == resolved
    if not resolved:
        shifted = values[np.isfinite(values)] - offset
        near = np.abs(shifted) < 1000
        assert np.abs(shifted[near] - shifted[near].astype(np.float32)).max() < 1e-4


@pytest.mark.parametrize("sizes", [[100_000], [1] * 50 + [99_950], [33_333, 66_667], [0, 99_999, 1]])
def test_the_sample_does_not_depend_on_the_chunks(sizes: list[int]) -> None:
    values = np.arange(100_000.0)
    in_one_chunk, in_chunks = PrecisionSample(1), PrecisionSample(1)
    in_one_chunk.add(len(values), [values[in_one_chunk.rows(len(values))]])
    first = 0
    for size in sizes:
        in_chunks.add(size, [values[first : first + size][in_chunks.rows(size)]])
        first += size
    np.testing.assert_array_equal(in_one_chunk._values[0], in_chunks._values[0])
    assert 4096 <= len(in_one_chunk._values[0]) <= 8192


def prepare_times(make: Make, write_tree: WriteTree, offset: float, events: int = 500) -> dict[str, Any]:
    config = make(events)
    for seed, name in enumerate(("bkg", "sig")):
        seconds = on_grid(events, seed) + 15 * seed
        seconds[::50] = -999.5 if offset == 0 else -999.0
        write_tree(
            f"{name}.root", {"t": offset + seconds, "y": RNG.normal(size=events), "use": RNG.random(events)}
        )
        config["samples"][seed]["selection"] = "use > 0.2"
    missing = -999.5 if offset == 0 else offset - 999
    return {**config, "features": ["y", {"name": "t", "missing": missing}]}


def events_of(config: dict[str, Any], rows: int | None = None) -> Events:
    parsed = parse_config(config)
    inspected = find_input(parsed)
    inputs = [(each.plan, each.schemas) for each in inspected.inputs]
    split = parsed.split
    fractions = Fractions(split.test, split.validation, split.seed, inspected.plan.n_folds)
    return read_events(inputs, fractions, rows=rows)[0]


@pytest.mark.parametrize("rows", [None, 7])
def test_the_reader_keeps_64_bits_where_they_matter(
    two_classes: Make, write_tree: WriteTree, rows: int
) -> None:
    config = prepare_times(two_classes, write_tree, GPS)
    events = events_of(config, rows)
    assert events.features.dtype == np.float64
    for number, name in enumerate(("bkg", "sig")):
        entry = events.entry[events.sample_index == number]
        seconds = on_grid(500, number) + 15 * number
        seconds[::50] = np.nan
        np.testing.assert_array_equal(
            events.features[events.sample_index == number, 1], GPS + seconds[entry], name
        )
    # a column that 32 bits resolve stays the same, whatever the others are
    alone = events_of({**config, "features": ["y"]})
    assert alone.features.dtype == np.float32
    np.testing.assert_array_equal(alone.features[:, 0], events.features[:, 0])


def test_a_damaged_file_that_was_told_ends_the_second_reading_too(
    two_classes: Make, write_tree: WriteTree
) -> None:
    config = parse_config(prepare_times(two_classes, write_tree, GPS, 40_000))
    inputs = find_input(config)
    path = Path(str(config.data)) / "bkg.root"
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 2000] = bytes(2000)
    path.write_bytes(content)
    damaged_samples: list[str] = []
    events, _ = read(config, inputs, damaged=lambda sample, _: damaged_samples.append(sample))
    assert damaged_samples == ["bkg"]
    of_signal = events.features[events.sample_index == 1, 1]
    assert len(np.unique(of_signal[~np.isnan(of_signal)])) > 1000


@pytest.mark.parametrize("rule", get_args(Scaling))
@pytest.mark.parametrize("logarithm", [False, True], ids=["", "log"])
def test_an_offset_changes_no_input_of_the_network(rule: Scaling, logarithm: bool) -> None:
    values = np.stack([on_grid(2000), on_grid(2000, 2)], axis=1)
    values[::100, 0] = np.nan
    near = fit_preprocessing(
        values.astype(np.float32),
        np.ones(2000),
        rule,
        missing_allowed=[True, False],
        logarithm=[logarithm, False],
    )
    shifted = values + np.array([GPS, 0.0])
    far = fit_preprocessing(
        shifted, np.ones(2000), rule, missing_allowed=[True, False], logarithm=[logarithm, False]
    )
    assert far.unresolved == (0,)
    assert near.unresolved == ()
    assert far.inputs == near.inputs
    expected = near.apply(values.astype(np.float32))
    if rule == "none" and not logarithm:
        expected[:, 0] -= np.float32(np.nanmedian(values[:, 0]))
    np.testing.assert_allclose(far.apply(shifted), expected, atol=2e-5)
    np.testing.assert_allclose(far.slopes(shifted), near.slopes(values), rtol=1e-4)
    # of some features, and of large values, the inputs are those of all
    np.testing.assert_array_equal(far.select([1]).apply(shifted[:, [1]])[:, 0], far.apply(shifted)[:, 1])
    assert far.select([1]).offset is None
    assert np.isfinite(far.apply(np.array([[1e300, 0], [-1e300, 0]]))).all()


def test_a_value_beside_a_sentinel_is_there(two_classes: Make, write_tree: WriteTree) -> None:
    config = two_classes(10)
    days = np.arange(20180100.0, 20180110.0)
    for name in ("bkg", "sig"):
        write_tree(f"{name}.root", {"day": days})
    events = events_of({**config, "features": [{"name": "day", "missing": 20180100}]})
    assert np.isnan(events.features).sum() == 2
    assert np.nanmin(events.features) == 20180101
