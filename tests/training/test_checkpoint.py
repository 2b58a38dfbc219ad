"""A training that is stopped between two steps goes on bit by bit, and damage to what it kept is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from tamis.config import Adam, Dense, EarlyStopping, OneCycle, Plateau, ScheduleFreeAdamW, Sparse, Training
from tamis.errors import InputError, StoppedError
from tamis.network.network import build_network
from tamis.training.batches import WeightedInputs
from tamis.training.checkpoint import (
    KEPT,
    Progress,
    is_checkpoint_file,
    load_progress,
    of_other_training,
    save_progress,
)
from tamis.training.history import Epoch
from tamis.training.loop import Trained, follow, train

BASE: dict[str, Any] = {"epochs": 5, "batch_size": 64, "early_stopping": None}
SETTINGS = {
    "adam": Training(**BASE, optimizer=Adam(learning_rate=0.01)),
    "one cycle": Training(**BASE, schedule=OneCycle()),
    "plateau": Training(**BASE, schedule=Plateau(patience=1)),
    "average": Training(**BASE, average=0.9),
    "schedule-free": Training(**BASE, optimizer=ScheduleFreeAdamW(learning_rate=0.01)),
    "stops early": Training(epochs=30, batch_size=64, early_stopping=EarlyStopping(patience=2)),
    "large batches": Training(epochs=10, batch_size=1024, early_stopping=None),
}


def sample(events: int, seed: int) -> WeightedInputs:
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 2, events).astype(np.int32)
    inputs = (rng.normal(size=(events, 2)) + class_index[:, None]).astype(np.float32)

    def redraw(seed: int, epoch: int) -> Any:
        return inputs + np.random.default_rng((seed, epoch)).normal(0, 0.1, inputs.shape).astype(np.float32)

    return WeightedInputs(inputs, class_index, np.ones(events), redraw if seed == 3 else None)


def trained(settings: Training, layers: list[Any], events: WeightedInputs, **more: Any) -> Trained:
    network = build_network(2, 2, layers, random=np.random.default_rng(0))
    return follow(train(network, events, sample(333, 2), settings, seed=1, **more))


def same(first: Trained, second: Trained) -> None:
    pairs = zip(jax.tree.leaves(first.network), jax.tree.leaves(second.network), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    histories = [
        (
            [{**vars(epoch), "seconds": 0} for epoch in each.history.epochs],
            each.history.best,
            each.history.reason,
        )
        for each in (first, second)
    ]
    assert histories[0] == histories[1]


def stopping_after(epochs: int, folder: Path) -> Callable[[Callable[[], Progress], bool], None]:
    def keep(progress: Callable[[], Progress], ended: bool) -> None:
        now = progress()
        save_progress(now, folder)
        if len(now.epochs) == epochs and not ended:
            raise StoppedError("enough")

    return keep


# slow: those that are stopped within an epoch below as well
ENDS = ("plateau", "stops early")


@pytest.mark.parametrize(
    "name", [name if name in ENDS else pytest.param(name, marks=pytest.mark.slow) for name in SETTINGS]
)
def test_it_goes_on_bit_by_bit(name: str, tmp_path: Path) -> None:
    layers, settings = [Dense(nodes=8)], SETTINGS[name]
    events = sample(5000 if name == "large batches" else 700, 1)
    whole = trained(settings, layers, events)
    for epochs in (1, 3):
        folder = tmp_path / str(epochs)
        with pytest.raises(StoppedError):
            trained(settings, layers, events, keep=stopping_after(epochs, folder))
        begun = load_progress(folder)
        assert len(begun.epochs) == epochs
        same(trained(settings, layers, events, begun=begun), whole)


@pytest.mark.slow  # the same layers and inputs are stopped within an epoch below
@pytest.mark.parametrize(
    ("layers", "seed"),
    [
        ([Dense(nodes=8, normalisation="batch"), Dense(nodes=4)], 1),
        ([Dense(nodes=8, dropout=0.2)], 1),
        ([Dense(nodes=8)], 3),
    ],
    ids=["batch normalisation", "dropout", "redrawn inputs"],
)
def test_what_layers_and_inputs_remember_goes_on_too(layers: list[Any], seed: int, tmp_path: Path) -> None:
    events, settings = sample(700, seed), SETTINGS["adam"]
    with pytest.raises(StoppedError):
        trained(settings, layers, events, keep=stopping_after(2, tmp_path))
    same(trained(settings, layers, events, begun=load_progress(tmp_path)), trained(settings, layers, events))


PRUNED = Sparse(nodes=8, density=0.5, mask="magnitude")
HALFWAY = {
    "adam": ("adam", [Dense(nodes=8)], 1),
    "one cycle, pruned": ("one cycle", [PRUNED], 1),
    "average, batch normalisation": ("average", [Dense(nodes=8, normalisation="batch")], 1),
    "schedule-free, dropout": ("schedule-free", [Dense(nodes=8, dropout=0.2)], 1),
    "redrawn inputs": ("adam", [Dense(nodes=8)], 3),
    "large batches": ("large batches", [Dense(nodes=8)], 1),
}


@pytest.mark.parametrize("name", HALFWAY)
def test_it_goes_on_from_within_an_epoch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tamis.training.stretches.FIRST", 2)
    monkeypatch.setattr("tamis.training.stretches.SECONDS", 0.0)  # then one batch at a time
    kind, layers, seed = HALFWAY[name]
    settings, events = SETTINGS[kind], sample(5000 if kind == "large batches" else 700, seed)
    whole = trained(settings, layers, events)
    for epoch, step in ((0, 2), (2, 3)):
        folder = tmp_path / f"{epoch}-{step}"

        def keep(progress: Callable[[], Progress], ended: bool, at: Any = (epoch, step, folder)) -> None:
            now = progress()
            if (len(now.epochs), now.step) == at[:2] and not ended:
                save_progress(now, at[2])
                raise StoppedError(now.place)

        with pytest.raises(StoppedError, match=f"step {step} of epoch {epoch + 1} of"):
            trained(settings, layers, events, keep=keep)
        begun = load_progress(folder)
        assert (len(begun.epochs), begun.step) == (epoch, step)
        assert begun.seconds > 0
        same(trained(settings, layers, events, begun=begun), whole)


def test_it_goes_on_with_another_number_of_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tamis.training.stretches.FIRST", 2)
    settings, events = SETTINGS["adam"], sample(700, 1)

    def keep(progress: Callable[[], Progress], ended: bool) -> None:
        now = progress()
        if now.step and not ended:
            save_progress(now, tmp_path)
            raise StoppedError(now.place)

    with pytest.raises(StoppedError):
        trained(settings, [Dense(nodes=8)], events, keep=keep)
    begun = load_progress(tmp_path)
    (place,) = (number for number, each in enumerate(begun.arrays) if each.shape == (1, 2))
    sums = begun.arrays[place]
    assert sums.any()
    # three cores that share a batch have a sum each
    of_three = np.concatenate([np.zeros((1, 2), np.float32), sums / 2, sums / 2])
    arrays = (*begun.arrays[:place], of_three, *begun.arrays[place + 1 :])
    whole = trained(settings, [Dense(nodes=8)], events)
    same(trained(settings, [Dense(nodes=8)], events, begun=replace(begun, arrays=arrays)), whole)


def test_a_checkpoint_says_of_which_training_it_is(tmp_path: Path) -> None:
    save_progress(progress(1), tmp_path)
    assert of_other_training(tmp_path, "this") is None  # as older versions wrote it
    save_progress(progress(2), tmp_path, "this")
    assert of_other_training(tmp_path, "this") is None
    assert of_other_training(tmp_path, "that") == tmp_path / "epoch-000002.json"
    assert load_progress(tmp_path).epochs == progress(2).epochs


def test_the_newest_is_the_one_that_is_furthest(tmp_path: Path) -> None:
    for epochs, step in ((1, 0), (1, 9), (1, 100), (2, 0), (2, 5)):
        save_progress(replace(progress(epochs), step=step, seconds=0.1), tmp_path)
        found = load_progress(tmp_path)
        assert (len(found.epochs), found.step) == (epochs, step)
        assert all(is_checkpoint_file(path.name) for path in tmp_path.iterdir())
        assert len(list(tmp_path.iterdir())) <= 2 * KEPT


def test_a_training_that_has_ended_is_not_trained_again(tmp_path: Path) -> None:
    events = sample(700, 1)
    whole = trained(SETTINGS["adam"], [Dense(nodes=8)], events, keep=stopping_after(99, tmp_path))
    begun = load_progress(tmp_path)
    assert begun.reason == "all 5 epochs were trained"

    def never(_progress: Any, _ended: bool) -> None:
        raise AssertionError("it was trained again")

    same(trained(SETTINGS["adam"], [Dense(nodes=8)], events, begun=begun, keep=never), whole)


def test_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        trained(SETTINGS["adam"], [Dense(nodes=8)], sample(700, 1), keep=stopping_after(1, tmp_path))
    with pytest.raises(InputError, match="do not fit this network and its optimizer"):
        trained(SETTINGS["adam"], [Dense(nodes=9)], sample(700, 1), begun=load_progress(tmp_path))


def progress(epochs: int) -> Progress:
    done = tuple(Epoch(number + 1, 0.5, 0.5, 0.5, 0.5, 0.01, 0.1, 10, 9) for number in range(epochs))
    return Progress(
        (np.arange(5, dtype=np.float32), np.array(epochs, np.int32), np.array(True)), done, 1, 9, 0.5
    )


def test_arrays_keep_their_shapes_and_types(tmp_path: Path) -> None:
    save_progress(progress(2), tmp_path)
    found = load_progress(tmp_path)
    assert found.epochs == progress(2).epochs
    for first, second in zip(found.arrays, progress(2).arrays, strict=True):
        assert (first.shape, first.dtype) == (second.shape, second.dtype)
        np.testing.assert_array_equal(first, second)


def test_the_newest_two_stay_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for epochs in range(1, 5):
        save_progress(progress(epochs), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert KEPT == 2
    assert names == {
        "notes.txt",
        *(f"epoch-00000{n}.{end}" for n in (3, 4) for end in ("json", "safetensors")),
    }


@pytest.mark.parametrize("end", ["json", "safetensors"])
def test_every_changed_byte_is_found_and_the_one_before_is_used(end: str, tmp_path: Path) -> None:
    save_progress(progress(1), tmp_path)
    save_progress(progress(2), tmp_path)
    path = tmp_path / f"epoch-000002.{end}"
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        heard: list[str] = []
        found = load_progress(tmp_path, heard.append)
        assert len(found.epochs) == 1, place
        assert path.name in heard[0]
        assert "damaged or incomplete" in heard[0]
    for length in (0, 1, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert len(load_progress(tmp_path).epochs) == 1
    path.unlink()
    assert len(load_progress(tmp_path).epochs) == 1
    path.write_bytes(content)
    assert len(load_progress(tmp_path).epochs) == 2


def test_without_any_there_is_none(tmp_path: Path) -> None:
    assert load_progress(tmp_path / "nowhere") is None
    (tmp_path / "epoch-000001.json").write_text("{")
    assert load_progress(tmp_path) is None
