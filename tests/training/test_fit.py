"""The training loop from its events to the network that it returns."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from tamis.config import (
    Adam,
    Dense,
    EarlyStopping,
    OneCycle,
    ScheduleFreeAdamW,
    Sgd,
    SquaredError,
    Step,
    Training,
)
from tamis.errors import RequestError, TrainingError
from tamis.network.network import build_network
from tamis.network.prediction import predict_scores
from tamis.training.batches import WeightedInputs
from tamis.training.events import (
    ChunkFinished,
    EpochFinished,
    Event,
    Trained,
    TrainingFinished,
    TrainingStarted,
    run_training,
)
from tamis.training.fit import fit
from tamis.training.recipe import Custom, resolve_recipe


def sample(n: int, seed: int, *, shift: float = 1.0, noise: float = 0.0) -> WeightedInputs:
    rng = np.random.default_rng(seed)
    class_index = rng.integers(0, 2, n).astype(np.int32)
    inputs = rng.normal(size=(n, 2)) + shift * class_index[:, None]
    labels = np.where(rng.random(n) < noise, 1 - class_index, class_index).astype(np.int32)
    return WeightedInputs(inputs.astype(np.float32), labels, np.ones(n))


def run(
    settings: Training,
    training: WeightedInputs,
    validation: WeightedInputs,
    *,
    seed: int = 0,
    normalisation: str | None = None,
    custom: Custom | None = None,
    **more: object,
) -> Trained:
    layers = [Dense(nodes=8, normalisation=normalisation)]
    network = build_network(2, 2, layers, random=np.random.default_rng(0))
    recipe = resolve_recipe(settings, len(training), custom)
    return run_training(fit(network, training, validation, recipe, seed=seed, **more))


PLAIN = Training(
    epochs=4, batch_size=64, schedule="constant", optimizer=Adam(learning_rate=0.01), early_stopping=None
)


@cache
def plain(seed: int = 0) -> Trained:
    return run(PLAIN, sample(1000, 1), sample(777, 2), seed=seed)


def test_training_reaches_the_bayes_optimum() -> None:
    settings = replace_fields(PLAIN, epochs=15, schedule=OneCycle())
    trained = run(settings, sample(20_000, 1), sample(5000, 2))
    events = sample(50_000, 3)
    scores = predict_scores(trained.network, events.inputs)
    loss = -np.log(scores[np.arange(50_000), events.class_index]).mean()
    # two Gaussians one apart in both inputs, equal priors: the posterior is a logistic function of x + y - 1
    position = events.inputs.sum(axis=1) - 1
    optimum = np.log1p(np.exp(np.where(events.class_index == 1, -position, position))).mean()
    assert 0 <= loss - optimum < 0.002


def replace_fields(settings: Training, **changes: object) -> Training:
    return settings.model_copy(update=changes)


def test_two_trainings_give_the_same_bits() -> None:
    first, second = plain(), run(PLAIN, sample(1000, 1), sample(777, 2))
    assert [leaf.tobytes() for leaf in leaves(first)] == [leaf.tobytes() for leaf in leaves(second)]
    strip = [replace(epoch, seconds=0) for epoch in first.history.epochs]
    assert strip == [replace(epoch, seconds=0) for epoch in second.history.epochs]


def leaves(trained: Trained) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(trained.network)]


def test_another_seed_gives_another_order() -> None:
    first, second = plain(), plain(seed=1)
    assert any((a != b).any() for a, b in zip(leaves(first), leaves(second), strict=True))


def test_history_measures_what_the_network_gives() -> None:
    trained, validation = plain(), sample(777, 2)
    scores = predict_scores(trained.network, validation.inputs)
    loss = -np.log(scores[np.arange(777), validation.class_index]).mean()
    accuracy = (scores.argmax(axis=1) == validation.class_index).mean()
    last = trained.history.epochs[-1]
    assert last.validation_loss == pytest.approx(loss, rel=1e-5)
    assert last.validation_accuracy == pytest.approx(accuracy, rel=1e-5)
    assert [epoch.number for epoch in trained.history.epochs] == [1, 2, 3, 4]
    assert [epoch.learning_rate for epoch in trained.history.epochs] == pytest.approx([0.01] * 4)
    assert [epoch.events for epoch in trained.history.epochs] == [1000] * 4
    assert trained.history.reason == "all 4 epochs were trained"


def test_early_stopping_returns_the_best_epoch() -> None:
    stopping = EarlyStopping(monitor="validation_loss", patience=4)
    settings = replace_fields(PLAIN, epochs=200, early_stopping=stopping, optimizer=Adam(learning_rate=0.05))
    validation = sample(500, 2)
    trained = run(settings, sample(60, 1, noise=0.3), validation)  # few and noisy: it overtrains
    history = trained.history
    assert len(history.epochs) == history.best + 4 < 200
    assert history.reason == "validation_loss did not improve for 4 epochs"
    best = min(epoch.validation_loss for epoch in history.epochs)
    assert history.epochs[history.best - 1].validation_loss == best
    scores = predict_scores(trained.network, validation.inputs)
    loss = -np.log(scores[np.arange(500), validation.class_index]).mean()
    assert loss == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize(("monitor", "batch"), [("validation_auc", 100), ("validation_significance", 1000)])
def test_the_metric_of_the_caller_decides(monitor: str, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # eight batches, the last one padded, or one
    monkeypatch.setattr("tamis.training.fit.VALIDATION_BATCH", batch)
    seen = []

    def measure(scores: np.ndarray) -> float:
        seen.append(scores)
        return -abs(len(seen) - 3)  # the third epoch is the best

    stopping = EarlyStopping(monitor=monitor, patience=2)
    settings = replace_fields(PLAIN, epochs=9, early_stopping=stopping)
    validation = sample(777, 2)
    trained = run(settings, sample(1000, 1), validation, metric=measure)
    assert trained.history.best == 3
    assert [getattr(each, monitor) for each in trained.history.epochs] == [-2, -1, 0, -1, -2]
    assert trained.history.reason == f"{monitor} did not improve for 2 epochs"
    assert [monitor in each for each in trained.history.to_dict()["epochs"]] == [True] * 5
    # the scores are those of the network, event by event
    np.testing.assert_allclose(seen[2], predict_scores(trained.network, validation.inputs), atol=1e-6)


def test_a_monitor_that_nobody_computes_is_refused() -> None:
    settings = replace_fields(PLAIN, early_stopping=EarlyStopping(monitor="validation_auc"))
    with pytest.raises(RequestError):
        run(settings, sample(100, 1), sample(100, 2))


def test_a_monitor_that_is_no_number_is_refused() -> None:
    settings = replace_fields(PLAIN, early_stopping=EarlyStopping(monitor="validation_auc"))
    with pytest.raises(TrainingError):
        run(settings, sample(100, 1), sample(100, 2), metric=lambda _: math.nan)


def test_a_user_brings_a_loss_and_an_optimizer() -> None:
    def squares(logits: jax.Array, target: jax.Array) -> jax.Array:
        return (
            target.sum(axis=0) * ((jax.nn.softmax(logits, axis=0) - (target > 0)) ** 2).mean(axis=0)
        ).sum()

    settings = replace_fields(PLAIN, loss=SquaredError(), optimizer=Sgd(learning_rate=0.1), epochs=2)
    data = sample(1000, 1), sample(777, 2)
    expected = run(settings, *data)
    found = run(replace_fields(PLAIN, epochs=2), *data, custom=Custom(squares, optax.sgd(0.1, 0.9)))
    for first, second in zip(leaves(expected), leaves(found), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    for first, second in zip(expected.history.epochs, found.history.epochs, strict=True):
        assert first.validation_loss == pytest.approx(second.validation_loss, rel=1e-5)
    assert found.history.epochs[0].learning_rate is None
    assert "learning_rate" not in found.history.to_dict()["epochs"][0]


def test_a_schedule_free_training_keeps_the_average() -> None:
    optimizer = ScheduleFreeAdamW(learning_rate=0.05, warm_up=5)
    settings = Training(optimizer=optimizer, epochs=3, batch_size=64, early_stopping=None)
    trained = run(settings, sample(1000, 1), validation := sample(777, 2))
    scores = predict_scores(trained.network, validation.inputs)
    loss = -np.log(scores[np.arange(777), validation.class_index]).mean()
    assert trained.history.epochs[-1].validation_loss == pytest.approx(loss, rel=1e-5)
    assert loss < plain().history.epochs[-1].validation_loss + 0.02


def test_a_time_budget_shorter_than_an_epoch_is_refused() -> None:
    with pytest.raises(TrainingError):
        run(replace_fields(PLAIN, time_budget=0.001), sample(100, 1), sample(100, 2))


def test_a_loss_that_is_no_number_stops_with_advice() -> None:
    settings = replace_fields(PLAIN, optimizer=Sgd(learning_rate=1e30))
    with pytest.raises(TrainingError):
        run(settings, sample(1000, 1), sample(100, 2))


def events_of(settings: Training, **more: object) -> list[Event]:
    network = build_network(2, 2, [Dense(nodes=8)], random=np.random.default_rng(0))
    recipe = resolve_recipe(settings, 1000)
    return list(fit(network, sample(1000, 1), sample(777, 2), recipe, seed=0, **more))


def test_every_epoch_is_one_chunk_unless_chunks_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [type(event) for event in events_of(PLAIN)]
    assert kinds == [TrainingStarted, *[EpochFinished] * 4, TrainingFinished]
    monkeypatch.setattr("tamis.training.fit.FIRST_CHUNK", 5)
    # 16 steps: five, and then one at a time
    events = events_of(replace_fields(PLAIN, epochs=2), chunk_seconds=0.0)
    batches = [event.state.batch for event in events if isinstance(event, ChunkFinished)]
    assert batches == [*range(5, 16), *range(1, 16)]


def test_chunks_take_about_as_long_as_they_are_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tamis.training.fit.FIRST_CHUNK", 5)
    events = events_of(replace_fields(PLAIN, epochs=1), chunk_seconds=1000.0)
    # a step takes no minute: the second chunk is the rest
    assert [event.state.batch for event in events if isinstance(event, ChunkFinished)] == [5]


def test_the_events_of_an_epoch_hold_its_state() -> None:
    events = events_of(PLAIN)
    epochs = [event for event in events if isinstance(event, EpochFinished)]
    assert [event.epoch.number for event in epochs] == [1, 2, 3, 4]
    assert [event.state.ended for event in epochs] == [False, False, False, True]
    assert [event.state.position for event in epochs] == [f"epoch {number} of 4" for number in (1, 2, 3, 4)]
    assert all(event.state.compile_seconds > 0 for event in epochs)
    assert isinstance(events[0], TrainingStarted)
    assert not events[0].resumed
    assert isinstance(events[-1], TrainingFinished)
    assert events[-1].trained.history == epochs[-1].state.history


def test_a_schedule_spans_all_epochs() -> None:
    settings = replace_fields(
        PLAIN,
        epochs=2,
        schedule=Step(at=(0.5,), factor=1e-12),
        optimizer=Sgd(learning_rate=0.1),
        ema_decay=None,
    )
    network = build_network(2, 2, [Dense(nodes=8)], random=np.random.default_rng(0))
    parameters = [
        np.array(event.state.current.parameters)
        for event in fit(network, sample(1000, 1), sample(777, 2), resolve_recipe(settings, 1000), seed=0)
        if isinstance(event, TrainingStarted | EpochFinished)
    ]
    assert np.abs(parameters[1] - parameters[0]).max() > 0.1
    np.testing.assert_allclose(parameters[2], parameters[1], atol=1e-7)  # the rate is almost zero


def test_the_network_that_is_trained_stays_as_it_was() -> None:
    network = build_network(2, 2, [Dense(nodes=8)], random=np.random.default_rng(0))
    before = [np.array(leaf) for leaf in jax.tree.leaves(network)]
    run_training(fit(network, sample(100, 1), sample(100, 2), resolve_recipe(PLAIN, 100), seed=0))
    for leaf, copy in zip(jax.tree.leaves(network), before, strict=True):
        np.testing.assert_array_equal(leaf, copy)


SHARED = """
from tamis.training.devices import start_devices
start_devices(2)
import jax, numpy as np
from tamis.config import Sgd, Significance
from tests_of_fit import PLAIN, run, sample, replace_fields, leaves
assert len(jax.devices()) == 2
found = []
for devices in (1, 2):
    trained = run(replace_fields(PLAIN, devices=devices, batch_size=256), sample(1000, 1), sample(301, 2))
    assert trained.device == ("1 CPU core", "2 CPU cores")[devices - 1]
    found.append(trained)
