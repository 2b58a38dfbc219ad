"""Random streams depend on the seed and on every name of their purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
import scipy.stats  # noqa: F401 - its import makes generators, which do not belong to a run
from hypothesis import given
from hypothesis import strategies as st

import tamis
from tamis.config import parse_config
from tamis.random_streams import random_key, random_stream

PURPOSES = st.lists(st.text(max_size=4), max_size=3).map(tuple)
SEEDS = st.integers(0, 2**63 - 1)


@given(st.sets(st.tuples(SEEDS, PURPOSES), min_size=2, max_size=6))
def test_no_two_streams_share_their_numbers(streams: set[tuple[int, tuple[str, ...]]]) -> None:
    """Zeros and empty names count, too: (seed, "") is not (seed,), and ("a", "b") is not ("ab",)."""
    first = {tuple(random_stream(seed, *purpose).integers(2**63, size=2)) for seed, purpose in streams}
    assert len(first) == len(streams)


@given(SEEDS, PURPOSES)
def test_a_stream_begins_anew_with_the_same_numbers(seed: int, purpose: tuple[str, ...]) -> None:
    again, once = (random_stream(seed, *purpose).random(3).tolist() for _ in range(2))
    assert again == once


@given(st.sets(st.tuples(SEEDS, PURPOSES), min_size=2, max_size=4))
def test_no_two_keys_are_equal(streams: set[tuple[int, tuple[str, ...]]]) -> None:
    keys = {tuple(jax.random.key_data(random_key(seed, *purpose)).tolist()) for seed, purpose in streams}
    assert len(keys) == len(streams)


@pytest.mark.parametrize("changes", [
    {"training": {"epochs": 3, "batch_size": 64, "ensemble": 2}, "split": {"folds": 2}},
    {"training": {"epochs": 3, "batch_size": 64, "symmetries": [{"type": "reflection", "features": ["y"]}]},
     "network": {"layers": [{"nodes": 4, "dropout": 0.1}]}, "spectators": ["w"],
     "evaluation": {"baselines": ["logistic"]}},
])  # fmt: skip
def test_no_two_streams_of_a_run_coincide(
    two_classes: Callable[..., dict[str, Any]], changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Record what every generator and key of a run begins with, whoever makes it."""
    streams: list[tuple[int, ...]] = []
    keys: list[tuple[int, ...]] = []
    default_rng, wrap = np.random.default_rng, jax.random.wrap_key_data

    def record_stream(seed: Any = None) -> np.random.Generator:
        streams.append(tuple(default_rng(seed).integers(2**63, size=2).tolist()))
        return default_rng(seed)

    def record_key(words: Any, **more: Any) -> Any:
        keys.append(tuple(np.asarray(words).tolist()))
        return wrap(words, **more)

    plain = jax.random.key

    def refuse(seed: int) -> Any:
        assert seed == 0, f"a key of seed {seed} without a purpose"
        return plain(seed)  # networks of which the shapes alone are asked

    monkeypatch.setattr(np.random, "default_rng", record_stream)
    monkeypatch.setattr(jax.random, "wrap_key_data", record_key)
    monkeypatch.setattr(jax.random, "key", refuse)
    tamis.train(parse_config(two_classes(300, seed=5, **changes)))
    assert len(streams) > 15
    assert keys
    assert len(set(streams)) == len(streams)
    assert len(set(keys)) == len(keys)


def test_keys_that_follow_from_one_another_differ() -> None:
    """The keys of epochs, of steps and of devices of a training, and those of the layers that it begins with."""
    training, weights = (random_key(1, "training", name) for name in ("dropout", "initial weights"))
    epochs = [jax.random.fold_in(training, number) for number in range(1, 5)]
    steps = [key for epoch in epochs for key in jax.random.split(epoch, 6)]
    layers = list(jax.random.split(weights, 5))
    data = [tuple(jax.random.key_data(key).tolist()) for key in (training, weights, *epochs, *steps, *layers)]
    assert len(set(data)) == len(data)
