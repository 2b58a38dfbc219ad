"""A training that is stopped between two steps resumes bit by bit, and damage to its checkpoints is found."""

from __future__ import annotations

import hashlib
import json
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
    N_CHECKPOINTS,
    find_other_training,
    is_checkpoint_file,
    read_checkpoint,
    write_checkpoint,
)
from tamis.training.events import (
    ChunkFinished,
    EpochFinished,
    Event,
    Observer,
    Trained,
    TrainingFinished,
    TrainingStarted,
    run_training,
)
from tamis.training.fit import fit
from tamis.training.history import Epoch, History
from tamis.training.recipe import resolve_recipe
from tamis.training.state import BestWeights, TrainState
from tamis.training.step import StepState

BASE: dict[str, Any] = {"epochs": 5, "batch_size": 64, "early_stopping": None}
SETTINGS = {
    "adam": Training(**BASE, optimizer=Adam(learning_rate=0.01)),
    "one cycle": Training(**BASE, schedule=OneCycle()),
    "plateau": Training(**BASE, schedule=Plateau(patience=1)),
    "average": Training(**BASE, ema_decay=0.9),
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


def trained(
    settings: Training, layers: list[Any], events: WeightedInputs, *observers: Observer, **more: Any
) -> Trained:
    network = build_network(2, 2, layers, random=np.random.default_rng(0))
    recipe = resolve_recipe(settings, len(events))
    return run_training(fit(network, events, sample(333, 2), recipe, seed=1, **more), *observers)


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


def stop_after(epochs: int, folder: Path) -> Observer:
    """Write a checkpoint after each epoch, and stop the training after some."""

    def observe(event: Event) -> None:
        if isinstance(event, EpochFinished):
            write_checkpoint(event.state, folder)
            if event.epoch.number == epochs and not event.state.ended:
                raise StoppedError("enough")

    return observe


def resumed_from(starts: list[TrainState]) -> Observer:
    """Collect the states that trainings resume from."""

    def observe(event: Event) -> None:
        if isinstance(event, TrainingStarted):
            assert event.resumed
            assert event.damaged == ()
            starts.append(event.state)

    return observe


# slow: those that are stopped within an epoch below as well
ENDS = ("plateau", "stops early")


@pytest.mark.parametrize(
    "name", [name if name in ENDS else pytest.param(name, marks=pytest.mark.slow) for name in SETTINGS]
)
def test_a_training_resumes_bit_by_bit(name: str, tmp_path: Path) -> None:
    layers, settings = [Dense(nodes=8)], SETTINGS[name]
    events = sample(5000 if name == "large batches" else 700, 1)
    whole = trained(settings, layers, events)
    for epochs in (1, 3):
        folder = tmp_path / str(epochs)
        with pytest.raises(StoppedError):
            trained(settings, layers, events, stop_after(epochs, folder))
        starts: list[TrainState] = []
        same(trained(settings, layers, events, resumed_from(starts), resume_from=folder), whole)
        assert [len(state.history.epochs) for state in starts] == [epochs]


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
def test_buffers_and_random_numbers_resume_too(layers: list[Any], seed: int, tmp_path: Path) -> None:
    events, settings = sample(700, seed), SETTINGS["adam"]
    with pytest.raises(StoppedError):
        trained(settings, layers, events, stop_after(2, tmp_path))
    same(trained(settings, layers, events, resume_from=tmp_path), trained(settings, layers, events))


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
def test_a_training_resumes_within_an_epoch(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tamis.training.fit.FIRST_CHUNK", 2)
    kind, layers, seed = HALFWAY[name]
    settings, events = SETTINGS[kind], sample(5000 if kind == "large batches" else 700, seed)
    whole = trained(settings, layers, events)
    for epoch, step in ((1, 2), (3, 3)):
        folder = tmp_path / f"{epoch}-{step}"

        def stop(event: Event, at: Any = (epoch, step, folder)) -> None:
            if isinstance(event, ChunkFinished) and (event.state.epoch_number, event.state.batch) == at[:2]:
                write_checkpoint(event.state, at[2])
                raise StoppedError(event.state.position)

        with pytest.raises(StoppedError, match=f"step {step} of epoch {epoch} of"):
            trained(settings, layers, events, stop, chunk_seconds=0.0)  # one step at a time after the first
        starts: list[TrainState] = []
        same(trained(settings, layers, events, resumed_from(starts), resume_from=folder), whole)
        assert [(state.epoch_number, state.batch) for state in starts] == [(epoch, step)]
        assert starts[0].seconds > 0


def stop_in_first_epoch(folder: Path, change: Callable[[TrainState], TrainState]) -> Observer:
    def observe(event: Event) -> None:
        if isinstance(event, ChunkFinished):
            write_checkpoint(change(event.state), folder)
            raise StoppedError("enough")

    return observe


def test_a_training_resumes_with_another_number_of_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tamis.training.fit.FIRST_CHUNK", 2)
    settings, events, layers = SETTINGS["adam"], sample(700, 1), [Dense(nodes=8)]

    def as_of_three(state: TrainState) -> TrainState:
        sums = np.asarray(state.current.sums)
        assert sums.shape == (1, 2)
        assert sums.any()
        # three cores that share a batch have a sum each
        of_three = np.concatenate([np.zeros((1, 2), np.float32), sums / 2, sums / 2])
        return replace(state, current=state.current._replace(sums=of_three))

    with pytest.raises(StoppedError):
        trained(settings, layers, events, stop_in_first_epoch(tmp_path, as_of_three), chunk_seconds=0.0)
    same(trained(settings, layers, events, resume_from=tmp_path), trained(settings, layers, events))


def test_a_checkpoint_names_its_training(tmp_path: Path) -> None:
    write_checkpoint(state_after(1), tmp_path)
    assert find_other_training(tmp_path, "this") is None  # it names none
    write_checkpoint(state_after(2), tmp_path, "this")
    assert find_other_training(tmp_path, "this") is None
    assert find_other_training(tmp_path, "that") == tmp_path / "epoch-000002.json"
    assert read(tmp_path).history == state_after(2).history


def test_the_newest_is_the_one_that_is_furthest(tmp_path: Path) -> None:
    for epochs, step in ((1, 0), (1, 9), (1, 100), (2, 0), (2, 5)):
        write_checkpoint(replace(state_after(epochs), batch=step, seconds=0.1), tmp_path)
        found = read(tmp_path)
        assert (len(found.history.epochs), found.batch) == (epochs, step)
        assert all(is_checkpoint_file(path.name) for path in tmp_path.iterdir())
        assert len(list(tmp_path.iterdir())) <= 2 * N_CHECKPOINTS


def test_a_training_that_has_ended_is_not_trained_again(tmp_path: Path) -> None:
    events, layers = sample(700, 1), [Dense(nodes=8)]
    whole = trained(SETTINGS["adam"], layers, events, stop_after(99, tmp_path))
    seen: list[Event] = []
    same(trained(SETTINGS["adam"], layers, events, seen.append, resume_from=tmp_path), whole)
    assert [type(event) for event in seen] == [TrainingStarted, TrainingFinished]
    assert isinstance(seen[0], TrainingStarted)
    assert seen[0].state.history.reason == "all 5 epochs were trained"


def test_without_a_checkpoint_a_training_starts_from_the_beginning(tmp_path: Path) -> None:
    events, layers = sample(700, 1), [Dense(nodes=8)]
    (tmp_path / "epoch-000001.json").write_text("{")
    seen: list[Event] = []
    found = trained(SETTINGS["adam"], layers, events, seen.append, resume_from=tmp_path)
    assert isinstance(seen[0], TrainingStarted)
    assert not seen[0].resumed
    assert "epoch-000001.json: is damaged" in seen[0].damaged[0]
    same(found, trained(SETTINGS["adam"], layers, events))


def test_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        trained(SETTINGS["adam"], [Dense(nodes=8)], sample(700, 1), stop_after(1, tmp_path))
    with pytest.raises(InputError):
        trained(SETTINGS["adam"], [Dense(nodes=9)], sample(700, 1), resume_from=tmp_path)
    without = SETTINGS["adam"].model_copy(update={"ema_decay": None})
    with pytest.raises(InputError):
        trained(without, [Dense(nodes=8)], sample(700, 1), resume_from=tmp_path)


def test_a_step_that_the_epoch_does_not_have_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tamis.training.fit.FIRST_CHUNK", 2)
    settings, events, layers = SETTINGS["adam"], sample(700, 1), [Dense(nodes=8)]
    with pytest.raises(StoppedError):
        trained(
            settings, layers, events, stop_in_first_epoch(tmp_path, lambda state: state), chunk_seconds=0.0
        )
    larger = settings.model_copy(update={"batch_size": 512})
    with pytest.raises(InputError):
        trained(larger, layers, events, resume_from=tmp_path)


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_format_is_refused(version: int, tmp_path: Path) -> None:
    """The version is believed only if the document is intact: a flipped bit in it is damage."""
    write_checkpoint(state_after(1), tmp_path)
    path = tmp_path / "epoch-000001.json"
    content = json.loads(path.read_text())
    del content["sha256"]
    older = {**content, "version": version}
    path.write_text(json.dumps({**older, "sha256": hash_of(older)}))
    expected = rf"epoch-000001\.json: has version {version} .* reads version 3; start again .*--overwrite"
    with pytest.raises(InputError, match=expected):
        read_checkpoint(tmp_path, like=state_after(1))
    with pytest.raises(InputError, match=expected):
        find_other_training(tmp_path, "this")
    path.write_text(json.dumps({**older, "sha256": hash_of(content)}))
    state, damaged = read_checkpoint(tmp_path, like=state_after(1))
    assert state is None
    assert "is damaged" in damaged[0]


def hash_of(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def state_after(epochs: int) -> TrainState:
    finished = tuple(Epoch(number + 1, 0.5, 0.5, 0.5, 0.5, 0.01, 0.1, 10, 9) for number in range(epochs))
    optimizer = (np.array(epochs, np.int32), np.array(True))
    parameters = np.arange(5, dtype=np.float32)
    current = StepState(parameters, optimizer, np.zeros((1, 2), np.float32), ema=parameters + 0.5)
    best = BestWeights(parameters - 1, None)
    return TrainState(current, best, History(finished, 1, ""), planned_epochs=9, compile_seconds=0.5)


def read(folder: Path) -> TrainState:
    state, _ = read_checkpoint(folder, like=state_after(1))
    assert state is not None
    return state


def test_a_state_survives_a_checkpoint(tmp_path: Path) -> None:
    written = replace(state_after(2), batch=3, seconds=0.25)
    write_checkpoint(written, tmp_path)
    found = read(tmp_path)
    assert jax.tree.structure(found) == jax.tree.structure(written)  # with history and numbers
    for first, second in zip(jax.tree.leaves(found), jax.tree.leaves(written), strict=True):
        assert (first.shape, first.dtype) == (second.shape, second.dtype)
        np.testing.assert_array_equal(first, second)


def test_the_newest_two_stay_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for epochs in range(1, 5):
        write_checkpoint(state_after(epochs), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert N_CHECKPOINTS == 2
    assert names == {
        "notes.txt",
        *(f"epoch-00000{n}.{end}" for n in (3, 4) for end in ("json", "safetensors")),
    }


@pytest.mark.parametrize("end", ["json", "safetensors"])
def test_every_changed_byte_is_found_and_the_one_before_is_used(end: str, tmp_path: Path) -> None:
    write_checkpoint(state_after(1), tmp_path)
    write_checkpoint(state_after(2), tmp_path)
    path = tmp_path / f"epoch-000002.{end}"
    content, like = path.read_bytes(), state_after(1)
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        found, damaged = read_checkpoint(tmp_path, like)
        assert found is not None
        assert len(found.history.epochs) == 1, place
        assert path.name in damaged[0]
        assert "is damaged" in damaged[0]
    for length in (0, 1, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert len(read(tmp_path).history.epochs) == 1
    path.unlink()
    assert len(read(tmp_path).history.epochs) == 1
    path.write_bytes(content)
    assert len(read(tmp_path).history.epochs) == 2


def test_without_any_there_is_none(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "nowhere", like=state_after(1)) == (None, ())
    (tmp_path / "epoch-000001.json").write_text("{")
    assert read_checkpoint(tmp_path, like=state_after(1))[0] is None