for first, second in zip(*(each.history.epochs for each in found), strict=True):
    assert abs(first.training_loss - second.training_loss) < 1e-5, (first, second)
    assert abs(first.validation_loss - second.validation_loss) < 1e-5, (first, second)
for a, b in zip(*(leaves(each) for each in found), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)
again = run(replace_fields(PLAIN, devices=2, batch_size=256), sample(1000, 1), sample(301, 2))
assert [x.tobytes() for x in leaves(again)] == [x.tobytes() for x in leaves(found[1])]
# the means over a batch are those over both devices, and 1000 events leave the last batch half empty
# (with SGD: Adam makes steps of a gradient that is zero but for its rounding)
normalised = [
    run(
        replace_fields(PLAIN, devices=devices, batch_size=240, optimizer=Sgd(learning_rate=0.1)),
        sample(1000, 1), sample(301, 2), normalisation="batch",
    )
    for devices in (1, 2)
]
for a, b in zip(*(leaves(each) for each in normalised), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)
mean = normalised[0].network.layers[0].normalisation.mean.value
assert abs(np.asarray(mean)).max() > 0.01
# a loss that is no sum over events stays on one device
whole = replace_fields(PLAIN, loss=Significance(signal=10.0, background=100.0), batch_size=65536, epochs=1)
assert run(whole, sample(1000, 1), sample(301, 2), signal=(1,)).device == "1 CPU core"
print("equal")
"""


@pytest.mark.slow
def test_two_devices_train_as_one(tmp_path) -> None:
    # devices are fixed when JAX starts, so this needs a process of its own
    (tmp_path / "tests_of_fit.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    result = subprocess.run(
        [sys.executable, "-c", SHARED], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.stdout.strip() == "equal", result.stderr
